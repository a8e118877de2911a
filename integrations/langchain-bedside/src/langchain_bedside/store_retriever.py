"""The retriever that ``as_retriever`` gives: LangChain's own, with ``hybrid`` among its search types."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import ConfigDict, model_validator
from typing_extensions import override

from langchain_bedside.acting import acting_as_configured
from langchain_bedside.options import UnknownSearchArgumentError

__all__ = ["BedsideVectorStoreRetriever"]


class BedsideVectorStoreRetriever(VectorStoreRetriever):
    """A ``VectorStoreRetriever`` that leaves the choice of the search type to the store, and drops no argument.

    Raises:
        pydantic.ValidationError: An argument is none of its fields, such as a ``filter`` beside ``search_kwargs``.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    allowed_search_types: ClassVar[Collection[str]] = (*VectorStoreRetriever.allowed_search_types, "hybrid")

    @model_validator(mode="before")
    @classmethod
    def _say_where_search_arguments_go(cls, values: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(values) - set(cls.model_fields)):
            raise UnknownSearchArgumentError(
                f"retriever: unknown argument {unknown[0]!r}; what a search takes goes into "
                f"search_kwargs={{{unknown[0]!r}: …}}"
            )
        return values

    @override
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        with acting_as_configured(run_manager.metadata):
            return self.vectorstore.search(query, self.search_type, **(self.search_kwargs | kwargs))

    @override
    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        with acting_as_configured(run_manager.metadata):
            return await self.vectorstore.asearch(query, self.search_type, **(self.search_kwargs | kwargs))
