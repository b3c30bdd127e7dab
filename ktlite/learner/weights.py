"""Keeps a model's weights on disk: the initial ones, and those a user saves."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._tensor_writing import save_tensors
from ktlite.cards import RunCard
from ktlite.cards.run_card import FILE as RUN_CARD
from ktlite.errors import ArgumentError
from ktlite.inputs.tokenizer import FILES
from ktlite.models.checkpoint import WEIGHTS
from ktlite.models.sentence_files import SENTENCE_FILES
from ktlite.storage import atomic_folder

CHECKPOINT, KERAS = "config.json", "model.keras"


class InitialWeights:
    """The weights that a model had before its first training.

    They are written to a temporary file when training starts, and the file goes
    with the learner.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._file: Path | None = None

    def keep(self) -> None:
        """Writes the weights and the state of dropout, unless that is done."""
        if self._file is not None:
            return
        import keras

        folder = tempfile.mkdtemp(prefix="ktlite-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        file = Path(folder) / "initial.safetensors"
        arrays = {
            str(i): np.array(keras.ops.convert_to_numpy(variable))
            for i, variable in enumerate(self.model.variables)
        }
        save_tensors(arrays, file)
        self._file = file

    def restore(self) -> None:
        """Puts the initial weights back, if training has changed them, with a fresh optimizer."""
        if self._file is None:
            return
        from safetensors.numpy import load_file

        from ktlite.training.freezing import recompile

        arrays = load_file(self._file)
        for i, variable in enumerate(self.model.variables):
            variable.assign(arrays[str(i)])
        recompile(self.model)


def save_model(
    model: Any, preproc: Any, path: str | os.PathLike[str], card: RunCard | None = None
) -> None:
    """Saves a model: a checkpoint folder, or for other Keras models a `.keras` file inside one.

    Args:
        model: The model.
        preproc: Its files, such as those of the tokenizer, go into the checkpoint folder; None:
            none do.
        path: The folder. A model that this function saved there is replaced, anything
            else refused, such as the original checkpoint with its readme.
        card: Goes beside it.
    """
    with atomic_folder(path, replace=_is_model) as folder:
        if card is not None:
            card.write(folder)
        if not hasattr(model, "save_pretrained"):
            model.save(folder / KERAS)
            return
        if preproc is not None:
            preproc.task.into_config(model.config)  # as it is calibrated now
        model.save_pretrained(folder, tokenizer=preproc is None)
        if preproc is not None:
            preproc.write_files(folder)


def load_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Puts the weights that `save_model` wrote to `path` into `model`.

    Raises:
        ArgumentError: If there are no weights of such a model at `path`.
        CheckpointError: If they are damaged, or of another architecture.
    """
    folder = Path(path)
    is_checkpoint = hasattr(model, "load_pretrained")
    file = folder / (CHECKPOINT if is_checkpoint else KERAS)
    if not file.is_file():
        raise ArgumentError(
            f"load_model: there is no {file}; expected a folder that save_model wrote for a "
            f"{type(model).__name__}."
        )
    if not is_checkpoint:
        _load_keras(model, file)
        return
    model.load_pretrained(folder)


def _load_keras(model: Any, file: Path) -> None:
    try:
        model.load_weights(file)  # the weights alone: nothing in the file is run
    except ValueError as error:
        raise ArgumentError(
            f"load_model: the weights in {file} do not fit the model: {error}"
        ) from error


def _is_model(folder: Path) -> bool:
    """Says whether a folder holds what `save_model` writes, and nothing else."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    ours = {CHECKPOINT, WEIGHTS, KERAS, RUN_CARD, *FILES, *SENTENCE_FILES}
    return bool(names & {CHECKPOINT, KERAS}) and names <= ours
