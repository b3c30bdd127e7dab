"""Readers of tagged words: the formats, and what they say of bad files."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ktlite.data.examples import Examples
from ktlite.data.sources import read_any_tagged
from ktlite.data.spans import read_spans, tag_spans
from ktlite.data.tagged import (
    read_columns,
    read_conllu,
    read_tag_arrays,
    read_tag_frame,
    read_tag_table,
)
from ktlite.errors import ArgumentError, DataError

CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

\t
Peter NNP B-NP B-PER
# , O O
"""
WNUT = "The\u00a0one\tO\nRome  Inn\tB-LOC\r\n\r\n@x\tO\n"
CONLLU = """# text = Don't go
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\tSpaceAfter=No
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
3.1\tx\t_\t_\t_\t_\t_\t_\t_\t_
"""
GMB = """Sentence #,Word,POS,Tag
Sentence: 1,London,NNP,B-geo
,is,VBZ,O
Sentence: 2,",",\",\",O
"""


def content(raw: Examples) -> list[tuple[list[str], list[str]]]:
    assert raw.labels is not None
    assert raw.labels.dtype == object
    assert raw.rows.tolist() == list(range(len(raw)))
    return [(t.words, tags) for t, tags in zip(raw.items, raw.labels, strict=True)]  # type: ignore[union-attr]


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def read(path: Any, text_column: Any = None, label_columns: Any = None) -> Examples:
    return read_any_tagged(
        path, text_column, label_columns, source="train_data", sep=",", encoding=None
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", CONLL, [(["EU", "rejects"], ["B-ORG", "O"]), (["Peter", "#"], ["B-PER", "O"])]),
        ("a.conll", WNUT, [(["The\u00a0one", "Rome  Inn"], ["O", "B-LOC"]), (["@x"], ["O"])]),
        ("a.conllu", CONLLU, [(["Do", "n't", "go"], ["AUX", "PART", "VERB"])]),
        ("a.csv", GMB, [(["London", "is"], ["B-geo", "O"]), ([","], ["O"])]),
        (
            "a.jsonl",
            '{"text": "In Rome.", "label": [[3, 7, "LOC"]]}\n\n{"text": "No", "entities": []}\n',
            [(["In", "Rome", "."], ["O", "B-LOC", "O"]), (["No"], ["O"])],
        ),
    ],
)
def test_the_name_of_a_file_says_its_format(
    tmp_path: Path, name: str, text: str, expected: list[Any]
) -> None:
    assert content(read(write(tmp_path, name, text))) == expected


def test_other_columns_by_number_or_name(tmp_path: Path) -> None:
    conll = write(tmp_path, "a.txt", CONLL)
    assert content(read(conll, 0, 1))[0] == (["EU", "rejects"], ["NNP", "VBZ"])
    conllu = write(tmp_path, "a.conllu", CONLLU)
    assert content(read(conllu, None, "XPOS"))[0][1] == ["VBP", "RB", "VB"]
    table = write(tmp_path, "a.csv", GMB)
    assert content(read(table, "Word", "POS"))[0][1] == ["NNP", "VBZ"]


FRAME = pd.DataFrame({
    "SentenceID": [1, 1, 2],
    "Word": ["London", "is", "NA"],
    "Tag": ["B-geo", "O", "O"],
})  # fmt: skip
SENTENCES = [(["London", "is"], ["B-geo", "O"]), (["NA"], ["O"])]


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.rename(columns={"SentenceID": "Sentence #"}),
        FRAME.assign(SentenceID=[1, None, 2]),
        pd.DataFrame({"Word": [["London", "is"], ["NA"]], "Tag": [["B-geo", "O"], ["O"]]}),
        pd.DataFrame({"Word": [np.array(["London", "is"]), ["NA"]],
                      "Tag": [np.array(["B-geo", "O"]), ["O"]]}),
    ],
)  # fmt: skip
def test_frames_have_a_row_a_word_or_a_row_a_sentence(frame: pd.DataFrame) -> None:
    assert content(read(frame)) == SENTENCES
    assert content(read_tag_frame(frame)) == SENTENCES


def test_arrays() -> None:
    words, tags = [["London", "is"], ["NA"]], [["B-geo", "O"], ("O",)]
    assert content(read((words, tags))) == SENTENCES
    unlabelled = read_tag_arrays(["John's here.", ["a", "b"]])
    assert unlabelled.labels is None
    assert [text.words for text in unlabelled.items] == [["John", "'s", "here", "."], ["a", "b"]]  # type: ignore[union-attr]


