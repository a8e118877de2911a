"""The format page: its reader, without any of Bedside, reads what Bedside wrote and refuses what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType

import pytest

from bedside import Collection, Document
from bedside.errors import CorruptLogError
from store.children import as_if_killed

PAGE = Path(__file__).parents[2] / "docs" / "store-format.md"
FIRST = Path(__file__).parent / "format-1"


def source() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return code


@pytest.fixture(scope="module")
def reader() -> ModuleType:
    module = ModuleType("reader")
    exec(compile(source(), "reader.py", "exec"), module.__dict__)  # noqa: S102 # the page's own code
    return module


@pytest.fixture(params=["whole", "scoped", "texts alone", "empty"])
def folder(request, tmp_path, rng) -> Path:
    keys = ["patient_id", "visit"] if request.param == "scoped" else []
    with Collection.open(tmp_path / "c", scope_keys=keys) as notes:
        if request.param == "empty":
            return tmp_path / "c"
        for version in range(3):
            notes.add(
                Document(
                    f'Note {i}, version {version}: "µ"\r\n\x00\\',
                    {"patient_id": "AB"[i % 2], "visit": i % 3, "crc": "00000000", "x": [1.5, None, {"é": True}]},
                    str(i),
                    None if request.param == "texts alone" else rng.normal(size=5),
                )
                for i in range(version * 4, 12)
            )
        view = notes.scoped(patient_id="A", visit=0) if keys else notes
        view.delete(["6", "11", "nobody"])
    return tmp_path / "c"


def by_bedside(folder: Path) -> list:
    with Collection.open(folder, read_only=True) as notes:
        if not notes.scope_keys:
            found = notes.get(filter={}, include_vectors=True)
        else:
            views = [notes.scoped(patient_id=p, visit=v) for p in "AB" for v in range(3)]
            found = [d for view in views for d in view.get(filter={}, include_vectors=True)]
        return [(d.id, d.text, dict(d.metadata), None if d.vector is None else tuple(d.vector.tolist())) for d in found]


def log_of(folder: Path) -> Path:
    (log,) = folder.glob("log-*.jsonl")
    return log


def test_the_reader_imports_nothing_but_the_standard_library():
    names = {name for line in re.findall(r"^(?:import|from) (.+)$", source(), re.MULTILINE) for name in line.split()}
    modules = {name.strip(",") for name in names} - {"import", "b64decode", "Path"}
    assert modules <= set(sys.stdlib_module_names), modules


def test_the_reader_reads_what_bedside_reads(reader, folder):
    key = repr if len(json.loads((folder / "manifest.json").read_bytes())["scope_keys"]) else None
    for change in ("as it is", "compacted"):
        read, expected = list(reader.read(folder)), by_bedside(folder)
        assert (sorted(read, key=key) if key else read) == (sorted(expected, key=key) if key else expected), change
        with Collection.open(folder) as notes:
            notes.compact()


def test_the_reader_reads_a_collection_of_the_first_release(reader):
    with Collection.open(FIRST, read_only=True) as notes:
        found = {(p, d.id): d.text for p in "AB" for d in notes.scoped(patient_id=p)}
    assert {(metadata["patient_id"], id): text for id, text, metadata, _ in reader.read(FIRST)} == found


def test_the_reader_ends_where_bedside_ends_at_every_cut(reader, folder):
    as_if_killed(folder)
    log = log_of(folder)
    raw = log.read_bytes()
    for size in range(len(raw) - min(len(raw), 1500), len(raw), 7):
        log.write_bytes(raw[:size])
        assert sorted(reader.read(folder), key=repr) == sorted(by_bedside(folder), key=repr), size


def test_the_reader_refuses_what_bedside_refuses(reader, folder, rng):
    log = log_of(folder)
    raw = log.read_bytes()
    for place in [*rng.integers(0, len(raw), 100).tolist(), len(raw) - 1]:
        log.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(CorruptLogError):
            Collection.open(folder, read_only=True)
        with pytest.raises(ValueError, match=r"line|log"):
            list(reader.read(folder))


def test_the_reader_runs_as_a_program_without_bedside(folder, tmp_path):
    (tmp_path / "reader.py").write_text(source(), encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(tmp_path / "reader.py"), str(folder)]
    printed = subprocess.run(command, capture_output=True, check=True, env={"PYTHONUTF8": "1"}).stdout.decode()
    assert len(printed.splitlines()) == len(by_bedside(folder))


def test_the_lines_that_the_page_quotes_are_as_bedside_writes_them(tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    with Collection.open(tmp_path / "c") as notes:
        notes.add([Document("Denies chest pain.", {"patient_id": "A"}, "1")])
    header, put, _ = log_of(tmp_path / "c").read_text(encoding="utf-8").splitlines()
    assert header in page
    assert put in page
    body = put[: put.index(',"crc":"')].encode()
    assert put.endswith(f'"{zlib.crc32(body):08x}"}}')
