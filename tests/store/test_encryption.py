"""Encrypted collections: what files show, what a key opens, what a change leads to, what a destroyed key leaves."""

from __future__ import annotations

import json
import random
import shutil
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bedside
from bedside import Collection, Document
from bedside.audit import acting_as
from bedside.encoders import CachedEncoder, VectorCache
from bedside.engines import repair, verify_without_key
from bedside.engines.embedded import state as live
from bedside.engines.embedded.log.codec import COMMIT_ROOM
from bedside.engines.embedded.log.keyring import Keyring
from bedside.engines.embedded.log.seal import BrokenSealError, seal
from bedside.engines.embedded.log.sealed import SealedCodec
from bedside.errors import (
    CorruptLogError,
    InvalidInputError,
    KeyRequired,
    KeyringError,
    NotACollectionError,
    NotEncryptedError,
    ShreddedError,
    StoreError,
    WriteFailedError,
    WrongKeyError,
)
from store.sealed_notes import KEY, NOTES, OTHER, WARD, holding, note, plain_forms


@pytest.fixture(autouse=True)
def every_close_writes_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_CACHE_AFTER", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed collection of two patients, in three transactions."""
    place = tmp_path / "notes"
    with Collection.open(place, scope_keys=["patient_id"], key=KEY) as notes:
        for start in (0, 2, 4):
            notes.add(NOTES[start : start + 2])
    return place


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "write.lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def said(place: Path, key: Any = KEY) -> list[Any]:
    """Everything that a collection answers."""
    with Collection.open(place, key=key, read_only=True) as notes:
        views = [notes.scoped(**scope) for scope, _ in notes.scopes()]
        asked = [view.search("tachyarrhythmia episode", vector=[1, 2, 3, 4, 5], top_k=9) for view in views]
        return [notes.scopes(), [view.get(filter={}, include_vectors=True) for view in views], asked]


# What the files show


def test_no_file_shows_text_id_scope_value_metadata_term_or_vector(folder: Path, tmp_path: Path) -> None:
    forms = plain_forms(NOTES)
    assert sorted(contents(folder)) == ["cache/log-000001-0.bin", "keys.json", "log-000001.jsonl", "manifest.json"]
    assert holding(folder, forms) == []
    with Collection.open(folder, key=KEY) as notes:
        jane = notes.scoped(patient_id="Doe-Jane")
        jane.delete([NOTES[0].id])
        assert holding(folder, forms) == []
        jane.erase([NOTES[2].id])
        notes.compact()
        notes.copy_to(tmp_path / "copy")
        notes.scoped(patient_id="Roe-Richard").shred()
        notes.rekey(OTHER)
    assert holding(folder, forms) == holding(tmp_path / "copy", forms) == []


def test_the_scan_finds_all_of_these_in_a_plain_collection(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "plain", scope_keys=["patient_id"]) as notes:
        notes.add(NOTES)
    for form in (WARD, "Doe-Jane", NOTES[0].id, "tachyarrhythmia"):
        assert set(holding(tmp_path / "plain", {form.encode()})) == {"log-000001.jsonl", "log-000001-0.bin"}
    assert holding(tmp_path / "plain", {b64encode(NOTES[0].vector.tobytes())[:10]}) == ["log-000001.jsonl"]
    assert len(holding(tmp_path / "plain", plain_forms(NOTES[:1]))) == 2


def test_an_envelope_shows_the_name_of_a_key_and_sizes_alone_be_it_of_a_put_or_a_delete(folder: Path) -> None:
    with Collection.open(folder, key=KEY) as notes:
        notes.scoped(patient_id="Doe-Jane").delete([NOTES[0].id])
    lines = [json.loads(line) for line in (folder / "log-000001.jsonl").read_bytes().splitlines()]
    sealed = [line for line in lines if line["op"] == "sealed"]
    assert len(sealed) == 7
    assert {frozenset(line) for line in sealed} == {frozenset(("op", "key", "data", "more", "crc"))}
    assert len({line["key"] for line in sealed}) == 2, "one key for each patient"
    assert {frozenset(line) for line in lines if line["op"] == "commit"} == {
        frozenset(("op", "records", "chain", "at", "mac", "crc"))
    }


