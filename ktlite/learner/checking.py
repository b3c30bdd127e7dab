"""The method of a `Learner` that looks at its data before training."""

from __future__ import annotations

from typing import Any

import keras

from ktlite._logging import logger
from ktlite.checks import Checks, Split, as_table, check_data, check_first_loss
from ktlite.errors import ArgumentError
from ktlite.learner.state import State
from ktlite.training.feed import FIXED, Feed
from ktlite.training.generic import Reading


class Checking(State):
    """Checks of the data, and of the untrained model."""

    def check(self) -> Checks:
        """Looks at the data and at the untrained model, and says what to do.

        Repeated texts, texts that are in both splits, equal texts with different labels; classes
        that are rare or that a split lacks; texts that `maxlen` cuts, with a better one; texts
        without a word, tokens that the vocabulary lacks; the loss of a batch beside that of
        guessing. What does not apply to the data or the task is left out.

        The first fit does the same, without the loss, and logs what is wrong;
        `get_learner(check=False)` turns that off.

        Returns:
            The findings, which show themselves as a table; none of a stream, which only reading
            all of it would tell about.

        Raises:
            ArgumentError: If there is no training data.

        Example:
            >>> learner.check()
            checks: 1 of 9 to look at
              ok    repeated in train_data  none of 9,544 texts
              look  in both splits          12 of 1,061 texts of val_data (1.1%) are in ...
                                            -> take them out of one of the two: ...
        """
        feed = self._train_feed("check")
        if not isinstance(feed, Feed):
            return Checks(())
        reading = self._known_reading(feed)
        findings = self._data_findings(feed, reading)
        chance = None if reading is None else reading.task.chance_loss
        if chance is not None and self._epochs_done == 0:
            findings += [check_first_loss(self._first_loss(feed), chance)]
        return Checks(findings)

    def _check_once(self) -> None:
        """Looks at the data, if nobody has yet and it is wanted, and logs what is wrong."""
        feed, wanted = self._train, self._check_data
        self._check_data = False
        if not wanted or not isinstance(feed, Feed):
            return
        problems = Checks(self._data_findings(feed, self._known_reading(feed))).problems
        if problems:
            logger.warning("the data, before training (learner.check() shows all):\n%s",
                           as_table(problems))  # fmt: skip

    def _data_findings(self, feed: Feed, reading: Reading | None) -> list[Any]:
        task = None if reading is None else reading.task
        splits = [
            Split.of(name, part.data, _targets(part.data, reading))
            for name, part in (("train_data", feed), ("val_data", self._val))
            if isinstance(part, Feed)
        ]
        longest = getattr(getattr(self.model, "spec", None), "max_positions", None)
        return check_data(splits[0], splits[1] if splits[1:] else None, task, longest)

    def _known_reading(self, feed: Feed) -> Reading | None:
        """Returns what the targets mean; None where model and data do not say."""
        try:
            return self._reading(feed)
        except ArgumentError:
            return None

    def _first_loss(self, feed: Feed) -> float:
        """Returns the loss of a batch, without dropout, as training would take it."""
        x, y = feed.data.examples(feed.plan(0)[0], FIXED)
        outputs = self.model(x, training=False)
        loss = self.model.compute_loss(x=x, y=y, y_pred=outputs, training=False)
        return float(keras.ops.convert_to_numpy(loss))


def _targets(data: Any, reading: Reading | None) -> Any:
    if data.targets is None or reading is None:
        return data.targets
    return reading.targets(data.targets)
