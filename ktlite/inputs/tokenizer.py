"""Texts to token ids, in batches, by the checkpoint's own tokenizer."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ktlite._progress import progress
from ktlite.encodings.encodings import Encodings
from ktlite.encodings.indexed import IndexedData
from ktlite.encodings.tokens import ContextEncodings, TokenEncodings
from ktlite.errors import ArgumentError, CheckpointError, DataError
from ktlite.generation.options import Generation
from ktlite.inputs.contexts import encode_contexts
from ktlite.inputs.fewer_tokens import kept_tokens, token_counts, with_tokens
from ktlite.inputs.input import register
from ktlite.inputs.long_texts import encode_read
from ktlite.inputs.reading import Reading
from ktlite.inputs.texts import Texts, check_texts, lengths
from ktlite.inputs.token_checks import Line, token_checks
from ktlite.inputs.tokenizer_files import FILE, FILES, SETTINGS
from ktlite.inputs.tokenizer_reading import (
    for_words,
    read_saved,
    read_tokenizer,
    rust_tokenizer,
    with_all_offsets,
)
from ktlite.inputs.translates import Translates
from ktlite.inputs.vocabulary import Vocabulary
from ktlite.inputs.word_encoding import encode_words

__all__ = ["FILE", "FILES", "SETTINGS", "Text", "Tokenizer"]

Text = str | tuple[str, str]

# Texts a call of the Rust tokenizer: enough to keep its threads busy, few enough
# that the progress bar moves and the intermediate objects stay small.
_CHUNK = 2_000


@register
class Tokenizer(Translates, Vocabulary, Texts):
    """A checkpoint's tokenizer with a maximum length.

    It is the Rust tokenizer of `tokenizer.json`, with what the files beside it say; a folder
    that has only the older files (`vocab.txt`, `*.model`) is converted. Its tokens are those of
    `transformers`. Everything is read at once: the folder may go away afterwards.

    Args:
        folder: The checkpoint's folder.
        maxlen: Longest encoding in tokens, special tokens included; what is longer is cut
            at its end (of pairs, the longer member first), or at its start where the files say so.
        stride: `encode` cuts longer texts into windows instead, which share so many tokens
            with the next.
        lowercase: Texts are lower-cased first, whatever the files say.
        framed: Whether its model wants special tokens around texts: their lack is said then.

    Raises:
        CheckpointError: If the folder has no tokenizer, or a damaged one.

    Example:
        >>> Tokenizer(Path("my-bert"), 128).encode(["A text."]).ids
        array([ 101, 1037, 3793, 1012,  102], dtype=int32)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        maxlen: int,
        stride: int | None = None,
        *,
        lowercase: bool = False,
        framed: bool = True,
    ) -> None:
        self.framed = framed
        reading = read_tokenizer(Path(folder), lowercase=lowercase, framed=framed)
        self._take(reading, maxlen, stride)

    @classmethod
    def saved(
        cls,
        folder: str | os.PathLike[str],
        maxlen: int,
        stride: int | None = None,
        *,
        truncation_side: str = "right",
    ) -> Tokenizer:
        """Opens what `save` wrote: `tokenizer.json` as it is, and nothing beside it.

        Arguments are as above; `truncation_side` is what the saved one had.
        """
        made = cls.__new__(cls)
        made._take(read_saved(Path(folder), truncation_side), maxlen, stride)
        return made

    @classmethod
    def of_checkpoint(cls, folder: Path, spec: Any, **options: Any) -> Tokenizer:
        """Returns the tokenizer of a checkpoint.

        Args:
            folder: The checkpoint's.
            spec: Of its model.
            **options: `maxlen` or `window`, with `stride`, as for `get_learner`; `name`, that of
                the checkpoint for messages; `embeds`, whether its model is to give vectors of
                texts, which sentence-transformers may lower-case first.

        Raises:
            ArgumentError: If the lengths do not fit the model.
            CheckpointError: If the tokenizer is missing, or another model's.
        """
        from ktlite.models.sentence_files import read_sentence_files  # Keras, too

        lowercase = options.get("embeds", False) and read_sentence_files(folder).lowercase
        sizes = lengths(spec.tokens, folder, options)
        writes_alone = spec.last.causal and len(spec.towers) == 1
        made = cls(folder, *sizes, lowercase=lowercase, framed=not writes_alone)
        rows = [tower.front.vocab_size for tower in spec.towers.values()]
        for used, size in ((made, rows[0]), (made.for_targets, rows[-1])):
            if used.vocab_size > size:
                raise CheckpointError(
                    f"{folder}: the tokenizer has ids up to {used.vocab_size - 1}, but "
                    f"config.json's vocab_size is {size}: the tokenizer belongs to another "
                    "checkpoint."
                )
        if spec.last.causal:
            generation = Generation.of_folder(folder)
            if len(spec.towers) > 1:
                made.start_id = generation.first_token()
            ends = generation.eos_token_id
            made.end_id = ends[0] if ends else made._special("eos_token", "</s>", "<|endoftext|>")
        return made

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Tokenizer:
        # As it was when it was saved, also by a ktlite that passed over the files beside it.
        side = config.get("truncation_side", "right")
        made = cls.saved(folder, config["maxlen"], config.get("stride"), truncation_side=side)
        made.start_id, made.end_id = config.get("start_id"), config.get("end_id")
        return made

    #: Whether its model wants special tokens around texts.
    framed: bool = True
    #: What a model that writes ends a text with; None where it writes none, or nothing ends one.
    end_id: int | None = None

    def _take(self, reading: Reading, maxlen: int, stride: int | None) -> None:
        self.maxlen = maxlen
        self.stride = stride
        self.truncation_side = reading.side
        self.pad_id = reading.pad_id
        self.framed_by = reading.framed_by
        self._files = reading.files
        self._numbers = reading.numbers
        self._rust = with_all_offsets(reading.rust)
        self._writer = self._rust if reading.writer is None else reading.writer
        # Windows hold the whole of a text, whichever end they begin at.
        direction = reading.side if stride is None else "right"
        self._rust.enable_truncation(maxlen, stride=stride or 0, direction=direction)
        self._whole: Any = None  # these two are made when they are asked for
        self._by_words: Any = None
        self._take_targets(reading, maxlen, stride)

    def encode(self, texts: Sequence[Text], *, verbose: int = 0) -> TokenEncodings:
        """Tokenises texts.

        Args:
            texts: Strings, or pairs of strings.
            verbose: 1 shows a progress bar for many texts.

        Returns:
            The encodings, in the order of the texts; with a `stride`, one row a window.

        Raises:
            DataError: If a text is neither a string nor a pair of strings, or not Unicode; or a
                pair where windows are asked for.
        """
        check_texts(texts)
        if self.stride is not None and any(isinstance(text, tuple) for text in texts):
            raise DataError(
                "window= reads single texts; a pair of texts is cut at maxlen: leave window out."
            )
        lengths, ids, types, windows = [], [], [], []
        cuts = self.stride is not None
        nothing = [self.unknown_id]
        bar = progress(len(texts), "Tokenising", "text", shown=verbose and len(texts) > _CHUNK)
        for start in range(0, len(texts), _CHUNK):
            part, read = texts[start : start + _CHUNK], None if cuts else self.maxlen
            chunk = encoded = encode_read(self._rust, part, read, self.truncation_side)
            found = self._numbers and self._numbers.of(encoded, part, self._rust, windows=cuts)
            if cuts:
                windows.append([1 + len(e.overflowing) for e in encoded])
                chunk = [window for e in encoded for window in (e, *e.overflowing)]
            lengths.append(np.fromiter((len(e) or 1 for e in chunk), "int64", len(chunk)))
            # Without special tokens nothing may be left of a text.
            found = found or [np.array(e.ids or nothing, "int32") for e in chunk]
            ids.append(np.concatenate(found))
            types.append(np.concatenate([np.array(e.type_ids or [0], "int8") for e in chunk]))
            bar.update(len(encoded))
        bar.close()
        offsets = np.concatenate([[0], np.cumsum(np.concatenate([[], *lengths]))]).astype("int64")
        return TokenEncodings(
            ids=np.concatenate(ids) if ids else np.zeros(0, "int32"),
            offsets=offsets,
            type_ids=np.concatenate(types) if any(part.any() for part in types) else None,
            max_length=self.maxlen,
            pad_id=self.pad_id,
            example_of=np.repeat(np.arange(len(texts)), np.concatenate(windows))
            if windows
            else None,
        )

    def located(self, texts: Sequence[Text]) -> list[Any]:
        """Returns the `tokenizers.Encoding` of each row of `encode`: it knows where tokens are."""
        windows = self.stride is not None
        found = self._rust.encode_batch(list(texts))
        return [row for e in found for row in ((e, *e.overflowing) if windows else (e,))]

    def encode_words(self, texts: Sequence[Sequence[str]], *, verbose: int = 0) -> TokenEncodings:
        """Tokenises texts that are words already; cuts what is too long into windows.

        A word that the tokenizer knows nothing of (a control character) becomes the unknown
        token, so that each word has a token.

        Args:
            texts: The words of each text.
            verbose: 1 shows a progress bar for many texts.

        Returns:
            The encodings, one row a text or window, with `words` and `example_of`.

        Raises:
            DataError: If a text is not Unicode.
        """
        return encode_words(self, texts, verbose)

    def encode_contexts(
        self, pairs: Sequence[tuple[str, str]], *, stride: int = 128, verbose: int = 0
    ) -> ContextEncodings:
        """Tokenises questions with the contexts that their answers are in.

        Only contexts are cut: what is too long becomes several rows, each with the question and
        a window of the context, as in BERT (Devlin et al., 2019, arXiv:1810.04805).

        Args:
            pairs: (question, context).
            stride: Tokens that a window shares with the next, at most half of the context's part
                of it; where the tokenizer has its own, that.
            verbose: 1 shows a progress bar for many.

        Raises:
            DataError: If a text is not Unicode, or a question leaves no room for its context.
        """
        check_texts(pairs)
        shared = stride if self.stride is None else self.stride
        return encode_contexts(self, pairs, shared, verbose)

    def words(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Tokenises texts whole, without special tokens, and says where words are.

        Returns:
            For each text three int64 arrays: ids [tokens], the characters [tokens, 2] that each
            token starts with and ends before, and the number of its word [tokens].
        """
        encoded = self._whole_texts().encode_batch(list(texts), add_special_tokens=False)
        return [
            (
                np.array(e.ids, "int64"),
                np.array(e.offsets, "int64").reshape(-1, 2),
                np.array([-1 if word is None else word for word in e.word_ids], "int64"),
            )
            for e in encoded
        ]

    def plain_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the tokens of texts, int32 [tokens] each: whole, without special tokens.

        Raises:
            DataError: If a text is no string, or not Unicode.
        """
        check_texts(texts)
        found = self._whole_texts().encode_batch(list(texts), add_special_tokens=False)
        return [np.array(one.ids, "int32") for one in found]

    def counts(self, encodings: Encodings) -> np.ndarray:
        return token_counts(encodings, self.vocab_size)

    def narrowed(self, used: np.ndarray) -> tuple[Tokenizer, np.ndarray]:
        """Returns a tokenizer with a part of the vocabulary, and which part that is.

        Texts whose tokens are all among the used ones are cut as before; their ids are new. What
        stays beside those says `ktlite.inputs.fewer_tokens`.

        Args:
            used: int [used], ids of tokens that have to stay.

        Returns:
            The tokenizer, and int64 [kept]: the old id of each new one.

        Raises:
            ArgumentError: If the vocabulary is in no `tokenizer.json`, or of another kind.
        """
        files = self._said(self._files)
        if FILE not in files or self._numbers is not None or self._apart:
            raise ArgumentError(
                "vocabulary: the tokens of this checkpoint are in SentencePiece models with ids of "
                f"their own, not in a {FILE}; leave vocabulary out."
            )
        kept = kept_tokens(files[FILE], {*np.asarray(used).tolist(), self.pad_id})
        left = with_tokens(files, kept)
        rust = rust_tokenizer(left[FILE], Path(FILE))
        rust.no_padding()
        rust.no_truncation()
        pad_id = int(np.searchsorted(kept, self.pad_id))
        languages = self.languages
        made = type(self).__new__(type(self))
        made.framed = self.framed
        made._take(
            Reading(rust, left, self.truncation_side, pad_id, self.framed_by, languages=languages),
            self.maxlen,
            self.stride,
        )
        return made, kept

    def uncut(self) -> Tokenizer:
        """Returns a copy that takes texts of any length."""
        whole = copy.copy(self)
        whole._rust = self._whole_texts()
        whole.maxlen = sys.maxsize
        return whole

    def word_by_word(self) -> Any:
        """Returns the Rust tokenizer of texts that are words already; it cuts nothing."""
        if self._by_words is None:
            self._by_words = for_words(_untruncated(self._rust))
        return self._by_words

    def _whole_texts(self) -> Any:
        """Returns a Rust tokenizer that cuts nothing."""
        if self._whole is None:
            self._whole = _untruncated(self._rust)
        return self._whole

    def checks(self, splits: Mapping[str, IndexedData], longest: int | None) -> list[Line]:
        return token_checks(splits, longest)

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes `tokenizer.json` and what `transformers` wants beside it."""
        for file, content in self._said(self._files).items():
            (folder / file).write_bytes(content)
        if SETTINGS not in self._files:
            settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
            pad = self._rust.id_to_token(self.pad_id)
            if pad is not None:
                settings["pad_token"] = pad
            (folder / SETTINGS).write_text(json.dumps(settings, indent=2), encoding="utf-8")
        side = self.truncation_side
        facts = {"maxlen": self.maxlen, "stride": self.stride, "truncation_side": side}
        ends = {"start_id": self.start_id, "end_id": self.end_id}
        return {**facts, **{name: number for name, number in ends.items() if number is not None}}


def _untruncated(rust: Any) -> Any:
    """Returns a copy of a Rust tokenizer that cuts nothing."""
    whole = rust_tokenizer(rust.to_str().encode(), Path(FILE))
    whole.no_padding()
    whole.no_truncation()
    return whole
