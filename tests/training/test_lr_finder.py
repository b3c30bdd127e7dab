import gc
import logging
import math
import random
import re

import keras
import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.training.lr_curve import lag
from ktlite.training.lr_finder import LRFinderResult, LRSweep, find_lr, sweep_length
from ktlite.training.optimizers import AdamW

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
STEPS = 6  # batches of 4; the last one has 2 rows


def compiled(optimizer=None, dropout=0.0, loss="mse"):
    layers = [keras.Input((3,)), keras.layers.Dropout(dropout, seed=3)]
    layers.append(keras.layers.Dense(1, kernel_initializer="zeros"))
    model = keras.Sequential(layers)
    model.compile(optimizer or AdamW(), loss=loss, metrics=["mae"], jit_compile=False)
    return model


def fitter(model, extra=(), **kwargs):
    def fit(callbacks, epochs, verbose):
        kwargs.setdefault("shuffle", False)
        model.fit(
            X, Y, batch_size=4, epochs=epochs, verbose=verbose,
            callbacks=[*callbacks, *extra], **kwargs,
        )  # fmt: skip

    return fit


def sweep(model, extra=(), fit_arguments=None, **kwargs):
    kwargs = {"steps": STEPS, "lr_mult": 2.0, "verbose": 0, **kwargs}
    return find_lr(model, fitter(model, extra, **(fit_arguments or {})), **kwargs)


def sigmoid_curve(lr_mult, noise=0.0, count=None, start=1e-7, seed=0):
    """A loss that falls from 0.69 to 0.34 around 1e-4 and grows from 2e-3 on."""
    count = count or math.ceil(math.log(1e6) / math.log(lr_mult))
    lrs = start * lr_mult ** np.arange(count)
    decades = np.log10(lrs)
    losses = 0.69 - 0.35 / (1 + np.exp(-(decades + 4) * 5))
    losses += np.where(decades > -2.7, (decades + 2.7) ** 2 * 1.5, 0)
    return lrs, losses + np.random.default_rng(seed).normal(0, noise, count)


class After(keras.callbacks.Callback):
    def __init__(self, batch, error):
        super().__init__()
        self.left, self.error = batch, error

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise self.error


@pytest.fixture
def freed():
    """Frees an interrupted fit's iterator at once: the older it is, the longer tf.data waits."""
    yield
    gc.collect()


# ------------------------------------------------------------------------------ the sweep


def test_rates_grow_by_the_factor_up_to_the_largest():
    result = sweep(compiled(), start_lr=1e-6, max_lr=1e-3, stop_factor=1e9)
    np.testing.assert_allclose(result.lrs, 1e-6 * 2.0 ** np.arange(10))
    assert len(result.lrs) == sweep_length(1e-6, 2.0, 1e-3) == 10


@pytest.mark.parametrize(("lr_mult", "expected"), [(1.01, 1852), (10, 9), (1e8 ** (1 / 100), 101)])
def test_number_of_batches(lr_mult, expected):
    assert sweep_length(1e-7, lr_mult, 10.0) == expected


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_each_batch_alone(weighted):
    weights = np.linspace(0.1, 3, 22, dtype="float32") if weighted else None
    model = compiled(keras.optimizers.SGD())
    # With rates that small the weights stay as they are, bit by bit.
    result = sweep(model, start_lr=1e-30, max_lr=1e-27, fit_arguments={"sample_weight": weights})
    kernel, bias = model.get_weights()
    squares = ((X @ kernel + bias - Y) ** 2)[:, 0] * (1 if weights is None else weights)
    of_batches = [squares[i : i + 4].mean() for i in range(0, 22, 4)]
    np.testing.assert_allclose(result.losses, (of_batches * 2)[:10], rtol=1e-5)


def test_it_stops_where_the_smoothed_loss_diverges():
    result = sweep(compiled(keras.optimizers.SGD()), stop_factor=4)
    assert result.lrs[-1] < 5
    assert result.smoothed[-1] > 4 * result.smoothed.min()
    assert (result.smoothed[10:-1] <= 4 * np.minimum.accumulate(result.smoothed)[10:-1]).all()


def test_a_larger_stop_factor_goes_on_longer():
    short, long = (sweep(compiled(keras.optimizers.SGD()), stop_factor=f) for f in (2, 1e4))
    assert len(short.lrs) < len(long.lrs)


