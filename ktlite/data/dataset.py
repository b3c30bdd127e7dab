"""Encoded examples with their targets: what training and validation run on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite.encodings.encodings import Encodings, Seed
from ktlite.encodings.field import Field
from ktlite.encodings.indexed import IndexedData
from ktlite.errors import DataError, plural

if TYPE_CHECKING:
    from ktlite.data.preprocessor import Preprocessor
    from ktlite.tasks import Task


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(IndexedData):
    """Encoded examples. Made by `preprocess_train`, `preprocess_test` and the loaders.

    As ktrain's data, it unpacks: `x, y = train`, and `train[0]` is `x`. Of texts its name is also
    `ktlite.text.TextDataset`, and `items` are `texts`.

    Args:
        items: The examples as they were given; what the task's reader makes of them.
        encodings: What the model gets: one row an example, or several where it was cut into
            windows.
        targets: What is true of each example, in the task's form; None without labels.
        preproc: The preprocessor that made it.
        rows: int64 [examples], the row numbers in the source.
        weights: float32 [examples], how much each counts in the loss; None: all the same.
        task: What the targets mean; None: as `preproc` has it.
        augmentation: Changes examples at random in training batches, and there alone; what
            `Encodings.augmented` takes. None: nothing does.
    """

    # Without defaults, though the base class has some.
    items: Sequence[Any] = field()
    encodings: Encodings = field()
    targets: np.ndarray | None = field()
    preproc: Preprocessor = field()
    rows: np.ndarray = field()
    weights: np.ndarray | None = None
    task: Task | None = None
    augmentation: Any = None

    def __len__(self) -> int:
        return len(self.encodings)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.x, self.y))

    def __getitem__(self, part: int) -> Any:
        return (self.x, self.y)[part]

    def __repr__(self) -> str:
        lengths = self.lengths
        parts = [plural(len(self.items), self.preproc.input.noun)]
        if self.example_of is not None:
            parts.append(f"in {plural(len(self), 'window')}")
        if lengths.any():
            parts.append(f"{lengths.min()} to {lengths.max()} {self.preproc.input.unit}s")
        parts.append("no labels" if self.targets is None else repr(self.preproc.task))
        return f"{type(self).__name__}: {', '.join(parts)}"

    @property
    def texts(self) -> Sequence[Any]:
        """The examples, under the name of texts."""
        return self.items

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the inputs of a batch are."""
        return self.encodings.fields

    @property
    def lengths(self) -> np.ndarray:
        """int64 [rows]: the length of each row, such as its tokens; 0 where all are alike."""
        return self.encodings.lengths

    @property
    def sample_weight(self) -> np.ndarray | None:  # type: ignore[override]
        """float32 [rows]: how much each row counts in the loss; None: all the same."""
        if self.weights is None or self.example_of is None:
            return self.weights
        return self.weights[self.example_of]

    @property
    def x(self) -> Inputs:
        """What the model gets of each example; with `y`, what `get_learner` takes as (x, y)."""
        return Inputs(self, np.arange(len(self.items)))

    @property
    def y(self) -> np.ndarray | None:
        """The targets, under ktrain's name."""
        return self.targets

    def inputs(self, rows: np.ndarray) -> dict[str, Any]:
        """Returns the model's inputs for some rows, padded to a common length."""
        return self.encodings.batch(rows)

    def examples(self, rows: np.ndarray, seed: Seed) -> tuple[dict[str, Any], Any]:
        """Returns (inputs, targets) for some rows; what the task draws, it draws by the seed."""
        return self._batch(self.encodings, rows, seed)

    def training_examples(self, rows: np.ndarray, seed: Seed) -> tuple[dict[str, Any], Any]:
        """Returns what `examples` does, augmented."""
        encodings = self._augmented
        drawn = encodings.drawn(rows, seed)
        if drawn is None:
            return self._batch(encodings, rows, seed)
        return self._known_of(drawn.examples)._batch(drawn.encodings, drawn.rows, seed)

    def _known_of(self, examples: np.ndarray) -> Dataset:
        """Returns the same data with what is known of some examples alone, to batch others with."""
        return replace(self, targets=None if self.targets is None else self.targets[examples])

    def _batch(
        self, encodings: Encodings, rows: np.ndarray, seed: Seed
    ) -> tuple[dict[str, Any], Any]:
        if self.task is None and self.targets is None:
            return encodings.batch(rows, seed), None
        return self.preproc.task.batch(encodings, self.targets, rows, seed)

    def _again(self, examples: np.ndarray, changes: Sequence[Any]) -> Encodings:
        """Encodes examples by their numbers, each changed by what stands beside it, or as it is."""
        task, items = self.preproc.task, [self.items[number] for number in examples]
        pairs = zip(items, changes, strict=True)
        return self.preproc.encode(
            [item if change is None else task.varied(item, change) for item, change in pairs]
        )

    def augmented(self, augment: Any) -> Dataset:
        """Returns the same data, changed at random in training batches.

        Args:
            augment: How; what `get_learner` takes.

        Raises:
            ArgumentError: If it is not known, or does not go with the data or the task.
        """
        augmentation = self.preproc.input.augmentation(augment, self.preproc.task)
        found = replace(self, augmentation=augmentation)
        _ = found._augmented  # says what is wrong with it
        return found

    def prepared(self, model: Any) -> Dataset:
        """Returns the same data with what augmentation works out once of all examples.

        Args:
            model: What is to train.
        """
        if self.augmentation is None:
            return self
        made = self.preproc.input.prepared_augmentation(self.augmentation, self.items, model)
        return replace(self, augmentation=made)

    @property
    def _augmented(self) -> Encodings:
        if self.augmentation is None:
            return self.encodings
        return self.encodings.augmented(self.augmentation, self._again)

    def content(self, rows: np.ndarray) -> Any:
        """Returns arrays that tell some rows from others, for hashes."""
        inputs = self._augmented.content(rows)
        if self.targets is None:
            return inputs, None
        return inputs, self.preproc.task.align(self.targets, self.encodings, rows)


