"""Training pairs: what a file may look like, what is refused by name, and a split that shares no text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.errors import BedsideWarning, InvalidInputError
from bedside.tuning.retrieval.pairs import Pair, check_leakage, read_pairs, split_pairs
from bedside.tuning.retrieval.settings import TuneSettings
from bedside.tuning.retrieval.unlabelled import damaged
from bedside.tuning.settings import settings_from

ROWS = [Pair("a?", "A."), Pair("b?", "B.", "A.")]


def test_jsonl_csv_tsv_and_rows_read_alike(tmp_path):
    lines = [{"query": "a?", "positive": "A."}, {"query": "b?", "positive": "B.", "negative": "A."}]
    (tmp_path / "p.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
    (tmp_path / "p.csv").write_text('query,positive,negative\na?,A.,\n"b?",B.,A.\n')
    (tmp_path / "p.tsv").write_text("positive\tquery\tnegative\nA.\ta?\t\nB.\tb?\tA.\n")
    for source in (tmp_path / "p.jsonl", str(tmp_path / "p.csv"), tmp_path / "p.tsv", lines, ROWS):
        assert read_pairs(source) == ROWS
    assert read_pairs([("a?", "A."), ["b?", "B.", "A."]]) == ROWS


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("p.jsonl", '{"query": "a?"}', r"line 1: column 'positive' is missing"),
        ("p.jsonl", '\n{"query": "a?", "positive": "A.", "answer": "x"}', r"line 2: unknown column 'answer'"),
        ("p.jsonl", '{"query": "a?", "positive": 3}', r"line 1: positive is not a text"),
        ("p.jsonl", "{", r"line 1: not JSON"),
        ("p.jsonl", "[]", r"line 1: expected an object"),
        ("p.jsonl", "", "at least one pair"),
        ("p.csv", "question,positive\na?,A.\n", "unknown column 'question'"),
        ("p.csv", "query,positive\na?,A.,B.\n", "line 2: expected 2 cells"),
        ("p.csv", "query,positive\na?\n", "line 2: expected 2 cells"),
        ("p.csv", "query,query\na?,A.\n", "line 1: expected a different name for each column"),
        ("p.csv", "query,positive\na?, \n", r"\[0\]: positive is empty"),
        ("p.txt", "x", ".jsonl, .csv or .tsv"),
    ],
)
def test_a_wrong_file_is_refused_by_row_and_column(tmp_path, name, text, named):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInputError, match=named):
        read_pairs(tmp_path / name)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([("a?", "A."), ("", "B.")], r"pairs\[1\]: query is empty"),
        ([("a?", "A.", "  ")], r"pairs\[0\]: negative is empty"),
        ([("a", "a")], r"pairs\[0\]: query and positive are the same"),
        ([("a", "b", "b")], r"pairs\[0\]: positive and negative are the same"),
        ([("a",)], r"pairs\[0\]: expected a query"),
        (["ab"], r"pairs\[0\]: expected a query"),
        ([None], r"pairs\[0\]: expected a query"),
        ([5], r"pairs\[0\]: expected a query"),
        (5, "pairs: expected a file or rows, got int"),
        (None, "pairs: expected a file or rows, got NoneType"),
        ([("a", 1)], r"pairs\[0\]: positive is not a text"),
        ([Pair(None, "b")], r"pairs\[0\]: query is not a text"),
        ([("a", "b"), ("c \ud800", "d")], r"pairs\[1\]: query is not valid Unicode"),
        ([], "at least one"),
    ],
)
def test_rows_that_cannot_teach_are_refused_by_name(rows, named):
    with pytest.raises(InvalidInputError, match=named):
        read_pairs(rows)


def test_files_of_windows_are_read_and_files_of_another_encoding_are_refused(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'\xef\xbb\xbf{"query": "a?", "positive": "A."}\r\n')
    (tmp_path / "p.csv").write_bytes(b"\xef\xbb\xbfquery,positive\r\na?,A.\r\n")
    assert read_pairs(tmp_path / "p.jsonl") == read_pairs(tmp_path / "p.csv") == ROWS[:1]
    (tmp_path / "latin.csv").write_bytes("query,positive\ncaf\xe9?,A.\n".encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"latin\.csv: not UTF-8"):
        read_pairs(tmp_path / "latin.csv")


def test_rows_that_come_twice_are_named_and_used_once():
    with pytest.warns(BedsideWarning, match=r"1 rows come twice, the first is pairs\[2\]"):
        assert read_pairs([("a?", "A."), ("b?", "B."), ("a?", "A.")]) == [Pair("a?", "A."), Pair("b?", "B.")]


def test_messages_carry_no_text():
    with pytest.raises(InvalidInputError) as error:
        check_leakage([Pair("secret", "x")], [Pair("Secret ", "y")])
    assert "secret" not in str(error.value).casefold()


WORDS = st.sampled_from([f"t{i}" for i in range(12)])


@given(st.lists(st.tuples(WORDS, WORDS.map(str.upper)), min_size=1, unique=True), st.floats(0, 0.9), st.integers(0, 9))
def test_a_split_shares_no_text_loses_no_row_and_keeps_back_at_most_its_share(rows, share, seed):
    pairs = [Pair(f"q {query}", positive) for query, positive in rows]
    train, held_out = split_pairs(pairs, share, seed)
    assert sorted([*train, *held_out], key=str) == sorted(pairs, key=str)
    assert len(held_out) <= round(share * len(pairs))
    if held_out and train:
        check_leakage(train, held_out)
    assert split_pairs(pairs, share, seed) == (train, held_out)


@given(st.lists(st.text("ab", min_size=1), min_size=1), st.floats(0, 0.99))
def test_deletion_keeps_some_words_in_their_order(words, share):
    import numpy as np

    left = damaged(" ".join(words), share, np.random.default_rng(0)).split()
    rest = iter(words)
    assert left
    assert all(word in rest for word in left)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"learning_rate": -1}, {"temperature": 0}, {"holdout": 1}, {"precision": "int8"}, {"seed": True}],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        TuneSettings(**wrong)


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(InvalidInputError, match=r"unknown settings rate; there are epochs"):
        settings_from(TuneSettings, {"rate": 1})
