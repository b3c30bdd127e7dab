"""How likely a model finds given words, without holding a number for each word of each token."""

from __future__ import annotations

from typing import Any

from ktlite import _keras_start  # noqa: F401  isort: skip  (first: loads Keras without noise)
import keras
from keras import ops

# Bytes of scores [tokens, words] that are held at once: more tokens go one part after the other.
PART_BYTES = 2**25
# Tokens a part has at least: with fewer, the table of words is read too often.
LEAST = 256
# Up to so many parts, all scores are held, which is a little faster.
FEW_PARTS = 2


def token_scores(
    features: Any,
    words: Any,
    bias: Any,
    labels: Any,
    *,
    ignore: int,
    learns: bool = True,
    learns_words: bool = True,
) -> Any:
    """Returns what a language model says of the words that are right.

    Where Keras runs on TensorFlow only tokens with a label are looked at, and scores are held for
    a part of them at a time.

    Args:
        features: float [batch, length, width].
        words: float [words, width].
        bias: float32 [words], added to the scores; or None.
        labels: int32 [batch, length], the right word for each token.
        ignore: The label of tokens that do not count.
        learns: Whether there is to be a gradient.
        learns_words: Whether there is to be one of words and bias, too.

    Returns:
        float32 [batch, length, 2]: the cross-entropy, and 1 where the right word is the likeliest;
        0 and 0 where no label counts.
    """
    words = ops.cast(words, features.dtype)
    bias = None if bias is None else ops.convert_to_tensor(bias)
    if keras.backend.backend() != "tensorflow":
        return _of_all(features, words, bias, labels, ignore)
    import tensorflow as tf

    labels = tf.cast(labels, "int32")
    where = tf.where(tf.not_equal(labels, ignore))
    counted, wanted = tf.gather_nd(features, where), tf.gather_nd(labels, where)
    part = max(LEAST, PART_BYTES // (4 * words.shape[0]))

    def at_once() -> tuple[Any, Any]:
        logits = _logits(counted, words, bias)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
        logits = tf.stop_gradient(logits)
        own = tf.gather(logits, wanted, axis=1, batch_dims=1)
        return losses, tf.cast(own >= tf.reduce_max(logits, axis=1), "float32")

    def in_parts() -> tuple[Any, Any]:
        return _in_parts(counted, words, bias, wanted, part, learns, learns_words)

    found = tf.cond(tf.shape(wanted)[0] <= FEW_PARTS * part, at_once, in_parts)
    shape = tf.concat([tf.shape(labels, "int64"), [2]], axis=0)
    return tf.scatter_nd(where, tf.stack(found, axis=-1), shape)


def _of_all(features: Any, words: Any, bias: Any, labels: Any, ignore: int) -> Any:
    logits = ops.cast(ops.matmul(features, ops.transpose(words)), "float32")
    logits = logits if bias is None else logits + bias
    counted = ops.not_equal(labels, ignore)
    wanted = ops.where(counted, labels, 0)
    chances = ops.log_softmax(logits)
    losses = -ops.take_along_axis(chances, wanted[..., None], axis=-1)[..., 0]
    right = ops.equal(ops.argmax(logits, axis=-1), wanted)
    found = ops.stack([losses, ops.cast(right, "float32")], axis=-1)
    return found * ops.cast(counted, "float32")[..., None]


def _logits(features: Any, words: Any, bias: Any) -> Any:
    import tensorflow as tf

    logits = tf.cast(tf.matmul(features, words, transpose_b=True), "float32")
    return logits if bias is None else logits + bias


def _in_parts(
    features: Any, words: Any, bias: Any, labels: Any, part: int, learns: bool, learns_words: bool
) -> tuple[Any, Any]:
    """Does so for one part of the tokens after the other.

    The gradient is made on the way, while the scores of a part are there, as if each token counted
    alike. Where that turns out to be wrong (weights of examples), it is made anew.
    """
    import tensorflow as tf

    biases = () if bias is None else (bias,)
    if not learns:
        losses, right, *_ = _parts(features, words, bias, labels, part)
        return losses, right

    @tf.custom_gradient
    def scores(features: Any, words: Any, *biases: Any) -> Any:
        given = (features, words, biases[0] if biases else None, labels, part)
        alike = tf.ones(tf.shape(labels))
        losses, right, *made = _parts(*given, alike, learns_words)

        def gradient(to_losses: Any, _: Any) -> Any:
            one = to_losses[0]
            to_features, to_words, to_bias = tf.cond(
                tf.reduce_all(to_losses == one),
                lambda: [x * tf.cast(one, x.dtype) for x in made],
                lambda: _parts(*given, to_losses, learns_words)[2:],
            )
            return (to_features, to_words if learns_words else None, to_bias)[: 2 + len(biases)]

        return (losses, right), gradient

    found: tuple[Any, Any] = scores(features, words, *biases)
    return found


def _parts(
    features: Any,
    words: Any,
    bias: Any,
    labels: Any,
    part: int,
    scale: Any = None,
    learns_words: bool = False,
) -> list[Any]:
    """Returns losses, whether each is right, and gradients of features, words and bias.

    Args:
        features, words, bias, labels: As of `_scores`.
        part: Tokens a part.
        scale: float32 [tokens], the gradients of the losses. None: there are no gradients.
        learns_words: Whether there is one of words and bias; else they are zeros without rows.
    """
    import tensorflow as tf

    learns, kind, size = scale is not None, features.dtype, words.shape[0]

    def one(
        start: Any, losses: Any, right: Any, to_features: Any, to_words: Any, to_bias: Any
    ) -> Any:
        rows, wanted = features[start : start + part], labels[start : start + part]
        logits = _logits(rows, words, bias)
        own = tf.gather(logits, wanted, axis=1, batch_dims=1)
        largest = tf.reduce_max(logits, axis=1)
        number = start // part
        right = right.write(number, tf.cast(own >= largest, "float32"))
        powers = tf.exp(logits - largest[:, None])
        total = tf.reduce_sum(powers, axis=1)
        losses = losses.write(number, tf.math.log(total) + largest - own)
        if learns:
            share = scale[start : start + part]
            given = powers * (share / total)[:, None]
            places = tf.stack([tf.range(tf.shape(wanted)[0]), wanted], axis=1)
            given = tf.tensor_scatter_nd_sub(given, places, share)
            if learns_words and bias is not None:
                to_bias += tf.reduce_sum(given, axis=0)
            given = tf.cast(given, kind)
            to_features = to_features.write(number, tf.matmul(given, words))
            if learns_words:
                to_words += tf.cast(tf.matmul(given, rows, transpose_a=True), "float32")
        return start + part, losses, right, to_features, to_words, to_bias

    begin = (
        *(_array(kind) for kind in ("float32", "float32", kind)),
        tf.zeros([size if learns_words else 0, words.shape[1]]),
        tf.zeros([size if learns_words and bias is not None else 0]),
    )
    _, losses, right, to_features, to_words, to_bias = tf.while_loop(
        lambda start, *_: start < tf.shape(features)[0],
        one,
        (tf.constant(0), *begin),
        parallel_iterations=1,
    )
    made = to_features.concat() if learns else features[:0]
    return [losses.concat(), right.concat(), made, tf.cast(to_words, kind), to_bias]


def _array(kind: Any = "float32") -> Any:
    import tensorflow as tf

    return tf.TensorArray(kind, size=0, dynamic_size=True, infer_shape=False)
