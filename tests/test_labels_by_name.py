"""Labels that carry names are compared by name: of heads and data, of two data sets."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite import text
from ktlite._labels import label_names, matched
from ktlite.data.named_labels import encode_labels
from ktlite.data.readers import read_arrays, read_frame
from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.learner import Learner
from ktlite.models import from_pretrained
from ktlite.sklearn import TextClassifier
from ktlite.tasks import Classification, MultiLabel, Regression, TokenClassification

FAMILIES = ["albert", "bert-gelu", "deberta", "distilbert", "electra", "modernbert", "mpnet",
            "roberta"]  # fmt: skip
STORED = ["sad", "Glad", "mad"]  # in the checkpoint's order
TEXTS = ["a b c", "x y z", "a c", "z z y", "c c", "y x"] * 2
LABELS = ["glad", "mad", "sad"] * 4  # of these, the head's rows are 1, 2, 0
ORDER = [1, 2, 0]
INPUTS = {"input_ids": np.array([[2, 9, 11, 3], [2, 40, 3, 0]]),
          "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]])}  # fmt: skip

Make = Callable[..., Path]


@pytest.fixture
def checkpoint(golden: Path, tmp_path: Path) -> Make:
    """Makes a tiny checkpoint whose config.json names its labels."""

    def make(labels: Sequence[Any] | None = STORED, name: str = "bert-gelu") -> Path:
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(golden / "tiny-tokenizer", folder)
        shutil.copy(golden / name / "model.safetensors", folder)
        config = json.loads((golden / name / "config.json").read_text())
        config.pop("label2id", None)
        if labels is not None:
            # As sorted JSON has it, and old files: not in the order of the numbers.
            config["id2label"] = {str(i): labels[i] for i in reversed(range(len(labels)))}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return make


def learner_of(folder: Path, labels: Any = LABELS, **options: Any) -> Learner:
    return ktlite.get_learner(
        folder, (TEXTS, labels), **{"maxlen": 16, "batch_size": 4, "verbose": 0, **options}
    )


def outputs(model: Any, folder: Path, order: Sequence[int] = ORDER) -> tuple[Any, Any]:
    """Returns a model's outputs, and those of the checkpoint as it stands, in another order."""
    as_stored = np.asarray(from_pretrained(folder, model.task_name)(INPUTS))
    return np.asarray(model(INPUTS)), as_stored[..., list(order)]


def same(found: tuple[Any, Any]) -> bool:
    return np.allclose(*found, atol=1e-5)


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("first", "second", "order", "named"),
    [
        (["bad", "good"], ["good", "bad"], (1, 0), True),
        (["bad", "good"], ["Good", " BAD"], (1, 0), True),
        ([0, 1], ["0", "1"], (0, 1), False),
        ([0, 1], ["1", "0"], (1, 0), False),
        ([1, 5], ["5", "1"], (1, 0), True),
        ([True, False], ["False", "True"], (1, 0), True),
        (["caf\u00e9", "tea"], ["tea", "cafe\u0301"], (1, 0), True),
        (["a", "A"], ["A", "a"], (1, 0), True),
        (["a", "A"], ["b", "B"], None, True),
        (["a", "b"], ["a", "c"], None, True),
        (["a", "b"], ["a", "b", "c"], None, True),
        (["a", "b"], ["LABEL_0", "LABEL_1"], None, False),
        (["a", "b"], [0, 1], None, False),
        (["a", "b"], [], None, False),
        ([], [], (), False),
    ],
)
def test_labels_are_matched(first: Any, second: Any, order: Any, named: bool) -> None:
    found = matched(first, second)
    assert (found.order, found.named) == (order, named)
    assert found.differ == (named and order is None)


def test_names_of_a_config_are_read_in_the_order_of_their_numbers() -> None:
    many = [f"c{i}" for i in range(12)]
    fields = Classification(many).hf_config()
    written = json.loads(json.dumps(fields, sort_keys=True))  # 0, 1, 10, 11, 2, ...
    assert label_names(written) == many
    assert label_names({"id2label": {0: "a", 2: "b"}}) == label_names({}) == label_names(None) == []


