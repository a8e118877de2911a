"""Measure what encryption costs: adding, searching, reading, opening, changing the master key.

Each measurement is taken in the order plain, encrypted, encrypted, plain, of collections with the same records: what
else the machine does slows both alike, and what was just read is as near to the processor for one as for the other. The
ratio is the median of the rounds' ratios.

::

    python benchmarks/encryption.py --rows 100000 --output
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bedside import Collection, Document
from report import DOCS, machine, table, today, versions, workplace, write_section

DIMENSION = 768
KEY, OTHER = bytes(range(32)), bytes(32)
_WORDS = [f"word{i}" for i in range(5_000)]
Pair = tuple[Callable[[], object], Callable[[], object]]


def documents(count: int, first: int = 0) -> list[Document]:
    """Return synthetic passages of fifty words each, with vectors."""
    rng = np.random.default_rng(first)
    vectors = rng.normal(size=(count, DIMENSION)).astype(np.float32)
    words = rng.integers(0, len(_WORDS), (count, 50))
    texts = [" ".join(_WORDS[j] for j in row) for row in words]
    return [
        Document(text, {"section": "HPI" if i % 3 else "ROS"}, f"d{first + i}", vector)
        for i, (text, vector) in enumerate(zip(texts, vectors, strict=True))
    ]


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compared(pairs: Iterator[Pair]) -> tuple[float, float, float]:
    """Return the medians of plain and encrypted seconds, and of their ratios, each measured twice."""
    found = []
    for plain, sealed in pairs:
        first, second, third, fourth = seconds(plain), seconds(sealed), seconds(sealed), seconds(plain)
        found.append(((first + fourth) / 2, (second + third) / 2))
    plain_, sealed_ = (statistics.median(column) for column in zip(*found, strict=True))
    return plain_, sealed_, statistics.median(sealed / plain for plain, sealed in found)


def line(name: str, found: tuple[float, float, float], goal: str) -> list[str]:
    """Return a row of the table, in milliseconds."""
    plain, sealed, ratio = found
    return [name, f"{1_000 * plain:.2f} ms", f"{1_000 * sealed:.2f} ms", f"{ratio:.2f} ×", goal]


def adding(folder: Path, size: int, rounds: int) -> tuple[float, float, float]:
    """Compare adding ``size`` documents at once."""
    with Collection.open(folder / "plain") as plain, Collection.open(folder / "sealed", key=KEY) as sealed:
        plain.add(documents(100, 10**9))
        sealed.add(documents(100, 10**9))

        def pairs() -> Iterator[Pair]:
            for i in range(rounds):
                parts = iter([documents(size, (4 * i + j) * size) for j in range(4)])
                yield lambda: plain.add(next(parts)), lambda: sealed.add(next(parts))  # noqa: B023 # called at once

        return compared(pairs())


def reading(folder: Path, rounds: int) -> list[list[str]]:
    """Compare searches and reads of the filled collections, and opening them."""
    rng = np.random.default_rng(3)
    rows = []
    with Collection.open(folder / "plain") as plain, Collection.open(folder / "sealed", key=KEY) as sealed:
        questions = [(f"word{rng.integers(5_000)} word{rng.integers(5_000)}", rng.normal(size=DIMENSION))
                     for _ in range(rounds)]  # fmt: skip
        both = (plain, sealed)
        for mode in ("hybrid", "dense", "sparse"):
            asks = ([(lambda c=c, q=q, v=v, m=mode: c.search(q, vector=v, mode=m)) for c in both] for q, v in questions)
            rows.append(line(f"search, {mode}, top 10", compared((a, b) for a, b in asks), "1.1 ×"))
        ids = [[f"d{i}" for i in rng.integers(0, 1_000, 10)] for _ in range(rounds)]
        gets = ([(lambda c=c, some=some: c.get(some, include_vectors=True)) for c in both] for some in ids)
        rows.append(line("get 10 documents with vectors", compared((a, b) for a, b in gets), ""))

    def opening(name: str, key: bytes | None) -> Callable[[], None]:
        return lambda: Collection.open(folder / name, key=key).close()

    opens = [(opening("plain", None), opening("sealed", KEY))] * 5
    return [*rows, line("open, from the cache", compared(iter(opens)), "1,000 ms")]


def scopes(folder: Path, count: int) -> list[list[str]]:
    """Measure what is done to a collection of many scopes."""
    with Collection.open(folder / "scopes", scope_keys=["patient_id"], key=KEY) as notes:
        made = (Document("BP 120/80.", {"patient_id": str(i)}, "bp", [1.0, 0.5]) for i in range(count))
        rows = [["add one document to each", f"{seconds(lambda: notes.add(made)):.2f} s", ""]]
        rekeyed = statistics.median(seconds(lambda: notes.rekey(OTHER)) for _ in range(5))
        rows.append(["rekey", f"{rekeyed:.2f} s", "2 s"])
    rows.append(["open", f"{seconds(lambda: Collection.open(folder / 'scopes', key=OTHER).close()):.2f} s", ""])
    with Collection.open(folder / "scopes", key=OTHER) as notes:
        rows.append(["shred one", f"{seconds(notes.scoped(patient_id='7').shred):.2f} s", ""])
    return rows


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--scopes", type=int, default=10_000)
    parser.add_argument("--output", type=Path, nargs="?", const=DOCS)
    given = parser.parse_args()
    with workplace() as folder:
        rows = [line("add one document", adding(folder / "one", 1, 100), "1.2 ×")]
        rows.append(line("add 1,000 documents", adding(folder / "many", 1_000, 9), "1.2 ×"))
        with Collection.open(folder / "plain") as plain, Collection.open(folder / "sealed", key=KEY) as sealed:
            for first in range(0, given.rows, 1_000):
                part = documents(min(1_000, given.rows - first), first)
                plain.add(part)
                sealed.add(part)
        rows += reading(folder, 50)
        many = scopes(folder, given.scopes)
    load = os.getloadavg()[0]
    text = "\n\n".join(
        [
            f"Measured {today()} on {machine()}, load {load:.1f}; {versions(['bedside', 'cryptography', 'numpy'])}; "
            f"{given.rows:,} rows of {DIMENSION} dimensions.",
            table(["", "plain", "encrypted", "ratio", "goal"], rows),
            table([f"{given.scopes:,} scopes, one document each", "takes", "goal"], many),
        ]
    )
    print(text)
    if given.output:
        write_section("encryption", text, given.output)


if __name__ == "__main__":
    main()
