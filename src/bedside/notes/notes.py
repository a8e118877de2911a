"""Whole notes over a collection: split, embedded, found by passage, ranked as notes, and given back whole.

A note is stored as its passages, each an ordinary record: together they cover the note's text character for character,
so that the note is put together again from them. The passage ``number`` of the note ``visit-1`` has the id
``visit-1#number`` and, beside the note's own metadata:

* ``source_id``: the note's id;
* ``start``, ``end``: its offsets, ``text[start:end]`` being the passage;
* ``section``: the heading it stands under, as written, or ``None``;
* ``section_kind``: what that section is, whatever its heading is called, or ``None`` (:mod:`bedside.text.kinds`);
* ``source_hash``: 32 hexadecimal digits of the text's SHA-256, a dot, and 8 of the splitter's settings'.

What has ``source_id`` and ``source_hash`` is a passage; no other record is one, whatever its id.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from bedside.arguments import check_texts
from bedside.errors import BedsideWarning, BrokenNoteError, InvalidDocumentError, InvalidInputError
from bedside.filters.dates import begins
from bedside.filters.validity import SUPERSEDES
from bedside.notes.render import NoteHit
from bedside.records import Record, check_id
from bedside.search.calibrated import calibrated
from bedside.search.copies import grouped, seen
from bedside.search.options import SearchArguments, SearchOptions, check_ids
from bedside.skipping import OnBadDocument, Skipped
from bedside.text.copies import copied
from bedside.text.split import NoteSplitter
from bedside.types import Document, Encoder, Explanation, FilterDict, Hit, Vector

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bedside.collection import Collection

__all__ = [
    "NoteChange",
    "NoteHit",
    "add_notes",
    "default_splitter",
    "delete_note",
    "filtered_notes",
    "get_note",
    "passages_of",
    "search_notes",
]

NoteChange: TypeAlias = Literal["added", "replaced", "unchanged"]
MAX_TOKENS = 256
"""Of a passage: 256 and 128 gave 0.857 and 0.856 nDCG@10 on the development notes (see ``docs/benchmarks.md``)."""
_OWN = ("source_id", "start", "end", "section", "section_kind", "source_hash")
_ALL = 2**31 - 1
"""As ``top_k``: more than the passages of some notes can be."""
_IS_PASSAGE: FilterDict = {"source_hash": {"$exists": True}}


def default_splitter(records: Collection) -> NoteSplitter:
    """Return the splitter that a collection's notes are cut with: :func:`splitter_for` its encoder."""
    return splitter_for(records.encoder)


def splitter_for(encoder: Encoder | None) -> NoteSplitter:
    """Return a splitter of 256 tokens, or of what the encoder reads at once, where that is less.

    Tokens are the encoder's own where it has a ``count_tokens``.
    """
    longest = getattr(encoder, "max_length", None)
    tokens = min(MAX_TOKENS, int(longest)) if isinstance(longest, Integral) else MAX_TOKENS
    return NoteSplitter(tokens, count_tokens=getattr(encoder, "count_tokens", None))


def add_notes(
    records: Collection,
    notes: Iterable[Document],
    splitter: NoteSplitter | None = None,
    *,
    on_bad_document: OnBadDocument = "raise",
    skipped: list[Skipped] | None = None,
    supersedes: Mapping[str, str | Sequence[str]] | None = None,
    instead_of: Iterable[str] = (),
) -> dict[str, NoteChange]:
    """Add notes or replace those that changed, in one transaction; see :meth:`bedside.Collection.add_notes`.

    Args:
        records: A collection or a scope of one.
        notes: Documents with ids.
        splitter: How they are cut.
        on_bad_document: Whether a bad note is an error or left out.
        skipped: Takes what was left out.
        supersedes: By the ids of some of them, the id or ids of the notes that they supersede.
        instead_of: Notes that are deleted in the same transaction, unless they are among ``notes``.
    """
    splitter = default_splitter(records) if splitter is None else splitter
    if not isinstance(splitter, NoteSplitter):
        raise InvalidInputError(f"splitter: expected a NoteSplitter, got {type(splitter).__name__}")
    if isinstance(notes, str | Document) or not isinstance(notes, Iterable):
        raise InvalidDocumentError(f"notes: expected an iterable of Document, got {type(notes).__name__}")
    given = notes if supersedes is None else _superseding(list(notes), supersedes)
    checked = records.check(given, on_bad_document=on_bad_document, skipped=skipped, rule=check_note)
    stored = _passages(records, [record.id for record in checked])
    wanted = {record.id: _hash(record.text, splitter) for record in checked}
    changes = {record.id: _change(record, wanted[record.id], stored.get(record.id)) for record in checked}
    changed = [record for record in checked if changes[record.id] != "unchanged"]
    gone = set(instead_of) - changes.keys()
    if changed or gone:
        pieces = [piece for record in changed for piece in passages_of(record, splitter)]
        _check_free(records, pieces)
        records.replace(pieces, filter=passages_filter([*(record.id for record in changed), *gone]))
    return changes


