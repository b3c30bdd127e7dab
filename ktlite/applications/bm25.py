"""Paragraphs of documents in a folder, found by their words (BM25)."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ktlite._extras import needs_extra
from ktlite.errors import DataError, did_you_mean
from ktlite.inputs.words import split_words
from ktlite.storage import atomic_folder

MANIFEST, PARAGRAPHS = "index.json", "paragraphs.jsonl"
_SCHEMA = 1


class Paragraph(NamedTuple):
    """A text that can be found, and the name of the document that it is of."""

    text: str
    reference: str


class Bm25Index:
    """Paragraphs, searched by their words (Robertson and Zaragoza, 2009, doi:10.1561/1500000019).

    Its folder holds JSON and NumPy arrays; nothing in it is code.

    Args:
        paragraphs: What to find.

    Example:
        >>> index = Bm25Index([Paragraph("The cat sat.", "a"), Paragraph("A dog ran.", "b")])
        >>> [paragraph.reference for paragraph, _ in index.search("Which dog?", 1)]
        ['b']
    """

    def __init__(self, paragraphs: Sequence[Paragraph]) -> None:
        self.paragraphs = list(paragraphs)
        words = [terms(paragraph.text) for paragraph in self.paragraphs]
        self._bm25 = None
        if any(words):
            self._bm25 = _library().BM25()
            self._bm25.index(words, show_progress=False)

    def search(self, query: str, limit: int) -> list[tuple[Paragraph, float]]:
        """Returns the paragraphs that have most of the query's words, with their scores."""
        words = terms(query)
        if self._bm25 is None or not words:
            return []
        scores = self._bm25.get_scores(words)
        best = np.argsort(-scores, kind="stable")[:limit]
        return [(self.paragraphs[i], float(scores[i])) for i in best if scores[i] > 0]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the index; one that is there already is replaced.

        Raises:
            ArgumentError: If something else is there.
        """
        with atomic_folder(folder, replace=is_index) as new:
            with open(new / PARAGRAPHS, "w", encoding="utf-8") as lines:
                for paragraph in self.paragraphs:
                    lines.write(json.dumps(paragraph, ensure_ascii=False) + "\n")
            if self._bm25 is not None:
                self._bm25.save(new)
            facts = {"schema": _SCHEMA, "paragraphs": len(self.paragraphs)}
            (new / MANIFEST).write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Bm25Index:
        """Reads an index.

        Raises:
            DataError: If there is none, it is damaged, or of a newer ktlite.
        """
        path = Path(folder)
        if not is_index(path):
            near = did_you_mean(path.name, os.listdir(path.parent)) if path.parent.is_dir() else ""
            raise DataError(
                f"there is no index in the folder {str(path)!r}.{near} Make one: "
                "ktlite.SimpleQA.index_from_list(docs, folder)."
            )
        try:
            facts = json.loads((path / MANIFEST).read_bytes())
            content = (path / PARAGRAPHS).read_text(encoding="utf-8")
            paragraphs = [Paragraph(*json.loads(line)) for line in content.split("\n") if line]
            complete = facts["schema"] == _SCHEMA and len(paragraphs) == facts["paragraphs"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}: the index is damaged ({error}); make it again.") from error
        if not complete:
            raise DataError(f"{path}: the index is damaged, or of a newer ktlite; make it again.")
        index = cls([])
        index.paragraphs = paragraphs
        if any(path.glob("*.npy")):
            index._bm25 = _library().BM25.load(path)
        return index


def is_index(path: Path) -> bool:
    return (path / MANIFEST).is_file() and (path / PARAGRAPHS).is_file()


def terms(text: str) -> list[str]:
    """Returns what a text is found by: its words, without capitals, accents and marks.

    Where a script has no spaces, each character, and each two that are neighbours.

    Example:
        >>> terms("Beyoncé's café, 东京")
        ['beyonce', 's', 'cafe', '东', '京', '东京']
    """
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)
    )  # fmt: skip
    found: list[str] = []
    for chunk in re.findall(r"\w+", plain.casefold()):
        words = split_words(chunk).words
        found += words
        found += [a + b for a, b in itertools.pairwise(words)
                  if len(a) == len(b) == 1 and not a.isascii() and not b.isascii()]  # fmt: skip
    return found


def split_paragraphs(text: str, min_words: int) -> list[str]:
    r"""Cuts a text at its blank lines.

    Args:
        text: The text.
        min_words: A paragraph of fewer words is put together with the next, so that a heading
            stays with its text; the last one, with the one before.

    Example:
        >>> split_paragraphs("Cats\n\nA cat sat on a mat.\n\nIt slept.", 3)
        ['Cats\n\nA cat sat on a mat.\n\nIt slept.']
    """
    done: list[str] = []
    waiting = ""
    for part in re.split(r"\n\s*\n", text.strip()):
        waiting = f"{waiting}\n\n{part}" if waiting else part
        if len(split_words(waiting)) >= min_words:
            done.append(waiting)
            waiting = ""
    if waiting and done:
        done[-1] += f"\n\n{waiting}"
    elif waiting:
        done.append(waiting)
    return done


def as_paragraphs(
    documents: Iterable[tuple[str, str]], breakup_docs: bool, min_words: int
) -> list[Paragraph]:
    """Returns the paragraphs of documents, each a text and its name."""
    return [
        Paragraph(part, reference)
        for text, reference in documents
        if text.strip()
        for part in (split_paragraphs(text, min_words) if breakup_docs else [text])
    ]


@functools.cache
def _library() -> Any:
    with needs_extra("search", "searching documents"):
        import bm25s
    import logging

    # It sets its own to DEBUG.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s
