"""Pretraining's figures, compared with scikit-learn's on the same logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss

from ktlite.errors import ArgumentError
from ktlite.tasks import MaskedLM
from ktlite.tasks.masked_lm import IGNORE, ORDER, WORDS

WORDS_IN_ALL = 7


@pytest.fixture
def batch() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    random = np.random.default_rng(5)
    words = random.integers(0, WORDS_IN_ALL, (4, 3)).astype("int32")
    words[1, 1:] = IGNORE
    words[3] = IGNORE
    order = np.array([0, 1, IGNORE, 1], "int32")
    outputs = {
        WORDS: 3 * random.normal(size=(4, 3, WORDS_IN_ALL)).astype("float32"),
        ORDER: 3 * random.normal(size=(4, 2)).astype("float32"),
    }
    return outputs, {WORDS: words, ORDER: order}


def flat(outputs: Any, targets: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns (targets that count, probabilities), computed apart from ktlite."""
    counted = targets[name] != IGNORE
    return targets[name][counted], softmax(outputs[name].astype("float64"), axis=-1)[counted]


def expected(outputs: Any, targets: Any, name: str) -> tuple[float, float]:
    true, probabilities = flat(outputs, targets, name)
    classes = np.arange(probabilities.shape[1])
    return (
        log_loss(true, probabilities, labels=classes),
        accuracy_score(true, probabilities.argmax(axis=-1)),
    )


def test_losses_are_means_over_the_targets_that_count(batch: Any) -> None:
    outputs, targets = batch
    losses = MaskedLM(sentence_order=True).loss()
    for name in (WORDS, ORDER):
        value = float(losses[name](targets[name], outputs[name]))
        assert value == pytest.approx(expected(outputs, targets, name)[0], rel=1e-5)
    alone = MaskedLM().loss()
    assert float(alone(targets[WORDS], outputs[WORDS])) == pytest.approx(
        expected(outputs, targets, WORDS)[0], rel=1e-5
    )


def test_accuracy_counts_over_batches(batch: Any) -> None:
    outputs, targets = batch
    metrics = MaskedLM(sentence_order=True).metrics()
    for name in (WORDS, ORDER):
        metric = metrics[name][0]
        metric.update_state(targets[name][:1], outputs[name][:1])
        metric.update_state(targets[name][1:], outputs[name][1:])
        assert float(metric.result()) == pytest.approx(expected(outputs, targets, name)[1])


@pytest.mark.parametrize("sentence_order", [False, True])
def test_the_report_is_scikit_learns(batch: Any, sentence_order: bool) -> None:
    outputs, targets = batch
    task = MaskedLM(sentence_order)
    if not sentence_order:
        outputs, targets = outputs[WORDS], targets[WORDS]
    parts = [
        task.reduce(*[_rows(part, rows) for part in (outputs, targets)], {})
        for rows in (slice(0, 3), slice(3, 4))
    ]
    sums, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    metrics = task.report(sums, counts).metrics
    loss, accuracy = expected(*batch, WORDS)
    assert metrics["masked_lm_loss"] == pytest.approx(loss, rel=1e-6)
    assert metrics["perplexity"] == pytest.approx(np.exp(loss), rel=1e-6)
    assert metrics["masked_lm_accuracy"] == pytest.approx(accuracy)
    assert ("sentence_order_accuracy" in metrics) == sentence_order
    if sentence_order:
        assert metrics["sentence_order_accuracy"] == pytest.approx(expected(*batch, ORDER)[1])


def test_the_loss_of_a_text_is_the_mean_of_its_words(batch: Any) -> None:
    outputs, targets = batch
    sums, counts = MaskedLM().reduce(outputs[WORDS], targets[WORDS], {})
    losses = MaskedLM().example_losses(sums, counts)
    for row in range(3):
        one = {WORDS: outputs[WORDS][row]}, {WORDS: targets[WORDS][row]}
        assert losses[row] == pytest.approx(expected(*one, WORDS)[0], rel=1e-6)
    assert losses[3] == 0


def test_there_are_no_labels() -> None:
    with pytest.raises(ArgumentError, match="texts alone"):
        MaskedLM().encode(["a"])


def _rows(part: Any, rows: slice) -> Any:
    return {k: v[rows] for k, v in part.items()} if isinstance(part, dict) else part[rows]
