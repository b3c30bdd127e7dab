"""Training: what it records, what it computes, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import ktlite
from ktlite.errors import ArgumentError, KtliteError
from ktlite.learner import Learner

STILL = 1e-30  # a learning rate that moves no weight
STEPS = 3  # batches an epoch

Make = Callable[..., Learner]


def weights_of(learner: Learner) -> np.ndarray:
    return np.concatenate([w.ravel() for w in learner.model.get_weights()])


def row_losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Cross-entropy of each row, by its definition."""
    powers = np.exp(logits.astype("float64"))
    return -np.log(powers[np.arange(len(targets)), targets] / powers.sum(axis=1))


class Watch(keras.callbacks.Callback):
    """Notes what training does."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0
        self.momenta: list[float] = []
        self.weights: list[list[np.ndarray]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches += 1
        self.momenta.append(float(getattr(self.model.optimizer, "beta_1", np.nan)))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.weights.append(self.model.get_weights())


# ------------------------------------------------------------------- what is recorded


@pytest.mark.parametrize(
    ("train", "epochs", "momentum"),
    [
        (lambda learner: learner.fit(0.01, 2, verbose=0), 2, False),
        (lambda learner: learner.fit(0.01, 2, cycle_len=1, cycle_mult=2, verbose=0), 3, False),
        (lambda learner: learner.fit_onecycle(0.01, 2, verbose=0), 2, True),
        (lambda learner: learner.autofit(0.01, 2, verbose=0), 2, True),
    ],
    ids=["fit", "restarts", "onecycle", "autofit"],
)
def test_history_has_a_value_of_each_step_and_the_highest_rate_is_the_one_given(
    small_learner: Make, train: Callable[[Learner], Any], epochs: int, momentum: bool
) -> None:
    learner = small_learner()
    history = train(learner).history
    assert history["iterations"] == list(range(1, epochs * STEPS + 1))
    assert len(history["lr"]) == epochs * STEPS
    assert max(history["lr"]) == 0.01
    assert len(history["loss"]) == len(history["val_loss"]) == epochs
    assert ("momentum" in history) == momentum
    assert learner.history.history is history
    if momentum:
        assert len(history["momentum"]) == epochs * STEPS
        assert (max(history["momentum"]), min(history["momentum"])) == (0.95, 0.85)


def test_training_lowers_the_loss(small_learner: Make) -> None:
    history = small_learner().fit_onecycle(0.05, 8, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert history["val_loss"][-1] < history["val_loss"][0]


def test_momentum_cycles_in_the_running_graph_of_a_text_model(text_learner: Learner) -> None:
    watch = Watch()
    history = text_learner.fit_onecycle(STILL, 1, callbacks=[watch], verbose=0).history
    np.testing.assert_allclose(watch.momenta, history["momentum"], rtol=1e-6)
    assert len(set(watch.momenta)) > 2
    assert float(text_learner.model.optimizer.beta_1) == pytest.approx(0.9)


@pytest.mark.parametrize("optimizer", ["ktlite", "adam"])
def test_cycled_momentum_leads_to_other_weights(small_learner: Make, optimizer: str) -> None:
    found = []
    for options in ({}, {"cycle_momentum": False}, {"max_momentum": 0.9, "min_momentum": 0.9}):
        learner = small_learner(
            None if optimizer == "ktlite" else keras.optimizers.Adam(),
            run_eagerly=False,
            val=False,
        )
        learner.fit_onecycle(0.01, 2, verbose=0, **options)
        found.append(weights_of(learner))
    cycled, left_alone, constant = found
    np.testing.assert_allclose(left_alone, constant, rtol=1e-6)
    assert np.abs(cycled - constant).max() > 1e-4


def test_restarts_begin_each_cycle_at_the_decayed_rate(small_learner: Make) -> None:
    learner = small_learner()
    learner.fit(0.01, 2, cycle_len=1, cycle_mult=2, lr_decay=0.5, verbose=0)
    rates = learner.history.history["lr"]
    assert len(rates) == (1 + 2) * STEPS
    assert (rates[0], rates[STEPS]) == (0.01, 0.005)
    assert np.diff(rates[:STEPS]).max() < 0
    assert np.diff(rates[STEPS:]).max() < 0


def test_fewer_rows_than_a_batch_are_one_step(small_learner: Make) -> None:
    learner = small_learner(batch_size=500)
    assert learner.fit_onecycle(0.01, 2, verbose=0).history["iterations"] == [1, 2]


def test_callbacks_are_called(small_learner: Make) -> None:
    for method, options in (("fit", {}), ("fit_onecycle", {}), ("autofit", {})):
        watch = Watch()
        getattr(small_learner(), method)(0.01, 2, callbacks=[watch], verbose=0, **options)
        assert (watch.batches, len(watch.weights)) == (2 * STEPS, 2)


def test_steps_per_epoch_cuts_an_epoch_and_never_lengthens_it(small_learner: Make) -> None:
    learner = small_learner()
    for wanted, found in ((2, 2), (99, STEPS)):
        history = learner.fit_onecycle(0.01, 2, steps_per_epoch=wanted, verbose=0).history
        assert len(history["lr"]) == 2 * found
        assert history["lr"][-1] == pytest.approx(0.01 / 1000)


def test_silent_training_prints_nothing(
    small_learner: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    learner = small_learner()
    capfd.readouterr()
    learner.fit(0.01, 1, verbose=0)
    learner.fit_onecycle(0.01, 1, verbose=0)
    learner.autofit(0.01, 1, verbose=0)
    learner.lr_find(verbose=0, max_epochs=4)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, 2])
def test_bars_go_to_standard_error(
    small_learner: Make, capsys: pytest.CaptureFixture[str], verbose: int
) -> None:
    learner = small_learner()
    capsys.readouterr()
    learner.fit(0.01, 2, verbose=verbose)
    learner.validate()
    shown = capsys.readouterr()
    assert "Epoch 2/2" in shown.err
    assert "loss:" in shown.err
    assert "Epoch" not in shown.out
    assert "accuracy" in shown.out
    assert "accuracy  " not in shown.err.rpartition("loss:")[2]


def test_a_fit_goes_on_where_the_last_one_ended(small_learner: Make) -> None:
    """Two fits of an epoch see the batches that one fit of two epochs sees."""
    at_once, in_parts = small_learner(), small_learner()
    at_once.fit(0.01, 2, verbose=0)
    in_parts.fit(0.01, 1, verbose=0)
    in_parts.fit(0.01, 1, verbose=0)
    np.testing.assert_array_equal(weights_of(at_once), weights_of(in_parts))


def test_an_interrupted_training_keeps_its_record(small_learner: Make) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.optimizer.iterations == STEPS + 1:
                raise KeyboardInterrupt

    learner = small_learner()
    with pytest.raises(KeyboardInterrupt):
        learner.fit_onecycle(0.01, 5, callbacks=[Stop()], verbose=0)
    assert len(learner.history.history["loss"]) == 1
    assert learner.history.history["iterations"] == [1, 2, 3, 4]
    assert learner.plot("loss", return_fig=True) is not None
    assert float(learner.model.optimizer.beta_1) == pytest.approx(0.9)


# -------------------------------------------------------------- what Keras logs is right


def test_logged_figures_are_those_of_all_rows_with_the_last_batch_counted_once(
    small_learner: Make, arrays: Any
) -> None:
    learner = small_learner()
    logs = learner.fit(STILL, 2, verbose=0).history
    for prefix, x, y in (("", arrays.x, arrays.y), ("val_", arrays.x_val, arrays.y_val)):
        logits = learner.model.predict(x, verbose=0)
        loss, accuracy = row_losses(logits, y).mean(), (logits.argmax(axis=1) == y).mean()
        np.testing.assert_allclose(logs[f"{prefix}loss"], [loss] * 2, rtol=1e-5)
        np.testing.assert_allclose(logs[f"{prefix}accuracy"], [accuracy] * 2, rtol=1e-6)


def test_logged_figures_of_texts_are_those_of_all_rows(text_learner: Learner) -> None:
    logs = text_learner.fit(STILL, 1, verbose=0).history
    for prefix, data in (("", text_learner.train_data), ("val_", text_learner.val_data)):
        inputs = {"input_ids": np.zeros((len(data), 24), "int32")}
        inputs["attention_mask"] = inputs["input_ids"].copy()
        for row in range(len(data)):  # padded to one length, the plain way
            ids = data.encodings.ids[data.encodings.offsets[row] : data.encodings.offsets[row + 1]]
            inputs["input_ids"][row, : len(ids)] = ids
            inputs["attention_mask"][row, : len(ids)] = 1
        logits = np.asarray(text_learner.model(inputs))
        loss, accuracy = row_losses(logits, data.y), logits.argmax(axis=1) == data.y
        assert len(data) % 8  # there is a partial batch
        assert logs[f"{prefix}loss"] == [pytest.approx(loss.mean(), rel=1e-4)]
        assert logs[f"{prefix}accuracy"] == [pytest.approx(accuracy.mean(), rel=1e-6)]


@pytest.mark.parametrize(
    ("class_weight", "expected"),
    [
        ({0: 2.0, 2: 0.5}, [2.0, 1.0, 0.5]),
        ("balanced", "balanced"),
        (None, [1.0, 1.0, 1.0]),
    ],
    ids=["some classes", "balanced", "none"],
)
def test_class_weights_weight_the_loss(
    small_learner: Make, arrays: Any, class_weight: Any, expected: Any
) -> None:
    learner = small_learner()
    if expected == "balanced":
        expected = compute_class_weight("balanced", classes=np.arange(3), y=arrays.y)
    losses = row_losses(learner.model.predict(arrays.x, verbose=0), arrays.y)
    logs = learner.fit(STILL, 1, class_weight=class_weight, verbose=0).history
    weighted = (losses * np.asarray(expected)[arrays.y]).mean()
    assert logs["loss"] == [pytest.approx(weighted, rel=1e-5)]


def test_class_weights_may_name_classes(text_learner: Learner) -> None:
    data, weights = text_learner.train_data, {"ham": 3.0, 2: 0.0}
    texts = [data.texts[i] for i in range(len(data))]
    logits = np.log(text_learner.get_predictor().predict_proba(texts).astype("float64"))
    weighted = row_losses(logits, data.y) * np.array([3.0, 1.0, 0.0])[data.y]
    logs = text_learner.fit_onecycle(STILL, 1, class_weight=weights, verbose=0).history
    assert logs["loss"] == [pytest.approx(weighted.mean(), rel=1e-4)]


@pytest.mark.parametrize("shape", [(20,), (20, 1)], ids=["column", "matrix"])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_class_weights_reach_the_rows_of_a_binary_model(shape: tuple[int, ...], dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(20, 4))
    y = (np.arange(20) % 4 == 0).astype(dtype)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", loss="binary_crossentropy", run_eagerly=True)
    p = model.predict(x, verbose=0)[:, 0].astype("float64")
    losses = np.where(y, -10 * np.log(p), -np.log(1 - p))
    learner = ktlite.get_learner(model, (x, y.reshape(shape)), batch_size=8)
    logs = learner.fit(STILL, 1, class_weight={1: 10.0}, verbose=0).history
    assert logs["loss"] == [pytest.approx(losses.mean(), rel=1e-5)]


def test_sample_weights_weight_the_loss(arrays: Any, small_model: Callable[..., Any]) -> None:
    model, weights = small_model(), np.linspace(0, 2, len(arrays.x))
    losses = row_losses(model.predict(arrays.x, verbose=0), arrays.y)
    learner = ktlite.get_learner(model, (arrays.x, arrays.y, weights), batch_size=8)
    logs = learner.fit(STILL, 1, verbose=0).history
    assert logs["loss"] == [pytest.approx((losses * weights).mean(), rel=1e-5)]


# ------------------------------------------------------------------- saving and stopping


def test_a_checkpoint_folder_that_cannot_be_written_is_refused_before_training(
    small_learner: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    learner = small_learner()
    before = weights_of(learner)
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ArgumentError, match="checkpoint_folder=.*file.*cannot write"):
            learner.fit_onecycle(0.01, 1, checkpoint_folder=path, verbose=0)
    assert learner.history is None
    np.testing.assert_array_equal(weights_of(learner), before)


def test_autofit_reduces_the_rate_on_a_plateau_and_stops(small_learner: Make) -> None:
    """Nothing improves after epoch 1: the rate is halved after 3 and 5, and 6 is the last."""
    history = small_learner().autofit(STILL, verbose=0).history
    peaks = np.array(history["lr"]).reshape(-1, STEPS).max(axis=1) / STILL
    np.testing.assert_allclose(peaks, [1, 1, 1, 1 / 2, 1 / 2, 1 / 4])


def test_autofit_takes_its_patience_and_factor_as_given(small_learner: Make) -> None:
    history = (
        small_learner()
        .autofit(STILL, early_stopping=3, reduce_on_plateau=1, reduce_factor=10, verbose=0)
        .history
    )
    peaks = np.array(history["lr"]).reshape(-1, STEPS).max(axis=1) / STILL
    np.testing.assert_allclose(peaks, [1, 1, 1 / 10, 1 / 100])


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "val_acc"])
def test_autofit_ends_with_the_best_weights(
    arrays: Any, small_model: Callable[..., Any], monitor: str
) -> None:
    """The validation labels contradict the training labels, so that learning makes it worse."""
    learner = ktlite.get_learner(
        small_model(), (arrays.x, arrays.y), (arrays.x, (arrays.y + 1) % 3), batch_size=8
    )
    watch = Watch()
    learner.autofit(0.1, early_stopping=3, monitor=monitor, callbacks=[watch], verbose=0)
    measured = "val_accuracy" if monitor == "val_acc" else monitor  # as Keras called it once
    values = np.array(learner.history.history[measured])
    best = int(values.argmin() if monitor == "val_loss" else values.argmax())
    assert len(values) == best + 1 + 3
    for found, expected in zip(learner.model.get_weights(), watch.weights[best], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_fit_stops_early_with_the_best_weights(small_learner: Make) -> None:
    learner, watch = small_learner(), Watch()
    learner.fit(STILL, 10, early_stopping=2, callbacks=[watch], verbose=0)
    assert len(watch.weights) == 3


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("val_loss", "needs validation data.*monitor='loss'"),
        ("val_accuracy", "needs validation data"),
        ("val_acuracy", "is not measured; measured are loss, accuracy.*mean 'val_accuracy'"),
    ],
)
def test_autofit_refuses_what_it_cannot_monitor(
    small_learner: Make, monitor: str, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        small_learner(val=False).autofit(0.01, monitor=monitor, verbose=0)


def test_autofit_can_monitor_training_and_needs_no_monitor_for_a_fixed_number_of_epochs(
    small_learner: Make,
) -> None:
    learner = small_learner(val=False)
    assert len(learner.autofit(STILL, monitor="loss", early_stopping=1, verbose=0).epoch) == 2
    assert len(learner.autofit(STILL, 1, verbose=0).epoch) == 1


def test_a_metric_of_the_models_own_can_be_monitored(arrays: Any) -> None:
    class Own(keras.Sequential):
        @property
        def metrics(self) -> list[Any]:
            return [*super().metrics, self.surprise]

        def train_step(self, data: Any) -> dict[str, Any]:
            self.surprise.update_state(1.0)
            return {**super().train_step(data), "surprise": self.surprise.result()}

    model = Own([keras.Input((4,)), keras.layers.Dense(3)])
    model.surprise = keras.metrics.Mean(name="surprise")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss=loss, run_eagerly=True)
    learner = ktlite.get_learner(model, (arrays.x, arrays.y), batch_size=8)
    options = {"monitor": "surprise", "early_stopping": 2, "verbose": 0}
    with pytest.raises(ArgumentError, match="'surprise'.*pass mode='min' or mode='max'"):
        learner.autofit(0.01, **options)
    assert len(learner.autofit(0.01, mode="min", **options).epoch) == 3


# --------------------------------------------------------------- learning rate and decay


def test_weight_decay_spares_biases_and_norms_of_the_text_model(text_learner: Learner) -> None:
    decaying = {
        variable.path.split("/", 1)[1]
        for variable in text_learner.model.trainable_variables
        if text_learner.model.optimizer._use_weight_decay(variable)
    }
    kernels = {
        f"encoder/block_0/{part}/kernel"
        for part in ("attention/qkv", "attention/out", "feed_forward/up", "feed_forward/down")
    }
    tables = {f"embeddings/{name}/embeddings" for name in ("word", "position", "token_type")}
    assert decaying == kernels | tables | {"head/pooler/kernel", "head/classifier/kernel"}


def test_weight_decay_changes_in_the_running_graph(
    arrays: Any, small_model: Callable[..., Any]
) -> None:
    """With inputs of zero the first kernel has no gradient: only decay moves it."""
    model = small_model(keras.optimizers.SGD(0.1), run_eagerly=False)
    learner = ktlite.get_learner(model, (np.zeros_like(arrays.x), arrays.y), batch_size=8)
    kernel = learner.model.layers[0].kernel
    assert learner.get_weight_decay() is None
    start = kernel.numpy()
    learner.fit(0.1, 1, verbose=0)
    np.testing.assert_array_equal(kernel.numpy(), start)
    for decay in (0.5, 0.2):
        start = kernel.numpy()
        learner.set_weight_decay(decay)
        learner.fit(0.1, 1, verbose=0)
        np.testing.assert_allclose(kernel.numpy(), start * (1 - 0.1 * decay) ** STEPS, rtol=1e-5)
        assert learner.get_weight_decay() == decay


def test_weight_decay_and_rate_reach_the_optimizer_that_a_loss_scale_wraps(
    small_learner: Make,
) -> None:
    learner = small_learner(keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW(0.1)))
    learner.set_weight_decay(0.3)
    learner.set_lr(0.25)
    assert learner.get_weight_decay() == learner.model.optimizer.inner_optimizer.weight_decay == 0.3
    assert float(learner.model.optimizer.inner_optimizer.learning_rate) == 0.25


@pytest.mark.parametrize("value", [-1.0, None, float("nan"), "0.1"])
def test_impossible_decays_and_rates_are_refused(small_learner: Make, value: Any) -> None:
    learner = small_learner()
    with pytest.raises(ArgumentError, match="set_weight_decay: wd="):
        learner.set_weight_decay(value)
    with pytest.raises(ArgumentError, match="set_lr: lr="):
        learner.set_lr(value)


# ---------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("fit", {"learning_rate": 0.01, "epochs": 1}),
        ("fit_onecycle", {"learning_rate": 0.01, "epochs": 1}),
        ("autofit", {"learning_rate": 0.01, "epochs": 1}),
        ("fit_onecycle", {"lr": np.float32(0.5), "epochs": np.int64(1)}),
    ],
)
def test_arguments_have_their_other_names_and_may_be_numpy_numbers(
    small_learner: Make, method: str, arguments: dict[str, Any]
) -> None:
    learner = small_learner()
    history = getattr(learner, method)(**arguments, verbose=0).history
    assert max(history["lr"]) == arguments.get("learning_rate", 0.5)
    assert len(history["loss"]) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda n: n.fit(0.1, 1, learning_rate=0.2, epochs=2), ["lr=0.1 and", "n_cycles=1 and"]),
        (lambda n: n.fit_onecycle(0.1, 1, learning_rate=0.1), ["lr=0.1 and learning_rate=0.1"]),
        (lambda n: n.autofit(0.1, learning_rate=0.2), ["lr=0.1 and learning_rate=0.2"]),
        (lambda n: n.fit(), ["lr=None", "n_cycles=None"]),
        (
            lambda n: n.fit(-1, 0, cycle_len=1.5, cycle_mult=0.5, lr_decay=0, steps_per_epoch=0),
            ["lr=-1", "n_cycles=0", "cycle_len=1.5", "cycle_mult=0.5", "lr_decay=0", "steps_per"],
        ),
        (lambda n: n.fit(0.1, 2, cycle_mult=2), ["cycle_mult and lr_decay go with cycle_len"]),
        (
            lambda n: n.fit_onecycle("fast", 1.5, steps_per_epoch=-2),
            ["lr='fast'", "epochs=1.5", "steps_per_epoch=-2"],
        ),
        (
            lambda n: n.autofit(0, epochs=0, early_stopping=-1, reduce_factor=1),
            ["lr=0", "epochs=0", "early_stopping=-1", "reduce_factor=1"],
        ),
        (lambda n: n.fit_onecycle(2, 5e-5), ["the wrong way round", "fit_onecycle(5e-05, 2)"]),
        (lambda n: n.fit(3, 1e-4), ["lr=3 and n_cycles=0.0001 are", "fit(0.0001, 3)"]),
        (lambda n: n.autofit(1, np.float64(0.01)), ["the wrong way round", "autofit("]),
        (lambda n: n.fit_onecycle(0.1, 1, class_weight={7: 2.0}), ["7 is no class"]),
        (lambda n: n.fit_onecycle(0.1, 1, class_weight="heavy"), ["class_weight='heavy'"]),
        (lambda n: n.fit_onecycle(0.1, epoch=1), ["'epoch'. Did you mean 'epochs'?"]),
        (lambda n: n.fit(0.1, 1, early_stop=1), ["'early_stop'. Did you mean 'early_stopping'?"]),
        (lambda n: n.autofit(0.1, monitr="loss"), ["'monitr'. Did you mean 'monitor'?"]),
    ],
)
def test_every_impossible_argument_is_named_before_training(
    small_learner: Make, call: Callable[[Learner], Any], words: list[str]
) -> None:
    learner = small_learner()
    with pytest.raises(KtliteError) as error:
        call(learner)
    assert [word for word in words if word not in str(error.value)] == []
    assert learner.history is None


def test_early_stopping_without_validation_data_is_refused(small_learner: Make) -> None:
    with pytest.raises(ArgumentError, match="'val_loss' needs validation data"):
        small_learner(val=False).fit(0.1, 1, early_stopping=1)


def test_a_learner_that_cannot_train_says_all_that_it_lacks() -> None:
    learner = ktlite.get_learner(keras.Sequential([keras.layers.Dense(3)]))
    for call in (
        lambda: learner.fit_onecycle(0.1, 1),
        lambda: learner.fit(0.1, 1, early_stopping=2),
        lambda: learner.autofit(0.1),
        lambda: learner.lr_find(),
    ):
        with pytest.raises(ArgumentError) as error:
            call()
        for word in ("no train_data", "not compiled", "no weights yet"):
            assert word in str(error.value)
    with pytest.raises(ArgumentError, match="not compiled"):
        learner.set_weight_decay(0.1)


@pytest.mark.parametrize("name", ["train_data", "val_data"])
def test_data_without_labels_cannot_be_trained_on(
    arrays: Any, small_model: Callable[..., Any], name: str
) -> None:
    data = {"train_data": (arrays.x, arrays.y), "val_data": (arrays.x, arrays.y)}
    data[name] = (arrays.x, None)
    with pytest.raises(ArgumentError, match=f"{name} has no labels"):
        ktlite.get_learner(small_model(), **data).fit(0.1, 1)