@pytest.mark.parametrize(
    "classes", [[3, 7], ["yes", "no"], [False, True], ["\u00e9t\u00e9", "hiver"], ["", " x"]]
)
def test_what_is_written_is_read_again(classes: Any, checkpoint: Make, tmp_path: Path) -> None:
    model = from_pretrained(checkpoint(None), "text-classification", labels=classes)
    model.save_pretrained(tmp_path / "saved")
    again = from_pretrained(tmp_path / "saved", "text-classification", labels=classes[::-1])
    assert same(outputs(again, tmp_path / "saved", [1, 0]))
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert label_names(config) == [str(label) for label in classes]
    assert config["label2id"] == {str(label): i for i, label in enumerate(classes)}


# ---------------------------------------------------------------------- a head and data


@pytest.mark.parametrize("name", [*FAMILIES, "bert-token", "roberta-token", "modernbert-token"])
def test_rows_of_every_head_go_by_name(name: str, checkpoint: Make, golden: Path) -> None:
    task = "token-classification" if name.endswith("token") else "text-classification"
    count = len(json.loads((golden / name / "config.json").read_text())["id2label"])
    stored = [f"label {i}" for i in range(count)]
    order = list(np.roll(range(count), 1))
    folder = checkpoint(stored, name)
    model = from_pretrained(folder, task, labels=[stored[i] for i in order])
    assert same(outputs(model, folder, order))
    assert label_names(model.hf_config()) == [stored[i] for i in order]


def entry_points() -> dict[str, Callable[[Path], Any]]:
    def transformer(folder: Path) -> Any:
        t = text.Transformer(folder, maxlen=16)
        t.preprocess_train(TEXTS, LABELS, verbose=0)
        return t.get_classifier()

    def from_another_folder(folder: Path) -> Any:
        t = text.Transformer(folder, maxlen=16)
        t.preprocess_train(TEXTS, LABELS, verbose=0)
        return t.get_classifier(folder)

    def classifier(folder: Path) -> Any:
        data, _, preproc = text.texts_from_array(
            TEXTS, LABELS, preprocess_mode=folder, maxlen=16, verbose=0
        )
        return text.text_classifier(folder, data, preproc, verbose=0)

    def named_numbers(folder: Path) -> Any:
        numbers = [["glad", "mad", "sad"].index(label) for label in LABELS]
        return learner_of(folder, numbers, class_names=["glad", "mad", "sad"]).model

    def multilabel(folder: Path) -> Any:
        frame = pd.DataFrame(np.eye(3, dtype=int)[[0, 1, 2] * 4] | [[0, 0, 1]],
                             columns=["glad", "mad", "sad"])  # fmt: skip
        frame["text"] = TEXTS
        columns = {"text_column": "text", "label_columns": ["glad", "mad", "sad"]}
        return ktlite.get_learner(folder, frame, maxlen=16, verbose=0, **columns).model

    def regression(folder: Path) -> Any:
        frame = pd.DataFrame(np.arange(36.0).reshape(12, 3), columns=["glad", "mad", "sad"])
        frame["text"] = TEXTS
        columns = {"text_column": "text", "label_columns": ["glad", "mad", "sad"]}
        return ktlite.get_learner(
            folder, frame, task="regression", maxlen=16, verbose=0, **columns
        ).model

    def pairs(folder: Path) -> Any:
        both = [(one, one) for one in TEXTS]
        return ktlite.get_learner(folder, (both, LABELS), maxlen=16, verbose=0).model

    def estimator(folder: Path) -> Any:
        fitted = TextClassifier(folder, lr=1e-12, epochs=1, maxlen=16, weight_decay=0.0)
        return fitted.fit(TEXTS, LABELS).predictor_.model

    return {
        "get_learner": lambda folder: learner_of(folder).model,
        "Transformer": transformer,
        "get_classifier(fpath)": from_another_folder,
        "text_classifier": classifier,
        "class_names": named_numbers,
        "multilabel": multilabel,
        "regression": regression,
        "pairs": pairs,
        "scikit-learn": estimator,
        "lora": lambda folder: learner_of(folder, lora=2).model,
        "load_model": lambda folder: ktlite.load_model(folder, labels=["glad", "mad", "sad"]),
        "config=": lambda folder: ktlite.load_model(
            folder, config={"id2label": {0: "glad", 1: "mad", 2: "sad"}}
        ),
    }


