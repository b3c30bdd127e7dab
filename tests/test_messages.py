"""The likeliest mistakes at each way in: an error of ktlite's that says what to do, early."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite import text
from ktlite.errors import KtliteError

TEXTS = [f"{end} film {letter}" for letter in "abcdefgh" for end in ("a fine", "a dull")]
LABELS = ["pos", "neg"] * 8
FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS, "number": np.arange(16) / 8})
TAGGED = ([["a"]] * 8, [["O"]] * 8)
X, Y = np.ones((8, 3), "float32"), np.array([0, 1] * 4)


def compiled() -> Any:
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def learn(data: Any = FRAME, *args: Any, **options: Any) -> Callable[[Path], Any]:
    """Returns a call of get_learner with a checkpoint."""
    columns = {"text_column": "text", "label_columns": "label"} if data is FRAME else {}
    return lambda folder: ktlite.get_learner(
        folder, data, *args, **{**columns, "maxlen": 8, "verbose": 0, **options}
    )


def standard(**options: Any) -> Callable[[Path], Any]:
    """Returns a call of texts_from_df."""
    given = {"train_df": FRAME, "text_column": "text", "label_columns": "label", "verbose": 0}
    return lambda folder: text.texts_from_df(**{**given, **options})


def words(texts: Any = TEXTS, labels: Any = LABELS, *rest: Any, **options: Any) -> Any:
    """Returns a call of texts_from_array."""
    return lambda folder: text.texts_from_array(texts, labels, *rest, verbose=0, **options)


LOADING: dict[str, tuple[Callable[[Path], Any], str]] = {
    # get_learner with the name of a checkpoint
    "texts, labels": (learn(TEXTS, LABELS), r"train_data=\(texts, labels\)"),
    "Series, Series": (learn(FRAME.text, FRAME.label), r"train_data=\(texts, labels\)"),
    "arrays": (learn(np.array(TEXTS), np.array(LABELS)), r"train_data=\(texts, labels\)"),
    "no data": (learn(None), "train_data is not given: the path of"),
    "no such file": (learn("none.csv", text_column="a", label_columns="b"), "none.csv"),
    "no columns": (
        lambda folder: ktlite.get_learner(folder, FRAME), "(?s)text_column is not.*label_columns",
    ),
    "wrong text column": (learn(text_column="txt"), "Did you mean 'text'"),
    "wrong label column": (learn(label_columns=["lable"]), "Did you mean 'label'"),
    "label is text column": (learn(label_columns="text"), "text"),
    "one class": (learn((TEXTS, ["pos"] * 16)), "at least two classes"),
    "empty": (learn(([], [])), "there are no rows"),
    "empty frame": (learn(FRAME[:0], text_column="text", label_columns="label"), "no rows|empty"),
    "different lengths": (learn((TEXTS, LABELS[:3])), "16.*3|3.*16"),
    "labels, texts": (learn((Y, TEXTS[:8])), "of type int64, expected str|expected str"),
    "a single text": (learn(("a film", "pos")), r"train_data=\(texts, labels\)"),
    "texts alone": (learn(TEXTS), r"train_data=\(texts, labels\)"),
    "numbers as texts": (learn((list(range(4)), LABELS[:4])), "of type int, expected str"),
    "floats": (learn((TEXTS, FRAME.number)), "task='regression'"),
    "unknown task": (learn(task="sentiment"), "task='sentiment'"),
    "misspelt argument": (learn(max_len=9), "Did you mean 'maxlen'"),
    "batch_size 0": (learn(batch_size=0), "batch_size=0"),
    "val_pct 20": (learn(val_pct=20), "val_pct=20"),
    "maxlen 10000": (learn(maxlen=10_000), "maxlen=10000"),
    "no checkpoint": (lambda folder: ktlite.get_learner(folder / "none", FRAME,
                      text_column="text", label_columns="label"), "none"),
    # get_learner with a Keras model
    "a class": (lambda folder: ktlite.get_learner(keras.Sequential, (X, Y)), "of type type"),
    "columns of a model": (lambda folder: ktlite.get_learner(compiled(), FRAME, text_column="text",
                           label_columns="label"), "goes with the name of a checkpoint"),
    "frame of a model": (lambda folder: ktlite.get_learner(compiled(), FRAME), "tuple \\(x, y\\)"),
    "texts of a model": (
        lambda folder: ktlite.get_learner(compiled(), (TEXTS, LABELS)), "expected|preprocess_test",
    ),
    "array of a model": (lambda folder: ktlite.get_learner(compiled(), X), "tuple \\(x, y\\)"),
    "lengths of a model": (lambda folder: ktlite.get_learner(compiled(), (X, Y[:3])), "length"),
    # ktrain's loaders
    "df: Series": (standard(train_df=FRAME.text), "DataFrame"),
    "df: a path": (standard(train_df="train.csv"), "DataFrame"),
    "df: column": (standard(text_column="tekst"), "Did you mean 'text'"),
    "df: no labels": (standard(label_columns=[]), "label_columns"),
    "df: no column": (lambda folder: text.texts_from_df(FRAME), "text_column is not given"),
    "df: two texts": (standard(text_column=["text"] * 3), "'text' is asked for 3 times"),
    "df: maxlen": (standard(maxlen=0), "maxlen=0"),
    "csv: a frame": (lambda folder: text.texts_from_csv(FRAME, "text", "label"), "texts_from_df"),
    "csv: folder": (lambda folder: text.texts_from_csv(folder, "text", "label"), "folder"),
    "array: no labels": (lambda folder: text.texts_from_array(TEXTS), "y_train is not given"),
    "array: x_test alone": (words(TEXTS, LABELS, TEXTS), "x_test and y_test"),
    "array: lengths": (words(TEXTS, LABELS[:2]), "16.*2|2.*16"),
    "array: floats": (words(TEXTS, FRAME.number), "task='regression'"),
    "array: a mode": (words(preprocess_mode=None), "preprocess_mode=None"),
    "folder: none": (lambda folder: text.texts_from_folder(folder / "none"), "none"),
    "words: strings": (lambda folder: text.entities_from_array(TEXTS, LABELS,
                       preprocess_mode=folder), "words|list"),
    "words: format": (lambda folder: text.entities_from_txt("a.txt", data_format="conll"),
                      "expected one of 'conll2003'"),
    "words: a frame": (lambda folder: text.entities_from_conll2003(FRAME), "entities_from_df"),
    # models
    "classifier: name": (lambda folder: text.text_classifier("nbsv", words()(folder)[0]),
                         "Did you mean 'nbsvm'"),
    "classifier: texts": (lambda folder: text.text_classifier("nbsvm", TEXTS), "a loader"),
    "classifier: nothing": (lambda folder: text.text_classifier("nbsvm"), "train_data is not"),
    "regression of classes": (
        lambda folder: text.text_regression_model("linreg", words()(folder)[0]), "is_regression",
    ),
    "Transformer: classifier at once": (
        lambda folder: text.Transformer(folder, 8).get_classifier(), "call preprocess_train",
    ),
    "Transformer: regression at once": (
        lambda folder: text.Transformer(folder, 8).get_regression_model(), "task='regression'",
    ),
    "Transformer: a list": (lambda folder: text.Transformer([folder]), "of type list; expected"),
    "tagger: no preprocessor": (
        lambda folder: text.sequence_tagger("bert", None), "expected what entities_from",
    ),
    "tagger: from scratch": (
        lambda folder: text.sequence_tagger("bilstm-crf", text.Transformer(folder, 8)),
        "'bilstm-crf' is not here",
    ),
    # Predictors
    "get_predictor: swapped": (lambda folder: ktlite.get_predictor(words()(folder)[2], compiled()),
                               "expected the preprocessor"),
    "get_predictor: alone": (lambda folder: ktlite.get_predictor(compiled()), "preproc is not"),
    "load_predictor: nothing": (lambda folder: ktlite.load_predictor(), "path is not given"),
    "load_predictor: a learner": (lambda folder: ktlite.load_predictor(3), "expected a path"),
    "load_model: a number": (lambda folder: ktlite.load_model(3), "of type int; expected its"),
    "load_predictor: none": (lambda folder: ktlite.load_predictor(folder / "none"), "none"),
    "load_predictor: a checkpoint": (lambda folder: ktlite.load_predictor(folder), "predictor"),
    # The others
    "cross_validate: rate": (
        lambda folder: ktlite.cross_validate(folder, FRAME),
        "(?s)lr is not given, such as lr=5e-5.*epochs is not given",
    ),
    "cross_validate: by place": (
        lambda folder: ktlite.cross_validate(folder, FRAME, 5e-5, 1),
        "at most 2 of these .checkpoint, data.*such as lr=",
    ),
    "tune: data": (lambda folder: ktlite.tune(folder), "train_data is not given"),
    "FillMask: no head": (
        lambda folder: ktlite.FillMask(folder), "no head for 'masked-lm'.*get_pretrainer",
    ),
    "SimpleQA: quantize": (lambda folder: ktlite.SimpleQA("i", folder, quantize=True), "int8"),
    "SimpleQA: two models": (
        lambda folder: ktlite.SimpleQA("i", folder, model_name=folder), "give one of them",
    ),
    "SimpleQA: no index": (lambda folder: ktlite.SimpleQA(folder / "i", folder), "index"),
    "AnswerExtractor: another task": (
        lambda folder: ktlite.AnswerExtractor(3), "expected a predictor of question-answering",
    ),
    "ZeroShotClassifier": (lambda folder: ktlite.ZeroShotClassifier(folder), "entailment"),
}  # fmt: skip


_NOT_TEXTS = r"{}.*reads images .pixel_values., not texts, and its task is image-classification"
_NO_PICTURE = "no such file, such as 'a fine film a'.*The model reads images: each is the path of"
OF_TEXTS: dict[str, tuple[Callable[[Path, Path], Any], str]] = {
    "get_learner": (lambda images, _: ktlite.get_learner(images, (TEXTS, LABELS)), _NO_PICTURE),
    "maxlen": (
        lambda images, _: ktlite.get_learner(images, (TEXTS, LABELS), missing="drop", maxlen=8),
        _NO_PICTURE,
    ),
    "tags": (
        lambda images, _: learn(TAGGED, task="token-classification")(images),
        "it is of texts; this model reads images",
    ),
    "Transformer": (
        lambda images, _: text.Transformer(images, 8),
        "maxlen=8 goes with texts, images with texts; this checkpoint reads images",
    ),
    "cross_validate": (
        lambda images, _: ktlite.cross_validate(images, (TEXTS, LABELS), lr=0.1, epochs=1),
        _NO_PICTURE,
    ),
    "get_classifier": (
        lambda images, texts: prepared(texts).get_classifier(images),
        _NOT_TEXTS,
    ),
    "load_model": (lambda images, _: ktlite.load_model(images, "text-classification"), _NOT_TEXTS),
    "get_embedder": (lambda images, _: ktlite.get_embedder(images), _NOT_TEXTS),
    "TransformerEmbedding": (lambda images, _: text.TransformerEmbedding(images), _NOT_TEXTS),
    "FillMask": (lambda images, _: ktlite.FillMask(images), _NOT_TEXTS),
}


@pytest.mark.parametrize("call", OF_TEXTS)
@pytest.mark.parametrize("images", ["vit", "deit"])
def test_models_of_images_say_that_they_read_no_texts(
    call: str, images: str, golden: Path, tiny_checkpoint: Path
) -> None:
    run, said = OF_TEXTS[call]
    with pytest.raises(KtliteError, match=said.format(images)):
        run(golden / images, tiny_checkpoint)


def prepared(folder: Path) -> text.Transformer:
    made = text.Transformer(folder, 8, class_names=["neg", "pos"])
    made.preprocess_train(TEXTS, LABELS, verbose=0)
    return made


@pytest.mark.parametrize("case", LOADING)
def test_mistakes_say_what_to_do(case: str, tiny_checkpoint: Path) -> None:
    call, message = LOADING[case]
    with pytest.raises(KtliteError, match=message):
        call(tiny_checkpoint)
