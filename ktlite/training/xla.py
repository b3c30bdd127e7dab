"""Compiles a model's encoder with XLA (https://openxla.org), for training."""

from __future__ import annotations

import functools
from typing import Any

import keras

from ktlite._logging import logger
from ktlite.encodings.tokens import padded_length
from ktlite.errors import Problems, plural
from ktlite.training.distribution import replicas_of, seed_states
from ktlite.training.feed import Feed

CHOICES = (True, False, "auto")


def wants_xla(xla: bool | str) -> bool:
    """Says whether `xla=` asks for compiling; `"auto"` does where TensorFlow has a GPU.

    On a CPU a compiled step takes about as long as a plain one, and every length of a
    batch costs seconds of compiling.
    """
    if xla != "auto":
        return bool(xla)
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def check_xla(problems: Problems, xla: bool | str) -> None:
    """Records a problem if `xla=` makes no sense."""
    problems.choice("xla", xla, CHOICES)
    problems.add_unless(
        xla is not True or keras.backend.backend() == "tensorflow",
        f"xla=True with Keras' {keras.backend.backend()} backend; it is for TensorFlow's (JAX "
        "compiles everything with XLA as it is).",
    )


def compile_encoder(model: Any) -> None:
    """Makes training steps run the model's encoder, and its gradient, as XLA programs.

    There is one program for each padded length. Embeddings, head, optimizer and the
    exchange between devices stay outside; so do validation and prediction, and what is saved
    or exported is the plain model.

    Args:
        model: A `TransformerModel`.

    Example:
        >>> model = ktlite.load_model("my-bert")
        >>> compile_encoder(model)
    """
    model.run_encoder = CompiledEncoder(model.encoder, model.embeddings)


class CompiledEncoder:
    """Calls an encoder like the encoder itself; in training as one XLA program a shape.

    XLA needs a function without side effects: weights and the states of dropout go in as
    arguments, and the states come back. Weights that are frozen get no gradient, so no
    backward pass runs below the lowest that trains.

    Args:
        encoder: A built `Encoder`.
        embeddings: The `Embeddings` whose output it takes.

    Attributes:
        rows: Batches of fewer rows are filled up to this many while in the encoder, so that
            the last batch of an epoch does not need programs of its own.
    """

    def __init__(self, encoder: Any, embeddings: Any) -> None:
        self.encoder, self.embeddings = encoder, embeddings
        self.rows = 1
        # One for each choice of what has a gradient, which freezing changes, and of outputs.
        self.functions: dict[tuple[tuple[bool, ...], bool], Any] = {}

    def __call__(
        self, x: Any, attention_mask: Any, first_only: bool = False, training: Any = None
    ) -> Any:
        if not training:
            return self.encoder(x, attention_mask, first_only=first_only, training=training)
        import tensorflow as tf

        weights, seeds = self.encoder.weights, seed_states(self.encoder)
        trained = (bool(self.embeddings.trainable_weights), *(w.trainable for w in weights))
        if (trained, first_only) not in self.functions:
            self.functions[trained, first_only] = tf.function(
                functools.partial(self._run, trained, first_only),
                jit_compile=True,
                autograph=False,
                reduce_retracing=True,
            )
        rows = tf.shape(x)[0]
        missing = tf.maximum(self.rows - rows, 0)
        hidden, states = self.functions[trained, first_only](
            [tf.convert_to_tensor(weight) for weight in weights],
            [tf.convert_to_tensor(seed) for seed in seeds],
            tf.pad(x, [[0, missing], [0, 0], [0, 0]]),
            tf.pad(attention_mask, [[0, missing], [0, 0]]),
        )
        for seed, state in zip(seeds, states, strict=True):
            seed.assign(state)
        return hidden[:rows]

    def _run(
        self,
        trained: tuple[bool, ...],
        first_only: bool,
        weights: list[Any],
        seeds: list[Any],
        x: Any,
        mask: Any,
    ) -> tuple[Any, list[Any]]:
        states = seed_states(self.encoder)
        x, *values = [
            tensor if trains else keras.ops.stop_gradient(tensor)
            for tensor, trains in zip([x, *weights], trained, strict=True)
        ]
        variables = [*self.encoder.weights, *states]
        with keras.StatelessScope(zip(variables, [*values, *seeds], strict=True)) as scope:
            hidden = self.encoder(x, mask, first_only=first_only, training=True)
        return hidden, [scope.get_current_value(state) for state in states]


def watch_programs(model: Any, feed: Feed) -> list[keras.callbacks.Callback]:
    """Prepares a model for the batches of a feed; returns the callback that counts its programs.

    Nothing happens where the model's encoder is not compiled, or does not run.
    """
    encoder = getattr(model, "run_encoder", None)
    if not isinstance(encoder, CompiledEncoder) or "input_ids" not in feed.example():
        return []
    rows = feed.batch_size // replicas_of(model)
    if rows != encoder.rows:
        encoder.rows = rows
        model.train_function = None  # the old number is part of the traced step
    return [ProgramCount(feed, int(feed.data.lengths.max()))]


class ProgramCount(keras.callbacks.Callback):
    """Says at the end of an epoch how many programs XLA has compiled, where that has grown.

    Args:
        feed: The training data, which notes the widths of its batches.
        longest: Tokens of the longest row.
    """

    def __init__(self, feed: Feed, longest: int) -> None:
        super().__init__()
        self.feed = feed
        self.longest = longest
        self.known = len(feed.widths)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        count = len(self.feed.widths)
        if count > self.known:
            logger.info(
                "XLA has compiled the encoder for %s of a batch; there are at most %d.",
                plural(count, "length"),
                most_widths(self.longest),
            )
            self.known = count


def most_widths(longest: int) -> int:
    """Returns how many padded lengths there can be where the longest row has `longest` tokens.

    Example:
        >>> most_widths(128)
        32
    """
    return len({padded_length(length, longest) for length in range(1, longest + 1)})
