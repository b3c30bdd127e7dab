"""Comparing two predictors: exact p-values, and how often luck looks like skill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

import ktlite
from ktlite.errors import ArgumentError
from ktlite.evaluation import Outputs
from ktlite.predictor import Predictor
from ktlite.significance import compare_predictors
from ktlite.tasks import Classification, Regression
from ktlite.text.transformer import Transformer

TASK = Classification("ab")


def pair(count: int, a: float, b: float, seed: int) -> tuple[Outputs, Outputs]:
    """Two classifiers that are right independently, with these chances."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(2, size=count)

    def outputs(accuracy: float) -> Outputs:
        right = rng.random(count) < accuracy
        return Outputs(TASK, np.eye(2)[np.where(right, targets, 1 - targets)], targets, None)

    return outputs(a), outputs(b)


def test_counts_and_exact_test_of_mcnemar() -> None:
    targets = np.zeros(20, int)
    a, b = np.zeros((2, 20), int)
    a[:2] = b[2:11] = 1  # a alone is wrong twice, b alone nine times
    a[11:13] = b[11:13] = 1
    found = compare_predictors(
        *(Outputs(TASK, np.eye(2)[guess], targets, None) for guess in (a, b))
    )
    assert (found.only_a, found.only_b, found.count) == (9, 2, 20)
    assert found.mcnemar == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert (found.metric, found.a, found.b) == ("accuracy", 0.8, pytest.approx(0.45))
    assert found.difference == pytest.approx(0.35)
    assert found.low < 0.35 < found.high
    text = str(found)
    assert "accuracy on 20 examples: 0.8000 and 0.4500" in text
    assert "only the first is right: 9; only the second: 2; p = 0.0654" in text
    assert "(paired bootstrap: how likely a difference of accuracy so far from 0 is" in text
    assert "(McNemar, exact: how likely two counts so far apart are" in text
    assert repr(found) == text


def test_equal_predictors_do_not_differ() -> None:
    a, _ = pair(50, 0.8, 0.8, 0)
    found = compare_predictors(a, a)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.p_value == found.mcnemar == 1


def test_luck_seldom_looks_like_skill_and_skill_does() -> None:
    same = [compare_predictors(*pair(120, 0.8, 0.8, seed)) for seed in range(20)]
    # At 5 %: of 20, one by luck; more than five in one of 3,000 cases.
    assert sum(found.p_value < 0.05 for found in same) <= 5
    assert sum(found.mcnemar < 0.05 for found in same) <= 5  # type: ignore[operator]
    better = compare_predictors(*pair(400, 0.9, 0.7, 0), metric="f1_macro")
    assert better.p_value < 0.01 and better.low > 0


def test_pairs_are_compared_on_the_same_samples() -> None:
    """Two that err on nearly the same examples differ less by luck than two that do not."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    noise = rng.normal(size=300)
    a, b = truth + noise, truth + noise + 0.1 * rng.normal(size=300)
    outputs = [Outputs(Regression(), each[:, None], truth, None) for each in (a, b)]
    found = compare_predictors(*outputs, metric="mae", level=0.9)
    off = np.abs(a - truth) - np.abs(b - truth)
    assert found.difference == pytest.approx(off.mean())
    assert found.high - found.low == pytest.approx(2 * 1.645 * off.std() / np.sqrt(300), rel=0.2)
    assert found.mcnemar is found.only_a is None
    assert "McNemar" not in str(found)


def test_predictors_are_compared_on_labelled_data(tiny_checkpoint: Path) -> None:
    texts, labels = (
        ["a b c", "m n o", "x y z", "a a", "m m"],
        ["ham", "spam", "toast", "ham", "ham"],
    )
    predictors = []
    for seed in (1, 2):
        preproc = Transformer(tiny_checkpoint, 24)
        preproc.preprocess_train(texts, labels, verbose=0)
        predictors.append(Predictor(preproc.get_classifier(seed=seed), preproc))
    found = ktlite.compare_predictors(*predictors, (texts, labels))
    right = [np.mean(np.array(p.predict(texts)) == labels) for p in predictors]
    assert (found.a, found.b) == (pytest.approx(right[0]), pytest.approx(right[1]))
    with pytest.raises(ArgumentError, match="data is not given"):
        compare_predictors(*predictors)


def test_files_are_read_by_their_names(tiny_predictors: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    predictor = ktlite.load_predictor(tiny_predictors / "classification")
    classes = predictor.get_classes()
    path.write_text("text\tlabel\n" + "".join(f"a, b\t{name}\n" for name in classes))
    columns = {"text_column": "text", "label_columns": "label"}
    assert compare_predictors(predictor, predictor, path, **columns).count == len(classes)


def test_what_cannot_be_compared_is_refused() -> None:
    a, b = pair(20, 0.8, 0.8, 0)
    other: Any = Outputs(TASK, b.logits, 1 - b.known_targets(), None)
    with pytest.raises(ArgumentError, match="other examples"):
        compare_predictors(a, other)
    with pytest.raises(ArgumentError, match="metric='f1_makro' is not.*Did you mean 'f1_macro"):
        compare_predictors(a, b, metric="f1_makro")
    with pytest.raises(ArgumentError, match="(?s)a is of type str.*level=95"):
        compare_predictors("small", b, level=95)
