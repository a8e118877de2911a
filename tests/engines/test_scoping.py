"""Scopes: a view says and scores, to the last bit, what a collection that holds its scope alone would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import FilterError, InvalidInputError, ScopeMismatch, ScopeRequired, UnknownScope
from engines.conftest import Open
from engines.reference import everything

PATIENTS: list[str | int] = ["A", "AB", 1, "1"]
QUERY = "chest pain denies fever"
puts = st.tuples(
    st.sampled_from(PATIENTS),
    st.sampled_from(["1", "2", "3", "x"]),
    st.lists(st.sampled_from(["chest", "pain", "fever", "denies", "120/80"]), min_size=1, max_size=6).map(" ".join),
    st.tuples(st.integers(-3, 3), st.integers(-3, 3)).filter(any),
)
deletes = st.tuples(st.sampled_from(PATIENTS), st.sampled_from(["1", "2", "3", "x"]))


def says(view: Collection) -> list[Any]:
    ways: list[dict[str, Any]] = [
        {"mode": "dense"}, {"mode": "sparse"}, {"mode": "hybrid"}, {"fusion": "rrf"}, {"diversity": 0.5},
        {"group_by": "n"}, {"filter": {"n": {"$gt": 1}}}, {"filter": {"patient": {"$ne": "A"}}}, {"ids": ["1", "x"]},
    ]  # fmt: skip
    hits = [view.search(QUERY, vector=[2, 1], top_k=50, explain=True, **way) for way in ways]
    values = [
        [(h.document, h.score, h.dense, h.sparse, h.explanation.terms, h.explanation.formula) for h in found]
        for found in hits
    ]
    return [everything(view), values, view.facets("n"), view.facets("patient"), view.count(), view.count({"n": 2})]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(calls=st.lists(st.lists(puts, min_size=1, max_size=4) | deletes, max_size=12))
def test_a_view_is_as_a_collection_that_holds_its_scope_alone(open_: Open, calls: list[Any]) -> None:
    whole = open_(scope_keys=["patient"])
    alone = {patient: open_(scope_keys=["patient"]) for patient in PATIENTS}
    for call in calls:
        if isinstance(call, tuple):
            patient, id = call
            removed = whole.scoped(patient=patient).delete([id])
            assert removed == alone[patient].scoped(patient=patient).delete([id])
            continue
        named = {(p, id): Document(t, {"patient": p, "n": len(t) % 4}, id, vector) for p, id, t, vector in call}
        whole.add(named.values())
        for (patient, _), document in named.items():
            alone[patient].add([document])
    for patient, other in alone.items():
        assert says(whole.scoped(patient=patient)) == says(other.scoped(patient=patient))
    assert whole.scopes() == [each for p in (1, "1", "A", "AB") for each in alone[p].scopes()]
    assert len(whole) == sum(map(len, alone.values()))


@pytest.fixture
def notes(open_: Open) -> Collection:
    collection = open_(scope_keys=["ward", "patient"])
    collection.add(
        Document(f"Pain {i}.", {"ward": "W", "patient": patient, "n": i}, f"d{i}", [1, i])
        for patient in ("A", "B", 7)
        for i in range(3)
    )
    return collection


WITHOUT_SCOPE: list[Callable[[Collection], Any]] = [
    lambda c: c.search("pain", vector=[1, 0]), lambda c: c.get(["d1"]), lambda c: c.get(filter={}), list,
    lambda c: c.count(), lambda c: c.facets("n"), lambda c: "d1" in c, lambda c: c.delete(["d1"]),
    lambda c: c.delete(filter={}), lambda c: c.erase(filter={}), lambda c: c.update(["d1"], lambda d: d),
    lambda c: c.replace([], filter={}), lambda c: c.add([Document("t", {"ward": "W"}, "x", [1, 2])]),
]  # fmt: skip


@pytest.mark.parametrize("call", WITHOUT_SCOPE)
def test_no_verb_but_those_of_the_whole_answers_without_a_scope(notes: Collection, call: Any) -> None:
    before = [everything(notes.scoped(ward="W", patient=p)) for p in ("A", "B", 7)]
    with pytest.raises(ScopeRequired):
        call(notes)
    assert [everything(notes.scoped(ward="W", patient=p)) for p in ("A", "B", 7)] == before


WRITES: list[Callable[[Collection], Any]] = [
    lambda v: v.add([Document("New.", {}, "d1", [9, 9])]), lambda v: v.delete(["d0", "d1"]), lambda v: v.erase(["d0"]),
    lambda v: v.delete(filter={"patient": {"$exists": True}}), lambda v: v.erase(filter={}),
    lambda v: v.replace([Document("New.", {}, "d2", [9, 9])], filter={}),
    lambda v: v.update(["d0", "d1"], lambda d: Document("New.", d.metadata, d.id, d.vector)),
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_what_is_written_through_a_view_leaves_the_same_ids_of_other_scopes_as_they_are(notes: Collection, write: Any):
    others = [everything(notes.scoped(ward="W", patient=p)) for p in ("B", 7)]
    mine = everything(notes.scoped(ward="W", patient="A"))
    write(notes.scoped(ward="W", patient="A"))
    assert everything(notes.scoped(ward="W", patient="A")) != mine
    assert [everything(notes.scoped(ward="W", patient=p)) for p in ("B", 7)] == others


def test_a_view_fills_in_its_scope_and_refuses_a_record_of_another(notes: Collection) -> None:
    view = notes.scoped(ward="W", patient=7)
    view.add([Document("Fever.", {}, "x", [1, 1])])
    assert view.get(["x"])[0].metadata == {"ward": "W", "patient": 7}
    with pytest.raises(ScopeMismatch):
        view.add([Document("t", {}, "y", [1, 1]), Document("t", {"patient": "7"}, "z", [1, 1])])
    assert view.get(["y", "z"]) == []
    assert notes.scoped(ward="W", patient="7").count() == 0


def test_the_whole_lists_its_scopes_and_a_view_does_not(notes: Collection) -> None:
    assert notes.scopes() == [({"ward": "W", "patient": p}, 3) for p in (7, "A", "B")]
    notes.scoped(ward="W", patient="A").delete(filter={})
    assert notes.scopes() == [({"ward": "W", "patient": p}, 3) for p in (7, "B")]
    assert len(notes) == 6
    with pytest.raises(ScopeMismatch):
        notes.scoped(ward="W", patient=7).scopes()


def test_a_scope_that_must_exist_holds_a_document(notes: Collection) -> None:
    assert notes.scoped(ward="W", patient=7, must_exist=True).count() == 3
    for unknown in ({"ward": "W", "patient": "7"}, {"ward": "w", "patient": 7}):
        with pytest.raises(UnknownScope, match=r"^scope: no document has this ward and patient$"):
            notes.scoped(**unknown, must_exist=True)
        assert notes.scoped(**unknown).search("pain", mode="sparse") == []
    notes.scoped(ward="W", patient=7).delete(filter={})
    with pytest.raises(LookupError):
        notes.scoped(ward="W", patient=7, must_exist=True)
    with pytest.raises(InvalidInputError, match="must_exist"):
        notes.scoped(ward="W", patient=7, must_exist="yes")


def test_counts_and_facets_over_all_scopes_are_sums_and_are_never_the_default(open_: Open) -> None:
    notes = open_(scope_keys=["patient"])
    values: list[Any] = ["x", 1, True, 1.0, ["x", "y"], None, "y", 1]
    for n, value in enumerate(values):
        notes.scoped(patient="AB"[n % 2]).add([Document(f"t {n}", {"v": value, "n": n}, str(n), [1, n])])
    assert notes.count(all_scopes=True) == 8
    assert notes.count({"n": {"$gte": 3}}, all_scopes=True) == 5
    assert [(str(v), n) for v, n in notes.facets("v", all_scopes=True)] == [
        *(("1", 3), ("x", 2), ("y", 2), ("None", 1), ("True", 1)),
    ]
    assert notes.facets("v", filter={"n": 0}, all_scopes=True) == [("x", 1)]
    undivided = open_()
    undivided.add([Document("t", {"v": 1}, "1", [1, 1])])
    assert (undivided.count(all_scopes=True), undivided.facets("v", all_scopes=True)) == (1, [(1, 1)])
    for call in (lambda c, **all_: c.count(**all_), lambda c, **all_: c.facets("v", **all_)):
        with pytest.raises(ScopeRequired):
            call(notes)
        with pytest.raises(ScopeMismatch):
            call(notes.scoped(patient="A"), all_scopes=True)


def test_a_cohort_is_the_scopes_whose_documents_hold_every_word_and_do_not_deny_it(open_: Open) -> None:
    notes = open_(scope_keys=["patient"])
    texts: dict[str | int, list[str]] = {
        "A": ["Chest pain at rest.", "No fever.", "Pain of the chest, and fever."],
        7: ["Denies chest pain.", "Fever."],
        "B": ["Pain of the knee.", "The chest is clear."],
        "C": ["Chest pain."],
    }
    for patient, own in texts.items():
        documents = [Document(text, {"n": n, "sure": patient != "C"}, str(n), [1, n]) for n, text in enumerate(own)]
        notes.scoped(patient=patient).add(documents)
    assert notes.cohort("chest pain") == [({"patient": "A"}, 2), ({"patient": "C"}, 1)]
    assert notes.cohort("no chest pain") == [({"patient": 7}, 1)]
    assert notes.cohort("fever") == [({"patient": 7}, 1), ({"patient": "A"}, 1)]
    assert notes.cohort("chest pain", filter={"sure": True, "n": 0}) == [({"patient": "A"}, 1)]
    assert notes.cohort(filter={"n": {"$gte": 1}}) == [({"patient": p}, n) for p, n in (("A", 2), (7, 1), ("B", 1))]
    assert notes.cohort("gout") == []
    for wrong, error in [
        ({}, InvalidInputError), ({"query": " "}, InvalidInputError), ({"filter": {"n": {"$no": 1}}}, FilterError),
    ]:  # fmt: skip
        with pytest.raises(error):
            notes.cohort(**wrong)
    with pytest.raises(ScopeMismatch):
        notes.scoped(patient="A").cohort("fever")
    with pytest.raises(InvalidInputError, match="no scope keys"):
        open_().cohort("fever")


def test_groups_of_a_scope_are_found_among_its_own_records(open_: Open, rng: np.random.Generator) -> None:
    notes = open_(scope_keys=["patient"])
    for patient in ("A", "B"):
        notes.add(Document("pain", {"patient": patient, "note": i % 5}, str(i), rng.normal(size=3)) for i in range(50))
    for fusion in ("weighted", "rrf"):
        hits = notes.scoped(patient="B").search("pain", vector=[1, 0, 0], group_by="note", fusion=fusion, top_k=9)
        assert sorted(hit.metadata["note"] for hit in hits) == [0, 1, 2, 3, 4]
        assert {hit.metadata["patient"] for hit in hits} == {"B"}


@pytest.mark.parametrize(
    "name", ["O'Hara", "back\\slash'", "50 %s %(x)s {}", "'; drop table doc; --", "Zoë €", '"quoted"']
)
def test_a_scope_is_found_by_its_name_whatever_signs_that_holds(open_: Open, name: str) -> None:
    ward = open_(scope_keys=["patient"])
    for patient in (name, "another"):
        ward.scoped(patient=patient).add([Document("chest pain", {"kind": patient}, "a")])
    mine = ward.scoped(patient=name)
    assert mine.count() == 1
    assert mine.facets("kind") == [(name, 1)]
    assert [hit.document.metadata["patient"] for hit in mine.search("pain")] == [name]
