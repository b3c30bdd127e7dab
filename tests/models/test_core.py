"""The core's parts: positions, distances, windows, and tables of them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest

from ktlite.models import from_config
from ktlite.models.core.attention import rotate, within
from ktlite.models.core.embeddings import sinusoids
from ktlite.models.core.init import TruncatedNormal, normalisation
from ktlite.models.core.relative import by_pair, deberta_rows, t5_rows
from ktlite.models.core.spec import NormSpec, RelativeSpec
from ktlite.models.families import get_family
from ktlite.models.transfer import collect_tensors

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


def test_numbers_beyond_the_angles_do_not_turn() -> None:
    x = np.array([[1.0, 0.0, 5.0, 6.0]], np.float32)
    angle = np.array([[math.pi / 2]], np.float32)
    found = keras.ops.convert_to_numpy(rotate(x, np.cos(angle), np.sin(angle)))
    np.testing.assert_allclose(found, [[0.0, 1.0, 5.0, 6.0]], atol=1e-6)


def test_weights_around_one_start_as_zeros_and_scale_by_one_more() -> None:
    layer = normalisation(NormSpec(0.0, kind="rms", around_one=True), name="norm", dtype="float32")
    x = np.array([[3.0, -4.0]], np.float32)  # the root of its mean square is 3.5355
    alone = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(alone, x / math.sqrt(12.5), rtol=1e-6)
    layer.gamma.assign([0.5, -1.0])
    np.testing.assert_allclose(layer(x), [[4.5 / math.sqrt(12.5), 0.0]], rtol=1e-6)


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


# New weights


INITIAL = json.loads(
    (Path(__file__).parents[1] / "golden" / "initial_weights.json").read_text(encoding="utf-8")
)
TASKS = {  # by the last part of a golden folder's name
    "choice": "multiple-choice",
    "mlm": "masked-lm",
    "pretraining": "pretraining",
    "token": "token-classification",
}


@pytest.mark.parametrize("name", INITIAL)
def test_new_weights_are_drawn_as_pytorch_draws_them(name: str) -> None:
    config, expected = INITIAL[name]["config"], INITIAL[name]["tensors"]
    task = TASKS.get(name.rpartition("-")[2], "text-classification")
    task = "image-classification" if config["model_type"] in ("vit", "deit") else task
    tensors = collect_tensors(from_config(config, task))
    # ktlite has no pooler, nor a decoder's bias, where nothing takes what they give.
    assert set(tensors) <= set(expected)
    for key, tensor in tensors.items():
        mean, stddev, largest, zero_rows = expected[key]
        if stddev == 0:
            np.testing.assert_array_equal(tensor, np.full_like(tensor, mean), err_msg=key)
            continue
        # Both are estimates; five times the standard error of their difference.
        assert tensor.std() == pytest.approx(stddev, rel=5 / math.sqrt(tensor.size)), key
        assert abs(tensor.mean()) < 5 * stddev / math.sqrt(tensor.size), key
        if tensor.size > 1000:  # a thousand normal numbers go beyond, those cut off do not
            limit = 2.5 * stddev
            assert (np.abs(tensor).max() > limit) == (largest > limit), key
        assert [i for i, row in enumerate(tensor) if not row.any()] == zero_rows, key


def test_every_family_is_in_the_table_of_initial_weights() -> None:
    """XLM-RoBERTa and CamemBERT are RoBERTa by another name."""
    shown = {get_family(entry["config"]["model_type"]).spec for entry in INITIAL.values()}
    known = ("albert", "bert", "deberta-v2", "deit", "distilbert", "electra", "modernbert",
             "mpnet", "roberta", "vit")  # fmt: skip
    assert shown == {get_family(model_type).spec for model_type in known}


@pytest.mark.parametrize("cutoff", [1.0, 2.0, 8.0])
def test_truncated_normal_has_the_moments_of_its_distribution(cutoff: float) -> None:
    found = keras.ops.convert_to_numpy(TruncatedNormal(0.5, cutoff, seed=3)((200, 200)))
    density = math.exp(-(cutoff**2) / 2) / math.sqrt(2 * math.pi)
    inside = math.erf(cutoff / math.sqrt(2))
    expected = 0.5 * math.sqrt(1 - 2 * cutoff * density / inside)
    assert found.std() == pytest.approx(expected, rel=0.02)
    assert abs(found.mean()) < 0.01
    assert np.abs(found).max() <= 0.5 * cutoff


def test_cutoff_of_modernbert_is_read() -> None:
    config = {**INITIAL["modernbert"]["config"], "initializer_cutoff_factor": 1.0}
    words = keras.ops.convert_to_numpy(from_config(config).embeddings.word.embeddings)
    assert np.abs(words).max() == pytest.approx(0.02, rel=1e-3)


def test_vector_of_padding_is_zero_in_every_precision() -> None:
    for dtype in ("float32", "bfloat16", "float16"):
        words = from_config({**DISTILBERT, "pad_token_id": 2}, dtype=dtype).embeddings.word
        zero = ~np.any(keras.ops.convert_to_numpy(words.embeddings).astype("float32"), axis=1)
        assert np.flatnonzero(zero).tolist() == [2]
