"""The method of a `Learner` that tries how large a batch may be."""

from __future__ import annotations

from typing import Any

import numpy as np

from ktlite._arguments import at_least_one, checked, positive
from ktlite._logging import logger
from ktlite.encodings.encodings import Seed
from ktlite.encodings.field import Field
from ktlite.encodings.indexed import IndexedData
from ktlite.encodings.plan import padded_length
from ktlite.errors import ArgumentError, TrainingError, plural
from ktlite.learner.state import State
from ktlite.training import run
from ktlite.training.feed import Feed
from ktlite.training.memory import PeakMemory, is_out_of_memory
from ktlite.training.snapshot import Snapshot
from ktlite.training.step_clock import StepClock
from ktlite.training.workers import check_alone

_STEPS = 3  # the first one traces


class Sizing(State):
    """Which batch fits into memory, and how fast it is."""

    @checked
    def find_batch_size(
        self, start: int = 8, largest: int = 512, memory: float | None = None
    ) -> int:
        """Tries training steps on the longest rows, with batches of 8, 16, 32, ...

        Where all rows are of one size, as images are, it is they.

        Model, optimizer and random states are put back afterwards. On a GPU it goes on until
        memory runs out. Where the computer's own memory is used, running out would end the
        process: there it stops when the next size, by the growth so far, would need more than
        `memory`.

        Args:
            start: The first size.
            largest: The last size.
            memory: Gigabytes that the process may take. Default: what it has and half of what is
                free.

        Returns:
            The largest size that fits. Sizes, rows a second and memory are in the log. Rows a
            second are of the longest rows, so others are faster.

        Raises:
            ArgumentError: If the training data comes in batches, or not even `start` fits.

        Example:
            >>> size = learner.find_batch_size()
            >>> learner = ktlite.get_learner("bert-base-uncased", ..., batch_size=size)
        """
        problems = self._ready("find_batch_size")
        check_alone(problems, self.model, "each has a memory of its own; try it on one of them")
        at_least_one(problems, start=start, largest=largest)
        if memory is not None:
            positive(problems, memory=memory)
        feed: Any = self._train
        problems.add_unless(
            isinstance(feed, Feed), "the training data comes in batches of its own."
        )
        problems.add_unless(
            bool(problems.found) or largest >= start,
            f"largest={largest!r} is below start={start!r}.",
        )
        problems.raise_if_any()
        peak = PeakMemory()
        limit = peak.limit if memory is None else memory * 1e9
        fitting, needed = 0, [peak.read()]
        size = start
        while size <= largest:
            rows = Longest(feed.data, size * _STEPS)
            long = f" of {plural(rows.longest, self._unit)}" if rows.longest else ""
            try:
                with Snapshot(self.model), peak:
                    seconds = self._step_seconds(Feed(rows, size, self.seed))
            except TrainingError as error:
                if error.__cause__ is None or not is_out_of_memory(error.__cause__):
                    raise
                logger.info("batch_size %4d: does not fit into memory", size)
                break
            needed.append(peak.read())
            fitting = size
            logger.info(
                "batch_size %4d: %6.1f rows a second, %5.1f GB%s",
                *(size, size / seconds, needed[-1] / 1e9, f" (rows{long})" if long else ""),
            )
            # The next one adds twice as much as this one did.
            if needed[-1] + 2 * max(needed[-1] - needed[-2], 0) > limit:
                logger.info("batch_size %4d would need more than %.1f GB", 2 * size, limit / 1e9)
                break
            size *= 2
        if not fitting:
            raise ArgumentError(
                f"find_batch_size: a batch of {start} rows{long} does not fit into memory. Try a "
                f"smaller start{' or maxlen' if long else ''}, precision='bfloat16', or lora=8."
            )
        return fitting

    @property
    def _unit(self) -> str:
        """What the lengths of rows count."""
        preproc = self.preproc
        return "token" if preproc is None else str(preproc.input.unit)

    def _step_seconds(self, feed: Feed) -> float:
        """Returns how long a training step takes that has been traced."""
        clock = StepClock()
        steps = min(feed.steps, _STEPS)
        run.fit(self.model, feed, None, epochs=1, steps=steps, callbacks=[clock], verbose=0)
        return clock.seconds_each()


class Longest(IndexedData):
    """The longest rows of some data, again and again where there are not enough of them.

    Args:
        data: The data.
        count: How many rows.
    """

    def __init__(self, data: IndexedData, count: int) -> None:
        order = np.argsort(-data.lengths, kind="stable")
        self._data = data
        self.task = data.task
        self._rows = np.resize(order, count)
        longest = int(data.lengths[order[0]])
        self.longest = padded_length(longest, longest)
        self.targets = None if data.targets is None else data.targets[:0]
        # All alike, for batches in this order.
        self._lengths = np.full(count, longest)

    @property
    def fields(self) -> tuple[Field, ...] | None:
        return self._data.fields

    @property
    def lengths(self) -> np.ndarray:
        return self._lengths

    def __len__(self) -> int:
        return len(self._rows)

    def examples(self, rows: np.ndarray, seed: Seed) -> tuple[Any, Any]:
        return self._data.examples(self._rows[rows], seed)
