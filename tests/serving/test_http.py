"""The HTTP server, a real process asked by a real client."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest
import schemathesis
from filelock import FileLock
from hypothesis import HealthCheck, given, settings

from bedside import Collection, Document, load_encoder
from bedside.serving import Limits, Service, models, note_models
from bedside.serving.http import create_app
from serving_server import bearer, problem, serving

LATE = {"id": "late", "text": "x", "vector": [1.0] * 256}


def post(client: httpx.Client, place: str, body: dict, letter: str | None = None) -> httpx.Response:
    headers = {} if letter is None else bearer(letter)
    return client.post(f"/v1/collections/{place}", json=body, headers=headers)


def test_every_verb_does_over_http_what_it_does_in_python(root):
    with serving(root, "--encoder", "bedside/static") as client:
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/v1/collections").json() == {"collections": ["guidelines", "ward"]}
        stats = client.get("/v1/collections/guidelines").json()
        assert stats.get("documents") == 2, stats
        assert stats["encoder"] == "bedside/static"
        added = post(client, "guidelines/add", {"documents": [{"text": "Fluids for DKA.", "metadata": {"year": 2024}}]})
        (new,) = added.json()["ids"]
        found = post(client, "guidelines/get", {"ids": [new, "absent", "acs"], "include_vectors": True}).json()
        assert [document["id"] for document in found["documents"]] == [new, "acs"]
        assert found["documents"][0]["metadata"] == {"year": 2024}
        assert len(found["documents"][0]["vector"]) == 256
        hits = post(client, "guidelines/search", {"query": "heart attack", "top_k": 1, "explain": True}).json()["hits"]
        assert [hit["id"] for hit in hits] == ["acs"]
        why = hits[0]["explanation"]
        assert why["dense"] + why["sparse"] == pytest.approx(hits[0]["score"], abs=1e-9)
        hits = post(client, "guidelines/search", {"query": "DKA", "mode": "sparse", "filter": {"year": 2024}}).json()
        assert [hit["id"] for hit in hits["hits"]] == [new]
        assert post(client, "guidelines/count", {"filter": {"section": {"$exists": True}}}).json() == {"count": 2}
        facets = post(client, "guidelines/facets", {"key": "section"}).json()["facets"]
        assert sorted((facet["value"], facet["count"]) for facet in facets) == [("ACS", 1), ("DKA", 1)]
        assert post(client, "guidelines/delete", {"ids": ["dka"]}).json() == {"count": 1}
        receipt = post(client, "guidelines/erase", {"ids": [new]}).json()
        assert receipt["ids"] == [new]
        assert receipt["traces"] > 0
        assert post(client, "guidelines/verify", {}).json()["records"] == 1
        created = client.put("/v1/collections/new.one", json={"scope_keys": ["patient_id"]}).json()
        assert created["scope_keys"] == ["patient_id"]
        assert post(client, "new.one/add", {"scope": {"patient_id": "C"}, "documents": [{"text": "x"}]}).is_success
    with Collection.open(root / "new.one") as collection:
        assert collection.scoped(patient_id="C").count() == 1


def test_what_denies_the_question_comes_last_over_http_and_is_left_out_where_asked(root):
    with serving(root, "--encoder", "bedside/static") as client:
        texts = ["Denies chest pain.", "Chest pain on exertion."]
        post(client, "guidelines/add", {"documents": [{"text": text} for text in texts]})

        def found(**options) -> list[dict]:
            return post(client, "guidelines/search", {"query": "chest pain", **options}).json()["hits"]

        assert found()[0]["text"] == texts[1]
        last = found(explain=True)[-1]
        assert (last["text"], last["explanation"]["signals"]) == (texts[0], {"assertion": -1.0})
        assert last["explanation"]["negated"] == {"chest": "1 of 1 negated", "pain": "1 of 1 negated"}
        assert texts[0] not in [hit["text"] for hit in found(assertion="only")]


def test_answers_of_searches_are_byte_for_byte_what_their_models_write(root):
    with serving(root, "--encoder", "bedside/static") as client:
        text = "Chest pain – radiating to the left arm, relieved by glyceryl trinitrate within five minutes of rest."
        metadata = {"ratio": 1e-7, "big": 2**63 - 1, "nested": [None, {"é": 1}]}
        for n in (1, 2):
            dated = {**metadata, "date": f"2026-01-0{n}", "source_id": f"n{n}"}
            post(client, "guidelines/add", {"documents": [{"text": text, "metadata": dated}]})
        post(client, "guidelines/add_notes", {"notes": [{"id": "note", "text": text, "metadata": {"date": "2026"}}]})
        ways = [{}, {"explain": True, "filter": {"ratio": {"$lt": 1e300}}}, {"collapse": "copies"}, {"mode": "sparse"}]
        for verb, answer in (("search", models.Hits), ("search_notes", note_models.NoteHits)):
            for options in ways:
                content = post(client, f"guidelines/{verb}", {"query": "chest pain", **options}).text
                assert answer.model_validate_json(content).model_dump_json() == content, (verb, options)
        hits = post(client, "guidelines/search", {"query": "chest pain", "collapse": "copies"}).json()["hits"]
        assert hits[0]["copies"]
        assert hits[0]["last_seen"] is not None


def test_a_scope_is_needed_and_keeps_patients_apart(root):
    with serving(root) as client:
        detail = problem(post(client, "ward/search", {"query": "chest pain"}), 400, "ScopeRequired")
        assert "patient_id" in detail
        hits = post(client, "ward/search", {"query": "chest pain", "scope": {"patient_id": "A"}}).json()["hits"]
        assert [hit["id"] for hit in hits] == ["A1"]


def test_a_token_opens_what_it_names_and_nothing_else(root, tokens):
    with serving(root, "--tokens", tokens) as client:
        for headers in ({}, bearer("x"), {"Authorization": "Basic ZTpl"}, {"Authorization": "Bearer"}):
            assert client.get("/v1/collections", headers=headers).status_code == 401
        assert client.get("/health").status_code == 200
        assert client.get("/v1/collections", headers=bearer("w")).json() == {"collections": ["ward"]}
        problem(client.get("/v1/collections/guidelines", headers=bearer("w")), 404, "NotACollectionError")
        problem(client.put("/v1/collections/other", json={}, headers=bearer("w")), 404, "NotACollectionError")
        problem(post(client, "guidelines/add", {"documents": []}, "r"), 403, "ReadOnlyError")
        problem(post(client, "guidelines/delete", {"filter": {}}, "r"), 403, "ReadOnlyError")
        assert post(client, "guidelines/count", {}, "r").json() == {"count": 2}
    assert all(letter * 32 not in client.log for letter in "erwa")


def test_a_token_bound_to_a_patient_reaches_no_other_by_any_verb(root, tokens):
    with serving(root, "--tokens", tokens) as client:
        for scope in ({}, {"patient_id": "A"}):
            found = post(client, "ward/get", {"filter": {}, "scope": scope}, "a").json()["documents"]
            assert [document["id"] for document in found] == ["A1"]
        assert client.get("/v1/collections/ward", headers=bearer("a")).json()["documents"] == 1
        asked = {"search": {"query": "x"}, "get": {"filter": {}}, "count": {}, "facets": {"key": "section"},
                 "delete": {"filter": {}}, "erase": {"filter": {}}, "add": {"documents": [{"text": "x"}]}}  # fmt: skip
        for verb, body in asked.items():
            response = post(client, f"ward/{verb}", {**body, "scope": {"patient_id": "B"}}, "a")
            assert "Secret" not in problem(response, 403, "ScopeMismatch")
            problem(post(client, f"guidelines/{verb}", body, "a"), 403, "ScopeMismatch")
        problem(post(client, "ward/verify", {}, "a"), 403, "ScopeMismatch")
        problem(client.put("/v1/collections/mine", json={}, headers=bearer("a")), 403, "ScopeMismatch")
        stolen = {"documents": [{"text": "x", "metadata": {"patient_id": "B"}}]}
        problem(post(client, "ward/add", stolen, "a"), 403, "ScopeMismatch")
        assert post(client, "ward/delete", {"filter": {}}, "a").json() == {"count": 1}
        everything = post(client, "ward/get", {"filter": {}, "scope": {"patient_id": "B"}}, "e").json()
        assert [document["id"] for document in everything["documents"]] == ["B1"]


OUTSIDE = [
    *("..", "%2e%2e", "..%2foutside", "%2e%2e%2foutside", "a%00b", "%2fetc", "a%5cb", "C%3a", "nul", "NUL.txt", "com1"),
    *("a.", ".a", "-a", "a" * 65, "linked", "%C3%A4", "a%20b", "a%0a", "%1b%5b2Ja%0aforged"),
]


def test_a_name_never_leaves_the_root(root):
    with Collection.open(root.parent / "outside") as outside:
        outside.add([Document("not for them", vector=[1.0])])
    (root / "linked").symlink_to(root.parent / "outside")
    with serving(root) as client:
        assert client.get("/v1/collections").json() == {"collections": ["guidelines", "ward"]}
        before = sorted(path.name for path in root.parent.rglob("*"))
        for name in OUTSIDE:
            for response in (
                client.post(f"/v1/collections/{name}/get", json={"filter": {}}),
                client.put(f"/v1/collections/{name}", json={}),
            ):
                assert 400 <= response.status_code < 500, (name, response.text)
                assert "not for them" not in response.text
        assert sorted(path.name for path in root.parent.rglob("*")) == before
    assert "\x1b" not in client.log
    assert "\nforged" not in client.log


def test_what_is_wrong_is_named_and_no_text_is_repeated(root):
    with serving(root) as client:
        problem(post(client, "absent/count", {}), 404, "NotACollectionError")
        problem(post(client, "guidelines/search", {"query": "x", "filter": {"a": {"$foo": 1}}}), 400, "FilterError")
        problem(post(client, "guidelines/delete", {}), 400, "InvalidInputError")
        problem(post(client, "guidelines/search", {"query": "x", "topk": 3}), 422, "ValidationError")
        problem(post(client, "guidelines/search", {"query": "x", "top_k": 1001}), 400, "InvalidInputError")
        problem(post(client, "guidelines/search", {"query": "x", "mode": "dense"}), 400, "EncoderRequired")
        problem(post(client, "guidelines/get", {"ids": ["a"] * 1001}), 400, "InvalidInputError")
        many = [{"text": "x", "vector": [1]}] * 1001
        problem(post(client, "guidelines/add", {"documents": many}), 400, "InvalidInputError")
        form = client.post("/v1/collections/guidelines/search", data={"query": "x"})
        assert "Content-Type: application/json" in problem(form, 422, "ValidationError")
        wrong = {"documents": [{"text": "SECRET", "vector": "SECRET", "metadata": {"a": "SECRET"}, "id": 7}]}
        assert "SECRET" not in problem(post(client, "guidelines/add", wrong), 422, "ValidationError")
        for body in (b"{", b"[" * 100_000, b'{"documents": [{"text": "SECRET\xff"}]}', b'{"query": NaN}'):
            response = client.post(
                "/v1/collections/guidelines/add", content=body, headers={"Content-Type": "application/json"}
            )
            assert response.status_code in (400, 422), body[:40]
            assert "SECRET" not in response.text
        huge = b'{"documents": [{"text": "x", "metadata": {"n": 1e400}, "vector": [1]}]}'
        response = client.post(
            "/v1/collections/guidelines/add", content=huge, headers={"Content-Type": "application/json"}
        )
        problem(response, 400, "InvalidDocumentError")
        assert post(client, "guidelines/count", {}).json() == {"count": 2}
    assert "SECRET" not in client.log
    assert "Traceback" not in client.log


def test_the_log_names_requests_by_the_servers_own_paths_alone(root):
    with serving(root) as client:
        assert post(client, "ward/get", {"filter": {}, "scope": {"patient_id": "A"}}).is_success
        for place in ("ward/SECRET", "SE%20CRET/get", "ward/get?q=SECRET"):
            client.post(f"/v1/collections/{place}", json={"scope": {"patient_id": "SECRET"}})
        client.get("/SECRET", headers={"X-Patient": "SECRET", "User-Agent": "SECRET"})
    assert "local POST /v1/collections/ward/get 200" in client.log
    assert "local POST - 404" in client.log
    assert "local POST /v1/collections/{name}/get 400" in client.log
    assert "SECRET" not in client.log
    assert "SE CRET" not in client.log


def test_a_body_over_the_limit_is_refused_whether_or_not_it_says_its_size(root):
    with serving(root, "--max-body", 2_000) as client:
        detail = problem(client.post("/v1/collections/guidelines/count", content=b"x" * 2_001), 413, "BodyTooLarge")
        assert "2000" in detail
        response = client.post("/v1/collections/guidelines/count", content=(b"x" * 100 for _ in range(1000)))
        problem(response, 413, "BodyTooLarge")
        assert post(client, "guidelines/count", {}).is_success


@pytest.mark.parametrize("length", ["9" * 5_000, "0" * 5_000, "1" * 25])
def test_a_length_of_thousands_of_digits_is_the_callers_mistake_and_not_the_servers(root, length):
    with serving(root) as client:
        address = urlsplit(str(client.base_url))
        with socket.create_connection((address.hostname, address.port), timeout=30) as caller:
            head = "POST /v1/collections/guidelines/count HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json"
            caller.sendall(f"{head}\r\nContent-Length: {length}\r\n\r\n".encode())
            assert int(caller.recv(1000).split()[1]) in (400, 413, 422)
        assert post(client, "guidelines/count", {}).is_success


async def test_a_length_of_thousands_of_digits_is_too_large_whichever_server_passes_it_on(root):
    with closing(Service(root)) as service:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            headers = {"Content-Length": "9" * 5_000}
            problem(await client.post("/v1/collections/guidelines/count", headers=headers), 413, "BodyTooLarge")


def test_a_caller_without_a_token_is_turned_away_before_its_body_is_read(root, tokens):
    with serving(root, "--tokens", tokens) as client:
        address = urlsplit(str(client.base_url))
        with socket.create_connection((address.hostname, address.port), timeout=30) as unknown:
            unknown.sendall(
                b"POST /v1/collections/guidelines/count HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000\r\n\r\n"
            )
            assert b" 401 " in unknown.recv(1000)


def test_a_body_that_never_ends_is_left_and_others_are_served_meanwhile(root):
    with serving(root, "--max-seconds", "1") as client:
        address = urlsplit(str(client.base_url))
        with socket.create_connection((address.hostname, address.port)) as slow:
            slow.sendall(
                b"POST /v1/collections/guidelines/count HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
            )
            assert post(client, "guidelines/count", {}).json() == {"count": 2}
            slow.settimeout(30)
            assert b" 408 " in slow.recv(1000)


def test_work_that_takes_too_long_is_left_and_others_are_served_meanwhile(root):
    with serving(root, "--max-seconds", "1") as client:
        with FileLock(root / "guidelines" / "write.lock"):
            problem(post(client, "guidelines/add", {"documents": [LATE]}), 504, "TooSlowError")
            assert post(client, "guidelines/count", {}).json() == {"count": 2}
            assert client.get("/health").is_success
        deadline = time.monotonic() + 30
        while post(client, "guidelines/count", {}).json() != {"count": 3}:
            assert time.monotonic() < deadline, "what had begun did not go on"


async def test_more_requests_than_may_wait_are_turned_away_and_the_next_is_served(root):
    with closing(Service(root, limits=Limits(writing=1, writes_waiting=0))) as service:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1/v1/collections/guidelines"
        ) as client:
            with FileLock(root / "guidelines" / "write.lock"):
                begun = asyncio.create_task(client.post("/add", json={"documents": [LATE]}))
                await asyncio.sleep(0.2)
                problem(await client.post("/add", json={"documents": [LATE]}), 503, "TooBusyError")
            assert (await begun).json() == {"ids": ["late"], "skipped": []}
            assert (await client.post("/count", json={})).json() == {"count": 3}


class Gated:
    """An encoder whose fingerprint, which opening a collection asks for, is told only while a gate is open."""

    def __init__(self):
        self._encoder = load_encoder("bedside/static")
        self.gate = threading.Event()
        self.asked = threading.Event()
        self.gate.set()

    @property
    def fingerprint(self):
        self.asked.set()
        assert self.gate.wait(60)
        return self._encoder.fingerprint

    def __getattr__(self, name):
        return getattr(self._encoder, name)


async def test_while_a_collection_is_opened_for_many_callers_others_are_answered(root):
    shutil.copytree(root / "guidelines", root / "large")
    encoder = Gated()
    with closing(Service(root, encoder=encoder, limits=Limits(running=2))) as service:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/v1/collections") as client:
            encoder.gate.clear()
            waiting = [asyncio.create_task(client.post("/large/count", json={})) for _ in range(4)]
            try:
                assert await asyncio.to_thread(encoder.asked.wait, 30)
                answered = await asyncio.wait_for(client.get("/ward"), 30)
                assert answered.json()["scope_keys"] == ["patient_id"]
                assert not any(asked.done() for asked in waiting)
            finally:
                encoder.gate.set()
            assert [(await asked).json() for asked in waiting] == [{"count": 2}] * 4


async def slowly(body, ready):
    """Give a body without its length, and its last byte only when it is ready."""
    yield body[:-1]
    await ready.wait()
    yield body[-1:]


KIND = {"content-type": "application/json"}
LARGE = b'{"filter": null' + b" " * 100_000 + b"}"


def limited(root, **limits):
    service = Service(root, limits=Limits(body=len(LARGE), bodies=2 * len(LARGE), **limits))
    transport = httpx.ASGITransport(create_app(service))
    return closing(service), httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1/v1/collections/guidelines", headers=KIND
    )


async def test_bodies_for_which_there_is_no_room_wait_unread_and_small_ones_pass(root):
    service, client = limited(root)
    ready = asyncio.Event()
    with service:
        async with client:
            first = [asyncio.create_task(client.post("/count", content=slowly(LARGE, ready))) for _ in range(2)]
            await asyncio.sleep(0.1)
            others = [asyncio.create_task(client.post("/count", content=LARGE)) for _ in range(20)]
            assert (await client.post("/count", json={})).json() == {"count": 2}
            await asyncio.sleep(0.2)
            assert not any(asked.done() for asked in first + others)
            ready.set()
            assert [(await asked).json() for asked in first + others] == [{"count": 2}] * 22


async def test_a_body_for_which_there_is_no_room_in_time_is_turned_away_and_room_is_given_back(root):
    service, client = limited(root, seconds=2)
    ready = asyncio.Event()
    add = json.dumps({"documents": [LATE]}).encode() + b" " * 90_000
    with service:
        async with client:
            with FileLock(root / "guidelines" / "write.lock"):
                held = [asyncio.create_task(client.post("/add", content=slowly(add, ready))) for _ in range(2)]
                await asyncio.sleep(0.1)
                refused = asyncio.create_task(client.post("/count", content=LARGE))
                await asyncio.sleep(1.2)
                ready.set()
                assert "no room" in problem(await refused, 503, "TooBusyError")
                for asked in held:
                    problem(await asked, 504, "TooSlowError")
            assert (await client.post("/count", content=LARGE)).is_success


def test_a_server_that_is_told_to_end_answers_what_has_begun_and_then_ends(root):
    with serving(root) as client, ThreadPoolExecutor(1) as threads:
        with FileLock(root / "guidelines" / "write.lock"):
            begun = threads.submit(post, client, "guidelines/add", {"documents": [LATE]})
            time.sleep(2)  # until the server has read it and waits for the lock
            client.process.terminate()
            time.sleep(1)
        assert begun.result(30).json() == {"ids": ["late"], "skipped": []}
        assert client.process.wait(30) in (0, -signal.SIGTERM)  # uvicorn raises the signal again once it has ended
    with Collection.open(root / "guidelines", read_only=True) as collection:
        assert collection.count() == 3


def test_a_collection_whose_folder_is_removed_is_gone_and_may_be_created_again(root):
    with serving(root) as client:
        assert post(client, "guidelines/count", {}).json() == {"count": 2}
        shutil.rmtree(root / "guidelines")
        problem(post(client, "guidelines/get", {"filter": {}}), 404, "NotACollectionError")
        problem(post(client, "guidelines/add", {"documents": [LATE]}), 404, "NotACollectionError")
        assert not any(file.stat().st_size for file in (root / "guidelines").rglob("*"))
        assert client.put("/v1/collections/guidelines", json={}).json()["documents"] == 0
        assert post(client, "guidelines/add", {"documents": [LATE]}).json() == {"ids": ["late"], "skipped": []}


BAD = [{"id": "kept", "text": "Cough."}, {"id": "blank", "text": " "}, {"id": "torn", "text": "SECRET \ud800"}]


@pytest.mark.parametrize(("verb", "field", "made"), [("add", "documents", "ids"), ("add_notes", "notes", "notes")])
def test_what_cannot_be_stored_is_skipped_and_named_where_that_is_asked(root, verb, field, made):
    with serving(root, "--encoder", "bedside/static") as client:

        def add(**how):
            body = json.dumps({field: BAD, **how})  # which escapes the lone surrogate
            headers = {"Content-Type": "application/json"}
            return client.post(f"/v1/collections/guidelines/{verb}", content=body, headers=headers)

        for how in ({}, {"on_bad_document": "raise"}):
            problem(add(**how), 400, "InvalidDocumentError")
        assert post(client, "guidelines/count", {}).json() == {"count": 2}
        answer = add(on_bad_document="skip").json()
        assert list(answer[made]) == ["kept"]
        assert [(each["index"], each["id"]) for each in answer["skipped"]] == [(1, "blank"), (2, "torn")]
        assert "surrogate" in answer["skipped"][1]["reason"]
        assert "SECRET" not in str(answer)
        assert add(on_bad_document="ignore").status_code == 422
        assert post(client, "guidelines/count", {}).json() == {"count": 3}
    assert "SECRET" not in client.log


def test_fifty_writers_at_once_lose_nothing_and_readers_never_fail(root):
    with serving(root) as client:
        stop = threading.Event()
        failures: list[str] = []

        def read() -> None:
            while not stop.is_set():
                response = post(client, "guidelines/search", {"query": "coronary", "mode": "sparse"})
                if not response.is_success:
                    failures.append(response.text)

        reader = threading.Thread(target=read)
        reader.start()

        def write(writer: int) -> list[str]:
            documents = [{"id": f"{writer}-{i}", "text": f"note {i}", "vector": [1.0] * 256} for i in range(4)]
            return [id for some in (documents[:2], documents[2:])
                    for id in post(client, "guidelines/add", {"documents": some}).json()["ids"]]  # fmt: skip

        with ThreadPoolExecutor(50) as pool:
            written = [id for ids in pool.map(write, range(50)) for id in ids]
        stop.set()
        reader.join()
        assert not failures
        assert len(set(written)) == 200
        assert post(client, "guidelines/count", {}).json() == {"count": 202}
    with Collection.open(root / "guidelines", read_only=True) as guidelines:
        assert all(id in guidelines for id in written)


def test_what_was_acknowledged_is_there_after_the_server_was_killed(root):
    with pytest.raises(AssertionError), serving(root) as client:
        ids = post(client, "ward/add", {"scope": {"patient_id": "K"}, "documents": [{"text": "kept"}]}).json()["ids"]
        client.process.kill()
    with Collection.open(root / "ward", read_only=True) as ward:
        assert ward.scoped(patient_id="K").get(ids)[0].text == "kept"


def check_schema(root, tokens, examples: int) -> None:
    """Ask every operation with generated requests and hold each answer against the schema."""
    with serving(root, "--tokens", tokens, "--encoder", "bedside/static") as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        schema.config.update(base_url=str(client.base_url))
        for operation in schema.get_all_operations():
            check_operation(operation.ok(), examples)
    assert "Traceback" not in client.log


def check_operation(operation, examples: int) -> None:
    @given(case=operation.as_strategy())
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def conforms(case) -> None:
        # A filter, a name or a vector may fit the schema and still be refused: the schema cannot say all of it.
        refused = [schemathesis.checks.positive_data_acceptance]
        case.call_and_validate(headers=bearer("e"), excluded_checks=refused)

    conforms()


def test_generated_requests_get_answers_that_the_schema_describes(root, tokens):
    check_schema(root, tokens, 8)


@pytest.mark.slow
def test_many_generated_requests_get_answers_that_the_schema_describes(root, tokens):
    check_schema(root, tokens, 40)


def test_the_schema_names_every_operation_for_generated_clients(root):
    with serving(root) as client:
        schema = client.get("/openapi.json").json()
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    names = {operation["operationId"] for operation in operations}
    assert names == {"health", "ready", "metrics", "list_collections", "create_collection", "stats", "verify", "add",
                     "get", "search", "count", "facets", "delete", "erase", "add_notes", "get_note", "history",
                     "delete_note", "search_notes", "context", "scopes", "cohort",
                     "drop_collection", "compact", "reembed", "import_file", "list_backups",
                     "back_up", "restore"}  # fmt: skip
    assert all(operation.get("description") for operation in operations)
    assert json.dumps(schema).count('"title": "Problem"') == 1
