"""Predictions as metadata: filterable, in one transaction, vectors untouched, scopes kept apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.errors import InvalidInputError, ReadOnlyError, ScopeRequired

TEXTS = ["Denies chest pain.", "Fever and chest pain.", "Blood pressure 120/80."]


@dataclass
class Finder:
    """A task that finds words by a pattern; ``between`` runs while it predicts."""

    between: object = None

    def predict(self, texts, *, pattern=r"chest pain|[Ff]ever"):
        if self.between is not None:
            self.between()
        return [re.findall(pattern, text) for text in texts]

    def as_metadata(self, result, key):
        return {key: {"Problem": result} if result else {}, f"{key}_count": len(result)}


def filled(path=None, **options):
    vectors = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    notes = Collection.open(path, **options)
    notes.add(
        [Document(t, {"n": i}, id=f"n{i}", vector=v) for i, (t, v) in enumerate(zip(TEXTS, vectors, strict=True))]
    )
    return notes, vectors


def test_annotated_metadata_can_be_filtered_and_all_else_is_as_before(tmp_path):
    notes, vectors = filled(tmp_path / "notes")
    assert notes.annotate(Finder(), key="findings") == 3
    assert [d.id for d in notes.get(filter={"findings.Problem": "chest pain"})] == ["n0", "n1"]
    assert notes.count({"findings.Problem": {"$exists": True}}) == 2
    found = notes.get(filter={}, include_vectors=True)
    assert [(d.id, d.text, d.metadata["n"]) for d in found] == [(f"n{i}", t, i) for i, t in enumerate(TEXTS)]
    assert np.array([d.vector for d in found]).tobytes() == vectors.tobytes()
    notes.close()
    with Collection.open(tmp_path / "notes", read_only=True) as again:
        assert again.facets("findings.Problem") == [("chest pain", 2), ("Fever", 1)]


def test_any_function_of_a_text_annotates():
    notes, _ = filled()

    def says(text, *, word="pain"):
        return {"has": word in text}

    assert notes.annotate(says, key="said") == 3
    assert [d.id for d in notes.get(filter={"said.has": True})] == ["n0", "n1"]
    assert notes.annotate(says, key="said", word="Fever") == 3
    assert [d.id for d in notes.get(filter={"said.has": True})] == ["n1"]
    for wrong in (None, "x", Finder):
        with pytest.raises(InvalidInputError, match="task: expected what load_task returns or a function of a text"):
            notes.annotate(wrong, key="said")


def test_one_call_is_one_transaction(tmp_path):
    notes, _ = filled(tmp_path / "notes")
    log = next((tmp_path / "notes").glob("log-*.jsonl"))
    before = log.read_bytes()
    notes.annotate(Finder(), key="findings")
    added = log.read_bytes()[len(before) :].splitlines(keepends=True)
    assert len(added) == 4
    log.write_bytes(before + b"".join(added[:-1]))  # the closing line is missing: the whole call is
    notes.close()
    with Collection.open(tmp_path / "notes") as again:
        assert again.count({"findings_count": {"$exists": True}}) == 0
        assert len(again) == 3


def test_a_filter_chooses_and_options_reach_the_task():
    notes, _ = filled()
    assert notes.annotate(Finder(), key="bp", filter={"n": {"$gte": 1}}, pattern=r"\d+/\d+") == 2
    assert [d.metadata.get("bp") for d in notes.get(filter={})] == [None, {}, {"Problem": ["120/80"]}]


def test_a_scope_annotates_its_own_records_alone():
    notes = Collection.open(scope_keys=["patient"])
    notes.add([Document("Fever.", {"patient": p}, id="same") for p in "AB"])
    with pytest.raises(ScopeRequired):
        notes.annotate(Finder(), key="findings")
    assert notes.scoped(patient="A").annotate(Finder(), key="findings") == 1
    assert "findings" in notes.scoped(patient="A").get(["same"])[0].metadata
    assert notes.scoped(patient="B").get(["same"])[0].metadata == {"patient": "B"}


def test_what_others_deleted_or_replaced_meanwhile_is_left_as_they_left_it(tmp_path):
    notes, _ = filled(tmp_path / "notes")

    def meanwhile():
        with Collection.open(tmp_path / "notes") as other:
            other.delete(["n0"])
            other.add([Document("No complaints.", {"n": 1}, id="n1", vector=np.ones(8, np.float32))])

    assert notes.annotate(Finder(meanwhile), key="findings") == 1
    assert [d.id for d in notes.get(filter={"findings_count": {"$exists": True}})] == ["n2"]
    assert "n0" not in notes
    assert notes.get(["n1"])[0].metadata == {"n": 1}


def test_metadata_that_cannot_be_stored_changes_nothing():
    class Wrong(Finder):
        def as_metadata(self, result, key):
            return {key: float("nan") if len(result) > 1 else 0.5}

    notes, _ = filled()
    with pytest.raises(InvalidInputError):
        notes.annotate(Wrong(), key="score")
    assert notes.count({"score": {"$exists": True}}) == 0


def test_scope_keys_an_empty_key_and_reading_alone_are_refused(tmp_path):
    scoped = Collection.open(scope_keys=["findings_count"])
    scoped.add([Document("Fever.", {"findings_count": 1})])
    with pytest.raises(InvalidInputError, match="findings_count"):
        scoped.scoped(findings_count=1).annotate(Finder(), key="findings")
    notes, _ = filled(tmp_path / "notes")
    with pytest.raises(InvalidInputError, match="key"):
        notes.annotate(Finder(), key="")
    assert notes.annotate(Finder(), key="findings", filter={"n": 9}) == 0
    with Collection.open(tmp_path / "notes", read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.annotate(Finder(), key="findings")