def test_it_stops_at_the_first_loss_that_is_not_finite_and_cuts_it_off():
    seen = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    model = compiled(keras.optimizers.SGD())
    result = sweep(model, [Count()], stop_factor=math.inf, max_lr=1e30)
    assert not np.isfinite(seen[-1])
    assert len(result.losses) == len(seen) - 1
    assert np.isfinite(result.losses).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_negative_losses_do_not_count_as_diverging():
    model = compiled(keras.optimizers.SGD(), loss=lambda y, p: (y - p) ** 2 - 100.0)
    result = sweep(model, max_lr=1e-4)
    assert len(result.lrs) == sweep_length(1e-7, 2.0, 1e-4)


def test_it_ends_with_the_data_when_there_are_fewer_batches_than_promised():
    assert len(sweep(compiled(), steps=100, max_lr=1.0).lrs) == STEPS


def test_the_number_of_steps_may_be_unknown():
    result = sweep(compiled(), steps=None, max_lr=1e-4)
    assert len(result.lrs) == sweep_length(1e-7, 2.0, 1e-4)


def test_progress_is_shown_unless_silenced(capfd):
    sweep(compiled(), max_lr=1e-5)
    assert capfd.readouterr() == ("", "")
    sweep(compiled(), max_lr=1e-5, verbose=1)
    assert re.search(r"lr_find.*7/7.*lr 6\.4e-06, loss \d", capfd.readouterr().err)


# --------------------------------------------------------------------- no trace is left


def state(model):
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return {v.path: np.asarray(v.numpy()).tobytes() for v in variables}


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: AdamW(0.02),
        lambda: keras.optimizers.SGD(0.02, momentum=0.9),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.02)),
    ],
)
def test_everything_is_exactly_as_before(optimizer):
    model = compiled(optimizer(), dropout=0.5)
    fitter(model)([], 2, 0)
    model.stop_training = "a mark"
    objects = (model.optimizer, model.history, model.loss, model.train_function)
    randoms = (random.getstate(), np.random.get_state()[1].tobytes())
    before, history = state(model), dict(model.history.history)
    sweep(model)
    assert state(model) == before
    assert (model.optimizer, model.history, model.loss, model.train_function) == objects
    assert model.history.history == history
    assert model.stop_training == "a mark"
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == randoms


def test_a_model_that_was_never_trained_has_no_history_afterwards():
    model = compiled()
    had = hasattr(model, "history")
    sweep(model)
    assert hasattr(model, "history") == had


def test_training_after_a_sweep_is_the_training_without_it():
    histories = []
    for with_sweep in (False, True):
        keras.utils.set_random_seed(1)
        model = compiled(dropout=0.3)
        if with_sweep:
            sweep(model, fit_arguments={"shuffle": True})
        histories.append(model.fit(X, Y, batch_size=4, epochs=2, verbose=0).history)
    assert histories[0] == histories[1]


def test_ctrl_c_ends_the_sweep_and_keeps_the_curve(caplog, freed):
    model = compiled()
    fitter(model)([], 1, 0)
    before, history = state(model), model.history
    with caplog.at_level(logging.INFO, logger="ktlite"):
        result = sweep(model, [After(15, KeyboardInterrupt())], stop_factor=math.inf)
    assert len(result.lrs) == len(result.losses) == 15
    assert state(model) == before
    assert model.history is history
    assert "interrupted after 15 steps" in caplog.text


def test_an_error_in_training_is_raised_and_leaves_no_trace(freed):
    model = compiled()
    before = state(model)
    with pytest.raises(OSError, match="disk"):
        sweep(model, [After(3, OSError("disk"))])
    assert before.items() <= state(model).items()


# ------------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"start_lr": 0}, ["start_lr=0"]),
        ({"start_lr": 1.0, "max_lr": 0.1, "lr_mult": 1}, ["max_lr=0.1", "lr_mult=1"]),
        ({"stop_factor": 1, "steps": 0}, ["stop_factor=1", "steps=0"]),
    ],
)
def test_every_bad_argument_is_named_at_once(arguments, words):
    with pytest.raises(ArgumentError) as error:
        sweep(compiled(), **arguments)
    for word in words:
        assert word in str(error.value)


def test_a_model_that_is_not_compiled_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(ArgumentError, match=r"not compiled.*model\.compile"):
        find_lr(model, fitter(model), steps=STEPS)


def test_an_optimizer_with_a_schedule_is_refused_before_training():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    with pytest.raises(ArgumentError, match="LearningRateSchedule"):
        find_lr(compiled(AdamW(schedule)), lambda *_: pytest.fail("trained"), steps=STEPS)


def test_a_training_step_without_loss_is_named():
    callback = LRSweep(1e-7, 1.1, 4, 10.0, 0)
    with pytest.raises(ArgumentError, match=r"only my_loss.*'loss'"):
        callback.on_train_batch_end(0, {"my_loss": 1.0})


