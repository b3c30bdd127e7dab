"""Checkpoints that write, as they are: ktrain's names, and those of `ktlite`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ktlite
from ktlite import text
from ktlite.applications.writing import sentences
from ktlite.errors import ArgumentError
from tests.writers import chat_checkpoint, checkpoint


@pytest.fixture(scope="module")
def translator(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("writes") / "t5"
    return ktlite.Translator(checkpoint(golden, folder, "t5"))


def test_a_text_is_translated_sentence_by_sentence(translator: Any) -> None:
    parts = ["A b c.", "D e?", "f g"]
    whole = translator.translate("A b c. D e?\nf g", num_beams=2, max_new_tokens=5)
    each = translator.translate_sentences(parts, num_beams=2, max_new_tokens=5)
    assert whole == "\n".join(each)
    assert translator.translate("A b c. D e?\nf g", join_with=" | ").count(" | ") == 2


def test_what_is_written_is_what_the_checkpoint_writes(translator: Any) -> None:
    tokens = translator.predictor.preproc.input
    ids = tokens.encode(["a b c"]).ids[None]
    expected = translator.predictor.model.write({"input_ids": ids}, max_new_tokens=9)[0]
    found = translator.translate_sentences(["a b c"], max_new_tokens=9)
    assert found == [tokens.decode(expected)]


def test_summaries_have_the_length_that_is_asked_for(golden: Path, tmp_path: Path) -> None:
    summarizer = text.TransformerSummarizer(checkpoint(golden, tmp_path / "bart", "bart"))
    options = {"max_length": 12, "min_length": 10, "no_repeat_ngram_size": 0}
    model, tokens = summarizer.predictor.model, summarizer.predictor.preproc.input
    inputs = {"input_ids": tokens.encode(["a b c d"]).ids[None]}
    options |= {"num_beams": 4, "length_penalty": 2.0}
    expected = tokens.decode(model.write(inputs, **options)[0])
    given = {name: value for name, value in options.items() if name.startswith(("m", "no"))}
    assert summarizer.summarize("a b c d", **given) == expected


def test_chats_are_answered(golden: Path, tmp_path: Path) -> None:
    generator = ktlite.Generator(chat_checkpoint(golden, tmp_path / "llama"), max_new_tokens=6)
    chat = [{"role": "user", "content": "a b"}]
    whole = generator.generate(chat)
    assert "".join(generator.stream(chat)) == whole
    assert generator.generate([chat, chat]) == [whole, whole]
    generator.predictor.save(tmp_path / "saved")
    assert ktlite.Generator(tmp_path / "saved").generate(chat) == whole


def test_what_cannot_be_is_said(tiny_checkpoint: Path, translator: Any) -> None:
    with pytest.raises(ArgumentError, match="src_lang='xx' is not known; expected one of"):
        text.EnglishTranslator(src_lang="xx")
    with pytest.raises(ArgumentError, match="expected a text. Several texts go to"):
        translator.translate(["a", "b"])
    with pytest.raises(ArgumentError, match="got a predictor of translation"):
        ktlite.Generator(translator.predictor)
    with pytest.raises(ArgumentError, match="bert models read texts and do not write any"):
        ktlite.Generator(tiny_checkpoint)


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        ("It rains. Why? Because!", ["It rains.", "Why?", "Because!"]),
        ("3.5 is e.g. a number.", ["3.5 is e.g. a number."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("很好。“真的？”他问。", ["很好。", "“真的？”", "他问。"]),
        ("Ça va ? Él vino.\n\nÜber uns", ["Ça va ?", "Él vino.", "Über uns"]),
        ("", []),
    ],
)
def test_sentences(whole: str, parts: list[str]) -> None:
    assert sentences(whole) == parts
