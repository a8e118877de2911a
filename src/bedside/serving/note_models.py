"""What goes over the wire about whole notes and scopes, as pydantic models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, Field, StrictBool, StrictStr, create_model

from bedside.notes import NoteHit
from bedside.notes.history import Version
from bedside.serving.models import (
    NO_COPIES,
    Added,
    Answer,
    CopyModel,
    ExplanationModel,
    Filter,
    HitModel,
    Scope,
    Text,
    Vector,
    _BadDocuments,
    _Reading,
    _Request,
    _Scoped,
)
from bedside.serving.search_options import OFFERED_FOR_NOTES, described
from bedside.types import Document


class NoteModel(_Request):
    """A whole note with its metadata."""

    id: StrictStr
    text: Text
    metadata: dict[str, Any] = Field(default_factory=dict, description="JSON values; whole numbers of 64 bits.")

    def to_document(self) -> Document:
        """Return the core's document."""
        return Document(self.text, self.metadata, self.id)

    @classmethod
    def of(cls, note: Document) -> NoteModel:
        """Return the wire's note."""
        return cls(id=str(note.id), text=note.text, metadata=dict(note.metadata))


class AddNotesRequest(_Scoped, _BadDocuments):
    """Notes to add, replacing those of the same id that changed; all or none, but for bad ones that may be skipped."""

    notes: list[NoteModel]


class Changes(Added):
    """What became of each note, by id."""

    notes: dict[str, Literal["added", "replaced", "unchanged"]]


class NoteRequest(_Reading):
    """One note."""

    id: StrictStr


class NoteAnswer(BaseModel):
    """The note as it was added; null where there is none."""

    note: NoteModel | None


class VersionModel(BaseModel):
    """One version of a note or a record."""

    id: str
    metadata: dict[str, Any]
    supersedes: list[str]
    superseded_by: list[str]


class Versions(BaseModel):
    """Versions, the newest first; none where there is no such id."""

    versions: list[VersionModel]

    @classmethod
    def of(cls, versions: Iterable[Version]) -> Versions:
        """Return the wire's versions."""
        return cls(versions=[VersionModel(**asdict(version)) for version in versions])


class Deleted(BaseModel):
    """Whether there was such a note."""

    deleted: bool


class _NoteQuestion(_Reading):
    """A question; see the collection's `search_notes`."""

    query: StrictStr
    vector: Vector | None = Field(None, description="Instead of encoding the query.")

    def options(self) -> dict[str, Any]:
        """Return the core's keyword arguments."""
        return self.model_dump(include=set(OFFERED_FOR_NOTES))


class _ContextQuestion(_NoteQuestion):
    """A question whose best notes become one text for a prompt."""

    max_tokens: int = Field(2_000, ge=0, le=100_000, description="Of the whole text.")
    header: StrictBool = Field(True, description="Put a line with id, date, kind and author above each note.")


if TYPE_CHECKING:
    SearchNotesRequest: TypeAlias = _NoteQuestion
    ContextRequest: TypeAlias = _ContextQuestion
else:
    SearchNotesRequest = create_model(
        "SearchNotesRequest",
        __base__=_NoteQuestion,
        __module__=__name__,
        __doc__=_NoteQuestion.__doc__,
        **described(OFFERED_FOR_NOTES),
    )
    ContextRequest = create_model(
        "ContextRequest",
        __base__=_ContextQuestion,
        __module__=__name__,
        __doc__=_ContextQuestion.__doc__,
        **described({name: option for name, option in OFFERED_FOR_NOTES.items() if name != "explain"}),
    )


class NoteHitModel(Answer):
    """One note that was found; cite it by its id."""

    id: str
    score: float
    date: str | None
    kind: str | None
    author: str | None
    metadata: dict[str, Any]
    length: int = Field(description="Characters in the note.")
    passages: list[HitModel] = Field(description="Those that the filter left, best first.")
    explanation: ExplanationModel | None = None
    copies: list[CopyModel] = Field([], description="Of other notes that say the same; their ids are `source`.")
    first_seen: str | None = None
    last_seen: str | None = None

    @staticmethod
    def values(hit: NoteHit) -> dict[str, Any]:
        """Return what it says as plain values, all of them, in the order of the fields."""
        return {
            "id": hit.id,
            "score": hit.score,
            "date": hit.date,
            "kind": hit.kind,
            "author": hit.author,
            "metadata": dict(hit.metadata),
            "length": hit.length,
            "passages": [HitModel.values(passage) for passage in hit.passages],
            "explanation": ExplanationModel.values(hit.explanation),
            **NO_COPIES,
            **hit.sightings,
        }


class NoteHits(BaseModel):
    """Notes that were found, best first."""

    notes: list[NoteHitModel]

    @staticmethod
    def values(hits: Sequence[NoteHit]) -> dict[str, Any]:
        """Return what was found as plain values."""
        return {"notes": [NoteHitModel.values(hit) for hit in hits]}


class ContextAnswer(BaseModel):
    """What of the best notes goes into a prompt; empty where nothing was found, or not a word fits."""

    context: str


class _Paged(_Request):
    limit: int | None = Field(None, ge=0)
    offset: int = Field(0, ge=0)


class ScopesRequest(_Paged):
    """Scopes to list, in the order of their values."""


class CohortRequest(_Paged):
    """What the documents of a scope must be about: words that one holds and does not deny, a filter, or both."""

    query: StrictStr | None = None
    filter: Filter | None = Field(None, examples=[{"section_kind": "past_medical_history"}])


class ScopeCountModel(BaseModel):
    """A scope and how many documents it holds."""

    scope: Scope
    count: int


class ScopeCounts(BaseModel):
    """Scopes with their counts; no text."""

    scopes: list[ScopeCountModel]

    @classmethod
    def of(cls, found: list[tuple[dict[str, str | int], int]]) -> ScopeCounts:
        """Return the wire's scopes."""
        return cls(scopes=[ScopeCountModel(scope=scope, count=count) for scope, count in found])


class FoundNote(BaseModel):
    """One note that was found, as a chatbot reads it."""

    label: str = Field(description="Cite the note by it.")
    date: str | None
    kind: str | None
    author: str | None
    section: str | None = Field(description="Of the best passage.")
    score: float
    text: str = Field(description="The best passages; […] stands where something is left out.")
    copies: list[CopyModel] = Field([], description="Of other notes that say the same; their labels are `source`.")
    first_seen: str | None = None
    last_seen: str | None = None


class FoundNotes(BaseModel):
    """Notes that were found, best first."""

    notes: list[FoundNote]

    @classmethod
    def of(cls, hits: list[NoteHit], max_tokens: int) -> FoundNotes:
        """Return notes as a chatbot reads them, which share a budget of tokens."""
        share = max_tokens // max(1, len(hits))
        return cls(
            notes=[
                FoundNote(
                    label=hit.label,
                    date=hit.date,
                    kind=hit.kind,
                    author=hit.author,
                    section=hit.passages[0].metadata.get("section"),
                    score=hit.score,
                    text=hit.context(max_tokens=share),
                    **hit.sightings,
                )
                for hit in hits
            ]
        )
