"""Approximate search: only where it is asked for, never under a filter, and named as what it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.engines.postgres import nearest
from bedside.engines.postgres.url import parse
from bedside.errors import InvalidInputError
from command_line import bedside

WORDS = ["chest", "pain", "denies", "fever", "cough", "metoprolol"]


@pytest.fixture
def filled(postgres: Callable[[], str], rng: np.random.Generator) -> str:
    url = postgres()
    with Collection.open(url, scope_keys=["p"]) as notes:
        for patient, count in (("large", 600), ("small", 50)):
            notes.scoped(p=patient).add(
                [
                    Document(" ".join(rng.choice(WORDS, 4)), {"n": i}, f"d{i}", rng.normal(size=16) * 10.0 ** (i % 9))
                    for i in range(count)
                ]
            )
    return url


def test_it_is_asked_only_in_large_scopes_without_a_filter_and_says_so(
    filled: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(nearest, "LARGE", 100)
    with Collection.open(filled) as exact, Collection.open(f"{filled}&approximate=400") as nearly:
        assert nearly.exact
        exact.index()
        assert (exact.exact, nearly.exact) == (True, False)
        found = wanted = 0
        for _ in range(20):
            vector, words = rng.normal(size=16), " ".join(rng.choice(WORDS, 2))
            for ask in (
                {"vector": vector, "mode": "dense"}, {"query": words, "vector": vector},
                {"query": words, "vector": vector, "fusion": "rrf"},
            ):  # fmt: skip
                best = exact.scoped(p="large").search(**ask, top_k=10, explain=True)
                hits = nearly.scoped(p="large").search(**ask, top_k=10, explain=True)
                assert not any("approximate" in hit.explanation.formula for hit in best)
                assert all("of the candidates of an approximate index" in hit.explanation.formula for hit in hits)
                scores = {hit.id: hit.score for hit in best}
                if "fusion" not in ask:
                    assert all(hit.score == pytest.approx(scores.get(hit.id, hit.score), abs=1e-9) for hit in hits)
                wanted, found = wanted + len(best), found + len(scores.keys() & {hit.id for hit in hits})
            for ask in ({"filter": {"n": {"$lt": 300}}}, {"ids": ["d1", "d2"]}, {"group_by": "n"}):
                best, hits = (
                    each.scoped(p="large").search(words, vector=vector, explain=True, **ask) for each in (exact, nearly)
                )
                assert hits == best
            assert nearly.scoped(p="small").search(vector=vector) == exact.scoped(p="small").search(vector=vector)
            assert nearly.scoped(p="large").search(words, mode="sparse", explain=True) == exact.scoped(
                p="large"
            ).search(words, mode="sparse", explain=True)
        assert found >= 0.9 * wanted


def test_a_scope_of_fewer_than_100_000_is_searched_exactly(filled: str, rng: np.random.Generator) -> None:
    bedside("index", filled)
    with Collection.open(f"{filled}&approximate=1") as nearly, Collection.open(filled) as exact:
        vector = rng.normal(size=16)
        assert nearly.scoped(p="large").search(vector=vector) == exact.scoped(p="large").search(vector=vector)


def test_the_index_goes_where_the_dimension_changes_and_nothing_is_refused_for_it(filled: str) -> None:
    with Collection.open(f"{filled}&approximate=400") as notes:
        notes.index()
        for patient in ("large", "small"):
            notes.scoped(p=patient).delete(filter={})
        notes.scoped(p="large").add([Document("cough", {}, "x", [1, 2, 3])])
        assert notes.exact
        assert [hit.id for hit in notes.scoped(p="large").search(vector=[1, 2, 3])] == ["x"]


@pytest.mark.parametrize("wrong", ["", "0", "1001", "-1", "many", "4.5", "400&approximate=400"])
def test_a_wrong_number_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInputError, match="from 1 to 1000"):
        parse(f"postgresql://h/d?approximate={wrong}")


def test_there_is_no_index_of_a_folder_or_of_no_vectors(postgres: Callable[[], str]) -> None:
    with Collection.open() as memory, pytest.raises(InvalidInputError, match="no such verb"):
        memory.index()
    with Collection.open(postgres()) as notes, pytest.raises(InvalidInputError, match="no vectors yet"):
        notes.index()
