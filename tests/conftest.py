"""What all tests share: where the data lies, and that nothing but loopback is ever called."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("BEDSIDE_DATA", ROOT.parent / "shared" / "data" / "dev"))

settings.register_profile("ci", deadline=None, print_blob=True)
settings.load_profile("ci")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the retrieval sets are not at {DATA}; BEDSIDE_DATA names their folder")
    return DATA