@pytest.mark.parametrize("entry", entry_points())
def test_every_way_in_puts_rows_in_order_by_name(entry: str, checkpoint: Make) -> None:
    folder = checkpoint()
    model = entry_points()[entry](folder)
    if entry == "regression":  # its rows are in the targets' units, which are another matter
        kernel = from_pretrained(folder, "text-classification").head.classifier.kernel
        ratio = np.asarray(model.head.classifier.kernel) / np.asarray(kernel)[:, ORDER]
        assert np.allclose(ratio, ratio[0], rtol=1e-4)
    else:
        assert same(outputs(model, folder))
    assert [name.lower() for name in label_names(model.hf_config())] == ["glad", "mad", "sad"]


def test_a_tagger_goes_by_tag(checkpoint: Make, golden: Path) -> None:
    count = len(json.loads((golden / "bert-token" / "config.json").read_text())["id2label"])
    stored = [f"tag{i}" for i in reversed(range(count))]
    folder = checkpoint(stored, "bert-token")
    words, tags = [["a", "b"]] * 8, [[stored[i % count], stored[(i + 1) % count]] for i in range(8)]
    preproc = text.Transformer(folder, 16, task=TokenClassification(sorted(stored)))
    preproc.preprocess_train(words, tags, verbose=0)
    model = text.sequence_tagger(folder, preproc)
    order = [stored.index(tag) for tag in sorted(stored)]
    assert same(outputs(model, folder, order))


