"""The log: what a crash leaves is cut off, what a crash cannot explain is refused, nothing is skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.audit import acting_as
from bedside.engines.embedded.log.codec import Codec
from bedside.engines.embedded.log.log import Log, Span
from bedside.engines.embedded.log.seal import BrokenSealError, check, seal, text_to_vector, unseal, vector_to_text
from bedside.engines.embedded.salvage import repair
from bedside.errors import CorruptLogError, FormatVersionError, NotACollectionError
from bedside.records import Record
from store.children import as_if_killed

LOG = "log-000001.jsonl"


def contents(collection: Collection) -> dict[str, tuple[str, dict, bytes]]:
    found = collection.get(filter={}, include_vectors=True)
    return {d.id: (d.text, dict(d.metadata), np.asarray(d.vector).tobytes()) for d in found}


def doc(id: str, text: str = "no chest pain", vector: tuple[float, ...] = (1.0, 2.0)) -> Document:
    return Document(text, {"n": id}, id, vector)


@pytest.fixture
def three_transactions(tmp_path: Path) -> tuple[Path, list[tuple[int, dict]]]:
    """A collection of three transactions, and for each the log's size and the content after it."""
    folder = tmp_path / "c"
    states = []
    with Collection.open(folder) as notes:
        steps = [
            lambda: None,
            lambda: notes.add([doc("a"), doc("b", "BP 120/80 µ", (0.5, -1.0))]),
            lambda: notes.delete(["a"]),
            lambda: notes.add([doc("c", "line\r\nbreaks"), doc("b", "again")]),
        ]
        for step in steps:
            step()
            states.append(((folder / LOG).stat().st_size, contents(notes)))
    return folder, states


def test_commits_say_who_wrote_them_where_somebody_was_named(tmp_path: Path) -> None:
    longest = "𝒳" * 199 + '"'
    with Collection.open(tmp_path / "c") as notes:
        notes.add([doc("a")])
        for name in ("dr.x", longest):
            with acting_as(name, purpose="treatment"):
                notes.add([doc("b")])
    lines = [line for line in (tmp_path / "c" / LOG).read_bytes().splitlines(True) if b'"op":"commit"' in line]
    assert [unseal(line).get("actor") for line in lines] == [None, "dr.x", longest]
    assert [Codec(()).closing(line).actor for line in lines] == [None, "dr.x", longest]
    assert list(unseal(lines[1])) == ["op", "records", "chain", "at", "actor"]
    with Collection.open(tmp_path / "c") as notes:
        assert len(notes) == 2


def test_a_log_cut_at_any_byte_opens_with_all_whole_transactions_and_goes_on(three_transactions, tmp_path):
    folder, states = three_transactions
    as_if_killed(folder)
    whole = (folder / LOG).read_bytes()
    other = tmp_path / "cut"
    for size in range(len(whole)):
        shutil.copytree(folder, other)
        (other / LOG).write_bytes(whole[:size])
        expected = [content for end, content in states if end <= size][-1:] or [{}]
        with Collection.open(other) as notes:
            assert contents(notes) == expected[0], f"cut at byte {size}"
            notes.add([doc("new")])
        with Collection.open(other) as notes:
            assert set(contents(notes)) == {*expected[0], "new"}, f"cut at byte {size}, then one more"
        shutil.rmtree(other)


def test_a_log_cut_at_any_byte_after_a_clean_close_is_damage_for_open_verify_and_repair(three_transactions, tmp_path):
    """A copy or a restore that was cut short: what is missing was committed."""
    folder, states = three_transactions
    whole = (folder / LOG).read_bytes()
    with Collection.open(folder) as beside:  # open while the log is cut
        for size in range(0, len(whole), 7):
            (folder / LOG).write_bytes(whole[:size])
            with pytest.raises(CorruptLogError, match="cut off") as raised:
                Collection.open(folder)
            assert raised.value.file == LOG
            with pytest.raises(CorruptLogError):
                beside.verify()
        (folder / LOG).write_bytes(whole)
    cut = states[2][0] + 30  # in the middle of the third transaction
    (folder / LOG).write_bytes(whole[:cut])
    report = repair(folder)
    assert [loss.operation for loss in report.lost] == ["unknown"] * 3
    with Collection.open(folder) as notes:
        assert contents(notes) == states[2][1]


def test_every_flipped_bit_is_refused_by_name_or_changes_nothing(three_transactions):
    folder, states = three_transactions
    whole = (folder / LOG).read_bytes()
    _, expected = states[-1]
    with (folder / LOG).open("r+b") as log:
        for place in range(len(whole)):
            bit = 1 << (place % 8)
            log.seek(place)
            log.write(bytes([whole[place] ^ bit]))
            log.flush()
            line = whole.count(b"\n", 0, place) + 1
            try:
                with Collection.open(folder, read_only=True) as notes:
                    assert contents(notes) == expected, f"bit {bit} of byte {place}"
            except CorruptLogError as error:
                assert error.file == LOG
                # A line feed that is lost joins two lines, so the damage is seen where the joined line ends.
                assert error.line in (line, line + 1), f"bit {bit} of byte {place}"
                assert "bedside repair" in str(error)
            log.seek(place)
            log.write(whole[place : place + 1])
            log.flush()


