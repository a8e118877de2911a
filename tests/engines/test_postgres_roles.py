"""Row-level security, asked by sessions that log in as the bound role and leave every WHERE out on purpose."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from bedside import Collection, Document
from bedside.engines.postgres import facets
from bedside.engines.postgres.rows import sid_of, term_key
from bedside.engines.postgres.url import parse
from bedside.errors import BedsideError, DatabaseError, InvalidInputError, ScopeRequired
from command_line import bedside
from engines.postgres_server import Server
from engines.test_postgres import sql
from engines.test_postgres_migrations import TO_FORMAT_2

TABLES = ("doc", "vec", "post", "scope", "facet")
LEAK = """create function pg_temp.leak(anyelement) returns boolean language plpgsql cost 0.0000001 as
    'begin raise notice ''leaked %'', $1; return true; end'"""


@pytest.fixture
def roles(server: Server) -> Iterator[Callable[..., str]]:
    """Creates a role that may log in, a member of others where they are given; all are dropped when the test ends."""
    names: list[str] = []
    with psycopg.connect(server.url, autocommit=True) as connection:

        def new(*groups: str) -> str:
            names.append(f"r{time.monotonic_ns()}")
            within = f" in role {', '.join(groups)}" if groups else ""
            try:
                connection.execute(f"create role {names[-1]} login{within}".encode())
            except psycopg.errors.InsufficientPrivilege:
                names.pop()
                pytest.skip("the role of BEDSIDE_TEST_DSN may not create roles")
            return names[-1]

        yield new
        for name in names:
            connection.execute(f"drop owned by {name}; drop role {name}".encode())


@pytest.fixture
def ward(postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Collection]:
    """Ten patients with their notes and the counts of these, in a collection with row-level security."""
    monkeypatch.setattr(facets, "LARGE", 1)
    with Collection.open(postgres(), scope_keys=["patient_id"], row_security=True) as ward:
        for patient in range(10):
            view = ward.scoped(patient_id=patient)
            view.add([Document(f"Secret of {patient}: chest pain.", {"n": n}, f"{n}", [1, n + 1]) for n in range(4)])
        yield ward


@pytest.fixture
def as_role(ward: Collection) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Runs statements in a session that logged in as a role; returns the rows of the last one."""

    def run(role: str, *statements: str, notices: list[str] | None = None) -> list[tuple[Any, ...]]:
        place = parse(str(ward.place))
        with psycopg.connect(place.conninfo, user=role, autocommit=True) as connection:
            if notices is not None:
                connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
            connection.execute(f'set search_path = "{place.schema}", public'.encode())
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    yield run


def url_as(ward: Collection, role: str) -> str:
    return str(ward.place).replace("://bedside@", f"://{role}@")


def test_a_query_that_forgets_its_where_sees_the_granted_scope_alone_in_every_table(ward, roles, as_role) -> None:
    role, mine = roles(), sid_of((4,))
    ward.scoped(patient_id=4).grant(role)
    for table in TABLES:
        assert {row[0] for row in as_role(role, f"select sid from {table}")} == {mine}, table  # noqa: S608 - ours
    assert len(as_role(role, "select row from doc")) == len(as_role(role, "select row from vec")) == 4
    assert all("Secret of 4" in record for (record,) in as_role(role, "select record from doc"))
    other = term_key(sid_of((5,)), "secret")
    assert as_role(role, f"select row from post where key = {other}") == []  # noqa: S608 - ours
    assert as_role(role, "select d.record from post join doc d using (row) where d.sid <> post.sid") == []


@pytest.mark.parametrize("table", TABLES)
def test_a_function_that_tells_what_it_is_shown_is_shown_the_granted_scope_alone(ward, roles, as_role, table) -> None:
    role, notices = roles(), []
    ward.scoped(patient_id=4).grant(role)
    as_role(role, LEAK, f"select * from {table} as t where pg_temp.leak(t.sid)", notices=notices)  # noqa: S608 - ours
    assert set(notices) == {f"leaked {sid_of((4,))}"}
    notices.clear()
    as_role(role, LEAK, "select row from doc where pg_temp.leak(record)", notices=notices)
    assert len(notices) == 4
    assert all("Secret of 4" in notice for notice in notices)
    foreign = f"select row from doc where sid = {sid_of((5,))} and 1 / (length(record) * 0) = 0"  # noqa: S608 - ours
    assert as_role(role, foreign) == []


