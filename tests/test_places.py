"""What can be known of a place without opening it."""

from __future__ import annotations

import json

import pytest

from bedside import Collection, Document, engines
from bedside.errors import NotACollectionError
from bedside.loaders import files
from command_line import bedside


@pytest.fixture
def ward(tmp_path):
    with Collection.open(tmp_path / "ward", scope_keys=["patient_id"]) as notes:
        notes.scoped(patient_id="A").add([Document("Chest pain.", vector=[1, 0, 0])])
    return tmp_path / "ward"


def test_the_facts_of_a_collection_are_those_that_it_was_made_with(ward):
    facts = engines.read_facts(ward)
    assert (facts.scope_keys, facts.dimension, facts.encoder) == (("patient_id",), 3, None)
    (log,) = ward.glob("log-*.jsonl")
    assert engines.sizes(ward)["log_bytes"] == log.stat().st_size > 0


def test_the_collections_below_a_root_are_listed_by_name_without_links_and_other_folders(ward):
    root = ward.parent
    Collection.open(root / "icu").close()
    (root / "elsewhere").symlink_to(ward)
    (root / "empty").mkdir()
    assert engines.list_collections(root) == ["icu", "ward"]


def test_the_manifest_of_another_program_makes_no_collection_and_hides_no_notes(tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "a browser extension"}')
    (tmp_path / "visit.txt").write_text("Chest pain.")
    assert not engines.holds_collection(tmp_path)
    assert tmp_path / "visit.txt" in list(files(tmp_path))
    assert "holds no Bedside collection" in bedside("count", tmp_path, code=1)


@pytest.mark.parametrize("left", [b"", b"\0" * 300, b'{"format": "bedside-collection", "vers'])
def test_a_damaged_manifest_is_said_to_be_damaged_and_its_log_is_not_read_as_notes(ward, left):
    (ward / "manifest.json").write_bytes(left)
    assert engines.holds_collection(ward)
    assert list(files(ward.parent)) == []
    with pytest.raises(NotACollectionError, match="damaged"):
        engines.read_facts(ward)
    for command in ("count", "stats", "repair"):
        assert "damaged" in bedside(command, ward, code=1)


def test_repair_says_what_it_saved(ward):
    report = engines.repair(ward)
    assert (report.records, report.lost, report.kept) == (1, (), None)
    assert json.loads(bedside("repair", ward, "--json")) == {"records": 1, "lost": [], "kept": None}


def test_where_nothing_is_there_are_no_facts(tmp_path):
    for ask in (engines.read_facts, engines.sizes, engines.repair):
        with pytest.raises(NotACollectionError):
            ask(tmp_path)
    assert not engines.holds_collection(tmp_path / "nowhere")
