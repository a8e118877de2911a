"""The directions of import, the public names, and what a bare import costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bedside
from bedside import errors

SOURCE = Path(bedside.__file__).parent
HEAVY = ["torch", "transformers", "sentence_transformers", "langchain_core", "llama_index", "tqdm", "hypothesis"]
BOTTOM = {"errors", "types"}
# What each part may import of the others; "*" is everything.
MAY_IMPORT = {
    "errors": set(),
    "types": set(),
    "store": BOTTOM,
    "filters.tree": BOTTOM,
    "filters.dates": set(),
    "filters.spelled": set(),
    "filters.rules": BOTTOM | {"filters"},
    "filters.parse": BOTTOM | {"filters"},
    "text": BOTTOM,
    "rank": BOTTOM,
    "records": BOTTOM,
    "arguments": BOTTOM | {"records"},
    "index": BOTTOM | {"filters", "rank", "records", "store", "text"},
    "search": BOTTOM | {"index", "rank"},
    "lines": BOTTOM | {"index", "records", "store"},
    "maintenance": BOTTOM | {"index", "store"},
    "live": BOTTOM | {"index", "lines", "store"},
    "engine": BOTTOM | {"filters", "index", "lines", "live", "maintenance", "records", "search", "store"},
    "core_verbs": BOTTOM | {"arguments", "engine", "filters", "maintenance", "records", "search"},
    "answers": BOTTOM | {"context", "filters", "text"},
    "encoders": BOTTOM | {"text"},
}
NO_ENCODERS = {
    "answers",
    "collection",
    "notes",
    "context",
    "core_verbs",
    "verbs",
    "arguments",
    "engine",
    "live",
    "lines",
    "maintenance",
    "search",
    "index",
    "filters",
    "store",
    "text",
    "rank",
    "records",
}
NOBODY_IMPORTS = {
    *("evaluation", "formats", "words", "tuning", "cli", "clusters", "maps", "expansion", "serving"),
    *("loaders", "watching"),
}

# A verb may hand over to such a part, inside of its function.
DELEGATES = {"verbs": {"formats.exchange"}}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text())
    return found


def imported(tree: ast.Module) -> set[str]:
    """Return the parts of bedside that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bedside."):
            names.add(node.module.removeprefix("bedside."))
        if isinstance(node, ast.ImportFrom) and node.module == "bedside":
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            names |= {alias.name.removeprefix("bedside.") for alias in node.names if alias.name.startswith("bedside.")}
    return names


def part(module: str) -> str:
    return module.split(".")[0]


def test_imports_point_down():
    for name, tree in modules().items():
        used = imported(tree)
        for rule in (name, part(name)):
            if rule in MAY_IMPORT:
                wrong = {u for u in used if part(u) not in MAY_IMPORT[rule] | {part(name)}}
                assert not wrong, f"{name} imports {wrong}"
        if part(name) in NO_ENCODERS:
            assert not {u for u in used if part(u) == "encoders"}, name
        if part(name) not in NOBODY_IMPORTS:
            wrong = {u for u in used if part(u) in NOBODY_IMPORTS} - DELEGATES.get(name, set())
            assert not wrong, f"{name} imports {wrong}"


def test_the_filter_language_needs_no_numpy():
    for name in ("filters.tree", "filters.dates", "filters.spelled", "filters.rules", "filters.parse"):
        roots = {a.name for n in ast.walk(modules()[name]) if isinstance(n, ast.Import) for a in n.names}
        roots |= {n.module for n in ast.walk(modules()[name]) if isinstance(n, ast.ImportFrom)}
        assert not any((root or "").startswith("numpy") for root in roots), name


def test_import_loads_no_framework():
    code = f"import sys, bedside; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_is_sorted_and_holds_what_the_package_shows():
    assert sorted(bedside.__all__) == bedside.__all__
    assert sorted(errors.__all__) == errors.__all__
    for name in bedside.__all__:
        assert getattr(bedside, name) is not None


def test_every_error_is_in_the_tree_in_all_and_derives_from_a_builtin():
    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, errors.BedsideError) or name == "BedsideWarning"
        assert name in errors.__doc__ or name == "BedsideWarning"
        leaf = not error.__subclasses__()
        if leaf and name != "BedsideWarning":
            assert any(base.__module__ == "builtins" and base is not Exception for base in error.__mro__[1:-3]), name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Collections'"):
        bedside.Collections  # noqa: B018


def test_every_extra_that_an_error_names_can_be_installed():
    named = {name for path in SOURCE.rglob("*.py") for name in re.findall(r'\bneeds\("(\w+)"\)', path.read_text())}
    declared = (SOURCE.parents[1] / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    assert len(named) >= 8
    assert named <= set(re.findall(r"^(\w+) = ", declared.split("\n[")[0], re.MULTILINE))
