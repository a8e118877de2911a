"""Random filters on random records agree with a predicate written straight over the dicts."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside.engines.embedded.index import segments
from bedside.engines.embedded.index.columns import Columns
from bedside.engines.embedded.index.mask import mask
from bedside.filters import parse
from filters.predicate import DATES, OPERANDS, PARTIAL, VALUES, date_span, filters, matches, random_record, records


def grown(records: list[dict[str, Any]]) -> Columns:
    """Columns that were extended in many uneven steps."""
    columns, start, step = Columns(), 0, 1
    while start < len(records):
        columns.extend(records[start : start + step])
        start, step = start + step, step % 7 + 1
    return columns


def mapped(columns: Columns, folder: Path) -> Columns:
    state, arrays = columns.to_state()
    for name, array in arrays.items():
        np.save(folder / name, array)
    again = Columns()
    again.load(state, {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in arrays})
    return again


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], list[Columns]]:
    """300 records, and the columns of them in five states; tails are small, so that they fill."""
    draw = random.Random(11)
    records = [random_record(draw) for _ in range(300)]
    at_once = Columns()
    at_once.extend(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "TAIL", 8)
        merged = grown(records)
        loaded = mapped(grown(records), tmp_path_factory.mktemp("loaded"))
        continued = mapped(grown(records[:170]), tmp_path_factory.mktemp("continued"))
        for record in records[170:]:
            continued.extend([record])
        tail_after = mapped(grown(records[:290]), tmp_path_factory.mktemp("tail"))
    tail_after.extend(records[290:])
    return records, [at_once, merged, loaded, continued, tail_after]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(filters)
def test_300_filters_on_300_records_agree_with_the_predicate(
    corpus: tuple[list[dict[str, Any]], list[Columns]], filter: dict[str, Any]
) -> None:
    records, states = corpus
    node = parse(filter)
    assert node is not None
    expected = [matches(filter, record) for record in records]
    for columns in states:
        assert mask(node, columns).tolist() == expected


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(records, max_size=6), filters)
def test_any_filter_on_any_records_agrees_with_the_predicate(
    records: list[dict[str, Any]], filter: dict[str, Any]
) -> None:
    node = parse(filter)
    assert node is not None
    assert mask(node, grown(records)).tolist() == [matches(filter, record) for record in records]


def test_the_records_and_filters_drawn_reach_every_operator(
    corpus: tuple[list[dict[str, Any]], list[Columns]],
) -> None:
    """Else the agreement would be that of two empty answers."""
    records, _ = corpus
    some: dict[str, Any] = {
        **dict.fromkeys(("$eq", "$gt", "$gte", "$lt", "$lte"), 1),
        **dict.fromkeys(("$in", "$any", "$all"), (1,)),
        **dict.fromkeys(("$like", "$ilike"), "a%"),
        **dict.fromkeys(("$contains", "$prefix"), "a"),
        **dict.fromkeys(("$exists", "$empty"), True),
        "$between": [1, 2],
        "$text": "pain",
    }
    assert {*some, "$ne", "$nin"} == set(OPERANDS)
    for op, operand in some.items():
        count = sum(matches({"a": {op: operand}}, record) for record in records)
        assert 0 < count < len(records), op


@pytest.mark.parametrize("op", ["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"])
@pytest.mark.parametrize("operand", [*DATES, *PARTIAL], ids=str)
def test_every_date_compares_with_every_stored_text_as_the_predicate_says(op: str, operand: Any) -> None:
    records = [{"a": value} for value in VALUES]
    node = parse({"a": {op: operand}})
    assert node is not None
    assert mask(node, grown(records)).tolist() == [matches({"a": {op: operand}}, record) for record in records]


@pytest.mark.parametrize("operand", [d for d in DATES if isinstance(d, date)], ids=str)
def test_of_before_within_and_after_exactly_one_holds_for_each_date(operand: Any) -> None:
    """Else a record would fall between two filters, or be counted by both."""
    dated = [text for text in VALUES if isinstance(text, str) and date_span(text)]
    columns = grown([{"a": text} for text in dated])
    nodes = [parse({"a": {op: operand}}) for op in ("$lt", "$eq", "$gt")]
    assert [sum(held) for held in zip(*(mask(node, columns) for node in nodes if node), strict=True)] == [1] * len(
        dated
    )
