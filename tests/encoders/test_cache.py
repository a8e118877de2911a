"""The vector cache: nothing is encoded twice, nothing is mixed up, nothing readable is kept."""

from __future__ import annotations

import itertools
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bedside.encoders import CachedEncoder, PairedEncoder, TransformerEncoder, VectorCache, load_encoder
from bedside.errors import InvalidInputError, InvalidModelError, LockTimeoutError, TextTooLongError, TracesRemainError
from forks import child_does


class Counting:
    """An encoder that remembers what it was asked."""

    name, dimension, fingerprint = "counting", 2, "c"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(t), hash(t) % 97] for t in texts], dtype=np.float32).reshape(-1, 2)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return -self.encode_documents(texts)


@pytest.fixture
def cached(tmp_path: Path) -> CachedEncoder:
    return CachedEncoder(Counting(), VectorCache(tmp_path / "vectors"))


def test_unchanged_text_is_encoded_once_whatever_the_order(cached: CachedEncoder) -> None:
    first = cached.encode_documents(["a", "bb", "a"])
    again = cached.encode_documents(["bb", "ccc", "a"])
    assert cached.encoder.asked == ["a", "bb", "ccc"]
    np.testing.assert_array_equal(first[[1, 0]], again[[0, 2]])
    assert (first.dtype, cached.encode_documents([]).shape) == (np.float32, (0, 2))


def test_a_refused_text_is_named_by_its_position_among_all_texts_and_not_among_those_not_cached(
    published: Path, tmp_path: Path
) -> None:
    encoder = load_encoder(published, cache=tmp_path / "a")
    encoder.encode_documents(["pain", "fever"])
    with pytest.raises(InvalidInputError, match=r"texts\[2\]: a lone surrogate"):
        encoder.encode_documents(["pain", "fever", "\ud800"])
    strict = load_encoder(published, cache=tmp_path / "b", overflow="error", max_length=10)
    strict.encode_documents(["pain"])
    with pytest.raises(TextTooLongError, match=r"texts\[1\] has 20 tokens"):
        strict.encode_documents(["pain", "pain " * 20])


def test_a_run_that_is_interrupted_keeps_the_portions_that_were_encoded(
    cached: CachedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside.encoders.cache._PORTION", 2)
    plain = cached.encoder.encode_documents

    def until_interrupted(texts: Sequence[str]) -> np.ndarray:
        if "stop" in texts:
            raise KeyboardInterrupt
        return plain(texts)

    monkeypatch.setattr(cached.encoder, "encode_documents", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached.encode_documents(["a", "bb", "stop", "ccc", "dd"])
    monkeypatch.setattr(cached.encoder, "encode_documents", plain)
    cached.encoder.asked.clear()
    vectors = cached.encode_documents(["a", "bb", "stop", "ccc", "dd"])
    assert cached.encoder.asked == ["stop", "ccc", "dd"]
    np.testing.assert_array_equal(vectors[:, 0], [1, 2, 4, 3, 2])


def test_queries_and_documents_are_kept_apart(cached: CachedEncoder) -> None:
    np.testing.assert_array_equal(cached.encode_queries(["a"]), -cached.encode_documents(["a"]))


def test_a_transformer_with_a_cache_gives_the_same_bits_without_its_weights(published: Path, tmp_path: Path) -> None:
    encoder = load_encoder(published, cache=tmp_path)
    expected = encoder.encode_documents(["pain", "fever"])
    again = load_encoder(published, cache=tmp_path)
    np.testing.assert_array_equal(again.encode_documents(["fever", "pain"]), expected[::-1])
    assert again._parts.backend is None
    np.testing.assert_array_equal(load_encoder(published).encode_documents(["pain", "fever"]), expected)


def test_another_setting_or_calibration_never_meets_the_vectors_of_the_first(published: Path, tmp_path: Path) -> None:
    texts = ["pain", "fever", "gout"]
    plain = load_encoder(published, cache=tmp_path)
    others = [
        load_encoder(published, cache=tmp_path, pooling="cls"),
        load_encoder(published, cache=tmp_path, document_prompt="d "),
        plain.calibrate(texts, "center"),
    ]
    expected = plain.encode_documents(texts)
    for other in others:
        assert abs(other.encode_documents(texts) - expected).max() > 1e-3
    asked = load_encoder(published, cache=tmp_path, query_prompt="q ")
    assert abs(asked.encode_queries(texts) - asked.encode_documents(texts)).max() > 1e-3


def test_true_keeps_vectors_in_the_users_cache_folder(published: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path))
    load_encoder(published, cache=True).encode_documents(["pain"])
    assert len(VectorCache(tmp_path / "vectors")) == 1


def test_processes_share_a_cache(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from bedside.encoders import VectorCache\n"
        "texts = [f'text {i}' for i in range(200)]\n"
        "VectorCache(sys.argv[1]).through('m', texts, lambda t: np.ones((len(t), 3), np.float32))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len(VectorCache(tmp_path)) == 200


def test_threads_share_a_cache(cached: CachedEncoder) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: cached.encode_documents([f"t{i % 5}"])[0].tolist(), range(40)))
    assert all(result == results[i % 5] for i, result in enumerate(results))


