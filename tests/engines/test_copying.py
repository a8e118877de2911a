"""Copies of whole collections from each engine to each that keeps something, and back."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.collection import SparseSettings
from bedside.engines import holds_collection, shown
from bedside.errors import InvalidDocumentError, InvalidInputError, NotACollectionError
from command_line import bedside
from engines.conftest import KEYS as MASTER
from engines.conftest import PLACES, Open

KEYS = ["patient_id", "ward"]
# An encrypted collection is copied to folders alone, where the copy is encrypted: tests/store/test_encryption.py.
COPIES = [(engine, target) for engine in PLACES for target in ("disk", "postgres") if engine not in MASTER]


class Named:
    """An encoder with a name: a copy knows whose vectors it holds."""

    name, fingerprint, dimension = "letters", "letters-1", 3

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        return np.array([[len(text), text.count("a"), 1] for text in texts], np.float32)

    encode_queries = encode_documents


def documents(draw: random.Random, count: int = 700) -> list[Document]:
    """Interleaved scopes, metadata that writers of JSON like to change, lengths that no float32 sum survives."""
    odd: list[Any] = [-0.0, 1.0, 1, 2**63 - 1, 5e-324, None, True, "", "a\tb", [1, [2.0]], {"z": 1, "a": {}}]
    return [
        Document(
            f"note {i}: pain {draw.random()}{chr(0) if i % 50 == 7 else ''}",
            {"patient_id": f"P{draw.randrange(9)}", "ward": draw.randrange(2), "odd": draw.choice(odd), "b": i, "a": i},
            f"d{i}",
            np.array([draw.gauss(0, 1) for _ in range(3)], np.float32) * draw.choice([1, 1e-18, 1e18]),
        )
        for i in range(count)
    ]


def content(notes: Collection) -> list[Any]:
    """Everything that is in a collection, in the order of the whole, as far as it can be read."""
    found: list[Any] = []
    for scope, _ in notes.scopes() if notes.scope_keys else [({}, 0)]:
        part = notes.scoped(**scope) if scope else notes
        found += [
            (scope, d.id, d.text, repr(d.metadata), d.vector if d.vector is None else d.vector.tobytes())
            for d in part.stream(include_vectors=True)
        ]
    return found


@pytest.mark.parametrize("engine", [engine for engine in PLACES if engine not in MASTER])
def test_a_copy_on_a_server_and_its_copy_in_a_folder_are_equal_to_what_was_copied(
    open_: Open, postgres: Callable[[], str], tmp_path: Path
) -> None:
    draw = random.Random(5)
    settings = SparseSettings(stem=False, k1=1.1, b=0.5)
    with open_(scope_keys=KEYS, encoder=Named(), sparse=settings) as notes:
        notes.add(documents(draw))
        notes.scoped(patient_id="P3", ward=0).delete(filter={"a": {"$lt": 300}})
        url, folder = postgres(), tmp_path / "back"
        notes.copy_to(url)
        with Collection.open(url, encoder=Named(), sparse=settings) as server:
            server.verify()
            server.copy_to(folder)
            with Collection.open(folder, encoder=Named(), sparse=settings) as back:
                back.verify()
                assert content(notes) == content(server) == content(back)
                known = {name: getattr(notes.facts, name) for name in ("sparse", "scope_keys", "dimension", "encoder")}
                for copy in (server, back):
                    assert {name: getattr(copy.facts, name) for name in known} == known
                    assert copy.facts.id != notes.facts.id
                    copy.scoped(patient_id="P1", ward=1).add([Document("pain that only the copies have", {}, "new")])
                assert len(notes) == len(back) - 1
                query = {"query": "pain note 77", "top_k": 30, "explain": True}
                here = {"patient_id": "P1", "ward": 1}
                assert server.scoped(**here).search(**query) == back.scoped(**here).search(**query)


@pytest.mark.parametrize(("engine", "target"), COPIES)
def test_records_of_all_scopes_keep_their_order_in_a_copy(
    target: str, open_: Open, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The order over all scopes is that of a collection's own copies: read here from a folder's log."""
    where = request.getfixturevalue(target)()
    with open_(scope_keys=["patient_id"]) as notes:
        notes.add([Document(f"{i}", {"patient_id": f"P{i % 3}"}, str(i), [1.0, i]) for i in range(9)])
        notes.scoped(patient_id="P0").add([Document("3 again", {}, "3", [2.0, 1.0])])
        notes.copy_to(where)
    with Collection.open(where) as copy:
        copy.copy_to(tmp_path / "read")
    order = ["0", "1", "2", "4", "5", "6", "7", "8", "3"]
    log = (tmp_path / "read" / "log-000001.jsonl").read_text()
    places = [log.index(f'"id":"{id}"') for id in order]
    assert places == sorted(places)


@pytest.mark.parametrize(("engine", "target"), COPIES)
def test_texts_without_vectors_and_nothing_at_all_are_copied(
    target: str, open_: Open, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(target)
    for given in ([], ["Chest pain.", "No fever."]):
        where = place()
        with open_() as notes:
            notes.add(given)
            notes.copy_to(where)
            with Collection.open(where) as copy:
                assert content(copy) == content(notes)
                assert copy.dimension == notes.dimension


@pytest.mark.parametrize("engine", [engine for engine in PLACES if engine not in MASTER])
def test_a_copy_overwrites_nothing_and_one_that_fails_leaves_nothing(
    open_: Open, postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there, new = postgres(), postgres()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with Collection.open(there) as other:
        other.add([Document("theirs", id="1")])
        with open_() as notes:
            notes.add([Document("ours", id="1", vector=[1.0])])
            with pytest.raises(NotACollectionError, match="already holds a collection"):
                notes.copy_to(there)
            for wrong in ("mysql://host/notes", None, 7):
                with pytest.raises(InvalidInputError, match=r"^path: "):
                    notes.copy_to(wrong)  # type: ignore[arg-type]
        assert other.get(["1"])[0].text == "theirs"
    with Collection.open() as notes:
        notes.add([Document("a", id=str(i), vector=[1.0]) for i in range(1500)])
        notes.add([Document("a", {"k": "a\0b"}, "odd", [1.0])])
        with pytest.raises(InvalidDocumentError, match=r"^record.metadata.k \(id 'odd'\): holds U\+0000"):
            notes.copy_to(new)
    assert not holds_collection(new)
    assert not list(Path.cwd().iterdir())


def test_an_encrypted_collection_is_not_copied_to_a_server_in_the_clear(
    postgres: Callable[[], str], tmp_path: Path
) -> None:
    url = postgres()
    with Collection.open(tmp_path / "notes", key=MASTER["sealed"]) as notes:
        notes.add(["Chest pain."])
        with pytest.raises(InvalidInputError, match="would be in the clear"):
            notes.copy_to(url)
    assert not holds_collection(url)


def test_bedside_copy_takes_a_url_as_its_target(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    with Collection.open(tmp_path / "notes") as notes:
        notes.add([Document("Chest pain.", id="1", vector=[0.5, 1.0])])
        said = bedside("copy", tmp_path / "notes", url)
        assert said == f"1 records copied to {shown(url)}\n"
        with Collection.open(url) as copy:
            assert content(copy) == content(notes)
