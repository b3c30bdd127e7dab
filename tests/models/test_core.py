"""The core's parts: positions, distances, windows, and tables of them."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from ktlite.models import from_config
from ktlite.models.core.attention import rotate, within
from ktlite.models.core.embeddings import sinusoids
from ktlite.models.core.relative import by_pair, deberta_rows, t5_rows
from ktlite.models.core.spec import RelativeSpec

DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 97,
    "dim": 32,
    "n_layers": 1,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
}


def test_values_by_distance_come_to_their_pairs() -> None:
    n = 4
    distances = np.arange(-(n - 1), n)  # column - row
    values = 100 * np.arange(n)[:, None] + distances  # of row i, at each distance
    expected = [[100 * i + (j - i) for j in range(n)] for i in range(n)]
    batched = np.stack([values, -values]).astype(np.float32)[:, None]
    found = keras.ops.convert_to_numpy(by_pair(batched))
    np.testing.assert_array_equal(found[0, 0], expected)
    np.testing.assert_array_equal(found[1, 0], -np.array(expected))


@pytest.mark.parametrize(
    ("distance", "row"),
    [
        *((-d, d) for d in range(8)),  # a row each, to the left
        *((d, 16 + d) for d in range(1, 8)),  # and to the right
        (-8, 8),
        (-11, 8),
        (-12, 9),  # 8 * 16 ** (1 / 8) = 11.3 is where the second bucket begins
        (-15, 9),
        (-16, 10),  # exactly on a border: a quarter of the way to 128, in logarithms
        (-64, 14),
        (-90, 14),
        (-91, 15),
        (-128, 15),
        (-5000, 15),
        (64, 30),
        (5000, 31),
    ],
)
def test_t5_buckets(distance: int, row: int) -> None:
    assert t5_rows(np.array([distance]), 32, 128) == [row]


@pytest.mark.parametrize(
    ("distance", "row"),
    [
        (0, 8),
        (1, 9),
        (4, 12),  # up to the middle, a row each
        (5, 13),  # ceil(log(5/4) / log(23/4) * 3) = 1 beyond it
        (7, 13),
        (8, 14),  # ceil(1.19) = 2
        (12, 14),
        (13, 15),  # ceil(2.02) = 3
        (23, 15),
        (39, 15),  # the last row, whatever the distance
        (-1, 7),
        (-5, 3),
        (-13, 1),
        (-39, 0),
    ],
)
def test_deberta_buckets(distance: int, row: int) -> None:
    spec = RelativeSpec("vectors", buckets=16, max_distance=24)
    assert deberta_rows(np.array([distance]), spec) == [row]


def test_deberta_without_buckets_has_a_row_a_distance() -> None:
    spec = RelativeSpec("vectors", buckets=8, max_distance=4, log=False)
    assert deberta_rows(np.arange(-6, 7), spec).tolist() == [0, 0, 0, *range(1, 8), 7, 7, 7]


def test_window_reaches_as_far_on_both_sides() -> None:
    found = keras.ops.convert_to_numpy(within(1, 4)).astype(int)
    assert found.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]


def test_rotation_turns_pairs_by_their_angles() -> None:
    x = np.array([[1.0, 2.0, 0.0, 0.0]], np.float32)  # pairs (1, 0) and (2, 0)
    angle = np.array([[math.pi / 2, math.pi / 6]], np.float32)
    found = keras.ops.convert_to_numpy(rotate(x, np.cos(angle), np.sin(angle)))
    np.testing.assert_allclose(found, [[0.0, math.sqrt(3), 1.0, 1.0]], atol=1e-6)


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoids(7, 4)
    expected = [math.sin(5), math.cos(5), math.sin(5 / 100), math.cos(5 / 100)]
    np.testing.assert_allclose(table[5], expected, rtol=1e-6)


def test_sinusoidal_positions_are_what_a_new_model_starts_from() -> None:
    model = from_config({**DISTILBERT, "sinusoidal_pos_embds": True})
    np.testing.assert_array_equal(model.embeddings.position.embeddings.numpy(), sinusoids(40, 32))
    assert len(model.trainable_variables) == len(from_config(DISTILBERT).trainable_variables)


def test_layers_of_a_group_share_their_weights() -> None:
    config = {
        "model_type": "albert",
        "vocab_size": 97,
        "embedding_size": 16,
        "hidden_size": 32,
        "num_hidden_layers": 12,
        "num_attention_heads": 4,
        "intermediate_size": 48,
    }
    one, two = (from_config({**config, "num_hidden_groups": groups}) for groups in (1, 2))
    assert (len(one.encoder.blocks), len(two.encoder.blocks)) == (1, 2)
    block = sum(math.prod(w.shape) for w in one.encoder.blocks[0].weights)
    assert two.count_params() - one.count_params() == block


def test_number_of_parameters_is_that_of_published_models() -> None:
    """albert-base-v2 has 11,683,584 with its pooler of 768 * 769."""
    albert = {
        "model_type": "albert",
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    }
    assert from_config(albert).count_params() == 11_683_584 - 768 * 769
