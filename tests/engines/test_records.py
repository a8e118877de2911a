"""Records: what goes in comes out, each call is whole or nothing, and what is gone is gone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from bedside import Collection, Document, engines
from bedside.encoding import Encoding
from bedside.engines.embedded import EmbeddedEngine
from bedside.engines.embedded.log.manifest import Manifest, log_name
from bedside.engines.embedded.log.storage import MemoryStorage
from bedside.engines.facts import Batch
from bedside.engines.protocol import Selection
from bedside.engines.reports import Written
from bedside.errors import (
    BedsideError,
    BedsideWarning,
    CollectionClosedError,
    DuplicateIdError,
    EncoderRequired,
    FilterError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    ReadOnlyError,
    ScopeMismatch,
    ScopeRequired,
)
from bedside.search.settings import SparseSettings
from bedside.skipping import Skipped
from engines.conftest import KEYS, Open
from engines.reference import everything
from filters.predicate import filters, matches, records

HOSTILE: dict[str, Any] = {
    "µ·\u2028": "é\n\t\U0001f9e0", "big": [2**63 - 1, -(2**63), 2**53 + 1, 1e300, -0.0, 0.1],
    "a.b": {"": None, "c": [True, False, {"d": []}]}, "none": None, "$gt": "not an operator here",
}  # fmt: skip


def some(count: int = 6, **metadata: Any) -> list[Document]:
    return [
        Document(f"Note {i} of {i % 2}.", {"n": i, "odd": i % 2, **metadata}, f"d{i}", [1, i]) for i in range(count)
    ]


def says(notes: Collection) -> Any:
    """What can be asked of a collection, in one value."""
    return everything(notes), notes.facets("n"), notes.search("note", vector=[1, 2], top_k=50, explain=True)


def ids(documents: Sequence[Document]) -> list[Any]:
    return [document.id for document in documents]


@pytest.fixture
def notes(open_: Open) -> Collection:
    collection = open_()
    collection.add(some())
    return collection


def test_documents_come_back_exactly_in_insertion_order(open_, rng) -> None:
    notes, vectors = open_(), rng.normal(size=(3, 5)).astype(np.float32)
    vectors[1] = [1e-30, -0.0, 3e38, np.float32(1e-45), 1]
    given_ = [Document(f"tab\t {i} \u2028 µ", HOSTILE | {"i": i}, f"../{i} é", vectors[i]) for i in (2, 0, 1)]
    assert notes.add(given_) == ids(given_)
    assert everything(notes) == [(d.id, d.text, d.metadata, d.vector.tobytes()) for d in given_]
    assert math.copysign(1, notes.get(["../0 é"])[0].metadata["big"][4]) == -1
    assert list(notes) == notes.get(filter={}) == [Document(d.text, d.metadata, d.id) for d in given_]


def test_u0000_comes_back_exactly_or_is_refused_by_name(open_, place) -> None:
    notes, document = open_(), Document("a\0b", {"k\0": ["\0", {"in": "a\0b"}], "n": 1}, "i\0d", [1, 2])
    in_text = Document("a\0b", {"list": [{"in": "a\0b"}]}, "text", [1, 2])
    notes.add([in_text])
    if str(place()).startswith("postgresql:"):  # the one engine that may: its server's strings have none
        with pytest.raises(InvalidDocumentError, match=r"documents\[0\]\.id: holds U\+0000"):
            notes.add([document])
        with pytest.raises(InvalidDocumentError, match=r"documents\[0\]\.metadata.* holds U\+0000"):
            notes.add([Document(document.text, document.metadata, "id", document.vector)])
        assert notes.get(filter={}) == [Document("a\0b", {"list": [{"in": "a\0b"}]}, "text")]
        return
    notes.add([document])
    assert notes.get(["text", "i\0d"]) == [Document(d.text, d.metadata, d.id) for d in (in_text, document)]


def test_a_document_without_an_id_gets_one_and_bare_texts_are_documents(open_) -> None:
    notes = open_()
    first, second = notes.add(["One.", Document("Two.", {"n": 2})])
    assert first != second
    assert notes.get([second, first]) == [Document("Two.", {"n": 2}, second), Document("One.", {}, first)]


def test_adding_an_id_again_replaces_the_record_and_moves_it_to_the_end(notes) -> None:
    assert notes.add([Document("New.", {"new": True}, "d1", [3, 3])]) == ["d1"]
    assert ids(notes.get(filter={})) == ["d0", "d2", "d3", "d4", "d5", "d1"]
    assert notes.get(["d1"], include_vectors=True) == [Document("New.", {"new": True}, "d1", [3, 3])]
    assert notes.count({"n": 1}) == notes.search("1", mode="sparse", filter={"n": 1}).__len__() == 0
    assert len(notes) == notes.count() == 6


def test_get_keeps_the_order_asked_and_pages_in_insertion_order(notes) -> None:
    assert ids(notes.get(["d4", "none", "d0", "d2"])) == ["d4", "d0", "d2"]
    assert ids(notes.get(["d4", "d0", "d2"], offset=1, limit=1)) == ["d0"]
    assert ids(notes.get(["d4", "d1", "d0"], filter={"odd": 0})) == ["d4", "d0"]
    assert ids(notes.get(filter={"odd": 0}, offset=1, limit=5)) == ["d2", "d4"]
    assert notes.get([]) == notes.get(filter={}, limit=0) == notes.get(filter={}, offset=9) == []
    assert ("d1" in notes, "none" in notes, 1 in notes) == (True, False, False)


def test_a_stream_yields_the_records_as_they_were_when_it_began(notes) -> None:
    stream, some_ = notes.stream(include_vectors=True), notes.stream(filter={"odd": 1})
    assert next(stream).id == "d0"
    notes.add([Document("Changed.", {}, "d1", [9, 9]), Document("More.", {}, "d9", [9, 9])])
    notes.delete(filter={})
    assert list(stream) == some()[1:]
    assert ids(list(some_)) == ["d1", "d3", "d5"]
    assert list(notes) == []


def test_delete_takes_ids_or_a_filter_or_both_and_counts_what_was_there(notes) -> None:
    assert notes.delete(["d0", "none", "d0"]) == 1
    assert notes.delete(["d1", "d2"], filter={"odd": 1}) == 1
    assert notes.delete(filter={"n": {"$gt": 4}}) == 1
    assert notes.delete([]) == notes.delete(filter={"n": 99}) == 0
    assert ids(notes.get(filter={})) == ["d2", "d3", "d4"]
    assert sorted(hit.id for hit in notes.search("note", vector=[1, 1], top_k=9)) == ["d2", "d3", "d4"]


def test_replace_puts_and_removes_in_one_step(notes) -> None:
    assert notes.replace([Document("New.", {"odd": 1}, id, [2, 2]) for id in ("d1", "x")], filter={"odd": 1}) == [
        "d1", "x",
    ]  # fmt: skip
    assert ids(notes.get(filter={})) == ["d0", "d2", "d4", "d1", "x"]
    assert notes.replace([], ids=["x", "none"]) == []
    assert ids(notes.get(filter={})) == ["d0", "d2", "d4", "d1"]


def test_update_replaces_what_the_change_returns_and_leaves_the_rest(notes) -> None:
    seen: list[Document] = []

    def change(document: Document) -> Document | None:
        seen.append(document)
        return None if document.id == "d3" else Document("Changed.", {"was": document.metadata}, document.id, [7, 7])

    before = everything(notes)
    assert notes.update(["d3", "none", "d2"], change) == 1
    assert seen == [some()[3], some()[2]]
    assert [each for each in everything(notes) if each[0] != "d2"] == [each for each in before if each[0] != "d2"]
    assert notes.get(["d2"], include_vectors=True) == [Document("Changed.", {"was": some()[2].metadata}, "d2", [7, 7])]


FACETS: list[Any] = ["x", ["x", "y", "x"], 1, 1.0, True, [True, 1, None], None, {"k": "x"}, [], ["y", ["x"]], ...]


def test_facets_count_each_scalar_once_a_record_with_the_most_frequent_first(open_) -> None:
    notes = open_()
    notes.add(Document("t", {} if v is ... else {"f": v}, str(i), [1, 0]) for i, v in enumerate(FACETS))
    notes.add([Document("t", {"f": "dead"}, "dead", [1, 0])])
    notes.delete(["dead"])
    found = notes.facets("f")
    assert sorted((type(v).__name__ if not isinstance(v, float) else "int", v, n) for v, n in found if n == 2) == [
        ("NoneType", None, 2), ("bool", True, 2), ("str", "x", 2), ("str", "y", 2),
    ]  # fmt: skip
    assert [(value, n) for value, n in found if n != 2] == [(1, 3)]
    assert found[0] == (1, 3)
    assert notes.facets("f.k") == [("x", 1)]
    assert dict(notes.facets("f", filter={"f": {"$contains": "y"}})) == {"x": 1, "y": 2}
    assert notes.facets("none") == []


@settings(
    max_examples=60,
    report_multiple_bugs=False,  # a group of failures is no AssertionError, see the test of the suite itself
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(metadatas=records.flatmap(lambda one: records.map(lambda other: [one, other, {}])), filter=filters)
def test_a_filter_selects_what_the_predicate_selects_for_every_verb(open_, metadatas, filter) -> None:
    notes = open_()
    notes.add([Document("pain", metadata, str(i), [1, i]) for i, metadata in enumerate(metadatas)])
    expected = [str(i) for i, metadata in enumerate(metadatas) if matches(filter, metadata)]
    assert ids(notes.get(filter=filter)) == ids(list(notes.stream(filter=filter))) == expected
    assert notes.count(filter) == len(expected)
    for mode in ("dense", "sparse", "hybrid"):
        assert {hit.id for hit in notes.search("pain", vector=[1, 1], mode=mode, filter=filter)} == set(expected)
    facets: Counter[str] = Counter()
    for value in (metadatas[int(id)]["a"] for id in expected if "a" in metadatas[int(id)]):
        facets.update({each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)})
    assert {value: n for value, n in notes.facets("a", filter=filter) if isinstance(value, str)} == facets
    assert notes.delete(filter=filter) == len(expected)
    assert notes.count() == len(metadatas) - len(expected)


WRONG: list[tuple[Callable[[Collection], Any], type[BedsideError]]] = [
    (lambda c: c.add([*some(3, new=1), Document("t", {}, "", [1, 2])]), InvalidDocumentError),
    (lambda c: c.add([*some(3, new=1), Document("t", {"f": object()}, "x", [1, 2])]), InvalidDocumentError),
    (lambda c: c.add([*some(3, new=1), Document("t", {"f": math.nan}, "x", [1, 2])]), InvalidDocumentError),
    (lambda c: c.add([*some(3, new=1), Document("t", {}, "x", [1, 2, 3])]), InvalidVectorError),
    (lambda c: c.add([*some(3, new=1), Document("t", {}, "x", [0, 0])]), InvalidVectorError),
    (lambda c: c.add([*some(3, new=1), Document("t", {}, "x", [math.inf, 0])]), InvalidVectorError),
    (lambda c: c.add([*some(3, new=1), Document("t", {}, "x")]), EncoderRequired),
    (lambda c: c.add([*some(3, new=1), *some(1)]), DuplicateIdError),
    (lambda c: c.add_batches([some(3, new=1), [Document("t", {}, "x", [1, 2, 3])]]), InvalidVectorError),
    (lambda c: c.add_batches([some(3, new=1), some(1)]), DuplicateIdError),
    (lambda c: c.replace([Document("t", {}, "x", [1, 2, 3])], filter={}), InvalidVectorError),
    (
        lambda c: c.update(["d0", "d1"], lambda d: Document(d.text, {}, d.id, [1] * (2 + d.metadata["n"]))),
        InvalidVectorError,
    ),
    (lambda c: c.update(["d0", "d1"], lambda d: Document(d.text, {}, d.id)), EncoderRequired),
    (lambda c: c.update(["d0", "d1"], lambda d: Document(d.text, {}, "d2", [1, 2])), InvalidDocumentError),
    (lambda c: c.delete(), InvalidInputError),
    (lambda c: c.erase(), InvalidInputError),
    (lambda c: c.get(), InvalidInputError),
    (lambda c: c.delete(filter={"n": {"$nope": 1}}), FilterError),
    (lambda c: c.search("note", vector=[1, 2, 3]), InvalidVectorError),
    (lambda c: c.search("note", vector=[1, 2], top_k=0), InvalidInputError),
]


@pytest.mark.parametrize(("call", "error"), WRONG)
def test_a_call_that_is_refused_changes_nothing(notes, call, error) -> None:
    before = says(notes)
    with pytest.raises(error):
        call(notes)
    assert says(notes) == before
    assert notes.add(some(1)) == ["d0"]


def test_batches_become_visible_together_and_what_their_source_raises_comes_out_as_it_is(notes) -> None:
    before = everything(notes)

    def batches(error: Exception | None) -> Iterator[list[Document]]:
        yield some(3, new=1)
        assert notes.count() == len(before)  # not yet
        yield [Document("t", {}, f"x{i}", [1, 2]) for i in range(2_000)]
        if error:
            raise error
        yield [Document("t", {}, "last", [1, 2])]

    lost = ConnectionError("the source is gone")
    with pytest.raises(ConnectionError) as raised:
        notes.add_batches(batches(lost))
    assert raised.value is lost
    assert everything(notes) == before
    assert notes.add_batches(batches(None)) == 2_004
    assert notes.count() == 3 + 2_001 + 3
    assert notes.count({"new": 1}) == 3


def test_an_empty_batch_among_others_loses_nothing(notes) -> None:
    assert notes.add_batches([[], [Document("t", {}, "x", [1, 2])], [], [Document("t", {}, "y", [1, 2])]]) == 2
    assert ids(notes.get(["x", "y"])) == ["x", "y"]


def made(wrong: list[float]) -> Any:
    """An encoder that gives the text "bad" a wrong vector."""

    class Encoder:
        name, fingerprint, dimension = "made", "made-1", 2

        def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
            return np.array([wrong if text == "bad" else [1, 2] for text in texts], np.float32)

        encode_queries = encode_documents

    return Encoder()


BAD: list[tuple[dict[str, Any], Document]] = [
    ({}, Document("t", {}, "mine", [1, 2, 3])),
    ({}, Document("t", {}, "mine", [0, 0])),
    ({}, Document("t", {}, "mine", [math.nan, 0])),
    ({}, Document("t", {}, "mine")),
    ({}, Document("t", {"k": [object()]}, "mine", [1, 2])),
    ({}, Document("", {}, "mine")),
    ({}, Document("\ud800", {}, "mine", [1, 2])),
    ({"encoder": made([0, 0])}, Document("bad", {}, "mine")),
    ({"encoder": made([math.nan, 0])}, Document("bad", {}, "mine")),
    ({"scope_keys": ["ward"]}, Document("t", {}, "mine", [1, 2])),
]


@pytest.mark.parametrize(("options", "bad"), BAD)
def test_an_error_about_a_document_names_its_place_and_its_id(open_, options, bad) -> None:
    notes = open_(**options)
    fine = [Document("t", {"ward": "W"}, id, [1, 2]) for id in "ab"]
    with pytest.raises(BedsideError, match=r"^documents\[2\]\S* \(id 'mine'\): "):
        notes.add([*fine, bad])
    with pytest.raises(BedsideError, match=r"^documents\[1\]\S* \(id 'mine'\): "):
        notes.add_batches([fine[:1], [fine[1], bad]])
    with pytest.raises(DuplicateIdError, match=r"^documents\[1\]\.id \(id 'a'\): "):
        notes.add_batches([fine[:1], [fine[1], Document("other", {"ward": "W"}, "a", [1, 2])]])
    assert len(notes) == 0


UNSTORABLE = [
    (Document(" \n", {}, "mine"), "text: empty; a document without a vector needs text to be found by"),
    (Document("\ud800", {}, "mine", [1, 2]), "text: holds a lone surrogate, which UTF-8 cannot carry"),
    (
        Document("t", {"k": [math.nan]}, "mine", [1, 2]),
        "metadata.k[0]: is NaN, which JSON cannot say; null, None in Python, says that a value is missing",
    ),
    (Document("t", {}, "mine", [0, 0]), "vector: a zero vector has no direction and cannot be searched by cosine"),
    (Document("t", {}, 7, [1, 2]), "id: expected a non-empty str, got int"),
]


@pytest.mark.parametrize(("bad", "reason"), UNSTORABLE)
def test_a_bad_document_is_left_out_where_that_is_asked_and_named_with_its_place_and_the_reason(
    open_, bad, reason
) -> None:
    notes, fine = open_(), [Document("t", {}, id, [1, 2]) for id in "abc"]
    skipped: list[Skipped] = []
    assert notes.add([fine[0], bad, fine[1]], on_bad_document="skip", skipped=skipped) == ["a", "b"]
    assert notes.add_batches([fine[:1], [fine[2], bad]], on_bad_document="skip", skipped=skipped) == 2
    named = "mine" if bad.id == "mine" else None
    assert skipped == [Skipped(1, named, reason), Skipped(2, named, reason)]
    assert sorted(ids(notes.get(filter={}))) == ["a", "b", "c"]
    assert notes.add([bad], on_bad_document="skip", skipped=[]) == []
    with pytest.warns(BedsideWarning, match=r"^1 documents were skipped: documents\[0\]"):
        notes.add([bad], on_bad_document="skip")


def test_what_is_wrong_with_the_call_is_an_error_also_where_bad_documents_are_skipped(open_) -> None:
    notes = open_(scope_keys=["ward"])
    fine, other = Document("t", {"ward": "W"}, "a", [1, 2]), Document("u", {"ward": "W"}, "a", [1, 2])
    for wrong, error in [
        ([fine, Document("t", {"ward": "V"}, "b", [1, 2])], ScopeMismatch),
        ([fine, Document("t", {}, "b", [1, 2, 3])], InvalidVectorError),
        ([fine, Document("t", {}, "b")], EncoderRequired),
        ([fine, other], DuplicateIdError),
    ]:
        with pytest.raises(error):
            notes.scoped(ward="W").add(wrong, on_bad_document="skip")
    with pytest.raises(ScopeRequired):
        notes.add([fine, Document("t", {}, "b", [1, 2])], on_bad_document="skip")
    with pytest.raises(InvalidInputError, match="on_bad_document: expected one of"):
        notes.add([fine], on_bad_document="ignore")  # type: ignore[arg-type]
    assert len(notes) == 0


def test_equal_documents_of_one_id_are_one_and_both_are_told_by_their_id(open_) -> None:
    notes = open_()
    one, same = Document("t", {"n": 1, "m": [2]}, "a", [1, 2]), Document("t", {"m": [2], "n": 1}, "a", [1.0, 2.0])
    assert notes.add([one, Document("u", {}, "b", [1, 2]), same]) == ["a", "b", "a"]
    assert notes.add_batches([[one], [same, one]]) == 1
    assert len(notes) == 2
    for other in (
        Document("t.", one.metadata, "a", [1, 2]),
        Document("t", {"n": True, "m": [2]}, "a", [1, 2]),
        Document("t", one.metadata, "a", [1, 2.5]),
    ):
        with pytest.raises(DuplicateIdError, match=r"^documents\[1\]\.id \(id 'a'\): given twice"):
            notes.add([one, other])


def test_erase_names_what_it_erased_and_leaves_the_rest(notes) -> None:
    notes.delete(["d5"])
    left = [each for each in everything(notes) if each[0] not in ("d1", "d2")]
    assert sorted(notes.erase(["d1", "none"]).ids) == ["d1"]
    assert sorted(notes.erase(filter={"n": 2}).ids) == ["d2"]
    assert notes.erase(filter={"n": 2}).ids == ()
    assert everything(notes) == left
    assert notes.get(["d1", "d2"]) == []
    assert {hit.id for hit in notes.search("note", vector=[1, 1], top_k=9)} == {"d0", "d3", "d4"}
    notes.add(some(2))
    assert ids(notes.get(filter={})) == ["d3", "d4", "d0", "d1"]


def emptied(notes: Collection) -> int:
    return notes.delete(filter={})


@pytest.mark.parametrize("empty", [emptied, lambda notes: notes.erase(filter={})])
@pytest.mark.parametrize("next_", [[1, 2, 3], None])
def test_a_collection_that_was_emptied_takes_another_dimension(notes, empty, next_) -> None:
    empty(notes)
    notes.add([Document("Three.", {}, "x", next_)])
    assert notes.dimension == len(next_ or ())
    assert [hit.id for hit in notes.search("three", vector=next_)] == ["x"]
    with pytest.raises((InvalidVectorError, EncoderRequired)):
        notes.add(some(1) if next_ else [Document("t", {}, "y", [1, 2])])
    assert ids(notes.get(filter={})) == ["x"]


@pytest.mark.parametrize("next_", [[1, 2, 3], None])
def test_the_other_dimension_of_an_emptied_collection_is_there_when_it_is_opened_again(reopened, next_) -> None:
    with reopened() as notes:
        notes.add(some())
        notes.delete(filter={})
    with reopened() as notes:
        notes.add([Document("Three.", {}, "x", next_)])
        before = everything(notes), notes.search("three", vector=next_)
    with reopened() as notes:
        assert (everything(notes), notes.search("three", vector=next_)) == before
        assert notes.dimension == len(next_ or ())
        notes.add([Document("Three more.", {}, "y", next_)])
        assert len(notes.search("three", vector=next_)) == 2


def test_a_collection_opened_again_is_as_it_was(reopened) -> None:
    with reopened(scope_keys=["ward"], sparse=SparseSettings(k1=0.9, b=0.3)) as notes:
        notes.add([Document(d.text, {**d.metadata, "ward": w}, d.id, d.vector) for w in ("A", 7) for d in some()])
        notes.scoped(ward=7).delete(["d1"])
        notes.scoped(ward=7).add([Document("Again.", {}, "d0", [5, 5])])
        before = [says(notes.scoped(ward=ward)) for ward in ("A", 7)]
        scopes = notes.scopes()
    with reopened() as notes:
        assert (notes.scope_keys, notes.dimension, notes.scopes()) == (("ward",), 2, scopes)
        assert [says(notes.scoped(ward=ward)) for ward in ("A", 7)] == before


def test_a_closed_collection_says_so_to_every_verb(notes) -> None:
    stream = notes.stream()
    notes.close()
    notes.close()
    assert notes.closed
    calls: list[Callable[[], Any]] = [
        lambda: notes.add(some(1)), lambda: notes.get(["d1"]), lambda: notes.count(), lambda: notes.delete(["d1"]),
        lambda: notes.search("note", vector=[1, 2]), lambda: notes.facets("n"), lambda: notes.erase(["d1"]),
        lambda: notes.update(["d1"], lambda d: d), lambda: list(stream),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(CollectionClosedError):
            call()


# -- the suite itself ------------------------------------------------------------------------------------------------


class MetadataFree(EmbeddedEngine):
    """An engine that forgets all metadata."""

    def write(self, batches: Any, remove: Selection | None = None) -> Written:
        bare = (Batch([record._replace(metadata={}) for record in batch.records], batch.encoder) for batch in batches)
        return super().write(bare, remove)


def fails(check: Callable[..., None], *arguments: Any) -> bool:
    try:
        check(*arguments)
    except AssertionError:
        return True
    return False


def test_an_engine_that_forgets_metadata_fails_by_the_name_of_what_it_lacks(rng) -> None:
    def opened() -> Collection:
        engine = MetadataFree(MemoryStorage(Manifest(log=log_name(1), sparse=SparseSettings().to_json())))
        return Collection(engine, Encoding(None, lambda: engine.facts))

    def filled() -> Collection:
        collection = opened()
        collection.add(some())
        return collection

    assert fails(test_documents_come_back_exactly_in_insertion_order, opened, rng)
    assert fails(test_facets_count_each_scalar_once_a_record_with_the_most_frequent_first, opened)
    assert fails(test_a_filter_selects_what_the_predicate_selects_for_every_verb, opened)
    assert fails(test_delete_takes_ids_or_a_filter_or_both_and_counts_what_was_there, filled())
    assert not fails(
        test_a_collection_that_was_emptied_takes_another_dimension, filled(), lambda c: c.delete(filter={}), [1, 2, 3]
    )


def test_a_dropped_collection_is_gone_with_all_scopes_and_its_place_takes_a_new_one(place, engine) -> None:
    where, key = place(), KEYS.get(engine)
    notes = Collection.open(where, scope_keys=["patient_id"], key=key)
    for patient in "AB":
        notes.scoped(patient_id=patient).add([Document("Chest pain.", vector=[1, 0])])
    with pytest.raises(ScopeMismatch):
        notes.scoped(patient_id="A").drop()
    assert len(notes) == 2
    notes.drop()
    with pytest.raises(CollectionClosedError):
        notes.scopes()
    if where is not None:
        assert not engines.holds_collection(where)
    with Collection.open(where, key=key) as new:
        assert (new.scope_keys, len(new)) == ((), 0)


def test_what_is_not_the_collections_own_stays_in_its_folder_when_it_is_dropped(tmp_path) -> None:
    notes = Collection.open(tmp_path / "c")
    (tmp_path / "c" / "readme.txt").write_text("Ward 5")
    with Collection.open(tmp_path / "c", read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.drop()
    notes.drop()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["readme.txt"]
