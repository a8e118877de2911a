"""Encoding on several devices, here processes on the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bedside.encoders import encode_parallel, load_encoder
from bedside.errors import InvalidInputError


@pytest.fixture(autouse=True)
def allowed(socket_enabled: None) -> None:
    """Processes talk through pipes and sockets of their own."""


def test_two_processes_give_the_vectors_of_one_in_order(published: Path) -> None:
    texts = [f"Patient {i} takes aspirin{' daily' * (i % 7)}." for i in range(50)]
    encoder = load_encoder(published, device="cpu", dtype="float32").calibrate(texts, "center")
    together = encode_parallel(encoder, texts, ["cpu", "cpu"])
    np.testing.assert_allclose(together, encoder.encode_documents(texts), atol=2e-5)


def test_a_text_that_cannot_be_read_is_refused_with_its_position_before_any_process_starts(published: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"texts\[1\]: a lone surrogate"):
        encode_parallel(load_encoder(published, device="cpu"), ["fine", "\ud800"], ["cpu"])


def test_an_error_in_a_process_is_the_callers(published: Path) -> None:
    with pytest.raises(InvalidInputError, match="device='abacus'"):
        encode_parallel(load_encoder(published), ["fine"], ["abacus"])


def test_no_device_is_refused_and_no_text_is_fine(published: Path) -> None:
    encoder = load_encoder(published, device="cpu")
    for devices in ([], "cpu"):
        with pytest.raises(InvalidInputError, match="devices: expected a list"):
            encode_parallel(encoder, ["fine"], devices)
    with pytest.raises(InvalidInputError, match="got StaticEncoder"):
        encode_parallel(load_encoder("bedside/static"), ["fine"], ["cpu"])
    assert encode_parallel(encoder, [], ["cpu"]).shape == (0, 64)
