"""One list of search options, from which every surface takes its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields
from inspect import signature
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from bedside import Collection, Document
from bedside.cli.app import app
from bedside.search.options import OPTIONS, SearchArguments, SearchOptions
from bedside.search.pool import Signal
from bedside.search.stages import SIGNALS
from bedside.serving.mcp import Tools
from bedside.serving.models import HitModel, SearchRequest

PROJECT = Path(__file__).parents[1]
FIELD = """    dummy: int | None = field(
        default=None, metadata=_about("int", "A dummy option.", least=1, most=9, optional=True)
    )
    as_one: str | None = field("""
SURFACES = """
import asyncio, json, tempfile
from pathlib import Path

from langchain_bedside import BedsideRetriever, BedsideVectorStore
from langchain_core.embeddings import DeterministicFakeEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaStore
from typer.testing import CliRunner

from bedside import Collection, Document
from bedside.cli.app import app
from bedside.serving.access import Access
from bedside.serving.http import create_app
from bedside.serving.mcp import create_server
from bedside.serving.models import SearchRequest
from bedside.serving.service import Service

folder = Path(tempfile.mkdtemp())
with Collection.open(folder / "c") as made:
    made.add([Document("Chest pain.", id="1", vector=[1, 0])])
core = Collection.open(folder / "c", read_only=True)
chain = BedsideVectorStore.from_texts(["Chest pain."], DeterministicFakeEmbedding(size=4))
llama = LlamaStore()
llama.add([TextNode(text="Chest pain.", embedding=[1.0, 0.0])])
asked = VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=1)
schema = create_app(Service(folder)).openapi()["components"]["schemas"]["SearchRequest"]
tools = asyncio.run(create_server(Service(folder), Access()).list_tools())
command = CliRunner()


def cli(value):
    return command.invoke(app, ["search", str(folder / "c"), "pain", "--mode", "sparse", "--dummy", str(value)])


def finds(call):
    found = len(call(3))
    try:
        call(10)
    except ValueError as error:
        return [found, "dummy" in str(error)]


print(json.dumps({
    "Collection.search": finds(lambda n: core.search(vector=[1, 0], dummy=n)),
    "LangChain store": finds(lambda n: chain.similarity_search("pain", dummy=n)),
    "LangChain store's retriever": finds(lambda n: chain.as_retriever(search_kwargs={"dummy": n}).invoke("pain")),
    "LangChain retriever": finds(lambda n: BedsideRetriever(vectorstore=chain, search_kwargs={"dummy": n}).invoke("p")),
    "LlamaIndex query": finds(lambda n: llama.query(asked, dummy=n).nodes),
    "help": command.invoke(app, ["search", "--help"], env={"COLUMNS": "200"}).output,
    "exit codes": [cli(3).exit_code, cli(10).exit_code],
    "HTTP": schema["properties"]["dummy"],
    "HTTP's arguments": SearchRequest(dummy=3).options()["dummy"],
    "MCP": next(tool for tool in tools if tool.name == "search").input_schema["properties"]["dummy"],
}))
"""


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory):
    """What every surface of a copy of the source makes of an option that only the list has."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("src", "integrations"):
        shutil.copytree(
            PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors", "tests")
        )
    options = copy / "src/bedside/search/options.py"
    text = options.read_text(encoding="utf-8")
    changed = text.replace("    as_one: str | None = field(", FIELD).replace(
        "    as_one: str | None\n", "    as_one: str | None\n    dummy: int | None\n"
    )
    assert changed.count("dummy") == 3
    options.write_text(changed, encoding="utf-8")
    packages = copy / "integrations"
    path = [copy / "src", packages / "langchain-bedside/src", *packages.glob("llama-index-*")]
    done = subprocess.run(
        [sys.executable, "-c", SURFACES],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "NO_COLOR": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "surface",
    ["Collection.search", "LangChain store", "LangChain store's retriever", "LangChain retriever", "LlamaIndex query"],
)
def test_a_new_option_is_an_argument_in_python_and_its_range_is_checked(surfaces, surface):
    assert surfaces[surface] == [1, True]


def test_a_new_option_is_one_of_the_command_and_out_of_its_range_wrong_usage(surfaces):
    assert re.search(r"--dummy\s+<int range> \[1<=x<=9\]\s+A dummy option\.", surfaces["help"])
    assert surfaces["exit codes"] == [0, 2]