class Inputs(Sequence[np.ndarray]):
    """The x of a `Dataset`: what the model gets of each example, in its first input.

    Of texts, `x[i]` are the token ids, int32 [tokens], special tokens included; of a text that is
    read in windows, or a row of several texts, int32 [windows or texts, tokens], padded. Of images,
    the pixels. `x[:100]` and `x[numbers]` are some of the examples, to train on with the same part
    of `y`. `numpy.asarray(x)` is [examples, ...], of texts int32 [texts, longest], padded.

    Args:
        dataset: The data set.
        numbers: int64 [examples], which of its examples.
    """

    def __init__(self, dataset: Dataset, numbers: np.ndarray) -> None:
        self._dataset = dataset
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        shown = self._dataset.preproc.input
        parts = f"{shown.unit}s" if shown.unit else self._field.name
        return f"{type(self).__name__}: the {parts} of {plural(len(self), shown.noun)}"

    @property
    def _field(self) -> Field:
        return self._dataset.encodings.fields[0]

    def __getitem__(self, index: Any) -> Any:
        chosen = self._numbers[index]
        if np.ndim(chosen):
            return Inputs(self._dataset, chosen)
        encodings = self._dataset.encodings
        rows = np.array([chosen])
        if encodings.example_of is not None:
            rows = np.flatnonzero(encodings.example_of == chosen)
        array = encodings.batch(rows)[self._field.name]
        if len(rows) == 1 and self._field.shape[:1] == (None,):
            return array[0, : encodings.lengths[chosen]]
        if len(rows) == 1 and not self._field.is_ragged:
            return array[0]
        return array.reshape(-1, array.shape[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """As `numpy.asarray` makes it."""
        return np.asarray(self).shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        encodings, dtype = self._dataset.encodings, dtype or self._field.dtype
        if encodings.example_of is None and len(self):
            array = encodings.batch(self._numbers)[self._field.name].astype(dtype)
            cut = self._field.shape[:1] == (None,)
            return array[:, : encodings.lengths[self._numbers].max()] if cut else array
        items = list(self)
        sides = [max(side) for side in zip(*(ids.shape for ids in items), strict=True)]
        array = np.full((len(items), *sides), self._field.fill, dtype)
        for number, ids in enumerate(items):
            array[number][tuple(map(slice, ids.shape))] = ids
        return array

    def with_targets(self, y: Any = None, sample_weight: Any = None) -> Dataset:
        """Returns the data set of these examples: the one they are of, where nothing differs.

        Args:
            y: Their targets, as the data set has them; those of classes one-hot, too. Default:
                none.
            sample_weight: How much each counts in the loss. Default: as the data set says.

        Raises:
            DataError: If these are not as many as the examples.
        """
        whole, numbers = self._dataset, self._numbers
        is_whole = np.array_equal(numbers, np.arange(len(whole.items)))
        if is_whole and y is whole.targets and sample_weight is None:
            return whole
        for name, values in (("y", y), ("sample_weight", sample_weight)):
            if values is not None and len(values) != len(self):
                count = plural(len(self), whole.preproc.input.noun)
                raise DataError(f"(x, y): x has {count}, but {name} has {len(values):,}.")
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
        return Dataset(
            [whole.items[number] for number in numbers],
            whole.encodings.take(numbers),
            targets,
            whole.preproc,
            whole.rows[numbers],
            weights,
            whole.task,
            whole.augmentation,
        )


def joined(data: Any) -> Any:
    """Returns the data set that x, (x, y) or (x, y, sample_weight) is of; else `data`.

    Example:
        >>> x, y = train
        >>> joined((x, y)) is train
        True
    """
    if isinstance(data, Inputs):
        return data.with_targets()
    if isinstance(data, (tuple, list)) and len(data) in (2, 3) and isinstance(data[0], Inputs):
        return data[0].with_targets(*data[1:])
    return data
