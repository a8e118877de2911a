"""Measure how Bedside grows: loading, one more document, opening, searching and memory at each size.

::

    python benchmarks/growth.py --sizes 10000 100000 1000000
    python benchmarks/growth.py --output docs/benchmarks.md --plot docs/growth.svg
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import orjson

from bedside import Collection, Document
from corpora import Rows, random_rows
from peers import documents
from probe import in_new_process, resident
from report import RESULTS, machine, table, today, versions, workplace, write_section
from timing import Times, duration, interleaved, stopwatch

DIMENSION = 768
_BATCH = 20_000
_QUESTIONS = (
    "chest pain on exertion", "type 2 diabetes metformin 500 mg", "shortness of breath", "blood pressure 120/80",
    "history of myocardial infarction", "no known drug allergies", "knee pain after a fall", "elevated creatinine",
)  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """What loading took, in seconds: everything, and one more document once everything was there."""

    bulk: float
    one: Times
    disk: int


@dataclass(frozen=True)
class Opened:
    """What opening and searching took, in seconds, and the process' memory in bytes."""

    open: float
    dense: Times
    sparse: Times
    hybrid: Times
    resident: int


@dataclass(frozen=True)
class Size:
    """One size."""

    rows: int
    loaded: Loaded
    rebuilt: Opened
    cached: Opened


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", type=int, default=[10_000, 100_000], help="rows")
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    parser.add_argument("--plot", type=Path, help="image file of the plot")
    options = parser.parse_args()
    sizes = []
    for rows in options.sizes:
        sizes.append(measure(rows))
        print(_table(sizes[-1:]), "\n", flush=True)
    (RESULTS / "growth.json").write_bytes(orjson.dumps([asdict(size) for size in sizes]))
    text = f"Measured {today()} on {machine()}; {versions(['bedside', 'numpy'])}.\n\n{_table(sizes)}"
    print(text)
    if options.output:
        write_section("growth", text, options.output)
    if options.plot:
        plot(sizes, options.plot)


def measure(rows: int) -> Size:
    """Load one size, then open it without and with its cache, each in a new process."""
    with workplace() as folder:
        path = folder / "c"
        loaded = in_new_process(load, path, rows)
        shutil.rmtree(path / "cache", ignore_errors=True)
        rebuilt = in_new_process(reopen, path)
        return Size(rows, loaded, rebuilt, in_new_process(reopen, path))


def load(path: Path, rows: int) -> Loaded:
    """Fill a collection in calls of 20,000 documents, then add some one by one."""
    bulk = 0.0
    with Collection.open(path) as collection:
        for first in range(0, rows, _BATCH):
            part = random_rows(min(_BATCH, rows - first), DIMENSION, seed=first)
            with stopwatch() as watch:
                collection.add(documents(part, first))
            bulk += watch.seconds
        one = interleaved({"add": partial(_add_one, collection, random_rows(200, DIMENSION, seed=1))}, rounds=150)
    disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Loaded(bulk, one["add"], disk)


def _add_one(collection: Collection, fresh: Rows, number: int) -> None:
    collection.add([Document(fresh.texts[number], fresh.metadata(number), f"one-{number}", fresh.vectors[number])])


def reopen(path: Path) -> Opened:
    """Open a collection and search it in three ways."""
    queries = random_rows(1, DIMENSION, queries=100).queries
    with stopwatch() as opening:
        collection = Collection.open(path)

    def ask(mode: str, number: int) -> None:
        text = _QUESTIONS[number % len(_QUESTIONS)] if mode != "dense" else None
        vector = queries[number] if mode != "sparse" else None
        collection.search(text, vector=vector, mode=mode)  # type: ignore[call-overload]

    times = interleaved({mode: partial(ask, mode) for mode in ("dense", "sparse", "hybrid")}, len(queries))
    return Opened(opening.seconds, times["dense"], times["sparse"], times["hybrid"], resident())


def plot(sizes: Sequence[Size], file: Path) -> None:
    """Draw times and memory over the number of rows, on logarithmic axes."""
    from matplotlib.figure import Figure

    rows = [size.rows for size in sizes]
    figure = Figure(figsize=(9, 4), layout="constrained")
    times, memory = figure.subplots(1, 2)
    for label, values in {
        "dense search, p50": [size.cached.dense.p50 for size in sizes],
        "BM25 search, p50": [size.cached.sparse.p50 for size in sizes],
        "hybrid search, p50": [size.cached.hybrid.p50 for size in sizes],
        "one durable add, p50": [size.loaded.one.p50 for size in sizes],
        "open with cache": [size.cached.open for size in sizes],
        "open without cache": [size.rebuilt.open for size in sizes],
    }.items():
        times.plot(rows, values, marker="o", label=label)
    for label, sums in {
        "resident after searching": [size.cached.resident for size in sizes],
        "vectors alone": [size.rows * DIMENSION * 4 for size in sizes],
    }.items():
        memory.plot(rows, [bytes_ / 2**20 for bytes_ in sums], marker="o", label=label)
    for axes, label in ((times, "seconds"), (memory, "MiB")):
        axes.set(xscale="log", yscale="log", xlabel="documents", ylabel=label)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    figure.savefig(file, metadata={"Date": None})


def _table(sizes: Sequence[Size]) -> str:
    header = ["", *(f"{size.rows:,}" for size in sizes)]
    lines = {
        "bulk load": [f"{duration(s.loaded.bulk)} ({s.rows / s.loaded.bulk:,.0f}/s)" for s in sizes],
        "one durable add, p50 / p95": [_pair(s.loaded.one) for s in sizes],
        "open without cache": [duration(s.rebuilt.open) for s in sizes],
        "open with cache": [duration(s.cached.open) for s in sizes],
        "dense search, p50 / p95": [_pair(s.cached.dense) for s in sizes],
        "BM25 search, p50 / p95": [_pair(s.cached.sparse) for s in sizes],
        "hybrid search, p50 / p95": [_pair(s.cached.hybrid) for s in sizes],
        "memory, cache mapped": [_mib(s.cached.resident) for s in sizes],
        "memory, cache just rebuilt": [_mib(s.rebuilt.resident) for s in sizes],
        "vectors alone": [_mib(s.rows * DIMENSION * 4) for s in sizes],
        "on disk, cache included": [_mib(s.loaded.disk) for s in sizes],
    }
    return table(header, [[name, *values] for name, values in lines.items()])


def _pair(times: Times) -> str:
    return f"{duration(times.p50)} / {duration(times.p95)}"


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
