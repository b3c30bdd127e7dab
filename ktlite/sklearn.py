"""Checkpoints as scikit-learn estimators: for `Pipeline`, `GridSearchCV` and `cross_val_score`.

>>> from sklearn.model_selection import GridSearchCV
>>> from ktlite.sklearn import TextClassifier
>>> search = GridSearchCV(TextClassifier("bert-base-uncased"), {"lr": [2e-5, 5e-5]}, cv=3)
>>> search.fit(texts, labels).best_params_
{'lr': 5e-05}
"""

from __future__ import annotations

import abc
import gc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from ktlite._extras import needs_extra
from ktlite.cards import described
from ktlite.errors import ArgumentError, DataError, PredictorError
from ktlite.inputs.images import Images
from ktlite.inputs.input import input_of
from ktlite.inputs.pictures import name_of
from ktlite.learner import Learner
from ktlite.predictor import load_predictor
from ktlite.storage import MANIFEST, atomic_folder, read_manifest, write_manifest
from ktlite.tasks import Classification, Task
from ktlite.text.transformer import Transformer

with needs_extra("train", "ktlite.sklearn"):
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.validation import check_consistent_length, check_is_fitted

__all__ = [
    "ImageClassifier",
    "ImageRegressor",
    "TextClassifier",
    "TextRegressor",
    "TokenClassifier",
]

_PREDICTOR = "predictor"
E = TypeVar("E", bound="_Estimator")
C = TypeVar("C", bound="_Classifier")
R = TypeVar("R", bound="_Regressor")


