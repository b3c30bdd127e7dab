"""From data to what `keras.Model.fit` takes, without `tf.data`'s stall."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ktlite.encodings.field import Field
from ktlite.encodings.indexed import IndexedData
from ktlite.encodings.plan import plan_batches
from ktlite.errors import ArgumentError, DataError
from ktlite.training.distribution import shares
from ktlite.training.stream import Stream, without_autotune
from ktlite.training.weighing import evened as _evened
from ktlite.training.weighing import weighed

Seed = tuple[int, ...]
# For batches that are to be the same whenever they are made.
FIXED: Seed = (0,)


class ArrayData(IndexedData):
    """Arrays in memory: inputs (one array, or a list, tuple or dict of them) and targets.

    Raises:
        DataError: If the arrays are of different length, or empty.
    """

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        # As a tuple, since tf.data takes a list for one array.
        self.x = keras.tree.map_structure(np.asarray, tuple(x) if isinstance(x, list) else x)
        self.targets = None if y is None else np.asarray(y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        columns = [*keras.tree.flatten(self.x), self.targets, self.sample_weight]
        columns = [column for column in columns if column is not None]
        if any(column.ndim == 0 for column in columns):
            raise DataError(
                "arrays must be [rows, ...]; got single values. Of raw texts, pass what "
                "preprocess_test(texts, labels) returns."
            )
        sizes = {len(column) for column in columns}
        if len(sizes) != 1 or 0 in sizes:
            raise DataError(f"arrays must be of one length, and not empty; got {sorted(sizes)}.")
        self._size = sizes.pop()

    def __len__(self) -> int:
        return self._size

    @property
    def fields(self) -> None:
        """None: all batches are of one shape."""

    @property
    def lengths(self) -> np.ndarray:
        return np.zeros(self._size, "int64")

    def inputs(self, rows: np.ndarray) -> Any:
        return keras.tree.map_structure(lambda a: a[rows], self.x)

    def examples(self, rows: np.ndarray, seed: Sequence[int]) -> tuple[Any, Any]:
        return self.inputs(rows), None if self.targets is None else self.targets[rows]


class Feed:
    """Batches of indexed data, as a function of (seed, epoch, step) alone.

    Every epoch visits every row once, in an order that the seed and the epoch's
    number determine, so that any step of any run can be made again.

    Args:
        data: The data.
        batch_size: Rows a batch; one batch of an epoch may have fewer.
        seed: Of the shuffling.
        batch_tokens: Tokens a batch, at most, padding counted; long rows go in smaller batches.

    Attributes:
        steps: Batches of an epoch.
        widths: Padded lengths of the training batches so far.

    Raises:
        ArgumentError: If a row is longer than `batch_tokens`.
    """

    def __init__(
        self, data: IndexedData, batch_size: int, seed: int, batch_tokens: int | None = None
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.batch_tokens = batch_tokens
        self.steps = len(self.plan(0))
        self.widths: set[int] = set()

    def plan(self, epoch: int | None) -> list[np.ndarray]:
        """Returns the rows of each batch of an epoch; None: unshuffled, from long to short."""
        seed = None if epoch is None else (self.seed, epoch)
        tokens = self.batch_tokens
        if tokens is not None:
            if not self._ragged:
                raise ArgumentError(
                    f"batch_tokens={tokens}: rows of this data are all of one size, so there are "
                    "no tokens to count; leave it out, and choose batch_size."
                )
            sides = next(iter(self._ragged.values())).shape
            tokens //= math.prod(sides[: sides.index(None)])  # type: ignore[arg-type]  # texts a row
        return plan_batches(self.data.lengths, self.batch_size, max_tokens=tokens, seed=seed)

    @property
    def labelled(self) -> bool:
        """Whether the rows have targets."""
        return self.data.examples(np.zeros(1, "int64"), FIXED)[1] is not None

    def example(self) -> Any:
        """Returns the inputs of one row, as a batch."""
        return self.data.examples(np.zeros(1, "int64"), FIXED)[0]

    def training(
        self,
        first_epoch: int,
        steps: int,
        class_weight: dict[int, float] | None = None,
        strategy: Any = None,
        start: int = 0,
        group: int = 1,
    ) -> Any:
        """Returns an endless shuffled data set.

        Args:
            first_epoch: Number of the epoch to start with.
            steps: Batches that are taken as an epoch; fewer than `self.steps` cut it short.
            class_weight: Weight of each target class; multiplies the rows' weights.
            strategy: Of the devices that share each batch. A batch that they cannot share
                evenly is filled up with rows of its own that weigh nothing. (Metrics count
                these.)
            start: Batches of the first epoch to leave out, from its begin.
            group: Batches to a step of the optimizer. Where a loss is a mean over targets that
                count, rows are weighed so that the mean of the batches' losses over their rows is
                the loss of one batch of them all.

        Returns:
            A `tf.data.Dataset`, or with a `strategy` a `tf.distribute.DistributedDataset`.
        """
        weights = self._weights(class_weight)
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        weighs = group > 1 and self._counted
        if (replicas > 1 or weighs) and weights is None:
            weights = np.ones(len(self.data), "float32")

        # Of this data set alone: the thread of one that ended may still be fetching ahead.
        @functools.lru_cache(maxsize=1)
        def plan(epoch: int) -> list[np.ndarray]:
            return self.plan(epoch)

        def batch(epoch: int, position: int) -> list[np.ndarray]:
            rows = plan(epoch)[position]
            filled = np.resize(rows, len(rows) + -len(rows) % replicas)
            drawn = self.data.training_examples(filled, (self.seed, epoch, position))
            columns = self._columns(drawn, filled, weights)
            self.widths |= self._width(columns)
            if replicas == 1:
                return columns
            return self._evened(columns, len(rows), shares(len(filled), replicas))

        @functools.lru_cache(maxsize=1)
        def batches(epoch: int, first: int) -> list[list[np.ndarray]]:
            positions = range(first, min(first + group, steps))
            rows = [len(plan(epoch)[position]) for position in positions]
            return weighed([batch(epoch, position) for position in positions], rows, self._outputs)

        def fetch(step: int) -> list[np.ndarray]:
            epoch, position = divmod(start + step, steps)
            epoch += first_epoch
            if not weighs:
                return batch(epoch, position)
            return batches(epoch, position - position % group)[position % group]

        return self._dataset(fetch, weights, strategy)

    def validation(self, strategy: Any = None) -> Any:
        """Returns an endless data set that repeats the rows by length, unshuffled.

        Args:
            strategy: Of the devices that share each batch, as for `training`.
        """
        plan, parts = self.plan(None), self._validation_parts(strategy)
        weights = self._weights(None)
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        if replicas > 1 and weights is None and self._counted:
            weights = np.ones(len(self.data), "float32")

        def fetch(step: int) -> list[np.ndarray]:
            position, first, end = parts[step % len(parts)]
            columns = self._batch(plan[position], weights, (*FIXED, position))
            if replicas > 1 and weights is not None:
                of_devices = [
                    slice(first + part.start, first + part.stop)
                    for part in shares(end - first, replicas)
                ]
                columns = self._evened(columns, len(plan[position]), of_devices)
            return [column[first:end] for column in columns]

        return self._dataset(fetch, weights, strategy)

    def validation_steps(self, strategy: Any = None) -> int:
        """Returns the batches of one pass through `validation`."""
        return len(self._validation_parts(strategy))

    def _validation_parts(self, strategy: Any) -> list[tuple[int, int, int]]:
        """Returns (number, first row, end) of what is taken of each batch of `plan(None)`."""
        sizes = [len(rows) for rows in self.plan(None)]
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        # Keras cannot begin with a batch that is shared unevenly. Rows that are left over
        # when all devices have got as many make a batch of their own.
        last, size = len(sizes) - 1, sizes.pop()
        whole = size - size % replicas
        parts = [(number, 0, size) for number, size in enumerate(sizes)]
        cuts = [(last, 0, whole), (last, whole, size)]
        return parts + [cut for cut in cuts if cut[1] < cut[2]]

    def _weights(self, class_weight: dict[int, float] | None) -> np.ndarray | None:
        weights = self.data.sample_weight
        if class_weight is None:
            return weights
        rows, example_of = class_numbers(self.data.targets), self.data.example_of
        if example_of is not None:
            rows = rows[example_of]
        by_class = np.array([class_weight[i] for i in sorted(class_weight)], "float32")
        return by_class[rows] if weights is None else by_class[rows] * weights

    def _batch(self, rows: np.ndarray, weights: np.ndarray | None, seed: Seed) -> list[np.ndarray]:
        return self._columns(self.data.examples(rows, seed), rows, weights)

    def _columns(
        self, example: tuple[Any, Any], rows: np.ndarray, weights: np.ndarray | None
    ) -> list[np.ndarray]:
        """Returns inputs, targets and the weights of each of these, as a list of arrays."""
        inputs, targets = example
        columns = [*keras.tree.flatten(inputs), *keras.tree.flatten(targets)]
        if weights is not None:
            # Of as many axes as what they weigh, or Keras would not know which one is theirs.
            own = weights[rows].astype("float32")
            axes = [target.ndim - own.ndim for target in columns[-self._outputs :]]
            columns += [own.reshape(*own.shape, *[1] * count) for count in axes]
        return columns

    def _evened(self, columns: list[np.ndarray], rows: int, parts: list[slice]) -> list[np.ndarray]:
        """Returns a batch with weights for the devices that share it, as `_evened` says."""
        first = len(columns) - self._outputs
        targets, weights = columns[first - self._outputs : first], columns[first:]
        return columns[:first] + [
            _evened(target, weight, rows, parts, self._counted)
            for target, weight in zip(targets, weights, strict=True)
        ]

    @functools.cached_property
    def _outputs(self) -> int:
        """The number of arrays of targets, each of which has weights."""
        return len(keras.tree.flatten(self.data.examples(np.zeros(1, "int64"), FIXED)[1]))

    @functools.cached_property
    def _ragged(self) -> dict[int, Field]:
        """The inputs that differ in size from batch to batch, by their places in a batch."""
        fields = {field.name: field for field in self.data.fields or ()}
        names = sorted(self.example()) if fields else ()  # as keras.tree.flatten has them
        # One that the fields do not name is made with each batch.
        found = {i: fields.get(n, Field(n, "", (None,))) for i, n in enumerate(names)}
        return {i: field for i, field in found.items() if field.is_ragged}

    def _width(self, columns: list[np.ndarray]) -> set[int]:
        """Returns the padded length of a batch, in a set; an empty one where there is none."""
        for place, field in self._ragged.items():
            return {columns[place].shape[1 + field.shape.index(None)]}
        return set()

    @property
    def _counted(self) -> bool:
        """Whether the loss is a mean over targets that count, not over rows."""
        task = self.data.task
        return task is not None and bool(task.counts_targets)

    def _dataset(self, fetch: Any, weights: np.ndarray | None, strategy: Any) -> Any:
        """Returns the batches that `fetch` gives for 0, 1, 2, ... as a data set."""
        if strategy is None:
            return self._pipeline(fetch, weights)
        replicas = strategy.num_replicas_in_sync

        # The replicas of a worker take the elements of its pipeline in turn, each its share.
        def of_worker(context: Any) -> Any:
            own = replicas // context.num_input_pipelines
            first = own * context.input_pipeline_id
            batch = functools.lru_cache(maxsize=1)(fetch)

            def share(step: int) -> list[np.ndarray]:
                number, replica = divmod(step, own)
                columns = batch(number)
                part = shares(len(columns[0]), replicas)[first + replica]
                return [column[part] for column in columns]

            return self._pipeline(share, weights)

        return strategy.distribute_datasets_from_function(of_worker)

    def _pipeline(self, fetch: Any, weights: np.ndarray | None) -> Any:
        import tensorflow as tf

        first = np.zeros(1, "int64")
        example = self.data.examples(first, FIXED)  # (inputs, targets), whatever their structure
        columns = self._batch(first, weights, FIXED)
        inputs, count = (len(keras.tree.flatten(part)) for part in (example[0], example))
        # Token matrices differ in length from batch to batch, and so do targets that are made
        # of them; one trace must take them all.
        # Targets that are objects have a number a word, and `examples` pads them.
        made = self.data.targets is None or self.data.targets.dtype == object
        free = count if made and self._ragged else inputs
        shapes = [
            (None, *self._ragged[i].shape)
            if i in self._ragged
            else _free_shape(column)
            if inputs <= i < free and column.ndim > 1
            else (None, *column.shape[1:])
            for i, column in enumerate(columns)
        ]

        @tf.autograph.experimental.do_not_convert  # a look at its source takes seconds
        def load(step: Any) -> tuple[Any, ...]:
            loaded = tf.numpy_function(
                lambda i: fetch(int(i)), [step], [tf.as_dtype(c.dtype) for c in columns]
            )
            for column, shape in zip(loaded, shapes, strict=True):
                column.set_shape(shape)
            packed = keras.tree.pack_sequence_as(example, list(loaded[:count]))
            if weights is None:
                return tuple(packed)
            return (*packed, keras.tree.pack_sequence_as(example[1], list(loaded[count:])))

        dataset = tf.data.Dataset.counter().map(load).prefetch(2)
        return without_autotune(dataset)


def _free_shape(column: np.ndarray) -> tuple[int | None, ...]:
    """Returns the shape of targets of any length: of ids, [..., length], or of vectors of them."""
    if column.dtype.kind == "f":
        return (*[None] * (column.ndim - 1), column.shape[-1])
    return (None, *column.shape[1:-1], None)


def class_numbers(targets: Any) -> np.ndarray:
    """Returns the class number of each row, int32 [rows].

    Args:
        targets: Class numbers of any type, [rows] or [rows, 1]; or one-hot [rows, classes].
    """
    targets = np.asarray(targets)
    one_hot = targets.ndim == 2 and targets.shape[1] > 1
    return (targets.argmax(axis=-1) if one_hot else targets.reshape(-1)).astype("int32")


def as_feed(
    data: Any, batch_size: int, seed: int, what: str, batch_tokens: int | None = None
) -> Feed | Stream | None:
    """Wraps whatever a user passes as training or validation data.

    Args:
        data: A `Dataset`, `(x, y)` or `(x, y, sample_weight)` arrays, a batched
            `tf.data.Dataset`, a `PyDataset`, or None.
        batch_size: Rows a batch; not for data that comes in batches.
        seed: Of the shuffling.
        what: The argument's name, for messages.
        batch_tokens: Tokens a batch, at most; for a `Dataset`.

    Raises:
        ArgumentError: If the data is of another kind, or has no tokens to count.
    """
    if data is None:
        return None
    if isinstance(data, IndexedData):
        return Feed(data, batch_size, seed, batch_tokens)
    if batch_tokens is not None:
        raise ArgumentError(
            f"batch_tokens={batch_tokens}: {what} is of type {type(data).__name__}, which has no "
            "tokens to count; expected what preprocess_train or texts_from_* return."
        )
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        return Feed(ArrayData(*data), batch_size, seed)
    if hasattr(data, "element_spec") or isinstance(data, keras.utils.PyDataset):
        return Stream(data)
    known: Sequence[str] = (
        "what preprocess_train or texts_from_* return",
        "a tuple (x, y) of arrays",
        "a batched tf.data.Dataset",
        "a keras.utils.PyDataset",
    )
    raise ArgumentError(f"{what} is of type {type(data).__name__}; expected {', or '.join(known)}.")
