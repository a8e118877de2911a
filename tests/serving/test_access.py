"""Tokens, scopes and limits, held against the layer that both servers call."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Document
from bedside.errors import BedsideError, InvalidInputError, ReadOnlyError, RoleRequired, ScopeMismatch
from bedside.serving import Access, Service, Token, load_tokens
from bedside.serving import access as access_module
from bedside.serving.access import TokenFile, access_of
from bedside.serving.run import is_loopback, tokens_of

IDS = st.lists(st.sampled_from(["A1", "B1", "new"]), max_size=3, unique=True)
SCOPES = st.sampled_from(
    [{}, {"patient_id": "A"}, {"patient_id": "B"}, {"patient_id": ""}, {"patient_id": 1}, {"other": "B"},
     {"patient_id": "B", "other": "B"}, {"patient_id": "A", "other": "B"}]
)  # fmt: skip
LEAVES = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"patient_id": st.sampled_from(["A", "B", {"$ne": "A"}, {"$in": ["B"]}, {"$exists": True}])}),
    st.fixed_dictionaries({"section": st.sampled_from(["HPI", {"$like": "%"}, {"$exists": False}])}),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=3,
)
VERBS = st.one_of(
    st.tuples(st.just("get"), st.fixed_dictionaries({"ids": st.none() | IDS, "filter": FILTERS})),
    st.tuples(st.just("delete"), st.fixed_dictionaries({"ids": st.none() | IDS, "filter": FILTERS})),
    st.tuples(st.just("erase"), st.fixed_dictionaries({"ids": IDS, "filter": FILTERS})),
    st.tuples(st.just("search"), st.fixed_dictionaries({"query": st.just("secret chest pain"), "filter": FILTERS,
                                                         "explain": st.booleans()})),
    st.tuples(st.just("facets"), st.fixed_dictionaries({"key": st.just("patient_id"), "filter": FILTERS})),
    st.tuples(st.just("count"), st.fixed_dictionaries({"filter": FILTERS})),
    st.tuples(st.just("add"), st.fixed_dictionaries({"documents": st.lists(
        st.builds(Document, st.just("theirs"), st.sampled_from([{}, {"patient_id": "A"}, {"patient_id": "B"}]),
                  st.sampled_from(["A1", "B1", "new"])), max_size=2)})),
)  # fmt: skip
READING = {"limit": None, "offset": 0, "include_vectors": False}


def documents_of(service, patient):
    return service.get(Access(), "ward", {"patient_id": patient}, ids=None, filter={}, **READING)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(st.tuples(SCOPES, VERBS), min_size=1, max_size=4))
def test_an_access_bound_to_a_patient_neither_sees_nor_changes_another(root, requests):
    service = Service(root)
    bound = Access("a", scope={"patient_id": "A"})
    others = documents_of(service, "B")
    assert [document.id for document in others] == ["B1"]
    for scope, (verb, arguments) in requests:
        extra = READING if verb == "get" else {}
        try:
            answer = getattr(service, verb)(bound, "ward", scope, **arguments, **extra)
        except BedsideError as error:
            assert "Secret" not in str(error)
            continue
        assert "Secret of B" not in repr(answer)
        if verb == "facets":
            assert all(value == "A" for value, _ in answer)
        if verb == "count":
            assert answer <= len(documents_of(service, "A"))
        assert documents_of(service, "B") == others
    service.close()


def test_an_access_bound_to_a_scope_is_kept_from_what_that_scope_does_not_divide(root):
    service = Service(root)
    bound = Access("a", scope={"patient_id": "A"})
    for verb in ("count", "delete"):
        arguments = [{}] if verb == "count" else [["acs"], None]
        with pytest.raises(ScopeMismatch, match="bound by"):
            getattr(service, verb)(bound, "guidelines", {}, *arguments)
    with pytest.raises(ScopeMismatch):
        service.stats(bound, "guidelines")
    assert service.count(Access(), "guidelines", {}, None) == 2


def test_an_access_bound_to_one_of_two_keys_names_the_other_and_is_told_no_total(root):
    service = Service(root)
    service.create(Access(), "stays", ["patient_id", "stay"])
    bound = Access("a", scope={"patient_id": "A"})
    service.add(bound, "stays", {"stay": 1}, [Document("x", id="x")])
    assert service.count(bound, "stays", {"stay": 1}, None) == 1
    assert service.count(bound, "stays", {"stay": 2}, None) == 0
    assert service.stats(bound, "stays").documents is None


def test_a_service_that_is_read_only_writes_nothing_whoever_asks(root):
    service = Service(root, read_only=True)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for call in (
        lambda: service.add(Access(), "guidelines", {}, [Document("x", vector=[1.0] * 256)]),
        lambda: service.delete(Access(), "guidelines", {}, None, {}),
        lambda: service.erase(Access(), "guidelines", {}, None, {}),
        lambda: service.create(Access(), "new", []),
    ):
        with pytest.raises(ReadOnlyError):
            call()
    assert service.count(Access(), "guidelines", {}, None) == 2
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "not JSON"),
        ("[]", "at least one token"),
        ('[{"name": "a", "token": "short"}]', "at least 16"),
        ('[{"name": "a", "token": "%s", "read_onyl": true}]' % ("x" * 16), "read_onyl: Extra inputs"),
        ('[{"name": "a", "token": "%s", "read_only": 1}]' % ("x" * 16), "read_only: Input should be a valid boolean"),
        ('[{"name": "a", "token": "%s", "scope": {"patient_id": null}}]' % ("x" * 16), "scope.patient_id"),
        ('[{"name": "a", "token": "%s", "role": "owner"}]' % ("x" * 16), "role: Input should be 'read', 'write' or"),
        ('[{"name": "a", "token": "%s", "role": "write", "read_only": true}]' % ("x" * 16), "contradict"),
        ('[{"name": "a", "token": "%s", "expires": "2027-01-31"}]' % ("x" * 16), "expires"),
        ('[{"name": "a", "token": "%s", "scope": {"patient_id": ""}}]' % ("x" * 16), "a value is empty"),
        (json.dumps([{"name": name, "token": "x" * 16} for name in "ab"]), "the same token twice"),
    ],
)
def test_a_token_file_that_is_not_right_is_refused_without_repeating_a_token(tokens, content, message):
    tokens.write_text(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_tokens(tokens)
    assert "x" * 16 not in str(caught.value)


def test_a_token_is_known_whole_or_not_at_all_and_is_not_kept_in_clear(tokens):
    known = load_tokens(tokens)
    assert access_of("r" * 32, known) == Access("reader", role="read")
    for wrong in ("", "r" * 31, "r" * 33, "R" * 32, "r" * 31 + "é"):
        assert access_of(wrong, known) is None
    assert all(letter * 32 not in repr(known) for letter in "erwa")


def test_a_role_opens_what_is_below_it_and_nothing_above(root):
    service = Service(root)
    document = Document("x", id="x", vector=[1.0] * 256)
    for role, may_write, may_create in (("read", False, False), ("write", True, False), ("admin", True, True)):
        access = Access(role, role=role)
        assert service.count(access, "guidelines", {}, None) >= 2
        for allowed, call in (
            (may_write, lambda access=access: service.add(access, "guidelines", {}, [document])),
            (may_create, lambda access=access: service.create(access, "new", [])),
        ):
            if allowed:
                call()
            else:
                with pytest.raises(ReadOnlyError if role == "read" else RoleRequired):
                    call()
    service.close()


def test_an_expired_token_opens_nothing():
    def token(moment):
        return Token.of("t" * 32, Access("visit"), datetime.fromisoformat(moment))

    assert access_of("t" * 32, [token("2999-01-01T00:00:00+00:00")]) == Access("visit")
    assert access_of("t" * 32, [token("2020-01-01T00:00:00+00:00")]) is None


def test_a_token_file_that_changes_is_read_again_and_one_that_is_damaged_keeps_what_it_said(
    tokens, monkeypatch, caplog
):
    monkeypatch.setattr(access_module, "RELOAD_SECONDS", 0.0)
    identify = TokenFile(tokens)
    assert identify("r" * 32) == Access("reader", role="read")
    tokens.write_text(json.dumps([{"name": "new", "token": "n" * 32}]))
    assert (identify("r" * 32), identify("n" * 32)) == (None, Access("new"))
    tokens.write_text('[{"name": "new", "token": "%s"' % ("n" * 32))
    assert identify("n" * 32) == Access("new")
    assert "the tokens that were known before still hold" in caplog.text
    assert "n" * 32 not in caplog.text


def test_one_token_may_come_from_the_environment_and_opens_everything(monkeypatch):
    monkeypatch.setenv("BEDSIDE_TOKEN", "k" * 32)
    known = tokens_of(None)
    access = access_of("k" * 32, known)
    assert access is not None
    assert (access.collections, access.scope, access.role) == (None, {}, "admin")
    monkeypatch.delenv("BEDSIDE_TOKEN")
    assert tokens_of(None) == []


def test_only_addresses_of_this_machine_are_taken_for_loopback():
    assert all(map(is_loopback, ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.0.1", "localhost.example", "", "127.0.0.1.example"]))  # noqa: S104
