"""The learning-rate finder: it looks, and leaves no trace."""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.learner import Learner
from ktlite.training.lr_finder import LRSweep

Make = Callable[..., Learner]


def state_of(learner: Learner) -> list[np.ndarray]:
    """Returns all that training changes: weights, dropout's seeds, the optimizer, the metrics."""
    model = learner.model
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def explorer(small_learner: Make) -> Learner:
    """A learner with dropout that has trained a little."""
    learner = small_learner(dropout=0.3)
    learner.fit_onecycle(0.01, 1, verbose=0)
    return learner


@pytest.fixture(scope="module")
def swept(small_learner: Make) -> Learner:
    """A learner after a sweep over all rates."""
    learner = small_learner(run_eagerly=False)
    learner.lr_find(verbose=0)
    return learner


def test_a_sweep_leaves_no_trace(explorer: Learner) -> None:
    before = state_of(explorer)
    assert any(array.any() for array in before)
    history, python, numpy = explorer.history, random.getstate(), np.random.get_state()
    found = explorer.lr_find(max_epochs=10, verbose=0)
    assert same(state_of(explorer), before)
    assert explorer.history is explorer.model.history is history
    assert random.getstate() == python
    np.testing.assert_array_equal(np.random.get_state()[1], numpy[1])
    assert explorer.lr_finder is found


@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
def test_training_after_a_sweep_is_the_training_without_it(
    small_learner: Make, trained: bool
) -> None:
    histories = []
    for sweeps in (False, True):
        learner = small_learner(dropout=0.3)
        if trained:
            learner.fit(0.01, 1, verbose=0)
        if sweeps:
            learner.lr_find(max_epochs=5, verbose=0)
        histories.append(learner.fit_onecycle(0.01, 2, verbose=0).history)
    assert histories[0] == histories[1]


@pytest.mark.parametrize(("batch_size", "steps"), [(8, 40), (2, 44), (1, 88)])
def test_the_curve_goes_from_the_first_rate_to_the_last_in_an_epoch(
    small_learner: Make, arrays: Any, batch_size: int, steps: int
) -> None:
    """22 rows and 88: a pass, but 40 batches at least and 200 at most."""
    learner = small_learner(run_eagerly=False, batch_size=batch_size)
    x, y = (np.repeat(part, 4, axis=0) for part in (arrays.x, arrays.y))
    if batch_size < 8:
        learner = ktlite.get_learner(learner.model, (x, y), batch_size=batch_size)
    found = learner.lr_find(max_lr=1e-3, verbose=0)
    assert len(found.lrs) == len(found.losses) == steps
    assert found.lrs[0] == 1e-7
    assert found.lrs[-1] == pytest.approx(1e-3)
    np.testing.assert_allclose(found.lrs[1:] / found.lrs[:-1], 1e4 ** (1 / (steps - 1)))


def test_a_sweep_over_much_data_ends_after_200_batches() -> None:
    x = np.random.default_rng(0).normal(size=(900, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), loss="mse")
    learner = ktlite.get_learner(model, (x, x[:, :1]), batch_size=2)
    found = learner.lr_find(max_lr=1e-5, stop_factor=1e9, verbose=0)
    assert len(found.lrs) == 200


@pytest.mark.parametrize(
    ("arguments", "batches", "last"),
    [
        ({"max_epochs": 5}, 15, 1e-2),
        ({"max_epochs": 1}, 3, 1e-2),
        ({"lr_mult": 2}, 17, 1e-7 * 2**16),
        ({"lr_mult": 2, "max_epochs": 2}, 6, 1e-7 * 2**5),
        ({"lr_mult": 2, "start_lr": 1e-3}, 4, 8e-3),
    ],
)
def test_the_sweep_is_as_long_as_asked(
    small_learner: Make, arguments: dict[str, Any], batches: int, last: float
) -> None:
    found = small_learner().lr_find(**arguments, max_lr=1e-2, verbose=0)
    assert len(found.lrs) == batches
    assert found.lrs[-1] == pytest.approx(last)


