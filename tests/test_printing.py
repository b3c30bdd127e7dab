"""What is printed says something short and useful: no addresses, no arrays, no texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.cross_validation import CrossValidation
from ktlite.data.examples import Examples
from ktlite.tasks import Classification, MultiLabel, Regression, Similarity

TEXTS = ["A fine film.", "A dull film."] * 10
LABELS = ["pos", "neg"] * 10


@pytest.fixture(scope="module")
def learner(tiny_checkpoint: Path) -> Any:
    return ktlite.get_learner(
        tiny_checkpoint, (TEXTS, LABELS), maxlen=16, val_pct=0.2, batch_size=8, verbose=0
    )


def test_learner_says_what_it_trains_on_and_what_came_of_it(learner: Any) -> None:
    count = f"{learner.model.count_params():,}"
    assert str(learner).splitlines() == [
        f"Learner: tiny-bert for classification (neg, pos), {count} parameters",
        "  train_data   16 examples",
        "  val_data     4 examples",
        "  trained      not yet",
    ]
    learner.fit(1e-4, 1, verbose=0)
    lines = str(learner).splitlines()
    assert lines[3].startswith("  trained      1 epoch with Constant(lr=0.0001), ")
    value = learner.history.history["val_loss"][-1]
    assert f"val_loss {value:.4g}" in lines[4]
    assert lines[4].endswith("; on 4 examples of validation data, after epoch 1")
    figures = learner.metrics()
    assert f"accuracy {figures['accuracy']:.4g}" in str(learner)
    assert "on 4 examples of validation data" in str(learner)
    predictor = learner.get_predictor()
    first, second = str(predictor).splitlines()
    assert first == f"Predictor: classification (neg, pos), {count} parameters, maxlen 16"
    assert "on 4 examples of validation data" in second
    assert repr(predictor) == str(predictor)


def test_data_and_preprocessor_show_no_texts(learner: Any) -> None:
    assert str(learner.preproc) == "Transformer: tiny-bert, maxlen 16, classification (neg, pos)"
    text = str(learner.train_data)
    assert text.startswith("Dataset: 16 texts, ")
    assert text.endswith(" tokens, classification (neg, pos)")
    assert str(ktlite.text.Transformer(learner.preproc.folder, 16)).endswith("no labels seen yet")


def test_search_and_embedder(tiny_checkpoint: Path) -> None:
    embedder = ktlite.get_embedder(tiny_checkpoint, 16)
    assert str(embedder).startswith("Predictor: sentence-similarity, ")
    search = ktlite.SemanticSearch(embedder)
    search.add(TEXTS, verbose=0)
    width = embedder.embed("x").shape[0]
    assert str(search) == f"SemanticSearch: 20 texts, vectors of {width}, exact"


def test_cross_validation_is_a_table_and_not_its_arrays() -> None:
    raw = Examples(TEXTS, np.array(LABELS, object), rows=np.arange(20))
    logits = np.tile([[2.0, 0.0], [0.0, 2.0]], (10, 1))
    folds = [{"accuracy": 0.5}, {"accuracy": 1.0}]
    found = CrossValidation(
        Classification(["neg", "pos"]), logits, np.tile([1, 0], 10), raw, np.arange(20) % 2, folds
    )
    lines = str(found).splitlines()
    assert lines[0] == "CrossValidation: 20 texts, classification (neg, pos)"
    assert lines[1] == "mean and standard deviation over 2 folds"
    # By hand: the mean of 0.5 and 1 and their deviation with n - 1, sqrt(0.125).
    assert lines[2].split() == ["accuracy", "0.7500", "+-", "0.3536"]
    assert "fine film" not in str(found)


def test_numbers_have_the_digits_that_a_model_has() -> None:
    task = Regression(mean=[3.0], scale=[0.7])
    outputs = np.array([[1 / 3], [0.0], [-0.123456789]], "float32")
    found = task.decode(outputs)
    np.testing.assert_allclose(found, 3 + 0.7 * outputs[:, 0].astype("float64"), rtol=1e-7)
    assert max(len(repr(value)) for value in found) <= 9  # of eight digits and a point
    assert task.decode_targets(np.array([3.1, 4e-05, 16777215], "float32")) == [
        3.1,
        4e-05,
        16777215.0,
    ]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Classification("ab"), "classification (a, b)"),
        (MultiLabel(range(8)), "multilabel (0, 1, 2, 3, 4, 5, ... (8 in all))"),
        (Regression(), "regression"),
        (Similarity(), "sentence-similarity"),
    ],
)
def test_tasks(task: Any, expected: str) -> None:
    assert str(task) == repr(task) == expected
