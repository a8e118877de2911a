"""``bedside`` as a process, and documents to give it."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
from functools import partial

import pytest

NOT_IGNORED = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
"""Runs before a command that is to be interrupted: nohup and ``&`` leave SIGINT ignored."""

LINES = [
    {"text": "Chest pain on exertion.", "metadata": {"section": "HPI"}, "id": "a", "vector": [1, 0, 0.2]},
    {"text": "Denies chest pain.", "metadata": {"section": "ROS"}, "id": "b", "vector": [0.8, 0.6, 7.038531e-26]},
    {"text": "HbA1c 8.2 %.", "metadata": {"section": "LABS"}, "id": "c", "vector": [0, 0.1, 1]},
]


def bedside(*arguments, stdin="", code=0, environment=None):
    """Run one command, check its exit code, and return what it printed: standard output, or else standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "bedside.cli", *map(str, arguments)],
        input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=60,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.startswith("bedside: ")
        assert done.stderr.count("\n") == 1
    return done.stderr if code else done.stdout


def json_lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def on_terminal(*arguments, columns=80, **environment):
    """Run one command on a terminal of its own, and return what it showed, bold or not."""
    pty = pytest.importorskip("pty")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    shown, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))  # tqdm does not ask COLUMNS
    process = subprocess.Popen(
        [sys.executable, "-m", "bedside.cli", *map(str, arguments)],
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **environment},
    )  # fmt: skip
    os.close(terminal)
    said = b""
    try:
        while part := os.read(shown, 65536):
            said += part
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(shown)
    assert process.wait(60) == 0, said
    return re.sub(r"\x1b\[[01]m", "", said.decode())
