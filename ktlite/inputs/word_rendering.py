"""Words and their scores as HTML and as text for terminals."""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Sequence

import numpy as np

from ktlite.inputs.words import Words

# Blue and orange can be told apart by all; what speaks against is underlined, too. Half
# transparent, so that the text keeps its colour on light and dark pages.
FOR, AGAINST = (51, 130, 246), (234, 120, 20)
STRONGEST = 0.6
_LISTED, _BAR = 10, 20
# The same as backgrounds of a terminal with 256 colours, from faint to strong.
_BLUES, _ORANGES = (17, 18, 20, 26), (52, 94, 130, 166)


def as_html(
    texts: Sequence[Words], scores: np.ndarray, seen: np.ndarray, summary: str, unit: str
) -> str:
    """Returns a fragment of HTML without any asset: the words in colours, numbers on hover.

    Args:
        texts: The texts and their words.
        scores: float [words], through all texts.
        seen: bool [words].
        summary: What to write above.
        unit: What the scores are.
    """
    largest = float(np.abs(scores).max(initial=0)) or 1.0
    paragraphs, number = [], 0
    for words in texts:
        pieces, position = [], 0
        for start, end in words.spans:
            pieces.append(html.escape(words.text[position:start]))
            word = html.escape(words.text[start:end])
            pieces.append(
                _span(word, float(scores[number]) / largest, scores[number], seen[number])
            )
            position, number = end, number + 1
        pieces.append(html.escape(words.text[position:]))
        style = "margin:.4em 0;line-height:1.9;white-space:pre-wrap;overflow-wrap:anywhere"
        paragraphs.append(f'<p style="{style}">{"".join(pieces)}</p>')
    legend = f"{_span('for', 1.0, None)} {_span('against', -1.0, None)} the target"
    return (
        '<div class="ktlite-explanation" style="font-family:sans-serif">'
        f'<div style="font-size:.85em;opacity:.85">{html.escape(summary)} &nbsp; {legend}'
        f" &nbsp; ({html.escape(unit)})</div>"
        f"{''.join(paragraphs)}</div>"
    )


def _span(word: str, share: float, score: float | None, seen: bool = True) -> str:
    """Returns a word, escaped already, in its colour; `share` is from -1 to 1."""
    if not seen:
        return f'<span style="opacity:.45" title="not looked at">{word}</span>'
    colour = ",".join(map(str, FOR if share >= 0 else AGAINST))
    alpha = round(STRONGEST * abs(share), 2)
    style = f"background:rgba({colour},{alpha});border-radius:3px;padding:.1em 0"
    if share < 0 and alpha >= 0.05:
        style += ";text-decoration:underline dotted"
    title = "" if score is None else f' title="{score:+.4f}"'
    return f'<span style="{style}"{title}>{word}</span>'


def as_text(texts: Sequence[Words], scores: np.ndarray, summary: str, unit: str) -> str:
    """Returns the text, in colours where the output is a terminal, and the strongest words.

    Bars of what speaks for the target are to the right, those of what speaks against it to the
    left, each in its colour.

    Args:
        texts: The texts and their words.
        scores: float [words], through all texts.
        summary: What to write above.
        unit: What the scores are.
    """
    largest = float(np.abs(scores).max(initial=0)) or 1.0
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    lines, number, listed = [visible(summary)], 0, []
    for words in texts:
        pieces, position = [], 0
        for start, end in words.spans:
            word, share = visible(words.text[start:end]), float(scores[number]) / largest
            pieces += [words.text[position:start], _coloured(word, share) if colours else word]
            listed.append((word, float(scores[number])))
            position, number = end, number + 1
        lines.append("".join([*pieces, words.text[position:]]))
    strongest = sorted(listed, key=lambda item: -abs(item[1]))[:_LISTED]
    sides = {score < 0 for _, score in strongest if score}
    for word, score in strongest:
        bar = "█" * max(1, round(_BAR * abs(score) / largest)) if score else ""
        cells = [f"{bar:>{_BAR}}" if score < 0 else " " * _BAR] if True in sides else []
        cells += [f"{'' if score < 0 else bar:<{_BAR}}"] if False in sides or not sides else []
        line = " ".join(cells)
        if colours and bar:
            line = line.replace(
                bar, f"\x1b[38;5;{_BLUES[-1] if score > 0 else _ORANGES[-1]}m{bar}\x1b[0m"
            )
        lines.append(f"{score:+9.4f}  {line}  {word}")
    if len(listed) > len(strongest):
        lines.append(f"{'':9}  the strongest {len(strongest)} of {len(listed)} words")
    if strongest:
        lines.append(f"{'':9}  {visible(unit)}")
    return "\n".join(lines)


def _coloured(word: str, share: float) -> str:
    strength = int(abs(share) * len(_BLUES))
    if abs(share) < 0.1:
        return word
    shade = (_BLUES if share > 0 else _ORANGES)[min(strength, len(_BLUES) - 1)]
    return f"\x1b[97;48;5;{shade}m{word}\x1b[0m"


def visible(text: str) -> str:
    """Returns a text without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
