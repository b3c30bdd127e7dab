"""Information extraction by questions, and questions to documents."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ktlite
from ktlite import text
from ktlite.applications.bm25 import Bm25Index, Paragraph, split_paragraphs, terms
from ktlite.applications.question_answering import as_answerer
from ktlite.applications.simple_qa import sentence
from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.predictor import Predictor
from ktlite.tasks import QuestionAnswering

FILLERS = ["the", "was", "bad", "good", "and", "not", "very"]
QUESTION = "what movie?"


def rows(count: int) -> list[dict[str, Any]]:
    """Questions whose answer is "great movie" or "great film", if it is there."""
    rng = random.Random(0)
    found = []
    for _ in range(count):
        words = rng.choices(FILLERS, k=8)
        answer = rng.choice(["great movie", "great film", None])
        if answer:
            words.insert(rng.randrange(8), answer)
        found.append({"question": QUESTION, "context": " ".join(words), "answers": answer})
    return found


@pytest.fixture(scope="module")
def saved(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a predictor that has learned to answer."""
    extractor = ktlite.AnswerExtractor(tiny_checkpoint, maxlen=24)
    extractor.finetune(rows(240), 12, 1e-2, max_seq_length=24, verbose=0)
    folder = tmp_path_factory.mktemp("qa") / "predictor"
    extractor.predictor.save(folder)
    return folder


@pytest.fixture(scope="module")
def extractor(saved: Path) -> ktlite.AnswerExtractor:
    """To be read only."""
    return ktlite.AnswerExtractor(saved)


# Answers as columns


def test_answers_become_columns(extractor: ktlite.AnswerExtractor) -> None:
    frame = pd.DataFrame(
        {"doc": ["the great movie was bad", "very bad", None, " "]}, index=[3, 1, 4, 2]
    )
    found = extractor.extract(frame["doc"], frame, [(QUESTION, "Movie")], return_conf=True)
    assert list(found.columns) == ["doc", "Movie", "Movie CONF"]
    assert list(found.index) == [3, 1, 4, 2]
    assert found["Movie"].tolist() == ["great movie", None, None, None]
    assert found["Movie CONF"].isna().tolist() == [False, False, True, True]
    assert found["Movie CONF"].dtype == "float64"
    assert list(frame.columns) == ["doc"]


def test_answers_that_are_not_likely_enough_are_left_out(
    extractor: ktlite.AnswerExtractor,
) -> None:
    one = ["the great movie was bad"]
    found = extractor.extract(one, question_label_pairs=[QUESTION], return_conf=True)
    chance = found[f"{QUESTION} CONF"][0]
    assert 0.5 < chance < 1
    for least, expected in ((chance - 1e-6, "great movie"), (chance + 1e-6, None)):
        found = extractor.extract(one, None, [QUESTION], min_conf=least)
        assert found[QUESTION].tolist() == [expected]


def test_questions_are_filled_from_the_row(
    extractor: ktlite.AnswerExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"doc": ["good film", "bad film"], "name": ["Ann", "Bob"]})
    asked: list[Any] = []

    def predict(pairs: Any, *args: Any, **options: Any) -> list[Any]:
        asked.extend(pairs)
        return [("film", 1.0)] * len(pairs)

    monkeypatch.setattr(extractor.predictor, "predict", predict)
    extractor.extract(frame["doc"], frame, [("what did {name} see?", "Seen"), ("{}?", "B")])
    assert asked == [("what did Ann see?", "good film"), ("what did Bob see?", "bad film"),
                     ("{}?", "good film"), ("{}?", "bad film")]  # fmt: skip


def test_rows_stay_what_they_are_where_the_index_names_them_twice(
    extractor: ktlite.AnswerExtractor,
) -> None:
    docs = ["the great movie was bad", "very bad", "the great movie was bad"]
    frame = pd.DataFrame({"doc": docs, "n": [1, 2, 3]}, index=[0, 0, 1])
    found = extractor.extract(frame["doc"], frame, [(QUESTION, "Movie")])
    assert found["n"].tolist() == [1, 2, 3] and list(found.index) == [0, 0, 1]
    assert found["Movie"].tolist() == ["great movie", None, "great movie"]


def test_a_missing_value_asks_nothing(extractor: ktlite.AnswerExtractor) -> None:
    frame = pd.DataFrame({"doc": ["the great movie"] * 2, "name": ["Ann", None]})
    found = extractor.extract(frame["doc"], frame, [("what did {name} see?", "Seen")])
    assert found["Seen"][1] is None


