"""Intervals and paired tests agree with scipy's, and choices made on one half are tested on the other."""

from __future__ import annotations

import numpy as np
import pytest

from bedside import Document, load_encoder
from bedside.errors import InvalidInputError
from bedside.evaluation import Report, compare, confidence_interval, tune_search
from bedside.evaluation.search_tuning import SearchSettings

stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")


def report(values) -> Report:
    return Report({"AP": float(np.mean(values))}, {"AP": {f"q{i}": float(v) for i, v in enumerate(values)}})


def draws(seed, shift, n=60):
    rng = np.random.default_rng(seed)
    first = rng.beta(2, 2, n)
    return first, np.clip(first + rng.normal(shift, 0.15, n), 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_of_a_mean_is_scipy_s_percentile_bootstrap(seed):
    values, _ = draws(seed, 0)
    mine = confidence_interval(values)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9_999, rng=seed).confidence_interval
    assert mine.mean == pytest.approx(values.mean())
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05])
def test_the_randomisation_test_is_scipy_s_paired_permutation_test(shift):
    first, second = draws(1, shift)
    theirs = stats.permutation_test(
        (second, first), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=9_999, rng=1,
    )  # fmt: skip
    mine = compare(report(first), report(second), "AP")
    assert mine.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert mine.difference.mean == pytest.approx(np.mean(second - first))
    assert (mine.better, mine.worse) == (int((second > first).sum()), int((second < first).sum()))


@pytest.mark.parametrize("shift", [0.0, 0.04, 0.2])
def test_both_tests_and_a_t_test_tell_the_same_story(shift):
    first, second = draws(2, shift)
    expected = stats.ttest_rel(second, first).pvalue
    for test in ("randomisation", "bootstrap"):
        assert compare(report(first), report(second), "AP", test=test).p_value == pytest.approx(expected, abs=0.03)


def test_under_no_difference_small_p_values_are_as_rare_as_they_say():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=30), rng.normal(size=30)) for _ in range(200)]
    small = [compare(report(a), report(b), "AP", samples=500).significant() for a, b in pairs]
    assert 0.01 < np.mean(small) < 0.1


def test_equal_systems_differ_by_nothing():
    same = report([0.2, 0.9, 0.4])
    result = compare(same, same, "AP")
    assert result.p_value == 1.0
    assert (result.difference.low, result.difference.high, result.better, result.worse) == (0, 0, 0, 0)
    assert not result.significant()


def test_what_cannot_be_compared_is_refused_by_name():
    one = report([0.5])
    with pytest.raises(InvalidInputError, match="different queries"):
        compare(one, report([0.5, 0.1]), "AP")
    with pytest.raises(InvalidInputError, match="nDCG@10"):
        compare(one, one)
    with pytest.raises(InvalidInputError, match="test="):
        compare(one, one, "AP", test="luck")
    for values in ([], [float("nan")], [[1.0]]):
        with pytest.raises(InvalidInputError, match="values"):
            confidence_interval(values)
    with pytest.raises(InvalidInputError, match="level"):
        confidence_interval([1.0], level=1.0)


STEMMED = [
    ("fracture", "Fractures of the wrist heal."),
    ("vomit", "Vomiting was stopped."),
    ("ache", "Aches at night."),
]


def judged_set(copies=6):
    """Queries that only a stemming search can answer."""
    documents, queries, judgments = [], {}, {}
    for n in range(copies):
        for word, text in STEMMED:
            documents.append(Document(f"{text} Bed number{n}x.", id=f"{word}{n}"))
            queries[f"{word}{n}"] = f"{word} number{n}x"
            judgments[f"{word}{n}"] = {f"{word}{n}": 1}
    return documents, queries, judgments


def test_search_settings_are_chosen_on_one_half_and_measured_on_the_other():
    documents, queries, judgments = judged_set()
    result = tune_search(documents, queries, judgments, k1s=[1.2], bs=[0.75], seed=1)
    assert result.settings == SearchSettings(alpha=0.0, stem=True)
    assert not set(result.tuned_on) & set(result.measured_on)
    assert set(result.tuned_on) | set(result.measured_on) == set(queries)
    assert result.comparison.queries == len(result.measured_on)
    values = {settings.stem: value for settings, value in result.tried}
    assert values[True] > values[False]


def test_alpha_is_tuned_with_an_encoder_and_the_default_is_the_baseline():
    documents, queries, judgments = judged_set(2)
    result = tune_search(
        documents, queries, judgments, load_encoder("bedside/static"), k1s=[1.2], bs=[0.75], alphas=[0.0, 0.6, 1.0]
    )
    assert {settings.alpha for settings, _ in result.tried} == {0.0, 0.6, 1.0}
    assert result.comparison.metric == "nDCG@10"


def test_too_few_queries_to_divide_are_refused():
    documents, queries, judgments = judged_set(1)
    with pytest.raises(InvalidInputError, match="share"):
        tune_search(documents, dict(list(queries.items())[:1]), judgments)
