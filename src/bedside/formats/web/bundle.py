"""A page of one file: its style and the browser's modules as one script, since a file may not import others."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from base64 import b64encode
from importlib import resources

_IMPORT = re.compile(
    r'^import (?P<names>\w+|\{[^}]*\}) from "(?P<path>[^"]+)"(?: with \{ type: "json" \})?;\n', re.MULTILINE
)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) (?P<name>[\w$]+))", re.MULTILINE)
_ROOT = "web"


def assemble(template: str, entry: str) -> tuple[str, dict[str, str]]:
    """Return a page of ``bedside/web`` with its style and script in it, and what a policy that allows them alone names.

    Args:
        template: The page's file, with ``/*STYLE*/`` and ``/*SCRIPT*/`` where they go.
        entry: The module that the page begins with.

    Returns:
        The page, and by ``"STYLE"`` and ``"SCRIPT"`` their hashes as a Content-Security-Policy writes them.
    """
    page, hashes = _file(template), {}
    for name, text in (("STYLE", _file("page.css")), ("SCRIPT", bundle(entry))):
        hashes[name] = f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
        page = page.replace(f"/*{name}*/", text)
    return page, hashes


def bundle(entry: str) -> str:
    """Return one script of a module of ``bedside/web`` and all that it imports, each in a scope of its own.

    Args:
        entry: The file's name.

    Raises:
        ValueError: A module would end the script element.
    """
    parts: dict[str, str] = {}
    _add(f"{_ROOT}/{entry}", parts)
    script = "".join(["const modules = {};\n", *parts.values()])
    if re.search(r"<(?:/script|!--)", script, re.IGNORECASE):
        raise ValueError("a module holds </script> or <!--, which would end the page's script")
    return script


def _add(path: str, parts: dict[str, str]) -> None:
    """Add a module after those that it imports."""
    if path in parts:
        return
    source = resources.files("bedside").joinpath(path).read_text("utf-8")
    if path.endswith(".json"):
        parts[path] = f"modules[{json.dumps(path)}] = {json.dumps(json.loads(source), ensure_ascii=False)};\n"
        return
    imports = {match["path"]: _resolved(path, match["path"]) for match in _IMPORT.finditer(source)}
    for other in imports.values():
        _add(other, parts)
    body = _IMPORT.sub(
        lambda found: f"const {found['names']} = modules[{json.dumps(imports[found['path']])}];\n", source
    )
    exported = ", ".join(found["name"] for found in _EXPORT.finditer(body))
    body = _EXPORT.sub("", body)
    parts[path] = f"modules[{json.dumps(path)}] = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();\n"


def _resolved(path: str, relative: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))


def _file(name: str) -> str:
    return resources.files("bedside").joinpath(f"{_ROOT}/{name}").read_text("utf-8")
