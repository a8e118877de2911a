"""Many writers that are killed, and servers that are restarted or lost: what was acknowledged is there."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import psycopg
import pytest

from bedside import Collection, Document
from bedside.engines.postgres.url import parse
from bedside.errors import DatabaseError
from engines import crash_writer, postgres_server
from engines.crash_writer import State
from engines.postgres_server import Server

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["engines.crash_writer", "bedside.engines.postgres.opening"])


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that the test may stop."""
    if "BEDSIDE_TEST_DSN" in os.environ:
        pytest.skip("a site's server is not restarted")
    with postgres_server.running() as server:
        yield server


class Writers:
    """Writers of one patient each, at work until they are killed; each then goes on where the killed one stood."""

    def __init__(self, url: str, folder: Path, patients: str) -> None:
        self.url, self.folder = url, folder
        self.state: dict[str, State] = {patient: {} for patient in patients}
        self.calls = 0
        self._runs = 0
        self._running: dict[str, tuple[BaseProcess, str, Path]] = {}
        for patient in patients:
            self.start(patient)

    def start(self, patient: str) -> None:
        self._runs += 1
        seed, file = f"{patient} {self._runs}", self.folder / str(self._runs)
        process = PROCESSES.Process(target=crash_writer.write, args=(self.url, patient, seed, file))
        process.start()
        self._running[patient] = process, seed, file

    def acknowledged(self, patient: str) -> int:
        file = self._running[patient][2]
        return file.stat().st_size if file.exists() else 0

    def check(self, patient: str, notes: Collection) -> None:
        """Kill a writer; its acknowledged calls must be there, and the last one wholly or not at all."""
        process, seed, file = self._running.pop(patient)
        process.kill()
        process.join()
        gone(self.url, patient)
        acknowledged = file.stat().st_size if file.exists() else 0
        found = {str(d.id): d.text for d in notes.scoped(patient=patient).get(filter={})}
        assert found in crash_writer.states(self.state[patient], seed, acknowledged), (patient, seed, acknowledged)
        self.state[patient] = found
        self.calls += acknowledged


def gone(url: str, patient: str) -> None:
    """Wait until the server has ended what a killed client had asked of it."""
    with psycopg.connect(parse(url).conninfo, autocommit=True) as connection:
        ask = "select count(*) from pg_stat_activity where application_name = %s"
        while connection.execute(ask, (f"writer-{patient}",)).fetchone() != (0,):
            time.sleep(0.01)


@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3_000)])])
def test_killed_writers_leave_what_was_acknowledged_and_the_rest_wholly_or_not_at_all(
    postgres: Callable[[], str], tmp_path: Path, kills: int
) -> None:
    draw, url = Random(kills), postgres()
    with Collection.open(url, scope_keys=["patient"]) as notes:
        writers = Writers(url, tmp_path, "ABCD")
        for _ in range(kills):
            patient, wanted = draw.choice("ABCD"), draw.randrange(1, 30)
            while writers.acknowledged(patient) < wanted:
                time.sleep(0.002)
            time.sleep(draw.random() * 0.02)
            writers.check(patient, notes)
            writers.start(patient)
        for patient in "ABCD":
            writers.check(patient, notes)
        assert writers.calls > kills
        assert notes.verify().records == sum(map(len, writers.state.values()))


@pytest.mark.parametrize("restarts", [2, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(3_000)])])
def test_a_server_that_is_restarted_fast_or_at_once_keeps_what_was_acknowledged(
    own_server: Server, tmp_path: Path, restarts: int
) -> None:
    url, port = own_server.place("c"), parse(own_server.url).conninfo.partition("port=")[2].split()[0]
    assert own_server.folder
    with Collection.open(url, scope_keys=["patient"]) as notes:
        writers = Writers(url, tmp_path, "AB")
        for i in range(restarts):
            while min(map(writers.acknowledged, "AB")) < 10:
                time.sleep(0.01)
            postgres_server.stop(own_server.folder, signal.SIGQUIT if i % 2 else signal.SIGINT)
            postgres_server.start(own_server.folder, int(port))
            for patient in "AB":
                writers.check(patient, notes)
                writers.start(patient)
        for patient in "AB":
            writers.check(patient, notes)
        assert notes.verify().records == sum(map(len, writers.state.values()))


