"""Texts that are changed at random for training: what changes, and what never does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from ktlite.errors import ArgumentError, DataError
from ktlite.inputs.text_augmentation import TextAugmentation
from ktlite.inputs.word_changes import (
    _BESIDE,
    Change,
    Delete,
    Insert,
    Rewritten,
    Swap,
    Synonym,
    Typo,
)
from ktlite.inputs.words import Words, split_words

TEXT = "  Not a bad film: dull, but (well) played by John's actors in 1.5 hours.\n"
CHINESE = "房间很干净，服务也好。"
LOOKUP = {"film": ["movie"], "bad": ["poor", "weak"], "dull": ["boring"], "净": ["洁"]}


def nothing(words: Any, count: int) -> dict[str, list[str]]:
    raise AssertionError("nothing was to be looked up")


def drawn(change: Change, text: str = TEXT, count: int = 200) -> list[Words]:
    return [change(split_words(text), np.random.default_rng([7, i])) for i in range(count)]


def counts(words: Words) -> Counter[str]:
    return Counter(words.words)


@pytest.mark.parametrize("text", [TEXT, CHINESE, "", "  ", "?!", "one"])
@pytest.mark.parametrize(
    "change", [Delete(0.3), Swap(0.3), Insert(0.3, LOOKUP), Synonym(0.3, LOOKUP), Typo(0.3)]
)
def test_words_know_where_they_are_and_one_is_left(change: Change, text: str) -> None:
    before = split_words(text)
    for after in drawn(change, text):
        assert all(word and not word.isspace() for word in after.words)
        ends = [0, *(end for _, end in after.spans)]
        assert all(a <= b < c for a, (b, c) in zip(ends, after.spans, strict=False))
        assert after.text.endswith("\n") == text.endswith("\n")
        assert bool(after.words) == bool(before.words)
        if change.keeps_words:
            assert len(after) == len(before)


def test_deletion_takes_about_its_share_and_no_marks() -> None:
    text = " ".join(f"w{i}," for i in range(50))
    left = [counts(words) for words in drawn(Delete(0.2), text)]
    assert all(count[","] == 50 for count in left)
    mean = np.mean([50 - (count.total() - 50) for count in left])
    assert 9 < mean < 11


def test_swaps_keep_all_words_in_other_places() -> None:
    before = split_words(TEXT)
    found = drawn(Swap(0.2))
    assert all(counts(words) == counts(before) for words in found)
    assert np.mean([words.words != before.words for words in found]) > 0.8
    assert all(words.words[4] == ":" for words in found)


def test_near_words_take_the_place_and_the_case_of_others() -> None:
    found = {words.text for words in drawn(Synonym(1.0, {"not": ["never"], "film": ["movie"]}))}
    assert found == {TEXT.replace("Not", "Never").replace("film", "movie")}
    assert {w.text for w in drawn(Synonym(0.5, LOOKUP), CHINESE)} == {CHINESE.replace("净", "洁")}


def test_inserted_words_are_added_before_others() -> None:
    before = counts(split_words(TEXT))
    for words in drawn(Insert(0.1, {"film": ["movie"]})):
        assert counts(words) - before == Counter(movie=1)
        assert " ." not in words.text and " :" not in words.text
    assert "洁" in drawn(Insert(0.1, LOOKUP), CHINESE)[0].text
    assert all(" " not in words.text for words in drawn(Insert(0.1, LOOKUP), CHINESE))


def test_typos_hit_a_key_beside_the_right_one() -> None:
    assert sorted(_BESIDE["s"]) == sorted("adwezx")
    assert all(key in _BESIDE[other] for key, beside in _BESIDE.items() for other in beside)
    for words in drawn(Typo(0.1)):
        pairs = zip(TEXT, words.text, strict=True)
        wrong = [(a, b) for a, b in pairs if a != b]
        assert wrong and all(b.lower() in _BESIDE[a.lower()] for a, b in wrong)
    assert {words.text for words in drawn(Typo(0.5), CHINESE)} == {CHINESE}


def test_texts_are_rewritten_once_each() -> None:
    seen: list[list[str]] = []

    def there(texts: list[str]) -> list[str]:
        seen.append(texts)
        return [text.upper() for text in texts]

    change = Rewritten(steps=[there, lambda texts: [text + "!" for text in texts]])
    texts = [split_words("a b"), split_words("c"), split_words("a b")]
    made = change.prepared(lambda: texts, nothing)
    assert seen == [["a b", "c"]]
    assert made(texts[0], np.random.default_rng(0)).text == "A B!"
    with pytest.raises(DataError, match="step 1 was given 2 texts and returned 1 items"):
        Rewritten(steps=[there, lambda texts: texts[:1]]).prepared(lambda: texts, nothing)


def test_ways_and_none_are_drawn_alike_by_the_generator_alone() -> None:
    augmentation = TextAugmentation.of(["delete", "swap", Typo(0.5)])
    assert TextAugmentation.of("delete, swap").changes == augmentation.changes[:2]
    chosen = Counter(
        None if way is None else type(way.func).__name__  # type: ignore[attr-defined]
        for way in (augmentation.drawn(np.random.default_rng([1, i])) for i in range(4000))
    )
    assert set(chosen) == {None, "Delete", "Swap", "Typo"}
    assert all(abs(count - 1000) < 120 for count in chosen.values())


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ArgumentError) as caught:
        TextAugmentation.of(["delet", 3, "swap", "typo"], keeps_words=True)
    message = str(caught.value)
    assert "'delet' is not known" in message and "Did you mean 'delete'?" in message
    assert "synonym" in message and "3 is of type int" in message and "Swap moves words" in message
    for wrong, said in (
        (lambda: Delete(0), "share=0"),
        (lambda: Typo(1.5), "at most 1"),
        (lambda: Synonym(count=0), "count=0"),
        (lambda: Synonym(words={"film": "movie"}), "no dict"),
        (lambda: Rewritten(), "steps="),
        (lambda: TextAugmentation.of([]), "empty"),
    ):
        with pytest.raises(ArgumentError, match=said):
            wrong()
