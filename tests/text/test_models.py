"""Models from scratch by name: from words to a saved predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, DataError
from ktlite.models.mapping import variable_at
from ktlite.tasks import MultiLabel, Regression
from ktlite.text import (
    StandardPreprocessor,
    text_classifier,
    text_classifiers,
    text_regression_model,
    text_regression_models,
    texts_from_array,
)
from ktlite.text.models import MODELS

GOOD, BAD = ("warm", "funny", "engaging"), ("dull", "slow", "tiresome")
TEXTS = [
    f"A {(GOOD, BAD)[i % 2][i % 3]} film, number {i % 5}, about {'very ' * (i % 7)}old actors."
    for i in range(48)
]
LABELS = ["bad" if i % 2 else "good" for i in range(48)]
SEVERAL = [[i % 2, int(i % 3 == 0)] for i in range(48)]
RATINGS = [1.5 - 3 * (i % 2) for i in range(48)]
MADE_FROM_VECTORS = [name for name, kind in MODELS.items() if kind.table is not None]


def load(labels: Any = LABELS, texts: Any = TEXTS, **options: Any) -> Any:
    options = {"maxlen": 24, "val_pct": 0.25, "verbose": 0} | options
    return texts_from_array(texts, labels, **options)


def learned(name: str, labels: Any = LABELS, *, epochs: int = 8, **options: Any) -> Any:
    train, val, _ = load(labels, **options)
    make = text_regression_model if isinstance(train.preproc.task, Regression) else text_classifier
    learner = ktlite.get_learner(make(name, train), train_data=train, val_data=val, batch_size=8)
    learner.fit(1e-3 if name == "transformer" else 1e-2, epochs, verbose=0)
    return learner


# The preprocessor


def test_texts_become_lower_case_words() -> None:
    _, _, preproc = load(texts=["The Film's CAFÉ!"] * 48)
    (ids,) = np.split(preproc.encode(["A film,  the CAFE"]).ids, [])
    words = [preproc.tokenizer.token(i) for i in ids]
    assert words == ["[CLS]", "[UNK]", "film", "[UNK]", "the", "cafe", "[SEP]"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("房间很好 ok", ["房", "间", "很", "好", "ok"]),
        ("これはペン", ["こ", "れ", "は", "ヘ", "ン"]),
        ("ภาษา thai", ["ภ", "า", "ษ", "า", "thai"]),
    ],
)
def test_scripts_without_spaces_are_read_by_character(text: str, words: list[str]) -> None:
    _, _, preproc = load(texts=[text] * 48)
    assert [preproc.tokenizer.token(i) for i in preproc.encode([text]).ids[1:-1]] == words


def test_vocabulary_comes_from_the_training_texts_alone() -> None:
    texts = [f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(48)]
    train, val, preproc = load(texts=texts)
    known = {preproc.tokenizer.token(i) for i in range(5, preproc.tokenizer.vocab_size)}
    assert known == set(train.texts)
    assert set(val.encodings.ids.tolist()) == {1, 2, 3}


def test_most_frequent_words_are_kept() -> None:
    _, _, preproc = load(texts=["a a a b b c"] * 40 + ["d"] * 8, max_features=2)
    assert [preproc.tokenizer.token(i) for i in (5, 6)] == ["a", "b"]
    assert preproc.tokenizer.vocab_size == 7


def test_pairs_are_split_into_words_too() -> None:
    _, _, preproc = load(texts=[("a film", "warm")] * 48)
    encodings = preproc.encode([("warm", "film")])
    assert [preproc.tokenizer.token(i) for i in encodings.ids[1:]] == [
        "warm", "[SEP]", "film", "[SEP]"
    ]  # fmt: skip
    assert encodings.type_ids.tolist() == [0, 0, 0, 1, 1]


def test_preprocessor_learns_from_preprocess_train() -> None:
    preproc = StandardPreprocessor(maxlen=24, max_features=10)
    with pytest.raises(ArgumentError, match="vocabulary is not known before texts are seen"):
        preproc.preprocess_test(TEXTS)
    train = preproc.preprocess_train(TEXTS, LABELS, verbose=0)
    assert preproc.preprocess_test(["very new"]).encodings.ids[2] == 1
    assert text_classifier("nbsvm", train).num_labels == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maxlen": 2}, "maxlen=2; expected 3 or more"),
        ({"maxlen": None}, "maxlen=None; expected a whole number"),
        ({"max_features": 0}, "max_features=0; expected a whole number"),
        ({"ngram_range": 1.5}, "ngram_range=1.5; expected a whole number"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        load(**options)


# Every model


@pytest.mark.parametrize("name", text_classifiers())
def test_classifier_learns_and_its_predictor_comes_back(name: str, tmp_path: Path) -> None:
    learner = learned(name)
    assert learner.metrics()["accuracy"] == 1.0
    predictor = learner.get_predictor()
    assert predictor.predict(["a funny film", "dull"]) == ["good", "bad"]
    predictor.save(tmp_path / "p")  # with its golden predictions, which load_predictor repeats
    again = ktlite.load_predictor(tmp_path / "p")
    unseen = ["A warm film.", "", "slow " * 60, "unknown words"]
    np.testing.assert_allclose(
        again.predict_proba(unseen), predictor.predict_proba(unseen), atol=1e-6
    )
    learner.save_model(tmp_path / "m")
    before = [np.array(weight) for weight in learner.model.weights]
    learner.fit(1e-2, 1, verbose=0)
    learner.load_model(tmp_path / "m")
    assert all(np.array_equal(a, b) for a, b in zip(before, learner.model.weights, strict=True))


@pytest.mark.parametrize("name", ["linreg", "fasttext", "transformer"])
def test_regression_model_learns(name: str) -> None:
    learner = learned(name, RATINGS, task="regression", epochs=12)
    good, bad = learner.get_predictor().predict(["a warm film", "a dull film"])
    assert good > 0.4
    assert bad < -0.4


@pytest.mark.parametrize("name", ["nbsvm", "logreg", "fasttext"])
def test_texts_can_have_several_labels(name: str) -> None:
    learner = learned(name, SEVERAL, task="multilabel", epochs=15)
    assert isinstance(learner.task, MultiLabel)
    assert learner.predict(learner.val_data).shape == (12, 2)
    assert learner.metrics(learner.train_data)["f1_macro"] > 0.9


@pytest.mark.parametrize("name", ["nbsvm", "fasttext"])
def test_same_seed_gives_the_same_model(name: str) -> None:
    first, second = (learned(name, epochs=1) for _ in range(2))
    for a, b in zip(first.model.weights, second.model.weights, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


def test_ngrams_tell_apart_what_words_do_not(tmp_path: Path) -> None:
    texts = [f"{'not good' if i % 2 else 'good not'} {i % 3}" for i in range(48)]
    accuracy = {}
    for n in (1, 2):
        train, val, _ = load(texts=texts, ngram_range=n)
        learner = ktlite.get_learner(text_classifier("nbsvm", train), train, val)
        accuracy[n] = learner.metrics()["accuracy"]  # before any training
    assert accuracy[1] < 0.7
    assert accuracy[2] == 1.0
    learner.lr_find(verbose=0, max_epochs=1)
    learner.fit(1e-2, 1, verbose=0)
    predictor = learner.get_predictor()
    predictor.save(tmp_path / "p")
    found = ktlite.load_predictor(tmp_path / "p").predict_proba(texts)
    np.testing.assert_allclose(found, predictor.predict_proba(texts), atol=1e-6)


def test_class_weights_count() -> None:
    labels = ["rare" if i % 12 == 0 else "usual" for i in range(48)]
    texts = ["a film"] * 48
    shares = []
    for weights in (None, {"rare": 50.0}):
        train, val, _ = load(labels, texts)
        learner = ktlite.get_learner(text_classifier("logreg", train), train, val)
        learner.fit(0.1, 20, class_weight=weights, verbose=0)
        shares.append(learner.get_predictor().predict_proba("a film")[0])
    assert shares[0] < 0.3 < 0.7 < shares[1]


def test_model_without_an_encoder_is_not_compiled_with_xla() -> None:
    learner = ktlite.get_learner(text_classifier("nbsvm", load()[0], xla=True), load()[0])
    learner.fit(1e-2, 1, verbose=0)
    assert np.isfinite(learner.history.history["loss"]).all()


def test_half_precision_trains() -> None:
    train, val, _ = load()
    model = text_classifier("bigru", train, precision="bfloat16")
    assert model.compute_dtype == "bfloat16"
    model.run_eagerly = True  # tracing takes longer than these few steps
    learner = ktlite.get_learner(model, train, val)
    learner.fit(1e-2, 6, verbose=0)
    losses = learner.history.history["loss"]
    assert losses[-1] < losses[0]


def test_frozen_vectors_stay() -> None:
    train, val, _ = load()
    learner = ktlite.get_learner(text_classifier("fasttext", train), train, val)
    before = np.array(learner.model.embeddings.embeddings)
    learner.freeze(1)
    learner.fit(1e-2, 1, verbose=0)
    np.testing.assert_array_equal(before, np.array(learner.model.embeddings.embeddings))


@pytest.mark.torch
def test_small_transformer_opens_in_pytorch(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    predictor = learned("transformer", epochs=1).get_predictor()
    predictor.save(tmp_path / "p")
    texts = ["A warm film.", "dull, slow"]
    batch = AutoTokenizer.from_pretrained(tmp_path / "p")(texts, padding=True, return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "p").eval()
    with torch.no_grad():
        expected = model(**batch).logits.numpy()
    np.testing.assert_allclose(predictor.logits(texts), expected, atol=1e-5)


# Words' vectors


@pytest.fixture
def glove(tmp_path: Path) -> Path:
    lines = [f"{word} {i}.5 -1 0.25 2 3 4" for i, word in enumerate(["film", "warm", "other"])]
    (tmp_path / "glove.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "glove.txt"


@pytest.mark.parametrize("name", MADE_FROM_VECTORS)
def test_words_start_with_the_files_vectors(
    name: str, glove: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="ktlite")
    train, _, preproc = load()
    model = text_classifier(name, train, preproc=preproc, embeddings=glove)
    table = np.array(variable_at(model, MODELS[name].table or ""))
    assert table.shape == (preproc.tokenizer.vocab_size, 6)
    film, warm, dull = preproc.encode(["film warm dull"]).ids[1:-1]
    np.testing.assert_array_equal(table[film], [0.5, -1, 0.25, 2, 3, 4])
    np.testing.assert_array_equal(table[warm], [1.5, -1, 0.25, 2, 3, 4])
    assert 0 < np.abs(table[dull]).max() < 1
    words = preproc.tokenizer.vocab_size - 5
    assert f"vectors of 2 of {words} words; the others start at random" in caplog.messages[-1]


def test_file_without_any_of_the_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("elsewhere 1 2 3\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"glove.txt has none of the \d+ words"):
        text_classifier("bigru", load()[0], embeddings=tmp_path / "glove.txt")


# Refused


@pytest.mark.parametrize(
    ("name", "options", "messages"),
    [
        ("bigrü", {}, ["name='bigrü' is not known", "Did you mean 'bigru'?"]),
        ("linreg", {}, ["name='linreg' is not known"]),
        ("bert-base-uncased", {}, ["loaded with preprocess_mode='bert-base-uncased'"]),
        ("nbsvm", {"embeddings": "glove.txt"}, ["'nbsvm' has no words' vectors"]),
        ("bigru", {"multilabel": True}, ["multilabel=True, but the labels were taken for clas"]),
        ("bigru", {"precison": "float16"}, ["unknown argument 'precison'"]),
        ("bilstn", {"multilabel": True}, ["name='bilstn'", "multilabel=True"]),
    ],
)
def test_what_cannot_work_is_refused(name: str, options: dict[str, Any], messages: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        text_classifier(name, load()[0], **options)
    assert all(message in str(caught.value) for message in messages)


def test_classes_and_numbers_have_their_own_functions() -> None:
    with pytest.raises(ArgumentError, match="text_regression_model makes models for them"):
        text_classifier("bigru", load(RATINGS, task="regression")[0])
    with pytest.raises(ArgumentError, match="taken for classification; load them with is_regr"):
        text_regression_model("bigru", load()[0])
    with pytest.raises(ArgumentError, match="name='nbsvm' is not known"):
        text_regression_model("nbsvm", load(RATINGS, task="regression")[0])


def test_words_and_checkpoints_are_told_apart(tiny_checkpoint: Path) -> None:
    train, _, _ = load(preprocess_mode=tiny_checkpoint)
    with pytest.raises(ArgumentError, match="'bigru' starts from words: .*mode='standard'"):
        text_classifier("bigru", train)
    with pytest.raises(ArgumentError, match="embeddings='glove.txt' goes with models from scratch"):
        text_classifier(tiny_checkpoint, train, embeddings="glove.txt")


def test_listing_says_what_there_is() -> None:
    assert list(text_classifiers()) == [
        "nbsvm", "logreg", "fasttext", "bigru", "bilstm", "transformer"
    ]  # fmt: skip
    assert list(text_regression_models()) == [
        "linreg", "fasttext", "bigru", "bilstm", "transformer"
    ]  # fmt: skip
    assert all(text_classifiers().values())


@pytest.mark.parametrize("name", ["bigru", "transformer"])
def test_ngrams_that_a_model_does_not_read_are_mentioned(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    text_classifier(name, load(ngram_range=2)[0], verbose=0)
    assert caplog.messages == [f"ngram_range=2: {name} reads single words"]
