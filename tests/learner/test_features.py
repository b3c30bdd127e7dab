"""A frozen encoder: each text goes through it once, and the head learns the same."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite.errors import TrainingError
from ktlite.learner import Learner, features
from ktlite.learner.features import EncodedDataset

Texts = tuple[list[str], list[str]]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were encoded, each time that some were."""
    counts: list[int] = []
    encode = features._encoded

    def count(data: Any, *args: Any) -> Any:
        counts.append(len(data))
        return encode(data, *args)

    monkeypatch.setattr(features, "_encoded", count)
    return counts


def learner(checkpoint: Path, texts: Texts, **options: Any) -> Learner:
    options = {"maxlen": 24, "batch_size": 8, "val_pct": 0.3, "verbose": 0, **options}
    return ktlite.get_learner(checkpoint, texts, **options)


def head(learner: Learner) -> list[np.ndarray]:
    return [np.array(weight) for weight in learner.model.head.weights]


def same(one: list[np.ndarray], other: list[np.ndarray], atol: float = 1e-6) -> None:
    for found, expected in zip(one, other, strict=True):
        np.testing.assert_allclose(found, expected, atol=atol)


@pytest.mark.parametrize(
    ("name", "options", "atol"),
    [
        ("bert-gelu", {"sample_weight": np.linspace(0.5, 2, 40)}, 1e-6),
        ("modernbert-mean", {"batch_tokens": 64, "accumulate": 2}, 1e-6),
        ("distilbert", {"xla": True, "ema": 0.9}, 1e-6),
        ("electra", {"precision": "bfloat16"}, 1e-3),
        ("bert-relu", {"window": 8}, 1e-6),
    ],
)
def test_the_head_learns_what_it_does_from_the_texts(
    golden: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    texts: Texts,
    encoded: list[int],
    name: str,
    options: dict[str, Any],
    atol: float,
) -> None:
    for folder in (tiny_checkpoint, golden / name):
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    results = []
    for keep in (True, False):
        here = learner(tmp_path, texts, **options)
        here.freeze(keep_features=keep)
        below = [np.array(w) for w in (*here.model.embeddings.weights, *here.model.encoder.weights)]
        sweep = here.lr_find(start_lr=1e-4, max_lr=1e-1, lr_mult=3.0, verbose=0).losses
        history = here.fit_onecycle(0.05, 2, class_weight="balanced", verbose=0).history
        same([np.array(w) for w in (*here.model.embeddings.weights, *here.model.encoder.weights)],
             below, 0)  # fmt: skip
        results.append([*head(here), sweep, history["loss"], history["val_loss"], here.predict()])
    assert len(encoded) == 2  # training and validation data, for the sweep and the fit
    same(*results, atol=atol)


def test_the_vectors_are_made_anew_when_the_encoder_has_changed(
    tiny_checkpoint: Path, texts: Texts, encoded: list[int], tmp_path: Path
) -> None:
    here = learner(tiny_checkpoint, texts)
    here.save_model(tmp_path / "model")

    def fits() -> int:
        encoded.clear()
        here.fit(0.01, 1, verbose=0)
        return len(encoded)

    assert fits() == 0
    here.freeze()
    assert [fits(), fits()] == [2, 0]
    here.unfreeze()
    assert fits() == 0
    here.freeze()
    assert [fits(), fits()] == [2, 0]
    here.load_model(tmp_path / "model")
    assert [fits(), fits()] == [2, 0]
    here.freeze(keep_features=False)
    assert fits() == 0


def test_after_unfreezing_the_encoder_trains_on_the_texts(
    tiny_checkpoint: Path, texts: Texts
) -> None:
    results = []
    for keep in (True, False):
        here = learner(tiny_checkpoint, texts, xla=False)
        here.freeze(keep_features=keep)
        here.fit(0.01, 1, verbose=0)
        before = np.array(here.model.encoder.weights[0])
        here.unfreeze()
        here.fit(0.001, 1, verbose=0)
        assert (np.array(here.model.encoder.weights[0]) != before).any()
        results.append([here.predict()])
    same(*results, atol=1e-5)


@pytest.mark.parametrize("task", ["token-classification", "question-answering"])
def test_heads_that_look_at_every_token_learn_what_they_do_from_the_texts(
    tiny_checkpoint: Path, texts: Texts, encoded: list[int], task: str
) -> None:
    words = [text.split() for text in texts[0]]
    data: Any = words, [["B-X" if word in "abc" else "O" for word in row] for row in words]
    if task == "question-answering":
        data = [("a b ?", text) for text in texts[0]], [[(row[0], 0)] for row in words]
    results = []
    for keep in (True, False):
        here = learner(tiny_checkpoint, data, task=task, maxlen=20)
        here.freeze(keep_features=keep)
        history = here.fit_onecycle(0.05, 2, verbose=0).history
        # Biases of answers' starts and ends have no gradient but rounding: the softmax is over
        # the text, whose scores they move alike.
        kernels = [weight for weight in head(here) if weight.ndim > 1]
        results.append([*kernels, history["loss"], history["val_loss"]])
    assert len(encoded) == 2
    same(*results, atol=1e-5)


@pytest.mark.parametrize(("frozen", "options"), [(2, {}), (0, {"lora": 2})])
def test_texts_stay_where_the_encoder_trains(
    two_blocks: Path, texts: Texts, encoded: list[int], frozen: int, options: dict[str, Any]
) -> None:
    here = learner(two_blocks, texts, **options)
    if frozen:
        here.freeze(frozen)
    here.fit(0.01, 1, verbose=0)
    assert not encoded