def test_take_keeps_words_with_their_tags() -> None:
    raw = read_tag_arrays([["a"], ["b", "c"], ["d"]], [["O"], ["O", "X"], ["Y"]])
    part = raw.take(np.array([2, 1]))
    assert part.labels is not None
    assert part.labels.tolist() == [["Y"], ["O", "X"]]
    assert part.items[1].words == ["b", "c"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a O\nb\n", "line 2 has no tag: 'b'"),
        ("a\nb\n", "2 problems\n  - line 1 has no tag"),
        ("a X O\nb O\n", "line 2 has 2 columns, the first line has 3: 'b O'"),
        ("a\tO\nb\t\n", "line 2 has no tag: 'b'"),
        (
            "a B-P\n\nb I-P\n\nc I-L\n",
            "line 1 begins an entity with 'B-P', but most begin with 'I-'",
        ),
        ("a B-P\n\nb B-L\n\nc I-P\n", "line 5 begins an entity with 'I-P', but most .* BIO"),
        ("", "there are no words"),
        ("\n\n-DOCSTART- O\n", "there are no words"),
        ("a O\n" + "b\n" * 20, "and 15 more such lines"),
    ],
)
def test_bad_columns_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=r"^bad\.txt: (?s:.*)" + message):
        read_columns(write(tmp_path, "bad.txt", text))


