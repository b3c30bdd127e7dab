"""A predictor over rows: of files of any size, and of an engine's tables."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ktlite._logging import logger
from ktlite.deploy.tables import ItemFiles, Row, Table, parquet_file
from ktlite.deploy.writers import Writer, columns_of, make_writer
from ktlite.errors import ArgumentError, DataError, did_you_mean, listing, plural
from ktlite.inputs.input import Input
from ktlite.inputs.texts import Texts
from ktlite.predictor import Predictor
from ktlite.tasks import MultiLabel, Task

BLOCK = 4096  # rows: enough texts of like length to fill batches, little memory
PREDICTION, PROBABILITY = "prediction", "probability"

# What `predict` is asked for where its default is not what a table wants.
_OPTIONS: dict[str, dict[str, Any]] = {
    "multilabel": {"return_labels": True},
    "token-classification": {"merge_tokens": True, "return_proba": True},
}


def score(
    predictor: Predictor,
    examples: Sequence[Any],
    *,
    coverage: float | None = None,
    batch_size: int | None = None,
    verbose: int = 0,
    skip: bool = False,
    **options: Any,
) -> list[tuple[Any, Any]]:
    """Predicts examples, with how sure each prediction is; the model runs once.

    Args:
        predictor: The predictor.
        examples: What its `predict` takes. None, or a text of nothing but spaces, gets no
            prediction.
        coverage: As `Predictor.predict` takes it; so are the others.
        batch_size: Texts a batch. Default: the predictor's.
        verbose: 1 shows a progress bar for many texts.
        skip: Give no prediction to examples that cannot be read, such as damaged pictures, and
            warn of them, in place of an error.
        **options: More that the task's `predict` takes.

    Returns:
        (prediction, probability) of each. The probability is that of the label or of the answer;
        a dict for each label of several; None of numbers, of what carries its own, and of a task
        that does not predict one of its classes.

    Raises:
        ArgumentError: If the task does not take an option, or `coverage` comes with others.

    Example:
        >>> score(predictor, ["Fine!", ""])
        [('positive', 0.98), (None, None)]
    """
    others = [name for name, value in options.items() if value]
    if coverage is not None and others:
        raise ArgumentError(f"predict: coverage goes without {listing(others)}.")
    there = [i for i, example in enumerate(examples) if not _blank(example)]
    found: list[tuple[Any, Any]] = [(None, None)] * len(examples)
    if not there:
        return found
    some = [examples[i] for i in there]
    task = predictor.preproc.task
    outputs = predictor.logits
    if (asking := task.asking(options)) is not task:
        outputs = functools.partial(predictor.fresh_logits, task=asking)
    try:
        logits = outputs(some, batch_size, verbose)
    except DataError:
        problems = predictor.preproc.input.problems(some) if skip else []
        if not any(problems):
            raise
        there = [i for i, problem in zip(there, problems, strict=True) if problem is None]
        _warn(problems, predictor.preproc.input)
        some = [examples[i] for i in there]
        logits = outputs(some, batch_size, verbose)
    if not some:
        return found
    if coverage is not None:
        predictions = task.sets(logits, coverage)
    else:
        asked = {**_OPTIONS.get(task.name, {}), **options}
        predictions = task.predict(some, lambda *_, **_task: logits, **asked)
    chances: Any = [None] * len(some)
    with contextlib.suppress(ArgumentError, DataError):  # the task has no probabilities
        chances = task.probabilities(logits)
    for i, prediction, chance in zip(there, predictions, chances, strict=True):
        found[i] = (_plain(prediction), _certainty(chance, task))
    return found


def _warn(problems: Sequence[str | None], input: Input) -> None:
    told = [problem for problem in problems if problem is not None]
    logger.warning(
        "%s cannot be read, without a prediction: %s.",
        plural(len(told), input.noun),
        listing(dict.fromkeys(told)),
    )


def _blank(example: Any) -> bool:
    parts = example if isinstance(example, tuple) else (example,)
    return any(part is None or (isinstance(part, str) and not part.strip()) for part in parts)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def _certainty(chance: Any, task: Task) -> Any:
    size = np.ndim(chance)
    if chance is None or size > 1:
        return None
    if size == 0:
        return float(chance)
    if isinstance(task, MultiLabel):
        return dict(zip(map(str, task.classes), chance.tolist(), strict=True))
    return float(chance.max()) if task.predicts_classes else None


def column_types(task: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """Returns `"string"` or `"double"` for both columns.

    Predictions are numbers where the task has one of them, and no more is asked for; all that is
    neither a number nor a label is JSON.

    Args:
        task: Its name and what makes it again, as a predictor's folder has it.
        options: As `score` takes them.
    """
    name = task["name"]
    plain = options.get("coverage") is None and not options.get("return_proba")
    number = name == "sentence-similarity" or (name == "regression" and not task.get("names"))
    return {
        PREDICTION: "double" if number and plain else "string",
        PROBABILITY: "string" if name == "multilabel" else "double",
    }


class Columns:
    """Which columns of a table the examples are made of.

    Args:
        given: Their names. Default: the only one, or that of the kind, such as `"text"`.
        input: What the examples are.
    """

    def __init__(self, given: Sequence[str] = (), input: Input | type[Input] = Texts) -> None:
        self.names = list(given)
        self.input = input
        self.found = False

    def examples(self, rows: Sequence[Row], source: str, base: Path | None = None) -> list[Any]:
        """Returns an example a row: a text or another item, or a tuple of several.

        A row of JSON may lack the column: it has no text then.

        Args:
            rows: The rows.
            source: What to call them in messages.
            base: The folder that paths are relative to; None: the current one.

        Raises:
            DataError: If none of the first rows has such a column, or a column that is to be
                written is there already.
        """
        known = columns_of(rows)
        for name in (PREDICTION, PROBABILITY):
            if name in known:
                raise DataError(
                    f"{source}: there is a column {name!r} already, as in what was scored before, "
                    "and it would be overwritten. Rename it, or remove it."
                )
        if not self.found:
            self._find(known, source)
        columns = [
            self.input.of_cells([row.get(name) for row in rows], base) for name in self.names
        ]
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))

    def _find(self, known: Sequence[str], source: str) -> None:
        if not self.names:
            noun = self.input.kind
            if len(known) != 1 and noun not in known:
                raise ArgumentError(
                    f"{source}: which column holds the {noun}s? Its columns are {listing(known)}."
                )
            self.names = [noun if noun in known else known[0]]
        for name in self.names:
            if name not in known:
                raise DataError(
                    f"{source}: there is no column {name!r}; columns are {listing(known)}."
                    f"{did_you_mean(name, known)}"
                )
        self.found = True


def scored_blocks(
    predictor: Predictor,
    table: Table,
    columns: Columns,
    *,
    block: int = BLOCK,
    **options: Any,
) -> Iterator[list[Row]]:
    """Yields the rows of a table in their order, with `prediction` and `probability`.

    Args:
        predictor: The predictor.
        table: Where the rows come from.
        columns: Which of them hold the texts.
        block: Rows to hold at a time.
        **options: As `score` takes them.
    """
    for rows in table.blocks(block):
        examples = columns.examples(rows, table.name, table.base)
        yield with_scores(rows, score(predictor, examples, skip=True, **options))


def with_scores(rows: Sequence[Row], scores: Sequence[tuple[Any, Any]]) -> list[Row]:
    """Returns the rows with their predictions in two columns more."""
    return [
        {**row, PREDICTION: prediction, PROBABILITY: probability}
        for row, (prediction, probability) in zip(rows, scores, strict=True)
    ]


def writing(
    predictor: Predictor, table: Table | ItemFiles, format: str, options: Mapping[str, Any]
) -> Callable[[BinaryIO], Writer]:
    """Returns what makes writers of a table's rows with their predictions, in a format."""
    schema = None
    if isinstance(table, Table) and table.format == format == "parquet":
        schema = parquet_file(table.file).schema_arrow
    task = predictor.preproc.task
    types = column_types({"name": task.name, **task.get_config()}, options)
    return functools.partial(make_writer, format=format, types=types, sep=table.sep, schema=schema)


def score_file(
    predictor: Predictor,
    table: Table,
    out: BinaryIO,
    format: str,
    columns: Columns,
    *,
    block: int = BLOCK,
    bar: Any = None,
    **options: Any,
) -> int:
    """Writes a table with its predictions; returns the number of rows.

    Args:
        predictor: The predictor.
        table: Where the rows come from.
        out: Opened to write bytes.
        format: To write.
        columns: Which columns hold the texts.
        block: Rows to hold at a time.
        bar: Told of each block.
        **options: As `score` takes them.

    Raises:
        DataError: If there are no rows, or one cannot be read or written.
    """
    count = 0
    with contextlib.closing(writing(predictor, table, format, options)(out)) as writer:
        for rows in scored_blocks(predictor, table, columns, block=block, **options):
            writer.write(rows)
            count += len(rows)
            if bar is not None:
                bar.update(len(rows))
    if not count:
        raise DataError(f"{table.name}: there are no rows in it.")
    return count
