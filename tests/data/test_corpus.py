"""The corpus on disk: the tokenizer's tokens, cut into chunks where a reader would cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ktlite.data.corpus import SENTENCE, WORD, Corpus, build_corpus, split_documents
from ktlite.errors import DataError
from ktlite.inputs.tokenizer import Tokenizer
from ktlite.text import train_tokenizer

ENGLISH = [
    ["Dr. No is a film. It was made in 1962! Was it good?", "A second paragraph (short)."],
    ["One sentence only"],
    ["Every film has an end, and every end has a film of its own to begin with."],
]
CHINESE = [["房间很好。服务也很好！下次还会来吗？会的。", "早餐一般"], ["“太差了。”他说"]]


@pytest.fixture(scope="module", params=["wordpiece", "bpe", "unigram", "character"])
def tokenizer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Tokenizer:
    texts = [text for document in ENGLISH + CHINESE for text in document] * 3
    folder = tmp_path_factory.mktemp("tokenizers") / request.param
    train_tokenizer(texts, folder, kind=request.param, vocab_size=400, verbose=0)
    return Tokenizer(folder, 32)


def build(tokenizer: Tokenizer, folder: Path, documents: list[list[str]], longest: int) -> Corpus:
    return build_corpus(documents, tokenizer, folder, longest, verbose=0)


def tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """Returns the ids of a text without special tokens, cut nowhere."""
    rust = tokenizer._rust.from_str(tokenizer._rust.to_str())
    rust.no_truncation()
    return rust.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("longest", [5, 12, 1000])
def test_the_corpus_holds_the_tokens_of_all_texts_in_order(
    tokenizer: Tokenizer, tmp_path: Path, longest: int
) -> None:
    corpus = build(tokenizer, tmp_path, ENGLISH + CHINESE, longest)
    expected = [
        token
        for document in ENGLISH + CHINESE
        for text in document
        for token in tokens(tokenizer, text)
    ]
    assert list(corpus.ids) == expected
    assert len(corpus.flags) == len(expected)
    assert isinstance(corpus.ids, np.memmap)
    assert corpus.ids.dtype == np.uint16


@pytest.mark.parametrize("longest", [5, 12, 1000])
def test_chunks_lie_side_by_side_within_one_document(
    tokenizer: Tokenizer, tmp_path: Path, longest: int
) -> None:
    documents = ENGLISH + CHINESE
    corpus = build(tokenizer, tmp_path, documents, longest)
    sizes = [sum(len(tokens(tokenizer, text)) for text in document) for document in documents]
    ends = np.cumsum(sizes)
    assert corpus.lengths.max() <= longest
    assert corpus.lengths.min() >= 2
    starts = corpus.chunks[:, 0]
    assert (starts[1:] >= corpus.chunks[:-1, 1]).all()
    for start, end, document in corpus.chunks:
        assert ends[document] - sizes[document] <= start < end <= ends[document]
    left_out = len(corpus.ids) - corpus.lengths.sum()
    assert left_out <= len(starts)  # single tokens at the end of a document
    if longest == 1000:
        assert len(corpus) == len(documents)


def test_a_chunk_ends_with_a_sentence_if_it_can(tokenizer: Tokenizer, tmp_path: Path) -> None:
    sentences = ["A film was made. ", "Was it good? ", "It was. ", "Every film has an end."]
    longest = max(len(tokens(tokenizer, s)) for s in sentences) + 2
    corpus = build(tokenizer, tmp_path, [["".join(sentences)]], longest)
    assert all(corpus.flags[start] & SENTENCE for start in corpus.chunks[:, 0])


def pieces(tokenizer: Tokenizer, corpus: Corpus, flag: int) -> list[str]:
    """Returns the texts between flags, without what the tokenizer puts in for spaces."""
    bounds = [*np.flatnonzero(corpus.flags & flag), len(corpus.ids)]
    return [
        tokenizer._rust.decode(list(corpus.ids[a:b])).replace(" ", "")
        for a, b in zip(bounds[:-1], bounds[1:], strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It was made! Was it good?", ["It was made!", "Was it good?"]),
        ("A film (short). One film.", ["A film (short).", "One film."]),
        ("made in 1962", ["made in 1962"]),
        ("房间很好。服务也很好！会的", ["房间很好。", "服务也很好！", "会的"]),
        ("“太差了。”他说", ["“太差了。”", "他说"]),
    ],
)
def test_sentences_begin_after_a_mark(
    tokenizer: Tokenizer, tmp_path: Path, text: str, sentences: list[str]
) -> None:
    corpus = build(tokenizer, tmp_path, [[text]], 100)
    # NFKC writes some Chinese marks as Western ones.
    table = str.maketrans("！？（）：；，", "!?():;,")
    found = [s.translate(table) for s in pieces(tokenizer, corpus, SENTENCE)]
    assert found == [s.replace(" ", "").translate(table) for s in sentences]


def test_each_chinese_character_is_a_word(tokenizer: Tokenizer, tmp_path: Path) -> None:
    corpus = build(tokenizer, tmp_path, [["房间很好服务也很好"]], 100)
    words = [word for word in pieces(tokenizer, corpus, WORD) if word]
    assert "".join(words) == "房间很好服务也很好"
    starts = np.flatnonzero(corpus.flags & WORD)
    # A piece of several characters cannot be taken apart; what is taken apart is by character.
    assert len(starts) >= min(len(corpus.ids), 3)
    assert all("\ufffd" not in word for word in words)


def test_latin_words_are_kept_whole(tmp_path: Path) -> None:
    folder = train_tokenizer(
        ["film films filming made"] * 3, tmp_path / "t", vocab_size=40, verbose=0
    )
    tokenizer = Tokenizer(folder, 32)
    corpus = build(tokenizer, tmp_path, [["filming made films, made"]], 100)
    assert pieces(tokenizer, corpus, WORD)[:3] == ["filming", "made", "films"]


def test_a_sentence_that_is_too_long_is_cut_between_words(tmp_path: Path) -> None:
    text = "filming made " * 20
    folder = train_tokenizer([text], tmp_path / "t", vocab_size=30, verbose=0)
    tokenizer = Tokenizer(folder, 32)
    corpus = build(tokenizer, tmp_path, [[text]], 7)
    assert len(corpus) > 5
    assert all(corpus.flags[start] & WORD for start in corpus.chunks[:, 0])


def test_a_book_on_one_line_is_read_in_pieces(tmp_path: Path) -> None:
    sentence = "A film was made in a year. "
    folder = train_tokenizer([sentence], tmp_path / "t", vocab_size=60, verbose=0)
    corpus = build(Tokenizer(folder, 32), tmp_path, [[sentence * 2000]], 30)
    one = len(tokens(Tokenizer(folder, 32), sentence))
    assert len(corpus.ids) == 2000 * one
    assert set(corpus.chunks[:, 2]) == {0}
    assert int((corpus.flags & SENTENCE > 0).sum()) == 2000


def test_texts_without_tokens_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tokens"):
        build(tokenizer, tmp_path, [[" "], []], 10)


def test_a_large_vocabulary_takes_wider_numbers(tmp_path: Path, golden: Path) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 32)
    tokenizer._rust.add_tokens([f"token{i}" for i in range(1 << 16)])
    assert build(tokenizer, tmp_path, [["a good film"]], 10).ids.dtype == np.uint32


def test_no_document_is_on_both_sides_of_the_split(tmp_path: Path, golden: Path) -> None:
    tokenizer = Tokenizer(golden / "tiny-tokenizer", 32)
    documents = [["a good film. " * (i % 3 + 1)] for i in range(50)]
    corpus = build(tokenizer, tmp_path, documents, 4)
    train, val = split_documents(corpus, 0.2, seed=1)
    number = corpus.chunks[:, 2]
    assert not set(number[train]) & set(number[val])
    assert sorted([*train, *val]) == list(range(len(corpus)))
    assert len(set(number[val])) == 10
    again = split_documents(corpus, 0.2, seed=1)
    assert (train == again[0]).all() and (val == again[1]).all()


def test_one_document_cannot_be_split(tmp_path: Path, golden: Path) -> None:
    corpus = build(Tokenizer(golden / "tiny-tokenizer", 32), tmp_path, [["a good film"]], 10)
    with pytest.raises(DataError, match="only 1 document"):
        split_documents(corpus, 0.1, seed=1)
