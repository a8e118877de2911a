"""What the readers of other stores share: where a text is found, what is checked, how a file is loaded.

A record's text is looked for in this order:

1. at ``text_key``, where one was given: every record must have it, as a string;
2. in the LlamaIndex node at ``_node_content``, whose metadata then replaces the flattened copy around it;
3. where the store itself has a place for texts (Chroma's documents, LangChain's ``text``);
4. at the first of :data:`TEXT_KEYS` that holds a string.

It is taken out of the metadata. If nothing but ``metadata`` is left beside it, that is the metadata: the layout of
LangChain. A record without a text keeps its vector and has the text ``""``.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bedside.errors import DuplicateIdError, InvalidInputError, MissingExtraError, UnreadableFileError
from bedside.formats.fields import kind
from bedside.records import check_vector
from bedside.remedies import Remedy
from bedside.types import Document

TEXT_KEYS = ("text", "page_content", "content", "document")
"""Where stores and frameworks keep a record's text."""
NODE_KEY = "_node"
"""Where Bedside's adapter for LlamaIndex keeps what a node says besides its text and metadata."""
_NODE_CONTENT = "_node_content"
_NODE_COPIES = ("_node_type", "document_id", "doc_id", "ref_doc_id")
_OWN_PLACE = ("id_", "embedding", "metadata", "text")
_NODE_DEFAULTS: dict[str, Any] = {
    "excluded_embed_metadata_keys": [],
    "excluded_llm_metadata_keys": [],
    "relationships": {},
    "metadata_template": "{key}: {value}",
    "metadata_separator": "\n",
    "mimetype": "text/plain",
    "start_char_idx": None,
    "end_char_idx": None,
    "text_template": "{metadata_str}\n\n{content}",
}
"""What a node of llama-index-core has where nothing was set: not worth storing."""
_SOURCE = "1"
"""The relationship of a node to the document that it was cut from."""


def refuse(where: str, reason: str, remedies: Sequence[Remedy] = ()) -> NoReturn:
    """Raise the error of a store that is damaged, or holds what cannot come over."""
    raise UnreadableFileError(where, reason, remedies)


class Records:
    """Makes documents of a store's records, and refuses an id or a vector that does not fit those before it."""

    def __init__(self, text_key: str | None = None) -> None:
        self._text_key = text_key
        self._ids: set[str] = set()
        self._dimension: int | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def document(
        self, where: str, id: Any, vector: Any, payload: Any, text: str | None = None, *, is_split: bool = False
    ) -> Document:
        """The document of one record.

        Args:
            where: The file and the place in it, for errors.
            id: Must be a string, and new.
            vector: Must be a list of numbers, or an array, of the dimension of the others.
            payload: The metadata, which may hold the text.
            text: What the store itself keeps as the text.
            is_split: The text and the payload are final: no rule is applied to them.
        """
        if not isinstance(id, str) or not id:
            refuse(f"{where}.id", f"expected a string that is not empty, got {kind(id)}")
        if id in self._ids:
            raise DuplicateIdError(f"{where}.id: given to two records")
        self._ids.add(id)
        metadata = json_value(mapping(payload, f"{where}.metadata"), f"{where}.metadata")
        if not is_split:
            text, metadata = split_text(metadata, self._text_key, where, text)
        try:
            checked = check_vector(numbers(vector, f"{where}.vector"), f"{where}.vector", self._dimension)
        except OverflowError:
            refuse(f"{where}.vector", "a whole number beyond every float")
        self._dimension = len(checked)
        return Document(text or "", metadata, id, checked)


