"""Few-shot classification: pairs, the regression, and the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import ktlite
from ktlite.applications.few_shot import (
    FewShotClassifier,
    contrastive_pairs,
    logistic_regression,
)
from ktlite.errors import ArgumentError, DataError, PredictorError

TEXTS = ["good film", "a good line", "good good", "bad film", "a bad line", "bad bad"]
LABELS = ["+", "+", "+", "-", "-", "-"]


def test_pairs_are_half_of_one_class_and_half_of_two() -> None:
    targets = np.array([0, 1, 1, 2, 0, 2, 2])
    pairs, alike = contrastive_pairs(targets, 5, seed=1)
    assert len(pairs) == len(alike) == 7 * 5 * 2
    assert alike.mean() == 0.5
    assert ((targets[pairs[:, 0]] == targets[pairs[:, 1]]) == alike.astype(bool)).all()
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert np.bincount(pairs[:, 0]).tolist() == [10] * 7
    assert (contrastive_pairs(targets, 5, seed=1)[0] == pairs).all()
    assert (contrastive_pairs(targets, 5, seed=2)[0] != pairs).any()


@pytest.mark.parametrize("classes", [2, 3])
def test_regression_gives_the_probabilities_of_scikit_learn(classes: int) -> None:
    random = np.random.default_rng(0)
    targets = np.arange(30) % classes
    vectors = random.normal(size=(30, 5)) + np.eye(5)[targets]
    weights = logistic_regression(vectors, targets)
    logits = vectors @ weights[:-1] + weights[-1]
    powers = np.exp(logits)
    expected = LogisticRegression(max_iter=1000).fit(vectors, targets).predict_proba(vectors)
    np.testing.assert_allclose(powers / powers.sum(1, keepdims=True), expected, atol=1e-6)


@pytest.fixture(scope="module")
def classifier(tiny_checkpoint: Path) -> FewShotClassifier:
    return FewShotClassifier(tiny_checkpoint, 12).fit(
        TEXTS, LABELS, pairs=8, epochs=2, lr=3e-3, verbose=0
    )


def test_learns_its_examples(classifier: FewShotClassifier) -> None:
    assert classifier.predict(TEXTS) == LABELS
    assert classifier.predict("good film") == "+"
    assert classifier.get_classes() == ["+", "-"]
    probabilities = classifier.predict_proba(TEXTS)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        classifier.predict("good film", return_proba=True), probabilities[0], atol=1e-5
    )


def test_examples_of_a_class_come_to_lie_near_each_other(
    classifier: FewShotClassifier, tiny_checkpoint: Path
) -> None:
    def contrast(embedder: Any) -> float:
        vectors = embedder.embed(TEXTS, normalize=True)
        cosines = vectors @ vectors.T
        return float(cosines[:3, :3].mean() - cosines[:3, 3:].mean())

    before = contrast(ktlite.get_embedder(tiny_checkpoint))
    assert contrast(classifier.embedder) > before + 0.2


def test_saved_classifier_gives_the_same_probabilities(
    classifier: FewShotClassifier, tmp_path: Path
) -> None:
    for _ in range(2):  # the second time over what is there
        classifier.save(tmp_path / "few")
    again = FewShotClassifier.load(tmp_path / "few")
    assert again.get_classes() == ["+", "-"]
    np.testing.assert_allclose(
        again.predict_proba(TEXTS), classifier.predict_proba(TEXTS), atol=1e-5
    )
    again.fit(TEXTS, [1, 2, 3] * 2, pairs=1, verbose=0)
    assert again.get_classes() == [1, 2, 3]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["+"] * 6, "at least two classes"),
        (["+", "-", "-", "-", "-", "-"], "a class with 1"),
        (["+", "-"], "6 texts, but 2 labels"),
        (["+", "-", None, "-", "+", "-"], "a missing label"),
    ],
)
def test_examples_that_cannot_be_learned_are_refused(
    labels: Any, message: str, tiny_checkpoint: Path
) -> None:
    with pytest.raises(DataError, match=message):
        FewShotClassifier(tiny_checkpoint, 12).fit(TEXTS, labels, verbose=0)


@pytest.mark.parametrize(
    ("texts", "labels"),
    [([(text, text) for text in TEXTS], list("+-+-+-")), (TEXTS, [[0, 1], [1, 0]] * 3)],
    ids=["pairs", "one-hot"],
)
def test_examples_are_texts_with_a_label_each(
    texts: Any, labels: Any, tiny_checkpoint: Path
) -> None:
    with pytest.raises(DataError, match="a list of strings, and one label for each"):
        FewShotClassifier(tiny_checkpoint, 12).fit(texts, labels, verbose=0)


def test_arguments_are_checked(tiny_checkpoint: Path, tmp_path: Path) -> None:
    classifier = FewShotClassifier(tiny_checkpoint, 12)
    with pytest.raises(ArgumentError, match="(?s)pairs=0.*lr=-1"):
        classifier.fit(TEXTS, LABELS, pairs=0, lr=-1)
    with pytest.raises(ArgumentError, match="unknown argument 'epoch'. Did you mean 'epochs'"):
        classifier.fit(TEXTS, LABELS, epoch=1)  # type: ignore[call-arg]
    for use in (lambda: classifier.predict("a"), lambda: classifier.save(tmp_path / "x")):
        with pytest.raises(ArgumentError, match="learned nothing yet; call fit"):
            use()
    with pytest.raises(ArgumentError, match="maxlen=99"):
        FewShotClassifier(tiny_checkpoint, 99)


def test_folders_of_something_else_are_refused(
    classifier: FewShotClassifier, tmp_path: Path
) -> None:
    classifier.embedder.save(tmp_path / "predictor")
    with pytest.raises(ArgumentError, match="no classifier that FewShotClassifier saved"):
        FewShotClassifier.load(tmp_path / "predictor")
    with pytest.raises(PredictorError, match="there is no such folder"):
        FewShotClassifier.load(tmp_path / "nothing")
