"""What servers leave in an audit trail: the caller's name, what the request was for, and nothing of what it said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client
from mcp_types import Implementation

from bedside.audit import AuditLog
from bedside.serving import Service, load_tokens
from bedside.serving.http import create_app
from bedside.support.keys import new_key_file
from serving_server import bearer, problem


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key_file(tmp_path / "audit.key")
    return tmp_path / "audit.key"


@pytest.fixture
def audit(tmp_path: Path, key: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit", key=key)


def told(audit: AuditLog) -> list[tuple[str, str | None, str]]:
    return [(line["actor"], line.get("purpose"), line["verb"]) for line in audit.entries()]


def client(service: Service, tokens: Path | None = None) -> httpx.AsyncClient:
    app = create_app(service, tokens=load_tokens(tokens) if tokens else ())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def test_a_request_is_recorded_under_its_tokens_name_with_the_purpose_of_its_header(
    root: Path, tokens: Path, audit: AuditLog
) -> None:
    async with client(Service(root, audit=audit), tokens) as asking:
        body = {"query": "chest pain", "mode": "sparse"}
        treating = {**bearer("a"), "Bedside-Purpose": "treatment"}
        assert (await asking.post("/v1/collections/ward/search", json=body, headers=treating)).status_code == 200
        await asking.post("/v1/collections/guidelines/count", json={}, headers=bearer("r"))
        await asking.post("/v1/collections/guidelines/count", json={})  # without a token
    assert told(audit) == [("patient A", "treatment", "search"), ("reader", None, "count")]
    (line,) = audit.entries(scope={"patient_id": "A"}, verb="search")
    assert line["count"] == 1


async def test_a_purpose_that_no_trail_could_hold_is_refused(root: Path, audit: AuditLog) -> None:
    async with client(Service(root, audit=audit)) as asking:
        answer = await asking.post("/v1/collections/guidelines/count", json={}, headers={"Bedside-Purpose": "x" * 201})
    assert "purpose: expected 1 to 200 printable characters" in problem(answer, 400, "InvalidInputError")
    assert told(audit) == []


async def test_a_request_that_cannot_be_recorded_is_not_answered(root: Path, audit: AuditLog) -> None:
    async with client(Service(root, audit=audit)) as asking:
        assert (await asking.post("/v1/collections/guidelines/count", json={})).json() == {"count": 2}
        next(audit.path.glob("audit-*.jsonl")).unlink()
        answer = await asking.post("/v1/collections/guidelines/count", json={})
    assert "gone" in problem(answer, 503, "BrokenTrailError")


async def test_a_chatbots_question_is_recorded_under_the_login_and_the_chatbots_name(
    root: Path, key: Path, audit: AuditLog
) -> None:
    trail = ["--audit", str(audit.path), "--audit-key-file", str(key), "--actor", "dr.x", "--purpose", "treatment"]
    arguments = ["-m", "bedside.cli", *trail, "mcp", str(root)]
    command = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
    known = Implementation(name="ward\nbot", version="1")
    async with Client(stdio_client(command), client_info=known, read_timeout_seconds=60) as chatbot:
        answer = await chatbot.call_tool("search", {"collection": "guidelines", "query": "aspirin", "mode": "sparse"})
        assert not answer.is_error, answer.content
    assert told(audit) == [("dr.x (wardbot)", "treatment", "search")]
