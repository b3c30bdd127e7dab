"""LiteRT (https://ai.google.dev/edge/litert), once TensorFlow Lite: for phones, small devices."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._extras import needs_extra
from ktlite.errors import ExportError, listing
from ktlite.export.exported import ExportedModel, as_field
from ktlite.export.quiet import quiet
from ktlite.export.saved_model import SIGNATURE, write_saved_model

FILE = "model.tflite"


def write_litert(model: Any, folder: Path, quantize: str | None = None) -> None:
    """Writes `model.tflite`, which needs LiteRT's own operators alone: none of TensorFlow's.

    Args:
        model: A model of ktlite.models.
        folder: Where to write.
        quantize: `"float16"` stores the weights so, `"int8"` as 8-bit integers with a scale a
            column, with activations quantised as they come (dynamically).

    Raises:
        ExportError: If the model has operators that LiteRT does not have.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory(dir=folder) as name, quiet("tensorflow", "absl"):
        write_saved_model(model, Path(name))
        converter = tf.lite.TFLiteConverter.from_saved_model(name, signature_keys=[SIGNATURE])
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            content = converter.convert()
        except Exception as error:  # ConverterError has no public name
            unknown = sorted(set(re.findall(r"'tf\.(\w+)' op", str(error))))
            raise ExportError(
                f"LiteRT has no operator for TensorFlow's {listing(unknown)}, which this model "
                "needs. Export it as 'saved_model'."
                if unknown
                else f"LiteRT cannot express this model: {error}"
            ) from error
    (folder / FILE).write_bytes(content)


class LiteRTModel(ExportedModel):
    """Runs `model.tflite` with LiteRT, without TensorFlow or Keras.

    Threads take turns: an interpreter has one set of buffers.

    Args:
        folder: Where the file lies.
        facts: As of `ExportedModel`.

    Raises:
        ExportError: If LiteRT cannot open the file.
    """

    def __init__(self, folder: str | os.PathLike[str], facts: Mapping[str, Any]) -> None:
        super().__init__(facts)
        with needs_extra("litert", error=ExportError):
            from ai_edge_litert.interpreter import Interpreter
        file = Path(folder) / FILE
        try:
            self._interpreter = Interpreter(model_path=os.fspath(file), num_threads=os.cpu_count())
            self._runner = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise ExportError(f"LiteRT cannot open {file}: {error}") from error
        self._lock = threading.Lock()
        self.fields = tuple(
            as_field(name, np.dtype(facts["dtype"]).name, facts["shape_signature"].tolist())
            for name, facts in self._runner.get_input_details().items()
        )

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self._lock:
            outputs = self._runner(**inputs)
            return {name: np.array(output) for name, output in outputs.items()}
