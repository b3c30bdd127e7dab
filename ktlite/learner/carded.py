"""The run card of a `Learner`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ktlite.cards import RunCard, environment, fingerprint
from ktlite.learner.state import State


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
        )

    def _keep_figures(self, val_data: Any, figures: dict[str, float]) -> None:
        """Keeps figures for the card, if they are of the learner's own validation data."""
        if val_data is None or val_data is self.val_data:
            self._figures = dict(figures)

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