def test_a_string_is_no_list(extractor: ktlite.AnswerExtractor) -> None:
    with pytest.raises(ArgumentError, match="texts='the great movie'; expected a list"):
        extractor.extract("the great movie", question_label_pairs=[QUESTION])
    with pytest.raises(ArgumentError, match="question_label_pairs='What\\?'; expected a list"):
        extractor.extract(["the great movie"], question_label_pairs="What?")


def test_arguments_that_cannot_work_are_all_named(extractor: ktlite.AnswerExtractor) -> None:
    frame = pd.DataFrame({"doc": ["x"], "name": ["y"]})
    pairs = [("what did {nam} see?", "doc"), ("", "b"), "q", ("q", "c", "d")]
    with pytest.raises(ArgumentError) as error:
        extractor.extract(["x", "y"], frame, pairs, min_conf=6)
    lines = str(error.value).splitlines()
    assert lines[0] == "extract: 6 problems"
    for line, part in zip(
        lines[1:],
        ["min_conf=6; expected a probability", "2 texts for a DataFrame of 1 rows",
         "a column 'doc' already", "column 'nam', which there is not. Did you mean 'name'?",
         "('', 'b') is no (question, label)", "('q', 'c', 'd') is no (question, label)"],
        strict=True,
    ):  # fmt: skip
        assert part in line
    with pytest.raises(ArgumentError, match="there is a column 'q CONF' already"):
        extractor.extract(["x"], None, ["q", ("w", "q CONF")], return_conf=True)
    with pytest.raises(ArgumentError, match="question_label_pairs is empty"):
        extractor.extract(["x"])
    with pytest.raises(ArgumentError, match="unknown argument 'min_confidence'"):
        extractor.extract(["x"], min_confidence=0.5)


def test_finetuning_goes_on_from_the_model_and_keeps_the_vocabulary(
    saved: Path, tmp_path: Path
) -> None:
    extractor = ktlite.AnswerExtractor(saved)
    model = extractor.predictor.model
    data = [{"question": "who?", "context": "not very good", "answers": "good"}] * 16
    learner = extractor.finetune(data, epochs=2, learning_rate=1e-3, verbose=0)
    assert len(learner.history.history["loss"]) == 2
    assert extractor.predictor.model is model
    # As long as the model has positions for, not as the default asks.
    assert extractor.predictor.preproc.maxlen == 40
    extractor.predictor.save(tmp_path / "more")
    again = ktlite.AnswerExtractor(tmp_path / "more")
    pair = ("who?", "not very good")
    assert again.predictor.predict(pair) == extractor.predictor.predict(pair)


def test_finetuning_checks_its_data_and_arguments(saved: Path) -> None:
    extractor = ktlite.AnswerExtractor(saved)
    with pytest.raises(DataError, match="data: row 0: the answer 'x' is not in the context"):
        extractor.finetune([{"question": "who?", "context": "good", "answers": "x"}])
    with pytest.raises(ArgumentError, match="3 problems"):
        extractor.finetune(rows(2), epochs=0, learning_rate=-1, batch_size=0)


def test_what_does_not_answer_questions_is_refused(
    tiny_checkpoint: Path, saved: Path, tmp_path: Path
) -> None:
    learner = ktlite.get_learner(
        tiny_checkpoint, (["good", "bad"] * 4, ["a", "b"] * 4), maxlen=8, verbose=0
    )
    with pytest.raises(ArgumentError, match="got a predictor of classification"):
        as_answerer(learner.get_predictor())
    with pytest.raises(ArgumentError, match="got int"):
        as_answerer(3)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError):
        as_answerer(tmp_path / "nothing")
    predictor = ktlite.load_predictor(saved)
    assert as_answerer(predictor) is predictor


