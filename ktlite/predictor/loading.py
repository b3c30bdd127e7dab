"""From a saved folder to a `Predictor`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ktlite._arguments import check_paths, checked
from ktlite.cards import RunCard
from ktlite.data.preprocessor import Preprocessor
from ktlite.errors import ArgumentError, PredictorError, Problems
from ktlite.export.formats import FORMATS, KERAS, RUNTIMES
from ktlite.predictor.predictor import Predictor
from ktlite.storage import read_manifest


@checked
def load_predictor(
    path: str | os.PathLike[str],
    batch_size: int = 32,
    *,
    runtime: str | None = None,
    verify: bool = True,
    cache: int = 0,
    devices: Sequence[str] | None = None,
) -> Predictor:
    """Loads a saved predictor.

    Args:
        path: The folder that `Predictor.save` or `export` wrote; it may have been moved.
        batch_size: Texts a batch.
        runtime: What is to run it: `"keras"` where `Predictor.save` wrote the folder, `"onnx"`,
            `"litert"` or `"saved_model"` where `Predictor.export` did. Default: what it was written
            for. `"onnx"` and `"litert"` need neither TensorFlow nor Keras. `"saved_model"` has to
            be given: a SavedModel is a program, which may read and write files. All else is data.
        verify: Check that the predictor repeats the predictions recorded when it was
            saved. That every file is as it was written is checked in any case. It also readies
            the model, so that the first prediction is as fast as the next.
        cache: Keep what the model said of so many texts, for when they are asked for again.
        devices: Names of devices to predict on, such as `["GPU:0", "GPU:1"]`: each has the
            model's weights and takes batches of its own. Default: TensorFlow's choice of one.

    Raises:
        ArgumentError: If `devices` are not there, or Keras does not run the predictor.
        PredictorError: If the folder is missing, damaged, of a newer ktlite, no predictor, or
            for another runtime; or if it holds a SavedModel that was not asked for.
        ExportError: If the runtime is not installed, or cannot open the model.
        CheckpointError: If its model files cannot be read.

    Example:
        >>> ktlite.load_predictor("reviews-predictor").predict_proba("Fine!")
        array([0.02, 0.98], dtype=float32)
    """
    check_paths("load_predictor", path=path)
    folder = Path(path)
    manifest = read_manifest(folder)
    if "preprocessor" not in manifest:
        raise PredictorError(
            f"{folder} was saved by ktlite, but not by Predictor.save: load it with the class that "
            "saved it, such as ktlite.SemanticSearch.load or ktlite.FewShotClassifier.load."
        )
    name = manifest.get("format", KERAS)
    if name not in FORMATS:
        raise PredictorError(f"{folder} is in a format {name!r}, which this ktlite does not know.")
    if runtime not in (None, FORMATS[name].runtime):
        _refuse(folder, name, runtime)
    if FORMATS[name].is_program and runtime is None:
        raise PredictorError(
            f"{folder} holds a {name}, which is a program: opening it may read and write files. "
            f"Where you trust it, pass runtime={FORMATS[name].runtime!r}."
        )
    made_for = _made_for(devices, name)
    preproc = Preprocessor.load(folder, manifest["preprocessor"])
    with made_for:
        model = FORMATS[name].open(folder, {**manifest, "num_labels": preproc.task.outputs})
    predictor = Predictor(model, preproc, batch_size, cache=cache)
    predictor.card = RunCard.find(folder)
    if name != KERAS:
        predictor.origin = folder.resolve(), manifest["checksum"]
    if verify:
        predictor.check(manifest["golden"], folder)
    return predictor


def _made_for(devices: Sequence[str] | None, name: str) -> contextlib.AbstractContextManager[Any]:
    """Returns the scope in which a model gets its weights on some devices."""
    if devices is None:
        return contextlib.nullcontext()
    if name != KERAS:
        raise ArgumentError(
            f"load_predictor: devices={devices!r} are for predictors that Keras runs; this "
            f"one is for the runtime {FORMATS[name].runtime!r}."
        )
    import keras

    from ktlite.training.distribution import check_devices, make_strategy, scope

    problems, backend = Problems("load_predictor"), keras.config.backend()
    if backend == "tensorflow":
        check_devices(problems, devices)
    else:
        problems.add(f"devices are for Keras' TensorFlow backend; this is {backend}.")
    problems.raise_if_any()
    return scope(make_strategy(None, devices))


def _refuse(folder: Path, name: str, runtime: Any) -> None:
    problems = Problems("load_predictor")
    problems.choice("runtime", runtime, list(RUNTIMES))
    problems.raise_if_any()
    how = (
        f"Export it: load_predictor(path).export(another_path, format={RUNTIMES[runtime]!r})."
        if name == KERAS
        else "Load the predictor that it was exported from."
    )
    raise PredictorError(
        f"{folder} is for the runtime {FORMATS[name].runtime!r}, not {runtime!r}. {how}"
    )