@pytest.mark.parametrize(
    ("columns", "message"),
    [((0, 5), "no column 0 or 5: line 3 has 4"), ((-5, 1), "no column -5 or 1")],
)
def test_columns_that_are_not_there(tmp_path: Path, columns: tuple[int, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_columns(write(tmp_path, "a.txt", CONLL), *columns)


@pytest.mark.parametrize(
    ("reader", "name", "text", "message"),
    [
        (read_conllu, "a.conllu", "1\ta\tO\n", "line 1 has 3 columns; CoNLL-U has 10"),
        (read_conllu, "a.conllu", CONLLU.replace("AUX", "_"), "line 3 has no tag: 'Do'"),
        (read_tag_table, "a.csv", GMB + ",x,NN\n", "line 5 has 3 columns, the first line has 4"),
        (read_tag_table, "a.csv", GMB.replace(",is,", ",,"), "line 3 has no word"),
        (read_tag_table, "a.csv", GMB.replace(",O", ","), "line 3 has no tag: 'is'"),
        (read_tag_table, "a.csv", GMB.replace("Word", "word"), "is 'Word'. Did you mean 'word'"),
        (read_tag_table, "a.csv", GMB.replace("Sentence #", "n"), "'SentenceID' or 'Sentence #'"),
        (read_spans, "a.jsonl", '{"text": "a", "label": []}\n{', "line 2: it is not JSON"),
        (read_spans, "a.jsonl", '{"txt": "a"}', 'line 1: expected an object such as {"text"'),
        (read_spans, "a.jsonl", '{"text": "a"}', "line 1: expected a list of annotations"),
        (read_spans, "a.jsonl", '{"text": "a", "label": [[0, 2, "X"]]}', "is no part of the text"),
        (read_spans, "a.jsonl", '{"text": "a", "label": [[0, "X"]]}', "is no annotation"),
        (read_spans, "a.jsonl", '{"text": "a", "label": [[0, 1.5, "X"]]}', "is no annotation"),
    ],
)
def test_other_bad_files_name_file_and_line(
    tmp_path: Path, reader: Any, name: str, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=rf"^{name}: (?s:.*){message}"):
        reader(write(tmp_path, name, text))


@pytest.mark.parametrize("name", ["b.txt", "b.csv", "b.jsonl", "b.conllu"])
def test_files_that_are_not_there(tmp_path: Path, name: str) -> None:
    write(tmp_path, "a.txt", CONLL)
    with pytest.raises(DataError, match="there is no file"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([["a", "b"]], [["O"]], "text 0 has 2 words, but 1 tag"),
        ([["a"], ["b"]], [["O"]], "2 texts, but 1 list of tags"),
        (["a b"], [["O", "O"]], "text 0 is a string"),
        ([["a"]], ["O"], "text 0 has 1 word, but 1 tag"),
        ([["a"]], [[None]], "text 0, word 0 has no tag"),
        ([[3]], [["O"]], "text 0: expected a text or a list of its words"),
        ([("a", "b")], [["O", "O"]], "text 0: a pair of texts"),
        ([], [], "there are no words"),
    ],
)
def test_bad_arrays(x: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"^train_data: {message}"):
        read((x, y))


@pytest.mark.parametrize(
    ("data", "columns", "message"),
    [(3, (), "of type int; expected the path of a file with a word and its tag a line"),
     ("a.txt", ("Word",), "text_column='Word'; in a file of columns without names")],
)  # fmt: skip
def test_other_arguments_are_refused(data: Any, columns: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        read(data, *columns)


@pytest.mark.parametrize(
    ("text", "annotations", "words", "tags"),
    [
        ("Mary Ann left", [(0, 8, "P")], "Mary Ann left", "B-P I-P O"),
        ("in Berlin-Mitte.", [(3, 9, "L"), (10, 15, "D")], "in Berlin - Mitte .", "O B-L O B-D O"),
        ("北京很大", [(0, 2, "L")], "北 京 很 大", "B-L I-L O O"),
        (" Rome ", [(0, 6, "L")], "Rome", "B-L"),
        ("ab", [(1, 2, "X"), (0, 1, "Y")], "a b", "B-Y B-X"),
    ],
)
def test_annotated_characters_become_tags(
    text: str, annotations: Any, words: str, tags: str
) -> None:
    found, found_tags = tag_spans(text, annotations)
    assert (found.words, found_tags) == (words.split(), tags.split())
    assert found.text == text


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([(0, 3, "X"), (2, 4, "Y")], "overlaps"),
        ([(1, 2, "X")], "covers no word: ' '"),
        ([(2, 2, "X")], "is no part"),
        ([(-1, 2, "X")], "is no part"),
    ],
)
def test_annotations_that_cannot_be_tags(annotations: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tag_spans("a b cd", annotations)


def test_annotations_may_be_objects(tmp_path: Path) -> None:
    lines = [
        {"text": "Rome", "spans": [{"start": 0, "end": 4, "type": "L"}]},
        {"text": "Rome", "labels": [{"start_offset": 0, "end_offset": 4, "label": "L"}]},
    ]
    path = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert content(read_spans(path)) == [(["Rome"], ["B-L"])] * 2


class Slices:
    """What of `datasets.Dataset` is used; its tags are numbers of named classes."""

    column_names = ("tokens", "ner")
    features: dict[str, Any] = {"ner": SimpleNamespace(feature=SimpleNamespace(names=["O", "B-L"]))}

    def __len__(self) -> int:
        return 2

    def __getitem__(self, rows: slice) -> dict[str, Any]:
        return {"tokens": LISTS["tokens"][rows], "ner": [[1, 0], [0]][rows]}


LISTS = {"tokens": [["Rome", "is"], ["NA"]], "ner": [["B-L", "O"], ["O"]]}
ROWS = [{"tokens": words, "ner": tags} for words, tags in zip(*LISTS.values(), strict=True)]


@pytest.mark.parametrize("kind", ["jsonl", "json", "json.gz", "parquet", "data set"])
def test_lists_of_words_and_tags_are_read_from_every_table(kind: str, tmp_path: Path) -> None:
    data: Any = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        data.write_text("\n".join(map(json.dumps, ROWS)))
    elif kind == "json":
        data.write_text(json.dumps(ROWS))
    elif kind == "json.gz":
        data.write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    elif kind == "parquet":
        pytest.importorskip("pyarrow")
        pd.DataFrame(LISTS).to_parquet(data)
    else:
        data = Slices()
    read = partial(read_any_tagged, data, sep=None, encoding=None, source="train_data")
    assert content(read("tokens", "ner")) == [(["Rome", "is"], ["B-L", "O"]), (["NA"], ["O"])]
    with pytest.raises(DataError, match="no column is 'token'. Did you mean 'tokens'"):
        read("token", "ner")


def test_named_columns_may_hold_annotated_characters(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "Rome", "label": [[0, 4, "L"]]}')
    raw = read_any_tagged(path, "text", "label", sep=None, encoding=None, source="train_data")
    assert content(raw) == [(["Rome"], ["B-L"])]
