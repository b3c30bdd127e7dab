"""Training that goes on where it was stopped: checkpoints, resume, and what may happen to them."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, TrainingError
from ktlite.learner import Learner
from ktlite.tasks import focal_loss
from ktlite.training import checkpoints

STEPS, EPOCHS = 3, 3
SOON = 1e-9  # minutes: a checkpoint before every step

Make = Callable[..., Learner]


class Stop(keras.callbacks.Callback):
    """Does something before a step of the run, counted from 0."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        super().__init__()
        self.left, self.action = step, action

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.left == 0:
            self.action()
        self.left -= 1


class Crash(Exception):
    """What nothing catches."""


def crash() -> None:
    raise Crash


def everything(learner: Learner) -> list[np.ndarray]:
    held = (*learner.model.variables, *learner.model.optimizer.variables)
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in held]


def same(one: Learner, other: Learner) -> None:
    """Asserts that two learners hold the same bits, and recorded the same figures."""
    assert one.history.history == other.history.history
    assert one.history.epoch == other.history.epoch
    for found, expected in zip(everything(one), everything(other), strict=True):
        np.testing.assert_array_equal(found, expected)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("step-*"))


def onecycle(learner: Learner, **options: Any) -> Any:
    return learner.fit_onecycle(0.05, EPOCHS, verbose=0, **options)


def restarts(learner: Learner, **options: Any) -> Any:
    return learner.fit(0.05, 2, cycle_len=1, cycle_mult=2, verbose=0, **options)


def autofit(learner: Learner, **options: Any) -> Any:
    """The rate is so high that it is reduced, and that an epoch before the last is the best."""
    return learner.autofit(2.0, 6, 2, 1, verbose=0, **options)


def adam(**options: Any) -> Callable[[], Any]:
    return lambda: keras.optimizers.Adam(**options)


