"""From a saved folder to a `Predictor`."""

from __future__ import annotations

import os
from pathlib import Path

from ktlite.errors import PredictorError
from ktlite.predictor.predictor import Predictor
from ktlite.storage import read_manifest
from ktlite.text.preprocessor import Preprocessor


def load_predictor(
    path: str | os.PathLike[str], batch_size: int = 32, *, verify: bool = True
) -> Predictor:
    """Loads a saved predictor.

    Args:
        path: The folder that `Predictor.save` wrote; it may have been moved.
        batch_size: Texts a batch.
        verify: Check that the predictor repeats the predictions recorded when it was
            saved. That every file is as it was written is checked in any case.

    Raises:
        PredictorError: If the folder is missing, damaged, of a newer ktlite, or no predictor.
        CheckpointError: If its model files cannot be read.

    Example:
        >>> ktlite.load_predictor("reviews-predictor").predict_proba("Fine!")
        array([0.02, 0.98], dtype=float32)
    """
    from ktlite.models import from_pretrained

    folder = Path(path)
    manifest = read_manifest(folder)
    if "preprocessor" not in manifest:
        raise PredictorError(
            f"{folder} was saved by ktlite, but not by Predictor.save: load it with the class that "
            "saved it, such as ktlite.SemanticSearch.load or ktlite.FewShotClassifier.load."
        )
    preproc = Preprocessor.load(folder, manifest["preprocessor"])
    model = from_pretrained(
        folder,
        manifest["head"],
        num_labels=preproc.task.outputs or None,  # 0: the head has none
        dtype=manifest["precision"],
        ignore_config_fields=manifest["ignore_config_fields"],
    )
    predictor = Predictor(model, preproc, batch_size)
    if verify:
        predictor.check(manifest["golden"], folder)
    return predictor
