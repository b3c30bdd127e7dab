"""ktrain's helpers for folders of text files."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ktlite.errors import DataError
from ktlite.inputs.decoding import decode

# Control characters and halves of surrogate pairs: what no text has but by accident.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def extract_filenames(
    corpus_path: str | os.PathLike[str], follow_links: bool = False
) -> Iterator[str]:
    """Yields the paths of all files of a folder, and of those in it, by name.

    Args:
        corpus_path: The folder.
        follow_links: Also look into folders that are links.

    Raises:
        DataError: If there is no such folder, or no file in it.
    """
    path = os.fspath(corpus_path)
    if not os.path.isdir(path):
        raise DataError(f"there is no folder {path!r}.")
    found = 0
    for root, folders, names in os.walk(path, followlinks=follow_links):
        folders.sort()
        for name in sorted(names):
            found += 1
            yield os.path.join(root, name)
    if not found:
        raise DataError(f"there are no files in the folder {path!r}.")


def read_text(filename: str | os.PathLike[str], encoding: str | None = None) -> str:
    """Returns the text of a file, without white space around it.

    Args:
        filename: The file.
        encoding: Its encoding. Default: detected.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        with open(filename, "rb") as file:
            data = file.read()
    except OSError as error:
        raise DataError(f"{os.fspath(filename)}: {error.strerror}.") from error
    return decode(data, encoding, os.fspath(filename))[0].strip()


def strip_control_characters(data: str) -> str:
    """Returns a text without control characters; tabs and ends of lines stay."""
    return _CONTROL.sub("", data)


def to_ascii(data: str) -> str:
    """Returns a text with accents off its letters, and without what is not ASCII then."""
    return unicodedata.normalize("NFKD", data).encode("ascii", "ignore").decode("ascii")


def load_text_files(
    corpus_path: str | os.PathLike[str],
    truncate_len: int | None = None,
    clean: bool = True,
    return_fnames: bool = False,
) -> Any:
    """Returns the texts of all files of a folder, and of those in it.

    Args:
        corpus_path: The folder.
        truncate_len: Words of each text, at most. Default: all.
        clean: Drop control characters and, as in ktrain, all that is not ASCII. Pass False for
            languages of another script.
        return_fnames: Return (texts, paths).

    Raises:
        DataError: If there is no file, or one cannot be read.
    """
    texts, names = [], []
    for name in extract_filenames(corpus_path):
        text = read_text(name)
        if clean:
            text = to_ascii(strip_control_characters(text))
        if truncate_len is not None:
            text = " ".join(text.split()[:truncate_len])
        texts.append(text)
        names.append(name)
    return (texts, names) if return_fnames else texts


def filter_by_id(lst: Sequence[Any], ids: Collection[int] = ()) -> list[Any]:
    """Returns the items of a list whose numbers are among `ids`, in the order of the list."""
    wanted = set(ids)
    return [item for number, item in enumerate(lst) if number in wanted]
