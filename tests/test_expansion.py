"""Expansion offers with source and weight, applies nothing that is ambiguous, and a search shows what it used."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import InvalidInputError, ScopeRequired
from bedside.expansion import Expansion, expand, search_expanded
from bedside.text.fold import fold
from bedside.text.senses import read_sense
from bedside.text.synonyms import Lexicon
from bedside.words import WordVectors

NOTES = {
    "mi": "Admitted with myocardial infarction.",
    "own": "Admitted with heart attack.",
    "ra": "Rheumatoid arthritis, on methotrexate.",
    "atrium": "Right atrium dilated.",
    "sprain": "Ankle sprain.",
}


@pytest.fixture
def notes():
    with Collection.open() as collection:
        collection.add([Document(text, id=id) for id, text in NOTES.items()])
        yield collection


def offered(expansion: Expansion) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for offer in expansion.offers:
        found.setdefault(offer.term, []).append(offer.text)
    return found


def test_abbreviations_synonyms_and_near_words_name_their_source_and_weight():
    vectors = WordVectors(["sprain", "fracture", "banana"], [[1, 0.1], [1, 0.4], [0, 1]], name="small")
    found = {o.text: o for o in expand("MI, high blood pressure and sprain", vectors=vectors).offers}
    assert (found["myocardial infarction"].kind, found["myocardial infarction"].source) == ("abbreviation", "bedside")
    assert found["hypertension"].kind == "professional"
    assert found["hypertension"].term == "high blood pressure"
    near = found["fracture"]
    assert (near.kind, near.source, near.applied) == ("neighbour", "small", False)
    assert near.weight == pytest.approx(0.7 * vectors.similarity("sprain", "fracture"))
    assert "banana" not in found
    assert all(0 < offer.weight < 1 for offer in found.values())


@pytest.mark.parametrize("short", ["RA", "CP", "PT", "MS", "PE", "LAD"])
def test_ambiguous_abbreviations_are_offered_with_candidates_and_never_applied_by_themselves(short):
    found = expand(f"{short} for years")
    assert len(found.ambiguous[short]) > 1
    assert not found.applied
    assert found.text == f"{short} for years"


def test_a_choice_applies_one_candidate_and_no_other():
    found = expand("RA and MI").choose("RA", "rheumatoid arthritis")
    assert not found.ambiguous
    assert [offer.text for offer in found.applied] == ["rheumatoid arthritis", "myocardial infarction"]
    assert found.queries == [
        ("RA and MI", 1.0), ("rheumatoid arthritis and MI", 0.7), ("RA and myocardial infarction", 0.7)
    ]  # fmt: skip
    assert not expand("RA").choose("RA", None).applied
    with pytest.raises(InvalidInputError, match="right atrium"):
        expand("RA").choose("RA", "rabbit")
    with pytest.raises(InvalidInputError, match="XY"):
        expand("RA").choose("XY", "x")


def test_several_short_forms_of_one_long_form_are_not_ambiguous():
    found = expand("type 2 diabetes mellitus")
    assert {"DM2", "T2DM"} <= {offer.text for offer in found.applied}


def test_everyday_words_and_professional_words_find_each_other():
    assert "dyspnea" in offered(expand("shortness of breath at night"))["shortness of breath"]
    assert "shortness of breath" in offered(expand("dyspnea at night"))["dyspnea"]
    assert "nephrolithiasis" in offered(expand("Kidney stones?"))["Kidney stones"]


def test_the_longest_term_is_taken():
    assert list(offered(expand("chest pain on exertion"))) == ["chest pain on exertion"]


def test_abbreviations_that_are_words_need_their_capitals():
    assert offered(expand("US of the liver")) == {"US": ["ultrasound"]}
    assert not expand("tell us all or as an aid, she doe").offers
    assert offered(expand("sob"))["sob"] == offered(expand("SOB"))["SOB"] == ["shortness of breath"]


def test_apply_chooses_the_kinds_that_are_used():
    assert not expand("MI", apply=()).applied
    assert [o.kind for o in expand("MI and heart attack", apply=["professional"]).applied] == ["professional"]
    with pytest.raises(InvalidInputError, match="abbreviation, professional, lay, neighbour"):
        expand("MI", apply=["all"])


@given(st.text(max_size=60))
def test_any_query_is_kept_whole_and_spans_point_at_their_terms(query):
    found = expand(query)
    assert found.text.startswith(query)
    assert found.queries[0] == (query, 1.0)
    for offer in found.offers:
        assert query[slice(*offer.span)] == offer.term


@pytest.mark.parametrize("query", [None, 5, ["fever"]])
def test_what_is_no_text_is_refused(query):
    with pytest.raises(InvalidInputError, match="query: expected a text"):
        expand(query)


def test_the_lexicon_that_ships_is_clean():
    lexicon = Lexicon.load()
    assert len(lexicon.entries) >= 300
    for term, entries in lexicon.entries.items():
        assert term == fold(term)
        for entry in entries:
            assert len({fold(text) for text in entry.texts}) == len(entry.texts)
            assert not any(fold(text) == term for text in entry.texts), term
            assert all(re.fullmatch(r"[^\s\t|]+( [^\s\t|]+)*", text) for text in entry.texts)


def test_a_larger_table_adds_to_what_ships_and_can_make_it_ambiguous(tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("abbreviation\tmeaning\tinfo\nMI\tmitral insufficiency\thttp\nXYZ\txylem zone\nlay\tshin\ttibia\n")
    found = expand("MI, XYZ, xyz and a shin", lexicon=table)
    assert found.ambiguous["MI"] == ("myocardial infarction", "mitral insufficiency")
    assert offered(found)["XYZ"] == ["xylem zone"]
    assert "xyz" not in offered(found)
    assert offered(found)["shin"] == ["tibia"]
    assert {o.source for o in found.offers if o.term == "MI"} == {"bedside, table.tsv"}
    table.write_text("MI\n")
    with pytest.raises(InvalidInputError, match=r"table\.tsv, line 1"):
        expand("MI", lexicon=table)


def test_a_search_finds_by_what_was_added_and_keeps_the_querys_own_words_first(notes):
    assert not notes.search("MI", mode="sparse")
    expansion = expand("heart attack")
    hits = search_expanded(notes, expansion, mode="sparse")
    assert [hit.id for hit in hits] == ["own", "mi"]
    plain = notes.search("myocardial infarction", mode="sparse")[0]
    assert hits[1].score == pytest.approx(0.7 * plain.score)
    assert search_expanded(notes, expansion, mode="sparse", top_k=1)[0].id == "own"
    assert search_expanded(notes, expansion, mode="sparse", top_k=1, offset=1) == hits[1:2]
    assert search_expanded(notes, expansion, mode="sparse", min_score=hits[0].score) == hits[:1]


def test_an_explained_hit_says_what_was_added_and_its_parts_still_sum_to_its_score(notes):
    own, added = search_expanded(notes, expand("heart attack"), mode="sparse", explain=True)
    assert "->" not in own.explanation.formula
    assert "heart attack -> myocardial infarction (professional, bedside, weight 0.70" in added.explanation.formula
    for hit in (own, added):
        assert hit.explanation.dense + hit.explanation.sparse == pytest.approx(hit.score, abs=1e-9)


def test_an_ambiguous_term_finds_only_what_was_chosen(notes):
    expansion = expand("RA")
    assert search_expanded(notes, expansion, mode="sparse") == []
    chosen = search_expanded(notes, expansion.choose("RA", "right atrium"), mode="sparse")
    assert [hit.id for hit in chosen] == ["atrium"]


def ids(notes: Collection, query: str, **options) -> set[str]:
    return {hit.id for hit in search_expanded(notes, expand(query), mode="sparse", **options)}


def test_a_long_form_offers_its_short_form_even_if_that_may_mean_something_else():
    (offer,) = expand("chest pain").offers
    assert (offer.text, offer.applied, offer.ambiguous, offer.short.meant) == ("CP", False, False, "chest pain")
    assert expand("chest pain").text == "chest pain"
    assert "only where it means chest pain" in expand("chest pain").explain()
    assert expand("chest pain").choose("chest pain", "CP").text == "chest pain CP"
    assert not expand("chest pain", apply=["lay"]).offers[0].short


def test_an_ambiguous_short_form_counts_where_the_words_beside_it_decide():
    with Collection.open() as notes:
        notes.add(
            [
                Document("Pressure-like CP radiating to the left arm.", id="heart"),
                Document("Spastic diplegia with CP, in a wheelchair.", id="palsy"),
                Document("CP since Monday.", id="unsure"),
                Document("No chest pain, no cerebral palsy.", id="both"),
            ]
        )
        # Both meanings are written out, and denied: alone they are found, as nothing else has the query's own words.
        assert ids(notes, "chest pain") == {"both", "heart"}
        assert ids(notes, "cerebral palsy") == {"both", "palsy"}
        hits = {hit.id: hit for hit in search_expanded(notes, expand("chest pain"), mode="sparse", explain=True)}
        formula = hits["heart"].explanation.formula
        assert formula.startswith(
            "chest pain -> CP (abbreviation, bedside, weight 0.70, only where it means chest pain, "
        )
        assert 'beside "pressure-like"' in formula


def test_an_ambiguous_short_form_counts_where_its_section_decides():
    with Collection.open() as notes:
        notes.add(
            [
                Document("CP since Monday.", {"section": "Chief Complaint"}, id="complaint"),
                Document("CP since Monday.", {"section": "Birth and development"}, id="birth"),
                Document("CP since Monday.", {"section": None}, id="unsure"),
                Document("Chest pain. Cerebral palsy.", id="both"),
            ]
        )
        assert ids(notes, "chest pain") == {"both", "complaint"}
        assert ids(notes, "cerebral palsy") == {"both", "birth"}


def test_an_ambiguous_short_form_counts_where_the_collection_writes_out_only_one_of_its_meanings():
    with Collection.open(scope_keys=["patient"]) as notes:
        for patient in "AB":
            notes.add(
                [Document("CP since Monday.", {"patient": patient}), Document("Chest pain.", {"patient": patient})]
            )
        notes.add([Document("Cerebral palsy.", {"patient": "B"})])
        found = {
            p: search_expanded(notes.scoped(patient=p), expand("chest pain"), mode="sparse", explain=True) for p in "AB"
        }
        assert [len(found[p]) for p in "AB"] == [2, 1]
        assert 'only "chest pain" is written out anywhere' in found["A"][1].explanation.formula
        asked = {p: search_expanded(notes.scoped(patient=p), expand("CP"), mode="sparse") for p in "AB"}
        assert [len(asked[p]) for p in "AB"] == [2, 1]


def test_an_ambiguous_short_form_that_is_also_a_word_needs_its_capitals():
    with Collection.open() as notes:
        notes.add([Document("Lost the cap; cough.", id="cap"), Document("Cough, infiltrate: CAP.", id="CAP")])
        assert ids(notes, "community-acquired pneumonia") == {"CAP"}


def test_the_words_of_a_query_decide_what_its_short_forms_mean():
    expansion = expand("RA on methotrexate")
    assert [offer.text for offer in expansion.applied] == ["rheumatoid arthritis"]
    assert not expansion.ambiguous
    assert 'applied, beside "methotrexate")' in expansion.explain()


def test_a_table_that_makes_a_short_form_ambiguous_makes_it_so_both_ways(tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("MI\tmitral insufficiency\n")
    assert expand("myocardial infarction").applied
    offers = {o.text: o for o in expand("myocardial infarction", lexicon=table).offers}
    assert offers["MI"].short.meanings == ("myocardial infarction", "mitral insufficiency")
    assert not offers["MI"].applied


def test_every_meaning_that_words_stand_for_is_in_the_lexicon():
    known = {text for entries in Lexicon.load().entries.values() for entry in entries for text in entry.texts}
    table = resources.files("bedside.text").joinpath("data/senses.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in table if not line.startswith("#")]
    assert {meaning for meaning, *_ in rows} <= {fold(text) for text in known}
    assert len({meaning for meaning, *_ in rows}) == len(rows)
    for _, words, *sections in rows:
        assert all(fold(word) == word.strip() != "" for column in (words, *sections) for word in column.split("|"))


@given(st.text(max_size=60))
def test_any_text_is_read_for_a_sense(text):
    reading = read_sense(("chest pain", "cerebral palsy"), text)
    assert reading is None or reading.meaning in ("chest pain", "cerebral palsy")


def test_expansion_stays_inside_a_scope():
    with Collection.open(scope_keys=["patient_id"]) as notes:
        notes.add([Document("Myocardial infarction.", {"patient_id": p}, id=p) for p in "AB"])
        found = search_expanded(notes.scoped(patient_id="A"), expand("MI"), mode="sparse")
        assert [hit.id for hit in found] == ["A"]
        with pytest.raises(ScopeRequired):
            search_expanded(notes, expand("MI"))


def test_what_was_offered_can_be_read():
    lines = expand("MI with RA").explain().splitlines()
    assert lines[0] == "MI -> myocardial infarction (abbreviation, bedside, weight 0.70, applied)"
    assert lines[1].endswith("ambiguous, not applied)")
    assert expand("xylophone").explain() == "nothing to add"
