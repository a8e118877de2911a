"""Exact dense search: always the rows, order and scores of brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.engines.embedded.index import blocks as module
from bedside.engines.embedded.index.dense import DenseIndex
from bedside.engines.embedded.index.sketch import Sketch
from bedside.search.pool import Signal


def brute_force(index, query, k, allowed, weight=1.0, prior=None):
    """Score every row in float64 and sort: an independent reading of the contract."""
    vectors = index.vectors(np.arange(len(index))).astype(np.float64)
    unit = np.asarray(query, np.float64)
    unit = unit / np.sqrt(unit @ unit)
    cosines = np.clip(np.array([float(np.einsum("i,i->", v, unit)) for v in vectors]), -1, 1)
    scores = weight * cosines
    if prior is not None:
        scores[prior.rows] += prior.values
    order = sorted(np.flatnonzero(allowed), key=lambda row: (-scores[row], row))[:k]
    return order, scores[order]


def corpus(kind: str, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "random":
        vectors = rng.normal(size=(n, d))
    elif kind == "decaying":
        vectors = rng.normal(size=(n, d)) * 0.8 ** np.arange(d)
    elif kind == "duplicates":
        vectors = rng.normal(size=(3, d))[rng.integers(0, 3, n)] * rng.choice([1.0, 3.0, 1e-3], (n, 1))
    elif kind == "one cluster":
        vectors = rng.normal(size=d) + 1e-6 * rng.normal(size=(n, d))
    elif kind == "tiny":
        vectors = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-38, -30, (n, 1))
    else:
        vectors = np.eye(d)[rng.integers(0, d, n)]
    return vectors.astype(np.float32)


KINDS = ["random", "decaying", "duplicates", "one cluster", "tiny", "axes"]


@settings(max_examples=120)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 300),
    d=st.sampled_from([1, 2, 24, 65]),
    k=st.integers(1, 320),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    weight=st.sampled_from([1.0, 0.6]),
    seed=st.integers(0, 2**32),
)
def test_the_answer_is_that_of_brute_force(kind, n, d, k, share, weight, seed):
    rng = np.random.default_rng(seed)
    vectors = corpus(kind, n, d, rng)
    index = DenseIndex(d)
    for start in range(0, n, 77):
        index.extend(vectors[start : start + 77])
    allowed = rng.random(n) < share
    rows = np.flatnonzero(allowed & (rng.random(n) < 0.3))
    prior = Signal(rows, rng.random(len(rows)) * 0.4) if weight != 1.0 else None
    query = vectors[rng.integers(n)] if seed % 2 else rng.normal(size=d).astype(np.float32)
    top = index.top(query, k, allowed, weight, prior)
    expected_rows, expected_scores = brute_force(index, query, k, allowed, weight, prior)
    assert top.rows.tolist() == [int(row) for row in expected_rows]
    np.testing.assert_allclose(top.scores, expected_scores, rtol=0, atol=1e-12)


def test_rows_over_several_blocks_are_found(rng, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 16 * 4 * 8)
    vectors = rng.normal(size=(100, 8)).astype(np.float32)
    index = DenseIndex(8)
    index.extend(vectors[:5])
    index.extend(vectors[5:])
    for row in (0, 4, 5, 15, 16, 99):
        assert index.top(vectors[row], 1, np.ones(100, bool)).rows.tolist() == [row]
    np.testing.assert_array_equal(
        index.vectors(np.array([99, 0, 16, 0])), np.stack([index.vectors(np.array([r]))[0] for r in (99, 0, 16, 0)])
    )


def test_equal_vectors_of_different_length_tie_and_the_earlier_wins(rng):
    vector = rng.normal(size=48).astype(np.float32)
    index = DenseIndex(48)
    index.extend(np.stack([vector * s for s in (1, 2, 4, 0.5)]))
    top = index.top(vector, 4, np.ones(4, bool))
    assert top.rows.tolist() == [0, 1, 2, 3]
    assert len(set(top.scores.tolist())) == 1
    assert top.scores[0] == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=80)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 2_000),
    p=st.integers(1, 23),
    k=st.integers(1, 30),
    weight=st.sampled_from([1.0, 0.6]),
    seed=st.integers(0, 2**32),
)
def test_pruning_with_any_axes_changes_nothing(kind, n, p, k, weight, seed):
    rng = np.random.default_rng(seed)
    vectors = corpus(kind, n, 24, rng)
    index, pruned = DenseIndex(24), DenseIndex(24)
    axes = np.linalg.qr(rng.normal(size=(24, 24)))[0][:, :p].astype(np.float32)
    pruned._sketch = Sketch(axes)
    for part in (index, pruned):
        part.extend(vectors)
    allowed = rng.random(n) < rng.choice([0.1, 0.5, 1.0])
    rows = np.flatnonzero(allowed & (rng.random(n) < 0.3))
    prior = Signal(rows, rng.random(len(rows)) * 0.4) if weight != 1.0 else None
    for query in (vectors[rng.integers(n)], rng.normal(size=24).astype(np.float32)):
        plain, found = (part.top(query, k, allowed, weight, prior) for part in (index, pruned))
        assert found.rows.tolist() == plain.rows.tolist()
        assert found.scores.tolist() == plain.scores.tolist()


def test_axes_are_learned_where_they_pay_and_only_there(rng):
    decaying = rng.normal(size=(20_000, 64)) * 0.9 ** np.arange(64)
    index = DenseIndex(64)
    for start in range(0, 20_000, 6_000):
        index.extend(decaying[start : start + 6_000].astype(np.float32))
    assert index._sketch is not None
    assert len(index._sketch) == len(index)
    plain = DenseIndex(64)
    plain.extend(decaying[:16_000].astype(np.float32))
    plain.extend(decaying[16_000:].astype(np.float32))
    plain._sketch = None
    everything = np.ones(20_000, bool)
    for query in decaying[:20] + decaying[-20:]:
        found, expected = (part.top(query.astype(np.float32), 10, everything) for part in (index, plain))
        assert found.rows.tolist() == expected.rows.tolist()
        assert found.scores.tolist() == expected.scores.tolist()
    spread = DenseIndex(64)
    spread.extend(rng.normal(size=(20_000, 64)).astype(np.float32))
    assert spread._sketch is None


def test_many_queries_find_what_each_finds_alone(rng):
    index = DenseIndex(16)
    index.extend(corpus("duplicates", 700, 16, rng))
    allowed = rng.random(700) < 0.8
    queries = rng.normal(size=(100, 16)).astype(np.float32)
    together = index.top_many(queries, 7, allowed, 1.0, [None] * 100)
    for query, found in zip(queries, together, strict=True):
        alone = index.top(query, 7, allowed)
        assert found.rows.tolist() == alone.rows.tolist()
        assert found.scores.tolist() == alone.scores.tolist()
