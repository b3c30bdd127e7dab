"""What a training step makes the loss of: rows mixed, run twice, or moved against the model.

All three act where a model's vectors are made and have met no block yet: of texts the embeddings of
tokens, of images those of patches, of which a mix is that of the pixels. They run within the pieces
of a step, so memory stays bounded, and weights of rows and loss scaling are those of any step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import keras

from ktlite.errors import ArgumentError, Problems
from ktlite.models.towers import towers_of

Data = tuple[Any, Any, Any]  # inputs, targets, weights or None


@dataclass(frozen=True)
class Regularisation:
    """How the loss of a training step is made, beside that of the rows themselves.

    Args:
        mixup: Each row is mixed with another of its batch, its share drawn from Beta(mixup, mixup),
            and learns both targets by their shares (Zhang et al., 2018, arXiv:1710.09412; of texts
            the vectors of words, Guo et al., 2019, arXiv:1905.08941). None: none is.
        r_drop: Each row runs twice, with other dropout, and the mean divergence of the two
            predictions counts so much in the loss (R-Drop: Liang et al., 2021, arXiv:2106.14448).
        adversarial: Each row runs once more, moved to where its loss grows most (Miyato et al.,
            2017, arXiv:1605.07725), and the loss is the mean of both. A number: how far, as a
            share of the length of the row's vectors; True: 0.02, about that of the paper. Or a dict
            of `epsilon`, that share, and `steps`, more than one of which is projected gradient
            ascent (Madry et al., 2018, arXiv:1706.06083).
    """

    mixup: float | None = None
    r_drop: float | None = None
    adversarial: Any = False

    def __bool__(self) -> bool:
        return self.mixup is not None or self.r_drop is not None or self._moves

    @property
    def _moves(self) -> bool:
        return self.adversarial is not False and self.adversarial is not None

    @property
    def epsilon(self) -> float:
        """How far rows are moved; 0: they are not."""
        if not self._moves:
            return 0.0
        if isinstance(self.adversarial, Mapping):
            return float(self.adversarial.get("epsilon", 0.02))
        return 0.02 if self.adversarial is True else float(self.adversarial)

    @property
    def steps(self) -> int:
        """In how many steps."""
        given = self.adversarial
        return int(given.get("steps", 1)) if isinstance(given, Mapping) else 1

    def check(self, problems: Problems) -> None:
        """Records everything that cannot work."""
        for name in ("mixup", "r_drop"):
            value = getattr(self, name)
            problems.add_unless(
                value is None or _positive(value), f"{name}={value!r}; expected a number above 0."
            )
        given = self.adversarial
        options = given if isinstance(given, Mapping) else {"epsilon": self._plain(given)}
        for name in options:
            problems.choice("adversarial", name, ("epsilon", "steps"))
        epsilon, steps = options.get("epsilon", 0.02), options.get("steps", 1)
        problems.add_unless(
            _positive(epsilon) and float(epsilon) <= 1,
            f"adversarial={given!r}; expected True, or a share above 0, at most 1.",
        )
        problems.add_unless(
            isinstance(steps, int) and not isinstance(steps, bool) and steps >= 1,
            f"adversarial={given!r}; expected steps of a whole number of 1 or more.",
        )
        names = [name for name in ("mixup", "r_drop", "adversarial") if self._asks(name)]
        problems.add_unless(
            not names or keras.backend.backend() == "tensorflow",
            f"{', '.join(names)} with Keras' {keras.backend.backend()} backend; it is for "
            "TensorFlow's.",
        )

    def _asks(self, name: str) -> bool:
        return getattr(self, name) not in (None, False)

    @staticmethod
    def _plain(given: Any) -> Any:
        return 0.02 if given is None or isinstance(given, bool) else given

    def check_task(self, task: Any) -> None:
        """Raises ArgumentError unless these go with a task; all that do not are named."""
        problems = Problems("get_learner")
        problems.add_unless(
            self.mixup is None or task.one_answer,
            f"mixup={self.mixup!r}: a {task.name} task has no single answer an example that could "
            "be mixed with another's; it goes with classes, several labels and numbers.",
        )
        problems.add_unless(
            self.r_drop is None or task.divergence is not None,
            f"r_drop={self.r_drop!r}: predictions of a {task.name} task are not compared; it goes "
            "with classes and several labels.",
        )
        problems.raise_if_any()


def _positive(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and 0 < float(value) < float("inf")


class Objective:
    """The loss of a piece of a batch, and its gradients.

    Args:
        model: What trains, with one tower.
        options: How.
        divergence: Takes two batches of outputs, and returns that of each row.

    Raises:
        ArgumentError: If the model has several towers.
    """

    def __init__(
        self, model: Any, options: Regularisation, divergence: Callable[..., Any] | None = None
    ) -> None:
        towers = towers_of(model)
        if options and len(towers) != 1:
            raise ArgumentError(
                f"mixup, r_drop and adversarial go with models of one stack of blocks; this one "
                f"has {len(towers)}. Leave them out."
            )
        self.model, self.options, self.divergence = model, options, divergence
        self.tower = towers[0]

    def of(self, model: Any) -> Objective:
        """Returns the same for another model."""
        return Objective(model, self.options, self.divergence)

    def drawn(self, data: Data, rows: Any) -> tuple[Any, Any]:
        """Draws for a batch each row's partner and its own share: int [rows], float32 [rows].

        By the model's seed and the step, so that a run that goes on draws what it would have.
        """
        import tensorflow as tf

        if self.options.mixup is None:
            return None, None
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        step = tf.cast(optimizer.iterations.value, "int32") * 1009
        accumulator = getattr(optimizer, "accumulator", None)
        if accumulator is not None and accumulator._sums:
            step += tf.cast(accumulator._done.value, "int32")
        context = tf.distribute.get_replica_context()
        if context is not None:
            step += tf.cast(context.replica_id_in_sync_group, "int32") * 7919
        seeds = [[self.model.seed * 3 + number, step] for number in range(3)]
        partner = tf.argsort(tf.random.stateless_uniform([rows], seeds[0]))
        alpha, tiny = float(self.options.mixup), 1e-30
        one, other = (
            tf.random.stateless_gamma([rows], seed, tf.constant(alpha)) + tiny for seed in seeds[1:]
        )
        return partner, one / (one + other)

    def piece(
        self, own: Data, other: Data | None, share: Any, part: Any
    ) -> tuple[Any, list[Any], Any]:
        """Returns a piece's part of the loss, its gradients, and the outputs of its rows.

        Args:
            own: The rows.
            other: Their partners, if rows are mixed.
            share: float32 [rows], what each row has of the mix.
            part: What the piece's mean counts of the whole.
        """
        import tensorflow as tf

        model, options = self.model, self.options
        weights, moves = model.trainable_weights, options.epsilon > 0
        counts = part / 2 if moves else part
        with tf.GradientTape() as tape:
            outputs, loss, entered = self._run(own, other, share, tape=tape if moves else None)
            if options.r_drop is not None:
                again, second, _ = self._run(own, other, share)
                loss = (loss + second) / 2 + options.r_drop * self._apart(outputs, again, own[2])
            scaled = model.optimizer.scale_loss(counts * loss)
        wanted = [*weights, *([entered] if moves else [])]
        found = tape.gradient(scaled, wanted)
        gradients = found[: len(weights)]
        if not moves:
            return counts * loss, gradients, outputs
        delta = self._moved(None, found[-1], entered)
        for _ in range(options.steps - 1):
            with tf.GradientTape() as tape:
                _, further, entered = self._run(own, other, share, delta, tape)
                further = model.optimizer.scale_loss(further)
            delta = self._moved(delta, tape.gradient(further, entered), entered)
        with tf.GradientTape() as tape:
            _, against, _ = self._run(own, other, share, delta)
            scaled = model.optimizer.scale_loss(counts * against)
        more = tape.gradient(scaled, weights)
        both = [_sum(one, two) for one, two in zip(gradients, more, strict=True)]
        return counts * (loss + against), both, outputs

    def _run(
        self, own: Data, other: Data | None, share: Any, delta: Any = None, tape: Any = None
    ) -> tuple[Any, Any, Any]:
        """Returns outputs, loss, and what entered the blocks, if a tape is to watch that."""
        import tensorflow as tf

        entered: list[Any] = []

        def entering(x: Any, mask: Any) -> tuple[Any, Any]:
            if other is not None:
                x, mask = self._mixed(x, mask, other[0], share)
            if delta is not None:
                x = x + tf.cast(delta, x.dtype)
            if tape is not None:
                x = tf.identity(x)
                tape.watch(x)
                entered.append(x)
            return x, mask

        stack = self.tower.stack
        stack.entering = entering
        try:
            outputs = self.model(own[0], training=True)
        finally:
            stack.entering = None
        if other is None:
            loss = self._loss(own, outputs, None)
        else:
            loss = self._loss(own, outputs, share) + self._loss(other, outputs, 1 - share)
        return outputs, loss, entered[0] if entered else None

    def _loss(self, data: Data, outputs: Any, share: Any) -> Any:
        x, y, weights = data
        if share is not None:
            weights = share if weights is None else weights * _like(share, weights)
        return self.model._compute_loss(
            x=x, y=y, y_pred=outputs, sample_weight=weights, training=True
        )

    def _mixed(self, x: Any, mask: Any, other: Any, share: Any) -> tuple[Any, Any]:
        """Returns rows mixed with others, and where either one has something."""
        import tensorflow as tf

        front = self.tower.front
        inputs = self.tower.read(other)
        others = front.mask(inputs)
        y = front(inputs, others, training=front.trainable)
        share = tf.cast(_like(share, x), x.dtype)
        if mask is None:
            return share * x + (1 - share) * y, None
        here, there = (tf.cast(one, x.dtype)[..., None] for one in (mask, others))
        return share * here * x + (1 - share) * there * y, tf.maximum(mask, others)

    def _apart(self, one: Any, two: Any, weights: Any) -> Any:
        """Returns the mean divergence of two outputs of the same rows, a device's share of it."""
        import tensorflow as tf

        assert self.divergence is not None
        rows = self.divergence(one, two)
        if weights is not None:
            rows = rows * tf.reshape(tf.cast(weights, rows.dtype), tf.shape(rows))
        # Gradients are summed over devices; of a Keras loss it takes the share itself.
        return tf.reduce_mean(rows) / tf.distribute.get_strategy().num_replicas_in_sync

    def _moved(self, delta: Any, gradient: Any, x: Any) -> Any:
        """Returns by what rows are moved, float32 like `x`: along their gradients, not too far.

        Raises:
            ArgumentError: If XLA makes no gradient there, since what is below is frozen.
        """
        import tensorflow as tf

        if gradient is None:
            raise ArgumentError(
                "adversarial: the embeddings are frozen, and the blocks are compiled without a "
                "gradient for what enters them. Give get_learner xla=False, or unfreeze."
            )
        gradient = tf.where(tf.math.is_finite(gradient), gradient, 0)
        most = self.options.epsilon * _length(x)
        way = _cast(gradient) / (_length(gradient) + 1e-30)
        if delta is None:
            return tf.stop_gradient(most * way)
        delta = delta + 2.5 / self.options.steps * most * way
        return tf.stop_gradient(delta * tf.minimum(1.0, most / (_length(delta) + 1e-30)))


