"""A collection kept equal to a folder: in one pass, and by a process that is told of changes."""

from __future__ import annotations

import base64
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bedside import Collection, Document
from bedside.errors import InvalidInputError, UnknownOptionError
from bedside.loaders import LoadArguments, load
from bedside.notes import changes
from bedside.notes.sync import SyncReport, sync, watch


@pytest.fixture
def ward(tmp_path) -> Path:
    folder = tmp_path / "ward"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("HPI: Cough.")
    (folder / "deep" / "b.md").write_text("# Plan\nRest.")
    (folder / "rows.csv").write_text("id,text\n1,One.\n2,Two.\n")
    return folder


def held(collection, **scope) -> dict[str, str]:
    """The text of each note of a collection, by id."""
    view = collection.scoped(**scope) if scope else collection
    ids = {document.metadata["source_id"] for document in view.get(filter={"folder": {"$exists": True}})}
    return {id: view.get_note(id).text for id in sorted(ids)}


def shown(folder: Path) -> dict[str, str]:
    """The text of each text file in a folder, by path."""
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in sorted(folder.rglob("*.txt"))
        if file.is_file()
    }


def references(*attachments: bytes) -> str:
    """A FHIR DocumentReference on each line, with an attachment."""
    return "".join(
        json.dumps(
            {
                "resourceType": "DocumentReference",
                "id": f"d{number}",
                "content": [{"attachment": {"contentType": "text/plain", "data": base64.b64encode(data).decode()}}],
            }
        )
        + "\n"
        for number, data in enumerate(attachments, 1)
    )


# -- one pass ----------------------------------------------------------------------------------------------------------


def test_a_pass_adds_replaces_and_deletes_what_changed_and_nothing_else(ward):
    with Collection.open() as notes:
        assert sync(ward, notes).files == dict.fromkeys(["a.txt", "rows.csv", "deep/b.md"], "added")
        assert held(notes) == {
            "a.txt": "HPI: Cough.", "deep/b.md": "# Plan\nRest.", "rows.csv#1": "One.", "rows.csv#2": "Two."
        }  # fmt: skip
        before = notes.get(filter={})
        assert set(sync(ward, notes).files.values()) == {"unchanged"}
        assert notes.get(filter={}) == before
        (ward / "a.txt").write_text("HPI: Fever.")
        (ward / "c.txt").write_text("PLAN: Walk.")
        (ward / "rows.csv").write_text("id,text\n2,Two.\n")
        shutil.rmtree(ward / "deep")
        assert sync(ward, notes).files == {
            "a.txt": "replaced", "c.txt": "added", "rows.csv": "replaced", "deep/b.md": "deleted"
        }  # fmt: skip
        assert held(notes) == {"a.txt": "HPI: Fever.", "c.txt": "PLAN: Walk.", "rows.csv#2": "Two."}
        assert notes.get_note("a.txt").metadata == {"source": "a.txt", "type": "text", "folder": "ward"}


