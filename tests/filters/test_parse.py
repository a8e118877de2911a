"""The parser of the filter language: what it accepts, and how it refuses."""

from __future__ import annotations

import datetime
import enum
import subprocess
import sys
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from bedside.errors import FilterError
from bedside.filters import And, Compare, Not, Or, parse
from bedside.filters.parse import MAX_DEPTH
from bedside.filters.rules import rule
from bedside.filters.tree import COMPARISONS

NAN = float("nan")
SCALAR = "a string, a number, a boolean, null or a date"
ORDERED = "a number, a string or a date"


def nested(depth: int) -> dict[str, Any]:
    """A filter with ``depth`` logical operators inside one another."""
    node: dict[str, Any] = {"a": 1}
    for level in range(depth):
        node = {"$not": node} if level % 2 else {"$and": [node]}
    return node


REFUSED = [
    ([], "filter: expected a mapping of a filter, got list"),
    ("a", "filter: expected a mapping of a filter, got str"),
    ({1: 2}, "filter: expected string keys, got int"),
    ({"$or": [{"age": {"$in": "5"}}]}, "filter.$or[0].age.$in: expected a list, got str"),
    ({"$and": [{"a": 1}, {"$or": []}]}, "filter.$and[1].$or: expected at least one filter, got an empty list"),
    ({"$and": {}}, "filter.$and: expected a list, got dict"),
    ({"$or": [{}]}, "filter.$or[0]: expected a filter, got an empty mapping"),
    ({"$or": [3]}, "filter.$or[0]: expected a mapping of a filter, got int"),
    ({"$not": {}}, "filter.$not: expected a filter, got an empty mapping"),
    ({"$not": [{"a": 1}]}, "filter.$not: expected a mapping of a filter, got list"),
    ({"$xor": []}, "filter.$xor: unknown operator, expected a field or one of $and $or $not"),
    ({"$gt": 3}, "filter.$gt: an operator on a field, write it under the field's name"),
    ({"a": {"$or": []}}, "filter.a.$or: unknown operator, expected one of $eq $ne $gt"),
    ({"a": {"$foo": 1}}, "filter.a.$foo: unknown operator, expected one of $eq $ne $gt"),
    ({"a": {}}, "filter.a: expected operators, got an empty mapping"),
    ({"a": {"$not": {}}}, "filter.a.$not: expected operators, got an empty mapping"),
    ({"a": {"$not": 3}}, "filter.a.$not: expected a mapping of operators, got int"),
    ({"a": {"$gt": 1, "b": 2}}, "filter.a.b: expected an operator, got a plain key; 'a.b' reaches into an object"),
    ({"a": {"b": 2}}, "filter.a.b: expected an operator, got a plain key; 'a.b' reaches into an object"),
    ({"a": {2: 2}}, "filter.a: expected string keys, got int"),
    ({"a": [1, 2]}, "filter.a: expected a scalar or operators, got list; use $in for any of several"),
    ({"a": {1, 2}}, f"filter.a: expected {SCALAR}, got set"),
    ({"a": NAN}, "filter.a: expected a finite number, got nan"),
    ({"a": {"$eq": [1]}}, f"filter.a.$eq: expected {SCALAR}, got list"),
    ({"a": {"$ne": {}}}, f"filter.a.$ne: expected {SCALAR}, got dict"),
    ({"a": {"$eq": datetime.time(9)}}, f"filter.a.$eq: expected {SCALAR}, got time"),
    ({"a": {"$like": datetime.date(2024, 1, 1)}}, "filter.a.$like: expected a string, got date"),
    ({"a": {"$gt": "2024-02-30"}}, "filter.a.$gt: expected an ISO 8601 date or time such as 2024-05-31"),
    ({"a": {"$lt": "2016-12-31T23:59:60Z"}}, "filter.a.$lt: expected an ISO 8601 date or time"),
    ({"a": {"$lt": "9999-12-31T24:00"}}, "filter.a.$lt: expected an ISO 8601 date or time"),
    ({"a": {"$lte": "2024-W19-1"}}, "filter.a.$lte: expected an ISO 8601 date or time"),
    ({"a": {"$between": ["2024-01-01", "0000-01-01"]}}, "filter.a.$between[1]: expected an ISO 8601 date or time"),
    ({"a": {"$between": ["2024-01-01", "z"]}}, "filter.a.$between: expected two numbers, two strings or two dates"),
    ({"a": {"$gt": True}}, f"filter.a.$gt: expected {ORDERED}, got bool"),
    ({"a": {"$gte": None}}, f"filter.a.$gte: expected {ORDERED}, got NoneType"),
    ({"a": {"$lt": NAN}}, "filter.a.$lt: expected a finite number, got nan"),
    ({"a": {"$lte": float("inf")}}, "filter.a.$lte: expected a finite number, got inf"),
    ({"a": {"$lte": [1]}}, f"filter.a.$lte: expected {ORDERED}, got list"),
    ({"a": {"$in": 3}}, "filter.a.$in: expected a list, got int"),
    ({"a": {"$in": [1, [2]]}}, f"filter.a.$in[1]: expected {SCALAR}, got list"),
    ({"a": {"$nin": [NAN]}}, "filter.a.$nin[0]: expected a finite number, got nan"),
    ({"a": {"$any": "x"}}, "filter.a.$any: expected a list, got str"),
    ({"a": {"$all": "x"}}, "filter.a.$all: expected a list, got str"),
    ({"a": {"$all": []}}, "filter.a.$all: expected at least one value, got an empty list"),
    ({"a": {"$between": 3}}, "filter.a.$between: expected a list, got int"),
    ({"a": {"$between": [1]}}, "filter.a.$between: expected a list of two values, [low, high], got 1"),
    ({"a": {"$between": [1, True]}}, f"filter.a.$between[1]: expected {ORDERED}, got bool"),
    ({"a": {"$between": [1, "2"]}}, "filter.a.$between: expected two numbers, two strings or two dates, got a number"),
    ({"a": {"$exists": 1}}, "filter.a.$exists: expected true or false, got int"),
    ({"a": {"$empty": None}}, "filter.a.$empty: expected true or false, got NoneType"),
    ({"a": {"$contains": ["x"]}}, f"filter.a.$contains: expected {SCALAR}, got list"),
    ({"a": {"$like": 3}}, "filter.a.$like: expected a string, got int"),
    ({"a": {"$ilike": "x\\"}}, "filter.a.$ilike: expected a character after the last backslash"),
    ({"a": {"$prefix": None}}, "filter.a.$prefix: expected a string, got NoneType"),
    ({"a": {"$text": 3}}, "filter.a.$text: expected a string, got int"),
    ({"a": {"$text": " - "}}, "filter.a.$text: expected at least one word"),
]


