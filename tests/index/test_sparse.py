"""BM25: the scores of an independent implementation, over exactly the rows that are visible."""

from __future__ import annotations

import itertools
import json
import math
import random

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.engines.embedded.index import bm25 as module
from bedside.engines.embedded.index import postings
from bedside.engines.embedded.index.bm25 import SparseIndex
from bedside.errors import InvalidInputError
from bedside.text.tokenizer import ClinicalTokenizer

ROWS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=8), max_size=30)
QUERY = st.lists(st.sampled_from("abcdefghz"), max_size=6)


def plain(rows):
    """Terms of which none is negated."""
    return [(row, bytes(len(row)), len(row)) for row in rows]


def built(rows, **settings) -> SparseIndex:
    index = SparseIndex(**settings)
    index.extend(plain(rows))
    return index


def dense(result, n: int) -> np.ndarray:
    scores = np.zeros(n)
    scores[result.rows] = result.scores
    return scores


def zipf_rows(n: int, seed: int = 7) -> list[list[str]]:
    draw = random.Random(seed)
    return [[f"w{min(int(draw.paretovariate(0.6)), 3000)}" for _ in range(draw.randint(1, 120))] for _ in range(n)]


def by_hand(rows, query, visible, k1=1.2, b=0.75):
    """The textbook sum, one document at a time."""
    corpus = [row for row, seen in zip(rows, visible, strict=True) if seen]
    average = sum(map(len, corpus)) / max(len(corpus), 1)
    scores = []
    for row, seen in zip(rows, visible, strict=True):
        score = 0.0
        for term in query:
            df = sum(term in other for other in corpus)
            tf = row.count(term)
            if seen and tf:
                idf = math.log(1 + (len(corpus) - df + 0.5) / (df + 0.5))
                score += idf * tf / (tf + k1 * (1 - b + b * len(row) / average))
        scores.append(score)
    return scores


@pytest.fixture
def small_blocks(monkeypatch):
    """Seal and merge after a few tokens, so that small inputs reach every path."""
    monkeypatch.setattr(module, "_TAIL", 12)
    monkeypatch.setattr(module, "_BLOCK", 20)
    monkeypatch.setattr(postings, "_RUN", 3)


def test_scores_are_those_of_bm25s_on_generated_rows():
    rows = zipf_rows(1500)
    reference = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    reference.index(rows, show_progress=False)
    index = built(rows)
    for seed in range(60):
        query = random.Random(seed).choices(rows[seed], k=6)
        np.testing.assert_allclose(dense(index.score(query), len(rows)), reference.get_scores(query), atol=1e-5)


