"""Folders that are written whole or not at all, and the manifest that vouches for them.

A predictor is a folder of several files, and a crash between two of them must
not leave half of it behind. So the files are written into a hidden sibling,
flushed to the disk, and swapped into place in one step.
"""

from __future__ import annotations

import ctypes
import difflib
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PureWindowsPath
from secrets import token_hex
from typing import Any

from ktlite._version import __version__
from ktlite.errors import ArgumentError, PredictorError, listing

MANIFEST = "ktlite.json"
SCHEMA = 1

_OURS = ("schema", "ktlite_version", "files", "checksum")
_CHUNK = 2**20
_DAY = 86_400.0
_KTRAIN = (
    "it is a predictor that ktrain saved. Convert it once, with the command "
    "'ktlite convert OLD NEW', and load NEW."
)


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str], *, replace: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """Writes a folder so that `path` is always the old folder or the new one.

    The body writes into a hidden sibling of `path`. When it ends, everything is
    flushed to the disk and swapped into place: on Linux in one step
    (`renameat2` with `RENAME_EXCHANGE`), elsewhere by two renames, which
    `recover` completes if the machine stops between them. When the body raises,
    the sibling is removed and `path` stays as it was. What crashed runs left
    beside `path` is removed first; a save that still runs is left alone.

    Args:
        path: The folder to write. Missing parents are made; a symbolic link is followed.
        replace: Says whether what lies at `path` may be replaced. Without it,
            only a missing or an empty folder is written.

    Yields:
        The empty folder to write into, on the same file system as `path`.

    Raises:
        ArgumentError: `path` holds something that may not be replaced, or can
            not be swapped as a whole (a mount point, the current directory).

    Example:
        >>> def ours(path):
        ...     return (path / MANIFEST).is_file()
        >>> with atomic_folder("my-predictor", replace=ours) as folder:
        ...     (folder / "notes.txt").write_text("All files first, the manifest last.")
        ...     write_manifest(folder, {"classes": ["negative", "positive"]})
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as until_the_end:
        with locked(path.parent, wait=True):
            recover(path)
            check_replaceable(path, replace)
            for leftover in _siblings(path, ".old", ".tmp"):
                if _abandoned(leftover):
                    _remove(leftover)
            folder = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
            folder.mkdir()
            # Tells other saves of the same path that this one lives.
            until_the_end.enter_context(locked(folder, wait=True))
        try:
            yield folder
            flush(folder)
            with locked(path.parent, wait=True):
                check_replaceable(path, replace)  # Somebody may have written there meanwhile.
                if path.is_dir():
                    shutil.copymode(path, folder)
                _swap(folder, path)
        finally:
            _remove(folder)  # The old folder after a swap, half a folder after an error.


def recover(path: str | os.PathLike[str]) -> None:
    """Completes a save that was interrupted between its two renames.

    Then there is nothing at `path`, and beside it lie the old folder and the
    whole new one, which is moved in. In every other state nothing is done.
    `atomic_folder` and `read_manifest` call it.

    Args:
        path: The folder that was being written.

    Example:
        >>> recover("my-predictor")
    """
    path = Path(os.path.realpath(path))
    if os.path.lexists(path) or not path.parent.is_dir():
        return
    for old in _siblings(path, ".old"):
        new = old.with_suffix(".tmp")
        if new.is_dir() and _abandoned(new):
            os.rename(new, path)
            return


def check_replaceable(path: Path, replace: Callable[[Path], bool] | None) -> None:
    """Raises `ArgumentError` unless a new folder may be put at `path`."""
    where = f"cannot save to {str(path)!r}"
    here = Path.cwd()
    if path == here or path in here.parents:
        raise ArgumentError(f"{where}: it holds the current directory. Name a folder inside it.")
    if not os.path.lexists(path):
        return
    if os.path.ismount(path):
        raise ArgumentError(f"{where}: it is a mount point. Name a folder inside it.")
    if path.is_dir() and not any(path.iterdir()):
        return
    if replace is None or not replace(path):
        kind = f"a folder of {_contents(path)}" if path.is_dir() else "a file"
        raise ArgumentError(
            f"{where}: {kind} is there, which ktlite did not write and does not replace. "
            "Choose another name, or remove it first."
        )


def _contents(folder: Path) -> str:
    return listing(sorted(p.name for p in folder.iterdir()), limit=5) or "nothing"


def _siblings(path: Path, *kinds: str) -> list[Path]:
    """Returns what saves of `path` have put beside it: new (`.tmp`) and old (`.old`) folders."""
    ours = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{8}\.(old|tmp)")
    beside = path.parent.iterdir()
    return [p for p in beside if ours.fullmatch(p.name) and p.suffix in kinds]


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Locks a folder until the block ends, or the process.

    Yields False where folders cannot be locked (Windows, some network file
    systems). Raises BlockingIOError if another save holds the lock and `wait` is false.
    """
    if sys.platform == "win32":
        yield False
        return
    import fcntl  # Only POSIX has it.

    descriptor = os.open(path, os.O_RDONLY)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            held = False
        yield held
    finally:
        os.close(descriptor)


