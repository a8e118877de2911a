"""The table of verbs and surfaces is that of the code, and no cell of it is left open."""

from __future__ import annotations

import pytest

from bedside import Collection
from bedside.cli.app import COMMANDS
from verbs import NAMED, PAGE, SURFACES, THROUGH, VERBS, WHY, cell, page

GROUPED = {"--scope", '"scope"', "scope", "BedsideVectorStore", "bedside.notes.context"}
"""Names in the table that are an argument, a field, the class itself or a function."""


def test_the_table_in_the_docs_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/verbs.py"


@pytest.mark.parametrize("surface", SURFACES)
def test_every_verb_is_there_or_it_is_said_why_it_is_not(surface):
    assert [verb for verb in VERBS if cell(verb, surface) == "?"] == []


@pytest.mark.parametrize("surface", SURFACES)
def test_a_verb_with_another_name_is_there_under_that_name(surface):
    names = {name.split()[0] for name in NAMED[surface].values()} - GROUPED
    assert names <= set(SURFACES[surface])


def test_reasons_are_given_for_verbs():
    assert {verb for of in WHY.values() for verbs in of.values() for verb in verbs.split()} <= set(VERBS)


def test_a_store_of_a_framework_hands_over_its_collection():
    from langchain_bedside import BedsideVectorStore
    from langchain_core.embeddings import DeterministicFakeEmbedding
    from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaIndexStore

    stores = {"LangChain": BedsideVectorStore(DeterministicFakeEmbedding(size=4)), "LlamaIndex": LlamaIndexStore()}
    for surface, store in stores.items():
        assert isinstance(getattr(store, THROUGH[surface]), Collection)


def test_notes_are_on_every_surface():
    for verb in ("add_notes", "get_note", "delete_note", "search_notes", "context"):
        for surface in SURFACES:
            assert cell(verb, surface) not in ("`.collection`", "`.client`"), f"{surface} lacks {verb}"
    for verb in ("add_notes", "get_note", "delete_note", "search_notes", "context", "scopes", "cohort"):
        for surface in ("command line", "HTTP", "MCP"):
            assert cell(verb, surface).startswith("`"), f"{surface} lacks {verb}"
    assert {"search-notes", "get-note", "delete-note", "context", "scopes", "cohort"} <= set(COMMANDS)
