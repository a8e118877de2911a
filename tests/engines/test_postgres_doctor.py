"""What doctor says of a server and a collection, and that it finds what is wrong with them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import psycopg
import pytest

from bedside import Collection, Document, engines
from bedside.engines.postgres import facets
from bedside.engines.postgres.url import parse
from bedside.errors import DatabaseError, InvalidInputError
from engines import postgres_server


@pytest.fixture
def url(postgres: Callable[[], str]) -> str:
    return postgres()


def examined(url: str) -> dict[str, engines.Check]:
    return {check.what: check for check in engines.examine(url)}


def test_a_whole_collection_is_well_and_what_a_careful_server_lacks_is_told_with_what_to_do(url: str) -> None:
    with Collection.open(url, scope_keys=["patient_id"], row_security=True) as ward:
        found = examined(url)
        assert {found[what].state for what in ("server", "encoding", "pgvector", "collection", "indexes")} == {"ok"}
        assert "scope keys ['patient_id']" in found["collection"].found
        assert found["row security"].state == found["granted roles"].state == "ok"
        assert found["fsync"].state == "wrong", "the tests' server is quick, and not careful"
        assert all(check.advice for check in found.values() if check.state != "ok")
        assert ward.place is not None


@pytest.mark.parametrize(
    ("damage", "what", "said"),
    [
        ("drop index doc_row", "indexes", "doc_row"), ("update about set format = 99", "collection", "format 99"),
        ("update about set terms = 'another'", "collection", "another"),
        ("drop table post", "collection", "other tables"),
        ("insert into access values ('long-gone', 1)", "granted roles", "long-gone"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_collection_is_named(url: str, damage: str, what: str, said: str) -> None:
    Collection.open(url, scope_keys=["p"], row_security=True).close()
    place = parse(url)
    with psycopg.connect(place.conninfo, autocommit=True) as connection:
        connection.execute(f'set search_path = "{place.schema}"'.encode())
        connection.execute(damage.encode())
    check = examined(url)[what]
    assert check.state != "ok"
    assert said in check.found
    assert check.advice


def test_a_large_scope_whose_facets_are_not_counted_is_told_with_the_command_that_counts_them(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collection.open(url, scope_keys=[]) as notes:
        notes.add([Document("cough", {"kind": "HPI"}, "a")])
        assert examined(url)["facets"].state == "ok"
        monkeypatch.setattr(facets, "LARGE", 1)
        check = examined(url)["facets"]
        assert (check.state, check.found) == ("note", "no counts of 1 of 1 large scopes")
        assert "bedside compact" in check.advice
        notes.compact()
        assert examined(url)["facets"].state == "ok"


def test_the_command_prints_it_for_people_and_programs_and_exits_with_1_where_something_is_wrong(url: str) -> None:
    lines = [line.split("\t") for line in bedside_wrong("doctor", url).splitlines()]
    assert [line[1:3] for line in lines if line[0] == "collection"] == [["note", "none of this name"]]
    printed = [json.loads(line) for line in bedside_wrong("doctor", url, "--json").splitlines()]
    assert [check["what"] for check in printed] == [line[0] for line in lines]


def bedside_wrong(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "bedside.cli", *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


def test_a_folder_has_no_doctor_and_a_server_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(InvalidInputError, match="no server to examine"):
        engines.examine(tmp_path)
    with pytest.raises(DatabaseError, match="nurse@127"):
        engines.examine(f"postgresql://nurse@127.0.0.1:{postgres_server.free_port()}/notes")
