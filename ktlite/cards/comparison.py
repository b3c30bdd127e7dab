"""Two runs, side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlite._arguments import checked
from ktlite._extras import needs_extra
from ktlite.cards.run_card import EPOCH, ON, RunCard, calibrated
from ktlite.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

_SECTIONS = ("model", "arguments", "data", "fits", "environment")
_NOT_COMPARED = ("time", "history", "seconds")
VALIDATION, SECONDS = "validation data", "seconds of training"


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs; a table where it is shown.

    Args:
        differences: A row for each argument, data set or version that differs; a column a run.
        metrics: A row for each figure; a column a run, how much larger the second's is, and what
            they were measured on. A row has figures of both only where they were measured alike
            and on the same data: those of `validate` (`accuracy`), what the training measured on
            the validation data (`val_accuracy`) and on the training data (`accuracy in training`).
    """

    differences: pd.DataFrame
    metrics: pd.DataFrame

    def __repr__(self) -> str:
        parts = []
        for name, frame in (("differences", self.differences), ("figures", self.metrics)):
            parts.append(
                f"{name}\n{frame.to_string(na_rep='-')}" if len(frame) else f"{name}: none"
            )
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        head = "<p><b>Comparison of two runs</b></p>"
        return head + self.differences.to_html(na_rep="-") + self.metrics.to_html(na_rep="-")


@checked
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
                  run-1  run-2  difference  on
        accuracy  0.842  0.851       0.009  106 examples of validation data (val.csv)
    """
    import pandas as pd

    cards = [_card(run) for run in (run1, run2)]
    names = _names(run1, run2)
    flat = [_flat(card) for card in cards]
    keys = [key for key in {**flat[0], **flat[1]} if flat[0].get(key) != flat[1].get(key)]
    table = [[side.get(key) for side in flat] for key in keys]
    sides = [_figures(card) for card in cards]
    rows = list({**sides[0], **sides[1]})
    metrics = pd.DataFrame(
        [[side[row][0] if row in side else None for side in sides] for row in rows],
        index=[figure for figure, _ in rows],
        columns=names,
        dtype="float64",
    )
    metrics["difference"] = metrics[names[1]] - metrics[names[0]]
    metrics["on"] = [(sides[0].get(row) or sides[1][row])[1] for row in rows]
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
    if "temperature" in card.calibration:
        found["calibration"] = calibrated(card.calibration)
    return found


def _figures(card: RunCard) -> dict[tuple[str, str], tuple[float, str]]:
    """Returns what was measured, as `{(figure, like): (value, what it was measured on)}`.

    Two figures are set side by side where they are of the same data and measured alike; `like`
    says so, and is the digest of the data where there is one.
    """
    found: dict[tuple[str, str], tuple[float, str]] = {}

    def add(figures: Mapping[str, Any], part: str, on: str, suffix: str = "") -> None:
        like = str(card.data.get(part, {}).get("sha256") or on)
        for name, value in figures.items():
            found[f"{name}{suffix}", like] = (math.nan if value is None else value, on)

    add(card.metrics, "val_data", card.measured_on or VALIDATION)
    history = card.fits[-1]["history"] if card.fits else {}
    last = {name: values[-1] for name, values in history.items() if values}
    after = {name: value for name, value in card.after_epoch.items() if name not in (EPOCH, ON)}
    seen = after or {name: value for name, value in last.items() if name.startswith("val_")}
    add(seen, "val_data", f"{card.after_epoch.get(ON, VALIDATION)}, in training")
    learned = {name: value for name, value in last.items() if not name.startswith("val_")}
    add(learned, "train_data", "training data, in the last epoch", " in training")
    if card.fits:
        found[SECONDS, ""] = (sum(fit["seconds"] for fit in card.fits), "")
    return found
