"""What counts as one number, dose or day, however it is written."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.answers.facts import agree, facts, level

SAME = [
    ["500 mg", "500mg", "500-mg", "0.5 g", "500 milligrams", "500.0 mg", "500\u00a0mg"],
    ["5 µg", "5 μg", "5 mcg", "5 micrograms", "0.005 mg"],
    ["1,200 mL", "1200 ml", "1.2 L", "1.2 liters"],
    ["8.2 %", "8.2%", "8.2 percent"],
    ["0.5 tablets", ".5 tablets", "0.50 tab"],
    ["two weeks", "2 weeks", "2-week", "2 wk"],
    ["BID", "b.i.d.", "twice daily", "twice a day", "two times a day", "every 12 hours", "q12h", "twice\ndaily"],
    ["TID", "three times daily", "q8h", "every eight hours"],
    ["daily", "once daily", "once a day", "every day", "q.d.", "nightly"],
    ["once weekly", "weekly", "every week"],
    ["as needed", "PRN", "p.r.n.", "as\nneeded"],
    ["2024-05-06", "May 6, 2024", "6 May 2024", "5/6/2024", "05/06/24", "May 6th, 2024", "the 6th of May 2024"],
    ["120/80", "120 / 80"],
    ["150 to 190 mg/dL", "150-190 mg/dl", "150–190 mg per dL"],
    ["2x3 cm", "2 × 3 cm", "20 x 30 mm"],
    ["98.6 °F", "98.6 degrees Fahrenheit", "98.6 F"],
    ["E11.22", "e11.22"],
    ["IL-6", "IL‑6"],
]
DIFFERENT = [
    ("500 mg", "500 mcg"),
    ("500 mg", "50 mg"),
    ("1.4 mg/dL", "1.4 mmol/L"),
    ("BID", "TID"),
    ("daily", "weekly"),
    ("every other day", "every day"),
    ("2024-05-06", "2024-06-06x"),
    ("2024-05-06", "May 7, 2024"),
    ("2024-05-06", "May 6, 2023"),
    ("May 2024", "June 2024"),
    ("120/80", "120/90"),
    ("E11.22", "E11.23"),
    ("2 weeks", "2 days"),
]


def matched(asked: str, said: str) -> bool:
    """Whether a source says all that an answer says."""
    wanted, there = facts(f"Takes {asked} now."), facts(f"Takes {said} now.")
    assert wanted
    return all(any(agree(one, other) for other in there) for one in wanted)


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: spellings[0])
def test_spellings_of_one_thing_are_one_fact(spellings: list[str]) -> None:
    assert [(a, b) for a in spellings for b in spellings if not matched(a, b)] == []


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_things_are_not(one: str, other: str) -> None:
    assert not matched(one, other)
    assert not matched(other.rstrip("x"), one)


def test_an_answer_may_say_less_than_its_source_and_not_more() -> None:
    assert matched("May 2024", "2024-05-06")
    assert not matched("2024-05-06", "May 2024")
    assert matched("1.4", "1.4 mg/dL")
    assert not matched("1.4 mg/dL", "1.4")
    assert matched("120/80 mmHg", "120/80")


def test_the_numbers_of_list_items_are_none() -> None:
    assert facts("1. Rest.\n2) Fluids.\n (3) Aspirin.") == []


@given(st.text(alphabet=string.printable + "µ–×’İßé½²", max_size=80))
def test_facts_of_any_text_lie_within_it_in_order(text: str) -> None:
    found = facts(text)
    assert len(level(text)) == len(text)
    assert all(0 <= fact.start < fact.end <= len(text) for fact in found)
    assert [fact.start for fact in found] == sorted(fact.start for fact in found)
    assert all(agree(fact, fact) for fact in found)
