import numpy as np
import pytest

from ktlite.errors import ArgumentError
from ktlite.training.schedules import Constant, CosineRestarts, OneCycle, Triangular


def rates(schedule, steps):
    return [schedule.at(step)[0] for step in range(steps)]


def momenta(schedule, steps):
    return [schedule.at(step)[1] for step in range(steps)]


def test_constant_never_changes_and_leaves_momentum_alone():
    assert {Constant(3e-5).at(step) for step in (0, 1, 10_000)} == {(3e-5, None)}


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 99, 100, 531])
@pytest.mark.parametrize("lr", [5e-5, 0.1, 1 / 3, 2e-5])
def test_one_cycle_peaks_at_exactly_the_rate(lr, steps):
    found = rates(OneCycle(lr, steps), steps)
    assert max(found) == lr
    assert found.count(lr) == 1


@pytest.mark.parametrize("steps", [3, 4, 5, 99, 100])
def test_one_cycle_rises_from_a_tenth_and_falls_to_a_thousandth(steps):
    found = rates(OneCycle(0.5, steps), steps)
    peak = int(np.argmax(found))
    assert found[0] == 0.05
    assert found[-1] == 0.0005
    assert peak == (steps - 1) // 2
    np.testing.assert_allclose(found[: peak + 1], np.linspace(0.05, 0.5, peak + 1))
    np.testing.assert_allclose(found[peak:], np.linspace(0.5, 0.0005, steps - peak))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, [0.85]),
        (2, [0.85, 0.95]),
        (3, [0.95, 0.85, 0.95]),
        (5, [0.95, 0.90, 0.85, 0.90, 0.95]),
    ],
)
def test_one_cycle_momentum_mirrors_the_rate(steps, expected):
    np.testing.assert_allclose(momenta(OneCycle(0.1, steps), steps), expected)


def test_one_cycle_without_momentum_leaves_it_alone():
    assert momenta(OneCycle(0.1, 5, momentum=None), 5) == [None] * 5


def test_one_cycle_holds_its_last_values_when_there_are_more_batches_than_counted():
    schedule = OneCycle(0.1, 10)
    assert schedule.at(9) == schedule.at(10) == schedule.at(500) == (0.0001, 0.95)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 100])
def test_triangular_repeats_and_peaks_at_exactly_the_rate_in_each_cycle(steps):
    schedule = Triangular(0.3, steps)
    found = rates(schedule, 3 * steps)
    assert found[:steps] == found[steps : 2 * steps] == found[2 * steps :]
    assert max(found) == 0.3
    assert found.count(0.3) == 3


def test_triangular_is_smiths_triangle():
    found = rates(Triangular(1.0, 4), 9)
    np.testing.assert_allclose(found, [0.1, 0.55, 1.0, 0.55, 0.1, 0.55, 1.0, 0.55, 0.1])
    found = momenta(Triangular(1.0, 4, (0.9, 0.5)), 5)
    np.testing.assert_allclose(found, [0.9, 0.7, 0.5, 0.7, 0.9])


def test_cosine_restarts_follow_the_formula_of_sgdr():
    schedule = CosineRestarts(0.2, steps_per_cycle=4, cycle_mult=2, lr_decay=0.5)
    first = 0.2 * 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4))
    second = 0.1 * 0.5 * (1 + np.cos(np.pi * np.arange(8) / 8))
    third = 0.05 * 0.5 * (1 + np.cos(np.pi * np.arange(16) / 16))
    np.testing.assert_allclose(rates(schedule, 28), np.concatenate([first, second, third]))
    assert schedule.at(0) == (0.2, None)
    assert schedule.at(4)[0] == 0.1


def test_cosine_restarts_with_equal_cycles_start_each_at_the_rate():
    found = rates(CosineRestarts(5e-5, 10), 30)
    assert [found[i] for i in (0, 10, 20)] == [5e-5] * 3
    assert min(found) > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Constant(0), ["lr=0"]),
        (lambda: Constant(float("nan")), ["lr=nan"]),
        (lambda: OneCycle(-1, 0, (1.0, 0.5)), ["max_lr=-1", "steps=0", "momentum=(1.0, 0.5)"]),
        (lambda: OneCycle(0.1, 2.5), ["steps=2.5", "whole number"]),
        (lambda: Triangular(0.1, 10, (0.9,)), ["momentum=(0.9,)"]),
        (lambda: CosineRestarts(0.1, 10, 0.5, 2), ["cycle_mult=0.5", "lr_decay=2"]),
    ],
)
def test_every_bad_argument_is_named_at_once(make, words):
    with pytest.raises(ArgumentError) as error:
        make()
    for word in words:
        assert word in str(error.value)