def test_a_checkpoint_of_another_library_answers(golden: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(golden / "tiny-tokenizer", tmp_path / "bert")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(golden / "bert-span" / name, tmp_path / "bert")
    predictor = as_answerer(tmp_path / "bert", 32)
    task = predictor.preproc.task
    assert isinstance(task, QuestionAnswering)
    assert task.threshold == 0.0
    context = "the great movie was bad"
    (best,) = predictor.predict((QUESTION, context), n_best=1, return_offsets=True)
    assert best[0] == context[slice(*best[1])]


# Documents

DOCS = [
    "Films\n\nThe great movie was not bad. It was very good.\n\nThe bad and very bad one.",
    "房间很好。酒店不差。",
    "a great film, it was",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("bm25s")
    folder = tmp_path_factory.mktemp("index") / "films"
    ktlite.SimpleQA.index_from_list(DOCS, folder, min_words=4, references=["a", "b", "c"])
    return folder


@pytest.fixture(scope="module")
def qa(index: Path, saved: Path) -> ktlite.SimpleQA:
    return ktlite.SimpleQA(index, saved)


def test_paragraphs_are_found_by_their_words(qa: ktlite.SimpleQA) -> None:
    assert [hit["reference"] for hit in qa.search("Good: a MOVIE was")] == ["a", "c"]
    assert qa.search("Great film", limit=1) == [{"reference": "c", "rawtext": DOCS[2]}]
    assert [hit["reference"] for hit in qa.search("好酒店")] == ["b"]
    assert qa.search("zzz") == qa.search("?!") == []


def test_answers_have_their_context_and_confidence(qa: ktlite.SimpleQA) -> None:
    answers = qa.ask("what movie?", query="great movie film")
    assert {answer["answer"] for answer in answers} == {"great movie", "great film"}
    for answer in answers:
        assert answer["context"][answer["start"] : answer["end"]] == answer["answer"]
        whole = answer["sentence_beginning"] + answer["answer"] + answer["sentence_end"]
        assert answer["full_answer"] == whole
    assert sum(answer["confidence"] for answer in answers) == pytest.approx(1)
    raw = qa.ask("what movie?", query="great movie film", raw_confidence=True)
    odds = np.array([answer["confidence"] for answer in raw])
    assert (np.diff(odds) <= 0).all()
    shares = np.exp(odds - odds.max()) / np.exp(odds - odds.max()).sum()
    assert [answer["confidence"] for answer in answers] == pytest.approx(shares.tolist())
    table = qa.display_answers(answers)
    assert list(table["Document Reference"]) == [answer["reference"] for answer in answers]
    full = {answer["reference"]: answer["full_answer"] for answer in answers}
    assert full["a"].endswith("The great movie was not bad.")


def test_no_paragraph_or_no_answer_gives_nothing(qa: ktlite.SimpleQA) -> None:
    assert qa.ask("zzz?") == []
    assert len(qa.ask("what movie?", query="bad one was")) > 1
    assert len(qa.ask("what movie?", query="bad one was", n_answers=1)) == 1
    assert len(qa.ask("what movie?", query="bad one was", n_docs_considered=1)) <= 1
    with pytest.raises(ArgumentError, match="2 problems"):
        qa.ask("what?", n_docs_considered=0, n_answers=0)
    with pytest.raises(ArgumentError, match="unknown argument 'n_answer'"):
        qa.ask("what?", n_answer=3)


def test_an_index_grows_and_loads_again(saved: Path, tmp_path: Path) -> None:
    pytest.importorskip("bm25s")
    folder = tmp_path / "index"
    ktlite.SimpleQA.initialize_index(folder)
    with pytest.raises(ArgumentError, match="there is an index in"):
        ktlite.SimpleQA.initialize_index(folder)
    assert ktlite.SimpleQA(folder, saved).ask(QUESTION) == []
    ktlite.SimpleQA.index_from_list(["the great film"], folder)
    (tmp_path / "docs" / "more").mkdir(parents=True)
    (tmp_path / "docs" / "more" / "x.txt").write_bytes("房间 great movie".encode("utf-16"))
    (tmp_path / "docs" / "y.md").write_text("great")
    ktlite.SimpleQA.index_from_folder(tmp_path / "docs", folder)
    ktlite.SimpleQA.index_from_list(["great", " "], folder, breakup_docs=False)
    found = ktlite.SimpleQA(folder, saved).search("great")
    assert {hit["reference"] for hit in found} == {"0", "more/x.txt"}
    assert {hit["rawtext"] for hit in found} == {"the great film", "房间 great movie", "great"}
    assert {path.suffix for path in folder.iterdir()} == {".json", ".jsonl", ".npy"}
    for path in folder.glob("*.npy"):
        np.load(path, allow_pickle=False)


def test_folders_that_are_no_index(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no index in the folder .*index_from_list"):
        ktlite.SimpleQA(tmp_path, saved)
    with pytest.raises(DataError, match=r"no \.txt files in the folder"):
        ktlite.SimpleQA.index_from_folder(tmp_path, tmp_path / "index")
    (tmp_path / "notes.txt").write_text("mine")
    pytest.importorskip("bm25s")
    with pytest.raises(ArgumentError):
        ktlite.SimpleQA.index_from_list(["a"], tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "paragraphs.jsonl").write_text('["one", "a"]\n'),
        lambda folder: (folder / "paragraphs.jsonl").write_text("not JSON"),
        lambda folder: (folder / "index.json").write_text('{"schema": 99, "paragraphs": 4}'),
        lambda folder: (folder / "index.json").write_text("[]"),
    ],
)
def test_a_damaged_index_is_refused(damage: Any, tmp_path: Path) -> None:
    pytest.importorskip("bm25s")
    Bm25Index([Paragraph("one", "a"), Paragraph("two", "b")]).save(tmp_path / "index")
    assert len(Bm25Index.load(tmp_path / "index").paragraphs) == 2
    damage(tmp_path / "index")
    with pytest.raises(DataError, match="the index is damaged"):
        Bm25Index.load(tmp_path / "index")


@pytest.mark.parametrize(
    ("docs", "options", "message"),
    [
        ("one text", {}, "docs is one text"),
        (["a", 3], {}, "document 1 is 3"),
        (["a"], {"references": ["x", "y"]}, "2 references for 1 document"),
        (["a"], {"min_words": 0}, "min_words=0"),
        (["a"], {"min_word": 3}, "unknown argument 'min_word'. Did you mean 'min_words'"),
    ],
)
def test_documents_that_cannot_be_indexed(
    docs: Any, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=message):
        ktlite.SimpleQA.index_from_list(docs, tmp_path / "index", **options)
    assert not (tmp_path / "index").exists()


def test_scores_are_bm25() -> None:
    """By the formula of Lucene: idf * tf / (tf + k1 * (1 - b + b * length / mean length))."""
    pytest.importorskip("bm25s")
    index = Bm25Index([Paragraph("ann saw bob", "0"), Paragraph("bob bob slept", "1"),
                       Paragraph("a b c d e f", "2")])  # fmt: skip
    found = {p.reference: score for p, score in index.search("Bob?", 3)}
    idf = np.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    norm = 1.5 * (1 - 0.75 + 0.75 * 3 / 4)
    assert found == pytest.approx({"1": idf * 2 / (2 + norm), "0": idf * 1 / (1 + norm)}, rel=1e-5)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Beyoncé's U.S. tour-2", ["beyonce", "s", "u", "s", "tour", "2"]),
        ("好酒店x", ["好", "酒", "店", "x", "好酒", "酒店"]),
        ("ＡＢＣ Straße", ["abc", "strasse"]),
        (" ?! ", []),
    ],
)
def test_terms(source: str, expected: list[str]) -> None:
    assert terms(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a b c\n\nd e f", ["a b c", "d e f"]),
        ("Title\n\na b c\n \n\nd e f", ["Title\n\na b c", "d e f"]),
        ("a b c\n\nd", ["a b c\n\nd"]),
        ("a\nb", ["a\nb"]),
        ("\n\n a b c \n", ["a b c"]),
    ],
)
def test_paragraphs_lose_nothing(source: str, expected: list[str]) -> None:
    assert split_paragraphs(source, 3) == expected


