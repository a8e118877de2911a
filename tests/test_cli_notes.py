"""Commands on whole notes and scopes print what the collection answers."""

from __future__ import annotations

import json

import pytest

from bedside import Collection, load_encoder
from bedside.notes import context
from command_line import bedside

NOTE = "HPI: Chest tightness for 3 days.\r\n\tFAMILY HISTORY: Mother had a stroke at 52.\r\nPLAN: Aspirin 81 mg.\n"
ABOUT = {"date": "2024-05-06", "kind": "Progress note", "author": "A. Roe"}


@pytest.fixture
def ward(tmp_path):
    with Collection.open(tmp_path / "ward", encoder=load_encoder("bedside/static"), scope_keys=["patient"]) as ward:
        ward.scoped(patient="A").add_note(NOTE, id="visit-1", metadata=ABOUT)
        ward.scoped(patient="A").add_note("HPI: No stroke.\nPLAN: Rest.", id="visit-2")
        ward.scoped(patient=7).add_note("HPI: Denies stroke.", id="visit-1")
    return tmp_path / "ward"


@pytest.fixture
def patient(ward):
    with Collection.open(ward, encoder=load_encoder("bedside/static"), read_only=True) as collection:
        yield collection.scoped(patient="A")


def test_search_notes_prints_the_notes_scores_and_passages_of_the_core(ward, patient):
    options = ("--scope", "patient=A", "--mode", "hybrid", "--alpha", "0.3", "--explain", "--json")
    found = [json.loads(line) for line in bedside("search-notes", ward, "stroke", *options).splitlines()]
    hits = patient.search_notes("stroke", mode="hybrid", alpha=0.3, explain=True)
    assert [(line["id"], line["score"]) for line in found] == [(hit.id, hit.score) for hit in hits]
    assert [[p["text"] for p in line["passages"]] for line in found] == [[p.text for p in hit.passages] for hit in hits]
    assert (found[0]["date"], found[0]["kind"], found[0]["author"]) == tuple(ABOUT.values())
    assert found[0]["explanation"]["formula"] == hits[0].explanation.formula
    rows = [line.split("\t") for line in bedside("search-notes", ward, "stroke", *options[:2]).splitlines()]
    assert rows[0][1:4] == ["visit-1", "2024-05-06", "Progress note"]
    assert "stroke at 52" in rows[0][4]
    assert "--group-by" not in bedside("search-notes", "--help")


def test_context_prints_what_the_core_renders(ward, patient):
    hits = patient.search_notes("stroke")
    said = bedside("context", ward, "stroke", "--scope", "patient=A", "--max-tokens", 40)
    assert said == context(hits, max_tokens=40) + "\n"
    assert said.startswith("Source: visit-1 (2024-05-06, Progress note, A. Roe)\n")
    bare = bedside("context", ward, "stroke", "--scope", "patient=A", "--no-header", "--json")
    assert json.loads(bare) == {"context": context(hits, max_tokens=2_000, header=None)}


def test_a_note_is_printed_exactly_and_deleted_once(ward):
    scope = ("--scope", "patient=A")
    assert json.loads(bedside("get-note", ward, "visit-1", *scope, "--json"))["text"] == NOTE
    assert bedside("get-note", ward, "visit-2", *scope) == "HPI: No stroke.\nPLAN: Rest."
    assert "there is no note 'visit-9'" in bedside("get-note", ward, "visit-9", *scope, code=1)
    assert "--scope patient=" in bedside("get-note", ward, "visit-1", code=1)
    assert bedside("delete-note", ward, "visit-1", *scope) == "1 notes deleted\n"
    assert json.loads(bedside("delete-note", ward, "visit-1", *scope, "--json")) == {"deleted": 0}
    assert bedside("get-note", ward, "visit-1", "--scope", "patient:=7") == "HPI: Denies stroke."


def test_history_prints_the_versions_of_a_note_the_newest_first(ward):
    with Collection.open(ward, encoder=load_encoder("bedside/static")) as collection:
        collection.scoped(patient="A").add_note("HPI: TIA.", id="visit-1b", metadata={"supersedes": "visit-1"})
    scope = ("--scope", "patient=A")
    assert bedside("history", ward, "visit-1", *scope) == "visit-1b\tvisit-1\t\nvisit-1\t\tvisit-1b\n"
    newest = json.loads(bedside("history", ward, "visit-1", *scope, "--json").splitlines()[0])
    assert (newest["id"], newest["supersedes"], newest["metadata"]["patient"]) == ("visit-1b", ["visit-1"], "A")
    assert bedside("history", ward, "visit-1b", "--scope", "patient:=7") == ""


def test_scopes_cohorts_and_what_is_counted_over_all_scopes_are_told(ward, tmp_path):
    assert [line.split("\t")[0] for line in bedside("scopes", ward).splitlines()] == ["7", "A"]
    found = [json.loads(line) for line in bedside("scopes", ward, "--json").splitlines()]
    assert [line["scope"] for line in found] == [{"patient": 7}, {"patient": "A"}]
    assert bedside("cohort", ward, "stroke") == "A\t1\n"
    only = bedside("cohort", ward, "--filter", '{"section_kind": "plan"}', "--json")
    assert json.loads(only)["scope"] == {"patient": "A"}
    assert "give a QUERY, or --filter" in bedside("cohort", ward, code=2)
    every = sum(line["count"] for line in found)
    assert bedside("count", ward, "--all-scopes") == f"{every}\n"
    assert "--scope patient=" in bedside("count", ward, code=1)
    assert "give --scope or --all-scopes" in bedside("count", ward, "--all-scopes", "--scope", "patient=A", code=2)
    facets = bedside("stats", ward, "--facets", "section_kind", "--all-scopes").splitlines()
    assert facets[0] == '"hpi"\t3'
    assert f"shows {every} documents" in bedside("map", ward, tmp_path / "map.html", "--all-scopes")
