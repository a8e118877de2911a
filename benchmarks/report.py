"""What the benchmarks share: where data and results lie, the machine in words, and their sections of the docs."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench-results"
"""Ignored by git: cached vectors and raw results."""
DATA = Path(os.environ.get("BEDSIDE_DATA", ROOT.parent / "shared" / "data" / "dev"))
DOCS = ROOT / "docs" / "benchmarks.md"


def test_sets(folder: Path = DATA) -> list[Path]:
    """Return the retrieval sets in a folder."""
    found = sorted(file.parent for file in folder.glob("*/qrels.tsv"))
    if not found:
        raise SystemExit(f"no retrieval set in {folder}; BEDSIDE_DATA names the folder that holds them")
    return found


def machine() -> str:
    """Describe this machine: processor, cores, memory, system, Python."""
    cpu = _first(r"model name\s*:\s*(.+)", "/proc/cpuinfo") or platform.processor() or platform.machine()
    kib = int(_first(r"MemTotal:\s*(\d+)", "/proc/meminfo") or 0)
    memory = f", {kib / 2**20:.0f} GiB" if kib else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cpu}, {cores} cores{memory}, {platform.system()}, Python {platform.python_version()}"


def versions(packages: Sequence[str]) -> str:
    """Name the installed releases of some distributions."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def today() -> str:
    """Today's date, UTC."""
    return dt.datetime.now(dt.timezone.utc).date().isoformat()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table; every column but the first is aligned right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_section(name: str, text: str, file: Path = DOCS) -> None:
    """Replace what stands between the marker comments of ``name`` in ``file``."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found, rest = file.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{file} lacks the comments {begin} and {end}")
    file.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", "utf-8")


@contextmanager
def workplace() -> Iterator[Path]:
    """Give an empty folder on the disk of the checkout, and remove it."""
    RESULTS.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=RESULTS))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _first(pattern: str, file: str) -> str | None:
    path = Path(file)
    found = re.search(pattern, path.read_text()) if path.exists() else None
    return found.group(1).strip() if found else None
