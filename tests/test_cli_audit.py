"""The audit trail of the command line: left by commands that are told to, checked and read by commands of its own."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bedside.audit import AuditLog
from command_line import LINES, bedside, json_lines


@pytest.fixture
def trail(tmp_path: Path) -> dict[str, str]:
    bedside("new-key", tmp_path / "audit.key")
    return {"BEDSIDE_AUDIT": str(tmp_path / "trail"), "BEDSIDE_AUDIT_KEY_FILE": str(tmp_path / "audit.key")}


def told(trail: dict[str, str]) -> list[tuple[str, str | None, str]]:
    audit = AuditLog(trail["BEDSIDE_AUDIT"], key=Path(trail["BEDSIDE_AUDIT_KEY_FILE"]))
    return [(line["actor"], line.get("purpose"), line["verb"]) for line in audit.entries()]


def test_commands_leave_lines_in_the_name_of_the_login_or_of_who_is_named(tmp_path: Path, trail: dict[str, str]):
    ward = tmp_path / "ward"
    named = {**trail, "BEDSIDE_ACTOR": "dr.x", "BEDSIDE_PURPOSE": "treatment"}
    bedside("add", ward, "-", stdin=json_lines(LINES), environment=trail)
    bedside("search", ward, "pain", "--mode", "sparse", environment=named)
    bedside("--actor", "dr.y", "get", ward, "--id", "a", environment=named)
    bedside("search", ward, "pain", "--mode", "sparse")  # without a trail
    me = getpass.getuser()
    assert told(trail) == [(me, None, "add"), ("dr.x", "treatment", "search"), ("dr.y", "treatment", "get")]


def test_a_trail_is_shown_and_verified_and_an_edit_is_found(tmp_path: Path, trail: dict[str, str]):
    ward, folder = tmp_path / "ward", trail["BEDSIDE_AUDIT"]
    key = ["--key-file", trail["BEDSIDE_AUDIT_KEY_FILE"]]
    bedside("add", ward, "-", stdin=json_lines(LINES), environment=trail)
    bedside("--actor", "dr.x", "get", ward, "--id", "a", environment=trail)
    (shown,) = bedside("audit", "show", folder, *key, "--id", "a", "--actor", "dr.x").splitlines()
    assert shown.split("\t")[1:5] == ["dr.x", "", "get", "1"]
    assert json.loads(bedside("audit", "show", folder, *key, "--verb", "add", "--json"))["count"] == 3
    report = json.loads(bedside("audit", "verify", folder, *key, "--json"))
    assert report["lines"] == 3
    assert report["anchor"] in bedside("audit", "verify", folder, *key, "--anchor", report["anchor"])
    (file,) = Path(folder).glob("audit-*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    bedside("audit", "verify", folder, *key)
    assert "was cut off" in bedside("audit", "verify", folder, *key, "--anchor", report["anchor"], code=1)
    file.write_bytes(b"".join(lines).replace(b"dr.x", b"dr.z"))
    said = bedside("audit", "verify", folder, *key, code=1)
    assert said.startswith("bedside: audit-000001.jsonl, line 3: it is not what was written")


def test_what_a_trail_needs_to_know_is_told_in_the_words_of_the_shell(tmp_path: Path, trail: dict[str, str]):
    ward = tmp_path / "ward"
    bedside("add", ward, "-", "--scope-key", "section", stdin=json_lines(LINES), environment=trail)
    said = bedside("copy", ward, tmp_path / "copy", code=1, environment=trail)
    assert "shows every scope, and it is not said what for; give bedside --actor NAME --purpose WHY" in said
    bedside("--purpose", "backup", "copy", ward, tmp_path / "copy", environment=trail)
    without = {"BEDSIDE_AUDIT": trail["BEDSIDE_AUDIT"]}
    needed = "give the trail's key as {} FILE, or in the environment variable BEDSIDE_AUDIT_KEY"
    assert needed.format("bedside --audit-key-file") in bedside("count", ward, code=1, environment=without)
    assert needed.format("--key-file") in bedside("audit", "show", tmp_path / "trail", code=1)


def test_a_command_that_opens_no_collection_leaves_a_line_too(tmp_path: Path, trail: dict[str, str]):
    bedside("add", tmp_path / "ward", "-", stdin=json_lines(LINES))
    bedside("--actor", "dr.x", "repair", tmp_path / "ward", environment=trail)
    assert told(trail) == [("dr.x", None, "repair")]


def test_a_bulk_load_leaves_a_line(tmp_path: Path, trail: dict[str, str], postgres: Callable[[], str]):
    (tmp_path / "notes.jsonl").write_text(json_lines(LINES))
    bedside("--actor", "dr.x", "bulk-load", tmp_path / "notes.jsonl", postgres(), "--workers", 1, environment=trail)
    assert told(trail) == [("dr.x", None, "bulk_load")]
