"""How a framework's documents become ours: what has one obvious form is converted, and the last of an id counts.

A collection itself stores what it is given or refuses it. Frameworks hand over what their loaders found: dates, paths
and numpy's numbers in metadata, broken characters, a page twice. Both adapters take documents in through here.
"""

from __future__ import annotations

import datetime
import logging
import math
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from bedside.records import MAX_DEPTH
from bedside.skipping import OnBadDocument, Skipped
from bedside.support.checks import builtin_of, check_choice
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.collection import Collection
    from bedside.notes.notes import NoteChange
    from bedside.text.split import NoteSplitter

__all__ = ["Intake", "OnNan", "OnUnstorable", "storable", "utf8"]

OnUnstorable: TypeAlias = Literal["convert", "raise"]
OnNan: TypeAlias = Literal["raise", "null"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Intake:
    """What is done with documents that a collection would refuse.

    Attributes:
        on_unstorable: ``"convert"`` stores metadata in the one JSON form that is obvious (:func:`storable`), and broken
            characters of a text as U+FFFD; ``"raise"`` refuses both.
        on_nan: ``"raise"`` refuses a NaN in metadata, ``"null"`` stores ``None``; where metadata are converted.
        on_bad_document: ``"raise"`` refuses the whole call because of a document that cannot be stored, ``"skip"``
            leaves it out.
        skipped: What was left out since the list was made or cleared, and why; empty it when you have read it.

    Raises:
        InvalidInputError: A value is none of these.

    Example:
        >>> import bedside
        >>> intake, notes = Intake(on_bad_document="skip"), bedside.Collection.open()
        >>> given = [Document("BP 120/80.", {"seen": datetime.date(2024, 5, 31)}, "n1"), Document(" ", id="n2")]
        >>> intake.add(notes, intake.taken(notes, given)), intake.skipped[0].id
        (['n1'], 'n2')
    """

    on_unstorable: OnUnstorable = "convert"
    on_nan: OnNan = "raise"
    on_bad_document: OnBadDocument = "raise"
    skipped: list[Skipped] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        check_choice("on_unstorable", self.on_unstorable, get_args(OnUnstorable))
        check_choice("on_nan", self.on_nan, get_args(OnNan))
        check_choice("on_bad_document", self.on_bad_document, get_args(OnBadDocument))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as keyword arguments."""
        return {name: getattr(self, name) for name in ("on_unstorable", "on_nan", "on_bad_document")}

    def taken(self, collection: Collection, documents: Sequence[Document]) -> list[Document]:
        """Return documents as they are to be stored, each at its place, those of one id all as the last of them."""
        return _as_the_last(collection, [self._converted(document) for document in documents])

    def add(self, collection: Collection, documents: Sequence[Document]) -> list[str]:
        """Add what :meth:`taken` returned, and return the ids of what was not skipped, in order."""
        return collection.add(documents, on_bad_document=self.on_bad_document, skipped=self.skipped)

    def add_notes(
        self,
        collection: Collection,
        notes: Sequence[Document],
        splitter: NoteSplitter | None,
        supersedes: Mapping[str, str | Sequence[str]] | None = None,
    ) -> dict[str, NoteChange]:
        """Add what :meth:`taken` returned as whole notes; see :meth:`bedside.Collection.add_notes`.

        Frameworks' retrievers of notes say a note's id once more as its ``source_id``; that is not stored.
        """
        return collection.add_notes(
            [_without_own_id(note) for note in notes],
            splitter=splitter,
            on_bad_document=self.on_bad_document,
            skipped=self.skipped,
            supersedes=supersedes,
        )

    def _converted(self, document: Document) -> Document:
        if self.on_unstorable == "raise":
            return document
        nan = None if self.on_nan == "null" else math.nan
        return replace(document, text=utf8(document.text), metadata=storable(document.metadata, nan=nan))


def _without_own_id(note: Document) -> Document:
    if note.id is None or note.metadata.get("source_id") != note.id:
        return note
    return replace(note, metadata={key: value for key, value in note.metadata.items() if key != "source_id"})


def _as_the_last(collection: Collection, documents: list[Document]) -> list[Document]:
    """Give documents of one id in one scope all as the last of them: frameworks' stores keep that, and say nothing."""
    named = [_name(collection, document) for document in documents]
    last = dict(zip(named, documents, strict=True))
    kept = [document if document.id is None else last[name] for name, document in zip(named, documents, strict=True)]
    replaced = sum(map(_differ, documents, kept))
    if replaced:
        _log.warning("%d documents were replaced by later ones of the same call that have their ids", replaced)
    return kept


def _differ(one: Document, other: Document) -> bool:
    return one is not other and (one.text != other.text or repr(one.metadata) != repr(other.metadata))


def _name(collection: Collection, document: Document) -> tuple[str, ...]:
    metadata: Any = document.metadata  # not checked yet
    scope = {**collection.scope, **metadata} if isinstance(metadata, Mapping) else {}
    return repr(document.id), *(repr(scope.get(key)) for key in collection.scope_keys)


def storable(value: Any, *, nan: Any = math.nan, depth: int = 0) -> Any:
    """Return metadata with each value that has one obvious JSON form in that form; every other stays as it is.

    ``date``, ``time`` and ``datetime`` become ISO 8601, as do numpy's; ``UUID`` and paths text; tuples lists; members
    of an ``Enum`` their values; subclasses of ``str``, ``int``, ``float`` and ``dict`` these; numpy's scalars and
    arrays numbers and lists. What has several forms (sets, bytes, ``Decimal``) or none stays, for the collection to
    refuse by name.

    Args:
        value: Metadata, or a value in it; it is not changed.
        nan: What stands for NaN, NaT, pandas' NA and the like: ``None``, or NaN itself, which is refused later.
        depth: Levels above it.

    Example:
        >>> storable({"seen": datetime.date(2024, 5, 31), "pages": (1, 2), "scores": np.array([0.5])})
        {'seen': '2024-05-31', 'pages': [1, 2], 'scores': [0.5]}
    """
    value = builtin_of(value)
    if value is None or type(value) in (str, int, bool) or depth > MAX_DEPTH:
        return value
    below = partial(storable, nan=nan, depth=depth + 1)
    match value:
        case Enum():
            return below(value.value)
        case float():
            return nan if math.isnan(value) else float(value)
        case datetime.date() | datetime.time() | np.datetime64():
            return nan if value != value else _iso(value)  # pandas' NaT is unlike itself
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case uuid.UUID() | PurePath():
            return str(value)
        case np.ndarray() if value.ndim == 0:
            return below(value[()])
        case list() | tuple() | np.ndarray():
            return [below(item) for item in value]
        case Mapping():
            return {below(key) if isinstance(key, str) else key: below(item) for key, item in value.items()}
    return nan if _is_missing(value) else value


def _is_missing(value: Any) -> bool:
    """Tell whether it is pandas' word for a missing value of any type, which only pandas can make."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and value is getattr(pandas, "NA", None)


def _iso(value: datetime.date | datetime.time | np.datetime64) -> str:
    if not isinstance(value, np.datetime64):
        return value.isoformat()
    is_finer = np.datetime_data(value)[0] in ("ns", "ps", "fs", "as")
    return str(value.astype("datetime64[us]") if is_finer else value)


def utf8(text: Any) -> Any:
    r"""Return a text without surrogates, which UTF-8 lacks: pairs are one character, single ones U+FFFD.

    Example:
        >>> utf8("dose \ud835\udc65, \ud835") == "dose \U0001d465, \ufffd"
        True
    """
    if not isinstance(text, str):
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
