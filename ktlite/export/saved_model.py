"""TensorFlow's SavedModel (https://www.tensorflow.org/guide/saved_model)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ktlite.export.exported import ExportedModel, as_field
from ktlite.export.quiet import quiet

SIGNATURE = "serving_default"


def write_saved_model(model: Any, folder: Path, quantize: str | None = None) -> None:
    """Writes `saved_model.pb` and `variables/`, with one signature of named tensors.

    It takes token ids (int32), not texts: no tokenizer of Hugging Face's has an exact counterpart
    among TensorFlow's operators. `tokenizer.json` is beside it.

    Args:
        model: A model of ktlite.models.
        folder: Where to write.
        quantize: None.
    """
    import tensorflow as tf

    from ktlite.export.tracing import traced

    function = traced(model).get_concrete_function()
    module = tf.Module()
    module.kept = function.variables  # what is saved is what hangs on the module
    with quiet("tensorflow", "absl"):
        tf.saved_model.save(module, os.fspath(folder), signatures={SIGNATURE: function})


class SavedModel(ExportedModel):
    """Runs a SavedModel with TensorFlow, without Keras.

    Args:
        folder: Where it lies.
        facts: As of `ExportedModel`.
    """

    def __init__(self, folder: str | os.PathLike[str], facts: Mapping[str, Any]) -> None:
        import tensorflow as tf

        super().__init__(facts)
        self._module = tf.saved_model.load(os.fspath(folder))  # its weights live as long as it
        self._function = self._module.signatures[SIGNATURE]
        self.fields = tuple(
            as_field(name, spec.dtype.name, spec.shape.as_list())
            for name, spec in self._function.structured_input_signature[1].items()
        )

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import tensorflow as tf

        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        return {name: output.numpy() for name, output in self._function(**tensors).items()}
