"""All that a step's loss may be made of, in a graph with XLA, in pieces and whole."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

import ktlite

TEXTS = ["Ann", "in Berlin a man slept well and woke up again", "Bob ran", "Eve slept well"]


def test_a_traced_step_in_pieces_is_that_of_the_batch(still_checkpoint: Path) -> None:
    found = []
    for tokens in (16, None):
        here = ktlite.get_learner(
            still_checkpoint, (TEXTS, list("abab")), (TEXTS, list("abab")), batch_size=4, verbose=0,
            maxlen=24, check=False, micro_tokens=tokens, mixup=1.0, r_drop=1.0, adversarial=True,
            xla=True,
        )  # fmt: skip
        here.model.optimizer.epsilon = 1.0
        here.fit(0.5, 2, verbose=0)
        held = here.model.trainable_weights
        found.append([keras.ops.convert_to_numpy(weight) for weight in held])
    for pieces, whole in zip(*found, strict=True):
        np.testing.assert_allclose(pieces, whole, atol=2e-5)
