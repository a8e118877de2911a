"""The versions of a note or a record: what it supersedes, and what supersedes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedside.filters.dates import begins
from bedside.filters.validity import SUPERSEDES, VALID_FROM, named
from bedside.notes.notes import of_note
from bedside.records import check_id
from bedside.search.versions import version_of
from bedside.types import Metadata

if TYPE_CHECKING:
    from bedside.collection import Collection

__all__ = ["Version", "history"]


@dataclass(frozen=True)
class Version:
    """One version of a note or a record.

    Attributes:
        id: The note's, or the record's.
        metadata: Its own.
        supersedes: The ids that it names, those included that are not there.
        superseded_by: The ids of the versions that name it.
    """

    id: str
    metadata: Metadata
    supersedes: tuple[str, ...] = ()
    superseded_by: tuple[str, ...] = ()


def history(records: Collection, id: str) -> list[Version]:
    """Return the versions that an id is linked with; see :meth:`bedside.Collection.history`."""
    found: dict[str, Metadata] = {}
    ids = [check_id(id, "id")]
    while ids:
        new = _versions(records, ids)
        found |= new
        older = [name for metadata in new.values() for name in named(metadata.get(SUPERSEDES))]
        ids = [other for other in dict.fromkeys([*older, *_naming(records, ids)]) if other not in found]
        ids = ids if new else []
    links = {id: tuple(dict.fromkeys(named(metadata.get(SUPERSEDES)))) for id, metadata in found.items()}
    by = {id: tuple(newer for newer, names in links.items() if id in names) for id in found}
    return [Version(id, found[id], links[id], by[id]) for id in _newest_first(found, by)]


def _versions(records: Collection, ids: Sequence[str]) -> dict[str, Metadata]:
    """Return the metadata of those notes and records that are there."""
    by_note = {"source_id": {"$in": list(ids)}, "source_hash": {"$exists": True}}
    documents = [*records.get(ids), *records.get(filter=by_note)]
    wanted = set(ids)
    versions: dict[str, Metadata] = {}
    for document in documents:
        version = version_of(str(document.id), document.metadata)
        versions[version] = document.metadata if version == document.id else of_note(document)
    return {version: metadata for version, metadata in versions.items() if version in wanted}


def _naming(records: Collection, ids: Sequence[str]) -> list[str]:
    """Return the versions that name one of ``ids``."""
    found = records.get(filter={SUPERSEDES: {"$in": list(ids)}})
    return [version_of(str(document.id), document.metadata) for document in found]


def _newest_first(found: dict[str, Metadata], by: dict[str, tuple[str, ...]]) -> list[str]:
    """Order versions so that none comes before one that supersedes it, a circle aside; then by ``valid_from``."""
    left, order = dict.fromkeys(sorted(found, key=lambda id: _begins(found[id]), reverse=True)), list[str]()
    while left:
        order.append(next((id for id in left if not any(newer in left for newer in by[id])), next(iter(left))))
        del left[order[-1]]
    return order


def _begins(metadata: Metadata) -> tuple[bool, int]:
    when = begins(metadata.get(VALID_FROM))
    return when is not None, when or 0
