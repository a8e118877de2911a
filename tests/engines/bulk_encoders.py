"""An encoder for the workers of bulk loads, which other processes must be able to import."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Letters:
    """Makes directions of counts of letters; with ``flag``, the first process that sees the word KILL is killed, once.

    Attributes:
        flag: A file that says that it has happened.
    """

    flag: str | None = None
    name: str = "letters"
    fingerprint: str = "letters-1"
    dimension: int = 4

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        if self.flag is not None and any("KILL" in text for text in texts) and not Path(self.flag).exists():
            Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        counts = np.array([[text.count(letter) for letter in "aeio"] for text in texts], np.float32).reshape(-1, 4)
        return np.cos(counts + np.arange(4, dtype=np.float32))  # all directions, and never zero in each

    encode_queries = encode_documents
