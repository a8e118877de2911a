"""What every candidate of the store benchmarks can do, and how they are set up and checked."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bedside.types import Matrix, Vector
from corpora import Rows

BUCKET = 7
"""The 1 % of the rows that the filtered searches ask for."""
_ROUNDING = 1e-5  # of a float32 product of unit vectors; it depends on the order of the additions


class Peer:
    """One candidate; ``folder`` is where it may write.

    Attributes:
        name: As it stands in the tables.
        package: What is imported; the peer is left out where it is missing.
        largest: Most rows it is asked to hold: beyond, building or asking it takes minutes.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    largest: ClassVar[int] = 10_000_000

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lib: Any = importlib.import_module(self.package)

    def load(self, rows: Rows) -> None:
        """Add rows to what is empty."""
        raise NotImplementedError

    def reopen(self) -> None:
        """Open what :meth:`load` left in the folder, in another process."""
        raise NotImplementedError

    def search(self, query: Vector, k: int) -> Sequence[str]:
        """Return the ids of the ``k`` nearest rows."""
        raise NotImplementedError

    def filtered(self, query: Vector, k: int) -> Sequence[str]:
        """Return the ids of the ``k`` nearest rows in :data:`BUCKET`."""
        raise NotImplementedError

    def add_one(self, id: str, text: str, vector: Vector) -> None:
        """Add one document so that it survives a crash, as far as the candidate can."""
        raise NotImplementedError

    def last_seconds(self) -> float | None:
        """Seconds of the last search where the candidate runs, and measures itself, in another process."""
        return None

    def close(self) -> None:
        """Let go of everything."""


def opened(kinds: Sequence[type[Peer]], rows: Rows, folder: Path) -> Iterator[Peer]:
    """Yield the candidates that are installed and take so many rows, loaded; the others are named on the screen."""
    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    for number, kind in enumerate(kinds):
        if len(rows) > kind.largest:
            print(f"  {kind.name}: left out above {kind.largest:,} rows")
            continue
        try:
            peer = kind(folder / str(number))
        except ModuleNotFoundError as missing:
            print(f"  {kind.name}: left out, {missing.name} is not installed")
            continue
        peer.load(rows)
        yield peer


def recall(peer: Peer, rows: Rows, queries: Matrix, k: int) -> float:
    """Return the share of the ``k`` best rows that a candidate finds; of equal rows, any counts."""
    shares = []
    for query in queries:
        worst_of_best = np.partition(rows.vectors @ query, -k)[-k]
        found = [int(id[1:]) for id in set(peer.search(query, k))]
        shares.append(np.count_nonzero(rows.vectors[found] @ query >= worst_of_best - _ROUNDING) / k)
    return float(np.mean(shares))