def test_vectors_that_are_too_many_are_not_kept(
    tiny_checkpoint: Path,
    texts: Texts,
    encoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(features, "LARGEST", 40 * 32 * 4 - 1)
    here = learner(tiny_checkpoint, texts)
    here.freeze()
    with caplog.at_level(logging.INFO, "ktlite"):
        here.fit(0.01, 1, verbose=0)
    assert not encoded
    assert "the vectors of 40 texts would take" in caplog.text


@pytest.mark.parametrize("way", ["unfreeze", "freeze some", "freeze without"])
def test_vectors_are_freed_once_they_are_not_wanted(
    two_blocks: Path, texts: Texts, way: str
) -> None:
    here = learner(two_blocks, texts)
    here.freeze()
    here._feeds()
    assert len(here._features._kept) == 2
    {
        "unfreeze": here.unfreeze,
        "freeze some": lambda: here.freeze(2),
        "freeze without": lambda: here.freeze(keep_features=False),
    }[way]()
    assert not here._features._kept


@pytest.mark.parametrize(("lr_mult", "expected"), [(1.5, [28]), (30.0, [])])
def test_a_sweep_encodes_what_it_trains_on_if_it_sees_all_of_it(
    tiny_checkpoint: Path, texts: Texts, encoded: list[int], lr_mult: float, expected: list[int]
) -> None:
    here = learner(tiny_checkpoint, texts)
    here.freeze()
    here.lr_find(start_lr=1e-3, max_lr=1e-1, lr_mult=lr_mult, verbose=0)
    assert encoded == expected


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_signals_end_the_encoding_after_a_batch(
    tiny_checkpoint: Path,
    texts: Texts,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    number: int,
    error: Any,
) -> None:
    # A process in the background ignores Ctrl-C, and Interrupts lets it.
    before = signal.signal(number, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(number, before))
    here = learner(tiny_checkpoint, texts, eval_batch_size=8)
    here.freeze()
    encode, calls = features.Forward.__call__, []

    def signalled(self: Any, inputs: Any) -> Any:
        calls.append(len(inputs["input_ids"]))
        signal.raise_signal(number)
        return encode(self, inputs)

    monkeypatch.setattr(features.Forward, "__call__", signalled)
    with pytest.raises(error):
        here.fit(0.01, 1, verbose=0)
    assert calls == [8]
    if number == signal.SIGINT:
        found = here.lr_find(start_lr=1e-3, max_lr=1e-1, lr_mult=1.5, verbose=0)
        assert len(found.losses) == 0


def test_memory_that_is_out_while_encoding_is_explained(
    tiny_checkpoint: Path, texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, inputs: Any) -> Any:
        raise MemoryError

    here = learner(tiny_checkpoint, texts)
    here.freeze()
    monkeypatch.setattr(features.Forward, "__call__", fail)
    with pytest.raises(TrainingError, match=r"eval_batch_size=16; or .*keep_features=False"):
        here.fit(0.01, 1, verbose=0)


@pytest.mark.parametrize(("seconds", "expected"), [(1.0, 2), (100.0, 0)])
def test_training_for_a_time_encodes_only_where_there_is_time(
    tiny_checkpoint: Path,
    texts: Texts,
    encoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    expected: int,
) -> None:
    monkeypatch.setattr(features.KeptFeatures, "seconds", lambda *args: seconds)
    here = learner(tiny_checkpoint, texts)
    here.freeze()
    here.fit_within(1, 0.01, 1, verbose=0)
    assert len(encoded) == expected
    assert here._keep_features


def test_the_time_of_encoding_grows_with_the_texts(tiny_checkpoint: Path, texts: Texts) -> None:
    here = learner(tiny_checkpoint, texts)
    here.freeze()
    feeds = {"train": here._train}
    assert 0 < here._features.seconds(feeds, 8) < 60
    here._feeds()
    assert here._features.seconds(feeds, 8) == 0


def test_a_run_goes_on_from_a_checkpoint_whether_vectors_are_kept_or_not(
    tiny_checkpoint: Path, texts: Texts, tmp_path: Path
) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if self.params["steps"] - 1 == batch:
                raise MemoryError

    def frozen(keep: bool) -> Learner:
        here = learner(tiny_checkpoint, texts, check=False)
        here.freeze(keep_features=keep)
        return here

    whole = frozen(True)
    whole.fit_onecycle(0.05, 2, verbose=0)
    run: dict[str, Any] = {"checkpoint_folder": tmp_path / "run", "save_every": 1e-9, "verbose": 0}
    with pytest.raises(Exception):  # noqa: B017
        frozen(True).fit_onecycle(0.05, 2, callbacks=[Stop()], **run)
    again = frozen(False)
    again.fit_onecycle(0.05, 2, resume=True, **run)
    same(head(again), head(whole))


def test_a_data_set_of_vectors_is_that_of_its_texts_in_all_else(
    tiny_checkpoint: Path, texts: Texts
) -> None:
    here = learner(tiny_checkpoint, texts)
    here.freeze()
    feed, _ = here._feeds()
    assert isinstance(feed.data, EncodedDataset)
    rows = np.array([3, 0])
    inputs, targets = feed.data.examples(rows, (0,))
    assert inputs["hidden_states"].shape == (2, 1, 32)
    np.testing.assert_array_equal(targets, here._train.data.targets[rows])
    for one, other in zip(feed.plan(1), here._train.plan(1), strict=True):
        np.testing.assert_array_equal(one, other)
