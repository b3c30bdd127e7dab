"""The one way from texts and labels to inputs and targets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.text import Preprocessor

TEXTS = ["the film was great", "房间 很 好", "bad, very bad!"]
LABELS = ["pos", "pos", "neg"]


@pytest.fixture
def preproc(tiny_checkpoint: Path) -> Preprocessor:
    return Preprocessor(tiny_checkpoint, 20)


def tokens(dataset: Any, row: int) -> list[int]:
    batch = dataset.inputs(np.array([row]))
    return batch["input_ids"][batch["attention_mask"] == 1].tolist()


@pytest.mark.parametrize(
    "texts", [TEXTS, tuple(TEXTS), np.array(TEXTS), pd.Series(TEXTS, index=[7, 8, 9])]
)
def test_texts_and_labels_become_a_dataset(preproc: Preprocessor, texts: Any) -> None:
    data = preproc.preprocess_train(texts, LABELS, verbose=0)
    assert len(data) == 3
    assert data.targets is not None
    assert data.targets.tolist() == [1, 1, 0]
    assert data.y is data.targets
    assert data.preproc is preproc
    assert list(data.items) == TEXTS
    assert data.rows.tolist() == [0, 1, 2]
    assert preproc.get_classes() == ["neg", "pos"]
    assert tokens(data, 1) == preproc.encode([TEXTS[1]]).ids.tolist()
    assert data.lengths.tolist() == [len(tokens(data, row)) for row in range(3)]


@pytest.mark.parametrize(
    ("labels", "kind", "targets"),
    [
        (["b", "a", "c"], Classification, [1, 0, 2]),
        ([42, 3, 7], Classification, [2, 0, 1]),
        ([1.0, 0.0, 1.0], Classification, [1, 0, 1]),
        (pd.Series([True, False, True]), Classification, [1, 0, 1]),
        (pd.Categorical(["b", "a", "b"]), Classification, [1, 0, 1]),
        ([[0, 1], [1, 0], [0, 1]], Classification, [1, 0, 1]),
        ([[0, 1], [1, 1], [0, 0]], MultiLabel, [[0, 1], [1, 1], [0, 0]]),
        (pd.DataFrame({"a": [0, 1, 0], "b": [1, 1, 0]}), MultiLabel, [[0, 1], [1, 1], [0, 0]]),
    ],
)
def test_task_is_learned_from_the_labels(
    preproc: Preprocessor, labels: Any, kind: type, targets: list[Any]
) -> None:
    data = preproc.preprocess_train(TEXTS, labels, verbose=0)
    assert type(preproc.task) is kind
    assert data.targets is not None
    assert data.targets.tolist() == targets


def test_regression_is_asked_for_and_then_done(tiny_checkpoint: Path) -> None:
    with pytest.raises(DataError, match="task='regression'"):
        Preprocessor(tiny_checkpoint, 20).preprocess_train(TEXTS, [0.5, 1.5, 2.0])
    preproc = Preprocessor(tiny_checkpoint, 20, task_name="regression")
    data = preproc.preprocess_train(TEXTS, [1, 2, 4], verbose=0)
    assert isinstance(preproc.task, Regression)
    assert data.targets is not None
    assert data.targets.tolist() == [1.0, 2.0, 4.0]
    assert data.targets.dtype == np.float32
    assert preproc.get_classes() == []
    with pytest.raises(DataError, match="regression needs numbers"):
        preproc.preprocess_test(TEXTS, LABELS)


def test_pairs_have_types(preproc: Preprocessor) -> None:
    data = preproc.preprocess_train([("good", "film"), ("bad", "movie")], ["pos", "neg"], verbose=0)
    batch = data.inputs(np.array([0]))
    used = int(batch["attention_mask"].sum())
    assert batch["token_type_ids"][0, :used].tolist() == [0, 0, 0, 1, 1]
    assert data.items[0] == ("good", "film")


@pytest.mark.parametrize("names", [["bad", "good"], np.array(["bad", "good"])])
def test_class_names_name_the_integers(tiny_checkpoint: Path, names: Any) -> None:
    preproc = Preprocessor(tiny_checkpoint, 20, class_names=names)
    train = preproc.preprocess_train(TEXTS, [1, 1, 0], verbose=0)
    assert preproc.get_classes() == ["bad", "good"]
    assert train.targets is not None
    assert train.targets.tolist() == [1, 1, 0]
    test = preproc.preprocess_test(["good"], [1], verbose=0)
    assert test.targets is not None
    assert test.targets.tolist() == [1]


def test_test_labels_keep_the_meaning_of_the_training_labels(preproc: Preprocessor) -> None:
    preproc.preprocess_train(TEXTS, ["b", "a", "c"], verbose=0)
    task = preproc.task
    data = preproc.preprocess_test(TEXTS[:1], ["c"], verbose=0)
    assert data.targets is not None
    assert data.targets.tolist() == [2]
    assert preproc.task is task
    with pytest.raises(DataError, match=r"among the classes a, b, c: d\..*training data"):
        preproc.preprocess_test(TEXTS[:2], ["a", "d"])


def test_mode_test_is_preprocess_test(preproc: Preprocessor) -> None:
    preproc.preprocess_train(TEXTS, ["b", "a", "c"], verbose=0)
    data = preproc.preprocess_train(TEXTS[:2], ["c", "c"], mode="test", verbose=0)
    assert data.targets is not None
    assert data.targets.tolist() == [2, 2]
    with pytest.raises(ArgumentError, match=r"mode='val'; expected 'train' or 'test'"):
        preproc.preprocess_train(TEXTS, LABELS, mode="val")


def test_labels_are_needed_before_the_task_is(preproc: Preprocessor) -> None:
    assert preproc.preprocess_train(TEXTS, verbose=0).targets is None
    for ask in (
        lambda: preproc.task,
        preproc.get_classes,
        lambda: preproc.preprocess_test(TEXTS, LABELS),
    ):
        with pytest.raises(ArgumentError, match=r"call preprocess_train\(texts, y\) first"):
            ask()


def test_unlabelled_texts_do_not_change_the_task(preproc: Preprocessor) -> None:
    preproc.preprocess_train(TEXTS, LABELS, verbose=0)
    assert preproc.preprocess_test(TEXTS, verbose=0).targets is None
    assert preproc.preprocess_train(TEXTS, verbose=0).targets is None
    assert preproc.get_classes() == ["neg", "pos"]


def test_rows_without_text_or_label_are_left_out_and_counted(
    preproc: Preprocessor, caplog: pytest.LogCaptureFixture
) -> None:
    data = preproc.preprocess_train(
        ["good", None, "bad", " ", "film"], ["p", "p", None, "n", "n"], verbose=0
    )
    assert data.items == ["good", "film"]
    assert data.targets is not None
    assert data.targets.tolist() == [1, 0]
    assert data.rows.tolist() == [0, 4]
    assert "3 of 5 rows" in caplog.text


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ([], [], "no rows"),
        (TEXTS, LABELS[:2], "3 texts, but 2 labels"),
        (["a", 3], ["x", "y"], "cannot be a text: 3"),
        ("a text", ["x"], "must be a sequence of str"),
        (["", " "], ["x", "y"], "none is left"),
    ],
)
def test_data_that_cannot_be_used_is_refused(
    preproc: Preprocessor, texts: Any, labels: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        preproc.preprocess_train(texts, labels)


@pytest.mark.parametrize(
    "labels", [["b", "a", "c"], [42, 3, 7], [[1, 1], [0, 1], [0, 0]], [0.5, 1.5, 2.5]]
)
def test_saved_preprocessor_does_the_same(
    tiny_checkpoint: Path, tmp_path: Path, labels: Any
) -> None:
    task = "regression" if isinstance(labels[0], float) else None
    preproc = Preprocessor(tiny_checkpoint, 9, task_name=task)
    train = preproc.preprocess_train(TEXTS, labels, verbose=0)
    config = json.loads(json.dumps(preproc.save(tmp_path)))
    again = Preprocessor.load(tmp_path, config).preprocess_test(TEXTS, labels, verbose=0)
    assert again.encodings.ids.tolist() == train.encodings.ids.tolist()
    assert again.encodings.max_length == 9
    assert again.targets is not None and train.targets is not None
    assert again.targets.tolist() == train.targets.tolist()
    assert again.preproc.get_classes() == preproc.get_classes()


def test_datasets_compare_by_identity(preproc: Preprocessor) -> None:
    one, two = (preproc.preprocess_train(TEXTS, LABELS, verbose=0) for _ in range(2))
    assert one != two
    assert len({one, two, one}) == 2
