"""A tokenised corpus on disk: larger than memory, and any part of it at hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._progress import progress
from ktlite.data.array_files import ArrayFiles, map_arrays
from ktlite.errors import DataError
from ktlite.inputs.tokenizer import Tokenizer

WORD, SENTENCE = 1, 2  # flags of the token that one starts with
SHORTEST = 2  # tokens: one to mask, and one to guess it from
_BATCH = 1_000  # pieces of text a call of the tokenizer
_LONGEST_PIECE = 10_000  # characters: a book on one line is taken bit by bit
# Where a sentence ends: Western marks before white space, Chinese and Japanese ones anywhere.
_SENTENCE_END = re.compile(r"(?:[。！？；…]+|[.!?]+(?=\s))[\"'”’」』）)\]]*")
# Scripts without spaces between words, where each character counts as one: Thai, Lao, Burmese,
# Khmer, kana, and the Chinese characters.
_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF),
             (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokens of all documents, end to end, and the chunks that they are cut into.

    The arrays are files that are mapped into memory: what is not looked at takes none.

    Args:
        ids: uint16 or uint32 [tokens].
        flags: uint8 [tokens]: `WORD` where a word starts, `SENTENCE` where a sentence does.
        chunks: int64 [chunks, 3]: first token, one past the last, number of the document.
    """

    ids: np.ndarray
    flags: np.ndarray
    chunks: np.ndarray

    def __len__(self) -> int:
        return len(self.chunks)

    @property
    def lengths(self) -> np.ndarray:
        """int64 [chunks]: tokens of each chunk."""
        return self.chunks[:, 1] - self.chunks[:, 0]

    def chunk(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ids, int64 [length], and flags of a chunk."""
        start, end, _ = self.chunks[row]
        return self.ids[start:end].astype("int64"), np.asarray(self.flags[start:end])


def build_corpus(
    documents: Iterable[Sequence[str]],
    tokenizer: Tokenizer,
    folder: Path,
    longest: int,
    *,
    verbose: int = 1,
) -> Corpus:
    """Tokenises documents into files, in one pass and bounded memory.

    A chunk holds consecutive sentences of one document ("doc-sentences" of Liu et al., 2019,
    arXiv:1907.11692, section 4.2); a sentence that is too long is cut between words.

    Args:
        documents: Each a sequence of paragraphs.
        tokenizer: What to tokenise with.
        folder: Where the files go.
        longest: Longest chunk in tokens, special tokens not counted.
        verbose: 1 shows a progress bar.

    Raises:
        DataError: If no document has two tokens.
    """
    number = "uint16" if tokenizer.vocab_size <= 1 << 16 else "uint32"
    kinds = {"ids": number, "flags": "uint8", "chunks": "int64"}
    chunker = _Chunker(longest)
    bar = progress(None, "Tokenising", "text", shown=bool(verbose))
    try:
        with ArrayFiles(folder, kinds) as files:
            for batch in _batches(documents):
                words = tokenizer.words([text for _, text in batch])
                for (document, text), (ids, spans, word) in zip(batch, words, strict=True):
                    flags = _flags(text, spans, word)
                    files.add("ids", ids)
                    files.add("flags", flags)
                    chunker.add(document, flags)
                files.add("chunks", chunker.take())
                bar.update(len(batch))
            chunker.flush()
            files.add("chunks", chunker.take())
    finally:
        bar.close()
    arrays = map_arrays(folder, kinds)
    if not len(arrays["chunks"]):
        raise DataError("the texts have no tokens to learn from.")
    return Corpus(arrays["ids"], arrays["flags"], arrays["chunks"].reshape(-1, 3))


class _Chunker:
    """Cuts a stream of paragraphs into chunks.

    Args:
        longest: Longest chunk in tokens.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.start = self.end = 0  # of the chunk that is being filled
        self.document = -1
        self.done: list[tuple[int, int, int]] = []

    def add(self, document: int, flags: np.ndarray) -> None:
        """Takes the next paragraph, with the flags of its tokens, uint8 [tokens]."""
        if document != self.document:
            self.flush()
            self.document = document
        first = self.end
        words = np.flatnonzero(flags & WORD)
        sentences = np.flatnonzero(flags & SENTENCE)
        for end in [*sentences[1:], len(flags)]:
            if first + end - self.start > self.longest:
                self.flush()
            while first + end - self.start > self.longest:
                limit = self.start + self.longest - first
                cut = words[(words <= limit) & (words > self.start - first)]
                self.end = first + int(cut[-1] if len(cut) else limit)
                self.flush()
            self.end = first + int(end)

    def flush(self) -> None:
        """Ends the chunk; one that is too short to learn from is left out."""
        if self.end - self.start >= SHORTEST:
            self.done.append((self.start, self.end, self.document))
        self.start = self.end

    def take(self) -> np.ndarray:
        """Returns the chunks that were ended since the last call, int64 [n, 3]."""
        chunks, self.done = np.array(self.done, "int64").reshape(-1, 3), []
        return chunks


def _batches(documents: Iterable[Sequence[str]]) -> Iterator[list[tuple[int, str]]]:
    """Yields (number of the document, piece of text) in batches."""
    batch: list[tuple[int, str]] = []
    for number, paragraphs in enumerate(documents):
        for paragraph in paragraphs:
            for piece in _pieces(paragraph):
                batch.append((number, piece))
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
    if batch:
        yield batch


def _pieces(text: str) -> Iterator[str]:
    """Cuts a very long text after a sentence, or else at white space, or anywhere."""
    while len(text) > _LONGEST_PIECE:
        head = text[:_LONGEST_PIECE]
        ends = [match.end() for match in _SENTENCE_END.finditer(head)]
        cut = ends[-1] if ends else head.rfind(" ") + 1 or _LONGEST_PIECE
        yield text[:cut]
        text = text[cut:]
    if text and not text.isspace():
        yield text


def _flags(text: str, spans: np.ndarray, word: np.ndarray) -> np.ndarray:
    """Returns the flags of a text's tokens, uint8 [tokens].

    Args:
        text: The text.
        spans: int [tokens, 2], the characters that each token starts with and ends before.
        word: int [tokens], number of the tokenizer's word.
    """
    starts, before = spans[:, 0], np.append(0, spans[:-1, 1])
    flags = np.zeros(len(starts), "uint8")
    if not len(starts):
        return flags
    points = np.frombuffer(text.encode("utf-32-le"), "uint32")
    alone = np.zeros(len(points) + 1, bool)
    for low, high in _UNSPACED:
        alone[:-1] |= (points >= low) & (points <= high)
    # Tokens that are bytes of one character overlap, and belong together.
    new_word = (np.diff(word, prepend=-1) != 0) | alone[starts]
    flags[new_word & (starts >= before)] |= WORD
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    first = np.searchsorted(starts, ends)
    flags[first[first < len(starts)]] |= SENTENCE
    flags[0] |= WORD | SENTENCE
    flags[flags & SENTENCE > 0] |= WORD
    return flags


def split_documents(corpus: Corpus, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the chunks to train on and to validate on; no document is in both.

    Raises:
        DataError: If there are too few documents.
    """
    documents: Any = corpus.chunks[:, 2]
    numbers = np.unique(documents)
    held_out = max(1, round(share * len(numbers)))
    if held_out >= len(numbers):
        raise DataError(
            f"there is only {len(numbers)} document with text, so none can be held out to "
            "validate on; pass val_data=, or mark documents by blank lines between them."
        )
    chosen = np.random.default_rng(seed).choice(numbers, held_out, replace=False)
    is_val = np.isin(documents, chosen)
    return np.flatnonzero(~is_val), np.flatnonzero(is_val)
