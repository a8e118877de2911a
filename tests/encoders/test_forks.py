"""A child that is forked while a thread of the parent is in the middle of something does the same thing itself."""

from __future__ import annotations

import csv
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import load_encoder
from bedside.encoders import RemoteEncoder, TransformerEncoder, raw
from bedside.errors import BedsideWarning
from bedside.serving.service import Service
from bedside.support.csv_rows import csv_rows
from bedside.text.tokenizer import ClinicalTokenizer
from forks import child_does

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")


@contextmanager
def a_thread_in(entered: Callable[[threading.Event, threading.Event], object]) -> Iterator[None]:
    """Fork inside of this block while a thread is in the middle of ``entered``, which is told when to go on."""
    there, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=entered, args=[there, go_on])
    thread.start()
    assert there.wait(60)
    try:
        yield
    finally:
        go_on.set()
        thread.join()


def holding(lock: Any) -> Callable[[threading.Event, threading.Event], None]:
    def hold(there: threading.Event, go_on: threading.Event) -> None:
        with lock:
            there.set()
            go_on.wait(60)

    return hold


def test_the_static_encoder_encodes() -> None:
    encoder = load_encoder("bedside/static")
    expected = encoder.encode_documents(["chest pain"])
    with a_thread_in(holding(encoder._lock)):
        assert child_does(lambda: np.array_equal(encoder.encode_documents(["chest pain"]), expected))


def test_a_bar_that_a_thread_shows_stops_no_child() -> None:
    from tqdm import tqdm

    encoder = load_encoder("bedside/static")
    with a_thread_in(holding(tqdm.get_lock())):
        assert child_does(lambda: encoder.encode_documents(["chest pain"]).shape == (1, 256))


def test_the_tokenizer_of_bm25_stems() -> None:
    tokenizer = ClinicalTokenizer()
    with a_thread_in(holding(tokenizer._lock)):
        assert child_does(lambda: tokenizer.tokenize("denies") == ["deni"])


def test_a_transformer_that_a_thread_is_loading_cuts_texts_into_tokens(published: Path) -> None:
    encoder = load_encoder(published)
    assert isinstance(encoder, TransformerEncoder)
    with a_thread_in(holding(encoder._parts.lock)):
        assert child_does(lambda: encoder.count_tokens(["pain"]) == [3])


def test_a_remote_encoder_shares_no_connection() -> None:
    encoder = RemoteEncoder("m", base_url="http://127.0.0.1:9/v1", api_key="k")
    parents = encoder._connection()
    with a_thread_in(holding(encoder._lock)):
        assert child_does(lambda: encoder._connection() is not parents)
    assert encoder._connection() is parents


def test_a_raw_model_is_warned_of(tmp_path: Path) -> None:
    def warned() -> bool:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            raw.warn_if_raw(tmp_path, "never seen before")
        return not [warning for warning in said if issubclass(warning.category, BedsideWarning)]

    with a_thread_in(holding(raw._lock)):
        assert child_does(warned)


def test_a_service_opens_a_collection(tmp_path: Path) -> None:
    service = Service(tmp_path)
    door = service.shelf.door("ward")
    with a_thread_in(holding(service.shelf._lock)), a_thread_in(holding(door)):
        assert child_does(lambda: service.shelf.door("ward") is not door)


def test_rows_of_csv_are_read_and_the_programs_own_limit_is_back() -> None:
    limit = csv.field_size_limit()

    def read_a_slow_file(there: threading.Event, go_on: threading.Event) -> None:
        def lines() -> Iterator[str]:
            there.set()
            go_on.wait(60)
            yield "a,b"

        assert list(csv_rows(lines())) == [(1, ["a", "b"])]

    with a_thread_in(read_a_slow_file):
        assert child_does(lambda: csv.field_size_limit() == limit and list(csv_rows(["c"])) == [(1, ["c"])])
        assert csv.field_size_limit() > limit
    assert csv.field_size_limit() == limit
