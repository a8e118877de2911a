"""Looking after a collection: verify tells, repair saves what is whole, reembed is all or nothing."""

from __future__ import annotations

import shutil
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.engines.embedded.salvage import Loss, repair
from bedside.errors import (
    CorruptLogError,
    EncoderMismatch,
    InvalidDocumentError,
    InvalidVectorError,
    NotACollectionError,
)
from store import crashes
from store.children import document, model_of, run

LOG = "log-000001.jsonl"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A collection of seven transactions, with replaced and deleted records."""
    folder = tmp_path_factory.mktemp("written") / "c"
    with Collection.open(folder) as notes:
        for start in range(0, 12, 4):
            notes.add(document(f"n{i}", 1) for i in range(start, start + 4))
        notes.add(document(f"n{i}", 2) for i in (1, 5, 9))
        notes.delete(["n0", "n6"])
        notes.add([document("n0", 3)])
        notes.delete(["n2"])
    return folder


@pytest.fixture
def folder(written, tmp_path) -> Path:
    shutil.copytree(written, tmp_path / "c")
    return tmp_path / "c"


def rewritten(folder: Path, change: Callable[[list[bytes]], Sequence[bytes]]) -> bytes:
    """Change the log's lines, and return what it holds then."""
    raw = b"".join(change((folder / LOG).read_bytes().splitlines(keepends=True)))
    (folder / LOG).write_bytes(raw)
    return raw


def operations(raw: bytes) -> list[tuple[str, str, int]]:
    """Every line's operation, id and version, read by eye."""
    found = []
    for line in raw.splitlines():
        operation = line[7 : line.index(b'"', 7)].decode()
        id = line.split(b'"id":"')[1].split(b'"')[0].decode() if b'"id":"' in line else ""
        version = int(line.split(b" in version ")[1].split(b".")[0]) if operation == "put" else 0
        found.append((operation, id, version))
    return found


def replay(done: Sequence[tuple[str, str, int]]) -> dict[str, int]:
    model: dict[str, int] = {}
    for operation, id, version in done:
        if operation in ("put", "delete"):
            model.pop(id, None)
        if operation == "put":
            model[id] = version
    return model


# -- verify --------------------------------------------------------------------------------------------------------


def test_verify_reports_what_the_file_holds(folder):
    raw = (folder / LOG).read_bytes()
    with Collection.open(folder) as notes:
        report = notes.verify()
    assert (report.file, report.bytes, report.lines) == (LOG, len(raw), raw.count(b"\n"))
    assert (report.records, report.unfinished_bytes) == (len(replay(operations(raw))), 0)


def test_verify_counts_what_a_killed_writer_left_and_the_next_write_removes_it(folder):
    raw = (folder / LOG).read_bytes()
    (folder / LOG).write_bytes(raw + raw.splitlines(keepends=True)[2] + b'{"op":"put"')
    with Collection.open(folder) as notes:
        report = notes.verify()
        assert report.bytes == len(raw)
        assert report.unfinished_bytes == (folder / LOG).stat().st_size - len(raw) > 0
        notes.delete(["n3"])
        assert notes.verify().unfinished_bytes == 0


def test_verify_names_the_line_of_a_damage_that_came_after_opening(folder):
    with Collection.open(folder) as notes:
        rewritten(folder, lambda lines: [*lines[:4], lines[4].replace(b"HbA1c", b"HbA1d"), *lines[5:]])
        with pytest.raises(CorruptLogError) as caught:
            notes.verify()
    assert (caught.value.file, caught.value.line) == (LOG, 5)


def test_verify_reads_a_collection_in_memory_and_beside_a_writer():
    notes, done = Collection.open(), threading.Event()
    writer = threading.Thread(target=lambda: ([notes.add([document(str(i), 1)]) for i in range(100)], done.set()))
    writer.start()
    while not done.is_set():
        assert notes.verify().unfinished_bytes >= 0
    writer.join()
    assert notes.verify().records == 100


