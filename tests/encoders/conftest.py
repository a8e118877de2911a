"""What the encoder tests share: a cache of their own, and the checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_socket import disable_socket, enable_socket

from bedside.encoders import TransformerEncoder, load_encoder
from checkpoints import make_bert_checkpoint, minilm_folder


@pytest.fixture(autouse=True, scope="session")
def bedside_cache(tmp_path_factory: pytest.TempPathFactory):
    """Converted copies go to a temporary folder, never to the user's cache; hub caches neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_CACHE", str(tmp_path_factory.mktemp("bedside-cache")))
        yield


@pytest.fixture(autouse=True)
def blocked():
    """No encoder test opens a socket, an event loop's own pair aside; those with a server ask for socket_enabled."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, in the layout in which Bio_ClinicalBERT is published."""
    return make_bert_checkpoint(tmp_path_factory.mktemp("hub") / "clinical", layers=2, spread=0.1)


@pytest.fixture(scope="session")
def bert(published: Path) -> TransformerEncoder:
    return load_encoder(published, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def minilm() -> TransformerEncoder:
    return load_encoder(minilm_folder(), device="cpu", dtype="float32")