class _Estimator(BaseEstimator):
    """What the estimators share: training with one cycle on all rows, saving and loading."""

    kind: ClassVar[str]

    def __init__(
        self,
        checkpoint: str | os.PathLike[str],
        *,
        lr: float = 5e-5,
        epochs: int = 3,
        batch_size: int = 32,
        weight_decay: float = 0.01,
        frozen: int = 0,
        class_weight: Any = None,
        random_state: int = 42,
        verbose: int = 0,
    ) -> None:
        self.checkpoint = checkpoint
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.frozen = frozen
        self.class_weight = class_weight
        self.random_state = random_state
        self.verbose = verbose

    @abc.abstractmethod
    def _items(self, X: Any) -> list[Any]:
        """Returns what scikit-learn hands over as ktlite has it."""

    def _reading(self) -> dict[str, Any]:
        """Returns the arguments of `Transformer` that only some kinds take."""
        return {}

    def _fit(self: E, items: Sequence[Any], y: Any, task: str | Task, weights: Any) -> E:
        gc.collect()  # the model of an earlier fit, which a search has let go of
        check_consistent_length(items, y, weights)
        found = input_of(self.checkpoint).kind
        if found != self.kind:
            raise ArgumentError(
                f"{type(self).__name__}: {self.checkpoint} reads {found}s, not {self.kind}s."
            )
        preproc = Transformer(self.checkpoint, task=task, **self._reading())
        train = preproc.preprocess_train(items, y, verbose=self.verbose, sample_weight=weights)
        learner = Learner(
            preproc.get_classifier(seed=self.random_state),
            train,
            batch_size=self.batch_size,
            seed=self.random_state,
            check=False,
        )
        learner.arguments = described(self.get_params())
        learner.set_weight_decay(self.weight_decay)
        if self.frozen:
            learner.freeze(self.frozen)
        learner.fit_onecycle(
            self.lr, self.epochs, class_weight=self.class_weight, verbose=self.verbose
        )
        self.predictor_ = learner.get_predictor()
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the fitted estimator as a folder, without pickle.

        Of a checkpoint that is a folder, the name alone is kept: what is loaded predicts anywhere;
        to fit it again, `set_params(checkpoint=...)`.

        Args:
            path: The folder. An estimator that is there is replaced, anything else refused.

        Raises:
            ArgumentError: If something else is there, or a parameter is not a JSON value.

        Example:
            >>> classifier.save("my-classifier")
            >>> TextClassifier.load("my-classifier").predict(["Fine!"])
        """
        check_is_fitted(self)
        parameters = self.get_params() | described({"checkpoint": self.checkpoint})
        with atomic_folder(path, replace=_is_estimator) as folder:
            self.predictor_.write(folder / _PREDICTOR)
            facts = {"estimator": type(self).__name__, "parameters": parameters}
            write_manifest(folder, facts)

    @classmethod
    def load(cls: type[E], path: str | os.PathLike[str]) -> E:
        """Loads what `save` wrote.

        Raises:
            PredictorError: If the folder is damaged, or of another estimator.
        """
        manifest = read_manifest(path)
        if manifest.get("estimator") != cls.__name__:
            raise PredictorError(
                f"{path} holds {manifest.get('estimator', 'no estimator')}, not {cls.__name__}; "
                "load it with the class that saved it."
            )
        estimator = cls(**manifest["parameters"])
        estimator.predictor_ = load_predictor(Path(path, _PREDICTOR))
        return estimator

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return np.asarray(self.predictor_.logits(self._items(X), verbose=self.verbose))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.target_tags.required = False, True
        return tags


class _Texts(_Estimator):
    """Estimators of texts."""

    kind = "text"

    def __init__(
        self,
        checkpoint: str | os.PathLike[str],
        *,
        lr: float = 5e-5,
        epochs: int = 3,
        batch_size: int = 32,
        maxlen: int = 128,
        weight_decay: float = 0.01,
        frozen: int = 0,
        class_weight: Any = None,
        random_state: int = 42,
        verbose: int = 0,
    ) -> None:  # all of them, since scikit-learn reads parameters off here
        super().__init__(
            checkpoint,
            lr=lr,
            epochs=epochs,
            batch_size=batch_size,
            weight_decay=weight_decay,
            frozen=frozen,
            class_weight=class_weight,
            random_state=random_state,
            verbose=verbose,
        )
        self.maxlen = maxlen

    def _items(self, X: Any) -> list[Any]:
        if isinstance(X, str):
            raise DataError(f"X is one string, {X!r:.60}; expected a list of them.")
        return [tuple(row) if isinstance(row, list) else row for row in _rows(X)]

    def _reading(self) -> dict[str, Any]:
        return {"maxlen": self.maxlen}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags


class _Images(_Estimator):
    """Estimators of images."""

    kind = "image"

    def _items(self, X: Any) -> list[Any]:
        if Images.is_one(X):
            raise DataError(f"X is one image, {name_of(X)}; expected a list of them.")
        is_pixels = getattr(getattr(X, "dtype", None), "kind", "O") not in "OUST"
        return list(X) if is_pixels else _rows(X)


class _Classifier(ClassifierMixin, _Estimator):
    """A class for each row."""

    def fit(self: C, X: Any, y: Any, sample_weight: Any = None) -> C:
        """Trains on rows and their classes.

        Args:
            X: Strings, or pairs of strings; of images whatever `Predictor.predict` takes: a list,
                an array, a Series, or a data frame with one column (of pairs two).
            y: [n] classes.
            sample_weight: [n], how much each row counts.
        """
        values = np.asarray(y)
        if values.ndim != 1:
            raise DataError(
                f"y has shape {list(values.shape)}; {type(self).__name__} takes one class for each "
                f"{self.kind}. For several labels, use ktlite.get_learner(task='multilabel')."
            )
        task = Classification(np.unique(values).tolist())
        return self._fit(self._items(X), values, task, sample_weight)

    @property
    def classes_(self) -> np.ndarray:
        """The classes, [classes], in the order of `predict_proba`."""
        check_is_fitted(self)
        return np.array(self.predictor_.get_classes())

    def predict(self, X: Any) -> np.ndarray:
        """Returns the class of each row, [n]."""
        logits = self._logits(X)
        return self.classes_[logits.argmax(axis=-1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns probabilities, float32 [n, classes]."""
        logits = self._logits(X)
        return self.predictor_.preproc.task.probabilities(logits)

    def decision_function(self, X: Any) -> np.ndarray:
        """Returns logits, float32 [n, classes]; of two classes their difference, [n]."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits


class _Regressor(RegressorMixin, _Estimator):
    """A number for each row, or several."""

    def fit(self: R, X: Any, y: Any, sample_weight: Any = None) -> R:
        """Trains on rows and their numbers, [n] or [n, targets]."""
        return self._fit(self._items(X), np.asarray(y, "float64"), "regression", sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Returns the numbers, float64 [n] or [n, targets]."""
        logits = self._logits(X)
        return np.array(self.predictor_.preproc.task.decode(logits), "float64")


