"""Real servers: processes of the command line, on the loopback, that end with their tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from command_line import NOT_IGNORED

TOKENS = [
    {"name": "everything", "token": "e" * 32},
    {"name": "reader", "token": "r" * 32, "read_only": True},
    {"name": "ward alone", "token": "w" * 32, "collections": ["ward"]},
    {"name": "patient A", "token": "a" * 32, "scope": {"patient_id": "A"}},
]


def bearer(letter: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {letter * 32}"}


def problem(response: httpx.Response, status: int, title: str) -> str:
    """Check that a response is this error, and return what it says."""
    assert response.status_code == status, response.text
    body = response.json()
    assert (body["title"], body["status"]) == (title, status)
    return str(body["detail"])


@contextmanager
def serving(root: Path, *options: object) -> Iterator[httpx.Client]:
    """Start ``bedside serve``, and stop it as an operator would."""
    command = [sys.executable, "-m", "bedside.cli", "serve", str(root), "--port", "0", *map(str, options)]
    environment = {name: value for name, value in os.environ.items() if name != "BEDSIDE_TOKEN"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, encoding="utf-8",
        preexec_fn=None if sys.platform == "win32" else NOT_IGNORED,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    with httpx.Client(base_url=line.split()[-1], timeout=60) as client:
        client.process = process  # type: ignore[attr-defined]
        try:
            yield client
        finally:
            process.send_signal(signal.SIGTERM)
            _, client.log = process.communicate(timeout=60)  # type: ignore[attr-defined]
    assert process.returncode in (0, -signal.SIGTERM), client.log  # type: ignore[attr-defined]


def refused_start(*arguments: object) -> str:
    """Return the one line of a server that does not start."""
    command = [sys.executable, "-m", "bedside.cli", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line
