"""Compiles the blocks of a model with XLA (https://openxla.org), for training."""

from __future__ import annotations

import functools
from typing import Any

import keras

from ktlite._logging import logger
from ktlite.encodings.plan import padded_length
from ktlite.errors import Problems, plural
from ktlite.models.towers import Tower, towers_of
from ktlite.training.distribution import replicas_of, seed_states
from ktlite.training.feed import Feed
from ktlite.training.pieces import pieces_of

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
    """Makes training steps run the stacks of a model, and their gradients, as XLA programs.

    There is one program for each padded length. Embeddings, head, optimizer and the
    exchange between devices stay outside; so do validation and prediction, and what is saved
    or exported is the plain model.

    Args:
        model: A `TransformerModel`.

    Example:
        >>> model = ktlite.load_model("my-bert")
        >>> compile_encoder(model)
    """
    done: dict[str | None, Tower] = {}
    for tower in towers_of(model):
        tower.stack.compiled = CompiledStack(tower, done.get(tower.spec.cross))
        done[tower.name] = tower


class CompiledStack:
    """Calls a tower's stack like the stack itself; in training as one XLA program a shape.

    XLA needs a function without side effects: weights and the states of dropout go in as
    arguments, and the states come back. Weights that are frozen get no gradient, so no
    backward pass runs below the lowest that trains.

    Args:
        tower: A model's, built.
        memory: The tower whose states it attends to, if it attends to one.

    Attributes:
        rows: Batches of fewer rows are filled up to this many while in the stack, so that
            the last batch of an epoch does not need programs of its own.
    """

    def __init__(self, tower: Tower, memory: Tower | None = None) -> None:
        self.tower, self.stack, self.memory = tower, tower.stack, memory
        self.rows = 1
        # One for each choice of what has a gradient, which freezing changes, and of outputs.
        self.functions: dict[tuple[tuple[bool, ...], bool], Any] = {}

    def __call__(
        self,
        x: Any,
        attention_mask: Any,
        memory: Any = None,
        memory_mask: Any = None,
        first_only: bool = False,
        training: Any = None,
    ) -> Any:
        given: dict[str, Any] = {
            "x": x,
            "attention_mask": attention_mask,
            "memory": memory,
            "memory_mask": memory_mask,
        }
        if not training:
            return self.stack(**given, first_only=first_only, training=training)
        import tensorflow as tf

        weights, seeds = self.stack.weights, seed_states(self.stack)
        trained = (self._below(), *(w.trainable for w in weights))
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
            {
                name: tf.pad(value, [[0, missing], *[[0, 0]] * (len(value.shape) - 1)])
                for name, value in given.items()
                if value is not None
            },
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
        given: dict[str, Any],
    ) -> tuple[Any, list[Any]]:
        states = seed_states(self.stack)
        values = [
            tensor if trains else keras.ops.stop_gradient(tensor)
            for tensor, trains in zip(weights, trained[1:], strict=True)
        ]
        inputs = {"attention_mask": None, **given}
        if not trained[0]:
            for name in {"x", "memory"} & set(given):
                inputs[name] = keras.ops.stop_gradient(given[name])
        variables = [*self.stack.weights, *states]
        with keras.StatelessScope(zip(variables, [*values, *seeds], strict=True)) as scope:
            hidden = self.stack(**inputs, first_only=first_only, training=True)
        return hidden, [scope.get_current_value(state) for state in states]

    def _below(self) -> bool:
        """Says whether anything that trains is below the stack."""
        below = [self.tower.front, *(self.memory.layers if self.memory else [])]
        return any(layer.trainable_weights for layer in below)


def watch_programs(model: Any, feed: Feed) -> list[keras.callbacks.Callback]:
    """Prepares a model for the batches of a feed; returns the callback that counts its programs.

    Nothing happens where the model's stacks are not compiled, or do not run.
    """
    stacks = [tower.stack.compiled for tower in towers_of(model)]
    if None in stacks or not stacks or model.fields[0].name not in feed.example():
        return []
    # Pieces have as many rows as their length allows, and are not filled up.
    rows = 1 if pieces_of(model) else feed.batch_size // replicas_of(model)
    if any(rows != stack.rows for stack in stacks):
        for stack in stacks:
            stack.rows = rows
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
