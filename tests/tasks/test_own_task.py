"""A task from outside of the package goes through the whole workflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, PredictorError
from ktlite.tasks import TASKS, Regression, Task, register


class Stars(Regression):
    """One to five stars: learned as numbers, predicted as whole ones."""

    name = "stars"

    @classmethod
    def from_labels(cls, labels: Any, class_names: Any = (), source: str = "labels") -> Task:
        return cls()

    def encode(self, labels: Any, source: str = "labels") -> np.ndarray:
        return super().encode([len(stars) for stars in labels], source)

    def decode(self, logits: np.ndarray) -> list[Any]:
        return ["*" * int(np.clip(np.rint(x), 1, 5)) for x in logits.reshape(-1)]


@pytest.fixture
def stars() -> Iterator[type[Task]]:
    yield register(Stars)
    TASKS.pop("stars", None)


def test_own_task(stars: type[Task], tiny_checkpoint: Path, tmp_path: Path) -> None:
    texts, labels = ["good film", "bad film"] * 40, ["****", "**"] * 40
    learner = ktlite.get_learner(
        tiny_checkpoint, (texts, labels), task="stars", maxlen=12, batch_size=8, verbose=0
    )
    learner.fit_onecycle(2e-2, 12, verbose=0)
    assert learner.metrics()["mae"] < 0.4
    predictor = learner.get_predictor()
    assert predictor.predict(["good film", "bad film"]) == ["****", "**"]
    predictor.save(tmp_path / "stars")
    assert ktlite.load_predictor(tmp_path / "stars").predict("good film") == "****"
    del TASKS["stars"]
    with pytest.raises(PredictorError, match=r"task 'stars', .* ktlite\.tasks\.register"):
        ktlite.load_predictor(tmp_path / "stars")


def test_a_name_stands_for_one_task(stars: type[Task]) -> None:
    assert register(Stars) is Stars

    class Other(Regression):
        name = "stars"

    with pytest.raises(ArgumentError, match="there is a task 'stars' already: Stars"):
        register(Other)
