"""Measure how many dense searches a second ``bedside serve`` answers to several clients at once.

::

    python benchmarks/serving.py --rows 20000 --dimension 384 --clients 8
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bedside import Collection
from corpora import Rows, random_rows
from peers import documents
from report import machine, versions, workplace
from timing import Times, duration

_WARM_UP = 2.0  # seconds: the server opens the collection at the first request


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Start the server on a folder of collections, give its address, and stop it."""
    command = [sys.executable, "-m", "bedside.cli", "serve", str(root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603 - our own
        if process.stdout is None or not (line := process.stdout.readline()):
            raise SystemExit("the server did not start")
        try:
            yield line.split()[-1]
        finally:
            process.terminate()


def ask(address: str, rows: Rows, first: int, until: float) -> list[float]:
    """Search one query after the other until the time has come: the seconds of each."""
    seconds: list[float] = []
    with httpx.Client(base_url=address, timeout=60) as client:
        while (start := time.perf_counter()) < until:
            vector = rows.queries[(first + len(seconds)) % len(rows.queries)].tolist()
            answer = client.post("/v1/collections/rows/search", json={"vector": vector, "mode": "dense", "top_k": 10})
            answer.raise_for_status()
            seconds.append(time.perf_counter() - start)
    return seconds


def together(address: str, rows: Rows, clients: int, seconds: float) -> Times:
    """Let so many clients ask at once for so many seconds."""
    found: list[float] = []
    until = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=lambda n=n: found.extend(ask(address, rows, 10 * n, until))) for n in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Times(tuple(found))


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each number of clients")
    chosen = parser.parse_args()
    rows = random_rows(chosen.rows, chosen.dimension)
    print(f"{machine()}; {versions(['bedside', 'numpy', 'uvicorn'])}; {len(rows)} x {chosen.dimension}, dense, top 10")
    with workplace() as root:
        with Collection.open(root / "rows") as collection:
            collection.add(documents(rows))
        with serving(root) as address:
            together(address, rows, 1, _WARM_UP)
            for clients in chosen.clients:
                times = together(address, rows, clients, chosen.seconds)
                rate = len(times.seconds) / chosen.seconds
                print(
                    f"{clients} clients: {rate:.0f} searches a second, median {duration(times.p50)}, "
                    f"95 % within {duration(times.p95)}"
                )


if __name__ == "__main__":
    main()
