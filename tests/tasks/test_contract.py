"""What holds for every task. A new task is a new entry in `EXAMPLES`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import (
    TASKS,
    Answer,
    Classification,
    MultiLabel,
    QuestionAnswering,
    Regression,
    Similarity,
    Task,
    TokenClassification,
)
from ktlite.tasks.answers import AnswerLogits
from ktlite.tasks.arrays import ragged
from ktlite.tasks.losses import IGNORE


@dataclass(frozen=True)
class Example:
    """A task, labels of four examples, and the targets that they make.

    What is a number or numbers an example needs no more. Tasks whose outputs and targets are
    of other forms say how they come from what a model gives, and go to what a loss takes.
    """

    task: Task
    labels: Any
    targets: Any

    length = 0  # of the rows of a model's outputs; 0: one output an example

    @property
    def width(self) -> int:
        """The last dimension of a model's outputs."""
        return self.task.outputs

    def as_array(self) -> Any:
        """Returns the labels as an array."""
        return np.array(self.labels)

    def logits(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns a model's outputs as the task's methods take them."""
        return outputs

    def y_pred(self, logits: np.ndarray) -> np.ndarray:
        """Returns what `logits` was given."""
        return logits

    def y_true(self, targets: np.ndarray) -> np.ndarray:
        """Returns what the loss takes for targets."""
        return targets

    def plain(self, targets: np.ndarray) -> Any:
        """Returns targets to be compared."""
        return [np.asarray(row).tolist() for row in targets]


class WordsExample(Example):
    """A row of numbers a word."""

    length = 4

    def as_array(self) -> Any:
        return ragged([np.array(tags) for tags in self.labels])

    def logits(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return ragged([row[: len(t)] for row, t in zip(outputs, targets, strict=True)])

    def y_pred(self, logits: np.ndarray) -> np.ndarray:
        longest = max(len(row) for row in logits)
        return np.stack([np.pad(row, [(0, longest - len(row)), (0, 0)]) for row in logits])

    def y_true(self, targets: np.ndarray) -> np.ndarray:
        longest = max(len(row) for row in targets)
        return np.stack([
            np.pad(row, (0, longest - len(row)), constant_values=IGNORE) for row in targets
        ])  # fmt: skip


class VectorsExample(Example):
    """The vectors of two texts."""

    length = 2
    width = 3  # type: ignore[assignment]


class AnswersExample(Example):
    """The start and the end of an answer in the words of a context, after [CLS]."""

    context = "Ann wrote it in May"
    length = 6

    def as_array(self) -> Any:
        return ragged(self.labels)

    @property
    def spans(self) -> np.ndarray:
        return np.array([(0, 3), (4, 9), (10, 12), (13, 15), (16, 19)])

    def logits(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        window = np.array([[0, 5, 1]])
        return ragged([AnswerLogits(self.context, self.spans, window, [row]) for row in outputs])

    def y_pred(self, logits: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(item) for item in logits])

    def y_true(self, targets: np.ndarray) -> np.ndarray:
        filled = np.zeros((len(targets), 2, self.length), "int32")
        for line, answers in zip(filled, targets, strict=True):
            first = last = 0
            for answer in answers[:1]:
                first = 1 + self.spans[:, 0].tolist().index(answer.start)
                last = 1 + self.spans[:, 1].tolist().index(answer.end)
            line[0, first] = line[1, last] = 1
        return filled

    def plain(self, targets: np.ndarray) -> Any:
        return [[tuple(answer) for answer in answers] for answers in targets]


EXAMPLES = {
    "classification": Example(
        Classification(["neg", "so-so", "pos"]), ["pos", "neg", "so-so", "pos"], [2, 0, 1, 2]
    ),
    "classification of two": Example(
        Classification(["b", "a"]), ["a", "b", "b", "a"], [1, 0, 0, 1]
    ),
    "classification of integers": Example(Classification([3, 7, 42]), [42, 3, 7, 3], [2, 0, 1, 0]),
    "classification by position": Example(
        Classification(["1", "0"], numbered=True), [0, 1, 1, 0], [0, 1, 1, 0]
    ),
    "multilabel": Example(
        MultiLabel(["toxic", "threat"]),
        [[1, 0], [1, 1], [0, 0], [0, 1]],
        [[1, 0], [1, 1], [0, 0], [0, 1]],
    ),
    "regression": Example(Regression(), [1.5, -2, 0, 3.25], [1.5, -2, 0, 3.25]),
    "regression of several": Example(
        Regression(["stars", "price"], mean=[3, 20], scale=[1.5, 8]),
        [[1, 2.5], [-2, 30], [0, 0], [3.25, 21]],
        [[1, 2.5], [-2, 30], [0, 0], [3.25, 21]],
    ),
    "similarity": VectorsExample(Similarity("cosine"), [1, -0.5, 0, 0.25], [1, -0.5, 0, 0.25]),
    "answers": AnswersExample(
        QuestionAnswering(threshold=0.5),
        [[Answer("Ann", 0)], [], [Answer("in May", 13), Answer("May", 16)], [Answer("May", 16)]],
        [[("Ann", 0)], [], [("in May", 13), ("May", 16)], [("May", 16)]],
    ),
    "tags of entities": WordsExample(
        TokenClassification(["O", "B-PER", "I-PER"]),
        [["B-PER", "I-PER", "O"], ["O"], ["O", "B-PER"], ["B-PER", "O", "O", "O"]],
        [[1, 2, 0], [0], [0, 1], [1, 0, 0, 0]],
    ),
    "plain tags": WordsExample(
        TokenClassification(["NOUN", "VERB"], label_all_subwords=True),
        [["NOUN"], ["VERB", "NOUN"], ["NOUN", "NOUN", "NOUN"], ["VERB", "NOUN", "VERB", "VERB"]],
        [[0], [1, 0], [0, 0, 0], [1, 0, 1, 1]],
    ),
}
NAMES = list(EXAMPLES)


@pytest.fixture(params=NAMES)
def example(request: pytest.FixtureRequest) -> Example:
    return EXAMPLES[request.param]


@pytest.fixture
def task(example: Example) -> Task:
    return example.task


@pytest.fixture
def targets(example: Example) -> np.ndarray:
    return example.task.encode(example.labels)


@pytest.fixture
def logits(example: Example, targets: np.ndarray) -> np.ndarray:
    shape = (4, example.length, example.width) if example.length else (4, example.width)
    outputs = np.random.default_rng(7).normal(0, 2, shape).astype("float32")
    return example.logits(outputs, targets)


def as_plain(items: list[Any]) -> list[Any]:
    return json.loads(json.dumps(items))


def test_every_task_has_an_example() -> None:
    """But those that write texts, which tests/test_sequences.py takes through a learner."""
    labelled = {kind for kind in TASKS.values() if not kind.labels_are_texts}
    assert {type(example.task) for example in EXAMPLES.values()} == labelled
    assert all(kind.name == name for name, kind in TASKS.items())


def test_config_makes_the_same_task_after_json(example: Example, logits: np.ndarray) -> None:
    config = json.loads(json.dumps(example.task.get_config()))
    again = TASKS[example.task.name].from_config(config)
    assert again.get_config() == example.task.get_config()
    assert again.classes == example.task.classes
    assert again.outputs == example.task.outputs
    assert example.plain(again.encode(example.labels)) == example.targets
    assert again.decode(logits) == example.task.decode(logits)


def test_targets_are_one_row_a_text_in_a_dtype_that_the_loss_takes(example: Example) -> None:
    targets = example.task.encode(example.labels)
    assert example.plain(targets) == example.targets
    assert example.y_true(targets).dtype in (np.int32, np.float32)


def test_labels_may_be_an_array_as_well(example: Example) -> None:
    labels = example.as_array()
    arrays = [labels, labels.astype(object)] if labels.dtype.kind == "U" else [labels]
    for array in arrays:
        assert example.plain(example.task.encode(array)) == example.targets


def test_classes_are_a_copy_one_an_output(task: Task) -> None:
    assert len(task.classes) in (0, task.outputs)
    task.classes.append("another")
    assert "another" not in task.classes


def test_loss_is_that_of_keras_for_each_text(
    example: Example, logits: np.ndarray, targets: np.ndarray
) -> None:
    task = example.task
    losses = task.example_losses(logits, targets)
    assert losses.shape == (4,)
    assert losses.dtype == np.float64
    for i in range(4):
        one = slice(i, i + 1)
        keras_loss = task.loss()(example.y_true(targets[one]), example.y_pred(logits[one]))
        assert losses[i] == pytest.approx(float(keras_loss), abs=1e-5)
    keras_loss = task.loss()(example.y_true(targets), example.y_pred(logits))
    sizes = [len(target) if isinstance(example, WordsExample) else 1 for target in targets]
    assert np.average(losses, weights=sizes) == pytest.approx(float(keras_loss), abs=1e-5)


def test_losses_stay_finite_for_outputs_that_are_certain_and_wrong(
    example: Example, logits: np.ndarray, targets: np.ndarray
) -> None:
    for certain in (-1000, 1000):
        extreme = example.logits(np.sign(example.y_pred(logits)) * certain, targets)
        assert np.isfinite(example.task.example_losses(extreme, targets)).all()


def test_loss_and_metrics_are_new_objects_each_time(task: Task) -> None:
    assert task.loss() is not task.loss()
    assert all(a is not b for a, b in zip(task.metrics(), task.metrics(), strict=True))


def test_keras_metric_agrees_with_the_report(
    example: Example, logits: np.ndarray, targets: np.ndarray
) -> None:
    report = example.task.report(logits, targets)
    for metric in example.task.metrics():
        for part in (slice(0, 1), slice(1, 4)):  # batches of other sizes
            metric.update_state(example.y_true(targets[part]), example.y_pred(logits[part]))
        assert report.metrics[metric.name] == pytest.approx(float(metric.result()), abs=1e-6)


def test_model_trains_with_the_loss_and_the_metrics(example: Example, targets: np.ndarray) -> None:
    task = example.task
    shape = (example.length, 5) if example.length else (5,)
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(example.width)])
    model.compile(loss=task.loss(), metrics=task.metrics(), run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype("float32")
    logs = model.evaluate(x, example.y_true(targets), verbose=0, return_dict=True)
    logits = example.logits(model.predict_on_batch(x), targets)
    assert logs["loss"] == pytest.approx(task.report(logits, targets).metrics.get(
        "loss", task.example_losses(logits, targets).mean()
    ), abs=1e-5)  # fmt: skip


def test_report_is_text_numbers_and_a_result(
    task: Task, logits: np.ndarray, targets: np.ndarray
) -> None:
    report = task.report(logits, targets)
    assert len(report.text.splitlines()) > 1
    assert {type(value) for value in report.metrics.values()} == {float}
    assert report.result is not None


def test_figures_of_what_is_measured_are_those_of_the_report(
    task: Task, logits: np.ndarray, targets: np.ndarray
) -> None:
    """An item an example: confidence intervals take samples of them."""
    measured = task.measure(logits, targets)
    assert {len(values) for values in measured.values()} == {4}
    expected = task.report(logits, targets).metrics
    assert task.figures(measured) == pytest.approx(expected, nan_ok=True)
    order = [2, 0, 3, 1]
    again = task.figures({name: values[order] for name, values in measured.items()})
    assert again == pytest.approx(expected, nan_ok=True)


def test_report_of_a_single_text(task: Task, logits: np.ndarray, targets: np.ndarray) -> None:
    assert task.report(logits[:1], targets[:1]).metrics


def test_predictions_and_targets_read_as_plain_values(
    example: Example, logits: np.ndarray, targets: np.ndarray
) -> None:
    predicted = example.task.decode(logits)
    assert len(predicted) == len(example.task.decode_targets(targets)) == 4
    assert as_plain(example.task.decode_targets(targets)) == example.task.decode_targets(targets)
    assert json.dumps(predicted)


def test_options_that_a_task_does_not_take_are_refused(task: Task) -> None:
    with pytest.raises(ArgumentError, match="predict: unknown argument 'nonsense'"):
        task.predict("a", lambda texts: np.zeros((1, 1)), nonsense=True)


def test_no_texts_give_no_predictions(task: Task) -> None:
    nothing = np.zeros((0, task.outputs), "float32")
    assert task.decode(nothing) == []


def test_hugging_face_config_names_every_output(task: Task) -> None:
    fields = {"id2label": {}, "label2id": {}, **json.loads(json.dumps(task.hf_config()))}
    assert list(fields["id2label"]) == [str(i) for i in range(task.outputs)]
    assert {fields["label2id"][label] for label in fields["id2label"].values()} == set(
        range(task.outputs)
    )
    if task.classes:
        assert list(fields["id2label"].values()) == [str(c) for c in task.classes]
    assert fields.get("problem_type") == task.problem_type


@pytest.mark.parametrize("labels", [["unheard of"], [[0, 1, 1, 0, 1]], [float("nan")]])
def test_labels_of_something_else_are_refused_with_their_source(task: Task, labels: Any) -> None:
    with pytest.raises(DataError, match=r"^reviews\.csv: "):
        task.encode(labels, "reviews.csv")


def test_class_weights_are_by_output_or_refused(task: Task, targets: np.ndarray) -> None:
    if isinstance(task, Classification):
        assert list(task.class_weights("balanced", targets)) == list(range(task.outputs))
        return
    with pytest.raises(ArgumentError, match=f"a {task.name} task cannot weight classes"):
        task.class_weights("balanced", targets)
