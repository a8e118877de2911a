"""``BedsideRecordManager``: LangChain's indexing API without a second book beside the store."""

from __future__ import annotations

import asyncio
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.indexing import RecordManager
from typing_extensions import override

from bedside.errors import BedsideWarning, InvalidInputError
from bedside.intake import storable
from bedside.types import FilterDict
from langchain_bedside.vectorstore import BedsideVectorStore

__all__ = ["BedsideRecordManager"]


class BedsideRecordManager(RecordManager):
    """A record manager whose records are the documents themselves, so that the two cannot drift apart.

    LangChain's ``index()`` asks a record manager which documents are indexed, and of which source. Kept in a book of
    its own, the answer is wrong as soon as the store loses, or is given, a document by any other way: a crash between
    the two writes, a restored backup, a ``delete``. Here a key exists exactly if the document is in the store, and its
    group is the source that its metadata name; both are written in the transaction that writes the document. Only
    *when* a key was last seen is remembered outside of it, in memory, because ``index()`` uses it within one run.

    Prefer ``cleanup="scoped_full"`` to ``"incremental"``: in the latter LangChain cleans up after each batch, so of a
    source with more passages than ``batch_size`` those of later batches are deleted and written again though they did
    not change. A warning says so when it happens.

    ``cleanup="full"`` deletes every document of the store's view that the loader did not give, also those that were
    not added by ``index()``: limit it with ``filter`` or with the store's scope where the loader feeds only a part.
    Processes may run it at once: where they load the same documents, or have filters or scopes that do not overlap,
    exactly what they loaded is left. Loaders that differ over one view contradict each other, and each run deletes what
    it was not given, whoever wrote it and when; the next run puts its own back.

    Args:
        vectorstore: The store that is indexed into.
        source_id_key: As given to ``index()``: the metadata key that names a document's source, or a function of the
            document. Needed for ``cleanup="incremental"`` and ``"scoped_full"``.
        filter: The documents that this manager is about; ``None`` is all of the store's view.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> from langchain_core.indexing import index
        >>> store = BedsideVectorStore(DeterministicFakeEmbedding(size=8))
        >>> manager = BedsideRecordManager(store, source_id_key="source")
        >>> notes = [Document("Chest pain on exertion.", metadata={"source": "a.txt"})]
        >>> arguments = {"cleanup": "scoped_full", "source_id_key": "source", "key_encoder": "sha256"}
        >>> index(notes, manager, store, **arguments)["num_added"]
        1
        >>> index(notes, manager, store, **arguments)["num_skipped"]
        1
    """

    def __init__(
        self,
        vectorstore: BedsideVectorStore,
        *,
        source_id_key: str | Callable[[Document], str] | None = None,
        filter: FilterDict | None = None,
    ) -> None:
        super().__init__(namespace=str(vectorstore.collection.place))
        self._store = vectorstore
        self._source_id_key = source_id_key
        self._filter: FilterDict = filter or {}
        self._seen: dict[str, float] = {}
        self._deleted: dict[str, float] = {}
        self._now = 0.0

    @override
    def create_schema(self) -> None:
        """Do nothing: there is no book to set up."""

    @override
    def get_time(self) -> float:
        """Give the clock's time, or the least later one where the clock stood still or was set back."""
        self._now = max(time.time(), math.nextafter(self._now, math.inf))
        return self._now

    @override
    def update(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Remember that ``keys`` were seen now; their groups are in the documents already.

        Raises:
            InvalidInputError: ``group_ids`` has another length than ``keys``, or ``time_at_least`` is not this
                manager's time.
        """
        if group_ids is not None and len(group_ids) != len(keys):
            raise InvalidInputError(f"group_ids: expected one for each of the {len(keys)} keys, got {len(group_ids)}")
        now = self.get_time()
        if time_at_least is not None and time_at_least > now:
            raise InvalidInputError("time_at_least: lies in the future; it must come from get_time()")
        self._seen.update(dict.fromkeys(keys, now))
        began = math.inf if time_at_least is None else time_at_least
        if rewritten := sum(self._deleted.pop(key, 0.0) >= began for key in keys):
            warnings.warn(
                f"index: {rewritten} unchanged documents were deleted and written again, because their source has "
                'more than a batch of them; cleanup="scoped_full" leaves them as they are',
                BedsideWarning,
                stacklevel=3,
            )

    @override
    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Say for each key whether its document is in the store."""
        found = {document.id for document in self._store.get(list(keys), filter=self._filter)}
        return [key in found for key in keys]

    @override
    def list_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """List the ids of documents in the store; one not seen since this manager was made is older than any time."""
        keys = [
            str(document.id) for document in self._store.get(filter=self._filter) if self._is_of(document, group_ids)
        ]
        return [key for key in keys if self._is_between(key, before, after)][:limit]

    @override
    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete the documents, where ``index()`` has not done so already."""
        self._store.delete(list(keys))
        for key in keys:
            self._seen.pop(key, None)
        self._deleted.update(dict.fromkeys(keys, self.get_time()))

    def _is_of(self, document: Document, group_ids: Sequence[str] | None) -> bool:
        return group_ids is None or self._group(document) in storable(list(group_ids))

    def _group(self, document: Document) -> Any:
        if self._source_id_key is None:
            raise InvalidInputError("source_id_key: the record manager needs the one that index() is given")
        if callable(self._source_id_key):
            return self._source_id_key(document)
        return document.metadata.get(self._source_id_key)

    def _is_between(self, key: str, before: float | None, after: float | None) -> bool:
        seen = self._seen.get(key, 0.0)
        return (before is None or seen < before) and (after is None or seen > after)

    @override
    async def acreate_schema(self) -> None:
        """Do nothing: there is no book to set up."""

    @override
    async def aget_time(self) -> float:
        return self.get_time()

    @override
    async def aupdate(self, keys: Sequence[str], **kwargs: Any) -> None:
        self.update(keys, **kwargs)

    @override
    async def aexists(self, keys: Sequence[str]) -> list[bool]:
        return await asyncio.to_thread(self.exists, keys)

    @override
    async def alist_keys(self, **kwargs: Any) -> list[str]:
        return await asyncio.to_thread(lambda: self.list_keys(**kwargs))

    @override
    async def adelete_keys(self, keys: Sequence[str]) -> None:
        await asyncio.to_thread(self.delete_keys, keys)
