"""Tokens on disk: the same learner as from memory, made once, whole or not at all."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite.data.examples import Examples
from ktlite.data.files import open_table
from ktlite.data.stored_texts import StoredTexts
from ktlite.data.table import FrameTable, read_table_texts
from ktlite.data.token_store import TokenStore
from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.learner import Learner

_random = random.Random(3)
LABELS = ["ham", "spam", "toast", "spam"] * 12
TEXTS = [
    " ".join(_random.choices({"h": "abc", "s": "mno", "t": "xyz"}[label[0]], k=1 + i % 9))
    for i, label in enumerate(LABELS)
]
FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS, "number": np.arange(48) % 5 - 0.5})
COLUMNS = {"text_column": "text", "label_columns": "label"}

Make = Callable[..., Learner]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktlite.data.files._PART", 100)
    monkeypatch.setattr("ktlite.data.table.AT_ONCE", 7)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "mail.csv"
    FRAME.to_csv(path, index=False)
    return path


@pytest.fixture
def make(tiny_checkpoint: Path) -> Make:
    def get(train_data: Any, **options: Any) -> Learner:
        options = {"maxlen": 24, "batch_size": 8, "verbose": 0, **COLUMNS, **options}
        return ktlite.get_learner(tiny_checkpoint, train_data, **options)

    return get


@pytest.fixture
def tokenizer(tiny_checkpoint: Path) -> Tokenizer:
    return Tokenizer(tiny_checkpoint, 24)


def stored(data: Any, folder: Path, tokenizer: Tokenizer, **options: Any) -> Examples:
    columns = options.pop("texts", ("text",)), options.pop("labels", ("label",))
    missing = options.pop("missing", "drop")
    table = open_table(data, "data", whole=False, **options)
    return TokenStore(folder, tokenizer, verbose=0).read(table, *columns, missing)


def count_tokenised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that grows by the number of texts at each call of the tokenizer."""
    counts: list[int] = []
    encode = Tokenizer.encode

    def counted(self: Tokenizer, texts: Any, **options: Any) -> Any:
        counts.append(len(texts))
        return encode(self, texts, **options)

    monkeypatch.setattr(Tokenizer, "encode", counted)
    return counts


# ------------------------------------------------------------------ the same as from memory


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_tokens": 64, "val_pct": 0.3},
        {"label_columns": "number", "task": "regression"},
        {"text_column": ["text", "label"], "label_columns": "number", "task": "regression"},
        {"window": 8, "stride": 2},
    ],
)
def test_a_learner_from_disk_is_the_one_from_memory(
    make: Make, data: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    plain, disk = make(data, **options), make(data, cache_folder=tmp_path / "t", **options)
    for one, other in ((plain.train_data, disk.train_data), (plain.val_data, disk.val_data)):
        assert list(other.items) == list(one.items)
        np.testing.assert_array_equal(other.rows, one.rows)
        np.testing.assert_array_equal(other.targets, one.targets)
        np.testing.assert_array_equal(other.lengths, one.lengths)
        rows = np.random.default_rng(0).permutation(len(one))[:9]
        for (a, y), (b, z) in [(one.examples(rows, (0,)), other.examples(rows, (0,)))]:
            np.testing.assert_array_equal(y, z)
            for name in a:
                np.testing.assert_array_equal(b[name], a[name])
    assert all(
        np.array_equal(a, b) for a, b in zip(plain._train.plan(3), disk._train.plan(3), strict=True)
    )


def test_the_whole_workflow_runs_from_disk(
    make: Make, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="ktlite")
    plain, disk = make(data), make(data, cache_folder=tmp_path / "t")
    histories = [
        learner.fit_onecycle(0.02, 3, class_weight="balanced", verbose=0).history
        for learner in (plain, disk)
    ]
    assert histories[0] == histories[1]
    np.testing.assert_array_equal(plain.validate(), disk.validate())
    disk.view_top_losses(n=1)
    number = disk.top_losses(n=1)[0][0]
    assert disk.val_data.items[number] in caplog.text
    assert disk.get_predictor().predict(["m n o"]) == plain.get_predictor().predict(["m n o"])


@pytest.mark.parametrize("kind", ["frame", "csv", "jsonl", "gb18030"])
def test_every_table_gives_its_texts_and_labels(
    tmp_path: Path, tokenizer: Tokenizer, kind: str
) -> None:
    texts = [f"{text} 文字\n“{i}”" for i, text in enumerate(TEXTS)]
    frame = FRAME.assign(text=texts)
    path = tmp_path / f"x.{kind}"
    if kind == "jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        frame.to_csv(path, index=False, encoding="gb18030" if kind == "gb18030" else "utf-8")
    raw = stored(frame if kind == "frame" else path, tmp_path / "t", tokenizer)
    assert list(raw.items) == texts
    assert raw.labels.tolist() == LABELS
    assert raw.encodings is not None
    expected = tokenizer.encode(texts)
    np.testing.assert_array_equal(raw.encodings.ids, expected.ids)
    np.testing.assert_array_equal(raw.encodings.offsets, expected.offsets)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3] * 10, [1, 2, 3] * 10),
        ([1, 2, 3] * 10 + [0.5], [1.0, 2.0, 3.0] * 10 + [0.5]),
        (["1", "2"] * 20 + ["01"], ["1", "2"] * 20 + ["01"]),
        (["a", "NA"] * 10, ["a", "NA"] * 10),
        ([True, False] * 10, ["True", "False"] * 10),
    ],
)
def test_labels_of_all_blocks_are_of_one_type(
    tmp_path: Path, tokenizer: Tokenizer, values: list[Any], expected: list[Any]
) -> None:
    path = tmp_path / "x.csv"
    pd.DataFrame({"text": "a", "label": values}).to_csv(path, index=False)
    raw = stored(path, tmp_path / "t", tokenizer)
    assert raw.labels.tolist() == expected
    assert list(map(type, raw.labels.tolist())) == list(map(type, expected))