def test_a_new_option_is_in_the_schemas_of_http_and_mcp_with_its_range_and_help(surfaces):
    for schema in (surfaces["HTTP"], surfaces["MCP"]):
        assert schema["description"] == "A dummy option."
        assert {"type": "integer", "minimum": 1, "maximum": 9} in schema["anyOf"]
    assert surfaces["HTTP's arguments"] == 3


def test_the_command_asks_all_that_http_asks():
    """Its scope and query too, as --scope and QUERY."""
    asked = set(SearchRequest.model_fields)
    options = {option.name for option in get_command(app).commands["search"].params}
    assert asked <= options
    assert options - asked == {"path", "encoder", "json", "explain_html"}


def test_the_keyword_arguments_for_type_checkers_are_the_options():
    named = {name: kind for name, kind in get_type_hints(SearchOptions).items() if name in OPTIONS}
    assert get_type_hints(SearchArguments) == named
    assert {each.name for each in fields(SearchOptions)} - set(OPTIONS) == {"default_alpha"}  # the collection's
    assert list(SearchArguments.__annotations__) == list(OPTIONS)


def test_every_option_has_a_default_within_its_range_and_one_line_of_help():
    for each in fields(SearchOptions):
        assert each.default is not MISSING
        if each.name in OPTIONS:
            OPTIONS[each.name].check(each.name, each.default)
            assert re.fullmatch(r"\S.*\.", OPTIONS[each.name].help)


def test_the_documentation_has_a_line_on_every_option():
    page = (PROJECT / "docs" / "collection.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page.partition("| Option |")[2].partition("\n\n")[0], re.MULTILINE)
    assert listed == list(OPTIONS)


def test_the_command_and_the_schema_of_http_offer_every_option_that_is_for_other_programs():
    offered = [name for name, option in OPTIONS.items() if option.surface]
    assert [name for name in SearchRequest.model_fields if name in OPTIONS] == offered
    shown = CliRunner().invoke(app, ["search", "--help"], env={"COLUMNS": "200"}).output
    for name in offered:
        assert f"--{'id' if name == 'ids' else name.replace('_', '-')} " in shown


def test_a_chatbot_gets_every_option_but_those_that_are_chosen_by_measurement():
    left_out = {name for name, option in OPTIONS.items() if option.surface} - set(signature(Tools.search).parameters)
    assert left_out == {"alpha", "fusion", "fetch_k", "explain"}


@pytest.mark.parametrize(
    "wrong",
    [
        *(("--mode", "fuzzy"), ("--fusion", "none"), ("--top-k", "0"), ("--alpha", "1.5"), ("--alpha", "much")),
        *(("--offset", "-1"), ("--fetch-k", "0"), ("--diversity", "2"), ("--filter", "[]"), ("--as-one", "note")),
    ],
)
@pytest.mark.parametrize("command", ["search", "explain"])
def test_a_value_that_no_search_takes_is_wrong_usage_before_anything_is_opened(command, wrong):
    answer = CliRunner().invoke(app, [command, "nowhere.bedside", "pain", *wrong], env={"COLUMNS": "200"})
    assert answer.exit_code == 2
    assert wrong[0] in answer.output


def test_every_part_of_a_score_is_shown_by_the_commands_and_over_http(tmp_path, monkeypatch):
    monkeypatch.setitem(SIGNALS, "recency", lambda *_: Signal(np.array([0, 1]), np.array([0.25, 0.5])))
    with Collection.open(tmp_path / "c") as notes:
        notes.add([Document("Chest pain.", id="a"), Document("Chest pain at rest.", id="b")])
        hits = [
            HitModel.model_validate(HitModel.values(hit))
            for hit in notes.search("chest pain", mode="sparse", explain=True)
        ]
    commands = ["explain"], ["search", "--explain"]
    asked = [CliRunner().invoke(app, [*each, str(tmp_path / "c"), "chest pain", "--json"]).output for each in commands]
    explained, searched = ([json.loads(line) for line in output.splitlines()] for output in asked)
    assert len(hits) == len(explained) == len(searched) == 2
    for hit, arithmetic, line in zip(hits, explained, searched, strict=True):
        why = hit.explanation
        assert why.signals["recency"] > 0
        assert why.dense + why.sparse + sum(why.signals.values()) == pytest.approx(hit.score)
        assert arithmetic["parts"] == {"dense": why.dense, "sparse": why.sparse, **why.signals}
        assert line["explanation"]["signals"] == why.signals
    table = CliRunner().invoke(app, ["explain", str(tmp_path / "c"), "chest pain"]).output
    assert re.search(r"recency part +0\.\d+", table)