def get_note(records: Collection, id: str) -> Document | None:
    """Return a note as it was added, or None; see :meth:`bedside.Collection.get_note`."""
    passages = _passages(records, [check_id(id, "id")]).get(id)
    if passages is None:
        return None
    text = _joined(passages)
    if _digest(text.encode(), 32) != passages[0].metadata["source_hash"].partition(".")[0]:
        raise BrokenNoteError(
            f"note {id!r}: passages of it were deleted or replaced one by one, so it cannot be put together again; "
            "add the note anew"
        )
    return Document(text, of_note(passages[0]), id)


def delete_note(records: Collection, id: str) -> bool:
    """Delete a note; says whether there was one. See :meth:`bedside.Collection.delete_note`."""
    return records.delete(filter=passages_filter([check_id(id, "id")])) > 0


def search_notes(
    records: Collection,
    query: str,
    *,
    vector: Vector | Sequence[float] | None = None,
    **options: Unpack[SearchArguments],
) -> list[NoteHit]:
    """Rank notes by their best passage's cosine and the whole note's BM25; see :meth:`bedside.Collection.search_notes`.

    BM25 counts a note's words over all of its passages: a question whose words stand in several sections is answered
    by the note that holds them all. The words that two overlapping passages share count twice.
    """
    check_texts([query])
    facts = records.facts
    asked = SearchOptions.of(options, notes=True, default_alpha=facts.weight)
    asked = replace(asked, mode=asked.mode or records.natural_mode([query]))
    asked, mode = calibrated(asked, "search_notes", facts.min_scores), asked.halves
    if vector is None and mode != "sparse":
        vector = records.encode_queries([query])[0]
    among = _IS_PASSAGE if asked.ids is None else passages_filter(asked.ids)
    as_notes: SearchArguments = {
        **options,
        "mode": mode,
        "min_score": asked.min_score,
        "filter": _and(among, asked.filter),
        "ids": None,
        "group_by": "source_id",
        "as_one": "source_hash",
    }
    if asked.collapse is None:
        hits = records.search(query, vector=vector, **as_notes)
    else:
        deep: SearchArguments = {
            **as_notes,
            "top_k": asked.pool,
            "offset": 0,
            "newest_first": False,
            "collapse": None,
        }
        hits = _collapsed(records, query, records.search(query, vector=vector, **deep), asked)
    found = {str(hit.metadata["source_id"]): hit for hit in hits}
    if not found:
        _warn_without_notes(records)
        return []
    passages = _scored(
        records, query, vector, replace(asked, mode=mode, filter=_and(passages_filter(list(found)), asked.filter))
    )
    whole = _passages(records, list(found)) if asked.filter else passages
    return [
        NoteHit(
            id,
            hit.score,
            of_note(whole[id][0]),
            max(passage.metadata["end"] for passage in whole[id]),
            tuple(passages[id]),
            _explained(hit, asked),
            *(hit.copies, hit.first_seen, hit.last_seen),
        )
        for id, hit in found.items()
        if id in passages and id in whole  # another process may just have deleted it
    ]


def _warn_without_notes(records: Collection) -> None:
    """Say that documents which were added as they are cannot be found as notes, where there is nothing else."""
    if records.count() and not records.get(filter=_IS_PASSAGE, limit=1):  # to count passages may read them all
        warnings.warn(
            "search_notes: nothing here was added as a note, so nothing can be found as one; add_notes adds notes, and "
            "a search for documents finds what is here",
            BedsideWarning,
            stacklevel=4,
        )