def test_every_flipped_bit_of_the_manifest_is_refused_by_name(three_transactions):
    folder, _ = three_transactions
    manifest = folder / "manifest.json"
    whole = manifest.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            manifest.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            with pytest.raises((NotACollectionError, FormatVersionError), match=r"manifest\.json"):
                Collection.open(folder, read_only=True)


def test_a_line_feed_turned_into_any_other_byte_is_refused(three_transactions):
    folder, _ = three_transactions
    whole = (folder / LOG).read_bytes()
    for byte in (b"\0", b" ", b"}", b"\r"):
        (folder / LOG).write_bytes(whole[:-1] + byte)
        with pytest.raises(CorruptLogError):
            Collection.open(folder, read_only=True)


@pytest.mark.parametrize("change", ["drop", "double", "swap"])
def test_whole_lines_dropped_doubled_or_moved_are_refused(three_transactions, change):
    folder, _ = three_transactions
    lines = (folder / LOG).read_bytes().splitlines(keepends=True)
    for at in range(1, len(lines) - 1):
        changed = {
            "drop": lines[:at] + lines[at + 1 :],
            "double": [*lines[:at], lines[at], *lines[at:]],
            "swap": [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
        }[change]
        (folder / LOG).write_bytes(b"".join(changed))
        with pytest.raises(CorruptLogError):
            Collection.open(folder, read_only=True)


def test_zeros_that_a_power_cut_left_behind_the_last_commit_are_an_unfinished_write(three_transactions):
    folder, states = three_transactions
    with (folder / LOG).open("ab") as log:
        log.write(b"\0" * 4096)
    with Collection.open(folder) as notes:
        assert contents(notes) == states[-1][1]
        notes.add([doc("new")])
    with Collection.open(folder) as notes:
        assert "new" in notes


def test_damage_that_happens_while_the_collection_is_open_is_found_when_the_record_is_read(three_transactions):
    folder, _ = three_transactions
    with Collection.open(folder) as notes:
        raw = (folder / LOG).read_bytes()
        (folder / LOG).write_bytes(raw.replace(b"again", b"agaim"))
        with pytest.raises(CorruptLogError, match="line 8"):
            notes.get(["b"])


def test_a_log_that_became_shorter_while_open_is_refused(three_transactions):
    folder, _ = three_transactions
    with Collection.open(folder) as notes:
        os.truncate(folder / LOG, 200)
        with pytest.raises(CorruptLogError, match="cut off"):
            notes.count()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])).filter("crc".__ne__), json_values, min_size=1))
def test_a_sealed_record_is_one_line_and_comes_back_exactly(record):
    line = seal(record)
    assert line.count(b"\n") == 1
    assert unseal(line) == record


@given(json_values, st.data())
def test_a_sealed_line_with_any_changed_byte_does_not_pass(value, data):
    line = bytearray(seal({"value": value}))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BrokenSealError):
        check(bytes(line))


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_a_vector_comes_back_bit_for_bit(values):
    vector = np.array(values, dtype=np.float32)
    assert text_to_vector(vector_to_text(vector)).tobytes() == vector.tobytes()


def test_a_collection_written_by_this_format_version_opens_forever():
    """tests/store/format-1 was written by the first release and is never rewritten."""
    with Collection.open(Path(__file__).parent / "format-1", read_only=True) as notes:
        scope = notes.scoped(patient_id="A")
        assert [d.id for d in scope] == ["1", "3"]
        assert scope.get(["3"], include_vectors=True)[0].metadata == {
            "patient_id": "A",
            "n": [1, 2.5, None, {"x": "µ"}],
        }
        assert [hit.id for hit in scope.search("troponin", vector=[0, 0, 1])] == ["3", "1"]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """Every record that is read from a log."""
    read, spans = Log.read, []

    def counted(log: Log, span: Span, *, vectors: bool = True) -> Record:
        spans.append(span)
        return read(log, span, vectors=vectors)

    monkeypatch.setattr(Log, "read", counted)
    return spans


@pytest.mark.parametrize("fusion", ["weighted", "rrf"])
@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
@pytest.mark.parametrize("groups", [1, 4, 400])
def test_a_grouped_search_reads_only_the_records_that_it_returns(groups, mode, fusion, reads, rng) -> None:
    notes = Collection.open()
    notes.add(
        Document("chest pain", {"note": i % groups} if i % 9 else {}, str(i), rng.normal(size=3)) for i in range(400)
    )
    hits = notes.search("chest pain", vector=[1, 1, 1], mode=mode, fusion=fusion, group_by="note", top_k=7)
    assert len(reads) == len(hits) == 7


def test_a_grouped_search_over_lists_reads_the_records_that_hold_one_and_only_once(reads) -> None:
    notes = Collection.open()
    notes.add(Document("pain", {"g": ["a", i % 2] if i < 10 else i}, str(i), [1, i]) for i in range(100))
    for searches in (1, 2):
        assert len(notes.search("pain", vector=[1, 0], group_by="g", top_k=4)) == 4
        assert len(reads) == 10 + 4 * searches