# -- repair --------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.data())
def test_repair_keeps_every_record_whose_line_is_whole_and_lists_every_other(written, tmp_path_factory, data):
    """Bytes are overwritten at random places, line feeds left alone."""
    folder = tmp_path_factory.mktemp("damaged") / "c"
    shutil.copytree(written, folder)
    raw = (folder / LOG).read_bytes()
    before, damaged = operations(raw), bytearray(raw)
    starts = [0, *(i + 1 for i, byte in enumerate(raw) if byte == 10)]
    hit: dict[int, int] = {}  # damaged line -> first damaged byte of it
    places = st.integers(0, len(raw) - 1).filter(lambda i: raw[i] != 10)
    for place in data.draw(st.lists(places, min_size=1, max_size=6, unique=True)):
        byte = data.draw(st.integers(0, 255).filter(lambda b, was=raw[place]: b not in (was, 10)))
        damaged[place] = byte
        line = max(i for i, start in enumerate(starts) if start <= place)
        hit[line] = min(hit.get(line, len(raw)), place - starts[line])
    (folder / LOG).write_bytes(damaged)

    report = repair(folder)

    expected = replay([done for i, done in enumerate(before) if i not in hit])
    assert [loss.line for loss in report.lost] == [line + 1 for line in sorted(hit)]
    for loss in report.lost:
        operation, id, _ = before[loss.line - 1]
        if hit[loss.line - 1] > len(f'{{"op":"{operation}","id":"{id}"'):
            assert loss == Loss(loss.line, operation, id or None)
        assert loss.operation in ("put", "delete", "open", "commit", "unknown")
    assert report.kept == f"damaged-{LOG}"
    assert (folder / report.kept).read_bytes() == damaged
    assert stat.S_IMODE((folder / report.kept).stat().st_mode) == 0o600
    assert report.records == len(expected)
    with Collection.open(folder) as notes:
        assert list(model_of(notes).items()) == list(expected.items())
        notes.add([document("new", 1)])
        notes.verify()
    with Collection.open(folder) as notes:
        assert model_of(notes) == {**expected, "new": 1}
    again = repair(folder)
    assert (again.records, again.lost, again.kept) == (len(expected) + 1, (), None)


@settings(max_examples=60)
@given(st.data())
def test_repair_survives_any_damage_and_invents_nothing(written, tmp_path_factory, data):
    """Pieces are cut out, doubled, moved, overwritten, line feeds included."""
    folder = tmp_path_factory.mktemp("mangled") / "c"
    shutil.copytree(written, folder)
    raw = (folder / LOG).read_bytes()
    damaged = raw
    for _ in range(data.draw(st.integers(1, 4))):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(damaged))] * 2)))
        end = min(end, start + data.draw(st.sampled_from([1, 10, 700])))
        change = data.draw(st.sampled_from(["cut", "double", "zeros", "newline", "truncate"]))
        piece = {"cut": b"", "double": damaged[start:end] * 2, "zeros": bytes(end - start), "newline": b"\n"}
        damaged = damaged[:start] + piece.get(change, b"") + (damaged[end:] if change in piece else b"")
    (folder / LOG).write_bytes(damaged)
    report = repair(folder)
    known = {(id, version) for operation, id, version in operations(raw) if operation == "put"}
    with Collection.open(folder) as notes:
        model = model_of(notes)
        assert set(model.items()) <= known
        assert report.records == len(model)
        notes.add([document("new", 1)])
    with Collection.open(folder) as notes:
        assert model_of(notes) == {**model, "new": 1}
        notes.verify()


def test_a_damaged_line_feed_loses_nothing(folder):
    raw = (folder / LOG).read_bytes()
    expected = replay(operations(raw))
    for number, place in enumerate(i for i, byte in enumerate(raw) if byte == 10):
        other = folder.parent / str(number)
        shutil.copytree(folder, other)
        (other / LOG).write_bytes(raw[:place] + b"\x0b" + raw[place + 1 :])
        with pytest.raises(CorruptLogError):
            Collection.open(other)
        report = repair(other)
        assert (report.lost, report.records) == ((), len(expected)), f"line feed {number}"
        with Collection.open(other) as notes:
            assert model_of(notes) == expected