def test_a_sweep_suggests_rates_that_train(swept: Learner) -> None:
    found = swept.lr_finder
    assert found.problem is None
    assert swept.lr_estimate() == (found.steepest, found.min_over_10, found.valley)
    assert len({rate for rate in swept.lr_estimate() if 1e-7 < rate < 10}) == 3
    losses = swept.fit_onecycle(found.valley, 5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_a_sweep_that_suggests_nothing_says_why(small_learner: Make) -> None:
    learner = small_learner()
    assert "10" in learner.lr_find(max_epochs=1, verbose=0).problem
    assert learner.lr_estimate() == (None, None, None)


@pytest.mark.parametrize("name", ["lr_plot", "lr_estimate"])
def test_there_is_nothing_to_show_before_a_sweep(small_learner: Make, name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"{name}: .*lr_find\(\) first"):
        getattr(small_learner(), name)()


def test_the_plot_is_returned_or_shown(
    swept: Learner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    figure = swept.lr_plot(suggest=True, return_fig=True)
    assert figure.axes[0].get_xscale() == "log"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with caplog.at_level(logging.INFO, "ktlite"):
        assert swept.lr_plot() is None
        swept.lr_find(max_epochs=4, show_plot=True, suggest=True, verbose=0)
    for name in ("lr_find.png", "lr_find-2.png"):  # there is no screen to show it on
        assert f"the plot is in {tmp_path / name}" in caplog.text
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


def test_suggestions_are_printed_wherever_one_is(
    small_learner: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = small_learner(run_eagerly=False)
    found = learner.lr_find()
    assert capsys.readouterr().out == f"{found}\n"
    learner.lr_find(verbose=0)
    assert capsys.readouterr().out == ""


FITS: list[Callable[..., Any]] = [
    lambda learner, **rate: learner.fit_onecycle(epochs=1, verbose=0, **rate),
    lambda learner, **rate: learner.autofit(epochs=1, verbose=0, **rate),
    lambda learner, **rate: learner.fit(n_cycles=1, verbose=0, **rate),
    lambda learner, **rate: learner.fit_within(0.5, max_epochs=1, verbose=0, **rate),
]


@pytest.mark.parametrize("fit", FITS)
def test_a_fit_without_a_rate_takes_that_of_the_last_sweep(
    small_learner: Make, fit: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    learner = small_learner(run_eagerly=False)
    with pytest.raises(ArgumentError, match=r"lr=None, and .*call lr_find\(\) first, or give lr"):
        fit(learner)
    assert "only 3 steps" in learner.lr_find(max_epochs=1, verbose=0).problem
    with pytest.raises(ArgumentError, match="the last lr_find suggests none: only 3 steps"):
        fit(learner)
    valley = learner.lr_find(verbose=0).valley
    with caplog.at_level(logging.INFO, "ktlite"):
        history = fit(learner).history
    assert max(history["lr"]) <= valley * (1 + 1e-6)
    assert f"lr={valley:.2e}, the valley of the last lr_find" in caplog.text
    caplog.clear()
    assert max(fit(learner, lr=1e-3).history["lr"]) <= 1e-3
    assert "valley" not in caplog.text


def test_an_interrupted_sweep_keeps_its_curve_and_leaves_no_trace(
    explorer: Learner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = LRSweep.on_train_batch_end

    def interrupted(self: LRSweep, batch: int, logs: Any = None) -> None:
        record(self, batch, logs)
        if len(self.losses) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(LRSweep, "on_train_batch_end", interrupted)
    before = state_of(explorer)
    with caplog.at_level(logging.INFO, "ktlite"):
        found = explorer.lr_find(verbose=0)
    assert len(found.lrs) == 20
    assert explorer.lr_finder is found
    assert "interrupted after 20 steps" in caplog.text
    assert same(state_of(explorer), before)
    monkeypatch.undo()
    assert len(explorer.fit_onecycle(0.01, 1, verbose=0).history["lr"]) == 3


def test_class_weights_weight_the_losses(small_learner: Make, arrays: Any) -> None:
    plain, heavy = (
        small_learner().lr_find(max_epochs=4, class_weight=weights, verbose=0).losses
        for weights in (None, {0: 3.0, 1: 3.0, 2: 3.0})
    )
    np.testing.assert_allclose(heavy[0], 3 * plain[0], rtol=1e-5)


@pytest.mark.parametrize("endless", [False, True], ids=["unknown", "endless"])
def test_a_stream_needs_no_length(
    arrays: Any, small_model: Callable[..., Any], endless: bool
) -> None:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((arrays.x, arrays.y)).batch(8)
    data = data.repeat() if endless else data.filter(lambda x, y: True)
    learner = ktlite.get_learner(small_model(), data)
    assert len(learner.lr_find(lr_mult=1.5, max_lr=1e-3, verbose=0).lrs) == 23
    with pytest.raises(ArgumentError, match="lr_find: .*how many batches"):
        learner.lr_find(max_epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"start_lr": 0, "max_lr": -1, "lr_mult": 1, "stop_factor": 0.5, "max_epochs": 0},
            ["start_lr=0", "max_lr=-1", "lr_mult=1", "stop_factor=0.5", "max_epochs=0"],
        ),
        ({"start_lr": 1.0, "max_lr": 0.1}, ["max_lr=0.1; expected > 1.0"]),
        ({"class_weight": {9: 1.0}}, ["9 is no class"]),
        ({"lr_multi": 1.1}, ["'lr_multi'. Did you mean 'lr_mult'?"]),
    ],
)
def test_every_impossible_argument_is_named(
    small_learner: Make, arguments: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ArgumentError) as error:
        small_learner().lr_find(**arguments)
    assert [word for word in words if word not in str(error.value)] == []