def _cast(x: Any) -> Any:
    import tensorflow as tf

    return tf.cast(x, "float32")


def _length(x: Any) -> Any:
    """Returns the length of each row, all of its numbers as one vector: float32 [rows, 1, ...]."""
    import tensorflow as tf

    axes = list(range(1, len(x.shape)))
    x = _cast(x)
    # Scaled first: the squares of a half-precision gradient would be nothing.
    most = tf.reduce_max(tf.abs(x), axis=axes, keepdims=True)
    scaled = x / tf.maximum(most, 1e-30)
    return most * tf.sqrt(tf.reduce_sum(tf.square(scaled), axis=axes, keepdims=True))


def _like(share: Any, x: Any) -> Any:
    """Returns float32 [rows] with as many axes as `x`."""
    import tensorflow as tf

    return tf.reshape(share, [-1, *[1] * (len(x.shape) - 1)])


def _sum(one: Any, two: Any) -> Any:
    """Returns the sum of two gradients of a weight: tensors, slices of a table, or None."""
    import tensorflow as tf

    if one is None or two is None:
        return two if one is None else one
    if isinstance(one, tf.IndexedSlices) and isinstance(two, tf.IndexedSlices):
        return tf.IndexedSlices(
            tf.concat([one.values, two.values], 0),
            tf.concat([one.indices, two.indices], 0),
            one.dense_shape,
        )
    return tf.convert_to_tensor(one) + tf.convert_to_tensor(two)
