"""Runs a model forward over many inputs: sorted by length, compiled once, order restored."""

from __future__ import annotations

import abc
import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import Any

import numpy as np

from ktlite._process import check_process
from ktlite._progress import progress
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.plan import plan_batches
from ktlite.errors import ArgumentError
from ktlite.generation import Generation

# Texts of more tokens go in smaller batches, so that these take as much memory as others.
_USUAL = 128


class Runner(abc.ABC):
    """What runs a model forward: Keras does, or the runtime that the model was exported for.

    Attributes:
        model: The model; where there is no Keras model, the runner itself.
        devices: The number of devices; so many batches can run at a time.
    """

    model: Any
    devices: int = 1

    @property
    @abc.abstractmethod
    def precision(self) -> str:
        """What it computes in: `"float32"`, `"bfloat16"`, `"float16"` or `"int8"`."""

    @abc.abstractmethod
    def __call__(self, inputs: dict[str, np.ndarray]) -> Any:
        """Returns the model's outputs, an array or a dict of them, for a batch.

        Args:
            inputs: Arrays by the names of the model's inputs: of texts int32 [batch, length], or
                [batch, texts, length].
        """

    @abc.abstractmethod
    def embedder(self, pooling: str | None, normalize: bool | None) -> Runner:
        """Returns what makes vectors of texts with this model, for `Predictor.embed`.

        Its `model` has a `width`, and says whether it does `normalize`.

        Raises:
            ArgumentError: If the model cannot do that.
        """

    def generate(self, inputs: dict[str, np.ndarray], **options: Any) -> list[np.ndarray]:
        """Writes a text for each row of a batch.

        Args:
            inputs: What the model reads.
            **options: How to search, as `TransformerModel.write` takes it.

        Returns:
            For each row int32 [tokens], without those that texts start and end with.

        Raises:
            ArgumentError: If the model does not write.
        """
        raise self._writes_nothing()

    def stream(self, inputs: dict[str, np.ndarray], **options: Any) -> Iterator[int]:
        """Yields the tokens of one text as they are written, as `TransformerModel.stream` does.

        Args:
            inputs: What the model reads, of one row.
            **options: As for `generate`.

        Raises:
            ArgumentError: At once, if the model does not write, or not in this way.
        """
        raise self._writes_nothing()

    def generation(self, **options: Any) -> Generation:
        """Returns how `generate` searches with these options.

        Raises:
            ArgumentError: If the model does not write, or an option makes no sense.
        """
        raise self._writes_nothing()

    def _writes_nothing(self) -> ArgumentError:
        return ArgumentError(
            f"a {type(self).__name__} does not write texts; the predictor of a Keras model does."
        )

    def __reduce__(self) -> Any:
        raise ArgumentError(
            f"a {type(self).__name__} is neither pickled nor copied: pickle or copy the predictor "
            "that it belongs to. What is made of a checkpoint alone, make anew where it is needed."
        )

    def over(
        self,
        encodings: Encodings,
        *,
        batch_size: int,
        verbose: int = 0,
        keep: Callable[[Any, dict[str, np.ndarray]], np.ndarray] = lambda outputs, inputs: outputs,
    ) -> np.ndarray:
        """Returns the outputs of a model without a task, for all rows in their order.

        Args:
            encodings: The rows.
            batch_size: Rows a batch.
            verbose: 1 shows a progress bar.
            keep: Takes a batch's (outputs, inputs), returns what to keep: an item a row.

        Returns:
            What was kept, [rows, ...].
        """

        def run(number: int, rows: np.ndarray) -> tuple[np.ndarray]:
            inputs = encodings.batch(rows)
            return (keep(self(inputs), inputs),)

        lengths = encodings.lengths
        kept = in_order(
            run, lengths, batch_size, what="Predicting", verbose=verbose, at_once=self.devices
        )
        return kept[0] if kept else np.zeros((0,), "float32")


