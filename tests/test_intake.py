"""What both adapters do with a framework's documents before a collection sees them."""

from __future__ import annotations

import datetime
import enum
import json
import logging
import math
import uuid
from collections import OrderedDict, namedtuple
from decimal import Decimal
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import DuplicateIdError, InvalidDocumentError, InvalidInputError, NotANumberError
from bedside.intake import Intake, storable, utf8


class Role(str, enum.Enum):
    DOCTOR = "doctor"


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    """A str subclass, as some parsers give."""


UTC = datetime.timezone.utc
FORMS: list[tuple[Any, Any]] = [
    (datetime.date(2024, 5, 31), "2024-05-31"),
    (datetime.datetime(2024, 5, 31, 9, 30, tzinfo=UTC), "2024-05-31T09:30:00+00:00"),
    (datetime.time(9, 30), "09:30:00"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (Path("/letters/1.pdf"), "/letters/1.pdf"),
    (PureWindowsPath(r"c:\letters"), r"c:\letters"),
    ((1, (2,)), [1, [2]]),
    (namedtuple("Span", "start end")(0, 4), [0, 4]),
    (Role.DOCTOR, "doctor"),
    (Level.HIGH, 3),
    (Name("Jane"), "Jane"),
    (OrderedDict(b=1, a=Role.DOCTOR), {"b": 1, "a": "doctor"}),
    ({Role.DOCTOR: 1}, {"doctor": 1}),
    (np.float32(0.5), 0.5),
    (np.int8(3), 3),
    (np.bool_(True), True),
    (np.str_("x"), "x"),
    (np.array(3), 3),
    (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    (np.array(["a", None], dtype=object), ["a", None]),
    (np.datetime64("2024-05-31"), "2024-05-31"),
    (np.datetime64("2024-05"), "2024-05"),
    (np.datetime64("2024-05-31T09:30:00.123456789"), "2024-05-31T09:30:00.123456"),
]


@pytest.mark.parametrize(("value", "form"), FORMS, ids=lambda value: type(value).__name__)
def test_what_has_one_obvious_form_is_stored_as_it(value: Any, form: Any) -> None:
    """At the top and at depth, as exactly the JSON types that come back from the collection."""
    notes, intake = Collection.open(), Intake()
    given = Document("BP.", {"value": value, "deep": [{"value": value}]}, "n1", vector=[1, 0])
    intake.add(notes, intake.taken(notes, [given]))
    assert notes.get(["n1"])[0].metadata == {"value": form, "deep": [{"value": form}]}
    assert type(storable(value)) is type(form)
    assert given.metadata["value"] is value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(value=JSON)
def test_what_is_json_already_stays_as_it_is(value: Any) -> None:
    assert json.dumps(storable(value)) == json.dumps(value)


@pytest.mark.parametrize("value", [{1, 2}, b"x", Decimal("0.1"), object(), 1j, datetime.timedelta(1), {7: 1}])
def test_what_has_no_obvious_form_is_refused_by_name(value: Any) -> None:
    notes, intake = Collection.open(), Intake()
    with pytest.raises(InvalidDocumentError, match=r"documents\[0\]\.metadata\.value"):
        intake.add(notes, intake.taken(notes, [Document("BP.", {"value": value}, vector=[1, 0])]))


def test_a_circle_is_refused_and_not_followed_for_ever() -> None:
    circle: list[Any] = []
    circle.append(circle)
    notes, intake = Collection.open(), Intake()
    with pytest.raises(InvalidDocumentError, match="nested deeper"):
        intake.add(notes, intake.taken(notes, [Document("BP.", {"value": circle}, vector=[1, 0])]))


class NoTime(datetime.datetime):
    """As pandas' NaT: a datetime that is unlike itself."""

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = datetime.datetime.__hash__


def test_what_pandas_calls_missing_is_missing_and_its_columns_are_refused_by_name() -> None:
    pandas = pytest.importorskip("pandas")
    notes, null = Collection.open(), Intake(on_nan="null")
    null.add(notes, null.taken(notes, [Document("BP.", {"value": pandas.NA}, "n1", vector=[1, 0])]))
    assert notes.get(["n1"])[0].metadata == {"value": None}
    with pytest.raises(NotANumberError, match=r"metadata.value"):
        Intake().add(notes, Intake().taken(notes, [Document("BP.", {"value": pandas.NA}, vector=[1, 0])]))
    for value, kind in ((pandas.NA, "NAType"), (pandas.Series([1]), "Series")):
        with pytest.raises(InvalidDocumentError, match=f"metadata.value: expected a JSON value .*, got {kind}"):
            notes.add([Document("BP.", {"value": value}, vector=[1, 0])])


@pytest.mark.parametrize("nan", [math.nan, np.float32("nan"), np.datetime64("NaT"), NoTime(1, 1, 1), [math.nan]])
def test_a_nan_is_an_error_of_its_own_name_or_null_by_choice(nan: Any) -> None:
    notes, null = Collection.open(), Intake(on_nan="null")
    for intake in (Intake(), Intake(on_unstorable="raise")):
        with pytest.raises(InvalidDocumentError, match=r"metadata\.value"):
            intake.add(notes, intake.taken(notes, [Document("BP.", {"value": nan}, vector=[1, 0])]))
    with pytest.raises(NotANumberError, match="is NaN, which JSON cannot say"):
        notes.add(Intake().taken(notes, [Document("BP.", {"value": nan}, vector=[1, 0])]))
    null.add(notes, null.taken(notes, [Document("BP.", {"value": nan}, "n1", vector=[1, 0])]))
    assert notes.get(["n1"])[0].metadata["value"] in (None, [None])
    with pytest.raises(InvalidDocumentError, match="infinity"):
        null.add(notes, null.taken(notes, [Document("BP.", {"value": math.inf}, vector=[1, 0])]))


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("a \ud835 b", "a \ufffd b"),
        ("\ud835\udc65", "\U0001d465"),
        ("\udc65\ud835", "\ufffd\ufffd"),
        ("µg ≥ 5", "µg ≥ 5"),
    ],
)
def test_broken_characters_of_a_text_are_replaced_and_those_of_metadata_and_ids_refused(
    broken: str, whole: str
) -> None:
    """A scope or an id must never become another one's by it."""
    notes, intake = Collection.open(), Intake()
    intake.add(notes, intake.taken(notes, [Document(broken, id="n1", vector=[1, 0])]))
    assert notes.get(["n1"])[0].text == whole == utf8(broken)
    if broken != whole:
        for bad in (Document("BP.", {"patient": broken}, vector=[1, 0]), Document("BP.", id=broken, vector=[1, 0])):
            with pytest.raises(InvalidDocumentError, match="lone surrogate"):
                intake.add(notes, intake.taken(notes, [bad]))