def test_a_line_that_is_gone_is_listed_at_the_commit_that_counted_it(folder):
    rewritten(folder, lambda lines: [*lines[:3], *lines[4:]])
    assert repair(folder).lost == (Loss(5, "unknown", None),)
    with Collection.open(folder) as notes:
        assert "n2" not in notes
        assert len(notes) == 10


def test_a_lost_deletion_is_listed_with_its_id_and_brings_the_record_back(folder):
    before = operations((folder / LOG).read_bytes())
    line = before.index(("delete", "n6", 0))
    rewritten(folder, lambda lines: [*lines[:line], lines[line].replace(b'"crc":"', b'"crc":"x'), *lines[line + 1 :]])
    assert repair(folder).lost == (Loss(line + 1, "delete", "n6"),)
    with Collection.open(folder) as notes:
        assert notes.get(["n6"]) == [document("n6", 1)]


def test_an_id_with_escapes_is_listed_as_it_was_given(tmp_path):
    id = 'visit "7"\n\\µ'
    with Collection.open(tmp_path / "c") as notes:
        notes.add([Document("chest pain", {}, id)])
    rewritten(tmp_path / "c", lambda lines: [line.replace(b"chest", b"chess") for line in lines])
    assert repair(tmp_path / "c").lost == (Loss(2, "put", id),)


def test_whole_lines_in_another_order_are_kept_as_they_come(folder):
    rewritten(folder, lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]])
    report = repair(folder)
    assert (report.lost, report.kept) == ((), f"damaged-{LOG}")
    assert report.records == 10


def test_what_no_commit_closed_is_dropped_and_what_a_damaged_commit_closed_is_kept(folder):
    put = (folder / LOG).read_bytes().splitlines(keepends=True)[1]

    def change(lines: list[bytes]) -> list[bytes]:
        lines[2] = lines[2].replace(b"HbA1c", b"HbA1d")
        return [*lines, put, put[:50]]

    rewritten(folder, change)
    assert [loss.line for loss in repair(folder).lost] == [3]
    with Collection.open(folder) as notes:
        assert notes.get(["n0"]) == [document("n0", 3)], "the version behind the last commit was never acknowledged"


def test_a_damaged_last_commit_does_not_drop_what_it_closed(folder):
    rewritten(folder, lambda lines: [*lines[:-1], lines[-1].replace(b'"chain":"', b'"chain":"f')])
    (loss,) = repair(folder).lost
    assert (loss.operation, loss.id) == ("commit", None)
    with Collection.open(folder) as notes:
        assert "n2" not in notes


def test_a_whole_collection_is_left_as_it_is_by_repair(folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    report = repair(folder)
    assert (report.records, report.lost, report.kept) == (10, (), None)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_repair_creates_no_collection_and_needs_the_manifest(tmp_path, folder):
    with pytest.raises(NotACollectionError, match=r"manifest\.json"):
        repair(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
    (folder / "manifest.json").unlink()
    with pytest.raises(NotACollectionError, match=r"manifest\.json"):
        repair(folder)


def test_a_damaged_log_that_an_earlier_repair_kept_is_not_overwritten(folder):
    (folder / f"damaged-{LOG}").write_bytes(b"of last year")
    rewritten(folder, lambda lines: [line.replace(b"HbA1c 4", b"HbA1c 5") for line in lines])
    assert repair(folder).kept == "damaged-log-000001-1.jsonl"
    assert (folder / f"damaged-{LOG}").read_bytes() == b"of last year"


def test_a_repair_that_was_killed_at_any_moment_is_done_again(tmp_path):
    (seen,) = run(crashes.killed_repairs, folder=tmp_path)
    assert seen["states"] > 5


# -- reembed -------------------------------------------------------------------------------------------------------


class Words:
    """A tiny real encoder: each word adds its own direction."""

    def __init__(self, seed: int, dimension: int = 8) -> None:
        self.name, self.dimension, self.seed = "words", dimension, seed
        self.fingerprint = f"words-{dimension}-{seed}"

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.one(text) for text in texts])

    encode_queries = encode_documents

    def one(self, text: str) -> np.ndarray:
        seeds = [[self.seed, *word.encode()] for word in text.lower().split()]
        return np.sum([np.random.default_rng(s).normal(size=self.dimension) for s in seeds], axis=0).astype(np.float32)


