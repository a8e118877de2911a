"""``BedsideRetriever``: a retriever whose settings are fields, for chains, agents and ``configurable_fields``."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self, override

from bedside.errors import InvalidInputError
from bedside.types import Mode
from langchain_bedside.acting import acting_as_configured
from langchain_bedside.vectorstore import BedsideVectorStore

__all__ = ["BedsideRetriever"]


class BedsideRetriever(BaseRetriever):
    """Retrieve passages of a :class:`BedsideVectorStore`; hybrid search by default.

    Each field is also a keyword argument of ``invoke`` and ``ainvoke`` for one call, and can be made configurable, so
    that a chain or an agent takes the patient from its config.

    Attributes:
        vectorstore: Where to search.
        k: At most so many passages.
        retrieval_mode: ``"dense"``, ``"sparse"`` or ``"hybrid"``; ``None`` is the store's: hybrid, unless it
            says otherwise.
        alpha: Weight of the dense half in hybrid search; ``None`` is the store's.
        filter: A dict of Bedside's filter language, a ``StructuredQuery``, or a function of one ``Document``.
        scope: The scope to search in, such as ``{"patient_id": "A"}``. Once a retriever or its store has one, a call
            cannot name another.
        score_key: The key of the passages' metadata that shall carry the score; ``None`` adds none.
        search_kwargs: Other options of :class:`SearchOptions`, such as ``{"min_score": 0.3}``; a field among them is
            refused.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> notes = BedsideVectorStore(DeterministicFakeEmbedding(size=8), scope_keys=["patient_id"])
        >>> ids = notes.add_texts(["BP 120/80.", "BP 150/95."], [{"patient_id": "A"}, {"patient_id": "B"}])
        >>> retriever = BedsideRetriever(vectorstore=notes, k=3, scope={"patient_id": "B"})
        >>> [passage.page_content for passage in retriever.invoke("blood pressure")]
        ['BP 150/95.']
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    vectorstore: BedsideVectorStore
    k: int = Field(default=4, ge=0)
    retrieval_mode: Mode | None = None
    alpha: float | None = Field(default=None, ge=0, le=1)
    filter: Any = None
    scope: dict[str, Any] | None = None
    score_key: str | None = None
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_search_kwargs(self) -> Self:
        if said_twice := sorted(set(self.search_kwargs) & set(type(self).model_fields)):
            raise InvalidInputError(f"search_kwargs: {said_twice[0]!r} is a field; give it as {said_twice[0]}=…")
        return self

    @override
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        store = self._store(kwargs.pop("scope", None))
        with acting_as_configured(run_manager.metadata):
            return store.similarity_search(query, **self._arguments(kwargs))

    @override
    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        store = self._store(kwargs.pop("scope", None))
        with acting_as_configured(run_manager.metadata):
            return await store.asimilarity_search(query, **self._arguments(kwargs))

    @override
    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        """Give what traces say of a retriever: the store's and the embedding model's kind."""
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = type(self.vectorstore).__name__
        if (embedding := self.vectorstore.embeddings) is not None:
            params["ls_embedding_provider"] = type(embedding).__name__
        return params

    def _store(self, scope: dict[str, Any] | None) -> BedsideVectorStore:
        store = self.vectorstore
        for one in (self.scope, scope):
            store = store.scoped(**one) if one else store
        return store

    def _arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """Give the search arguments: the fields that say something, and those of the call over them."""
        own = {name: getattr(self, name) for name in ("k", "retrieval_mode", "alpha", "filter", "score_key")}
        return self.search_kwargs | {name: value for name, value in own.items() if value is not None} | given
