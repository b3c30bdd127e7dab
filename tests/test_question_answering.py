"""Answering questions, end to end: files in, training, report, predictor out and back."""

from __future__ import annotations

import json
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
from ktlite.data.squad import read_squad
from ktlite.errors import ArgumentError, DataError, PredictorError
from ktlite.learner import Learner
from ktlite.tasks import QuestionAnswering

FILLERS = ["the", "was", "bad", "good", "and", "not", "very", "xyz", "房间", "."]
QUESTION = "what movie?"


def squad(count: int, seed: int, words: int = 9, answered: float = 0.7) -> dict[str, Any]:
    """A SQuAD 2.0 file; the answer is "great movie" or "great film", where there is one."""
    rng = random.Random(seed)
    paragraphs = []
    for number in range(count):
        parts = rng.choices(FILLERS, k=words)
        answers = []
        if rng.random() < answered:
            at = rng.randrange(words)
            text = f"great {rng.choice(['movie', 'film'])}"
            parts.insert(at, text)
            answers = [{"text": text, "answer_start": len(" ".join([*parts[:at], ""]))}]
        qas = [{"id": str(number), "question": QUESTION, "answers": answers,
                "is_impossible": not answers}]  # fmt: skip
        paragraphs.append({"context": " ".join(parts), "qas": qas})
    return {"version": "v2.0", "data": [{"title": "", "paragraphs": paragraphs}]}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("squad")
    for name, count, seed in (("train.json", 300, 0), ("dev.json", 40, 1)):
        (folder / name).write_text(json.dumps(squad(count, seed)), encoding="utf-8")
    return folder / "train.json", folder / "dev.json"


@pytest.fixture(scope="module")
def make(tiny_checkpoint: Path, files: tuple[Path, Path]) -> Callable[..., Learner]:
    def learner(**options: Any) -> Learner:
        given = {"train_data": files[0], "val_data": files[1], "batch_size": 8, "maxlen": 24,
                 "task": "question-answering", "verbose": 0, **options}  # fmt: skip
        return ktlite.get_learner(tiny_checkpoint, **given)

    return learner


@pytest.fixture(scope="module")
def trained(make: Callable[..., Learner]) -> Learner:
    """A learner that has learned. To be read only."""
    learner = make()
    learner.fit_onecycle(1e-2, 15, verbose=0)
    return learner


def test_it_learns_from_squad_files(trained: Learner) -> None:
    metrics = trained.metrics()
    assert metrics["exact_match"] > 85
    assert metrics["f1"] >= metrics["exact_match"]
    assert trained.validate(print_report=False) == [
        ("exact_match", metrics["exact_match"]),
        ("f1", metrics["f1"]),
    ]
    assert trained.predict((QUESTION, "the great movie was bad")) == "great movie"


def test_keras_counts_as_the_report_does(trained: Learner) -> None:
    logs, metrics = trained.history.history, trained.metrics()
    assert logs["val_loss"][-1] == pytest.approx(metrics["loss"], abs=1e-4)
    assert logs["val_accuracy"][-1] == pytest.approx(metrics["accuracy"], abs=1e-6)


