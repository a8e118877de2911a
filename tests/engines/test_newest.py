"""Newer before older: every engine gives the part of recency and the orders by date that the definitions say."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.errors import InvalidInputError
from bedside.search.recency import Recency
from engines import reference
from engines.charts import chart
from engines.conftest import Open
from engines.test_searching import QUERY, WAYS, WORDS

NOW = datetime(2024, 6, 30, 12, tzinfo=timezone.utc)
DATES = ["2024-06-29", "2024-06-01T08:00+02:00", "2024-05", "2023", "2019-02-03", "2024-06-30T12:00Z", "2025-01-01"]


def begins(date: object) -> datetime | None:
    """When a date of this file's begins."""
    if not isinstance(date, str) or not date[:4].isdigit() or len(date) not in (4, 7, 10, 17, 22):
        return None
    if len(date) <= 10:
        return datetime.fromisoformat(f"{date}{'-01-01'[len(date) - 4 :]}").replace(tzinfo=timezone.utc)
    return datetime.fromisoformat(date.replace("Z", "+00:00"))


@pytest.fixture
def corpus(rng: np.random.Generator) -> list[Document]:
    made = []
    for i in range(80):
        metadata: dict[str, Any] = {"n": i, "date": DATES[rng.integers(len(DATES))]}
        if i % 7 == 3:
            metadata["date"] = [None, "soon", 2024, ["2024-06-29"]][i % 4]
        if i % 5:
            metadata["analyte"] = [f"a{rng.integers(6)}", True, 1, ["x"], ["y"]][i % 5 if i % 3 else 0]
        text = " ".join(rng.choice(WORDS, rng.integers(1, 9)))
        made.append(Document(text, metadata, f"d{i}", rng.normal(size=6).astype(np.float32)))
    return made


@pytest.fixture
def vector(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=6).astype(np.float32)


@pytest.fixture
def notes(open_: Open, corpus: list[Document]) -> Collection:
    collection = open_()
    collection.add([Document("chest", {"date": "2024-06-30", "analyte": "a1"}, id, [1] * 6) for id in ("d3", "gone")])
    collection.add(corpus)
    collection.delete(["gone"])
    return collection


def gain(document: Document, life: timedelta, weight: float) -> float:
    start = begins(document.metadata["date"])
    return 0.0 if start is None else weight * 0.5 ** (max(NOW - start, timedelta(0)) / life)


@pytest.mark.parametrize("way", [way for way in WAYS if way.get("fusion") != "rrf"], ids=str)
def test_recency_adds_what_age_leaves_of_its_weight_and_the_best_are_found_with_it(notes, corpus, vector, way) -> None:
    plain = dict(reference.search(corpus, QUERY, vector, **way, top_k=200))
    is_sparse = way["mode"] == "sparse" or way.get("alpha") == 0
    scale = reference.bm25(corpus, QUERY)[1] if is_sparse else 1.0
    known = {document.id: document for document in corpus}
    expected = reference.best_first(
        {id: score + scale * gain(known[id], timedelta(days=30), 0.4) for id, score in plain.items()}
    )
    ask = {**way, "vector": vector, "as_of": NOW, "explain": True, "recency": "30d:0.4"}
    found = notes.search(QUERY, top_k=7, **ask)
    assert [hit.id for hit in found] == [id for id, _ in expected[:7]]
    assert [hit.score for hit in found] == pytest.approx([score for _, score in expected[:7]], abs=1e-6)
    for hit in found:
        why = hit.explanation
        assert sum((why.dense, why.sparse, *why.signals.values())) == pytest.approx(hit.score, abs=1e-9)
        assert why.signals.get("recency", 0.0) == pytest.approx(
            scale * gain(hit.document, timedelta(days=30), 0.4), abs=1e-9
        )


def test_recency_goes_by_a_key_of_its_own_where_it_names_one(open_: Open) -> None:
    notes = open_()
    notes.add([Document("pain", {"date": d, "issued": i}, i) for d, i in (("2024", "2020"), ("2020", "2024"))])
    for recency in ("issued:1y:0.5", Recency("1y", 0.5, "issued")):
        assert [hit.id for hit in notes.search("pain", mode="sparse", recency=recency)] == ["2024", "2020"]
    found = notes.search("pain", mode="sparse", recency="1y:0.5", date_key="issued")
    assert [hit.id for hit in found] == ["2024", "2020"]
    assert [hit.id for hit in notes.search("pain", mode="sparse", recency="1y:0.5")] == ["2020", "2024"]


