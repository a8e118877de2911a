"""Duplicates: the groups that comparing every pair exactly would give, inside one scope, the same every time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.analysis.duplicates import duplicates, shingles
from bedside.errors import InvalidInputError, ScopeRequired

pytest.importorskip("datasketch", reason="datasketch is not installed")

NOTE = (
    "Seen today for follow-up of hypertension and type 2 diabetes. Denies chest pain, dyspnea and edema. Blood "
    "pressure at home runs 130/80. Continue lisinopril 10 mg and metformin 500 mg twice daily. Return in three "
    "months with labs."
)


def opened(texts: dict[str, str]) -> Collection:
    collection = Collection.open()
    collection.add([Document(text, id=id) for id, text in texts.items()])
    return collection


def edited(rng: np.random.Generator, words: list[str], changes: int) -> str:
    out = list(words)
    for i in rng.choice(len(out), changes, replace=False):
        out[i] = f"w{rng.integers(10_000)}"
    return " ".join(out)


@pytest.mark.parametrize("measure", ["jaccard", "containment"])
def test_groups_are_those_of_comparing_every_pair(rng, measure):
    texts = {}
    for family in range(12):
        words = [f"f{family}w{rng.integers(500)}" for _ in range(120)]
        for version in range(4):
            texts[f"{family}-{version}"] = edited(rng, words, version)
        texts[f"{family}-long"] = " ".join(words) + " " + " ".join(f"n{rng.integers(9_000)}" for _ in range(150))
    found = duplicates(opened(texts), measure=measure)
    sets = {id: shingles(text) for id, text in texts.items()}
    expected = set()
    for a, b in itertools.combinations(texts, 2):
        shared = len(sets[a] & sets[b])
        whole = len(sets[a] | sets[b]) if measure == "jaccard" else min(len(sets[a]), len(sets[b]))
        if shared / whole >= 0.8:
            expected.add((a, b))
    pairs = {(pair.first, pair.second) for group in found for pair in group.pairs}
    assert pairs == expected
    assert len(expected) > 12
    for group in found:
        assert set(group.ids) == {id for pair in group.pairs for id in (pair.first, pair.second)}
        for pair in group.pairs:
            shared = len(sets[pair.first] & sets[pair.second])
            assert pair.jaccard == shared / len(sets[pair.first] | sets[pair.second])
            assert pair.containment == shared / min(len(sets[pair.first]), len(sets[pair.second]))


def test_case_punctuation_and_spacing_do_not_count():
    found = duplicates(opened({"a": NOTE, "b": NOTE.upper().replace(". ", "\n\n"), "c": "Ankle sprain."}))
    assert [group.ids for group in found] == [("a", "b")]
    assert found[0].pairs[0].jaccard == 1.0


def test_a_note_copied_forward_is_found_by_containment_only():
    later = NOTE + " Now also complains of knee pain after a fall, with swelling and reduced range of motion. " * 3
    notes = opened({"monday": NOTE, "friday": later, "other": "Nothing in common with these two notes at all."})
    assert duplicates(notes) == []
    (group,) = duplicates(notes, measure="containment")
    assert group.ids == ("monday", "friday")
    assert group.pairs[0].containment > 0.95 > 0.8 > group.pairs[0].jaccard


def test_short_and_empty_texts():
    notes = Collection.open()
    notes.add([Document("No change.", id="a"), Document("no change", id="b"), Document("changed", id="c")])
    assert [group.ids for group in duplicates(notes)] == [("a", "b")]
    assert duplicates(Collection.open()) == []
    assert duplicates(Collection.open(), measure="containment") == []


def test_groups_are_chains_of_pairs_largest_first():
    chain = {f"v{i}": " ".join(f"w{j}" for j in range(i, i + 120)) for i in (0, 9, 18)}
    found = duplicates(opened({**chain, "x": "one two three four five six", "y": "One two three four five six!"}))
    assert [group.ids for group in found] == [("v0", "v9", "v18"), ("x", "y")]
    assert ("v0", "v18") not in {(p.first, p.second) for p in found[0].pairs}


def test_only_the_scope_and_the_filter_are_compared():
    with Collection.open(scope_keys=["patient_id"]) as notes:
        notes.add([Document(NOTE, {"patient_id": p, "n": n}, id=f"{p}{n}") for p in "AB" for n in range(3)])
        (group,) = duplicates(notes.scoped(patient_id="A"))
        assert group.ids == ("A0", "A1", "A2")
        (group,) = duplicates(notes.scoped(patient_id="A"), filter={"n": {"$gt": 0}})
        assert group.ids == ("A1", "A2")
        with pytest.raises(ScopeRequired):
            duplicates(notes)


def test_wrong_arguments_are_refused():
    notes = Collection.open()
    thresholds = [{"threshold": wrong} for wrong in (0, 1.1, float("nan"), "0.8", None)]
    for wrong in (*thresholds, {"shingle": 0}, {"shingle": 2.5}, {"measure": "cosine"}, {"filter": []}, {"filter": ""}):
        with pytest.raises(InvalidInputError):
            duplicates(notes, **wrong)
