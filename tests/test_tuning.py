"""The search for good parameters."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ktlite
from ktlite.errors import ArgumentError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.learner import Learner
from ktlite.tuning import Watch

pytestmark = pytest.mark.usefixtures("eagerly")

optuna = pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    rng = random.Random(0)
    labels = ["pos", "neg"] * 24
    texts = [" ".join(rng.choices("abc" if y == "pos" else "xyz", k=4)) for y in labels]
    return (texts[:32], labels[:32]), (texts[32:], labels[32:])


def search(checkpoint: Any, data: Any, **options: Any) -> Any:
    options = {"trials": 2, "epochs": 1, "batch_size": 8, "maxlen": 16, "verbose": 0, **options}
    return ktlite.tune(checkpoint, *data, **options)


def test_the_better_rate_is_found_and_trained_again(tiny_checkpoint: Path, data: Any) -> None:
    found = search(tiny_checkpoint, data, lr=[1e-9, 5e-3], trials=4, epochs=2)
    assert found.best["lr"] == 5e-3
    assert found.best["epochs"] == 2
    learner = found.best_learner(verbose=0)
    assert learner.history.history["val_loss"][-1] == pytest.approx(found.value, rel=1e-5)
    assert learner.card.arguments["lr"] == 5e-3
    assert learner.card.arguments["checkpoint"] == tiny_checkpoint.name  # no path
    assert list(found.trials["number"]) == [0, 1, 2, 3]
    done = found.trials[found.trials["state"] == "complete"]
    assert found.value == done["value"].min()
    assert "best val_loss" in repr(found)
    assert found.plot(return_fig=True).axes[0].get_ylabel() == "val_loss"


def test_ranges_and_choices(tiny_checkpoint: Path, data: Any) -> None:
    found = search(
        [tiny_checkpoint, str(tiny_checkpoint)],
        data,
        lr=(1e-4, 1e-3),
        epochs=(1, 2),
        batch_size=[4, 8],
        weight_decay=(0.0, 0.1),
        frozen=(0, 1),
        trials=2,
        monitor="val_accuracy",
    )
    assert found.study.direction.name == "MAXIMIZE"
    for _, row in found.trials.iterrows():
        assert 1e-4 <= row["lr"] <= 1e-3
        assert row["epochs"] in (1, 2)
        assert row["batch_size"] in (4, 8)
        assert 0 <= row["weight_decay"] <= 0.1
        assert row["frozen"] in (0, 1)


def test_parameters_reach_the_learner(tiny_checkpoint: Path, data: Any) -> None:
    found = search(tiny_checkpoint, data, trials=1, weight_decay=0.07, frozen=2, lr=1e-3)
    learner = found.runs.learner(found.best)
    assert learner.get_weight_decay() == pytest.approx(0.07)
    assert learner.batch_size == 8
    frozen = [w for w in learner.model.weights if not w.trainable]
    assert any("embedding" in w.path for w in frozen)


def test_texts_are_tokenised_once(
    tiny_checkpoint: Path, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    encode = Tokenizer.encode

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        return encode(self, *args, **options)

    monkeypatch.setattr(Tokenizer, "encode", counted)
    search(tiny_checkpoint, data, lr=(1e-4, 1e-3))
    assert len(calls) == 2  # training and validation data


def test_a_search_goes_on_from_its_study(tiny_checkpoint: Path, data: Any, tmp_path: Path) -> None:
    study = tmp_path / "study.db"
    first = search(tiny_checkpoint, data, lr=(1e-5, 1e-2), trials=2, study=study)
    both = search(tiny_checkpoint, data, lr=(1e-5, 1e-2), trials=3, study=study)
    assert list(both.trials["lr"][:2]) == list(first.trials["lr"])
    assert len(both.trials) == 3
    assert both.trials["lr"].nunique() == 3  # not the same proposals again
    again = search(tiny_checkpoint, data, lr=(1e-5, 1e-2), trials=3, study=study)
    assert len(again.trials) == 3
    assert again.best == both.best
    with pytest.raises(ArgumentError, match="of another search"):
        search(tiny_checkpoint, data, lr=(1e-5, 1e-3), trials=3, study=study)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"maxlen": 12}, "maxlen was 16 and is 12"),
        ({"seed": 1}, "seed was 42 and is 1"),
        ({"class_weight": "balanced"}, "class_weight was None and is balanced"),
        ({"loss": "focal"}, "loss was None and is focal"),
        ({}, "train_data was .* and is"),
    ],
)
def test_a_study_is_of_the_same_data_and_arguments(
    tiny_checkpoint: Path, data: Any, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    study = tmp_path / "study.db"
    space = {"lr": 1e-3, "trials": 1, "study": study}
    search(tiny_checkpoint, data, **space)
    (texts, labels), val = data
    other = data if changed else ((["c", *texts[1:]], labels), val)
    with pytest.raises(ArgumentError, match=f"of another search: {said}"):
        search(tiny_checkpoint, other, **space, **changed)


def test_class_weights_reach_all_trainings(
    tiny_checkpoint: Path, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    fit = Learner.fit_onecycle

    def noted(self: Learner, *args: Any, **options: Any) -> Any:
        given.append(options["class_weight"])
        return fit(self, *args, **options)

    monkeypatch.setattr(Learner, "fit_onecycle", noted)
    found = search(tiny_checkpoint, data, trials=1, lr=1e-3, class_weight={"pos": 2.0, "neg": 1.0})
    found.best_learner(verbose=0)
    assert given == [{"pos": 2.0, "neg": 1.0}] * 2


def test_what_a_killed_search_left_does_not_count(
    tiny_checkpoint: Path, data: Any, tmp_path: Path
) -> None:
    study = tmp_path / "study.db"
    found = search(tiny_checkpoint, data, lr=(1e-5, 1e-2), trials=1, study=study)
    found.study.ask()
    both = search(tiny_checkpoint, data, lr=(1e-5, 1e-2), trials=3, study=study)
    assert list(both.trials["state"]) == ["complete", "fail", "complete"]


def test_the_same_seed_proposes_the_same(tiny_checkpoint: Path, data: Any) -> None:
    rates = [
        list(search(tiny_checkpoint, data, lr=(1e-5, 1e-2), trials=1, seed=seed).trials["lr"])
        for seed in (1, 1, 2)
    ]
    assert rates[0] == rates[1] != rates[2]


class Trial:
    """Of a study that finds every trial hopeless."""

    def __init__(self) -> None:
        self.reported: list[tuple[float, int]] = []

    def report(self, value: float, step: int) -> None:
        self.reported.append((value, step))

    def should_prune(self) -> bool:
        return True


def test_hopeless_trials_are_stopped_but_not_at_their_end() -> None:
    trial = Trial()
    watch = Watch(trial, "val_loss", None)
    watch.set_params({"epochs": 2})
    watch.set_model(model := SimpleNamespace(stop_training=False))
    watch.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    assert watch.pruned and model.stop_training
    watch.on_epoch_end(1, {"loss": 1.0, "val_loss": 1.5})
    assert trial.reported == [(2.0, 0), (1.5, 1)]
    assert watch.value == 1.5


def test_time_ends_a_search(
    tiny_checkpoint: Path, data: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ArgumentError, match="no trial came to its end"):
        search(tiny_checkpoint, data, minutes=1e-6)
    caplog.set_level(logging.INFO, "ktlite")
    search(tiny_checkpoint, data, trials=1, verbose=1)
    assert any("trial 1 of 1: val_loss" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lr": (1e-3, 1e-5)}, "a range is a tuple"),
        ({"lr": (1e-3, 1e-2, 1e-1)}, "a range is a tuple"),
        ({"lr": -1.0}, "lr=-1.0"),
        ({"batch_size": []}, "batch_size is empty"),
        ({"epochs": [0]}, "epochs=0"),
        ({"trials": 0}, "trials=0"),
        ({"minutes": 0}, "minutes=0"),
        ({"minutes": 1, "strategy": "multiworker"}, "each worker has a clock of its own"),
        ({"maxlne": 3}, "Did you mean 'maxlen'"),
        ({"monitor": "val_glory"}, "is not measured"),
    ],
)
def test_wrong_arguments_are_named(
    tiny_checkpoint: Path, data: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ArgumentError, match=said):
        search(tiny_checkpoint, data, **options)


def test_optunas_own_logging_is_left_as_it_was(tiny_checkpoint: Path, data: Any) -> None:
    before = optuna.logging.get_verbosity()
    search(tiny_checkpoint, data, trials=1)
    assert optuna.logging.get_verbosity() == before
