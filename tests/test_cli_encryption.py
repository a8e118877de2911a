"""Keys on the command line: from a file or the environment, in every command, and never in an argument."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bedside import Collection
from bedside.cli.app import app
from command_line import bedside, json_lines

NOTES = [
    {"text": "Paroxysmal tachycardia.", "metadata": {"patient_id": patient}, "id": f"{patient}-1", "vector": [1, 0.5]}
    for patient in ("Doe-Jane", "Roe-Rick")
]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    bedside("new-key", tmp_path / "key")
    return tmp_path / "key"


def test_a_key_file_opens_what_was_created_with_it_in_every_command(tmp_path: Path, key: Path) -> None:
    notes, given = tmp_path / "notes", ("--key-file", key)
    bedside(*given, "init", notes, "--encrypt", "--scope-key", "patient_id")
    bedside(*given, "add", notes, "-", stdin=json_lines(NOTES))
    jane = ("--scope", "patient_id=Doe-Jane")
    found = json.loads(bedside(*given, "search", notes, "tachycardia", "--mode", "sparse", *jane, "--json"))
    assert found["id"] == "Doe-Jane-1"
    assert json.loads(bedside(*given, "stats", notes, "--json"))["encrypted"] is True
    assert "whole: 2 records" in bedside(*given, "verify", notes)
    assert "without a key" in bedside("verify", notes)
    assert "nothing was damaged" in bedside(*given, "repair", notes)
    bedside(*given, "copy", notes, tmp_path / "copy")
    assert "Tachycardia" not in (tmp_path / "copy/log-000001.jsonl").read_text()
    assert "1 documents shredded" in bedside(*given, "shred", notes, *jane)
    assert json.loads(bedside(*given, "count", notes, *jane, "--json"))["count"] == 0


def test_the_environment_gives_a_key_as_a_file_or_as_text(tmp_path: Path, key: Path) -> None:
    notes = tmp_path / "notes"
    bedside("add", notes, "-", stdin=json_lines(NOTES), environment={"BEDSIDE_KEY": key.read_text()})
    for environment in ({"BEDSIDE_KEY_FILE": str(key)}, {"BEDSIDE_KEY": key.read_text()}):
        assert bedside("count", notes, environment=environment).strip() == "2"
    assert "tachycardia" not in (notes / "log-000001.jsonl").read_text()


def test_a_wrong_or_missing_key_is_told_in_the_words_of_the_shell(tmp_path: Path, key: Path) -> None:
    bedside("new-key", tmp_path / "other")
    bedside("--key-file", key, "init", tmp_path / "notes")
    bedside("init", tmp_path / "plain")
    told = bedside("count", tmp_path / "notes", code=1)
    assert "is encrypted" in told
    assert "bedside --key-file FILE" in told
    assert "does not open" in bedside("--key-file", tmp_path / "other", "count", tmp_path / "notes", code=1)
    told = bedside("--key-file", key, "count", tmp_path / "plain", code=1)
    assert "not encrypted" in told
    assert "bedside encrypt" in told
    assert "--key-file" in bedside("init", tmp_path / "new", "--encrypt", code=1)
    assert "--key-file" in bedside("encrypt", tmp_path / "plain", code=1)
    assert not (tmp_path / "new").exists()
    assert "only copy" in bedside("new-key", key, code=1)


def test_a_plain_collection_is_encrypted_and_rekeyed(tmp_path: Path, key: Path) -> None:
    notes = tmp_path / "notes"
    bedside("add", notes, "-", stdin=json_lines(NOTES))
    bedside("--key-file", key, "encrypt", notes)
    bedside("new-key", tmp_path / "next")
    bedside("--key-file", key, "rekey", notes, "--new-key-file", tmp_path / "next")
    assert "does not open" in bedside("--key-file", key, "count", notes, code=1)
    assert bedside("--key-file", tmp_path / "next", "count", notes).strip() == "2"
    with Collection.open(notes, key=tmp_path / "next", read_only=True) as opened:
        assert len(opened) == 2


def test_an_export_says_that_it_is_in_the_clear(tmp_path: Path, key: Path) -> None:
    bedside("--key-file", key, "add", tmp_path / "notes", "-", stdin=json_lines(NOTES))
    done = CliRunner().invoke(
        app, ["--key-file", str(key), "export", str(tmp_path / "notes"), str(tmp_path / "notes.jsonl")]
    )
    assert done.exit_code == 0, done.output
    assert "is in the clear" in done.stderr
    assert "tachycardia" in (tmp_path / "notes.jsonl").read_text()


@pytest.mark.parametrize(
    "command", [["search", "notes", "tachycardia", "--mode", "sparse", "--explain-html", "page.html"],
                ["map", "notes", "page.html", "--method", "pca"]],
)  # fmt: skip
def test_a_page_with_notes_says_that_it_is_in_the_clear(tmp_path, key, monkeypatch, command):
    bedside("--key-file", key, "add", tmp_path / "notes", "-", stdin=json_lines(NOTES))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["--key-file", str(key), *command])
    assert done.exit_code == 0, done.output
    assert "page.html is in the clear" in done.stderr
