"""The methods of a `Predictor` that write its folder, and check what was loaded from one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import checked
from ktlite.cards import write_model_card
from ktlite.errors import PredictorError
from ktlite.export.formats import KERAS, model_facts
from ktlite.inference.runner import Runner
from ktlite.predictor.predicting import Predicting
from ktlite.storage import MANIFEST, atomic_folder, write_manifest

# Other processors and library versions round differently; a wrong model is off by far more.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 5e-2, "int8": 0.25}


class Saving(Predicting):
    """A predictor as a folder that keeps everything needed for it."""

    @checked
    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the predictor as a folder that loads anywhere, and that `transformers` opens too.

        The folder holds `model.safetensors`, `config.json`, the tokenizer and
        `ktlite.json`; of a learner's predictor also `run.json`, its run card, and `README.md`, a
        model card with the figures of the last validation, to be edited. It appears whole or not at
        all: a crash leaves what was there before.
        (`transformers` knows no baselines such as `"nbsvm"`. Of a regression it gives the
        standardised numbers; their `mean` and `scale` are in `ktlite.json`.)

        Args:
            path: The folder. A predictor that is there already is replaced; anything
                else that is there is refused.

        Raises:
            ArgumentError: If `path` is a file or a folder of something else.
            PredictorError: If the model has no checkpoint format, or gives NaN.

        Example:
            >>> predictor.save("reviews-predictor")
            >>> ktlite.load_predictor("reviews-predictor").predict("Fine!")
        """
        from ktlite.training.workers import first_writes

        with first_writes(self.model, path) as first:
            if first:
                with atomic_folder(path, replace=_is_predictor) as folder:
                    self.write(folder)

    def write(self, folder: Path) -> None:
        """Writes what `save` does into an empty folder, as a part of one that is saved whole.

        Raises:
            PredictorError: If the model has no checkpoint format, or gives NaN.
        """
        from ktlite.models import TransformerModel

        self._check_writable()
        folder.mkdir(exist_ok=True)
        self.model.save_pretrained(folder, tokenizer=False)
        self.preproc.task.write_files(folder, self.preproc.maxlen)
        manifest = {
            "format": KERAS,
            "preprocessor": self.preproc.save(folder),
            **model_facts(self.model),
            "golden": self._golden(),
        }
        if self.card is not None:
            self.card.write(folder)
        write_manifest(folder, manifest)
        if self.card is not None:  # after the manifest has sealed the folder: people will edit it
            in_pytorch = isinstance(self.model, TransformerModel)
            write_model_card(folder, self.card, self.preproc, in_pytorch)

    def _check_writable(self) -> None:
        """Gives the model the labels' names to write; raises PredictorError if it cannot be."""
        if isinstance(self.model, Runner):
            raise PredictorError(
                "this predictor was loaded from an export, which cannot be saved or exported: do "
                "that with the predictor that it was exported from."
            )
        if not hasattr(self.model, "save_pretrained"):
            raise PredictorError(
                f"a model of type {type(self.model).__name__} has no checkpoint format; "
                "predictors of ktlite.models can be saved."
            )
        self.preproc.task.into_config(self.model.config)

    def _golden(self) -> list[dict[str, Any]]:
        examples = self.preproc.golden_examples
        found = [np.asarray(logits, "float64") for logits in self.fresh_logits(examples)]
        if not all(np.isfinite(logits).all() for logits in found):
            raise PredictorError(
                "the model's outputs are not finite, so it is not saved: the training diverged. "
                "Train again with a lower rate."
            )
        input = self.preproc.input
        return [
            {input.kind: input.to_json(example), "logits": logits.round(6).tolist()}
            for example, logits in zip(examples, found, strict=True)
        ]

    def _given(self, recorded: dict[str, Any]) -> Any:
        """Returns a recorded example as it was given: JSON has no tuples."""
        item = self.preproc.input.from_json(recorded[self.preproc.input.kind])
        return tuple(item) if self.preproc.pairs and isinstance(item, list) else item

    def check(self, golden: Sequence[dict[str, Any]], where: Path) -> None:
        """Raises PredictorError unless the predictor repeats its recorded predictions."""
        pairs = [
            (np.asarray(logits, "float64"), np.array(item["logits"]))
            for logits, item in zip(
                self.fresh_logits([self._given(item) for item in golden]), golden, strict=True
            )
        ]
        # Another shape is another number of words, or of outputs.
        same = all(found.shape == expected.shape for found, expected in pairs)
        # Nothing may have been written for one.
        error = max(float(np.abs(a - b).max(initial=0)) for a, b in pairs) if same else np.inf
        scale = max(1.0, *(float(np.abs(expected).max(initial=0)) for _, expected in pairs))
        if not error <= _TOLERANCE[self._forward.precision] * scale:
            raise PredictorError(
                f"{where}: the predictor gives other numbers than when it was saved (logits off by "
                f"{error:.2g}). Do not trust it: save it again from the model, or load it with the "
                "ktlite version that ktlite.json names."
            )


def _is_predictor(folder: Path) -> bool:
    """Says whether there is a predictor, which may be damaged: a new one replaces it."""
    file = folder / MANIFEST
    # Search indices and other applications have this file, too.
    return file.is_file() and b'"preprocessor"' in file.read_bytes()
