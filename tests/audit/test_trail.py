"""A trail of audit lines: one chain, whoever writes to it, and whatever happens to its writers and its files."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

from audit.writers import KEY, THREADS
from bedside.audit import AuditLog
from bedside.errors import BrokenTrailError, InvalidInputError, LockTimeoutError, WriteFailedError
from forks import child_does


def opened(folder: Path, **options: object) -> AuditLog:
    return AuditLog(folder / "audit", key=KEY, **options)


def line(number: int) -> dict[str, object]:
    return {"at": "2026-03-01T09:12:33.401Z", "actor": f"dr.{number}", "verb": "search", "count": number}


def written(folder: Path, count: int, **options: object) -> AuditLog:
    audit = opened(folder, **options)
    for number in range(count):
        audit.append(line(number))
    audit.close()
    return audit


def files(audit: AuditLog) -> list[Path]:
    return sorted(audit.path.glob("audit-*.jsonl"))


def writer(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "audit.writers", str(folder / "audit"), *map(str, arguments)]
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_trail_tells_what_was_written_in_order_and_only_its_owner_can_read_it(tmp_path: Path):
    audit = written(tmp_path, 5)
    assert [entry["count"] for entry in audit.entries()] == list(range(5))
    report = audit.verify()
    assert (report.files, report.lines, report.torn_bytes) == (1, 6, 0)
    assert report.ended == "2026-03-01T09:12:33.401Z"
    assert audit.path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in audit.path.iterdir()} == {0o600}


def test_a_file_that_is_full_is_followed_by_another_and_the_chain_goes_on(tmp_path: Path):
    audit = written(tmp_path, 40, max_bytes=1_000)
    again = opened(tmp_path, max_bytes=1_000)
    again.append(line(40))
    assert len(files(audit)) > 5
    assert all(file.stat().st_size < 1_400 for file in files(audit))
    assert [entry["count"] for entry in again.entries()] == list(range(41))
    assert again.verify().files == len(files(audit))


def test_every_line_that_is_edited_removed_doubled_or_moved_is_found(tmp_path: Path):
    audit = written(tmp_path, 12, max_bytes=1_200)
    assert len(files(audit)) > 1
    rng = random.Random(5)
    tried = 0
    for file in files(audit):
        whole = file.read_bytes()
        lines = whole.splitlines(keepends=True)
        last = file == files(audit)[-1]
        for at, kept in enumerate(lines):
            flipped = bytearray(kept)
            flipped[rng.randrange(len(kept) - 1)] ^= 1 << rng.randrange(3)
            wrong = {
                "edited": [*lines[:at], bytes(flipped), *lines[at + 1 :]],
                "another actor": [
                    *lines[:at],
                    kept.replace(b"dr.", b"mr.").replace(b"begin", b"bogus"),
                    *lines[at + 1 :],
                ],
                "doubled": [*lines[: at + 1], *lines[at:]],
            }
            if not (last and at == len(lines) - 1):  # without an anchor the end may be cut off
                wrong["removed"] = lines[:at] + lines[at + 1 :]
            if at + 1 < len(lines):
                wrong["moved"] = [*lines[:at], lines[at + 1], kept, *lines[at + 2 :]]
            for how, changed in wrong.items():
                file.write_bytes(b"".join(changed))
                with pytest.raises(BrokenTrailError) as caught:
                    opened(tmp_path).verify()
                assert (caught.value.file, caught.value.line) >= (file.name, at + 1), how
                tried += 1
            file.write_bytes(whole)
    assert tried > 60
    audit.verify()


def test_every_byte_of_a_line_counts(tmp_path: Path):
    audit = written(tmp_path, 3)
    (file,) = files(audit)
    whole = file.read_bytes()
    start = len(whole.splitlines(keepends=True)[0])
    for at in range(start, len(whole.rstrip(b"\n"))):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BrokenTrailError):
            opened(tmp_path).verify()


def test_lines_that_are_cut_off_at_the_end_are_found_with_an_anchor_wherever_the_cut_is(tmp_path: Path):
    audit = written(tmp_path, 10, max_bytes=1_200)
    anchor = audit.verify().anchor
    for file in reversed(files(audit)):
        whole = file.read_bytes()
        lines = whole.splitlines(keepends=True)
        for kept in reversed(range(len(lines))):
            file.write_bytes(b"".join(lines[:kept]))
            with pytest.raises(BrokenTrailError, match=r"anchor names line|is gone"):
                opened(tmp_path).verify(anchor=anchor)
        file.unlink()
    with pytest.raises(BrokenTrailError, match="there is none"):
        opened(tmp_path).verify(anchor=anchor)


def test_an_anchor_holds_while_the_trail_grows_and_none_of_another_trail_does(tmp_path: Path):
    audit = written(tmp_path / "one", 3)
    anchor = audit.verify().anchor
    audit.append(line(3))
    assert audit.verify(anchor=anchor).anchor != anchor
    with pytest.raises(BrokenTrailError, match="not the line that the anchor names"):
        written(tmp_path / "other", 5).verify(anchor=anchor)
    with pytest.raises(InvalidInputError, match="anchor: expected NUMBER:HMAC"):
        audit.verify(anchor="yesterday")


def test_a_file_that_is_gone_is_found_and_a_folder_without_a_trail_is_none(tmp_path: Path):
    audit = written(tmp_path, 20, max_bytes=1_000)
    files(audit)[1].unlink()
    with pytest.raises(BrokenTrailError, match=r"audit-000002\.jsonl: the file is gone"):
        audit.verify()
    with pytest.raises(InvalidInputError, match="holds no audit trail"):
        opened(tmp_path / "elsewhere").verify()


def test_with_another_key_nothing_is_read_and_nothing_written(tmp_path: Path):
    audit = written(tmp_path, 3)
    before = files(audit)[0].read_bytes()
    other = AuditLog(audit.path, key=bytes(32))
    for act in (other.verify, other.begin, lambda: list(other.entries()), lambda: other.append(line(4))):
        with pytest.raises(BrokenTrailError, match="begun with another key"):
            act()
    assert files(audit)[0].read_bytes() == before


def test_a_line_cut_at_every_byte_is_no_tampering_and_the_next_writer_says_what_was_left(tmp_path: Path):
    for place, count in (("middle", 2), ("first", 0)):
        audit = written(tmp_path / place, count + 1)
        whole = files(audit)[0].read_bytes()
        lines = whole.splitlines(keepends=True)
        kept = sum(map(len, lines[: count + 1])) if count else 0
        for cut in range(kept + 1, len(whole if count else lines[0])):
            files(audit)[0].write_bytes(whole[:cut])
            again = opened(tmp_path / place)
            if count:
                assert (again.verify().lines, again.verify().torn_bytes) == (count + 1, cut - kept)
            again.begin()
            again.append(line(9))
            told = [entry.get("torn") for entry in again.entries()]
            assert told == ([None] * count + [cut - kept] if count else [None])
            assert again.verify().torn_bytes == 0
            again.close()


def test_a_writer_notices_that_its_lines_are_gone(tmp_path: Path):
    audit = written(tmp_path, 3)
    audit.append(line(3))
    (file,) = files(audit)
    whole = file.read_bytes()
    os.truncate(file, len(whole) // 2)
    with pytest.raises(BrokenTrailError, match="lines that this process wrote are gone"):
        audit.append(line(4))
    file.unlink()
    with pytest.raises(BrokenTrailError, match="gone"):
        audit.append(line(4))
    file.write_bytes(whole)
    with pytest.raises(BrokenTrailError, match="gone"):  # a copy is not the file that was written to
        audit.append(line(4))


def test_sixteen_threads_and_four_processes_write_one_chain(tmp_path: Path):
    searches, audit = 25, opened(tmp_path, max_bytes=20_000)
    audit.begin()
    others = [writer(tmp_path, f"process{number}", searches) for number in range(4)]
    gate = threading.Barrier(16)

    def write(number: int) -> None:
        gate.wait()
        for _ in range(searches):
            audit.append(line(number))

    threads = [threading.Thread(target=write, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        assert other.wait(120) == 0, other.stderr.read()
        other.communicate()
    wanted = Counter({f"dr.{number}": searches for number in range(16)})
    for number in range(4):
        wanted[f"process{number}"] = 1
        wanted.update({f"process{number}.{thread}": searches for thread in range(THREADS)})
    assert Counter(entry["actor"] for entry in audit.entries()) == wanted
    assert audit.verify().files > 1


def test_what_was_answered_before_a_kill_is_in_the_trail(tmp_path: Path):
    rng = random.Random(3)
    answered: Counter[str] = Counter()
    for round in range(6):
        child = writer(tmp_path, f"round{round}", 0)
        seen = [child.stdout.readline() for _ in range(rng.randrange(1, 80))]
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate()
        answered.update(f"round{round}.{said.strip()}" for said in chain(seen, rest.splitlines()))
    audit = opened(tmp_path, max_bytes=20_000)
    audit.append(line(1))
    recorded = Counter(entry["actor"] for entry in audit.entries())
    assert all(recorded[actor] >= count for actor, count in answered.items())
    assert sum(recorded.values()) <= sum(answered.values()) + 6 * (THREADS + 1) + 1
    audit.verify()


def test_on_a_full_disk_nothing_is_answered_and_the_trail_stays_whole(tmp_path: Path):
    child = writer(tmp_path, "dr.x", 1_000, 6_000)
    told, said = child.communicate(timeout=120)
    assert "WriteFailedError" in said
    assert "nothing was recorded" in said
    audit = opened(tmp_path)
    lines = [entry for entry in audit.entries() if entry["verb"] == "search" and "error" not in entry]
    assert len(told.splitlines()) == len(lines) > 0
    assert audit.verify().torn_bytes == 0


def test_another_process_that_keeps_the_end_is_waited_for_and_then_told_of(tmp_path: Path):
    import fcntl

    audit = written(tmp_path, 1, lock_timeout=0.2)
    with (audit.path / "audit.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LockTimeoutError, match=r"has held the audit trail for over 0\.2 s"):
            audit.append(line(1))
    audit.append(line(1))


def test_a_forked_child_writes_to_the_chain_beside_its_parent(tmp_path: Path):
    audit = written(tmp_path, 2)
    audit.append(line(2))
    assert child_does(lambda: audit.append(line(3)))
    audit.append(line(4))
    assert [entry["count"] for entry in audit.entries()] == [0, 1, 2, 3, 4]


def test_a_place_that_cannot_be_written_is_told_when_the_collection_is_opened(tmp_path: Path):
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(WriteFailedError, match="nothing was recorded"):
        opened(tmp_path).begin()
