"""Predictions as columns of a data frame, with types that are known before there is one."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ktlite.deploy.scoring import PREDICTION, PROBABILITY, column_types, score
from ktlite.deploy.writers import typed
from ktlite.errors import ArgumentError, PredictorError
from ktlite.predictor import Predictor, load_predictor
from ktlite.storage import read_manifest

if TYPE_CHECKING:
    import pandas as pd

_LOCK = threading.Lock()


@dataclass(frozen=True)
class Scorer:
    """What an engine sends to its workers: which predictor, and what it is asked for.

    Args:
        path: The folder of a saved predictor.
        checksum: Of the predictor, as its manifest has it.
        types: `"string"` or `"double"` for the two columns.
        batch_size: Texts a batch; those of a batch are of like length.
        options: As `Predictor.predict` takes them.
    """

    path: str
    checksum: str
    types: Mapping[str, str]
    batch_size: int
    options: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        batch_size: int = 32,
        options: Mapping[str, Any] | None = None,
    ) -> Scorer:
        """Makes it from a predictor's folder, of which only JSON is read.

        Raises:
            PredictorError: If it is none.
        """
        manifest = read_manifest(path)
        asked = dict(options or {})
        types = column_types(manifest["preprocessor"]["task"], asked)
        return cls(os.fspath(path), manifest["checksum"], types, batch_size, asked)

    def columns(self, texts: Sequence[Any]) -> pd.DataFrame:
        """Returns the two columns for texts.

        Args:
            texts: A Series of texts, or of paths or bytes of pictures; or several, of pairs. Their
                index is the result's.

        Raises:
            PredictorError: If another predictor is in the folder now.
        """
        import pandas as pd

        cells = [column.astype(object).where(column.notna(), None).tolist() for column in texts]
        predictor = loaded(self.path, self.checksum, self.batch_size)
        items = [predictor.preproc.input.of_cells(column, None) for column in cells]
        examples = items[0] if len(items) == 1 else list(zip(*items, strict=True))
        scores = score(predictor, examples, **self.options)
        found = zip((PREDICTION, PROBABILITY), zip(*scores, strict=True), strict=True)
        return pd.DataFrame(
            {
                name: pd.Series(
                    [typed(value, self.types[name]) for value in values],
                    index=texts[0].index,
                    dtype=self.dtype(name),
                )
                for name, values in (found if scores else ((name, ()) for name in self.types))
            }
        )

    def dtype(self, name: str) -> str:
        """Returns what pandas calls the type of a column."""
        return "float64" if self.types[name] == "double" else "string"


def loaded(path: str, checksum: str, batch_size: int) -> Predictor:
    """Returns the predictor of a folder, which a process loads once.

    Raises:
        PredictorError: If it is not the one with this checksum.
    """
    with _LOCK:  # of several threads one loads it
        return _load(path, checksum, batch_size)


@functools.lru_cache(maxsize=2)
def _load(path: str, checksum: str, batch_size: int) -> Predictor:
    if read_manifest(path)["checksum"] != checksum:
        raise PredictorError(
            f"{path}: another predictor is there than the one that was asked for. Copy that one "
            "to every worker, or start again with this one."
        )
    return load_predictor(path, batch_size)


def needs(package: str, extra: str) -> ArgumentError:
    """Returns the error for a package that is not installed."""
    return ArgumentError(f'this needs {package}: pip install "ktlite[{extra}]".')
