"""The server of the tests ends with them, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAITS = """
import time
from pathlib import Path
from engines.postgres_server import running

def test_waits():
    with running() as server:
        Path({told!r}).write_text(str(server.folder))
        time.sleep(600)
"""


def test_a_server_ends_and_its_folder_goes_when_the_pytest_that_started_it_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    (tmp_path / "test_waits.py").write_text(WAITS.format(told=str(told)))
    options = ["-q", "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider"]
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, tmp_path / "test_waits.py"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "BEDSIDE_TEST_DSN"},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: running.poll() is not None or (told.exists() and told.read_text() != ""))
        folder = Path(told.read_text())
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    wait_until(lambda: not is_running(pid) and not folder.exists())


def wait_until(reached) -> None:
    for _ in range(1_200):
        if reached():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen in two minutes")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
