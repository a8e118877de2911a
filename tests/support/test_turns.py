"""Long work stops while a search is at work, and is never kept from going on."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time

from bedside.support.turns import going_first, taking_turns

WORK = 0.005


def works(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_work_waits_for_a_search_as_long_as_it_worked_and_then_goes_on() -> None:
    done = threading.Event()

    def searches() -> None:
        with going_first():
            began.set()
            done.wait(60)

    began, thread = threading.Event(), threading.Thread(target=searches)
    thread.start()
    began.wait(60)
    start = time.perf_counter()
    for _ in taking_turns(range(4)):
        works(WORK)
    assert time.perf_counter() - start >= 4 * 2 * WORK * 0.9
    done.set()
    thread.join()


def test_work_goes_on_when_the_last_search_ends_even_by_an_error(monkeypatch) -> None:
    clock = itertools.count(0, 1_000)
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))  # so that waiting as long as it worked is for ever
    done = threading.Event()

    def long_work() -> None:
        for _ in taking_turns(range(1)):
            time.sleep(WORK)
        done.set()

    thread = threading.Thread(target=long_work)
    with contextlib.suppress(ValueError), going_first():
        with going_first():
            thread.start()
        assert not done.wait(0.05)
        raise ValueError
    assert done.wait(60)
    thread.join()


def test_every_item_comes_once_and_in_order() -> None:
    assert list(taking_turns(iter(range(1_000)))) == list(range(1_000))
