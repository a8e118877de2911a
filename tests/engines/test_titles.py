"""Titles: a document's title counts in BM25 and in its vector, and what the text denies stays denied."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document, SparseSettings, load_encoder
from bedside.errors import InvalidInputError
from bedside.text.tokenizer import ClinicalTokenizer
from engines.conftest import Open

WORDS = ["chest", "pain", "fever", "cough", "metoprolol"]
TOKENIZE = ClinicalTokenizer().tokenize


def naive(documents: list[Document], query: str, key: str = "title") -> dict[str, float]:
    """BM25 by its definition, the title's terms counted three times and its length once."""
    counts, lengths = [], []
    for document in documents:
        title = document.metadata.get(key)
        named = TOKENIZE(title) if isinstance(title, str) else []
        counts.append(Counter(TOKENIZE(document.text)) + Counter(3 * named))
        lengths.append(len(TOKENIZE(document.text)) + len(named))
    n, average = len(documents), sum(lengths) / max(1, len(lengths))
    found: dict[str, float] = {}
    for document, held, length in zip(documents, counts, lengths, strict=True):
        for term, times in Counter(TOKENIZE(query)).items():
            df = sum(term in each for each in counts)
            if held[term]:
                idf = math.log1p((n - df + 0.5) / (df + 0.5))
                part = times * idf * held[term] / (held[term] + 1.2 * (0.25 + 0.75 * length / average))
                found[document.id] = found.get(document.id, 0.0) + part
    return found


documents_ = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join),
        st.sampled_from([None, "chest pain", "fever fever", " ", "", 7, ["cough"], "no fever"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=documents_, query=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join))
def test_a_titles_terms_count_three_times_and_its_length_once(open_: Open, rows, query: str) -> None:
    notes = open_()
    made = [Document(text, {} if title is None else {"title": title}, f"d{i}") for i, (text, title) in enumerate(rows)]
    notes.add(made)
    expected = naive(made, query)
    found = {hit.id: hit.score for hit in notes.search(query, assertion="any", top_k=50, explain=True)}
    assert found == pytest.approx(expected, abs=1e-9)
    notes.verify()


def test_a_replaced_and_an_updated_title_counts_as_it_is_now(open_: Open) -> None:
    notes = open_()
    made = [Document("Rest.", {"title": "Chest pain"}, "a"), Document("Rest and fluids.", {}, "b")]
    notes.add(made)
    notes.update(["b"], lambda document: Document(document.text, {"title": "Fever"}, document.id))
    notes.add([Document("Rest.", {"title": "Cough"}, "a")])
    now = [Document("Rest.", {"title": "Cough"}, "a"), Document("Rest and fluids.", {"title": "Fever"}, "b")]
    for query in ("chest pain", "fever", "cough", "rest"):
        assert {hit.id: hit.score for hit in notes.search(query)} == pytest.approx(naive(now, query), abs=1e-9)
    notes.verify()


def test_another_key_or_none_is_decided_when_a_collection_is_made(reopened: Callable[..., Collection]) -> None:
    made = [Document("Rest.", {"title": "Fever", "focus": "Cough"}, "a")]
    with reopened(sparse=SparseSettings(title="focus")) as notes:
        notes.add(made)
        assert [len(notes.search(query)) for query in ("fever", "cough")] == [0, 1]
        assert notes.facts.title == "focus"
    with reopened() as notes:
        assert [len(notes.search(query)) for query in ("fever", "cough")] == [0, 1]
    for other in (SparseSettings(), SparseSettings(title=None)):
        with pytest.raises(InvalidInputError, match="sparse"):
            reopened(sparse=other)


def test_titles_may_be_left_to_filters(open_: Open) -> None:
    notes = open_(sparse=SparseSettings(title=None), encoder=load_encoder("bedside/static"))
    notes.add([Document("Rest.", {"title": "Fever"}, "a"), Document("Rest.", {}, "b")])
    assert notes.search("fever", mode="sparse") == []
    with_title, without = notes.get(["a", "b"], include_vectors=True)
    assert (with_title.vector == without.vector).all()
    assert notes.count({"title": "Fever"}) == 1
    for wrong in ("", 3):
        with pytest.raises(InvalidInputError, match="title"):
            open_(sparse=SparseSettings(title=wrong))