def test_nothing_is_converted_where_that_is_asked_for() -> None:
    notes, intake = Collection.open(), Intake(on_unstorable="raise")
    for bad in (Document("BP.", {"seen": datetime.date(2024, 1, 1)}, vector=[1, 0]), Document("\ud835", vector=[1, 0])):
        with pytest.raises(InvalidDocumentError):
            intake.add(notes, intake.taken(notes, [bad]))
    assert len(notes) == 0


def test_the_last_of_an_id_counts_within_its_scope_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of the texts, ids or scopes is in the log."""
    notes, intake = Collection.open(scope_keys=["patient"]), Intake()
    given = [
        Document("First.", {"patient": "A"}, "Doe", vector=[1, 0]),
        Document("Other's.", {"patient": "B"}, "Doe", vector=[1, 0]),
        Document("Last.", {"patient": "A"}, "Doe", vector=[0, 1]),
    ]
    with caplog.at_level(logging.WARNING, "bedside"):
        assert intake.add(notes, intake.taken(notes, given)) == ["Doe"] * 3
    assert [r.getMessage() for r in caplog.records] == [
        "1 documents were replaced by later ones of the same call that have their ids"
    ]
    assert [d.text for d in notes.scoped(patient="A")] == ["Last."]
    assert [d.text for d in notes.scoped(patient="B")] == ["Other's."]
    with pytest.raises(DuplicateIdError):
        notes.add(given)


def test_a_view_knows_that_its_documents_are_of_one_scope() -> None:
    view, intake = Collection.open(scope_keys=["patient"]).scoped(patient="A"), Intake()
    given = [Document("First.", {"patient": "A"}, "n1", vector=[1, 0]), Document("Last.", {}, "n1", vector=[1, 0])]
    intake.add(view, intake.taken(view, given))
    assert [d.text for d in view] == ["Last."]


def test_equal_documents_and_documents_without_ids_are_not_replaced(caplog: pytest.LogCaptureFixture) -> None:
    notes, intake = Collection.open(), Intake()
    given = [Document("Same.", id="n1", vector=[1, 0])] * 2 + [Document(text, vector=[1, 0]) for text in ("a", "b")]
    with caplog.at_level(logging.WARNING, "bedside"):
        assert len(intake.add(notes, intake.taken(notes, given))) == 4
    assert [d.text for d in notes] == ["Same.", "a", "b"]
    assert not caplog.records


def test_bad_documents_are_left_out_and_listed_or_refuse_the_call() -> None:
    """The list grows from call to call; places are those of the documents given."""
    given = [
        Document("Good.", id="n1", vector=[1, 0]),
        Document("Also.", id="n1", vector=[1, 0]),
        Document(" ", id="n2"),
        Document("Set.", {"value": {1}}, "n3", vector=[1, 0]),
    ]
    notes, strict, lenient = Collection.open(), Intake(), Intake(on_bad_document="skip")
    with pytest.raises(InvalidDocumentError, match=r"documents\[2\].*n2"):
        strict.add(notes, strict.taken(notes, given))
    assert len(notes) == 0
    assert lenient.add(notes, lenient.taken(notes, given)) == ["n1", "n1"]
    assert [(s.index, s.id) for s in lenient.skipped] == [(2, "n2"), (3, "n3")]
    assert ["text: empty" in s.reason or "metadata.value" in s.reason for s in lenient.skipped] == [True, True]
    lenient.add(notes, [Document("\t", id="n4")])
    assert [s.id for s in lenient.skipped] == ["n2", "n3", "n4"]


@pytest.mark.parametrize("wrong", [{"on_unstorable": "skip"}, {"on_nan": None}, {"on_bad_document": "ignore"}])
def test_a_setting_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=f"^{next(iter(wrong))}: expected one of"):
        Intake(**wrong)