@pytest.mark.parametrize(
    "late",
    [
        ["a,x"],
        ["a,NA", "a,x"],
        [",x"],  # of a row that is left out
        ["a,True"],
        ["a,0.5"],
        ["a,1,2", "a,3"],  # too long: does not decide
        ["a,NA"],
    ],
)
@pytest.mark.parametrize("early", ["01", "1", "true", "NA"])
def test_a_file_read_in_parts_has_the_labels_of_the_whole_one(
    tmp_path: Path, tokenizer: Tokenizer, early: str, late: list[str]
) -> None:
    path = tmp_path / "x.csv"
    rows = ["text,label", *[f"b,{early}"] * 40, *[f"c,{early}"] * 2, *late, "d,1"]
    path.write_text("\n".join(rows))
    whole = read_table_texts(open_table(path, "data"), ("text",), ("label",), "drop")
    raw = stored(path, tmp_path / "t", tokenizer)
    assert list(raw.items) == list(whole.items)
    assert raw.labels.tolist() == whole.labels.tolist()
    assert list(map(type, raw.labels.tolist())) == list(map(type, whole.labels.tolist()))


def test_labels_that_change_their_type_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    frame = pd.DataFrame({"text": "a", "label": [*range(40), "x"]})
    with pytest.raises(DataError, match="expected all str, all integers or all floats"):
        stored(frame, tmp_path / "t", tokenizer)
    assert list((tmp_path / "t").iterdir()) == []


