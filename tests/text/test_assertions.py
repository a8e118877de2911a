"""Assertion rules: what a sentence denies and what it does not, terms with their bit, and what a query asks for."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import InvalidInputError
from bedside.text.assertions import AssertionAnnotator, asked_polarity, mark, marked_terms
from bedside.text.assertions.scopes import find_scopes
from bedside.text.sentences import sentences
from bedside.text.tokenizer import ClinicalTokenizer, split_words

TOKENIZER = ClinicalTokenizer()
PIECES = [
    "no ",
    "fever",
    "denies ",
    "; ",
    ": ",
    ", ",
    ". ",
    "\n",
    "but ",
    "ruled out",
    "< ",
    "≥ ",
    "5½",
    " .5",
    "\u200b",
]
CLINICAL = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=30).map("".join)


def marked(text: str, status: str = "negated") -> list[str]:
    return [found.text for found in mark(text) if found.status == status]


def negated(text: str) -> set[str]:
    return {term for term, bit in zip(*marked_terms(text, TOKENIZER), strict=True) if bit}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Denies chest pain.", ["chest pain"]),
        ("Chest pain on exertion.", []),
        ("No cough but fever.", ["cough"]),
        ("There is no nausea, vomiting, or rash.", ["nausea, vomiting, or rash"]),
        ("Cannot rule out PE.", []),
        ("We can't rule out PE.", []),
        ("PE was not ruled out.", []),
        ("PE was ruled out.", ["PE was"]),
        ("Ruled out for MI.", ["MI"]),
        ("Gram negative rods.", []),
        ("Gram negative rods, no yeast.", ["yeast"]),
        ("No cure for sarcoidosis.", ["cure"]),
        ("There is no known effective treatment for prion disease.", ["known effective treatment"]),
        ("No relief of headache with ibuprofen.", ["relief"]),
        ("Fever: none.", ["Fever"]),
        ("Chest pain: denied. Cough: yes.", ["Chest pain"]),
        ("Asthma: ruled out.", ["Asthma"]),
        ("DVT: not seen, PE: excluded", ["DVT", "PE"]),
        ("Pneumonia: not excluded.", []),
        ("Assessment: excluded patients had fever.", []),
        ("Lungs: no wheezes.", ["wheezes"]),
        ("The patient didn’t report dizziness.", ["report dizziness"]),
        ("No change in the murmur.", []),
        ("No significant change in the effusion.", []),
        ("Denies any change in vision.", ["any change in vision"]),
        ("Murmurs were not appreciated.", ["Murmurs were"]),
        ("No fever, she has a cough.", ["fever"]),
        ("No fever; cough for a week.", ["fever"]),
        ("No chest pain - dyspnea on exertion.", ["chest pain"]),
        ("She is not only febrile, but tachycardic.", []),
        ("CT with and without contrast.", []),
        ("HIV test was negative.", []),
        ("Fecal blood was negative.", ["Fecal blood"]),
        ("Absence seizures since childhood.", []),
        ("The patient (denies fever) was seen.", ["fever"]),
    ],
)
def test_a_sentence_denies_what_stands_in_the_scope_of_its_cues(text, expected):
    assert marked(text) == expected


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("Return if fever develops.", "hypothetical", ["fever develops"]),
        ("History of stroke.", "historical", ["stroke"]),
        ("Mother had breast cancer and had a stroke.", "family", ["had breast cancer and had a stroke"]),
        ("Seen for cough.", "hypothetical", []),
    ],
)
def test_what_is_supposed_past_or_about_relatives_is_marked_too(text, status, expected):
    assert marked(text, status) == expected


def test_a_mark_says_where_it_and_its_cue_stand():
    text = "Seen today.\nShe DENIES “chest pain”, but coughs."
    (found,) = mark(text)
    assert text[found.start : found.end] == found.text == "chest pain"
    assert text[slice(*found.cue)] == "DENIES"


def test_a_passage_with_both_polarities_keeps_them_apart():
    found = marked_terms("Chest pain on exertion. No chest pain at rest.", TOKENIZER)
    bits = [bit for term, bit in zip(*found, strict=True) if term == "pain"]
    assert bits == [0, 1]


@given(CLINICAL)
def test_terms_are_those_of_the_tokenizer_and_each_has_a_bit(text):
    found = marked_terms(text, TOKENIZER)
    assert found.terms == TOKENIZER.tokenize(text)
    assert len(found.negated) == len(found.terms)


def negated_sentence_by_sentence(text: str) -> list[bool]:
    """A bit for each term, the long way: each sentence is folded, cut and read by itself."""
    bits = []
    for start, end in sentences(text):
        words = split_words(text[start:end])
        scopes = [range(scope.start, scope.stop) for scope in find_scopes(words) if scope.status == "negated"]
        for at, terms in enumerate(TOKENIZER.terms_of(words)):
            bits += [any(at in scope for scope in scopes)] * len(terms)
    return bits


@given(CLINICAL)
@example("No fever.\nCough since 5½ weeks, no < .5 kg lost. Denies pain. Rash.")
@example("A 12. Mai\r\nno x. 2. Denies\u200b y\n\n\u200b\n\nno z")
def test_terms_are_negated_as_if_each_sentence_were_read_by_itself(text):
    assert list(map(bool, marked_terms(text, TOKENIZER).negated)) == negated_sentence_by_sentence(text)


@given(CLINICAL)
@example("no < 5½ ")
def test_terms_are_negated_where_marks_lie(text):
    spans = [(found.start, found.end) for found in mark(text) if found.status == "negated"]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert bool(negated(text)) <= bool(spans)
    for start, end in spans:
        assert text[start:end] == text[start:end].strip()


def test_terms_are_those_of_the_tokenizer_on_the_development_sets(data):
    for corpus in sorted(data.glob("*/corpus.jsonl")):
        for line in corpus.open(encoding="utf-8"):
            document = json.loads(line)
            found = marked_terms(document["text"], TOKENIZER)
            assert found.terms == TOKENIZER.tokenize(document["text"]), document["_id"]
            assert len(found.negated) == len(found.terms), document["_id"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("chest pain", {"chest": "present", "pain": "present"}),
        ("no chest pain", {"chest": "absent", "pain": "absent"}),
        ("denies chest pain", {"chest": "absent", "pain": "absent"}),
        ("patient with a history of chest pain", {"chest": "present", "pain": "present"}),
        ("fever without cough", {"fever": "present", "cough": "absent"}),
        ("no cure for sarcoidosis", {"cure": "absent", "sarcoidosi": "present"}),
        ("gram negative sepsis", {"gram": "present", "negat": "present", "sepsi": "present"}),
        ("chest pain but no chest tightness", {"pain": "present", "tight": "absent"}),
        ("What causes gout?", {"gout": "present"}),
        ("Does the patient have chest pain?", {}),
        ("Any fever?", {}),
        ("no", {}),
        ("denies", {}),
        ("ruled out", {}),
        ("patient history", {}),
        ("", {}),
        ("fever\n\n\u200b\n\nrash", {"fever": "present", "rash": "present"}),
    ],
)
def test_a_query_says_for_each_of_its_concepts_whether_it_should_be_there(query, expected):
    assert asked_polarity(query, TOKENIZER) == expected


def test_a_tokenizer_with_other_settings_gets_its_own_terms():
    plain = ClinicalTokenizer(stem=False)
    assert asked_polarity("patients with murmurs", plain) == {"murmurs": "present"}
    assert marked_terms("No murmurs.", plain) == (["no", "murmurs"], bytearray([0, 1]))


def test_marks_become_metadata_that_filters():
    with Collection.open() as notes:
        notes.add([Document("Denies Chest pain, no fever. Mother had gout.", id="a"), Document("Fever.", id="b")])
        assert notes.annotate(AssertionAnnotator(), key="said") == 2
        assert [d.id for d in notes.get(filter={"said.negated": "fever"})] == ["a"]
        (first,) = notes.get(["a"])
        assert first.metadata["said"] == {"negated": ["chest pain, no fever", "fever"], "family": ["had gout"]}
        assert first.metadata["said_spans"][1] == {"label": "negated", "start": 22, "end": 27, "cue": [19, 21]}
        notes.annotate(AssertionAnnotator(["family"]), key="said")
        assert notes.get(["a"])[0].metadata["said"] == {"family": ["had gout"]}


def test_an_unknown_status_or_option_is_refused():
    with pytest.raises(InvalidInputError, match="negated, hypothetical, historical, family, got 'possible'"):
        AssertionAnnotator(["possible"])
    with pytest.raises(TypeError, match="limit"):
        AssertionAnnotator().predict(["x"], limit=3)
