"""``BedsideNodeParser``: Bedside's splitter of clinical notes as a LlamaIndex node parser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import field_validator, model_validator
from llama_index.core.node_parser.interface import NodeParser
from llama_index.core.node_parser.node_utils import build_nodes_from_splits
from llama_index.core.schema import BaseNode, MetadataMode, TextNode
from llama_index.core.utils import get_tqdm_iterable
from llama_index.embeddings.bedside.base import BedsideEmbedding
from typing_extensions import Self, override

from bedside import Document
from bedside.intake import storable
from bedside.notes import passages_of
from bedside.text.split import NoteSplitter

__all__ = ["BedsideNodeParser"]


class BedsideNodeParser(NodeParser):
    """Cut notes by section, then by sentence, into nodes that fit an encoder.

    Together the nodes of a document are the whole document, character for character. ``start_char_idx`` and
    ``end_char_idx`` are exact offsets in the ``SOURCE``'s text, also where a note says the same twice; ``PREVIOUS`` and
    ``NEXT`` are set; metadata are the document's, ``section``, the heading that a node stands under as written, and
    ``section_kind``, what that section is, such as ``hpi``; the kind is for filters and is put before no text.

    Attributes:
        embed_model: The model whose own tokens are counted; ``None`` estimates them without a model.
        max_tokens: The most tokens in a node's text, special ones included. Metadata that LlamaIndex puts before the
            text come on top; a ``BedsideEmbedding`` encodes what gets too long in windows and cuts nothing off.
        overlap: The most tokens of whole sentences that a node repeats from the one before it in the same section;
            ``None`` is an eighth of ``max_tokens``.
        as_notes: Whether the nodes are passages of their documents as whole notes: with ids ``note-7#0``, ``note-7#1``
            and the metadata by which a store finds, gives back and replaces the note (``search_notes``, ``get_note``),
            so that a pipeline keeps whole notes. What is added is put before no text.
        section_kinds: Titles of your own and the kinds of the sections that they open; see
            :class:`bedside.text.kinds.SectionKinds`.

    Raises:
        pydantic.ValidationError: A number is out of its range, or a value of the wrong type.

    Example:
        >>> from llama_index.core import Document
        >>> for node in BedsideNodeParser()([Document(text="HPI: Cough for 3 days. PLAN: Rest.")]):
        ...     print(node.metadata["section"], node.metadata["section_kind"], node.start_char_idx, node.end_char_idx)
        HPI hpi 0 23
        PLAN plan 23 34
    """

    embed_model: BedsideEmbedding | None = None
    max_tokens: int = 256
    overlap: int | None = None
    as_notes: bool = False
    section_kinds: dict[str, str] | None = None

    @classmethod
    @override
    def class_name(cls) -> str:
        return "BedsideNodeParser"

    @field_validator("embed_model", mode="before")
    @classmethod
    def _read_embed_model(cls, given: Any) -> Any:
        return BedsideEmbedding.from_dict(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        NoteSplitter(self.max_tokens, self.overlap, section_kinds=self.section_kinds)
        return self

    def _splitter(self) -> NoteSplitter:
        encoder = None if self.embed_model is None else self.embed_model.encoder
        return NoteSplitter(self.max_tokens, self.overlap, getattr(encoder, "count_tokens", None), self.section_kinds)

    @override
    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        splitter = self._splitter()
        return [
            node
            for parent in get_tqdm_iterable(nodes, show_progress, "Parsing nodes")
            for node in self._cut(parent, splitter)
        ]

    def _cut(self, parent: BaseNode, splitter: NoteSplitter) -> list[TextNode]:
        nodes = self._cut_up(parent, splitter)
        return _of_a_note(parent, nodes, splitter) if self.as_notes else nodes

    def _cut_up(self, parent: BaseNode, splitter: NoteSplitter) -> list[TextNode]:
        passages = splitter.split(parent.get_content(metadata_mode=MetadataMode.NONE))
        nodes = build_nodes_from_splits([passage.text for passage in passages], parent, id_func=self.id_func)
        first = _place(parent)
        for node, passage in zip(nodes, passages, strict=True):
            node.start_char_idx, node.end_char_idx = first + passage.start, first + passage.end
            node.metadata = dict(parent.metadata) if self.include_metadata else {}
            if passage.section is not None:
                node.metadata["section"] = passage.section
                node.metadata.pop("section_kind", None)
            if passage.section_kind is not None:
                node.metadata["section_kind"] = passage.section_kind
                node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, "section_kind"]
                node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, "section_kind"]
        return nodes

    @override
    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Any]) -> list[BaseNode]:
        """Do as LlamaIndex does, and keep the offsets, which it would search for in the text."""
        texts = [node for node in nodes if isinstance(node, TextNode)]
        places = [(node.start_char_idx, node.end_char_idx) for node in texts]
        processed = super()._postprocess_parsed_nodes(nodes, parent_doc_map)
        for node, place in zip(texts, places, strict=True):
            node.start_char_idx, node.end_char_idx = place
        return processed


def _of_a_note(parent: BaseNode, nodes: list[TextNode], splitter: NoteSplitter) -> list[TextNode]:
    """Give nodes the ids and the metadata of their document's passages as a note."""
    note = Document(parent.get_content(metadata_mode=MetadataMode.NONE), storable(parent.metadata), parent.node_id)
    for node, passage in zip(nodes, passages_of(note, splitter), strict=True):
        hidden = [key for key in passage.metadata if key not in parent.metadata and key not in node.metadata]
        node.id_, node.metadata = str(passage.id), dict(passage.metadata)
        node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, *hidden]
        node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, *hidden]
    return nodes


def _place(parent: BaseNode) -> int:
    """Where a node that was cut from a document begins in it: the document stays the source of what is cut now."""
    start = parent.start_char_idx if isinstance(parent, TextNode) and parent.source_node is not None else None
    return start or 0
