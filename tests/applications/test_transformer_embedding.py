"""ktrain's `TransformerEmbedding`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite import text
from ktlite.errors import ArgumentError, DataError
from ktlite.models import from_pretrained

WORDS = ["good", "filmfilm", "a"]


@pytest.fixture(scope="module")
def states(two_blocks: Path) -> Any:
    """The outputs of each block [tokens, width] for WORDS, and the word of each token."""
    from ktlite.inputs.tokenizer import Tokenizer

    encodings = Tokenizer(two_blocks, 40).encode_words([WORDS])
    inputs = encodings.batch(np.array([0]))
    length = len(encodings.ids)
    blocks = [from_pretrained(two_blocks, layers=n)(inputs) for n in (1, 2)]
    return [np.asarray(block)[0, :length] for block in blocks], encodings.words_in(0)


def test_layers_count_from_both_ends(two_blocks: Path, states: Any) -> None:
    (first, last), of_word = states
    tokens = [int(np.flatnonzero(of_word == word)[0]) for word in range(3)]
    for layers, block in (([-2], first), ([1], first), ([-1], last), ([2], last)):
        found = text.TransformerEmbedding(two_blocks, layers).embed([WORDS])
        np.testing.assert_allclose(found[0], block[tokens], atol=1e-5)
    both = text.TransformerEmbedding(two_blocks, [-1, -2]).embed([WORDS])
    np.testing.assert_allclose(both[0], np.concatenate([last, first], 1)[tokens], atol=1e-5)


def test_sub_words_are_averaged(two_blocks: Path, states: Any) -> None:
    (first, _), of_word = states
    assert (of_word == 1).sum() > 1
    embedding = text.TransformerEmbedding(two_blocks)
    found = embedding.embed([WORDS], aggregation_strategy="average")[0]
    np.testing.assert_allclose(found[1], first[of_word == 1].mean(axis=0), atol=1e-5)


def test_shorter_texts_are_filled_up_and_long_ones_read_whole(two_blocks: Path) -> None:
    embedding = text.TransformerEmbedding(two_blocks)
    long = " ".join(["good film"] * 40)
    vectors = embedding.embed([long, "good film."])
    assert vectors.shape == (2, 80, 32)
    assert vectors.dtype == np.float32
    assert (np.abs(vectors[0]).sum(axis=1) > 0).all()
    assert (np.abs(vectors[1]).sum(axis=1) > 0).tolist() == [True] * 3 + [False] * 77


def test_texts_as_a_whole_have_the_mean_of_their_tokens(two_blocks: Path) -> None:
    embedding = text.TransformerEmbedding(two_blocks, [-1])
    import ktlite

    expected = ktlite.get_embedder(two_blocks).embed(["good film", "a"])
    found = embedding.embed(["good film", "a"], word_level=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert embedding.embed([], word_level=False).shape == (0, 32)
    assert embedding.embed([]).shape == (0, 0, 32)


def test_arguments_are_checked(two_blocks: Path) -> None:
    for layers in ([3], [0], [-3], []):
        with pytest.raises(ArgumentError, match="expected numbers from 1 to 2"):
            text.TransformerEmbedding(two_blocks, layers)
    embedding = text.TransformerEmbedding(two_blocks)
    with pytest.raises(ArgumentError, match="'mean' is not known; .*'first', 'average'"):
        embedding.embed("a", aggregation_strategy="mean")
    with pytest.raises(DataError, match="expected strings"):
        embedding.embed([["a"]], word_level=False)
