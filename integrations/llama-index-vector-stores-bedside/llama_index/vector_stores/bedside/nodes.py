"""LlamaIndex nodes to Bedside documents and back, whole.

A node's metadata stay top-level keys of the record, so that every reader of the collection can filter by them. What a
record has no place for (relationships, offsets, excluded keys, templates, media, the node's class) goes under one
reserved key, and only where the node says more than text and metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    Node,
    TextNode,
)
from pydantic_core import PydanticSerializationError

import bedside
from bedside.errors import InvalidDocumentError
from bedside.intake import storable

__all__ = ["NODE_KEY", "REF_DOC_ID", "listed", "to_document", "to_documents", "to_node"]

NODE_KEY = "_node"
"""The metadata key that is ours."""
REF_DOC_ID = f"{NODE_KEY}.ref_doc_id"
"""The path of the id of the document that a node was cut from."""

_KINDS: tuple[type[BaseNode], ...] = (ImageNode, IndexNode, TextNode, ImageDocument, Document, Node)
"""The classes that come back, each before its bases: a node of another class comes back as the nearest of them."""
_CLASSES = {kind.class_name(): kind for kind in _KINDS}
_OWN_PLACE = {"id_", "embedding", "metadata", "text", "obj"}
"""Left out of the dump: the record has a place for them, and an ``IndexNode`` adds its own form of ``obj``."""
_RESOURCES = ("text_resource", "image_resource", "audio_resource", "video_resource")


def to_document(node: BaseNode) -> bedside.Document:
    """Give the record of a node; the node is not changed.

    Raises:
        InvalidDocumentError: It is not a node, or its metadata use the reserved key.
    """
    if not isinstance(node, BaseNode):
        raise InvalidDocumentError(f"nodes: expected LlamaIndex nodes, got {type(node).__name__}")
    if NODE_KEY in node.metadata:
        raise InvalidDocumentError(f"metadata.{NODE_KEY}: reserved for what LlamaIndex nodes carry besides metadata")
    return bedside.Document(
        text=node.get_content(),
        metadata={**node.metadata, **_rest(node)},
        id=node.node_id,
        vector=node.embedding,
    )


def to_documents(nodes: object) -> list[bedside.Document]:
    """Give the records of some nodes, which are read once.

    Raises:
        InvalidDocumentError: They are not a list, or one of them has no record.
    """
    return [to_document(node) for node in listed("nodes", nodes)]


def listed(name: str, nodes: object) -> list[Any]:
    """Give the list of what is meant as one.

    Raises:
        InvalidDocumentError: It is one node, one text, or nothing of the kind.
    """
    if isinstance(nodes, str | BaseNode) or not isinstance(nodes, Iterable):
        raise InvalidDocumentError(f"{name}: expected a list of nodes, got {type(nodes).__name__}")
    return list(nodes)


def to_node(document: bedside.Document) -> BaseNode:
    """Give the node of a record; one that LlamaIndex did not write is a ``TextNode``."""
    metadata = dict(document.metadata)
    rest = metadata.pop(NODE_KEY, None)
    content = dict(rest["content"][0]) if rest else {}
    kind = _CLASSES.get(content.get("class_name", ""), TextNode)
    if not issubclass(kind, Node):
        content["text"] = document.text
    elif document.text or "text_resource" in content:
        content["text_resource"] = {**content.get("text_resource", {}), "text": document.text}
    vector = None if document.vector is None else [float(x) for x in document.vector]
    return kind.from_dict(content, id_=document.id, metadata=metadata, embedding=vector)


def _rest(node: BaseNode) -> dict[str, Any]:
    """Give the reserved key with its value; nothing for a ``TextNode`` of text, metadata and vector alone."""
    dump = _dumped(node)
    content: dict[str, Any] = json.loads(json.dumps(dump))  # an IndexNode's object comes with enums in it
    content["class_name"] = _kind(node).class_name()
    _keep_media(node, content)
    if content == {"class_name": TextNode.class_name()}:
        return {}
    # In a list, because the metadata postings reach into objects, not into lists: nobody filters by what is in there.
    rest: dict[str, Any] = {"content": [content]}
    if (source := _source_id(node)) is not None:
        rest["ref_doc_id"] = source
    return {NODE_KEY: rest}


def _dumped(node: BaseNode) -> dict[str, Any]:
    """Dump what the record has no place for; relationships repeat their nodes' metadata, numpy's values among them.

    Raises:
        InvalidDocumentError: Something there has no JSON form.
    """
    try:
        return node.dict(mode="json", exclude=_OWN_PLACE, exclude_defaults=True, fallback=storable)
    except PydanticSerializationError:
        raise InvalidDocumentError(
            f"node (id {node.node_id!r}): its relationships hold metadata of a type that has no JSON form"
        ) from None


def _kind(node: BaseNode) -> type[BaseNode]:
    for kind in _KINDS:
        if isinstance(node, kind):
            return kind
    raise InvalidDocumentError(f"nodes: {type(node).__name__} is neither a Node nor a TextNode")


def _source_id(node: BaseNode) -> str | None:
    """The id of the node's document; a document put in as it is belongs to itself."""
    if node.source_node is None and isinstance(node, Document):
        return node.node_id
    return node.ref_doc_id


def _keep_media(node: BaseNode, content: dict[str, Any]) -> None:
    """Put the bytes of media, which LlamaIndex leaves out of its dumps, into ``content``; leave the text out."""
    for name in _RESOURCES:
        if (resource := getattr(node, name, None)) is None:
            continue
        kept = {key: value for key, value in content[name].items() if key != "text" and value is not None}
        if resource.data is not None:
            kept["data"] = resource.data.decode("ascii")
        content[name] = kept
    if content.get("text_resource") == {}:
        del content["text_resource"]
