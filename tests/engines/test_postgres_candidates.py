"""PostgreSQL proposes rows; those that it does not read are none of the best, as the embedded engine shows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.engines.postgres import arrays
from bedside.engines.postgres.bm25 import _numbered
from bedside.engines.postgres.sql import Clause
from bedside.engines.postgres.url import parse

WORDS = ["chest", "pain", "fever", "cough", "nausea", "rash", "anaemia", "syncope"]


@pytest.fixture
def both(postgres: Any) -> Any:
    with Collection.open(scope_keys=[]) as memory, Collection.open(postgres(), scope_keys=[]) as server:
        rng, draw = np.random.default_rng(7), random.Random(7)
        made = []
        for i in range(3_000):
            # Some words are in most texts and some in few; every tenth record is a copy of the one before.
            said = [word for at, word in enumerate(WORDS) if draw.random() < 0.8 / (at + 1)] or ["well"]
            vector = made[-1].vector if i % 10 == 9 else rng.normal(size=8).astype(np.float32)
            made.append(Document(" ".join(said * draw.randrange(1, 4)), {"n": i % 7}, f"d{i}", vector))
        for collection in (memory, server):
            collection.add(made)
        yield memory, server


@pytest.mark.parametrize("alpha", [0.0, 0.02, 0.3, 0.6, 0.95, 1.0])
def test_rows_that_only_their_words_lift_among_the_best_are_found(both: Any, alpha: float) -> None:
    memory, server = both
    draw = random.Random(3)
    for top_k in (1, 10, 120):
        for filter in (None, {"n": 3}, {"n": {"$ne": 3}}):
            query = " ".join(draw.choices(WORDS, k=3))
            vector = [draw.gauss(0, 1) for _ in range(8)]
            ask = {"vector": vector, "mode": "hybrid", "alpha": alpha, "top_k": top_k, "filter": filter}
            expected, found = (each.search(query, **ask) for each in (memory, server))
            assert [hit.id for hit in found] == [hit.id for hit in expected]
            assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-9)


@given(st.lists(st.lists(st.integers(0, 60), unique=True).map(sorted), max_size=6), st.sampled_from([1, 10**9]))
def test_rows_are_numbered_as_numpy_does(runs: list[list[int]], apart: int) -> None:
    rows = np.concatenate([np.zeros(0, np.int64), *(np.array(run, np.int64) * apart for run in runs)])
    owners, places = _numbered(rows)
    expected = np.unique(rows, return_inverse=True)
    assert owners.tolist() == expected[0].tolist()
    assert places.tolist() == expected[1].tolist()


@example([], 1)
@example([7], 10**15)
@given(st.lists(st.integers(0, 300), unique=True), st.sampled_from([1, 20, 10**15]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_server_leaves_out_the_rows_that_it_is_told_to_and_no_others(
    asked: Callable[..., list[int]], numbers: list[int], apart: int
) -> None:
    left_out = np.array(sorted(numbers), np.int64) * apart
    near = [row + by for row in left_out.tolist() for by in (-1, 0, 1)]
    rows = sorted({*near, *range(0, 301 * apart, apart), -(2**62), 2**62})
    assert asked(rows, arrays.none_of(left_out)) == sorted(set(rows) - set(left_out.tolist()))


@pytest.fixture
def asked(postgres: Any) -> Iterator[Callable[..., list[int]]]:
    """Which of some rows a condition holds of."""
    with psycopg.connect(parse(postgres()).conninfo, prepare_threshold=None) as connection:
        arrays.register(connection)

        def ask(rows: list[int], condition: Clause) -> list[int]:
            found = connection.execute(
                f"select row from unnest(%s) as x(row) where {condition.sql} order by row".encode(),  # noqa: S608 - every value is bound
                (arrays.Int8s(np.array(rows, np.int64)), *condition.values),
            )
            return [row for (row,) in found]

        yield ask
