"""Sentence similarity: the three losses, and the search that validation does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

import ktlite
from ktlite.encodings.grouped import GroupedEncodings
from ktlite.errors import ArgumentError, DataError
from ktlite.tasks import Similarity

RNG = np.random.default_rng(3)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def by_hand(vectors: np.ndarray, allowed: list[list[tuple[int, int]]]) -> list[float]:
    """The ranking loss, given for each anchor the (row, text) of its candidates, its own first."""
    losses = []
    for anchor, candidates in zip(vectors[:, 0], allowed, strict=True):
        scores = [20 * cosine(anchor, vectors[row, text]) for row, text in candidates]
        losses.append(-log_softmax(scores)[0])
    return losses


def both(task: Similarity, vectors: np.ndarray, targets: np.ndarray) -> tuple[list[float], float]:
    """Returns our losses of examples, and what Keras has for all of them."""
    ours = task.example_losses(vectors, targets)
    return ours.tolist(), float(task.loss()(targets, vectors.astype("float32")))


def test_ranking_loss_of_pairs_is_that_of_the_definition() -> None:
    vectors = RNG.normal(size=(3, 2, 5))
    numbers = np.array([[0, 1], [2, 3], [4, 5]], "int32")
    allowed = [[(0, 1), (1, 1), (2, 1)], [(1, 1), (0, 1), (2, 1)], [(2, 1), (0, 1), (1, 1)]]
    ours, keras_loss = both(Similarity(), vectors, numbers)
    assert ours == pytest.approx(by_hand(vectors, allowed))
    assert keras_loss == pytest.approx(np.mean(ours), abs=1e-5)


def test_negatives_of_all_rows_are_candidates() -> None:
    vectors = RNG.normal(size=(2, 3, 5))
    numbers = np.arange(6, dtype="int32").reshape(2, 3)
    allowed = [[(0, 1), (1, 1), (0, 2), (1, 2)], [(1, 1), (0, 1), (0, 2), (1, 2)]]
    ours, keras_loss = both(Similarity(), vectors, numbers)
    assert ours == pytest.approx(by_hand(vectors, allowed))
    assert keras_loss == pytest.approx(np.mean(ours), abs=1e-5)


@pytest.mark.parametrize(
    ("numbers", "allowed"),
    [
        # the second row has the first one's positive
        ([[0, 1], [2, 1], [4, 5]], [[(0, 1), (2, 1)], [(1, 1), (2, 1)], [(2, 1), (0, 1), (1, 1)]]),
        # the second row's positive is the first one's anchor
        ([[0, 1], [2, 0], [4, 5]], [[(0, 1), (2, 1)], [(1, 1), (0, 1), (2, 1)],
                                    [(2, 1), (0, 1), (1, 1)]]),
        # two rows have the same anchor
        ([[0, 1], [0, 3], [4, 5]], [[(0, 1), (2, 1)], [(1, 1), (2, 1)], [(2, 1), (0, 1), (1, 1)]]),
    ],
)  # fmt: skip
def test_what_may_be_right_as_well_does_not_count(numbers: Any, allowed: Any) -> None:
    vectors = RNG.normal(size=(3, 2, 5))
    ours, keras_loss = both(Similarity(), vectors, np.array(numbers, "int32"))
    assert ours == pytest.approx(by_hand(vectors, allowed))
    assert keras_loss == pytest.approx(np.mean(ours), abs=1e-5)


def test_loss_of_many_does_not_depend_on_the_parts_it_is_computed_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = RNG.normal(size=(20, 2, 4))
    numbers = RNG.integers(0, 15, (20, 2)).astype("int32")
    task = Similarity()
    whole, report = task.example_losses(vectors, numbers), task.report(vectors, numbers).metrics
    monkeypatch.setattr("ktlite.tasks.similarity._CHUNK", 7)
    assert task.example_losses(vectors, numbers) == pytest.approx(whole)
    assert task.report(vectors, numbers).metrics == pytest.approx(report)


def test_triplet_loss_is_the_margin_less_what_the_positive_is_nearer() -> None:
    vectors = np.array([
        [[1.0, 0], [0.8, 0.6], [0.6, 0.8]],  # 0.8 and 0.6: nearer by 0.2
        [[2.0, 0], [0, 3.0], [1, 0]],  # 0 and 1
        [[0, 1.0], [0, 2.0], [-1, 0]],  # 1 and 0: more than the margin
    ])  # fmt: skip
    numbers = np.arange(9, dtype="int32").reshape(3, 3)
    task = Similarity("triplet", margin=0.5)
    ours, keras_loss = both(task, vectors, numbers)
    assert ours == pytest.approx([0.3, 1.5, 0])
    assert keras_loss == pytest.approx(0.6, abs=1e-6)
    assert task.report(vectors, numbers).metrics["triplet_accuracy"] == pytest.approx(2 / 3)


def test_cosine_loss_is_the_squared_difference_from_the_score() -> None:
    vectors = np.array([[[1.0, 0], [3, 4.0]], [[0, 2.0], [0, -1.0]]])
    ours, keras_loss = both(Similarity("cosine"), vectors, np.array([1, -0.5], "float32"))
    assert ours == pytest.approx([0.16, 0.25])
    assert keras_loss == pytest.approx(0.205, abs=1e-6)


def test_report_counts_in_how_many_searches_the_own_text_comes_first() -> None:
    # Anchor 0 finds its own first, anchor 1 second, anchor 2 third.
    angles = np.array([[0, 1], [40, 45], [90, 44]])
    vectors = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=-1)
    vectors[1, 0] = [np.cos(np.radians(44.1)), np.sin(np.radians(44.1))]
    vectors[2, 0] = [np.cos(np.radians(22)), -np.sin(np.radians(60))]
    metrics = Similarity().report(vectors, np.arange(6).reshape(3, 2)).metrics
    cosines = vectors[:, 0] @ vectors[:, 1].T
    ranks = [1 + int((row > row[i]).sum()) for i, row in enumerate(cosines)]
    assert ranks[:2] == [1, 2]
    assert metrics["recall@1"] == pytest.approx(np.mean([r == 1 for r in ranks]))
    assert metrics["mrr"] == pytest.approx(np.mean([1 / r for r in ranks]))
    assert metrics["recall@10"] == 1


def test_vectors_that_are_all_the_same_find_nothing() -> None:
    metrics = Similarity().report(np.ones((30, 2, 4)), np.arange(60).reshape(30, 2)).metrics
    assert metrics["recall@1"] == metrics["recall@10"] == 0
    assert metrics["mrr"] == pytest.approx(1 / 30)


def test_candidates_that_occur_again_are_searched_once() -> None:
    vectors = np.array([[[1, 0.1], [0, 1.0]], [[1, 0], [1, 0.0]], [[1, 0], [1, 0.0]]])
    numbers = np.array([[0, 1], [2, 3], [4, 3]])
    assert Similarity().report(vectors, numbers).metrics["mrr"] == pytest.approx((1 / 2 + 2) / 3)


def test_agreement_with_scores() -> None:
    angles = np.radians([0, 30, 60, 90])
    vectors = np.stack([np.tile([1.0, 0], (4, 1)),
                        np.stack([np.cos(angles), np.sin(angles)], 1)], 1)  # fmt: skip
    scores = np.array([1, 0.5, 0.2, 0.1], "float32")
    metrics = Similarity("cosine").report(vectors, scores).metrics
    assert metrics["spearman"] == pytest.approx(1)
    assert metrics["pearson"] == pytest.approx(np.corrcoef(np.cos(angles), scores)[0, 1])
    assert metrics["mae"] == pytest.approx(np.abs(np.cos(angles) - scores).mean())


@pytest.mark.parametrize(
    ("loss", "labels", "message"),
    [
        ("cosine", [0.5, 4.2], "from -1 to 1, .* found 0.5 to 4.2. Divide"),
        ("cosine", [[1, 2], [3, 4]], "one score a pair; got 2 columns"),
        ("cosine", ["high"], "expected a number as the score.*'high'"),
        ("ranking", [0.5, 0.1], "takes 2 or 3 texts and no scores; got scores"),
        ("triplet", [[0, 1], [2, 3]], "takes 3 texts and no scores; got 2 columns"),
    ],
)
def test_labels_that_the_loss_does_not_take_are_refused(
    loss: str, labels: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Similarity(loss).encode(labels, "pairs.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "rank"}, "loss='rank' is not known; .* Did you mean 'ranking'"),
        ({"scale": 0}, "scale=0; expected a positive number"),
        ({"margin": -1}, "margin=-1"),
    ],
)
def test_arguments_are_checked(arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Similarity(**arguments)


def test_rows_of_several_texts_are_padded_to_their_longest() -> None:
    encodings = GroupedEncodings(
        ids=np.arange(1, 16, dtype="int32"),
        offsets=np.array([0, 2, 5, 6, 12, 14, 15]),
        type_ids=None,
        max_length=8,
        size=2,
    )
    assert len(encodings) == 3
    assert encodings.lengths.tolist() == [3, 6, 2]
    batch = encodings.batch(np.array([2, 0]))
    assert batch["input_ids"].tolist() == [
        [[13, 14, 0, 0], [15, 0, 0, 0]],
        [[1, 2, 0, 0], [3, 4, 5, 0]],
    ]
    assert batch["attention_mask"].sum() == 8


PAIRS = [("good film", "fine good film"), ("bad film", "a bad one"), ("the end", "an end")] * 8


@pytest.mark.parametrize(
    ("data", "task", "figure"),
    [
        (PAIRS, "sentence-similarity", "recall@1"),
        ([(a, b, "room") for a, b in PAIRS], Similarity("triplet"), "triplet_accuracy"),
        ((PAIRS, [1.0, 0.2, -0.5] * 8), "sentence-similarity", "spearman"),
        (
            pd.DataFrame(PAIRS, columns=["anchor", "positive"]),
            "sentence-similarity",
            "mrr",
        ),
    ],
)
def test_workflow(data: Any, task: Any, figure: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    learner = ktlite.get_learner(
        tiny_checkpoint, data, data, task=task, maxlen=12, batch_size=6, verbose=0
    )
    before = learner.metrics()
    learner.lr_find(max_epochs=1, verbose=0)
    learner.fit_onecycle(3e-3, 4, verbose=0)
    after = learner.metrics()
    assert after["loss"] < before["loss"]
    assert figure in dict(learner.validate(print_report=False))
    learner.view_top_losses(1)
    assert len(learner.predict()) == 24
    predictor = learner.get_predictor()
    predictor.save(tmp_path / "similar")
    again = ktlite.load_predictor(tmp_path / "similar")
    assert again.predict(PAIRS[0]) == pytest.approx(predictor.predict(PAIRS[0]), abs=1e-6)
    length = json.loads((tmp_path / "similar" / "sentence_bert_config.json").read_text())
    assert length["max_seq_length"] == 12
    learner.save_model(tmp_path / "model")
    learner.save_model(tmp_path / "model")  # again, over what is there
    learner.load_model(tmp_path / "model")


def test_no_probabilities(tiny_checkpoint: Path) -> None:
    with pytest.raises(DataError, match=r"no probabilities; predict\(\) gives the cosines"):
        ktlite.get_embedder(tiny_checkpoint).predict_proba(("a", "b"))


def test_another_loss_is_another_task() -> None:
    with pytest.raises(ArgumentError, match=r"task=ktlite\.tasks\.Similarity\('triplet'\)"):
        Similarity().custom_loss("triplet")
    assert Similarity("triplet").custom_loss("triplet").name == "triplet"