def test_being_new_makes_no_hit_of_what_denies_the_question_or_lacks_its_words(open_: Open) -> None:
    notes = open_()
    texts = {"old": "Chest pain on exertion.", "denies": "Denies chest pain.", "other": "Cough since Monday."}
    for id, text in texts.items():
        notes.add([Document(text, {"date": "2010" if id == "old" else "2024-06-29"}, id)])
    ask: dict[str, Any] = {"mode": "sparse", "recency": "30d:1", "as_of": NOW}
    assert [hit.id for hit in notes.search("chest pain", **ask)] == ["old"]
    notes.delete(["old"])
    assert [hit.id for hit in notes.search("chest pain", **ask)] == ["denies"]


def is_latest(document: Document, corpus: list[Document]) -> bool:
    def value(each: Document) -> Any:
        return repr(each.metadata.get("analyte", None))

    times = [(begins(each.metadata["date"]), each) for each in corpus if value(each) == value(document)]
    dated = [start for start, _ in times if start is not None]
    return "analyte" in document.metadata and bool(dated) and begins(document.metadata["date"]) == max(dated)


@pytest.mark.parametrize("more", [{"top_k": 200}, {"top_k": 4}, {"top_k": 5, "offset": 6}], ids=str)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_newest_of_each_value_come_first_each_in_the_order_of_the_ranking(notes, corpus, vector, way, more) -> None:
    latest = [document.id for document in corpus if is_latest(document, corpus)]
    first = reference.search(corpus, QUERY, vector, **way, top_k=200, allowed=lambda d: d.id in latest)
    rest = reference.search(corpus, QUERY, vector, **way, top_k=200, allowed=lambda d: d.id not in latest)
    expected = [*first, *rest][more.get("offset", 0) :][: more["top_k"]]
    found = notes.search(QUERY, vector=vector, **way, **more, latest_by="analyte")
    assert [hit.id for hit in found] == [id for id, _ in expected]
    assert [hit.score for hit in found] == pytest.approx([score for _, score in expected], abs=1e-6)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_newest_first_orders_the_page_and_nothing_else(notes, corpus, vector, way) -> None:
    page = {**way, "top_k": 12, "offset": 3, "vector": vector}
    plain = notes.search(QUERY, **page)
    found = notes.search(QUERY, **page, newest_first=True)
    never = datetime.min.replace(tzinfo=timezone.utc)
    expected = sorted(plain, key=lambda hit: begins(hit.metadata["date"]) or never, reverse=True)
    assert [(hit.id, hit.score) for hit in found] == [(hit.id, hit.score) for hit in expected]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_page_of_the_latest_and_others_is_ordered_by_date_too(notes, vector, way) -> None:
    ask = {**way, "vector": vector, "latest_by": "analyte", "top_k": 9, "offset": 2}
    never = datetime.min.replace(tzinfo=timezone.utc)
    expected = sorted(notes.search(QUERY, **ask), key=lambda hit: begins(hit.metadata["date"]) or never, reverse=True)
    assert [hit.id for hit in notes.search(QUERY, **ask, newest_first=True)] == [hit.id for hit in expected]


@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
def test_the_right_value_is_the_first_however_many_older_ones_match(open_: Open, rng, mode) -> None:
    notes, right = open_(), 0
    analytes = ["HbA1c", "Creatinine", "Potassium", "LDL cholesterol", "Hemoglobin", "TSH"]
    made, newest = [], {}
    for number in rng.permutation(len(analytes) * 150):
        analyte, i = analytes[number % len(analytes)], int(number) // len(analytes)
        day, value = (datetime(2015, 1, 1) + timedelta(days=20 * i)).date().isoformat(), round(5 + rng.random() * 9, 1)
        text = f"{analyte} {value} measured in the laboratory"
        center = np.eye(6)[number % len(analytes)] + rng.normal(size=6) * 0.2
        made.append(Document(text, {"analyte": analyte, "date": day}, f"{analyte} {day}", center.astype(np.float32)))
        if day > newest.get(analyte, ("",))[0]:
            newest[analyte] = (day, f"{analyte} {day}")
    notes.add(made)
    for i, analyte in enumerate(analytes):
        ask = {"vector": np.eye(6)[i].astype(np.float32), "mode": mode, "latest_by": "analyte"}
        right += notes.search(f"What is the {analyte} now?", **ask)[0].id == newest[analyte][1]
    assert right / len(analytes) >= 0.95


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("30d", "expected half-life and weight such as 30d:0.2"),
        ("30:0.2", "expected a half-life such as 36h, 30d, 8w or 1.5y, got '30'"),
        ("0d:0.2", "expected a half-life"),
        ("30d:much", "expected a weight such as 0.2, got 'much'"),
        ("30d:nan", "weight: expected a number from 0 to 1"),
        ("30d:2", "weight: expected a number from 0 to 1"),
        (30, "expected half-life and weight"),
    ],
)
def test_a_recency_that_cannot_be_read_is_refused_by_name(wrong, said) -> None:
    with pytest.raises(InvalidInputError, match=said) as error:
        Collection.open().search("pain", recency=wrong)
    assert str(error.value).startswith("recency: ")