FORBIDDEN = [
    "select * from access", "update doc set record = ''", "delete from post", "insert into vec values (1, 1, '[1]')",
    "update facet set n = 0",
    "truncate doc", "set role bedside", "set session authorization bedside", "create table mine as select 1",
    "alter table doc disable row level security", "drop policy granted on doc",
    "set row_security = off; select from doc",
    "insert into access values (session_user, 1)", "copy doc to program 'cat'", "vacuum full doc; select 1 / 0",
]  # fmt: skip


def test_a_bound_role_can_neither_write_nor_loosen_what_binds_it(ward, roles, as_role) -> None:
    role = roles()
    ward.scoped(patient_id=4).grant(role)
    for statement in FORBIDDEN:
        with pytest.raises(psycopg.Error):
            as_role(role, *statement.split("; "))
    assert len(ward) == ward.verify().records == 40


def test_no_setting_of_a_session_shows_more_and_the_planners_statistics_show_nothing(ward, roles, as_role) -> None:
    role = roles()
    ward.scoped(patient_id=4).grant(role)
    ward.compact()
    settings = ["set bedside.scope = '5'", "set search_path = pg_temp, pg_catalog"]
    shadow = "create temp table access as select session_user::text as role, sid from unnest(array[1, 2]) as sid"
    name = parse(str(ward.place)).schema
    seen = as_role(role, shadow, *settings, f'select distinct sid from "{name}".doc')  # noqa: S608 - ours
    assert seen == [(sid_of((4,)),)]
    assert as_role(role, f"select * from pg_stats where schemaname = '{name}' and tablename <> 'about'") == []  # noqa: S608 - ours


def test_a_ward_is_a_role_that_others_are_members_of(ward, roles, as_role) -> None:
    group = roles()
    nurse = roles(group)
    for patient in (1, 2, 3):
        ward.scoped(patient_id=patient).grant(group)
    assert {row[0] for row in as_role(nurse, "select sid from doc")} == {sid_of((p,)) for p in (1, 2, 3)}
    ward.scoped(patient_id=2).revoke(group)
    assert {row[0] for row in as_role(nurse, "select sid from doc")} == {sid_of((1,)), sid_of((3,))}
    for patient in (1, 3):
        ward.scoped(patient_id=patient).revoke(group)
    with pytest.raises(psycopg.errors.UndefinedTable):  # it may not even look into the schema
        as_role(nurse, "select sid from doc")


def test_the_library_answers_a_bound_role_as_it_answers_the_owner_about_that_scope(ward, roles) -> None:
    role = roles()
    ward.scoped(patient_id=4).grant(role)
    with Collection.open(url_as(ward, role)) as bound:
        assert bound.scopes() == [({"patient_id": 4}, 4)]
        one, other = ward.scoped(patient_id=4), bound.scoped(patient_id=4)
        for ask in ({"mode": "sparse"}, {"mode": "hybrid", "vector": [1, 2]}, {"mode": "dense", "vector": [0, 1]}):
            mine, theirs = (view.search("chest pain", **ask, top_k=9) for view in (one, other))
            assert [(hit.id, hit.score, hit.document) for hit in mine] == [(h.id, h.score, h.document) for h in theirs]
        ended = [Document("Secret of 4: chest pain.", {"valid_to": "2024"}, f"{n}", [1, n + 1]) for n in (0, 2)]
        one.add([*ended, Document("Chest pain.", {"supersedes": "3"}, "4", [1, 9])])
        for asked in ("2023-12-31", "2024-01-01"):
            mine, theirs = (view.search("chest pain", mode="sparse", as_of=asked) for view in (one, other))
            assert [(hit.id, hit.score) for hit in mine] == [(hit.id, hit.score) for hit in theirs] != []
        assert bound.scoped(patient_id=5).search("chest pain", mode="sparse", as_of="now") == []
        assert bound.scoped(patient_id=5).search("chest pain", mode="sparse") == []
        assert bound.scoped(patient_id=5).get(filter={}) == []
        for call in (lambda: other.add([Document("x", {}, "x", [1, 2])]), lambda: other.grant(role)):
            with pytest.raises(DatabaseError, match="lacks a right"):
                call()
        with pytest.raises(BedsideError):
            other.delete(["0"])
    assert ward.scoped(patient_id=4).count() == 5


