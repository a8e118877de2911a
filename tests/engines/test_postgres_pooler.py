"""PostgreSQL behind PgBouncer in transaction mode: its sessions are shared, and the way to it may be encrypted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bedside import Collection, Document, engines
from bedside.bulk import bulk_load
from bedside.errors import DatabaseError, InvalidInputError
from command_line import LINES, json_lines
from engines.postgres_server import Server, free_port, unprivileged

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(
    PGBOUNCER is None or "BEDSIDE_TEST_DSN" in os.environ, reason="no pgbouncer, or not a server of our own"
)
ROOT = Path(__file__).resolve().parents[2]
SHARED = 4
"""Sessions of the server that all clients share."""


@contextmanager
def pooler(server: Server, **settings: str) -> Iterator[str]:
    """Yield the URL of a PgBouncer before a server."""
    assert PGBOUNCER is not None
    assert server.folder is not None
    port, target = free_port(), psycopg.conninfo.conninfo_to_dict(server.url)["port"]
    folder = server.folder / f"pooler-{port}"
    folder.mkdir()
    (folder / "users").write_text('"bedside" ""\n')
    lines = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": str(folder / "users"),
        "pool_mode": "transaction",
        "default_pool_size": str(SHARED),
        "max_client_conn": "200",
        **settings,
    }
    (folder / "pooler.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={target}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in lines.items())
    )
    process = subprocess.Popen(
        [*unprivileged(), PGBOUNCER, "--quiet", folder / "pooler.ini"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"postgresql://bedside@127.0.0.1:{port}/postgres"
        wait_for(port)
        yield url
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("PgBouncer does not listen")


@pytest.fixture(scope="module")
def pooled(server: Server) -> Iterator[str]:
    """The URL of the server's database through a pooler."""
    with pooler(server) as url:
        yield url


def through(url: str, place: str) -> str:
    """The URL of a collection of the server through its pooler."""
    return f"{url}?collection={place.rpartition('=')[2]}"


def test_clients_that_share_the_sessions_of_the_server_write_read_and_search_as_alone(pooled: str, postgres) -> None:
    url = through(pooled, postgres())

    def work(patient: str) -> list[list[str]]:
        with Collection.open(url, scope_keys=["patient_id"]) as ward:
            notes = ward.scoped(patient_id=patient)
            for i in range(12):
                notes.add([Document(f"Chest pain {i}.", {"i": i}, f"{patient}{i}", [i + 1, 1])])
            notes.delete([f"{patient}0"])
            notes.update([f"{patient}1"], lambda old: Document("Fever.", {"i": 1}, old.id, old.vector))
            return [
                [
                    hit.id
                    for hit in notes.search("chest pain", vector=[1, 1], mode=mode, top_k=20, filter={"i": {"$gt": 2}})
                ]
                for mode in ("dense", "sparse", "hybrid")
            ]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(work, "ABCDEFGH"))
    for patient, found in zip("ABCDEFGH", answers, strict=True):
        assert all(sorted(ids) == sorted(f"{patient}{i}" for i in range(3, 12)) for ids in found)
    with Collection.open(url) as ward:
        assert ward.verify().records == 8 * 11
        assert [count for _, count in ward.scopes()] == [11] * 8


def test_what_needs_a_session_of_its_own_leaves_none_of_its_settings_to_others_or_is_refused(
    pooled: str, postgres, tmp_path: Path
) -> None:
    place = postgres()
    (tmp_path / "notes.jsonl").write_text(json_lines(LINES))
    assert bulk_load([tmp_path / "notes.jsonl"], through(pooled, place)).documents == len(LINES)
    with Collection.open(through(pooled, place), lock_timeout=1.234) as notes:
        notes.compact()
        with pytest.raises(InvalidInputError, match=r"erase: .* through a pooler, .* a URL that leads past it"):
            notes.erase(["a"])
        assert len(notes) == len(LINES)
    with ThreadPoolExecutor(SHARED) as threads:
        assert set(threads.map(lambda _: setting(pooled), range(4 * SHARED))) == {"0"}
    with Collection.open(place) as notes:
        assert notes.erase(["a"]).ids == ("a",)
    checks = {check.what: check for check in engines.examine(through(pooled, place))}
    assert (checks["pooler"].state, checks["connection"].state) == ("note", "ok")
    assert "pooler" not in {check.what for check in engines.examine(place)}


def setting(url: str) -> str:
    with psycopg.connect(url) as connection:
        connection.execute("select pg_sleep(0.05)")
        found = connection.execute("show lock_timeout").fetchone()
    return str(found and found[0])


ERASING = "eras or emptied or leaves_the_same_ids"
"""Tests of the suite that erase, which a pooler is refused."""


@pytest.mark.slow
def test_the_conformance_suite_passes_through_a_pooler(pooled: str) -> None:
    suite = [
        ROOT / "tests" / "engines" / f"test_{name}.py"
        for name in ("scoping", "searching", "newest", "validity", "titles", "records", "copies", "copying")
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suite, "-k", f"postgres and not ({ERASING})"],
        cwd=ROOT, env={**os.environ, "BEDSIDE_TEST_DSN": pooled}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4_000:]
    assert " passed" in done.stdout


@pytest.fixture(scope="module")
def encrypted(server: Server) -> Iterator[tuple[str, Path]]:
    """The URL of the database through a pooler that takes encrypted connections alone, and its certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    assert server.folder is not None
    key, certificate = server.folder / "pooler.key", server.folder / "pooler.crt"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", key, "-out", certificate,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o644)  # of a test, to be read by the user that PgBouncer runs as
    settings = {"client_tls_sslmode": "require", "client_tls_key_file": key, "client_tls_cert_file": certificate}
    with pooler(server, **{name: str(value) for name, value in settings.items()}) as url:
        yield url.replace("127.0.0.1", "localhost"), certificate


def test_a_certificate_is_verified_as_the_url_asks(encrypted: tuple[str, Path], postgres, tmp_path: Path) -> None:
    url, certificate = encrypted
    collection = postgres().rpartition("=")[2]
    verified = f"?collection={collection}&sslmode=verify-full&sslrootcert="
    with Collection.open(f"{url}{verified}{certificate}") as notes:
        notes.add([Document("Chest pain.", {}, "a", [1, 0])])
        assert [hit.id for hit in notes.search("chest", mode="sparse")] == ["a"]
    other = tmp_path / "other.crt"
    other.write_text("")
    for wrong in (
        f"{url.replace('localhost', '127.0.0.1')}{verified}{certificate}",
        f"{url}{verified}{other}",
        f"{url}?collection={collection}&sslmode=disable",
    ):
        with pytest.raises(DatabaseError):
            Collection.open(wrong)
