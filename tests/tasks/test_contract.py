"""What holds for every task. A new task is a new entry in `EXAMPLES`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import TASKS, Classification, MultiLabel, Regression, Task, TokenClassification
from ktlite.tasks.task import IGNORE, ragged


@dataclass(frozen=True)
class Example:
    """A task, labels of it, and the targets that they make."""

    task: Task
    labels: Any
    targets: Any


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
    "tags of entities": Example(
        TokenClassification(["O", "B-PER", "I-PER"]),
        [["B-PER", "I-PER", "O"], ["O"], ["O", "B-PER"], ["B-PER", "O", "O", "O"]],
        [[1, 2, 0], [0], [0, 1], [1, 0, 0, 0]],
    ),
    "plain tags": Example(
        TokenClassification(["NOUN", "VERB"], label_all_subwords=True),
        [["NOUN"], ["VERB", "NOUN"], ["NOUN", "NOUN", "NOUN"], ["VERB"]],
        [[0], [1, 0], [0, 0, 0], [1]],
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
def logits(task: Task, targets: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(7)

    def draw(rows: int) -> np.ndarray:
        return random.normal(0, 2, (rows, task.outputs)).astype("float32")

    return ragged([draw(len(row)) for row in targets]) if targets.dtype == object else draw(4)


def lists(values: np.ndarray) -> list[Any]:
    return [np.asarray(row).tolist() for row in values]


def padded(values: np.ndarray, filler: float) -> np.ndarray:
    """Returns what the loss takes of examples that differ in size."""
    if values.dtype != object:
        return values
    width = max(len(row) for row in values)
    return np.stack([
        np.pad(row, [(0, width - len(row))] + [(0, 0)] * (row.ndim - 1), constant_values=filler)
        for row in values
    ])  # fmt: skip


def each(function: Any, values: np.ndarray) -> np.ndarray:
    return ragged([function(v) for v in values]) if values.dtype == object else function(values)


def as_plain(items: list[Any]) -> list[Any]:
    return json.loads(json.dumps(items))


def test_every_task_has_an_example() -> None:
    assert {type(example.task) for example in EXAMPLES.values()} == set(TASKS.values())
    assert all(kind.name == name for name, kind in TASKS.items())


def test_config_makes_the_same_task_after_json(example: Example, logits: np.ndarray) -> None:
    config = json.loads(json.dumps(example.task.get_config()))
    again = TASKS[example.task.name].from_config(config)
    assert again.get_config() == example.task.get_config()
    assert again.classes == example.task.classes
    assert again.outputs == example.task.outputs
    assert lists(again.encode(example.labels)) == lists(example.task.encode(example.labels))
    assert again.decode(logits) == example.task.decode(logits)


def test_targets_are_one_row_a_text_in_a_dtype_that_the_loss_takes(example: Example) -> None:
    targets = example.task.encode(example.labels)
    assert lists(targets) == example.targets
    assert padded(targets, 0).dtype in (np.int32, np.float32)


def test_labels_may_be_an_array_as_well(example: Example) -> None:
    if isinstance(example.task, TokenClassification):
        labels = ragged([np.array(tags) for tags in example.labels])
    else:
        labels = np.array(example.labels)
    arrays = [labels, labels.astype(object)] if labels.dtype.kind == "U" else [labels]
    for array in arrays:
        assert lists(example.task.encode(array)) == example.targets


def test_classes_are_a_copy_one_an_output(task: Task) -> None:
    assert len(task.classes) in (0, task.outputs)
    task.classes.append("another")
    assert "another" not in task.classes


def test_loss_is_that_of_keras_for_each_text(
    task: Task, logits: np.ndarray, targets: np.ndarray
) -> None:
    losses = task.example_losses(logits, targets)
    assert losses.shape == (4,)
    assert losses.dtype == np.float64
    for i in range(4):
        keras_loss = task.loss()(padded(targets[i : i + 1], IGNORE), padded(logits[i : i + 1], 0))
        assert losses[i] == pytest.approx(float(keras_loss), abs=1e-5)
    keras_loss = task.loss()(padded(targets, IGNORE), padded(logits, 0))
    sizes = [np.size(target) for target in targets]
    assert np.average(losses, weights=sizes) == pytest.approx(float(keras_loss), abs=1e-5)


def test_losses_stay_finite_for_outputs_that_are_certain_and_wrong(
    task: Task, logits: np.ndarray, targets: np.ndarray
) -> None:
    for certain in (-1000, 1000):
        extreme = each(np.sign, logits) * certain
        assert np.isfinite(task.example_losses(extreme, targets)).all()


def test_loss_and_metrics_are_new_objects_each_time(task: Task) -> None:
    assert task.loss() is not task.loss()
    assert all(a is not b for a, b in zip(task.metrics(), task.metrics(), strict=True))


def test_keras_metric_agrees_with_the_report(
    task: Task, logits: np.ndarray, targets: np.ndarray
) -> None:
    report = task.report(logits, targets)
    for metric in task.metrics():
        for part in (slice(0, 1), slice(1, 4)):  # batches of other lengths
            metric.update_state(padded(targets[part], IGNORE), padded(logits[part], 0))
        assert report.metrics[metric.name] == pytest.approx(float(metric.result()), abs=1e-6)


def test_model_trains_with_the_loss_and_the_metrics(task: Task, targets: np.ndarray) -> None:
    words = targets.dtype == object
    y = padded(targets, IGNORE)
    model = keras.Sequential([
        keras.Input((None, 5) if words else (5,)), keras.layers.Dense(task.outputs)
    ])  # fmt: skip
    model.compile(loss=task.loss(), metrics=task.metrics(), run_eagerly=True)
    shape = (*y.shape, 5) if words else (4, 5)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    logits = model.predict_on_batch(x)
    if words:
        logits = ragged([row[: len(t)] for row, t in zip(logits, targets, strict=True)])
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
    fields = json.loads(json.dumps(task.hf_config()))
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
