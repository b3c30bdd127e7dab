"""Texts of concurrent requests, run through the model together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ktlite._logging import logger

Run = Callable[[Any], Any]


@dataclass(eq=False)
class _Job:
    """Items of one caller, and where their results are put."""

    run: Run
    items: list[Any]
    cost: int
    results: Future[Sequence[Any]] = field(default_factory=Future)


class Batcher:
    """Runs the items of many threads in batches, one batch at a time, first come, first served.

    The thread that runs them lives while there are any. Jobs of different `run`s never share a
    batch: while a new model replaces an old one, each request is finished by the one it began with.

    Args:
        most: What the items of a batch may cost together; one that costs more is a batch.
        gather: Seconds that a batch waits for more, while `expected` says that there are.
        cost: Returns what an item costs. Default: 1.
        expected: Returns how many callers there are, those that have not come here yet too.
        observe: Told of each batch: the number of items, and the seconds that it took.

    Example:
        >>> Batcher(most=2, gather=0.005)(lambda items: [i + 1 for i in items], [1, 2, 3], 1.0)
        [[2, 3], [4]]
    """

    def __init__(
        self,
        *,
        most: int,
        gather: float,
        cost: Callable[[Any], int] = lambda item: 1,
        expected: Callable[[], int] = lambda: 0,
        observe: Callable[[int, float], None] = lambda items, seconds: None,
    ) -> None:
        self._most, self._gather, self._cost = most, gather, cost
        self._expected, self._observe = expected, observe
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._working = False
        self._since: float | None = None

    @property
    def busy(self) -> float:
        """Seconds since the batch was begun that is being run; 0 where there is none."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def __call__(self, run: Run, items: Sequence[Any], timeout: float) -> list[Sequence[Any]]:
        """Returns the results of the items, in parts that follow each other.

        Many items go in several batches, between which other callers have their turn.

        Args:
            run: Takes a list of items, returns as many results.
            items: What to run.
            timeout: Seconds to wait.

        Raises:
            concurrent.futures.TimeoutError: If that was not enough. What was not begun is
                forgotten.
        """
        end = time.monotonic() + timeout
        parts = []
        for items_of_job, cost in self._pieces(items):
            job = _Job(run, items_of_job, cost)
            self._add(job)
            try:
                parts.append(job.results.result(max(0.0, end - time.monotonic())))
            finally:
                job.results.cancel()  # nothing where it is done
        return parts

    def _pieces(self, items: Sequence[Any]) -> Iterator[tuple[list[Any], int]]:
        """Yields items that fit into a batch together, and their cost."""
        piece: list[Any] = []
        total = 0
        for item in items:
            cost = self._cost(item)
            if piece and total + cost > self._most:
                yield piece, total
                piece, total = [], 0
            piece.append(item)
            total += cost
        yield piece, total

    def _add(self, job: _Job) -> None:
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="ktlite-batches", daemon=True).start()

    def _work(self) -> None:
        try:
            while jobs := self._next():
                self._since = time.monotonic()
                try:
                    _finish(jobs)
                    self._tell(jobs)
                finally:
                    self._since = None
        except BaseException:
            with self._changed:
                self._working = False  # the next job starts another thread
            raise

    def _tell(self, jobs: list[_Job]) -> None:
        """Tells what observes of a batch; that it fails is no matter of those who wait."""
        try:
            self._observe(sum(len(job.items) for job in jobs), self.busy)
        except Exception:
            logger.exception("a batch was not counted")

    def _next(self) -> list[_Job]:
        """Returns the jobs of the next batch; none ends the thread."""
        with self._changed:
            end = time.monotonic() + self._gather
            while 0 < len(self._jobs) < self._expected() and self._waiting() < self._most:
                if not self._changed.wait(end - time.monotonic()):
                    break
            jobs: list[_Job] = []
            room = self._most
            while self._jobs and self._fits(jobs, room):
                job = self._jobs.popleft()
                if job.results.set_running_or_notify_cancel():
                    jobs.append(job)
                    room -= job.cost
            self._working = bool(jobs)
            return jobs

    def _waiting(self) -> int:
        return sum(job.cost for job in self._jobs)

    def _fits(self, jobs: list[_Job], room: int) -> bool:
        first = self._jobs[0]
        return not jobs or (first.run == jobs[0].run and first.cost <= room)


def _finish(jobs: list[_Job]) -> None:
    """Runs jobs together, and gives each its part; where that fails, each by itself.

    So one caller's items cannot spoil what another one gets.
    """
    try:
        results = jobs[0].run([item for job in jobs for item in job.items])
    except Exception as error:  # whatever it is, its caller has to hear of it
        if len(jobs) == 1:
            jobs[0].results.set_exception(error)
        else:
            for job in jobs:
                _finish([job])
        return
    start = 0
    for job in jobs:
        job.results.set_result(results[start : start + len(job.items)])
        start += len(job.items)
