"""What an error tells to do, apart from its sentence, so that each surface says it in words of its own.

An argument of Python is an option in a shell and a field in JSON, and what one surface lacks is not told there. The
library speaks Python; a command, a server or a tool says around its work which :data:`Words` it speaks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Give:
    """Give an argument.

    Attributes:
        argument: Its name in Python.
        value: What to give; ``...``: that is up to the user.
        note: What for: ``"for BM25 alone"``.
    """

    argument: str
    value: Any = ...
    note: str = ""


@dataclass(frozen=True)
class GiveEach:
    """Give a field of each document."""

    field: str
    note: str = ""


@dataclass(frozen=True)
class Call:
    """Call another verb.

    Attributes:
        verb: Of a collection, or a command with an option.
        note: What for.
        python: What it is called in Python where it is no verb of a collection.
    """

    verb: str
    note: str = ""
    python: str = ""


@dataclass(frozen=True)
class Act:
    """Say who acts and what for, as an audit trail needs to know."""

    note: str = ""


Remedy: TypeAlias = Give | GiveEach | Call | Act
Words: TypeAlias = Callable[[Remedy], tuple[str, str] | None]
"""Returns what to do and with what, such as ``("give", "--mode sparse")``; ``None`` for what the surface lacks."""


def in_python(remedy: Remedy) -> tuple[str, str]:
    """Say a remedy to somebody who writes Python."""
    if isinstance(remedy, Call):
        return "call", remedy.python or f"Collection.{remedy.verb}"
    if isinstance(remedy, Act):
        return "use", 'with bedside.audit.acting_as("NAME", purpose="…")'
    if isinstance(remedy, GiveEach):
        return "give", f"Document.{remedy.field}"
    if remedy.argument == "scope":
        return "use", f"collection.scoped({', '.join(f'{key}={value}' for key, value in remedy.value.items())})"
    return "give", f"{remedy.argument}={'' if remedy.value is ... else repr(remedy.value)}"


def in_json(fields: Collection[str], acting: str = "") -> Words:
    """Return the words for a request or a tool that has these fields.

    Args:
        fields: Their names.
        acting: What says who acts and what for, such as the name of a header.
    """

    def words(remedy: Remedy) -> tuple[str, str] | None:
        if isinstance(remedy, Act):
            return ("give", acting) if acting else None
        if isinstance(remedy, Call):
            return None
        if isinstance(remedy, GiveEach):
            return ("give", f'"{remedy.field}" in each document') if "documents" in fields else None
        value = "" if remedy.value is ... else f": {as_json(remedy.value)}"
        return ("give", f'"{remedy.argument}"{value}') if remedy.argument in fields else None

    return words


def as_json(value: Any) -> str:
    """Write a value as JSON; of what JSON lacks, its text."""
    return json.dumps(value, ensure_ascii=False, default=str)


_words: ContextVar[Words] = ContextVar("bedside_words", default=in_python)


@contextmanager
def speaking(words: Words) -> Iterator[None]:
    """Let errors that are turned into text in this block say their remedies in other words."""
    before = _words.set(words)
    try:
        yield
    finally:
        _words.reset(before)


def subject(about: Give | None) -> str:
    """Name what was wrong, for the beginning of a sentence.

    Example:
        >>> subject(Give("top_k", 0))
        'top_k=0: '
    """
    if about is None:
        return ""
    found = _words.get()(about)
    return f"{about.argument if found is None else found[1].removesuffix('=')}: "


def told(remedies: Sequence[Remedy]) -> str:
    """Join remedies into the end of a sentence; empty where the surface has none of them.

    Example:
        >>> told([Give("vector"), Give("mode", "sparse", "for BM25 alone")])
        "; give vector=, or mode='sparse' for BM25 alone"
    """
    said, last = [], ""
    for remedy in remedies:
        if (found := _words.get()(remedy)) is not None:
            do, what = found
            said.append(" ".join(filter(None, (do if do != last else "", what, remedy.note))))
            last = do
    return f"; {', or '.join(said)}" if said else ""
