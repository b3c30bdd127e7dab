"""Labels without examples, against Hugging Face's pipeline (golden file)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.errors import ArgumentError, CheckpointError, DataError

TEXTS = ["the film was great", "bad, very bad!", "房间 很 好"]
LABELS = ["good", "film", "the bad 房间"]
TEMPLATE = "was {} the film"


def named(two_blocks: Path, folder: Path, names: list[str]) -> Path:
    """Copies the tiny checkpoint, with other names of its three labels."""
    shutil.copytree(two_blocks, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    config["label2id"] = {name: number for number, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def classifier(two_blocks: Path, tmp_path: Path) -> ktlite.ZeroShotClassifier:
    names = ["contradiction", "neutral", "entailment"]
    return ktlite.ZeroShotClassifier(named(two_blocks, tmp_path / "nli", names), batch_size=2)


@pytest.mark.parametrize("several", [True, False])
def test_probabilities_are_those_of_hugging_faces_pipeline(
    classifier: Any, golden: Path, several: bool
) -> None:
    expected = json.loads((golden / "pipelines.json").read_text(encoding="utf-8"))["zero_shot"]
    found = classifier.predict(TEXTS, LABELS, multilabel=several, nli_template=TEMPLATE)
    np.testing.assert_allclose(found, expected[str(several)], atol=1e-5)


def test_one_text_gives_one_list_and_labels_stand_beside_it(classifier: Any) -> None:
    many = classifier.predict(TEXTS, LABELS)
    one = classifier.predict(TEXTS[1], LABELS)
    np.testing.assert_allclose(one, many[1], atol=1e-6)
    pairs = classifier.predict(TEXTS[1], LABELS, include_labels=True)
    assert [label for label, _ in pairs] == LABELS
    assert classifier.predict(TEXTS[1], topic_strings=LABELS) == pytest.approx(one)


def test_of_exclusive_labels_the_probabilities_sum_to_one(classifier: Any) -> None:
    assert np.sum(classifier.predict(TEXTS, LABELS, multilabel=False), axis=1) == pytest.approx(1)


def test_models_of_two_labels_are_known(two_blocks: Path, tmp_path: Path) -> None:
    folder = named(two_blocks, tmp_path / "nli", ["Entailment", "not_entailment", "other"])
    assert len(ktlite.ZeroShotClassifier(folder).predict("the film", LABELS)) == 3


def test_long_texts_are_cut_and_braces_in_labels_are_nothing_special(classifier: Any) -> None:
    long = "the film was great " * 50
    assert np.isfinite(classifier.predict(long, ["a {} b", "{0}"], max_length=20)).all()


def test_a_model_of_something_else_is_refused(two_blocks: Path) -> None:
    with pytest.raises(CheckpointError, match="LABEL_0.*needs a model with entailment and contra"):
        ktlite.ZeroShotClassifier(two_blocks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": []}, r"labels=\[\]; expected a list of words"),
        ({"labels": "politics"}, r"labels='politics'; expected a list: \['politics'\]"),
        ({"labels": ["a", " "]}, "expected a list of words"),
        ({"labels": ["a"], "nli_template": "about it"}, "'about it' has no {} for the label"),
        ({"labels": ["a"], "label": 1}, "unknown argument 'label'"),
    ],
)
def test_arguments_that_cannot_work(classifier: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        classifier.predict("the film", **arguments)


@pytest.mark.parametrize("docs", [[1], [("a", "b")]])
def test_texts_must_be_strings(classifier: Any, docs: Any) -> None:
    with pytest.raises(DataError, match="a string or a list of strings"):
        classifier.predict(docs, LABELS)
