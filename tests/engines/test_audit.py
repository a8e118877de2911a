"""What an audit trail records of a collection, on every engine: each verb once, and no word of any record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside import Collection, Document
from bedside.audit import AuditLog, acting_as
from bedside.errors import ActorRequired, BrokenTrailError, FilterError, InvalidInputError, ScopeRequired
from engines.conftest import Open

KEY = bytes(range(32))
SECRETS = ("Nitroglycerin", "pressure", "MRN-", "visit-", "Vasquez", "drop-", "cardiology")


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit", key=KEY)


def note(number: int, patient: str, **metadata: Any) -> Document:
    text = f"Nitroglycerin for chest pressure, number {number}. Seen by Dr. Vasquez."
    return Document(text, {"patient_id": f"MRN-{patient}", "ward": "cardiology", **metadata}, f"visit-{number}")


def lines(audit: AuditLog) -> list[dict[str, Any]]:
    return list(audit.entries())


def named(audit: AuditLog, *ids: str) -> list[str]:
    return [audit.names.name("id", id) for id in ids]


def test_each_verb_from_outside_is_one_line_and_none_holds_a_word_of_a_record(
    open_: Open, audit: AuditLog, tmp_path: Path
) -> None:
    notes = open_(scope_keys=["patient_id"], audit=audit)
    view = notes.scoped(patient_id="MRN-A")
    both, whole = named(audit, "visit-1", "visit-2"), named(audit, "visit-9", "visit-9#0")
    again = Document("Chest pressure. Nitroglycerin.", {}, "visit-9")
    mine = view._audit.scope({"patient_id": "MRN-A"})
    did: list[tuple[str, Callable[[], object], dict[str, Any]]] = [
        ("add", lambda: notes.add([note(1, "A"), note(2, "B")]), {"ids": both, "count": 2}),
        ("add_batches", lambda: notes.add_batches([[note(3, "A")], [note(4, "A")]]), {"count": 2}),
        ("search", lambda: view.search("chest pressure", top_k=1), {"ids": named(audit, "visit-1"), "count": 1}),
        ("search", lambda: view.search(["pressure", "chest"], filter={"ward": "cardiology"}), {"count": 6}),
        ("get", lambda: view.get(["visit-1", "visit-2"]), {"asked": both, "count": 1}),
        ("get", lambda: view.get(filter={"ward": "none"}), {"count": 0}),
        ("filtered", lambda: view.filtered(filter={"ward": "cardiology"}), {"count": 3}),
        ("count", lambda: view.count({"ward": "cardiology"}), {"count": 3}),
        ("count", lambda: len(view), {"count": 3}),
        ("contains", lambda: "visit-2" in view, {"asked": named(audit, "visit-2"), "count": 0}),
        ("facets", lambda: view.facets("ward"), {"count": 1}),
        ("stream", lambda: [*view.stream()], {"count": 3}),
        ("add_note", lambda: view.add_note("Chest pressure. Nitroglycerin.", id="visit-9"), {"count": 1}),
        ("get_note", lambda: view.get_note("visit-9"), {"ids": named(audit, "visit-9"), "count": 1}),
        ("search_notes", lambda: view.search_notes("pressure"), {"ids": whole, "count": 1}),
        ("history", lambda: view.history("visit-9"), {"ids": named(audit, "visit-9"), "count": 1}),
        ("add_notes", lambda: view.add_notes([again]), {"count": 1}),
        ("delete_note", lambda: view.delete_note("visit-9"), {"removed": 1}),
        ("update", lambda: view.update(["visit-1"], lambda old: None), {"asked": named(audit, "visit-1")}),
        ("replace", lambda: view.replace([note(5, "A")], ids=["visit-4"]), {"count": 1, "removed": 1}),
        ("delete", lambda: view.delete(filter={"ward": "cardiology", "n": 7}), {"removed": 0}),
        ("delete", lambda: view.delete(["visit-5"]), {"asked": named(audit, "visit-5"), "removed": 1}),
        ("annotate", lambda: view.annotate(lambda text: "drop-label", key="finding"), {"count": 2}),
        ("export", lambda: view.export(tmp_path / "drop-out.jsonl"), {"count": 2}),
        ("import_from", lambda: notes.import_from(tmp_path / "drop-out.jsonl"), {"count": 2}),
        ("export", lambda: notes.export(tmp_path / "drop-all.jsonl", all_scopes=True), {"count": 3}),
        ("scopes", notes.scopes, {"count": 2}),
        ("cohort", lambda: notes.cohort("pressure"), {"count": 2}),
        ("verify", notes.verify, {"count": 3}),
        ("compact", notes.compact, {"count": 3}),
        ("erase", lambda: view.erase(["visit-3"]), {"asked": named(audit, "visit-3"), "removed": 1}),
    ]  # fmt: skip
    with acting_as("dr.x", purpose="treatment"):
        for verb, act, wanted in did:
            before = len(lines(audit))
            act()
            (line,) = lines(audit)[before:]
            assert (line["verb"], line["actor"], line["purpose"]) == (verb, "dr.x", "treatment")
            assert {name: line.get(name) for name in wanted} == wanted, verb
            assert line["collection"] == notes.facts.id
            if verb not in ("add", "add_batches", "import_from", "scopes", "cohort", "verify", "compact", "export"):
                assert line["scopes"] == [mine], verb
    assert {line["verb"] for line in audit.entries(id="visit-2")} == {"add", "get", "contains"}
    assert mine in lines(audit)[0]["scopes"]
    written = b"".join(file.read_bytes() for file in audit.path.iterdir())
    assert not [secret for secret in SECRETS if secret.lower().encode() in written.lower()]
    assert audit.verify().lines == len(did) + 1


def test_questions_and_filters_that_are_the_same_have_the_same_hmac_and_no_others(open_: Open, audit: AuditLog) -> None:
    notes = open_(audit=audit)
    with acting_as("dr.x"):
        for query, filter in (("pain", {"a": 1, "b": 2}), ("pain", {"b": 2, "a": 1}), ("cough", {"a": 1})):
            notes.search(query, filter=filter)
    asked = [(*line["query"], line["filter"]) for line in lines(audit)]
    assert asked[0] == asked[1]
    assert not set(asked[2]) & set(asked[0])


def test_what_cannot_be_recorded_is_neither_answered_nor_changed(open_: Open, audit: AuditLog, tmp_path: Path) -> None:
    notes = open_(audit=audit)
    with acting_as("dr.x"):
        notes.add([Document("Chest pain.", {}, "a")])
        (file,) = audit.path.glob("audit-*")
        file.rename(tmp_path / "elsewhere")
        verbs: list[Callable[[], object]] = [
            *(lambda: notes.search("pain"), lambda: notes.get(["a"]), notes.stream, notes.compact),
            *(lambda: notes.add(["Cough."]), lambda: notes.add_batches([["Cough."]]), lambda: notes.delete(["a"])),
            *(lambda: notes.erase(["a"]), lambda: notes.replace(["Cough."], ids=["a"])),
            *(lambda: notes.update(["a"], lambda old: Document("Cough.", {}, old.id)), lambda: notes.export("out.csv")),
        ]
        for verb in verbs:
            with pytest.raises(BrokenTrailError):
                verb()
        assert not Path("out.csv").exists()
        (tmp_path / "elsewhere").rename(file)
        assert [(found.id, found.text) for found in notes] == [("a", "Chest pain.")]


def test_a_verb_that_fails_leaves_the_name_of_its_error(open_: Open, audit: AuditLog) -> None:
    notes = open_(scope_keys=["patient_id"], audit=audit)
    with acting_as("dr.x"):
        with pytest.raises(ScopeRequired):
            notes.search("pain")
        with pytest.raises(FilterError):
            notes.scoped(patient_id="A").get(filter={"$no": 1})
        with pytest.raises(InvalidInputError):
            notes.scoped(patient_id="A").export("notes.unknown")
    told = [(line["verb"], line["error"], line.get("of")) for line in lines(audit) if "error" in line]
    assert told == [("search", "ScopeRequired", None), ("get", "FilterError", None), ("export", "InvalidInputError", 3)]


def test_without_an_actor_nothing_is_done_and_without_a_purpose_nothing_that_shows_every_scope(
    open_: Open, audit: AuditLog, tmp_path: Path
) -> None:
    notes = open_(scope_keys=["patient_id"], audit=audit)
    with pytest.raises(ActorRequired, match=r"add: .* who acts; use with bedside.audit.acting_as"):
        notes.add([note(1, "A")])
    with acting_as("dr.x"):
        assert len(notes) == 0
        notes.add([note(1, "A")])
        every: list[Callable[[], object]] = [
            notes.scopes,
            lambda: notes.export(tmp_path / "all.csv", all_scopes=True),
            lambda: notes.copy_to(tmp_path / "copy"),
        ]
        for verb in every:
            with pytest.raises(ActorRequired, match="shows every scope, and it is not said what for"):
                verb()
        assert not (tmp_path / "all.csv").exists()
        assert notes.scoped(patient_id="MRN-A").count() == 1
        notes.compact()  # shows nothing
    with acting_as("dr.x", purpose="audit 7"):
        for verb in every[:2]:
            verb()
    assert [line["verb"] for line in audit.entries() if line.get("purpose")] == ["scopes", "export"]


def test_a_collection_without_a_trail_needs_nobody(open_: Open) -> None:
    notes = open_()
    notes.add(["Chest pain."])
    assert [hit.text for hit in notes.search("pain")] == ["Chest pain."]
    assert isinstance(notes, Collection)