def test_commits_seal_who_wrote_them_and_bind_the_name_to_their_place(folder: Path) -> None:
    names = ["dr.x", "Dr. 𝒳 " * 33 + "yz"]  # of 200 characters, the most there may be
    with Collection.open(folder, key=KEY) as notes:
        jane = notes.scoped(patient_id="Doe-Jane")
        for name in names:
            with acting_as(name):
                jane.add([NOTES[0]])
                jane.delete([NOTES[0].id])
    assert holding(folder, {name.encode() for name in names} | {b"dr.x", json.dumps(names[1])[1:9].encode()}) == []
    ring = Keyring.open(folder / "keys.json", json.loads((folder / "manifest.json").read_bytes())["id"], KEY)
    codec = SealedCodec(["patient_id"], ring, "log-000001.jsonl")
    lines = [line for line in (folder / "log-000001.jsonl").read_bytes().splitlines(True) if b'"op":"commit"' in line]
    assert [codec.closing(line).actor for line in lines][-4:] == [names[0], names[0], names[1], names[1]]
    assert codec.closing(lines[0]).actor is None
    assert max(map(len, lines)) < COMMIT_ROOM
    moved = {**json.loads(lines[-1]), "actor": json.loads(lines[-4])["actor"]}
    with pytest.raises(BrokenSealError, match="does not open"):
        codec.closing(seal({key: value for key, value in moved.items() if key != "crc"}))
    assert said(folder)


def test_verify_lists_who_wrote_since_the_log_was_written_anew(folder: Path, tmp_path: Path) -> None:
    with Collection.open(folder, key=KEY) as notes:
        jane = notes.scoped(patient_id="Doe-Jane")
        for name in ("dr.x", "dr.y", "dr.x"):
            with acting_as(name):
                jane.add([NOTES[0], NOTES[2]])
        nobody, x, y = notes.verify().writers
        assert (nobody.actor, nobody.transactions, nobody.changes) == (None, 3, 6)
        assert (x.actor, x.transactions, x.changes) == ("dr.x", 2, 4)
        assert (y.actor, y.transactions, y.changes, y.first) == ("dr.y", 1, 2, y.last)
        assert x.first is not None
        assert y.first is not None
        assert x.last is not None
        assert x.first <= y.first <= x.last
        assert verify_without_key(folder).writers == ()
        with acting_as("dr.z"):
            notes.compact()
        assert [(each.actor, each.changes) for each in notes.verify().writers] == [("dr.z", 6)]
    with Collection.open(tmp_path / "plain") as plain, acting_as("dr.x"):
        plain.add([Document("BP 120/80.", vector=[1, 2])])
        assert [(each.actor, each.transactions) for each in plain.verify().writers] == [("dr.x", 1)]