def _abandoned(path: Path) -> bool:
    """Says whether the save that made this folder has died."""
    try:
        with locked(path, wait=False) as held:
            # Without locks there is nothing to tell by but its age: no save takes a day.
            return held or time.time() - path.stat().st_mtime > _DAY
    except OSError:  # Locked, gone meanwhile, or not ours to open.
        return False


def _remove(path: Path) -> None:
    """Removes a file or folder if it is there; what resists is left to the next save."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def flush(folder: Path) -> None:
    """Writes every file below `folder`, and the folders themselves, through to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _fsync(Path(parent, name))
        _fsync(Path(parent))


def _fsync(path: Path) -> None:
    if os.name == "nt":  # There only handles opened for writing can be flushed.
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(new: Path, path: Path) -> None:
    """Puts `new` at `path`; what was there ends up at `new` or is removed."""
    if not os.path.lexists(path):
        os.rename(new, path)
    elif not _exchange(new, path):
        old = new.with_suffix(".old")
        os.rename(path, old)
        try:
            os.rename(new, path)  # If the machine stops before this, `recover` does it.
        except BaseException:
            os.rename(old, path)
            raise
        _remove(old)
    _fsync(path.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Exchanges two paths in one step (renameat2(2)); False where the system cannot."""
    at_fdcwd, rename_exchange = -100, 2  # from <fcntl.h> and <linux/fs.h>
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is None:
        return False
    return renameat2(at_fdcwd, os.fsencode(a), at_fdcwd, os.fsencode(b), rename_exchange) == 0


def write_manifest(folder: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Writes `ktlite.json`: `data`, and the size and SHA-256 of every file in `folder`.

    Write it last. The manifest also holds its schema, ktlite's version and a
    checksum of itself, so that `read_manifest` notices any later change.

    Args:
        folder: The folder with all its files in place.
        data: What else to record, as JSON values (no NaN, no infinity).

    Raises:
        ArgumentError: `data` is not JSON, or uses a name that the manifest needs.

    Example:
        >>> write_manifest(folder, {"classes": ["negative", "positive"]})
    """
    folder = Path(folder)
    taken = sorted(set(_OURS).intersection(data))
    if taken:
        raise ArgumentError(f"write_manifest: {listing(taken)} cannot be set; ktlite writes it.")
    files = {
        file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != folder / MANIFEST
    }
    manifest = {"schema": SCHEMA, "ktlite_version": __version__, **data, "files": files}
    try:
        # There and back, so that the checksum is of what a reader will see.
        manifest = json.loads(json.dumps(manifest, allow_nan=False))
        manifest["checksum"] = _checksum(manifest)
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (folder / MANIFEST).write_bytes(text.encode())
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"write_manifest: data cannot be written as JSON: {error}.") from error