def test_the_cache_stays_within_its_bound_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, max_bytes=100 * 12)
    asked: list[str] = []

    def encode(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return np.ones((len(texts), 3), np.float32)

    for i in range(0, 300, 10):
        cache.through("m", [f"{j}" for j in range(i, i + 10)] + ["often"], encode)
        assert len(cache) <= 100
    assert asked.count("often") == 1
    cache.clear()
    assert len(cache) == 0


def steps_of_one_more_text(cache: VectorCache, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many steps of SQLite's machine it takes to look for one new text, and to keep it."""
    steps = [0]
    connect = sqlite3.connect

    def counting(*args: object, **options: object) -> sqlite3.Connection:
        database = connect(*args, **options)
        database.set_progress_handler(lambda: steps.append(1), 1)
        return database

    with monkeypatch.context() as patched:
        patched.setattr("sqlite3.connect", counting)
        cache.through("m", [f"new beside {len(cache)}"], lambda texts: np.ones((len(texts), 3), np.float32))
    return len(steps)


def test_keeping_a_text_costs_the_same_beside_few_vectors_and_beside_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = []
    for count in (20, 4_000):
        cache = VectorCache(tmp_path / str(count))
        cache.through("m", [f"{i}" for i in range(count)], lambda texts: np.ones((len(texts), 3), np.float32))
        costs.append(steps_of_one_more_text(cache, monkeypatch))
    assert costs[1] < 2 * costs[0]


def test_a_cache_that_another_process_writes_to_is_waited_for_and_not_to_be_deleted(
    cached: CachedEncoder, tmp_path: Path
) -> None:
    cache = VectorCache(cached.cache.folder, timeout=0.05)
    database = sqlite3.connect(cache.folder / "vectors.sqlite", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockTimeoutError, match=r"in use by another process for 0\.05 s; try again$") as caught:
        CachedEncoder(Counting(), cache).encode_documents(["a"])
    assert "delete" not in str(caught.value)
    database.execute("ROLLBACK")
    database.close()
    assert len(CachedEncoder(Counting(), cache).encode_documents(["a"])) == 1


def bytes_of(cache: VectorCache) -> bytes:
    return b"".join(path.read_bytes() for path in cache.folder.iterdir())


def test_a_forgotten_text_leaves_no_vector_of_any_encoder_in_any_file(published: Path, tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "vectors")
    encoder = load_encoder(published, cache=cache, query_prompt="q ")
    other = CachedEncoder(Counting(), cache)
    kept = encoder.encode_documents(["fever", "gout", "ankle"])
    gone = [encoder.encode_documents(["pain"]), encoder.encode_queries(["pain"]), other.encode_documents(["pain"])]
    assert all(vector.tobytes() in bytes_of(cache) for vector in gone)
    assert encoder.forget(["pain", "never seen"]) == 3
    assert not any(vector.tobytes() in bytes_of(cache) for vector in gone)
    assert all(vector.tobytes() in bytes_of(cache) for vector in kept)
    assert len(cache) == 3
    assert encoder.forget([]) == encoder.forget(["pain"]) == load_encoder(published).forget(["pain"]) == 0


def test_what_made_room_is_overwritten_too(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, max_bytes=400 * 100)
    rows = {f"{i}": np.random.default_rng(i).random((1, 100), np.float32) for i in range(200)}
    for text in rows:
        cache.through("m", [text], lambda texts: rows[texts[0]])
    cache.forget(["199"])
    held = bytes_of(cache)
    assert sum(row.tobytes() in held for row in rows.values()) == len(cache) <= 100


def test_traces_that_a_reader_keeps_are_not_hidden(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, timeout=0.05)
    cache.through("m", ["pain"], lambda texts: np.ones((len(texts), 3), np.float32))
    reader = sqlite3.connect(tmp_path / "vectors.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM vectors").fetchone()
    with pytest.raises(TracesRemainError, match="forget the same texts again"):
        cache.forget(["pain"])
    reader.close()
    assert cache.forget(["pain"]) == 0
    assert np.ones(3, np.float32).tobytes() not in bytes_of(cache)


def test_a_cache_of_the_first_layout_whose_texts_cannot_be_told_apart_starts_empty(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "vectors.sqlite")
    database.execute("CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB, used REAL) WITHOUT ROWID")
    database.execute("INSERT INTO vectors VALUES (?, ?, 0.0)", (b"k" * 32, b"an old vector"))
    database.commit()
    database.close()
    cache = VectorCache(tmp_path)
    assert len(cache) == 0
    assert b"an old vector" not in bytes_of(cache)


def test_a_pair_forgets_in_the_caches_of_both(tmp_path: Path) -> None:
    caches = [VectorCache(tmp_path / name) for name in ("queries", "documents")]
    pair = PairedEncoder(*[CachedEncoder(Counting(), cache) for cache in caches])
    pair.encode_documents(["a"])
    pair.encode_queries(["a"])
    assert pair.forget(["a"]) == 2
    assert list(map(len, caches)) == [0, 0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_fork_beside_threads_that_use_the_cache_uses_it_too(cached: CachedEncoder) -> None:
    stop = threading.Event()

    def work(name: int) -> None:
        for i in itertools.count():
            if stop.is_set():
                return
            cached.encode_documents([f"{name}/{i % 50}"])

    threads = [threading.Thread(target=work, args=[name]) for name in range(2)]
    for thread in threads:
        thread.start()
    try:
        for i in range(10):
            assert child_does(lambda i=i: cached.encode_documents([f"child {i}", "0/1"]).shape == (2, 2))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(cached.encode_documents(["child 9"])) == 1


def test_no_text_is_kept_and_the_files_are_the_users_alone(cached: CachedEncoder) -> None:
    cached.encode_documents(["a very secret note"])
    for path in cached.cache.folder.rglob("*"):
        assert b"secret" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cached.cache.folder.stat().st_mode) == 0o700


def test_a_cached_encoder_is_the_inner_one_for_every_other_attribute_and_pickles(
    minilm: TransformerEncoder, tmp_path: Path
) -> None:
    cached = CachedEncoder(minilm, VectorCache(tmp_path))
    assert (cached.name, cached.dimension, cached.fingerprint) == (minilm.name, 384, minilm.fingerprint)
    assert cached.count_tokens(["pain"]) == [3]
    again = pickle.loads(pickle.dumps(cached))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.encode_queries(["pain"]), cached.encode_queries(["pain"]))


def test_an_encoder_without_a_fingerprint_is_refused(tmp_path: Path) -> None:
    nameless = Counting()
    nameless.fingerprint = None
    with pytest.raises(InvalidInputError, match="fingerprint"):
        CachedEncoder(nameless, VectorCache(tmp_path))


def test_a_file_that_is_not_a_cache_and_a_size_that_is_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vectors.sqlite").write_text("something else, long enough to be looked at")
    with pytest.raises(InvalidModelError, match=r"vectors\.sqlite"):
        VectorCache(tmp_path)
    with pytest.raises(InvalidInputError, match="max_bytes=0"):
        VectorCache(tmp_path, max_bytes=0)
    with pytest.raises(InvalidInputError, match="timeout=0"):
        VectorCache(tmp_path, timeout=0)
    with pytest.raises(InvalidModelError, match="cannot be written"):
        VectorCache(os.devnull)