def test_files_are_for_their_owner_alone(folder: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.*") if path.is_file()} == {0o600}


# Keys


@pytest.mark.parametrize("kind", ["bytes", "file", "variable", "function"])
def test_each_kind_of_key_opens_what_another_kind_created(
    kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    monkeypatch.setenv("WARD_KEY", KEY.hex())
    key = {"bytes": KEY, "file": tmp_path / "key", "variable": "WARD_KEY", "function": lambda: KEY}[kind]
    assert said(folder, key) == said(folder)


@pytest.mark.parametrize(("key", "error"), [(OTHER, WrongKeyError), (None, KeyRequired), (b"short", InvalidInputError)])
def test_a_wrong_or_missing_key_opens_nothing_and_changes_nothing(key: Any, error: type, folder: Path) -> None:
    before = contents(folder)
    for read_only in (True, False):
        with pytest.raises(error):
            Collection.open(folder, key=key, read_only=read_only)
    assert contents(folder) == before


def test_a_key_for_a_plain_collection_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "plain") as notes:
        notes.add([Document("BP 120/80.", vector=[1, 2])])
    before = contents(tmp_path / "plain")
    with pytest.raises(NotEncryptedError, match="not encrypted"):
        Collection.open(tmp_path / "plain", key=KEY)
    assert contents(tmp_path / "plain") == before


def test_memory_and_postgresql_refuse_a_key_by_name() -> None:
    with pytest.raises(InvalidInputError, match="memory"):
        Collection.open(key=KEY)
    with pytest.raises(InvalidInputError, match="PostgreSQL"):
        Collection.open("postgresql://nobody@localhost:1/none", key=KEY)
    with Collection.open() as notes, pytest.raises(InvalidInputError, match="memory"):
        notes.encrypt(KEY)


def test_a_key_that_is_none_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        Collection.open(tmp_path / "new" / "notes", key=b"short")
    assert not (tmp_path / "new").exists()


def test_an_encoder_that_keeps_vectors_is_refused_by_an_encrypted_collection(tmp_path: Path) -> None:
    encoder = CachedEncoder(bedside.load_encoder("bedside/static"), VectorCache(tmp_path / "vectors"))
    with pytest.raises(InvalidInputError, match="without a cache"):
        Collection.open(tmp_path / "notes", encoder=encoder, key=KEY)
    with Collection.open(tmp_path / "plain", encoder=encoder) as notes:
        with pytest.raises(InvalidInputError, match="without a cache"):
            notes.encrypt(KEY)
        assert not notes.facts.sealed


# Damage, and those who can write the files


def flips(folder: Path, name: str, step: int) -> Iterator[int]:
    """Flip one bit of every ``step``-th byte of a file, one after the other."""
    file = folder / name
    whole = file.read_bytes()
    for at in range(random.Random(step).randrange(step), len(whole), step):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        yield at
    file.write_bytes(whole)


STEPS = [37, pytest.param(1, marks=pytest.mark.slow)]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["log-000001.jsonl", "keys.json", "manifest.json"])
@pytest.mark.parametrize("cached", [True, False])
def test_a_flipped_byte_is_a_named_error_and_nothing_decrypts_wrongly(
    name: str, cached: bool, step: int, folder: Path
) -> None:
    right = said(folder)
    if not cached:
        shutil.rmtree(folder / "cache")
    for at in flips(folder, name, step):
        try:
            found = said(folder)
            with Collection.open(folder, key=KEY, read_only=True) as notes:
                notes.verify()
        except (StoreError, json.JSONDecodeError) as error:
            assert isinstance(error, StoreError), (name, at)
        else:
            raise AssertionError(f"{name}: byte {at} was flipped unseen: {found == right}")


def transactions(log: bytes) -> tuple[bytes, list[list[bytes]]]:
    header, *lines = log.splitlines(keepends=True)
    found: list[list[bytes]] = [[]]
    for line in lines:
        found[-1].append(line)
        if b'"op":"commit"' in line:
            found.append([])
    return header, found[:-1]


def forged(header: bytes, parts: list[list[bytes]]) -> bytes:
    """A log of these transactions as somebody without the key would write it: checksums and chain are right."""
    codec = SealedCodec((), None, "")
    log, chain = header, codec.chained(header, 0)
    for part in parts:
        for line in part:
            if b'"op":"commit"' in line:
                fields = {**json.loads(line), "chain": chain}
                del fields["crc"]
                body = json.dumps(fields, separators=(",", ":")).encode()[:-1]
                line = b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))
            log, chain = log + line, codec.chained(line, chain)
    return log


def changed_orders(parts: list[list[bytes]]) -> Iterator[list[list[bytes]]]:
    for i in range(len(parts)):
        yield parts[:i] + parts[i + 1 :]
        yield parts[: i + 1] + parts[i:]
        if i:
            yield [*parts[: i - 1], parts[i], parts[i - 1], *parts[i + 1 :]]