class TextClassifier(_Classifier, _Texts):
    """A class for each text, or pair of texts, by fine-tuning a checkpoint.

    It trains on all rows that it is given: hold some out to judge it, as scikit-learn does.

    Args:
        checkpoint: Checkpoint folder or Hub name.
        lr: The highest learning rate of the cycle.
        epochs: Epochs.
        batch_size: Texts a training batch.
        maxlen: Longest text in tokens.
        weight_decay: Decoupled weight decay.
        frozen: Layer groups, from the input on, that keep their weights.
        class_weight: `"balanced"`, or a dict from class to weight.
        random_state: Seed of the new head, dropout and the order of the texts.
        verbose: 0 silent, 1 progress bars.

    Attributes:
        predictor_: The fitted `ktlite.Predictor`.

    Example:
        >>> classifier = TextClassifier("bert-base-uncased", epochs=2).fit(texts, labels)
        >>> classifier.predict(["A warm, funny film."])
        array(['positive'], dtype='<U8')
    """


class TextRegressor(_Regressor, _Texts):
    """A number for each text, or pair of texts; parameters as `TextClassifier`."""


class ImageClassifier(_Classifier, _Images):
    """A class for each image, by fine-tuning a checkpoint.

    It trains on all rows that it is given: hold some out to judge it, as scikit-learn does.

    Args:
        checkpoint: Checkpoint folder or Hub name.
        lr: The highest learning rate of the cycle.
        epochs: Epochs.
        batch_size: Images a training batch.
        weight_decay: Decoupled weight decay.
        frozen: Layer groups, from the input on, that keep their weights.
        class_weight: `"balanced"`, or a dict from class to weight.
        random_state: Seed of the new head, dropout and the order of the images.
        verbose: 0 silent, 1 progress bars.

    Attributes:
        predictor_: The fitted `ktlite.Predictor`.

    Example:
        >>> classifier = ImageClassifier("vit-base-patch16-224", epochs=2).fit(paths, labels)
        >>> classifier.predict(["cats/1.jpg"])
        array(['cat'], dtype='<U3')
    """


class ImageRegressor(_Regressor, _Images):
    """A number for each image; parameters as `ImageClassifier`."""


class TokenClassifier(_Texts):
    """A tag for each word of each text; parameters as `TextClassifier`."""

    def fit(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> TokenClassifier:
        """Trains on lists of words, and a list of tags for each."""
        return self._fit(list(X), list(y), "token-classification", None)

    def _items(self, X: Any) -> list[Any]:
        return list(X)

    def predict(self, X: Sequence[Sequence[str]]) -> list[list[str]]:
        """Returns the tags of each list of words."""
        return list(self.predictor_.preproc.task.decode(self._logits(X)))

    def score(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> float:
        """Returns the F1 of entities; of tags without prefixes, the accuracy of words."""
        task = self.predictor_.preproc.task
        figures = task.report(self._logits(X), task.encode(list(y))).metrics
        return float(figures.get("f1", figures["accuracy"]))


def _rows(X: Any) -> list[Any]:
    """Returns a cell for each row, of several columns a tuple."""
    rows = X.to_numpy(object) if hasattr(X, "columns") else X
    if getattr(rows, "ndim", 1) == 2:
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]
    return list(rows)


def _is_estimator(folder: Path) -> bool:
    file = folder / MANIFEST
    return file.is_file() and b'"estimator"' in file.read_bytes()
