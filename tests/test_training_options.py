"""Windows, weights, losses, metrics, several targets, thresholds: by the short way in."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer as RustTokenizer

import ktlite
from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.training.feed import Feed

RANDOM = np.random.default_rng(0)
WORDS = ["the", "film", "was", "great", "bad", "很", "好"]
LONG = [" ".join(RANDOM.choice(WORDS, size)) for size in (3, 70, 9, 33, 1, 18)]
LABELS = ["good", "bad", "good", "bad", "good", "bad"]


def learner(folder: Path, data: Any = (LONG, LABELS), **options: Any) -> ktlite.Learner:
    options = {"window": 12, "stride": 4, "maxlen": 24, "batch_size": 4, "verbose": 0, **options}
    return ktlite.get_learner(folder, data, (LONG, LABELS), **options)


@pytest.mark.parametrize("stride", [0, 3, 6])
def test_windows_hold_every_token_in_order(tiny_checkpoint: Path, stride: int) -> None:
    encodings = Tokenizer(tiny_checkpoint, 12, stride).encode(LONG)
    rust = RustTokenizer.from_file(str(tiny_checkpoint / "tokenizer.json"))
    rust.no_truncation()
    assert encodings.example_of is not None and encodings.lengths.max() <= 12
    for number, text in enumerate(LONG):
        tokens: list[int] = []
        for row in np.flatnonzero(encodings.example_of == number):
            window = encodings.ids[encodings.offsets[row] : encodings.offsets[row + 1]][1:-1]
            if tokens and stride:
                assert tokens[-stride:] == window[:stride].tolist()
            tokens += window[stride if tokens else 0 :].tolist()
        assert tokens == rust.encode(text, add_special_tokens=False).ids


def test_a_text_is_predicted_by_the_mean_of_its_windows(tiny_checkpoint: Path) -> None:
    predictor = learner(tiny_checkpoint).get_predictor()
    found = predictor.logits(LONG)
    encodings = predictor.preproc.encode(LONG)
    for number in range(len(LONG)):
        rows = np.flatnonzero(encodings.example_of == number)
        logits = [np.asarray(predictor.model(encodings.batch(rows[i : i + 1])))[0]
                  for i in range(len(rows))]  # fmt: skip
        np.testing.assert_allclose(found[number], np.mean(logits, axis=0), atol=1e-5)
    assert predictor.predict(LONG[1]) in ("good", "bad")


def test_windows_train_validate_and_come_back_from_disk(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    trained = learner(tiny_checkpoint)
    trained.fit_onecycle(1e-3, 1, class_weight="balanced", verbose=0)
    assert trained.validate(print_report=False).sum() == len(LONG)  # texts, not windows
    assert len(trained.top_losses(n=100)) == len(LONG)
    predictor = trained.get_predictor()
    predictor.save(tmp_path / "saved")
    again = ktlite.load_predictor(tmp_path / "saved")
    np.testing.assert_allclose(again.logits(LONG), predictor.logits(LONG), atol=1e-6)


def test_each_window_learns_the_label_and_the_weight_of_its_text(tiny_checkpoint: Path) -> None:
    weights = [1.0, 0.0, 2.0, 3.0, 4.0, 5.0]
    data = learner(tiny_checkpoint, sample_weight=weights).train_data
    assert data.example_of is not None
    rows = np.arange(len(data))
    _, targets = data.examples(rows, (0,))
    assert targets.tolist() == data.targets[data.example_of].tolist()
    assert data.sample_weight.tolist() == np.array(weights)[data.example_of].tolist()


def test_the_vector_of_a_text_is_the_mean_of_its_windows(tiny_checkpoint: Path) -> None:
    predictor = learner(tiny_checkpoint).get_predictor()
    vectors = predictor.embed(LONG)
    assert vectors.shape == (len(LONG), 32)
    np.testing.assert_allclose(predictor.embed(LONG[1]), vectors[1], atol=1e-5)
    encodings = predictor.preproc.encode(LONG)
    hidden, mask = predictor.model.hidden_states(encodings.batch(np.arange(len(encodings))))
    tokens = np.asarray(mask)[..., None]
    windows = (np.asarray(hidden) * tokens).sum(axis=1) / tokens.sum(axis=1)
    expected = [windows[encodings.example_of == i].mean(axis=0) for i in range(len(LONG))]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    unit = predictor.embed(LONG, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


def test_texts_to_compare_are_not_read_in_windows(tiny_checkpoint: Path) -> None:
    pairs = [(text, text) for text in LONG]
    with pytest.raises(DataError, match="cut at maxlen, not in windows: leave window out"):
        ktlite.get_learner(
            tiny_checkpoint, pairs, pairs, task="sentence-similarity", window=12, verbose=0
        )


def test_pairs_are_not_read_in_windows(tiny_checkpoint: Path) -> None:
    with pytest.raises(DataError, match="window= reads single texts"):
        learner(tiny_checkpoint, ([(text, text) for text in LONG], LABELS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 3}, "window=3; expected a whole number from 4 to"),
        ({"window": 4_000}, "window=4000; expected a whole number from 4 to"),
        ({"stride": 7}, "stride=7; expected a whole number from 0 to 6, half of the window"),
        ({"window": None}, "stride=4 goes with window="),
    ],
)
def test_windows_that_cannot_be_are_refused(
    tiny_checkpoint: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        learner(tiny_checkpoint, **options)


# Weights


def test_a_text_without_weight_teaches_nothing(tiny_checkpoint: Path) -> None:
    """The same weights come out whatever the label of such a text is."""
    trained = []
    for label in ("good", "bad"):
        labels = [label, *LABELS[1:]]
        frame = pd.DataFrame({"text": LONG, "label": labels, "weight": [0.0, 1, 1, 2, 1, 1]})
        made = learner(
            tiny_checkpoint,
            frame,
            text_column="text",
            label_columns="label",
            sample_weight="weight",
            window=None,
            stride=None,
        )
        made.fit(1e-3, 1, verbose=0)
        trained.append([np.asarray(weight) for weight in made.model.get_weights()])
    for one, other in zip(*trained, strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_follow_their_rows_past_those_left_out(tiny_checkpoint: Path) -> None:
    made = learner(tiny_checkpoint, ([*LONG[:2], "", *LONG[3:]], LABELS), sample_weight=range(6))
    assert made.train_data.weights.tolist() == [0, 1, 3, 4, 5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 5, r"shape \[5\]; expected a number for each of the rows of .*, at least 6"),
        ([1.0] * 5 + [-1.0], "sample_weight of row 5 is -1.0; expected 0 or more"),
        ([1.0] * 5 + [float("nan")], "sample_weight of row 5 is nan"),
        (["a"] * 6, "expected a number for each row"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    tiny_checkpoint: Path, weights: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        learner(tiny_checkpoint, sample_weight=weights)


def test_weights_of_a_column_that_is_not_there(tiny_checkpoint: Path) -> None:
    frame = pd.DataFrame({"text": LONG, "label": LABELS, "weight": 1.0})
    columns = {"text_column": "text", "label_columns": "label"}
    with pytest.raises(ArgumentError, match="is no column of a DataFrame.*Did you mean 'weight'"):
        learner(tiny_checkpoint, frame, sample_weight="weigth", **columns)
    with pytest.raises(ArgumentError, match="give the numbers themselves"):
        learner(tiny_checkpoint, sample_weight="weight")


# Losses, metrics, several targets, thresholds


def test_losses_and_metrics_by_name_reach_the_training(tiny_checkpoint: Path) -> None:
    made = learner(
        tiny_checkpoint, loss="focal", label_smoothing=0.1, metrics=["f1_macro", "accuracy"]
    )
    history = made.fit(1e-3, 1, verbose=0).history
    assert {"f1_macro", "val_f1_macro", "val_accuracy"} <= set(history)
    assert made.model.loss.name == "focal_loss"
    # A window counts as a row here; validate() joins them.
    assert 0 <= history["val_f1_macro"][0] <= 1


def test_several_numbers_a_text(tiny_checkpoint: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "text": LONG, "stars": [1, 2, 3, 4, 5, 3], "price": [10.5, 999, 250, 120, 80, 400]
    })  # fmt: skip
    made = ktlite.get_learner(
        tiny_checkpoint,
        frame,
        frame,
        text_column="text",
        label_columns=["stars", "price"],
        task="regression",
        loss="huber",
        maxlen=24,
        verbose=0,
    )
    made.fit_onecycle(1e-3, 1, verbose=0)
    assert [name for name, _ in made.validate(print_report=False)][0] == "mae"
    predictor = made.get_predictor()
    assert predictor.get_classes() == ["stars", "price"]
    predictor.save(tmp_path / "saved")
    values = ktlite.load_predictor(tmp_path / "saved").predict(LONG)
    np.testing.assert_allclose(values, predictor.predict(LONG), rtol=1e-5)
    assert np.shape(values) == (6, 2)
    np.testing.assert_allclose(made.predict(), predictor.predict(LONG), rtol=1e-4)
    assert made.validate(print_report=False, class_names=["a", "b"])
    # An untrained model is near the mean of what it was shown, whatever the units.
    assert np.abs(np.mean(values, axis=0) - frame[["stars", "price"]].mean()).lt([2, 400]).all()


def test_thresholds_are_tuned_and_travel_with_the_predictor(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0], [1, 1]])
    made = ktlite.get_learner(
        tiny_checkpoint, (LONG, labels), (LONG, labels), task="multilabel", maxlen=24, verbose=0
    )
    before = made.metrics()["f1_macro"]
    assert made.tune_thresholds()["f1_macro"] >= before
    predictor = made.get_predictor()
    predictor.save(tmp_path / "saved")
    again = ktlite.load_predictor(tmp_path / "saved")
    assert again.predict(LONG, return_labels=True) == predictor.predict(LONG, return_labels=True)
    assert again.preproc.task.thresholds.tolist() == predictor.preproc.task.thresholds.tolist()


def test_tasks_without_thresholds_say_so(tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="a classification task decides by no threshold"):
        learner(tiny_checkpoint).tune_thresholds()


@pytest.mark.parametrize("task", [None, "sentence-similarity"])
def test_batches_by_tokens_train_and_validate(tiny_checkpoint: Path, task: str | None) -> None:
    data: Any = (LONG * 4, LABELS * 4)
    if task:  # rows of two texts each
        data = [(text, text[::2]) for text in LONG * 4]
    learner = ktlite.get_learner(
        tiny_checkpoint, data, data, task=task, maxlen=24, batch_tokens=96, verbose=0
    )
    feed = learner._train
    assert isinstance(feed, Feed)
    seen: list[tuple[int, ...]] = []
    for step, (inputs, *_) in enumerate(feed.training(0, feed.steps)):
        if step == feed.steps:
            break
        seen.append(tuple(inputs["input_ids"].shape))
    assert sum(shape[0] for shape in seen) == len(data if task else data[0])
    assert max(math.prod(shape) for shape in seen) <= 96
    history = learner.fit_onecycle(1e-3, 2, verbose=0).history
    assert len(history["lr"]) == 2 * feed.steps
    assert np.isfinite(history["val_loss"]).all()


def test_batch_tokens_below_the_longest_text_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="batch_tokens=8: the longest text needs 24"):
        learner(tiny_checkpoint, window=None, stride=None, batch_tokens=8)