def _collapsed(records: Collection, query: str, hits: Sequence[Hit], asked: SearchOptions) -> list[Hit]:
    """Return the page of notes whose best passage is no copy of a better note's, or that alone have what is asked."""
    passages = _passages(records, list(dict.fromkeys(str(hit.metadata["source_id"]) for hit in hits)))
    there = [hit for hit in hits if hit.metadata["source_id"] in passages]
    wholes = [_joined(passages[str(hit.metadata["source_id"])]) for hit in there]
    groups = grouped(copied([hit.text for hit in there], query, wholes))
    kept = list(groups.items())[asked.offset : asked.depth]
    page = [(there[i], seen([there[j].document for j in group], asked.date_key)) for i, group in kept]
    shown = [replace(hit, copies=of[0], first_seen=of[1], last_seen=of[2]) for hit, of in page]
    if asked.newest_first:
        shown.sort(key=lambda hit: -(begins(hit.metadata.get(asked.date_key)) or -math.inf))
    return shown


def filtered_notes(records: Collection, **options: Unpack[SearchArguments]) -> list[NoteHit]:
    """Return the notes that a search with these options may find, unranked; see :meth:`bedside.Collection.filtered`.

    Each has a score of 1 and the passages that the filter leaves, in the note's order.
    """
    asked = SearchOptions.of(options, notes=True)
    if not asked.filter and asked.ids is None:
        records.count({})  # whose records are meant is asked here too
        return []
    among = _IS_PASSAGE if asked.ids is None else passages_filter(asked.ids)
    chosen = _and(among, asked.filter)
    left = records.filtered(filter=chosen, as_of=asked.as_of, top_k=_ALL)
    ids = list(dict.fromkeys(str(passage.metadata["source_id"]) for passage in left))[asked.offset : asked.depth]
    whole = _passages(records, ids)
    return [
        NoteHit(
            id,
            1.0,
            of_note(whole[id][0]),
            max(passage.metadata["end"] for passage in whole[id]),
            tuple(Hit(passage, 1.0, relevance=1.0) for passage in left if passage.metadata["source_id"] == id),
        )
        for id in ids
        if id in whole
    ]


def _scored(records: Collection, query: str, vector: Any, asked: SearchOptions) -> dict[str, list[Hit]]:
    """Return the passages that ``asked`` leaves with their own scores, by note, best first."""
    every = records.search(
        query,
        vector=vector,
        top_k=_ALL,
        filter=asked.filter,
        mode=asked.mode,
        alpha=asked.weight,
        as_of=asked.as_of,
        assertion="prefer" if asked.assertion == "only" else asked.assertion,  # of a found note every passage counts
    )
    if asked.mode == "sparse":  # it leaves out what holds no word of the query, and what contradicts it
        found = {hit.id for hit in every}
        every += [Hit(document, 0.0) for document in records.get(filter=asked.filter) if document.id not in found]
    every.sort(key=lambda hit: (hit.metadata["source_id"], -hit.score, hit.metadata["start"]))
    return {id: list(group) for id, group in groupby(every, key=lambda hit: str(hit.metadata["source_id"]))}


def _explained(hit: Hit, asked: SearchOptions) -> Explanation | None:
    """Return how a note's score came about, under the filter that was asked for."""
    return hit.explanation and replace(hit.explanation, filter=asked.filter)


def check_note(note: object, where: str) -> None:
    """Refuse what cannot be added as a note, beside what no document may be.

    Raises:
        InvalidDocumentError: It has no id, a vector, or a key that a passage needs for itself; names ``where``.
    """
    if not isinstance(note, Document):
        raise InvalidDocumentError(f"{where}: expected a Document, got {type(note).__name__}")
    if note.id is None:
        raise InvalidDocumentError(f"{where}: a note needs an id, by which it is cited, replaced and given back")
    if note.vector is not None:
        raise InvalidDocumentError(f"{where}: a note takes no vector; its passages are encoded")
    about: Any = note.metadata
    if isinstance(about, Mapping) and (reserved := [key for key in _OWN if key in about]):
        raise InvalidDocumentError(f"{where}.metadata.{reserved[0]}: is what a passage says of itself; rename the key")


def _superseding(notes: Sequence[Document], supersedes: Mapping[str, str | Sequence[str]]) -> list[Document]:
    """Return notes with what they supersede in their metadata; what is not a note is left to the check of all."""
    if not isinstance(supersedes, Mapping):
        raise InvalidInputError(f"supersedes: expected a mapping of notes' ids, got {type(supersedes).__name__}")
    known = [(note, getattr(note, "id", None)) for note in notes]
    if unknown := sorted(set(supersedes) - {id for _, id in known if id is not None}):
        raise InvalidInputError(f"supersedes: {unknown[0]!r} is not an id of a note of this call")
    named = ((note, None if id is None else supersedes.get(id)) for note, id in known)
    return [note if ids is None else _with_supersedes(note, ids) for note, ids in named]


