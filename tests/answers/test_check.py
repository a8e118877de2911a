"""What a check of an answer reports, case by case."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document, load_encoder
from bedside.answers import AnswerCheck, check_answer, citation
from bedside.errors import InvalidInputError

VISIT = Document(
    "MEDICATIONS: Metformin 1000 mg PO BID, lisinopril 20 mg daily, apixaban 5 mg BID.\n\n"
    "HPI: 68-year-old man with T2DM and HTN. He denies chest pain and SOB. No history of MI or stroke.\n\n"
    "FAMILY HISTORY: Brother had a stroke at 70.\n\n"
    "VITALS: BP 142/88, HR 76, SpO2 97 % on room air, weight 86.9 kg.\n\n"
    "LABS: HbA1c 8.2 % on 11/02/2023, creatinine 1.4 mg/dL. Recheck in three months.",
    {"date": "2023-11-08", "note_type": "Progress note"},
    "visit-1",
)
FILM = Document("No pneumothorax. Small bilateral effusions.", {"date": "2024-02-11"}, "film-2")
HITS = [VISIT, FILM]

RIGHT = [
    "He takes 1 g of metformin twice a day and 20 milligrams of lisinopril once daily [visit-1].",
    "Metformin 1,000mg every 12 hours [visit-1].",
    "On November 8, 2023 the blood pressure was 142/88 mmHg, the heart rate 76 bpm [visit-1].",
    "The HbA1c of 2 Nov 2023 was 8.2% [visit-1].",
    "Oxygen saturation was 97 percent [visit-1 Progress note].",
    "A 68 years old man with type 2 diabetes, to be seen again in 3 months [1].",
    "He has no chest pain [visit-1]. There was no pneumothorax [film-2].",
    "He had neither a heart attack nor a stroke [visit-1].",
    'The note says "Small bilateral effusions" [film-2, 2024-02-11].',
    'It says "No pneumothorax … effusions". [2]',
    "The notes do not mention a colonoscopy.",
    "See the note [sic].",
    "Non-smoker is not said, yet the man (weight 86.9 kg) has diabetes (HbA1c 8.2 %) [visit-1].",
]
WRONG: list[tuple[str, list[tuple[str, str]]]] = [
    ("He takes metformin 850 mg BID [visit-1].", [("dose", "850 mg")]),
    ("He takes metformin 1000 mg three times daily [visit-1].", [("dose", "three times daily")]),
    ("He takes lisinopril 1000 mg [visit-1].", [("dose", "1000 mg")]),
    ("Metformin 1000 mcg BID [visit-1].", [("dose", "1000 mcg")]),
    ("The creatinine was 1.4 mmol/L [visit-1].", [("number", "1.4 mmol/L")]),
    ("The heart rate was 97 [visit-1].", [("number", "97")]),
    ("Seen on 2023-11-18 [visit-1].", [("date", "2023-11-18")]),
    ("HbA1c was 8.2 % in December 2023 [visit-1].", [("date", "December 2023")]),
    ("He reports chest pain [visit-1].", [("finding", "chest pain")]),
    ("He has a history of stroke [visit-1].", [("finding", "stroke")]),
    ("There are no effusions [film-2].", [("finding", "effusions")]),
    ("The chest X-ray showed a pneumothorax [film-2].", [("finding", "chest X-ray showed a pneumothorax")]),
    ('It says "Large bilateral effusions" [film-2].', [("quotation", '"Large bilateral effusions"')]),
    ("No pneumothorax was seen [film-3].", [("citation", "film-3")]),
    ("No pneumothorax was seen [film-2 2024-02-12].", [("citation", "film-2 2024-02-12")]),
    ("There are small bilateral effusions [visit-1].", [("citation", "visit-1")]),
    ("Weight 86.9 kg [film-2].", [("number", "86.9 kg"), ("citation", "film-2")]),
]


@pytest.mark.parametrize("answer", RIGHT)
def test_what_the_sources_say_in_other_words_is_supported(answer: str) -> None:
    assert str(check_answer(answer, HITS)) == "supported"


@pytest.mark.parametrize(("answer", "problems"), WRONG, ids=[answer for answer, _ in WRONG])
def test_what_they_do_not_say_is_a_problem_and_nothing_else_is(answer: str, problems: list[tuple[str, str]]) -> None:
    assert [(problem.kind, problem.text) for problem in check_answer(answer, HITS).problems] == problems


@pytest.mark.parametrize(
    ("source", "answer", "supported"),
    [
        ("Intubated without difficulty and sent to recovery.", "He was intubated with difficulty [1].", False),
        ("Intubated without difficulty and sent to recovery.", "He was sent to recovery [1].", True),
        ("Intubated with difficulty.", "He was intubated without difficulty [1].", False),
        ("Intubated without difficulty.", "Intubation was done without difficulty [1].", True),
    ],
)
def test_without_difficulty_denies_the_difficulty_alone(source: str, answer: str, supported: bool) -> None:
    assert check_answer(answer, [Document(source, id="note")]).supported is supported


def test_a_problem_says_what_the_source_says_instead_and_where() -> None:
    (dose,) = check_answer("Metformin 850 mg BID [visit-1].", HITS).problems
    assert dose.why == "not in what is cited; there: 'MEDICATIONS: Metformin 1000 mg PO BID'"
    assert dose.citation is not None
    assert VISIT.text[dose.citation.start : dose.citation.end] == dose.citation.text
    elsewhere, misplaced = check_answer("The weight is 86.9 kg [film-2].", HITS).problems
    assert elsewhere.why == "not in what is cited; stands in 'visit-1'"
    assert misplaced.why == "does not say this; 'visit-1' does"


def test_every_sentence_is_listed_with_what_was_looked_up_in_it() -> None:
    answer = "Metformin is 1000 mg BID [visit-1]. That is reassuring. No pneumothorax [film-2]."
    checked = check_answer(answer, HITS)
    assert [answer[s.start : s.end].strip() for s in checked.sentences] == [s.text for s in checked.sentences]
    assert [s.cites for s in checked.sentences] == [("visit-1",), (), ("film-2",)]
    assert [[(t.kind, t.text) for t in s.statements] for s in checked.sentences] == [
        [("finding", "Metformin"), ("dose", "1000 mg"), ("dose", "BID"), ("citation", "visit-1")],
        [],
        [("finding", "pneumothorax"), ("citation", "film-2")],
    ]
    assert checked.supported
    assert all(answer[t.start : t.end].strip(" .,[]") == t.text for s in checked.sentences for t in s.statements)


def test_a_citation_belongs_to_the_sentence_that_it_follows() -> None:
    checked = check_answer("No pneumothorax. [film-2] Metformin 1000 mg. [visit-1]", HITS)
    assert [s.cites for s in checked.sentences] == [("film-2",), ("visit-1",)]
    assert checked.supported


def test_a_sentence_without_a_citation_is_checked_against_all_hits() -> None:
    assert check_answer("No pneumothorax; metformin 1000 mg.", HITS).supported
    assert not check_answer("Metformin 1001 mg.", HITS).supported


def test_without_hits_nothing_that_can_be_looked_up_is_supported() -> None:
    assert [p.kind for p in check_answer('Dose 5 mg on 2024-05-06, "so it is written" [1].', []).problems] == [
        "dose",
        "date",
        "quotation",
        "citation",
    ]
    assert check_answer("", []) == AnswerCheck(())


def test_prompts_that_name_documents_in_their_own_way_are_understood() -> None:
    checked = check_answer(
        "No pneumothorax [Film of 2024-02-11].", HITS, label=lambda d: f"Film of {d.metadata['date']}"
    )
    assert checked.supported
    assert checked.sentences[0].cites == ("Film of 2024-02-11",)


@pytest.mark.parametrize(
    ("answer", "hits", "message"),
    [
        (None, HITS, "answer: expected a str, got NoneType"),
        ("x", "visit-1", "hits: expected a list of hits or documents, got str"),
        ("x", VISIT, "hits: expected a list of hits or documents, got Document"),
        ("x", [3], "hits: expected what a search returned, or documents, got int"),
    ],
)
def test_what_is_no_answer_or_no_hit_is_refused(answer: Any, hits: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check_answer(answer, hits)


def test_found_notes_are_checked_and_cited_by_their_own_ids_and_offsets() -> None:
    notes = Collection.open(encoder=load_encoder("bedside/static"))
    filler = "Seen in clinic for a routine visit, no new concerns were raised by the patient today. " * 20
    text = f"HPI: {filler}\n\nLABS: {filler}The creatinine was 1.4 mg/dL. {filler}"
    notes.add_note(text, id="letter-7", metadata={"kind": "letter"})
    found = notes.search_notes("creatinine")
    assert check_answer("Creatinine was 1.4 mg/dL [letter-7].", found).supported
    assert not check_answer("Creatinine was 1.5 mg/dL [letter-7].", found).supported
    cited = citation(found[0], "How high was the creatinine?")
    assert cited.text == text[cited.start : cited.end] == "The creatinine was 1.4 mg/dL."
    assert (cited.source_id, cited.source_hash) == ("letter-7", hashlib.sha256(text.encode()).hexdigest()[:32])


def test_a_report_calls_found_notes_what_the_prompt_called_them() -> None:
    """A note stood in the prompt under its id; those of its passages nobody has seen."""
    notes = Collection.open(encoder=load_encoder("bedside/static"))
    notes.add_note("HPI: Weight 86.9 kg.\n\nPLAN: Rest.", id="visit-1")
    notes.add_note("FINDINGS: The heart is enlarged.", id="film-2")
    found = notes.search_notes("weight")
    elsewhere, misplaced = check_answer("The weight is 86.9 kg [film-2].", found).problems
    assert elsewhere.why == "not in what is cited; stands in 'visit-1'"
    assert misplaced.why == "does not say this; 'visit-1' does"


def test_a_citation_of_a_plain_document_is_in_its_own_text() -> None:
    cited = citation(VISIT, "Any history of stroke?")
    assert cited.text == "No history of MI or stroke."
    assert VISIT.text[cited.start : cited.end] == cited.text
    assert (cited.source_id, cited.source_hash) == ("visit-1", hashlib.sha256(VISIT.text.encode()).hexdigest()[:32])


def test_where_no_sentence_has_a_word_of_the_question_the_whole_passage_is_cited() -> None:
    assert citation(FILM, "colonoscopy").text == FILM.text
    with pytest.raises(InvalidInputError, match="query: expected a str, got int"):
        citation(FILM, 3)  # type: ignore[arg-type]


WORDS = [
    "no",
    "chest pain",
    "denies",
    "mg",
    "500 mg",
    "BID",
    "2024-05-06",
    "[1]",
    "[a#0]",
    "[x9]",
    '"',
    "…",
    "%",
    ".",
    ",",
    "\n",
    "½",
]


@given(
    st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=20).map(" ".join),
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=15).map(" ".join), max_size=3),
)
def test_any_answer_to_any_hits_is_checked_and_every_statement_lies_in_its_sentence(
    answer: str, texts: list[str]
) -> None:
    hits = [Document(text, {}, f"a#{number}") for number, text in enumerate(texts)]
    checked = check_answer(answer, hits)
    assert all(s.start <= t.start < t.end <= s.end for s in checked.sentences for t in s.statements)
    assert checked == check_answer(answer, hits)
    assert checked.supported == (not checked.problems)
