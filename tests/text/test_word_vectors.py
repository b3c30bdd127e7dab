"""Files of words' vectors: GloVe's, word2vec's, and damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ktlite.errors import DataError
from ktlite.text.word_vectors import read_word_vectors

WORDS = {"the": [0.5, -1.5, 2.0], "Film": [1e-3, 0.25, 3.0], "café": [4.0, 5.0, 6.0]}
VOCABULARY = {"the": 5, "film": 7, "café": 9, "unseen": 11}


def glove(words: dict[str, list[float]] = WORDS) -> bytes:
    lines = [" ".join([word, *map(str, vector)]) for word, vector in words.items()]
    return ("\n".join(lines) + "\n").encode()


def word2vec_text() -> bytes:
    # fastText's files end each line with a space.
    return b"3 3\n" + glove().replace(b"\n", b" \n")


def word2vec_binary(break_: bytes = b"\n") -> bytes:
    rows = [w.encode() + b" " + np.array(v, "<f4").tobytes() + break_ for w, v in WORDS.items()]
    return b"3 3\n" + b"".join(rows)


FILES: dict[str, Callable[[], bytes]] = {
    "GloVe": glove,
    "word2vec text": word2vec_text,
    "word2vec binary": word2vec_binary,
    "gensim's binary": lambda: word2vec_binary(b""),
}


@pytest.mark.parametrize("kind", FILES)
def test_words_of_the_vocabulary_are_found(kind: str, tmp_path: Path) -> None:
    (tmp_path / "vectors").write_bytes(FILES[kind]())
    found = read_word_vectors(tmp_path / "vectors", VOCABULARY)
    assert sorted(found) == [5, 7, 9]
    for token, word in ((5, "the"), (7, "Film"), (9, "café")):
        np.testing.assert_array_equal(found[token], np.array(WORDS[word], "float32"))
        assert found[token].dtype == np.float32


def test_spelling_as_in_the_vocabulary_comes_first(tmp_path: Path) -> None:
    spellings = {"Film": [1.0], "FILM": [2.0], "film": [3.0], "THE": [4.0], "The": [5.0]}
    (tmp_path / "vectors").write_bytes(glove(spellings))
    found = read_word_vectors(tmp_path / "vectors", VOCABULARY)
    assert {token: vector.tolist() for token, vector in found.items()} == {7: [3.0], 5: [4.0]}


def test_words_with_spaces_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "vectors").write_bytes(b"film 1.0 2.0\nthe end. 3.0 4.0\nthe 5.0 6.0\n")
    found = read_word_vectors(tmp_path / "vectors", VOCABULARY)
    assert found[5].tolist() == [5.0, 6.0]


def test_word_that_is_a_number_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "vectors").write_bytes(b"2008 1.0 2.0\nfilm 3.0 4.0\n")
    assert list(read_word_vectors(tmp_path / "vectors", VOCABULARY)) == [7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"film 1.0 2.0\nthe 3.0\n", "line 2: expected a word and 2 numbers"),
        (b"a 1.0 2.0\nb 3.0\n", "line 2: expected a word and 2 numbers"),  # not asked for
        (b"film 1.0 2.0\nthe 3.0 x\n", "line 2: expected a word and 2 numbers"),
        (b"film 1.0 2.0\nthe 3.0 nan\n", "line 2: expected a word and 2 numbers"),
        (b"1 3\nthe 3.0 4.0\n", "line 2: expected a word and 3 numbers"),
        (word2vec_binary()[:-4], "ends in its word 3"),
        (b"PK\x03\x04\x14\x00\x00\xff\xfe zipped", "line 1 is neither .*Unpack the file"),
        (b"", "line 1 is neither"),
        (b"words\n", "line 1 is neither"),
    ],
)
def test_damaged_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "vectors").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_word_vectors(tmp_path / "vectors", VOCABULARY)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file at .*glove.txt"):
        read_word_vectors(tmp_path / "glove.txt", VOCABULARY)
