"""From raw texts to predictions, and the folder that keeps everything needed for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite.errors import ArgumentError, DataError, PredictorError, plural
from ktlite.inference import Forward
from ktlite.storage import MANIFEST, atomic_folder, read_manifest, write_manifest
from ktlite.text.preprocessor import Preprocessor
from ktlite.text.tokenizer import Text

# What a loaded predictor must still say as it did when it was saved. Never texts of
# the user: a predictor travels further than the data that it was trained on.
_GOLDEN_TEXTS = ("It was fine.", "房间很干净，服务也好。", "One line, and then another. " * 12)
# Other processors and library versions round differently; a wrong model is off by far more.
_TOLERANCE = 1e-3
_HALF_TOLERANCE = 5e-2  # where the model computes in bfloat16 or float16


class Predictor:
    """Predicts from raw texts.

    Args:
        model: The model.
        preproc: The preprocessor that the model was trained with.
        batch_size: Texts a batch.

    Raises:
        ArgumentError: If the preprocessor has seen no labels yet, or the model has
            another number of outputs than they need.

    Example:
        >>> predictor = learner.get_predictor()
        >>> predictor.predict("A warm, funny, engaging film.")
        'positive'
        >>> predictor.predict(["Dull.", "Superb!"])
        ['negative', 'positive']
    """

    def __init__(self, model: Any, preproc: Preprocessor, batch_size: int = 32) -> None:
        needed = preproc.task.outputs
        found = getattr(model, "num_labels", needed)
        if found != needed:
            raise ArgumentError(
                f"the model has {plural(found, 'output')}, but the labels of the preprocessor need "
                f"{needed}; make the model with this preprocessor's get_classifier()."
            )
        self.model = model
        self.preproc = preproc
        self.batch_size = batch_size
        self._forward = Forward(model)

    def get_classes(self) -> list[Any]:
        """Returns the labels in the order of the probabilities."""
        return self.preproc.get_classes()

    def predict(
        self,
        texts: Text | Sequence[Text],
        return_proba: bool = False,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> Any:
        """Predicts one text or many.

        Args:
            texts: A string; a tuple of two strings, which is a pair; or a list of either.
            return_proba: Give probabilities in place of labels.
            batch_size: Texts a batch. Default: the predictor's.
            verbose: 1 shows a progress bar for many texts.

        Returns:
            For one text one prediction, for a list a list: the label; for several labels
            a text, (label, probability) of each; for regression, the number. With
            `return_proba`, what `predict_proba` returns.

        Raises:
            DataError: If a text is not a string or a pair of strings.
        """
        if return_proba:
            return self.predict_proba(texts, batch_size=batch_size, verbose=verbose)
        many, single = _as_list(texts)
        decoded = self.preproc.task.decode(self.logits(many, batch_size, verbose))
        return decoded[0] if single else decoded

    def predict_proba(
        self,
        texts: Text | Sequence[Text],
        *,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Returns probabilities, float32: [classes] for one text, [texts, classes] for a list."""
        many, single = _as_list(texts)
        probabilities = self.preproc.task.probabilities(self.logits(many, batch_size, verbose))
        return probabilities[0] if single else probabilities

    def logits(
        self, texts: Sequence[Text], batch_size: int | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Returns the model's logits, float32 [texts, outputs], in the order of the texts."""
        if not len(texts):
            return np.zeros((0, self.preproc.task.outputs), "float32")
        encodings = self.preproc.encode(texts, verbose=verbose)
        size = self.batch_size if batch_size is None else batch_size
        return self._forward.over(encodings, batch_size=size, verbose=verbose)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the predictor as a folder that loads anywhere, and that `transformers` opens too.

        The folder holds `model.safetensors`, `config.json`, the tokenizer and
        `ktlite.json`. It appears whole or not at all: a crash leaves what was there before.

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
        if not hasattr(self.model, "save_pretrained"):
            raise PredictorError(
                f"a model of type {type(self.model).__name__} has no checkpoint format; "
                "predictors of ktlite.models can be saved."
            )
        with atomic_folder(path, replace=_is_predictor) as folder:
            self.model.config.update(self.preproc.task.hf_config())
            self.model.save_pretrained(folder)
            manifest = {
                "preprocessor": self.preproc.save(folder),
                "head": self.model.task_name,
                "ignore_config_fields": list(self.model.ignore_config_fields),
                "precision": self.model.dtype_policy.name,
                "golden": self._golden(),
            }
            write_manifest(folder, manifest)

    def _golden(self) -> list[dict[str, Any]]:
        logits = self.logits(_GOLDEN_TEXTS)
        if not np.isfinite(logits).all():
            raise PredictorError(
                "the model's outputs are not finite, so it is not saved: the training diverged. "
                "Train again with a lower rate."
            )
        return [
            {"text": text, "logits": [round(float(v), 6) for v in row]}
            for text, row in zip(_GOLDEN_TEXTS, logits, strict=True)
        ]

    def check(self, golden: Sequence[dict[str, Any]], where: Path) -> None:
        """Raises PredictorError unless the predictor repeats its recorded predictions."""
        expected = np.array([item["logits"] for item in golden])
        found = self.logits([item["text"] for item in golden])
        error = float(np.abs(found - expected).max())
        scale = max(1.0, float(np.abs(expected).max()))
        half = self.model.compute_dtype in ("bfloat16", "float16")
        if not error <= (_HALF_TOLERANCE if half else _TOLERANCE) * scale:
            raise PredictorError(
                f"{where}: the predictor gives other numbers than when it was saved (logits off by "
                f"{error:.2g}). Do not trust it: save it again from the model, or load it with the "
                "ktlite version that ktlite.json names."
            )


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
    preproc = Preprocessor.load(folder, manifest["preprocessor"])
    model = from_pretrained(
        folder,
        manifest["head"],
        num_labels=preproc.task.outputs,
        dtype=manifest["precision"],
        ignore_config_fields=manifest["ignore_config_fields"],
    )
    predictor = Predictor(model, preproc, batch_size)
    if verify:
        predictor.check(manifest["golden"], folder)
    return predictor


def _is_predictor(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _as_list(texts: Any) -> tuple[list[Text], bool]:
    """Returns the texts as a list, and whether it was a single text."""
    if isinstance(texts, str):
        return [texts], True
    if isinstance(texts, tuple) and len(texts) == 2 and all(isinstance(t, str) for t in texts):
        return [texts], True
    # Iterating over a data frame would give the names of its columns.
    wrong = isinstance(texts, (bytes, dict)) or hasattr(texts, "columns")
    if wrong or not hasattr(texts, "__iter__"):
        raise DataError(
            "predict takes a string, a tuple of two strings (a pair), or a list of them; got "
            f"{type(texts).__name__}."
        )
    return list(texts), False
