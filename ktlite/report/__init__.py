"""A report as one HTML file that needs nothing else: no script, no asset, no network."""

from ktlite.report.page import Section, page
from ktlite.report.pieces import (
    Html,
    bars,
    checks_table,
    confusion_table,
    facts,
    preformatted,
    svg,
    table,
    tiles,
    worst_examples,
)

__all__ = [
    "Html",
    "Section",
    "bars",
    "checks_table",
    "confusion_table",
    "facts",
    "page",
    "preformatted",
    "svg",
    "table",
    "tiles",
    "worst_examples",
]
