"""The directions of import, the public names, and what a bare import costs."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest

import bedside
from bedside import errors

SOURCE = Path(bedside.__file__).parent
HEAVY = [
    "torch",
    "transformers",
    "sentence_transformers",
    "jinja2",
    "langchain_core",
    "llama_index",
    "tqdm",
    "hypothesis",
]


# From the bottom up: a module imports of its own row and of those above it here, never of those below. The longest name
# that a module begins with is its row.
ROWS: tuple[tuple[str, ...], ...] = (
    ("remedies",),
    ("errors",),
    ("types",),
    ("support",),
    ("pages",),
    ("filters", "text", "audit"),
    ("skipping",),
    ("records",),
    ("search",),
    ("engines.facts", "engines.reports"),
    ("engines.protocol",),
    ("engines.embedded.log",),
    ("engines.embedded.index",),
    ("engines.embedded",),
    ("engines",),
    ("arguments", "encoding"),
    ("collection",),
    ("encoders",),
    ("words",),
    ("expansion",),
    ("notes", "analysis", "answers", "intake"),
    ("loaders",),
    ("notes.changes", "notes.sync"),
    ("clusters", "duplicates", "maps", "watching", "maintenance"),
    ("formats",),
    ("bulk",),
    ("evaluation",),
    ("tuning",),
    ("serving",),
    ("cli",),
)
# A verb of the collection hands over to what is built on it, inside of its function.
HANDS_OVER = {"collection": {"analysis", "notes", "formats"}}
ENGINES = ("engines.embedded", "engines.postgres")


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text())
    return found


def imported(tree: ast.AST) -> set[str]:
    """Return the modules of bedside that are imported anywhere in a tree."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bedside":
            package = node.module.removeprefix("bedside").removeprefix(".")
            for alias in node.names:
                submodule = f"{package}.{alias.name}".removeprefix(".")
                names.add(submodule if is_module(submodule) else package or "__init__")
        if isinstance(node, ast.Import):
            names |= {alias.name.removeprefix("bedside.") for alias in node.names if alias.name.startswith("bedside.")}
    return names


def is_module(name: str) -> bool:
    place = SOURCE.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def row_of(module: str) -> int:
    rows = {name: number for number, names in enumerate(ROWS) for name in names}
    while module and module not in rows:
        module = module.rpartition(".")[0]
    assert module, "a module has no row"
    return rows[module]


def circles(uses: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of two and more nodes that lead to one another (Tarjan's strongly connected components)."""
    order, low, stack, found = {}, {}, [], []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in uses.get(node, ()):
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in uses:
        if node not in order:
            visit(node)
    return found


def at_import(tree: ast.Module) -> set[str]:
    """Return the modules of bedside that a module imports when it is itself imported."""
    return imported(ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []))


def test_every_module_has_a_row_and_imports_of_its_own_and_of_the_rows_above():
    for name, tree in modules().items():
        if name != "__init__":  # the package shows what others make
            wrong = {used for used in at_import(tree) - {"__init__"} if row_of(used) > row_of(name)}
            assert not wrong, f"{name} imports {wrong}"


def test_what_is_imported_inside_of_a_function_points_down_too_but_where_a_verb_hands_over():
    for name, tree in modules().items():
        if name == "__init__" or row_of(name) > row_of("collection"):
            continue  # above the collection, extras and heavy parts are imported where they are needed
        allowed = HANDS_OVER.get(name, set())
        wrong = {
            u for u in imported(tree) - {"__init__"} if row_of(u) > row_of(name) and u.split(".")[0] not in allowed
        }
        assert not wrong, f"{name} imports {wrong}"


def test_no_two_files_import_one_another():
    known = modules()
    uses = {name: {u for u in at_import(tree) if u in known} for name, tree in known.items()}
    assert circles(uses) == []


def test_no_two_folders_import_one_another():
    def folder(module: str) -> str:
        return module if (SOURCE.joinpath(*module.split(".")) / "__init__.py").exists() else module.rpartition(".")[0]

    uses: dict[str, set[str]] = {}
    for name, tree in modules().items():
        if name == "__init__" or not folder(name):
            continue
        for used in at_import(tree):
            # What a folder's own file takes of the folders in it, or of the one around it, is no circle of two folders.
            one, other = folder(name), folder(used)
            if other and not one.startswith(other) and not other.startswith(one):
                uses.setdefault(one, set()).add(other)
    assert circles(uses) == []


def test_a_search_crosses_at_most_ten_modules():
    """From the verb down to the vectors: the modules that stand on the stack at one time."""
    deepest: set[str] = set()

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal deepest
        here = set()
        while frame is not None:
            if frame.f_code.co_filename.startswith(str(SOURCE)):
                here.add(frame.f_code.co_filename)
            frame = frame.f_back
        deepest = max(deepest, here, key=len)

    notes = bedside.Collection.open()
    notes.add([bedside.Document("Chest pain.", {"section": "HPI"}, vector=[1.0, 0.0])])
    sys.setprofile(look)
    try:
        notes.search("pain", vector=[1.0, 0.0], filter={"section": "HPI"}, group_by="section", explain=True)
    finally:
        sys.setprofile(None)
    assert 5 < len(deepest) <= 10, sorted(deepest)


def test_nothing_above_the_engines_names_one_of_them():
    above = {name: tree for name, tree in modules().items() if not name.startswith("engines")}
    named = {name: {u for u in imported(tree) if u.startswith(ENGINES)} for name, tree in above.items()}
    assert not {name: used for name, used in named.items() if used}


def test_the_filter_language_needs_no_numpy():
    for name in ("filters.tree", "filters.dates", "filters.spelled", "filters.rules", "filters.parse"):
        roots = {a.name for n in ast.walk(modules()[name]) if isinstance(n, ast.Import) for a in n.names}
        roots |= {n.module for n in ast.walk(modules()[name]) if isinstance(n, ast.ImportFrom)}
        assert not any((root or "").startswith("numpy") for root in roots), name


@pytest.mark.parametrize(
    ("place", "name"),
    [
        *(
            ("bedside.maps", "map_documents"),
            ("bedside.clusters", "cluster_documents"),
            ("bedside.duplicates", "duplicates"),
        ),
        *(("bedside.watching", "sync"), ("bedside.maintenance", "repair"), ("bedside.notes", "context")),
        *(("bedside.encoders.distill", "distill"), ("bedside.tuning.tasks", "check_examples")),
    ],
)
def test_what_the_docs_of_release_0_1_imported_is_still_found_there(place: str, name: str) -> None:
    assert callable(getattr(importlib.import_module(place), name))


def test_import_loads_no_framework():
    code = f"import sys, bedside; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_lock_is_made_anew_in_a_forked_child():
    for name, tree in modules().items():
        if name == "support.fork":
            continue
        safe = {
            argument.attr if isinstance(argument, ast.Attribute) else argument.id
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "in_each_process"
            for argument in call.args
        }
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in safe]
        inside = sum(locks_kept_by(function) for function in functions)
        assert locks_kept_by(tree) == inside, f"{name} makes a lock outside of in_each_process"


def locks_kept_by(tree: ast.AST) -> int:
    values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign))
    calls = (node.func for value in values if value for node in ast.walk(value) if isinstance(node, ast.Call))
    return sum(getattr(function, "attr", "") in ("Lock", "RLock") for function in calls)


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
