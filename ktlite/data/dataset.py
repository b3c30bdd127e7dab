"""Tokenised texts with their targets: what training and validation run on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite.encodings.tokens import Encodings
from ktlite.errors import DataError, plural

if TYPE_CHECKING:
    from ktlite.data.preprocessor import Preprocessor
    from ktlite.tasks import Task


@dataclass(frozen=True, eq=False, repr=False)
class TextDataset:
    """Tokenised texts. Made by `preprocess_train`, `preprocess_test` and the loaders.

    As ktrain's data, it unpacks: `x, y = train`, and `train[0]` is `x`.

    Args:
        texts: The texts as they were given; what the task's reader makes of them.
        encodings: Their tokens: one row a text, or several where it was cut into windows.
        targets: What is true of each text, in the task's form; None without labels.
        preproc: The preprocessor that made it.
        rows: int64 [texts], the row numbers in the source.
        weights: float32 [texts], how much each counts in the loss; None: all the same.
        task: What the targets mean; None: as `preproc` has it.
    """

    texts: Sequence[Any]
    encodings: Encodings
    targets: np.ndarray | None
    preproc: Preprocessor
    rows: np.ndarray
    weights: np.ndarray | None = None
    task: Task | None = None

    def __len__(self) -> int:
        return len(self.encodings)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.x, self.y))

    def __getitem__(self, part: int) -> Any:
        return (self.x, self.y)[part]

    def __repr__(self) -> str:
        lengths = self.lengths
        parts = [f"{plural(len(self.texts), 'text')}"]
        if self.text_of is not None:
            parts.append(f"in {plural(len(self), 'window')}")
        parts.append(f"{lengths.min()} to {lengths.max()} tokens" if len(lengths) else "no tokens")
        parts.append("no labels" if self.targets is None else repr(self.preproc.task))
        return f"{type(self).__name__}: {', '.join(parts)}"

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: tokens of each row."""
        return self.encodings.lengths

    @property
    def text_of(self) -> np.ndarray | None:
        """int64 [rows], the text that each row is of; None where row `i` is text `i`."""
        return self.encodings.text_of

    @property
    def sample_weight(self) -> np.ndarray | None:
        """float32 [rows]: how much each row counts in the loss; None: all the same."""
        if self.weights is None or self.text_of is None:
            return self.weights
        return self.weights[self.text_of]

    @property
    def x(self) -> TextInputs:
        """The tokens of each text; with `y`, what `get_learner` takes as (x, y)."""
        return TextInputs(self, np.arange(len(self.texts)))

    @property
    def y(self) -> np.ndarray | None:
        """The targets, under ktrain's name."""
        return self.targets

    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """Returns the model's inputs for some rows, padded to a common length."""
        return self.encodings.pad(rows)

    def examples(self, rows: np.ndarray, seed: tuple[int, ...]) -> tuple[dict[str, Any], Any]:
        """Returns (inputs, targets) for some rows; there is nothing to draw by the seed."""
        if self.targets is None:
            return self.inputs(rows), None
        return self.inputs(rows), self.preproc.task.align(self.targets, self.encodings, rows)


class TextInputs(Sequence[np.ndarray]):
    """The x of a `TextDataset`: the token ids of each text, as the model gets them.

    `x[i]` is int32 [tokens], special tokens included; of a text that is read in windows, or a row
    of several texts, int32 [windows or texts, tokens], padded. `x[:100]` and `x[numbers]` are some
    of the texts, to train on with the same part of `y`. `numpy.asarray(x)` is int32
    [texts, longest], padded.

    Args:
        dataset: The data set.
        numbers: int64 [texts], which of its texts.
    """

    def __init__(self, dataset: TextDataset, numbers: np.ndarray) -> None:
        self._dataset = dataset
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}: the tokens of {plural(len(self), 'text')}"

    def __getitem__(self, index: Any) -> Any:
        chosen = self._numbers[index]
        if np.ndim(chosen):
            return TextInputs(self._dataset, chosen)
        encodings = self._dataset.encodings
        rows = np.array([chosen])
        if encodings.text_of is not None:
            rows = np.flatnonzero(encodings.text_of == chosen)
        ids = encodings.pad(rows)["input_ids"]
        single = len(rows) == 1 and ids.ndim == 2
        return ids[0, : encodings.lengths[chosen]] if single else ids.reshape(-1, ids.shape[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """As `numpy.asarray` makes it."""
        return np.asarray(self).shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        encodings, dtype = self._dataset.encodings, dtype or "int32"
        if encodings.text_of is None and len(self):
            ids = encodings.pad(self._numbers)["input_ids"].astype(dtype)
            return ids[:, : encodings.lengths[self._numbers].max()] if ids.ndim == 2 else ids
        items = list(self)
        sides = [max(side) for side in zip(*(ids.shape for ids in items), strict=True)]
        array = np.full((len(items), *sides), encodings.pad_id, dtype)
        for number, ids in enumerate(items):
            array[number][tuple(map(slice, ids.shape))] = ids
        return array

    def with_targets(self, y: Any = None, sample_weight: Any = None) -> TextDataset:
        """Returns the data set of these texts: the one that they are of, where nothing differs.

        Args:
            y: Their targets, as the data set has them; those of classes one-hot, too. Default:
                none.
            sample_weight: How much each counts in the loss. Default: as the data set says.

        Raises:
            DataError: If these are not as many as the texts.
        """
        whole, numbers = self._dataset, self._numbers
        is_whole = np.array_equal(numbers, np.arange(len(whole.texts)))
        if is_whole and y is whole.targets and sample_weight is None:
            return whole
        for name, values in (("y", y), ("sample_weight", sample_weight)):
            if values is not None and len(values) != len(self):
                raise DataError(
                    f"(x, y): x has {plural(len(self), 'text')}, but {name} has {len(values):,}."
                )
        targets = None if y is None else np.asarray(y)
        if targets is not None and whole.targets is not None and whole.targets.ndim == 1:
            one_hot = targets.ndim == 2 and targets.shape[1] == whole.preproc.task.outputs > 1
            targets = targets.argmax(axis=1) if one_hot else targets
            targets = targets.astype(whole.targets.dtype)
        weights = whole.weights if sample_weight is None else np.asarray(sample_weight, "float32")
        if sample_weight is None and weights is not None:
            weights = weights[numbers]
        if is_whole:
            return replace(whole, targets=targets, weights=weights)
        return TextDataset(
            [whole.texts[number] for number in numbers],
            whole.encodings.take(numbers),
            targets,
            whole.preproc,
            whole.rows[numbers],
            weights,
            whole.task,
        )


def joined(data: Any) -> Any:
    """Returns the data set that x, (x, y) or (x, y, sample_weight) is of; else `data`.

    Example:
        >>> x, y = train
        >>> joined((x, y)) is train
        True
    """
    if isinstance(data, TextInputs):
        return data.with_targets()
    if isinstance(data, (tuple, list)) and len(data) in (2, 3) and isinstance(data[0], TextInputs):
        return data[0].with_targets(*data[1:])
    return data
