"""A LlamaIndex query engine over one patient's notes: nodes, cited prompt, answer."""

from __future__ import annotations

from typing import Any

from llama_index.core import PromptTemplate, VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.embeddings.bedside import BedsideEmbedding
from llama_index.vector_stores.bedside import BedsideVectorStore
from typing_extensions import override

from extractive import PROMPT, Extractor

CITED = {"note_id", "date", "section"}


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


class Cite(BaseNodePostprocessor):
    """Puts note, date and section before each node's text in the prompt; the nodes themselves stay whole."""

    @override
    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        for scored in nodes:
            node = scored.node
            if isinstance(node, TextNode):
                node.text_template, node.metadata_template = "[{metadata_str}] {content}", "{value}"
                node.metadata_separator = " "
                node.excluded_llm_metadata_keys = [key for key in node.metadata if key not in CITED]
        return nodes


def query_engine(
    store: BedsideVectorStore, embedding: BedsideEmbedding, extract: Extractor, k: int = 4
) -> BaseQueryEngine:
    """Build an engine whose responses carry their nodes and scores in ``source_nodes``."""
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    return index.as_query_engine(
        llm=ExtractiveLLM(extract=extract),  # with a real model: llm=Ollama(model="llama3.2")
        vector_store_query_mode="hybrid",
        similarity_top_k=k,
        node_postprocessors=[Cite()],
        text_qa_template=PromptTemplate(PROMPT),
    )
