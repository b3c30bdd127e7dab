"""Images and the texts that belong to them: vectors of both that are near each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktlite._arguments import checked, not_a_string
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.joined import JoinedEncodings
from ktlite.errors import ArgumentError, DataError, Problems
from ktlite.inputs.images import Images
from ktlite.inputs.images_or_texts import ImagesOrTexts
from ktlite.tasks.arrays import in_digits, softmax
from ktlite.tasks.similarity import cosines_of, ranks
from ktlite.tasks.task import Report, Task

#: What a label is put into, in place of `{}`.
TEMPLATE = "This is a photo of {}."
_CHUNK = 512  # images, or texts, compared with all others at a time
_CUTS = (1, 10)  # recall at


@dataclass(frozen=True)
class _Claim:
    """A text that a caller of `predict` compares pictures with; a string would be a path."""

    text: str


class ImageText(Task):
    """Vectors of images and of texts, in one space, learned from pairs (CLIP, SigLIP).

    An example is a picture, its label a text that belongs to it. Among all texts of the batch each
    picture has to find its own, and each text its picture: the mean of both cross-entropies (CLIP:
    Radford et al., 2021, arXiv:2103.00020). Of a checkpoint that judges each pair alone, the
    logistic loss of all pairs of the batch (SigLIP: Zhai et al., 2023, arXiv:2303.15343). The scale
    of the cosines, and there a bias, are learned. The batch is that of one device and one step, so
    `accumulate` does not make it larger. Pairs of a picture with a text that equals its own do not
    count as wrong, so that names of classes may be texts.

    Outputs are float32 [examples, 2 or 3, width]: a picture's vector times the scale, the text's
    vector, and where pairs are judged alone, the bias; without a text, its vector is left out.

    Example:
        >>> learner = ktlite.get_learner("openai/clip-vit-base-patch32", "pictures.csv",
        ...     text_column="file", label_columns="caption", task="image-text-similarity")
        >>> learner.fit_onecycle(1e-5, 3)
        >>> learner.get_predictor().predict("new.jpg", labels=["a cat", "a dog"])
        [0.98, 0.02]
    """

    name = "image-text-similarity"
    head = "image-text-similarity"
    labels_are_texts = True
    compares_rows = True
    golden_examples = Images.golden

    @classmethod
    def from_labels(
        cls, labels: Any, class_names: Sequence[Any] = (), source: str = "labels"
    ) -> ImageText:
        return cls()

    @property
    def outputs(self) -> int:
        return 0

    def prepared(self, input: Any) -> Any:
        self._both(input)
        return input

    def _both(self, input: Any) -> ImagesOrTexts:
        if not isinstance(input, ImagesOrTexts):
            raise ArgumentError(
                f"a {self.name} task is of models that compare images with texts, such as CLIP; "
                f"this model reads {input.noun}s alone."
            )
        return input

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        """Returns the texts, [examples] object (str)."""
        values = np.asarray(labels, dtype=object)
        wrong = [value for value in values.ravel() if not isinstance(value, str)]
        if values.ndim != 1 or wrong:
            first = f"{wrong[0]!r:.40} of type {type(wrong[0]).__name__}" if wrong else values.shape
            raise DataError(f"{source}: expected a text for each image; got {first}.")
        return values

    def tokenize(self, examples: Sequence[Any], tokenizer: Any, verbose: int = 0) -> Encodings:
        input = self._both(tokenizer)
        claims = [example.text for example in examples if isinstance(example, _Claim)]
        if claims:
            return input.texts.encode(claims, verbose=verbose)
        return input.images.encode(examples, verbose=verbose)

    def with_targets(self, encodings: Encodings, targets: np.ndarray, input: Any) -> Encodings:
        """Puts the texts beside the pictures."""
        texts = self._both(input).texts.encode(targets.tolist())
        return JoinedEncodings({"image": encodings, "text": texts}, prefixed=False)

    def align(self, targets: np.ndarray, encodings: Encodings, rows: np.ndarray) -> np.ndarray:
        """Returns int32 [batch]: numbers of the texts, the same for equal ones of a batch."""
        return _numbered(targets[rows])

    def loss(self) -> Any:
        return _keras_loss()

    def metrics(self) -> list[Any]:
        return []

    @checked
    def predict(
        self,
        examples: Any,
        run: Callable[[Sequence[Any]], np.ndarray],
        return_proba: bool = False,
        *,
        labels: Sequence[str] = (),
        template: str = TEMPLATE,
        include_labels: bool = False,
    ) -> Any:
        """Says how well each label fits each picture.

        Args:
            examples: A picture, or several.
            run: Turns pictures, or texts, into vectors.
            return_proba: Makes no difference.
            labels: The labels, in the words of the training data's texts.
            template: The sentence that a label is put into, in place of `{}`; `"{}"`: the label is
                the text.
            include_labels: Give (label, probability) in place of probabilities.

        Returns:
            For one picture a list, for several a list of lists. Of CLIP they sum to 1; of SigLIP,
            which judges each pair alone, they need not.

        Raises:
            ArgumentError: If there are no labels, or the template has no place for one.
        """
        claims = claims_of("predict", labels, template)
        many, single = self.as_list(examples)
        logits = _logits(run(many), run([_Claim(claim) for claim in claims])[:, 0])
        rows = [list(map(float, row)) for row in logits]
        if include_labels:
            listed: list[Any] = [list(zip(labels, row, strict=True)) for row in rows]
            return listed[0] if single else listed
        return rows[0] if single else rows

    def as_list(self, examples: Any) -> tuple[list[Any], bool]:
        single = isinstance(examples, str) or Images.is_one(examples)
        return ([examples], True) if single else (Images.listed(examples), False)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        raise DataError(
            "a picture alone has no probabilities; predict(picture, labels=[...]) gives those of "
            "labels."
        )

    def decode(self, logits: np.ndarray) -> list[Any]:
        """Returns the cosine of each picture with its text; of pictures alone, their vectors."""
        if _has_text(logits):
            return list(in_digits(cosines_of(logits[:, :2])[:, 0]))
        vectors = logits[:, 0] / np.linalg.norm(logits[:, 0], axis=-1, keepdims=True)
        return [list(in_digits(vector)) for vector in vectors]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return list(targets)

    def describe(self, example: Any, true: Any, predicted: Any) -> tuple[str, list[str]]:
        return f"cosine {predicted}", [f"text: {true}", str(ImagesOrTexts.shown(example))]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the loss of each picture, among all that are given."""
        numbers = _numbered(targets)
        images, texts = logits[:, 0].astype("float64"), logits[:, 1].astype("float64")
        if logits.shape[1] == 3:
            pairs = _compared(images, texts, numbers)
            return np.concatenate([
                np.where(own, np.logaddexp(0, -z), np.where(counts, np.logaddexp(0, z), 0)).sum(1)
                for z, own, counts in ((z + logits[0, 2, 0], o, c) for z, o, c in pairs)
            ])  # fmt: skip
        losses = np.zeros(len(logits))
        for one, other in ((images, texts), (texts, images)):
            losses += np.concatenate([
                np.logaddexp.reduce(np.where(counts, z, -np.inf), axis=1) - z[own]
                for z, own, counts in _compared(one, other, numbers)
            ])  # fmt: skip
        return losses / 2

    def measure(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        vectors, numbers = logits[:, :2], _numbered(targets)
        both = np.stack([np.arange(len(numbers)), numbers], axis=1)
        return {
            "loss": self.example_losses(logits, targets),
            "cosine": cosines_of(vectors)[:, 0],
            "text": ranks(vectors, both),
            "image": ranks(vectors[:, ::-1], both[:, ::-1]),
        }

    def figures(self, measured: Mapping[str, np.ndarray]) -> dict[str, float]:
        figures = {name: float(measured[name].mean()) for name in ("loss", "cosine")}
        for found in ("text", "image"):
            rank = measured[found]
            figures |= {f"{found} recall@{cut}": float((rank <= cut).mean()) for cut in _CUTS}
            figures[f"{found} mrr"] = float((1 / rank).mean())
        return figures

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        """Counts how often a picture finds its text among all texts, and a text its picture.

        `text recall@10` is the share of pictures whose text is among the ten nearest of the
        different texts, `text mrr` the mean of 1 / its rank; `image recall@10` is that of texts.
        """
        metrics = self.figures(self.measure(logits, targets))
        text = "\n".join(f"{name:>16} {value:10.4f}" for name, value in metrics.items())
        return Report(text, metrics, list(metrics.items()))

    def get_config(self) -> dict[str, Any]:
        return {}

    def hf_config(self) -> dict[str, Any]:
        return {}


def claims_of(where: str, labels: Any, template: str) -> list[str]:
    """Returns labels as the texts that pictures are compared with.

    Raises:
        ArgumentError: If there are none, or the template has no place for one.
    """
    problems = Problems(where)
    not_a_string(problems, labels=labels)
    problems.add_unless(
        len(labels) > 0 and all(isinstance(name, str) and name.strip() for name in labels),
        f"labels={labels!r}; expected a list of words or phrases, such as ['a cat'].",
    )
    problems.add_unless("{}" in template, f"template={template!r} has no {{}} for the label.")
    problems.raise_if_any()
    return [template.replace("{}", name) for name in labels]


def _has_text(outputs: np.ndarray) -> bool:
    """Says whether outputs are of pictures with texts: a bias is the same in all components."""
    if outputs.shape[1] != 2 or not len(outputs):
        return bool(outputs.shape[1] == 3)
    return bool(np.ptp(outputs[0, 1]) > 0)


def _logits(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Returns probabilities [images, texts] of outputs of images, and vectors of texts."""
    products = images[:, 0] @ texts.T
    if images.shape[1] == 1:
        found: np.ndarray = softmax(products)
        return found
    return 1 / (1 + np.exp(-(products + images[:, 1, :1])))


def _numbered(texts: np.ndarray) -> np.ndarray:
    """Returns int32 [texts], the same number for equal texts."""
    return np.unique(texts.astype(str), return_inverse=True)[1].reshape(-1).astype("int32")


def _compared(
    one: np.ndarray, other: np.ndarray, numbers: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields, for some rows of `one`, [rows, all]: products, which is its own, which count."""
    for start in range(0, len(one), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(one)))
        own = rows[:, None] == np.arange(len(one))
        yield one[rows] @ other.T, own, own | (numbers[rows][:, None] != numbers)


def _keras_loss() -> Any:
    """Returns a new Keras loss over outputs [batch, 2 or 3, width], a value an example."""
    import keras
    from keras import ops

    class ImageTextLoss(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            numbers = ops.reshape(y_true, (-1,))
            rows = ops.arange(ops.shape(numbers)[0])
            own = ops.equal(ops.expand_dims(rows, 1), rows)
            equal = ops.equal(ops.expand_dims(numbers, 1), numbers)
            counts = ops.logical_or(own, ops.logical_not(equal))
            logits = ops.matmul(y_pred[:, 0], ops.transpose(y_pred[:, 1]))
            if y_pred.shape[1] == 3:  # each pair is judged alone
                logits = logits + y_pred[:, 2, :1]
                losses = ops.softplus(ops.where(own, -logits, logits))
                return ops.sum(ops.where(counts, losses, 0.0), axis=1)
            right = ops.sum(ops.where(own, logits, 0.0), axis=1)
            logits = ops.where(counts, logits, -1e9)
            totals = ops.logsumexp(logits, axis=1) + ops.logsumexp(logits, axis=0)
            return totals / 2 - right

    return ImageTextLoss(name="image_text")
