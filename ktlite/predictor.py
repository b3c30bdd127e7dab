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
from ktlite.tasks.task import mean_of_rows
from ktlite.text.preprocessor import Preprocessor

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
        found = getattr(model, "num_labels", needed) or 0
        if found != needed:
            raise ArgumentError(
                f"the model has {plural(found, 'output')}, but the labels of the preprocessor need "
                f"{needed}; make the model with this preprocessor's get_classifier()."
            )
        self.model = model
        self.preproc = preproc
        self.batch_size = batch_size
        self._forward = Forward(model)
        self._embedders: dict[tuple[str | None, bool | None], Forward] = {}

    def get_classes(self) -> list[Any]:
        """Returns the labels in the order of the probabilities."""
        return self.preproc.get_classes()

    def predict(
        self,
        texts: Any,
        return_proba: bool = False,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> Any:
        """Predicts one text or many.

        Args:
            texts: A string; a tuple of two strings, which is a pair; or a list of either. Of a
                model that tags words, also a list of lists of words; of one that compares texts,
                pairs; of one that answers questions, tuples (question, context).
            return_proba: Give probabilities in place of labels.
            batch_size: Texts a batch. Default: the predictor's.
            verbose: 1 shows a progress bar for many texts.
            **options: More that the task takes, as its `predict` describes them. Several labels a
                text: `return_labels`. Tags of words: `merge_tokens`, `return_offsets`,
                `custom_tokenizer`. Answers: `return_offsets`, `n_best`.

        Returns:
            For one text one prediction, for a list a list: the label; for several labels
            a text, (label, probability) of each; for regression, the number; for tags of
            words, a list of (word, tag); for a pair to compare, the cosine. With `return_proba`,
            what `predict_proba` returns, or the probability in each tuple.

        Raises:
            DataError: If a text is not of a kind that the task takes.
            ArgumentError: If the task does not take an option.
        """

        def run(examples: Sequence[Any]) -> np.ndarray:
            return self.logits(examples, batch_size, verbose)

        return self.preproc.task.predict(texts, run, return_proba, **options)

    def predict_proba(
        self,
        texts: Any,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Returns probabilities, float32: [classes] for one text, [texts, classes] for a list.

        Of a model that tags words: [words, classes] for each text.
        """
        many, single = self.preproc.task.as_list(texts)
        probabilities = self.preproc.task.probabilities(self.logits(many, batch_size, verbose))
        return probabilities[0] if single else probabilities

    def logits(
        self, texts: Sequence[Any], batch_size: int | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Returns the model's logits, in the order of the texts.

        They are float32 [texts, outputs]; of a model that tags words, an array of objects, each
        float32 [words, outputs].
        """
        if not len(texts):
            return np.zeros((0, self.preproc.task.outputs), "float32")
        encodings = self.preproc.encode(texts, verbose=verbose)
        size = self.batch_size if batch_size is None else batch_size
        task = self.preproc.task
        rows = self._forward.over(
            encodings,
            batch_size=size,
            verbose=verbose,
            keep=lambda outputs, inputs: task.reduce(outputs, None, inputs)[0],
        )
        return task.join(rows, encodings)

    def embed(
        self,
        texts: str | Sequence[str],
        batch_size: int | None = None,
        verbose: int = 0,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
    ) -> np.ndarray:
        """Turns texts into vectors that lie near each other where the texts mean the same.

        Best from a checkpoint that was trained for it (`ktlite.get_embedder`). A model that was
        fine-tuned for another task gives what its encoder makes of the texts.

        Args:
            texts: One text or a list. What is longer than the preprocessor's `maxlen` is cut, or
                where it reads in windows, the vector is the mean of theirs.
            batch_size: Texts a batch. Default: the predictor's.
            verbose: 1 shows a progress bar for many texts.
            pooling: How a text's vector comes of its tokens' vectors: `"mean"`, `"first"`
                (`[CLS]`), `"max"` or `"mean_sqrt"`. Default: as the model was trained, or the mean.
            normalize: Whether vectors are scaled to length 1. Default: as the model was trained,
                or not.

        Returns:
            float32 [width] for one text, [texts, width] for a list.

        Raises:
            DataError: If a text is no string.
            ArgumentError: If the pooling is not known, or the model is not one of ktlite's.

        Example:
            >>> predictor.embed(["A fine film.", "A good movie."]).shape
            (2, 384)
        """
        from ktlite.models.embedder import Embedder
        from ktlite.models.pooling import unit

        single = isinstance(texts, str)
        many: list[Any] = [texts] if single else list(texts)
        wrong = [text for text in many if not isinstance(text, str)]
        if wrong:
            first = wrong[0]
            raise DataError(f"embed takes strings; got {first!r:.60} of {type(first).__name__}.")
        how = (pooling, normalize)
        if how not in self._embedders:
            self._embedders[how] = Forward(Embedder(self.model, pooling, normalize))
        forward = self._embedders[how]
        if not many:
            return np.zeros((0, forward.model.width), "float32")
        encodings = self.preproc.tokenizer.encode(many, verbose=verbose)
        size = self.batch_size if batch_size is None else batch_size
        vectors = forward.over(encodings, batch_size=size, verbose=verbose)
        if encodings.text_of is not None:  # read in windows
            vectors = mean_of_rows(vectors, encodings.text_of)
            if forward.model.normalize:
                vectors = np.asarray(unit(vectors))
        return vectors[0] if single else vectors

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the predictor as a folder that loads anywhere, and that `transformers` opens too.

        The folder holds `model.safetensors`, `config.json`, the tokenizer and
        `ktlite.json`. It appears whole or not at all: a crash leaves what was there before.
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
        with atomic_folder(path, replace=_is_predictor) as folder:
            self.write(folder)

    def write(self, folder: Path) -> None:
        """Writes what `save` does into an empty folder, as a part of one that is saved whole.

        Raises:
            PredictorError: If the model has no checkpoint format, or gives NaN.
        """
        if not hasattr(self.model, "save_pretrained"):
            raise PredictorError(
                f"a model of type {type(self.model).__name__} has no checkpoint format; "
                "predictors of ktlite.models can be saved."
            )
        folder.mkdir(exist_ok=True)
        self.model.config.update(self.preproc.task.hf_config())
        self.model.save_pretrained(folder)
        self.preproc.task.write_files(folder, self.preproc.maxlen)
        manifest = {
            "preprocessor": self.preproc.save(folder),
            "head": self.model.task_name,
            "ignore_config_fields": list(self.model.ignore_config_fields),
            "precision": self.model.dtype_policy.name,
            "golden": self._golden(),
        }
        write_manifest(folder, manifest)

    def _golden(self) -> list[dict[str, Any]]:
        examples = self.preproc.task.golden_examples
        found = [np.asarray(logits, "float64") for logits in self.logits(examples)]
        if not all(np.isfinite(logits).all() for logits in found):
            raise PredictorError(
                "the model's outputs are not finite, so it is not saved: the training diverged. "
                "Train again with a lower rate."
            )
        return [
            {"text": example, "logits": logits.round(6).tolist()}
            for example, logits in zip(examples, found, strict=True)
        ]

    def check(self, golden: Sequence[dict[str, Any]], where: Path) -> None:
        """Raises PredictorError unless the predictor repeats its recorded predictions."""
        pairs = [
            (np.asarray(logits, "float64"), np.array(item["logits"]))
            for logits, item in zip(self.logits([i["text"] for i in golden]), golden, strict=True)
        ]
        # Another shape is another number of words, or of outputs.
        same = all(found.shape == expected.shape for found, expected in pairs)
        error = max(float(np.abs(a - b).max()) for a, b in pairs) if same else np.inf
        scale = max(1.0, *(float(np.abs(expected).max()) for _, expected in pairs))
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


def _is_predictor(folder: Path) -> bool:
    """Says whether there is a predictor, which may be damaged: a new one replaces it."""
    file = folder / MANIFEST
    # Search indices and other applications have this file, too.
    return file.is_file() and b'"preprocessor"' in file.read_bytes()
