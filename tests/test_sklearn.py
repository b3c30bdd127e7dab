"""scikit-learn's own tools over ktlite's estimators."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import ktlite
from ktlite.errors import ArgumentError, DataError, PredictorError
from ktlite.inputs.pictures import read_picture
from ktlite.sklearn import (
    ImageClassifier,
    ImageRegressor,
    TextClassifier,
    TextRegressor,
    TokenClassifier,
)

pytestmark = pytest.mark.usefixtures("eagerly")

TEXTS = ["a a b", "x y x", "b a", "y y", "a b b", "x x y", "b b a a", "y x"]
LABELS = ["first", "last"] * 4
WORDS = [text.split() for text in TEXTS]
TAGS = [["B-A" if word in "ab" else "O" for word in words] for words in WORDS]


@pytest.fixture(scope="module")
def options(tiny_checkpoint: Path) -> dict[str, Any]:
    return {"checkpoint": tiny_checkpoint, "epochs": 1, "batch_size": 4, "maxlen": 16, "lr": 1e-3}


@pytest.fixture(scope="module")
def classifier(options: dict[str, Any]) -> TextClassifier:
    return TextClassifier(**options).fit(TEXTS, LABELS)


def test_predictions_are_those_of_a_learner(
    options: dict[str, Any], classifier: TextClassifier
) -> None:
    preproc = ktlite.text.Transformer(options["checkpoint"], 16)
    train = preproc.preprocess_train(TEXTS, LABELS, verbose=0)
    learner = ktlite.get_learner(preproc.get_classifier(), train, batch_size=4, check=False)
    learner.set_weight_decay(0.01)
    learner.fit_onecycle(1e-3, 1, verbose=0)
    expected = learner.get_predictor().predict_proba(TEXTS)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), expected, atol=1e-5)
    assert classifier.classes_.tolist() == ["first", "last"]
    np.testing.assert_array_equal(
        classifier.predict(TEXTS), classifier.classes_[expected.argmax(axis=1)]
    )
    margins = np.log(expected[:, 1] / expected[:, 0])
    np.testing.assert_allclose(classifier.decision_function(TEXTS), margins, atol=1e-4)
    assert classifier.score(TEXTS, LABELS) == np.mean(classifier.predict(TEXTS) == LABELS)


@pytest.mark.parametrize(
    "kind",
    [
        list,
        np.array,
        pd.Series,
        lambda texts: pd.DataFrame({"text": texts}),
        lambda texts: np.array(texts, object)[:, None],
    ],
)
def test_texts_of_any_kind(classifier: TextClassifier, kind: Any) -> None:
    np.testing.assert_array_equal(classifier.predict(kind(TEXTS)), classifier.predict(TEXTS))


def test_integer_classes_with_gaps_and_pairs(options: dict[str, Any]) -> None:
    frame = pd.DataFrame({"a": TEXTS, "b": TEXTS[::-1]})
    fitted = TextClassifier(**options).fit(frame, [3, 7] * 4)
    assert set(fitted.predict(frame)) <= {3, 7}
    assert fitted.predict_proba(frame).shape == (8, 2)


def test_clone_and_parameters(options: dict[str, Any], classifier: TextClassifier) -> None:
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert copy.set_params(lr=0.5).lr == 0.5
    with pytest.raises(NotFittedError):
        copy.predict(TEXTS)
    assert is_classifier(classifier)
    assert is_regressor(TextRegressor(**options))


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_estimator_repr",
        "check_no_attributes_set_in_init",
        "check_mixin_order",
        "check_get_params_invariance",
        "check_set_params",
    ],
)
@pytest.mark.parametrize("kind", [TextClassifier, TextRegressor, TokenClassifier])
def test_checks_of_scikit_learn_that_need_no_numbers(
    options: dict[str, Any], kind: Any, check: str
) -> None:
    """`check_estimator` leaves all others out, whose input is numbers, for one of strings."""
    if not hasattr(estimator_checks, check):
        pytest.skip(f"this scikit-learn has no {check}: it came with 1.6")
    getattr(estimator_checks, check)(kind.__name__, kind(**options))


def test_grid_search_in_a_pipeline(options: dict[str, Any]) -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    steps = Pipeline([("lower", lower), ("model", TextClassifier(**options))])
    search = GridSearchCV(steps, {"model__lr": [1e-9, 5e-3], "model__frozen": [1]}, cv=2)
    search.fit([text.upper() for text in TEXTS], LABELS)
    assert search.best_estimator_.predict(["A B"]).shape == (1,)
    assert len(search.cv_results_["mean_test_score"]) == 2
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_cross_validation_of_each_estimator(options: dict[str, Any]) -> None:
    regressor = TextRegressor(**options)
    numbers = np.arange(8.0)
    assert cross_val_predict(regressor, TEXTS, numbers, cv=2).shape == (8,)
    scores = cross_val_score(TokenClassifier(**options), WORDS, TAGS, cv=2)
    assert scores.shape == (2,)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_weights_count(options: dict[str, Any]) -> None:
    texts, labels = ["a b"] * 8, LABELS
    weights = [1.0, 0.0] * 4
    fitted = TextClassifier(**{**options, "epochs": 5}).fit(texts, labels, sample_weight=weights)
    assert fitted.predict(["a b"]) == ["first"]


def test_seeds_repeat(options: dict[str, Any], classifier: TextClassifier) -> None:
    again = TextClassifier(**options).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("kind", "x", "y"),
    [
        (TextClassifier, TEXTS, LABELS),
        (TextRegressor, TEXTS, np.arange(8.0)),
        (TokenClassifier, WORDS, TAGS),
    ],
)
def test_saved_and_loaded(
    options: dict[str, Any], tmp_path: Path, kind: Any, x: Any, y: Any
) -> None:
    fitted = kind(**options).fit(x, y)
    fitted.save(tmp_path / "model")
    fitted.save(tmp_path / "model")  # replaced
    loaded = kind.load(tmp_path / "model")
    # Of a local checkpoint only the name: the folder goes anywhere.
    assert loaded.get_params() == {**fitted.get_params(), "checkpoint": fitted.checkpoint.name}
    for file in (tmp_path / "model").rglob("*"):
        if file.suffix in (".json", ".md"):
            assert str(fitted.checkpoint.parent) not in file.read_text()
    np.testing.assert_array_equal(
        np.array(loaded.predict(x), object), np.array(fitted.predict(x), object)
    )
    assert not list((tmp_path / "model").rglob("*.pkl"))
    others = {TextClassifier, TextRegressor, TokenClassifier} - {kind}
    with pytest.raises(PredictorError, match=f"holds {kind.__name__}"):
        others.pop().load(tmp_path / "model")


def test_what_cannot_be_fitted_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    estimator = TextClassifier(**options)
    with pytest.raises(DataError, match="one class for each text"):
        estimator.fit(TEXTS, np.eye(8, dtype=int))
    with pytest.raises(DataError, match="one string"):
        estimator.fit("a text", LABELS)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        estimator.fit(TEXTS, LABELS[:-1])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotFittedError):
        estimator.save(tmp_path)


def test_a_folder_of_something_else_is_not_replaced(
    classifier: TextClassifier, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="does not replace"):
        classifier.save(tmp_path)


def test_scikit_learn_fits_and_keeps_estimators_in_several_processes(
    options: dict[str, Any], tmp_path: Path
) -> None:
    search = GridSearchCV(TextClassifier(**options), {"lr": [1e-3]}, cv=2, n_jobs=2)
    search.fit(TEXTS, LABELS)
    alone = GridSearchCV(TextClassifier(**options), {"lr": [1e-3]}, cv=2).fit(TEXTS, LABELS)
    scores = [found.cv_results_["mean_test_score"] for found in (search, alone)]
    np.testing.assert_allclose(*scores)
    joblib.dump(search, tmp_path / "search.joblib")
    again = joblib.load(tmp_path / "search.joblib")
    np.testing.assert_allclose(again.predict_proba(TEXTS), search.predict_proba(TEXTS), atol=1e-5)
    assert again.best_params_ == search.best_params_


def test_fitted_estimators_are_copied_and_pickled_alone_and_in_pipelines(
    classifier: TextClassifier, options: dict[str, Any]
) -> None:
    expected = classifier.predict_proba(TEXTS)
    for again in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        np.testing.assert_allclose(again.predict_proba(TEXTS), expected, atol=1e-5)
        assert again.get_params() == classifier.get_params()
    assert copy.copy(classifier).predictor_ is classifier.predictor_
    assert not hasattr(clone(classifier), "predictor_")

    columns = ColumnTransformer([("text", FunctionTransformer(), ["text"])])
    frame = pd.DataFrame({"text": TEXTS, "other": range(len(TEXTS))})
    pipeline = Pipeline([("columns", columns), ("model", TextClassifier(**options))])
    pipeline.fit(frame, LABELS)
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_allclose(again.predict_proba(frame), pipeline.predict_proba(frame), atol=1e-5)


def test_every_kind_of_estimator_is_pickled(options: dict[str, Any]) -> None:
    numbers = [float(len(text)) for text in TEXTS]
    regressor = TextRegressor(**options).fit(TEXTS, numbers)
    tagger = TokenClassifier(**options).fit(WORDS, TAGS)
    again = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_allclose(again.predict(TEXTS), regressor.predict(TEXTS), atol=1e-4)
    assert pickle.loads(pickle.dumps(tagger)).predict(WORDS) == tagger.predict(WORDS)


@pytest.mark.parametrize("kind", ["paths", "frame", "arrays"])
def test_a_classifier_of_images(tiny_vit: Path, class_folders: Path, kind: str) -> None:
    files = sorted((class_folders / "train").rglob("*.*"))
    labels = [file.parent.name for file in files]
    X: Any = [str(file) for file in files]
    if kind == "frame":
        X = pd.DataFrame({"image": X})
    if kind == "arrays":
        X = np.stack([read_picture(file).resize((32, 32)) for file in files])
    classifier = ImageClassifier(tiny_vit, epochs=4, batch_size=8, lr=3e-3).fit(X, labels)
    assert classifier.score(X, labels) == 1.0
    assert classifier.predict_proba(X).shape == (24, 3)
    with pytest.raises(DataError, match="X is one image"):
        classifier.predict(str(files[0]))


def test_scikit_learn_crosses_images(tiny_vit: Path, class_folders: Path, tmp_path: Path) -> None:
    files = [str(file) for file in sorted((class_folders / "train").rglob("*.*"))]
    labels = [Path(file).parent.name for file in files]
    classifier = ImageClassifier(tiny_vit, epochs=4, batch_size=8, lr=3e-3)
    assert "maxlen" not in clone(classifier).get_params() and is_classifier(classifier)
    assert cross_val_score(classifier, files, labels, cv=2).tolist() == [1.0, 1.0]
    classifier.fit(files, labels).save(tmp_path / "saved")
    loaded = ImageClassifier.load(tmp_path / "saved")
    np.testing.assert_allclose(loaded.predict_proba(files), classifier.predict_proba(files))


def test_a_regressor_of_images(tiny_vit: Path, class_folders: Path) -> None:
    files = sorted((class_folders / "train").rglob("*.*"))
    reds = [np.asarray(read_picture(file))[..., 0].mean() for file in files]
    found = ImageRegressor(tiny_vit, epochs=20, batch_size=8, lr=3e-3).fit(files, reds)
    assert is_regressor(found) and found.score(files, reds) > 0.9


def test_estimators_refuse_checkpoints_of_another_kind(
    tiny_vit: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentError, match="TextClassifier: .* reads images, not texts"):
        TextClassifier(tiny_vit).fit(TEXTS, LABELS)
    with pytest.raises(ArgumentError, match="ImageClassifier: .* reads texts, not images"):
        ImageClassifier(options["checkpoint"]).fit(TEXTS, LABELS)
