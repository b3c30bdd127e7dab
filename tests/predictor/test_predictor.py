"""From raw texts to predictions; a folder that says the same wherever it is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax
from transformers import AutoTokenizer

from ktlite import storage
from ktlite.errors import ArgumentError, CheckpointError, DataError, PredictorError
from ktlite.models import from_pretrained
from ktlite.predictor import Predictor, load_predictor
from ktlite.text import Transformer

ROOT = Path(__file__).parents[2]
LABELS: dict[str, list[Any]] = {
    "classification": ["pos", "neg", "so-so"],
    "integers": [3, 42, 7],
    "multilabel": [[1, 0], [1, 1], [0, 1]],
    "regression": [0.5, -1.5, 2.0],
}
TEXTS = [
    "The film was great!",
    "房间很好，但是不便宜。",
    "",
    "bad",
    "not very good, and very long " * 9,
    "a movie: 3 (or 4?)",
]
PAIRS = [("good film", "bad movie"), ("the room", "very " * 30), ("", "")]


def make(checkpoint: Path, labels: list[Any], **options: Any) -> Predictor:
    """A predictor whose head is as random as its other weights: trained ones are like that."""
    task = "regression" if isinstance(labels[0], float) else None
    t = Transformer(checkpoint, maxlen=24, task=task)
    t.preprocess_train(["a", "b", "c"], labels, verbose=0)
    t.pairs = None  # as of an older version, which takes both: tests/test_pairs.py has the new
    model = t.get_classifier(**options)
    classifier = model.head.classifier
    random = np.random.default_rng(5)
    classifier.kernel.assign(random.normal(0, 0.5, classifier.kernel.shape))
    classifier.bias.assign(random.normal(0, 0.5, classifier.bias.shape))
    return Predictor(model, t)


@pytest.fixture(scope="module")
def predictors(tiny_checkpoint: Path) -> dict[str, Predictor]:
    """One of each task. Do not change."""
    return {name: make(tiny_checkpoint, labels) for name, labels in LABELS.items()}


@pytest.fixture(scope="module")
def saved(predictors: dict[str, Predictor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the saved predictors, by name. Do not write here."""
    top = tmp_path_factory.mktemp("predictors")
    for name, predictor in predictors.items():
        predictor.save(top / name)
    return top


