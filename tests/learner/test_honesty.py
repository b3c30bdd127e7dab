"""What a learner says about its figures: intervals, calibration, sets, doubtful labels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.stats import binomtest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.learner import Learner
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.training.reliability_plot import _wilson

Make = Callable[..., Learner]
Texts = tuple[list[str], list[str]]


def fresh(checkpoint: Path, texts: Any, **options: Any) -> Learner:
    given = {"maxlen": 24, "batch_size": 8, "eval_batch_size": 5, "val_pct": 0.3, "verbose": 0}
    return ktlite.get_learner(checkpoint, texts, **{**given, **options})


@pytest.fixture
def learner(still_checkpoint: Path, texts: Texts) -> Learner:
    """A learner of texts, to be calibrated."""
    return fresh(still_checkpoint, texts)


# ------------------------------------------------------------- figures against raw predictions


def test_figures_of_weighted_classes_and_partial_batches(
    still_checkpoint: Path, texts: Texts
) -> None:
    learner = fresh(still_checkpoint, texts)  # 12 texts to validate on, in batches of 5
    history = learner.fit_onecycle(
        1e-3, 2, class_weight={"ham": 1, "spam": 9, "toast": 2}, verbose=0
    ).history
    data = learner.val_data
    proba = learner.get_predictor().predict_proba(list(data.texts)).astype("float64")
    truth, guess, found = data.y, proba.argmax(axis=1), learner.metrics()
    loss = sk.log_loss(truth, proba / proba.sum(axis=1, keepdims=True), labels=[0, 1, 2])
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, guess))
    assert found["loss"] == pytest.approx(loss, rel=1e-4)
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(truth, guess))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, proba, multi_class="ovr"))
    for average in ("macro", "micro", "weighted"):
        f1 = sk.f1_score(truth, guess, average=average, labels=[0, 1, 2], zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(f1)
    # What training logs is the same: weights of classes do not reach validation.
    assert history["val_accuracy"][-1] == pytest.approx(found["accuracy"], abs=1e-6)
    assert history["val_loss"][-1] == pytest.approx(found["loss"], rel=1e-4)


def test_figures_of_several_labels_and_partial_batches(
    still_checkpoint: Path, texts: Texts
) -> None:
    labels = np.array([["a" in text, "m" in text, len(text) > 9] for text in texts[0]], int)
    learner = fresh(still_checkpoint, (texts[0], labels), class_names=["a", "m", "long"])
    history = learner.fit_onecycle(1e-3, 1, verbose=0).history
    data = learner.val_data
    proba = learner.get_predictor().predict_proba(list(data.texts)).astype("float64")
    truth, guess, found = data.y.astype(int), proba >= 0.5, learner.metrics()
    assert found["loss"] == pytest.approx(
        np.mean([sk.log_loss(truth[:, i], proba[:, i], labels=[0, 1]) for i in range(3)]), rel=1e-4
    )
    assert found["binary_accuracy"] == pytest.approx(1 - sk.hamming_loss(truth, guess))
    for average in ("macro", "micro", "weighted"):
        f1 = sk.f1_score(truth, guess, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(f1)
    assert history["val_loss"][-1] == pytest.approx(found["loss"], rel=1e-4)
    assert history["val_binary_accuracy"][-1] == pytest.approx(found["binary_accuracy"], abs=1e-6)


def test_figures_of_numbers_and_partial_batches(still_checkpoint: Path, texts: Texts) -> None:
    numbers = [100.0 * text.count(text[0]) for text in texts[0]]
    learner = fresh(still_checkpoint, (texts[0], numbers), task="regression")
    history = learner.fit_onecycle(1e-3, 1, verbose=0).history
    data = learner.val_data
    predicted, found = learner.get_predictor().predict(list(data.texts)), learner.metrics()
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(data.y, predicted), rel=1e-5)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(data.y, predicted), rel=1e-5)
    assert found["r2"] == pytest.approx(sk.r2_score(data.y, predicted), rel=1e-4)
    assert history["val_mae"][-1] == pytest.approx(found["mae"], rel=1e-5)


# ------------------------------------------------------------------------------------ intervals


def test_intervals_are_shown_saved_and_returned(
    small_learner: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    learner = small_learner()
    with caplog.at_level(logging.INFO, "ktlite"):
        matrix = learner.validate(ci=True, save_path=tmp_path / "report.txt")
    assert matrix.sum() == 10
    text = (tmp_path / "report.txt").read_text()
    found = learner.metrics(ci=True)
    for shown in (caplog.text, text):
        assert "95 % confidence intervals" in shown
        ends = f"[{found['accuracy_low']:.4f}, {found['accuracy_high']:.4f}]"
        assert f"accuracy {found['accuracy']:9.4f}  {ends}" in shown
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    assert learner.metrics().items() <= found.items()
    assert learner.metrics(ci=0.5)["accuracy_low"] >= found["accuracy_low"]


def test_a_level_that_is_none_is_refused(small_learner: Make) -> None:
    for judge in (small_learner().validate, small_learner().metrics):
        with pytest.raises(ArgumentError, match="ci=95"):
            judge(ci=95)


# -------------------------------------------------------------------------- constant predictions


def test_constant_predictions_warn(small_learner: Make, caplog: pytest.LogCaptureFixture) -> None:
    learner = small_learner()
    learner.validate(print_report=False)
    assert "constant" not in caplog.text
    learner.model.get_layer("logits").bias.assign([0.0, 99.0, 0.0])
    learner.validate(print_report=False)
    assert "constant predictions: every one of 10 examples is taken for 1" in caplog.text
    assert 'class_weight="balanced"' in caplog.text


# ---------------------------------------------------------------------------------- calibration


def test_calibration_reaches_the_saved_predictor(
    learner: Learner, texts: Texts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, labels = learner.metrics(), learner.get_predictor().predict(texts[0])
    raw = learner.get_predictor().logits(texts[0])
    errors = learner.calibration_error()
    with caplog.at_level(logging.INFO, "ktlite"):
        found = learner.calibrate()
    assert f"temperature {found['temperature']:.3g}; ece {errors['ece']:.4f} -> " in caplog.text
    assert found["examples"] == 12
    assert found["loss"] <= errors["loss"] == pytest.approx(before["loss"])
    assert learner.calibration_error() == {name: found[name] for name in ("ece", "loss")}
    learner.get_predictor().save(tmp_path / "predictor")
    loaded = ktlite.load_predictor(tmp_path / "predictor")
    assert loaded.predict(texts[0]) == labels
    np.testing.assert_allclose(loaded.logits(texts[0]), raw, atol=1e-5)  # these stay raw
    powers = np.exp(raw / found["temperature"])
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(loaded.predict_proba(texts[0]), expected, rtol=1e-3)
    np.testing.assert_allclose(learner.predict(), loaded.predict_proba(
        list(learner.val_data.texts)), rtol=1e-3)  # fmt: skip
    sets = loaded.predict(texts[0], coverage=0.8)
    assert [labels_of[0] for labels_of in sets] == labels
    assert loaded.predict(texts[0][0], coverage=0.8) == sets[0]
    with pytest.raises(ArgumentError, match="coverage=0.95 takes at least 19 calibration examples"):
        loaded.predict(texts[0], coverage=0.95)
    with pytest.raises(ArgumentError, match="coverage goes without return_proba"):
        loaded.predict(texts[0], return_proba=True, coverage=0.9)


def test_report_losses_and_probabilities_are_calibrated_alike(
    learner: Learner, capsys: pytest.CaptureFixture[str]
) -> None:
    learner.metrics()
    learner.calibrate()
    chances, truth = learner.predict(), learner.val_data.y
    losses = -np.log(chances[np.arange(len(truth)), truth])
    for row, loss, _, _ in learner.top_losses(3):
        assert loss == pytest.approx(losses[row], rel=1e-4)
    assert learner.metrics()["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert learner.card.metrics["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    capsys.readouterr()
    learner.validate()
    said = capsys.readouterr().out
    assert said.startswith("on 12 examples of validation data\nprobabilities are calibrated: ")
    assert "in-sample" in said
    learner.validate(learner.train_data)
    said = capsys.readouterr().out
    assert said.startswith(f"on {len(learner.train_data)} examples of training data\n")
    assert "in-sample" not in said
    title = learner.plot_calibration(return_fig=True).axes[0].get_title(loc="right")
    assert title.endswith("(in-sample)")


@pytest.mark.parametrize("change", ["fit", "reset", "checkpoint", "load", "model"])
def test_other_weights_take_the_calibration_back(
    change: str, learner: Learner, texts: Texts, tmp_path: Path
) -> None:
    learner.fit_onecycle(1e-4, 1, verbose=0, checkpoint_folder=tmp_path / "run")
    learner.save_model(tmp_path / "model")
    learner.calibrate()
    if change == "fit":
        learner.fit_onecycle(1e-4, 1, verbose=0)
    elif change == "reset":
        learner.reset_weights()
    elif change == "checkpoint":
        learner.load_checkpoint(tmp_path / "run", "last")
    elif change == "load":
        learner.load_model(tmp_path / "model")
    else:
        learner.set_model(learner.model)
    with pytest.raises(ArgumentError, match=r"Call learner.calibrate\(\) after the training"):
        learner.get_predictor().predict(texts[0][0], coverage=0.5)


def test_a_predictor_keeps_its_calibration_whatever_learners_do(
    learner: Learner, texts: Texts
) -> None:
    learner.calibrate()
    predictor = learner.get_predictor()
    before = predictor.predict(texts[0], coverage=0.5)
    learner.fit_onecycle(0.01, 1, verbose=0)
    learner.reset_weights()
    assert predictor.predict(texts[0], coverage=0.5) == before


def test_few_examples_are_said_to_be_few(
    learner: Learner, caplog: pytest.LogCaptureFixture
) -> None:
    learner.calibrate()
    assert "some hundreds do better" in caplog.text


def test_training_data_is_refused(learner: Learner, small_learner: Make) -> None:
    train = learner.train_data
    again = learner.preproc.preprocess_test(
        list(train.texts[:9]), learner.task.decode_targets(train.y[:9]), verbose=0
    )
    for data in (train, again):
        with pytest.raises(ArgumentError, match="this is the training data"):
            learner.calibrate(data)
    arrays = small_learner()
    arrays.task = Classification([0, 1, 2])
    with pytest.raises(ArgumentError, match="this is the training data"):
        arrays.calibrate(arrays.train_data)
    assert arrays.calibrate()["examples"] == 10


def test_a_task_is_needed_to_keep_it(small_learner: Make) -> None:
    with pytest.raises(ArgumentError, match="no task to keep it; pass task="):
        small_learner().calibrate()


def test_numbers_have_intervals_and_no_temperature(still_checkpoint: Path, texts: Texts) -> None:
    numbers = [float(text.count(text[0])) for text in texts[0]]
    learner = fresh(still_checkpoint, (texts[0], numbers), task="regression", val_pct=0.5)
    assert learner.calibrate() == {"examples": 20}
    predictor = learner.get_predictor()
    low, high = predictor.predict(texts[0][0], coverage=0.9)
    assert low < predictor.predict(texts[0][0]) < high
    assert len(predictor.predict(texts[0], coverage=0.9)) == 40
    with pytest.raises(ArgumentError, match="a regression task gives no probabilities"):
        learner.calibration_error()


def test_several_labels_have_a_temperature_and_no_sets(
    still_checkpoint: Path, texts: Texts
) -> None:
    labels = np.array([["a" in text, "m" in text] for text in texts[0]], int)
    learner = fresh(still_checkpoint, (texts[0], labels), class_names=["a", "m"])
    assert learner.calibrate()["temperature"] > 0
    with pytest.raises(ArgumentError, match="a multilabel task gives no sets"):
        learner.get_predictor().predict(texts[0], coverage=0.9)


@pytest.mark.parametrize("task", [Classification([0, 1, 2]), MultiLabel("abc")])
def test_reliability_is_drawn(task: Any, arrays: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", loss=task.loss(), run_eagerly=True)
    y = arrays.y_val if task.name == "classification" else np.eye(3)[arrays.y_val]
    learner = ktlite.get_learner(model, None, (arrays.x_val, y), task=task)
    figure = learner.plot_calibration(return_fig=True)
    (axes,) = figure.axes
    error = 100 * learner.calibration_error()["ece"]
    assert axes.get_title(loc="right") == f"expected calibration error: {error:.1f} %"
    assert axes.get_xlabel().endswith("on 10 examples of validation data")
    drawn = axes.lines[-1].get_xydata()
    proba = task.probabilities(model.predict(arrays.x_val, verbose=0))
    confidence = proba.max(axis=1) if task.name == "classification" else proba.ravel()
    bins = np.unique(np.ceil(confidence.astype("float64") * 15))
    assert len(drawn) == len(bins)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    # How many predictions each point stands on; those of few are hollow.
    counts = np.unique(np.ceil(confidence.astype("float64") * 15), return_counts=True)[1]
    assert [label.get_text() for label in axes.texts] == [str(count) for count in counts]
    hollow = [c for c in axes.collections if "fewer than 10" in str(c.get_label())]
    assert sum(len(c.get_offsets()) for c in hollow) == (counts < 10).sum()


def test_interval_of_a_share_is_wilsons() -> None:
    for right, count in ((8, 10), (0, 3), (5, 5)):
        low, high = _wilson(np.array([right / count]), np.array([count]))
        expected = binomtest(right, count).proportion_ci(method="wilson")
        np.testing.assert_allclose([low[0], high[0]], expected, rtol=1e-4, atol=1e-6)


# --------------------------------------------------------------------------------- label errors


def test_wrong_labels_of_validation_data_are_found(arrays: Any) -> None:
    pytest.importorskip("cleanlab")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = (5 * np.eye(4)[y] + rng.normal(size=(300, 4))).astype("float32")
    wrong = rng.choice(300, 15, replace=False)
    given = y.copy()
    given[wrong] = (given[wrong] + 1) % 3
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, use_bias=False)])
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.set_weights([2 * np.eye(4, 3)])
    task = Classification(["a", "b", "c"])
    learner = ktlite.get_learner(model, None, (x, given), task=task)
    found = learner.label_errors()
    assert set(found["row"][:12]) <= set(wrong)
    assert found["score"].is_monotonic_increasing
    for row in found[:12].itertuples():
        assert (row.label, row.suggested) == (
            task.classes[given[row.row]],
            task.classes[y[row.row]],
        )


def test_label_errors_are_of_single_classes(number_task_learner: Learner) -> None:
    with pytest.raises(ArgumentError, match="these are labels of a regression task"):
        number_task_learner.label_errors()


@pytest.fixture
def number_task_learner(arrays: Any) -> Learner:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse", run_eagerly=True)
    return ktlite.get_learner(
        model, None, (arrays.x_val, arrays.x_val.sum(axis=1)), task=Regression()
    )