def test_rows_without_text_or_label_are_left_out_and_counted(
    tmp_path: Path, tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    frame = FRAME.assign(text=[None if i % 10 == 9 else t for i, t in enumerate(TEXTS)])
    for _ in range(2):  # made, and found
        caplog.clear()
        raw = stored(frame, tmp_path / "t", tokenizer)
        assert raw.rows.tolist() == [i for i in range(48) if i % 10 != 9]
        assert "left out 4 of 48 rows" in caplog.text
        assert "(rows 9, 19, 29, 39)" in caplog.text
    with pytest.raises(DataError, match="1 of 14 rows cannot be used"):
        stored(frame, tmp_path / "t", tokenizer, missing="error")  # at once, not at the end


# ------------------------------------------------------------------ made once


def test_the_second_call_finds_the_tokens(
    make: Make, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_tokenised(monkeypatch)
    make(data, cache_folder=tmp_path / "t")
    assert sum(counts) == len(TEXTS)
    make(data, cache_folder=tmp_path / "t", seed=7, val_pct=0.3, batch_size=4)
    assert sum(counts) == len(TEXTS)
    assert len(list((tmp_path / "t").iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    ["content", "maxlen", "columns", "missing", "window", "names"],
)
def test_what_has_changed_is_made_anew(
    data: Path,
    tmp_path: Path,
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    tokenizer = Tokenizer(tiny_checkpoint, 24)
    stored(data, tmp_path / "t", tokenizer)
    counts = count_tokenised(monkeypatch)
    options: dict[str, Any] = {}
    if change == "content":
        FRAME.assign(text="another").to_csv(data, index=False)
    elif change == "maxlen":
        tokenizer = Tokenizer(tiny_checkpoint, 12)
    elif change == "window":
        tokenizer = Tokenizer(tiny_checkpoint, 24, 6)
    elif change == "columns":
        options["labels"] = ("number",)
    elif change == "missing":
        options["missing"] = "error"
    else:
        options["names"] = ["text", "label", "number"]
    raw = stored(data, tmp_path / "t", tokenizer, **options)
    assert sum(counts) == 48 + (change == "names")
    if change == "content":
        assert set(raw.items) == {"another"}
        assert len(list((tmp_path / "t").iterdir())) == 1  # in place of the old


def test_another_tokenizer_makes_other_tokens(
    data: Path, tmp_path: Path, tiny_checkpoint: Path, golden: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny_checkpoint.iterdir():
        if file.suffix == ".json":
            (other / file.name).write_bytes(file.read_bytes())
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(
        text.replace('"lowercase": true', '"lowercase": false') + " "
    )
    for folder in (tiny_checkpoint, other):
        stored(data, tmp_path / "t", Tokenizer(folder, 24))
    assert len(list((tmp_path / "t").iterdir())) == 2


def test_a_frame_that_has_changed_is_seen(tmp_path: Path, tokenizer: Tokenizer) -> None:
    stored(FRAME, tmp_path / "t", tokenizer)
    changed = FRAME.copy()
    changed.loc[3, "text"] = "b"
    assert stored(changed, tmp_path / "t", tokenizer).items[3] == "b"
    assert stored(FRAME, tmp_path / "t", tokenizer).items[3] == TEXTS[3]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["1", "2"], [1, 2]),
        (["None", "a"], [None, "a"]),
        (["nan", "a"], [float("nan"), "a"]),
        (pd.array(["<NA>", "a"], "string"), pd.array([None, "a"], "string")),
    ],
)
def test_values_of_another_type_are_other_values(before: Any, after: Any) -> None:
    states = [FrameTable(pd.DataFrame({"x": v}), "").state(("x",)) for v in (before, after)]
    assert states[0] != states[1]
    assert FrameTable(pd.DataFrame({"x": after}), "").state(("x",)) == states[1]


# ------------------------------------------------------------------ whole or not at all


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_an_interrupted_preparation_leaves_nothing(
    data: Path,
    tmp_path: Path,
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    encode = Tokenizer.encode
    calls = []

    def failing(self: Tokenizer, texts: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise error
        return encode(self, texts, **options)

    monkeypatch.setattr(Tokenizer, "encode", failing)
    expected = DataError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        stored(data, tmp_path / "t", tokenizer)
    assert list((tmp_path / "t").iterdir()) == []
    if expected is DataError:
        assert "GiB are free" in str(caught.value)
    assert list(stored(data, tmp_path / "t", tokenizer).items) == TEXTS


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_named(
    data: Path, tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        return Path("/dev/full").open("wb")

    monkeypatch.setattr("ktlite.data.array_files.open", full, raising=False)
    with pytest.raises(DataError, match="No space left on device. .* GiB are free"):
        stored(data, tmp_path / "t", tokenizer)
    assert list((tmp_path / "t").iterdir()) == []


def test_a_source_that_changes_meanwhile_is_refused(
    data: Path, tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Tokenizer.encode

    def growing(self: Tokenizer, texts: Any, **options: Any) -> Any:
        with data.open("a") as file:
            file.write("more,ham,1\n")
        return encode(self, texts, **options)

    monkeypatch.setattr(Tokenizer, "encode", growing)
    with pytest.raises(DataError, match="mail.csv has changed while it was read"):
        stored(data, tmp_path / "t", tokenizer)


def test_a_foreign_folder_is_not_replaced(data: Path, tmp_path: Path, tokenizer: Tokenizer) -> None:
    stored(data, tmp_path / "t", tokenizer)
    (place,) = (tmp_path / "t").iterdir()
    (place / "tokens.json").unlink()
    with pytest.raises(ArgumentError, match="ktlite did not write"):
        stored(data, tmp_path / "t", tokenizer)


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        ((TEXTS, LABELS), {}, "cache_folder= keeps the tokens of a file"),
        ("x.conll", {"task": "token-classification"}, "cache_folder= goes with tasks"),
        ("x.json", {"task": "question-answering"}, "cache_folder= goes with tasks"),
        ("x.csv", {"task": "sentence-similarity"}, "cache_folder= goes with tasks"),
    ],
)
def test_data_that_cannot_be_kept_is_refused(
    make: Make, tmp_path: Path, train: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        make(train, cache_folder=tmp_path / "t", **options)


# ------------------------------------------------------------------ texts that stay in a file


def test_stored_texts_are_a_sequence() -> None:
    parts = ["", "a", "文字", "x" * 300, "é"]
    content = np.frombuffer("".join(parts).encode(), "uint8")
    ends = np.cumsum([len(part.encode()) for part in parts])
    texts = StoredTexts(content, ends)
    assert list(texts) == parts
    assert [texts[i] for i in range(-5, 5)] == parts * 2
    assert texts[1:4:2] == parts[1:4:2]
    assert list(texts.take(np.array([4, 0, 4]))) == ["é", "", "é"]
    assert list(texts.take(np.array([3, 1])).take(np.array([1]))) == ["a"]
    with pytest.raises(IndexError):
        texts[5]
    assert list(StoredTexts(content, ends[:4], 2)) == [("", "a"), ("文字", "x" * 300)]
