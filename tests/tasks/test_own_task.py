"""A task from outside of the package goes through the whole workflow: that of docs/own-task.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, DataError, PredictorError
from ktlite.tasks import TASKS, Regression, Task, register

PAGE = Path(__file__).parents[2] / "docs" / "own-task.md"
TEXTS, STARS = ["good film", "bad film", "the film"] * 30, [5, 1, 3] * 30


@pytest.fixture
def ordinal() -> Iterator[type[Task]]:
    """Runs the page's first block of code."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code, names)
    yield names["Ordinal"]
    TASKS.pop("ordinal", None)


def test_own_task(ordinal: type[Task], tiny_checkpoint: Path, tmp_path: Path) -> None:
    learner = ktlite.get_learner(
        tiny_checkpoint, (TEXTS, STARS), task="ordinal", maxlen=12, batch_size=8, verbose=0
    )
    learner.fit_onecycle(2e-2, 12, verbose=0)
    assert learner.validate(print_report=False)["levels_off"] < 0.2
    assert len(learner.top_losses(3)) == 3
    predictor = learner.get_predictor()
    assert predictor.predict(TEXTS[:3]) == [5, 1, 3]
    assert predictor.predict_proba("bad film").shape == (2,)
    predictor.save(tmp_path / "stars")
    assert ktlite.load_predictor(tmp_path / "stars").predict("good film") == 5
    del TASKS["ordinal"]
    with pytest.raises(PredictorError, match=r"task 'ordinal', .* ktlite\.tasks\.register"):
        ktlite.load_predictor(tmp_path / "stars")


def test_own_task_is_short(ordinal: type[Task]) -> None:
    code = PAGE.read_text(encoding="utf-8").split("```")[1]
    assert len([line for line in code.splitlines() if line.strip()]) < 60


def test_its_loss_is_the_mean_of_its_examples(ordinal: type[Task]) -> None:
    task = ordinal.from_labels(STARS)
    assert task is not None
    logits = np.random.default_rng(0).normal(size=(90, 2)).astype("float32")
    targets = task.encode(STARS)
    found = np.mean(task.loss()(targets, logits))
    assert task.example_losses(logits, targets).mean() == pytest.approx(found, abs=1e-5)


def test_its_errors_name_the_data(ordinal: type[Task], tiny_checkpoint: Path) -> None:
    with pytest.raises(DataError, match=r"val_data: 4 is not among the levels \[1, 3, 5\]"):
        ktlite.get_learner(
            tiny_checkpoint, (TEXTS, STARS), (["a film"], [4]), task="ordinal", maxlen=12, verbose=0
        )


def test_a_name_stands_for_one_task(ordinal: type[Task]) -> None:
    assert register(ordinal) is ordinal

    class Other(Regression):
        name = "ordinal"

    with pytest.raises(ArgumentError, match="there is a task 'ordinal' already: Ordinal"):
        register(Other)