@pytest.mark.parametrize("repaired", [False, True])
def test_a_removed_doubled_or_swapped_transaction_is_found_even_where_every_checksum_was_made_anew(
    repaired: bool, folder: Path
) -> None:
    log = folder / "log-000001.jsonl"
    header, parts = transactions(log.read_bytes())
    assert forged(header, parts) == log.read_bytes(), "the forger knows the format"
    shutil.rmtree(folder / "cache")
    for order in changed_orders(parts):
        log.write_bytes(forged(header, order) if repaired else header + b"".join(map(b"".join, order)))
        with pytest.raises(CorruptLogError):
            said(folder)


def test_lines_of_one_transaction_cannot_be_swapped_nor_moved_to_another_patient(folder: Path) -> None:
    log = folder / "log-000001.jsonl"
    header, parts = transactions(log.read_bytes())
    shutil.rmtree(folder / "cache")
    (first, second, commit), *rest = parts
    log.write_bytes(forged(header, [[second, first, commit], *rest]))
    with pytest.raises(CorruptLogError, match="key"):
        said(folder)
    name, other = (json.loads(line)["key"].encode() for line in (first, second))
    moved = first.replace(name, other)
    body = moved[: moved.index(b',"crc"')]
    moved = b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))
    log.write_bytes(forged(header, [[moved, second, commit], *rest]))
    with pytest.raises(CorruptLogError, match="key"):
        said(folder)


def test_a_vector_cannot_be_moved_to_another_record_of_its_patient(folder: Path) -> None:
    with Collection.open(folder, key=KEY, read_only=True) as notes:
        log = notes._engine._log
        one, other = (json.loads(line) for line in (folder / "log-000001.jsonl").read_bytes().splitlines()[1:5:3])
        assert one["key"] == other["key"]
        line = json.dumps({**one, "more": other["more"]}, separators=(",", ":")).encode()
        with pytest.raises(BrokenSealError, match="key"):
            log.codec.decode(line)
        assert log.codec.decode(line, vectors=False).id == NOTES[0].id


