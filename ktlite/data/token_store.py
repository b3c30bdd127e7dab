"""Texts that are tokenised to disk, in bounded memory, and found there the next time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite._progress import progress
from ktlite.data.array_files import ArrayFiles, map_arrays
from ktlite.data.examples import Examples, NaValues, Sieve
from ktlite.data.labels import joined_labels
from ktlite.data.stored_texts import StoredTexts
from ktlite.data.table import Names, Table, check_columns
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import DataError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.storage import atomic_folder, sha256
from ktlite.tasks.arrays import ragged

_FACTS = "tokens.json"
_SCHEMA = 2
_KINDS = {
    "types": "int8",  # of tokens; empty where all are 0
    "offsets": "int64",  # where each row starts in `ids`, and where the last one ends
    "text_of": "int64",  # the text of each row; empty where each has one
    "content": "uint8",  # all texts, as UTF-8
    "ends": "int64",  # where each text ends in `content`
    "rows": "int64",  # of each text in the source
}
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class TokenStore:
    """Reads tables some rows at a time, and keeps their texts and tokens in files.

    Of a table there is a folder for each way to read it (columns, tokenizer, lengths). It is
    written whole or not at all, and anew when the table has changed: files by their size and
    time, frames by their content, data sets by their fingerprint. In memory are the labels, and
    numbers that say which texts are whose.

    Args:
        folder: Where the folders go.
        tokenizer: What to tokenise with.
        verbose: 0 silences the progress bar.

    Example:
        >>> store = TokenStore("tokens", Tokenizer("my-bert", 128))
        >>> raw = store.read(open_files("big.csv", whole=False), ("text",), ("label",), "drop")
    """

    def __init__(
        self, folder: str | os.PathLike[str], tokenizer: Tokenizer, *, verbose: int = 1
    ) -> None:
        self.folder = Path(folder)
        self.tokenizer = tokenizer
        self.verbose = verbose

    def read(
        self, table: Table, texts: Names, labels: Names, missing: str, na_values: NaValues = ()
    ) -> Examples:
        """Returns all texts of a table that can be used, with their tokens.

        Args:
            table: The table.
            texts: Columns of the texts.
            labels: Columns of the labels.
            missing: `"drop"` or `"error"`, as for `read_csv`.
            na_values: As for `read_csv`.

        Raises:
            DataError: As `read_csv`; if the folder cannot be written, or its disk is full; if
                the table changes while it is read.
        """
        check_columns(table, texts, labels, missing)
        settings = {
            "schema": _SCHEMA,
            "table": table.identity(),
            "columns": [list(texts), list(labels)],
            "missing": missing,
            "na_values": na_values,
            "tokenizer": self._digest,
            "maxlen": self.tokenizer.maxlen,
            "stride": self.tokenizer.stride,
        }
        digest = hashlib.sha256(json.dumps(settings, default=str).encode()).hexdigest()
        name = re.sub(r"[^\w.-]+", "-", table.source)[:40]
        place = self.folder / f"{name}-{digest[:16]}"
        wanted = (*texts, *labels)
        state, facts = table.state(wanted), _facts(place)
        if state is None or facts.get("state") != state:
            with _disk_errors(place), atomic_folder(place, replace=_is_ours) as new:
                facts = self._write(
                    new, table, texts, labels, Sieve(table.source, missing, na_values)
                )
                if table.state(wanted) != state:
                    raise DataError(f"{table.source} has changed while it was read.")
                (new / _FACTS).write_text(json.dumps({**facts, "state": state}), encoding="utf-8")
        else:
            if facts["left_out"]:
                logger.warning("%s", facts["left_out"])
            if self.verbose:
                logger.info("%s: its tokens are in %s.", table.source, place)
        return self._open(place, table, labels)

    def _write(
        self, folder: Path, table: Table, texts: Names, labels: Names, sieve: Sieve
    ) -> dict[str, Any]:
        """Writes the arrays; returns what else there is to know."""
        targets = _Labels()
        kinds = {**_KINDS, "ids": self._ids_kind}
        tokens, size, any_type = 0, 0, False
        bar = progress(table.size(), "Tokenising", "text", shown=self.verbose)
        try:
            with ArrayFiles(folder, kinds) as files:
                files.add("offsets", np.zeros(1))
                for block in table.blocks(texts, labels):
                    before = sieve.kept
                    kept, of_kept, rows = sieve.keep(block)
                    sieve.check()
                    bar.update(len(block.texts))
                    if not kept:
                        continue
                    encodings = self._encode(kept, table.source, rows)
                    files.add("ids", encodings.ids)
                    files.add("offsets", tokens + encodings.offsets[1:])
                    tokens += len(encodings.ids)
                    types = encodings.type_ids
                    any_type |= types is not None
                    files.add("types", np.zeros(len(encodings.ids)) if types is None else types)
                    if encodings.example_of is not None:
                        files.add("text_of", before + encodings.example_of)
                    parts = [p.encode() for t in kept for p in ((t,) if len(texts) == 1 else t)]
                    files.add("content", np.frombuffer(b"".join(parts), "uint8"))
                    ends = size + np.cumsum([len(part) for part in parts])
                    files.add("ends", ends)
                    size = int(ends[-1])
                    files.add("rows", rows)
                    if of_kept is not None:
                        targets.add(of_kept, block.written)
        finally:
            bar.close()
        if not any_type:
            os.truncate(folder / "types", 0)
        found, written = targets.joined(sieve) if sieve.kept else (None, False)
        left_out = sieve.finish()
        facts: dict[str, Any] = {"texts": sieve.kept, "size": len(texts), "left_out": left_out}
        facts["written"] = written
        if found is None:
            return facts
        if found.dtype == object:
            facts["classes"], found = _coded(found)
        np.save(folder / "labels.npy", found, allow_pickle=False)
        return facts

    def _encode(self, texts: list[Any], source: str, rows: np.ndarray) -> TokenEncodings:
        try:
            return self.tokenizer.encode(texts)
        except DataError as error:
            raise DataError(f"{source}, rows {rows[0]:,} to {rows[-1]:,}: {error}") from error

    @cached_property
    def _digest(self) -> dict[str, str]:
        """The SHA-256 of each of the tokenizer's files."""
        with tempfile.TemporaryDirectory(prefix="ktlite-") as folder:
            self.tokenizer.save(Path(folder))
            return {file.name: sha256(file) for file in sorted(Path(folder).iterdir())}

    @property
    def _ids_kind(self) -> str:
        return "uint16" if self.tokenizer.vocab_size <= 1 << 16 else "int32"

    def _open(self, place: Path, table: Table, labels: Names) -> Examples:
        facts = _facts(place)
        arrays = map_arrays(place, {**_KINDS, "ids": self._ids_kind})
        values = None
        if (place / "labels.npy").is_file():
            values = np.load(place / "labels.npy", allow_pickle=False)
        if "classes" in facts:
            values = ragged(facts["classes"])[values]
        encodings = TokenEncodings(
            ids=arrays["ids"],
            offsets=arrays["offsets"],
            type_ids=arrays["types"] if len(arrays["types"]) else None,
            max_length=self.tokenizer.maxlen,
            pad_id=self.tokenizer.pad_id,
            example_of=None if self.tokenizer.stride is None else np.asarray(arrays["text_of"]),
        )
        return Examples(
            StoredTexts(arrays["content"], arrays["ends"], facts["size"]),
            values,
            labels if values is None or values.ndim == 1 or values.shape[1] == len(labels) else (),
            table.class_names(labels),
            table.source,
            encodings,
            facts["written"],
            rows=arrays["rows"],
        )


