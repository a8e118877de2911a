"""A fork while other threads hold locks: the child waits for none of them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest

from bedside.support import fork
from bedside.support.fork import fork_barrier, in_each_process
from forks import child_does, held_by_a_thread

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")


class Counter:
    def __init__(self) -> None:
        self.made = 0
        in_each_process(self.make_lock)

    def make_lock(self) -> None:
        self.made += 1
        self.lock = threading.Lock()


def is_free(lock: threading.Lock | threading.RLock) -> bool:
    if not lock.acquire(blocking=False):
        return False
    lock.release()
    return True


def test_a_lock_that_another_thread_holds_is_free_in_the_child_and_held_in_the_parent():
    counter = Counter()
    with held_by_a_thread(counter.lock):
        assert child_does(lambda: is_free(counter.lock) and counter.made == 2)
        assert not is_free(counter.lock)
    assert is_free(counter.lock)
    assert counter.made == 1


def test_the_thread_that_forks_leaves_its_lock_in_the_child_as_it_would_have():
    counter = Counter()

    def fork_inside() -> bool:
        with counter.lock:
            return child_does(lambda: True)

    assert fork_inside()
    assert child_does(fork_inside)
    assert is_free(counter.lock)


def test_a_fork_waits_for_what_a_barrier_guards():
    barrier, pair = fork_barrier(), [0, 0]
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            with barrier:
                pair[0] += 1
                for _ in range(1_000):  # give other threads the time to fork in between
                    pass
                pair[1] += 1

    threads = [threading.Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert all(child_does(lambda: is_free(barrier) and pair[0] == pair[1]) for _ in range(20))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert is_free(barrier)


def test_a_thread_may_fork_while_it_holds_a_barrier():
    barrier = fork_barrier()
    with barrier:
        assert child_does(lambda: is_free(barrier))
    assert is_free(barrier)


def test_several_threads_may_fork_at_once():
    barriers, came_back = [fork_barrier() for _ in range(5)], []
    work = lambda: came_back.append(child_does(lambda: all(map(is_free, barriers))))  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came_back == [True] * 6


def test_what_no_longer_lives_is_forgotten():
    gc.collect()
    before = len(fork._methods), len(fork._barriers)
    counter, barrier = Counter(), fork_barrier()
    assert (len(fork._methods), len(fork._barriers)) == (before[0] + 1, before[1] + 1)
    del counter, barrier
    gc.collect()
    assert (len(fork._methods), len(fork._barriers)) == before


KEPT_TO_THE_END = """
import os, sys, weakref
from bedside import Collection
from bedside.support.fork import in_each_process

class Two:
    def __init__(self):
        in_each_process(self.first)
        in_each_process(self.second)

    def first(self): ...
    def second(self): ...

{holder}.kept = [Two(), Collection.open(sys.argv[1])]
"""


@pytest.mark.parametrize("holder", ["os", "weakref"])
def test_a_process_that_keeps_what_is_open_to_its_end_ends_without_a_word(holder, tmp_path):
    # A module's names are gone before what it kept is.
    command = [sys.executable, "-c", KEPT_TO_THE_END.format(holder=holder), str(tmp_path / "c")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
