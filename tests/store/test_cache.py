"""The cache: opening with it gives what replaying the log gives, and a wrong one is never believed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.engines.embedded import state as live
from bedside.engines.embedded.log import cache
from bedside.errors import CorruptLogError
from store.children import as_if_killed

CACHE = "cache/log-000001-0.bin"


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(live, "_CACHE_AFTER", 1)
    with Collection.open(tmp_path / "c", scope_keys=["patient_id"]) as notes:
        for start in range(0, 60, 20):
            notes.add(
                Document(
                    f"note {i} says HbA1c {i / 10}", {"patient_id": "AB"[i % 2], "n": i, "t": [i % 3]}, str(i),
                    rng.normal(size=12),
                )
                for i in range(start, start + 20)
            )  # fmt: skip
        notes.scoped(patient_id="A").delete(["4", "10"])
    assert (tmp_path / "c" / CACHE).exists()
    return tmp_path / "c"


def answers(folder):
    """Everything a collection says, read only, so that no cache is written by asking."""
    query = np.arange(12, dtype=np.float32)
    with Collection.open(folder, read_only=True) as notes:
        said = []
        for patient in "AB":
            view = notes.scoped(patient_id=patient)
            said.append(view.get(filter={}, include_vectors=False))
            said.append([d.vector.tobytes() for d in view.get(filter={}, include_vectors=True)])
            said += [
                view.search("HbA1c 2.3", vector=query, mode=mode, top_k=50) for mode in ("dense", "sparse", "hybrid")
            ]
            said += [view.search("note", vector=query, filter=f) for f in ({"n": {"$gt": 30}}, {"t": 1})]
        return said


def test_the_cache_answers_as_the_log_does(folder):
    cached = answers(folder)
    shutil.rmtree(folder / "cache")
    assert answers(folder) == cached


def test_what_came_after_the_cache_is_replayed_on_top_of_it(folder, rng):
    with Collection.open(folder) as notes:
        notes.scoped(patient_id="A").delete(["2"])
        notes.add([Document("new note", {"patient_id": "A"}, "3", rng.normal(size=12))])
        shutil.copy(folder / CACHE, folder.parent / "older")
    (folder.parent / "older").replace(folder / CACHE)
    cached = answers(folder)
    shutil.rmtree(folder / "cache")
    assert answers(folder) == cached


def test_a_cache_with_any_flipped_byte_or_cut_anywhere_is_passed_over(folder, rng):
    expected = answers(folder)
    whole = (folder / CACHE).read_bytes()
    for place in [*range(64), *rng.integers(64, len(whole), 150).tolist(), len(whole) - 1]:
        changed = bytearray(whole)
        changed[place] ^= 1 << (place % 8)
        (folder / CACHE).write_bytes(changed)
        assert answers(folder) == expected, f"byte {place} flipped"
        (folder / CACHE).write_bytes(whole[:place])
        assert answers(folder) == expected, f"cut at {place}"


def test_the_cache_of_another_log_is_passed_over(folder):
    stale = (folder / CACHE).read_bytes()
    with Collection.open(folder) as notes:
        notes.scoped(patient_id="B").delete(filter={})
        notes.compact()
    (folder / CACHE).write_bytes(stale)
    with Collection.open(folder, read_only=True) as notes:
        assert len(notes) == 28
        assert notes.scoped(patient_id="B").get(filter={}) == []


def test_a_log_put_back_from_an_older_backup_does_not_meet_a_newer_cache(folder, tmp_path):
    log = next(folder.glob("log-*.jsonl"))
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:22]))
    with pytest.raises(CorruptLogError, match="cut off"):
        Collection.open(folder, read_only=True)
    as_if_killed(folder)
    with Collection.open(folder, read_only=True) as notes:
        assert len(notes) == 20


def test_damage_behind_a_cache_is_found_when_the_record_is_read_or_the_log_verified(folder):
    log = next(folder.glob("log-*.jsonl"))
    log.write_bytes(log.read_bytes().replace(b"note 7 says", b"note 8 says"))
    with Collection.open(folder, read_only=True) as notes:
        assert notes.scoped(patient_id="B").get(["9"])
        with pytest.raises(CorruptLogError, match="line 9"):
            notes.scoped(patient_id="B").get(["7"])
        with pytest.raises(CorruptLogError, match="line 9"):
            notes.verify()


def test_a_cache_can_be_written_from_a_cache(folder):
    expected = answers(folder)
    for _ in range(2):
        with Collection.open(folder) as notes:
            notes.add([Document("x", {"patient_id": "C"}, "x", np.ones(12))])
    assert answers(folder) == expected


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=6), seed=st.integers(0, 9))
@pytest.mark.parametrize("key", [None, bytes(32)], ids=["plain", "sealed"])
def test_an_array_written_in_parts_is_read_as_one(tmp_path, monkeypatch, lengths, seed, key):
    monkeypatch.setattr(cache, "_PIECE", 100)
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(length, 3)).astype(np.float32) for length in lengths]
    file = tmp_path / "cache" / "x.bin"
    assert cache.write_cache(file, {"log": 1}, {"before": np.arange(5), "parts": parts, "after": np.ones(2)}, key)
    facts, arrays = cache.read_cache(file, {"log": 1}, key)
    assert facts == {"log": 1}
    np.testing.assert_array_equal(arrays["parts"], np.concatenate(parts))
    np.testing.assert_array_equal(arrays["before"], np.arange(5))
    np.testing.assert_array_equal(arrays["after"], np.ones(2))
