"""A measured ``min_score``: kept with the collection, by verb and mode, until the scores it was measured by change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import Collection
from bedside.errors import InvalidInputError, NotCalibratedError, ReadOnlyError, ScopeMismatch
from bedside.evaluation import choose_threshold
from engines.conftest import KEYS, Open

ASKED = {"A": "gout", "B": "asthma", "C": "fracture"}
MODES: Any = ("hybrid", "dense", "sparse")


class Letters:
    """An encoder of the letters of a text."""

    name, dimension = "letters", 26

    def __init__(self, fingerprint: str = "l1") -> None:
        self.fingerprint = fingerprint

    def encode_documents(self, texts):
        return np.array([[1 + text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)

    encode_queries = encode_documents


def filled(notes: Collection) -> Collection:
    for id, word in ASKED.items():
        part = notes.scoped(patient=id) if notes.scope_keys else notes
        part.add_note(f"Seen for {word}.", id=f"visit-{id}", metadata={"patient": id})
    return notes


def all_calibrated(notes: Collection) -> dict[tuple[str, str], float]:
    """Note another score for each verb and mode."""
    keys = [(verb, mode) for verb in ("search", "search_notes") for mode in MODES]
    scores = {key: number / 8 for number, key in enumerate(keys)}
    for (verb, mode), score in scores.items():
        notes.set_min_score(score, mode=mode, notes=verb == "search_notes")
    return scores


def kept(notes: Collection) -> dict[tuple[str, str], float]:
    return {(verb, mode): score for verb, known in notes.facts.min_scores.items() for mode, score in known.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("verb", ["search", "search_notes"])
def test_a_search_that_asks_for_it_goes_by_what_was_measured(open_: Open, verb: str, mode: Any) -> None:
    notes = filled(open_(encoder=Letters(), scope_keys=["patient"]))
    questions = [({"patient": id}, word) for id, word in ASKED.items()]
    found = choose_threshold(notes, questions, mode=mode, notes=verb == "search_notes")
    assert (found.verb, found.mode) == (verb, mode)
    assert kept(notes) == {(verb, mode): found.min_score}
    for id in ASKED:
        for word in ASKED.values():
            ask = getattr(notes.scoped(patient=id), verb)
            by_number = [(hit.id, hit.score) for hit in ask(word, mode=mode, min_score=found.min_score)]
            assert [(hit.id, hit.score) for hit in ask(word, mode=mode, min_score="calibrated")] == by_number


def test_where_it_was_not_measured_a_search_that_asks_for_it_is_an_error_that_says_how(open_: Open) -> None:
    notes = filled(open_(encoder=Letters(), scope_keys=["patient"])).scoped(patient="A")
    for ask in (notes.search, notes.search_notes):
        with pytest.raises(NotCalibratedError, match=r"search.* in mode 'hybrid'; call .*\.choose_threshold with"):
            ask("gout", min_score="calibrated")


def test_a_threshold_of_one_verb_and_mode_is_not_that_of_another(open_: Open) -> None:
    whole = filled(open_(encoder=Letters(), scope_keys=["patient"]))
    notes = whole.scoped(patient="A")
    whole.set_min_score(0.1, mode="dense")
    assert notes.search("gout", mode="dense", min_score="calibrated")
    assert notes.search("gout", alpha=1, min_score="calibrated")  # which is a dense search
    for ask in (notes.search_notes, notes.search):
        with pytest.raises(NotCalibratedError):
            ask("gout", mode="sparse", min_score="calibrated")
    with pytest.raises(NotCalibratedError):
        notes.search_notes("gout", mode="dense", min_score="calibrated")


@pytest.mark.parametrize(
    ("option", "mode"),
    [({"alpha": 0.2}, "hybrid"), ({"fusion": "rrf"}, "hybrid"), ({"rerank": "proximity"}, "dense"),
     ({"recency": "30d:0.2"}, "dense"), ({"assertion": "any"}, "sparse")],
)  # fmt: skip
def test_an_option_that_makes_other_scores_than_were_measured_is_refused_with_it(
    open_: Open, option: dict[str, Any], mode: Any
) -> None:
    notes = filled(open_(encoder=Letters()))
    all_calibrated(notes)
    for ask in (notes.search, notes.search_notes):
        with pytest.raises(InvalidInputError, match=f"'calibrated' was measured without {next(iter(option))}"):
            ask("gout", mode=mode, min_score="calibrated", **option)
    assert notes.search("gout", alpha=0.6, mode="hybrid", min_score="calibrated")  # the collection's own


def test_another_weight_forgets_those_of_hybrid_searches_and_other_vectors_those_of_dense_ones_too(open_: Open) -> None:
    notes = filled(open_(encoder=Letters()))
    scores = all_calibrated(notes)
    assert kept(notes) == scores
    notes.set_alpha(0.3)
    assert kept(notes) == {(verb, mode): score for (verb, mode), score in scores.items() if mode != "hybrid"}
    all_calibrated(notes)
    notes.reembed(Letters("l2"))
    assert kept(notes) == {(verb, mode): score for (verb, mode), score in scores.items() if mode == "sparse"}


def test_it_is_kept_when_the_collection_is_opened_again_and_copied(
    reopened: Callable[..., Collection], engine: str, tmp_path: Path
) -> None:
    with reopened(encoder=Letters()) as notes:
        scores = all_calibrated(filled(notes))
    with reopened(encoder=Letters()) as notes:
        assert kept(notes) == scores
        notes.copy_to(tmp_path / "copy")
        notes.set_min_score(None, mode="dense")
        assert set(scores) - set(kept(notes)) == {("search", "dense")}
    with Collection.open(tmp_path / "copy", encoder=Letters(), key=KEYS.get(engine), read_only=True) as copy:
        assert kept(copy) == scores
        with pytest.raises(ReadOnlyError):
            copy.set_min_score(0.5, mode="dense")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "0.3", True, "calibrated"])
def test_a_score_that_is_none_is_refused_and_changes_nothing(open_: Open, wrong: Any) -> None:
    notes = open_()
    with pytest.raises(InvalidInputError, match="min_score: expected a"):
        notes.set_min_score(wrong, mode="dense")
    with pytest.raises(InvalidInputError, match="mode: expected one of"):
        notes.set_min_score(0.3, mode="fuzzy")  # type: ignore[arg-type]
    assert kept(notes) == {}


def test_one_scope_cannot_change_what_holds_for_all(open_: Open) -> None:
    notes = open_(scope_keys=["patient"])
    with pytest.raises(ScopeMismatch, match="set_min_score"):
        notes.scoped(patient="A").set_min_score(0.2, mode="dense")