class Forward(Runner):
    """A Keras model's forward pass, traced once for all batch sizes and lengths.

    `model.predict` costs 100 ms a call and traces anew for shapes it has not seen;
    this costs what the model costs. A model that was made for several devices, with a
    `MirroredStrategy`, runs each batch on one of them, whole: threads that call at the
    same time get different ones.

    Args:
        model: A Keras model that takes a dict of arrays, and returns an array, or a dict of them.
        strategy: What the weights are on several devices by. Default: the model's own.
        call: What of the model to run, as `call(inputs, training=False)`; for Keras' TensorFlow
            backend. Default: all of it.

    Raises:
        ProcessError: If the process was forked from one in which TensorFlow had computed.

    Example:
        >>> Forward(model)({"input_ids": np.array([[101, 102]], "int32")}).shape
        (1, 2)
    """

    def __init__(self, model: Any, strategy: Any = None, call: Any = None) -> None:
        check_process()
        self.model = model
        self._call = call or model
        self.strategy = strategy or _mirrored_by(model)
        devices = [None] if self.strategy is None else self.strategy.extended.worker_devices
        self._busy: dict[str | None, int] = dict.fromkeys(devices, 0)
        self._lock = threading.Lock()
        self._traced: dict[tuple[Any, ...], Any] = {}

    @property
    def devices(self) -> int:  # type: ignore[override]
        return len(self._busy)

    @property
    def precision(self) -> str:
        return str(getattr(self.model, "compute_dtype", "float32"))

    def embedder(self, pooling: str | None, normalize: bool | None) -> Runner:
        from ktlite.models.embedder import Embedder

        return Forward(Embedder(self.model, pooling, normalize), self.strategy)

    def generate(self, inputs: dict[str, np.ndarray], **options: Any) -> list[np.ndarray]:
        check_process()
        texts: list[np.ndarray] = self.model.write(inputs, **options)
        return texts

    def stream(self, inputs: dict[str, np.ndarray], **options: Any) -> Iterator[int]:
        check_process()
        tokens: Iterator[int] = self.model.stream(inputs, **options)
        return tokens

    def generation(self, **options: Any) -> Generation:
        found: Generation = self.model.generation(**options)
        return found

    def __call__(self, inputs: dict[str, np.ndarray]) -> Any:
        import keras

        if keras.config.backend() != "tensorflow":
            return self.model.predict_on_batch(inputs)
        check_process()
        import tensorflow as tf

        kinds = tuple((name, array.dtype, array.ndim) for name, array in inputs.items())
        with self._lock:
            device = min(self._busy, key=self._busy.__getitem__)
            if (device, kinds) not in self._traced:
                self._traced[device, kinds] = self._trace(device, kinds)
            self._busy[device] += 1
        try:
            with _on(device, self.strategy):
                tensors = {name: tf.constant(array) for name, array in inputs.items()}
                outputs = self._traced[device, kinds](tensors)
                return keras.tree.map_structure(lambda output: output.numpy(), outputs)
        finally:
            with self._lock:
                self._busy[device] -= 1

    def _trace(self, device: str | None, kinds: tuple[tuple[str, np.dtype[Any], int], ...]) -> Any:
        import tensorflow as tf

        # What the model says of the last axes; the batch, and groups of what it reads, vary.
        known = {field.name: field.shape for field in getattr(self.model, "fields", ())}
        signature = {}
        for name, kind, rank in kinds:
            sides = known.get(name, ())
            shape = (*[None] * (rank - len(sides)), *sides)
            signature[name] = tf.TensorSpec(shape, kind, name)
        # A partial, not a lambda: TensorFlow counts the traces of one piece of code over all
        # predictors of a process, and would warn at the fifth.
        forward = functools.partial(_forward, self._call, device, self.strategy)
        traced = tf.function(forward, input_signature=[signature], autograph=False)
        # Called as it is, it spares what a `tf.function` does to find the trace for some
        # arguments: one twentieth of the time of a short text.
        return traced.get_concrete_function()


def _forward(call: Any, device: str | None, strategy: Any, inputs: dict[str, Any]) -> Any:
    with _on(device, strategy):
        return call(inputs, training=False)


@contextlib.contextmanager
def _on(device: str | None, strategy: Any) -> Iterator[None]:
    """Computes on a device, with its copy of the weights; None: as TensorFlow does by itself."""
    if device is None:
        yield
        return
    import tensorflow as tf

    with strategy.scope(), tf.device(device):
        yield


def _mirrored_by(model: Any) -> Any:
    """Returns the `MirroredStrategy` that a model was made in the scope of, or None."""
    strategy = getattr(model, "distribute_strategy", None)  # TensorFlow's models have one
    if strategy is None:
        return None
    import tensorflow as tf

    return strategy if isinstance(strategy, tf.distribute.MirroredStrategy) else None


def in_order(
    run: Callable[[int, np.ndarray], tuple[np.ndarray | None, ...]],
    lengths: np.ndarray,
    batch_size: int,
    *,
    what: str,
    verbose: int = 0,
    at_once: int = 1,
) -> list[Any]:
    """Runs batches of rows of like length, and puts what they give in the order of the rows.

    Args:
        run: Takes the number of a batch and its rows, int64 [batch]; returns arrays, an item a
            row, or None in place of one.
        lengths: int [n], tokens of each row.
        batch_size: Rows a batch; fewer of those of more than 128 tokens.
        what: What to call it beside the progress bar.
        verbose: 1 shows the bar for many batches.
        at_once: Batches to run at a time, each in a thread.

    Returns:
        What `run` returns, [n, ...] each; nothing where there are no rows.
    """
    tokens = None
    if isinstance(batch_size, Integral):
        tokens = max(int(batch_size) * _USUAL, 2 * int(lengths.max(initial=1)))
    batches = plan_batches(lengths, batch_size, max_tokens=tokens)
    at_once = min(at_once, len(batches))
    joined: list[Any] = []
    bar = progress(len(lengths), what, "row", shown=verbose and len(batches) > 20)
    with ThreadPoolExecutor(at_once) if at_once > 1 else contextlib.nullcontext() as pool:
        run_all = map if pool is None else pool.map
        for rows, parts in zip(batches, run_all(run, range(len(batches)), batches), strict=True):
            joined = joined or [
                None if part is None else np.empty((len(lengths), *part.shape[1:]), part.dtype)
                for part in parts
            ]
            for whole, part in zip(joined, parts, strict=True):
                if part is not None:
                    whole[rows] = part
            bar.update(len(rows))
    bar.close()
    return joined
