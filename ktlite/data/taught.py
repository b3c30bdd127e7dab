"""Examples with what a teacher says of them: what a student trains on."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._logging import logger
from ktlite._progress import progress
from ktlite.data.dataset import Dataset
from ktlite.encodings.encodings import Encodings, Seed
from ktlite.errors import plural
from ktlite.tasks.arrays import ragged
from ktlite.tasks.teaching import packed

_AT_ONCE = 4096  # examples that a teacher is asked about
_PROBE = 16  # examples by which it is known again


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TaughtDataset(Dataset):
    """Examples whose training batches have what is taught beside what is true.

    Args:
        taught: A teacher's logits: float32 [examples, outputs]; or, an item an example, those of
            its words, float32 [words, outputs].
        labelled: bool [examples], whether `targets` are what is true, not what the teacher says.
    """

    taught: np.ndarray
    labelled: np.ndarray

    def _batch(
        self, encodings: Encodings, rows: np.ndarray, seed: Seed
    ) -> tuple[dict[str, Any], Any]:
        inputs, targets = super()._batch(encodings, rows, seed)
        known, taught = self._beside(encodings, rows)
        return inputs, packed(targets, known, taught, self.preproc.task.counts_targets)

    def _beside(self, encodings: Encodings, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns whether the targets of rows are true, and what is taught of them."""
        example_of = encodings.example_of
        known = self.labelled[rows if example_of is None else example_of[rows]]
        return known, self.preproc.task.align(self.taught, encodings, rows)

    def _known_of(self, examples: np.ndarray) -> Dataset:
        taught, labelled = self.taught[examples], self.labelled[examples]
        found: Any = super()._known_of(examples)
        return dataclasses.replace(found, taught=taught, labelled=labelled)

    def content(self, rows: np.ndarray) -> Any:
        return super().content(rows), self._beside(self.encodings, rows)


def taught_by(
    teachers: Sequence[Any],
    data: Dataset,
    others: Sequence[Any] = (),
    folder: str | os.PathLike[str] | None = None,
    verbose: int = 1,
) -> TaughtDataset:
    """Asks teachers about all examples, once.

    Args:
        teachers: Predictors of one task.
        data: Labelled examples, encoded for the student.
        others: More examples, which have no labels.
        folder: Where to keep what the teachers say, for other calls with the same examples.
        verbose: 1 shows progress bars.

    Returns:
        The data set; the targets of `others` are what the teachers say.
    """
    task, preproc = data.preproc.task, data.preproc
    items = [*data.items, *others]
    said = [_said(teacher, items, folder, verbose) for teacher in teachers]
    taught = said[0]
    if len(said) > 1:
        each = [task.blended(one) for one in zip(*said, strict=True)]
        taught = ragged(each) if taught.dtype == object else np.stack(each)
    held = {field.name: getattr(data, field.name) for field in dataclasses.fields(Dataset)}
    if others:
        assert data.targets is not None
        held["items"] = items
        held["encodings"] = preproc.encode(items, verbose=verbose)
        pseudo = task.targets_of(taught[len(data.items) :])
        held["targets"] = np.concatenate([data.targets, pseudo.astype(data.targets.dtype)])
        held["rows"] = np.concatenate([data.rows, np.arange(len(others))])
        if data.weights is not None:
            held["weights"] = np.append(data.weights, np.ones(len(others), "float32"))
    labelled = np.arange(len(items)) < len(data.items)
    return TaughtDataset(**held, taught=taught, labelled=labelled)


def _said(
    teacher: Any, items: Sequence[Any], folder: str | os.PathLike[str] | None, verbose: int
) -> np.ndarray:
    """Returns a teacher's logits of examples, from a file where it has said them before."""
    places = np.unique(np.linspace(0, len(items) - 1, _PROBE).astype(int))
    sample = teacher.fresh_logits([items[place] for place in places])
    path = None
    if folder is not None and sample.dtype != object:
        # Rounded, since another batch moves the last digits.
        digest = hashlib.sha256(np.round(sample, 2).tobytes())
        for item in items:
            digest.update(repr(teacher.preproc.input.key(item)).encode("utf-8"))
        path = Path(folder) / f"taught-{digest.hexdigest()[:16]}.npy"
        if path.is_file():
            kept: np.ndarray = np.load(path, mmap_mode="r")
            if np.allclose(kept[places], sample, atol=1e-3):
                many = plural(len(items), "example")
                logger.info("what the teacher says of %s is in %s", many, path)
                return kept
    parts = []
    bar = progress(len(items), "Asking the teacher", "example", shown=verbose)
    try:
        for first in range(0, len(items), _AT_ONCE):
            part = list(items[first : first + _AT_ONCE])
            parts.append(teacher.fresh_logits(part))
            bar.update(len(part))
    finally:
        bar.close()
    said = np.concatenate(parts)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(".part.npy")
        np.save(written, said)
        os.replace(written, path)
    return said