def split_text(
    payload: dict[str, Any], text_key: str | None, where: str, text: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The text and the metadata of a record, by the rules of this module."""
    if text_key is not None:
        if not isinstance(payload.get(text_key), str):
            refuse(f"{where}.{text_key}", f"expected the record's text, got {kind(payload.get(text_key))}")
        return _without(payload, text_key)
    if _NODE_CONTENT in payload:
        return _from_node_content(payload, where, text)
    if text is not None:
        return text, payload
    found = next((key for key in TEXT_KEYS if isinstance(payload.get(key), str)), None)
    return ("", payload) if found is None else _without(payload, found)


def from_node(node: Any, where: str, text: str | None = None) -> tuple[str, dict[str, Any]]:
    """The text and the metadata of a LlamaIndex node's dump, as Bedside's adapter for LlamaIndex stores them."""
    node = mapping(node, where)
    resource = node.get("text_resource") or {}
    held = text or node.get("text") or mapping(resource, f"{where}.text_resource").get("text") or ""
    if not isinstance(held, str):
        refuse(f"{where}.text", f"expected a string, got {kind(held)}")
    metadata = mapping(node.get("metadata") or {}, f"{where}.metadata")
    if NODE_KEY in metadata:
        refuse(f"{where}.metadata.{NODE_KEY}", "reserved for what LlamaIndex nodes carry besides metadata")
    return held, metadata | _rest(node)


def _rest(node: dict[str, Any]) -> dict[str, Any]:
    """What the node says besides its text and metadata, under the reserved key; nothing for a plain text node."""
    content = {key: value for key, value in node.items() if key not in _OWN_PLACE and value is not None}
    content = {key: value for key, value in content.items() if _NODE_DEFAULTS.get(key, _NODE_DEFAULTS) != value}
    if isinstance(resource := content.get("text_resource"), dict):
        kept = {key: value for key, value in resource.items() if key != "text" and value is not None}
        content = {key: value for key, value in content.items() if key != "text_resource"}
        content |= {"text_resource": kept} if kept else {}
    if content == {"class_name": "TextNode"}:
        return {}
    source = (content.get("relationships") or {}).get(_SOURCE)
    ref = {"ref_doc_id": source["node_id"]} if isinstance(source, dict) and "node_id" in source else {}
    return {NODE_KEY: {"content": [content], **ref}}


def _from_node_content(payload: dict[str, Any], where: str, text: str | None) -> tuple[str, dict[str, Any]]:
    content = payload[_NODE_CONTENT]
    place = f"{where}.{_NODE_CONTENT}"
    if not isinstance(content, str):
        refuse(place, f"expected JSON in a string, got {kind(content)}")
    node = mapping(parse_json(content, place), place)
    held, metadata = from_node(node, place, text)
    copies = {_NODE_CONTENT, *_NODE_COPIES, *TEXT_KEYS[: 1 if held else 0]}
    return held, {key: value for key, value in payload.items() if key not in copies} | metadata


def _without(payload: dict[str, Any], key: str) -> tuple[str, dict[str, Any]]:
    rest = {name: value for name, value in payload.items() if name != key}
    if set(rest) == {"metadata"} and (rest["metadata"] is None or isinstance(rest["metadata"], dict)):
        rest = rest["metadata"] or {}
    return payload[key], rest


def load_json(path: Path) -> Any:
    """Parse a small JSON file; see :func:`parse_json`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        refuse(path.name, f"cannot be read: {error.strerror}")
    return parse_json(data, path.name)


def parse_json(data: bytes | str, where: str) -> Any:
    """Parse JSON, refusing what JSON readers differ in: NaN, infinities and a key given twice."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except UnicodeDecodeError as error:
        refuse(f"{where}, byte {error.start}", "not UTF-8")
    except json.JSONDecodeError as error:
        refuse(f"{where}, line {error.lineno}, column {error.colno}", f"not JSON: {error.msg}")
    except (_NotStrictError, RecursionError) as error:
        refuse(where, "nested too deeply" if isinstance(error, RecursionError) else str(error))


class _NotStrictError(ValueError):
    """JSON that readers would take for different things."""


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _NotStrictError("an object has the same key twice")
    return made


def _constant(name: str) -> NoReturn:
    raise _NotStrictError(f"{name} is not JSON")


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return ``value`` as a dict with string keys, or refuse it."""
    if not isinstance(value, Mapping):
        refuse(where, f"expected an object, got {kind(value)}")
    if not all(isinstance(key, str) for key in value):
        refuse(where, "expected string keys")
    return dict(value)


def json_value(value: Any, where: str) -> Any:
    """Return ``value`` if it is made of what JSON has, or refuse it: a store may hold dates and the like."""
    if type(value) is float and not math.isfinite(value):
        refuse(where, f"expected what JSON can hold, got {value}")
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, list | tuple):
        return [json_value(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {key: json_value(item, f"{where}.{key}") for key, item in mapping(value, where).items()}
    refuse(where, f"expected what JSON can hold, got {kind(value)}")


def numbers(value: Any, where: str) -> Any:
    """Return a list of numbers, or an array, or refuse it: numeric strings are refused."""
    if hasattr(value, "dtype"):
        return value
    if not isinstance(value, list | tuple):
        refuse(where, f"expected a list of numbers, got {kind(value)}")
    if not {float, int}.issuperset(map(type, value)):
        i, wrong = next((i, number) for i, number in enumerate(value) if type(number) not in (float, int))
        refuse(f"{where}[{i}]", f"expected a number, got {kind(wrong)}")
    return value


def library(module: str, package: str) -> Any:
    """Import a store's own library.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(package, "stores") from None


def choose(name: str | None, names: Sequence[str], where: str, option: str) -> str:
    """The one of ``names`` that is meant: the one given, or the only one.

    Raises:
        InvalidInputError: There are several and none was given, or the one given is not there.
    """
    if name is None and len(names) == 1:
        return names[0]
    if name in names and name is not None:
        return name
    held = ", ".join(sorted(names)) or "none"
    raise InvalidInputError(f"{where}: {option}={name!r}: expected one of those it holds: {held}")
