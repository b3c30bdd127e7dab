"""`checked` names the nearest argument and changes nothing else about a function."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import ktlite
from ktlite._arguments import checked
from ktlite.errors import ArgumentError


@checked
def fit(lr: float, epochs: int = 1, *, seed: int = 42) -> tuple[float, int, int]:
    """Trains."""
    return lr, epochs, seed


class Learner:
    @checked
    def fit(self, lr: float) -> float:
        return lr


def test_call_with_known_arguments_goes_through() -> None:
    assert fit(0.1, epochs=3, seed=7) == (0.1, 3, 7)
    assert Learner().fit(lr=0.1) == 0.1


def test_unknown_keywords_are_all_named_with_the_nearest_known_ones() -> None:
    with pytest.raises(ArgumentError) as caught:
        fit(0.1, epoch=2, sead=1)  # type: ignore[call-arg]
    assert "fit: 2 problems" in str(caught.value)
    assert "unknown argument 'epoch'. Did you mean 'epochs'?" in str(caught.value)
    assert "unknown argument 'sead'. Did you mean 'seed'?" in str(caught.value)


def test_self_is_no_argument_to_suggest() -> None:
    with pytest.raises(ArgumentError, match=r"fit: unknown argument 'sel'\.$"):
        Learner().fit(0.1, sel=1)  # type: ignore[call-arg]


def test_missing_argument_stays_pythons_own_error() -> None:
    with pytest.raises(TypeError, match="lr"):
        fit()  # type: ignore[call-arg]


@checked
def search(query: str, limit: int, *, lr: float, **options: int) -> int:
    """Searches.

    Args:
        query: What to look for: words that
            are in the text.
        limit: How many to give. Not more.
        lr: As in `fit`.
    """
    return limit


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: search("a", lr=1), ["search: limit is not given: how many to give."]),
        (lambda: search("a", 1), ["search: lr is not given, such as lr=5e-5."]),
        (
            lambda: search(),
            ["3 problems", "query is not given: what to look for.", "limit is not given", "lr is"],
        ),
        (
            lambda: search("a", 1, 2),
            ["3 arguments without a name", "at most 2 of these (query, limit)", "such as lr=..."],
        ),
        (lambda: search("a", 1, limit=2, lr=1), ["search: limit is given twice."]),
        (lambda: Learner().fit(), ["fit: lr is not given, such as lr=5e-5."]),
    ],
)
def test_calls_that_do_not_fit_say_what_is_missing(call: Any, expected: list[str]) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert isinstance(caught.value, TypeError)
    for part in expected:
        assert part in str(caught.value)


def test_other_keywords_go_through_where_they_are_taken() -> None:
    assert search("a", 2, lr=1.0, other=3) == 2


def test_signature_and_docstring_are_kept() -> None:
    assert list(inspect.signature(fit).parameters) == ["lr", "epochs", "seed"]
    assert (fit.__name__, fit.__doc__) == ("fit", "Trains.")


# What ktlite's own parts call, or Keras.
NOT_FOR_USERS = {
    "Learner": {"checked_mode"},
    "LivePlot": {"__init__", "on_epoch_end", "on_train_batch_end", "on_train_begin"},
    "Predictor": {"check", "fresh_logits", "logits_of", "outputs", "write"},
}


def public_calls() -> list[Any]:
    """What users call: functions, classes, and the methods of these."""
    found = []
    for name in sorted(ktlite.__all__):
        thing = getattr(ktlite, name)
        if inspect.isfunction(thing):
            found.append(pytest.param(thing, False, id=name))
        elif inspect.isclass(thing) and not issubclass(thing, BaseException):
            for method, function in inspect.getmembers(thing, inspect.isfunction):
                shown = method == "__init__" or not method.startswith("_")
                ours = function.__module__.startswith("ktlite")
                takes = len(inspect.signature(function).parameters) > 1
                if shown and ours and takes and method not in NOT_FOR_USERS.get(name, ()):
                    found.append(pytest.param(function, True, id=f"{name}.{method}"))
    return found


@pytest.mark.parametrize(("function", "is_method"), public_calls())
def test_calls_of_users_say_what_is_wrong_with_their_arguments(
    function: Any, is_method: bool
) -> None:
    """Not one of them begins its work: the object here is none."""
    owner = [object()] if is_method else []
    takes_all = any(
        p.kind == p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()
    )
    wrong = [1] * 40 if takes_all else []
    keywords = {} if takes_all else {"no_such_argument": 1}
    with pytest.raises(ArgumentError) as caught:
        function(*owner, *wrong, **keywords)
    expected = "arguments without a name" if takes_all else "unknown argument 'no_such_argument'"
    assert expected in str(caught.value)


def test_a_comparison_with_nothing_says_what_is_missing() -> None:
    with pytest.raises(ArgumentError, match=r"^compare: run2 is not given"):
        ktlite.compare("a")  # type: ignore[call-arg]


def test_a_class_is_named_as_the_caller_wrote_it() -> None:
    with pytest.raises(ArgumentError, match=r"^Predictor: .*preproc is not given"):
        ktlite.Predictor(None)  # type: ignore[call-arg]
