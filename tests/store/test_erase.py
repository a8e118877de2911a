"""Erasing leaves no byte: looked for by a scan of its own, in every file, whatever happened before."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.engines.embedded import repair
from bedside.engines.embedded import state as live
from bedside.errors import InvalidInputError, TracesRemainError

DIMENSION = 12
LOG = "log-000001.jsonl"


def note(id: str, rng: np.random.Generator, patient: str = "A", version: int = 1) -> Document:
    """A note with words, numbers and metadata that no other has."""
    word = "".join("bcdfghjklmnpqrtvz"[i] for i in rng.integers(0, 17, 12))
    text = f'Note by "Dr. {word}": µ-opioid {rng.integers(10**9)} mg\n\ttaken\\not taken, Größe {word.upper()}x.'
    metadata = {
        "patient_id": patient, "author": f"Dr. {word} M.D.", "mrn": f"MRN{rng.integers(10**9)}", f"key-{word}": True,
        "nested": {"list": [f"{word}-in-a-list", 'with "quotes" and é' + word]}, "version": version,
    }  # fmt: skip
    return Document(text, metadata, id, rng.normal(size=DIMENSION).astype(np.float32))


def strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def traces(document: Document) -> set[bytes]:
    """What a record may be recognised by: strings whole and by word, raw and escaped; vectors by any two numbers."""
    texts = {document.text, document.id, *strings(dict(document.metadata))}
    texts |= {word for text in texts for word in text.replace('"', " ").replace("\\", " ").split()}
    texts |= {text.lower() for text in texts}
    found = {form for text in texts for form in (text.encode(), json.dumps(text)[1:-1].encode())}
    found |= {json.dumps(text, ensure_ascii=False)[1:-1].encode() for text in texts}
    vector = np.asarray(document.vector, dtype="<f4")
    unit = vector.astype("<f8") / np.linalg.norm(vector.astype("<f8"))
    for numbers in (vector, unit.astype("<f4"), vector / np.linalg.norm(vector)):
        raw = numbers.tobytes()
        found |= {raw[at : at + 8] for at in range(0, len(raw) - 7, 4)}
    encoded = base64.b64encode(vector.tobytes())
    found |= {encoded[at : at + 16] for at in range(0, len(encoded) - 15, 4)}
    return {trace for trace in found if len(trace) >= 8}


def remains(folder: Path, erased: Iterable[Document], survivors: Iterable[Document]) -> list[tuple[str, bytes]]:
    """Every trace of an erased record, and of no survivor, with the file that holds it."""
    kept = set().union(*map(traces, survivors))
    wanted = set().union(*map(traces, erased)) - kept
    return [(p.name, t) for p in folder.rglob("*") if p.is_file() for t in wanted if t in p.read_bytes()]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(live, "_CACHE_AFTER", 1)
    return tmp_path / "c"


def test_the_scan_of_these_tests_finds_every_trace_of_a_record_that_was_only_deleted(folder, rng):
    gone, kept = note("gone-for-ever", rng), note("kept-for-now", rng)
    with Collection.open(folder) as notes:
        notes.add([gone, kept])
        assert notes.close() is None
    assert (folder / "cache" / "log-000001-0.bin").exists()
    with Collection.open(folder) as notes:
        notes.delete([gone.id])
        found = remains(folder, [gone], [kept])
    wide = gone.vector.astype(np.float64)
    unit = (wide / np.linalg.norm(wide)).astype(np.float32)
    in_log = [gone.id, json.dumps(gone.text, ensure_ascii=False)[1:-1], gone.metadata["author"], gone.metadata["mrn"]]
    for trace in (*in_log, base64.b64encode(gone.vector.tobytes())[:16].decode()):
        assert (LOG, trace.encode()) in found
    in_cache = [gone.id, gone.metadata["mrn"], gone.metadata["nested"]["list"][0]]
    for trace in (*(text.encode() for text in in_cache), unit[:2].tobytes()):
        assert ("log-000001-0.bin", trace) in found


def plain(folder: Path, notes: Collection, doomed: list[Document]) -> None:
    """Nothing happened before."""


def opened_anew(folder: Path, notes: Collection, doomed: list[Document]) -> None:
    """There is a cache that knows the records."""
    notes.close()
    Collection.open(folder).close()
    assert (folder / "cache" / "log-000001-0.bin").exists()


def compacted(folder: Path, notes: Collection, doomed: list[Document]) -> None:
    notes.compact()


def compaction_was_killed(folder: Path, notes: Collection, doomed: list[Document]) -> None:
    """Stray files of every kind hold everything."""
    for stray in ("log-000002.jsonl", "log-000007.jsonl", "manifest.json.new"):
        shutil.copy(folder / LOG, folder / stray)
    (folder / "cache").mkdir(exist_ok=True)
    shutil.copy(folder / LOG, folder / "cache" / "index.bin.new")


def add_was_killed(folder: Path, notes: Collection, doomed: list[Document]) -> None:
    """Behind the last commit lie whole lines and half a line of the records."""
    lines = (folder / LOG).read_bytes().splitlines(keepends=True)
    with (folder / LOG).open("ab") as log:
        log.write(b"".join(lines[1:4]) + lines[4][:99])


def compacted_by_another(folder: Path, notes: Collection, doomed: list[Document]) -> None:
    with Collection.open(folder) as other:
        other.compact()


BEFORE = [plain, opened_anew, compacted, compaction_was_killed, add_was_killed, compacted_by_another]


@pytest.mark.parametrize("before", BEFORE, ids=lambda step: step.__name__)
@pytest.mark.parametrize("scoped", [False, True], ids=["whole", "scoped"])
def test_erase_leaves_no_trace_in_any_file(before, scoped, folder, rng):
    """Of the records, of their earlier versions, and of what was deleted before."""
    earlier = [note(f"record-{i}", rng, "AB"[i % 2]) for i in range(6)]
    documents = [note(f"record-{i}", rng, "AB"[i % 2], 2) for i in range(6)]
    deleted = note("deleted-before", rng)
    doomed, kept = documents[0:4:2], [*documents[1::2], documents[4]]
    notes = Collection.open(folder, scope_keys=["patient_id"] if scoped else [])
    view = notes.scoped(patient_id="A") if scoped else notes
    notes.add([*earlier, deleted])
    notes.add(documents)
    view.delete([deleted.id])
    before(folder, notes, doomed)
    with notes if not notes.closed else Collection.open(folder) as notes:
        view = notes.scoped(patient_id="A") if scoped else notes
        receipt = view.erase([doc.id for doc in doomed])
        assert remains(folder, [*doomed, *earlier, deleted], kept) == []
        assert receipt.ids == tuple(doc.id for doc in doomed)
        assert receipt.files == {
            p.relative_to(folder).as_posix(): p.stat().st_size for p in folder.rglob("*") if p.is_file()
        }
        assert receipt.traces >= len(doomed) * 8
    assert remains(folder, [*doomed, *earlier, deleted], kept) == []
    with Collection.open(folder) as notes:
        assert len(notes) == len(kept)
        views = [notes.scoped(patient_id=p) for p in "AB"] if scoped else [notes]
        found = {d.id: d for view in views for d in view.get(filter={}, include_vectors=True)}
        assert found == {doc.id: doc for doc in kept}
        for doc in kept:
            assert found[doc.id].vector.tobytes() == doc.vector.tobytes()
        for view in views:
            assert not {h.id for h in view.search(doomed[0].text, vector=doomed[0].vector, top_k=9)} - set(found)
    assert remains(folder, [*doomed, *earlier, deleted], kept) == []


def test_erasing_in_one_scope_leaves_the_same_id_in_another_untouched(folder, rng):
    mine, theirs = note("same-id-in-both", rng, "A"), note("same-id-in-both", rng, "B")
    with Collection.open(folder, scope_keys=["patient_id"]) as notes:
        notes.add([mine, theirs])
        assert notes.scoped(patient_id="A").erase(filter={}).ids == (mine.id,)
        assert notes.scoped(patient_id="B").get(filter={}) == [theirs]
    assert remains(folder, [mine], [theirs]) == []


def test_an_erasure_is_chosen_by_ids_and_filter_and_nothing_is_an_error(folder, rng):
    documents = [note(f"record-{i}", rng, version=i % 2) for i in range(4)]
    with Collection.open(folder) as notes:
        notes.add(documents)
        with pytest.raises(InvalidInputError, match="give ids=, or filter="):
            notes.erase()
        receipt = notes.erase(["nobody-is-called-so"])
        assert (receipt.ids, receipt.traces, receipt.shared) == ((), 0, 0)
        assert notes.erase(["record-0", "record-1"], filter={"version": 1}).ids == ("record-1",)
        assert notes.erase(filter={"version": 1}).ids == ("record-3",)
        assert notes.get(filter={}) == documents[::2]
        assert notes.erase(filter={}).ids == ("record-0", "record-2")
        assert len(notes) == 0
        notes.add([documents[1]])
        assert notes.get(filter={}) == [documents[1]]
    assert remains(folder, [documents[0], *documents[2:]], [documents[1]]) == []


def test_what_a_survivor_says_too_is_no_trace(folder, rng):
    """The same text word for word, and a text within a longer one."""
    vectors = rng.normal(size=(3, DIMENSION))
    texts = ["No known allergies.", "No known allergies.", "Asked again: No known allergies. Family denies."]
    with Collection.open(folder) as notes:
        notes.add(Document(texts[i], {"ward": "Cardiology 7B"}, str(i), vectors[i]) for i in range(3))
        receipt = notes.erase(["0"])
        assert receipt.shared == 2, "the text and the ward"
        assert receipt.traces > 0, "the vector"
        receipt = notes.erase(["1"])
        assert receipt.shared == 2
        assert [d.text for d in notes] == texts[2:]
    own = Document("", {}, "unnamed", vectors[0].astype(np.float32))
    assert remains(folder, [own], []) == []


def test_a_name_or_a_word_that_the_collection_needs_elsewhere_is_no_trace(folder, rng):
    """A key, an id or a word of a survivor, and the words of the format itself."""
    values = [
        "medications",
        "pneumonia",
        "encounter-77",
        "drug.name",
        "bedside-log",
        '"metadata":',
        "dimension",
        "00000000",
    ]
    vectors = np.eye(2, dtype=np.float32)
    kept = Document("Pneumonia, resolved.", {"medications": [], "drug": {"name": 1}}, "encounter-77", vectors[0])
    with Collection.open(folder) as notes:
        notes.add([kept, Document("Pneumonia.", {}, "other", vectors[0])])
        notes.add(Document(value, {"value": value}, f"v{i}", vectors[1]) for i, value in enumerate(values))
        notes.erase([f"v{i}" for i in range(len(values))])
        assert notes.get(["encounter-77"]) == [kept]
        assert len(notes) == 2


def test_what_was_deleted_or_replaced_before_is_erased_with_its_id_and_looked_for(folder, rng):
    first, second, deleted = (note(id, rng) for id in ("twice-written", "twice-written", "deleted-before"))
    with Collection.open(folder) as notes:
        kept = note("kept-record", rng)
        notes.add([first, deleted, kept])
        notes.delete([deleted.id])
        notes.add([second])
        copy = folder / "copy-of-the-log"
        for old in (first, deleted):
            copy.write_text(old.metadata["mrn"])
            shutil.copytree(folder, folder.parent / "other")
            with (
                Collection.open(folder.parent / "other") as other,
                pytest.raises(TracesRemainError, match="copy-of-the"),
            ):
                other.erase(["twice-written", "deleted-before"])
            shutil.rmtree(folder.parent / "other")
        copy.unlink()
        receipt = notes.erase(["twice-written", "deleted-before"])
        assert receipt.ids == ("twice-written", "deleted-before")
        assert notes.erase(["twice-written", "deleted-before"]).ids == ()
    assert remains(folder, [first, second, deleted], [kept]) == []


def test_a_file_that_somebody_left_in_the_folder_is_named_when_it_holds_a_trace(folder, rng):
    doomed, kept = note("doomed-record", rng), note("kept-record", rng)
    with Collection.open(folder) as notes:
        notes.add([doomed, kept])
        (folder / "export").mkdir()
        (folder / "export" / "notes.csv").write_text(f"id,author\n1,{doomed.metadata['author']}\n")
        with pytest.raises(TracesRemainError, match=r"export/notes\.csv") as caught:
            notes.erase([doomed.id])
        assert doomed.metadata["author"] not in str(caught.value)
        assert notes.get(filter={}) == [kept], "the record itself is erased"
    assert {name for name, _ in remains(folder, [doomed], [kept])} == {"notes.csv"}


@pytest.mark.parametrize("left", ["visit-of-J-Doe", "1980123456", "-0.12345678", "seen by J. Doe", "J. Doe said so"])
def test_an_id_a_key_and_a_long_number_are_traces_too(folder, left):
    metadata = {"mrn": 1980123456, "seen by J. Doe": [{"x": -0.12345678}, "J. Doe said so", None, True]}
    with Collection.open(folder) as notes:
        notes.add([Document("Note.", metadata, "visit-of-J-Doe", [1, 0]), Document("Other.", {}, "other", [0, 1])])
        (folder / "left.txt").write_text(f"… {left} …", encoding="utf-8")
        with pytest.raises(TracesRemainError, match=r"left\.txt"):
            notes.erase(["visit-of-J-Doe"])


def test_the_damaged_log_that_a_repair_kept_is_named(folder, rng):
    documents = [note(f"record-{i}", rng) for i in range(3)]
    with Collection.open(folder) as notes:
        notes.add(documents)
    raw = (folder / LOG).read_bytes()
    (folder / LOG).write_bytes(raw.replace(b"record-1", b"rechord-"))
    kept = repair(folder).kept
    with Collection.open(folder) as notes:
        with pytest.raises(TracesRemainError, match=kept):
            notes.erase(["record-0"])
        assert [d.id for d in notes] == ["record-2"]
        (folder / kept).unlink()
        notes.erase(["record-0"])
    assert remains(folder, documents[:2], documents[2:]) == []


def test_a_trace_on_the_border_of_two_chunks_is_found(folder, rng):
    doomed, kept = note("doomed-record", rng), note("kept-record", rng)
    with Collection.open(folder) as notes:
        notes.add([doomed, kept])
        place = (1 << 22) - 20
        (folder / "dump.bin").write_bytes(bytes(place) + doomed.text.encode() + bytes(99))
        with pytest.raises(TracesRemainError, match=r"dump\.bin"):
            notes.erase([doomed.id])


def test_erasing_in_memory_forgets_the_record_and_scans_no_file(rng):
    doomed, kept = note("doomed-record", rng), note("kept-record", rng)
    notes = Collection.open()
    notes.add([doomed, kept])
    receipt = notes.erase([doomed.id])
    assert (receipt.ids, receipt.files) == ((doomed.id,), {})
    assert notes.get(filter={}) == [kept]
    assert doomed.text.encode() not in bytes(notes._engine._storage.log._file._data)


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=3, max_size=40).filter(str.strip)
records = st.builds(
    lambda text, key, value, vector: Document(text, {key: value, "list": [value]}, None, np.float32([*vector, 1])),
    words, words, words, st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3),
)  # fmt: skip


@settings(max_examples=25)
@given(st.lists(records, min_size=1, max_size=6), st.data())
def test_whatever_the_records_hold_none_of_an_erased_one_is_left(tmp_path_factory, documents, data):
    doomed = data.draw(st.sets(st.sampled_from(range(len(documents)))))
    folder = tmp_path_factory.mktemp("any") / "c"
    with Collection.open(folder) as notes:
        named = [
            Document(d.text, d.metadata, id, d.vector) for d, id in zip(documents, notes.add(documents), strict=True)
        ]
        notes.erase([named[i].id for i in doomed])
    # What a collection holds that never held them is no trace: the words of the format, folded words.
    with Collection.open(folder.parent / "never") as never:
        never.add([d for i, d in enumerate(named) if i not in doomed])
        never.compact()
    left, elsewhere = (
        b"".join(p.read_bytes() for p in at.rglob("*") if p.is_file()) for at in (folder, folder.parent / "never")
    )
    for text in (text for i in doomed for text in (named[i].id, named[i].text, *named[i].metadata.values())):
        trace = (json.dumps(text, ensure_ascii=False)[1:-1] if isinstance(text, str) else text[0]).encode()
        assert len(trace) < 8 or trace in elsewhere or trace not in left