TEXTS = [f"note {i} says HbA1c {i}.{i} %" for i in range(10)]


@pytest.fixture
def encoded(tmp_path) -> Path:
    with Collection.open(tmp_path / "e", encoder=Words(1)) as notes:
        notes.add(Document(text, {"n": i}, str(i)) for i, text in enumerate(TEXTS))
        notes.delete(["3"])
        notes.add([Document(TEXTS[3], {"n": 3}, "3")])
    return tmp_path / "e"


def vectors(notes: Collection) -> dict[str, bytes]:
    return {d.text: np.asarray(d.vector).tobytes() for d in notes.get(filter={}, include_vectors=True)}


@pytest.mark.parametrize("dimension", [8, 16])
def test_reembed_gives_every_record_the_new_encoders_vector_and_leaves_the_rest(dimension, encoded):
    new = Words(2, dimension)
    with Collection.open(encoded, encoder=Words(1)) as notes:
        before = list(notes)
        notes.reembed(new, batch_size=3)
        assert list(notes) == before
        assert vectors(notes) == {text: new.one(text).tobytes() for text in TEXTS}
        assert notes.search(TEXTS[5], mode="dense")[0].text == TEXTS[5]
        assert (notes.dimension, notes.encoder) == (dimension, new)
        notes.add(["written afterwards"])
        assert vectors(notes)["written afterwards"] == new.one("written afterwards").tobytes()
    with pytest.raises(EncoderMismatch, match="words-8-1"):
        Collection.open(encoded, encoder=Words(1))
    with Collection.open(encoded, encoder=Words(2, dimension)) as notes:
        assert len(notes) == 11
        notes.verify()


def test_another_open_collection_meets_the_new_vectors_and_never_mixes_them(encoded):
    old = Words(1).one("question")
    with (
        Collection.open(encoded, encoder=Words(1)) as same,
        Collection.open(encoded) as bare,
        Collection.open(encoded) as notes,
    ):
        assert len(same) == len(bare) == 10
        notes.reembed(Words(2, 16))
        with pytest.raises(InvalidVectorError, match="16"):
            bare.search(vector=old)
        for call in (lambda: same.search("question"), lambda: same.add(["a text"])):
            with pytest.raises(EncoderMismatch, match="words-16-2"):
                call()
        assert vectors(bare) == {text: Words(2, 16).one(text).tobytes() for text in TEXTS}
        with pytest.raises(InvalidVectorError, match="16"):
            bare.add([Document("x", vector=old)])
        assert len(bare) == 10


