"""Pretraining: which words were masked, and in which order do two segments follow?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError
from ktlite.tasks.arrays import log_softmax
from ktlite.tasks.losses import IGNORE, counted_accuracy, counted_cross_entropy
from ktlite.tasks.task import Report, Task

WORDS, ORDER = "prediction_logits", "sop_logits"  # Hugging Face's names of the outputs


class MaskedLM(Task):
    """Masked language model, with or without ALBERT's sentence-order prediction.

    The targets are the ids of the masked tokens, int32 [texts, predictions], `IGNORE` where a
    text has fewer; with `sentence_order` a dict of these (`prediction_logits`) and of 0 for
    segments in their order, 1 for swapped ones (`sop_logits`, int32 [texts]).

    Args:
        sentence_order: Whether there is the second objective (Lan et al., 2019,
            arXiv:1909.11942, section 3.1).

    Example:
        >>> MaskedLM().metrics()[0].name
        'accuracy'
    """

    name = "masked-lm"
    counts_targets = True

    def __init__(self, sentence_order: bool = False) -> None:
        self.sentence_order = sentence_order

    @property
    def head(self) -> str:  # type: ignore[override]
        return "pretraining" if self.sentence_order else "masked-lm"

    @property
    def outputs(self) -> int:
        raise ArgumentError("a masked language model has an output for each entry of a vocabulary.")

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        raise ArgumentError("a masked language model learns from texts alone; there are no labels.")

    def loss(self) -> Any:
        if self.sentence_order:
            return {WORDS: counted_cross_entropy(), ORDER: counted_cross_entropy()}
        return counted_cross_entropy()

    def metrics(self) -> Any:
        if self.sentence_order:
            return {WORDS: [counted_accuracy()], ORDER: [counted_accuracy()]}
        return [counted_accuracy()]

    def reduce(
        self, outputs: Any, targets: Any, inputs: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns sums a text: [texts, 2 or 4] of loss and right answers, and of targets.

        The logits of a data set, a vocabulary for each masked token, are too many to keep.
        """
        if not self.sentence_order:
            return _sums(outputs, targets)
        pairs = [_sums(outputs[name], targets[name]) for name in (WORDS, ORDER)]
        sums, counts = (np.concatenate(part, axis=1) for part in zip(*pairs, strict=True))
        return sums, counts

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        raise ArgumentError("pretraining predicts no labels; fine-tune the checkpoint first.")

    def decode(self, logits: np.ndarray) -> list[Any]:
        return [f"{int(row[1])} right" for row in logits]

    def decode_targets(self, targets: np.ndarray) -> list[Any]:
        return [f"{int(row[0])} masked tokens" for row in targets]

    def example_losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the mean loss of each text's masked tokens."""
        return logits[:, 0] / np.maximum(targets[:, 0], 1)

    def report(self, logits: np.ndarray, targets: np.ndarray) -> Report:
        losses, right = logits[:, ::2].sum(axis=0), logits[:, 1::2].sum(axis=0)
        counts = np.maximum(targets.sum(axis=0), 1)
        metrics = {
            "masked_lm_loss": losses[0] / counts[0],
            "perplexity": np.exp(losses[0] / counts[0]),
            "masked_lm_accuracy": right[0] / counts[0],
        }
        if self.sentence_order:
            metrics["sentence_order_accuracy"] = right[1] / counts[1]
        metrics = {name: float(value) for name, value in metrics.items()}
        text = "\n".join(f"{name:>24} {value:10.4f}" for name, value in metrics.items())
        return Report(text, metrics, list(metrics.items()))

    def get_config(self) -> dict[str, Any]:
        return {"sentence_order": self.sentence_order}

    def hf_config(self) -> dict[str, Any]:
        return {}


def _sums(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (sum of losses, right answers) [texts, 2] and the number of targets [texts, 1].

    Args:
        logits: [texts, ..., classes].
        targets: int [texts, ...].
    """
    counted = targets != IGNORE
    classes = np.where(counted, targets, 0)
    chosen = np.take_along_axis(log_softmax(logits), classes[..., None], axis=-1)[..., 0]
    right = (logits.argmax(axis=-1) == targets) & counted
    inner = tuple(range(1, targets.ndim))
    sums = np.stack([-(chosen * counted).sum(axis=inner), right.sum(axis=inner)], axis=1)
    return sums.astype("float64"), counted.sum(axis=inner)[:, None]
