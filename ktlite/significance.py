"""Is one predictor better than another, or was it luck? Both on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite._arguments import between_0_and_1, checked
from ktlite.errors import ArgumentError, Problems, plural
from ktlite.evaluation import Outputs
from ktlite.evaluation.bootstrap import LEVEL, RESAMPLES, draws, interval, rows_of
from ktlite.predictor import Predictor


@dataclass(frozen=True, repr=False)
class Comparison:
    """How far apart two predictors are on the same examples.

    Args:
        metric: What is compared.
        a: The figure of the first.
        b: That of the second.
        low: Lower end of the confidence interval of `difference`.
        high: Upper end.
        p_value: How likely a difference so far from 0 is by luck of the examples, from the paired
            bootstrap.
        only_a: Examples that only the first gets right; None where predictions are not right or
            wrong.
        only_b: Those that only the second gets right.
        mcnemar: How likely it is that `only_a` and `only_b` are so far apart if both are right as
            often: the exact test of McNemar (1947), two-sided.
        count: How many examples there are.
        level: Of the interval.
        on: What the examples are, in words.
    """

    metric: str
    a: float
    b: float
    low: float
    high: float
    p_value: float
    only_a: int | None
    only_b: int | None
    mcnemar: float | None
    count: int
    level: float = LEVEL
    on: str = ""

    @property
    def difference(self) -> float:
        """`a` - `b`."""
        return self.a - self.b

    def __str__(self) -> str:
        lines = [
            f"{self.metric} on {self.on or plural(self.count, 'example')}: "
            f"{self.a:.4f} and {self.b:.4f}",
            f"difference {self.difference:+.4f}, {100 * self.level:g} % interval "
            f"[{self.low:+.4f}, {self.high:+.4f}], p = {self.p_value:.3g} (paired bootstrap: how "
            f"likely a difference of {self.metric} so far from 0 is by luck of the examples)",
        ]
        if self.mcnemar is not None:
            lines.append(
                f"only the first is right: {self.only_a:,}; only the second: {self.only_b:,}; "
                f"p = {self.mcnemar:.3g} (McNemar, exact: how likely two counts so far apart are "
                "if both are right as often)"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


@checked
def compare_predictors(
    a: Any,
    b: Any,
    data: Any = None,
    *,
    text_column: Any = None,
    label_columns: Any = None,
    metric: str | None = None,
    level: float = LEVEL,
    sep: str | None = None,
    encoding: str | None = None,
    names: Sequence[str] | None = None,
    missing: str = "drop",
    na_values: Any = None,
) -> Comparison:
    """Compares two predictors on the same examples, and says how much of it may be luck.

    A thousand samples of the examples, drawn with replacement, give the interval of the difference
    and its p-value; both predictors are measured on the same samples (Koehn, 2004, "Statistical
    significance tests for machine translation evaluation"). Where predictions are right or wrong,
    McNemar's exact test compares those that only one gets right. Neither knows of the luck of
    another training: for that, compare several seeds.

    Args:
        a: A predictor, or the result of `cross_validate`.
        b: Another. Two results must be of the same data.
        data: What to compare predictors on, labelled, as `train_data` of `get_learner`.
        text_column: Name of the text column, or two names for pairs. Default: as the training
            data was read.
        label_columns: Name or names of the label columns. Default: likewise.
        metric: A figure of the task's report. Default: `"accuracy"`, or the first that there is.
        level: Of the interval.
        sep: Column separator of a CSV file. Default: a comma, or by its name a tab (`.tsv`).
        encoding: Of the file. Default: detected.
        names: Column names of a CSV file without a header row.
        missing: As for `get_learner`.
        na_values: Likewise. Default: as the training data was read.

    Raises:
        ArgumentError: If the two cannot be compared.
        DataError: If the data cannot be used.

    Example:
        >>> print(ktlite.compare_predictors(small, large, "test.csv", text_column="text",
        ...                                 label_columns="label"))
        accuracy on 1,821 examples: 0.8890 and 0.9126
        difference -0.0236, 95 % interval [-0.0379, -0.0099], p = 0.002 (paired bootstrap: ...)
        only the first is right: 57; only the second: 100; p = 0.000768 (McNemar, exact: ...)
    """
    problems = Problems("compare_predictors")
    for name, given in (("a", a), ("b", b)):
        if isinstance(given, Predictor):
            problems.add_unless(data is not None, "data is not given: compare on which examples?")
        else:
            problems.add_unless(
                isinstance(given, Outputs),
                f"{name} is of type {type(given).__name__}; expected a predictor or the result of "
                "cross_validate.",
            )
    between_0_and_1(problems, level=level)
    problems.raise_if_any()
    reading = {"sep": sep, "encoding": encoding, "names": names, "missing": missing}
    reading["na_values"] = na_values
    first, second = (
        _outputs(given, data, text_column, label_columns, reading)
        if isinstance(given, Predictor)
        else given
        for given in (a, b)
    )
    return _compared(first, second, metric, level)


def _outputs(
    predictor: Predictor, data: Any, text_column: Any, label_columns: Any, reading: dict[str, Any]
) -> Outputs:
    columns = {"text_column": text_column, "label_columns": label_columns}
    return predictor.outputs(data, "compare_predictors", **columns, **reading)


def _compared(a: Outputs, b: Outputs, metric: str | None, level: float) -> Comparison:
    pair = (a, b)
    if _truth(a) != _truth(b):
        raise ArgumentError(
            "compare_predictors: the two were given other examples, or mean other labels by them; "
            "compare them on the same data."
        )
    measured = [each.task.measure(each.logits, each.known_targets()) for each in pair]
    figures = [each.task.figures(one) for each, one in zip(pair, measured, strict=True)]
    known = [name for name in figures[0] if name in figures[1]]
    chosen = metric or ("accuracy" if "accuracy" in known else known[0])
    problems = Problems("compare_predictors")
    problems.choice("metric", chosen, known)
    problems.raise_if_any()
    count = len(a.known_targets())
    samples = np.array(
        [
            [
                each.task.figures(rows_of(one, rows)).get(chosen, np.nan)
                for each, one in zip(pair, measured, strict=True)
            ]
            for rows in draws(count)
        ]
    )
    differences = samples[:, 0] - samples[:, 1]
    beyond = min((differences <= 0).sum(), (differences >= 0).sum())
    low, high = interval(differences, level)
    only_a, only_b, mcnemar = _mcnemar(pair)
    return Comparison(
        metric=chosen,
        a=figures[0][chosen],
        b=figures[1][chosen],
        low=low,
        high=high,
        p_value=min(1.0, float(2 * (beyond + 1) / (RESAMPLES + 1))),
        only_a=only_a,
        only_b=only_b,
        mcnemar=mcnemar,
        count=count,
        level=level,
        on=a.on or b.on,
    )


def _truth(outputs: Outputs) -> Any:
    """Returns what is true, the same whatever order the labels have, and 1 like "1"."""
    task, targets = outputs.task, outputs.known_targets()
    names = task.output_names
    if np.ndim(targets) == 2 and names:
        order = sorted(range(len(names)), key=names.__getitem__)
        return sorted(names), targets[:, order].tolist()
    true = task.decode_targets(targets)
    return list(map(str, true)) if names and task.predicts_classes else true


def _mcnemar(
    pair: tuple[Outputs, Outputs],
) -> tuple[int | None, int | None, float | None]:
    """Returns how many examples only one gets right, for each, and how likely that is by luck."""
    from scipy.stats import binomtest

    single = all(np.ndim(each.logits) == 2 and each.known_targets().ndim == 1 for each in pair)
    if not single or not all(each.task.predicts_classes for each in pair):
        return None, None, None
    a, b = (
        np.array(
            [
                x == y
                for x, y in zip(
                    each.task.decode(each.logits),
                    each.task.decode_targets(each.known_targets()),
                    strict=True,
                )
            ]
        )  # fmt: skip
        for each in pair
    )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    differ = only_a + only_b
    return only_a, only_b, float(binomtest(only_a, differ).pvalue) if differ else 1.0