def test_two_orders_at_once_are_refused_and_a_weight_is_finite() -> None:
    with pytest.raises(InvalidInputError, match="latest_by: an order of its own"):
        Collection.open().search("pain", latest_by="analyte", diversity=0.3)
    assert math.isclose(Recency("1y").weight, 0.2)


def test_notes_are_ordered_by_their_own_dates(open_: Open) -> None:
    notes = open_()
    for day, value in (("2023-11-08", 8.2), ("2024-09-02", 7.4), ("2024-02-20", 8.4)):
        notes.add_note(
            f"HPI: Diabetes, doing well.\n\nLABS: HbA1c {value} %.", id=day, metadata={"date": day, "kind": "progress"}
        )
    notes.add_note("LABS: HbA1c 5.6 %.", id="undated", metadata={"kind": "letter"})
    question = "What is the HbA1c?"
    newest = ["2024-09-02", "2024-02-20", "2023-11-08", "undated"]
    assert [hit.id for hit in notes.search_notes(question, newest_first=True)] == newest
    assert [hit.id for hit in notes.search_notes(question, recency="90d:0.9", as_of="2024-09-30")][:2] == newest[:2]
    latest = notes.search_notes(question, latest_by="kind", explain=True)
    assert latest[0].id == "2024-09-02"
    assert {hit.id for hit in latest} == set(newest)


def test_what_a_filter_leaves_is_ordered_by_date_and_grouped_where_there_is_no_question(open_) -> None:
    notes = open_()
    values = [("k", "2024-01-01"), ("na", "2024-03-01"), ("k", "2024-05-01"), (None, "2024-09-01"), ("na", None)]
    notes.add(
        Document(f"r{i}", {"year": 2024, **({"of": of} if of else {}), **({"date": date} if date else {})}, f"r{i}")
        for i, (of, date) in enumerate(values)
    )

    def found(**options):
        return [document.id for document in notes.filtered(filter={"year": 2024}, **options)]

    assert found() == ["r0", "r1", "r2", "r3", "r4"]
    assert found(newest_first=True) == ["r3", "r2", "r1", "r0", "r4"]
    assert found(latest_by="of") == ["r1", "r2", "r0", "r3", "r4"]
    assert found(latest_by="of", newest_first=True, top_k=2, offset=1) == ["r1", "r3"]
    assert found(group_by="of") == ["r0", "r1", "r3"]
    assert found(latest_by="of", group_by="of", top_k=2) == ["r1", "r2"]


OFF: dict[str, Any] = {"as_of": None, "recency": None, "latest_by": None, "newest_first": False, "collapse": None}


@pytest.mark.parametrize("way", [*WAYS, {"group_by": "story"}, {"diversity": 0.3}], ids=str)
def test_dates_versions_and_copies_change_no_bit_of_a_ranking_that_does_not_ask_for_them(open_: Open, way) -> None:
    rng, documents = np.random.default_rng(8), chart(random.Random(8), 5, 0.8)
    plain, dated = [], []
    for i, document in enumerate(documents):
        vector, about = rng.normal(size=6).astype(np.float32), {"story": i % 7}
        versions = {"valid_from": "2019", "valid_to": DATES[i % 5], "supersedes": str(documents[i - 1].id)}
        plain.append(Document(document.text, about, document.id, vector))
        dated.append(Document(document.text, {**about, "date": DATES[i % 7], **versions}, document.id, vector))
    without, with_dates = open_(), open_()
    without.add(plain)
    with_dates.add(dated)
    ask: dict[str, Any] = {"vector": rng.normal(size=6), "top_k": 30, **way}
    for question in (" ".join(documents[at].text.split()[2:8]) for at in (3, -1)):
        answers = [
            [(hit.id, hit.score, hit.dense, hit.sparse) for hit in notes.search(question, **ask, **options)]
            for notes, options in ((without, {}), (with_dates, {}), (with_dates, OFF))
        ]
        assert answers[0]
        assert answers[0] == answers[1] == answers[2]
