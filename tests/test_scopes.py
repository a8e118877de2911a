"""Scopes: through one patient's view no other patient's record is seen, counted, ranked by or changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bedside import Collection, Document
from bedside.errors import InvalidInputError, ScopeMismatch, ScopeRequired

PATIENTS = ["A", "B", "AB", "1"]
IDS = ["1", "2", "x"]
WORDS = ["chest", "pain", "denies", "120/80", "fever", "metoprolol"]

patients = st.sampled_from(PATIENTS)
ids = st.sampled_from(IDS)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
vectors = st.tuples(*[st.integers(-3, 3)] * 3).filter(any)
filters = st.sampled_from(
    [
        {},
        {"patient_id": "A"},
        {"patient_id": {"$in": PATIENTS}},
        {"$or": [{"patient_id": {"$ne": "A"}}, {"n": 1}]},
        {"$not": {"n": 0}},
        {"n": {"$nin": []}},
        {"patient_id": {"$exists": True}},
    ]
)


class Scoped(RuleBasedStateMachine):
    """Random writes and reads through four views, held against one plain dict a patient."""

    @initialize()
    def start(self):
        self.notes = Collection.open(scope_keys=["patient_id"])
        self.model: dict[str, dict[str, Document]] = {patient: {} for patient in PATIENTS}

    def view(self, patient):
        return self.notes.scoped(patient_id=patient)

    @rule(patient=patients, id=ids, text=texts, vector=vectors, n=st.integers(0, 1), through_view=st.booleans())
    def add(self, patient, id, text, vector, n, through_view):
        metadata = {"n": n} if through_view else {"n": n, "patient_id": patient}
        (self.view(patient) if through_view else self.notes).add([Document(text, metadata, id, vector)])
        self.model[patient].pop(id, None)
        self.model[patient][id] = Document(text, {"n": n, "patient_id": patient}, id)

    @rule(patient=patients, chosen=st.lists(ids, max_size=3))
    def delete_ids(self, patient, chosen):
        removed = self.view(patient).delete(chosen)
        assert removed == len({id for id in chosen if self.model[patient].pop(id, None)})

    @rule(patient=patients, filter=filters)
    def delete_filter(self, patient, filter):
        before = len(self.model[patient])
        view = self.view(patient)
        doomed = [d.id for d in view.get(filter=filter)]
        assert view.delete(filter=filter) == len(doomed)
        for id in doomed:
            del self.model[patient][id]
        assert len(view) == before - len(doomed)

    @rule()
    def compact(self):
        self.notes.compact()

    @rule(
        patient=patients, query=texts, vector=vectors, filter=filters,
        mode=st.sampled_from(["dense", "sparse", "hybrid"]), fusion=st.sampled_from(["weighted", "rrf"]),
        diversity=st.sampled_from([None, 0.0, 0.7]),
    )  # fmt: skip
    def search(self, patient, query, vector, filter, mode, fusion, diversity):
        hits = self.view(patient).search(
            query, vector=vector, filter=filter, mode=mode, fusion=fusion, diversity=diversity, top_k=50
        )
        for hit in hits:
            assert hit.document == self.model[patient][hit.id]

    @rule(patient=patients, query=texts, vector=vectors, mode=st.sampled_from(["dense", "sparse", "hybrid"]))
    def scores_are_those_of_a_collection_that_holds_this_patient_only(self, patient, query, vector, mode):
        alone = Collection.open(scope_keys=["patient_id"])
        alone.add(self.view(patient).get(filter={}, include_vectors=True))
        expected = alone.scoped(patient_id=patient).search(query, vector=vector, mode=mode, top_k=50)
        found = self.view(patient).search(query, vector=vector, mode=mode, top_k=50)
        assert [(h.id, h.score, h.dense, h.sparse) for h in found] == [
            (h.id, h.score, h.dense, h.sparse) for h in expected
        ]

    @invariant()
    def every_view_holds_its_own_records_in_order(self):
        for patient, records in self.model.items():
            view = self.view(patient)
            assert list(view) == list(records.values()) == view.get(filter={})
            assert len(view) == view.count() == len(records)
            assert view.get(IDS) == [records[id] for id in IDS if id in records]
            assert [id in view for id in IDS] == [id in records for id in IDS]
        assert len(self.notes) == sum(map(len, self.model.values()))


Scoped.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestScopes = Scoped.TestCase


@pytest.fixture
def notes() -> Collection:
    collection = Collection.open(scope_keys=["hospital", "patient_id"])
    collection.add([Document("Chest pain.", {"hospital": "H", "patient_id": 7}, "1", [1, 0])])
    return collection


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.search("pain", mode="sparse"),
        lambda c: c.search(vector=[1, 0]),
        lambda c: c.get(["1"]),
        lambda c: c.get(filter={}),
        lambda c: c.delete(["1"]),
        lambda c: c.delete(filter={}),
        lambda c: c.count(),
        lambda c: list(c),
        lambda c: "1" in c,
    ],
)
def test_a_scoped_collection_answers_nothing_without_a_scope(notes, call):
    with pytest.raises(ScopeRequired, match="hospital"):
        call(notes)
    assert len(notes) == 1


def test_a_scope_names_every_key_with_a_usable_value(notes):
    with pytest.raises(ScopeRequired, match="patient_id"):
        notes.scoped(hospital="H")
    with pytest.raises(ScopeMismatch, match="'ward' is not a scope key"):
        notes.scoped(hospital="H", patient_id=7, ward="3")
    for value in ["", None, 1.5, True, ["H"], {"$exists": True}]:
        with pytest.raises(ScopeMismatch, match="non-empty str or an int"):
            notes.scoped(hospital=value, patient_id=7)


def test_a_number_and_the_same_digits_as_text_are_two_scopes(notes):
    assert len(notes.scoped(hospital="H", patient_id=7)) == 1
    assert len(notes.scoped(hospital="H", patient_id="7")) == 0


def test_a_view_fills_in_its_scope_and_refuses_a_record_that_says_otherwise(notes):
    view = notes.scoped(hospital="H", patient_id=7)
    view.add([Document("Fever.", {}, "2", [0, 1])])
    assert view.get(["2"])[0].metadata == {"hospital": "H", "patient_id": 7}
    for other in ["7", 8, None, True]:
        with pytest.raises(ScopeMismatch):
            view.add([Document("Fever.", {"patient_id": other}, "3", [0, 1])])
    assert len(notes) == 2


def test_a_record_without_its_scope_keys_is_refused_whole(notes):
    with pytest.raises(ScopeRequired, match=r"documents\[1\].metadata \(id '6'\): lacks the scope key 'patient_id'"):
        notes.add([
            Document("a", {"hospital": "H", "patient_id": 1}, "5", [1, 0]),
            Document("b", {"hospital": "H"}, "6", [1, 0]),
        ])  # fmt: skip
    assert len(notes) == 1


def test_scope_keys_are_decided_once(tmp_path):
    Collection.open(tmp_path / "c", scope_keys=["patient_id"]).close()
    assert Collection.open(tmp_path / "c").scope_keys == ("patient_id",)
    with pytest.raises(ScopeMismatch, match="created with"):
        Collection.open(tmp_path / "c", scope_keys=["hospital"])
    with pytest.raises(InvalidInputError):
        Collection.open(scope_keys="patient_id")


@given(st.lists(st.tuples(patients, ids, texts), min_size=1, max_size=12))
@settings(max_examples=30)
def test_the_same_id_in_two_scopes_is_two_records_in_one_call(records):
    unique = {(patient, id): text for patient, id, text in records}
    notes = Collection.open(scope_keys=["patient_id"])
    notes.add([Document(text, {"patient_id": p}, id, [1, 0]) for (p, id), text in unique.items()])
    for (patient, id), text in unique.items():
        assert notes.scoped(patient_id=patient).get([id])[0].text == text
    assert len(notes) == len(unique)


def test_identical_notes_of_two_patients_score_alike_and_stay_apart(rng):
    notes = Collection.open(scope_keys=["patient_id"])
    vector = rng.normal(size=8).astype(np.float32)
    notes.add([Document("Denies fever.", {"patient_id": p}, "n", vector) for p in "AB"])
    for patient in "AB":
        (hit,) = notes.scoped(patient_id=patient).search("fever", vector=vector)
        assert hit.metadata["patient_id"] == patient


@pytest.mark.parametrize(("given", "stored"), [(np.int64(7), 7), (np.str_("A"), "A")])
def test_a_scope_that_numpy_holds_is_the_scope_that_python_holds(given, stored):
    notes = Collection.open(scope_keys=["patient_id"])
    notes.scoped(patient_id=given).add([Document("Cough.", id="1")])
    assert notes.scoped(patient_id=stored).get(["1"])[0].metadata == {"patient_id": stored}
    ((scope, count),) = notes.scopes()
    assert (scope, count, type(scope["patient_id"])) == ({"patient_id": stored}, 1, type(stored))
