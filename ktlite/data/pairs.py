"""Whether an example is one text or two: the training data says so, and no tuple is ambiguous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktlite.errors import DataError, listing
from ktlite.tasks.task import is_pair


def check_pairs(texts: Sequence[Any], pairs: bool) -> None:
    """Raises unless all examples are of the kind that the model was trained on.

    Args:
        texts: Strings, or tuples of two strings; what is neither is for others to refuse.
        pairs: Whether it was trained on pairs.

    Raises:
        DataError: At the first that is of the other kind.
    """
    for number, text in enumerate(texts):
        if pairs and isinstance(text, str):
            raise DataError(
                f"text {number} is one text, {text!r:.40}; this model was trained on pairs of "
                "texts. A pair is a tuple of two strings, (first, second), and several are a list "
                "of such tuples."
            )
        if not pairs and is_pair(text):
            raise DataError(
                f"text {number} is a pair of texts, {text!r:.60}; this model was trained on single "
                "texts. Give a string for each text; a model of pairs is trained on tuples of two "
                "strings, or on two text columns."
            )


def check_no_table(examples: Any, column: Any = None, noun: str = "text") -> None:
    """Raises for a table, which may have more than texts in it: its columns have to be named.

    Args:
        examples: What a caller of `predict` gives.
        column: What the column of the texts was called in the training data, or the columns.
        noun: What an example is called.

    Raises:
        DataError: If it is a data frame or a `datasets.Dataset`; it says how to give its texts.
    """
    columns = getattr(examples, "column_names", getattr(examples, "columns", None))
    if columns is None or isinstance(columns, str) or not hasattr(columns, "__iter__"):
        return
    names = [str(name) for name in columns]
    wanted = [column] if isinstance(column, str) else list(column or ())
    known = [name for name in wanted if name in names] or names[:1]
    texts = [f"data[{name!r}]" for name in known]
    hint = texts[0] if len(texts) == 1 else f"list(zip({', '.join(texts)}))"
    raise DataError(
        f"predict takes {noun}s, not a table; got {type(examples).__name__} with the columns "
        f"{listing(names)}. Give that of the {noun}s, such as {hint}."
    )


def one_or_many(texts: Any, pairs: bool | None) -> Any:
    """Returns what a caller of `predict` gives, so that it can be taken in one way only.

    Args:
        texts: A text, a pair, or many of them.
        pairs: Whether the model was trained on pairs; None: that is not known, and a tuple of two
            strings is a pair.
    """
    # Of single texts, a tuple of two is as much a sequence as one of three.
    if pairs is False:
        return list(texts) if isinstance(texts, tuple) else texts
    # Training takes rows of two, as JSON and arrays have pairs; of pairs these are no texts.
    if pairs and isinstance(texts, (list, np.ndarray)):
        return [_pair_of(row) for row in texts]
    return texts


def _pair_of(row: Any) -> Any:
    if not isinstance(row, (list, np.ndarray)):
        return row
    pair = tuple(np.asarray(row, object).tolist())
    return pair if is_pair(pair) else row


def as_pairs(examples: Sequence[Any]) -> list[Any]:
    """Returns pairs made of single texts, each with the next."""
    texts = list(examples)
    following = [*texts[1:], *texts[:1]]
    return [
        (one, other) if isinstance(one, str) and isinstance(other, str) else one
        for one, other in zip(texts, following, strict=True)
    ]
