"""The verbs that keep a store and find it again: pointers, dicts and pickles that lead to its collection."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core.vector_stores.types import DEFAULT_PERSIST_DIR, DEFAULT_PERSIST_FNAME
from llama_index.vector_stores.bedside.acting import as_tagged
from llama_index.vector_stores.bedside.persisting import check_local, check_there, locate, save
from typing_extensions import Self

from bedside import Collection
from bedside.errors import InvalidInputError

if TYPE_CHECKING:
    from bedside.intake import Intake

__all__ = ["PersistVerbs"]

_ABOUT_THE_CLASS = ("class_name", "stores_text", "is_embedding_query")


class PersistVerbs:
    """What a store on disk, on a server or in memory is found again by; none of it holds nodes."""

    if TYPE_CHECKING:
        path: str | None
        scope: dict[str, str | int] | None
        read_only: bool
        _view: Collection
        _intake: Intake

        def __init__(self, path: str | os.PathLike[str] | None = None, **kwargs: Any) -> None: ...

    @as_tagged
    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Make a file that :meth:`from_persist_path` opens: a pointer to the collection's folder or its URL.

        A collection in memory is first written to a new folder beside the file, as far as this store sees it; the
        file then leads there, and the folder of the time before goes away. No moment loses what was persisted.
        """
        check_local(fs)
        save(self._view, Path(persist_path))

    @classmethod
    def from_persist_path(cls, persist_path: str, fs: Any = None, **kwargs: Any) -> Self:
        """Open the collection that :meth:`persist` left there, or the collection folder of that name.

        Args:
            persist_path: The file or folder.
            fs: None, or a local file system.
            **kwargs: Of the constructor, such as ``scope``.

        Raises:
            NotACollectionError: There is none.
        """
        check_local(fs)
        return cls(locate(Path(persist_path)), **kwargs)

    @classmethod
    def from_persist_dir(
        cls,
        persist_dir: str = DEFAULT_PERSIST_DIR,
        namespace: str = "default",
        fs: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Open what ``StorageContext.persist(persist_dir)`` left there under the store's name."""
        path = os.path.join(persist_dir, f"{namespace}__{DEFAULT_PERSIST_FNAME}")  # noqa: PTH118
        return cls.from_persist_path(path, fs=fs, **kwargs)

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """Open the folder or URL, and the scope of it, that ``to_dict`` or ``to_json`` of a store tells of.

        Args:
            data: What ``to_dict`` gave: where the nodes are, not the nodes themselves.
            **kwargs: Of the constructor, such as ``encoder``; they go before ``data``.

        Raises:
            InvalidInputError: The store was in memory; :meth:`persist` keeps what it held.
            NotACollectionError: The collection is not there any more.
        """
        given = {**data, **kwargs}
        arguments = {name: value for name, value in given.items() if name not in _ABOUT_THE_CLASS}
        if arguments.get("path") is None:
            raise InvalidInputError("from_dict: the store was in memory, and its dict holds no nodes; persist() does")
        check_there(arguments["path"])
        return cls(**arguments)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[()]]:
        """Pickle the way to the collection, not its content: another process opens the same folder."""
        if self.path is None:
            raise TypeError("a BedsideVectorStore in memory cannot be pickled; give it a path")
        again = functools.partial(
            type(self),
            self.path,
            scope=self.scope,
            encoder=self._view.encoder,
            read_only=self.read_only,
            **self._intake.settings,
        )
        return again, ()
