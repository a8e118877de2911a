"""Whether a test may mount a file system that nobody else sees."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from store.children import PRIVATE


def _can_mount() -> bool:
    if shutil.which(PRIVATE[0]) is None:
        return False
    trial = [*PRIVATE, f"mount -t tmpfs none '{Path(__file__).parent}'"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


mounts = pytest.mark.skipif(not _can_mount(), reason="this user may not mount a file system, not even a private one")
