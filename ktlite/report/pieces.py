"""Pieces of a report as HTML. All that comes from outside is escaped here."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlite.checks import Checks
from ktlite.training import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELLS = 15  # classes that a confusion matrix can have, to be read
_PAIRS = 15  # the most frequent confusions that stand for a larger one
_CLASSES = 20
# Colours of the plots, and what they are on the page, by day and by night.
_COLOURS = {
    plots.BLUE: "--blue",
    plots.VERMILION: "--vermilion",
    plots.GREEN: "--green",
    plots.PURPLE: "--purple",
    plots.INK: "--ink",
    plots.FAINT_INK: "--faint",
    plots.GRID: "--line",
    "#ffffff": "--paper",
}


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Returns a table; numbers stand to the right."""
    numbers = [all(_is_number(row[i]) for row in rows) for i in range(len(head))]
    kinds = [' class="number"' if number and rows else "" for number in numbers]
    names = "".join(
        f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, head, strict=True)
    )
    top = f"<thead><tr>{names}</tr></thead>"
    lines = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(_shown(value))}</td>"
                         for kind, value in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )  # fmt: skip
    return f'<div class="wide"><table>{top}<tbody>{lines}</tbody></table></div>'


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """Returns (name, value, more) in a row, the value large."""
    cells = "".join(
        f'<div class="tile"><div class="name">{escape(name)}</div>'
        f'<div class="value">{escape(value)}</div><div class="more">{escape(more)}</div></div>'
        for name, value, more in items
    )
    return f'<div class="tiles">{cells}</div>'


def facts(values: Mapping[str, Any]) -> str:
    """Returns names and values as a table."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(_shown(value))}</td></tr>'
        for name, value in values.items()
        if value not in (None, "", [], {})
    )
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def preformatted(text: str) -> str:
    """Returns text as it stands."""
    return f"<pre>{escape(text)}</pre>"


def checks_table(checks: Checks) -> str:
    """Returns findings with what to do about them."""
    rows = "".join(
        f'<tr><td><span class="mark {"ok" if f.ok else "look"}">{"ok" if f.ok else "look"}</span>'
        f"</td><td>{escape(f.check)}</td><td>{escape(f.found)}"
        + (f'<div class="advice">{escape(f.advice)}</div>' if f.advice else "")
        + "</td></tr>"
        for f in sorted(checks, key=lambda f: f.ok)
    )
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def bars(names: Sequence[Any], columns: Mapping[str, np.ndarray]) -> str:
    """Returns how often each class is there, with bars for the first column.

    Args:
        names: The classes.
        columns: By the name of the data, int [classes].
    """
    first = next(iter(columns.values()))
    order = np.argsort(-first, kind="stable")[:_CLASSES]
    head = "".join(f'<th class="number">{escape(name)}</th>' for name in columns)
    rows = "".join(
        f"<tr><td>{escape(str(names[i]))}</td>"
        + "".join(f'<td class="number">{values[i]:,}</td>' for values in columns.values())
        + '<td class="bars"><span class="bar" '
        + f'style="--share:{first[i] / max(first.max(), 1):.3f}"></span></td></tr>'
        for i in order
    )
    rest = len(names) - len(order)
    more = f'<p class="note">{rest:,} with fewer examples are not shown.</p>' if rest else ""
    return (
        f'<div class="wide"><table><thead><tr><th>class</th>{head}<th></th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more}"
    )


def confusion_table(counts: np.ndarray, names: Sequence[Any]) -> str:
    """Returns a confusion matrix in colours; of many classes, the most frequent confusions.

    Args:
        counts: int [true, predicted].
        names: The classes.
    """
    shown = [str(name) for name in names]
    if len(shown) > _CELLS:
        wrong = counts - np.diag(counts.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
        pairs = [divmod(int(i), len(shown)) for i in order]
        rows = [(shown[t], shown[p], int(wrong[t, p])) for t, p in pairs if wrong[t, p]]
        return table(("true", "taken for", "times"), rows)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in shown)
    lines = []
    for i, name in enumerate(shown):
        total = max(int(counts[i].sum()), 1)
        cells = "".join(
            f'<td class="{"hit" if i == j else "miss"}" style="--share:{count / total:.3f}" '
            f'title="{count / total:.1%} of {escape(name)}">{count:,}</td>'
            for j, count in enumerate(counts[i])
        )
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        '<div class="wide"><table class="confusion"><thead><tr><th></th>'
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        '<p class="note">Rows: what is true. Columns: what was predicted. Colours: shares of the '
        "row.</p>"
    )


class Html(str):
    """Text that is HTML already."""

    def _repr_html_(self) -> str:
        return str(self)


def worst_examples(examples: Sequence[tuple[Mapping[str, Any], Any]]) -> str:
    """Returns examples with what is known of each.

    Args:
        examples: Facts of each, and its text, or an explanation that shows itself as HTML.
    """
    blocks = []
    for known, content in examples:
        head = "".join(
            f"<div><span>{escape(name)}</span> <b>{escape(_shown(value))}</b></div>"
            for name, value in known.items()
        )
        own = getattr(content, "_repr_html_", None)
        body = own() if own else f'<div class="text">{escape(str(content))}</div>'
        blocks.append(f'<div class="example"><div class="head">{head}</div>{body}</div>')
    return "".join(blocks)


def svg(figure: Figure, name: str) -> str:
    """Returns a figure as inline SVG in the page's colours and type.

    Args:
        figure: Of `ktlite.training.plots`.
        name: What it shows, for readers who do not see it; each must have its own.
    """
    import matplotlib

    buffer = io.StringIO()
    # The salt keeps identifiers of the page's figures apart, and the same in every report.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub('<g id="[^"]*"', "<g", drawing)  # the same names in each figure
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", drawing)
    for colour, variable in _COLOURS.items():
        drawing = re.sub(colour, f"var({variable})", drawing, flags=re.IGNORECASE)
    drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1)
    return f"<figure>{drawing}</figure>"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if not value or 1e-3 <= abs(value) < 1e3 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value)
    return "" if value is None else str(value)
