"""``python postgres_guard.py FOLDER PARENT``: stops the server in a folder once the process that started it is gone.

A killed process stops nothing itself. Its tests' server would go on, and its folder would stay.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from postgres_server import stop


def main(folder: Path, parent: int) -> None:
    """Wait for the parent's end, which makes this process another's child."""
    while os.getppid() == parent:
        time.sleep(0.5)
    stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
