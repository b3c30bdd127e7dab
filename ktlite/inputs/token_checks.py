"""What may be wrong with the tokens of texts, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ktlite.encodings.indexed import IndexedData
from ktlite.encodings.tokens import TokenEncodings
from ktlite.errors import plural

_SAMPLE = 2_000  # texts that are tokenised again, whole
_AT_ONCE = 1_024  # rows whose tokens are looked at together
_SPARE = 0.99  # share of the texts that a suggested maxlen leaves whole
_CUT, _UNKNOWN = 0.05, 0.05  # from these shares on, there is something to do


class Line(NamedTuple):
    """What was looked at, what was found, and what to do about it; empty where it is fine."""

    check: str
    found: str
    advice: str = ""


def token_checks(splits: Mapping[str, IndexedData], longest: int | None) -> list[Line]:
    """Looks at the tokens of data sets.

    Args:
        splits: The data sets by name, the training data first.
        longest: Tokens that the model can read; None where that is not known.
    """
    train = next(iter(splits.values()))
    if not isinstance(train.encodings, TokenEncodings):
        return []
    found = [*_cut(train, longest), *_empty(splits), *_unknown(train)]
    return [*found, _around(train)] if train.preproc.tokenizer.framed else found


def _cut(data: Any, longest: int | None) -> list[Line]:
    """Looks at texts that are longer than maxlen."""
    encodings = data.encodings
    if encodings.example_of is not None:  # read in windows: nothing is cut
        return []
    limit, full = encodings.max_length, encodings.lengths >= encodings.max_length
    check = "cut at maxlen"
    if not full.any():
        return [Line(check, f"no text; the longest has {encodings.lengths.max()} tokens")]
    rows = np.flatnonzero(full)
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(int))]
    preproc = data.preproc
    whole = preproc.task.tokenize(
        [data.items[row] for row in chosen], preproc.tokenizer.uncut()
    ).lengths
    share = full.mean() * (whole > limit).mean()
    if not share:
        return [Line(check, f"no text; the longest has {limit} tokens")]
    what = f"{shown_share(share)} of the texts are longer than {limit} tokens"
    if share < _CUT:
        return [Line(check, what)]
    # Of all texts: those that are whole are shorter than any of these.
    within = max(0.0, 1 - (1 - _SPARE) / full.mean())
    wanted = -(-int(np.quantile(whole, within)) // 8) * 8
    if longest is not None and wanted > longest:
        if isinstance(data.items[0], str):
            more = f"window={longest} reads {wanted} tokens and more."
        else:  # groups of texts have no windows
            more = f"take a checkpoint that reads {wanted} tokens."
        advice = f"maxlen={longest} is the most that this model reads; {more}"
        return [Line(check, what, advice)]
    return [Line(check, what, f"maxlen={wanted} leaves {_SPARE:.0%} of the texts whole.")]


def _empty(splits: Mapping[str, IndexedData]) -> list[Line]:
    """Looks for texts of which nothing is left when they are tokenised."""
    found = []
    for name, data in splits.items():
        blank = _count_tokens(data)[0] == 0
        if not blank.any():
            continue
        what = f"{plural(int(blank.sum()), 'text')} of {name} without a word"
        advice = "leave them out: the tokenizer makes nothing of them."
        found.append(Line("empty texts", what, advice))
    return found or [Line("empty texts", "none")]


def _unknown(data: Any) -> list[Line]:
    """Looks at tokens that are not in the vocabulary."""
    tokens, unknown = (int(counts.sum()) for counts in _count_tokens(data))
    share = unknown / max(tokens, 1)
    what = f"{shown_share(share)} of the tokens are not in the vocabulary"
    advice = "take a checkpoint of the texts' language: this tokenizer does not know their script."
    return [Line("unknown tokens", what, advice if share >= _UNKNOWN else "")]


def _around(data: Any) -> Line:
    """Looks at the special tokens around texts."""
    return Line("special tokens", *around(data.preproc.tokenizer))


def around(tokenizer: Any) -> tuple[str, str]:
    """Returns what is put around a text, in words, and what to do where that is nothing."""
    special = tokenizer.special_tokens()
    if not special:
        return "none around texts", (
            "models such as BERT read a text's class off [CLS]: take another tokenizer, unless "
            "this model was trained without."
        )
    found = f"{' and '.join(special)} around each text"
    if tokenizer.framed_by:
        found += f", as in {tokenizer.framed_by}: the checkpoint's tokenizer.json has none"
    return found, ""


def _count_tokens(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns int64 [rows] each: tokens, special ones left out, and those that are unknown."""
    tokenizer, encodings = data.preproc.tokenizer, data.encodings
    specials = np.concatenate(tokenizer.frame(1).specials)
    counts = np.zeros((2, len(encodings)), "int64")
    for start in range(0, len(encodings), _AT_ONCE):  # which may lie on disk
        rows = np.arange(start, min(start + _AT_ONCE, len(encodings)))
        batch = encodings.batch(rows)
        ids = batch["input_ids"]
        content = (batch["attention_mask"] > 0) & ~np.isin(ids, specials)
        within = tuple(range(1, ids.ndim))
        counts[0, rows] = content.sum(axis=within)
        counts[1, rows] = (content & (ids == tokenizer.unknown_id)).sum(axis=within)
    return counts[0], counts[1]


def shown_share(share: float) -> str:
    """Returns a share as a percentage."""
    return f"{share:.1%}" if share >= 0.001 or not share else "less than 0.1%"
