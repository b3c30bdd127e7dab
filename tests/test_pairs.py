"""Whether an example is a text or a pair is known from training, and the other is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite.cli.main import main
from ktlite.errors import DataError
from ktlite.predictor import Predictor
from ktlite.sklearn import TextClassifier
from ktlite.storage import read_manifest

TEXTS = ["a b c", "x y z", "a c", "z z y"] * 3
PAIRS = list(zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True))
LABELS = ["ham", "spam"] * 6
MAXLEN = {"maxlen": 16, "verbose": 0}
ONE, TWO = "trained on single texts", "trained on pairs"


@pytest.fixture(scope="module")
def predictors(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pairs")
    for name, texts in (("single", TEXTS), ("pair", PAIRS)):
        learner = ktlite.get_learner(tiny_checkpoint, (texts, LABELS), **MAXLEN)
        learner.get_predictor().save(folder / name)
    return {name: folder / name for name in ("single", "pair")}


@pytest.fixture(scope="module")
def single(predictors: dict[str, Path]) -> Predictor:
    return ktlite.load_predictor(predictors["single"])


@pytest.fixture(scope="module")
def pair(predictors: dict[str, Path]) -> Predictor:
    return ktlite.load_predictor(predictors["pair"])


def test_tuples_of_single_texts_are_so_many_texts(single: Predictor) -> None:
    for count in (1, 2, 3):
        given = tuple(TEXTS[:count])
        assert single.predict(given) == single.predict(list(given))
        expected = single.predict_proba(list(given))
        np.testing.assert_array_equal(single.predict_proba(given), expected)
        assert len(single.explain(given)) == count
        assert single.embed(given).shape[0] == count
    assert isinstance(single.predict("a b"), str)


def test_pairs_are_tuples_of_two(pair: Predictor) -> None:
    assert isinstance(pair.predict(PAIRS[0]), str)
    assert pair.predict_proba(PAIRS[0]).shape == (2,)
    for given in (PAIRS[:2], tuple(PAIRS[:2]), PAIRS[:3]):
        assert pair.predict(given) == [pair.predict(one) for one in given]
    assert pair.predict([]) == []
    # Rows of two, as training takes them: JSON and arrays have no tuples.
    for rows in ([list(row) for row in PAIRS[:2]], np.array(PAIRS[:2])):
        assert pair.predict(rows) == pair.predict(PAIRS[:2])
        assert len(pair.explain(rows)) == 2


CALLS: dict[str, Callable[[Predictor, Any], Any]] = {
    "predict": lambda p, given: p.predict(given),
    "predict_proba": lambda p, given: p.predict_proba(given),
    "explain": lambda p, given: p.explain(given),
    "logits": lambda p, given: p.logits(given),
    "predict_stream": lambda p, given: list(p.predict_stream(given)),
    "cache": lambda p, given: Predictor(p.model, p.preproc, cache=9).predict(given),
    "preprocess_test": lambda p, given: p.preproc.preprocess_test(given, verbose=0),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_other_kind_is_refused(call: str, single: Predictor, pair: Predictor) -> None:
    for given in ([("a", "b")], [("a", "b"), ("c", "d")]):
        with pytest.raises(DataError, match=f"text 0 is a pair.*{ONE}"):
            CALLS[call](single, given)
    for given in (["a"], ["a", "b"]):
        with pytest.raises(DataError, match=f"text 0 is one text.*{TWO}"):
            CALLS[call](pair, given)


def test_the_first_of_the_other_kind_is_named(single: Predictor, pair: Predictor) -> None:
    with pytest.raises(DataError, match="text 1 is a pair"):
        single.predict(["a", ("a", "b")])
    with pytest.raises(DataError, match="text 1 is one text, 'b'"):
        pair.predict([("a", "b"), "b"])


def test_one_text_and_three_are_no_pair(pair: Predictor) -> None:
    for given in ("a b", ("a", "b", "c"), ["a", "b"]):
        with pytest.raises(DataError, match=TWO):
            pair.predict(given)


def test_learners_and_validation_data(tiny_checkpoint: Path) -> None:
    learner = ktlite.get_learner(tiny_checkpoint, (TEXTS, LABELS), **MAXLEN)
    assert len(learner.predict(("a", "b"))) == 2
    with pytest.raises(DataError, match=ONE):
        learner.predict([("a", "b")])
    with pytest.raises(DataError, match=ONE):
        ktlite.get_learner(tiny_checkpoint, (TEXTS, LABELS), (PAIRS, LABELS), **MAXLEN)
    with pytest.raises(DataError, match=TWO):
        ktlite.get_learner(tiny_checkpoint, (PAIRS, LABELS), (TEXTS, LABELS), **MAXLEN)


def test_estimators(tiny_checkpoint: Path) -> None:
    fitted = TextClassifier(tiny_checkpoint, epochs=1, maxlen=16).fit(TEXTS, LABELS)
    assert fitted.predict(("a", "b")).shape == (2,)
    with pytest.raises(DataError, match=ONE):
        fitted.predict(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    fitted = TextClassifier(tiny_checkpoint, epochs=1, maxlen=16).fit(PAIRS, LABELS)
    assert fitted.predict(pd.DataFrame(PAIRS)).shape == (12,)
    with pytest.raises(DataError, match=TWO):
        fitted.predict(TEXTS)


def test_predictor_folders_say_what_they_take(predictors: dict[str, Path]) -> None:
    for name, pairs in (("single", False), ("pair", True)):
        manifest = read_manifest(predictors[name])
        assert manifest["preprocessor"]["pairs"] is pairs
        golden = manifest["golden"][0]["text"]
        assert isinstance(golden, list if pairs else str)
    # The card's example works.
    readme = (predictors["pair"] / "README.md").read_text()
    assert "predictor.predict(('It was fine.', " in readme


def test_predictors_that_do_not_say_take_what_they_took(single: Predictor) -> None:
    old = Predictor(single.model, single.preproc)
    old.preproc.pairs = None
    assert isinstance(old.predict(("a", "b")), str)
    assert len(old.predict(["a", ("a", "b")])) == 2
    assert len(old.predict(("a", "b", "c"))) == 3


def test_exports_take_the_same(pair: Predictor, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pair.export(tmp_path / "pair", "onnx")
    loaded = ktlite.load_predictor(tmp_path / "pair")
    assert loaded.predict(PAIRS) == pair.predict(PAIRS)
    with pytest.raises(DataError, match=TWO):
        loaded.predict(TEXTS)


def test_the_command_line(
    predictors: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: Any) -> tuple[int, str]:
        code = main([str(a) for a in arguments])
        both = capsys.readouterr()
        return code, both.out + both.err

    file = tmp_path / "pairs.csv"
    pd.DataFrame(PAIRS, columns=["one", "two"]).to_csv(file, index=False)
    one, two = predictors["single"], predictors["pair"]
    assert run("predict", two, "--pair", "a b", "c")[0] == 0
    assert run("predict", two, "--input", file, "--text", "one", "two")[0] == 0
    assert run("explain", two, "a b", "c")[0] == 0
    for refused, why in (
        (("predict", one, "--pair", "a b", "c"), ONE),
        (("predict", two, "a b", "c"), TWO),
        (("predict", one, "--input", file, "--text", "one", "two"), ONE),
        (("predict", two, "--input", file, "--text", "one"), TWO),
        (("explain", one, "a b", "c"), ONE),
        (("explain", two, "a b"), TWO),
    ):
        code, said = run(*refused)
        assert code != 0
        assert why in said


def test_requests(single: Predictor, pair: Predictor) -> None:
    pytest.importorskip("fastapi")
    from ktlite.deploy.serving.limits import Limits
    from ktlite.deploy.serving.metrics import Metrics
    from ktlite.deploy.serving.service import Service

    def body(**fields: Any) -> bytes:
        return json.dumps(fields).encode()

    for predictor, good, bad, why in (
        (single, ["a", "b"], [["a", "b"]], ONE),
        (pair, [["a", "b"]], ["a", "b"], TWO),
        (pair, [["a", "b"]], "a", TWO),
    ):
        service = Service(predictor, Limits(), Metrics())
        for answer in (service.predict, service.predict_proba):
            assert len(next(reversed(answer(body(texts=good)).values()))) == len(good)
            with pytest.raises(DataError, match=why):
                answer(body(texts=bad))
        assert service.explain(body(text=good[0]))["target"] in predictor.get_classes()
        with pytest.raises(DataError, match=why):
            service.explain(body(text=bad[0]))
