"""Collections of earlier formats: opening brings them up, and nobody is answered wrongly meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from bedside import Collection, Document, engines
from bedside.engines.postgres import facets, schema
from bedside.engines.postgres.url import parse
from bedside.errors import FormatVersionError, LockTimeoutError
from engines.test_postgres import sql
from engines.test_validity import family

TO_FORMAT_1 = (
    "alter table doc drop column starts, drop column ends; drop index if exists doc_versions;"
    "drop table facet; alter table scope drop column counted, drop column state; update about set format = 1"
)
TO_FORMAT_2 = "drop table facet; alter table scope drop column counted; update about set format = 2"
ASK: dict[str, Any] = {"vector": [1, 2, -1, 0], "top_k": 200}


@pytest.fixture
def old(postgres: Callable[[], str]) -> str:
    """The URL of generated guidelines in two wards, with tables as the first release made them."""
    draw, url = random.Random(7), postgres()
    with Collection.open(url, scope_keys=["ward"]) as notes:
        for ward in "AB":
            notes.scoped(ward=ward).add(guidelines(draw))
    sql(url, TO_FORMAT_1)
    return url


def guidelines(draw: random.Random) -> list[Document]:
    return [version.document for number in range(25) for version in family(draw, number)]


def answers(notes: Collection) -> list[Any]:
    return [
        [(hit.id, hit.score) for hit in notes.scoped(ward=ward).search("guideline", **ASK, as_of=asked)]
        for ward in "AB"
        for asked in ("2017-02-03", "2019-06-01T12:00", "2021-12-31", "now")
    ]


def test_what_was_stored_before_is_valid_when_it_says_so_once_its_owner_opens_it_to_write(old: str, postgres) -> None:
    with Collection.open(old, scope_keys=["ward"]) as notes, Collection.open(postgres(), scope_keys=["ward"]) as new:
        assert notes.verify().missing_indexes == ()
        for ward in "AB":
            new.scoped(ward=ward).add(notes.scoped(ward=ward).get(filter={}, include_vectors=True))
        assert answers(notes) == answers(new)
        notes.scoped(ward="A").add(guidelines(random.Random(8)))
        notes.verify()


def test_a_reader_and_a_role_that_may_not_change_tables_are_told_who_brings_them_up(old: str) -> None:
    for open_ in (lambda: Collection.open(old, read_only=True), lambda: engines.read_facts(old)):
        with pytest.raises(FormatVersionError, match=r"format 1; .* when the owner of its tables"):
            open_()
    assert sql(old, "select format from about") == [(1,)]


def test_while_somebody_reads_it_the_wait_has_an_end_and_nothing_is_changed(old: str) -> None:
    place = parse(old)
    with psycopg.connect(place.conninfo) as reader:
        reader.execute(f'set search_path = "{place.schema}"'.encode())
        reader.execute("select count(*) from doc")
        with pytest.raises(LockTimeoutError):
            Collection.open(old, lock_timeout=0.2)
    assert sql(old, "select format from about") == [(1,)]
    Collection.open(old).close()


def test_the_server_refuses_what_an_earlier_release_that_still_has_it_open_would_write(old: str) -> None:
    with Collection.open(old), pytest.raises(psycopg.errors.NotNullViolation):
        sql(old, "insert into doc (row, sid, id, dl, fields, record) values (99999, 1, 'late', 1, '{}', '{}')")


def test_of_two_that_open_it_at_once_one_brings_it_up(old: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        for notes in pool.map(lambda _: Collection.open(old), range(2)):
            with notes:
                assert notes.verify().records
    assert sql(old, "select format from about") == [(schema.FORMAT,)]


def test_an_earlier_release_that_still_has_it_open_cannot_leave_counts_behind(
    postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "LARGE", 1)
    with Collection.open(url := postgres(), scope_keys=[]) as notes:
        notes.add([Document("cough", {"kind": "HPI"}, "a")])
        with pytest.raises(psycopg.errors.CheckViolation):
            sql(url, "delete from doc; update scope set n = 0, tokens = 0, state = gen_random_uuid()")
        assert notes.facets("kind") == [("HPI", 1)]
