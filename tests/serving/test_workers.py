"""Several processes that serve one address: what one wrote the others find, and what happens when one ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from bedside import Collection
from serving_server import bearer, problem, refused_start, serving

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tells workers apart by /proc")

PLACE = "/v1/collections/guidelines"


def workers_of(client: httpx.Client) -> list[int]:
    """Return the processes that serve."""
    parent = client.process.pid  # type: ignore[attr-defined]
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def one_each(client: httpx.Client) -> Iterator[list[httpx.Client]]:
    """Yield a client for each worker, whose connection that worker took because the others stood still."""
    workers = workers_of(client)
    with ExitStack() as stack:
        clients = []
        for worker in workers:
            others = [other for other in workers if other != worker]
            for other in others:
                os.kill(other, signal.SIGSTOP)
            limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
            mine = stack.enter_context(httpx.Client(base_url=client.base_url, timeout=60, limits=limits))
            assert mine.get("/health").is_success
            clients.append(mine)
            for other in others:
                os.kill(other, signal.SIGCONT)
        yield clients


def search(client: httpx.Client, query: str) -> list[str]:
    answer = client.post(f"{PLACE}/search", json={"query": query, "mode": "sparse", "top_k": 3})
    return [hit["id"] for hit in answer.raise_for_status().json()["hits"]]


def add(client: httpx.Client, *documents: dict[str, str]) -> None:
    client.post(f"{PLACE}/add", json={"documents": documents}).raise_for_status()


def test_what_one_worker_has_acknowledged_the_next_search_of_every_other_finds(root):
    filler = "Lungs clear, heart sounds normal, abdomen soft, no oedema, alert and oriented. " * 30
    with (
        serving(root, "--encoder", "bedside/static", "--workers", 2) as client,
        one_each(client) as (one, other),
    ):
        for each in (one, other):
            assert search(each, "aspirin") == ["acs"]
        for number in range(10):
            writer, reader = (one, other) if number % 2 else (other, one)
            add(writer, {"id": f"n{number}", "text": f"Allergic to substance{number}."})
            assert search(reader, f"substance{number}") == [f"n{number}"]
        for number in range(3):  # so much that a search would not wait for it
            documents = [{"id": f"b{number}-{i}", "text": f"{filler} bulk{number}x{i}"} for i in range(400)]
            add(one, *documents)
            assert search(other, f"bulk{number}x399") == [f"b{number}-399"]
        other.post(f"{PLACE}/erase", json={"ids": ["b0-399"]}).raise_for_status()
        assert search(one, "bulk0x399") == []
        one.post(f"{PLACE}/compact").raise_for_status()
        assert search(other, "substance9") == ["n9"]


def test_a_collection_that_was_dropped_and_made_again_is_the_new_one_for_every_worker(root):
    with serving(root, "--workers", 2) as client, one_each(client) as (one, other):
        assert search(other, "aspirin") == ["acs"]
        one.delete(PLACE).raise_for_status()
        problem(other.post(f"{PLACE}/search", json={"query": "aspirin", "mode": "sparse"}), 404, "NotACollectionError")
        one.put(PLACE, json={"scope_keys": []}).raise_for_status()
        add(one, {"id": "new", "text": "Aspirin once more."})
        assert search(other, "aspirin") == ["new"]
        one.delete(PLACE).raise_for_status()
        one.put(PLACE, json={"scope_keys": ["patient_id"]}).raise_for_status()
        assert other.get(PLACE).json()["scope_keys"] == ["patient_id"]


def test_a_worker_that_dies_is_followed_by_another_and_the_log_says_so(root):
    with serving(root, "--encoder", "bedside/static", "--workers", 2) as client:
        before = workers_of(client)
        add(client, {"id": "kept", "text": "Kept whatever dies."})
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(set(workers_of(client)) - set(before)) == 1)
        assert search(client, "kept whatever")[0] == "kept"
        (new,) = set(workers_of(client)) - set(before)
        os.kill(before[1], signal.SIGSTOP)  # so that the new one answers
        with httpx.Client(base_url=client.base_url, timeout=60) as another:
            assert search(another, "kept whatever")[0] == "kept"
        os.kill(before[1], signal.SIGCONT)
    log = client.log  # type: ignore[attr-defined]
    assert f"worker {before[0]} ended by itself with status -9" in log
    assert f"worker {new} takes its place" in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_worker_and_loses_nothing_that_was_acknowledged(root, number):
    acknowledged: list[str] = []

    def write(client: httpx.Client, name: str) -> None:
        try:
            for i in range(10_000):
                add(client, {"id": f"{name}-{i}", "text": f"Note {i}."})
                acknowledged.append(f"{name}-{i}")
        except httpx.HTTPError:
            pass  # the server ended, as it was told

    with serving(root, "--encoder", "bedside/static", "--workers", 2) as client:
        workers, process = workers_of(client), client.process  # type: ignore[attr-defined]
        with one_each(client) as clients:
            threads = [
                threading.Thread(target=write, args=(each, f"w{i}"), daemon=True) for i, each in enumerate(clients)
            ]
            for thread in threads:
                thread.start()
            eventually(lambda: len(acknowledged) > 20)
            process.send_signal(number)
            for thread in threads:
                thread.join()
        process.wait(30)
        assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGTERM)
        assert not any(is_alive(worker) for worker in workers)
        process.returncode = 0  # it was looked at here
    with Collection.open(root / "guidelines", read_only=True) as guidelines:
        assert [id for id in acknowledged if id not in guidelines] == []


def test_workers_end_with_a_first_process_that_was_killed(root):
    with serving(root, "--workers", 2) as client:
        workers, process = workers_of(client), client.process  # type: ignore[attr-defined]
        process.kill()
        process.wait(30)
        eventually(lambda: not any(is_alive(worker) for worker in workers))
        process.returncode = 0


def test_what_keeps_workers_from_starting_is_said_once(root):
    assert "ward is itself a collection" in refused_start(root / "ward", "--workers", 3, "--port", 0)
    assert "tokens are needed" in refused_start(root, "--host", "::", "--workers", 2, "--port", 0)


def test_metrics_are_those_of_all_workers_together(root, tokens):
    def values(client: httpx.Client) -> dict[str, float]:
        lines = client.get("/metrics", headers=bearer("e")).raise_for_status().text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    with serving(root, "--tokens", tokens, "--workers", 2) as client, one_each(client) as clients:
        for each in clients:
            for _ in range(3):
                each.get(PLACE, headers=bearer("e")).raise_for_status()
        for each in clients:
            found = values(each)
            assert found['bedside_requests_total{operation="stats",status="200"}'] == 6
            assert found['bedside_request_seconds_count{operation="stats"}'] == 6
            assert found["process_resident_memory_bytes"] > 40e6
            eventually(lambda each=each: values(each)["bedside_collections_open"] == 2)
            assert found["bedside_reads_running"] == 0
        assert "guidelines" not in clients[0].get("/metrics", headers=bearer("e")).text


def test_a_token_that_is_taken_away_opens_nothing_at_any_worker(root, tokens):
    with serving(root, "--tokens", tokens, "--workers", 2) as client, one_each(client) as clients:
        for each in clients:
            each.get(PLACE, headers=bearer("r")).raise_for_status()
        tokens.write_text(tokens.read_text().replace("r" * 32, "s" * 32))
        for each in clients:
            eventually(lambda each=each: each.get(PLACE, headers=bearer("r")).status_code == 401)