def test_an_idle_collection_reads_and_writes_after_a_restart_without_an_error(own_server: Server) -> None:
    assert own_server.folder
    with Collection.open(own_server.place("c")) as notes:
        notes.add([Document("before", {}, "a", [1, 2])])
        port = int(parse(own_server.url).conninfo.partition("port=")[2].split()[0])
        for how in (signal.SIGINT, signal.SIGQUIT):
            postgres_server.stop(own_server.folder, how)
            postgres_server.start(own_server.folder, port)
            assert notes.add([Document("after", {}, str(how), [1, 2])]) == [str(how)]
        assert notes.count() == 3


@pytest.mark.parametrize(
    ("writers", "times"), [(4, 20), pytest.param(8, 250, marks=[pytest.mark.slow, pytest.mark.timeout(3_000)])]
)
def test_many_writers_of_the_same_ids_meet_no_error_and_lose_nothing(
    postgres: Callable[[], str], writers: int, times: int
) -> None:
    url = postgres()
    with Collection.open(url, scope_keys=["patient"]) as notes:
        started = [
            PROCESSES.Process(target=crash_writer.upsert, args=(url, number, times)) for number in range(writers)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join()
        assert [process.exitcode for process in started] == [0] * writers
        own = {f"own-{number}-{i}" for number in range(writers) for i in range(times)}
        there = {d.id: d.text for d in notes.scoped(patient="all").get(filter={})}
        assert set(there) == own | set(crash_writer.IDS)
        last = {f"{number} {i}" for number in range(writers) for i in range(times)}
        assert {text for id, text in there.items() if id not in own} <= last
        notes.verify()


def test_a_statement_that_takes_too_long_is_stopped_by_the_servers_timeout_and_named(
    postgres: Callable[[], str],
) -> None:
    url = postgres()
    with Collection.open(url) as notes:
        notes.add([Document("cough", {}, "a", [1, 2])])
        with (
            psycopg.connect(parse(url).conninfo) as other,
            Collection.open(f"{url}&options=-c%20statement_timeout%3D200") as hurried,
        ):
            other.execute(f'lock table "{parse(url).schema}".doc'.encode())
            with pytest.raises(DatabaseError, match="statement_timeout"):
                hurried.count()
        assert hurried.closed
        assert notes.count() == 1


@pytest.mark.slow
def test_a_synchronous_standby_that_is_promoted_has_all_that_was_acknowledged(
    own_server: Server, tmp_path: Path
) -> None:
    assert own_server.folder
    with postgres_server.standby_of(own_server) as standby:
        assert standby.folder
        both = f"{own_server.url.rpartition('/')[0]},{standby.url.partition('@')[2]}?target_session_attrs=read-write"
        url = f"{both}&collection=c"
        with Collection.open(url, scope_keys=["patient"]) as notes:
            files = [tmp_path / str(number) for number in range(4)]
            writers = [
                PROCESSES.Process(target=crash_writer.keep_adding, args=(url, number, file))
                for number, file in enumerate(files)
            ]
            for process in writers:
                process.start()
            deadline = time.monotonic() + 120
            while sum(file.stat().st_size for file in files if file.exists()) < 1_000 and time.monotonic() < deadline:
                time.sleep(0.01)
            postgres_server.kill(own_server.folder)
            acknowledged = [file.stat().st_size for file in files]
            postgres_server.promote(standby.folder)
            while any(file.stat().st_size < count + 10 for file, count in zip(files, acknowledged, strict=True)):
                time.sleep(0.01)
            for process in writers:
                process.kill()
                process.join()
            for number, file in enumerate(files):
                there = {d.id for d in notes.scoped(patient=str(number)).get(filter={})}
                assert {f"d{i}" for i in range(file.stat().st_size)} <= there
            assert min(acknowledged) > 0
            notes.verify()
