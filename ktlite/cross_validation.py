"""Cross-validation: figures, and predictions for every text by a model that has not seen it."""

from __future__ import annotations

import dataclasses
import functools
import gc
import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite._arguments import checked, positive
from ktlite._logging import logger
from ktlite.data.examples import Examples
from ktlite.data.labels import settled
from ktlite.data.named_labels import encode_labels, in_order
from ktlite.data.preprocessor import Preprocessor
from ktlite.data.sources import reader_of
from ktlite.data.split import fold_numbers, strata
from ktlite.errors import ArgumentError, DataError, Problems, listing, plural
from ktlite.evaluation import Outputs, interval_table, label_errors
from ktlite.evaluation.bootstrap import LEVEL, confidence_intervals
from ktlite.inputs.input import Input, input_of
from ktlite.tasks import Report, Task
from ktlite.text.loaders import DEFAULT_SEED
from ktlite.workflow import get_learner

if TYPE_CHECKING:
    import pandas as pd

_OPTIONS = inspect.signature(get_learner).parameters
# Those that say how the data is read, and are not for the learners of the folds.
_READING = ("sep", "encoding", "names", "missing", "na_values")
_NOT_HERE = ("model", "train_data", "val_data", "val_pct", "preproc", "seed", "check", "verbose",
             "cache_folder")  # fmt: skip
