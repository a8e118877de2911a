"""Measure the longest search beside bulk work, and opening after a kill.

One thread searches without pause while another imports, compacts and erases, and while another process writes in bulk.
Then a process that holds the collection is killed, and the collection is opened.

::

    python benchmarks/beside.py --rows 100000
    python benchmarks/beside.py --rows 1000000 --only open
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bedside import Collection, Document
from report import DOCS, machine, table, today, versions, workplace, write_section

DIMENSION = 384
_WORDS = [f"word{i}" for i in range(5_000)]


def batches(rows: int, first: int) -> Iterator[list[Document]]:
    """Yield lists of 1,000 synthetic passages of thirty words each, with vectors."""
    rng = np.random.default_rng(first)
    for start in range(first, first + rows, 1_000):
        vectors = rng.normal(size=(1_000, DIMENSION)).astype(np.float32)
        chosen = rng.integers(0, len(_WORDS), (1_000, 30))
        yield [
            Document(
                " ".join(_WORDS[j] for j in words), {"section": "HPI" if i % 3 else "ROS"}, f"d{start + i}", vector
            )
            for i, (words, vector) in enumerate(zip(chosen, vectors, strict=True))
        ]


class Took(NamedTuple):
    """Seconds of a search: in all, of processor time, and waiting for a processor while other threads had them all.

    ``stolen`` is what the host of a virtual machine took meanwhile, of all its processors together; what it took from
    the search itself is within ``computing``.
    """

    whole: float
    computing: float
    queueing: float
    stolen: float


def _scheduled() -> tuple[float, float]:
    """Return this thread's seconds on a processor and in the queue for one, as Linux counts them; else no queue."""
    try:
        on, queued = Path("/proc/thread-self/schedstat").read_text().split()[:2]
    except OSError:
        return time.thread_time(), 0.0
    return int(on) / 1e9, int(queued) / 1e9


def _stolen() -> float:
    """Return the seconds that the host has taken from the processors, as Linux counts them in hundredths."""
    try:
        return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


def searching_beside(notes: Collection, work: Callable[[], object]) -> list[Took]:
    """Search without pause in a thread while ``work`` is done; return what every search took."""
    searches: list[Took] = []
    done = threading.Event()
    question = np.random.default_rng(7).normal(size=DIMENSION).astype(np.float32)

    def search() -> None:
        while not done.is_set():
            stolen, (computing, queueing), start = _stolen(), _scheduled(), time.perf_counter()
            notes.search("word1 word77 word300", vector=question, top_k=10)
            whole, (on, queued) = time.perf_counter() - start, _scheduled()
            searches.append(Took(whole, on - computing, queued - queueing, _stolen() - stolen))

    thread = threading.Thread(target=search)
    thread.start()
    work()
    done.set()
    thread.join()
    return searches


def in_another_process(folder: Path, rows: int, first: int, *, hold: bool = False) -> None:
    """Load rows in another process; with ``hold``, kill it once it has acknowledged them."""
    command = [sys.executable, __file__, "--child", str(folder), "--rows", str(rows), "--first", str(first)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 # this very file
    if child.stdout is not None:
        child.stdout.readline()
    if hold:
        child.send_signal(signal.SIGKILL)
    else:
        time.sleep(5)  # this process takes over what was written
    child.wait()


def child(folder: Path, rows: int, first: int) -> None:
    """Add rows to the collection in ``folder``, say so, and wait for a kill or the end of input."""
    notes = Collection.open(folder)
    notes.add_batches(batches(rows, first))
    print("written", flush=True)
    if os.getppid() > 1:
        time.sleep(1)


def beside(folder: Path, rows: int) -> list[list[str]]:
    """Return a row of the table for each kind of work."""
    lines = []
    with Collection.open(folder) as notes:
        notes.add_batches(batches(rows, 0))
        works: dict[str, Callable[[], object]] = {
            "nothing": lambda: time.sleep(5),
            "import of half as many": lambda: notes.add_batches(batches(rows // 2, 10 * rows)),
            "compaction": notes.compact,
            "erasure of one": lambda: notes.erase(["d5"]),
            "bulk write of another process": lambda: in_another_process(folder, rows // 2, 20 * rows),
        }
        for name, work in works.items():
            searches = searching_beside(notes, work)
            seconds, longest = [took.whole for took in searches], max(searches)
            undisturbed = max(took.whole for took in searches if not took.stolen)
            figures = (np.median(seconds), np.percentile(seconds, 99), *longest, undisturbed)
            lines.append([name, *(f"{1_000 * figure:.0f} ms" for figure in figures), f"{len(seconds):,}"])
    return lines


def opening(folder: Path, rows: int) -> list[list[str]]:
    """Return how long opening takes after a kill and after a clean close."""
    in_another_process(folder, rows, 0, hold=True)
    lines = []
    for name in ("after SIGKILL", "after a clean close"):
        start = time.perf_counter()
        notes = Collection.open(folder)
        lines.append([f"{name}, {len(notes):,} × {DIMENSION}", f"{time.perf_counter() - start:.2f} s"])
        notes.close()
    return lines


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", choices=["beside", "open"])
    parser.add_argument("--output", type=Path, nargs="?", const=DOCS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        child(given.child, given.rows, given.first)
        return
    parts = [
        f"Measured {today()} on {machine()}; {versions(['bedside', 'numpy'])}; {given.rows:,} rows of {DIMENSION}."
    ]
    if given.only != "open":
        with workplace() as folder:
            header = ["one thread searches beside", "median", "99th percentile", "longest"]
            header += ["of it computing", "and waiting for a processor", "taken by the host meanwhile"]
            header += ["longest that the host took nothing from", "searches"]
            parts.append(table(header, beside(folder / "c", given.rows)))
    if given.only != "beside":
        with workplace() as folder:
            parts.append(table(["opening", "seconds"], opening(folder / "c", given.rows)))
    text = "\n\n".join(parts)
    print(text)
    if given.output is not None:
        write_section("beside", text, given.output)


if __name__ == "__main__":
    main()