def test_the_report_is_shown_with_the_best_threshold(
    trained: Learner, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ktlite"):
        trained.validate()
    lines = caplog.records[-1].getMessage().splitlines()
    assert "validation data" in lines[0]
    assert [line.split()[0] for line in lines[3:6]] == ["all", "answerable", "unanswerable"]
    assert lines[-1].startswith("now threshold=0.0; learner.tune_thresholds()")


def test_the_rate_finder_leaves_the_model_as_it_was(make: Callable[..., Learner]) -> None:
    learner = make()
    before = [weight.numpy().copy() for weight in learner.model.weights]
    assert len(learner.lr_find(max_epochs=1, verbose=0).losses) > 10
    for weight, old in zip(learner.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_data_frames_and_lists_train_as_files_do(
    make: Callable[..., Learner], files: tuple[Path, Path]
) -> None:
    raw = read_squad(files[0]).take(slice(60))
    assert raw.labels is not None
    frame = pd.DataFrame({
        "question": [question for question, _ in raw.items],
        "context": [context for _, context in raw.items],
        "answer_text": [answers[0].text if answers else None for answers in raw.labels],
        "answer_start": [answers[0].start if answers else None for answers in raw.labels],
    })  # fmt: skip
    losses = [
        make(train_data=data, val_data=None).fit(1e-3, 1, verbose=0).history["loss"][0]
        for data in (frame, (raw.items, list(raw.labels)))
    ]
    assert losses[0] == losses[1]


def test_where_every_question_has_an_answer_one_is_always_given(
    make: Callable[..., Learner],
) -> None:
    pairs = [(QUESTION, f"{filler} great movie") for filler in FILLERS]
    learner = make(train_data=(pairs, ["great movie"] * 10), val_data=None, val_pct=0.3)
    learner.fit(1e-4, 1, verbose=0)
    assert learner.task.get_config()["threshold"] is None
    assert "best_f1" not in learner.metrics()
    assert learner.get_predictor().predict((QUESTION, "xyz")) == "xyz"


def test_the_worst_questions_are_shown_with_their_texts(
    trained: Learner, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [(QUESTION, "the great movie"), (QUESTION, "bad great film was")]
    data = trained.preproc.preprocess_test(pairs, ["great movie", "bad"], verbose=0)
    ((row, loss, true, predicted),) = trained.top_losses(1, data)
    assert (row, true, predicted) == (1, ["bad"], "great film")
    with caplog.at_level(logging.INFO, "ktlite"):
        trained.view_top_losses(1, val_data=data)
    assert caplog.records[-1].getMessage().splitlines() == [
        f"row 1 | loss {loss:.3f} | true: ['bad'] | predicted: 'great film' | row 1 of the source",
        f"    {QUESTION}",
        "    bad great film was",
    ]


def test_predictions_of_the_validation_data(trained: Learner) -> None:
    answers = trained.predict()
    assert answers.shape == (40,)
    right = [guess in ([answer.text for answer in true] or [""])
             for guess, true in zip(answers, trained.ground_truth(), strict=True)]  # fmt: skip
    assert 100 * np.mean(right) == pytest.approx(trained.metrics()["exact_match"])


def test_a_predictor_says_the_same_when_it_comes_back(trained: Learner, tmp_path: Path) -> None:
    predictor = trained.get_predictor()
    predictor.save(tmp_path / "answers")
    moved = shutil.move(tmp_path / "answers", tmp_path / "moved")
    loaded = ktlite.load_predictor(moved)
    pairs = [(QUESTION, "the great movie " * 30), (QUESTION, "好 great film"), ("?", "bad")]
    for options in ({}, {"return_offsets": True}, {"n_best": 4}):
        assert loaded.predict(pairs, **options) == predictor.predict(pairs, **options)
    np.testing.assert_allclose(loaded.predict_proba(pairs), predictor.predict_proba(pairs), 1e-5)
    config = json.loads((Path(moved) / "config.json").read_text())
    assert config["architectures"] == ["BertForQuestionAnswering"]


def test_a_predictor_that_changed_is_refused(trained: Learner, tmp_path: Path) -> None:
    predictor = trained.get_predictor()
    golden = json.loads(json.dumps(predictor._golden()))
    predictor.check(golden, tmp_path)
    golden[1]["logits"][0][0] += 1
    with pytest.raises(PredictorError, match="gives other numbers"):
        predictor.check(golden, tmp_path)


def test_the_tuned_threshold_goes_with_the_predictor(
    make: Callable[..., Learner], tmp_path: Path
) -> None:
    learner = make()
    learner.fit(1e-3, 1, steps_per_epoch=2, verbose=0)
    before = learner.metrics()
    tuned = learner.tune_thresholds()
    # The official script counts answers that are punctuation alone as answers when it looks for
    # the best threshold, and as none when it scores.
    assert tuned["f1"] >= before["best_f1"] - 1e-9
    learner.get_predictor().save(tmp_path / "tuned")
    task = ktlite.load_predictor(tmp_path / "tuned").preproc.task
    assert isinstance(task, QuestionAnswering)
    assert task.threshold == pytest.approx(before["best_f1_threshold"])


ALPHABET = "great movie film bad  \n.,'()-3.5房间很，ไทยก็हिन्दी\u200b\u00a0e\u0301👨\u200d👩🏽 𝒳@#/"


def test_answers_are_exact_parts_of_any_text(trained: Learner) -> None:
    rng = random.Random(0)
    contexts = ["x" + "".join(rng.choices(ALPHABET, k=rng.randrange(1, 200))) for _ in range(60)]
    predictor = trained.get_predictor()
    found = predictor.predict(
        [(QUESTION, context) for context in contexts], return_offsets=True, n_best=20
    )
    for context, answers in zip(contexts, found, strict=True):
        assert len({span for _, span in answers}) == len(answers)
        for answer, (start, end) in answers:
            assert answer == context[start:end] == answer.strip()


@pytest.mark.parametrize("at", [0, 1, 57, 113, 200])
def test_answers_are_found_wherever_they_are_in_a_long_text(trained: Learner, at: int) -> None:
    words = random.Random(at).choices([f for f in FILLERS if f != "."], k=200)
    context = " ".join([*words[:at], "great film", *words[at:]])
    answer, span = trained.get_predictor().predict((QUESTION, context), return_offsets=True)
    assert answer == "great film"
    assert span[0] == len(" ".join([*words[:at], ""]))


def test_long_texts_train_in_windows(make: Callable[..., Learner], tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    path.write_text(json.dumps(squad(30, 5, words=50)), encoding="utf-8")
    learner = make(train_data=path, val_data=path, task=QuestionAnswering(stride=4))
    assert learner.train_data.lengths.max() <= 24
    assert len(learner.train_data) > 90
    learner.fit_onecycle(1e-3, 1, verbose=0)
    assert len(learner.predict()) == 30
    shorter = make(train_data=path, val_data=path, window=20, stride=2)
    assert shorter.train_data.lengths.max() <= 20


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train_data": 3}, DataError, "train_data is of type int; expected the path of a SQuAD"),
        ({"train_data": ([("?", "x")] * 4, ["y"] * 4)}, DataError, "row 0: the answer 'y' is not"),
        ({"text_column": "context"}, ArgumentError, "text_column='context'; expected the two"),
        ({"maxlen": 4}, DataError, "leaves no room for its context in maxlen=4"),
    ],
)
def test_data_that_cannot_be_used(
    make: Callable[..., Learner], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(**options)


@pytest.mark.torch
def test_a_saved_predictor_is_a_model_of_transformers(trained: Learner, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    predictor = trained.get_predictor()
    predictor.save(tmp_path / "answers")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "answers")
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "answers").eval()
    context = " ".join(random.Random(2).choices(FILLERS, k=60))
    inputs = tokenizer(
        QUESTION, context, truncation="only_second", max_length=24, stride=7,
        return_overflowing_tokens=True, return_tensors="pt", padding=True,
        return_token_type_ids=True,
    )  # fmt: skip
    inputs.pop("overflow_to_sample_mapping")
    with torch.no_grad():
        outputs = model(**inputs)
    there = inputs["attention_mask"].bool()
    expected = torch.stack([outputs.start_logits[there], outputs.end_logits[there]], dim=1)
    ours = np.asarray(predictor.logits([(QUESTION, context)])[0])
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-4)


@pytest.mark.checkpoint
def test_the_real_tokenizer_gives_exact_answers(minilm: Path) -> None:
    context = ("Ann Lee, who was born in 1999 in São Paulo, paid $10,000.50 to Zoe\u0308 O'Neil. "
               "房间很干净，服务也好。 ") * 30  # fmt: skip
    learner = ktlite.get_learner(
        minilm, ([("Who?", context), ("谁？", context)] * 3, ["Ann Lee", "服务", None] * 2),
        task="question-answering", maxlen=48, verbose=0, val_pct=0.3,
    )  # fmt: skip
    found = learner.get_predictor().predict(("Who?", context), return_offsets=True, n_best=500)
    assert len(found) == 500
    assert all(context[slice(*span)] == answer for answer, span in found)
    # No part of a number or of a word.
    assert {answer for answer, _ in found} & {
        "10",
        "000",
        "50",
        "10,000",
        "1",
        "Zoe",
        "Paul",
    } == set()
