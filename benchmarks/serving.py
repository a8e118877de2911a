"""Measure ``bedside serve`` while clients search, write and add in bulk: how long searches take, and what is lost.

One client asks an idle server first. Then all ask at once, some of them writing, beside one bulk add; at the end the
server gets SIGTERM while they still write, and each acknowledged document is looked for on the disk. This is measured
with clients that never pause, and with clients that pause after each answer, as people and pipelines do; each by one
process and by several workers.

::

    python benchmarks/serving.py --output
    python benchmarks/serving.py --writers 0 --bulk 0 --clients 8     # searches alone
"""

from __future__ import annotations

import argparse
import http.client
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from bedside import Collection, Document, load_encoder
from report import machine, table, today, versions, workplace, write_section
from timing import Times, duration

PLACE = "/v1/collections/notes"
BULK = 1_000
"""Documents of one bulk request."""
BULK_CHARACTERS = 3_800
"""Of each of them: a request of 3.8 MiB."""
WARM_UP = 2.0  # seconds: the server opens the collection at the first request
_BUSY = 503


class Words:
    """Texts of made-up words, as frequent as words are: few of them often, most of them seldom."""

    def __init__(self, seed: int) -> None:
        made = random.Random(1)
        self._known = ["".join(made.choices("abcdeiklmnoprstu", k=made.randint(3, 10))) for _ in range(20_000)]
        # Sums of the weights: from weights, each text would take .4 ms to choose, of the server's own processors.
        self._sums = list(accumulate(1 / rank for rank in range(1, len(self._known) + 1)))
        self._random = random.Random(seed)

    def text(self, characters: int) -> str:
        """Return a text of about so many characters."""
        return " ".join(self._random.choices(self._known, cum_weights=self._sums, k=characters // 7)) + "."


@dataclass
class Load:
    """What the clients of a run got."""

    seconds: list[float] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    turned_away: int = 0
    ending: threading.Event = field(default_factory=threading.Event)
    errors: Counter[str] = field(default_factory=Counter)
    bulk_seconds: float = 0.0
    written: int = 0


class Client:
    """One connection that is kept.

    Args:
        address: Of the server.
        load: Takes what happens.
    """

    def __init__(self, address: str, load: Load) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
        self._load = load

    def post(self, verb: str, body: Any) -> bool:
        """Ask until the server has room for it; returns whether it was answered. What else happens is an error."""
        content = orjson.dumps(body)
        while True:
            self._connection.request("POST", f"{PLACE}/{verb}", content, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            said = answer.read()
            if answer.status != _BUSY:
                break
            self._load.turned_away += 1
            time.sleep(float(answer.headers["Retry-After"]))
        if answer.status != 200 and not self._load.ending.is_set():
            self._load.errors[f"{verb} {answer.status} {said[:200].decode()}"] += 1
        return answer.status == 200


def search(address: str, load: Load, seed: int, pause: float, going: Callable[[], bool]) -> None:
    """Search one query after the other, so many seconds after each answer."""
    client, words = Client(address, load), Words(seed)
    while going():
        start = time.perf_counter()
        if client.post("search", {"query": words.text(40), "top_k": 10}):
            load.seconds.append(time.perf_counter() - start)
        time.sleep(pause)


def write(address: str, load: Load, seed: int, pause: float, going: Callable[[], bool]) -> None:
    """Add one document after the other, so many seconds after each answer."""
    client, words, number = Client(address, load), Words(seed), 0
    while going():
        id = f"single-{seed}-{number}"
        if client.post("add", {"documents": [{"id": id, "text": words.text(500)}]}):
            load.acknowledged.add(id)
            load.written += 1
        number += 1
        time.sleep(pause)


def add_in_bulk(address: str, load: Load, requests: int, going: Callable[[], bool]) -> None:
    """Add so many large requests, one after the other."""
    client, words, start = Client(address, load), Words(0), time.perf_counter()
    texts = [words.text(BULK_CHARACTERS) for _ in range(BULK)]
    for request in range(requests):
        if not going():
            return
        documents = [{"id": f"bulk-{request}-{i}", "text": f"{request} {text}"} for i, text in enumerate(texts)]
        if client.post("add", {"documents": documents}):
            load.acknowledged.update(str(document["id"]) for document in documents)
            load.bulk_seconds = time.perf_counter() - start


def _until_the_end(work: Callable[..., None], load: Load) -> Callable[..., None]:
    """Return the work of a thread: an error is counted, but not that the server goes away once it was told to."""

    def run(*arguments: Any) -> None:
        try:
            work(*arguments)
        except (OSError, http.client.HTTPException) as error:
            if not load.ending.is_set():
                load.errors[f"{work.__name__} {type(error).__name__}"] += 1

    return run


class Server:
    """A running ``bedside serve``."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def memory(self) -> float:
        """Return the resident MiB of its process and its workers."""
        first = str(self.process.pid)
        workers = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return sum(_resident(process) for process in [first, *workers])

    def end(self) -> tuple[int, float]:
        """Send SIGTERM; returns the exit status and the seconds until it had ended."""
        start = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120), time.perf_counter() - start


def _resident(process: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextmanager
def serving(root: Path, workers: int) -> Iterator[Server]:
    """Start the server on a folder of collections, and stop it where it still runs."""
    options = ["--port", "0", "--encoder", "bedside/static", "--workers", str(workers)]
    command = [sys.executable, "-m", "bedside.cli", "serve", str(root), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603 - our own
        if process.stdout is None or not (line := process.stdout.readline()):
            raise SystemExit("the server did not start")
        try:
            yield Server(process, line.split()[-1])
        finally:
            process.kill()


@dataclass(frozen=True)
class Found:
    """What a run found."""

    idle: Times
    load: Load
    seconds: float
    memory: tuple[float, float]
    ended: tuple[int, float]
    lost: int

    @property
    def goal(self) -> float:
        """What the 95th percentile may be: three times the median of an idle server and 50 ms."""
        return 3 * self.idle.p50 + 0.05


def run(
    root: Path, *, rows: int, clients: int, writers: int, bulk: int, seconds: float, pause: float, workers: int
) -> Found:
    """Measure a server on a new collection."""
    words = Words(2)
    with Collection.open(root / "notes", encoder=load_encoder("bedside/static")) as notes:
        notes.add(Document(words.text(500), id=f"row-{i}") for i in range(rows))
    load, idle = Load(), Load()
    with serving(root, workers) as server:
        for kept, last in ((Load(), WARM_UP), (idle, max(2.0, seconds / 6))):
            until = time.perf_counter() + last
            search(server.address, kept, 1, 0.0, lambda until=until: time.perf_counter() < until)  # type: ignore[misc]
        before, until = server.memory(), time.perf_counter() + seconds

        def searching() -> bool:
            return time.perf_counter() < until

        def always() -> bool:
            return True

        work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (search, (server.address, load, n, pause, searching)) for n in range(clients - writers - bool(bulk))
        ]
        work += [(write, (server.address, load, 100 + n, pause, always)) for n in range(writers)]
        work += [(add_in_bulk, (server.address, load, bulk, always))] * bool(bulk)
        threads = [threading.Thread(target=_until_the_end(each, load), args=given) for each, given in work]
        for thread in threads:
            thread.start()
        time.sleep(max(0.0, until - time.perf_counter()))
        after = server.memory()
        load.ending.set()
        ended = server.end()
        for thread in threads:
            thread.join()
    with Collection.open(root / "notes", read_only=True) as notes:
        lost = sum(id not in notes for id in load.acknowledged)
    return Found(Times(tuple(idle.seconds)), load, seconds, (before, after), ended, lost)


def report(found: dict[str, Found]) -> str:
    """Lay out what was found, a column each."""
    columns = [_figures(each) for each in found.values()]
    rows = [(parts[0][0], *(figure for _, figure in parts)) for parts in zip(*columns, strict=True)]
    return table(("", *found), rows)


def _figures(found: Found) -> list[tuple[str, str]]:
    load, times = found.load, Times(tuple(found.load.seconds))
    held = "held" if times.p95 <= found.goal else "missed"
    bulk = len(load.acknowledged) - load.written
    return [
        ("idle server, one client: search, median", duration(found.idle.p50)),
        ("all clients: search, median", duration(times.p50)),
        ("all clients: search, 95 % within", duration(times.p95)),
        ("goal: 3 x idle median + 50 ms", f"{duration(found.goal)} ({held})"),
        ("searches a second", f"{len(times.seconds) / found.seconds:.0f}"),
        ("single adds a second", f"{load.written / found.seconds:.1f}"),
        ("documents added in bulk", f"{bulk:,} in {duration(load.bulk_seconds)}"),
        ("turned away with Retry-After, then repeated", str(load.turned_away)),
        ("errors", str(load.errors.total())),
        ("acknowledged documents that were lost", f"{found.lost} of {len(load.acknowledged):,}"),
        ("memory before and after", f"{found.memory[0]:.0f} and {found.memory[1]:.0f} MiB"),
        ("SIGTERM while clients write: exit status, seconds", f"{found.ended[0]}, {duration(found.ended[1])}"),
    ]


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="documents that are there before")
    parser.add_argument("--clients", type=int, default=16, help="all of them together")
    parser.add_argument("--writers", type=int, default=4, help="clients that add one document after the other")
    parser.add_argument("--bulk", type=int, default=20, help="requests of 1,000 documents of 3,800 characters")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=0.5, help="of the second run's clients after each answer")
    parser.add_argument("--workers", type=int, default=2, help="of the server that is compared with one process")
    parser.add_argument("--output", action="store_true", help="write the section of docs/benchmarks.md")
    chosen = parser.parse_args()
    setting = {name: getattr(chosen, name) for name in ("rows", "clients", "writers", "bulk", "seconds")}
    found: dict[str, Found] = {}
    for pause, paced in ((0.0, "never pause"), (chosen.pause, f"pause {chosen.pause:g} s")):
        for workers, served in ((1, "one process"), (chosen.workers, f"{chosen.workers} workers")):
            with workplace() as root:
                found[f"{paced}, {served}"] = run(root, **setting, pause=pause, workers=workers)
    said_of = report(found)
    print(said_of)
    for error, times in sum((each.load.errors for each in found.values()), Counter[str]()).items():
        print(f"{times} x {error}")
    if chosen.output:
        said = (
            f"{today()}; {machine()}; {versions(['bedside', 'numpy', 'uvicorn'])}. {chosen.rows:,} documents of 500 "
            f"characters, static encoder, hybrid search, top 10. For {chosen.seconds:.0f} seconds, {chosen.clients} "
            f"clients: {chosen.writers} add one document after the other, one adds {chosen.bulk} requests of {BULK:,} "
            f"documents of {BULK_CHARACTERS:,} characters, the others search, without a pause or with one after each "
            "answer. Clients and server share the machine."
        )
        write_section("serving", f"{said}\n\n{said_of}")


if __name__ == "__main__":
    main()
