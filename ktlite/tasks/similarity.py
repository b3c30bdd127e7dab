"""Texts that mean the same: vectors that are near each other where their texts are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import positive
from ktlite.encodings.grouped import GroupedEncodings
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import ArgumentError, DataError, Problems
from ktlite.tasks.arrays import in_digits
from ktlite.tasks.spelling import spelled_numbers
from ktlite.tasks.task import Report, Task

LOSSES = ("ranking", "triplet", "cosine")
_CHUNK = 512  # texts compared with all others at a time
_CUTS = (1, 10)  # recall at


class Similarity(Task):
    """Sentence embeddings that are compared by their cosine.

    An example is two texts, or three: an anchor, a positive that belongs to it, a negative that
    does not. There are three losses:

    - `"ranking"`, of texts that belong together: among all positives and negatives of the batch,
      each anchor has to find its own (Henderson et al., 2017, arXiv:1705.00652; van den Oord et
      al., 2018, arXiv:1807.03748). The larger the batch, the harder. The batch is that of one
      device and one step, so `accumulate` does not make it larger. What may be right as well does
      not count: texts that are equal to the anchor or its positive, and the positives of equal
      anchors.
    - `"triplet"`, of three texts: the cosine with the positive has to exceed that with the negative
      by a margin (Schroff et al., 2015, arXiv:1503.03832).
    - `"cosine"`, of two texts with a score from -1 to 1: the squared difference of the cosine from
      the score (Reimers and Gurevych, 2019, arXiv:1908.10084).

    The targets of the first two are the numbers of the texts, int32 [examples, texts]: texts that
    are equal have equal numbers. Those of the third are the scores, float32 [examples].

    Args:
        loss: One of these.
        scale: What the cosines of `"ranking"` are multiplied by before the softmax.
        margin: Of `"triplet"`.

    Raises:
        ArgumentError: If the loss is not known, or a number not positive.

    Example:
        >>> task = Similarity("cosine")
        >>> task.decode(np.array([[[1.0, 0.0], [0.6, 0.8]]]))
        [0.6]
    """

    name = "sentence-similarity"
    head = "sentence-embedding"
    reads = "groups"
    golden_examples = (
        ("It was fine.", "It was good."),
        ("房间很干净，服务也好。", "One line, and then another. " * 12),
    )

    def __init__(self, loss: str = "ranking", scale: float = 20.0, margin: float = 0.5) -> None:
        problems = Problems("Similarity")
        problems.choice("loss", loss, LOSSES)
        positive(problems, scale=scale, margin=margin)
        problems.raise_if_any()
        self.loss_name = loss
        self.scale = float(scale)
        self.margin = float(margin)

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> Task:
        """Takes scores for the loss `"cosine"`, texts without scores for `"ranking"`."""
        return cls("cosine" if np.ndim(labels) == 1 else "ranking")

    @property
    def compares_rows(self) -> bool:  # type: ignore[override]
        return self.loss_name == "ranking"

    @property
    def outputs(self) -> int:
        return 0

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        values = np.asarray(labels)
        if values.dtype.kind in "OU" and values.ndim == 1:  # of a file: in whatever spelling
            try:
                values = spelled_numbers(values.tolist())
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"{source}: expected a number as the score of each pair: {error}."
                ) from None
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise DataError(
                f"{source}: expected a number as the score of each pair; got "
                f"{values.flat[0]!r:.40}."
            )
        if self.loss_name == "cosine":
            return _scores(values, source)
        needed = (3,) if self.loss_name == "triplet" else (2, 3)
        if values.ndim != 2 or values.shape[1] not in needed or values.dtype.kind == "f":
            raise DataError(
                f"{source}: the loss {self.loss_name!r} takes {' or '.join(map(str, needed))} "
                f"texts and no scores; got {_kind(values)}. Scores go with Similarity('cosine')."
            )
        return values.astype("int32")

    def tokenize(
        self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0
    ) -> GroupedEncodings:
        size = len(examples[0]) if len(examples) and _is_group(examples[0]) else 2
        for row, example in enumerate(examples):
            if not _is_group(example) or len(example) != size:
                raise DataError(
                    f"example {row} is {example!r:.60}; expected a tuple of {size} strings, texts "
                    "to compare."
                )
        if tokenizer.stride is not None:
            raise DataError(
                "texts are compared as they are, cut at maxlen, not in windows: leave window out."
            )
        texts = [text for example in examples for text in example]
        found = tokenizer.encode(texts, verbose=verbose)
        if not isinstance(found, TokenEncodings):
            raise DataError(
                "texts are compared with texts here; of pictures, predictor.embed(...) gives "
                "vectors, whose cosines compare them with texts and with each other."
            )
        return GroupedEncodings(**vars(found), size=size)

    def custom_loss(self, loss: Any = None, label_smoothing: float = 0.0) -> Any:
        if isinstance(loss, str) and loss in LOSSES and loss != self.loss_name:
            raise ArgumentError(
                f"loss={loss!r} decides what the data has to be: pass "
                f"task=ktlite.tasks.Similarity({loss!r})."
            )
        return super().custom_loss(None if loss == self.loss_name else loss, label_smoothing)

    def loss(self) -> Any:
        return _keras_loss(self.loss_name, self.scale, self.margin)

    def metrics(self) -> list[Any]:
        return [_keras_error()] if self.loss_name == "cosine" else []

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        raise DataError("a similarity has no probabilities; predict() gives the cosines.")

    def decode(self, logits: np.ndarray) -> list[Any]:
        """Returns the cosine of the first two texts of each example."""
        return list(in_digits(cosines_of(logits)[:, 0])) if len(logits) else []

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        scores = targets if self.loss_name == "cosine" else np.ones(len(targets))
        return list(in_digits(np.asarray(scores, "float32")))

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the loss of each example; of `"ranking"`, among all that are given."""
        if self.loss_name == "cosine":
            return (cosines_of(logits)[:, 0] - targets) ** 2
        if self.loss_name == "triplet":
            cosines = cosines_of(logits)
            return np.maximum(cosines[:, 1] - cosines[:, 0] + self.margin, 0.0)
        losses = []
        for own, cosines, excluded in _compared(logits, targets):
            others = np.where(excluded, -np.inf, self.scale * cosines)
            top = others.max(axis=1, keepdims=True)
            total = np.log(np.exp(others - top).sum(axis=1)) + top[:, 0]
            losses.append(total - self.scale * own)
        return np.concatenate(losses)

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        measured = {"loss": self.example_losses(logits, targets), "cosine": cosines_of(logits)}
        if self.loss_name == "cosine":
            return {**measured, "score": targets}
        return {**measured, "rank": ranks(logits, targets)}

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        cosines = measured["cosine"]
        figures = {"loss": float(measured["loss"].mean())}
        if self.loss_name == "cosine":
            return {**figures, **_agreement(cosines[:, 0], measured["score"])}
        rank = measured["rank"]
        figures |= {f"recall@{cut}": float((rank <= cut).mean()) for cut in _CUTS}
        figures["mrr"] = float((1 / rank).mean())
        if cosines.shape[1] > 1:
            figures["triplet_accuracy"] = float((cosines[:, 0] > cosines[:, 1]).mean())
        return figures

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        """Compares cosines with scores; or counts how often a text finds the one it belongs to.

        In the second case all positives and negatives are searched: `recall@10` is the share of
        anchors whose positive is among the ten nearest, `mrr` the mean of 1 / its rank.
        """
        metrics = self.figures(self.measure(logits, targets))
        text = "\n".join(f"{name:>10} {value:10.4f}" for name, value in metrics.items())
        return Report(text, metrics, list(metrics.items()))

    def get_config(self) -> dict[str, Any]:
        return {"loss": self.loss_name, "scale": self.scale, "margin": self.margin}

    def hf_config(self) -> dict[str, Any]:
        return {}

    def write_files(self, folder: Path, maxlen: int | None) -> None:
        from ktlite.models.sentence_files import write_max_length

        assert maxlen is not None
        write_max_length(folder, maxlen)


