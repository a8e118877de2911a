"""What operators ask of a server: is it ready, how busy is it, who asked for what; and that writes delay no search."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from datetime import datetime, timezone

import httpx
import pytest

from bedside import Collection
from bedside.encoders.remote import RemoteEncoder
from bedside.serving import Limits, Service
from bedside.serving.http import create_app
from serving_server import bearer, problem, serving

SEARCH = "/v1/collections/ward/search"
ASKED = {"query": "chest pain", "mode": "sparse", "scope": {"patient_id": "A"}}
ORIGIN = {"Origin": "https://notes.hospital.example"}


def test_ready_says_no_when_the_folder_is_gone_and_health_still_answers(root):
    with serving(root) as client:
        assert client.post(SEARCH, json=ASKED).is_success
        assert client.get("/ready").json()["status"] == "ready"
        (root / "ward" / "manifest.json").write_text("{}")
        response = client.get("/ready")
        assert "NotACollectionError" in problem(response, 503, "NotReady")
        assert response.headers["Retry-After"] == "1"
        shutil.rmtree(root)
        assert str(root) not in problem(client.get("/ready"), 503, "NotReady")
        assert client.get("/health").status_code == 200


def test_metrics_count_requests_by_operation_and_hold_nothing_that_a_caller_chose(root, tokens):
    with serving(root, "--tokens", tokens) as client:
        assert client.get("/ready").status_code == 200
        for _ in range(3):
            assert client.post(SEARCH, json=ASKED, headers=bearer("e")).is_success
        client.post("/v1/collections/SECRET/count", json={}, headers=bearer("e"))
        client.get("/SECRET", headers=bearer("e"))
        assert client.get("/metrics").status_code == 401
        problem(client.get("/metrics", headers=bearer("a")), 403, "ScopeMismatch")
        text = client.get("/metrics", headers=bearer("r")).text
    assert 'bedside_requests_total{operation="search",status="200"} 3.0' in text
    assert 'bedside_requests_total{operation="count",status="404"} 1.0' in text
    assert 'bedside_request_seconds_count{operation="search"} 3.0' in text
    assert "bedside_collections_open 1.0" in text
    assert "bedside_writes_waiting 0.0" in text
    assert "process_resident_memory_bytes" in text
    assert "SECRET" not in text
    assert "ward" not in text
    assert "chest" not in text


def test_json_logs_have_a_line_for_each_request_with_the_id_that_its_answer_carries(root):
    with serving(root, "--log-format", "json") as client:
        given = client.post(SEARCH, json=ASKED, headers={"X-Request-ID": "ehr-17.4"})
        made = client.post(SEARCH, json=ASKED, headers={"X-Request-ID": "SECRET id!"})
        assert given.headers["X-Request-ID"] == "ehr-17.4"
        number = made.headers["X-Request-ID"]
        assert len(number) == 32
    lines = [json.loads(line) for line in client.log.splitlines() if line]
    found = {line["request"]: line for line in lines if "request" in line}
    assert set(found) == {"ehr-17.4", number}
    line = found[number]
    assert (line["operation"], line["status"], line["caller"], line["level"]) == ("search", 200, "local", "info")
    assert line["path"] == SEARCH
    assert line["ms"] > 0
    assert datetime.fromisoformat(line["at"]) <= datetime.now(timezone.utc)
    assert "SECRET" not in client.log


def test_a_web_page_of_another_origin_is_let_in_where_its_origin_is_named(root, tokens):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    with serving(root, "--tokens", tokens, "--allow-origin", ORIGIN["Origin"]) as client:
        preflight = client.options(SEARCH, headers={**ORIGIN, **asks})
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        found = client.post(SEARCH, json=ASKED, headers={**ORIGIN, **bearer("e")})
        assert found.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert client.post(SEARCH, json=ASKED, headers=ORIGIN).status_code == 401
        other = {"Origin": "https://elsewhere.example"}
        problem(client.options(SEARCH, headers={**other, **asks}), 403, "OriginNotAllowed")
        problem(client.post(SEARCH, json=ASKED, headers={**other, **bearer("e")}), 403, "OriginNotAllowed")
    with serving(root, "--tokens", tokens) as client:
        problem(client.post(SEARCH, json=ASKED, headers={**ORIGIN, **bearer("e")}), 403, "OriginNotAllowed")


def test_a_token_may_write_or_look_after_collections_by_its_role(root, tokens):
    roles = [{"name": role, "token": role[0] * 32, "role": role} for role in ("read", "write", "admin")]
    tokens.write_text(json.dumps(roles))
    body = {"scope": {"patient_id": "A"}, "documents": [{"id": "new", "text": "Fever."}]}
    with serving(root, "--tokens", tokens) as client:
        problem(client.post("/v1/collections/ward/add", json=body, headers=bearer("r")), 403, "ReadOnlyError")
        assert client.post("/v1/collections/ward/add", json=body, headers=bearer("w")).is_success
        problem(client.put("/v1/collections/mine", json={}, headers=bearer("w")), 403, "RoleRequired")
        assert client.put("/v1/collections/mine", json={}, headers=bearer("a")).is_success


@pytest.fixture
def slow_writes(root, monkeypatch):
    """An application whose adds wait until they are let go."""
    go_on = threading.Event()
    add = Collection.add

    def waits(collection, documents, **options):
        go_on.wait(30)
        return add(collection, documents, **options)

    monkeypatch.setattr(Collection, "add", waits)
    service = Service(root, limits=Limits(writing=2, writes_waiting=3))
    yield create_app(service), go_on
    go_on.set()


async def test_searches_are_answered_while_writes_wait_and_beyond_their_queue_writes_are_turned_away(slow_writes):
    app, go_on = slow_writes
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

        def add(number):
            document = {"id": f"n{number}", "text": "Fever."}
            return client.post("/v1/collections/ward/add", json={"scope": {"patient_id": "A"}, "documents": [document]})

        adds = [asyncio.create_task(add(number)) for number in range(5)]
        while "bedside_writes_waiting 3.0" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        assert [(await client.post(SEARCH, json=ASKED)).status_code for _ in range(20)] == [200] * 20
        refused = await add(9)
        assert refused.headers["Retry-After"] == "1"
        problem(refused, 503, "TooBusyError")
        go_on.set()
        assert {(await task).status_code for task in adds} == {200}


async def test_searches_are_answered_while_every_other_reading_thread_is_taken(root, monkeypatch):
    go_on, verify = threading.Event(), Collection.verify

    def waits(collection):
        go_on.wait(30)
        return verify(collection)

    monkeypatch.setattr(Collection, "verify", waits)
    app = create_app(Service(root, limits=Limits(running=1, searching=1)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
        verified = asyncio.create_task(client.post("/v1/collections/ward/verify"))
        while "bedside_reads_running 1.0" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        # Opening is a reading request, and this collection was opened for the first one.
        answered = await asyncio.gather(*(client.post(SEARCH, json=ASKED) for _ in range(20)))
        assert {each.status_code for each in answered} == {200}
        assert not verified.done()
        go_on.set()
        assert (await verified).status_code == 200


def test_as_many_searches_are_at_work_as_there_are_processors_or_more_where_they_wait_for_others(root, monkeypatch):
    remote = RemoteEncoder("m", base_url="http://127.0.0.1:9/v1", api_key="k")
    for found, most in ((1, 2), (4, 4), (64, 8)):
        monkeypatch.setattr("bedside.serving.service.processors", lambda found=found: found)
        assert Service(root).searching == most
        assert Service(root, encoder=remote).searching == 8
    assert Service(root, limits=Limits(searching=3)).searching == 3


ADMIN = {"compact": {}, "reembed": {}, "backup": {}, "import": {"file": "x.jsonl"}, "restore": {"backup": "x"}}


def test_who_is_not_an_admin_of_the_whole_looks_after_no_collection(root, tokens):
    tokens.write_text(
        json.dumps(
            [
                {"name": "write", "token": "w" * 32, "role": "write"},
                {"name": "patient A", "token": "a" * 32, "scope": {"patient_id": "A"}},
            ]
        )
    )
    with serving(root, "--tokens", tokens) as client:
        for letter, title in (("w", "RoleRequired"), ("a", "ScopeMismatch")):
            for verb, body in ADMIN.items():
                problem(client.post(f"/v1/collections/ward/{verb}", json=body, headers=bearer(letter)), 403, title)
            problem(client.delete("/v1/collections/ward", headers=bearer(letter)), 403, title)
            problem(client.get("/v1/backups", headers=bearer(letter)), 403, title)
        assert client.get("/v1/collections", headers=bearer("w")).json()["collections"] == ["guidelines", "ward"]


def test_an_admin_backs_up_drops_restores_imports_compacts_and_re_embeds(root, tmp_path):
    backups, imports = tmp_path / "backups", tmp_path / "imports"
    backups.mkdir()
    imports.mkdir()
    (imports / "more.jsonl").write_text('{"id": "new", "text": "Heparin for pulmonary embolism."}\n')
    options = ("--backups", backups, "--imports", imports, "--encoder", "bedside/static")
    with serving(root, *options) as client:

        def post(path, body=None):
            return client.post(f"/v1/collections/{path}", json=body or {})

        name = post("ward/backup").json()["backup"]
        assert name.startswith("ward-")
        assert post("guidelines/backup", {"to": "monday"}).json() == {"backup": "monday"}
        assert client.get("/v1/backups").json() == {"backups": sorted([name, "monday"])}
        assert client.delete("/v1/collections/ward").status_code == 204
        problem(client.post(SEARCH, json=ASKED), 404, "NotACollectionError")
        assert not (root / "ward").exists()
        problem(post("guidelines/restore", {"backup": name}), 400, "InvalidInputError")
        problem(post("ward/restore", {"backup": "tuesday"}), 404, "NotACollectionError")
        assert post("ward/restore", {"backup": name}).json()["documents"] == 2
        assert [hit["id"] for hit in client.post(SEARCH, json=ASKED).json()["hits"]] == ["A1"]
        assert post("guidelines/import", {"file": "more.jsonl"}).json() == {"count": 1, "skipped": []}
        (imports / "bad.jsonl").write_text('{"id": "blank", "text": " "}\n{"id": "new", "text": "Heparin."}\n')
        problem(post("guidelines/import", {"file": "bad.jsonl"}), 400, "InvalidDocumentError")
        imported = post("guidelines/import", {"file": "bad.jsonl", "on_bad_document": "skip"}).json()
        assert (imported["count"], [each["id"] for each in imported["skipped"]]) == (1, ["blank"])
        assert post("guidelines/compact").json()["documents"] == 3
        assert post("guidelines/reembed").json()["encoder"] == "bedside/static"
        (imports / "link.jsonl").symlink_to(tmp_path / "tokens.json")
        for file in ("../collections/ward", "/etc/passwd", "link.jsonl", "..", ".", "absent.jsonl", ""):
            assert "folder of imports" in problem(post("guidelines/import", {"file": file}), 400, "InvalidInputError")
        for copy in ("../x", "a/b", "", ".hidden"):
            assert post("guidelines/backup", {"to": copy or "-"}).status_code == 400
            assert post("other/restore", {"backup": copy}).status_code == 400
    with serving(root) as client:
        detail = problem(client.post("/v1/collections/ward/backup", json={}), 400, "InvalidInputError")
        assert "--backups" in detail
