"""The vocabulary of models that spell what they hear, against `transformers`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ktlite.errors import CheckpointError, DataError
from ktlite.inputs.characters import Characters

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", ["wav2vec2-ctc", "hubert-ctc"])
def test_texts_and_numbers_are_those_of_transformers(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.Wav2Vec2CTCTokenizer.from_pretrained(GOLDEN / name)
    ours = Characters.of_checkpoint(GOLDEN / name)
    assert ours is not None
    assert ours.blank_number == theirs.pad_token_id
    for text in ("a bad face", "f", "xa'b"):
        numbers = ours.numbers(text)
        assert list(numbers) == theirs(text)["input_ids"]
        assert ours.text(numbers) == theirs.decode(numbers, group_tokens=False)
    random = np.random.default_rng(0)
    for _ in range(20):
        logits = random.standard_normal((30, len(ours)))
        frames = np.repeat(logits, random.integers(1, 3), axis=0)
        assert ours.heard(frames) == theirs.decode(frames.argmax(-1))
    assert ours.heard(np.zeros((0, len(ours)))) == ""


def test_a_vocabulary_of_ones_own(tmp_path: Path) -> None:
    own = Characters.of_texts("cab a", blank=2)
    assert own.tokens == ("<s>", "</s>", "<pad>", "<unk>", "|", "a", "b", "c")
    own.save(tmp_path)
    assert Characters.of_checkpoint(tmp_path) == own
    assert own.text(own.numbers("  a  cab ")) == "a cab"
    assert Characters.of_checkpoint(GOLDEN / "wav2vec2") is None


def test_case() -> None:
    lower = Characters(("<pad>", "|", "A", "B"), lower=True)
    assert list(lower.numbers("ab ba")) == [2, 3, 1, 3, 2]
    assert lower.text([2, 3]) == "ab"
    assert list(lower.numbers("a?")) == [2]  # nothing stands for others
    upper = Characters(("<pad>", "|", "A", "B"))
    with pytest.raises(DataError, match=r"is of upper case: give the texts as text\.upper"):
        upper.check(["ab", "ba"], "labels")


def test_files_that_are_not_understood(tmp_path: Path) -> None:
    for content, message in (
        ({"eng": {"a": 0}}, "is of several languages"),
        ({"a": 0, "b": 2}, "expected the numbers 0 to 1"),
        ({"a": 0, "|": 1}, "has no '<pad>', which tokenizer_config.json names as pad_token"),
    ):
        (tmp_path / "vocab.json").write_text(json.dumps(content))
        with pytest.raises(CheckpointError, match=message):
            Characters.of_checkpoint(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "WhisperTokenizer"}')
    assert Characters.of_checkpoint(tmp_path) is None