class Failing(Words):
    """Goes wrong in its third batch, in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__(7)
        self.way, self.batches = way, 0

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.batches += 1
        made = super().encode_documents(texts)
        if self.batches < 3:
            return made
        if self.way == "raise":
            raise RuntimeError("out of memory")
        wrong = {"too few": made[:-1], "nan": made * np.nan, "other dimension": made[:, :-1], "zeros": made * 0}
        return wrong[self.way]


@pytest.mark.parametrize("way", ["raise", "too few", "nan", "other dimension", "zeros"])
def test_an_encoder_that_fails_half_way_changes_nothing(way, encoded):
    with Collection.open(encoded, encoder=Words(1)) as notes:
        before, files = vectors(notes), crashes.files(encoded)
        with pytest.raises(RuntimeError if way == "raise" else InvalidVectorError):
            notes.reembed(Failing(way), batch_size=2)
        assert vectors(notes) == before
        assert crashes.files(encoded) == files
        notes.add(["goes on"])
        assert vectors(notes)["goes on"] == Words(1).one("goes on").tobytes()


def test_a_record_without_text_is_named_and_nothing_is_reembedded(tmp_path):
    with Collection.open(tmp_path / "c") as notes:
        notes.add([Document("", {}, "an image", [1.0, 2.0]), Document("x", vector=[2.0, 1.0])])
        with pytest.raises(InvalidDocumentError, match="an image"):
            notes.reembed(Words(1))
        assert notes.dimension == 2


def test_texts_without_vectors_are_encoded_by_reembed(tmp_path):
    with Collection.open(tmp_path / "c") as notes:
        notes.add(TEXTS)
        notes.reembed(Words(1))
        assert notes.search(TEXTS[2], mode="dense")[0].text == TEXTS[2]


def test_a_text_that_was_encoded_while_another_thread_reembedded_gets_the_new_vector(encoded):
    at_work, go_on, old_used = threading.Event(), threading.Event(), threading.Event()

    class Waiting(Words):
        def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
            at_work.set()
            assert go_on.wait(30)
            return super().encode_documents(texts)

    class Telling(Words):
        def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
            old_used.set()
            return super().encode_documents(texts)

    with Collection.open(encoded, encoder=Telling(1)) as notes:
        threads = [threading.Thread(target=notes.reembed, args=(Waiting(2),))]
        threads[0].start()
        assert at_work.wait(30)
        threads.append(threading.Thread(target=notes.add, args=(["written meanwhile"],)))
        threads[1].start()
        assert old_used.wait(30)
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert vectors(notes)["written meanwhile"] == Words(2).one("written meanwhile").tobytes()


# -- copy_to and compact -------------------------------------------------------------------------------------------


def test_a_copy_holds_every_scope_and_nothing_that_was_deleted_and_lives_on_its_own(tmp_path):
    documents = [Document(f"note {i}", {"patient_id": "AB"[i % 2]}, str(i), [i + 1.0, 1.0]) for i in range(6)]
    with Collection.open(tmp_path / "c", scope_keys=["patient_id"]) as notes:
        notes.add([*documents, Document("secret of the deleted", {"patient_id": "A"}, "gone", [1.0, 2.0])])
        notes.scoped(patient_id="A").delete(["gone"])
        notes.copy_to(tmp_path / "deep" / "copy")
        notes.scoped(patient_id="B").delete(filter={})
        with pytest.raises(NotACollectionError, match="not empty"):
            notes.copy_to(tmp_path / "deep" / "copy")
        with pytest.raises(NotACollectionError, match="not empty"):
            notes.copy_to(tmp_path / "c")
    assert not any(b"secret" in content for content in crashes.files(tmp_path / "deep").values())
    with Collection.open(tmp_path / "deep" / "copy", scope_keys=["patient_id"]) as copy:
        assert copy.verify().records == 6
        found = [d for p in "AB" for d in copy.scoped(patient_id=p).get(filter={}, include_vectors=True)]
        assert found == documents[::2] + documents[1::2]
        assert [d.vector.tolist() for d in found] == [d.vector for d in documents[::2] + documents[1::2]]


def test_a_collection_in_memory_is_brought_to_disk_with_its_encoder(tmp_path):
    notes = Collection.open(encoder=Words(1))
    notes.add(TEXTS)
    notes.copy_to(tmp_path / "c")
    with pytest.raises(EncoderMismatch):
        Collection.open(tmp_path / "c", encoder=Words(2))
    with Collection.open(tmp_path / "c", encoder=Words(1)) as copy:
        assert copy.search(TEXTS[1]) == notes.search(TEXTS[1])


def test_compact_gives_back_the_room_of_what_is_no_longer_there(folder):
    with Collection.open(folder) as notes:
        for version in range(4, 24):
            notes.add(document(f"n{i}", version) for i in range(10))
        before, size = model_of(notes), (folder / LOG).stat().st_size
        notes.compact()
        assert model_of(notes) == before
        assert not (folder / LOG).exists()
        assert (folder / "log-000002.jsonl").stat().st_size < size / 10
        assert notes.verify().lines == len(before) + 2
