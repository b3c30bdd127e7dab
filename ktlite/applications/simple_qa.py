"""Ask a collection of documents: find paragraphs by their words, and the answer in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked, without_effect
from ktlite._logging import logger
from ktlite.applications.bm25 import Bm25Index, as_paragraphs, is_index
from ktlite.applications.given import Model
from ktlite.applications.question_answering import as_answerer, chosen_model
from ktlite.errors import ArgumentError, DataError, Problems, plural
from ktlite.inputs.decoding import decode
from ktlite.tasks import QuestionAnswering
from ktlite.tasks.arrays import softmax

_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s)|[。！？]+[”’」』）]*|\n")


class SimpleQA:
    """Answers questions from documents.

    The documents are in an index, a folder: `index_from_list` and `index_from_folder` make it.
    Which paragraphs are read for a question, their words decide (BM25; needs
    `pip install 'ktlite[search]'`).

    Args:
        index_dir: The index.
        model: A predictor that answers questions, its folder, or a checkpoint that was
            fine-tuned to answer questions: its folder or Hub name. Default: ktrain's, a large
            BERT of 1.3 GB; `"deepset/roberta-base-squad2"` is a smaller one that also says where
            there is no answer.
        maxlen: With a checkpoint: longest input in tokens; longer paragraphs are read in windows.
        model_name: ktrain's name of `model`.
        bert_squad_model: ktrain's older name of `model`.
        bert_emb_model: Accepted for ktrain's sake; answers are not ranked again.
        framework: Accepted for ktrain's sake.
        device: Accepted for ktrain's sake.
        quantize: Refused: export a predictor with `quantize="int8"`, and give its folder.

    Raises:
        DataError: If there is no index.
        ArgumentError: If the predictor does something else.

    Example:
        >>> ktlite.SimpleQA.index_from_list(docs, "my-index")
        >>> qa = ktlite.SimpleQA("my-index", "deepset/roberta-base-squad2")
        >>> qa.ask("When did the Cassini probe launch?")[0]["answer"]
        'October of 1997'
    """

    @checked
    def __init__(
        self,
        index_dir: str | os.PathLike[str],
        model: Model | None = None,
        maxlen: int = 384,
        *,
        model_name: Model | None = None,
        bert_squad_model: Model | None = None,
        bert_emb_model: Any = None,
        framework: str | None = None,
        device: Any = None,
        quantize: bool = False,
    ) -> None:
        chosen = chosen_model("SimpleQA", model, model_name, bert_squad_model, quantize=quantize)
        without_effect(
            "SimpleQA", bert_emb_model=bert_emb_model, framework=framework, device=device
        )
        self.index_dir = index_dir
        self._index = Bm25Index.load(index_dir)
        self.predictor = as_answerer(chosen, maxlen)

    def __repr__(self) -> str:
        count = plural(len(self._index.paragraphs), "paragraph")
        return f"SimpleQA: {count} in {Path(self.index_dir).name}"

    @classmethod
    def initialize_index(cls, index_dir: str | os.PathLike[str]) -> None:
        """Makes an empty index.

        Raises:
            ArgumentError: If the folder is there already, with something in it.
        """
        path = Path(index_dir)
        if is_index(path):
            raise ArgumentError(f"there is an index in {str(path)!r} already.")
        Bm25Index([]).save(path)

    @classmethod
    @checked
    def index_from_list(
        cls,
        docs: Iterable[str],
        index_dir: str | os.PathLike[str],
        *,
        breakup_docs: bool = True,
        min_words: int = 20,
        references: Sequence[str] | None = None,
        commit_every: int | None = None,
        procs: int | None = None,
        limitmb: int | None = None,
        multisegment: bool | None = None,
    ) -> None:
        """Adds documents to an index, and makes the index where there is none.

        Args:
            docs: Texts.
            index_dir: The folder of the index.
            breakup_docs: Cut documents into paragraphs, at blank lines.
            min_words: Paragraphs of fewer words are put together with the next.
            references: What to call each document in answers. Default: its number.
            commit_every: Accepted for ktrain's sake, like those below: the index is written once,
                at the end.
            procs: Likewise.
            limitmb: Likewise.
            multisegment: Likewise.

        Raises:
            ArgumentError: If `index_dir` holds something else, or arguments do not fit.
        """
        texts = list(docs) if not isinstance(docs, str) else [docs]
        names = [str(i) for i in range(len(texts))] if references is None else list(references)
        problems = Problems("index_from_list")
        problems.add_unless(
            not isinstance(docs, str), "docs is one text; expected a list of texts."
        )
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                problems.add(f"document {number} is {text!r:.40}; expected a text.")
                break
        problems.add_unless(
            len(names) == len(texts),
            f"{plural(len(names), 'reference')} for {plural(len(texts), 'document')}.",
        )
        at_least_one(problems, min_words=min_words)
        problems.raise_if_any()
        without_effect(
            "index_from_list",
            commit_every=commit_every,
            procs=procs,
            limitmb=limitmb,
            multisegment=multisegment,
        )
        documents = [(text, str(name)) for text, name in zip(texts, names, strict=True)]
        _add(index_dir, documents, breakup_docs, min_words)

    @classmethod
    @checked
    def index_from_folder(
        cls,
        folder_path: str | os.PathLike[str],
        index_dir: str | os.PathLike[str],
        *,
        breakup_docs: bool = True,
        min_words: int = 20,
        encoding: str | None = None,
        use_text_extraction: bool = False,
        commit_every: int | None = None,
        procs: int | None = None,
        limitmb: int | None = None,
        multisegment: bool | None = None,
        verbose: int | None = None,
    ) -> None:
        """Adds the text files (`.txt`) of a folder, and of those in it, to an index.

        Their paths within the folder are the references.

        Args:
            folder_path: The folder of the texts.
            index_dir: The folder of the index.
            breakup_docs: As in `index_from_list`.
            min_words: As in `index_from_list`.
            encoding: Of the files. Default: detected, for each.
            use_text_extraction: Refused: files of other programs are not read here.
            commit_every: Accepted for ktrain's sake, like those below: the index is written once,
                at the end.
            procs: Likewise.
            limitmb: Likewise.
            multisegment: Likewise.
            verbose: Likewise.

        Raises:
            DataError: If there are no such files, or one cannot be read.
        """
        problems = Problems("index_from_folder")
        at_least_one(problems, min_words=min_words)
        problems.add_unless(
            not use_text_extraction,
            "use_text_extraction=True: files of other programs are not read here. Write their "
            "texts into .txt files first, as textract and Tika do.",
        )
        problems.raise_if_any()
        without_effect(
            "index_from_folder",
            commit_every=commit_every,
            procs=procs,
            limitmb=limitmb,
            multisegment=multisegment,
            verbose=verbose,
        )
        folder = Path(folder_path)
        files = sorted(folder.rglob("*.txt"))
        if not files:
            raise DataError(f"there are no .txt files in the folder {str(folder)!r}.")
        documents = [
            (decode(file.read_bytes(), encoding, str(file))[0], file.relative_to(folder).as_posix())
            for file in files
        ]
        _add(index_dir, documents, breakup_docs, min_words)

    @checked
    def search(self, query: str, limit: int = 10) -> list[dict[str, str]]:
        """Returns the paragraphs that fit a query, the best first, with their references."""
        problems = Problems("search")
        at_least_one(problems, limit=limit)
        problems.raise_if_any()
        return [
            {"reference": paragraph.reference, "rawtext": paragraph.text}
            for paragraph, _ in self._index.search(query, limit)
        ]

    @checked
    def ask(
        self,
        question: str,
        query: str | None = None,
        batch_size: int | None = None,
        n_docs_considered: int = 10,
        n_answers: int = 50,
        raw_confidence: bool = False,
        rerank_threshold: float | None = None,
        include_np: bool = False,
    ) -> list[dict[str, Any]]:
        """Answers a question.

        Args:
            question: The question.
            query: Words to find paragraphs by. Default: the question's.
            batch_size: Paragraphs a batch. Default: the predictor's.
            n_docs_considered: Paragraphs to read.
            n_answers: Answers to give, at most. There is one a paragraph, or none.
            raw_confidence: Give confidences as they are; see below.
            rerank_threshold: Refused but for None: answers are not ranked again by how near they
                are to the question.
            include_np: Refused: name the words to search for in `query`.

        Returns:
            The answers, the best first, each a dict of `answer`, `confidence`, `reference`,
            `context` (the paragraph), `start` and `end` (its characters that the answer is),
            `full_answer` (the sentence), `sentence_beginning` and `sentence_end` (what of it is
            before and after the answer). A raw confidence is the answer's score less that of no
            answer in that paragraph. Of these, confidences are the softmax over the answers.

        Raises:
            ArgumentError: If arguments cannot work.

        Example:
            >>> qa.display_answers(qa.ask("When did the Cassini probe launch?"))
        """
        problems = Problems("ask")
        sizes = {"n_docs_considered": n_docs_considered, "n_answers": n_answers}
        at_least_one(problems, **sizes)
        problems.add_unless(
            rerank_threshold is None,
            f"rerank_threshold={rerank_threshold!r}: answers are not ranked again here; leave it "
            "out.",
        )
        problems.add_unless(
            not include_np,
            "include_np=True: noun phrases are not looked for here; name the words to search for "
            "in query=.",
        )
        problems.raise_if_any()
        paragraphs = self._index.search(question if query is None else query, n_docs_considered)
        pairs = [(question, paragraph.text) for paragraph, _ in paragraphs]
        task = self.predictor.preproc.task
        assert isinstance(task, QuestionAnswering)
        answers = []
        logits = self.predictor.logits(pairs, batch_size)
        for (paragraph, _), item in zip(paragraphs, logits, strict=True):
            guess = task.chosen(item)
            if guess.text:
                answers.append({
                    "answer": guess.text,
                    "confidence": guess.score - item.no_answer,
                    "reference": paragraph.reference,
                    "context": paragraph.text,
                    "start": guess.span[0],
                    "end": guess.span[1],
                    **sentence(paragraph.text, *guess.span),
                })  # fmt: skip
        answers = sorted(answers, key=lambda answer: -answer["confidence"])[:n_answers]
        if not raw_confidence and answers:
            shares = softmax(np.array([answer["confidence"] for answer in answers]))
            for answer, share in zip(answers, shares.tolist(), strict=True):
                answer["confidence"] = share
        return answers

    @checked
    def display_answers(self, answers: Sequence[dict[str, Any]]) -> Any:
        """Returns answers as a DataFrame, which a notebook shows as a table."""
        import pandas as pd

        rows = [
            (a["answer"], a["full_answer"], a["confidence"], a["reference"]) for a in answers
        ]  # fmt: skip
        titles = ["Candidate Answer", "Context", "Confidence", "Document Reference"]
        return pd.DataFrame(rows, columns=titles)


def sentence(text: str, start: int, end: int) -> dict[str, str]:
    """Returns the sentence around an answer, and what of it is before and after."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    first = max((edge for edge in ends if edge <= start), default=0)
    last = min((edge for edge in ends if edge >= end), default=len(text))
    return {
        "full_answer": text[first:last].strip(),
        "sentence_beginning": text[first:start].lstrip(),
        "sentence_end": text[end:last].rstrip(),
    }


def _add(
    index_dir: str | os.PathLike[str],
    documents: Iterable[tuple[str, str]],
    breakup_docs: bool,
    min_words: int,
) -> None:
    before = Bm25Index.load(index_dir).paragraphs if is_index(Path(index_dir)) else []
    new = as_paragraphs(documents, breakup_docs, min_words)
    Bm25Index([*before, *new]).save(index_dir)
    logger.info("%s: %s added, %s in all.", index_dir, plural(len(new), "paragraph"),
                f"{len(before) + len(new):,}")  # fmt: skip
