"""The run card of a `Learner`, and what it says of itself where it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktlite.cards import RunCard, environment, fingerprint
from ktlite.cards.run_card import EPOCH, ON
from ktlite.data.dataset import joined
from ktlite.encodings.indexed import IndexedData, items_of
from ktlite.errors import listing, plural
from ktlite.evaluation.measured import called, on
from ktlite.learner.state import State

TRAINING, VALIDATION, OTHER = "training data", "validation data", "new data"
# What the types on a card are called, of data that has no name.
_KINDS = {"None": "", "Dataset": "", "tuple": ""}


class Carded(State):
    """What led to the model as it is now."""

    @property
    def card(self) -> RunCard:
        """Data, arguments, trainings, figures and versions, as plain data.

        A predictor of this learner has it too, and its folder as `run.json`; so has a
        `checkpoint_folder`. `ktlite.compare` sets two side by side.
        """
        return RunCard(
            model=self._model_facts(),
            arguments=self.arguments,
            data=self._fingerprints(),
            fits=list(self._fits),
            metrics=dict(self._figures),
            environment=environment(),
            measured_on=self._measured_on if self._figures else "",
            after_epoch=dict(self._after_epoch),
            calibration=dict(self._calibrated),
        )

    def __repr__(self) -> str:
        facts = self._model_facts()
        what = "" if self.task is None else f" for {self.task!r}"
        size = "not built yet" if facts["parameters"] is None else plural(
            facts["parameters"], "parameter"
        )  # fmt: skip
        lines = [f"{type(self).__name__}: {facts['name']}{what}, {size}"]
        sides = {"train_data": self._train, "val_data": self._val}
        for name, feed in sides.items():
            if feed is not None:
                source = self._source_of(name)
                lines.append(f"  {name:<12} {_size(feed.data)}{f' ({source})' if source else ''}")
        lines += [
            f"  trained      {plural(fit['epochs'], 'epoch')} with {fit['schedule']}, "
            f"{fit['seconds']:.3g} s"
            for fit in self._fits
        ] or ["  trained      not yet"]
        known = RunCard(
            metrics=self._figures,
            measured_on=self._measured_on,
            after_epoch=self._after_epoch,
            calibration=self._calibrated,
        )
        return "\n".join([*lines, *(known.summary() if self._fits or self._figures else [])])

    def _keep_figures(
        self, val_data: Any, figures: dict[str, float], measured_on: str = ""
    ) -> None:
        """Keeps figures for the card, if they are of the learner's own validation data."""
        if val_data is None or joined(val_data) is self.val_data:
            self._figures, self._measured_on = dict(figures), measured_on

    def _keep_epoch(self, history: Mapping[str, list[float]], epoch: int) -> None:
        """Keeps what was measured on the validation data after an epoch, counted from 0."""
        found = {n: v[epoch] for n, v in history.items() if n.startswith("val_") and epoch < len(v)}
        count = None if self._val is None else _count(self._val.data)
        where = VALIDATION if count is None else self._described(None, count)
        self._after_epoch = {EPOCH: epoch + 1, ON: where, **found} if found else {}

    def _described(self, val_data: Any, count: int) -> str:
        """Returns in words what figures are measured on.

        Args:
            val_data: As the method was given it.
            count: Examples.
        """
        data = joined(val_data)
        if data is None or data is self.val_data:
            part, source = VALIDATION, self._source_of("val_data")
        elif data is self.train_data:
            part, source = TRAINING, self._source_of("train_data")
        else:
            part, source = OTHER, called(val_data)
        return on(count, part, source)

    def _source_of(self, name: str) -> str:
        """Returns what the user called a data set; empty where it has no name."""
        given = self.arguments.get(name)
        if name == "val_data" and given is None and self._val is not None:
            whole = self._source_of("train_data")
            return f"held out from {whole}" if whole else ""
        return listing(given, 3) if isinstance(given, list) else _KINDS.get(str(given), str(given))

    def _model_facts(self) -> dict[str, Any]:
        from ktlite.models import TransformerModel

        pretrained = isinstance(self.model, TransformerModel)  # others start from scratch
        name = getattr(self.preproc, "model_name", "") if pretrained else ""
        return {
            "name": Path(name).name or type(self.model).__name__,
            "hub_name": name if name and not Path(name).exists() else None,
            "task": None if self.task is None else self.task.name,
            "parameters": self.model.count_params() if self.model.built else None,
        }

    def _fingerprints(self) -> dict[str, Any]:
        """Returns the fingerprints of both data sets, which takes a moment the first time."""
        if self._data_facts is None:
            feeds = {"train_data": self._train, "val_data": self._val}
            self._data_facts = {
                name: fingerprint(feed.data) for name, feed in feeds.items() if feed is not None
            }
        return self._data_facts


def _count(data: Any) -> int | None:
    """Returns the examples of a data set; None of batches."""
    texts = items_of(data)
    if not isinstance(data, IndexedData):
        return None
    return len(data if texts is None else texts)


def _size(data: Any) -> str:
    count = _count(data)
    return "batches" if count is None else plural(count, "example")