# ------------------------------------------------------------------------- the suggestions


def debiased_average(losses, beta):
    """The definition: weights beta**age, normalised."""
    return np.array(
        [
            np.average(losses[: n + 1], weights=beta ** np.arange(n, -1, -1.0))
            for n in range(len(losses))
        ]
    )


@pytest.mark.parametrize(("lr_mult", "beta"), [(1.01, 0.98), (1.01**2, 0.98**2), (1.2, 0.6907)])
def test_smoothing_has_one_width_on_the_axis_of_log_lr(lr_mult, beta):
    lrs, losses = sigmoid_curve(lr_mult, noise=0.1, count=60)
    result = LRFinderResult(lrs, losses)
    np.testing.assert_allclose(result.smoothed, debiased_average(losses, beta), rtol=1e-4)


def fastai_valley(losses):
    """The definition of fastai's valley, by trying all pairs: the index in the middle."""
    lengths = [1] * len(losses)
    for i in range(len(losses)):
        for j in range(i):
            if losses[i] < losses[j]:
                lengths[i] = max(lengths[i], lengths[j] + 1)
    end = int(np.argmax(lengths))
    start = max(0, end - max(lengths))
    return start + (end - start) // 2


@pytest.mark.parametrize("seed", range(8))
def test_valley_is_fastais_of_the_fall_on_a_sweep_of_fastais_density(seed):
    lrs, losses = sigmoid_curve(1e8 ** (1 / 100), noise=0.03, seed=seed)
    result = LRFinderResult(lrs, losses)
    curve = list(result.smoothed[: result.smoothed.argmin() + 1])
    start = np.mean(curve[: len(curve) // 10])
    fall = start - curve[-1]
    half = next(i for i, v in enumerate(curve) if v <= start - fall / 2)
    begin = max(i for i, v in enumerate(curve[:half]) if v > start - 0.1 * fall) + 1
    assert result.valley == lrs[begin + fastai_valley(curve[begin:])]


@pytest.mark.parametrize("seed", range(8))
def test_noise_that_comes_with_learning_does_not_hide_the_fall(seed):
    # As on SST-2: level and quiet, then the loss falls by 0.1 and single batches scatter by 0.1.
    lrs = 1e-7 * (1e8 ** (1 / 200)) ** np.arange(110)
    learns = lrs > 1e-4
    scatter = np.where(learns, 0.1, 0.004)
    losses = 0.69 - 0.1 * learns + np.random.default_rng(seed).normal(0, 1, len(lrs)) * scatter
    assert 5e-5 < LRFinderResult(lrs, losses).valley < 1e-2


@pytest.mark.parametrize("seed", range(8))
def test_valley_ignores_how_long_the_curve_is_level_before_it_falls(seed):
    # A new head's loss on real data: level over three decades, falling over half of one.
    lrs = 1e-7 * (1e8 ** (1 / 200)) ** np.arange(120)
    fall = 1 / (1 + (lrs / 2e-4) ** 3)
    losses = 0.5 + 0.2 * fall + np.random.default_rng(seed).normal(0, 0.004, len(lrs))
    assert 8e-5 < LRFinderResult(lrs, losses).valley < 1e-3


@pytest.mark.parametrize("seed", range(12))
def test_valley_of_few_steps_is_not_where_a_level_curve_dips_by_chance(seed):
    # As on 600 film reviews: 40 steps, of which three show the fall, before the loss rises.
    lrs = np.geomspace(1e-7, 10, 40)
    losses = 0.69 - 0.06 * np.clip(np.log10(lrs / 3e-4), 0, 1)
    losses = np.where(lrs > 3.5e-3, 0.8, losses)
    losses += np.random.default_rng(seed).normal(0, 0.006, len(lrs))
    assert 3e-4 <= LRFinderResult(lrs, losses).valley < 3.5e-3


def test_steepest_is_where_the_loss_falls_fastest():
    # With so large a factor hardly anything is smoothed.
    lrs, losses = sigmoid_curve(2.0)
    assert 0.5e-4 < LRFinderResult(lrs, losses).steepest < 2e-4


def test_min_over_10_is_a_tenth_of_the_rate_of_the_lowest_loss():
    lrs, losses = sigmoid_curve(1.2)
    result = LRFinderResult(lrs, losses)
    assert result.min_over_10 == lrs[np.argmin(result.smoothed)] / 10


@pytest.mark.parametrize("name", ["valley", "min_over_10", "steepest"])
def test_suggestions_hardly_depend_on_density_and_noise(name):
    found = [
        getattr(LRFinderResult(*sigmoid_curve(lr_mult, noise=0.05, seed=seed)), name)
        for lr_mult in (1.01, 1.05, 1.2)
        for seed in range(4)
    ]
    assert max(found) / min(found) < 8
    assert all(3e-5 < rate < 7e-4 for rate in found)


def test_many_batches_take_no_time():
    lrs, losses = sigmoid_curve(1.0002, noise=0.05)
    assert len(lrs) > 60_000
    assert LRFinderResult(lrs, losses).valley is not None


@pytest.mark.parametrize("tail", [[math.nan], [math.inf, 1.0], [-math.inf, math.nan, 0.5]])
def test_a_tail_that_is_not_finite_is_cut(tail):
    lrs, losses = sigmoid_curve(1.2)
    losses = np.concatenate([losses[: -len(tail)], tail])
    result = LRFinderResult(lrs, losses)
    assert len(result.lrs) == len(result.losses) == len(result.smoothed) == len(lrs) - len(tail)
    assert result.valley is not None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lr_mult", [1.01, 1.2])
def test_noise_alone_suggests_nothing(lr_mult, seed):
    lrs, _ = sigmoid_curve(lr_mult)
    losses = 0.7 + np.random.default_rng(seed).normal(0, 0.1, len(lrs))
    result = LRFinderResult(lrs, losses)
    assert set(result.suggestions.values()) == {None}
    assert "never fell" in repr(result)


@pytest.mark.parametrize(
    "losses", [[], [0.5], [0.5] * 9, np.full(50, 0.5), np.linspace(1, 9, 50), [math.nan] * 20]
)
def test_a_curve_that_says_nothing_says_why(losses):
    result = LRFinderResult(1e-6 * 1.2 ** np.arange(len(losses)), losses)
    assert result.suggestions == {"valley": None, "min_over_10": None, "steepest": None}
    assert "no suggestions: " in repr(result)
    assert result.problem in repr(result)
    assert "No suggestions: " in result._repr_html_()


@pytest.mark.parametrize(
    ("valley", "min_over_10", "steepest", "words"),
    [
        (2e-4, 1e-4, 3e-4, ["the one to start with", "the cautious one", "the bold one"]),
        (2e-4, 3e-4, 1e-4, ["the one to start with", "the bold one", "the cautious one"]),
        (
            3e-4,
            2e-4,
            1e-4,
            ["the one to start with, also the most bold", "lowest loss", "the cautious one"],
        ),
        (
            1e-4,
            2e-4,
            3e-4,
            ["the one to start with, also the most cautious", "lowest loss", "the bold one"],
        ),
        (1e-4, 2e-4, 2e-4, ["the one to start with", "lowest loss", "falls fastest"]),
    ],
)
def test_what_a_suggestion_is_called_fits_their_order(valley, min_over_10, steepest, words):
    result = LRFinderResult(*sigmoid_curve(1.2))
    result.valley, result.min_over_10, result.steepest = valley, min_over_10, steepest
    for line, name, end in zip(repr(result).splitlines()[1:], result.meanings, words, strict=True):
        assert line.split()[0] == name
        assert line.endswith(end)
        assert result.meanings[name] in result._repr_html_()


@pytest.mark.parametrize("lr_mult", [1.3, 1.6, 2.1])
def test_a_sweep_of_few_steps_does_not_suggest_more_than_one_of_many(lr_mult):
    """The loss falls by how far the weights have come: the sum of the rates."""

    def found(lr_mult, lag):
        lrs = 1e-7 * lr_mult ** np.arange(int(np.log(1e7) / np.log(lr_mult)))
        return LRFinderResult(lrs, 1 / (1 + (np.cumsum(lrs) / 0.05) ** 2), lag)

    few, many = found(lr_mult, lag(lr_mult)), found(1.097, 1.0)
    assert few.steepest == pytest.approx(many.steepest, rel=0.3)
    assert found(lr_mult, 1.0).steepest > 2 * many.steepest
    assert f"{lag(lr_mult):.2g} times less" in repr(few)
    assert lag(1.01) == lag(1.09) == 1


def test_it_prints_its_suggestions_and_what_each_is_for():
    result = LRFinderResult(*sigmoid_curve(1.2))
    lines = repr(result).splitlines()
    assert lines[0] == "lr_find: 76 steps, learning rates 1.0e-07 to 8.7e-02"
    assert [line.split()[0] for line in lines[1:]] == ["valley", "min_over_10", "steepest"]
    for line, rate in zip(lines[1:], result.suggestions.values(), strict=True):
        assert f" {rate:.1e}  " in line
    page = result._repr_html_()
    assert page.count("<tr>") == 3
    assert f"<b>{result.valley:.1e}</b>" in page
