"""The loss of texts that frames may say in many ways, and the search for the likeliest."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ktlite.encodings.targets import IGNORE
from ktlite.errors import ArgumentError
from ktlite.generation.heard import search
from ktlite.tasks import SpeechRecognition
from ktlite.tasks.arrays import log_softmax
from ktlite.tasks.ctc import ctc_loss, negative_log_likelihood

FRAMES = np.array([60, 41, 12, 60, 5])
LENGTHS = np.array([25, 9, 6, 0, 4])


def drawn(tokens: int = 12, scale: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits, those of padding as the head makes them, and texts; blank 2."""
    random = np.random.default_rng(3)
    logits = (scale * random.standard_normal((5, 60, tokens))).astype("float32")
    logits[np.arange(60) >= FRAMES[:, None]] = np.where(np.arange(tokens) == 2, 0, -1e4)
    numbers = random.integers(3, 6, (5, 25))
    numbers[4] = 3  # four times the same take seven frames
    return logits, np.where(np.arange(25) < LENGTHS[:, None], numbers, IGNORE)


def slope(loss: Any, targets: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], "int32"),
            tf.TensorSpec([None, None, None], "float32"),
        ]
    )
    def both(targets: Any, logits: Any) -> Any:
        losses = loss.call(targets, logits)
        return losses, tf.gradients(losses, logits)[0]

    found = both(tf.constant(targets, "int32"), tf.constant(logits))
    return found[0].numpy(), found[1].numpy()


@pytest.mark.torch
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_loss_and_gradient_are_pytorchs(reduction: str) -> None:
    torch = pytest.importorskip("torch")
    logits, targets = drawn()
    losses, slopes = slope(ctc_loss(2, reduction), targets, logits)
    given = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        torch.log_softmax(given, -1).transpose(0, 1), torch.tensor(np.maximum(targets, 0)),
        torch.tensor(FRAMES), torch.tensor(LENGTHS), 2, "none", zero_infinity=True,
    )  # fmt: skip
    if reduction == "mean":
        expected = expected / torch.tensor(LENGTHS).clamp(min=1)
    expected.sum().backward()
    np.testing.assert_allclose(losses, expected.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(slopes, given.grad.numpy(), rtol=0, atol=1e-5)


def test_texts_that_are_too_long_for_their_frames() -> None:
    logits, targets = drawn()
    losses = np.asarray(ctc_loss(2, "sum", zero_infinity=True).call(targets, logits))
    expected = [
        negative_log_likelihood(row[:frames], text[text != IGNORE], 2)
        for row, frames, text in zip(logits, FRAMES, targets, strict=True)
    ]
    np.testing.assert_allclose(losses[:4], expected[:4], rtol=1e-6)
    assert losses[4] == 0
    assert expected[4] == np.inf
    losses, slopes = slope(ctc_loss(2, "sum", zero_infinity=False), targets, logits)
    assert losses[4] == np.inf
    assert not slopes[4].any()  # a batch learns of its other texts
    assert np.isfinite(losses[:4]).all()


def likeliest(chances: np.ndarray, blank: int) -> tuple[int, ...]:
    """Returns the likeliest text, of the sums over each way in which frames say it."""
    sums: dict[tuple[int, ...], float] = {}
    for way in itertools.product(range(chances.shape[1]), repeat=len(chances)):
        said = tuple(token for token, _ in itertools.groupby(way) if token != blank)
        sums[said] = np.logaddexp(sums.get(said, -np.inf), chances[range(len(way)), way].sum())
    return max(sums, key=lambda text: sums[text])


def test_beams_find_the_likeliest_text() -> None:
    random = np.random.default_rng(0)
    differ = 0
    for number in range(40):
        chances = log_softmax(random.standard_normal((6, 3)))
        blank = number % 3
        best = likeliest(chances, blank)
        assert tuple(search(chances, blank, 1_000)) == best
        greedy = [token for token, _ in itertools.groupby(chances.argmax(1)) if token != blank]
        differ += tuple(greedy) != best
    assert differ > 5
    assert not len(search(np.zeros((0, 3)), 0, 4))


def test_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"num_beams=0.*\n.*ctc_loss_reduction.*\n.*'ab'"):
        SpeechRecognition(["ab"], num_beams=0, ctc_loss_reduction="none")
    with pytest.raises(ArgumentError, match="has no vocabulary before"):
        SpeechRecognition("ab").encode(["a"])
