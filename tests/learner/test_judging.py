"""Validation, top losses, predictions: against scikit-learn on the model's own outputs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn import metrics

import ktlite
from ktlite.errors import ArgumentError
from ktlite.inference.runner import Forward
from ktlite.learner import Learner
from ktlite.tasks import Classification

Make = Callable[..., Learner]


def predicted(learner: Learner, x: np.ndarray) -> np.ndarray:
    return learner.model.predict(x, verbose=0)


@pytest.fixture(scope="module")
def small(small_learner: Make) -> Learner:
    """A learner of arrays that has trained a little. To be read only."""
    learner = small_learner()
    learner.fit_onecycle(0.05, 3, verbose=0)
    return learner


@pytest.fixture(scope="module")
def number_learner(arrays: Any) -> Learner:
    """A learner of numbers. To be read only."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse", run_eagerly=True)
    y = arrays.x.sum(axis=1)
    return ktlite.get_learner(model, (arrays.x, y), (arrays.x_val, arrays.x_val.sum(axis=1)))


@pytest.fixture(scope="module")
def bits_learner(arrays: Any) -> Learner:
    """A learner of several labels a row. To be read only."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")])
    model.compile("sgd", loss="binary_crossentropy", run_eagerly=True)
    data = (arrays.x_val, (arrays.x_val[:, :3] > 0).astype("float32"))
    return ktlite.get_learner(model, data, data)


# --------------------------------------------------------------------------- validation


def test_validate_returns_the_confusion_matrix(small: Learner, arrays: Any) -> None:
    for data, x, y in (
        (None, arrays.x_val, arrays.y_val),
        ((arrays.x, arrays.y), arrays.x, arrays.y),
    ):
        expected = metrics.confusion_matrix(y, predicted(small, x).argmax(axis=1))
        np.testing.assert_array_equal(small.validate(data), expected)
        np.testing.assert_array_equal(small.evaluate(val_data=data), expected)


def test_a_predictor_answers_by_the_trace_that_its_learner_has(
    text_learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_learner.validate(print_report=False)
    traces: list[Any] = []
    monkeypatch.setattr(Forward, "_trace", lambda *arguments: traces.append(arguments))
    text_learner.get_predictor().predict(["a b c", "x"])
    assert traces == []


def test_validate_of_texts_agrees_with_the_predictor(text_learner: Learner) -> None:
    data, classes = text_learner.val_data, ["ham", "spam", "toast"]
    answers = text_learner.get_predictor().predict(list(data.texts))
    truth = [classes[i] for i in data.y]
    expected = metrics.confusion_matrix(truth, answers, labels=classes)
    np.testing.assert_array_equal(text_learner.validate(), expected)


def test_validate_of_numbers_returns_named_figures(number_learner: Learner, arrays: Any) -> None:
    truth = arrays.x_val.sum(axis=1)
    answers = predicted(number_learner, arrays.x_val)[:, 0]
    found = dict(number_learner.validate())
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, answers), rel=1e-5)
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, answers), rel=1e-5)
    rmse = metrics.root_mean_squared_error(truth, answers)
    assert found["rmse"] == pytest.approx(rmse, rel=1e-5)


def test_validate_of_several_labels_returns_a_matrix_each(
    bits_learner: Learner, arrays: Any
) -> None:
    answers = predicted(bits_learner, arrays.x_val) > 0.5
    expected = metrics.multilabel_confusion_matrix(arrays.x_val[:, :3] > 0, answers)
    np.testing.assert_array_equal(bits_learner.validate(), expected)


def test_the_report_is_logged_and_saved_with_the_names_given(
    small: Learner, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "report.txt"
    with caplog.at_level(logging.INFO, "ktlite"):
        small.validate(class_names=["röd", "grön", "blå"], save_path=path)
    report = path.read_text(encoding="utf-8")
    assert report.strip() in caplog.text
    for word in ("röd", "grön", "blå", "precision", "accuracy"):
        assert word in report


def test_the_report_can_be_left_out(small: Learner, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ktlite"):
        small.validate(print_report=False)
    assert caplog.text == ""


def test_class_names_must_be_one_for_each_class(small: Learner, number_learner: Learner) -> None:
    with pytest.raises(ArgumentError, match=r"class_names are a, b; expected 3, .*\(0, 1, 2\)"):
        small.validate(class_names=["a", "b"])
    with pytest.raises(ArgumentError, match="expected 0, .*regression"):
        number_learner.validate(class_names=["a", "b"])


def test_metrics_are_scikit_learns(small: Learner, arrays: Any) -> None:
    p = keras.ops.convert_to_numpy(keras.ops.softmax(predicted(small, arrays.x_val)))
    answers, found = p.argmax(axis=1), small.metrics()
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(arrays.y_val, answers))
    f1 = metrics.f1_score(arrays.y_val, answers, average="macro")
    assert found["f1_macro"] == pytest.approx(f1)
    loss = metrics.log_loss(arrays.y_val, p, labels=[0, 1, 2])
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["accuracy"] != small.metrics((arrays.x, arrays.y))["accuracy"]


def test_a_task_that_is_given_goes_before_the_loss(arrays: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", loss=lambda y, p: keras.ops.mean(p, axis=-1))
    data = (arrays.x_val, arrays.y_val)
    with pytest.raises(ArgumentError, match="task="):
        ktlite.get_learner(model, data, data).validate()
    task = Classification(["a", "b", "c"])
    learner = ktlite.get_learner(model, data, data, task=task)
    answers = predicted(learner, arrays.x_val).argmax(axis=1)
    expected = metrics.confusion_matrix(arrays.y_val, answers)
    np.testing.assert_array_equal(learner.validate(), expected)
    assert {row[2] for row in learner.top_losses(10)} == {"a", "b", "c"}


# --------------------------------------------------------------------------- top losses


def test_top_losses_are_the_rows_with_the_highest_losses(small: Learner, arrays: Any) -> None:
    logits = predicted(small, arrays.x_val)
    losses = keras.losses.sparse_categorical_crossentropy(arrays.y_val, logits, from_logits=True)
    losses = keras.ops.convert_to_numpy(losses)
    found = small.top_losses(4)
    order = [row for row, *_ in found]
    assert order == np.argsort(-losses)[:4].tolist()
    np.testing.assert_allclose([loss for _, loss, *_ in found], losses[order], rtol=1e-4)
    assert [true for *_, true, _ in found] == arrays.y_val[order].tolist()
    assert [guess for *_, guess in found] == logits[order].argmax(axis=1).tolist()
    assert len(small.top_losses(10**6)) == len(arrays.y_val)
    assert small.top_losses(1, (arrays.x, arrays.y)) != found[:1]


def test_the_worst_texts_are_shown(text_learner: Learner, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ktlite"):
        text_learner.view_top_losses(n=2)
    data = text_learner.val_data
    for (row, loss, true, guess), record in zip(
        text_learner.top_losses(2), caplog.records, strict=True
    ):
        first, text = record.getMessage().splitlines()
        assert first == (
            f"row {row} | loss {loss:.3f} | true: {true} | predicted: {guess} | "
            f"row {data.rows[row]} of the source"
        )
        assert text.strip() == data.texts[row]


@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_a_number_of_rows_is_needed(small: Learner, n: Any) -> None:
    for show in (small.top_losses, small.view_top_losses):
        with pytest.raises(ArgumentError, match=f"top_losses: n={n}"):
            show(n=n)


# -------------------------------------------------------------------------- predictions


def test_predictions_of_data_are_probabilities(small: Learner, arrays: Any) -> None:
    p = keras.ops.convert_to_numpy(keras.ops.softmax(predicted(small, arrays.x_val)))
    for data in (None, (arrays.x_val, arrays.y_val), (arrays.x_val, None), arrays.x_val):
        np.testing.assert_allclose(small.predict(data), p, rtol=1e-5)


def test_predictions_of_numbers_and_of_several_labels(
    number_learner: Learner, bits_learner: Learner, arrays: Any
) -> None:
    x = arrays.x_val
    np.testing.assert_allclose(number_learner.predict(), predicted(number_learner, x)[:, 0])
    np.testing.assert_allclose(bits_learner.predict(x), predicted(bits_learner, x), rtol=1e-4)


def test_predictions_of_texts_are_the_predictors(text_learner: Learner) -> None:
    predictor, texts = text_learner.get_predictor(), ["a b c", "m n", "x y z z"]
    expected = predictor.predict(texts)
    assert text_learner.predict(texts) == expected
    assert text_learner.predict(texts[0]) == expected[0]
    assert text_learner.predict(np.array(texts)) == expected
    assert text_learner.predict(tuple(texts[:2])) == expected[:2]
    with pytest.raises(ktlite.errors.DataError, match="trained on single texts"):
        text_learner.predict([("a b", "c"), ("x", "y")])


def test_predictions_of_tokenised_texts_are_probabilities(text_learner: Learner) -> None:
    texts = ["a b c", "m n o p", "x"]
    expected = text_learner.get_predictor().predict_proba(texts)
    data = text_learner.preproc.preprocess_test(texts, verbose=0)  # has no labels
    np.testing.assert_allclose(text_learner.predict(data), expected, rtol=1e-5)
    val = text_learner.get_predictor().predict_proba(list(text_learner.val_data.texts))
    np.testing.assert_allclose(text_learner.predict(), val, rtol=1e-5)
    with pytest.raises(ArgumentError, match="no labels"):
        text_learner.validate(data)


def test_raw_texts_with_labels_are_sent_to_the_preprocessor(
    text_learner: Learner, small: Learner
) -> None:
    texts, labels = ["a b", "m n"], ["ham", "spam"]
    read = text_learner.preproc.preprocess_test(texts, labels, verbose=0)
    np.testing.assert_array_equal(
        text_learner.validate((texts, labels)), text_learner.validate(read)
    )
    with pytest.raises(ktlite.errors.DataError, match=r"preprocess_test\(texts, labels\)"):
        small.validate(("a b", "ham"))  # which has none


def test_texts_need_a_preprocessor(small: Learner) -> None:
    for ask in (
        lambda: small.predict("fine"),
        lambda: small.predict(["fine"]),
        small.get_predictor,
    ):
        with pytest.raises(ArgumentError, match="no preprocessor"):
            ask()


def test_predictions_follow_the_model(small_learner: Make, arrays: Any) -> None:
    learner = small_learner()
    before = learner.predict()
    learner.fit(0.1, 1, verbose=0)
    assert np.abs(learner.predict() - before).max() > 1e-3


def test_ground_truth_is_what_the_loss_sees(small: Learner, text_learner: Learner, arrays: Any):
    import tensorflow as tf

    np.testing.assert_array_equal(small.ground_truth(), arrays.y_val)
    np.testing.assert_array_equal(text_learner.ground_truth(), text_learner.val_data.y)
    stream = tf.data.Dataset.from_tensor_slices((arrays.x, arrays.y)).batch(5)
    np.testing.assert_array_equal(small.ground_truth(stream), arrays.y)
    with pytest.raises(ArgumentError, match="no labels"):
        small.ground_truth((arrays.x, None))


# -------------------------------------------------------------------------------- others


@pytest.mark.parametrize(
    "name", ["validate", "metrics", "top_losses", "view_top_losses", "predict", "ground_truth"]
)
def test_all_need_something_to_look_at(small_learner: Make, name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name}: there is no validation data"):
        getattr(small_learner(val=False), name)()


def test_the_training_is_plotted(small: Learner, small_learner: Make) -> None:
    for key in ("loss", "lr", "momentum", "accuracy", "val_accuracy"):
        assert small.plot(key, return_fig=True).axes
    with pytest.raises(ArgumentError, match="'accurcy'.*Did you mean 'accuracy'"):
        small.plot("accurcy")
    with pytest.raises(ArgumentError, match="no training yet"):
        small_learner().plot()


def test_unknown_arguments_name_the_nearest(small: Learner) -> None:
    with pytest.raises(ArgumentError, match="validate: .*'classnames'.*mean 'class_names'"):
        small.validate(classnames=["a", "b", "c"])
