"""From a checkpoint and data to a learner: every way in, and what is refused on the way."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, DataError, KtliteError
from ktlite.learner import Learner
from ktlite.predictor import Predictor
from ktlite.tasks import Classification

ROOT = Path(__file__).parents[1]
ROWS = 40
LABELS = [("ham", "spam", "toast")[i % 3] for i in range(ROWS)]
_random = random.Random(0)
TEXTS = [
    " ".join(_random.choices({"h": "abc", "s": "mno", "t": "xyz"}[label[0]], k=1 + i % 9))
    for i, label in enumerate(LABELS)
]
COLUMNS = {"text_column": "body", "label_columns": "kind"}

Make = Callable[..., Learner]


@pytest.fixture
def make(tiny_checkpoint: Path) -> Make:
    """Makes a learner from the tiny checkpoint, quietly."""

    def get(train_data: Any, **options: Any) -> Learner:
        options = {"maxlen": 24, "batch_size": 8, "verbose": 0, **options}
        return ktlite.get_learner(tiny_checkpoint, train_data, **options)

    return get


def frame(texts: Any = TEXTS, labels: Any = LABELS) -> pd.DataFrame:
    return pd.DataFrame({"body": texts, "kind": labels})


def csv_file(folder: Path, separator: str = ",", encoding: str = "utf-8") -> Path:
    path = folder / "mail.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator).writerows(
            [("body", "kind"), *zip(TEXTS, LABELS, strict=True)]
        )
    return path


def class_folders(folder: Path) -> Path:
    for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
        (folder / "mail" / label).mkdir(parents=True, exist_ok=True)
        (folder / "mail" / label / f"{i:02d}.txt").write_text(text)
    return folder / "mail"


def small_model() -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss=loss, run_eagerly=True)
    return model


# ------------------------------------------------------------------------ every way in

SOURCES: dict[str, Callable[[Path], tuple[Any, dict[str, Any]]]] = {
    "CSV file": lambda folder: (csv_file(folder), COLUMNS),
    "CSV file as str": lambda folder: (str(csv_file(folder)), COLUMNS),
    "CSV file with other separator and encoding": lambda folder: (
        csv_file(folder, ";", "utf-16"),
        {**COLUMNS, "sep": ";", "encoding": "utf-16"},
    ),
    "folder": lambda folder: (class_folders(folder), {}),
    "DataFrame": lambda folder: (frame(), COLUMNS),
    "texts and labels": lambda folder: ((TEXTS, LABELS), {}),
    "arrays": lambda folder: ((np.array(TEXTS), np.array(LABELS)), {}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_data_comes_from_anywhere_and_is_split(make: Make, tmp_path: Path, source: str) -> None:
    data, options = SOURCES[source](tmp_path)
    learner = make(data, val_pct=0.25, **options)
    train, val = learner.train_data, learner.val_data
    assert (len(train), len(val)) == (30, 10)
    assert sorted([*train.texts, *val.texts]) == sorted(TEXTS)
    assert learner.task.classes == ["ham", "spam", "toast"]
    assert learner.model.num_labels == 3
    by_text = dict(zip(TEXTS, LABELS, strict=True))
    for part in (train, val):
        expected = [by_text[text] for text in part.texts]
        assert [learner.task.classes[i] for i in part.y] == expected
    assert sorted(np.bincount(val.y)) == [3, 3, 4]  # stratified


@pytest.mark.parametrize("source", SOURCES)
def test_validation_data_can_be_given(make: Make, tmp_path: Path, source: str) -> None:
    data, options = SOURCES[source](tmp_path)
    learner = make(data, val_data=data, **options)
    assert list(learner.train_data.texts) == list(learner.val_data.texts)
    assert len(learner.val_data) == ROWS


def test_three_lines_from_a_file_to_a_saved_predictor(make: Make, tmp_path: Path) -> None:
    learner = make(csv_file(tmp_path), **COLUMNS)
    history = learner.fit_onecycle(0.02, 6, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    predictor = learner.get_predictor()
    assert predictor.predict(["a b c", "m n o", "z y x"]) == ["ham", "spam", "toast"]
    assert learner.validate().trace() >= len(learner.val_data) - 1
    predictor.save(tmp_path / "saved")
    loaded = ktlite.load_predictor(tmp_path / "saved")
    np.testing.assert_allclose(
        loaded.predict_proba(TEXTS), predictor.predict_proba(TEXTS), atol=1e-6
    )


@pytest.mark.parametrize(
    ("labels", "task", "options"),
    [
        ([7 if c == "ham" else 9 for c in LABELS], "classification", {}),
        (np.eye(2)[[i % 2 for i in range(ROWS)]], "classification", {"class_names": ["a", "b"]}),
        (np.array([[i % 2, i % 3 == 0] for i in range(ROWS)], int), "multilabel", {}),
        ([i / 7 for i in range(ROWS)], "regression", {"task": "regression"}),
    ],
    ids=["gapped integers", "one-hot", "several labels", "numbers"],
)
def test_labels_of_every_task_train(make: Make, labels: Any, task: str, options: Any) -> None:
    learner = make((TEXTS, labels), **options)
    assert learner.task.name == task
    # Eagerly, and one step: a graph takes longer to trace.
    learner.model.compile("sgd", loss=learner.model.loss, run_eagerly=True)
    history = learner.fit(1e-3, 1, steps_per_epoch=1, verbose=0).history
    assert np.isfinite([*history["loss"], *history["val_loss"]]).all()
    assert learner.metrics()
    assert len(learner.predict(TEXTS)) == ROWS


def test_pairs_of_texts_are_pairs(make: Make) -> None:
    data = frame().assign(other=TEXTS[::-1])
    learner = make(data, text_column=["body", "other"], label_columns="kind", val_pct=0.5)
    assert learner.train_data.texts[0] in list(zip(TEXTS, TEXTS[::-1], strict=True))
    assert learner.train_data.encodings.type_ids is not None
    assert learner.predict([("a b", "x y"), ("m", "n")]) == learner.get_predictor().predict(
        [("a b", "x y"), ("m", "n")]
    )


def test_options_reach_their_places(make: Make) -> None:
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="best_two", from_sorted_ids=False)
    learner = make(
        (TEXTS, LABELS),
        maxlen=6,
        eval_batch_size=5,
        metrics=[metric],
        precision="mixed_bfloat16",
        seed=3,
    )
    assert learner.train_data.lengths.max() == 6
    assert (learner.batch_size, learner.eval_batch_size, learner.seed) == (8, 5, 3)
    assert learner.model.compute_dtype == "bfloat16"
    assert learner.get_predictor().batch_size == 5
    assert learner.model._compile_metrics._user_metrics == [metric]


# ------------------------------------------------------------------------------- the seed

SCRIPT = """
import json, sys
import ktlite

