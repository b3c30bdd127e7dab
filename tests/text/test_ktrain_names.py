"""ktrain's names: those that are here under its paths, and what the others answer."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import ktlite
from ktlite import text
from ktlite._hints import MODULES, TEXT_NAMES
from ktlite.errors import ArgumentError, DataError
from ktlite.text import textutils
from ktlite.text.checkpoint_names import script_of

TEXTS = ["a fine film", "a dull film", "fine and fine", "dull and dull and dull"]
LABELS = ["pos", "neg", "pos", "neg"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("qa", ["SimpleQA", "AnswerExtractor"]),
        ("zsl", ["ZeroShotClassifier"]),
        ("ner", ["entities_from_conll2003", "sequence_tagger", "print_sequence_taggers"]),
        ("textutils", ["extract_filenames", "load_text_files", "filter_by_id"]),
        ("preprocessor", ["Transformer", "TransformerEmbedding"]),
        ("models", ["text_classifier", "print_text_classifiers"]),
        ("data", ["texts_from_folder", "texts_from_csv", "texts_from_df", "texts_from_array"]),
    ],
)
def test_names_are_found_under_ktrains_paths(path: str, names: list[str]) -> None:
    module = importlib.import_module(f"ktlite.text.{path}")
    assert getattr(text, path) is module
    for name in names:
        space: dict[str, Any] = {}
        exec(f"from ktlite.text.{path} import {name}", space)
        assert space[name] is getattr(text, name)
        assert name in dir(module)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in MODULES.items() for name in names]
)
def test_names_that_are_not_here_say_what_to_use(module: str, name: str) -> None:
    owner = importlib.import_module(module)
    if name in vars(owner):  # a submodule that another import has loaded
        pytest.skip(f"{module}.{name} is here")
    assert not hasattr(owner, name)
    assert getattr(owner, name, None) is None
    hint = MODULES[module][name]
    with pytest.raises(AttributeError) as error:
        getattr(owner, name)
    use = "" if hint[0].isupper() else "Use "
    assert str(error.value) == f"module {module!r} has no attribute {name!r}. {use}{hint}"
    with pytest.raises(ImportError) as caught:
        exec(f"from {module} import {name}")
    assert hint in str(caught.value)


def test_hints_name_what_there_is() -> None:
    public = {name for name in text.__all__ if not hasattr(textutils, name)}
    assert {*TEXT_NAMES} == public | {"TransformerEmbedding"}
    with pytest.raises(AttributeError, match="Did you mean 'texts_from_csv'"):
        _ = text.text_from_csv
    with pytest.raises(ImportError, match="cannot import name 'nothing_like_it'"):
        exec("from ktlite.text import nothing_like_it")


def standard() -> tuple[text.TextDataset, text.TextDataset, Any]:
    found: Any = text.texts_from_array(TEXTS, LABELS, TEXTS[:3], LABELS[:3], maxlen=10, verbose=0)
    return found


def test_data_unpacks_into_x_and_y() -> None:
    (x_train, y_train), (x_test, y_test), preproc = standard()
    assert (len(x_train), len(x_test)) == (4, 3)
    # Row lengths, the two special tokens counted, by hand.
    assert [len(ids) for ids in x_train] == [5, 5, 5, 7]
    assert x_train.shape == (4, 7)
    assert y_test.tolist() == [1, 0, 1]
    padded = np.asarray(x_train)
    assert padded.dtype == np.int32
    assert padded[0].tolist() == [*x_train[0], 0, 0]
    assert preproc.undo(x_train[1]) == "a dull film"


def test_x_and_y_by_number_and_name() -> None:
    train, val, _ = standard()
    assert len(train) == 4
    assert val[0][0].tolist() == val.x[0].tolist()
    assert val[1].tolist() == val.y.tolist() == val[-1].tolist()
    with pytest.raises(IndexError):
        train[2]


@pytest.mark.parametrize("kind", ["fasttext", "nbsvm", "bigru"])
def test_models_predict_x_as_keras_does(kind: str) -> None:
    train, val, _ = standard()
    model = text.text_classifier(kind, train, verbose=0)
    found = model.predict(val.x, verbose=0)  # numpy.asarray of it, padded with zeros
    alone = [model({"input_ids": ids[None]})[0] for ids in val.x]
    np.testing.assert_allclose(found, np.array(alone), rtol=1e-5, atol=1e-5)


def test_a_keras_model_of_your_own_takes_the_input_that_it_names() -> None:
    train, val, preproc = standard()
    layers = [keras.layers.Embedding(50, 4), keras.layers.GlobalAveragePooling1D()]

    def made(*first: Any) -> Any:
        model = keras.Sequential([*first, *layers, keras.layers.Dense(2)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    with pytest.raises(ArgumentError, match="named after") as error:
        ktlite.get_learner(made(), train, val)
    named = str(error.value).rpartition("after: ")[2].rstrip(".")
    learner = ktlite.get_learner(made(eval(named)), train, val, batch_size=4)
    learner.fit(1e-2, 1, verbose=0)
    predictor = ktlite.get_predictor(learner.model, preproc)
    assert predictor.predict(TEXTS) == [
        preproc.get_classes()[row.argmax()] for row in learner.predict(train)
    ]


@pytest.mark.parametrize("which", [slice(1, 3), [3, 1], np.array([True, False, True, True])])
def test_parts_of_x_and_y_are_data_again(which: Any) -> None:
    train, _, _ = standard()
    x, y = train
    part = ktlite.Learner(
        text.text_classifier("fasttext", (x, y), verbose=0), (x[which], y[which])
    ).train_data
    numbers = np.arange(4)[which]
    assert list(part.texts) == [TEXTS[number] for number in numbers]
    assert part.rows.tolist() == numbers.tolist()
    assert part.targets.tolist() == train.targets[which].tolist()
    for row, number in enumerate(numbers):
        assert part.x[row].tolist() == x[number].tolist()


def test_x_and_y_train_as_the_data_does() -> None:
    train, val, _ = standard()
    one_hot = np.eye(2)[train.y]
    weights = []
    for given in (train, tuple(train), (train.x, one_hot)):
        model = text.text_classifier("fasttext", given, verbose=0)
        learner = ktlite.get_learner(model, train_data=given, val_data=tuple(val), batch_size=2)
        learner.fit(0.1, 1, verbose=0)
        assert learner.preproc is train.preproc
        assert learner.validate(tuple(val), print_report=False).sum() == 3
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])


def test_x_and_y_are_the_data_that_they_are_of_wherever_figures_are_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    train, val, preproc = standard()
    x, y = val
    learner = ktlite.get_learner(
        text.text_classifier("fasttext", train, verbose=0), train, val, check=False
    )
    learner.validate((x, y))
    assert "3 examples of validation data" in caplog.text
    assert learner.card.metrics  # which are those of the learner's own validation data
    predictor = learner.get_predictor()
    assert predictor.metrics((x, y)) == pytest.approx(predictor.metrics(val))
    assert predictor.metrics((x[1:], y[1:])).keys() == predictor.metrics(val).keys()
    assert "3 examples" in str(ktlite.compare_predictors(predictor, predictor, (x, y)))
    losses = [
        predictor.compare_exports(*given, exports=[])["loss"].item() for given in ((x, y), (val,))
    ]
    assert losses[0] == pytest.approx(losses[1])
    np.testing.assert_allclose(learner.predict(x), learner.predict(val), rtol=1e-6)
    assert repr(x[:2]) == "Inputs: the tokens of 2 texts"
    with pytest.raises(DataError, match="got Dataset"):  # not: text 0 is of type Inputs
        predictor.predict(val)
    with pytest.raises(DataError, match="got Dataset"):
        preproc.preprocess_test(val)


def test_x_and_y_of_different_length_are_refused() -> None:
    (x, y), _, _ = standard()
    with pytest.raises(DataError, match="x has 4 texts, but y has 3"):
        text.text_classifier("fasttext", (x, y[:3]))
    with pytest.raises(ArgumentError, match=r"train_data is of type list.*\(x, y\)"):
        text.text_classifier("fasttext", TEXTS)


def test_lists_of_names_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ktlite")
    text.print_text_classifiers()
    text.print_text_regression_models()
    text.print_sequence_taggers()
    shown = caplog.text
    for name in ("nbsvm", "linreg", "bilstm-transformer", "CHECKPOINT"):
        assert name in shown


def test_text_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.txt").write_text("drei\x01 vier", encoding="utf-8")
    (tmp_path / "1.txt").write_bytes("café au lait".encode("cp1252"))
    names = [str(tmp_path / "1.txt"), str(tmp_path / "b" / "2.txt")]
    assert list(text.extract_filenames(tmp_path)) == names
    assert text.load_text_files(tmp_path) == ["cafe au lait", "drei vier"]
    assert text.load_text_files(tmp_path, truncate_len=1, clean=False, return_fnames=True) == (
        ["café", "drei\x01"], names,
    )  # fmt: skip
    assert text.filter_by_id("abcd", [2, 0]) == ["a", "c"]
    with pytest.raises(DataError, match="no folder"):
        list(text.extract_filenames(tmp_path / "none"))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["房间很好，我很喜欢 wifi"], "zh"),
        (["хороший номер", "ok"], "other"),
        (["كتاب جميل"], "other"),
        (["ホテルの部屋はとても良い"], "other"),
        (["a good room", ("naïve", "Łódź")], "en"),
        (["123 !"], "en"),
    ],
)
def test_scripts(texts: Any, expected: str) -> None:
    assert script_of(texts) == expected
