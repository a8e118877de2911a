"""Which notes replace which: what sources say by ids of their own, said by the ids of notes.

A CDA or HL7 document names another by that one's ``document_id``, a FHIR resource by its address or identifier. What
was read so stands in ``replaces``; where the other is among the notes too, ``supersedes`` has the ids of its notes, by
which searches with ``as_of`` go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bedside.filters.validity import SUPERSEDES
from bedside.loaders.report import Finding, LoadReport
from bedside.types import Document

REPLACES = "replaces"
"""The metadata key of what a document replaces, in the words of its source: a list of ids."""


class Links:
    """Notes by what their sources call them.

    Args:
        notes: Those that are there already.

    Example:
        >>> old = Document("Rest.", {"document_id": "1.2^a"}, "a.xml")
        >>> Links([old]).linked(Document("Walk.", {"replaces": ["1.2^a"]}, "b.xml")).metadata
        {'replaces': ['1.2^a'], 'supersedes': ['a.xml']}
    """

    def __init__(self, notes: Iterable[Document] = ()) -> None:
        self._sources: dict[str, dict[str, str]] = {}
        self._resources: dict[str, dict[str, dict[str, None]]] = {}
        self._names: dict[str, tuple[str, str, str]] = {}
        for note in notes:
            self.add(note)

    def add(self, note: Document) -> None:
        """Take in a note that others may replace."""
        id, names = str(note.id), _names(note)
        if id in self._names and self._names[id] != names:
            self._forget(id)
        named, resource, source = names
        if named or resource:
            self._names[id] = names
        if named:
            self._sources.setdefault(named, {})[id] = source
        if resource:
            self._resources.setdefault(resource, {}).setdefault(source, {})[id] = None

    def _forget(self, id: str) -> None:
        """Let a note go by its old names no more: another document took its place."""
        named, resource, source = self._names.pop(id)
        self._sources.get(named, {}).pop(id, None)
        self._resources.get(resource, {}).get(source, {}).pop(id, None)

    def linked(self, note: Document) -> Document:
        """Return a note with the ids of the notes that it replaces, as far as they are known."""
        found = dict.fromkeys(id for named in _replaced(note) for id in self._notes(named, note))
        return replace(note, metadata={**note.metadata, SUPERSEDES: list(found)}) if found else note

    def missing(self, note: Document) -> list[str]:
        """Return what a note replaces and is not known."""
        return [named for named in _replaced(note) if not self._notes(named, note)]

    def _notes(self, named: str, note: Document) -> list[str]:
        """Return the notes of a document that a note names, of which it is not one itself.

        An address is of the note's own file, else it must be in one other file alone: two servers may have given it to
        two documents.
        """
        own_id, resource, source = _names(note)
        if known := self._sources.get(named):
            return [id for id, of in known.items() if id != note.id and not (named == own_id and of == source)]
        files = {of: ids for of, ids in self._resources.get(named, {}).items() if ids}
        if source in files:
            return [] if named == resource else list(files[source])
        return list(*files.values()) if len(files) == 1 else []


def linked(notes: Iterable[Document], links: Links, report: LoadReport | None) -> Iterator[Document]:
    """Yield notes with the ids of those that they replace; what replaces a note that has not come yet comes last.

    Args:
        notes: As the formats give them.
        links: What is known already; the notes are added to it.
        report: Told what is replaced and not there.
    """
    waiting = []
    for note in notes:
        links.add(note)
        if links.missing(note):
            waiting.append(note)
        else:
            yield links.linked(note)
    for note in waiting:
        if report is not None:
            report.findings += [_unlinked(note, named) for named in links.missing(note)]
        yield links.linked(note)


def _unlinked(note: Document, named: str) -> Finding:
    about = note.metadata
    reason = f"replaces {named}, which is not among the notes: as_of does not leave that out"
    return Finding(str(about.get("source", note.id)), str(about.get("resource", "")), reason, "unlinked")


def _names(note: Document) -> tuple[str, str, str]:
    """Return what the source calls a note: the document's id and the resource's address, and the source's own path."""
    named, resource, source = (note.metadata.get(key) or "" for key in ("document_id", "resource", "source"))
    return str(named), str(resource), str(source)


def _replaced(note: Document) -> list[str]:
    said = note.metadata.get(REPLACES, [])
    return [each for each in said if isinstance(each, str)] if isinstance(said, list) else []
