"""Every verb of a collection on every surface, as the code has them; ``python tests/verbs.py`` writes the page."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path

from langchain_bedside import BedsideVectorStore as LangChainStore
from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaIndexStore

from bedside import Collection, notes
from bedside.cli.app import COMMANDS
from bedside.serving.http import create_app
from bedside.serving.mcp import Tools
from bedside.serving.service import Service

PAGE = Path(__file__).parents[1] / "docs" / "verbs.md"
BEGIN, END = "<!-- verbs:begin -->\n", "<!-- verbs:end -->\n"


def public(owner: type) -> list[str]:
    """Return the names of a class's public methods, in the order written."""
    return [name for name, each in vars(owner).items() if not name.startswith("_") and _is_method(each)]


def _is_method(each: object) -> bool:
    return inspect.isfunction(each) or isinstance(each, classmethod)


def operations() -> list[str]:
    """Return the operation ids of the HTTP server."""
    with tempfile.TemporaryDirectory() as folder:
        paths = create_app(Service(folder)).openapi()["paths"]
    return [operation["operationId"] for path in paths.values() for operation in path.values()]


VERBS = [*public(Collection), "context"]
"""Those of a collection, and what renders what ``search_notes`` found."""
SURFACES = {
    "command line": sorted(COMMANDS),
    "HTTP": operations(),
    "MCP": public(Tools),
    "LangChain": [name for name in dir(LangChainStore) if not name.startswith("_")],
    "LlamaIndex": [name for name in dir(LlamaIndexStore) if not name.startswith("_")],
}
THROUGH = {"LangChain": "collection", "LlamaIndex": "client"}
"""The property of a store that is its collection: what has no word of the host's own is reached through it."""
_CONTEXT = f"{notes.__name__}.{notes.context.__name__}"
NAMED = {
    "command line": {
        "open": "init", "filling": "add", "add_note": "add-notes", "import_from": "import", "copy_to": "copy",
        "facets": "stats --facets", "scoped": "--scope", "set_min_score": "calibrate",
    },
    "HTTP": {
        "open": "create_collection", "drop": "drop_collection", "import_from": "import_file", "add_note": "add_notes",
        "scoped": '"scope"',
    },
    "MCP": {"add_note": "add_notes", "get_note": "read_note", "scoped": "scope", "context": "search_notes"},
    "LangChain": {
        "open": "BedsideVectorStore", "add": "add_documents", "search": "similarity_search", "context": _CONTEXT,
    },
    "LlamaIndex": {
        "open": "BedsideVectorStore", "get": "get_nodes", "delete": "delete_nodes", "search": "query",
        "context": _CONTEXT,
    },
}  # fmt: skip
"""What a verb is called where it has another name; a surface has it by its own name otherwise."""
_OF_PYTHON = "add_batches annotate check close encode_queries filtered natural_mode replace stream update views"
_OF_THE_FILES = "copy_to encrypt export rekey set_alpha set_min_score shred"
WHY = {
    "It takes or returns something of Python: a function, an encoder, a view, an iterator.": {
        "command line": _OF_PYTHON,
        "HTTP": f"{_OF_PYTHON} filling",
        "MCP": f"{_OF_PYTHON} filling",
    },
    "It needs the files, or a key, of whoever runs the server: use the command line there, or Python.": {
        "HTTP": _OF_THE_FILES,
        "MCP": f"{_OF_THE_FILES} compact import_from reembed verify",
    },
    "It is about roles and indexes of a database, which are its owner's: use the command line, or Python.": {
        "HTTP": "grant index revoke",
        "MCP": "grant index revoke",
    },
    "It cannot be undone or changes a whole collection, which is no decision of a chatbot's.": {
        "MCP": "drop erase open"
    },
    "It compares every document with every other, for longer than a request may take.": {
        "HTTP": "duplicates",
        "MCP": "duplicates",
    },
    "It is not there yet: use Python.": {"command line": "duplicates"},
}
"""Why a surface lacks a verb."""


def lacking(verb: str, surface: str) -> int | None:
    """Return the number of the reason why a surface lacks a verb; ``None`` where none is given."""
    given = (number for number, of in enumerate(WHY.values(), 1) if verb in of.get(surface, "").split())
    return next(given, None)


def cell(verb: str, surface: str) -> str:
    """Return what a verb is called on a surface, or the reason why it is not there."""
    spelled = verb.replace("_", "-") if surface == "command line" else verb
    named = NAMED[surface].get(verb, spelled)
    if verb in NAMED[surface] or named in SURFACES[surface]:
        return f"`{named}`"
    if surface in THROUGH:
        return f"`.{THROUGH[surface]}`"
    number = lacking(verb, surface)
    return "?" if number is None else f"({number})"


def table() -> str:
    """Return the table and the reasons."""
    rows = ["| Python | " + " | ".join(SURFACES) + " |", "|---" * (1 + len(SURFACES)) + "|"]
    rows += [f"| `{verb}` | " + " | ".join(cell(verb, surface) for surface in SURFACES) + " |" for verb in VERBS]
    reasons = [f"({number}) {reason}" for number, reason in enumerate(WHY, 1)]
    return "\n".join([*rows, "", *(f"{reason}\n" for reason in reasons)])


def page() -> str:
    """Return the page with the table of now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