def test_scores_are_those_of_bm25s_on_real_notes(data):
    tokenize = ClinicalTokenizer().tokenize
    lines = (data / "notes" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[:400]
    rows = [tokenize(json.loads(line)["text"]) for line in lines]
    reference = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
    reference.index(rows, show_progress=False)
    index = built(rows, k1=0.9, b=0.4)
    for text in ("chest pain on exertion", "no fever", "HbA1c 7.2", "BP 120/80 without headache"):
        query = [term for term in tokenize(text) if term in reference.vocab_dict]
        np.testing.assert_allclose(dense(index.score(query), len(rows)), reference.get_scores(query), atol=1e-5)


@given(ROWS, QUERY, st.data())
def test_scores_are_the_formula_over_the_visible_rows(rows, query, draw):
    visible = draw.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    result = built(rows).score(query, np.array(visible, bool))
    np.testing.assert_allclose(dense(result, len(rows)), by_hand(rows, query, visible), atol=1e-12)


@given(ROWS, QUERY, st.data())
def test_hidden_rows_leave_no_trace(rows, query, draw):
    """A masked index answers, bit for bit, like one that was never given the hidden rows."""
    visible = np.array(draw.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool)
    masked = built(rows).score(query, visible)
    alone = built([row for row, seen in zip(rows, visible, strict=True) if seen]).score(query)
    assert np.flatnonzero(visible)[alone.rows].tolist() == masked.rows.tolist()
    assert alone.scores.tolist() == masked.scores.tolist()
    assert alone.bound == masked.bound


@given(ROWS, QUERY, st.data())
def test_looking_up_few_rows_answers_as_reading_all_postings(rows, query, draw):
    """Ids, scores, parts, contradictions and groups are the same bit for bit, whichever way a search takes."""
    n = len(rows)
    visible = np.array(draw.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    numbers = st.lists(st.integers(-1, n - 1), min_size=n, max_size=n)
    groups = draw.draw(st.none() | numbers.map(lambda each: np.array(each, np.int32)))
    marks = [bytes(draw.draw(st.lists(st.integers(0, 1), min_size=len(row), max_size=len(row)))) for row in rows]
    index = SparseIndex()
    index.extend(zip(rows, marks, map(len, rows), strict=True))
    answers = []
    for few in (0, 10_000):  # all searches are of few rows, and none is
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_FEW", few)
            answers.append(index.score(query, visible, groups, dict.fromkeys(query, "present")))
    one, other = answers
    assert (one.rows.tolist(), one.scores.tolist(), one.bound) == (
        other.rows.tolist(),
        other.scores.tolist(),
        other.bound,
    )
    assert (one.contradicted.tolist(), one.weights) == (other.contradicted.tolist(), other.weights)
    assert [one.explain(row) for row in range(n)] == [other.explain(row) for row in range(n)]


@settings(suppress_health_check=[])
@given(batches=st.lists(ROWS, max_size=6), query=QUERY)
def test_rows_added_bit_by_bit_score_as_rows_added_at_once(batches, query):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TAIL", 12)
        patch.setattr(module, "_BLOCK", 20)
        patch.setattr(postings, "_RUN", 3)
        growing = SparseIndex()
        for batch in batches:
            growing.extend(plain(batch))
            growing.score(query)
        answer = growing.score(query)
    whole = built([row for batch in batches for row in batch]).score(query)
    assert answer.rows.tolist() == whole.rows.tolist()
    np.testing.assert_allclose(answer.scores, whole.scores, atol=1e-12)
    assert answer.bound == pytest.approx(whole.bound, abs=1e-12)


def test_the_number_of_segments_grows_with_the_logarithm(small_blocks):
    index = SparseIndex()
    for row in zipf_rows(1000):
        index.extend(plain([row]))
        sizes = [len(segment.rows) for segment in index._segments]
        assert all(elder >= module._GROWTH * younger for elder, younger in itertools.pairwise(sizes))
    assert len(index._segments) <= 1 + math.log(sum(sizes), module._GROWTH)


@given(ROWS, QUERY)
def test_parts_sum_to_the_score_and_no_score_passes_the_bound(rows, query):
    result = built(rows).score(query)
    for row, score in zip(result.rows.tolist(), result.scores.tolist(), strict=True):
        parts = result.explain(row)
        assert sum(parts.values()) == pytest.approx(score, abs=1e-9)
        assert set(parts) == set(query) & set(rows[row])
        assert 0 < score < result.bound


def test_a_row_without_a_query_term_is_no_result_and_has_no_parts():
    result = built([["chest", "pain"], ["fever"]]).score(["chest", "unknown"])
    assert result.rows.tolist() == [0]
    assert result.explain(1) == {}


def test_a_repeated_query_term_counts_as_often():
    index = built([["pain", "chest"], ["fever"]])
    once, twice = index.score(["pain"]), index.score(["pain", "pain"])
    assert twice.scores[0] == pytest.approx(2 * once.scores[0])
    assert twice.bound == pytest.approx(2 * once.bound)


def test_a_term_only_hidden_rows_hold_is_unknown():
    result = built([["secret"], ["fever"]]).score(["secret"], np.array([False, True]))
    assert (len(result.rows), result.bound) == (0, 0.0)


@pytest.mark.parametrize("rows", [[], [[]], [[], []]])
def test_an_empty_index_answers_with_nothing(rows):
    result = built(rows).score(["pain"])
    assert (result.rows.tolist(), result.scores.tolist(), result.bound) == ([], [], 0.0)


def test_counts_beyond_a_byte_are_kept_exactly():
    rows = [["pain"] * 300, ["pain"], ["pain"] * 70_000, ["rash"]]
    np.testing.assert_allclose(dense(built(rows).score(["pain"]), 4), by_hand(rows, ["pain"], [True] * 4), rtol=1e-12)


def test_an_iterable_that_raises_adds_no_row():
    def broken():
        yield ["pain"], bytes(1), 1
        raise RuntimeError("the source failed")

    index = built([["fever"]])
    with pytest.raises(RuntimeError, match="the source failed"):
        index.extend(broken())
    assert len(index) == 1
    assert len(index.score(["pain"]).rows) == 0


def test_a_stored_index_answers_and_grows_from_read_only_memory_maps(tmp_path):
    rows, more = zipf_rows(600), zipf_rows(300, seed=8)
    index = SparseIndex(k1=0.9, b=0.4)
    for start in range(0, 600, 50):
        index.extend(plain(rows[start : start + 50]))
    header, arrays = index.to_state()
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    maps = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays}
    loaded = SparseIndex(k1=0.9, b=0.4)
    loaded.load(json.loads(json.dumps(header)), maps)
    before = {name: values.copy() for name, values in maps.items()}
    for stage in range(2):
        for query in (rows[3][:5], more[3][:5], ["unknown"]):
            assert loaded.score(query).rows.tolist() == index.score(query).rows.tolist()
            np.testing.assert_allclose(loaded.score(query).scores, index.score(query).scores, atol=1e-12)
        if stage == 0:
            loaded.extend(plain(more))
            index.extend(plain(more))
    assert len(loaded) == 900
    assert all((maps[name] == before[name]).all() for name in maps)


@pytest.mark.parametrize("settings", [{"k1": -1}, {"k1": math.nan}, {"k1": math.inf}, {"b": 1.1}, {"b": math.nan}])
def test_settings_outside_their_range_are_refused(settings):
    with pytest.raises(InvalidInputError, match=f"^{next(iter(settings))}: "):
        SparseIndex(**settings)


@pytest.mark.parametrize("visible", [np.ones(3, bool), np.ones(2, np.int8)])
def test_a_mask_that_does_not_fit_is_refused(visible):
    with pytest.raises(InvalidInputError, match=r"visible: expected bool \[2\]"):
        built([["pain"], ["fever"]]).score(["pain"], visible)


MARKED = st.lists(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=8), max_size=20)


