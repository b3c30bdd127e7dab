"""Scores a folder of files so that it can be killed and started again at any moment."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ktlite._logging import logger
from ktlite._progress import progress
from ktlite.data.packed import suffix_of
from ktlite.data.preprocessor import inputs_of
from ktlite.deploy.formats import FORMATS, OTHER_NAMES
from ktlite.deploy.scoring import BLOCK, Columns, score, with_scores, writing
from ktlite.deploy.tables import ItemFiles, Row, Table, opened
from ktlite.deploy.writers import Writer, whole_file
from ktlite.errors import ArgumentError, DataError, listing, plural
from ktlite.inputs.input import Input, find_input
from ktlite.predictor import load_predictor
from ktlite.storage import locked, read_manifest

PLAN = "_scoring.json"  # readers of folders pass over names that begin so


def score_folder(
    predictor: str | os.PathLike[str],
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    columns: Sequence[str] = (),
    *,
    format: str | None = None,
    sep: str | None = None,
    encoding: str | None = None,
    block: int = BLOCK,
    batch_size: int = 32,
    devices: Sequence[str] | None = None,
    verbose: int = 1,
    **options: Any,
) -> int:
    """Predicts all files of a folder into another one; started again, it goes on.

    Every `block` rows of a file become a part of their own, such as
    `reviews.parquet-00003.parquet`, which appears when it is whole and on the disk. What a killed
    run has written is kept, and what it had not is done: no row is lost, and none doubled. The
    files to read must be the same then, by their names and sizes.

    Args:
        predictor: The predictor's folder.
        source: The folder to read: Parquet, CSV, TSV, JSONL and text files, in its folders too. Of
            a predictor of images, the pictures in it, which become the table `images`.
        target: The folder to write; it may lie in `source`.
        columns: Which columns hold the texts. Default: the only one, or `"text"`.
        format: Of the parts, as in `formats.FORMATS`. Default: that of each file; of pictures CSV.
        sep: Of CSV, the character between fields.
        encoding: Of text. Default: detected, file by file.
        block: Rows of a part.
        batch_size: Texts a batch.
        devices: Names of devices to predict on, as in `load_predictor`.
        verbose: 1 shows a progress bar.
        **options: More that `Predictor.predict` takes.

    Returns:
        The number of rows in `target`.

    Raises:
        ArgumentError: If `target` holds something else, was begun with other arguments, or another
            process writes there.
        DataError: If there is nothing to read, or a row cannot be read.

    Example:
        >>> score_folder("reviews-predictor", "reviews", "scored", ["text"])
        1250000
    """
    top, out = Path(source), Path(target)
    manifest = read_manifest(predictor)
    kind = find_input(inputs_of(manifest["preprocessor"])[0])
    files = _files(top, out, kind)
    plan = {
        "predictor": manifest["checksum"],
        "files": {str(file.relative_to(top)): file.stat().st_size for file in files},
        "columns": list(columns),
        "format": format,
        "sep": sep,
        "encoding": encoding,
        "block": block,
        "options": options,
    }
    out.mkdir(parents=True, exist_ok=True)
    try:
        with locked(out, wait=False):
            _begin(out, json.loads(json.dumps(plan, default=str)))
            loaded = load_predictor(predictor, batch_size, devices=devices)
            bar = progress(None, "Predicting", "row", shown=verbose)
            done = kept = 0
            for table_in, place in _tables(files, top, kind, sep=sep, encoding=encoding):
                with table_in as table:
                    written = format or ("csv" if table.format == "txt" else table.format)
                    make = writing(loaded, table, written, options)
                    used = Columns(columns, loaded.preproc.input)
                    place = out / place
                    for number, rows in enumerate(table.blocks(block)):
                        examples = used.examples(rows, table.name, table.base)
                        part = place.with_name(f"{place.name}-{number:05d}.{written}")
                        if part.exists():
                            kept += len(rows)
                        else:
                            scores = score(loaded, examples, skip=True, **options)
                            _write(part, with_scores(rows, scores), make)
                        done += len(rows)
                        bar.update(len(rows))
            bar.close()
    except BlockingIOError:
        raise ArgumentError(f"{out}: another process is writing there.") from None
    if kept:
        logger.info("%s were there already.", plural(kept, "row"))
    return done


def _write(part: Path, rows: Sequence[Row], make: Callable[[BinaryIO], Writer]) -> None:
    with whole_file(part) as stream, contextlib.closing(make(stream)) as writer:
        writer.write(rows)


def _tables(
    files: Sequence[Path], top: Path, kind: type[Input], **reading: Any
) -> Iterator[tuple[contextlib.AbstractContextManager[Table | ItemFiles], Path]]:
    """Yields what opens each table, and the name that its parts begin with."""
    if _are_items(files, kind):
        listed = ItemFiles(top, files, kind.kind)
        yield contextlib.nullcontext(listed), Path(f"{kind.kind}s")
        return
    for file in files:
        yield opened(file, **reading), file.relative_to(top)


def _are_items(files: Sequence[Path], kind: type[Input]) -> bool:
    return bool(kind.media) and all(kind.is_file(file) for file in files)


def _files(folder: Path, out: Path, kind: type[Input]) -> list[Path]:
    """Returns the files to read, without those of `out` where that lies in the folder.

    Where there are files that are examples themselves, it is those.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder.")
    own = out.resolve()
    if own == folder.resolve():
        raise ArgumentError(f"{out}: something else is in it, what is to be read. Name a folder.")
    names = {f".{name}" for name in (*FORMATS, *OTHER_NAMES)}
    seen = [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and own not in file.resolve().parents
        and not any(part.startswith(("_", ".")) for part in file.relative_to(folder).parts)
    ]
    items = [file for file in seen if kind.is_file(file)] if kind.media else []
    found = items or [file for file in seen if suffix_of(file) in names]
    if not found:
        or_items = f", and no {kind.kind}s" if kind.media else ""
        raise DataError(
            f"{folder}: there are no files in it that end in {listing(sorted(names))}{or_items}."
        )
    return found


def _begin(out: Path, plan: dict[str, Any]) -> None:
    """Writes down what is being done, or checks that it is what was begun."""
    for leftover in out.rglob(".*.tmp"):  # of a run that was killed; none is running
        leftover.unlink()
    file = out / PLAN
    if not file.exists():
        if any(out.iterdir()):
            raise ArgumentError(f"{out}: something else is in it. Name a new folder.")
        with whole_file(file) as stream:
            stream.write(json.dumps(plan, indent=1, ensure_ascii=False).encode())
        return
    begun = json.loads(file.read_bytes())
    other = [name for name in plan if begun.get(name) != plan[name]]
    if other:
        raise ArgumentError(
            f"{out}: it was begun with other {listing(other)}. Name a new folder, or remove this "
            "one to begin anew."
        )