def _scores(values: np.ndarray, source: str) -> np.ndarray:
    if values.ndim != 1:
        raise DataError(f"{source}: expected one score a pair; got {_kind(values)}.")
    if np.abs(values).max(initial=0) > 1:
        raise DataError(
            f"{source}: scores must be from -1 to 1, as cosines are; found {values.min():g} to "
            f"{values.max():g}. Divide them by the largest that there can be."
        )
    return values.astype("float32")


def _kind(values: np.ndarray) -> str:
    return "scores" if values.ndim == 1 else f"{values.shape[1]} columns"


def _is_group(example: Any) -> bool:
    return (
        isinstance(example, (tuple, list))
        and len(example) > 1
        and all(isinstance(text, str) for text in example)
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(np.asarray(vectors, "float64"), axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def cosines_of(vectors: np.ndarray) -> np.ndarray:
    """Returns float64 [examples, texts - 1]: of each example's first text with the others."""
    unit = _unit(vectors)
    return np.einsum("nw,nkw->nk", unit[:, 0], unit[:, 1:])


def _compared(
    vectors: np.ndarray, numbers: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Compares anchors with all positives and negatives, some anchors at a time.

    Args:
        vectors: float [examples, texts, width].
        numbers: int [examples, texts].

    Yields:
        For some anchors: the cosine with their own positive [anchors]; with all candidates
        [anchors, candidates], positives first; and which of those do not count.
    """
    unit = _unit(vectors)
    candidates = np.concatenate(list(unit[:, 1:].swapaxes(0, 1)))
    theirs = numbers[:, 1:].T.reshape(-1)
    positives = np.arange(len(theirs)) < len(unit)
    of_row = np.tile(numbers[:, 0], numbers.shape[1] - 1)
    for start in range(0, len(unit), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(unit)))
        cosines = unit[rows, 0] @ candidates.T
        anchor, positive_number = numbers[rows, :1], numbers[rows, 1:2]
        excluded = (theirs == anchor) | (theirs == positive_number)
        excluded |= (of_row == anchor) & positives
        excluded[np.arange(len(rows)), rows] = False
        yield cosines[np.arange(len(rows)), rows], cosines, excluded


def ranks(vectors: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Returns the rank of each anchor's positive among all candidates, each counted once."""
    once = np.unique(numbers[:, 1:].T.reshape(-1), return_index=True)[1]
    ranks = []
    for start, (own, cosines, excluded) in enumerate(_compared(vectors, numbers)):
        rows = start * _CHUNK + np.arange(len(own))
        excluded[np.arange(len(rows)), rows] = True
        # Others that are as near come first: vectors that are all the same find nothing.
        before = (cosines >= own[:, None]) & ~excluded
        ranks.append(1 + before[:, once].sum(axis=1))
    return np.concatenate(ranks)


def _agreement(cosines: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Returns how well cosines agree with scores."""
    from scipy.stats import pearsonr, spearmanr

    varied = len(scores) > 1 and np.ptp(cosines) > 0 and np.ptp(scores) > 0
    return {
        "mae": float(np.abs(cosines - scores).mean()),
        "spearman": float(spearmanr(scores, cosines).statistic) if varied else float("nan"),
        "pearson": float(pearsonr(scores, cosines).statistic) if varied else float("nan"),
    }


def _keras_loss(name: str, scale: float, margin: float) -> Any:
    """Returns a new Keras loss over vectors [batch, texts, width], a value an example."""
    import keras
    from keras import ops

    from ktlite.models.pooling import unit

    def first_cosines(vectors: Any) -> Any:
        return ops.sum(vectors[:, :1] * vectors[:, 1:], axis=-1)

    def cosine(scores: Any, vectors: Any) -> Any:
        return ops.square(first_cosines(vectors)[:, 0] - ops.reshape(scores, (-1,)))

    def triplet(numbers: Any, vectors: Any) -> Any:
        cosines = first_cosines(vectors)
        return ops.relu(cosines[:, 1] - cosines[:, 0] + margin)

    def ranking(numbers: Any, vectors: Any) -> Any:
        rows, texts, width = ops.shape(vectors)
        candidates = ops.reshape(ops.transpose(vectors[:, 1:], (1, 0, 2)), (-1, width))
        theirs = ops.reshape(ops.transpose(numbers[:, 1:]), (-1,))
        column, row = ops.arange(rows * (texts - 1)), ops.expand_dims(ops.arange(rows), 1)
        anchor = numbers[:, :1]
        excluded = ops.logical_or(ops.equal(theirs, anchor), ops.equal(theirs, numbers[:, 1:2]))
        same_anchor = ops.equal(ops.tile(numbers[:, 0], texts - 1), anchor)
        excluded = ops.logical_or(excluded, ops.logical_and(same_anchor, column < rows))
        own = ops.equal(column, row)
        logits = scale * ops.matmul(vectors[:, 0], ops.transpose(candidates))
        logits = ops.where(ops.logical_and(excluded, ops.logical_not(own)), -1e9, logits)
        right = ops.sum(ops.where(own, logits, 0.0), axis=1)
        return ops.logsumexp(logits, axis=1) - right

    functions = {"cosine": cosine, "triplet": triplet, "ranking": ranking}

    class SimilarityLoss(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return functions[name](y_true, unit(y_pred))

    return SimilarityLoss(name=name)


def _keras_error() -> Any:
    """Returns a Keras metric: the mean absolute difference of cosines from scores."""
    import keras
    from keras import ops

    from ktlite.models.pooling import unit

    class CosineError(keras.metrics.Mean):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            vectors = unit(y_pred)
            cosines = ops.sum(vectors[:, 0] * vectors[:, 1], axis=-1)
            errors = ops.abs(cosines - ops.reshape(ops.cast(y_true, "float32"), (-1,)))
            return super().update_state(errors, sample_weight=sample_weight)

    return CosineError("mae")