WAYS: dict[str, tuple[Callable[..., Any], Callable[[], Any]]] = {
    "onecycle": (onecycle, lambda: None),
    "restarts": (restarts, lambda: None),
    "autofit": (autofit, lambda: None),
    "accumulation": (onecycle, adam(gradient_accumulation_steps=2)),
    "average": (autofit, adam(use_ema=True, ema_momentum=0.7)),
    "momentum of SGD": (onecycle, lambda: keras.optimizers.SGD(momentum=0.9)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_was_stopped_at_any_step_ends_as_one_that_was_not(
    way: str, small_learner: Make, tmp_path: Path
) -> None:
    train, optimizer = WAYS[way]
    alone = small_learner(optimizer(), dropout=0.3)
    train(alone)
    for step in range(1, len(alone.history.history["lr"]), 4):
        folder = tmp_path / str(step)
        stopped, resumed = (small_learner(optimizer(), dropout=0.3) for _ in range(2))
        options = {"checkpoint_folder": folder, "save_every": SOON, "resume": True}
        with pytest.raises(Crash):
            train(stopped, **options, callbacks=[Stop(step, crash)])
        seen = Stop(-1, crash)
        train(resumed, **options, callbacks=[seen])
        assert -1 - seen.left == len(alone.history.history["lr"]) - step  # no step twice
        same(resumed, alone)


def test_in_the_graph_too(small_learner: Make, tmp_path: Path) -> None:
    alone, stopped, resumed = (small_learner(dropout=0.3, run_eagerly=False) for _ in range(3))
    onecycle(alone)
    options = {"checkpoint_folder": tmp_path, "save_every": SOON}
    with pytest.raises(Crash):
        onecycle(stopped, **options, callbacks=[Stop(5, crash)])
    onecycle(resumed, **options, resume=True)
    same(resumed, alone)


def test_processes_that_are_killed_end_as_one_that_was_not() -> None:
    script = Path(__file__).parents[1] / "training" / "kill_and_resume.py"
    found = subprocess.run(
        [sys.executable, script, "--kills", "4", "--ways", "small"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "small: 4 kills" in found.stdout


def test_several_fits_of_a_script_go_on_one_after_the_other(
    small_learner: Make, tmp_path: Path
) -> None:
    def script(learner: Learner, stop: int) -> None:
        for part, epochs in (("one", 1), ("two", 2)):
            watch = [Stop(stop - (part == "two") * STEPS, crash)]
            options = {"checkpoint_folder": tmp_path / part, "resume": True, "save_every": SOON}
            learner.fit_onecycle(0.05, epochs, callbacks=watch, verbose=0, **options)

    alone, stopped, resumed = small_learner(), small_learner(), small_learner()
    alone.fit_onecycle(0.05, 1, verbose=0)
    alone.fit_onecycle(0.05, 2, verbose=0)
    with pytest.raises(Crash):
        script(stopped, stop=STEPS + 2)
    script(resumed, stop=-99)
    same(resumed, alone)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_the_learner_that_was_interrupted_goes_on_itself(
    small_learner: Make, tmp_path: Path
) -> None:
    alone, learner = small_learner(dropout=0.3), small_learner(dropout=0.3)
    onecycle(alone)
    options = {"checkpoint_folder": tmp_path, "save_every": SOON}
    with pytest.raises(KeyboardInterrupt):  # an epoch is done then
        onecycle(learner, **options, callbacks=[Stop(STEPS + 1, interrupt)])
    onecycle(learner, **options, resume=True)
    same(learner, alone)


def test_metrics_that_are_arrays_are_kept_too(small_learner: Make, tmp_path: Path) -> None:
    class Arrays(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["share"], logs["count"] = np.array([0.5, 0.25], "float32"), np.int64(3)
            logs["tensor"] = keras.ops.ones(2)

    learner, again = small_learner(), small_learner()
    onecycle(learner, checkpoint_folder=tmp_path, callbacks=[Arrays()])
    onecycle(again, checkpoint_folder=tmp_path, resume=True)
    assert again.history.history["share"][0] == [0.5, 0.25]
    assert again.history.history["tensor"][-1] == [1.0, 1.0]


def test_a_finished_run_gives_its_history_and_weights_at_once(
    small_learner: Make, tmp_path: Path
) -> None:
    first, again = small_learner(), small_learner()
    onecycle(first, checkpoint_folder=tmp_path)
    onecycle(again, checkpoint_folder=tmp_path, resume=True)
    same(again, first)
    again.fit(0.01, 1, verbose=0)
    assert len(again.history.history["loss"]) == 1


def test_the_card_of_a_run_has_the_time_of_all_its_parts(
    small_learner: Make, tmp_path: Path
) -> None:
    options = {"checkpoint_folder": tmp_path, "save_every": SOON}
    with pytest.raises(Crash):
        onecycle(small_learner(), **options, callbacks=[Stop(2, lambda: time.sleep(0.5)),
                                                        Stop(4, crash)])  # fmt: skip
    resumed, finished = small_learner(), small_learner()
    onecycle(resumed, **options, resume=True)
    (fit,) = resumed.card.fits
    assert 0.5 < fit["seconds"] < 60
    written = (tmp_path / "run.json").read_bytes()
    onecycle(finished, **options, resume=True)
    assert (tmp_path / "run.json").read_bytes() == written
    (again,) = finished.card.fits
    assert again["seconds"] == pytest.approx(fit["seconds"], abs=0.25)
    assert again["history"] == fit["history"]


@pytest.mark.parametrize("way", ["onecycle", "autofit"])
def test_a_run_is_counted_once_however_often_it_is_taken_up(
    way: str, small_learner: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train = WAYS[way][0]
    learner, folder = small_learner(), tmp_path / "run"
    options = {"checkpoint_folder": folder, "save_every": SOON, "resume": True}
    learner.fit(0.01, 1, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        train(learner, **options, callbacks=[Stop(STEPS + 1, interrupt)])
    assert [fit["epochs"] for fit in learner.card.fits] == [1, 1]
    train(learner, **options)
    epochs = len(learner.history.epoch)
    assert [fit["epochs"] for fit in learner.card.fits] == [1, epochs]
    written, weights = (folder / "run.json").read_bytes(), everything(learner)
    learner.fit(0.01, 1, verbose=0)  # which going back to the run takes back
    with caplog.at_level(logging.INFO, "ktlite"):
        train(learner, **options)
    assert f"the run in {folder} is complete ({epochs} epochs, " in caplog.text
    assert [len(fit["history"]["loss"]) for fit in learner.card.fits] == [1, epochs]
    assert (folder / "run.json").read_bytes() == written
    for found, expected in zip(everything(learner), weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert learner._epochs_done == 1 + epochs


@pytest.mark.parametrize("epochs", [EPOCHS - 1, EPOCHS + 1])
def test_a_finished_run_with_other_epochs_is_another_run(
    epochs: int, small_learner: Make, tmp_path: Path
) -> None:
    small_learner().fit(0.01, EPOCHS, checkpoint_folder=tmp_path, verbose=0)
    with pytest.raises(ArgumentError, match=f"epochs was {EPOCHS} and is {epochs}"):
        small_learner().fit(0.01, epochs, checkpoint_folder=tmp_path, resume=True, verbose=0)


def test_a_training_without_an_end_shows_no_last_epoch(
    small_learner: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = small_learner()
    learner.autofit(2.0, early_stopping=1)
    shown = "".join(capsys.readouterr())
    assert "Epoch 1\n" in shown
    assert "Epoch 2\n" in shown
    assert "1024" not in shown
    assert learner.card.fits[0]["epochs"] == len(learner.history.epoch)
    learner.autofit(2.0, 2)
    assert "Epoch 2/2\n" in "".join(capsys.readouterr())


def test_data_that_comes_in_batches_goes_on_with_an_epoch(
    small_model: Callable[..., Any], arrays: Any, tmp_path: Path
) -> None:
    import tensorflow as tf

    def make() -> Learner:
        data = tf.data.Dataset.from_tensor_slices((arrays.x, arrays.y)).batch(8)
        return ktlite.get_learner(small_model(), data)

    alone, stopped, resumed = make(), make(), make()
    onecycle(alone)
    options = {"checkpoint_folder": tmp_path, "save_every": SOON}
    with pytest.raises(Crash):
        onecycle(stopped, **options, callbacks=[Stop(STEPS + 2, crash)])
    assert names(tmp_path) == ["step-000000", "step-000003"]
    onecycle(resumed, **options, resume=True, callbacks=[Stop(-1, crash)])
    same(resumed, alone)


# ------------------------------------------------------------------- what is kept


def test_the_newest_two_and_the_best_are_kept(small_learner: Make, tmp_path: Path) -> None:
    learner = small_learner()
    learner.fit(3.0, 6, checkpoint_folder=tmp_path, verbose=0)
    losses = learner.history.history["val_loss"]
    best = STEPS * (int(np.argmin(losses)) + 1)
    assert best < 5 * STEPS  # or the test could not tell
    assert names(tmp_path) == [f"step-{step:06d}" for step in (best, 5 * STEPS, 6 * STEPS)]


def test_weights_come_back_from_the_best_the_last_or_any_checkpoint(
    small_learner: Make, tmp_path: Path
) -> None:
    learner = small_learner(keras.optimizers.Adam(use_ema=True, ema_momentum=0.5))
    learner.fit(1.0, 6, checkpoint_folder=tmp_path, verbose=0)
    last, losses = learner.model.get_weights(), learner.history.history["val_loss"]
    learner.load_checkpoint(tmp_path, "best")
    assert learner.model.evaluate(
        learner.val_data[0], learner.val_data[1], verbose=0, return_dict=True
    )["loss"] == pytest.approx(min(losses), rel=1e-5)
    other = small_learner()
    for which in ("last", 6 * STEPS):
        other.load_checkpoint(tmp_path, which)
        for found, expected in zip(other.model.get_weights(), last, strict=True):
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(
        ArgumentError, match="which='worst' .* expected 'last', 'best' .* or a step"
    ):
        other.load_checkpoint(tmp_path, "worst")
    with pytest.raises(ArgumentError, match="no checkpoints"):
        other.load_checkpoint(tmp_path / "none")


def test_the_average_of_the_weights_is_what_validation_sees_and_what_is_left(
    small_learner: Make, arrays: Any
) -> None:
    """Its value by its definition, from the weights after each step."""

    class Weights(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(self.model.get_weights())

    seen: list[list[np.ndarray]] = []
    learner = small_learner(keras.optimizers.Adam(use_ema=True, ema_momentum=0.8))
    learner.fit(0.1, 2, callbacks=[Weights()], verbose=0)
    average = seen[0]
    for weights in seen[1:]:
        average = [0.8 * a + 0.2 * w for a, w in zip(average, weights, strict=True)]
    for found, expected in zip(learner.model.get_weights(), average, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    logits = learner.model.predict(arrays.x_val, verbose=0)
    right = (logits.argmax(axis=1) == arrays.y_val).mean()
    assert learner.history.history["val_accuracy"][-1] == pytest.approx(right)
    assert any((a != s).any() for a, s in zip(average, seen[-1], strict=True))


# ------------------------------------------------------------------- what is refused


def test_a_folder_with_checkpoints_is_not_written_over(small_learner: Make, tmp_path: Path) -> None:
    onecycle(small_learner(), checkpoint_folder=tmp_path)
    with pytest.raises(ArgumentError, match="earlier run .step-000006, step-000009.*resume=True"):
        onecycle(small_learner(), checkpoint_folder=tmp_path)
    with pytest.raises(ArgumentError, match="resume=True needs the checkpoint_folder"):
        onecycle(small_learner(), resume=True)
    with pytest.raises(ArgumentError, match="save_every=0"):
        onecycle(small_learner(), checkpoint_folder=tmp_path, save_every=0)


@pytest.mark.parametrize(
    ("options", "fit", "message"),
    [
        ({"seed": 1}, {}, "seed of train_data was 42 and is 1"),
        ({"batch_size": 4}, {}, "batch_size of train_data was 8 and is 4"),
        ({}, {"lr": 0.01}, r"schedule was OneCycle\(max_lr=0.05.* and is OneCycle\(max_lr=0.01"),
        ({}, {"class_weight": "balanced"}, "class_weight was None and is {0: "),
        ({"optimizer": adam(beta_2=0.5)()}, {}, "optimizer was AdamW and is Adam"),
        ({"loss": "kl_divergence"}, {}, "the loss was .* and is kl_divergence"),
        ({"loss": focal_loss(1)}, {}, "the loss was .* and is Focal .*gamma"),
    ],
    ids=["seed", "batch size", "rate", "class weights", "optimizer", "loss", "focal"],
)
def test_a_run_with_other_arguments_does_not_go_on(
    options: Any, fit: Any, message: str, small_learner: Make, tmp_path: Path
) -> None:
    learner = small_learner()
    learner.fit_onecycle(0.05, EPOCHS, checkpoint_folder=tmp_path, verbose=0)
    with pytest.raises(ArgumentError, match=f"of another run.*{message}"):
        small_learner(**options).fit_onecycle(
            **{"lr": 0.05, "epochs": EPOCHS, **fit},
            checkpoint_folder=tmp_path,
            resume=True,
            verbose=0,
        )


def test_a_run_whose_data_changed_does_not_go_on(
    small_model: Callable[..., Any], arrays: Any, tmp_path: Path
) -> None:
    onecycle(ktlite.get_learner(small_model(), (arrays.x, arrays.y)), checkpoint_folder=tmp_path)
    changed = arrays.x.copy()
    changed[5, 1] += 1e-6
    for x, y in ((changed, arrays.y), (arrays.x[:-1], arrays.y[:-1])):
        learner = ktlite.get_learner(small_model(), (x, y))
        with pytest.raises(ArgumentError, match=f"train_data was 22 rows .* and is {len(x)} rows"):
            onecycle(learner, checkpoint_folder=tmp_path, resume=True)


# ------------------------------------------------------------------- faults


@pytest.mark.parametrize("file", [checkpoints.TENSORS, checkpoints.STATE, "ktlite.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_left_out_with_a_warning(
    file: str,
    damage: str,
    small_learner: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    alone, resumed = small_learner(), small_learner()
    onecycle(alone)
    with pytest.raises(Crash):
        onecycle(
            small_learner(),
            checkpoint_folder=tmp_path,
            save_every=SOON,
            callbacks=[Stop(5, crash)],
        )
    path = tmp_path / "step-000005" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-7])
    with caplog.at_level(logging.WARNING, "ktlite"):
        onecycle(resumed, checkpoint_folder=tmp_path, resume=True, callbacks=[Stop(-1, crash)])
    assert "step-000005 is damaged" in caplog.text
    same(resumed, alone)
    assert "step-000005" not in names(tmp_path)


def test_where_all_checkpoints_are_damaged_training_does_not_start_anew(
    small_learner: Make, tmp_path: Path
) -> None:
    onecycle(small_learner(), checkpoint_folder=tmp_path)
    for folder in tmp_path.glob("step-*"):
        (folder / checkpoints.STATE).write_text("{}")
    with pytest.raises(CheckpointError, match="all of its checkpoints are damaged; remove it"):
        onecycle(small_learner(), checkpoint_folder=tmp_path, resume=True)


def test_a_full_disk_is_reported_and_training_goes_on(
    small_learner: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    alone, learner = small_learner(), small_learner()
    onecycle(alone)
    fill = Stop(4, lambda: monkeypatch.setattr(checkpoints, "write_manifest", full))
    with caplog.at_level(logging.WARNING, "ktlite"):
        onecycle(learner, checkpoint_folder=tmp_path, callbacks=[fill])
    same(learner, alone)
    assert "step-000006 could not be written" in caplog.text
    assert "No space left on device" in caplog.text
    assert "what is there: step-000003" in caplog.text
    assert names(tmp_path) == ["step-000003"]


def test_a_folder_that_goes_away_is_reported_and_training_goes_on(
    small_learner: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"

    def replace() -> None:
        shutil.rmtree(folder)
        folder.touch()

    learner = small_learner()
    with caplog.at_level(logging.WARNING, "ktlite"):
        onecycle(learner, checkpoint_folder=folder, callbacks=[Stop(4, replace)])
    assert len(learner.history.history["loss"]) == EPOCHS
    assert "could not be written" in caplog.text


def test_a_disk_that_will_be_full_is_reported_before_training(
    small_learner: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = type("Usage", (), {"free": 2000})()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with caplog.at_level(logging.WARNING, "ktlite"):
        onecycle(small_learner(), checkpoint_folder=tmp_path)
    assert "0.0 GB are free" in caplog.text


@pytest.fixture
def usual_handlers() -> Iterator[None]:
    """Those of a program in the foreground; one in the background may ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_handlers")
@pytest.mark.parametrize(
    ("number", "error", "code"),
    [(signal.SIGTERM, SystemExit, 143), (signal.SIGINT, KeyboardInterrupt, None)],
)
def test_a_signal_lets_the_step_end_keeps_a_checkpoint_and_stops(
    number: signal.Signals,
    error: type[BaseException],
    code: int | None,
    small_learner: Make,
    tmp_path: Path,
) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    alone, learner, resumed = small_learner(), small_learner(), small_learner()
    onecycle(alone)
    send = Stop(4, lambda: signal.raise_signal(number))
    with pytest.raises(error) as found:
        onecycle(learner, checkpoint_folder=tmp_path, callbacks=[send])
    assert getattr(found.value, "code", None) == code
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert names(tmp_path) == ["step-000003", "step-000005"]
    assert learner.history.history["iterations"] == [1, 2, 3, 4, 5]
    assert learner.plot("lr", return_fig=True) is not None
    onecycle(resumed, checkpoint_folder=tmp_path, resume=True, callbacks=[Stop(-1, crash)])
    same(resumed, alone)
    learner.fit(0.01, 1, verbose=0)  # it can go on without the folder, too


@pytest.mark.usefixtures("usual_handlers")
def test_a_second_signal_stops_at_once(small_learner: Make, tmp_path: Path) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    learner = small_learner()
    with pytest.raises(KeyboardInterrupt):
        onecycle(learner, checkpoint_folder=tmp_path, callbacks=[Stop(1, twice)])
    assert names(tmp_path) == []
    assert learner.history.history["iterations"] == [1]


def test_a_checkpoint_holds_json_and_tensors_alone(small_learner: Make, tmp_path: Path) -> None:
    onecycle(small_learner(), checkpoint_folder=tmp_path)
    files = sorted(path.name for path in (tmp_path / "step-000009").iterdir())
    assert files == ["ktlite.json", "state.json", "state.safetensors"]
    state = json.loads((tmp_path / "step-000009" / "state.json").read_text())
    assert (state["step"], state["finished"]) == (9, True)


# ------------------------------------------------------------------- a loss that is no number


def test_a_nan_in_the_data_stops_names_the_rows_and_rolls_back(
    small_model: Callable[..., Any], arrays: Any
) -> None:
    x = arrays.x.copy()
    x[13, 2] = np.nan
    learner = ktlite.get_learner(small_model(), (x, arrays.y), batch_size=8)
    before = learner.model.get_weights()
    with pytest.raises(TrainingError) as found:
        onecycle(learner)
    message = str(found.value)
    epoch = learner.history.history["iterations"]
    assert f"after batch {len(epoch)} of epoch 1" in message
    rows = [int(row) for row in message.split("source: ")[1].split(".")[0].split(", ")]
    assert 13 in rows
    assert len(rows) in (6, 8)
    assert "hold values that are NaN or infinite" in message
    for now, then in zip(learner.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    sound = ktlite.get_learner(learner.model, (arrays.x, arrays.y), batch_size=8)
    assert np.isfinite(sound.fit(0.01, 1, verbose=0).history["loss"]).all()


def test_steps_that_are_too_large_stop_with_the_norms_of_the_gradients(
    small_model: Callable[..., Any], arrays: Any
) -> None:
    model = small_model(keras.optimizers.SGD(), loss="mse", metrics=[])
    before = model.get_weights()
    learner = ktlite.get_learner(
        model, (arrays.x, np.eye(3, dtype="float32")[arrays.y]), batch_size=22
    )
    with pytest.raises(TrainingError, match="the steps were too large") as found:
        learner.fit(1e30, 4, steps_per_epoch=1, verbose=0)
    assert "reset_weights" in str(found.value)  # the first epoch's one step has spoilt them
    learner = ktlite.get_learner(
        model, (arrays.x, np.eye(3, dtype="float32")[arrays.y]), batch_size=8
    )
    learner.model.set_weights(before)
    with pytest.raises(TrainingError, match="the steps were too large") as found:
        learner.fit(1e30, 4, verbose=0)
    assert "reset_weights" not in str(found.value)
    norms = dict(part.split() for part in str(found.value).split("are: ")[1][:-1].split(", "))
    rows = [int(n) for n in str(found.value).split("source: ")[1].split(".")[0].split(", ")]
    x, y = arrays.x[rows], np.eye(3)[arrays.y[rows]]
    (kernel, bias), (top, top_bias) = (layer.get_weights() for layer in model.layers)
    hidden = np.tanh(x @ kernel + bias)
    slope = 2 * (hidden @ top + top_bias - y) / y.size
    expected = np.sqrt(np.sum((hidden.T @ slope) ** 2) + np.sum(slope.sum(axis=0) ** 2))
    assert float(norms["logits"]) == pytest.approx(expected, rel=0.01)
    assert set(norms) == {"hidden", "logits"}


def test_an_early_epoch_keeps_what_was_learned_before_a_nan(small_learner: Make) -> None:
    """The weights are those that the third epoch began with."""
    alone, learner = small_learner(), small_learner()
    alone.fit(0.01, 2, verbose=0)

    def spoil() -> None:
        weight = learner.model.trainable_weights[0]
        weight.assign(np.full(weight.shape, np.nan))

    with pytest.raises(TrainingError, match="after batch 2 of epoch 3"):
        learner.fit(0.01, 3, callbacks=[Stop(2 * STEPS + 1, spoil)], verbose=0)
    assert len(learner.history.history["loss"]) == 2
    for found, expected in zip(learner.model.get_weights(), alone.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way", ["onecycle", "autofit", "fit"])
def test_a_run_that_is_taken_up_without_a_rate_has_its_own(
    way: str, small_learner: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def train(learner: Any, lr: float | None = None, **options: Any) -> None:
        given = {"checkpoint_folder": tmp_path / "run", "save_every": SOON, "verbose": 0}
        if way == "onecycle":
            learner.fit_onecycle(lr, 2, **given, **options)
        else:
            getattr(learner, way)(lr, 2, **given, **options)

    rate = 0.1 / 3  # all digits of which count
    with pytest.raises(KeyboardInterrupt):
        train(small_learner(), rate, callbacks=[Stop(STEPS + 1, interrupt)])
    swept, new = small_learner(), small_learner()
    swept.lr_find(verbose=0)
    for learner in (swept, new):
        with caplog.at_level(logging.INFO, "ktlite"):
            train(learner, resume=True)
        assert f"lr=3.33e-02, that of the run in {tmp_path / 'run'}" in caplog.text
        caplog.clear()
    with pytest.raises(ArgumentError, match="lr=None, and there was no lr_find"):
        small_learner().fit_onecycle(epochs=2, checkpoint_folder=tmp_path / "none", resume=True)
