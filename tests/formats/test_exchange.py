"""Records out to a file and in again: every format exact, every damage named, nothing half imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import (
    DuplicateIdError,
    EncoderRequired,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    ScopeMismatch,
    ScopeRequired,
    UnreadableFileError,
)
from bedside.formats import FORMATS, detect_format
from bedside.formats.exchange import count_records
from bedside.formats.stores import write_langchain

OURS = ["json", "jsonl", "csv", "parquet", "arrow", "numpy"]
SUFFIXES = {"numpy": ".npy"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "a\r\nb\rc\n",
        "=1+1",
        "+1",
        "-1",
        "@x",
        "'",
        "''=",
        "\t=",
        "\0",
        "7",
        "true",
        "null",
        "1.0",
        "😀",
        "\ufeff",
        '"',
        ",",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
METADATA = st.dictionaries(TEXTS | st.sampled_from(["a", "a.b", "a:int", "", "b\\"]), VALUES, max_size=4)
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTORS = st.lists(NUMBERS, min_size=3, max_size=3).filter(lambda v: np.any(np.array(v, np.float32)))
RECORDS = st.lists(
    st.builds(Document, TEXTS, METADATA, TEXTS.filter(bool), VECTORS), max_size=5, unique_by=lambda d: d.id
)
AWKWARD = float(np.array([0x15AE43FD], np.uint32).view(np.float32)[0])
"""Its shortest float32 digits, read as a double and rounded, are the next float32."""


def file_of(folder, format):
    return folder / f"notes{SUFFIXES.get(format, '.' + format)}"


def exact(records):
    return [
        (
            d.id,
            d.text,
            json.dumps(d.metadata, sort_keys=True),
            None if d.vector is None else np.array(d.vector).tobytes(),
        )
        for d in records.get(filter={}, include_vectors=True)
    ]


@pytest.fixture
def two():
    notes = Collection.open()
    notes.add(
        [
            Document("BP 120/80", {"ward": "icu", "age": 71}, id="../../etc/passwd", vector=[AWKWARD, 1]),
            Document("=HYPERLINK(1)", {"ward": "er", "site": {"a.b": [1, 1.0, None]}}, id="=2", vector=[0.1, -0.0]),
        ]
    )
    return notes


@pytest.mark.parametrize("format", OURS)
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(documents=RECORDS)
def test_every_format_gives_back_what_it_was_given_to_the_bit(tmp_path_factory, format, documents):
    folder, notes, copy = tmp_path_factory.mktemp("f"), Collection.open(), Collection.open()
    notes.add(documents)
    file = file_of(folder, format)
    assert notes.export(file, include_vectors=True) == len(documents)
    assert detect_format(file).name == format
    assert copy.import_from(file) == len(documents)
    assert exact(copy) == exact(notes)


@settings(deadline=None, max_examples=300)
@given(values=st.lists(st.integers(0, 2**32 - 1), min_size=64, max_size=64))
def test_any_float32_comes_back_from_its_decimal_digits(values):
    from bedside.formats.fields import from_line, to_line

    vector = np.array([*values, 0x15AE43FD], np.uint32).view(np.float32)
    vector = vector[np.isfinite(vector)]
    back = from_line(to_line(Document("x", vector=vector), vectors=True), "f", "line 1").vector
    assert back.tobytes() == vector.tobytes()


@pytest.mark.parametrize("format", ["vectra", "langchain"])
def test_what_is_written_for_another_program_comes_back(tmp_path, two, format):
    two.export(tmp_path / "out", format=format, include_vectors=True)
    copy = Collection.open()
    copy.import_from(tmp_path / "out")
    assert exact(copy) == exact(two)


@pytest.mark.parametrize("format", OURS)
def test_the_content_tells_the_format_whatever_the_suffix(tmp_path, two, format):
    two.export(file_of(tmp_path, format), include_vectors=True)
    renamed = file_of(tmp_path, format).rename(tmp_path / "notes.bin")
    assert detect_format(renamed) is FORMATS[format]


def test_an_export_has_no_vectors_unless_asked_and_is_private(tmp_path, two):
    for format in ["json", "jsonl", "csv", "parquet", "arrow"]:
        file, copy = file_of(tmp_path, format), Collection.open()
        two.export(file, filter={"ward": "icu"})
        assert file.stat().st_mode & 0o777 == 0o600
        copy.import_from(file)
        assert [d.id for d in copy] == ["../../etc/passwd"]
        assert copy.dimension == 0
    with pytest.raises(InvalidInputError, match="include_vectors=True"):
        two.export(tmp_path / "x.npy")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path, two):
    import csv

    two.export(tmp_path / "a.csv", include_vectors=True)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(tuple("=+-@\t\r\n"))]


def test_a_csv_file_of_another_program_is_taken_as_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext,ward,age\r\n'tis =1,007,\r\n=1+1,er,5\r\n")
    notes = Collection.open()
    notes.import_from(tmp_path / "a.csv")
    found = [(d.text, d.metadata) for d in notes]
    assert found == [("'tis =1", {"ward": "007"}), ("=1+1", {"ward": "er", "age": "5"})]


GOOD = '{"id": "%d", "text": "x", "vector": [1, 2]}'


@pytest.mark.parametrize("disk", [False, True])
@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ('{"id": "z", "text": "secret', UnreadableFileError, "not JSON|the file ends"),
        ('{"text": "secret", "metadata": {"a": 1e400}}', UnreadableFileError, "infinity"),
        ('{"text": "secret", "metadata": {"a": NaN}}', UnreadableFileError, "not JSON"),
        ('{"text": "secret", "vector": [1, 1e39]}', InvalidVectorError, "finite"),
        ('{"text": "secret", "vector": [1, "2"]}', UnreadableFileError, "list of numbers"),
        ('{"text": "secret", "vector": [1, 2, 3]}', InvalidVectorError, "one length|dimension"),
        ('{"text": "secret"}', EncoderRequired, "encoder"),
        ('{"id": "7", "text": "secret", "vector": [1, 2]}', DuplicateIdError, "given twice"),
        ('{"id": 7, "text": "secret", "vector": [1, 2]}', UnreadableFileError, "expected str"),
        ('{"text": "secret\\ud800", "vector": [1, 2]}', UnreadableFileError, "not JSON"),
        ('{"text": "secret", "txet": 1}', UnreadableFileError, "unknown field"),
        ('{"text": "secret", "metadata": {"a": %s}}' % ("[" * 5000 + "]" * 5000), UnreadableFileError, "depth"),
        ('{"text": "x", "vector": [1, 2], "metadata": {"a": %s}}' % ("[" * 70 + "]" * 70), InvalidDocumentError, "64"),
        ("7", UnreadableFileError, "expected"),
    ],
)
def test_a_damaged_last_record_is_named_and_nothing_is_imported(tmp_path, disk, array, bad, error, message):
    lines = [*(GOOD % i for i in range(1500)), bad]
    text = "[" + ",".join(lines) + "]" if array else "\n".join(lines)
    (tmp_path / "notes").write_text(text)
    notes = Collection.open(tmp_path / "c" if disk else None)
    with pytest.raises(error, match=message) as caught:
        notes.import_from(tmp_path / "notes")
    assert "notes" in str(caught.value)
    assert "150" in str(caught.value) or "records 1001 to" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(notes) == 0
    assert notes.dimension is None
    notes.add([Document("another dimension", vector=[1, 2, 3])])
    notes.verify()
    notes.close()


@pytest.mark.parametrize("format", ["json", "csv", "parquet", "arrow", "numpy"])
def test_a_file_that_was_cut_off_is_refused(tmp_path, two, format):
    file, copy = file_of(tmp_path, format), Collection.open()
    two.export(file, include_vectors=True)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises((UnreadableFileError, InvalidVectorError), match="notes"):
        copy.import_from(file, format=format)
    assert len(copy) == 0


def test_what_is_there_stays_when_an_import_fails_and_is_replaced_when_it_does_not(tmp_path, two):
    before = exact(two)
    (tmp_path / "bad.jsonl").write_text((GOOD % 1) + "\n{")
    with pytest.raises(UnreadableFileError, match="line 2"):
        two.import_from(tmp_path / "bad.jsonl")
    assert exact(two) == before
    (tmp_path / "good.jsonl").write_text('{"id": "=2", "text": "new", "vector": [1, 2]}\n\n')
    assert two.import_from(tmp_path / "good.jsonl") == 1
    assert {d.id: d.text for d in two} == {"../../etc/passwd": "BP 120/80", "=2": "new"}


def test_another_process_sees_the_whole_import_or_nothing(tmp_path, two):
    two.export(tmp_path / "a.jsonl", include_vectors=True)
    with Collection.open(tmp_path / "c") as notes, Collection.open(tmp_path / "c", read_only=True) as reader:
        assert len(reader) == 0
        notes.import_from(tmp_path / "a.jsonl")
        assert exact(reader) == exact(two)


def test_a_view_fills_in_its_scope_and_refuses_another(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "x"}\n')
    (tmp_path / "b.jsonl").write_text('{"id": "1", "text": "x", "metadata": {"patient": "B"}}\n')
    notes = Collection.open(scope_keys=["patient"])
    notes.scoped(patient="A").import_from(tmp_path / "a.jsonl")
    with pytest.raises(ScopeMismatch, match=r"b\.jsonl, record 1"):
        notes.scoped(patient="A").import_from(tmp_path / "b.jsonl")
    with pytest.raises(ScopeRequired, match=r"a\.jsonl, record 1"):
        notes.import_from(tmp_path / "a.jsonl")
    with pytest.raises(ScopeRequired):
        notes.export(tmp_path / "all.jsonl")
    assert notes.scoped(patient="A").export(tmp_path / "one.jsonl") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_an_export_never_takes_the_place_of_a_pipe_and_goes_where_a_link_leads(tmp_path, two):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "to_pipe"):
        with pytest.raises(InvalidInputError, match="got a device or a pipe"):
            two.export(tmp_path / name, format="jsonl")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "kept").mkdir()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "kept" / "notes.jsonl")
    for _ in range(2):
        two.export(tmp_path / "link.jsonl")
        assert (tmp_path / "link.jsonl").is_symlink()
        assert len((tmp_path / "kept" / "notes.jsonl").read_text().splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("c")) == [
        "kept", "link.jsonl", "pipe", "to_pipe",
    ]  # fmt: skip


def test_an_export_that_fails_leaves_what_was_there(tmp_path, two):
    (tmp_path / "a.npy").write_bytes(b"mine")
    with pytest.raises(InvalidInputError, match="already there"):
        two.export(tmp_path / "a.npy", include_vectors=True)
    with pytest.raises(InvalidInputError, match="only read"):
        two.export(tmp_path / "x", format="chroma")
    with pytest.raises(InvalidInputError, match="expected one of"):
        two.export(tmp_path / "x", format="xls")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def run(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "bedside.cli", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


def test_the_commands_create_fill_and_write_a_collection(tmp_path):
    ward, again = tmp_path / "ward", tmp_path / "again"
    assert "created" in run("init", ward, "--scope-key", "patient")
    assert "already holds" in run("init", ward, code=1)
    (tmp_path / "in").write_text('[{"id": "1", "text": "Chest pain.", "vector": [1, 2]}]')
    assert run("import", ward, tmp_path / "in", "--scope", "patient=A", "--json") == '{"added":1}\n'
    assert "scope" in run("export", ward, tmp_path / "out.csv", code=1)
    assert run("export", ward, tmp_path / "out.csv", "--scope", "patient=A") == "1 documents exported\n"
    assert run("import", again, tmp_path / "out.csv") == "1 documents added\n"
    (tmp_path / "in").write_text("[{")
    assert "record" in run("import", again, tmp_path / "in", code=1)


def test_a_file_that_is_refused_leaves_no_empty_collection(tmp_path):
    (tmp_path / "in").write_text('[{"id": "1", "text": "x", "vector": [1, 2]}, {')
    assert "record 1" in run("import", tmp_path / "new", tmp_path / "in", code=1)
    assert "expected one of" in run("import", tmp_path / "new", tmp_path / "in", "--format", "xls", code=2)
    assert "no such file" in run("import", tmp_path / "new", tmp_path / "none", code=1).lower()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("records", "scope", "error"),
    [
        ([*(GOOD % i for i in range(1000)), '{"id": "z", "text": "x"}'], {}, EncoderRequired),
        ([GOOD % 1, '{"id": "z", "text": "x"}'], {}, EncoderRequired),
        ([GOOD % 1], {"patient": "A"}, ScopeMismatch),
        ([GOOD % 1, GOOD.replace('"x"', '"y"') % 1], {}, DuplicateIdError),
        ([GOOD % 1, '{"id": "2", "text": "x", "vector": [1]}'], {}, InvalidVectorError),
    ],
)
def test_records_that_a_new_collection_refuses_leave_none_behind(tmp_path, records, scope, error):
    (tmp_path / "in").write_text("\n".join(records))
    with pytest.raises(error), Collection.filling(tmp_path / "a" / "new") as notes:
        (notes.scoped(**scope) if scope else notes).import_from(tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("command", ["import", "add", "migrate"])
def test_commands_whose_records_a_new_collection_refuses_leave_none_behind(tmp_path, command):
    write_langchain(tmp_path / "in", [Document("x", {}, "1", [1.0, 2.0])])
    if command != "migrate":
        (tmp_path / "in").write_text(GOOD % 1)
    paths = [tmp_path / "a" / "new", tmp_path / "in"]
    paths = paths[::-1] if command == "migrate" else paths
    assert "patient" in run(command, *paths, "--scope-key", "patient", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_failed_filling_removes_only_what_it_made_itself(tmp_path):
    def fail(path, with_it=lambda notes: None):
        with pytest.raises(DuplicateIdError), Collection.filling(path, scope_keys=["patient"]) as notes:
            with_it(notes)
            notes.scoped(patient="A").add([Document(text, {}, "1", [1, 2]) for text in "xy"])
        assert notes._engine.closed

    made = tmp_path / "a" / "b"
    fail(made)
    assert not made.parent.exists()
    tmp_path.joinpath("empty").mkdir()
    fail(tmp_path / "empty")
    assert list(tmp_path.joinpath("empty").iterdir()) == []
    fail(made, lambda notes: made.joinpath("mine.txt").write_text("x"))
    assert sorted(file.name for file in made.iterdir()) == [
        "log-000001.jsonl",
        "manifest.json",
        "mine.txt",
        "write.lock",
    ]
    made.joinpath("mine.txt").unlink()
    fail(made)
    with Collection.open(made) as notes:  # was there before the last one failed, and so stays
        assert notes.scope_keys == ("patient",)
        notes.scoped(patient="A").add([Document("x", {}, "1", [1, 2])])
    fail(made)
    fail(tmp_path / "other", lambda notes: notes.scoped(patient="A").add([Document("x", {}, "kept", [1, 2])]))
    for path, id in ((made, "1"), (tmp_path / "other", "kept")):
        with Collection.open(path) as notes:
            assert [document.id for document in notes.scoped(patient="A")] == [id]


def test_a_failed_filling_leaves_a_collection_that_another_process_is_writing_to(tmp_path):
    writing = (
        "import sys, bedside\n"
        "with bedside.Collection.open(sys.argv[1]) as notes, notes._engine._storage.writing():\n"
        "    print('writing', flush=True)\n"
        "    sys.stdin.read()\n"
        "with bedside.Collection.open(sys.argv[1]) as notes:\n"
        "    notes.add([bedside.Document('x', {}, '1', [1, 2])])\n"
    )
    with pytest.raises(KeyboardInterrupt), Collection.filling(tmp_path / "c"):
        other = subprocess.Popen(
            [sys.executable, "-c", writing, tmp_path / "c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert other.stdout.readline() == b"writing\n"
        raise KeyboardInterrupt
    other.communicate(timeout=60)
    assert other.returncode == 0
    with Collection.open(tmp_path / "c") as notes:
        assert len(notes) == 1


def many(folder, count=5_000):
    """Return a folder with a collection of one record, and a file of many: more than the log writes at once."""
    with Collection.open(folder / "c") as notes:
        notes.add([Document("kept", {}, "kept", np.ones(512, np.float32))])
    FORMATS["jsonl"].write(
        folder / "in", (Document("x", {}, str(i), np.full(512, i + 1.5)) for i in range(count)), vectors=True
    )
    return folder / "c"


LIMITED = """
import resource, sys
from bedside import Collection
from bedside.errors import WriteFailedError

