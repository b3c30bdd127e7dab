"""ktrain's loaders: from files, folders, frames or arrays to (train, validation, preprocessor)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_files

from ktlite.data.sources import read_any
from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Classification, MultiLabel, Regression
from ktlite.text import (
    TextDataset,
    Transformer,
    text_classifier,
    texts_from_array,
    texts_from_csv,
    texts_from_df,
    texts_from_folder,
)
from ktlite.text.loaders import checkpoint_name

TEXTS = [f"the film {i} was {'good' if i % 2 else 'bad'}" for i in range(40)]
LABELS = ["pos" if i % 2 else "neg" for i in range(40)]
VAL_TEXTS, VAL_LABELS = ["great film", "bad movie"], ["pos", "neg"]

Loaded = tuple[TextDataset, TextDataset, Transformer]
Load = Callable[..., Loaded]


@pytest.fixture(autouse=True)
def capture_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="ktlite")


def frame(texts: list[str], labels: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"text": texts, "label": labels})


def write_folder(top: Path, texts: list[str], labels: list[str]) -> None:
    for i, (text, label) in enumerate(zip(texts, labels, strict=True)):
        (top / label).mkdir(parents=True, exist_ok=True)
        (top / label / f"{i:03}.txt").write_text(text, encoding="utf-8")


@pytest.fixture(params=["csv", "df", "folder", "array"])
def load(request: pytest.FixtureRequest, tiny_checkpoint: Path, tmp_path: Path) -> Load:
    """Puts the texts where one of the loaders reads them, and loads them with it."""

    def run(validates: bool = False, **options: Any) -> Loaded:
        options = {"preprocess_mode": tiny_checkpoint, "maxlen": 20, "verbose": 0} | options
        if request.param == "csv":
            frame(TEXTS, LABELS).to_csv(tmp_path / "train.csv", index=False)
            frame(VAL_TEXTS, VAL_LABELS).to_csv(tmp_path / "val.csv", index=False)
            val = tmp_path / "val.csv" if validates else None
            return texts_from_csv(tmp_path / "train.csv", "text", "label", val, **options)
        if request.param == "df":
            val = frame(VAL_TEXTS, VAL_LABELS) if validates else None
            return texts_from_df(frame(TEXTS, LABELS), "text", "label", val, **options)
        if request.param == "folder":
            write_folder(tmp_path / "train", TEXTS, LABELS)
            if validates:
                write_folder(tmp_path / "test", VAL_TEXTS, VAL_LABELS)
            return texts_from_folder(tmp_path, **options)
        if validates:
            return texts_from_array(TEXTS, LABELS, VAL_TEXTS, VAL_LABELS, **options)
        return texts_from_array(TEXTS, LABELS, **options)

    return run


def labelled(data: TextDataset) -> set[tuple[Any, Any]]:
    assert data.targets is not None
    return set(zip(data.texts, data.preproc.task.decode_targets(data.targets), strict=True))


# What all loaders do


def test_part_of_the_texts_is_split_off_to_validate_on(load: Load) -> None:
    train, val, preproc = load(val_pct=0.25)
    assert (len(train), len(val)) == (30, 10)
    assert labelled(train) | labelled(val) == set(zip(TEXTS, LABELS, strict=True))
    assert val.targets is not None
    assert np.bincount(val.targets).tolist() == [5, 5]
    assert preproc.get_classes() == ["neg", "pos"]
    assert train.preproc is val.preproc is preproc


def test_a_tenth_is_split_off_by_default(load: Load) -> None:
    train, val, _ = load()
    assert (len(train), len(val)) == (36, 4)


def test_split_depends_on_the_seed_alone(load: Load) -> None:
    splits = [list(load(random_state=seed)[1].texts) for seed in (1, 1, 2, 42, None)]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]
    assert splits[3] == splits[4]


def test_given_validation_data_is_used(load: Load) -> None:
    train, val, _ = load(validates=True)
    assert labelled(train) == set(zip(TEXTS, LABELS, strict=True))
    assert labelled(val) == set(zip(VAL_TEXTS, VAL_LABELS, strict=True))


def test_texts_are_tokenised_with_the_checkpoints_tokenizer(load: Load) -> None:
    train, val, preproc = load(maxlen=6)
    for data in (train, val):
        assert data.encodings.ids.tolist() == preproc.encode(data.texts).ids.tolist()
        assert data.lengths.max() == 6


def test_quiet_loading_shows_and_logs_nothing(
    load: Load, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    load(verbose=0)
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")


def test_one_line_says_what_was_loaded(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    load(verbose=1)
    line = "36 texts to train on, 4 texts to validate on; classification: neg, pos"
    assert caplog.messages[-1] == line


def test_preprocess_mode_must_name_something(load: Load) -> None:
    with pytest.raises(ArgumentError, match=r"None: name 'standard', or a.*'bert-base-unc"):
        load(preprocess_mode=None)


@pytest.mark.parametrize("val_pct", [0, 1, -0.1, 1.5, "0.1", None, float("nan")])
def test_share_that_is_none_is_refused(load: Load, val_pct: Any) -> None:
    with pytest.raises(ArgumentError, match=r"val_pct=.*expected more than 0, below 1"):
        load(val_pct=val_pct)


def test_share_does_not_matter_where_validation_data_is_given(load: Load) -> None:
    assert len(load(validates=True, val_pct=0)[1]) == 2


def test_ktrains_other_arguments_are_accepted(load: Load) -> None:
    train, _, _ = load(max_features=100, ngram_range=3, lang="en")
    assert len(train) == 36


# Labels


def arrays(folder: Path, *data: Any, **options: Any) -> Loaded:
    options = {"preprocess_mode": folder, "maxlen": 20, "verbose": 0} | options
    return texts_from_array(*data, **options)


@pytest.mark.parametrize(
    ("labels", "options", "kind", "classes"),
    [
        ([i % 3 for i in range(40)], {}, Classification, [0, 1, 2]),
        ([(3, 7, 42)[i % 3] for i in range(40)], {}, Classification, [3, 7, 42]),
        ([i % 2 for i in range(40)], {"class_names": ["no", "yes"]}, Classification, ["no", "yes"]),
        (np.eye(2, dtype=int)[np.arange(40) % 2], {}, Classification, [0, 1]),
        ([[i % 2, i % 3 > 0] for i in range(40)], {}, MultiLabel, [0, 1]),
        ([i / 8 for i in range(40)], {"task": "regression"}, Regression, []),
        (list(range(40)), {"task": "regression"}, Regression, []),
    ],
)
def test_labels_of_every_kind_are_loaded(
    tiny_checkpoint: Path, labels: Any, options: dict[str, Any], kind: type, classes: list[Any]
) -> None:
    train, val, preproc = arrays(tiny_checkpoint, TEXTS, labels, **options)
    assert type(preproc.task) is kind
    assert preproc.get_classes() == classes
    assert (len(train), len(val)) == (36, 4)
    for data in (train, val):
        expected = preproc.task.encode(np.asarray(labels)[data.rows])
        assert data.targets is not None
        assert data.targets.tolist() == expected.tolist()


def test_label_columns_are_classes_by_name(tiny_checkpoint: Path) -> None:
    columns = {"toxic": [i % 2 for i in range(40)], "threat": [int(i % 3 > 0) for i in range(40)]}
    train, _, preproc = texts_from_df(
        pd.DataFrame({"text": TEXTS, **columns}),
        "text",
        ["threat", "toxic"],
        preprocess_mode=tiny_checkpoint,
        maxlen=20,
        verbose=0,
    )
    assert isinstance(preproc.task, MultiLabel)
    assert preproc.get_classes() == ["threat", "toxic"]
    assert train.targets is not None
    assert train.targets[:, 1].tolist() == [int(row) % 2 for row in train.rows]


def test_pairs_come_from_two_columns(tiny_checkpoint: Path) -> None:
    data = pd.DataFrame({"a": TEXTS, "b": TEXTS[::-1], "same": LABELS})
    train, _, _ = texts_from_df(
        data, ("a", "b"), "same", preprocess_mode=tiny_checkpoint, maxlen=40, verbose=0
    )
    row = int(train.rows[0])
    assert train.texts[0] == (TEXTS[row], TEXTS[::-1][row])
    assert train.inputs(np.array([0]))["token_type_ids"].max() == 1


@pytest.mark.parametrize("load_it", [texts_from_csv, texts_from_df])
def test_is_regression_is_ktrains_word_for_it(
    load_it: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    data: Any = frame(TEXTS, list(range(40)))
    if load_it is texts_from_csv:
        data.to_csv(tmp_path / "data.csv", index=False)
        data = tmp_path / "data.csv"
    options = {"preprocess_mode": tiny_checkpoint, "maxlen": 20, "verbose": 0}
    with pytest.raises(DataError, match="may be classes or quantities"):
        load_it(data, "text", "label", **options)
    train, _, preproc = load_it(data, "text", "label", is_regression=True, **options)
    assert isinstance(preproc.task, Regression)
    assert train.targets.dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["pos"] * 40, {}, "all labels are 'pos'"),
        ([i / 7 for i in range(40)], {}, "Pass task='regression'"),
        (list(range(40)), {}, "40 distinct integers from 0 to 39"),
        (LABELS[:-1], {}, "40 texts, but 39 labels"),
        (None, {}, "there are no labels"),
        ([None, *LABELS[1:]], {"missing": "error"}, "1 of 40 rows"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(
    tiny_checkpoint: Path, labels: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        arrays(tiny_checkpoint, TEXTS, labels, **options)


def test_labels_that_only_the_validation_data_has_are_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(DataError, match=r"^test data: .*classes neg, pos: so-so\..*training data"):
        arrays(tiny_checkpoint, TEXTS, LABELS, ["a", "b"], ["pos", "so-so"])


def test_labels_are_checked_before_anything_is_tokenised(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transformer, "encode", lambda *a, **k: pytest.fail("tokenised first"))
    with pytest.raises(DataError, match="so-so"):
        arrays(tiny_checkpoint, TEXTS, LABELS, ["a", "b"], ["pos", "so-so"])


def test_validation_data_needs_texts_and_labels(tiny_checkpoint: Path) -> None:
    with pytest.raises(ArgumentError, match="x_test and y_test go together"):
        arrays(tiny_checkpoint, TEXTS, LABELS, ["a"])


def test_task_is_learned_from_all_texts_before_the_split(tiny_checkpoint: Path) -> None:
    # The one text of class "rare" stays in training; its class is known to both parts.
    labels = [*LABELS[:-1], "rare"]
    train, val, preproc = arrays(tiny_checkpoint, TEXTS, labels)
    assert preproc.get_classes() == ["neg", "pos", "rare"]
    assert "rare" in {label for _, label in labelled(train)}
    assert "rare" not in {label for _, label in labelled(val)}


# Folders and files


def test_classes_select_the_folders_and_their_names_order_them(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "train", [*TEXTS, "spam"], [*LABELS, "other"])
    options = {"preprocess_mode": tiny_checkpoint, "maxlen": 20, "verbose": 0}
    train, _, preproc = texts_from_folder(tmp_path, classes=["pos", "neg"], **options)
    # What ktrain reads folders with.
    theirs = load_files(tmp_path / "train", categories=["pos", "neg"], encoding="utf-8")
    assert preproc.get_classes() == theirs.target_names == ["neg", "pos"]
    number_of = dict(zip(theirs.data, theirs.target.tolist(), strict=True))
    assert train.targets.tolist() == [number_of[text] for text in train.texts]


def test_folders_may_have_other_names(tiny_checkpoint: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "training", TEXTS, LABELS)
    write_folder(tmp_path / "dev", VAL_TEXTS, VAL_LABELS)
    options = {"preprocess_mode": tiny_checkpoint, "maxlen": 20, "verbose": 0}
    for names, sizes in (
        (["training", "dev"], (40, 2)),
        (["training"], (36, 4)),
        (["training", "nowhere"], (36, 4)),
    ):
        train, val, _ = texts_from_folder(tmp_path, train_test_names=names, **options)
        assert (len(train), len(val)) == sizes


def test_csv_in_gb18030_with_another_separator_and_no_header(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    lines = [f"{i % 2}\t房间很好，服务也不差，下次还住这个酒店 {i}" for i in range(20)]
    (tmp_path / "hotel.tsv").write_bytes("\n".join(lines).encode("gb18030"))
    train, _, _ = texts_from_csv(
        tmp_path / "hotel.tsv",
        "text",
        "label",
        sep="\t",
        names=["label", "text"],
        preprocess_mode=tiny_checkpoint,
        maxlen=20,
        verbose=0,
    )
    assert len(train) == 18
    assert train.texts[0].startswith("房间很好")


# Names of checkpoints


def test_ktrains_modes_stand_for_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoint_name("bert") == "bert-base-uncased"
    assert checkpoint_name("distilbert") == "distilbert-base-uncased"
    assert checkpoint_name("org/model") == "org/model"
    (tmp_path / "bert").mkdir()  # A folder of that name comes first.
    assert checkpoint_name("bert") == "bert"


def test_ktrains_mode_may_be_given_to_the_loader_and_the_model(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ktlite.text.loaders._MODES", {"bert": str(tiny_checkpoint)})
    train, _, preproc = arrays(tiny_checkpoint, TEXTS, LABELS, preprocess_mode="bert")
    assert text_classifier("bert", train, preproc=preproc).num_labels == 2


# What get_learner is given


def test_any_data_is_read_by_its_kind(tmp_path: Path) -> None:
    frame(TEXTS, LABELS).to_csv(tmp_path / "data.csv", index=False)
    write_folder(tmp_path / "folder", TEXTS, LABELS)
    options = {"sep": ",", "encoding": None, "names": None, "missing": "drop", "source": "train"}
    columns = {"text_column": "text", "label_columns": "label"}
    for data in (tmp_path / "data.csv", str(tmp_path / "data.csv"), frame(TEXTS, LABELS)):
        assert read_any(data, **columns, **options).items == TEXTS
    for data in ((TEXTS, LABELS), [TEXTS, LABELS]):
        assert read_any(data, None, None, **options).items == TEXTS
    assert sorted(read_any(tmp_path / "folder", None, None, **options).items) == sorted(TEXTS)


@pytest.mark.parametrize(
    ("data", "columns", "parts"),
    [
        (frame(["a"], ["b"]), (None, None), ["text_column is not given", "label_columns is not"]),
        (frame(["a"], ["b"]), ("text", None), ["label_columns is not given"]),
        ("missing.csv", (None, "label"), ["text_column is not given"]),
        (3, ("text", "label"), ["train_data is of type int; expected the path of a CSV file"]),
        ({"text": 1}, (None, None), ["of type dict", "text_column", "label_columns"]),
    ],
)
def test_data_that_cannot_be_read_is_refused_with_every_reason(
    data: Any, columns: tuple[Any, Any], parts: list[str]
) -> None:
    options = {"sep": ",", "encoding": None, "names": None, "missing": "drop"}
    with pytest.raises(ArgumentError) as caught:
        read_any(data, *columns, source="train_data", **options)
    assert all(re.search(part, str(caught.value)) for part in parts)
