"""Fusion and re-ranking as arithmetic."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bedside.search.pool import Signal
from bedside.search.rank import best, mmr


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, -1.0]), max_size=30), st.integers(1, 35))
def test_best_is_a_stable_sort_cut_at_k(scores, k):
    rows = np.arange(len(scores))
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]
    assert best(rows, np.array(scores, dtype=float), k).tolist() == expected


@given(st.integers(1, 2_000), st.integers(1, 80), st.sampled_from([1, 7, 300]), st.integers(0, 999))
def test_best_of_many_is_the_same_sort_whatever_pattern_the_scores_have(n, k, period, seed):
    scores = np.resize(np.random.default_rng(seed).normal(size=period).round(1), n)
    expected = sorted(range(n), key=lambda i: (-scores[i], i))[:k]
    assert best(np.arange(n), scores, k).tolist() == expected


def naive_mmr(relevance, vectors, k, diversity):
    chosen: list[int] = []
    while len(chosen) < min(k, len(relevance)):
        gains = {
            i: (1 - diversity) * relevance[i]
            - diversity * max((float(vectors[i] @ vectors[j]) for j in chosen), default=0.0)
            for i in range(len(relevance)) if i not in chosen
        }  # fmt: skip
        chosen.append(max(gains, key=lambda i: (gains[i], -i)))
    return chosen


@given(st.integers(1, 12), st.integers(1, 14), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.integers(0, 999))
def test_mmr_takes_the_highest_gain_at_each_step(n, k, diversity, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    relevance = np.sort(rng.normal(size=n))[::-1]
    assert mmr(relevance, vectors, k, diversity) == naive_mmr(relevance, vectors, k, diversity)


@given(
    st.dictionaries(st.integers(0, 30), st.floats(-2, 2), max_size=12),
    st.lists(st.integers(0, 30), unique=True, max_size=20).map(sorted),
)
def test_a_signal_gives_each_row_its_value_and_zero_to_every_other_row(values, rows):
    held = sorted(values)
    signal = Signal(np.array(held, np.int64), np.array([values[row] for row in held], np.float64))
    expected = [values.get(row, 0.0) for row in rows]
    assert signal.along(np.array(rows, np.int64)).tolist() == expected
    assert signal.at(np.array(rows, np.int64)).tolist() == expected
    assert signal.along(signal.rows).tolist() == signal.values.tolist()