def read_manifest(folder: str | os.PathLike[str], *, newest_schema: int = SCHEMA) -> dict[str, Any]:
    """Reads `ktlite.json` and checks every file that it lists, by size and by SHA-256.

    Args:
        folder: The folder that `write_manifest` was called on, wherever it lies now.
        newest_schema: The newest schema that the caller understands.

    Returns:
        The whole manifest: `schema`, `ktlite_version`, the `data` that was
        written, `files` and `checksum`.

    Raises:
        PredictorError: The folder is missing, foreign, damaged or too new. The
            message names each file that is wrong, and says what to do.

    Example:
        >>> read_manifest("my-predictor")["classes"]
        ['negative', 'positive']
    """
    folder = Path(folder)
    recover(folder)
    where = f"cannot load {str(folder)!r}"
    if not folder.is_dir():
        raise PredictorError(f"{where}: {_why_missing(folder)}")
    if not (folder / MANIFEST).is_file():
        raise PredictorError(f"{where}: {_why_foreign(folder)}")

    damaged = f"{where}: {MANIFEST} is damaged, cut short or edited by hand"
    again = "Copy the folder again, or save the predictor again."
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes().decode())
    except (ValueError, RecursionError) as error:
        raise PredictorError(f"{damaged} (it is not valid JSON: {error}). {again}") from error
    if not isinstance(manifest, dict) or type(manifest.get("schema")) is not int:
        raise PredictorError(f"{damaged} (it has no schema number). {again}")
    if manifest["schema"] > newest_schema:
        raise PredictorError(
            f"{where}: it was written by ktlite {manifest.get('ktlite_version', '(unknown)')} with "
            f"schema {manifest['schema']}; this is ktlite {__version__}, which reads up to "
            f"schema {newest_schema}. Upgrade: pip install --upgrade ktlite."
        )
    if manifest.get("checksum") != _checksum(manifest):
        raise PredictorError(f"{damaged} (its checksum differs). {again}")

    outside = [name for name in manifest["files"] if _escapes(name)]
    if outside:
        raise PredictorError(
            f"{where}: {MANIFEST} lists files outside the folder ({listing(outside)}). ktlite "
            "does not write such a manifest: do not trust where it comes from."
        )
    found = (_file_problem(folder, name, facts) for name, facts in manifest["files"].items())
    problems = [problem for problem in found if problem]
    if problems:
        raise PredictorError(f"{where}: {' '.join(problems)} {again}")
    return manifest


def sha256(file: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file as 64 hexadecimal digits, without reading it whole."""
    digest = hashlib.sha256()
    chunk = memoryview(bytearray(_CHUNK))
    with open(file, "rb", buffering=0) as stream:
        while count := stream.readinto(chunk):
            digest.update(chunk[:count])
    return digest.hexdigest()


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the manifest as canonical JSON, without its `checksum`."""
    rest = {key: value for key, value in manifest.items() if key != "checksum"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _escapes(name: str) -> bool:
    """Says whether a file name of a manifest may lead out of its folder."""
    path = PureWindowsPath(name)  # It knows the separators and drives of every system.
    return bool(path.anchor) or ".." in path.parts or not path.parts


def _file_problem(folder: Path, name: str, facts: Mapping[str, Any]) -> str | None:
    """Says what is wrong with one file of the manifest, or returns None."""
    file = folder / name
    if not file.is_file():
        return f"{name} is missing."
    size = file.stat().st_size
    if size != facts["size"]:
        cut = " (a copy that was cut short?)" if size < facts["size"] else ""
        return f"{name} has {size:,} bytes instead of {facts['size']:,}{cut}."
    if sha256(file) != facts["sha256"]:
        return f"{name} is damaged (its SHA-256 differs from the one that was written)."
    return None


def _why_missing(folder: Path) -> str:
    """Says why there is no folder to read, and which one may be meant."""
    if folder.is_file():
        return "it is a file; a predictor is a folder."
    if folder.with_name(folder.name + ".preproc").exists():
        return _KTRAIN
    if not folder.parent.is_dir():
        return f"there is no folder {str(folder.parent)!r}."
    near = [p.name for p in folder.parent.iterdir() if p.is_dir() and not p.name.startswith(".")]
    close = difflib.get_close_matches(folder.name, near, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
    return f"there is no such folder.{hint}"


def _why_foreign(folder: Path) -> str:
    """Says what a folder without a manifest is, as far as its files tell."""
    if any(p.name.endswith(".preproc") for p in folder.iterdir()):
        return _KTRAIN
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors*")):
        return (
            f"it is a checkpoint; load it with ktlite.load_model({str(folder)!r}). "
            f"If a predictor was saved here, its {MANIFEST} got lost: copy the folder again."
        )
    inside = sorted(file.parent.name for file in folder.glob(f"*/{MANIFEST}"))
    if inside:
        return f"it is no predictor itself, but has predictors in it: {listing(inside)}."
    return f"it is not a predictor: it has no {MANIFEST}, but {_contents(folder)}."
