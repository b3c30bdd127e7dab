"""A training step that runs its batch in pieces, one after the other, with the whole's gradient.

What a piece's layers make is freed before the next piece begins: a step holds the activations of
a piece in place of those of the batch, and they stay nearer to the processor. Loss, gradient, the
step of the optimizer and the metrics are those of the batch: a piece's loss, a mean over its rows,
counts by its share of them, or where it is a mean over targets by its share of these.
"""

from __future__ import annotations

from typing import Any

import keras

from ktlite._arguments import at_least_one
from ktlite.encodings.targets import IGNORE
from ktlite.errors import ArgumentError, Problems
from ktlite.models.towers import towers_of
from ktlite.training.objectives import Objective

# Tokens of a piece on CPUs. With MiniLM-L6, 512 to 4,096 take the same time to 4 %, and memory
# grows by half a gigabyte with each doubling; the products of short pieces are too thin.
TOKENS = 1024
WHOLE = 2**31 - 1  # tokens that no batch has


def check_micro_tokens(problems: Problems, tokens: Any) -> None:
    """Records a problem if `micro_tokens=` makes no sense."""
    if tokens is None or isinstance(tokens, str) and tokens == "auto":
        return
    if isinstance(tokens, str):
        problems.add(f"micro_tokens={tokens!r}; expected a number of tokens, 'auto' or None.")
        return
    at_least_one(problems, micro_tokens=tokens)
    problems.add_unless(
        keras.backend.backend() == "tensorflow",
        f"micro_tokens={tokens!r} with Keras' {keras.backend.backend()} backend; it is for "
        "TensorFlow's.",
    )


def train_in_pieces(
    model: Any,
    tokens: int | str | None,
    *,
    counted: bool = False,
    known: bool = True,
    across: bool = False,
    objective: Objective | None = None,
) -> None:
    """Makes the training steps of a compiled model run their batches in pieces.

    They do with the loss that the model has now; compiled with another one, or given inputs that
    its towers do not read, it takes whole batches.

    Args:
        model: A `TransformerModel`, compiled.
        tokens: Of a piece, at most, padding counted; a row is never cut. `"auto"`: 1,024 on CPUs
            where the loss is `known`, else whole batches. None: whole batches.
        counted: Whether the loss is a mean over the targets that are not `IGNORE`, not over rows.
        known: Whether it is known to be such a mean. Where a number is given, it is taken for one.
        across: Whether the loss is known to compare the rows of a batch with each other.
        objective: What the loss is made of. Default: the rows alone.

    Raises:
        ArgumentError: If a number of tokens is given, and the batch has to stay whole.

    Example:
        >>> train_in_pieces(model, 2048)
    """
    if not towers_of(model):
        return
    if tokens is None:
        if objective is not None:
            _set(model, Pieces(model, WHOLE, counted, asked=False, objective=objective))
        return
    auto = isinstance(tokens, str)
    if across and not auto:
        raise ArgumentError(
            f"micro_tokens={tokens}: the loss compares the rows of a batch, which has to stay "
            "whole. Leave it out; remat=True, precision='bfloat16' and a smaller batch_size save "
            "memory, too."
        )
    if not auto or (known and not across and _on_cpus()):
        most = TOKENS if auto else int(tokens)
        _set(model, Pieces(model, most, counted, asked=not auto, objective=objective))
    elif objective is not None:
        _set(model, Pieces(model, WHOLE, counted, asked=False, objective=objective))


def train_like(model: Any, other: Any) -> None:
    """Makes the training steps of a compiled model those of another one, or with its new loss."""
    pieces = pieces_of(other)
    if pieces is not None:
        _set(model, pieces.of(model))


def _set(model: Any, pieces: Pieces) -> None:
    model.train_step = pieces
    object.__setattr__(model, "_pieces", pieces)  # the step may get others around it


def pieces_of(model: Any) -> Pieces | None:
    """Returns how a model's training steps cut their batches; None where they do not."""
    found: Pieces | None = vars(model).get("_pieces")
    return found


def _on_cpus() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


