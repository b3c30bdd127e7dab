"""A kind of input and a family that ktlite does not have, through all that a learner does.

Each is one file, in `made_up/`. If this test needs an `if` somewhere else, the mechanism is at
fault.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, DataError
from ktlite.models import from_config
from tests.made_up import counter
from tests.made_up.counts import Counts


def rows(count: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Returns arrays of counts, and whether they are many or few."""
    random = np.random.default_rng(seed)
    names = ["few", "many"] * (count // 2)
    lengths = random.integers(3, 18, count)
    return [
        random.poisson(3 if name == "few" else 30, length)
        for name, length in zip(names, lengths, strict=True)
    ], names


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-up") / "counter"
    from_config(counter.CONFIG, counter.TASK, num_labels=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def learner(checkpoint: Path) -> Any:
    made = ktlite.get_learner(
        checkpoint, rows(64, 0), rows(24, 1), batch_size=8, verbose=0, check=False
    )
    made.fit_onecycle(5e-3, 6, verbose=0)
    return made


def test_learns(learner: Any) -> None:
    assert learner.train_data.encodings.lengths.max() > learner.train_data.encodings.lengths.min()
    assert learner.metrics()["accuracy"] == 1.0
    assert str(learner.train_data).startswith("Dataset: 64 signals, 3 to 17 counts, ")


def test_finds_a_rate(learner: Any) -> None:
    found = learner.lr_find(max_epochs=1, verbose=0)
    assert found is not None


def test_predicts_one_and_many(learner: Any) -> None:
    predictor = learner.get_predictor()
    few, many = np.array([1, 2, 3, 2]), np.full(9, 40)
    assert predictor.predict(few) == "few"
    assert predictor.predict([few, many]) == ["few", "many"]
    assert predictor.predict_proba(many).shape == (2,)
    assert predictor.embed([few, many]).shape == (2, 16)
    with pytest.raises(DataError, match="expected an array of whole numbers"):
        predictor.predict(["text"])


def test_answers_do_not_depend_on_the_batch(learner: Any) -> None:
    predictor, items = learner.get_predictor(), rows(10, 3)[0]
    alone = np.concatenate([predictor.logits([item]) for item in items])
    np.testing.assert_allclose(predictor.logits(items), alone, atol=1e-5)


def test_saved_and_loaded(learner: Any, tmp_path: Path) -> None:
    predictor, items = learner.get_predictor(), rows(8, 4)[0]
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved", cache=4)
    assert isinstance(loaded.preproc.input, Counts)
    for _ in range(2):
        np.testing.assert_allclose(loaded.logits(items), predictor.logits(items), atol=1e-6)


@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert"])
def test_exported(learner: Any, format: str, tmp_path: Path) -> None:
    predictor, items = learner.get_predictor(), rows(6, 5)[0]
    predictor.export(tmp_path / "export", format)
    runtime = {"saved_model": {"runtime": "saved_model"}}.get(format, {})
    loaded = ktlite.load_predictor(tmp_path / "export", **runtime)
    np.testing.assert_allclose(loaded.logits(items), predictor.logits(items), atol=1e-4)


def test_reported(learner: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        learner.view_top_losses(2)
    text = (tmp_path / "report.html").as_posix()
    learner.report(text)  # of what has no known parts without explanations
    shown = " ".join(map(str, learner.val_data.items[learner.top_losses(1)[0][0]]))
    assert shown in Path(text).read_text(encoding="utf-8")


def test_not_explained(learner: Any) -> None:
    with pytest.raises(ArgumentError, match="signals have no parts that are known"):
        learner.get_predictor().explain(np.array([1, 2]))
    with pytest.raises(ArgumentError, match="signals have no parts that are known"):
        learner.view_top_losses(1, explain=True)


def test_checked(checkpoint: Path) -> None:
    items, names = rows(20, 6)
    learner = ktlite.get_learner(
        checkpoint, ([*items, items[0]], [*names, names[0]]), rows(8, 7), verbose=0
    )
    found = {finding.check: finding for finding in learner.check()}
    assert found["repeated in train_data"].found.startswith("1 of 21 ")
    assert "unknown tokens" not in found


def test_head_alone_on_kept_features(checkpoint: Path) -> None:
    def trained(keep: bool) -> np.ndarray:
        learner = ktlite.get_learner(
            checkpoint, rows(32, 8), rows(8, 9), batch_size=8, verbose=0, check=False
        )
        learner.freeze(keep_features=keep)
        learner.fit(1e-2, 2, verbose=0)
        return learner.get_predictor().logits(rows(6, 10)[0])

    np.testing.assert_allclose(trained(True), trained(False), atol=1e-4)


def test_goes_on_where_it_stopped(checkpoint: Path, tmp_path: Path) -> None:
    def made() -> Any:
        return ktlite.get_learner(
            checkpoint, rows(32, 11), rows(8, 12), batch_size=8, verbose=0, check=False
        )

    whole, first, second = made(), made(), made()
    whole.fit(1e-3, 3, verbose=0)
    first.fit(1e-3, 1, checkpoint_folder=tmp_path / "run", verbose=0)
    with pytest.raises(ArgumentError):
        second.fit(1e-3, 3, checkpoint_folder=tmp_path / "run", resume=True, batch_tokens=3)  # type: ignore[call-arg]
    again = made()
    again.fit(1e-3, 1, checkpoint_folder=tmp_path / "run", resume=True, verbose=0)
    for mine, theirs in zip(again.model.weights, first.model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_batches_by_length(checkpoint: Path) -> None:
    learner = ktlite.get_learner(
        checkpoint, rows(32, 13), rows(8, 14), batch_size=16, batch_tokens=40, verbose=0
    )
    learner.fit(1e-3, 1, verbose=0)
    assert max(len(b) * learner.train_data.lengths[b].max() for b in learner._train.plan(0)) <= 40


def test_bad_rows_are_named(checkpoint: Path) -> None:
    items, names = rows(20, 15)
    items[7] = np.array([1, -1])
    with pytest.raises(DataError, match=r"1 with negative counts \(row 7\)"):
        ktlite.get_learner(checkpoint, (items, names), missing="error", verbose=0)
    learner = ktlite.get_learner(checkpoint, (items, names), rows(8, 16), verbose=0)
    assert len(learner.train_data) == 19


def test_what_is_of_texts_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="maxlen=64 goes with texts"):
        ktlite.get_learner(checkpoint, rows(8, 0), rows(8, 1), maxlen=64)
    with pytest.raises(ArgumentError, match="this model reads signals"):
        ktlite.get_learner(checkpoint, rows(8, 0), rows(8, 1), task="question-answering", verbose=0)


def test_data_of_another_kind_is_refused(learner: Any, tiny_checkpoint: Path) -> None:
    model = ktlite.load_model(tiny_checkpoint, task="text-classification", num_labels=2)
    with pytest.raises(ArgumentError, match=r"train_data: the model reads input_ids .*not give"):
        ktlite.get_learner(model, learner.train_data, learner.val_data)