@pytest.fixture
def predictor(predictors: dict[str, Predictor]) -> Predictor:
    return predictors["classification"]


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of a saved predictor, to damage."""
    return Path(shutil.copytree(saved / "classification", tmp_path / "my-predictor"))


def one_by_one(predictor: Predictor, texts: list[Any]) -> np.ndarray:
    """The logits of each text alone, from the model itself: no batching, no trace, no padding."""
    rows = []
    for text in texts:
        encodings = predictor.preproc.encode([text])
        types = encodings.type_ids
        inputs = {
            "input_ids": encodings.ids[None],
            "token_type_ids": np.zeros_like(encodings.ids)[None] if types is None else types[None],
        }
        inputs["attention_mask"] = np.ones_like(encodings.ids)[None]
        rows.append(keras.ops.convert_to_numpy(predictor.model(inputs))[0])
    return np.stack(rows)


def assert_same(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal, but for the last bits: sums may be taken in another order in another process."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-6)


# Predictions


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_logits_are_the_models_for_each_text(
    predictors: dict[str, Predictor], name: str, texts: list[Any]
) -> None:
    logits = predictors[name].logits(texts)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, one_by_one(predictors[name], texts), atol=1e-5)


@pytest.mark.parametrize("name", ["classification", "integers"])
def test_text_gives_its_label_and_a_list_gives_a_list(
    predictors: dict[str, Predictor], name: str
) -> None:
    predictor, classes = predictors[name], sorted(LABELS[name])
    assert predictor.get_classes() == classes
    expected = [classes[i] for i in one_by_one(predictor, TEXTS).argmax(axis=1)]
    assert len(set(expected)) > 1  # A model that always says the same proves nothing.
    assert predictor.predict(TEXTS) == expected
    assert predictor.predict(TEXTS[0]) == expected[0]
    assert predictor.predict(TEXTS[:1]) == expected[:1]
    assert type(predictor.predict(TEXTS[0])) is type(classes[0])


def test_pair_is_one_text_and_a_list_of_pairs_is_many(predictor: Predictor) -> None:
    many = predictor.predict(PAIRS)
    assert len(many) == 3
    assert predictor.predict(PAIRS[0]) == many[0]
    assert predictor.predict_proba(PAIRS[0]).shape == (3,)
    swapped = [(b, a) for a, b in PAIRS]
    assert not np.allclose(predictor.logits(PAIRS)[0], predictor.logits(swapped)[0])


def test_probabilities_are_softmax_or_sigmoid_of_the_logits(
    predictors: dict[str, Predictor],
) -> None:
    for name, function in (("classification", lambda x: softmax(x, axis=1)), ("multilabel", expit)):
        predictor = predictors[name]
        expected = function(one_by_one(predictor, TEXTS).astype("float64"))
        proba = predictor.predict_proba(TEXTS)
        assert proba.dtype == np.float32
        np.testing.assert_allclose(proba, expected, atol=1e-5)
        np.testing.assert_allclose(predictor.predict_proba(TEXTS[1]), expected[1], atol=1e-5)
        assert_same(predictor.predict(TEXTS, return_proba=True), proba)


def test_several_labels_come_with_their_probabilities(predictors: dict[str, Predictor]) -> None:
    predictor = predictors["multilabel"]
    proba = predictor.predict_proba(TEXTS)
    predictions = predictor.predict(TEXTS)
    assert [[name for name, _ in row] for row in predictions] == [[0, 1]] * len(TEXTS)
    np.testing.assert_allclose([[p for _, p in row] for row in predictions], proba, atol=1e-7)
    assert predictor.predict(TEXTS[0]) == predictor.predict(TEXTS[:1])[0]


def test_regression_gives_numbers(predictors: dict[str, Predictor]) -> None:
    predictor = predictors["regression"]
    predictions = predictor.predict(TEXTS)
    task = predictor.preproc.task
    in_their_units = one_by_one(predictor, TEXTS)[:, 0] * task.scale + task.mean
    np.testing.assert_allclose(predictions, in_their_units, atol=1e-5)
    assert {type(p) for p in predictions} == {float}
    assert type(predictor.predict("good")) is float
    assert predictor.get_classes() == []
    with pytest.raises(DataError, match="no probabilities"):
        predictor.predict_proba(TEXTS)


@pytest.mark.parametrize("name", LABELS)
def test_no_texts_give_no_predictions(predictors: dict[str, Predictor], name: str) -> None:
    assert predictors[name].predict([]) == []
    if name != "regression":
        shape = (0, len(predictors[name].get_classes()))
        assert predictors[name].predict_proba([]).shape == shape


@pytest.mark.parametrize(
    "container",
    [tuple, np.array, pd.Series, iter, lambda t: pd.Series(t, index=range(9, 15)), dict.fromkeys],
)
def test_texts_may_come_in_any_sequence(predictor: Predictor, container: Any) -> None:
    texts = container(TEXTS)
    texts = texts.keys() if isinstance(texts, dict) else texts
    assert predictor.predict(texts) == predictor.predict(TEXTS)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (3, "got int"),
        (None, "got NoneType"),
        (b"good", "got bytes"),
        ({"text": "good"}, "got dict"),
        (pd.DataFrame({"text": TEXTS}), "got DataFrame"),  # It iterates over its columns.
        (["good", None], "text 1 is None"),
        ([["good", "bad"]], "text 0 is .*a tuple of two strings for a pair"),
        (("good", 3), "text 1 is 3"),
    ],
)
def test_texts_of_another_kind_are_refused(predictor: Predictor, texts: Any, message: str) -> None:
    for ask in (predictor.predict, predictor.predict_proba):
        with pytest.raises(DataError, match=message):
            ask(texts)


def test_of_a_table_it_asks_for_the_column(predictor: Predictor) -> None:
    frame = pd.DataFrame({"stars": [1, 2], "review": ["good", "bad"], "title": ["a", "b"]})
    other = Predictor(predictor.model, predictor.preproc)
    for column, hint in (
        (None, "data['stars']"),
        ("review", "data['review']"),
        (["title", "review"], "list(zip(data['title'], data['review']))"),
    ):
        other.preproc.reading = {"text_column": column}
        for call in (other.predict, other.predict_proba, other.predict_stream, other.explain):
            with pytest.raises(DataError) as error:
                call(frame)
            assert "DataFrame with the columns stars, review, title" in str(error.value)
            assert str(error.value).endswith(f"such as {hint}.")
    assert other.predict(frame["review"]) == other.predict(["good", "bad"])


def test_name_of_a_file_is_a_text_and_that_is_said(
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    without = predictor.predict("test.csv")
    assert caplog.text == ""
    Path("test.csv").write_text("text\ngood\n")
    for call in (predictor.predict, predictor.predict_proba):
        caplog.clear()
        call("test.csv")
        assert "'test.csv' is taken for a text, though there is a file of that name" in caplog.text
    assert predictor.predict("test.csv") == without
    caplog.clear()
    predictor.predict(["test.csv"])  # as a service gives its users' texts, which name no files
    assert caplog.text == ""


def test_batch_size_changes_nothing_but_the_work(predictor: Predictor) -> None:
    expected = predictor.logits(TEXTS)
    for size in (1, 2, 5, 100):
        np.testing.assert_allclose(predictor.logits(TEXTS, batch_size=size), expected, atol=1e-5)
    with pytest.raises(ArgumentError, match="batch_size=0"):
        predictor.predict(TEXTS, batch_size=0)


def test_predictor_follows_the_training_of_its_model(tiny_checkpoint: Path) -> None:
    predictor = make(tiny_checkpoint, LABELS["classification"])
    before = predictor.logits(TEXTS)
    bias = predictor.model.head.classifier.bias
    bias.assign(bias + np.array([0.0, 0.0, 9.0]))
    np.testing.assert_allclose(predictor.logits(TEXTS), before + [0, 0, 9], atol=1e-5)


def test_threads_get_what_one_thread_gets(saved: Path) -> None:
    texts = [f"{text} {i}" for i in range(20) for text in TEXTS]
    predictor = load_predictor(saved / "classification", verify=False)  # No trace yet.
    parts = [texts[i : i + 1 + i % 7] for i in range(0, 80)]
    with ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(predictor.predict_proba, parts))
    for part, proba in zip(parts, threaded, strict=True):
        np.testing.assert_allclose(proba, predictor.predict_proba(part), atol=1e-6)


# What cannot be a predictor


def test_preprocessor_without_labels_is_refused(tiny_checkpoint: Path) -> None:
    model = from_pretrained(tiny_checkpoint, "text-classification")
    with pytest.raises(ArgumentError, match="preprocess_train"):
        Predictor(model, Transformer(tiny_checkpoint, 20))


def test_model_with_other_outputs_than_the_labels_is_refused(
    tiny_checkpoint: Path, predictors: dict[str, Predictor]
) -> None:
    model = from_pretrained(tiny_checkpoint, "text-classification", num_labels=2)
    with pytest.raises(ArgumentError, match="the model has 2 outputs, but .* need 3"):
        Predictor(model, predictors["classification"].preproc)


def test_model_without_a_checkpoint_format_predicts_but_is_not_saved(
    predictor: Predictor, tmp_path: Path
) -> None:
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in names}
    # Of all its inputs: Keras 3.12 makes no functional model that passes over one.
    embedded = keras.layers.Add()([keras.layers.Embedding(97, 8)(ids) for ids in inputs.values()])
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(embedded))
    plain = keras.Model(inputs, outputs)
    other = Predictor(plain, predictor.preproc)
    assert set(other.predict(TEXTS)) <= {"neg", "pos", "so-so"}
    with pytest.raises(PredictorError, match="no checkpoint format"):
        other.save(tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_model_that_diverged_is_not_saved(tiny_checkpoint: Path, tmp_path: Path) -> None:
    predictor = make(tiny_checkpoint, LABELS["classification"])
    predictor.save(tmp_path / "p")
    predictor.model.head.classifier.bias.assign([np.nan, 0, 0])
    with pytest.raises(PredictorError, match="not finite.*diverged"):
        predictor.save(tmp_path / "p")
    assert load_predictor(tmp_path / "p").predict(TEXTS)


# Saved and loaded


@pytest.mark.parametrize("name", LABELS)
def test_loaded_predictor_says_the_same(
    predictors: dict[str, Predictor], saved: Path, name: str
) -> None:
    loaded, original = load_predictor(saved / name, batch_size=7), predictors[name]
    assert loaded.batch_size == 7
    assert loaded.get_classes() == original.get_classes()
    assert loaded.preproc.maxlen == 24
    assert_same(loaded.logits([*TEXTS, *PAIRS]), original.logits([*TEXTS, *PAIRS]))
    assert loaded.predict(TEXTS) == original.predict(TEXTS)


IN_A_NEW_PROCESS = """
import json, sys
import numpy as np
from ktlite.predictor import load_predictor