notes = Collection.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    notes.import_from(sys.argv[2])
except WriteFailedError as error:
    print(error, len(notes))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a file")
@pytest.mark.parametrize("limit", [0, 1_000_000, 6_000_000])
def test_an_import_that_fills_the_disk_leaves_the_collection_as_it_was(tmp_path, limit):
    path = many(tmp_path)
    size = (path / "log-000001.jsonl").stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path, tmp_path / "in", str(limit)], capture_output=True, text=True, check=True
    )
    assert "nothing was committed 1" in done.stdout
    assert (path / "log-000001.jsonl").stat().st_size == size
    with Collection.open(path) as notes:
        assert [d.id for d in notes] == ["kept"]
        assert notes.import_from(tmp_path / "in") == 5_000
        notes.verify()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_an_import_that_is_killed_in_the_middle_leaves_the_collection_as_it_was(tmp_path):
    path = many(tmp_path)
    log = path / "log-000001.jsonl"
    before = log.stat().st_size
    os.mkfifo(tmp_path / "pipe")  # ends only when this process says so: the import is always in its middle
    command = ["import", path, tmp_path / "pipe", "--format", "jsonl"]
    process = subprocess.Popen([sys.executable, "-m", "bedside.cli", *command])
    try:
        with (tmp_path / "pipe").open("wb") as pipe:
            pipe.write((tmp_path / "in").read_bytes())
            pipe.flush()
            deadline = time.monotonic() + 30
            while log.stat().st_size == before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert log.stat().st_size > before, "no record was written before the end of the file"
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait(60)
    with Collection.open(path) as notes:
        assert [d.id for d in notes] == ["kept"]
        assert notes.import_from(tmp_path / "in") == 5_000
        notes.verify()