def test_the_sentence_of_an_answer() -> None:
    source = "He left (at 3.5 pm). Ann Lee came! Then? 她来了。他走了。"
    for answer, expected in (
        ("Ann Lee", ("Ann Lee came!", "", " came!")),
        ("3.5", ("He left (at 3.5 pm).", "He left (at ", " pm).")),
        ("他", ("他走了。", "", "走了。")),
    ):
        start = source.index(answer)
        found = sentence(source, start, start + len(answer))
        assert tuple(found.values()) == expected


def test_ktrains_places() -> None:
    assert text.SimpleQA is ktlite.SimpleQA
    assert text.AnswerExtractor is ktlite.AnswerExtractor
    assert {"SimpleQA", "AnswerExtractor"} <= set(dir(text))
    assert issubclass(Predictor, object)
    with pytest.raises(AttributeError, match="no attribute 'SimpleQ'"):
        text.SimpleQ  # noqa: B018


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from ktlite.applications import bm25

    bm25._library.cache_clear()
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(ArgumentError, match=r"pip install 'ktlite\[search\]'"):
        Bm25Index([Paragraph("one", "a")])
    bm25._library.cache_clear()


def test_paragraphs_are_kept_as_json_lines(index: Path) -> None:
    lines = (index / "paragraphs.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1]) == [DOCS[2], "c"]