_VALIDATED = 32


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation(Outputs):
    """What the models of a cross-validation say, each of the texts that it has not learned from.

    Args:
        task: What the labels mean.
        logits: Of each text, in the order of the data, by the model of the other folds.
        targets: What is true, in the task's form.
        data: The texts, with `rows`, their numbers in the source.
        fold_of: int64 [texts], the fold of each, from 0.
        fold_metrics: The figures of each fold.
        kind: What an example is: `"text"`, `"image"`, ...
    """

    fold_of: np.ndarray
    fold_metrics: list[dict[str, float]]
    kind: str = "text"

    @property
    def items(self) -> Sequence[Any]:
        """The texts, or what else the examples are."""
        items: Sequence[Any] = self.data.items
        return items

    @property
    def rows(self) -> np.ndarray:
        """int64 [texts], their rows in the source."""
        rows: np.ndarray = self.data.rows
        return rows

    @property
    def noun(self) -> str:
        """What an example is called."""
        return self.kind

    @property
    def predictions(self) -> list[Any]:
        """What is predicted for each text, as `Predictor.predict` returns it."""
        return self.task.decode(self.logits)

    @property
    def probabilities(self) -> np.ndarray:
        """What `Predictor.predict_proba` returns for each text."""
        return self.task.probabilities(self.logits)

    @property
    def metrics(self) -> dict[str, float]:
        """The mean of each figure over the folds."""
        return {name: float(np.mean(values)) for name, values in self._by_name().items()}

    @property
    def deviations(self) -> dict[str, float]:
        """The standard deviation of each figure over the folds (with n - 1)."""
        return {name: float(np.std(values, ddof=1)) for name, values in self._by_name().items()}

    @property
    def report(self) -> Report:
        """The task's report on all texts together."""
        return self.task.report(self.logits, self.known_targets())

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each text, or other example, which stands under its kind's name.

        Columns: `row` in the source, `fold`, `text` (`image`, ...), `label`, `predicted`, `loss`.
        """
        import pandas as pd

        targets = self.known_targets()
        return pd.DataFrame(
            {
                "row": self.rows,
                "fold": self.fold_of,
                self.noun: list(self.items),
                "label": self.task.decode_targets(targets),
                "predicted": self.predictions,
                "loss": self.task.example_losses(self.logits, targets),
            }
        )

    def intervals(self, level: float = LEVEL) -> dict[str, tuple[float, float]]:
        """Returns bootstrap confidence intervals of the figures of all texts together."""
        return confidence_intervals(self, level)

    def label_errors(self) -> pd.DataFrame:
        """Returns the texts whose labels are probably wrong, the surest first.

        Confident learning (Northcutt et al., 2021, arXiv:1911.00068), by cleanlab
        (`ktlite[labels]`).

        Returns:
            A row for each: `row` in the source, `text` (`image`, ...), the `label` given, the one
            that is `suggested`, and `score`, the probability of the given one.

        Raises:
            ArgumentError: If cleanlab is not installed, or the labels are not one class a text.

        Example:
            >>> result.label_errors().head(20).to_csv("to-check.csv")
        """
        return label_errors(self)

    def summary(self) -> str:
        """Returns mean, standard deviation and confidence interval of each figure, as a table."""
        figures = self.report.metrics
        table = interval_table(figures, self.intervals(), LEVEL)
        return "\n".join([*self._over_folds(), "", f"all {self.noun}s together, {table}"])

    def _over_folds(self) -> list[str]:
        deviations = self.deviations
        return [
            f"mean and standard deviation over {len(self.fold_metrics)} folds",
            *(
                f"{name:>14} {mean:9.4f} +- {deviations[name]:.4f}"
                for name, mean in self.metrics.items()
            ),
        ]

    def __repr__(self) -> str:
        head = f"CrossValidation: {plural(len(self.logits), self.noun)}, {self.task!r}"
        return "\n".join([head, *self._over_folds(), "summary() adds confidence intervals"])

    def _by_name(self) -> dict[str, list[float]]:
        names = self.fold_metrics[0]
        return {
            name: [fold[name] for fold in self.fold_metrics]
            for name in names
            if all(name in fold for fold in self.fold_metrics)
        }


@checked
def cross_validate(
    checkpoint: str | os.PathLike[str],
    data: Any,
    *,
    lr: float,
    epochs: int,
    text_column: Any = None,
    label_columns: Any = None,
    folds: int = 5,
    groups: Any = None,
    class_weight: Any = None,
    seed: int = DEFAULT_SEED,
    verbose: int = 1,
    **options: Any,
) -> CrossValidation:
    """Trains on all folds but one and predicts that one, for each fold in turn.

    Each model starts from the checkpoint anew and is trained with one-cycle; nothing of the fold
    that it predicts is looked at. (The labels that there are, and for regression the mean and the
    spread of all targets, are known to all.) Folds have the same mix of classes.

    Args:
        checkpoint: Folder, or Hub name.
        data: As `train_data` of `get_learner`: texts, pairs or images with labels or numbers,
            tagged words, or questions.
        lr: The highest learning rate.
        epochs: Of each training.
        text_column: Name of the text column, or two names for pairs.
        label_columns: Name or names of the label columns.
        folds: How many, 2 or more.
        groups: Which rows belong together, such as those of one author: their fold is the same. A
            value for each row of the source, or the name of a column of a DataFrame.
        class_weight: `"balanced"`, or a dict from class to weight, as the fits have it.
        seed: Of the folds, the new heads, dropout, and the order of the training data.
        verbose: 0 silences the line after each fold.
        **options: More of `get_learner`: `task`, `maxlen`, `batch_size`, `class_names`, ...

    Returns:
        The `CrossValidation`: out-of-fold `logits`, `predictions` and `probabilities` in the order
        of the data, `metrics` and `deviations` over the folds, a `report` on all texts, a `frame`,
        `label_errors()`.

    Raises:
        ArgumentError: If arguments cannot work; all of them are named at once.
        DataError: If the data cannot be used.

    Example:
        >>> result = ktlite.cross_validate("bert-base-uncased", "reviews.csv", lr=5e-5, epochs=2,
        ...                                text_column="text", label_columns="label")
        >>> result.metrics["accuracy"], result.deviations["accuracy"]
        (0.842, 0.011)
    """
    given = {name: parameter.default for name, parameter in _OPTIONS.items()} | options
    _check(options, groups, data, lr=lr, epochs=epochs, folds=folds)
    reading = {name: given[name] for name in _READING}
    kind = functools.cache(
        lambda: input_of(checkpoint, given["revision"], given["ignore_config_fields"])
    )
    read = reader_of(given["task"], kind)
    raw = read(data, text_column, label_columns, source="data", **reading)
    (raw,) = settled(given["task"], given["class_names"], raw)
    if raw.labels is None:
        raise DataError("data: there are no labels; name the label_columns.")
    task = _learned(raw, given)
    targets = encode_labels(task, raw)
    # The folds are plain arrays, which have no names any more.
    labels = in_order(raw, task.output_names)
    raw = dataclasses.replace(raw, labels=labels, label_columns=(), class_names=())
    stratify = strata(task, labels, targets)
    together = _per_text("groups", groups, data, raw)
    if together is not None:
        # As text: a missing value is equal to no other, and here they are one group.
        together = np.unique(together.astype(str), return_inverse=True)[1]
    numbers = fold_numbers(stratify, folds, seed, together)
    passed = {name: value for name, value in options.items() if name not in _READING}
    passed |= {"task": task, "class_names": (), "seed": seed, "check": False}
    _warn_of_repeats(raw, numbers, kind())
    weights = _per_text("sample_weight", passed.pop("sample_weight", None), data, raw)
    logits: Any = None
    metrics = []
    for number in range(folds):
        held_out = np.flatnonzero(numbers == number)
        train = raw.take(numbers != number)
        if weights is not None:
            passed["sample_weight"] = weights[numbers != number]
        found = _fold(checkpoint, train, raw.take(held_out), lr, epochs, class_weight, passed)
        if logits is None:
            logits = np.empty((len(raw), *found.shape[1:]), found.dtype)
        logits[held_out] = found
        metrics.append(task.report(found, targets[held_out]).metrics)
        if verbose:
            shown = listing(f"{name} {value:.4f}" for name, value in metrics[-1].items())
            logger.info("fold %d of %d: %s", number + 1, folds, shown)
    return CrossValidation(task, logits, targets, raw, numbers, metrics, kind().kind)


def _fold(
    checkpoint: Any,
    train: Examples,
    test: Examples,
    lr: float,
    epochs: int,
    class_weight: Any,
    options: dict[str, Any],
) -> np.ndarray:
    """Returns the logits of `test`, by a model that has learned from `train`."""
    learner = get_learner(
        checkpoint,
        train_data=(train.items, train.labels),
        # Some, as each epoch ends with a validation: what is asked for is predicted below.
        val_data=(test.items[:_VALIDATED], test.labels[:_VALIDATED]),  # type: ignore[index]
        verbose=0,
        **options,
    )
    learner.fit_onecycle(lr, epochs, class_weight=class_weight, verbose=0)
    logits = learner.get_predictor().logits(test.items)
    del learner
    gc.collect()  # a model refers to itself: without this, two are in memory
    return logits


def _check(options: dict[str, Any], groups: Any, data: Any, **numbers: Any) -> None:
    problems = Problems("cross_validate")
    known = [name for name in _OPTIONS if name not in _NOT_HERE]
    problems.unknown([name for name in options if name not in known], known)
    positive(problems, lr=numbers["lr"])
    for name, least in (("epochs", 1), ("folds", 2)):
        value = numbers[name]
        problems.add_unless(
            bool(isinstance(value, (int, np.integer)) and value >= least),
            f"{name}={value!r}; expected a whole number of {least} or more.",
        )
    columns = [str(name) for name in getattr(data, "columns", ())]
    for name, value in (("groups", groups), ("sample_weight", options.get("sample_weight"))):
        problems.add_unless(
            not isinstance(value, str) or value in columns,
            f"{name}={value!r} is no column of a DataFrame"
            + (f"; columns are {listing(columns)}." if columns else "; give a value for each row."),
        )
    task = options.get("task")
    problems.add_unless(
        getattr(task, "name", task) != "sentence-similarity",
        "a sentence-similarity task has no folds: its examples are compared with each other.",
    )
    problems.raise_if_any()


def _warn_of_repeats(raw: Examples, numbers: np.ndarray, kind: type[Input]) -> None:
    """Warns of equal examples in several folds, of which a model predicts what it has learned."""
    keys = np.unique([kind.key(item) for item in raw.items], return_inverse=True)[1]
    folds_of = np.zeros((keys.max() + 1, numbers.max() + 1), bool)
    folds_of[keys, numbers] = True
    count = int((folds_of.sum(axis=1) > 1)[keys].sum())
    if count:
        logger.warning(
            "%s of %s are in other folds, too, exactly the same, and figures look a little too "
            "good: leave repeated ones out, or number equal ones equally in groups=.",
            f"{count:,}",
            plural(len(keys), kind.kind),
        )


def _learned(raw: Examples, given: dict[str, Any]) -> Task:
    """Returns the task of all labels."""
    preproc = Preprocessor(
        None, given["maxlen"], class_names=given["class_names"], task_name=given["task"]
    )
    preproc.learn_task(raw)
    return preproc.task


def _per_text(name: str, values: Any, data: Any, raw: Examples) -> np.ndarray | None:
    """Returns for each text what is given for each row of the source, or as a column's name."""
    if values is None:
        return None
    given = np.asarray(data[values] if isinstance(values, str) else values)
    if given.ndim != 1 or len(given) <= raw.rows.max():
        raise ArgumentError(
            f"cross_validate: {name} has shape {list(given.shape)}; expected a value for each of "
            f"{plural(int(raw.rows.max()) + 1, 'row')} of the data."
        )
    return given[raw.rows]