PEAK = """
import re, sys
from pathlib import Path
from bedside.formats.registry import detect_format

def peak():  # not getrusage: its maximum is inherited from the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

path = Path(sys.argv[1])
read, before = detect_format(path).read, peak()
print(sum(1 for _ in read(path)), peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
@pytest.mark.slow
@pytest.mark.parametrize("format", ["jsonl", "json"])
def test_reading_takes_no_more_memory_for_a_larger_file(tmp_path, format):
    random = np.random.default_rng(0)
    vectors = random.standard_normal((100, 384)).astype(np.float32)
    peaks = []
    for count in (20_000, 100_000):
        file = file_of(tmp_path, format)
        made = (Document(f"Note {i}.", {"n": i}, str(i), vectors[i % 100]) for i in range(count))
        FORMATS[format].write(file, made, vectors=True)
        done = subprocess.run([sys.executable, "-c", PEAK, file], capture_output=True, text=True, check=True)
        read, peak = map(int, done.stdout.split())
        assert read == count
        peaks.append(peak / 1024)
    assert peaks[1] < peaks[0] + 16
    assert peaks[1] < 64


@pytest.mark.parametrize("format", OURS)
def test_a_bar_knows_how_many_records_a_file_of_any_format_has(tmp_path, format):
    path = tmp_path / f"notes{SUFFIXES.get(format, f'.{format}')}"
    with Collection.open() as notes:
        notes.add([Document(f'Line {i},\n"quoted" [{{', {"ward": [i]}, f"n{i}", [1.0, float(i)]) for i in range(1_203)])
        notes.export(path, format=format, include_vectors=True)
    assert count_records(path, None) == 1_203
    cut_off = path.read_bytes()[:40]
    path.write_bytes(cut_off)
    assert count_records(path, format) in (None, 0, 1), "what is read next says what is wrong"
