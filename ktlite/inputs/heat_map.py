"""The patches of an image and their scores: as colours over it, and as numbers for terminals."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np

from ktlite.inputs.word_rendering import AGAINST, FOR, STRONGEST, visible

if TYPE_CHECKING:
    from PIL import Image

_PALE = 0.55  # of the picture's contrast, under the colours
_COLUMNS = 14  # of numbers in a terminal
_NOTE = "Compared with the image all grey."


def heat_map(
    picture: Image.Image, boxes: np.ndarray, size: tuple[int, int], scores: np.ndarray
) -> Image.Image:
    """Returns a picture in grey, its patches in colours: the stronger, the larger a score.

    Args:
        picture: The picture, at any scale.
        boxes: int64 [rows, columns, 4], top, left, height, width of each patch at full size.
        size: Height and width at full size.
        scores: float64 [rows, columns]; the largest absolute value has the full colour.
    """
    from PIL import Image

    grey = 255 - _PALE * (255 - np.asarray(picture.convert("L"), "float64"))
    mixed = np.repeat(grey[..., None], 3, axis=-1)
    down, across = (shown / full for shown, full in zip(grey.shape, size, strict=True))
    shares = scores / (float(np.abs(scores).max(initial=0)) or 1.0)
    for (top, left, height, width), share in zip(boxes.reshape(-1, 4), shares.flat, strict=True):
        rows = slice(round(top * down), round((top + height) * down))
        columns = slice(round(left * across), round((left + width) * across))
        alpha = STRONGEST * abs(share)
        colour = np.array(FOR if share > 0 else AGAINST, "float64")
        mixed[rows, columns] = (1 - alpha) * mixed[rows, columns] + alpha * colour
    return Image.fromarray(np.rint(mixed).astype("uint8"))


def as_html(
    picture: Image.Image,
    boxes: np.ndarray,
    size: tuple[int, int],
    scores: np.ndarray,
    words: tuple[str, str, str],
) -> str:
    """Returns a fragment of HTML that holds the picture and, beside it, its heat map.

    Args:
        picture: As for `heat_map`, like the next three.
        boxes: Likewise.
        size: Likewise.
        scores: Likewise.
        words: The picture's name, what to write above, and what the scores are.
    """
    name, summary, unit = map(html.escape, words)
    largest = float(np.abs(scores).max(initial=0))
    legend = " ".join(
        f'<span style="background:rgba({",".join(map(str, colour))},{STRONGEST});'
        f'border-radius:3px;padding:.1em .3em">{text} ({sign}{largest:.3g})</span>'
        for colour, text, sign in ((FOR, "for", "+"), (AGAINST, "against", "-"))
    )
    shown = (picture, name), (heat_map(picture, boxes, size, scores), "which patches mattered")
    pictures = "".join(
        f'<img src="{_url(one)}" alt="{text}" title="{text}" style="height:{_height(picture)}px;'
        'max-width:100%;image-rendering:pixelated">'
        for one, text in shown
    )
    return (
        '<div class="ktlite-explanation" style="font-family:sans-serif">'
        f'<div style="font-size:.85em;opacity:.85">{summary} &nbsp; {legend} the target'
        f" &nbsp; ({unit}. {_NOTE})</div>"
        f'<div style="display:flex;flex-wrap:wrap;gap:.6em;margin:.4em 0">{pictures}</div></div>'
    )


def as_text(scores: np.ndarray, words: tuple[str, str, str]) -> str:
    """Returns the scores as a grid of numbers, those of small patches summed up.

    Args:
        scores: float64 [rows, columns].
        words: The picture's name, what to write above, and what the scores are.
    """
    name, summary, unit = map(visible, words)
    step = max(1, -(-scores.shape[1] // _COLUMNS))
    shown = np.add.reduceat(scores, np.arange(0, scores.shape[0], step), axis=0)
    shown = np.add.reduceat(shown, np.arange(0, scores.shape[1], step), axis=1)
    largest = float(np.abs(shown).max(initial=0)) or 1.0
    decimals = int(np.clip(1 - np.floor(np.log10(largest)), 0, 6))
    cells = [[f"{score:+.{decimals}f}" for score in row] for row in shown]
    width = max((len(cell) for row in cells for cell in row), default=0)
    lines = [summary, name, *("  ".join(f"{cell:>{width}}" for cell in row) for row in cells)]
    if step > 1:
        lines.append(f"each number is the sum of {step} x {step} patches")
    return "\n".join([*lines, unit, _NOTE])


def _height(picture: Image.Image) -> int:
    """Returns the height to show a picture at: what is tiny is enlarged."""
    return picture.height * max(1, round(200 / max(picture.size)))


def _url(picture: Image.Image) -> str:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=90, subsampling=0)  # of photographs a fifth of a PNG
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
