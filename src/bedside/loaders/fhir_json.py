"""FHIR's JSON: the resources of a file one after the other, and what is in them, however they are made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

if TYPE_CHECKING:
    from bedside.loaders.content import Content

LOINC = "http://loinc.org"
Resource: TypeAlias = "dict[str, Any]"


def at(value: Any, *path: str | int) -> Any:
    """Return what lies at a path of names and places; ``None`` where there is nothing."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            held = many(value)
            value = held[step] if step < len(held) else None
    return value


def many(value: Any) -> list[Any]:
    """Return a list as it is, a value by itself as a list of one: XML does not say which elements may be repeated."""
    return value if isinstance(value, list) else [] if value is None else [value]


def string(value: Any) -> str:
    """Return a string or a number as it is written, without white space around it; empty for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int | float | Decimal) else ""


def first(*values: Any) -> str:
    """Return the first value that says something."""
    return next((said for value in values if (said := string(value))), "")


def concept(value: Any) -> str:
    """Return a CodeableConcept in words: its text, its first display, or its first code."""
    codings = many(at(value, "coding"))
    return first(at(value, "text"), *(at(coding, "display") for coding in codings), *(at(c, "code") for c in codings))


def code_of(value: Any, system: str) -> str:
    """Return a CodeableConcept's code in a system."""
    return first(*(at(coding, "code") for coding in many(at(value, "coding")) if at(coding, "system") == system))


def key_of(reference: str) -> str:
    """Return what a reference and a resource's own address have in common: ``Binary/7``, or the address.

    Example:
        >>> key_of("https://example.org/fhir/Binary/7/_history/2"), key_of("urn:uuid:a")
        ('Binary/7', 'urn:uuid:a')
    """
    parts = reference.partition("/_history/")[0].split("/")
    return "/".join(parts[-2:]) if len(parts) > 1 and parts[-2][:1].isupper() else reference


def is_resources(beginning: bytes) -> bool:
    """Whether a file that begins so holds FHIR's resources as JSON."""
    return beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") and b'"resourceType"' in beginning


def resources_of(content: Content, text: str) -> Iterator[tuple[Resource, str]]:
    """Yield the resources of a file with their addresses in a Bundle: one, a list, a Bundle, or one of these a line.

    Raises:
        UnreadableFileError: It is damaged, or holds no resources.
    """
    for place, value in _values(content, text):
        yield from within(content, value, place)


def within(content: Content, value: Any, place: str) -> Iterator[tuple[Resource, str]]:
    """Yield a resource, or those of a Bundle or a list, each with those that it contains."""
    waiting: list[tuple[Any, str]] = [(value, "")]
    while waiting:
        held, url = waiting.pop()
        if isinstance(held, list):
            waiting.extend((item, "") for item in reversed(held))
        elif not isinstance(held, dict) or not isinstance(held.get("resourceType"), str):
            content.refuse(place, "expected a FHIR resource, got JSON without resourceType")
        elif held["resourceType"] == "Bundle":
            entries = [entry for entry in many(held.get("entry")) if isinstance(entry, dict) and entry.get("resource")]
            waiting.extend((entry["resource"], string(entry.get("fullUrl"))) for entry in reversed(entries))
        else:
            yield held, url
            waiting.extend((inner, "") for inner in reversed(_contained(held)))


def _contained(resource: Mapping[str, Any]) -> list[Resource]:
    """Return the resources in another one that may be read by themselves; its files are read with it."""
    return [
        inner for inner in many(resource.get("contained")) if string(at(inner, "resourceType")) not in ("", "Binary")
    ]


def _values(content: Content, text: str) -> Iterator[tuple[str, Any]]:
    """Yield the JSON value, or that of each line, with where it stands."""
    exactly = content.options.resources
    try:
        yield "", parsed(text, exactly)
    except ValueError as error:
        lines = ((number, line) for number, line in enumerate(_lines(text), 1) if line.strip())
        yield from values_of_lines(content, lines, exactly, str(error))


def values_of_lines(
    content: Content, lines: Iterable[tuple[int, str | bytes]], exactly: bool, reason: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield the value of each line. A damaged one is refused, and where it is the first one, the file.

    Raises:
        UnreadableFileError: The first line is not JSON; the file is then JSON over several lines, and damaged.
    """
    is_first = True
    for number, line in lines:
        try:
            yield f"line {number}", parsed(line, exactly)
        except ValueError as error:
            if is_first:
                raise content.refused(f"damaged JSON, {reason or error}") from None
            content.refuse(f"line {number}", f"damaged JSON, {error}")
        is_first = False


def parsed(text: str | bytes, exactly: bool) -> Any:
    """Return a JSON value.

    Args:
        text: It.
        exactly: Keep fractions as they are written: a result of 4.10 is not 4.1.

    Raises:
        ValueError: It is damaged; the message says where, and holds nothing of it.
    """
    try:
        value = orjson.loads(text)
        return json.loads(text, parse_float=str) if exactly else value
    except orjson.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _lines(text: str) -> Iterator[str]:
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        yield text[begin:end]
        begin = end + 1
