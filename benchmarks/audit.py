"""Measure what an audit trail adds to a search and to an add.

Two collections in folders hold the same passages; one of them is opened with a trail. They are asked in turns.

::

    python benchmarks/audit.py --rows 20000 --output
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bedside import Collection, Document
from bedside.audit import AuditLog, acting_as
from report import DOCS, machine, table, today, versions, workplace, write_section
from timing import Times, duration, interleaved

DIMENSION = 384
PATIENTS = 50
_WORDS = [f"word{i}" for i in range(5_000)]


def passages(rows: int, first: int = 0) -> list[Document]:
    """Return synthetic passages of thirty words each, of fifty patients, with vectors."""
    rng = np.random.default_rng(first)
    vectors = rng.normal(size=(rows, DIMENSION)).astype(np.float32)
    chosen = rng.integers(0, len(_WORDS), (rows, 30))
    return [
        Document(" ".join(_WORDS[j] for j in words), {"patient_id": f"P{i % PATIENTS}"}, f"d{first + i}", vector)
        for i, (words, vector) in enumerate(zip(chosen, vectors, strict=True))
    ]


def measured(folder: Path, rows: int, rounds: int) -> dict[str, dict[str, Times]]:
    """Return the times of each verb without a trail, with one, and with one that waits for the disk."""
    trails = {
        "without": None,
        "with": AuditLog(folder / "audit", key=bytes(32)),
        "durable": AuditLog(folder / "durable", key=bytes(32), durable=True),
    }
    opened = {
        name: Collection.open(folder / f"{name}.bedside", scope_keys=["patient_id"], audit=audit)
        for name, audit in trails.items()
    }
    question = np.random.default_rng(7).normal(size=DIMENSION).astype(np.float32)

    def search(notes: Collection) -> Callable[[int], None]:
        view = notes.scoped(patient_id="P7")

        def once(_: int) -> None:
            view.search("word1 word77 word300", vector=question, top_k=10)

        return once

    def add(notes: Collection) -> Callable[[int], None]:
        def once(number: int) -> None:
            notes.add(passages(20, rows + 20 * number))

        return once

    with acting_as("benchmark", purpose="benchmark"):
        for notes in opened.values():
            notes.add(passages(rows))
        verbs = {"search of one patient, 10 hits": search, "add of 20 passages": add}
        return {
            name: interleaved({kind: verb(notes) for kind, notes in opened.items()}, rounds)
            for name, verb in verbs.items()
        }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--output", type=Path, nargs="?", const=DOCS)
    given = parser.parse_args()
    with workplace() as folder:
        found = measured(folder, given.rows, given.rounds)
    header = ["median", "without a trail", "with one", "the trail's part", "with `durable=True`"]
    lines = [
        [
            name,
            duration(times["without"].p50),
            duration(times["with"].p50),
            duration(times["with"].p50 - times["without"].p50),
            duration(times["durable"].p50),
        ]
        for name, times in found.items()
    ]
    said = f"Measured {today()} on {machine()}; {versions(['bedside', 'numpy'])}; {given.rows:,} × {DIMENSION}."
    text = f"{said}\n\n{table(header, lines)}"
    print(text)
    if given.output is not None:
        write_section("audit", text, given.output)


if __name__ == "__main__":
    main()
