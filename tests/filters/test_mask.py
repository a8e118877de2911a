"""Filters over metadata columns, one operator at a time, and what the columns count and keep."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.engines.embedded.index import segments
from bedside.engines.embedded.index.columns import Columns
from bedside.engines.embedded.index.mask import mask
from bedside.filters import parse

BIG = 2**53


def columns_of(metadatas: Iterable[Mapping[str, Any]]) -> Columns:
    columns = Columns()
    columns.extend(metadatas)
    return columns


def rows(filter: Mapping[str, Any], columns: Columns) -> list[int]:
    """The rows that match a filter."""
    node = parse(filter)
    assert node is not None
    return [int(row) for row in np.flatnonzero(mask(node, columns))]


def matched(operators: Any, values: list[Any]) -> list[Any]:
    """Those of the values that a field with them matches by; ``...`` stands for a record without the field."""
    columns = columns_of({} if value is ... else {"f": value} for value in values)
    return [values[row] for row in rows({"f": operators}, columns)]


EVERY = [..., None, False, True, 0, 1, 1.5, "", "1", "abc", [], [None], [1], ["1", "abc"], {}, {"x": 1}]

OPERATORS: list[tuple[Any, list[Any]]] = [
    (1, [1, [1]]),
    (True, [True]),
    ("1", ["1", ["1", "abc"]]),
    (None, [None, [None]]),
    ("", [""]),
    ({"$eq": 1.0}, [1, [1]]),
    ({"$eq": -0.0}, [0]),
    ({"$in": [0, "abc", False]}, [False, 0, "abc", ["1", "abc"]]),
    ({"$in": []}, []),
    ({"$any": [0, "abc"]}, [0, "abc", ["1", "abc"]]),
    ({"$any": []}, []),
    ({"$all": ["abc", "1"]}, [["1", "abc"]]),
    ({"$all": ["abc"]}, ["abc", ["1", "abc"]]),
    ({"$all": [1, 1.0]}, [1, [1]]),
    ({"$gt": 0}, [1, 1.5]),
    ({"$gte": 0}, [0, 1, 1.5]),
    ({"$lt": 1}, [0]),
    ({"$lte": 1}, [0, 1]),
    ({"$gt": ""}, ["1", "abc"]),
    ({"$gte": "1"}, ["1", "abc"]),
    ({"$lt": "abc"}, ["", "1"]),
    ({"$lte": "abc"}, ["", "1", "abc"]),
    ({"$between": [0, 1]}, [0, 1]),
    ({"$between": [2, 1]}, []),
    ({"$between": ["1", "abc"]}, ["1", "abc"]),
    ({"$contains": "b"}, ["abc"]),
    ({"$contains": "abc"}, ["abc", ["1", "abc"]]),
    ({"$contains": "B"}, []),
    ({"$contains": 1}, [[1]]),
    ({"$contains": None}, [[None]]),
    ({"$contains": ""}, ["", "1", "abc"]),
    ({"$prefix": "a"}, ["abc", ["1", "abc"]]),
    ({"$prefix": ""}, ["", "1", "abc", ["1", "abc"]]),
    ({"$like": "%B%"}, []),
    ({"$like": "_"}, ["1", ["1", "abc"]]),
    ({"$like": "%"}, ["", "1", "abc", ["1", "abc"]]),
    ({"$ilike": "%B%"}, ["abc", ["1", "abc"]]),
    ({"$text": "ABC"}, ["abc", ["1", "abc"]]),
    ({"$text": "ab"}, []),
    ({"$exists": True}, EVERY[1:]),
    ({"$empty": True}, [..., None, "", [], {}]),
]
COMPLEMENTS: list[tuple[Any, Any]] = [
    ({"$not": accepted if isinstance(accepted, dict) else {"$eq": accepted}}, accepted) for accepted, _ in OPERATORS
]
NEGATIONS: list[tuple[Any, Any]] = [
    ({"$ne": 1}, 1),
    ({"$nin": [0, "abc", False]}, {"$in": [0, "abc", False]}),
    ({"$nin": []}, {"$in": []}),
    ({"$exists": False}, {"$exists": True}),
    ({"$empty": False}, {"$empty": True}),
]


@pytest.mark.parametrize(("operators", "expected"), OPERATORS, ids=[str(operators) for operators, _ in OPERATORS])
def test_an_operator_matches_these_values_and_no_others(operators: Any, expected: list[Any]) -> None:
    found = matched(operators, EVERY)
    assert [(type(value), value) for value in found] == [(type(value), value) for value in expected]


@pytest.mark.parametrize(("negated", "plain"), COMPLEMENTS + NEGATIONS, ids=str)
def test_a_negation_matches_exactly_what_is_left(negated: Any, plain: Any) -> None:
    columns = columns_of({} if value is ... else {"f": value} for value in EVERY)
    left = set(range(len(EVERY))) - set(rows({"f": plain}, columns))
    assert set(rows({"f": negated}, columns)) == left
    assert set(rows({"$not": {"f": plain}}, columns)) == left


def test_integers_and_floats_compare_exactly_beyond_what_a_float_can_hold() -> None:
    values: list[Any] = [BIG, BIG + 1, float(BIG), -BIG - 1, 2**63 - 1]
    assert matched(BIG, values) == [BIG, float(BIG)]
    assert matched(BIG + 1, values) == [BIG + 1]
    assert matched({"$gt": float(BIG)}, values) == [BIG + 1, 2**63 - 1]
    assert matched({"$gte": float(2**63)}, values) == []
    assert matched({"$lt": float(-BIG)}, values) == [-BIG - 1]


def test_strings_that_name_no_day_order_as_strings() -> None:
    texts = ["2023-12-31", "2024-01-01", "2024-02-29T08:00", "2025"]
    assert matched({"$gte": "2024", "$lt": "2025"}, texts) == texts[1:3]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("a%c", "ac", True),
        ("a%c", "abcb", False),
        ("%b%", "abc", True),
        ("a_c", "abc", True),
        ("a_c", "ac", False),
        ("ab%ba", "aba", False),
        ("%ab%ab", "ab-ab", True),
        ("%ab%ab", "ab", False),
        ("%_b", "ab", True),
        ("100\\%", "100%", True),
        ("100\\%", "1000", False),
        ("a\\_c", "abc", False),
        ("a\\\\c", "a\\c", True),
        ("\\a", "a", True),
        ("a\\\\", "a\\", True),
        ("a.c", "abc", False),
        ("a%", "a\nb", True),
        ("", "", True),
        ("", "a", False),
        ("%%", "", True),
    ],
)
def test_like_reads_sql_patterns(pattern: str, text: str, expected: bool) -> None:
    assert bool(matched({"$like": pattern}, [text])) is expected


def test_a_prefix_takes_every_character_literally() -> None:
    assert matched({"$prefix": "a\\"}, ["a\\b", "ab"]) == ["a\\b"]
    assert matched({"$prefix": "%"}, ["%b", "b"]) == ["%b"]


def test_ilike_folds_case_beyond_ascii() -> None:
    assert matched({"$ilike": "STRASSE%"}, ["Straße 1", "strasse", "Strase"]) == ["Straße 1", "strasse"]


def test_a_like_pattern_of_many_wildcards_does_not_backtrack() -> None:
    """One regular expression with as many ``.*`` would not come back."""
    assert matched({"$like": "%a" * 40 + "%b"}, ["a" * 20_000]) == []


def test_text_finds_whole_words_in_order_and_next_to_each_other() -> None:
    notes = ["Chest pain, on exertion", "pain in the chest", "chest-pain", "chest painful", "CHEST  PAIN"]
    assert matched({"$text": "chest pain"}, notes) == [notes[0], notes[2], notes[4]]


DOTTED: list[dict[str, Any]] = [
    {"a": {"b": {"c": 1}}},
    {"a.b": {"c": 1}},
    {"a": {"b.c": 1}},
    {"a.b.c": 1},
    {"a.b.c": 2, "a": {"b": {"c": 1}}},
    {"a.b": {"c": 2}, "a": {"b.c": 1}},
    {"a": {"b.c": 2, "b": {"c": 1}}},
    {"a": {"b": {"c": 1}}, "a.b": {"x": 2}},
    {"a": {"b": {"c": 1}}, "a.b": 2},
    {"a": [{"b": {"c": 1}}]},
]


def test_a_dotted_path_takes_the_longest_literal_key_first_at_each_object() -> None:
    assert rows({"a.b.c": 1}, columns_of(DOTTED)) == [0, 1, 2, 3, 7, 8]
    assert rows({"a.b.c": 2}, columns_of(DOTTED)) == [4, 5, 6]


def test_a_dotted_path_does_not_reach_into_lists() -> None:
    assert rows({"a.b.c": {"$exists": False}}, columns_of(DOTTED)) == [9]


def test_objects_on_the_way_exist_and_are_empty_or_not() -> None:
    columns = columns_of([{"a": {"b": {}}}, {"a": {}}, {}])
    assert rows({"a": {"$exists": True}}, columns) == [0, 1]
    assert rows({"a": {"$empty": False}}, columns) == [0]
    assert rows({"a.b": {"$empty": True}}, columns) == [0, 1, 2]


def test_a_field_that_no_record_has_is_missing_everywhere() -> None:
    columns = columns_of([{"a": 1}, {}])
    assert rows({"z": 1}, columns) == []
    assert rows({"z": {"$ne": 1}}, columns) == [0, 1]
    assert rows({"z": {"$empty": True}}, columns) == [0, 1]


def test_masks_have_the_length_of_the_rows_even_without_any() -> None:
    node = parse({"a": {"$ne": 1}})
    assert node is not None
    assert mask(node, Columns()).shape == (0,)


def test_a_mask_is_the_callers_own() -> None:
    columns, node = columns_of([{"a": 1}, {"a": 2}]), parse({"a": 1})
    assert node is not None
    mask(node, columns)[:] = True
    assert mask(node, columns).tolist() == [True, False]


def test_values_come_sorted_within_their_kind_and_once() -> None:
    columns = columns_of(
        {"f": value} for value in ["b", 2, True, None, ["a", 1.5, "b"], {"x": 1}, False, 10, [[]], "b"]
    )
    values = columns.values("f")
    assert [(type(value), value) for value in values] == [
        (type(value), value) for value in [None, False, True, 1.5, 2, 10, "a", "b"]
    ]
    assert columns.values("nothing") == []


def test_facets_count_visible_rows_with_the_most_frequent_first() -> None:
    columns = columns_of([{"f": "x"}, {"f": ["x", "x", "y"]}, {"f": 1}, {"f": True}, {"f": True}, {}, {"f": []}])
    visible = np.array([True, True, True, False, True, True, True])
    facets = columns.facets("f", visible)
    assert facets[0] == ("x", 2)
    assert sorted(((type(v).__name__, v, n) for v, n in facets[1:]), key=str) == [
        ("bool", True, 1),
        ("int", 1, 1),
        ("str", "y", 1),
    ]
    assert columns.facets("nothing", visible) == []


def test_facets_agree_across_sealed_rows_and_the_tail() -> None:
    values = [f"v{i * i % 7}" for i in range(segments.TAIL * 3 + 5)]
    columns = Columns()
    for value in values:
        columns.extend([{"f": value}])
    assert dict(columns.facets("f", np.ones(len(values), bool))) == {v: values.count(v) for v in set(values)}


def saved(columns: Columns, folder: Path) -> Columns:
    """The columns written to files and taken up again from read-only memory maps."""
    state, arrays = columns.to_state()
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for name, array in arrays.items():
        np.save(folder / name, array)
    mapped = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in arrays}
    again = Columns()
    again.load(json.loads((folder / "state.json").read_text(encoding="utf-8")), mapped)
    return again


def test_saved_columns_answer_as_before_and_go_on_growing(tmp_path: Path) -> None:
    metadatas = [{} if value is ... else {"f": value, "é\u2028": {"g": i}} for i, value in enumerate(EVERY)]
    again = saved(columns_of(metadatas), tmp_path)
    again.extend(metadatas)
    whole = columns_of(metadatas + metadatas)
    assert again.n == whole.n == 2 * len(EVERY)
    for operators, _ in OPERATORS:
        assert rows({"f": operators}, again) == rows({"f": operators}, whole)
    assert rows({"é\u2028.g": {"$gt": 3}}, again) == rows({"é\u2028.g": {"$gt": 3}}, whole)


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    columns = columns_of({"f": value} for value in EVERY[1:])
    state, arrays = columns.to_state()
    again, mapped = saved(columns, tmp_path).to_state()
    assert again == state
    assert all(np.array_equal(arrays[name], mapped[name]) for name in arrays)


@pytest.mark.parametrize("metadatas", [[], [{}, {}]])
def test_columns_without_any_field_can_be_saved(metadatas: list[dict[str, Any]], tmp_path: Path) -> None:
    again = saved(columns_of(metadatas), tmp_path)
    assert again.n == len(metadatas)
    assert rows({"f": {"$exists": False}}, again) == list(range(len(metadatas)))


def test_arrays_of_another_length_than_stated_are_refused() -> None:
    state, arrays = columns_of([{"f": 1}, {"f": 2}]).to_state()
    with pytest.raises(ValueError, match="expected lengths"):
        Columns().load(state, {**arrays, "rows": arrays["rows"][:-1]})


def test_a_filter_decodes_only_the_columns_it_touches(tmp_path: Path) -> None:
    """The values of an untouched column may be anything at all."""
    columns = columns_of([{"a": 1}])
    columns.extend([{"b": 2}])
    state, arrays = columns.to_state()
    keys = arrays["keys"].copy()
    keys[state["columns"]["a"][0][0][0] :] = 0
    again = Columns()
    again.load(state, {**arrays, "keys": keys})
    assert rows({"a": 1}, again) == [0]
    with pytest.raises(ValueError, match=r"JSON|unexpected"):
        rows({"b": 2}, again)


def test_a_field_of_few_values_costs_less_than_sixty_bytes_a_row() -> None:
    tracemalloc.start()
    try:
        columns = Columns()
        for start in range(0, 20_000, 1_000):
            columns.extend({"f": f"value {i % 12}", "g": [i % 5, i % 7]} for i in range(start, start + 1_000))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert columns.n == 20_000
    assert used / columns.n < 2 * 60
