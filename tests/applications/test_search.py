"""Semantic search: hits, reranking, duplicates, clusters, and the folder of an index."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ktlite
from ktlite.applications.search import SemanticSearch
from ktlite.errors import ArgumentError, DataError, PredictorError
from ktlite.models import from_pretrained

TEXTS = ["good film", "bad film", "the end", "a film and a line", "film film film", "it was fine"]


@pytest.fixture(scope="module")
def embedder(two_blocks: Path) -> Any:
    return ktlite.get_embedder(two_blocks)


@pytest.fixture
def search(embedder: Any) -> SemanticSearch:
    found = SemanticSearch(embedder)
    found.add(TEXTS, verbose=0)
    return found


def cosines(embedder: Any, query: str) -> np.ndarray:
    return embedder.embed(TEXTS, normalize=True) @ embedder.embed(query, normalize=True)


def test_hits_are_the_nearest_the_best_first(search: SemanticSearch, embedder: Any) -> None:
    expected = cosines(embedder, "a good film")
    hits = search.search("a good film", k=3)
    assert [hit.number for hit in hits] == np.argsort(-expected)[:3].tolist()
    for text, score, number in hits:
        assert text == TEXTS[number]
        assert score == pytest.approx(expected[number], abs=1e-5)


def test_queries_give_a_list_each(search: SemanticSearch) -> None:
    many = search.search(["good film", "the end"], k=2)
    assert [hits[0].text for hits in many] == ["good film", "the end"]
    for hits, query in zip(many, ["good film", "the end"], strict=True):
        assert [hit.number for hit in hits] == [hit.number for hit in search.search(query, k=2)]
    assert search.search([]) == []
    assert len(search.search("a", k=100)) == len(TEXTS)


def test_numbers_count_on_when_texts_are_added(search: SemanticSearch) -> None:
    search.add(["a line and a line"], verbose=0)
    assert len(search) == 7
    assert search.search("a line and a line", k=1)[0].number == 6


def test_empty_index_finds_nothing(embedder: Any) -> None:
    empty = SemanticSearch(embedder)
    assert empty.search("a") == []
    assert empty.search(["a", "b"]) == [[], []]
    assert empty.duplicates() == []


def test_many_queries_and_texts_go_in_parts(
    search: SemanticSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = ["good film", "end", "a", "film", "line"]
    whole, pairs = search.search(queries, k=4), search.duplicates(-1)
    monkeypatch.setattr("ktlite.applications.search._CHUNK", 2)
    parts = search.search(queries, k=4)
    assert [[h.number for h in hits] for hits in parts] == [
        [h.number for h in hits] for hits in whole
    ]
    assert [pair[1:] for pair in search.duplicates(-1)] == [pair[1:] for pair in pairs]


def test_duplicates_are_all_pairs_above_the_threshold(
    search: SemanticSearch, embedder: Any
) -> None:
    search.add(["good film"], verbose=0)
    best = search.duplicates(0.9999)
    assert [(pair.first, pair.second) for pair in best] == [(0, 6)]
    assert best[0].score == pytest.approx(1, abs=1e-5)
    vectors = search.vectors
    expected = {(i, j) for i in range(7) for j in range(i + 1, 7) if vectors[i] @ vectors[j] >= 0.5}
    found = search.duplicates(0.5)
    assert {(pair.first, pair.second) for pair in found} == expected
    assert [pair.score for pair in found] == sorted((p.score for p in found), reverse=True)


def test_clusters_are_those_of_the_vectors(search: SemanticSearch) -> None:
    random = np.random.default_rng(0)
    centres = np.eye(3, search.vectors.shape[1])[[0, 0, 0, 1, 1, 2]]
    search.vectors = (centres + random.normal(0, 0.01, centres.shape)).astype("float32")
    assert search.cluster(3).tolist() == [0, 0, 0, 1, 1, 2]


@pytest.fixture(scope="module")
def cross_encoders(two_blocks: Path) -> dict[str, Any]:
    tasks = {
        "classes": ktlite.tasks.Classification(["no", "yes"]),
        "number": ktlite.tasks.Regression(),
    }
    return {
        name: ktlite.get_predictor(
            from_pretrained(two_blocks, task.head, num_labels=task.outputs),
            ktlite.text.Transformer(two_blocks, 40, task=task),
        )
        for name, task in tasks.items()
    }


@pytest.mark.parametrize("kind", ["classes", "number"])
def test_cross_encoder_puts_the_candidates_into_order(
    kind: str, embedder: Any, cross_encoders: dict[str, Any], search: SemanticSearch, tmp_path: Path
) -> None:
    cross = cross_encoders[kind]
    both = SemanticSearch(embedder, cross)
    both.add(TEXTS, verbose=0)
    candidates = [hit.text for hit in search.search("good film", k=4)]
    pairs = [("good film", text) for text in candidates]
    scores = np.array(
        cross.predict_proba(pairs)[:, 1] if kind == "classes" else cross.predict(pairs)
    )
    hits = both.search("good film", k=2, candidates=4)
    assert [hit.text for hit in hits] == [candidates[i] for i in np.argsort(-scores)[:2]]
    assert hits[0].score == pytest.approx(scores.max(), abs=1e-5)
    both.save(tmp_path / "index")
    assert SemanticSearch.load(tmp_path / "index").search("good film")[0].text == hits[0].text


@pytest.mark.parametrize("approximate", [False, True])
def test_saved_index_finds_the_same(approximate: bool, embedder: Any, tmp_path: Path) -> None:
    if approximate:
        pytest.importorskip("faiss")
    search = SemanticSearch(embedder, approximate=approximate)
    search.add(TEXTS, verbose=0)
    search.save(tmp_path / "index")
    search.add(["房间很干净"], verbose=0)
    search.save(tmp_path / "index")  # again, over what is there
    moved = (tmp_path / "index").rename(tmp_path / "moved")
    again = SemanticSearch.load(moved)
    assert again.texts == search.texts
    np.testing.assert_array_equal(again.vectors, search.vectors)
    assert again.approximate == approximate
    for query in ("good film", "房间很干净"):
        expected = search.search(query)
        assert [hit.number for hit in again.search(query)] == [hit.number for hit in expected]
    again.add(["another line"], verbose=0)
    assert again.search("another line", k=1)[0].number == 7


def test_approximate_search_finds_nearly_what_the_exact_one_does(embedder: Any) -> None:
    pytest.importorskip("faiss")
    words = ["good", "bad", "film", "line", "end", "fine", "a", "the", "and", "it"]
    random = np.random.default_rng(0)
    texts = list({" ".join(random.choice(words, random.integers(2, 9))) for _ in range(2000)})
    exact, graph = SemanticSearch(embedder), SemanticSearch(embedder, approximate=True)
    for search in (exact, graph):
        search.add(texts, verbose=0)
    # Texts of the same words are equally near: what is found must be as near as the right ones.
    queries = texts[:100]
    for best, found in zip(exact.search(queries), graph.search(queries), strict=True):
        assert np.mean([hit.score >= best[-1].score - 1e-5 for hit in found]) >= 0.9
        assert len(found) == 10


def test_missing_library_says_how_to_get_it(embedder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_faiss(name: str, *rest: Any) -> Any:
        if name == "faiss":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_faiss)
    with pytest.raises(ArgumentError, match=r'pip install "ktlite\[search\]"'):
        SemanticSearch(embedder, approximate=True)


def test_arguments_are_checked(search: SemanticSearch, embedder: Any) -> None:
    with pytest.raises(ArgumentError, match="predictor is of type str; expected a Predictor"):
        SemanticSearch("all-MiniLM-L6-v2")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="add takes a list of texts"):
        search.add("a text")
    with pytest.raises(DataError, match="embed takes str, or a list of them; got 1"):
        search.add(["a", 1])  # type: ignore[list-item]
    assert len(search) == len(TEXTS)
    with pytest.raises(ArgumentError, match="(?s)k=0.*candidates=-1"):
        search.search("a", k=0, candidates=-1)
    with pytest.raises(ArgumentError, match="n=7 groups of 6 texts"):
        search.cluster(7)
    with pytest.raises(ArgumentError, match="threshold=2"):
        search.duplicates(2)


def test_folders_of_something_else_are_refused(embedder: Any, tmp_path: Path) -> None:
    embedder.save(tmp_path / "predictor")
    with pytest.raises(ArgumentError, match="is a predictor, not an index"):
        SemanticSearch.load(tmp_path / "predictor")
    with pytest.raises(ArgumentError, match="does not replace"):
        SemanticSearch(embedder).save(tmp_path / "predictor")
    SemanticSearch(embedder).save(tmp_path / "index")
    with pytest.raises(ArgumentError, match="does not replace"):
        embedder.save(tmp_path / "index")
    with pytest.raises(PredictorError, match=r"not by Predictor\.save: .* ktlite\.SemanticSearch"):
        ktlite.load_predictor(tmp_path / "index")
    with pytest.raises(PredictorError, match="there is no such folder"):
        SemanticSearch.load(tmp_path / "nothing")