top, names, texts, pairs, out = json.load(sys.stdin)
loaded = {name: load_predictor(f"{top}/{name}") for name in names}
np.savez(out, **{name: p.logits([*texts, *map(tuple, pairs)]) for name, p in loaded.items()})
"""


def test_new_process_says_the_same_from_a_folder_that_was_moved(
    predictors: dict[str, Predictor], saved: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "with spaces, 房间"
    shutil.copytree(saved, moved)
    question = json.dumps([str(moved), list(LABELS), TEXTS, PAIRS, str(tmp_path / "out.npz")])
    command = [sys.executable, "-c", IN_A_NEW_PROCESS]
    done = subprocess.run(command, cwd=ROOT, input=question, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as answers:
        for name, predictor in predictors.items():
            assert_same(answers[name], predictor.logits([*TEXTS, *PAIRS]))


def test_folder_holds_a_checkpoint_and_no_text_of_the_user(saved: Path) -> None:
    folder = saved / "classification"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json",
        "ktlite.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
    manifest = (folder / "ktlite.json").read_text(encoding="utf-8")
    assert str(folder.parent) not in manifest
    assert json.loads(manifest)["preprocessor"]["task"] == {
        "name": "classification",
        "classes": ["neg", "pos", "so-so"],
        "numbered": False,
    }


def test_loaded_predictor_can_be_saved_after_its_folder_is_gone(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    loaded = load_predictor(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    loaded.save(tmp_path / "again")
    again = tmp_path / "again"
    assert {p.name: p.read_bytes() for p in again.iterdir()}.keys() == files.keys()
    assert (again / "tokenizer.json").read_bytes() == files["tokenizer.json"]
    assert_same(load_predictor(again).logits(TEXTS), predictor.logits(TEXTS))


def test_loaded_predictor_can_be_saved_onto_itself(predictor: Predictor, folder: Path) -> None:
    load_predictor(folder).save(folder)
    assert_same(load_predictor(folder).logits(TEXTS), predictor.logits(TEXTS))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_survives_saving(
    tiny_checkpoint: Path, tmp_path: Path, precision: str
) -> None:
    predictor = make(tiny_checkpoint, LABELS["classification"], precision=precision)
    predictor.save(tmp_path / "half")
    loaded = load_predictor(tmp_path / "half")
    assert loaded.model.dtype_policy.name == f"mixed_{precision}"
    np.testing.assert_allclose(loaded.logits(TEXTS), predictor.logits(TEXTS), atol=0.02)


def test_checkpoint_with_an_older_tokenizer_makes_a_predictor(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    older = Path(shutil.copytree(tiny_checkpoint, tmp_path / "older"))
    (older / "tokenizer.json").unlink()
    predictor = make(older, LABELS["classification"])
    predictor.save(tmp_path / "p")
    shutil.rmtree(older)
    loaded = load_predictor(tmp_path / "p")
    assert_same(loaded.logits(TEXTS), predictor.logits(TEXTS))


# The folder as a checkpoint of `transformers`


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_transformers_opens_the_tokenizer(
    predictor: Predictor, saved: Path, texts: list[Any]
) -> None:
    theirs = AutoTokenizer.from_pretrained(saved / "classification")
    ids = theirs(texts, truncation=True, max_length=24)["input_ids"]
    encodings = predictor.preproc.encode(texts)
    assert [len(row) for row in ids] == encodings.lengths.tolist()
    assert [i for row in ids for i in row] == encodings.ids.tolist()


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("classification", {0: "neg", 1: "pos", 2: "so-so"}),
        ("integers", {0: "3", 1: "7", 2: "42"}),
        ("multilabel", {0: "0", 1: "1"}),
        ("regression", {0: "LABEL_0"}),
    ],
)
@pytest.mark.torch
def test_transformers_gives_the_same_logits_and_class_names(
    predictors: dict[str, Predictor], saved: Path, name: str, classes: dict[int, str]
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(saved / name).eval()
    tokenizer = AutoTokenizer.from_pretrained(saved / name)
    batch = tokenizer(TEXTS, truncation=True, max_length=24, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
    np.testing.assert_allclose(predictors[name].logits(TEXTS), logits, atol=1e-5)
    assert model.config.id2label == classes
    assert model.config.label2id == {label: i for i, label in classes.items()}


def test_config_names_the_classes_of_a_model_that_was_loaded_without_them(
    tiny_checkpoint: Path, predictor: Predictor, tmp_path: Path
) -> None:
    model = from_pretrained(tiny_checkpoint, "text-classification", num_labels=3)
    Predictor(model, predictor.preproc).save(tmp_path / "p")
    config = json.loads((tmp_path / "p" / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {"0": "neg", "1": "pos", "2": "so-so"}
    assert config["problem_type"] == "single_label_classification"


# Saving where something is


def test_saving_replaces_an_older_predictor(predictors: dict[str, Predictor], folder: Path) -> None:
    (folder / "notes.txt").write_text("of the old one")
    predictors["regression"].save(folder)
    assert load_predictor(folder).predict("good") == predictors["regression"].predict("good")
    assert not (folder / "notes.txt").exists()


def test_saving_refuses_a_folder_of_something_else(
    predictor: Predictor, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    foreign = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    before = {path.name: path.read_bytes() for path in foreign.iterdir()}
    with pytest.raises(ArgumentError, match="does not replace.*another name"):
        predictor.save(foreign)
    assert {path.name: path.read_bytes() for path in foreign.iterdir()} == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArgumentError, match="a file is there"):
        predictor.save(tmp_path / "file")


@pytest.mark.parametrize(
    "place",
    [
        "ktlite.models.model.write_weights",
        "ktlite.models.model.write_config",
        "ktlite.inputs.tokenizer.Tokenizer.save",
        "ktlite.predictor.saving.Saving._golden",
        "ktlite.predictor.saving.write_manifest",
        "ktlite.storage._swap",
    ],
)
def test_crash_while_saving_leaves_the_old_predictor(
    predictors: dict[str, Predictor], folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full_disk(*args: Any, **keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(place, full_disk)
        with pytest.raises(OSError, match="No space left"):
            predictors["regression"].save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["my-predictor"]
    assert load_predictor(folder).get_classes() == ["neg", "pos", "so-so"]


# Folders that are not what they were


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / "ktlite.json").read_text(encoding="utf-8"))
    change(manifest)
    (folder / "ktlite.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: flip_a_byte(f / "model.safetensors"), r"model\.safetensors is damaged"),
        (lambda f: flip_a_byte(f / "tokenizer.json"), r"tokenizer\.json is damaged"),
        (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
        (lambda f: (f / "config.json").write_text("{}"), r"config\.json has 2 bytes instead of"),
        (lambda f: (f / "ktlite.json").write_text("{"), r"ktlite\.json is damaged"),
        (
            lambda f: edit_manifest(f, lambda m: m["preprocessor"].update(maxlen=8)),
            r"ktlite\.json is damaged.*edited by hand.*checksum",
        ),
        (
            lambda f: edit_manifest(f, lambda m: m.update(schema=99, ktlite_version="9.0")),
            r"written by ktlite 9\.0 with schema 99.*Upgrade",
        ),
        (lambda f: (f / "ktlite.json").unlink(), r"it is a checkpoint; .*ktlite\.load_model"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_folder_that_is_not_as_it_was_is_refused(
    folder: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    spoil(folder)
    with pytest.raises(PredictorError, match=message) as caught:
        load_predictor(folder)
    assert str(folder) in str(caught.value)


def test_plain_checkpoint_is_no_predictor(tiny_checkpoint: Path) -> None:
    with pytest.raises(PredictorError, match=r"it is a checkpoint; load it with ktlite\.load_mod"):
        load_predictor(tiny_checkpoint)


def manifest_data(folder: Path) -> dict[str, Any]:
    """Returns what a manifest holds beside the facts of the files."""
    manifest = json.loads((folder / "ktlite.json").read_text(encoding="utf-8"))
    return {key: value for key, value in manifest.items() if key not in storage._OURS}


def test_wrong_weights_under_a_right_manifest_are_found_out(
    tiny_checkpoint: Path, folder: Path
) -> None:
    data = manifest_data(folder)
    other = make(tiny_checkpoint, LABELS["classification"])
    kernel = other.model.encoder.blocks[0].feed_forward.up.kernel
    kernel.assign(np.asarray(kernel)[:, ::-1])
    other.model.save_pretrained(folder)
    storage.write_manifest(folder, data)
    with pytest.raises(PredictorError, match=r"other numbers than when it was saved.*Do not trust"):
        load_predictor(folder)
    assert load_predictor(folder, verify=False).predict("good")


def test_wrong_tokenizer_under_a_right_manifest_is_found_out(folder: Path) -> None:
    data = manifest_data(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["was"], vocabulary["i"] = vocabulary["i"], vocabulary["was"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    storage.write_manifest(folder, data)
    with pytest.raises(PredictorError, match="other numbers than when it was saved"):
        load_predictor(folder)


def test_weights_that_do_not_fit_under_a_right_manifest_are_refused(
    tiny_checkpoint: Path, folder: Path
) -> None:
    data = manifest_data(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    storage.write_manifest(folder, data)
    with pytest.raises(CheckpointError, match="intermediate"):
        load_predictor(folder)
