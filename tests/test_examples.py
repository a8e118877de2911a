"""The example notes are consistent, and the demo runs offline and keeps patients apart."""

import importlib
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from bedside import Document, load_encoder
from bedside.evaluation import probe

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTE_ID = re.compile(r"\b(P\d\d)-\d\d\b")


@pytest.fixture
def clinical_notes(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("clinical_notes")


def demo(*arguments):
    """Run the demo offline, and return its output by part: 0 is the ingestion, 1 to 8 are the numbered parts."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py"), *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return re.split(r"^── \d .*$", done.stdout, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def demo_parts():
    return demo()


def patients(part):
    return set(NOTE_ID.findall(part))


def scored_notes(part):
    """The notes found in a part: score, note id, date."""
    return re.findall(r"^(\d\.\d{3})  (P\d\d-\d\d)  (\d{4}-\d\d-\d\d)", part, flags=re.MULTILINE)


def test_notes_have_unique_ids_valid_dates_and_the_patient_of_their_file(clinical_notes):
    notes = clinical_notes.read_patients()
    assert len(notes) >= 40
    assert len({note.id for note in notes}) == len(notes)
    assert len({note.metadata["patient_id"] for note in notes}) == 8
    for note in notes:
        assert note.id.startswith(note.metadata["patient_id"] + "-")
        assert date(2023, 1, 1) <= date.fromisoformat(note.metadata["date"]) <= date(2024, 12, 31)
        assert set(note.metadata) == {"patient_id", "date", "note_type", "author_role"}


def test_notes_of_a_patient_are_in_the_order_of_their_dates(clinical_notes):
    notes = clinical_notes.read_patients()
    ordered = sorted(notes, key=lambda note: (note.metadata["patient_id"], note.metadata["date"]))
    assert [note.id for note in notes] == [note.id for note in ordered]


def test_the_latest_of_three_values_comes_first_and_what_one_copy_alone_says_is_found(clinical_notes):
    """As ``bedside eval --probes`` asks: each question is a sentence with a value, without that value."""
    notes = [Document(note.text, id=note.id) for note in clinical_notes.read_patients()]
    found = probe(notes, load_encoder("bedside/static"), probes=["latest", "copies"], sample=100)
    assert all(result.queries >= 60 for result in found)
    assert all(result.interval.mean >= 0.95 for result in found), found


def test_two_patients_share_an_identical_note(clinical_notes):
    texts = Counter(note.text for note in clinical_notes.read_patients())
    shared = [text for text, count in texts.items() if count > 1]
    owners = {n.metadata["patient_id"] for n in clinical_notes.read_patients() if n.text in shared}
    assert owners == {"P01", "P06"}


def test_guideline_excerpts_belong_to_no_patient(clinical_notes):
    guidelines = clinical_notes.read_guidelines()
    assert len(guidelines) == 2
    assert all("patient_id" not in note.metadata for note in guidelines)


def test_the_readme_counts_the_notes_right(clinical_notes):
    readme = (EXAMPLES / "notes" / "README.md").read_text(encoding="utf-8")
    told = {name: int(count) for name, count in re.findall(r"^\| `(\w+)\.txt` .*\| (\d+) \|$", readme, re.MULTILINE)}
    counted = {path.stem: len([*clinical_notes.read_notes(path)]) for path in (EXAMPLES / "notes").glob("*.txt")}
    assert told == counted


def test_each_patients_answers_cite_that_patients_notes_only(demo_parts):
    assert [patients(part) for part in demo_parts[1:4]] == [{"P01"}, {"P01"}, {"P07"}]
    assert demo_parts[3].count("[P07-") > 0


def test_langchain_and_llama_index_find_the_same_notes_with_the_same_scores(demo_parts):
    found = scored_notes(demo_parts[1])
    assert len(found) == 12
    assert found == scored_notes(demo_parts[2])


def test_each_answer_is_checked_and_what_the_notes_say_is_supported(demo_parts):
    for part in demo_parts[1:4]:
        for asked in part.split("Question ")[1:]:
            assert "Answer " in asked
            assert "         Supported.\n" in asked
            assert "Not supported" not in asked


def test_a_search_that_names_no_patient_is_refused(demo_parts):
    assert "Refused" in demo_parts[3]
    assert "patient_id" in demo_parts[3]


def test_hybrid_finds_the_passage_with_the_number_first(demo_parts):
    first = next(line for line in demo_parts[4].splitlines() if re.match(r"[* ] \d\.\d{3} P", line))
    assert first.startswith("* ")


def test_a_wrong_dose_a_turned_round_finding_and_an_invented_citation_are_caught(demo_parts):
    right, dose, finding, invented, cited = re.split(r"\n(?=Answer|Question)", demo_parts[5].strip())
    assert "Supported." in right
    assert "Not supported: dose '850 mg': not in what is cited; there: '" in dose
    assert "Not supported: finding 'chest pain': the source denies it: '" in finding
    assert "Not supported: citation 'P01-25': not among the hits" in invented
    assert "lisinopril" in cited.lower()


def test_a_denial_is_first_by_words_and_meaning_alone_and_not_by_default(demo_parts):
    first = next(line for line in demo_parts[6].splitlines() if re.match(r" *\d\.\d{3} ", line))
    assert "No chest pain" in first[:54]
    assert "No chest pain" not in first[54:]
    assert "assertion 1.0" in demo_parts[6]


def test_the_question_for_a_value_is_answered_with_the_latest_and_the_older_ones_are_named(demo_parts):
    latest, *older = re.findall(r"^(?:Latest|Before) +(\d{4}-\d\d-\d\d): (.*)", demo_parts[7], re.MULTILINE)
    assert "7.4 %" in latest[1]
    assert any("8.4 %" in text for _, text in older)
    assert any("8.2 %" in text for _, text in older)
    days = [day for day, _ in (latest, *older)]
    assert days == sorted(days, reverse=True)


def test_the_guideline_in_force_on_the_day_is_the_one_that_answers():
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "guideline_versions.py"), "2024-05-01"],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^as of (\S+): (\S+):", done.stdout, re.MULTILINE) == [
        ("2018-07-01", "sepsis-2016"), ("2022-01-01", "sepsis-2021"), ("2024-05-01", "sepsis-2024")]  # fmt: skip
    assert re.findall(r"^version (\S+),", done.stdout, re.MULTILINE) == ["sepsis-2024", "sepsis-2021", "sepsis-2016"]
    assert "verify finds 0 versions" in done.stdout


def test_the_demo_fits_a_narrow_terminal_and_has_no_colours_in_a_pipe(demo_parts):
    output = "".join(demo_parts)
    assert max(map(len, output.splitlines())) <= 110
    assert "\033" not in output


def test_on_postgresql_the_demo_says_what_it_says_in_a_folder(demo_parts, postgres):
    assert demo(postgres())[1:] == demo_parts[1:]
