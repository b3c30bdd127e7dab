"""Tagging words, end to end: files in, training, report, predictor out and back."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite import text
from ktlite.data.tagged import read_columns
from ktlite.errors import ArgumentError, DataError, PredictorError
from ktlite.inputs.words import as_words
from ktlite.learner import Learner
from ktlite.tasks import TokenClassification

KINDS = {"film": "B-ART", "movie": "B-ART", "bad": "B-MOOD", "good": "B-MOOD"}
NEXT = {"ART": "and", "MOOD": "very"}


def sentences(count: int, seed: int) -> list[tuple[list[str], list[str]]]:
    """Sentences whose tags follow from the words."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        words = rng.choices(["film", "movie", "bad", "good", "the", "was", "xyz", "."], k=7)
        tags = [KINDS.get(word, "O") for word in words]
        for i in range(6):
            if tags[i].startswith("B") and rng.random() < 0.5:
                words[i + 1], tags[i + 1] = NEXT[tags[i][2:]], tags[i].replace("B", "I", 1)
        found.append((words, tags))
    return found


def as_conll(data: list[tuple[list[str], list[str]]]) -> str:
    return "\n\n".join(
        "\n".join(f"{word} X {tag}" for word, tag in zip(*pair, strict=True)) for pair in data
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("data")
    for name, count, seed in (("train.txt", 300, 0), ("valid.txt", 30, 1)):
        (folder / name).write_text(as_conll(sentences(count, seed)), encoding="utf-8")
    return folder / "train.txt", folder / "valid.txt"


@pytest.fixture(scope="module")
def make(tiny_checkpoint: Path, files: tuple[Path, Path]) -> Callable[..., Learner]:
    def learner(**options: Any) -> Learner:
        given = {"train_data": files[0], "val_data": files[1], "batch_size": 8, "maxlen": 24,
                 "task": "token-classification", "verbose": 0, **options}  # fmt: skip
        return ktlite.get_learner(tiny_checkpoint, **given)

    return learner


@pytest.fixture(scope="module")
def trained(make: Callable[..., Learner]) -> Learner:
    """A learner that has learned. To be read only."""
    learner = make()
    learner.fit_onecycle(5e-3, 30, verbose=0)
    return learner


def test_it_learns_from_a_file(trained: Learner) -> None:
    metrics = trained.metrics()
    assert trained.validate(print_report=False) == metrics["f1"] > 0.9
    assert set(metrics) == {"loss", "accuracy", "precision", "recall", "f1", "f1_macro"}
    assert trained.get_predictor().get_classes() == ["O", "B-ART", "I-ART", "B-MOOD", "I-MOOD"]


def test_keras_counts_the_words_as_the_report_does(trained: Learner) -> None:
    logs = trained.history.history
    assert logs["val_accuracy"][-1] == pytest.approx(trained.metrics()["accuracy"], abs=1e-6)


def test_the_report_has_a_row_a_type(trained: Learner, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ktlite"):
        trained.validate()
    lines = caplog.records[-1].getMessage().splitlines()
    assert [line.split()[0] for line in lines if line][2:] == ["ART", "MOOD", "micro", "macro"]


def test_the_same_seed_gives_the_same_training(make: Callable[..., Learner]) -> None:
    losses = []
    for _ in range(2):
        learner = make(seed=3)
        losses.append(learner.fit(1e-3, 1, steps_per_epoch=3, verbose=0).history["loss"][0])
    assert losses[0] == losses[1]


def test_the_rate_finder_runs(make: Callable[..., Learner]) -> None:
    learner = make()
    before = [weight.numpy().copy() for weight in learner.model.weights]
    assert learner.lr_find(max_epochs=1, verbose=0).valley > 0
    for weight, old in zip(learner.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_the_worst_sentences_are_shown_by_word(
    trained: Learner, files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    learner = trained
    truth = read_columns(files[1])
    assert truth.labels is not None
    tags = [list(row) for row in truth.labels]
    first = tags[5][0]
    tags[5][0] = "B-MOOD" if first != "B-MOOD" else "O"
    data = learner.preproc.preprocess_test([t.words for t in truth.items], tags, verbose=0)
    row, loss, true, predicted = learner.top_losses(1, data)[0]
    assert (row, true) == (5, tags[5])
    assert predicted[0] == first
    with caplog.at_level(logging.INFO, "ktlite"):
        learner.view_top_losses(1, val_data=data)
    lines = caplog.records[-1].getMessage().splitlines()
    assert lines[0].startswith(f"row 5 | loss {loss:.3f} | ")
    assert f"    {truth.items[5].words[0]}: {tags[5][0]}, predicted {first}" in lines  # type: ignore[union-attr]


def test_predictions_of_the_validation_data(trained: Learner) -> None:
    probabilities, truth = trained.predict(), trained.ground_truth()
    assert [len(p) for p in probabilities] == [len(t) for t in truth] == [7] * 30
    right = np.mean(
        [(p.argmax(axis=1) == t).mean() for p, t in zip(probabilities, truth, strict=True)]
    )
    assert right == pytest.approx(trained.metrics()["accuracy"])
    assert trained.predict("good film") == trained.get_predictor().predict("good film")
    assert trained.predict([["good", "film"]]) == [trained.predict("good film")]


def test_a_predictor_says_the_same_when_it_comes_back(trained: Learner, tmp_path: Path) -> None:
    predictor = trained.get_predictor()
    predictor.save(tmp_path / "tagger")
    moved = shutil.move(tmp_path / "tagger", tmp_path / "moved")
    loaded = ktlite.load_predictor(moved)
    texts = ["The good very movie.", "", "xyz " * 60, "很 bad!"]
    for options in ({}, {"merge_tokens": True}, {"return_offsets": True}):
        assert loaded.predict(texts, **options) == predictor.predict(texts, **options)
    for a, b in zip(loaded.predict_proba(texts), predictor.predict_proba(texts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_predictor_that_changed_is_refused(trained: Learner, tmp_path: Path) -> None:
    predictor = trained.get_predictor()
    golden = predictor._golden()
    predictor.check(golden, tmp_path)
    golden[0]["logits"][0][0] += 1
    with pytest.raises(PredictorError, match="gives other numbers"):
        predictor.check(golden, tmp_path)
    golden[0]["logits"].pop()
    with pytest.raises(PredictorError, match="gives other numbers"):
        predictor.check(golden, tmp_path)


def test_entities_are_found_in_raw_text(trained: Learner) -> None:
    predictor = trained.get_predictor()
    found = predictor.predict("The  film and xyz was bad.", merge_tokens=True)
    assert found == [("film and", "ART", (5, 13)), ("bad", "MOOD", (22, 25))]
    pairs = predictor.predict("The film was bad.", return_proba=True, return_offsets=True)
    assert [word for word, *_ in pairs] == ["The", "film", "was", "bad", "."]
    assert all(0.2 < p <= 1 for *_, p, _ in pairs)


ALPHABET = "film goodbad  \n.,'()-房间很，ไทยก็हिन्दी\u200b\u00a0e\u0301👨\u200d👩🏽 𝒳@#/\x00\ufeff"


@pytest.mark.parametrize("merge", [False, True])
def test_offsets_are_exact_in_any_text(trained: Learner, merge: bool) -> None:
    rng = random.Random(0)
    texts = ["".join(rng.choices(ALPHABET, k=rng.randrange(120))) for _ in range(100)]
    predicted = trained.get_predictor().predict(texts, merge_tokens=merge, return_offsets=True)
    for source, items in zip(texts, predicted, strict=True):
        position = 0
        for word, _, (start, end) in items:
            assert position <= start < end
            assert source[start:end] == word
            position = end
        if not merge:
            assert "".join(word for word, *_ in items) == "".join(source.split())


def test_long_texts_lose_and_double_no_word(trained: Learner) -> None:
    predictor = trained.get_predictor()
    words = ["film", "was", "xyz"] * 100
    found = predictor.predict(" ".join(words))
    assert [word for word, _ in found] == words
    assert sum(tag == "B-ART" for _, tag in found) > 90


def test_batch_size_and_company_do_not_matter(trained: Learner) -> None:
    predictor = trained.get_predictor()
    texts = ["good film " * n for n in (1, 9, 3, 30, 2)]
    together = predictor.predict_proba(texts)
    for one, alone in zip(together, texts, strict=True):
        np.testing.assert_allclose(one, predictor.predict_proba(alone), atol=1e-5)
    for one, other in zip(together, predictor.predict_proba(texts, batch_size=2), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_sources_give_the_same_data(tiny_checkpoint: Path, tmp_path: Path) -> None:
    pairs = sentences(12, 2)
    words, tags = [list(part) for part in zip(*pairs, strict=True)]
    numbers = np.repeat(np.arange(12), 7)
    frame = pd.DataFrame({"SentenceID": numbers, "Word": np.ravel(words), "Tag": np.ravel(tags)})
    (tmp_path / "a.txt").write_text(as_conll(pairs))
    frame.to_csv(tmp_path / "a.csv", index=False)
    options: dict[str, Any] = {"preprocess_mode": tiny_checkpoint, "verbose": 0, "maxlen": 30}
    loaded = [
        text.entities_from_txt(tmp_path / "a.txt", **options),
        text.entities_from_conll2003(tmp_path / "a.txt", **options),
        text.entities_from_txt(tmp_path / "a.csv", data_format="gmb", **options),
        text.entities_from_gmb(tmp_path / "a.csv", **options),
        text.entities_from_df(frame, **options),
        text.entities_from_array(words, tags, **options),
    ]
    for train, val, preproc in loaded:
        assert (len(train), len(val)) == (10, 2)
        assert train.encodings.ids.tolist() == loaded[0][0].encodings.ids.tolist()
        assert [t.tolist() for t in val.y] == [t.tolist() for t in loaded[0][1].y]
        assert preproc.get_classes() == loaded[0][2].get_classes()


def test_ktrains_way(tiny_checkpoint: Path, files: tuple[Path, Path]) -> None:
    train, val, preproc = text.entities_from_txt(
        files[0], files[1], preprocess_mode=tiny_checkpoint, maxlen=24, verbose=0
    )
    model = text.sequence_tagger(tiny_checkpoint, preproc)
    learner = ktlite.get_learner(model, train_data=train, val_data=val, batch_size=16)
    learner.fit(1e-3, 1, verbose=0)
    assert 0 <= learner.validate(print_report=False) <= 1
    assert len(ktlite.get_predictor(model, preproc).predict("good film")) == 2
    with pytest.raises(ArgumentError, match="tokenised for"):
        text.sequence_tagger("bert-base-cased", preproc)


def test_annotated_characters_and_words_without_spaces(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    lines = ['{"text": "房间很好，the film", "label": [[0, 2, "ART"], [5, 13, "ART"]]}'] * 12
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    learner = ktlite.get_learner(
        tiny_checkpoint, train_data=tmp_path / "a.jsonl", task="token-classification", maxlen=20,
        batch_size=4, verbose=0,
    )  # fmt: skip
    learner.fit_onecycle(1e-2, 12, verbose=0)
    found = learner.get_predictor().predict("房间很好，the film", merge_tokens=True)
    assert found == [("房间", "ART", (0, 2)), ("the film", "ART", (5, 13))]


def test_plain_tags(tiny_checkpoint: Path) -> None:
    words, tags = zip(*sentences(100, 3), strict=True)
    plain = [[tag.replace("B-", "").replace("I-", "") for tag in row] for row in tags]
    learner = ktlite.get_learner(
        tiny_checkpoint, (list(words), plain), task=TokenClassification(["O", "ART", "MOOD"]),
        maxlen=24, batch_size=8, verbose=0,
    )  # fmt: skip
    learner.fit_onecycle(2e-2, 8, verbose=0)
    assert learner.validate(print_report=False) == learner.metrics()["accuracy"] > 0.9
    found = learner.get_predictor().predict("the bad movie movie", merge_tokens=True)
    assert found == [("bad", "MOOD", (4, 7)), ("movie movie", "ART", (8, 19))]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "ner"}, ArgumentError, "task='ner' is not known"),
        ({"train_data": None}, ArgumentError, "path of a file with a word and its tag a line"),
        ({"train_data": "nowhere.txt"}, DataError, "there is no file"),
        ({"val_data": ([["a"]], [["B-ORG"]])}, DataError, "val_data: tags that are not among"),
        ({"val_pct": 2}, ArgumentError, "val_pct=2"),
        (
            {"task": TokenClassification(["O", "X"]), "class_names": ["Y"]},
            ArgumentError,
            "class_names=Y cannot go with a task that is made already",
        ),
    ],
)
def test_what_cannot_work_is_said(
    make: Callable[..., Learner], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(**options)


def test_what_a_tagger_does_not_do_is_refused(trained: Learner) -> None:
    predictor = trained.get_predictor()
    with pytest.raises(DataError, match="a pair of texts"):
        predictor.predict(("one", "two"))
    with pytest.raises(ArgumentError, match="Did you mean 'merge_tokens'"):
        predictor.predict("one", merge=True)
    with pytest.raises(ArgumentError, match="cannot weight classes"):
        trained.fit(1e-3, 1, class_weight="balanced", verbose=0)
    with pytest.raises(ArgumentError, match="preprocess_mode is not given"):
        text.entities_from_array([["a"]], [["O"]])


@pytest.mark.parametrize("family", ["albert", "roberta"])
def test_other_families_tag(family: str, golden: Path, tmp_path: Path) -> None:
    shutil.copytree(golden / "tiny-tokenizer", tmp_path / family)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(golden / family / name, tmp_path / family)
    words, tags = zip(*sentences(20, 4), strict=True)
    learner = ktlite.get_learner(
        tmp_path / family, (list(words), list(tags)), task="token-classification", maxlen=16,
        batch_size=8, verbose=0,
    )  # fmt: skip
    learner.fit(1e-2, 1, verbose=0)
    predictor = learner.get_predictor()
    predictor.save(tmp_path / "tagger")
    assert ktlite.load_predictor(tmp_path / "tagger").predict(TEXT) == predictor.predict(TEXT)


TEXT = "The good film, and not a bad one."


@pytest.mark.torch
def test_pytorch_reads_the_tagger_with_equal_logits(trained: Learner, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    predictor = trained.get_predictor()
    predictor.save(tmp_path / "tagger")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "tagger").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tagger")
    assert [model.config.id2label[i] for i in range(5)] == predictor.get_classes()
    words = as_words(TEXT).words
    inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[0].numpy()
    numbers = inputs.word_ids()
    first = [numbers.index(i) for i in range(len(words))]
    np.testing.assert_allclose(predictor.logits([TEXT])[0], logits[first], atol=1e-4)
