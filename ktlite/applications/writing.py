"""Checkpoints that write, as they are: translators, summarisers, and what goes on with texts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ktlite._arguments import checked, not_a_string, without_effect
from ktlite.applications.given import Model, as_predictor
from ktlite.errors import ArgumentError, Problems
from ktlite.storage import MANIFEST
from ktlite.tasks import Sequences, Summarization, TextGeneration, Translation
from ktlite.tasks.writing import Writing

# A sentence ends with a mark before a space and a new beginning, with one of Chinese and Japanese
# anywhere, or with the line.
_SENTENCE = re.compile(
    r"\S.*?(?:[.!?…][\"'”’)\]]*(?=\s+[\"'“‘(\[¿¡]*[^\W\d_a-zß-ÿ])|[。！？]+[」』”’]*|$)"
)
_LONGEST = 1024  # tokens, where a checkpoint has positions for more
# The checkpoints of ktrain's EnglishTranslator, by the language of what is read.
_TO_ENGLISH = {
    language: f"Helsinki-NLP/opus-mt-{source}-en"
    for source in ("zh", "ar", "ru", "de", "af", "ROMANCE")
    for language in (("es", "fr", "it", "pt") if source == "ROMANCE" else (source,))
}


class _Writer:
    """A predictor of a checkpoint, or of a folder, that writes."""

    #: The tasks that it may have.
    writes: ClassVar[type[Writing]] = Sequences

    def __init__(self, model: Model, task: Writing, maxlen: int | None) -> None:
        longest = _longest(model) if maxlen is None else maxlen
        self.predictor = as_predictor(model, task, longest, self.writes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.predictor!r}"


def _longest(model: Model) -> int:
    """Returns the longest text in tokens: what a checkpoint has positions for, if these are few."""
    if not isinstance(model, (str, os.PathLike)) or (Path(model) / MANIFEST).is_file():
        return _LONGEST  # a predictor knows it
    from ktlite.models.auto import read_spec
    from ktlite.models.checkpoint import find_config

    return min(_LONGEST, read_spec(find_config(model)).tokens.max_positions or _LONGEST)


class Translator(_Writer):
    r"""Translates with a checkpoint as it is.

    Args:
        model_name: Checkpoint of Marian, NLLB, mBART, M2M100, T5, ...: its folder or Hub name; or a
            predictor of translations, or its folder.
        src_lang: The language that is read, where the checkpoint has several: a code of its own,
            such as `"eng_Latn"` (NLLB) or `"en"` (M2M100).
        tgt_lang: The language that is written, likewise.
        maxlen: Longest text in tokens. Default: 1,024, or what the checkpoint has positions for.
        device: Accepted for ktrain's sake.
        **options: How to search, in the names of `transformers`; default: as the checkpoint says.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        ArgumentError: If it lacks a language, or does something else.

    Example:
        >>> translator = ktlite.Translator("Helsinki-NLP/opus-mt-de-en")
        >>> translator.translate("Wo ist der Bahnhof? Er ist dort.")
        'Where is the station?\nIt is there.'
    """

    @checked
    def __init__(
        self,
        model_name: Model,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        *,
        maxlen: int | None = None,
        device: Any = None,
        **options: Any,
    ) -> None:
        without_effect("Translator", device=device)
        task = Translation(src_lang=src_lang, tgt_lang=tgt_lang, **options)
        super().__init__(model_name, task, maxlen)

    @checked
    def translate(self, src_text: str, join_with: str = "\n", **options: Any) -> str:
        """Translates a text, sentence by sentence.

        Args:
            src_text: The text. It is cut where a line ends, or a sentence by its marks; where that
                rule is too simple ("Dr. Who"), cut it yourself, for `translate_sentences`.
            join_with: What stands between the translated sentences.
            **options: How to search, such as `num_beams=4`.
        """
        if not isinstance(src_text, str):
            raise ArgumentError(
                f"translate: src_text is of type {type(src_text).__name__}; expected a text. "
                "Several texts go to translate_sentences."
            )
        return join_with.join(self.translate_sentences(sentences(src_text), **options))

    @checked
    def translate_sentences(self, sentences: Sequence[str], **options: Any) -> list[str]:
        """Translates sentences, one by one; arguments as above."""
        problems = Problems("translate_sentences")
        not_a_string(problems, sentences=sentences)
        problems.raise_if_any()
        found: list[str] = self.predictor.predict(list(sentences), **options)
        return found


class EnglishTranslator(Translator):
    """Translates to English, with ktrain's checkpoints of Helsinki-NLP.

    Args:
        src_lang: `"zh"`, `"ar"`, `"ru"`, `"de"`, `"af"`, `"es"`, `"fr"`, `"it"` or `"pt"`.
        device: Accepted for ktrain's sake.
        **options: As for `Translator`.

    Example:
        >>> text.EnglishTranslator(src_lang="zh").translate("很好。")
    """

    @checked
    def __init__(self, src_lang: str | None = None, device: Any = None, **options: Any) -> None:
        problems = Problems("EnglishTranslator")
        problems.choice("src_lang", src_lang, list(_TO_ENGLISH))
        problems.raise_if_any()
        super().__init__(_TO_ENGLISH[str(src_lang)], device=device, **options)


class TransformerSummarizer(_Writer):
    """Summarises with a checkpoint as it is.

    Args:
        model_name: Checkpoint of BART, Pegasus, T5, ...: its folder or Hub name; or a predictor of
            summaries, or its folder. Default: ktrain's, a BART of 1.6 GB.
        maxlen: Longest text in tokens; what is longer is cut. Default: 1,024, as in ktrain, or what
            the checkpoint has positions for.
        device: Accepted for ktrain's sake.
        prefix: What a text begins with for the model, such as `"summarize: "` for T5.

    Example:
        >>> text.TransformerSummarizer("facebook/bart-large-cnn").summarize(article)
    """

    @checked
    def __init__(
        self,
        model_name: Model = "facebook/bart-large-cnn",
        maxlen: int | None = None,
        *,
        device: Any = None,
        prefix: str = "",
    ) -> None:
        without_effect("TransformerSummarizer", device=device)
        super().__init__(model_name, Summarization(prefix=prefix), maxlen)

    @checked
    def summarize(
        self,
        doc: str,
        max_length: int = 150,
        min_length: int = 56,
        no_repeat_ngram_size: int = 3,
        length_penalty: float = 2.0,
        num_beams: int = 4,
        **options: Any,
    ) -> str:
        """Returns the summary of a text.

        Args:
            doc: The text.
            max_length: The most tokens of the summary; this and the others are ktrain's defaults.
            min_length: The fewest.
            no_repeat_ngram_size: No run of so many tokens comes twice.
            length_penalty: Above 0 favours long summaries.
            num_beams: Hypotheses that are followed.
            **options: More of how to search, in the names of `transformers`.
        """
        if not isinstance(doc, str):
            raise ArgumentError(
                f"summarize: doc is of type {type(doc).__name__}; expected a text. Several texts "
                "go to .predictor.predict(texts)."
            )
        summary: str = self.predictor.predict(
            doc,
            max_length=max_length,
            min_length=min_length,
            no_repeat_ngram_size=no_repeat_ngram_size,
            length_penalty=length_penalty,
            num_beams=num_beams,
            **options,
        )
        return summary


class Generator(_Writer):
    """Goes on with texts, or answers in chats, with a checkpoint as it is.

    Args:
        model_name: Checkpoint of a decoder: its folder or Hub name; or a predictor of
            text-generation, or its folder.
        maxlen: Longest prompt in tokens. Default: 1,024, or what the checkpoint has positions for.
        **options: How to search, in the names of `transformers`; default: as the checkpoint says.

    Example:
        >>> generator = ktlite.Generator("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> generator.generate([{"role": "user", "content": "Why is the sky blue?"}],
        ...                    max_new_tokens=60)
        >>> for piece in generator.stream("Once upon a time"):
        ...     print(piece, end="")
    """

    writes = TextGeneration

    @checked
    def __init__(self, model_name: Model, maxlen: int | None = None, **options: Any) -> None:
        super().__init__(model_name, TextGeneration(**options), maxlen)

    @checked
    def generate(self, prompts: Any, **options: Any) -> Any:
        """Returns what follows a text or a chat, or a list of what follows several."""
        return self.predictor.predict(prompts, **options)

    @checked
    def stream(self, prompt: Any, **options: Any) -> Iterator[str]:
        """Yields what follows one text or chat in pieces, as `Predictor.stream` does."""
        return self.predictor.stream(prompt, **options)


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text, by the marks that end them.

    Example:
        >>> sentences("It rains. Why? 很好。真的。")
        ['It rains.', 'Why?', '很好。', '真的。']
    """
    return [part.strip() for line in text.splitlines() for part in _SENTENCE.findall(line)]