@pytest.mark.parametrize(("filter", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_wrong_is_refused_with_its_path(filter: Any, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(filter)
    assert str(caught.value).startswith(message)


def test_an_unknown_operator_is_answered_with_all_the_known_ones() -> None:
    known = (
        "$eq $ne $gt $gte $lt $lte $in $nin $exists $between $contains $all $any $like $ilike $text $empty $prefix $not"
    )
    with pytest.raises(FilterError) as caught:
        parse({"a": {"$near": 1}})
    assert str(caught.value).endswith(f"expected one of {known}")


def test_operand_values_stay_out_of_messages() -> None:
    for filter in ({"a": {"$in": "the patient's words"}}, {"a": {"$gt": ["the patient's words"]}}):
        with pytest.raises(FilterError) as caught:
            parse(filter)
        assert "patient" not in str(caught.value)


@pytest.mark.parametrize(
    ("of_numpy", "builtin"),
    [(np.int64(3), 3), (np.float32(1.5), 1.5), (np.bool_(True), True), (np.array(7), 7), (np.str_("x"), "x")],
)
def test_a_number_of_numpys_is_the_number(of_numpy: Any, builtin: Any) -> None:
    assert parse({"a": of_numpy}) == parse({"a": builtin})
    assert parse({"a": {"$in": [of_numpy]}}) == parse({"a": {"$in": [builtin]}})
    assert type(parse({"a": of_numpy}).operand[0]) is type(builtin)
    if not isinstance(builtin, bool | str):
        assert parse({"a": {"$gt": of_numpy}}) == parse({"a": {"$gt": builtin}})
    with pytest.raises(FilterError, match="got ndarray"):
        parse({"a": np.array([1, 2])})


@pytest.mark.parametrize("empty", [None, {}, MappingProxyType({})])
def test_none_and_the_empty_dict_are_no_filter(empty: Any) -> None:
    assert parse(empty) is None


def test_fields_and_operators_side_by_side_are_joined_by_and() -> None:
    assert parse({"a": 1, "b": {"$gt": 2, "$lt": 3}}) == And(
        (Compare("a", "$in", (1,)), And((Compare("b", "$gt", 2), Compare("b", "$lt", 3))))
    )


def test_every_negation_is_a_not_around_its_opposite() -> None:
    one = Compare("a", "$in", ("x",))
    assert parse({"a": {"$ne": "x"}}) == parse({"a": {"$nin": ["x"]}}) == Not(one)
    assert parse({"a": {"$not": {"$eq": "x"}}}) == parse({"$not": {"a": "x"}}) == Not(one)
    assert parse({"a": {"$exists": False}}) == Not(Compare("a", "$exists", True))
    assert parse({"a": {"$empty": False}}) == Not(Compare("a", "$empty", True))


def test_the_wider_operators_are_said_in_the_narrower_ones() -> None:
    assert parse({"a": {"$between": [1, 2]}}) == And((Compare("a", "$gte", 1), Compare("a", "$lte", 2)))
    assert parse({"a": {"$all": ["x", "y"]}}) == And((Compare("a", "$in", ("x",)), Compare("a", "$in", ("y",))))
    assert parse({"a": {"$any": ["x", "y"]}}) == parse({"a": {"$in": ("x", "y")}}) == Compare("a", "$in", ("x", "y"))
    assert parse({"$or": [{"a": 1}, {"b": None}]}) == Or((Compare("a", "$in", (1,)), Compare("b", "$in", (None,))))


def test_dates_and_iso_strings_that_are_ordered_become_dates() -> None:
    day, moment = datetime.date(2024, 5, 6), datetime.datetime(2024, 5, 6, 9, tzinfo=datetime.timezone.utc)
    assert parse({"a": {"$gt": "2024-05-06"}}) == parse({"a": {"$gt": day}}) == Compare("a", "$gt", day)
    assert parse({"a": {"$gt": "2024-05-06 09:00Z"}}) == Compare("a", "$gt", moment)
    assert parse({"a": {"$gt": "2024-05"}}) == Compare("a", "$gt", "2024-05")
    assert parse({"a": "2024-05-06"}) == Compare("a", "$in", ("2024-05-06",))
    assert parse({"a": day}) == parse({"a": {"$contains": day}}) == Compare("a", "$during", day)
    assert parse({"a": {"$in": ["x", day]}}) == Or((Compare("a", "$in", ("x",)), Compare("a", "$during", day)))
    assert parse({"a": {"$all": [day]}}) == parse({"a": {"$any": [day]}}) == Compare("a", "$during", day)


def test_members_of_string_enums_become_plain_strings() -> None:
    class Section(str, enum.Enum):
        HPI = "hpi"

    node = parse({"section": Section.HPI})
    assert isinstance(node, Compare)
    assert isinstance(node.operand, tuple)
    assert type(node.operand[0]) is str


def test_nesting_is_accepted_to_the_limit_and_refused_beyond() -> None:
    assert parse(nested(MAX_DEPTH)) is not None
    for filter in (nested(MAX_DEPTH + 1), nested(5_000)):
        with pytest.raises(FilterError, match=f"nested deeper than {MAX_DEPTH}"):
            parse(filter)


def test_nesting_under_a_field_counts_too() -> None:
    operators: dict[str, Any] = {"$gt": 1}
    for _ in range(MAX_DEPTH + 1):
        operators = {"$not": operators}
    with pytest.raises(FilterError, match=f"nested deeper than {MAX_DEPTH}"):
        parse({"a": operators})


def test_a_node_cannot_be_changed() -> None:
    node = parse({"a": 1})
    with pytest.raises(AttributeError):
        node.path = "b"  # type: ignore[union-attr,misc]


def test_every_comparison_but_exists_has_a_rule() -> None:
    day = datetime.date(2024, 5, 6)
    operands: dict[str, Any] = {"$in": ("x",), "$exists": True, "$empty": True, "$during": day}
    for op in COMPARISONS:
        node = Compare("a", op, operands.get(op, "x"))
        if op == "$exists":
            with pytest.raises(ValueError, match="no rule"):
                rule(node)
        else:
            assert rule(node).value("x") == (op not in {"$gt", "$lt", "$empty", "$during"})
    assert rule(Compare("a", "$during", day)).value("2024-05-06")


def test_tree_parser_and_rules_need_no_numpy() -> None:
    """An empty stand-in for the package itself, whose record types do need it, comes first."""
    code = (
        "import sys, types, pathlib, importlib.util\n"
        "root = pathlib.Path(importlib.util.find_spec('bedside').submodule_search_locations[0])\n"
        "package = types.ModuleType('bedside'); package.__path__ = [str(root)]; sys.modules['bedside'] = package\n"
        "import bedside.filters.parse, bedside.filters.tree, bedside.filters.rules, bedside.filters.dates\n"
        "sys.exit('numpy' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
