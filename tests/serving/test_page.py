"""What docs/serving.md shows, done as it stands there against a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bedside import Collection, Document
from serving_server import bearer, serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def local(text: str, client) -> str:
    """Return an example that asks this server instead of the one at the default port."""
    return re.sub(r"(http://)?localhost:8427", str(client.base_url), text)


def done(command: list[str], **environment: str) -> str:
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, encoding="utf-8", env={**os.environ, **environment}
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_requests_of_the_page_are_answered(tmp_path):
    (block,) = [block for block in blocks("console") if "curl -X PUT" in block]
    commands = [f"curl --silent --fail{command}" for command in block.split("$ curl")[1:]]
    with serving(tmp_path, "--encoder", "bedside/static") as client:
        answers = [json.loads(done(["sh", "-c", local(command, client)])) for command in commands]
        schema = done(["sh", "-c", local("curl --silent --fail localhost:8427/openapi.json", client)])
    created, added, found = answers
    assert created["scope_keys"] == ["patient_id"]
    assert added == {"ids": ["a1"], "skipped": []}
    assert [hit["id"] for hit in found["hits"]] == ["a1"]
    assert json.loads(schema)["info"]["title"] == "Bedside"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_javascript_of_the_page_finds_what_a_token_opens(root, tokens, tmp_path):
    (script,) = blocks("js")
    with serving(root, "--tokens", tokens) as client:
        (tmp_path / "ask.mjs").write_text(local(script, client), encoding="utf-8")
        shown = done(["node", str(tmp_path / "ask.mjs")], BEDSIDE_TOKEN="a" * 32)
    assert re.fullmatch(r"\d\.\d{3} A1 Secret of A: chest pain\.\n", shown)


def test_the_retrievers_of_the_page_find_what_a_token_opens(tmp_path, tokens):
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    with Collection.open(tmp_path / "served" / "ward", scope_keys=["patient_id"]) as ward:
        for patient in "AB":
            ward.scoped(patient_id=patient).add([Document(f"Chest pain of {patient}.", id=f"{patient}1")])
    with serving(tmp_path / "served", "--tokens", tokens) as client:
        program = local("\n".join(blocks("python")), client).replace("Bearer …", bearer("a")["Authorization"])
        shown = done([sys.executable, "-c", program])
    assert shown == "Chest pain of A.\n" * 2