def test_the_end_cannot_be_cut_off_by_changing_the_manifest_too(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    header, parts = transactions((folder / "log-000001.jsonl").read_bytes())
    (folder / "log-000001.jsonl").write_bytes(header + b"".join(map(b"".join, parts[:-1])))
    with pytest.raises(CorruptLogError, match="cut off"):
        said(folder)
    for committed in (None, [1, 1, "00"]):
        body = json.dumps({**manifest, "committed": committed}, separators=(",", ":"))
        body = body[: body.index(',"crc"')]
        (folder / "manifest.json").write_text(f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n')
        with pytest.raises(NotACollectionError, match="key of this collection"):
            said(folder)


def test_an_earlier_log_cannot_stand_in_for_a_later_one(folder: Path) -> None:
    earlier = (folder / "log-000001.jsonl").read_bytes()
    with Collection.open(folder, key=KEY) as notes:
        notes.scoped(patient_id="Doe-Jane").erase(filter={})
    (folder / "log-000002.jsonl").write_bytes(earlier)
    with pytest.raises(CorruptLogError):
        said(folder)


def test_checksums_and_chain_are_verified_without_a_key(folder: Path) -> None:
    report = verify_without_key(folder)
    assert (report.lines, report.records) == (10, None)
    for _ in flips(folder, "log-000001.jsonl", 97):
        with pytest.raises(CorruptLogError):
            verify_without_key(folder)
    header, parts = transactions((folder / "log-000001.jsonl").read_bytes())
    (folder / "log-000001.jsonl").write_bytes(header + b"".join(map(b"".join, parts[:-1])))
    with pytest.raises(CorruptLogError):
        verify_without_key(folder)


def test_a_missing_an_older_or_a_foreign_file_of_keys_is_named(folder: Path, tmp_path: Path) -> None:
    older = (folder / "keys.json").read_bytes()
    with Collection.open(folder, key=KEY) as notes:
        notes.add([note("Poe-Ann", 1)])
    shutil.rmtree(folder / "cache")
    Collection.open(tmp_path / "other", key=KEY).close()
    for content, match in ((older, "older than the log"), ((tmp_path / "other/keys.json").read_bytes(), "another")):
        (folder / "keys.json").write_bytes(content)
        with pytest.raises(KeyringError, match=match):
            said(folder)
    (folder / "keys.json").unlink()
    with pytest.raises(KeyringError, match="missing"):
        said(folder)


def test_a_key_that_is_not_saved_yet_survives_what_another_process_saves(folder: Path) -> None:
    with Collection.open(folder, key=KEY) as notes:
        place, collection = folder / "keys.json", notes.facts.id
        ring = Keyring.open(place, collection, KEY)
        names = [ring.of_scope((patient,))[0] for patient in ("New-One", "Poe-Ann")]
        notes.add([note("Poe-Ann", 1)])
        ring.refresh()
        ring.save()
        again = Keyring.open(place, collection, KEY)
        assert all(again.named(name) for name in names)
        assert again.of_scope(("New-One",))[0] == names[0]
        assert notes.verify().records == 7
        notes.scoped(patient_id="Poe-Ann").shred()
        with pytest.raises(ShreddedError):
            Keyring.open(place, collection, KEY).named(names[1])


def test_a_file_of_keys_that_is_cut_off_anywhere_or_made_by_hand_is_named(folder: Path) -> None:
    file = folder / "keys.json"
    whole = file.read_bytes()
    for end in range(0, len(whole), 23):
        file.write_bytes(whole[:end])
        with pytest.raises(KeyringError, match="damaged"):
            said(folder)
    fields = {name: value for name, value in json.loads(whole).items() if name != "crc"}
    for name, value in (("root", 5), ("root", None), ("keys", []), ("keys", {"a": 5}), ("cache", None), ("mac", 1)):
        file.write_bytes(seal({**fields, name: value}))
        with pytest.raises((KeyringError, WrongKeyError)):
            said(folder)


def test_keys_that_lie_elsewhere_behind_a_symbolic_link_are_replaced_there(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "volume" / "keys.json"
    elsewhere.parent.mkdir()
    (folder / "keys.json").rename(elsewhere)
    (folder / "keys.json").symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    with Collection.open(folder, key=KEY) as notes:
        notes.scoped(patient_id="Doe-Jane").shred()
        notes.rekey(OTHER)
    assert (folder / "keys.json").is_symlink()
    assert elsewhere.read_bytes() != before
    assert [scope for scope, _ in said(folder, OTHER)[0]] == [{"patient_id": "Roe-Richard"}]


def test_a_key_file_that_everybody_may_read_is_warned_of(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY)
    for mode, warned in ((0o644, True), (0o602, True), (0o640, False), (0o600, False)):
        key.chmod(mode)
        caplog.clear()
        assert said(folder, key)
        assert ("every user" in caplog.text) == warned, oct(mode)
    assert KEY.hex() not in caplog.text


# Rekeying


def test_rekeying_changes_the_key_and_not_the_log(folder: Path) -> None:
    right, before = said(folder), contents(folder)
    with Collection.open(folder, key=KEY) as notes:
        notes.rekey(OTHER)
        notes.scoped(patient_id="Doe-Jane").count()
    after = contents(folder)
    assert [name for name in before if before[name] != after[name]] == ["keys.json"]
    assert said(folder, OTHER) == right
    with pytest.raises(WrongKeyError):
        said(folder, KEY)


def test_who_has_it_open_goes_on_reading_and_needs_the_new_key_to_write(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    with (
        Collection.open(folder, key=KEY) as old,
        Collection.open(folder, key=tmp_path / "key") as followed,
        Collection.open(folder, key=KEY) as notes,
    ):
        notes.rekey(OTHER)
        (tmp_path / "key").write_bytes(OTHER)
        assert old.scoped(patient_id="Doe-Jane").count() == 3
        with pytest.raises(WrongKeyError):
            old.add([note("Poe-Ann", 1)])
        assert followed.add([note("Poe-Ann", 2)])
        assert notes.scoped(patient_id="Poe-Ann").count() == 1
    assert len(said(folder, OTHER)[0]) == 3


def test_what_the_disk_refuses_of_keys_is_taken_back_whole(folder: Path) -> None:
    """A later call must not finish a rekeying or a shredding that was said to have failed."""
    right = said(folder)
    with Collection.open(folder, key=KEY) as notes:
        (folder / "keys.json.new").mkdir()  # nothing can be written there
        with pytest.raises(WriteFailedError):
            notes.rekey(OTHER)
        with pytest.raises(WriteFailedError):
            notes.scoped(patient_id="Doe-Jane").shred()
        with pytest.raises(WriteFailedError):
            notes.add([note("Poe-Ann", 1)])
        assert notes.scoped(patient_id="Doe-Jane").count() == 3
        (folder / "keys.json.new").rmdir()
        notes.add([note("Last-One", 1)])
        assert notes.scoped(patient_id="Doe-Jane").get(filter={}, include_vectors=True) == right[1][0]
        notes.scoped(patient_id="Last-One").shred()
        assert notes.verify().records == len(NOTES)
    assert said(folder) == right
    with pytest.raises(WrongKeyError):
        said(folder, OTHER)


# Shredding


def test_shredding_leaves_nothing_of_a_scope_and_everything_of_the_others(folder: Path) -> None:
    right = said(folder)
    with Collection.open(folder, key=KEY) as notes:
        receipt = notes.scoped(patient_id="Doe-Jane").shred()
        assert sorted(receipt.ids) == sorted(each.id for each in NOTES if each.metadata["patient_id"] == "Doe-Jane")
        assert notes.scopes() == [({"patient_id": "Roe-Richard"}, 3)]
        assert notes.scoped(patient_id="Doe-Jane").count() == 0
        assert notes.verify().records == 3
    assert [each[-1:] for each in said(folder)] == [each[-1:] for each in right]
    with Collection.open(folder, key=KEY) as notes:
        notes.add([note("Doe-Jane", 7)])
        assert notes.scoped(patient_id="Doe-Jane").count() == 1


def what_the_lost_key_refuses(jane: Collection, notes: Collection, folder: Path) -> list[Callable[[], object]]:
    return [
        lambda: jane.search("tachyarrhythmia", mode="sparse"),
        lambda: jane.get(["x"]),
        jane.count,
        lambda: jane.facets("ward"),
        lambda: list(jane.stream()),
        lambda: jane.delete(filter={}),
        lambda: jane.erase(["x"]),
        lambda: jane.add([note("Doe-Jane", 9)]),
        lambda: jane.update(["x"], lambda document: document),
        notes.scopes,
        notes.verify,
        lambda: notes.copy_to(folder / "copy"),
        lambda: notes.export(folder / "all.jsonl", all_scopes=True),
    ]


@pytest.mark.parametrize("with_cache", [True, False])
def test_a_backup_put_back_after_shredding_names_what_is_gone_and_reads_all_else(
    with_cache: bool, folder: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(folder, backup, ignore=shutil.ignore_patterns("keys.json", *([] if with_cache else ["cache"])))
    right = said(folder)
    with Collection.open(folder, key=KEY) as notes:
        notes.scoped(patient_id="Doe-Jane").shred()
    shutil.copy(folder / "keys.json", backup)
    for _ in range(2):  # opening writes nothing that would hide it
        with Collection.open(backup, key=KEY) as notes:
            jane, richard = (notes.scoped(patient_id=name) for name in ("Doe-Jane", "Roe-Richard"))
            assert richard.get(filter={}, include_vectors=True) == right[1][1]
            for ask in what_the_lost_key_refuses(jane, notes, tmp_path):
                with pytest.raises(ShreddedError, match="compact"):
                    ask()
            with pytest.raises(ShreddedError, match="compact"):
                richard.erase([NOTES[1].id])
            richard.add([note("Roe-Richard", 9)])
            richard.delete([note("Roe-Richard", 9).id])
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "all.jsonl").exists()
    with Collection.open(backup, key=KEY) as notes:
        notes.compact()
        assert notes.scopes() == [({"patient_id": "Roe-Richard"}, 3)]
        assert notes.scoped(patient_id="Doe-Jane").count() == 0
        assert notes.verify().records == 3


def test_who_reads_while_another_shreds_sees_all_or_nothing(folder: Path) -> None:
    with Collection.open(folder, key=KEY) as reader, Collection.open(folder, key=KEY) as writer:
        jane = reader.scoped(patient_id="Doe-Jane")
        assert jane.count() == 3
        writer.scoped(patient_id="Doe-Jane").shred()
        assert (jane.count(), jane.get(filter={})) == (0, [])
        assert reader.scoped(patient_id="Roe-Richard").count() == 3


def test_shredding_is_for_one_scope_of_an_encrypted_collection(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "plain", scope_keys=["patient_id"]) as notes:
        notes.add(NOTES)
        with pytest.raises(NotEncryptedError):
            notes.scoped(patient_id="Doe-Jane").shred()
        assert notes.scoped(patient_id="Doe-Jane").count() == 3
    with Collection.open(tmp_path / "whole", key=KEY) as notes, pytest.raises(InvalidInputError, match="no scope keys"):
        notes.shred()


# Encrypting what is there


def test_a_plain_collection_is_encrypted_whole_and_others_are_asked_for_the_key(tmp_path: Path) -> None:
    place = tmp_path / "notes"
    with Collection.open(place, scope_keys=["patient_id"]) as notes:
        notes.add(NOTES)
    right = said(place, None)
    with Collection.open(place) as notes, Collection.open(place) as other:
        notes.encrypt(KEY)
        assert notes.facts.sealed
        assert notes.scoped(patient_id="Doe-Jane").count() == 3
        with pytest.raises(KeyRequired):
            other.scoped(patient_id="Doe-Jane").count()
        with pytest.raises(InvalidInputError, match="rekey"):
            notes.encrypt(KEY)
    assert said(place) == right
    assert holding(place, plain_forms(NOTES)) == []


def test_encrypting_is_refused_while_a_damaged_log_in_the_clear_is_kept(tmp_path: Path) -> None:
    with Collection.open(tmp_path / "notes") as notes:
        notes.add([Document("BP 120/80.", vector=[1, 2])])
        (tmp_path / "notes/damaged-log-000001.jsonl").write_text("BP 120/80.")
        with pytest.raises(InvalidInputError, match="damaged-log-000001"):
            notes.encrypt(KEY)
        assert not notes.facts.sealed


# What else works on files


def test_copy_repair_export_and_import_work_on_encrypted_collections(folder: Path, tmp_path: Path) -> None:
    right = said(folder)
    with Collection.open(folder, key=KEY) as notes:
        notes.copy_to(tmp_path / "copy")
        notes.export(tmp_path / "notes.jsonl", all_scopes=True, include_vectors=True)
    with Collection.open(tmp_path / "again", scope_keys=["patient_id"], key=KEY) as notes:
        notes.import_from(tmp_path / "notes.jsonl")
    assert said(tmp_path / "copy") == said(tmp_path / "again") == right
    assert holding(tmp_path / "again", plain_forms(NOTES)) == []
    log = folder / "log-000001.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:1], lines[1][:60] + b"?" + lines[1][61:], *lines[2:]]))
    with pytest.raises(KeyRequired):
        repair(folder)
    report = repair(folder, key=KEY)
    assert (report.records, [loss.line for loss in report.lost]) == (5, [2])
    assert holding(folder, plain_forms(NOTES)) == []
    assert said(folder)[1][1] == right[1][1]


def test_an_erasure_looks_for_the_sealed_lines_too(folder: Path) -> None:
    kept = (folder / "log-000001.jsonl").read_bytes()
    with Collection.open(folder, key=KEY) as notes:
        (folder / "kept.jsonl").write_bytes(kept)
        with pytest.raises(bedside.errors.TracesRemainError, match=r"kept\.jsonl"):
            notes.scoped(patient_id="Doe-Jane").erase([NOTES[0].id])
        (folder / "kept.jsonl").unlink()
        assert notes.scoped(patient_id="Doe-Jane").count() == 2
