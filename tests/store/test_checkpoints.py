"""Checkpoints: opening after a kill costs what came since the last one, and a wrong one is passed over."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bedside import Collection
from bedside.engines.embedded import state
from bedside.engines.embedded.log.cache import read_cache
from bedside.engines.embedded.log.log import Log
from store import bulk
from store.bulk import SMALL, fill
from store.children import Child, answers, as_if_killed, model_of


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "cache").glob("*"))


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each line that is taken from a log into an index."""
    lines: list[int] = []
    changes = Log.changes

    def counted(log: Log, start: Any, end: Any) -> Iterator[Any]:
        for number, found in enumerate(changes(log, start, end), start.line):
            lines.append(number)
            yield found

    monkeypatch.setattr(Log, "changes", counted)
    return lines


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "CHECKPOINT_BYTES", SMALL)


def test_opening_after_a_kill_replays_only_what_came_since_the_last_checkpoint(tmp_path, replayed) -> None:
    folder = tmp_path / "c"
    with Child(bulk.fill_until_killed, folder=folder, count=100) as child:
        model, line, checkpoint = child.report()
        child.kill()
    assert 0 < line - checkpoint < line / 4
    assert len(files(folder)) > 2
    with Collection.open(folder, read_only=True) as notes:
        assert model_of(notes) == model
        assert replayed
        assert min(replayed) >= checkpoint
        said = answers(notes)
    shutil.rmtree(folder / "cache")
    with Collection.open(folder, read_only=True) as notes:
        assert answers(notes) == said


def test_a_checkpoint_is_written_each_time_so_many_bytes_were_added(tmp_path, small) -> None:
    with Collection.open(tmp_path / "c") as notes:
        engine: Any = notes._engine
        ends = []
        for i in range(150):
            fill(notes, 1, i)
            ends.append(engine._checkpoints.end.offset)
            assert engine._position.offset - ends[-1] < SMALL
    written = sorted(set(ends) - {0})
    assert len(written) >= 3
    assert all(end - start >= SMALL for start, end in itertools.pairwise(written))


def test_a_chain_is_begun_anew_before_it_is_twice_as_long_as_its_whole(tmp_path, small) -> None:
    with Collection.open(tmp_path / "c") as notes:
        engine: Any = notes._engine
        for i in range(120):
            fill(notes, 1, i)
            sizes = engine._checkpoints._sizes
            assert sum(sizes[1:-1]) <= sum(sizes[:1])
        assert len(files(tmp_path / "c")) == len(sizes)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing": lambda file: file.unlink(),
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:-40]),
    "flipped": lambda file: file.write_bytes(flipped(file.read_bytes())),
    "of another": lambda file: file.write_bytes(file.with_name("log-000001-0.bin").read_bytes()),
    "empty": lambda file: file.write_bytes(b""),
}


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_a_damaged_file_and_those_behind_it_are_passed_over(tmp_path, small, replayed, damage, which) -> None:
    folder = tmp_path / "c"
    with Collection.open(folder) as notes:
        fill(notes, 12)
        notes._engine._save_cache()
        for start in (12, 16, 20):
            fill(notes, 4, start)
            notes._engine._save_cache()
        said, model = answers(notes), model_of(notes)
    as_if_killed(folder)
    chain = files(folder)
    assert len(chain) >= 3
    number = {"first": 0, "middle": len(chain) // 2, "last": len(chain) - 1}[which]
    if damage is DAMAGES["of another"] and which == "first":
        (folder / "cache" / chain[0]).write_bytes((folder / "cache" / chain[1]).read_bytes())
    else:
        damage(folder / "cache" / chain[number])
    replayed.clear()
    with Collection.open(folder) as notes:
        assert (answers(notes), model_of(notes)) == (said, model)
        assert replayed
        assert (min(replayed) == 0) == (which == "first")
        fill(notes, 3, 40)
        notes._engine._save_cache()
        said = answers(notes)
    replayed.clear()
    with Collection.open(folder, read_only=True) as notes:
        assert answers(notes) == said
        assert replayed == []


def test_compaction_and_erasure_leave_the_checkpoint_of_the_new_log_alone(tmp_path, small, replayed) -> None:
    folder = tmp_path / "c"
    with Collection.open(folder) as notes:
        fill(notes, 60)
        notes.compact()
        assert files(folder) == ["log-000002-0.bin"]
        fill(notes, 30, 60)
        notes.erase(["d70"])
        assert files(folder) == ["log-000003-0.bin"]
        said = answers(notes)
    replayed.clear()
    with Collection.open(folder, read_only=True) as notes:
        assert answers(notes) == said
        assert replayed == []


def test_what_one_process_left_is_not_taken_for_the_chain_of_another(tmp_path, small) -> None:
    """Two writers take turns; each goes on with a chain of its own and the last one written is whole."""
    folder = tmp_path / "c"
    with Collection.open(folder) as one, Collection.open(folder) as other:
        for i in range(60):
            fill(one if i % 3 else other, 1, i)
        said = answers(one)
    as_if_killed(folder)
    with Collection.open(folder, read_only=True) as notes:
        assert answers(notes) == said
    assert all(read_cache(folder / "cache" / name, {}) for name in files(folder))