texts, labels = json.loads(sys.stdin.read())
learner = ktlite.get_learner(
    sys.argv[1], (texts, labels), maxlen=24, batch_size=8, seed=1, verbose=0)
learner.lr_find(max_epochs=3, verbose=0)
print(json.dumps(learner.fit_onecycle(1e-3, 2, verbose=0).history))
"""


def process(checkpoint: Path) -> subprocess.Popen[str]:
    """Starts a process that looks for a rate, trains with the seed 1 and prints its history."""
    started = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(checkpoint)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "random"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdin is not None
    json.dump([TEXTS, LABELS], started.stdin)
    started.stdin.close()
    return started


def test_a_seed_makes_a_training_again_to_the_last_bit(make: Make, tiny_checkpoint: Path) -> None:
    """In a fresh process that looks for a rate first, and in this one, which does not."""
    there = process(tiny_checkpoint)
    here, other_seed = (
        make((TEXTS, LABELS), seed=seed).fit_onecycle(1e-3, 2, verbose=0).history for seed in (1, 2)
    )
    assert there.stdout is not None
    with there:
        assert json.loads(there.stdout.read()) == here
    assert there.returncode == 0
    assert other_seed["loss"] != here["loss"]


# -------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["train_data is not given"]),
        (
            {"train_data": "mail.csv"},
            ["text_column is not given", "label_columns is not given"],
        ),
        ({"train_data": frame(), "text_column": "body"}, ["label_columns is not given"]),
        (
            {
                "train_data": frame(),
                "val_pct": 1.5,
                "missing": "dropp",
                "batch_size": 0,
                "eval_batch_size": 2.5,
                "preproc": object(),
            },
            [
                "7 problems",
                "text_column is not given",
                "label_columns is not given",
                "val_pct=1.5",
                "missing='dropp'",
                "Did you mean 'drop'",
                "batch_size=0",
                "eval_batch_size=2.5",
                "preproc goes with a Keras model",
            ],
        ),
        ({"train_data": 42}, ["train_data is of type int"]),
        (
            {"train_data": (TEXTS, LABELS), "val_data": 42, "text_column": "a"},
            ["val_data is of type int"],
        ),
        ({"train_data": frame(), "text_colum": "body"}, ["'text_colum'.", "mean 'text_column'"]),
        (
            {"train_data": frame(), "text_column": "bdy", "label_columns": "knd"},
            ["'body'", "'kind'"],
        ),
        ({"train_data": "nowhere.csv", **COLUMNS}, ["nowhere.csv"]),
        ({"train_data": (TEXTS, LABELS), "task": "clasification"}, ["mean 'classification'"]),
        ({"train_data": (TEXTS, LABELS), "maxlen": 1000}, ["maxlen=1000"]),
        ({"train_data": (TEXTS, LABELS), "precision": "half"}, ["precision='half'", "mixed_"]),
    ],
)
def test_everything_that_is_wrong_is_named(
    tiny_checkpoint: Path, arguments: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(KtliteError) as error:
        ktlite.get_learner(tiny_checkpoint, **{"maxlen": 24, "verbose": 0, **arguments})
    assert [word for word in words if word not in str(error.value)] == []


def test_the_config_alone_is_fetched_before_the_data_is_read(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    shutil.copy(golden / "bert-gelu" / "config.json", tmp_path)

    def fetch(*_: Any, allow_patterns: list[str], **__: Any) -> str:
        assert allow_patterns == ["config.json"], "fetched"
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(DataError, match="bdy"):
        ktlite.get_learner("someone/huge", frame(), text_column="bdy", label_columns="kind")
    with pytest.raises(CheckpointError, match="someone/huge"):
        ktlite.get_learner("someone/huge", frame(), **COLUMNS, verbose=0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"text_column": "body", "label_columns": "kind"},
        {"maxlen": 64, "val_pct": 0.2, "sep": ";", "encoding": "utf-8"},
        {"class_names": np.array(["a", "b"]), "names": ["a"], "missing": "error"},
        {"metrics": [], "precision": "float32", "revision": "main"},
    ],
)
def test_loading_arguments_do_not_go_with_a_keras_model(arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError) as error:
        ktlite.get_learner(small_model(), (np.zeros((4, 2)), np.zeros(4)), **arguments)
    for name in arguments:
        assert f"{name} goes with the name of a checkpoint" in str(error.value)


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (None, {}, "model is of type NoneType; expected the name of a checkpoint or a"),
        ([1, 2], {}, "model is of type list"),
        (small_model, {}, "model is of type function"),
        (
            "keras",
            {"task": "classification"},
            "task='classification'; with a Keras model, expected",
        ),
        ("keras", {"batch_size": -1, "eval_batch_size": None}, "batch_size=-1(.|\n)*size=None"),
        ("keras", {"train_data": 3}, "train_data is of type int"),
        ("keras", {"val_data": 3}, "val_data is of type int"),
    ],
)
def test_what_is_no_model_and_no_data_is_refused(
    model: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        ktlite.get_learner(small_model() if model == "keras" else model, **arguments)


# ----------------------------------------------------------------------- the other pieces


def test_a_keras_model_takes_seed_and_task() -> None:
    task = Classification(["a", "b", "c"])
    learner = ktlite.get_learner(
        small_model(), (np.zeros((4, 2)), np.zeros(4, int)), task=task, seed=7
    )
    assert (learner.task, learner.seed) == (task, 7)


def test_get_predictor_needs_a_preprocessor(make: Make) -> None:
    learner = make((TEXTS, LABELS))
    predictor = ktlite.get_predictor(learner.model, learner.preproc, batch_size=3)
    assert isinstance(predictor, Predictor)
    assert predictor.batch_size == 3
    with pytest.raises(ArgumentError, match="preproc is of type list"):
        ktlite.get_predictor(learner.model, preproc=TEXTS)


def test_load_model_loads_a_checkpoint_with_its_head(tiny_checkpoint: Path) -> None:
    model = ktlite.load_model(tiny_checkpoint)
    assert model.num_labels == 3
    assert ktlite.load_model(tiny_checkpoint, num_labels=5).num_labels == 5
    assert ktlite.load_model(tiny_checkpoint, task=None).num_labels is None
    assert ktlite.load_model(tiny_checkpoint, dtype="mixed_bfloat16").compute_dtype == "bfloat16"
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        ktlite.load_model(tiny_checkpoint / "nothing" / "here")
