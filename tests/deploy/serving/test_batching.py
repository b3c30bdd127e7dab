"""Items of many threads in common batches: none lost, none swapped."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from typing import Any

import pytest

from ktlite.deploy.serving.batching import Batcher


def double(items: list[int]) -> list[int]:
    time.sleep(0.001)
    return [2 * item for item in items]


def test_each_thread_gets_the_results_of_its_items() -> None:
    sizes: list[int] = []
    batcher = Batcher(
        most=16, gather=0.002, expected=lambda: 8, observe=lambda items, _: sizes.append(items)
    )

    def client(number: int) -> bool:
        chance = random.Random(number)
        fine = True
        for _ in range(40):
            items = [chance.randrange(10**6) for _ in range(chance.randint(1, 40))]
            parts = batcher(double, items, 10.0)
            fine &= [r for part in parts for r in part] == [2 * item for item in items]
        return fine

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(client, range(8)))
    assert max(sizes) == 16
    assert batcher.busy == 0.0


def test_waiting_callers_share_a_batch() -> None:
    batches: list[list[str]] = []
    started, go = threading.Event(), threading.Event()

    def run(items: list[str]) -> list[str]:
        batches.append(items)
        started.set()
        assert go.wait(5)
        return items

    batcher = Batcher(most=8, gather=0.001)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(batcher, run, ["first"], 5.0)
        assert started.wait(5)
        others = [pool.submit(batcher, run, [name], 5.0) for name in "abc"]
        while len(batcher._jobs) < 3:
            time.sleep(0.001)
        go.set()
        assert [future.result() for future in others] == [[["a"]], [["b"]], [["c"]]]
        assert first.result() == [["first"]]
    assert [sorted(batch) for batch in batches] == [["first"], ["a", "b", "c"]]


def test_batch_waits_for_callers_that_are_expected_and_no_longer() -> None:
    sizes: list[int] = []
    batcher = Batcher(
        most=8, gather=5.0, expected=lambda: 2, observe=lambda items, _: sizes.append(items)
    )
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda item: batcher(double, [item], 9.0), [1, 2])) == [[[2]], [[4]]]
    assert sizes == [2]


def test_many_items_leave_room_for_other_callers() -> None:
    order: list[str] = []
    batcher = Batcher(most=2, gather=0.001)
    started = threading.Event()

    def run(items: list[str]) -> list[str]:
        order.extend(items)
        started.set()
        time.sleep(0.02)
        return items

    with ThreadPoolExecutor(2) as pool:
        many = pool.submit(batcher, run, ["m"] * 10, 5.0)
        assert started.wait(5)
        one = pool.submit(batcher, run, ["one"], 5.0)
        assert one.result() == [["one"]]
        assert [len(part) for part in many.result()] == [2, 2, 2, 2, 2]
    assert order.index("one") < 8


def test_items_that_cost_more_are_fewer() -> None:
    batcher = Batcher(most=10, gather=0.001, cost=len)
    items = ["aaaa", "bbbb", "cccc", "d" * 30, "e", "f"]
    assert batcher(lambda batch: batch, items, 1.0) == [
        ["aaaa", "bbbb"], ["cccc"], ["d" * 30], ["e", "f"],
    ]  # fmt: skip


def test_failing_items_do_not_spoil_those_of_other_callers() -> None:
    def run(items: list[int]) -> list[float]:
        return [1 / item for item in items]

    batcher = Batcher(most=8, gather=1.0, expected=lambda: 3)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(batcher, run, [item], 5.0) for item in (1, 0, 4)]
        assert futures[0].result() == [[1.0]]
        assert futures[2].result() == [[0.25]]
        with pytest.raises(ZeroDivisionError):
            futures[1].result()
    assert batcher(run, [2], 5.0) == [[0.5]]


def test_what_waited_too_long_is_not_run() -> None:
    seen: list[Any] = []
    go = threading.Event()

    def run(items: list[str]) -> list[str]:
        seen.extend(items)
        assert go.wait(5)
        return items

    batcher = Batcher(most=1, gather=0.001)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(batcher, run, ["slow"], 5.0)
        while not seen:
            time.sleep(0.001)
        with pytest.raises(TimeoutError):
            batcher(run, ["late"], 0.05)
        assert batcher.busy > 0.04
        go.set()
        slow.result()
    assert batcher(run, ["next"], 5.0) == [["next"]]
    assert seen == ["slow", "next"]


def test_items_of_different_models_never_share_a_batch() -> None:
    batcher = Batcher(most=8, gather=0.05, expected=lambda: 4)

    def model(name: str) -> Any:
        return lambda items: [(name, item, len(items)) for item in items]

    old, new = model("old"), model("new")
    with ThreadPoolExecutor(4) as pool:
        runs = [old, new, old, new]
        futures = [pool.submit(batcher, run, [i], 5.0) for i, run in enumerate(runs)]
        found = [future.result()[0][0][:2] for future in futures]
    assert found == [("old", 0), ("new", 1), ("old", 2), ("new", 3)]


def test_what_observes_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    def observe(items: int, seconds: float) -> None:
        raise OSError("the disk is full")

    batcher = Batcher(most=8, gather=0.001, observe=observe)
    for _ in range(2):
        assert batcher(double, [1], 1.0) == [[2]]
    while batcher._working:
        time.sleep(0.001)
    assert batcher.busy == 0.0
    assert "the disk is full" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_died_is_replaced() -> None:
    answers = iter([OSError("gone"), 0, 0])

    def expected() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    batcher = Batcher(most=8, gather=0.001, expected=expected)
    with pytest.raises(TimeoutError):
        batcher(double, [1], 0.1)
    assert batcher(double, [2], 1.0) == [[4]]