class Pieces:
    """Stands in for a model's `train_step`.

    Args:
        model: The model.
        tokens: Of a piece, at most.
        counted: Whether the loss is a mean over targets that count.
        asked: Whether somebody asked for this number of tokens.
        objective: What the loss is made of. Default: the rows alone.
    """

    def __init__(
        self,
        model: Any,
        tokens: int,
        counted: bool,
        *,
        asked: bool,
        objective: Objective | None = None,
    ) -> None:
        self.model, self.loss, self.objective = model, model.loss, objective
        self.tokens, self.counted, self.asked = tokens, counted, asked

    def of(self, model: Any) -> Pieces:
        """Returns the same for a model, with the loss that it has now."""
        objective = None if self.objective is None else self.objective.of(model)
        return Pieces(model, self.tokens, self.counted, asked=self.asked, objective=objective)

    def __call__(self, data: Any) -> Any:
        """Does what Keras' `train_step` does with (inputs, targets, weights)."""
        import tensorflow as tf

        model = self.model
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        width = self._width(x)
        if width is None or y is None or model.loss is not self.loss or not model.trainable_weights:
            return type(model).train_step(model, data)
        batch = _Batch(model, (x, y, weights), self.counted, self.objective)
        most = tf.maximum(self.tokens // width, 1)
        count = tf.maximum(-(-batch.rows // most), 1)
        loss, gradients, outputs = batch.run(-(-batch.rows // count))  # as even as can be
        # Keras divides by the number of devices, for gradients that are summed over them.
        whole = loss * tf.distribute.get_strategy().num_replicas_in_sync
        model._loss_tracker.update_state(whole, sample_weight=batch.rows)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return model.compute_metrics(x, y, outputs, sample_weight=weights)

    def _width(self, x: Any) -> Any:
        """Returns the tokens of a row, of all towers together; None where they do not run."""
        import tensorflow as tf

        fronts = [tower.spec.front for tower in towers_of(self.model)]
        names = [tower.spec.fields[0].name for tower in towers_of(self.model)]
        if not isinstance(x, dict) or not all(name in x for name in names):
            return None
        pairs = zip(fronts, names, strict=True)
        return sum(front.vectors(tf.unstack(tf.shape(x[name])[1:])) for front, name in pairs)


class _Batch:
    """A batch in the graph of a step.

    Args:
        model: What trains.
        data: Inputs, targets, and weights or None.
        counted: Whether the loss is a mean over targets that count.
        objective: What the loss is made of; None: the rows alone.
    """

    def __init__(
        self,
        model: Any,
        data: tuple[Any, Any, Any],
        counted: bool,
        objective: Objective | None = None,
    ) -> None:
        import tensorflow as tf

        self.model, self.data, self.counted, self.objective = model, data, counted, objective
        self.rows = tf.shape(keras.tree.flatten(data[0])[0])[0]
        self.partner: Any = None
        self.share: Any = None
        if objective is not None:
            self.partner, self.share = objective.drawn(data, self.rows)

    def run(self, size: Any) -> tuple[Any, list[Any], Any]:
        """Runs pieces of so many rows, one after the other.

        Returns:
            The loss; for each weight that trains its gradient, or None; the model's outputs.
        """
        import tensorflow as tf

        seen: dict[str, Any] = {}  # of a piece, as the loop was traced

        def more(number: Any, loss: Any, sums: list[Any], outputs: list[Any]) -> Any:
            start = number * size
            own, gradients, new = self._piece(start, tf.minimum(start + size, self.rows))
            seen.update(gradients=gradients, outputs=new)
            written = [
                array.write(number, tf.cast(output, "float32"))
                for array, output in zip(outputs, keras.tree.flatten(new), strict=True)
            ]
            return number + 1, loss + own, _added(sums, gradients, number > 0), written

        sums = [tf.zeros([0]) for _ in self.model.trainable_weights]
        outputs = [
            tf.TensorArray("float32", size=0, dynamic_size=True, infer_shape=False)
            for _ in keras.tree.flatten(self.data[1])
        ]
        # The gradient is taken inside: one through the loop would keep what each piece makes.
        _, loss, sums, outputs = tf.while_loop(
            lambda number, *_: number * size < self.rows,
            more,
            (tf.constant(0), tf.constant(0.0), sums, outputs),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([]),
                [tf.TensorShape(None) for _ in sums],
                [tf.TensorShape(None) for _ in outputs],
            ),
            parallel_iterations=1,
        )
        gradients = [
            None if own is None else tf.ensure_shape(total, own.shape)
            for total, own in zip(sums, seen["gradients"], strict=True)
        ]
        whole = [
            tf.ensure_shape(array.concat(), [None, *output.shape[1:]])
            for array, output in zip(outputs, keras.tree.flatten(seen["outputs"]), strict=True)
        ]
        return loss, gradients, keras.tree.pack_sequence_as(seen["outputs"], whole)

    def _piece(self, start: Any, end: Any) -> tuple[Any, list[Any], Any]:
        """Returns the part that some rows have in the loss, its gradients, and their outputs."""
        import tensorflow as tf

        model = self.model
        x, y, weights = keras.tree.map_structure(
            lambda whole: None if whole is None else whole[start:end], self.data
        )
        partners = None if self.partner is None else self.partner[start:end]
        share = tf.cast((end - start) / self.rows, "float32")
        if self.counted:
            weights = self._weighed(y, weights, share)
        if self.objective is not None:
            other = own = None
            if self.partner is not None:
                own = self.share[start:end]
                other = keras.tree.map_structure(
                    lambda whole: None if whole is None else tf.gather(whole, partners),
                    self.data,
                )
            return self.objective.piece((x, y, weights), other, own, share)
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = share * model._compute_loss(
                x=x, y=y, y_pred=outputs, sample_weight=weights, training=True
            )
            scaled = model.optimizer.scale_loss(loss)
        return loss, tape.gradient(scaled, model.trainable_weights), outputs

    def _weighed(self, y: Any, weights: Any, share: Any) -> Any:
        """Returns weights with which the mean over a piece's targets is its part of one over rows.

        As `ktlite.training.weighing.weighed` does it for batches.
        """
        import tensorflow as tf

        def count(targets: Any) -> Any:
            return tf.reduce_sum(tf.cast(tf.not_equal(targets, IGNORE), "float32"))

        def one(part: Any, targets: Any, weight: Any) -> Any:
            if weight is None:
                weight = tf.ones([tf.shape(part)[0], *[1] * (len(part.shape) - 1)])
            factor = count(part) / tf.maximum(count(targets), 1) / share
            return tf.cast(weight, "float32") * factor

        parts, whole = keras.tree.flatten(y), keras.tree.flatten(self.data[1])
        given = [None] * len(parts) if weights is None else keras.tree.flatten(weights)
        found = [one(*three) for three in zip(parts, whole, given, strict=True)]
        return keras.tree.pack_sequence_as(y, found)


def _added(sums: list[Any], gradients: list[Any], begun: Any) -> list[Any]:
    """Returns sums with the gradients of one more piece; where there is none, a sum stays empty.

    Args:
        sums: Dense, of the pieces before.
        gradients: For each a tensor, slices of a table that words are looked up in, or None.
        begun: Whether there was a piece before.
    """
    import tensorflow as tf

    known = [
        (total, gradient)
        for total, gradient in zip(sums, gradients, strict=True)
        if gradient is not None
    ]

    def more(total: Any, gradient: Any) -> Any:
        total = tf.ensure_shape(total, gradient.shape)
        if isinstance(gradient, tf.IndexedSlices):
            return tf.tensor_scatter_nd_add(total, gradient.indices[:, None], gradient.values)
        return total + gradient

    # No zeros to begin with: of a batch that is one piece, all would be written and read.
    found = tf.cond(
        begun,
        lambda: [more(*pair) for pair in known],
        lambda: [tf.convert_to_tensor(gradient) for _, gradient in known],
    )
    new = iter(found)
    return [
        total if gradient is None else next(new)
        for total, gradient in zip(sums, gradients, strict=True)
    ]
