"""A damaged file of the cache: no answer goes by it, opening warns, `verify` names it, and closing writes it anew."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bedside import Collection
from bedside.errors import CorruptCacheError
from store.sealed_notes import JANE, KEY, NOTES, RICK, note

CHAIN = [f"log-000001-{number}.bin" for number in range(3)]


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def key(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def folder(tmp_path: Path, key: Any) -> Path:
    """A collection with three checkpoints, left by a writer that was killed."""
    place = tmp_path / "notes"
    with Collection.open(place, scope_keys=["patient_id"], key=key) as notes:
        for start in (0, 4, 5):
            notes.add(NOTES[start : start + 4 if start == 0 else start + 1])
            engine: Any = notes._engine
            engine._save_cache()
        shutil.copytree(place, tmp_path / "killed")
    shutil.rmtree(place)
    (tmp_path / "killed").rename(place)
    assert sorted(file.name for file in (place / "cache").iterdir()) == CHAIN
    return place


def said(notes: Collection) -> list[Any]:
    views = [notes.scoped(patient_id=name) for name in (JANE, RICK)]
    asked = [view.search("tachyarrhythmia episode", vector=[1, 2, 3, 4, 5], top_k=9) for view in views]
    return [notes.scopes(), [view.get(filter={}, include_vectors=True) for view in views], asked]


def changes(whole: bytes, step: int) -> Iterator[tuple[str, bytes]]:
    """The content of a file with a byte flipped, cut off, lengthened, and none of it."""
    for at in range(len(whole) % step, len(whole), step):
        yield f"byte {at} flipped", whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :]
    yield from ((f"cut at {at}", whole[:at]) for at in (0, 7, 20, len(whole) // 2, len(whole) - 1))
    yield "a byte more", whole + b"\0" * 64


@pytest.mark.parametrize("step", [211, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CHAIN)
@pytest.mark.timeout(3_000)
def test_a_flipped_byte_of_any_checkpoint_changes_no_answer_and_is_named(
    folder: Path, key: Any, name: str, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "bedside")
    with Collection.open(folder, key=key, read_only=True) as notes:
        right = said(notes)
        assert notes.verify().records == len(NOTES)
    assert caplog.text == ""
    file = folder / "cache" / name
    whole = file.read_bytes()
    for what, content in changes(whole, step):
        file.write_bytes(content)
        caplog.clear()
        with Collection.open(folder, key=key, read_only=True) as notes:
            assert said(notes) == right, what
            assert f"cache/{name} is damaged" in caplog.text, what
            with pytest.raises(CorruptCacheError, match=f"cache/{name} is damaged") as told:
                notes.verify()
        assert "Collection.compact" in str(told.value)


def test_what_is_damaged_stays_until_it_is_written_anew(folder: Path, key: Any) -> None:
    file = folder / "cache" / CHAIN[1]
    file.write_bytes(file.read_bytes()[:-1])
    with Collection.open(folder, key=key) as notes:
        with pytest.raises(CorruptCacheError):
            notes.verify()
        notes.compact()
        assert notes.verify().records == len(NOTES)
    file = folder / "cache" / "log-000002-0.bin"
    file.write_bytes(b"BEDSIDE")
    Collection.open(folder, key=key).close()
    with Collection.open(folder, key=key, read_only=True) as notes:
        assert notes.verify().records == len(NOTES)
    assert len(file.read_bytes()) > 100


def test_a_cache_of_another_time_is_no_damage(folder: Path, key: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Checkpoints that do not follow each other, and of another log, as a backup may bring them."""
    caplog.set_level(logging.WARNING, "bedside")
    shutil.copy(folder / "cache" / CHAIN[2], folder / "cache" / CHAIN[1])
    with Collection.open(folder, key=key) as notes:
        assert notes.verify().records == len(NOTES)
        notes.compact()
    shutil.copy(folder / "cache/log-000002-0.bin", folder / "older.bin")
    with Collection.open(folder, key=key) as notes:
        notes.compact()
    (folder / "older.bin").replace(folder / "cache/log-000003-0.bin")
    with Collection.open(folder, key=key) as notes:
        assert notes.verify().records == len(NOTES)
    assert caplog.text == ""


def test_a_backup_of_a_cache_from_before_a_shredding_is_no_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "bedside")
    with Collection.open(tmp_path / "notes", scope_keys=["patient_id"], key=KEY) as notes:
        notes.add(NOTES)
        notes.compact()
        shutil.copytree(tmp_path / "notes", tmp_path / "backup", ignore=shutil.ignore_patterns("keys.json"))
        notes.add([note("Poe-Ann", 1)])
        notes.scoped(patient_id="Poe-Ann").shred()
    shutil.copy(tmp_path / "notes/keys.json", tmp_path / "backup")
    with Collection.open(tmp_path / "backup", key=KEY, read_only=True) as notes:
        assert notes.scoped(patient_id=JANE).count() == 3
        assert notes._engine._checkpoints.end.offset == 0  # it was not read
    assert caplog.text == ""
