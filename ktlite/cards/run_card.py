"""The run card: what a model was trained on, how, and with which result."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ktlite.errors import ArgumentError

FILE = "run.json"
EPOCH, ON = "epoch", "on"  # of `after_epoch`
# Fields that the cards of earlier versions lack.
_NEWER = ("measured_on", "after_epoch", "calibration")
_SHOWN = 5  # figures of a card in a line


@dataclass(frozen=True)
class RunCard:
    """What led to a model. Plain data; no texts of the user, and no paths.

    Args:
        model: Name of the checkpoint, task, number of parameters.
        arguments: Of `get_learner`; data by its file's name or type alone.
        data: For each data set, its rows and a digest of their content.
        fits: For each training: schedule, epochs, figures of each epoch, seconds.
        metrics: Figures of the last `validate` on the validation data after the last training;
            else empty.
        environment: Versions, system, devices, and the time.
        measured_on: What `metrics` were measured on, in words.
        after_epoch: What the training measured on the validation data after the epoch that the
            weights are of (`"epoch"`, from 1; `"on"`, what it was, in words; `"val_loss"`, ...).
            Empty where there was none, or the weights have changed since.
        calibration: `"temperature"`, `"examples"` and `"data"` that it was learned from; empty
            without `calibrate`.

    Example:
        >>> predictor.card.metrics["accuracy"]
        0.842
    """

    model: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    fits: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    measured_on: str = ""
    after_epoch: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Writes `run.json` into a folder; a reader sees the old file or the new one."""
        new = Path(folder, f"{FILE}.tmp")
        text = json.dumps(as_json(asdict(self)), indent=2, ensure_ascii=False, allow_nan=False)
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(Path(folder, FILE))

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> RunCard:
        """Reads `run.json`.

        Raises:
            ArgumentError: If there is none, or it is damaged.
        """
        file = Path(folder, FILE)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            known = [f.name for f in fields(cls) if f.name not in _NEWER or f.name in content]
            return cls(**{name: content[name] for name in known})
        except FileNotFoundError:
            raise ArgumentError(
                f"{folder} has no {FILE}. Expected a predictor that learner.get_predictor() made "
                "and that was saved, or the checkpoint_folder of a training."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArgumentError(f"{file} is damaged ({error}); save it again.") from error

    @classmethod
    def find(cls, folder: str | os.PathLike[str]) -> RunCard | None:
        """Reads `run.json`; None where there is none."""
        return cls.read(folder) if Path(folder, FILE).is_file() else None

    @property
    def figures(self) -> tuple[dict[str, float], str]:
        """The figures on the validation data, and what they were measured on.

        Those of `validate`; else what the training measured (`val_loss`, ...); else none.
        """
        if self.metrics:
            return self.metrics, self.measured_on or "validation data"
        found = {n: value for n, value in self.after_epoch.items() if n not in (EPOCH, ON)}
        if not found:
            return {}, ""
        return found, f"{self.after_epoch[ON]}, after epoch {self.after_epoch[EPOCH]}"

    def summary(self) -> list[str]:
        """Returns a line of figures with what they are of, and one of the calibration."""
        figures, where = self.figures
        shown = ", ".join(f"{n} {as_figure(v)}" for n, v in list(figures.items())[:_SHOWN])
        lines = [
            f"  figures      {shown}; on {where}" if figures else "  figures      not measured"
        ]
        if self.calibration.get("temperature", 1.0) != 1.0:
            lines.append(f"  calibrated   {calibrated(self.calibration)}")
        return lines


def calibrated(calibration: Mapping[str, Any]) -> str:
    """Returns the calibration of a card in words."""
    return f"temperature {calibration['temperature']:.3g}, learned from {calibration['data']}"


def as_figure(value: Any) -> str:
    """Returns a figure of a card in few digits; what is no number is None there."""
    return "not defined" if value is None else f"{value:.4g}"


def as_json(value: Any) -> Any:
    """Returns JSON values for anything that a card holds; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)
