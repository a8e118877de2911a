"""A LlamaIndex query engine over one patient's notes: whole notes, a prompt that names them, a cited answer."""

from __future__ import annotations

from typing import Any

from llama_index.core import PromptTemplate
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.vector_stores.bedside import BedsideNoteRetriever, BedsideVectorStore
from typing_extensions import override

from extractive import MAX_TOKENS, PROMPT, Extractor

SHOWN = {"date", "note_type"}


class ExtractiveLLM(CustomLLM):
    """The extractive stand-in in the shape of a LlamaIndex LLM."""

    extract: Extractor = Field(exclude=True)

    @property
    def metadata(self) -> LLMMetadata:
        """Tell LlamaIndex how long a prompt may be."""
        return LLMMetadata(context_window=32_000, model_name="extractive")

    @override
    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt."""
        return CompletionResponse(text=self.extract(prompt))

    @override
    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Answer a prompt, in one piece."""
        yield self.complete(prompt, formatted, **kwargs)


class Named(BaseNodePostprocessor):
    """Writes each note's id, date and kind above it in the prompt; the nodes themselves stay whole."""

    @override
    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        for scored in nodes:
            node = scored.node
            if isinstance(node, TextNode):
                node.text_template = f"Source: {node.node_id} ({{metadata_str}})\n{{content}}"
                node.metadata_template, node.metadata_separator = "{value}", ", "
                node.excluded_llm_metadata_keys = [key for key in node.metadata if key not in SHOWN]
        return nodes


def query_engine(record: BedsideVectorStore, extract: Extractor, k: int = 4) -> BaseQueryEngine:
    """Build an engine whose responses carry their notes and scores in ``source_nodes``."""
    return RetrieverQueryEngine.from_args(
        BedsideNoteRetriever(record, similarity_top_k=k, max_tokens=MAX_TOKENS // k),
        llm=ExtractiveLLM(extract=extract),  # with a real model: llm=Ollama(model="llama3.2")
        node_postprocessors=[Named()],
        text_qa_template=PromptTemplate(PROMPT),
    )
