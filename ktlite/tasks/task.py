"""What a task must know: labels in, head, loss and metrics, logits back to something readable."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ktlite._arguments import checked
from ktlite._labels import label_fields
from ktlite.encodings.encodings import Encodings
from ktlite.errors import ArgumentError, DataError, listing
from ktlite.tasks.aims import Aim, output_aims
from ktlite.tasks.certainty import Certainty
from ktlite.tasks.losses import keras_loss
from ktlite.tasks.rows import Rows
from ktlite.tasks.teaching import Teaching

_SHOWN = 6  # classes of a task that is printed


@dataclass(frozen=True)
class Report:
    """The outcome of a validation.

    Args:
        text: The report to read.
        metrics: Name -> value.
        result: What `Learner.validate` returns, in ktrain's form: the confusion
            matrix, a list of (metric, value), or the F1 of entities.
    """

    text: str
    metrics: dict[str, float]
    result: Any = field(default=None)

    def __str__(self) -> str:
        return self.text


class Task(Rows, Certainty, Teaching, abc.ABC):
    """The one place that knows what a label means.

    `Learner` and `Predictor` ask the task; they never ask which task it is.
    A task is plain data: `get_config` gives JSON, `from_config` the task again.

    What a person gives and gets is an *example*. What the model takes is a *row* of tokens:
    one an example, or several where `tokenize` cuts it into windows. `align` makes the targets
    of rows, `reduce` and `join` make the outputs of examples, which all methods below take.
    Where examples differ in size (a row of numbers a word), outputs and targets are `ragged`.
    """

    #: The name in saved files and in `task=` arguments.
    name: ClassVar[str]
    #: What the data is, by its name in `ktlite.data.sources.SOURCES`.
    reads: ClassVar[str] = "texts"
    #: The Hugging Face task name, which selects the model's head.
    head: ClassVar[str]
    #: Hugging Face's `problem_type` in config.json.
    problem_type: ClassVar[str | None] = None
    #: Whether the loss is a mean over all targets of a batch but those that are `IGNORE`; else it
    #: is one over rows.
    counts_targets: ClassVar[bool] = False
    #: Whether the loss compares the rows of a batch with each other, so that none can be cut.
    compares_rows: bool = False
    #: Whether an example has one answer, which can be mixed with another's.
    one_answer: ClassVar[bool] = False
    #: Takes two batches of the head's outputs, and returns how far apart each row's predictions
    #: are; None: these are not compared.
    divergence: Callable[[Any, Any], Any] | None = None
    #: Whether labels are texts, which are never read as numbers or names of classes.
    labels_are_texts: ClassVar[bool] = False
    #: What a loaded predictor must still say as it did when it was saved. Never texts of the
    #: user: a predictor travels further than the data that it was trained on.
    golden_examples: ClassVar[Sequence[Any]] = (
        "It was fine.",
        "房间很干净，服务也好。",
        "One line, and then another. " * 12,
    )

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Task | None:
        """Learns the task from training labels; None leaves it to `infer_task`.

        Args:
            labels: As a reader returns them.
            class_names: Names of the classes, where the user gives them.
            source: What to call the labels in messages.

        Raises:
            DataError: If they are not of this task.
        """
        return None

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """The number of outputs of the head; 0 where they are not those of labels."""

    @property
    def classes(self) -> list[Any]:
        """The labels, in the order of the outputs; empty where there are none."""
        return []

    @property
    def output_names(self) -> list[str]:
        """What the head's outputs are called, in their order; empty where they have no names.

        A checkpoint's head is matched with the labels by these names.
        """
        names = [str(label) for label in self.classes]
        return names if names and len(names) == self.outputs else []

    @property
    def predicts_classes(self) -> bool:
        """Whether a prediction is one of `classes`, with a probability for each."""
        return bool(self.classes)

    def for_input(self, input: Any) -> Task:
        """Returns the task as models do it that read this input: here itself.

        Args:
            input: As for `prepared`.
        """
        return self

    def prepared(self, input: Any) -> Any:
        """Returns how items are read for this task: here as they are for others.

        Args:
            input: How they become what a model reads (`ktlite.inputs.input.Input`).
        """
        return input

    @abc.abstractmethod
    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        """Turns labels into the loss's targets, one row a text.

        Raises:
            DataError: If a label is not of this task.
        """

    @abc.abstractmethod
    def loss(self) -> Any:
        """Returns a new Keras loss over the head's logits."""

    def custom_loss(self, loss: Any = None, label_smoothing: float = 0.0) -> Any:
        """Returns the Keras loss that a user asks for.

        Args:
            loss: A name that the task or Keras knows, a Keras loss, or a function of targets
                and logits. Default: `loss()`.
            label_smoothing: Share of each target that is spread over all classes.

        Raises:
            ArgumentError: If the loss is not known, or there is nothing to smooth.
        """
        if label_smoothing:
            raise ArgumentError(
                f"label_smoothing={label_smoothing!r}: a {self.name} task has no labels to smooth."
            )
        return self.loss() if loss is None else keras_loss(loss)

    @abc.abstractmethod
    def metrics(self) -> list[Any]:
        """Returns new Keras metrics over the head's logits."""

    @checked
    def predict(
        self,
        examples: Any,
        run: Callable[[Sequence[Any]], np.ndarray],
        return_proba: bool = False,
    ) -> Any:
        """Predicts one example or many; what `Predictor.predict` does.

        A task that takes more arguments overrides it, and names them.

        Args:
            examples: What the caller gave.
            run: Turns a list of examples into logits.
            return_proba: Give probabilities.
        """
        many, single = self.as_list(examples)
        logits = run(many)
        predicted = self.probabilities(logits) if return_proba else self.decode(logits)
        return predicted[0] if single else predicted

    def asking(self, options: Mapping[str, Any]) -> Task:
        """Returns the task that the model runs for, with these options of `predict`: here itself.

        Raises:
            ArgumentError: If it is another that these options make, and they make no sense.
        """
        return self

    def bound_to(self, encodings: Encodings) -> Task:
        """Returns the task for examples that are these tokens: here itself."""
        return self

    def stream(self, runner: Any, encodings: Encodings) -> Iterator[str]:
        """Yields the text that a model writes for an example, in pieces, as it is written.

        Args:
            runner: Runs the model.
            encodings: Of this example alone.

        Raises:
            ArgumentError: At once, if the task writes no texts.
        """
        raise ArgumentError(
            f"stream: a {self.name} task writes no text that could be given in pieces; predict "
            "gives its predictions, predict_stream those of any number of examples."
        )

    def as_list(self, examples: Any) -> tuple[list[Any], bool]:
        """Returns examples as a list, and whether it was a single one.

        Raises:
            DataError: If they are of another kind.
        """
        if isinstance(examples, str) or is_pair(examples):
            return [examples], True
        return listed(
            examples, "predict takes a string, a tuple of two strings (a pair), or a list of them"
        ), False

    def renamed(self, names: Sequence[str]) -> Task:
        """Returns this task with other names for its classes.

        Raises:
            ArgumentError: If it has another number of classes.
        """
        if not len(names) or len(names) != len(self.classes):
            raise ArgumentError(
                f"class_names are {listing(names)}; expected {len(self.classes)}, one for each "
                f"class of this {self.name} task ({listing(self.classes) or 'it has none'})."
            )
        return type(self).from_config({**self.get_config(), "classes": list(names)})

    @abc.abstractmethod
    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Turns logits [texts, outputs] into what `predict_proba` returns."""

    @abc.abstractmethod
    def decode(self, logits: np.ndarray) -> list[Any]:
        """Turns logits [texts, outputs] into what `predict` returns, one item a text."""

    @abc.abstractmethod
    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        """Turns targets back into labels as a person reads them."""

    @abc.abstractmethod
    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the loss of each text, float64 [texts]."""

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        """Says what is wrong with a prediction, for `view_top_losses`.

        Args:
            example: As it was given.
            true: Of `decode_targets`.
            predicted: Of `decode`.

        Returns:
            A few words, and more lines.
        """
        texts = [example] if isinstance(example, str) else list(example)
        return f"true: {true} | predicted: {predicted}", texts

    def target_weights(self) -> np.ndarray:
        """Returns what each target is of the outputs, [targets, outputs], for explanations."""
        return np.eye(self.outputs)

    def check_explained(self) -> None:
        """Raises ArgumentError if `Predictor.explain` has nothing to explain in this task."""

    def aims(
        self, example: Any, outputs: np.ndarray, encodings: Encodings, target: Any = None
    ) -> list[Aim]:
        """Returns what there is to explain about one example: the prediction first.

        Args:
            example: As it was given.
            outputs: What `reduce` kept of its rows.
            encodings: Of this example alone.
            target: What the user asks for: here one of `classes`. Default: all of them.

        Raises:
            ArgumentError: If there is no such target, or nothing that can be explained.
        """
        return output_aims(self, outputs, encodings, target)

    @abc.abstractmethod
    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        """Compares logits with targets."""

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what `figures` are made of, arrays of one item an example.

        Confidence intervals take the figures of a thousand samples of the examples. A task whose
        `report` is slow overrides both, so that all work on single examples is done here, once.
        """
        return {"logits": logits, "targets": targets}

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Returns the metrics of `report`, of the examples that were measured."""
        return self.report(measured["logits"], measured["targets"]).metrics

    @property
    def chance_loss(self) -> float | None:
        """The mean loss of giving all classes the same probability; None without classes."""
        return math.log(self.outputs) if self.predicts_classes else None

    def class_counts(self, targets: np.ndarray) -> np.ndarray | None:
        """Returns how many examples are of each class, int [classes]; None if none are."""
        return None

    def class_weights(self, weights: Any, targets: np.ndarray) -> dict[int, float]:
        """Turns a `class_weight` argument into weights by output number.

        Raises:
            ArgumentError: If this task cannot weight classes.
        """
        raise ArgumentError(f"class_weight={weights!r}: a {self.name} task cannot weight classes.")

    def tune_thresholds(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Sets what the task decides by, so that its decisions on these logits are best.

        Raises:
            ArgumentError: If the task decides by no threshold.
        """
        raise ArgumentError(f"a {self.name} task decides by no threshold.")

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Returns what makes this task again, as JSON values."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Task:
        return cls(**config)

    def hf_config(self) -> dict[str, Any]:
        """Returns the label fields of the Hugging Face config.json."""
        numbered = [f"LABEL_{i}" for i in range(self.outputs)]
        fields: dict[str, Any] = label_fields(self.output_names or numbered)
        if self.problem_type:
            fields["problem_type"] = self.problem_type
        return fields

    def __repr__(self) -> str:
        return f"{self.name} ({listing(self.classes, _SHOWN)})" if self.classes else self.name

    def write_files(self, folder: Path, maxlen: int | None) -> None:
        """Writes what other libraries want to know of the task, beside a saved checkpoint.

        Args:
            folder: Of the checkpoint.
            maxlen: Longest text in tokens; None where there are none.
        """


def is_pair(example: Any) -> bool:
    """Says whether this is a tuple of two strings."""
    return (
        isinstance(example, tuple)
        and len(example) == 2
        and all(isinstance(part, str) for part in example)
    )


def listed(examples: Any, expected: str) -> list[Any]:
    """Returns examples as a list.

    Args:
        examples: Many.
        expected: What is said where they are of another kind.

    Raises:
        DataError: If they are.
    """
    # Iterating over a data frame would give the names of its columns, over a data set x and y.
    wrong = isinstance(examples, (bytes, dict)) or any(
        hasattr(examples, name) for name in ("columns", "encodings")
    )
    if wrong or not hasattr(examples, "__iter__"):
        raise DataError(f"{expected}; got {type(examples).__name__}.")
    return list(examples)