def test_a_bound_role_is_told_of_its_own_scopes_alone_and_of_none_that_it_lost(postgres, roles) -> None:
    with Collection.open(postgres(), scope_keys=["patient_id"], row_security=True) as ward:
        for patient in "AB":
            ward.scoped(patient_id=patient).add([Document(f"pain of {patient}", {"kind": f"of {patient}"}, "1")])
            assert ward.scoped(patient_id=patient).facets("kind") == [(f"of {patient}", 1)]
        ward.scoped(patient_id="A").grant(role := roles())
        with Collection.open(url_as(ward, role), read_only=True) as bound:
            for _ in range(2):
                assert bound.scoped(patient_id="A").facets("kind") == [("of A", 1)]
                assert bound.scoped(patient_id="B").facets("kind") == []
                for patient, count in (("A", 1), ("B", 0)):
                    found = bound.scoped(patient_id=patient).search("pain", filter={"kind": {"$exists": True}})
                    assert len(found) == count
            ward.scoped(patient_id="B").grant(role)
            assert bound.scoped(patient_id="B").facets("kind") == [("of B", 1)]
            ward.scoped(patient_id="A").revoke(role)
            assert bound.scoped(patient_id="A").facets("kind") == []
            assert bound.scoped(patient_id="A").search("pain", filter={"kind": {"$exists": True}}) == []


def test_a_role_that_nothing_would_bind_and_a_collection_without_row_security_are_refused(
    ward, roles, postgres, tmp_path
) -> None:
    view = ward.scoped(patient_id=4)
    with pytest.raises(InvalidInputError, match="no role 'nobody-here'"):
        view.grant("nobody-here")
    with pytest.raises(InvalidInputError, match="does not bind it"):
        view.grant("bedside")
    with pytest.raises(ScopeRequired):
        ward.grant(roles())
    with pytest.raises(InvalidInputError, match="only a database has roles"):
        Collection.open(tmp_path / "ward", scope_keys=["p"], row_security=True)
    with pytest.raises(InvalidInputError, match="scope_keys"):
        Collection.open(postgres(), row_security=True)
    place = postgres()
    with Collection.open(place, scope_keys=["p"]) as open_to_all:
        with pytest.raises(InvalidInputError, match="without row-level security"):
            open_to_all.scoped(p="1").grant(roles())
        with pytest.raises(InvalidInputError, match="created without it"):
            Collection.open(place, scope_keys=["p"], row_security=True)
    with Collection.open(scope_keys=["p"]) as memory, pytest.raises(InvalidInputError, match="no such verb"):
        memory.scoped(p="1").grant("x")


def test_the_command_line_makes_the_collection_and_binds_roles(postgres, roles) -> None:
    url, role = postgres(), roles()
    bedside("init", url, "--scope-key", "patient_id", "--row-security")
    with Collection.open(url) as ward:
        for patient in "AB":
            ward.scoped(patient_id=patient).add([Document("Cough.", {}, patient)])
        assert "may read this scope" in bedside("grant", url, role, "--scope", "patient_id=A")
        with Collection.open(url_as(ward, role), read_only=True) as bound:
            assert bound.scopes() == [({"patient_id": "A"}, 1)]
        assert "may not read" in bedside("revoke", url, role, "--scope", "patient_id=A")
        with pytest.raises(DatabaseError, match="lacks a right"):
            Collection.open(url_as(ward, role), read_only=True)


def test_a_collection_that_is_brought_up_shows_the_counts_of_large_scopes_to_whom_it_shows_their_records(
    postgres, roles, monkeypatch
) -> None:
    role, url = roles(), postgres()
    with Collection.open(url, scope_keys=["ward"], row_security=True) as notes:
        for ward in "AB":
            notes.scoped(ward=ward).add([Document("cough", {"kind": ward * 2}, f"d{i}") for i in range(3)])
        notes.scoped(ward="A").grant(role)
    sql(url, TO_FORMAT_2)
    monkeypatch.setattr(facets, "LARGE", 3)
    with Collection.open(url) as notes:
        assert sql(url, "select value #>> '{}', n from facet where path = 'kind' order by 1") == [("AA", 3), ("BB", 3)]
        assert notes.scoped(ward="B").facets("kind") == [("BB", 3)]
        notes.verify()
    bound = url.replace("://bedside@", f"://{role}@")
    assert sql(bound, "select distinct value #>> '{}' from facet where path = 'kind'") == [("AA",)]
    with Collection.open(bound, read_only=True) as notes:
        assert notes.scoped(ward="A").facets("kind") == [("AA", 3)]
        assert notes.scoped(ward="B").facets("kind") == []
