"""`*.model` files as Rust tokenizers: what classes of `transformers` make of SentencePiece's ids.

Normalisation and splitting are SentencePiece's own.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from ktlite.inputs.sentencepiece_model import SentencePieceModel
from ktlite.inputs.tokenizer_files import Settings, token

Files = Mapping[str, bytes]
Names = Mapping[str, str]
Scores = list[tuple[str, float]]
# Takes a model, the special tokens and the settings; returns pieces with scores, by id, the id of
# the unknown one, and further special tokens.
Vocabulary = Callable[[SentencePieceModel, Names, Settings], tuple[Scores, int, list[Any]]]


def convert_pieces(file: str, vocabulary: Vocabulary) -> Callable[[Files, Settings, Names], Any]:
    """Returns a converter of a `*.model` file.

    Args:
        file: Its name.
        vocabulary: Of the class.
    """

    def convert(files: Files, settings: Settings, names: Names) -> Any:
        content = files.get(file)
        if content is None:
            return None
        model = SentencePieceModel.parse(content)
        from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

        vocab, unknown, more = vocabulary(model, names, settings)
        if model.is_unigram:
            rust = Tokenizer(models.Unigram(vocab, unknown, model.byte_fallback))
        else:
            ids = {piece: number for number, (piece, _) in enumerate(vocab)}
            rust = Tokenizer(
                models.BPE(
                    ids,
                    model.merges(),
                    unk_token=vocab[unknown][0],
                    fuse_unk=True,
                    byte_fallback=model.byte_fallback,
                )
            )
        made = [*model.normalizers()]
        if vocabulary is albert_vocabulary:  # as Google's own code prepares its texts
            quotes = [normalizers.Replace(marks, '"') for marks in ("``", "''")]
            made = [*quotes, *made]
        rust.normalizer = normalizers.Sequence(made)
        scheme = "always" if model.dummy_prefix else "never"
        rust.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme)
        rust.decoder = decoders.Metaspace("▁", prepend_scheme=scheme)
        rust.add_tokens([AddedToken(p, normalized=False) for p in model.user_defined])
        rust.add_special_tokens(more)
        return rust

    return convert


def own_vocabulary(model: SentencePieceModel, names: Names, settings: Settings) -> Any:
    return model.scores, model.unknown, []


def albert_vocabulary(model: SentencePieceModel, names: Names, settings: Settings) -> Any:
    # "9," is two tokens there, whatever the model says.
    scores = [
        (piece, score - 100 if re.search(r"\d,$", piece) else score)
        for piece, score in model.scores
    ]
    return scores, model.unknown, []


def fairseq_vocabulary(model: SentencePieceModel, names: Names, settings: Settings) -> Any:
    first = [(names[use], 0.0) for use in ("cls", "pad", "sep", "unk")]
    return [*first, *model.scores[3:], (names["mask"], 0.0)], 3, []


def camembert_vocabulary(model: SentencePieceModel, names: Names, settings: Settings) -> Any:
    first = ["<s>NOTUSED", names["pad"], "</s>NOTUSED", names["unk"], "<unk>NOTUSED"]
    scores = [*((piece, 0.0) for piece in first[:4]), (first[4], -100.0)]
    return [*scores, *model.scores[1:], (names["mask"], 0.0)], 3, []


def t5_vocabulary(model: SentencePieceModel, names: Names, settings: Settings) -> Any:
    count = settings.get("extra_ids", 100)
    known = {piece for piece, _ in model.scores}
    marks = [f"<extra_id_{number}>" for number in reversed(range(count))]
    new = [mark for mark in marks if mark not in known]
    # They take the spaces around them with them.
    more = [token(mark, lstrip=True, rstrip=True, normalized=False) for mark in marks]
    return [*model.scores, *((mark, 0.0) for mark in new)], model.unknown, more


def pegasus_vocabulary(model: SentencePieceModel, names: Names, settings: Settings) -> Any:
    """Puts two tokens for masks and those that pretraining kept free behind the first two."""
    offset = settings.get("offset", 103)
    masks = [settings.get("mask_token_sent", "<mask_1>"), names["mask"]]
    free = [mask for mask in masks if mask] if offset else []
    free += [f"<unk_{number}>" for number in range(2, offset)]
    first = [(piece, 0.0) for piece in (names["pad"], names["eos"], *free)]
    return [*first, *model.scores[2:]], len(first), [token(t, normalized=False) for t in free]


def spoken_vocabulary(module: str) -> Vocabulary:
    """Returns the vocabulary of a class with languages: fairseq's, with their codes at its end."""

    def vocabulary(model: SentencePieceModel, names: Names, settings: Settings) -> Any:
        listed = importlib.import_module(f"transformers.models.{module}.tokenization_{module}")
        codes = list(listed.FAIRSEQ_LANGUAGE_CODES)
        first = [(names[use], 0.0) for use in ("bos", "pad", "eos", "unk")]
        last = [(piece, 0.0) for piece in (*codes, names["mask"])]
        more = [token(code, normalized=False) for code in codes]
        return [*first, *model.scores[3:], *last], 3, more

    return vocabulary
