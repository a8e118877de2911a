"""The weight of the dense half: a search names it, else it is the collection's, which may have it from its encoder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.errors import InvalidInputError, ScopeMismatch
from engines.conftest import Open

DOCUMENTS = [
    Document("Chest pain on exertion.", {"source": "a"}, "near", [1.0, 0.1]),
    Document("Chest pain, chest pain, pain.", {"source": "b"}, "words", [0.1, 1.0]),
    Document("Knee swollen.", {"source": "c"}, "other", [0.7, 0.7]),
]
ASKED = {"vector": [1.0, 0.0]}


class Weighed:
    """An encoder that knows its weight."""

    name, dimension = "weighed", 2

    def __init__(self, alpha: float | None, fingerprint: str = "w1") -> None:
        self.alpha, self.fingerprint = alpha, fingerprint

    def encode_documents(self, texts):
        return np.array([[1.0, len(text) % 7] for text in texts], np.float32)

    encode_queries = encode_documents


def scores(collection: Collection, **options) -> list[tuple[str, float]]:
    return [(hit.id, hit.score) for hit in collection.search("chest pain", **ASKED, **options)]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9, 1.0])
def test_a_search_that_names_no_weight_ranks_by_the_collections(open_: Open, alpha: float) -> None:
    plain, own = open_(), open_(alpha=alpha)
    for collection in (plain, own):
        collection.add(DOCUMENTS)
    assert (plain.facts.weight, own.facts.weight) == (0.6, alpha)
    assert scores(own) == scores(plain, alpha=alpha) == scores(own, alpha=alpha)
    assert scores(own, alpha=0.6) == scores(plain)
    assert scores(own, fusion="rrf") == scores(plain, fusion="rrf")  # ranks are fused evenly unless asked otherwise
    for hit in own.search("chest pain", **ASKED, explain=True):
        why = hit.explanation
        assert sum((why.dense, why.sparse, *why.signals.values())) == pytest.approx(hit.score, abs=1e-9)


def test_a_weight_is_kept_and_may_be_changed(reopened: Callable[..., Collection]) -> None:
    with reopened(alpha=0.3) as notes:
        notes.add(DOCUMENTS)
        notes.set_alpha(0.45)
        assert notes.facts.weight == 0.45
    with reopened() as notes:
        assert notes.facts.alpha == 0.45
        notes.set_alpha(None)
    with reopened(alpha=0.6) as notes:
        assert notes.facts.alpha is None
    with pytest.raises(InvalidInputError, match=r"alpha: the weight of this collection is 0\.6, got 0\.3"):
        reopened(alpha=0.3)


def test_others_who_have_it_open_go_by_a_changed_weight(reopened: Callable[..., Collection]) -> None:
    with reopened() as notes, reopened() as other:
        notes.add(DOCUMENTS)
        scores(other)
        notes.set_alpha(0.2)
        scores(other)
        assert scores(other) == scores(notes) == scores(notes, alpha=0.2)


def test_an_encoder_brings_its_weight_along_and_the_next_one_its_own(open_: Open) -> None:
    notes = open_(encoder=Weighed(0.3))
    assert notes.facts.weight == 0.3
    notes.add([Document("Chest pain.", id="1")])
    notes.reembed(Weighed(None, "w2"))
    assert notes.facts.weight == 0.6
    notes.reembed(Weighed(0.2, "w3"))
    assert notes.facts.weight == 0.2
    assert open_(encoder=Weighed(0.3), alpha=0.8).facts.weight == 0.8


def test_the_encoder_that_decides_a_collection_opened_without_one_brings_its_weight(reopened) -> None:
    with reopened() as notes:
        assert notes.facts.weight == 0.6
    with reopened(encoder=Weighed(0.3)) as notes:
        notes.add(["Chest pain."])
        assert notes.facts.weight == 0.3


def test_whole_notes_go_by_it_too(open_: Open) -> None:
    encoder = Weighed(None)
    plain, own, words = open_(encoder=encoder), open_(encoder=encoder, alpha=0.2), open_(encoder=encoder, alpha=0)
    for collection in (plain, own, words):
        collection.add_notes([Document(d.text, id=d.id) for d in DOCUMENTS])

    def found(collection: Collection, **options) -> list:
        hits = collection.search_notes("chest pain", **options)
        return [(hit.id, hit.score, [(p.id, p.score) for p in hit.passages]) for hit in hits]

    assert found(own) == found(plain, alpha=0.2)
    assert found(words) == found(plain, mode="sparse") == found(plain, alpha=0)
    assert found(words, alpha=0.6) == found(plain)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), "0.3", True])
def test_a_weight_that_is_none_is_refused_and_changes_nothing(open_: Open, alpha) -> None:
    notes = open_()
    with pytest.raises(InvalidInputError, match="alpha"):
        notes.set_alpha(alpha)
    with pytest.raises(InvalidInputError, match="alpha"):
        open_(alpha=alpha)
    with pytest.raises(InvalidInputError, match=r"encoder\.alpha"):
        open_(encoder=Weighed(alpha))
    assert notes.facts.alpha is None


def test_one_scope_cannot_change_the_weight_of_all(open_: Open) -> None:
    notes = open_(scope_keys=["source"])
    with pytest.raises(ScopeMismatch, match="set_alpha"):
        notes.scoped(source="a").set_alpha(0.2)
