"""Classification from a handful of examples a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked, positive
from ktlite._logging import logger
from ktlite._tensor_writing import save_tensors
from ktlite.data.readers import read_arrays
from ktlite.errors import ArgumentError, DataError, Problems, plural
from ktlite.learner import Learner
from ktlite.predictor import Predictor, load_predictor
from ktlite.storage import MANIFEST, atomic_folder, read_manifest, write_manifest
from ktlite.tasks import Classification, Similarity
from ktlite.tasks.arrays import softmax
from ktlite.text.transformer import Transformer

_REGRESSION = "regression.safetensors"


class FewShotClassifier:
    """A classifier from few examples a class.

    It is SetFit's method (Tunstall et al., 2022, arXiv:2209.11055): a model of sentence embeddings
    learns from pairs of the examples that texts of a class are alike and others are not, and a
    logistic regression on its vectors tells the classes apart.

    Args:
        model: Checkpoint folder or Hub name, best of sentence-transformers.
        maxlen: Longest text in tokens.
        batch_size: Texts a batch at prediction.
        seed: Of pairs, their order, and dropout.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        ArgumentError: If `maxlen` does not fit it.

    Example:
        >>> classifier = ktlite.FewShotClassifier("sentence-transformers/all-MiniLM-L6-v2")
        >>> classifier.fit(["Superb!", "I loved it.", "Dull.", "A waste."], ["+", "+", "-", "-"])
        >>> classifier.predict("What a bore.")
        '-'
        >>> classifier.save("my-classifier")
    """

    @checked
    def __init__(
        self,
        model: str | os.PathLike[str],
        maxlen: int = 128,
        batch_size: int = 32,
        *,
        seed: int = 42,
    ) -> None:
        self.model = os.fspath(model)
        self.maxlen = maxlen
        self.batch_size = batch_size
        self.seed = seed
        self._task: Classification | None = None
        self._embedder: Predictor | None = None
        self._weights = np.zeros((0, 0), "float32")
        Transformer(model, maxlen, task=Similarity("cosine"))  # its checks

    def __repr__(self) -> str:
        known = "not trained yet" if self._task is None else repr(self._task)
        return f"FewShotClassifier: {Path(self.model).name}, {known}"

    @checked
    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        *,
        pairs: int = 20,
        epochs: int = 1,
        lr: float = 2e-5,
        batch_size: int = 16,
        verbose: int = 1,
    ) -> FewShotClassifier:
        """Learns from examples. Each call starts from the checkpoint again.

        Args:
            texts: The examples.
            labels: Their classes: strings or integers.
            pairs: For each example, so many pairs with texts of its class and as many with others.
                (The paper's R.)
            epochs: How often the pairs are seen.
            lr: The highest learning rate. The default is the paper's; for small models such as
                MiniLM 1e-4 may be better.
            batch_size: Pairs a batch.
            verbose: 0 silences progress bars.

        Returns:
            The classifier itself.

        Raises:
            DataError: If texts or labels cannot be used, there is one class only, or a class with
                a single example, which gives no pair.
            ArgumentError: If a number makes no sense.
        """
        problems = Problems("fit")
        at_least_one(problems, pairs=pairs, epochs=epochs, batch_size=batch_size)
        positive(problems, lr=lr)
        problems.raise_if_any()
        raw = read_arrays(texts, labels, missing="error", source="examples")
        assert raw.labels is not None
        if not all(isinstance(text, str) for text in raw.items) or raw.labels.ndim != 1:
            raise DataError("examples: expected a list of strings, and one label for each.")
        task = Classification(sorted(set(raw.labels.tolist())))
        targets = task.encode(raw.labels, "examples")
        examples = list(map(str, raw.items))
        drawn, alike = contrastive_pairs(targets, pairs, seed=self.seed)
        preproc = Transformer(self.model, self.maxlen, task=Similarity("cosine"))
        groups = [(examples[a], examples[b]) for a, b in drawn]
        data = preproc.preprocess_train(groups, alike, verbose=verbose)
        model = preproc.get_classifier(seed=self.seed)
        if verbose:
            logger.info(
                "%s of %s make %s",
                plural(len(examples), "example"),
                f"{len(task.classes)} classes",
                plural(len(groups), "pair"),
            )
        learner = Learner(model, data, batch_size=batch_size, seed=self.seed, check=False)
        learner.fit_onecycle(lr, epochs, verbose=verbose)
        embedder = learner.get_predictor(batch_size=self.batch_size)
        self._weights = logistic_regression(embedder.embed(examples), targets)
        self._task, self._embedder = task, embedder
        return self

    @property
    def embedder(self) -> Predictor:
        """The fine-tuned model of embeddings.

        Raises:
            ArgumentError: If nothing has been learned yet.
        """
        if self._embedder is None:
            raise ArgumentError("the classifier has learned nothing yet; call fit(texts, labels).")
        return self._embedder

    def get_classes(self) -> list[Any]:
        """Returns the classes in the order of the probabilities."""
        return [] if self._task is None else self._task.classes

    @checked
    def predict(self, texts: str | Sequence[str], return_proba: bool = False) -> Any:
        """Predicts the class of one text, or a list of classes.

        Args:
            texts: One text or a list.
            return_proba: Give probabilities.

        Raises:
            ArgumentError: If nothing has been learned yet.
            DataError: If a text is no string.
        """
        probabilities = self.predict_proba(texts)
        if return_proba:
            return probabilities
        single = probabilities.ndim == 1
        best = np.atleast_1d(probabilities.argmax(axis=-1))
        labels = [self.get_classes()[i] for i in best]
        return labels[0] if single else labels

    @checked
    def predict_proba(self, texts: str | Sequence[str]) -> np.ndarray:
        """Returns probabilities, float32: [classes] for one text, [texts, classes] for a list."""
        vectors = self.embedder.embed(texts)
        logits = vectors @ self._weights[:-1] + self._weights[-1]
        return softmax(logits).astype("float32")

    @checked
    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the classifier as a folder of safetensors and JSON.

        Args:
            path: The folder. A classifier that is there is replaced, anything else refused.

        Raises:
            ArgumentError: If something else is at `path`, or nothing has been learned yet.
        """
        embedder = self.embedder
        with atomic_folder(path, replace=_is_classifier) as folder:
            embedder.write(folder / "embedder")
            save_tensors({"weights": self._weights}, folder / _REGRESSION)
            write_manifest(
                folder, {"few_shot": {"classes": self.get_classes(), "maxlen": self.maxlen}}
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str], batch_size: int = 32) -> FewShotClassifier:
        """Loads what `save` wrote; it can be fitted anew, on top of what it has learned.

        Args:
            path: The folder; it may have been moved.
            batch_size: Texts a batch.

        Raises:
            PredictorError: If the folder is missing or damaged.
            ArgumentError: If it is something else.
        """
        from safetensors.numpy import load_file

        folder = Path(path)
        config = read_manifest(folder).get("few_shot")
        if config is None:
            raise ArgumentError(f"{folder} is no classifier that FewShotClassifier saved.")
        classifier = cls(folder / "embedder", config["maxlen"], batch_size)
        classifier._task = Classification(config["classes"])
        classifier._embedder = load_predictor(folder / "embedder", batch_size)
        classifier._weights = load_file(folder / _REGRESSION)["weights"]
        return classifier