def test_a_collection_of_the_first_release_reads_no_titles_and_opens_with_its_settings() -> None:
    folder = Path(__file__).parents[1] / "store" / "format-1"
    for settings_ in (None, SparseSettings(), SparseSettings(title=None)):
        with Collection.open(folder, read_only=True, sparse=settings_) as notes:
            assert notes.facts.title is None
    with pytest.raises(InvalidInputError, match="sparse"):
        Collection.open(folder, read_only=True, sparse=SparseSettings(title="focus"))


def test_a_title_neither_hides_a_denial_nor_makes_one(open_: Open) -> None:
    notes = open_()
    notes.add(
        [
            Document("Denies chest pain.", {"title": "Chest pain"}, "denied"),
            Document("Chest pain on exertion.", {"title": "No chest pain"}, "affirmed"),
            Document("Rest and fluids at home.", {"title": "Chest pain"}, "about"),
        ]
    )
    found = {hit.id: hit.explanation for hit in notes.search("chest pain", assertion="any", explain=True)}
    assert set(found) == {"denied", "affirmed", "about"}
    assert {hit.id for hit in notes.search("chest pain", assertion="only")} == {"affirmed", "about"}
    assert {hit.id for hit in notes.search("no chest pain", assertion="only")} == {"denied"}


@pytest.mark.parametrize("share", [None, 0.5])
def test_a_vector_is_made_of_text_and_title_encoded_apart(open_: Open, share: float | None) -> None:
    class Shared:
        name, fingerprint = "shared", f"shared {share}"
        title_share = share
        dimension = 256

        def encode_documents(self, texts):
            return 3 * load_encoder("bedside/static").encode_documents(texts)

        encode_queries = encode_documents

    notes = open_(encoder=Shared())
    made = [Document("Rest and fluids.", {"title": title}, f"d{i}") for i, title in enumerate(["Influenza", "", "Flu"])]
    notes.add(made)
    text, first, second = load_encoder("bedside/static").encode_documents(["Rest and fluids.", "Influenza", "Flu"])
    part = 0.3 if share is None else share
    expected = [(1 - part) * text + part * first, 3 * text, (1 - part) * text + part * second]
    found = [document.vector for document in notes.get(["d0", "d1", "d2"], include_vectors=True)]
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one == pytest.approx(other if i == 1 else other / np.linalg.norm(other), abs=1e-6)
    alone = open_(encoder=Shared())
    alone.add(made[2:])
    assert (alone.get(["d2"], include_vectors=True)[0].vector == found[2]).all()  # whatever was encoded beside it
    other = open_(encoder=load_encoder("bedside/static"))
    other.add(made)
    other.reembed(Shared())
    again = [document.vector for document in other.get(["d0", "d1", "d2"], include_vectors=True)]
    assert [vector.tobytes() for vector in again] == [vector.tobytes() for vector in found]


class Remembers:
    """An encoder that keeps something of texts, until it is told to forget them."""

    name, dimension, fingerprint = "remembers", 256, "remembers 1"

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def encode_documents(self, texts):
        return load_encoder("bedside/static").encode_documents(texts)

    encode_queries = encode_documents

    def forget(self, texts) -> None:
        self.forgotten += texts


def test_an_erasure_has_the_encoder_forget_the_title_too(open_: Open) -> None:
    encoder = Remembers()
    notes = open_(encoder=encoder)
    notes.add([Document("Rest and fluids.", {"title": "Case of Mr. Rasmussen"}, "a"), Document("Rest.", {}, "b")])
    notes.erase(["a"])
    assert sorted(encoder.forgotten) == ["Case of Mr. Rasmussen", "Rest and fluids."]
