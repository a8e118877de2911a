"""Documents that name by their own ids what they replace: ``as_of`` leaves that out, whatever file it is in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside import Collection
from bedside.loaders import LoadReport, load
from bedside.notes.sync import sync
from engines.conftest import Open


def cda(number: int, text: str, replaces: int | None = None) -> str:
    """A letter in CDA, and which one it replaces."""
    old = f'<relatedDocument typeCode="RPLC"><parentDocument><id root="1.2" extension="{replaces}"/></parentDocument>'
    related = "" if replaces is None else f"{old}</relatedDocument>"
    return (
        f'<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2" extension="{number}"/>{related}<component>'
        f"<structuredBody><component><section><title>Plan</title><text>{text}</text></section></component>"
        "</structuredBody></component></ClinicalDocument>"
    )


def fhir(id: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Composition", "id": id, "status": "final", "title": "Letter",
        "section": [{"title": "Plan", "text": {"status": "generated", "div": f"<div>{text}</div>"}}], **more,
    }  # fmt: skip


def replaces(**target: Any) -> dict[str, Any]:
    return {"relatesTo": [{"code": "replaces", **target}]}


def bundle(*resources: tuple[str, dict[str, Any]]) -> str:
    entries = [{"fullUrl": url, "resource": resource} for url, resource in resources]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})


def now(notes: Collection) -> set[str]:
    return {hit.id for hit in notes.search_notes("rest", mode="sparse", as_of="now")}


@pytest.mark.parametrize(
    "names", [("a.xml", "b.xml", "c.xml"), ("c.xml", "b.xml", "a.xml"), ("b.xml", "c.xml", "a.xml")]
)
@pytest.mark.parametrize("way", ["load", "sync"])
def test_letters_of_a_folder_replace_one_another_in_whatever_order_they_are_read(
    open_: Open, tmp_path: Path, names: tuple[str, str, str], way: str
) -> None:
    first, second, third = names
    for name, letter in zip(names, [cda(1, "Rest."), cda(2, "Rest.", 1), cda(3, "Rest.", 2)], strict=True):
        (tmp_path / name).write_text(letter)
    notes = open_()
    if way == "load":
        report = LoadReport()
        notes.add_notes(load(tmp_path, report=report))
        assert report.findings == []
    else:
        assert sorted(sync(tmp_path, notes).of("added")) == sorted(names)
        assert sorted(sync(tmp_path, notes).of("unchanged")) == sorted(names)
    assert now(notes) == {third}
    assert [version.id for version in notes.history(first)] == [third, second, first]
    assert notes.verify().versions == ()


def test_a_letter_that_comes_first_is_linked_when_what_it_replaces_comes_and_none_is_hidden_by_one_that_went(
    open_: Open, tmp_path: Path
) -> None:
    notes = open_()
    (tmp_path / "new.xml").write_text(cda(2, "Rest.", 1))
    found = sync(tmp_path, notes)
    assert [(f.file, f.outcome) for f in found.findings] == [("new.xml", "unlinked")]
    assert found.is_complete
    (tmp_path / "old.xml").write_text(cda(1, "Rest."))
    assert sync(tmp_path, notes, paths=["old.xml"]).files == {"old.xml": "added", "new.xml": "replaced"}
    assert now(notes) == {"new.xml"}
    (tmp_path / "old.xml").write_text(cda(9, "Rest."))  # another letter in the place of the one that was replaced
    sync(tmp_path, notes)
    assert now(notes) == {"new.xml", "old.xml"}


@pytest.mark.parametrize(
    "said",
    [
        replaces(targetReference={"reference": "Composition/old"}),
        replaces(targetReference={"reference": "https://example.org/fhir/Composition/old/_history/2"}),
        replaces(targetReference={"reference": "urn:uuid:1"}),
        replaces(targetIdentifier={"system": "urn:x", "value": "1"}),
    ],
    ids=["relative", "absolute", "bundle", "identifier"],
)
def test_resources_of_a_bundle_replace_one_another_by_address_and_identifier(
    open_: Open, tmp_path: Path, said: dict[str, Any]
) -> None:
    new = fhir("new", "Rest.", **said)
    old = fhir("old", "Rest.", identifier={"system": "urn:x", "value": "1"})
    (tmp_path / "letters.json").write_text(bundle(("urn:uuid:2", new), ("urn:uuid:1", old)))
    notes = open_()
    notes.add_notes(load(tmp_path))
    assert now(notes) == {"letters.json#Composition/new"}


def test_an_address_that_two_other_files_have_is_that_of_neither(open_: Open, tmp_path: Path) -> None:
    """Two servers may have given it to two documents, and one of them would be hidden wrongly."""
    (tmp_path / "a.json").write_text(json.dumps(fhir("1", "Rest.")))
    (tmp_path / "new.json").write_text(
        json.dumps(fhir("2", "Rest.", **replaces(targetReference={"reference": "Composition/1"})))
    )
    notes, report = open_(), LoadReport()
    notes.add_notes(load(tmp_path))
    assert now(notes) == {"new.json#Composition/2"}
    (tmp_path / "b.json").write_text(json.dumps(fhir("1", "Rest.")))
    notes.add_notes(load(tmp_path, report=report))
    assert now(notes) == {"a.json#Composition/1", "b.json#Composition/1", "new.json#Composition/2"}
    assert [(f.file, f.part, f.outcome) for f in report.findings] == [("new.json", "Composition/2", "unlinked")]
