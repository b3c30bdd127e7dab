"""Predictions that are kept: no run of the model for what was asked before, no wrong answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.models import from_pretrained
from ktlite.predictor import Predictor, load_predictor
from ktlite.predictor.cache import LogitsCache
from ktlite.tasks import Classification, QuestionAnswering, Task, TokenClassification
from ktlite.text import Transformer

TEXTS = ["good film", "bad", "", "房间很好", "not very good, and very long " * 9]


@pytest.fixture(scope="module")
def make(tiny_checkpoint: Path) -> Callable[..., Predictor]:
    """Makes a predictor that counts the texts which the model has seen, as `seen`."""

    def predictor(
        task: Task | None = None, cache: int = 0, maxlen: int = 24, **options: Any
    ) -> Predictor:
        task = task or Classification(["neg", "pos", "so-so"])
        t = Transformer(tiny_checkpoint, maxlen=maxlen, task=task, **options)
        made = Predictor(t.get_classifier(), t, cache=cache)
        run, made.seen = made.logits_of, []  # type: ignore[attr-defined]

        def counted(data: Any, *arguments: Any) -> np.ndarray:
            made.seen.append(len(data))  # type: ignore[attr-defined]
            return run(data, *arguments)

        made.logits_of = counted  # type: ignore[method-assign]
        return made

    return predictor


def test_what_was_asked_before_costs_no_run(make: Callable[..., Any]) -> None:
    plain, cached = make(), make(cache=100)
    expected = plain.predict_proba(TEXTS)
    for _ in range(3):
        np.testing.assert_allclose(cached.predict_proba(TEXTS), expected, atol=1e-6)
    assert cached.seen == [len(TEXTS)]
    assert cached.predict(TEXTS[1]) == plain.predict(TEXTS[1])
    mixed = ["new", TEXTS[3], "new", TEXTS[0], "newer"]
    np.testing.assert_allclose(cached.logits(mixed), plain.logits(mixed), atol=1e-6)
    assert cached.seen == [len(TEXTS), 2]  # "new" once, and "newer"
    assert cached.predict([]) == []


@pytest.mark.parametrize(
    ("task", "examples", "others"),
    [
        (None, ["a", ("a", "b"), ("ab", ""), ("a", "b ")], [("b", "a")]),
        (TokenClassification(["O", "X"]), ["a b", ["a", "b"], ["a b"], [], ""], [["b", "a"]]),
        (
            QuestionAnswering(stride=2),
            [("a", "b"), {"question": "a", "context": "b"}, ("a", "bad " * 30)],
            [("b", "a")],
        ),
    ],
    ids=["pairs", "tags", "answers"],
)
def test_examples_of_all_kinds_are_kept_apart(
    make: Callable[..., Any], task: Any, examples: list[Any], others: list[Any]
) -> None:
    plain, cached = make(task), make(task, cache=100)
    expected = plain.predict([*examples, *others])
    assert cached.predict([*others, *examples]) == [*expected[len(examples) :],
                                                    *expected[: len(examples)]]  # fmt: skip
    assert cached.predict([*examples, *others]) == expected
    assert len(cached.seen) == 1


def test_nobody_changes_what_is_kept(make: Callable[..., Any]) -> None:
    for task in (None, TokenClassification(["O", "X"])):
        predictor = make(task, cache=10)
        first = predictor.logits(["good film", "bad"])
        expected = [row.copy() for row in first]
        for _ in range(2):
            for row in predictor.logits(["good film", "bad"]):
                row += 1
            for row in first:
                row += 1
        for row, right in zip(predictor.logits(["good film", "bad"]), expected, strict=True):
            np.testing.assert_array_equal(row, right)


def test_those_not_asked_for_longest_go_first() -> None:
    cache = LogitsCache(2)
    rows = {name: np.array([[float(i)]]) for i, name in enumerate("abc")}
    cache.add({"a": rows["a"], "b": rows["b"]})
    assert list(cache.find(["a"])) == ["a"]
    cache.add({"c": rows["c"]})
    assert set(cache.find("abc")) == {"a", "c"}
    assert len(cache) == 2
    cache.add({str(i): rows["a"] for i in range(100)})
    assert len(cache) == 2


def test_cache_is_cleared_and_new_after_a_reload(make: Callable[..., Any], tmp_path: Path) -> None:
    predictor = make(cache=10)
    before = predictor.logits(TEXTS)
    bias = predictor.model.head.classifier.bias
    bias.assign(bias + 1.0)
    np.testing.assert_array_equal(predictor.logits(TEXTS), before)
    np.testing.assert_allclose(predictor.fresh_logits(TEXTS), before + 1, atol=1e-5)
    predictor.save(tmp_path / "p")  # with the weights of now, which loading checks
    loaded = load_predictor(tmp_path / "p", cache=10)
    np.testing.assert_allclose(loaded.logits(TEXTS), before + 1, atol=1e-5)
    predictor.clear_cache()
    np.testing.assert_allclose(predictor.logits(TEXTS), before + 1, atol=1e-5)


def test_an_error_names_the_text_as_without_cache(make: Callable[..., Any]) -> None:
    predictor = make(cache=10)
    predictor.predict(["a", "b"])
    with pytest.raises(DataError, match="text 2 is None"):
        predictor.predict(["a", "b", None])
    with pytest.raises(DataError, match="text 1 is"):
        predictor.predict(["a", [["b"]]])


@pytest.mark.parametrize("cache", [-1, 1.5, None, True, "10"])
def test_sizes_that_are_none_are_refused(
    tiny_checkpoint: Path, make: Callable[..., Any], cache: Any
) -> None:
    model = from_pretrained(tiny_checkpoint, "text-classification", num_labels=3)
    with pytest.raises(ArgumentError, match="cache="):
        Predictor(model, make().preproc, cache=cache)


# Many threads


@pytest.mark.parametrize("cache", [0, 20])
@pytest.mark.parametrize(
    "task", [None, TokenClassification(["O", "X", "Y"])], ids=["classification", "tagging"]
)
def test_16_threads_get_what_one_gets(
    make: Callable[..., Any], task: Task | None, cache: int
) -> None:
    random = np.random.default_rng(0)
    words = ["good", "bad", "film", "房间", "not", "very", "great!", "movie"]
    calls = [
        [" ".join(random.choice(words, size)) for size in random.integers(0, 80, count)]
        for count in random.integers(1, 6, 60)
    ]
    serial = make(task, maxlen=40)
    expected = [serial.logits(texts) for texts in calls]
    predictor = make(task, cache, maxlen=40)  # no trace yet
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(predictor.logits, [*calls, *calls[::-1]]))
    for logits, right in zip(found, [*expected, *expected[::-1]], strict=True):
        for one, other in zip(logits, right, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6)


# Streams


def test_a_stream_gives_predictions_as_texts_come(make: Callable[..., Any]) -> None:
    predictor = make()
    taken = []

    def source() -> Any:
        for number in range(25):
            taken.append(number)
            yield TEXTS[number % len(TEXTS)]

    stream = predictor.predict_stream(source(), chunk=10)
    assert taken == []
    first = next(stream)
    assert len(taken) == 10
    assert [first, *stream] == predictor.predict(TEXTS) * 5
    assert predictor.seen[:3] == [10, 10, 5]
    proba = list(predictor.predict_stream(TEXTS, True, chunk=2, batch_size=1))
    np.testing.assert_allclose(proba, predictor.predict_proba(TEXTS), atol=1e-5)
    assert list(predictor.predict_stream([])) == []


def test_a_stream_says_where_a_wrong_text_is(make: Callable[..., Any]) -> None:
    predictor = make()
    stream = predictor.predict_stream(["a", "b", "c", None], chunk=2)
    assert [next(stream), next(stream)] == predictor.predict(["a", "b"])
    with pytest.raises(DataError, match="from number 2 on, text 1 is None"):
        next(stream)
    for wrong, message in (({"texts": "abc"}, r"\['abc'\]"), ({"chunk": 0}, "chunk=0")):
        with pytest.raises(ArgumentError, match=message):
            predictor.predict_stream(**{"texts": ["a"], **wrong})
