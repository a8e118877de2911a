"""How many faults are found in answers from notes, and how many alarms are false."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path

import pytest

from answer_perturbations import Tally, measure
from bedside import Document
from checkpoints import DATA

EXAMPLES = Path(__file__).parents[2] / "examples"
FAULTS = ["number", "unit", "dose", "date", "quotation", "citation"]
UNCHANGED = ["unchanged", "reworded", "quoted"]


def hold(tallies: dict[str, Tally], negations: float) -> None:
    """What must hold of any notes; faults of negation have a figure of their own."""
    assert {name: tallies[name].share for name in FAULTS if tallies[name].share < 0.95} == {}
    assert {name: tallies[name].share for name in UNCHANGED if tallies[name].share > 0.05} == {}
    assert tallies["negation"].share >= negations


def development_notes() -> list[Document]:
    path = DATA / "notes" / "corpus.jsonl"
    if not path.is_file():
        pytest.skip(f"the development notes are not in {DATA}; set BEDSIDE_DATA to the data's dev folder")
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    notes = [Document(row["text"], {}, row["_id"]) for row in rows]
    random.Random(3).shuffle(notes)
    return notes


def test_faults_in_answers_from_the_example_notes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    tallies = measure(importlib.import_module("clinical_notes").read_patients())
    assert min(tallies[name].asked for name in FAULTS) >= 15
    hold(tallies, negations=0.9)


def test_faults_in_answers_from_real_notes_are_found() -> None:
    hold(measure(development_notes()[:60]), negations=0.8)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_faults_in_answers_from_all_development_notes_are_found() -> None:
    hold(measure(development_notes()), negations=0.87)
