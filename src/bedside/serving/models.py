"""What goes over the wire, as pydantic models: the schema that clients in other languages are generated from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    create_model,
)

from bedside.serving.search_options import OFFERED, described
from bedside.serving.service import Where
from bedside.skipping import OnBadDocument, Skipped
from bedside.types import Document, Explanation, Hit

Filter = dict[str, Any]
Scope = dict[str, StrictStr | StrictInt]
Vector = list[StrictFloat | StrictInt]


class _Request(BaseModel):
    """Unknown fields are refused: a misspelt filter must not be an absent one."""

    model_config = ConfigDict(extra="forbid")


class _Scoped(_Request):
    scope: Scope = Field(
        default_factory=dict,
        description="A value for each scope key of the collection, unless the token is bound to it.",
        examples=[{"patient_id": "A"}],
    )


class _Reading(_Scoped):
    must_exist: StrictBool = Field(
        False, description="Answer 404 where the scope holds no document, instead of finding nothing."
    )

    @property
    def where(self) -> Where:
        """Return the scope as the service takes it."""
        return Where(self.scope, self.must_exist)


class Answer(BaseModel):
    """What an answer has, it always has, for generated clients too: what has a default is required in the schema."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


def _any_string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string")  # noqa: TRY004 - what pydantic takes for an answer
    return value


# A lone surrogate is for the core to refuse or to skip: pydantic would refuse the whole request because of it.
Text = Annotated[str, PlainValidator(_any_string), WithJsonSchema({"type": "string"})]


class DocumentModel(_Request):
    """A text with its metadata."""

    id: StrictStr | None = Field(None, description="A random one is given if there is none.")
    text: Text
    metadata: dict[str, Any] = Field(default_factory=dict, description="JSON values; whole numbers of 64 bits.")
    vector: Vector | None = Field(None, description="Instead of encoding the text.")

    def to_document(self) -> Document:
        """Return the core's document."""
        return Document(self.text, self.metadata, self.id, self.vector)

    @classmethod
    def of(cls, document: Document) -> DocumentModel:
        """Return the wire's document."""
        vector = None if document.vector is None else np.asarray(document.vector, np.float64).tolist()
        return cls(id=document.id, text=document.text, metadata=dict(document.metadata), vector=vector)


SKIP = "raise adds nothing because of a document that cannot be stored; skip leaves it out and says which, and why."


class _BadDocuments(_Request):
    on_bad_document: OnBadDocument = Field("raise", description=SKIP)

    def skipping(self) -> list[Skipped] | None:
        """Return the list that takes what is skipped; ``None`` where a bad document is an error."""
        return [] if self.on_bad_document == "skip" else None


class CreateRequest(_Request):
    """A new collection."""

    scope_keys: list[StrictStr] = Field(
        default_factory=list, description="Metadata keys that divide it for good.", examples=[["patient_id"]]
    )


class ImportRequest(_BadDocuments):
    """A file to import, all or none, but for bad records that are to be skipped."""

    file: StrictStr = Field(description="Its name in the server's folder of imports.", examples=["notes.jsonl"])
    format: StrictStr | None = Field(None, description="By default what its content shows.")


class BackupRequest(_Request):
    """A copy to make."""

    to: StrictStr | None = Field(None, description="Its name; by default the collection's with the time.")


class RestoreRequest(_Request):
    """A collection to make of a backup."""

    backup: StrictStr = Field(description="The backup's name.", examples=["ward-20260301T020000Z"])


class Backup(BaseModel):
    """A copy that was made."""

    backup: str


class Backups(BaseModel):
    """The copies that there are."""

    backups: list[str]


class AddRequest(_Scoped, _BadDocuments):
    """Documents to add, replacing those with the same id; all or none, but for bad ones that are to be skipped."""

    documents: list[DocumentModel]


class Selection(_Scoped):
    """Documents by id, by filter, or those that satisfy both; `{}` is every document."""

    ids: list[StrictStr] | None = None
    filter: Filter | None = Field(None, examples=[{"section": "HPI"}])


class _Then(_Reading):
    """What reads documents without ranking them, of now or of another day."""

    as_of: StrictStr | None = Field(None, description=OFFERED["as_of"].help)


class GetRequest(_Then):
    """Documents to return, in the order of the ids or of insertion: by id, by filter, or both; `{}` is every one."""

    ids: list[StrictStr] | None = None
    filter: Filter | None = Field(None, examples=[{"section": "HPI"}])

    limit: int | None = Field(None, ge=0)
    offset: int = Field(0, ge=0)
    include_vectors: StrictBool = False


class _Question(_Reading):
    """A question; see the collection's `search`."""

    query: StrictStr | None = None
    vector: Vector | None = Field(None, description="Instead of encoding the query.")

    def options(self) -> dict[str, Any]:
        """Return the core's keyword arguments."""
        return self.model_dump(exclude={"query", "vector", "scope", "must_exist"})


if TYPE_CHECKING:
    from bedside.serving.shelf import Stats

    SearchRequest: TypeAlias = _Question