def marked(rows):
    return [([term for term, _ in row], bytes(bit for _, bit in row), len(row)) for row in rows]


@given(batches=st.lists(MARKED, min_size=1, max_size=5), cut=st.integers(0, 4))
def test_how_often_a_term_is_negated_is_counted_through_tail_merges_and_checkpoints(batches, cut):
    asked = dict.fromkeys("abcde", "present")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TAIL", 12)
        patch.setattr(module, "_BLOCK", 20)
        patch.setattr(postings, "_RUN", 3)
        index, loaded = SparseIndex(), SparseIndex()
        for batch in batches[:cut]:
            index.extend(marked(batch))
        loaded.load(*index.to_state())
        for batch in batches[cut:]:
            index.extend(marked(batch))
        loaded.load(*index.since(len(loaded), loaded.terms))
    for each in (index, loaded):
        result = each.score("abcde", asked=asked)
        assert result.matches.negated.dtype == np.uint8
        for row, terms in enumerate(row for batch in batches for row in batch):
            found = {term: ([*terms].count((term, True)), [t for t, _ in terms].count(term)) for term, _ in terms}
            assert result.negations(row) == found


@given(MARKED, st.data())
def test_a_group_contradicts_a_question_where_the_text_that_it_makes_does(rows, draw):
    groups = np.array(draw.draw(st.lists(st.integers(-1, 2), min_size=len(rows), max_size=len(rows))), np.int32)
    groups = np.minimum(groups, len(rows) - 1).astype(np.int32)
    asked = draw.draw(st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["present", "absent"])))
    numbers = sorted(set(groups[groups >= 0].tolist()))
    index, whole = SparseIndex(), SparseIndex()
    index.extend(marked(rows))
    whole.extend(
        marked([[word for row, g in zip(rows, groups, strict=True) if g == n for word in row] for n in numbers])
    )
    against = {numbers[row] for row in whole.score("abcde", asked=asked).contradicted}
    found = index.score("abcde", groups=groups, asked=asked).contradicted.tolist()
    assert found == [row for row, group in enumerate(groups.tolist()) if group in against]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abcde"), max_size=6), st.integers(-1, 3), st.booleans()),
        min_size=4,
        max_size=20,
    ),
    st.lists(st.sampled_from("abcdf"), max_size=4),
)
def test_grouped_rows_score_as_the_texts_that_they_make_together(rows, query):
    index, whole = SparseIndex(), SparseIndex()
    index.extend(plain([terms for terms, _, _ in rows]))
    seen = [(number, terms) for terms, number, visible in rows if visible and number >= 0]
    numbers = sorted({number for number, _ in seen})
    whole.extend(plain([[term for n, terms in seen if n == number for term in terms] for number in numbers]))
    visible = np.array([visible for _, _, visible in rows])
    found = index.score(query, visible, np.array([number for _, number, _ in rows], np.int32))
    expected = whole.score(query)
    by_number = dict(zip([numbers[row] for row in expected.rows], expected.scores, strict=True))
    wanted = {i: by_number[n] for i, (_, n, shown) in enumerate(rows) if shown and n in by_number}
    assert found.rows.tolist() == list(wanted)
    assert found.scores == pytest.approx(list(wanted.values()))
    assert found.bound == pytest.approx(expected.bound)
