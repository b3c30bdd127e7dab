"""Two runs, side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlite._extras import needs_extra
from ktlite.cards.run_card import RunCard
from ktlite.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

_SECTIONS = ("model", "arguments", "data", "fits", "environment")
_NOT_COMPARED = ("time", "history", "seconds")


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs; a table where it is shown.

    Args:
        differences: A row for each argument, data set or version that differs; a column a run.
        metrics: A row for each figure; a column a run, and how much larger the second's is.
    """

    differences: pd.DataFrame
    metrics: pd.DataFrame

    def __repr__(self) -> str:
        parts = []
        for name, frame in (("differences", self.differences), ("figures", self.metrics)):
            parts.append(f"{name}\n{frame.to_string()}" if len(frame) else f"{name}: none")
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        head = "<p><b>Comparison of two runs</b></p>"
        return head + self.differences.to_html() + self.metrics.to_html()


@needs_extra("train", "ktlite.compare")
def compare(run1: Any, run2: Any) -> Comparison:
    """Sets two trained models side by side: what was different, and what came of it.

    Args:
        run1: A learner, a predictor, the folder of a saved predictor, or the
            `checkpoint_folder` of a training.
        run2: Likewise.

    Returns:
        The differences in arguments, data, trainings and versions, and all figures.

    Raises:
        ArgumentError: If one of them has no run card.

    Example:
        >>> ktlite.compare("run-1", "run-2")
        differences
                            run-1                      run-2
        fit 1 schedule      OneCycle(lr=2e-05, ...)    OneCycle(lr=5e-05, ...)
        <BLANKLINE>
        figures
                  run-1  run-2  difference
        accuracy  0.842  0.851       0.009
    """
    import pandas as pd

    cards = [_card(run) for run in (run1, run2)]
    names = _names(run1, run2)
    flat = [_flat(card) for card in cards]
    keys = [key for key in {**flat[0], **flat[1]} if flat[0].get(key) != flat[1].get(key)]
    table = [[side.get(key) for side in flat] for key in keys]
    figures = [_figures(card) for card in cards]
    metrics = pd.DataFrame(dict(zip(names, figures, strict=True)), dtype="float64")
    metrics = metrics.reindex([*{**figures[0], **figures[1]}])
    metrics["difference"] = metrics[names[1]] - metrics[names[0]]
    return Comparison(pd.DataFrame(table, index=keys, columns=names, dtype=object), metrics)


def _card(run: Any) -> RunCard:
    if isinstance(run, RunCard):
        return run
    if isinstance(run, (str, os.PathLike)):
        return RunCard.read(run)
    card = getattr(run, "card", None)
    if not isinstance(card, RunCard):
        raise ArgumentError(
            f"compare: {type(run).__name__} has no run card. Expected a learner, the predictor of "
            "one, the folder of a saved predictor, or the checkpoint_folder of a training."
        )
    return card


def _names(*runs: Any) -> list[str]:
    """Returns what to call two runs: their folders' names where these differ."""
    folders = [Path(run).name for run in runs if isinstance(run, (str, os.PathLike))]
    return folders if len(set(folders)) == 2 else ["run 1", "run 2"]


def _flat(card: RunCard) -> dict[str, Any]:
    """Returns what can differ, as `{"arguments maxlen": 128, ...}`."""
    found: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                if key not in _NOT_COMPARED:
                    add(f"{name} {key}", item)
        else:
            found[name] = value

    content = asdict(card)
    for section in _SECTIONS:
        value = content[section]
        if section == "fits":
            value = {str(number): fit for number, fit in enumerate(value, 1)}
        add(section.removesuffix("s") if section == "fits" else section, value)
    return found


def _figures(card: RunCard) -> dict[str, float]:
    """Returns the figures of a run; of an unmeasured one, those of its last epoch."""
    found = dict(card.metrics)
    if not found and card.fits:
        history = card.fits[-1]["history"]
        found = {name: values[-1] for name, values in history.items() if values}
    if card.fits:
        found["seconds of training"] = sum(fit["seconds"] for fit in card.fits)
    return found
