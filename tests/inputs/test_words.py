"""Words that know where in their text they are."""

from __future__ import annotations

import random
import unicodedata
from typing import Any

import pytest

from ktlite.errors import DataError
from ktlite.inputs.words import Words, as_words, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("John's in Berlin.", "John 's in Berlin ."),
        ("J. Smith (U.S. Navy) paid $3.50", "J. Smith ( U.S. Navy ) paid $ 3.50"),
        ("1,000 at 10:30, yes:no", "1,000 at 10:30 , yes : no"),
        ("I don't know... Franco-German -- AT&T?!", "I don't know ... Franco-German -- AT&T ? !"),
        ("@user #tag: see https://t.co/a.", "@user #tag : see https://t.co/a ."),
        ("“Quoted”—twice", "“ Quoted ” — twice"),
        ("房间很干净，iPhone13真好。", "房 间 很 干 净 ， iPhone13 真 好 。"),
        ("カタカナ", "カ タ カ ナ"),
        ("สวัสดี", "ส วั ส ดี"),
        ("हिन्दी में।", "हिन्दी में ।"),
        ("한국어 문장.", "한국어 문장 ."),
        ("e\u0301te\u0301 fine\u200b", "e\u0301te\u0301 fine\u200b"),
        ("a\u00a0b\u3000c", "a b c"),
        ("''s s's", "' ' s s 's"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_words_are_those_of_treebanks(text: str, words: str) -> None:
    assert split_words(text).words == words.split()


ALPHABETS = [
    "ab Z9 .,'-’:/@#$&_ \t\n",
    "".join(map(chr, range(0x20, 0x250))),
    "e\u0301\u0302 \u200b\u200d\ufeff\u2028\u00a0\u3000\x85\x1c\x00",
    "房间很，。 かなカナ 한국 ไทยก็ हिन्दी العربية עברית",
    "👨‍👩‍👧🏽 🇩🇪 𝒳𠀀 a",
]


@pytest.mark.parametrize("alphabet", [*ALPHABETS, "any"])
def test_each_character_but_white_space_is_in_one_word(alphabet: str) -> None:
    rng = random.Random(0)
    for _ in range(300):
        if alphabet == "any":
            codes = [rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])
                     for _ in range(rng.randrange(30))]  # fmt: skip
            text = "".join(map(chr, codes))
        else:
            text = "".join(rng.choices(alphabet, k=rng.randrange(30)))
        words = split_words(text)
        assert words.text == text
        position = 0
        for (start, end), word in zip(words.spans, words.words, strict=True):
            assert position <= start < end <= len(text)
            assert not text[position:start].strip()
            assert not any(c.isspace() for c in word)
            position = end
        assert not text[position:].strip()


def test_marks_stay_with_their_letters() -> None:
    rng = random.Random(1)
    for _ in range(200):
        text = "".join(rng.choices("aก房. \u0301\u0e31\u200d", k=12)).strip()
        for (start, _), word in zip(split_words(text).spans, split_words(text).words, strict=True):
            inside = start and not text[start - 1].isspace()
            assert not (inside and unicodedata.category(word[0]) in ("Mn", "Cf"))


def test_words_that_are_known_are_joined_by_spaces() -> None:
    words = Words.of(["New York", "", "is", "big"])
    assert str(words) == "New York  is big"
    assert words.words == ["New York", "", "is", "big"]
    assert len(words) == 4
    assert as_words(words) is words
    assert as_words(["New York", "", "is", "big"]) == words


@pytest.mark.parametrize(
    "tokenizer",
    [
        str.split,
        lambda text: ((0, 2), (3, 6), (7, 8)),
        lambda text: [[0, 2], [3, 6], [7, 8]],
    ],
)
def test_a_tokenizer_of_ones_own_gives_words_or_places(tokenizer: Any) -> None:
    assert as_words("a. b's c", tokenizer).spans == ((0, 2), (3, 6), (7, 8))


@pytest.mark.parametrize(
    "words", [["a", "``"], ["b", "a"], [(0, 9)], [(1, 1)], [(0, 1), (0, 1)], [""], ["a", "a"]]
)
def test_a_tokenizer_that_changes_the_text_is_refused(words: Any) -> None:
    with pytest.raises(DataError, match="custom_tokenizer: .* is not in the text after"):
        as_words("a b", lambda text: words)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("one", "two"), "a pair of texts"),
        (3, "expected a text or a list of its words, got 3 of type int"),
        (["a", None], "expected a text or a list"),
    ],
)
def test_what_has_no_words_is_refused(item: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_words(item)