def test_other_names_make_a_new_head_and_one_line(
    checkpoint: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folder = checkpoint()
    with caplog.at_level(logging.INFO, "ktlite"):
        model = learner_of(folder, ["ham", "spam", "toast"] * 4).model
    assert not same(outputs(model, folder, [0, 1, 2]))
    (line,) = [r.getMessage() for r in caplog.records if "head" in r.getMessage()]
    assert "the checkpoint's labels are sad, Glad, mad, those asked for ham, spam, toast" in line
    assert "new, and in need of training" in line
    # The rest of the head is the checkpoint's.
    stored = from_pretrained(folder, "text-classification")
    np.testing.assert_array_equal(model.head.dense.kernel, stored.head.dense.kernel)


def test_some_of_the_names_make_a_new_head_unless_all_are_named(
    checkpoint: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folder = checkpoint()
    learner = learner_of(folder, ["glad", "mad"] * 6)
    assert learner.model.num_labels == 2
    assert "name them all in class_names= to keep its head" in caplog.text
    kept = learner_of(folder, ["glad", "mad"] * 6, class_names=["glad", "mad", "sad"])
    assert same(outputs(kept.model, folder))


@pytest.mark.parametrize(
    ("stored", "labels", "says"),
    [
        (["LABEL_0", "LABEL_1", "LABEL_2"], LABELS, "have no names"),
        (None, LABELS, "have no names"),
        (STORED, [0, 1, 2] * 4, "taken for them in this order"),
        (["0", "1", "2"], [0, 1, 2] * 4, ""),
        (["0", "1", "2"], ["0", "1", "2"] * 4, ""),
    ],
)
def test_labels_without_names_are_taken_in_their_order(
    stored: Any, labels: Any, says: str, checkpoint: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folder = checkpoint(stored)
    with caplog.at_level(logging.INFO, "ktlite"):
        model = learner_of(folder, labels).model
    assert same(outputs(model, folder, [0, 1, 2]))
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("head")]
    assert [says in line for line in lines] == ([True] if says else [])


def test_a_predictor_is_continued_on_data_in_another_order(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    first = learner_of(tiny_checkpoint, class_names=["sad", "mad", "glad"])
    first.get_predictor().save(tmp_path / "first")
    again = learner_of(tmp_path / "first").get_predictor()
    assert again.get_classes() == ["glad", "mad", "sad"]
    before = first.get_predictor().predict_proba(TEXTS)
    np.testing.assert_allclose(again.predict_proba(TEXTS), before[:, ::-1], atol=1e-5)
    again.save(tmp_path / "again")
    loaded = ktlite.load_predictor(tmp_path / "again")
    np.testing.assert_allclose(loaded.predict_proba(TEXTS), before[:, ::-1], atol=1e-5)
    for name in ("first", "again"):
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert label_names(config) == ktlite.load_predictor(tmp_path / name).get_classes()


def test_weights_that_are_loaded_go_by_name(checkpoint: Make, tmp_path: Path) -> None:
    folder = checkpoint()
    learner_of(folder).save_model(tmp_path / "saved")
    other = learner_of(folder, class_names=["sad", "glad", "mad"])
    other.load_model(tmp_path / "saved")
    assert same(outputs(other.model, folder, [0, 1, 2]))
    strange = learner_of(folder, ["x", "y", "z"] * 4)
    with pytest.raises(CheckpointError, match="labels are glad, mad, sad, those asked for x, y, z"):
        strange.load_model(tmp_path / "saved")


def test_baselines_go_by_name(tmp_path: Path) -> None:
    train, _, preproc = text.texts_from_array(TEXTS, LABELS, maxlen=16, verbose=0)
    for name in ("nbsvm", "fasttext"):
        model = text.text_classifier(name, train, preproc, verbose=0)
        model.save_pretrained(tmp_path / name)
        labels = ["sad", "glad", "mad"]
        moved = from_pretrained(tmp_path / name, "text-classification", labels=labels)
        inputs = train.inputs(np.arange(6))
        expected = np.asarray(model(inputs))[:, [2, 0, 1]]
        np.testing.assert_allclose(np.asarray(moved(inputs)), expected, atol=1e-5)


def test_adapters_keep_the_names_of_their_head(checkpoint: Make, tmp_path: Path) -> None:
    folder = checkpoint(None)
    learner = learner_of(folder, lora=2)
    learner.save_adapters(tmp_path / "adapters")
    as_saved = np.asarray(learner.model(INPUTS))
    again = ktlite.load_model(folder, adapters=tmp_path / "adapters")
    np.testing.assert_allclose(np.asarray(again(INPUTS)), as_saved, atol=1e-5)
    assert label_names(again.hf_config()) == ["glad", "mad", "sad"]
    labels = ["mad", "sad", "glad"]
    moved = ktlite.load_model(folder, adapters=tmp_path / "adapters", labels=labels)
    np.testing.assert_allclose(np.asarray(moved(INPUTS)), as_saved[:, [1, 2, 0]], atol=1e-5)


def test_wrong_labels_are_refused_together(checkpoint: Make) -> None:
    with pytest.raises(ArgumentError, match=r"(?s)labels='ab'.*num_labels=3, but 0 labels"):
        ktlite.load_model(checkpoint(), labels="ab", num_labels=3)
    with pytest.raises(ArgumentError, match="each once"):
        ktlite.load_model(checkpoint(), labels=["a", "a"])


def test_config_renames_rows_and_asks_for_so_many(checkpoint: Make) -> None:
    folder = checkpoint()
    model = ktlite.load_model(folder, config={"id2label": {0: "x", 1: "y", 2: "z"}})
    assert same(outputs(model, folder, [0, 1, 2]))
    assert model.hf_config()["label2id"] == {"x": 0, "y": 1, "z": 2}
    assert ktlite.load_model(folder, config={"num_labels": 5}).num_labels == 5


# ---------------------------------------------------------------------- a model and data


def test_a_model_in_another_order_than_its_data_is_refused(checkpoint: Make) -> None:
    model = ktlite.load_model(checkpoint())
    t = text.Transformer(checkpoint(), maxlen=16)
    train = t.preprocess_train(TEXTS, LABELS, verbose=0)
    with pytest.raises(ArgumentError, match="the same in another order"):
        Learner(model, train)
    with pytest.raises(ArgumentError, match="the same in another order"):
        ktlite.get_predictor(model, t)
    fitting = ktlite.load_model(t.folder, labels=t.get_classes())
    assert Learner(fitting, train).get_predictor().get_classes() == ["glad", "mad", "sad"]


# ---------------------------------------------------------------------- data and data

FRAME = pd.DataFrame({"text": ["a", "b", "c"], "x": [1, 0, 0], "y": [0, 1, 0], "z": [0, 1, 1]})
MATRIX = [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("task", [MultiLabel(["x", "y", "z"]), Regression(["x", "y", "z"])])
def test_columns_of_labels_go_by_name(task: Any, caplog: pytest.LogCaptureFixture) -> None:
    turned = read_frame(FRAME, "text", ["z", "x", "y"])
    assert encode_labels(task, turned).tolist() == MATRIX
    assert encode_labels(task, read_arrays(["a", "b", "c"], FRAME[["y", "z", "x"]])).tolist() == (
        MATRIX
    )
    # Names that have nothing to do with each other are other names for the same columns.
    others = FRAME.rename(columns={"x": "is x", "y": "is y", "z": "is z"})
    caplog.set_level(logging.INFO)
    assert encode_labels(task, read_frame(others, "text", ["is x", "is y", "is z"])).tolist() == (
        MATRIX
    )
    assert "its labels are is x, is y, is z; taken for x, y, z, in this order" in caplog.text
    with pytest.raises(DataError, match="they differ in w"):
        encode_labels(task, read_frame(FRAME.rename(columns={"z": "w"}), "text", ["x", "y", "w"]))


def test_names_of_columns_go_before_the_order_of_class_names(tiny_checkpoint: Path) -> None:
    names = {"class_names": ["z", "y", "x"], "text_column": "text", "val_pct": 0.4}
    frame = pd.concat([FRAME] * 4)
    learner = ktlite.get_learner(
        tiny_checkpoint, frame, label_columns=["x", "y", "z"], maxlen=16, verbose=0, **names
    )
    known = {tuple(row) for row in learner.train_data.targets.astype(int).tolist()}
    assert known <= {tuple(row[::-1]) for row in MATRIX} and len(known) > 1


@pytest.mark.parametrize("other", ["multilabel", "one-hot", "classes", "tags"])
def test_validation_data_of_another_preprocessor_goes_by_name(
    other: str, tiny_checkpoint: Path
) -> None:
    """Its classes are numbered in another order, and the figures are the same."""
    matrix = np.array(MATRIX * 4)
    if other == "one-hot":
        matrix = np.eye(3, dtype=int)[[0, 1, 2] * 4]
    turn = [2, 0, 1]
    task: Any = None
    data: list[tuple[Any, Any, Any]]
    names = np.array(["x", "y", "z"])
    if other == "tags":
        tags = [["A", "B"], ["B", "A"]] * 6
        both = [TokenClassification(["A", "B"]), TokenClassification(["B", "A"])]
        data = [([t.split()[:2] for t in ["a b", "b c"] * 6], tags, task) for task in both]
        preprocs = [text.Transformer(tiny_checkpoint, 16, task=one) for one in both]
    else:
        ys = [matrix, matrix[:, turn]]
        if other == "classes":
            ys = [list(names[[0, 1, 2] * 4])] * 2
        data = [(TEXTS, y, task) for y in ys]
        orders = [names, names[turn]]
        preprocs = [text.Transformer(tiny_checkpoint, 16, class_names=list(o)) for o in orders]
    made = [
        p.preprocess_train(x, y, verbose=0) for p, (x, y, _) in zip(preprocs, data, strict=True)
    ]
    assert not np.array_equal(made[0].targets[0], made[1].targets[0])
    learner = Learner(preprocs[0].get_classifier(), made[0], made[1], check=False)
    assert learner.metrics() == pytest.approx(learner.metrics(made[0]))
    assert learner.metrics(made[1]) == pytest.approx(learner.metrics(made[0]))


def test_validation_data_of_other_classes_is_refused(tiny_checkpoint: Path) -> None:
    t = text.Transformer(tiny_checkpoint, 16)
    train = t.preprocess_train(TEXTS, LABELS, verbose=0)
    model = t.get_classifier()
    val = t.preprocess_train(TEXTS[:2], ["glad", "sad"], verbose=0)  # ktrain's: preprocess_test
    with pytest.raises(ArgumentError, match="preprocess_test for all other"):
        ktlite.get_learner(model, train_data=train, val_data=val)


def test_predictors_are_compared_whatever_order_their_labels_have(tiny_checkpoint: Path) -> None:
    first, second = (
        learner_of(tiny_checkpoint, class_names=names).get_predictor()
        for names in (["glad", "mad", "sad"], ["sad", "mad", "glad"])
    )
    found = ktlite.compare_predictors(first, second, (TEXTS, LABELS))
    truth = np.array(LABELS)
    assert found.a == np.mean(np.array(first.predict(TEXTS)) == truth)
    assert found.b == np.mean(np.array(second.predict(TEXTS)) == truth)
