"""Dates in filters: as FHIR writes them, across zones, and where the clock is changed."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bedside import Collection, Document
from bedside.engines.embedded.index.columns import Columns
from bedside.engines.embedded.index.mask import mask
from bedside.errors import FilterError
from bedside.filters import parse

BERLIN = ZoneInfo("Europe/Berlin")


def matched(operators: Any, values: list[Any], zone: Any = timezone.utc) -> list[Any]:
    columns, node = Columns(), parse({"f": operators})
    columns.extend({"f": value} for value in values)
    assert node is not None
    return [value for value, held in zip(values, mask(node, columns, zone), strict=True) if held]


def test_a_day_is_all_of_it() -> None:
    """The times of that day, whether or not a value says so to the second."""
    values = ["2024-05-05T23:59:59.999999Z", "2024-05-06", "2024-05-06T00:00Z", "2024-05-06T23:59:59Z", "2024-05-07"]
    assert matched({"$lte": "2024-05-06"}, values) == values[:4]
    assert matched({"$lt": "2024-05-06"}, values) == values[:1]
    assert matched({"$gte": "2024-05-06"}, values) == values[1:]
    assert matched({"$gt": "2024-05-06"}, values) == values[4:]
    assert matched(date(2024, 5, 6), values) == matched({"$between": ["2024-05-06"] * 2}, values) == values[1:4]


def test_a_month_and_a_year_as_fhir_writes_them_are_all_of_it() -> None:
    values = ["2024", "2024-04", "2024-05", "2024-05-31"]
    assert matched({"$lte": "2024-05-31"}, values) == values
    assert matched({"$between": ["2024-05-01", "2024-05-31"]}, values) == ["2024-05", "2024-05-31"]
    assert matched({"$gt": date(2024, 5, 31)}, values) == []
    assert matched({"$gt": date(2024, 4, 30)}, values) == ["2024-05", "2024-05-31"]


def test_zones_are_respected() -> None:
    values = ["2025-07-24T19:00:00-07:00", "2025-07-25T02:00:00Z", "2025-07-25T02:00"]
    assert matched({"$gte": "2025-07-25T00:00:00+00:00"}, values) == values
    assert matched(datetime(2025, 7, 25, 2, tzinfo=timezone.utc), values) == values
    assert matched({"$lt": "2025-07-25"}, values) == []


def test_a_value_and_an_operand_without_a_zone_are_in_the_collections() -> None:
    values = ["2024-05-05T22:30Z", "2024-05-06T00:30", "2024-05-06T21:59:59Z", "2024-05-06T22:00Z"]
    assert matched(date(2024, 5, 6), values, BERLIN) == values[:3]
    assert matched({"$gte": "2024-05-06T00:30"}, values, BERLIN) == values


def test_the_days_on_which_the_clock_changes_have_23_and_25_hours() -> None:
    spring = ["2024-03-30T23:00Z", "2024-03-31T21:59Z", "2024-03-31T22:00Z"]
    autumn = ["2024-10-26T22:00Z", "2024-10-27T22:59Z", "2024-10-27T23:00Z"]
    assert matched(date(2024, 3, 31), spring, BERLIN) == spring[:2]
    assert matched(date(2024, 10, 27), autumn, BERLIN) == autumn[:2]


def test_an_hour_that_comes_twice_is_the_one_that_fold_says() -> None:
    values = ["2024-10-27T00:30Z", "2024-10-27T01:30Z"]
    assert matched(datetime(2024, 10, 27, 2, 30), values, BERLIN) == values[:1]
    assert matched(datetime(2024, 10, 27, 2, 30, fold=1), values, BERLIN) == values[1:]


@pytest.mark.parametrize(
    "zone", [timezone.utc, BERLIN, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/Los_Angeles")]
)
def test_the_first_and_the_last_day_of_the_calendar_are_days_in_every_zone(zone: Any) -> None:
    values = ["0001-01-01", "9999-12-31"]
    assert matched(date.min, values, zone) == values[:1]
    assert matched(date.max, values, zone) == values[1:]
    assert matched({"$lt": date.max}, values, zone) == values[:1]


def test_a_list_matches_a_date_by_any_of_its_elements_and_is_not_ordered() -> None:
    values: list[Any] = [["2024-05-06T09:00", "x"], ["2024-05-07"], "2024-05-06"]
    day = date(2024, 5, 6)
    assert matched({"$in": [day]}, values) == matched({"$contains": day}, values) == [values[0], values[2]]
    assert matched({"$lte": day}, values) == [values[2]]


def test_a_string_stays_a_string_where_equality_is_asked() -> None:
    values = ["2024-05-06", "2024-05-06T09:00"]
    assert matched("2024-05-06", values) == matched({"$in": ["2024-05-06"]}, values) == values[:1]


class Stamp(datetime):
    """A datetime as a library may have its own: it is subtracted from nothing."""

    def __sub__(self, other: Any) -> Any:
        raise OverflowError

    __rsub__ = __sub__


class NotATime(datetime):
    """A datetime that is none, as pandas' NaT."""

    def __ne__(self, other: object) -> bool:
        return True


def test_dates_of_other_libraries_are_taken_for_the_dates_that_they_are() -> None:
    values = ["2024-05-06T09:00Z", "2024-05-06T09:01Z"]
    assert matched({"$lte": Stamp(2024, 5, 6, 9, tzinfo=timezone.utc)}, values) == values[:1]
    assert matched(Stamp(2024, 10, 27, 2, 30, fold=1), ["2024-10-27T01:30Z"], BERLIN) == ["2024-10-27T01:30Z"]
    for filter in ({"f": NotATime(2024, 5, 6)}, {"f": {"$gt": NotATime(2024, 5, 6)}}):
        with pytest.raises(FilterError, match="expected a date, got NotATime"):
            parse(filter)


def test_a_collection_takes_dates_in_every_verb_and_changes_nothing_on_a_wrong_one() -> None:
    notes = Collection.open()
    days = ["2024-05-06T09:00:00", "2024-05-06", "2024-05-07"]
    notes.add([Document("Note.", {"date": day}, id=day, vector=[1.0]) for day in days])
    assert notes.count({"date": date(2024, 5, 6)}) == 2
    assert [d.id for d in notes.get(filter={"date": {"$gt": "2024-05-06"}})] == days[2:]
    with pytest.raises(FilterError, match=r"filter\.date\.\$lt: expected an ISO 8601 date"):
        notes.delete(filter={"date": {"$lt": "2024-06-31"}})
    assert notes.delete(filter={"date": {"$lte": "2024-05-06"}}) == 2