def contrastive_pairs(
    targets: np.ndarray, count: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws pairs of examples, as many of one class as of two.

    Args:
        targets: int [examples], their classes, numbered from 0.
        count: Pairs of each kind for each example.
        seed: Of the draw.

    Returns:
        int64 [pairs, 2], the numbers of examples, never of one with itself; and float32 [pairs], 1
        where both are of a class, else 0.

    Raises:
        DataError: If a class has one example only.

    Example:
        >>> pairs, alike = contrastive_pairs(np.array([0, 0, 1, 1]), 1, seed=0)
        >>> alike
        array([1., 0., 1., 0., 1., 0., 1., 0.], dtype=float32)
    """
    counts = np.bincount(targets)
    if counts.min() < 2:
        raise DataError(
            "few-shot learning needs at least two examples of each class, better eight; there is a "
            f"class with {counts.min()}."
        )
    random = np.random.default_rng(seed)
    numbers = np.arange(len(targets))
    pairs = []
    for i, target in enumerate(targets):
        same = numbers[(targets == target) & (numbers != i)]
        other = numbers[targets != target]
        for _ in range(count):
            pairs += [(i, random.choice(same)), (i, random.choice(other))]
    return np.array(pairs, "int64"), np.tile(np.array([1, 0], "float32"), len(pairs) // 2)


def logistic_regression(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fits scikit-learn's logistic regression.

    Args:
        vectors: float [examples, width].
        targets: int [examples], classes numbered from 0, each of which occurs.

    Returns:
        float32 [width + 1, classes]: weights, and in the last row biases, of logits for softmax.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=1000).fit(vectors, targets)
    weights = np.concatenate([fitted.coef_.T, fitted.intercept_[None]])
    if weights.shape[1] == 1:  # of two classes it has the logit of the second
        weights = np.concatenate([np.zeros_like(weights), weights], axis=1)
    return weights.astype("float32")


def _is_classifier(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and (folder / _REGRESSION).is_file()
