"""Docstrings name other objects as ``:meth:`add```; the site shows links to them, or code where they are not on it."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_ROLE = re.compile(r":(?:class|meth|func|mod|attr|data|exc|obj):`(~?)([\w.]+)`")


class Roles(griffe.Extension):
    """Turn the roles of docstrings into references that mkdocstrings resolves."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite the docstrings of a package once all of it has been read."""
        _rewrite(pkg)


def _rewrite(obj: griffe.Object) -> None:
    """Rewrite the docstring of an object and of all that it holds."""
    if obj.docstring is not None:
        text = _EXAMPLE.sub("Examples:", obj.docstring.value)  # the title that makes its lines code
        obj.docstring.value = _ROLE.sub(lambda role: _reference(obj, role), text)
    for member in obj.members.values():
        if isinstance(member, griffe.Object):
            _rewrite(member)


def _reference(obj: griffe.Object, role: re.Match[str]) -> str:
    """Return a role as a reference to what it names, seen from where it stands."""
    short, name = role.groups()
    shown = name.rpartition(".")[2] if short else name
    return f'<autoref optional identifier="{_resolved(obj, name)}">`{shown}`</autoref>'


def _resolved(obj: griffe.Object, name: str) -> str:
    """Return the full path of a name that a docstring uses: in its class, in its module, or as it is."""
    owner: griffe.Object | None = obj
    while owner is not None:
        if name in owner.members:
            return f"{owner.path}.{name}"
        owner = owner.parent
    return name