class _Labels:
    """The labels of all blocks, compact: numbers as such, equal strings as one."""

    def __init__(self) -> None:
        self._frames: list[Any] = []
        self._written: list[bool] = []
        self._known: dict[str, str] = {}

    def add(self, frame: Any, written: bool) -> None:
        import pandas as pd

        self._written.append(written)
        columns = {}
        for number in range(frame.shape[1]):
            column = frame.iloc[:, number].infer_objects()
            if column.dtype.kind == "O":
                values = column.to_numpy(dtype=object)
                shared = [self._known.setdefault(v, v) if isinstance(v, str) else v for v in values]
                column = pd.Series(shared, dtype=object)
            columns[number] = column.reset_index(drop=True)
        self._frames.append(pd.DataFrame(columns).set_axis(frame.columns, axis=1))

    def joined(self, sieve: Sieve) -> tuple[np.ndarray | None, bool]:
        """Returns the labels of all texts, and whether they are as written; see `Examples`."""
        if not self._frames:
            return None, False
        return joined_labels(self._frames, self._written, sieve.problems)


def _coded(labels: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """Returns the different labels, str or lists of them, and the number of each row's."""
    import pandas as pd

    lists = isinstance(labels[0], list)
    codes, classes = pd.factorize(ragged([tuple(row) for row in labels]) if lists else labels)
    return [list(row) if lists else row for row in classes], codes.astype("int32")


def _facts(place: Path) -> dict[str, Any]:
    """Returns what is known of a store's folder; empty where there is none."""
    try:
        facts: dict[str, Any] = json.loads((place / _FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts


def _is_ours(place: Path) -> bool:
    return (place / _FACTS).is_file()


@contextmanager
def _disk_errors(place: Path) -> Iterator[None]:
    """Says what to do where a folder cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        advice = "Give a cache_folder= that can be written."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(place.parent).free / 2**30
            advice = (
                f"{free:.1f} GiB are free, now that the unfinished files are removed; texts and "
                "tokens take about twice the size of the texts. Make room, or give another "
                "cache_folder=."
            )
        raise DataError(f"{place}: {os.strerror(error.errno)}. {advice}") from error
