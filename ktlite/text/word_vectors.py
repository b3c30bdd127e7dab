"""Reads the vectors of words from GloVe's and word2vec's files."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ktlite.errors import DataError

_SNIFFED = 1_000  # bytes that tell text from binary
Record = tuple[str, np.ndarray]


def read_word_vectors(
    path: str | os.PathLike[str], vocabulary: Mapping[str, int]
) -> dict[int, np.ndarray]:
    """Returns the vectors of the words that a vocabulary has.

    Reads GloVe's text files (Pennington et al., 2014, https://aclanthology.org/D14-1162), and
    word2vec's (Mikolov et al., 2013, arXiv:1301.3781), text or binary, which begin with the number
    of words and of values (as fastText's `.vec` files do). A word that the file has in other
    spellings only gets the vector of the first that is the same in lower case. The file is read
    once, and only what is wanted is kept.

    Args:
        path: The file, unpacked.
        vocabulary: From words to the numbers of their tokens.

    Returns:
        float32 vectors of one length, by token.

    Raises:
        DataError: If the file is missing, of another kind, or damaged; it names the line.

    Example:
        >>> vectors = read_word_vectors("glove.6B.100d.txt", {"film": 5})
        >>> vectors[5].shape
        (100,)
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"embeddings: there is no file at {file.absolute()}.")
    exact: dict[int, np.ndarray] = {}
    lower: dict[int, np.ndarray] = {}

    def wanted(word: str) -> bool:
        return word in vocabulary or word.lower() in vocabulary

    with file.open("rb") as stream:
        for word, vector in _records(stream, file, wanted):
            if word in vocabulary:
                exact.setdefault(vocabulary[word], vector)
            else:
                lower.setdefault(vocabulary[word.lower()], vector)
    return {**lower, **exact}


def _records(stream: BinaryIO, file: Path, wanted: Callable[[str], bool]) -> Iterator[Record]:
    head = stream.readline()
    fields = head.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        width, start = int(fields[1]), len(head)
        if _is_binary(stream.read(_SNIFFED)):
            return _binary_records(stream, start, width, file, wanted)
        stream.seek(start)
        return _text_records(stream, 2, width, file, wanted)
    if len(fields) < 2 or _is_binary(head):
        raise DataError(
            f"embeddings: {file}, line 1 is neither a word with its numbers (GloVe) nor the number "
            f"of words and of values (word2vec): {head[:40]!r}. Unpack the file if it is packed."
        )
    stream.seek(0)
    return _text_records(stream, 1, len(fields) - 1, file, wanted)


def _is_binary(sample: bytes) -> bool:
    try:
        sample[:-3].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError as error:
        return error.end < len(sample) - 6
    return b"\0" in sample


def _text_records(
    stream: BinaryIO, first: int, width: int, file: Path, wanted: Callable[[str], bool]
) -> Iterator[Record]:
    for number, line in enumerate(stream, first):
        line = line.rstrip()
        # From the right: GloVe's largest files have words with spaces in them.
        parts = line.rsplit(b" ", width)
        word = parts[0].decode("utf-8", "replace")
        if len(parts) == width + 1 and not wanted(word):
            continue
        try:
            vector = np.array(parts[1:], "float32")
        except ValueError:
            vector = np.zeros(0, "float32")
        if len(vector) != width or not np.isfinite(vector).all():
            raise DataError(
                f"embeddings: {file}, line {number}: expected a word and {width} numbers, as in "
                f"the lines before; found {line[:40].decode('utf-8', 'replace')!r} with "
                f"{len(line.split()) - 1}. The file is damaged, or was not copied whole."
            )
        yield word, vector


def _binary_records(
    stream: BinaryIO, start: int, width: int, file: Path, wanted: Callable[[str], bool]
) -> Iterator[Record]:
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        number = 0
        while start < len(content):
            number += 1
            space = content.find(b" ", start)
            end = space + 1 + 4 * width
            if space < 0 or end > len(content):
                raise DataError(
                    f"embeddings: {file} ends in its word {number}: it was not copied whole."
                )
            word = content[start:space].decode("utf-8", "replace")
            if wanted(word):
                yield word, np.frombuffer(content[space + 1 : end], "<f4")
            # Some writers end each word with a line break, which is no word.
            start = end + (content[end : end + 1] == b"\n")