def _with_supersedes(note: Document, ids: str | Sequence[str]) -> Document:
    if SUPERSEDES in note.metadata:
        raise InvalidInputError(f"supersedes: note {note.id!r} says it in its metadata too; give one of the two")
    named = check_id(ids, "supersedes") if isinstance(ids, str) else check_ids(ids, "supersedes")
    return replace(note, metadata={**note.metadata, SUPERSEDES: named})


def passages_of(note: Record | Document, splitter: NoteSplitter) -> list[Document]:
    """Return the passages that :func:`add_notes` would store of a note, for those who store them by other ways.

    However they get into a collection, they are the note: it is found, put together again and replaced by them.

    Args:
        note: With an id and without a vector, or checked already.
        splitter: How it is cut.

    Raises:
        InvalidDocumentError: It has no id, a vector, or a passage's metadata key.

    Example:
        >>> for passage in passages_of(Document("HPI: Cough. PLAN: Rest.", id="visit-1"), NoteSplitter(4, 0)):
        ...     print(passage.id, passage.metadata["section"], passage.metadata["start"])
        visit-1#0 HPI 0
        visit-1#1 PLAN 12
    """
    if isinstance(note, Document):
        check_note(note, "notes[0]")
    hash = _hash(note.text, splitter)
    return [
        Document(
            passage.text,
            {
                **note.metadata,
                "source_id": note.id,
                "start": passage.start,
                "end": passage.end,
                "section": passage.section,
                "section_kind": passage.section_kind,
                "source_hash": hash,
            },
            f"{note.id}#{number}",
        )
        for number, passage in enumerate(splitter.split(note.text))
    ]


def _change(record: Record, hash: str, stored: list[Document] | None) -> NoteChange:
    if stored is None:
        return "added"
    same = stored[0].metadata["source_hash"] == hash and _json(of_note(stored[0])) == _json(record.metadata)
    return "unchanged" if same and _joined(stored) == record.text else "replaced"


def _joined(passages: Sequence[Document]) -> str:
    """Return what the passages, in order, are the pieces of; where one is missing, something else."""
    text = ""
    for passage in passages:
        text += passage.text[max(0, len(text) - passage.metadata["start"]) :]
    return text


def _check_free(records: Collection, pieces: Sequence[Document]) -> None:
    """Refuse to replace a record that is not a passage and has a passage's id by chance."""
    for document in records.get([str(piece.id) for piece in pieces]):
        if not _is_passage(document):
            raise InvalidDocumentError(
                f"notes: a record that is not a passage has the id {document.id!r}, which a passage of the note needs"
            )


def _passages(records: Collection, ids: Sequence[str]) -> dict[str, list[Document]]:
    """Return the passages of some notes, by note, in their order."""
    documents = records.get(filter=passages_filter(ids)) if ids else []
    documents.sort(key=lambda document: (document.metadata["source_id"], document.metadata["start"]))
    return {
        id: list(group) for id, group in groupby(documents, key=lambda document: str(document.metadata["source_id"]))
    }


def _is_passage(document: Document) -> bool:
    return "source_id" in document.metadata and "source_hash" in document.metadata


def passages_filter(ids: Sequence[str]) -> FilterDict:
    """Return the filter that selects the passages of some notes."""
    return {"$and": [{"source_id": {"$in": list(ids)}}, _IS_PASSAGE]}


def _and(one: FilterDict, other: FilterDict | None) -> FilterDict:
    return {"$and": [one, other]} if other else one


def of_note(passage: Document | Hit) -> dict[str, Any]:
    """Return the note's own metadata."""
    return {key: value for key, value in passage.metadata.items() if key not in _OWN}


def _hash(text: str, splitter: NoteSplitter) -> str:
    settings = orjson.dumps(splitter.settings, option=orjson.OPT_SORT_KEYS)
    return f"{_digest(text.encode(), 32)}.{_digest(settings, 8)}"


def _digest(data: bytes, digits: int) -> str:
    return hashlib.sha256(data).hexdigest()[:digits]


def _json(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
