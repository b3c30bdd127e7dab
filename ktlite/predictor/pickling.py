"""How predictors are pickled and copied: as the files of the folder that they save."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktlite.data.preprocessor import Preprocessor
from ktlite.errors import PredictorError
from ktlite.export.formats import FORMATS, KERAS
from ktlite.inference.runner import Runner
from ktlite.predictor.saving import Saving
from ktlite.storage import read_manifest

Files = dict[str, bytes]


class Pickling(Saving):
    """A predictor that goes through pickle, joblib, cloudpickle and `copy`.

    What goes is the folder that `save` writes, or that an export was loaded from, with the labels,
    calibration and thresholds as they are now, the batch size and the size of the cache. What
    does not: what the cache holds, and devices, which TensorFlow chooses where it is loaded.
    """

    def __reduce__(self) -> Any:
        options = {"batch_size": self.batch_size, "cache": self._cache.size}
        if not isinstance(self.model, Runner):
            with tempfile.TemporaryDirectory(prefix="ktlite-") as top:
                self.write(Path(top, "predictor"))
                return _restored, (type(self), _contents(Path(top, "predictor")), options, None)
        with tempfile.TemporaryDirectory(prefix="ktlite-") as unused:  # the tokenizer is there
            settings = self.preproc.save(Path(unused))
        return _restored, (type(self), self._exported_files(), options, settings)

    def __copy__(self) -> Any:
        """Returns a predictor with the same model: `copy.deepcopy` makes another model."""
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        return made

    def _exported_files(self) -> Files:
        """Returns the files of the export that this predictor was loaded from."""
        if self.origin is None:
            raise PredictorError(
                "this predictor runs an export that no folder is known of: load it with "
                "load_predictor(folder)."
            )
        folder, checksum = self.origin
        if not folder.is_dir() or read_manifest(folder)["checksum"] != checksum:
            raise PredictorError(
                f"{folder}: the predictor was loaded from there, and its files go with it when it "
                "is pickled or copied; they are gone, or others. Load it from where they are."
            )
        return _contents(folder)


def _restored(
    kind: Any, files: Files, options: dict[str, Any], settings: dict[str, Any] | None
) -> Any:
    """Loads a predictor from the files of its folder; what pickles of predictors call."""
    from ktlite.predictor.loading import load_predictor

    folder = _unpack(files)
    exported = False
    try:
        name = read_manifest(folder).get("format", KERAS)
        exported = name != KERAS
        runtime = FORMATS[name].runtime if exported else None
        made = load_predictor(folder, runtime=runtime, **options)
        if settings is not None:
            made.preproc = Preprocessor.load(folder, settings)
        if kind is not type(made):  # a class of the user's own
            other = kind.__new__(kind)
            vars(other).update(vars(made))
            made = other
    except BaseException:
        exported = False
        raise
    finally:
        if not exported:
            shutil.rmtree(folder, ignore_errors=True)
    if exported:  # whose runtime may read the file as it goes, and which may be pickled again
        weakref.finalize(made, _remove, folder, os.getpid())
    return made


def _unpack(files: Mapping[str, bytes]) -> Path:
    """Writes files into a new folder below that for temporary ones."""
    folder = Path(tempfile.mkdtemp(prefix="ktlite-"))
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def _contents(folder: Path) -> Files:
    """Returns the files below a folder, by their paths in it."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child ends, too
        shutil.rmtree(folder, ignore_errors=True)
