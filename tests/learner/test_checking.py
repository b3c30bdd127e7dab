"""Checks of data: each kind of mistake is found, and sound data is left alone."""

from __future__ import annotations

import logging
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite.checks import Checks, Finding, check_first_loss

WORDS = list("abcdefghijk")  # a token each


def sentences(count: int, seed: int = 0, length: int = 12) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=length)) for _ in range(count)]


@pytest.fixture(scope="module")
def learner_of(still_checkpoint: Path) -> Callable[..., Any]:
    def make(train: Any, val: Any, **options: Any) -> Any:
        options = {"maxlen": 24, "verbose": 0, **options}
        return ktlite.get_learner(still_checkpoint, train, val, **options)

    return make


def looked_at(checks: Checks) -> dict[str, str]:
    return {f.check: f"{f.found} -> {f.advice}" for f in checks.problems}


def sound(count: int = 60, seed: int = 0) -> tuple[list[str], list[str]]:
    return sentences(count, seed), ["pos", "neg"] * (count // 2)


def test_sound_data_is_left_alone(learner_of: Callable[..., Any]) -> None:
    checks = learner_of(sound(), sound(20, 1), check=True).check()
    assert checks.ok, checks
    names = [f.check for f in checks]
    found = {f.check: f.found for f in checks}
    assert found["classes in train_data"] == "2 classes of 30 examples each"
    assert "loss at the start" in names
    assert "unknown tokens" in names
    assert names.count("in both splits") == 1


@pytest.mark.parametrize(
    ("train", "val", "check", "said"),
    [
        (
            (["a film"] * 3 + sentences(57), ["pos", "neg"] * 30),
            sound(20, 1),
            "repeated in train_data",
            "2 of 60 texts (3.3%), such as rows 1, 2",
        ),
        (
            sound(),
            (sentences(2) + sentences(18, 1), ["pos", "neg"] * 10),
            "in both splits",
            "2 of 20 texts of val_data (10.0%) are in train_data too, such as rows 0, 1",
        ),
        (
            (["a film", "a film", *sentences(58)], ["pos", "neg"] * 30),
            sound(20, 1),
            "labels of equal texts in train_data",
            "1 text with several labels, such as in rows 0, 1",
        ),
        (
            (sentences(60), ["pos"] * 56 + ["neg"] * 4),
            sound(20, 1),
            "classes in train_data",
            "neg has 4 examples, pos 56 -> accuracy says little",
        ),
        (
            sound(),
            (sentences(20, 1), ["pos"] * 20),
            "classes in val_data",
            "1 of 2 are not there: neg",
        ),
        (
            (["\u200b" * 3, *sentences(59)], ["pos", "neg"] * 30),
            sound(20, 1),
            "empty texts",
            "1 text of train_data without a word",
        ),
        (
            (["ⴰⴱⴳ " * 5 + t for t in sentences(60)], ["pos", "neg"] * 30),
            sound(20, 1),
            "unknown tokens",
            "take a checkpoint of the texts' language",
        ),
    ],
)
def test_a_mistake_is_found_with_what_to_do(
    learner_of: Callable[..., Any], train: Any, val: Any, check: str, said: str
) -> None:
    found = looked_at(learner_of(train, val).check())
    assert said in found[check]


def test_texts_that_lie_on_disk_are_checked_as_those_in_memory(
    still_checkpoint: Path, tmp_path: Path
) -> None:
    texts, labels = sound()
    frame = pd.DataFrame({"text": [*texts, *("\u200b",) * 20], "label": [*labels, *labels[:20]]})
    found = []
    for folder in (None, tmp_path):
        learner = ktlite.get_learner(
            still_checkpoint, frame, text_column="text", label_columns="label", maxlen=24,
            cache_folder=folder, verbose=0,
        )  # fmt: skip
        found.append({f.check: f.found for f in learner.check()})
    assert found[0] == found[1]
    assert "without a word" in found[0]["empty texts"]


def test_all_texts_equal_points_to_the_column(learner_of: Callable[..., Any]) -> None:
    found = looked_at(learner_of((["same"] * 20, ["pos", "neg"] * 10), sound(20, 1)).check())
    assert "which column" in found["repeated in train_data"]


def test_a_better_maxlen_is_measured(learner_of: Callable[..., Any]) -> None:
    texts = sentences(50, length=10) + sentences(50, 2, length=30)
    learner = learner_of((texts, ["pos", "neg"] * 50), sound(20, 1), maxlen=16)
    whole = learner.preproc.tokenizer.uncut().encode(texts).lengths
    said = looked_at(learner.check())["cut at maxlen"]
    assert f"{(whole > 16).mean():.1%} of the texts" in said
    limit = int(said.split("maxlen=")[1].split()[0])
    assert (whole <= limit).mean() >= 0.99
    assert limit % 8 == 0
    assert limit - np.quantile(whole, 0.99) < 8


@pytest.mark.parametrize("pairs", [False, True])
def test_windows_are_advised_where_texts_have_them(
    learner_of: Callable[..., Any], pairs: bool
) -> None:
    texts: Any = sentences(20, length=60)
    train = ([(text, text) for text in texts] if pairs else texts, ["pos", "neg"] * 10)
    learner = learner_of(train, None, maxlen=40)
    said = looked_at(learner.check())["cut at maxlen"]
    assert "is the most that this model reads" in said
    assert ("window=" in said) is not pairs


def test_texts_read_in_windows_are_not_cut(learner_of: Callable[..., Any]) -> None:
    texts = sentences(20, length=60)
    learner = learner_of((texts, ["pos", "neg"] * 10), sound(20, 1), window=16)
    assert "cut at maxlen" not in [f.check for f in learner.check()]


def test_first_fit_logs_what_is_wrong_once(
    learner_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ktlite")
    train = (["a film"] * 8 + sentences(32), ["pos", "neg"] * 20)
    for check, expected in ((True, 1), (False, 0)):
        learner = learner_of(train, sound(20, 1), check=check)
        caplog.clear()
        for _ in range(2):
            learner.fit(1e-5, 1, steps_per_epoch=1, verbose=0)
        said = [m for m in caplog.messages if "repeated in train_data" in m]
        assert len(said) == expected
        assert all("in both splits" not in message for message in said)


def test_arrays_are_checked_too(small_learner: Callable[..., Any], arrays: Any) -> None:
    assert small_learner().check().ok
    x = arrays.x.copy()
    x[3, 1] = np.nan
    learner = ktlite.get_learner(small_learner().model, (x, arrays.y), (arrays.x, arrays.y))
    found = looked_at(learner.check())
    assert "1 row with NaN or infinity, such as row 3" in found["NaN in train_data"]
    assert "21 of 22 rows of val_data" in found["in both splits"]


@pytest.mark.parametrize(
    ("task", "train", "val", "expected"),
    [
        ("regression", (sentences(40), np.linspace(0, 1, 40)), (sentences(9, 1), np.ones(9)), 5),
        (
            "multilabel",
            (sentences(40), np.eye(2, dtype=int).repeat(20, 0)),
            (sentences(8, 1), np.eye(2, dtype=int).repeat(4, 0)),
            8,
        ),
        (
            "token-classification",
            ([s.split() for s in sentences(40)], [["O", "B-PER"] * 6] * 40),
            ([s.split() for s in sentences(9, 1)], [["O", "B-PER"] * 6] * 9),
            6,
        ),
        (
            "sentence-similarity",
            list(zip(sentences(40), sentences(40, 1), strict=True)),
            list(zip(sentences(9, 2), sentences(9, 3), strict=True)),
            5,
        ),
    ],
)
def test_every_task_is_checked(
    learner_of: Callable[..., Any], task: str, train: Any, val: Any, expected: int
) -> None:
    checks = learner_of(train, val, task=task).check()
    assert checks.ok, checks
    assert len(checks) >= expected


@pytest.mark.parametrize(
    ("loss", "said"),
    [(0.7, None), (0.1, None), (3.0, "sure of wrong answers"), (float("nan"), "no numbers")],
)
def test_first_loss_beside_guessing(loss: float, said: str | None) -> None:
    finding = check_first_loss(loss, np.log(2))
    assert finding.ok == (said is None)
    assert said is None or said in finding.advice


def test_a_model_that_gives_probabilities_to_a_loss_of_logits_is_not_taken_for_sound(
    small_learner: Callable[..., Any],
) -> None:
    learner = small_learner()
    learner.model.layers[-1].bias.assign([9.0, 0.0, 0.0])
    assert "loss at the start" in looked_at(learner.check())


def test_checks_show_themselves(learner_of: Callable[..., Any]) -> None:
    checks = Checks([Finding("one", "<b>fine</b>"), Finding("two", "bad", "mend it.")])
    assert "checks: 1 of 2 to look at" in repr(checks)
    assert "-> mend it." in repr(checks)
    assert "&lt;b&gt;fine" in checks._repr_html_()
    frame = checks.to_frame()
    assert frame["ok"].tolist() == [True, False]
    assert list(frame) == ["check", "ok", "found", "advice"]


def test_checks_before_training_take_a_few_calls_a_text(
    learner_of: Callable[..., Any],
) -> None:
    def calls(count: int) -> int:
        learner = learner_of((sentences(count), ["pos", "neg"] * (count // 2)), sound(20, 1))
        counted: Counter[str] = Counter()
        sys.setprofile(lambda frame, event, argument: counted.update([event]))
        try:
            learner._check_once()
        finally:
            sys.setprofile(None)
        return counted["call"] + counted["c_call"]

    # Of so many more texts; what does not depend on their number drops out.
    assert calls(1_400) - calls(400) < 10 * 1_000