def test_other_notes_and_the_notes_of_other_folders_stay(ward, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("PLAN: Other.")
    with Collection.open() as notes:
        notes.add(["A record."])
        notes.add_note("PLAN: By hand.", id="hand")
        sync(ward, notes)
        sync(other, notes)
        shutil.rmtree(ward)
        ward.mkdir()
        assert set(sync(ward, notes).files.values()) == {"deleted"}
        assert held(notes) == {"x.txt": "PLAN: Other."}
        assert notes.get_note("hand").text == "PLAN: By hand."
        assert len(notes) == 3


def test_a_file_that_cannot_be_read_is_reported_keeps_what_was_stored_of_it_and_stops_nothing(ward):
    with Collection.open() as notes:
        sync(ward, notes)
        (ward / "a.txt").write_bytes(b"HPI: 38,5 \xb0C")
        (ward / "z.pdf").write_bytes(b"%PDF-1.7 damaged")
        (ward / "c.txt").write_text("PLAN: Walk.")
        report = sync(ward, notes)
        assert report.failed.keys() == {"a.txt", "z.pdf"}
        assert report.of("added") == ["c.txt"]
        assert report.of("deleted") == []
        assert held(notes)["a.txt"] == "HPI: Cough."
        (ward / "a.txt").write_text("HPI: 38,5 °C")
        assert sync(ward, notes).of("replaced") == ["a.txt"]


def test_a_part_that_cannot_be_read_is_named_and_its_neighbours_are_taken_unless_that_is_forbidden(ward):
    (ward / "mixed.ndjson").write_text(references(b"PLAN: Rest.", b"%PDF-1.7 half", b"PLAN: Walk."))
    (ward / "none.html").write_text("<html></html>")
    with Collection.open() as notes:
        report = sync(ward, notes, strict=True)
        assert (report.failed.keys(), "mixed.ndjson" in report.files) == ({"mixed.ndjson"}, False)
        report = sync(ward, notes)
        assert (report.failed, report.of("added"), report.is_complete) == ({}, ["mixed.ndjson"], False)
        assert {(finding.file, finding.part, finding.outcome) for finding in report.findings} == {
            ("mixed.ndjson", "DocumentReference/d2", "refused"), ("none.html", "", "left out")
        }  # fmt: skip
        assert {"mixed.ndjson#DocumentReference/d1", "mixed.ndjson#DocumentReference/d3"} <= held(notes).keys()


def test_what_cannot_be_listed_is_not_taken_for_deleted(ward):
    """A path too long for the system stands in for a folder without permission or on a disk that fails."""
    long = "n" * 200
    (ward / long).mkdir()
    (ward / long / "c.txt").write_text("PLAN: Rest.")
    (ward / f"{long}.txt").write_text("PLAN: Walk.")
    with Collection.open() as notes:
        sync(ward, notes)
        before = held(notes)
        (ward / "a.txt").write_text("HPI: Fever.")
        found = sync(str(ward) + "/deep/.." * ((3_950 - len(str(ward))) // 8), notes, name="ward")
        assert set(found.failed) == {long, f"{long}.txt"}
        assert all("File name too long" in reason for reason in found.failed.values())
        assert (found.of("replaced"), found.of("deleted")) == (["a.txt"], [])
        assert held(notes) == {**before, "a.txt": "HPI: Fever."}


def test_a_file_whose_notes_are_refused_does_not_take_others_along(ward):
    """The record stands where the first passage of a.txt must go."""
    with Collection.open() as notes:
        notes.add([Document("A record.", id="a.txt#0")])
        report = sync(ward, notes)
        assert report.failed.keys() == {"a.txt"}
        assert report.files == {"rows.csv": "added", "deep/b.md": "added"}


def test_a_file_that_became_empty_leaves_no_note(ward):
    with Collection.open() as notes:
        sync(ward, notes)
        (ward / "a.txt").write_text(" \n")
        assert sync(ward, notes).of("deleted") == ["a.txt"]
        assert "a.txt" not in held(notes)
        assert sync(ward, notes).of("deleted") == []


def test_a_missing_folder_is_an_error_and_deletes_nothing(ward):
    with Collection.open() as notes:
        sync(ward, notes)
        shutil.rmtree(ward)
        with pytest.raises(InvalidInputError, match="expected a folder"):
            sync(ward, notes)
        assert len(held(notes)) == 4


def test_a_pass_over_some_paths_leaves_the_rest(ward):
    with Collection.open() as notes:
        sync(ward, notes)
        (ward / "a.txt").write_text("HPI: Fever.")
        shutil.rmtree(ward / "deep")
        assert sync(ward, notes, paths=["deep"]).files == {"deep/b.md": "deleted"}
        assert sync(ward, notes, paths=["a.txt", "gone"]).files == {"a.txt": "replaced"}
        assert sync(ward, notes, paths=["./a.txt", Path("gone")]).files == {"a.txt": "unchanged"}
        for one in ("a.txt", Path("a.txt")):
            with pytest.raises(InvalidInputError, match="paths: expected several paths"):
                sync(ward, notes, paths=one)


def test_a_scope_is_kept_equal_by_itself(ward):
    with Collection.open(scope_keys=["patient"]) as collection:
        for patient in ("a", "b"):
            sync(ward, collection.scoped(patient=patient))
        (ward / "a.txt").unlink()
        sync(ward, collection.scoped(patient="a"))
        assert "a.txt" not in held(collection, patient="a")
        assert "a.txt" in held(collection, patient="b")


def test_a_collection_within_its_own_folder_is_not_read_as_notes(ward):
    with Collection.open(ward / "notes.bedside") as notes:
        assert set(sync(ward, notes).files) == {"a.txt", "rows.csv", "deep/b.md"}
        assert set(sync(ward, notes).files.values()) == {"unchanged"}


def test_no_collection_in_the_folder_is_read_as_notes_whatever_its_path_looks_like(ward, tmp_path):
    (tmp_path / "link").symlink_to(ward)
    with Collection.open(ward / "other.bedside") as other:
        other.add_note("PLAN: Rest.", id="of-another-patient")
    with Collection.open(ward / "notes.bedside") as notes:
        assert set(sync(tmp_path / "link", notes).files) == {"a.txt", "deep/b.md", "rows.csv"}
        assert sync(tmp_path / "link", notes).of("unchanged") == ["a.txt", "rows.csv", "deep/b.md"]


def test_a_pass_that_is_told_to_stop_stops_before_the_next_files(ward):
    stop = threading.Event()
    stop.set()
    with Collection.open() as notes:
        assert sync(ward, notes, stop=stop) == SyncReport({}, {})


def test_how_files_are_read_is_asked_for_as_of_the_loader(ward):
    parameters = inspect.signature(load).parameters.keys() - {"path", "root", "report", "links"}
    assert LoadArguments.__annotations__.keys() == parameters
    for verb in (sync, watch):
        with pytest.raises(UnknownOptionError, match="unknown argument 'root'; allowed are encoding, strict"):
            verb(ward, Collection.open(), root=ward)
    (ward / "rows.csv").write_text("id,text,seen_as\nr1,One.,Two.\n")
    collection = Collection.open()
    sync(ward, collection, paths=["rows.csv"], text_key="seen_as")
    assert held(collection) == {"rows.csv#r1": "Two."}


# -- watching -------------------------------------------------------------------------------------------------------


def until(true, seconds: float = 60) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.05)


def test_what_changes_while_it_watches_is_taken_up_whatever_comes_at_once(ward):
    stop, failures, findings = threading.Event(), [], []

    def report(news: SyncReport) -> None:
        failures.extend(news.failed)
        findings.extend(str(finding) for finding in news.findings)

    with Collection.open() as notes:
        thread = threading.Thread(target=watch, args=(ward, notes), kwargs={"stop": stop, "report": report})
        thread.start()
        try:
            until(lambda: len(held(notes)) == 4)
            for n in range(10):
                (ward / f"n{n}.txt").write_text(f"PLAN: Visit {n}.")
            until(lambda: len(held(notes)) == 14)
            (ward / "a.txt").unlink()
            (ward / "n0.txt").rename(ward / "moved.txt")
            (ward / "n1.txt").write_text("PLAN: Changed.")
            outside = ward.parent / "brought"
            (outside / "in").mkdir(parents=True)
            (outside / "in" / "x.txt").write_text("PLAN: Brought along.")
            outside.rename(ward / "brought")
            (ward / "deep").rename(ward / "shallow")
            until(lambda: {**held(notes), "n1.txt": ""}.keys() >= {"moved.txt", "brought/in/x.txt", "shallow/b.md"})
            until(lambda: {k: v for k, v in held(notes).items() if k.endswith(".txt")} == shown(ward))
            assert "deep/b.md" not in held(notes)
            with (ward / "slow.txt").open("w") as file:
                file.write("PLAN: Half")
                file.flush()
                until(lambda: held(notes).get("slow.txt") == "PLAN: Half")
                file.write(" and half.")
            until(lambda: held(notes).get("slow.txt") == "PLAN: Half and half.")
            (ward / "bad.pdf").write_bytes(b"%PDF-1.7 half")
            until(lambda: "bad.pdf" in failures)
            (ward / "bad.pdf").write_text("PLAN: a text after all.")
            until(lambda: "bad.pdf" in held(notes))
            mixed = references(b"PLAN: Rest.", b"%PDF-1.7 half")
            (ward / "mixed.ndjson").write_text(mixed)
            until(lambda: len(findings) == 1)
            (ward / "mixed.ndjson").write_text(mixed.replace("d1", "d3"))
            until(lambda: "mixed.ndjson#DocumentReference/d3" in held(notes))
            (ward / "none.txt").touch()
            until(lambda: len(findings) == 2)
            assert failures == ["bad.pdf"]
            assert findings[0].startswith("mixed.ndjson: DocumentReference/d2: ")
            assert findings[1] == "none.txt: no text in it"
        finally:
            stop.set()
            thread.join(30)
        assert not thread.is_alive()


def test_what_the_system_does_not_tell_of_is_taken_up_at_the_next_look(ward, tmp_path, monkeypatch):
    """A file written through a link of it elsewhere stands in for a network drive, or lost events."""
    monkeypatch.setattr(changes, "_LOOK", 0.1)
    (tmp_path / "elsewhere.txt").write_text("PLAN: Rest.")
    os.link(tmp_path / "elsewhere.txt", ward / "linked.txt")
    stop = threading.Event()
    with Collection.open() as notes:
        thread = threading.Thread(target=watch, args=(ward, notes), kwargs={"stop": stop})
        thread.start()
        try:
            until(lambda: held(notes).get("linked.txt") == "PLAN: Rest.")
            (tmp_path / "elsewhere.txt").write_text("PLAN: Walk.")
            until(lambda: held(notes).get("linked.txt") == "PLAN: Walk.")
        finally:
            stop.set()
            thread.join(30)


# -- the commands -----------------------------------------------------------------------------------------------------


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "bedside.cli", *map(str, arguments)]


def run(*arguments, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_watch_once_makes_the_collection_equal_and_says_what_it_did(ward, tmp_path):
    store = tmp_path / "store"
    done = run("watch", ward, store, "--once", "--scope", "patient=A")
    assert sorted(done.stdout.splitlines()) == ["added a.txt", "added deep/b.md", "added rows.csv"]
    (ward / "a.txt").unlink()
    (ward / "bad.pdf").write_bytes(b"%PDF-1.7 half")
    done = run("watch", ward, store, "--once", "--scope", "patient=A", "--json", code=1)
    deleted, refused = map(json.loads, done.stdout.splitlines())
    assert deleted == {"change": "deleted", "name": "a.txt"}
    assert (refused["change"], refused["name"], refused["part"]) == ("refused", "bad.pdf", "")
    assert done.stderr == f"refused bad.pdf: {refused['reason']}\n"
    with Collection.open(store) as notes:
        assert set(held(notes, patient="A")) == {"deep/b.md", "rows.csv#1", "rows.csv#2"}
    assert "expected a folder" in run("watch", ward / "gone", store, "--once", "--scope", "patient=A", code=1).stderr


def test_add_notes_counts_what_was_read_empty_and_refused_and_its_status_tells(ward, tmp_path):
    (ward / "mixed.ndjson").write_text(references(b"PLAN: Rest.", b"%PDF-1.7 half"))
    run("add-notes", tmp_path / "fine", ward / "a.txt")
    done = run("add-notes", tmp_path / "store", ward, code=1)
    assert "refused mixed.ndjson: DocumentReference/d2: a damaged PDF" in done.stderr
    assert done.stderr.endswith("\n4 files read, 0 empty, 0 refused\n")
    done = run("add-notes", tmp_path / "strict", ward, "--strict", "--json", code=1)
    assert json.loads(done.stdout.splitlines()[-1]) == {"read": 3, "empty": 0, "refused": 1}
    (ward / "rows.csv").write_text("key,remark\nk1,Cough.\n")
    done = run("add-notes", tmp_path / "keys", ward / "rows.csv", "--text-key", "remark", "--id-key", "key")
    assert done.stdout == "added rows.csv#k1\n"
    (ward / "none.html").write_text("<html></html>")
    done = run("add-notes", tmp_path / "store", ward / "none.html", code=1)
    assert done.stderr == "empty none.html: no text in it\n0 files read, 1 empty, 0 refused\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_follows_the_folder_catches_up_and_ends_cleanly_on_a_signal(ward, tmp_path, number):
    store = tmp_path / "store"
    run("watch", ward, store, "--once")
    (ward / "a.txt").unlink()  # while nobody watches
    (ward / "late.txt").write_text("PLAN: Late.")
    process = subprocess.Popen(command("watch", ward, store), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with Collection.open(store, read_only=True) as notes:
            until(lambda: {k: v for k, v in held(notes).items() if k.endswith(".txt")} == {"late.txt": "PLAN: Late."})
            for n in range(10):
                (ward / f"n{n}.txt").write_text(f"PLAN: Visit {n}.")
            until(lambda: {k: v for k, v in held(notes).items() if k.endswith(".txt")} == shown(ward))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert err == ""
    assert set(out.splitlines()) == {"deleted a.txt", "added late.txt", *(f"added n{n}.txt" for n in range(10))}


def test_add_notes_adds_files_and_folders_and_names_what_it_cannot_read(ward, tmp_path):
    store = tmp_path / "store"
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 half")
    (tmp_path / "old.txt").write_bytes("PLAN: 38,5 °C".encode("cp1252"))
    (tmp_path / "taken.txt").write_text("PLAN: Rest.")
    with Collection.open(store) as notes:
        notes.add([Document("A record where the note's first passage must go.", id="taken.txt#0")])
    sources = [tmp_path / "taken.txt", ward, tmp_path / "bad.pdf", tmp_path / "old.txt"]
    done = run("add-notes", store, *sources, code=1)
    assert done.stdout.splitlines() == ["added a.txt", "added rows.csv#1", "added rows.csv#2", "added deep/b.md"]
    *told, counted = done.stderr.splitlines()
    names = [line.split(": ")[0].rpartition("/")[2].removeprefix("refused ") for line in told]
    assert names == ["taken.txt", "bad.pdf", "old.txt"]
    assert counted == "3 files read, 0 empty, 3 refused"
    done = run("add-notes", store, tmp_path / "old.txt", ward / "a.txt", "--encoding", "cp1252")
    assert done.stdout.splitlines() == ["added old.txt", "unchanged a.txt"]
    with Collection.open(store) as notes:
        assert notes.get_note("old.txt").text == "PLAN: 38,5 °C"
        assert os.fspath(notes.path) == os.fspath(store)
