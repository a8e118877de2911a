"""The Model Context Protocol server, a real process asked by the official client over standard input and output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from filelock import FileLock
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

from bedside import Collection, Document
from command_line import bedside

READING = {"list_collections", "stats", "search_notes", "read_note", "history", "search", "get", "count", "facets"}
UNBOUND = {"scopes", "cohort"}
WRITING = {"add", "delete", "add_notes", "delete_note"}


@asynccontextmanager
async def chatbot(root, *options: str, log=None):
    """Start ``bedside mcp`` and connect to it."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bedside.cli", "mcp", str(root), *options],
        cwd=str(root.parent),
        env=dict(os.environ),  # by default PYTHONPATH is left out
    )
    async with Client(stdio_client(command, errlog=log or sys.stderr), read_timeout_seconds=60) as client:
        yield client


async def told(client, tool: str, **arguments):
    """Return what a tool answers."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def refused(client, tool: str, **arguments) -> str:
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    return answer.content[0].text


def test_an_old_release_of_the_library_is_named_with_the_one_that_is_needed(root, tmp_path):
    """Where mcp 1.x is installed, one line says so, and how to get what is needed."""
    old = tmp_path / "old"
    (old / "mcp" / "server").mkdir(parents=True)
    (old / "mcp" / "__init__.py").touch()
    (old / "mcp" / "server" / "__init__.py").write_text("class FastMCP: ...\n")
    (old / "mcp-1.28.1.dist-info").mkdir()
    (old / "mcp-1.28.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mcp\nVersion: 1.28.1\n")
    said = bedside("mcp", root, code=1, environment={"PYTHONPATH": str(old)})
    assert said == (
        'bedside: mcp 1.28.1 is installed, and mcp>=2 is needed. It comes with: pip install "bedside[mcp]"\n'
    )


async def test_a_chatbot_finds_what_it_can_cite(root):
    async with chatbot(root, "--encoder", "bedside/static") as client:
        assert "cite" in (client.instructions or "").lower()
        assert await told(client, "list_collections") == {"collections": ["guidelines", "ward"]}
        (hit,) = (await told(client, "search", collection="guidelines", query="heart attack", top_k=1))["hits"]
        assert (hit["id"], hit["text"], hit["metadata"]) == (
            "acs", "Aspirin for acute coronary syndrome.", {"section": "ACS"},
        )  # fmt: skip
        assert isinstance(hit["score"], float)
        (document,) = (await told(client, "get", collection="guidelines", ids=["dka"]))["documents"]
        assert document["text"] == "Insulin for diabetic ketoacidosis."
        assert await told(client, "count", collection="guidelines", filter={"section": "ACS"}) == {"count": 1}
        facets = (await told(client, "facets", collection="guidelines", key="section"))["facets"]
        assert {(facet["value"], facet["count"]) for facet in facets} == {("ACS", 1), ("DKA", 1)}
        assert (await told(client, "stats", collection="ward"))["scope_keys"] == ["patient_id"]
        said = await refused(client, "search", collection="ward", query="pain")
        assert said.endswith('divided by scope; give "scope": {"patient_id": "…"}')


async def test_a_chatbot_is_shown_what_denies_its_question_last(root):
    with Collection.open(root / "visits") as visits:
        visits.add(
            [Document(text, id=id) for id, text in (("no", "Denies chest pain."), ("yes", "Chest pain at rest."))]
        )
    async with chatbot(root) as client:
        for assertion, ids in (("prefer", ["yes"]), ("only", ["yes"]), ("any", ["no", "yes"])):
            asked = {"collection": "visits", "query": "chest pain", "assertion": assertion}
            assert sorted(hit["id"] for hit in (await told(client, "search", **asked))["hits"]) == ids


async def test_a_chatbot_is_offered_no_tool_that_writes_unless_that_was_allowed(root):
    async with chatbot(root) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == READING | UNBOUND
        assert all(tool.description and tool.annotations.read_only_hint for tool in tools)
        assert (await client.call_tool("delete", {"collection": "guidelines", "filter": {}})).is_error
    async with chatbot(root, "--allow-writes") as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == READING | UNBOUND | WRITING
        added = await told(client, "add", collection="ward", scope={"patient_id": "A"}, documents=[{"text": "Cough."}])
        assert await told(client, "delete", collection="ward", scope={"patient_id": "A"}, ids=["A1"]) == {"count": 1}
        bad = {"collection": "ward", "scope": {"patient_id": "A"}, "documents": [{"id": "blank", "text": " "}]}
        assert "(id 'blank'): empty" in await refused(client, "add", **bad)
        (left,) = (await told(client, "add", **bad, on_bad_document="skip"))["skipped"]
        assert (left["index"], left["id"]) == (0, "blank")
    with Collection.open(root / "ward", read_only=True) as ward:
        assert [document.id for document in ward.scoped(patient_id="A")] == added["ids"]
        assert ward.scoped(patient_id="B").count() == 1


async def test_a_misspelt_argument_is_refused_and_not_left_out(root):
    async with chatbot(root) as client:
        for tool in (await client.list_tools()).tools:
            assert tool.input_schema["additionalProperties"] is False
        for argument in ({"filters": {"section": "DKA"}}, {"scopes": {"patient_id": "A"}}):
            said = await refused(client, "count", collection="guidelines", **argument)
            assert next(iter(argument)) in said


async def test_a_chatbot_bound_to_a_patient_and_a_collection_reaches_no_other(root, tmp_path):
    with (tmp_path / "log").open("w") as log:
        async with chatbot(root, "--scope", "patient_id=A", "--collection", "ward", log=log) as client:
            assert await told(client, "list_collections") == {"collections": ["ward"]}
            hits = (await told(client, "search", collection="ward", query="secret chest pain"))["hits"]
            assert [hit["id"] for hit in hits] == ["A1"]
            other = {"collection": "ward", "scope": {"patient_id": "B"}}
            for tool, more in {"search": {"query": "secret"}, "get": {"filter": {}}, "count": {}}.items():
                assert "scope" in await refused(client, tool, **other, **more)
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == READING
            assert not any("scope" in tool.input_schema["properties"] for tool in tools)
            for name in ("guidelines", "../collections/guidelines", "/etc"):
                assert "Error" in await refused(client, "count", collection=name)
    assert "secret" not in (tmp_path / "log").read_text().lower()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_a_server_that_is_interrupted_ends_at_once_with_its_input_still_open(root):
    command = [sys.executable, "-m", "bedside.cli", "mcp", str(root)]
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT


async def test_a_chatbot_is_told_when_an_answer_takes_too_long_and_can_go_on(root):
    async with chatbot(root, "--allow-writes", "--max-seconds", "1") as client:
        with FileLock(root / "guidelines" / "write.lock"):
            late = [{"id": "late", "text": "x", "vector": [1.0] * 256}]
            assert "TooSlowError" in await refused(client, "add", collection="guidelines", documents=late)
            assert await told(client, "count", collection="guidelines") == {"count": 2}
