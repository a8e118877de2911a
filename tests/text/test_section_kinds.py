"""One name for what many headings say, in four languages, and a table that a user may extend."""

from __future__ import annotations

import pytest

from bedside.errors import InvalidInputError
from bedside.text.kinds import LOINC, SectionKinds
from bedside.text.sections import find_headings

SAME = {
    "hpi": ["HPI", "History of Present Illness", "HISTORY OF THE PRESENT ILLNESS (HPI)", "Hx of presenting complaint"],
    "assessment_and_plan": ["A/P", "A&P", "Assessment & Plan", "ASSESSMENT/PLAN", "Impression and Recommendations"],
    "medications": ["Meds", "CURRENT MEDICATIONS", "Home meds", "Medications on Admission", "Dauermedikation"],
    "past_medical_history": ["Past medical hx", "PMH", "PMHx", "Past Med Hx", "Vorerkrankungen", "Antécédents"],
    "family_history": ["FH", "Family Medical History", "Familienanamnese", "Antecedentes familiares"],
    "chief_complaint": ["CC", "Chief complaints", "Hauptbeschwerde", "Plainte principale"],
    "reason_for_visit": ["Reason for Consultation", "Motif d'hospitalisation", "Motivo de consulta", "Aufnahmegrund"],
    "physical_exam": ["PE", "Exam", "Körperliche Untersuchung", "Examen clinique", "Exploración física"],
    "laboratory": ["LABS", "Laboratory Data", "Laborwerte", "Bilan biologique", "Analítica"],
    "plan": ["PLAN", "Recommendations", "Procedere", "Conduite à tenir", "Recomendaciones"],
    "diagnoses": ["Final Diagnosis", "Hauptdiagnosen", "Diagnostic", "Diagnósticos"],
    "hospital_course": ["Brief Hospital Course", "Therapie und Verlauf", "Évolution", "Evolución"],
    "discharge_medications": ["Discharge Meds", "Medikation bei Entlassung", "Traitement de sortie"],
    "preoperative_diagnosis": ["PREOP DX", "Preoperative Diagnoses", "Pre-op diagnosis"],
}


@pytest.mark.parametrize(("kind", "title"), [(kind, title) for kind, titles in SAME.items() for title in titles])
def test_headings_that_mean_the_same_are_of_one_kind(kind, title):
    assert SectionKinds().of(title) == kind


@pytest.mark.parametrize("title", ["Left knee", "DATE OF PROCEDURE", "Signature", "", "12", "the of"])
def test_what_tells_no_kind_has_none(title):
    assert SectionKinds().of(title) is None


def test_a_word_of_another_language_tells_nothing_in_an_english_note():
    assert SectionKinds().of("Status") == "physical_exam"
    assert SectionKinds().of("Status", english=True) is None
    (heading,) = find_headings("The patient was seen with his wife.\n\nStatus: stable\n")
    assert heading.kind is None


def test_kinds_have_the_codes_of_loinc():
    assert LOINC["hpi"] == "10164-2"
    assert LOINC["assessment_and_plan"] == "51847-2"
    assert all(code.partition("-")[2].isdigit() for code in LOINC.values())


def test_a_title_of_the_users_own_is_a_heading_of_its_kind_however_it_is_written():
    kinds = SectionKinds({"Ward round": "plan", "Meds": "home list"})
    assert [
        (h.title, h.kind) for h in find_headings("WARD ROUND: rest.\nthe ward-round: walk.\nMeds: none.", kinds)
    ] == [
        ("WARD ROUND", "plan"),
        ("the ward-round", "plan"),
        ("Meds", "home list"),
    ]
    assert find_headings("Ward round: rest.") == []


@pytest.mark.parametrize("wrong", [["HPI"], {"HPI": 1}, {1: "hpi"}, "HPI", {"...": "plan"}, {"Ward round": " "}])
def test_what_is_no_table_of_titles_is_refused(wrong):
    with pytest.raises(InvalidInputError, match="section_kinds: expected a"):
        SectionKinds(wrong)


def test_the_letters_of_a_progress_note_say_what_they_stand_for():
    found = find_headings("S: Cough.\nO: T 38.\nA: Cold.\nP: Rest.\nS: Well.\nO: T 37.\nA/P: Home.")
    named = ["subjective", "objective", "assessment", "plan", "subjective", "objective", "assessment_and_plan"]
    assert [heading.kind for heading in found] == named


@pytest.mark.parametrize("text", ["P: 80\nO: none", "S: Cough.\nO: T 38.\nP: Rest.", "Blood group A: yes.\nO: no."])
def test_letters_that_are_no_whole_set_are_no_headings(text):
    assert find_headings(text) == []


def test_a_part_is_of_its_examination_and_a_heading_below_another_of_that():
    text = (
        "REVIEW OF SYSTEMS:\nHEENT:\nNo sore throat.\n\nVITAL SIGNS:\nBP 120/80.\n\nPHYSICAL EXAMINATION:\n\nGENERAL:\n"
        "Well.\n\nHEENT:\nClear.\n\nDIAGNOSTICS:\n\nHOLTER MONITOR:\nNo pauses.\n\nPLAN:\nRest.\n\nLUNGS:\nClear."
    )
    assert [(heading.title, heading.kind) for heading in find_headings(text)] == [
        ("REVIEW OF SYSTEMS", "review_of_systems"),
        ("HEENT", "review_of_systems"),
        ("VITAL SIGNS", "vital_signs"),
        ("PHYSICAL EXAMINATION", "physical_exam"),
        ("GENERAL", "physical_exam"),
        ("HEENT", "physical_exam"),
        ("DIAGNOSTICS", "results"),
        ("HOLTER MONITOR", "results"),
        ("PLAN", "plan"),
        ("LUNGS", None),
    ]