else:
    SearchRequest = create_model(
        "SearchRequest", __base__=_Question, __module__=__name__, __doc__=_Question.__doc__, **described(OFFERED)
    )


class CountRequest(_Then):
    """Documents to count; all without a filter."""

    filter: Filter | None = None
    all_scopes: StrictBool = Field(
        False, description="Count in every scope of a divided collection; only for a token that is bound to none."
    )


class FacetsRequest(CountRequest):
    """Documents to count by the values of a metadata key."""

    key: StrictStr


class Collections(BaseModel):
    """Names of collections."""

    collections: list[str]


class StatsModel(BaseModel):
    """What a collection is."""

    name: str
    documents: int | None
    dimension: int | None
    scope_keys: list[str]
    encoder: str | None

    @classmethod
    def of(cls, stats: Stats) -> StatsModel:
        """Return the wire's figures."""
        return cls(**asdict(stats))


class SkippedModel(BaseModel):
    """A document that was left out because it cannot be stored."""

    index: int = Field(description="Its place in the request, from 0.")
    id: str | None
    reason: str = Field(description="What is wrong with it; never what it says.")


class Added(BaseModel):
    """What an answer says beside what was added."""

    skipped: list[SkippedModel] = Field(description="Documents that were left out; empty unless that was asked for.")

    @staticmethod
    def told(skipped: list[Skipped] | None) -> list[SkippedModel]:
        """Return the wire's list."""
        return [SkippedModel(**asdict(each)) for each in skipped or ()]


class Ids(Added):
    """Ids in the order of the documents added."""

    ids: list[str]


class Imported(Added):
    """How many records were imported."""

    count: int


class Documents(BaseModel):
    """Documents."""

    documents: list[DocumentModel]


class ExplanationModel(BaseModel):
    """How a score came about; dense, sparse and signals sum to it."""

    dense: float
    sparse: float
    signals: dict[str, float] = Field(description="What else was added to the score, by name.")
    terms: dict[str, float]
    negated: dict[str, str]
    formula: str
    filter: Filter | None
    scope: Scope

    @staticmethod
    def values(why: Explanation | None) -> dict[str, Any] | None:
        """Return what it says as plain values."""
        if why is None:
            return None
        return {
            "dense": why.dense,
            "sparse": why.sparse,
            "signals": dict(why.signals),
            "terms": dict(why.terms),
            "negated": dict(why.negated),
            "formula": why.formula,
            "filter": why.filter,
            "scope": dict(why.scope),
        }


class CopyModel(BaseModel):
    """A document whose text is nearly that of a hit."""

    id: str
    source: str | None
    date: str | None


NO_COPIES: Mapping[str, Any] = {"copies": [], "first_seen": None, "last_seen": None}
"""What a hit says of copies, in the order of the fields, where it stands for itself alone."""


class HitModel(Answer):
    """One search result."""

    id: str
    text: str
    metadata: dict[str, Any]
    score: float
    dense: float | None
    sparse: float | None
    explanation: ExplanationModel | None = None
    copies: list[CopyModel] = []
    first_seen: str | None = None
    last_seen: str | None = None

    @staticmethod
    def values(hit: Hit) -> dict[str, Any]:
        """Return what it says as plain values, all of them, in the order of the fields."""
        return {
            "id": hit.id,
            "text": hit.text,
            "metadata": dict(hit.metadata),
            "score": hit.score,
            "dense": hit.dense,
            "sparse": hit.sparse,
            "explanation": ExplanationModel.values(hit.explanation),
            **NO_COPIES,
            **hit.sightings,
        }


class Hits(BaseModel):
    """Search results, best first."""

    hits: list[HitModel]

    @staticmethod
    def values(hits: Sequence[Hit]) -> dict[str, Any]:
        """Return what was found as plain values."""
        return {"hits": [HitModel.values(hit) for hit in hits]}


class Count(BaseModel):
    """How many documents."""

    count: int


class Facet(BaseModel):
    """A value and how many documents have it."""

    value: Any
    count: int


class Facets(BaseModel):
    """Values, the most frequent first."""

    facets: list[Facet]


class Receipt(BaseModel):
    """What an erasure removed, and where it looked for traces."""

    ids: list[str]
    files: dict[str, int]
    traces: int
    shared: int


class VersionProblem(BaseModel):
    """What is wrong with `supersedes`, `valid_from` or `valid_to` of a version."""

    scope: list[str | int]
    id: str
    wrong: str


class Writer(BaseModel):
    """What somebody wrote of what the log holds; no actor: nobody was named."""

    actor: str | None
    transactions: int
    changes: int
    first: str | None
    last: str | None


class Verified(BaseModel):
    """What was read of the log."""

    file: str
    bytes: int
    lines: int
    records: int
    unfinished_bytes: int
    versions: list[VersionProblem]
    writers: list[Writer]


class Problem(BaseModel):
    """An error; the detail never repeats what a document says."""

    title: str = Field(description="The error's class in Bedside.", examples=["ScopeRequired"])
    status: int
    detail: str
