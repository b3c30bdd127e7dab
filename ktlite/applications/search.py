"""Semantic search: texts or pictures found by what they mean, near-duplicates, and clusters."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ktlite._arguments import at_least_one, checked
from ktlite._tensor_writing import save_tensors
from ktlite.errors import ArgumentError, DataError, Problems, plural
from ktlite.predictor import Predictor, load_predictor
from ktlite.storage import MANIFEST, atomic_folder, read_manifest, write_manifest

_TEXTS, _VECTORS, _GRAPH = "texts.json", "vectors.safetensors", "graph.faiss"
_ITEM = "item"  # of what is no string
_CHUNK = 1024  # texts compared with all others at a time
# Of the graph (Malkov and Yashunin, 2016, arXiv:1603.09320): links a text, and how many texts are
# looked at while building and while searching. The recall that they give is in the tests.
_LINKS, _BUILD, _SEARCH = 32, 200, 128


class Hit(NamedTuple):
    """A text that was found, or a picture.

    Attributes:
        text: The text; of a picture, what was added: mostly its path.
        score: The cosine with the query; after reranking, what the cross-encoder says.
        number: The text's number, counted in the order of adding.
    """

    text: Any
    score: float
    number: int


class Duplicate(NamedTuple):
    """Two texts that mean nearly the same: their cosine, and their numbers."""

    score: float
    first: int
    second: int


class SemanticSearch:
    """Searches texts by meaning: vectors that are near each other stand for texts that are.

    With a predictor that reads images and texts (CLIP, SigLIP), what is added may be pictures, and
    a query a text or a picture. A string is a picture's path if it ends as one (`"cats/1.jpg"`).

    Args:
        predictor: Makes the vectors: a predictor, best of `ktlite.get_embedder` or of the task
            "sentence-similarity".
        cross_encoder: A predictor for pairs, (query, text), that reads both at once and puts the
            best candidates into a better order (Nogueira and Cho, 2019, arXiv:1901.04085). A
            regression's number is the score, of a classification the probability of its last
            class.
        approximate: Look at a part of the texts only, along a graph of neighbours (HNSW: Malkov and
            Yashunin, 2016, arXiv:1603.09320), which needs `pip install "ktlite[search]"`. Without
            it, each search compares with all texts: 100,000 take some milliseconds.

    Raises:
        ArgumentError: If `approximate` asks for a library that is not installed, or predictors
            are something else.

    Example:
        >>> search = ktlite.SemanticSearch(ktlite.get_embedder("my-embedder"))
        >>> search.add(["The soup was cold.", "The actors are superb."])
        >>> search.search("great performances", k=1)
        [Hit(text='The actors are superb.', score=0.52, number=1)]
        >>> search.save("my-index")
        >>> pictures = ktlite.SemanticSearch(ktlite.get_embedder("openai/clip-vit-base-patch32"))
        >>> pictures.add(["cats/1.jpg", "dogs/1.jpg"])
        >>> pictures.search("a photo of a dog", k=1)[0].text
        'dogs/1.jpg'
    """

    @checked
    def __init__(
        self,
        predictor: Predictor,
        cross_encoder: Predictor | None = None,
        *,
        approximate: bool = False,
    ) -> None:
        problems = Problems("SemanticSearch")
        given = {"predictor": predictor, "cross_encoder": cross_encoder or predictor}
        for name, value in given.items():
            problems.add_unless(
                isinstance(value, Predictor),
                f"{name} is of type {type(value).__name__}; expected a Predictor, such as "
                "ktlite.get_embedder(...) or ktlite.load_predictor(...) returns.",
            )
        problems.raise_if_any()
        self.predictor = predictor
        self.cross_encoder = cross_encoder
        self.approximate = approximate
        self.texts: list[Any] = []
        self.vectors = predictor.embed([])
        self._graph = _new_graph(self.vectors.shape[1]) if approximate else None

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        how = "approximate" if self.approximate else "exact"
        again = "" if self.cross_encoder is None else ", with a cross-encoder"
        width = self.vectors.shape[1]
        return f"SemanticSearch: {plural(len(self), 'text')}, vectors of {width}, {how}{again}"

    @checked
    def add(self, texts: Sequence[Any], *, verbose: int = 1) -> None:
        """Adds texts, which get the next numbers.

        Args:
            texts: The texts; or pictures, where the predictor reads them.
            verbose: 1 shows a progress bar for many.

        Raises:
            DataError: If they are no list of what the predictor reads; none is added then.
        """
        if isinstance(texts, str):
            raise DataError("add takes a list of texts; got a single string.")
        input = self.predictor.preproc.input
        if input.is_one(texts):
            raise DataError(f"add takes a list; got a single {input.noun}.")
        many = input.listed(texts)
        vectors = self._embed(many, verbose)
        self.vectors = np.concatenate([self.vectors, vectors])
        self.texts += many
        if self._graph is not None:
            self._graph.add(vectors)

    @checked
    def search(self, query: Any, k: int = 10, *, candidates: int = 50) -> list[Any]:
        """Finds the texts that are nearest to a query.

        Args:
            query: A text, or a list of them; or pictures, where the predictor reads them.
            k: How many texts to find.
            candidates: With a cross-encoder, how many texts it puts into order.

        Returns:
            For a query a list of `Hit`, the best first; for a list of queries a list of these.

        Raises:
            ArgumentError: If a number is not positive.
            DataError: If a query is none.

        Example:
            >>> text, score, number = search.search("great performances")[0]
        """
        problems = Problems("search")
        at_least_one(problems, k=k, candidates=candidates)
        problems.raise_if_any()
        input = self.predictor.preproc.input
        single = isinstance(query, str) or input.is_one(query)
        queries: list[Any] = [query] if single else input.listed(query)
        wanted = k if self.cross_encoder is None else max(k, candidates)
        scores, numbers = self._nearest(self._embed(queries), min(wanted, len(self)))
        found = [
            [Hit(self.texts[n], float(s), int(n)) for s, n in zip(*row, strict=True) if n >= 0]
            for row in zip(scores, numbers, strict=True)
        ]
        if self.cross_encoder is not None:
            found = [self._reranked(q, hits) for q, hits in zip(queries, found, strict=True)]
        found = [hits[:k] for hits in found]
        return found[0] if single else found

    @checked
    def duplicates(self, threshold: float = 0.9) -> list[Duplicate]:
        """Finds texts that mean nearly the same.

        All texts are compared with each other.

        Args:
            threshold: The least cosine.

        Returns:
            The pairs, the nearest first.
        """
        problems = Problems("duplicates")
        problems.add_unless(-1 <= threshold <= 1, f"threshold={threshold!r}; expected -1 to 1.")
        problems.raise_if_any()
        pairs = []
        for start, cosines in self._in_chunks(self.vectors):
            rows, columns = np.nonzero(cosines >= threshold)
            later = columns > rows + start
            rows, columns = rows[later], columns[later]
            pairs += [
                Duplicate(float(cosines[row, column]), int(row + start), int(column))
                for row, column in zip(rows, columns, strict=True)
            ]
        return sorted(pairs, key=lambda pair: (-pair.score, pair.first, pair.second))

    @checked
    def cluster(self, n: int, *, seed: int = 42) -> np.ndarray:
        """Groups the texts by meaning, with k-means on their vectors.

        Args:
            n: The number of groups.
            seed: Of the first centres.

        Returns:
            int32 [texts], the number of each text's group; 0 is the largest.

        Raises:
            ArgumentError: If there are not as many texts.
        """
        from sklearn.cluster import KMeans

        problems = Problems("cluster")
        at_least_one(problems, n=n)
        problems.raise_if_any()
        if n > len(self):
            raise ArgumentError(f"cluster: n={n} groups of {plural(len(self), 'text')}.")
        groups = KMeans(n, n_init=3, random_state=seed).fit_predict(self.vectors)
        sizes = np.bincount(groups, minlength=n)
        new = np.empty(n, "int32")
        new[np.argsort(-sizes, kind="stable")] = np.arange(n, dtype="int32")
        return new[groups]

    @checked
    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves texts, vectors and predictors as a folder. It appears whole or not at all.

        Of pictures that were given by their paths it keeps these, of others the pictures.

        Args:
            path: The folder. An index that is there is replaced, anything else refused.

        Raises:
            ArgumentError: If something else is at `path`.
        """
        with atomic_folder(path, replace=_is_index) as folder:
            self.predictor.write(folder / "predictor")
            if self.cross_encoder is not None:
                self.cross_encoder.write(folder / "cross-encoder")
            text = json.dumps(list(map(self._to_json, self.texts)), ensure_ascii=False)
            (folder / _TEXTS).write_text(text, encoding="utf-8")
            save_tensors({"vectors": self.vectors}, folder / _VECTORS)
            if self._graph is not None:
                _faiss().write_index(self._graph, str(folder / _GRAPH))
            kind = {"approximate": self.approximate, "reranks": self.cross_encoder is not None}
            write_manifest(folder, {"search": kind})

    @classmethod
    def load(cls, path: str | os.PathLike[str], batch_size: int = 32) -> SemanticSearch:
        """Loads what `save` wrote.

        Args:
            path: The folder; it may have been moved.
            batch_size: Texts a batch.

        Raises:
            PredictorError: If the folder is missing, damaged or no index.
        """
        from safetensors.numpy import load_file

        folder = Path(path)
        kind = read_manifest(folder).get("search")
        if kind is None:
            raise ArgumentError(f"{folder} is a predictor, not an index that SemanticSearch saved.")
        search = cls(
            load_predictor(folder / "predictor", batch_size),
            load_predictor(folder / "cross-encoder", batch_size) if kind["reranks"] else None,
            approximate=kind["approximate"],
        )
        input = search.predictor.preproc.input
        search.texts = [
            input.from_json(item[_ITEM]) if isinstance(item, dict) else item
            for item in json.loads((folder / _TEXTS).read_text(encoding="utf-8"))
        ]
        search.vectors = load_file(folder / _VECTORS)["vectors"]
        if search.approximate:
            search._graph = _faiss().read_index(str(folder / _GRAPH))
        return search

    def _to_json(self, item: Any) -> Any:
        if isinstance(item, (str, os.PathLike)):
            return os.fspath(item)
        return {_ITEM: self.predictor.preproc.input.to_json(item)}

    def _embed(self, texts: list[Any], verbose: int = 0) -> np.ndarray:
        return self.predictor.embed(texts, verbose=verbose, normalize=True)

    def _nearest(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns cosines and numbers, [queries, count] each, the best first; -1: none found."""
        if not count or not len(queries):
            return np.zeros((len(queries), 0)), np.zeros((len(queries), 0), "int64")
        if self._graph is not None:
            self._graph.hnsw.efSearch = max(_SEARCH, count)
            scores, numbers = self._graph.search(queries, count)
            return scores, numbers
        parts = []
        for _, cosines in self._in_chunks(queries):
            best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
            order = np.argsort(-np.take_along_axis(cosines, best, 1), axis=1, kind="stable")
            best = np.take_along_axis(best, order, 1)
            parts.append((np.take_along_axis(cosines, best, 1), best))
        return tuple(map(np.concatenate, zip(*parts, strict=True)))  # type: ignore[return-value]

    def _in_chunks(self, queries: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yields, for some queries, the number of the first and float32 [queries, texts]."""
        for start in range(0, len(queries), _CHUNK):
            yield start, queries[start : start + _CHUNK] @ self.vectors.T

    def _reranked(self, query: str, hits: list[Hit]) -> list[Hit]:
        assert self.cross_encoder is not None
        pairs = [(query, hit.text) for hit in hits]
        if self.cross_encoder.preproc.task.predicts_classes:
            scores = self.cross_encoder.predict_proba(pairs)[:, -1]
        else:
            scores = np.asarray(self.cross_encoder.predict(pairs)).reshape(-1)
        order = np.argsort(-scores, kind="stable")
        return [hits[i]._replace(score=float(scores[i])) for i in order]


def _is_index(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and (folder / _TEXTS).is_file()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ArgumentError(
            "approximate=True needs the library faiss, which is not installed: "
            'pip install "ktlite[search]". Without it, leave approximate out.'
        ) from error
    return faiss


def _new_graph(width: int) -> Any:
    faiss = _faiss()
    graph = faiss.IndexHNSWFlat(width, _LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = _BUILD
    return graph
