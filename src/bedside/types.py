"""The records that go in and come out, and the argument types the parts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float32]
"""A float32 array of shape ``[d]``."""
Matrix: TypeAlias = NDArray[np.float32]
"""A float32 array of shape ``[n, d]``, C-contiguous."""
VectorLike: TypeAlias = "Vector | Sequence[float]"
Metadata: TypeAlias = Mapping[str, Any]
"""JSON values under string keys: str, int (64 bits), finite float, bool, None, list, dict."""
FilterDict: TypeAlias = Mapping[str, Any]
"""The filter language of :mod:`bedside.filters`, as plain dicts and lists."""
Mode: TypeAlias = Literal["hybrid", "dense", "sparse"]
"""What a search ranks by: vectors and words, vectors alone, words alone."""
Fusion: TypeAlias = Literal["weighted", "rrf"]
"""How a hybrid search joins its halves: by scores, or by ranks."""
Collapse: TypeAlias = Literal["copies"]
"""What becomes one hit."""
Assertion: TypeAlias = Literal["any", "prefer", "only"]
"""What becomes of documents that deny what is asked."""


class Reranker(Protocol):
    """A function that scores texts for a question, higher for a better answer."""

    def __call__(self, query: str, texts: Sequence[str], /) -> Sequence[float]:
        """Return one finite score for each text, in the order given."""
        ...


Rerank: TypeAlias = Literal["proximity"] | Reranker | Any
"""How the best hits are looked at again: ``"proximity"``, a :class:`Reranker`, or a cross-encoder, an object with
``predict(pairs)`` (sentence-transformers) or ``score(pairs)`` (LangChain)."""


@dataclass(frozen=True)
class Document:
    """One retrievable passage with its metadata.

    Args:
        text: The passage. May be empty only where a vector is given.
        metadata: JSON values under string keys. It comes back exactly as it went in.
        id: Unique within the record's scope; ``None`` lets the collection choose one.
        vector: ``[d]`` float32, stored bit for bit; ``None`` lets the collection's encoder make it.

    Example:
        >>> Document("BP 120/80 mmHg.", {"patient_id": "A", "section": "VITALS"}, id="a-1").id
        'a-1'
    """

    text: str
    metadata: Metadata = field(default_factory=dict)
    id: str | None = None
    vector: VectorLike | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Explanation:
    """How a score came about; the parts sum to it within 1e-9.

    Attributes:
        dense: Contribution of the cosine to the score.
        sparse: Contribution of BM25 to the score.
        terms: Each known query term's BM25 part, in BM25's own units.
        formula: The fusion arithmetic in words and numbers.
        filter: The filter that was applied, as given.
        scope: The scope that was applied.
        signals: What else was added to the score, by name; ``dense``, ``sparse`` and these sum to it. ``assertion`` is
            what a document lost that contradicts the question.
        negated: Of each term that the question asks about, how many of its occurrences in the document are negated,
            such as ``{"chest": "3 of 3 negated"}``; empty where the question has no preference.
    """

    dense: float
    sparse: float
    terms: Mapping[str, float]
    formula: str
    filter: FilterDict | None
    scope: Mapping[str, Any]
    signals: Mapping[str, float] = field(default_factory=dict)
    negated: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Copy:
    """A document whose text is nearly that of a better hit, which stands for it.

    Attributes:
        id: The document's.
        source: Of the note that it is a passage of, else its metadata ``source``; ``None`` where there is neither.
        date: As its metadata has it; ``None`` where it has none.
    """

    id: str
    source: str | None
    date: str | None


class Collapsed:
    """What ``collapse="copies"`` may make stand for others: a :class:`Hit` or a whole note."""

    copies: tuple[Copy, ...]
    first_seen: str | None
    last_seen: str | None

    @property
    def sightings(self) -> dict[str, Any]:
        """Of what else it stands for, and when that was seen, what there is, as JSON under the attributes' names."""
        dates = {"first_seen": self.first_seen, "last_seen": self.last_seen} if self.last_seen is not None else {}
        return ({"copies": [asdict(copy) for copy in self.copies]} if self.copies else {}) | dates


@dataclass(frozen=True)
class Hit(Collapsed):
    """One search result.

    Attributes:
        document: The record, its ``id`` always set.
        score: Higher is better; on the fixed scale of the mode that was searched.
        dense: The exact cosine in [-1, 1], or ``None`` where it was not computed.
        sparse: The BM25 score, or ``None`` where it was not computed.
        relevance: The score from 0 to 1 by what its mode can give: BM25 over its bound, a cosine or a weighted sum
            moved from [-1, 1], reciprocal ranks over those of two first places. ``None`` in a hit built by hand.
        explanation: Only with ``explain=True``.
        copies: With ``collapse="copies"`` what it stands for beside itself, best first.
        first_seen: The earliest date of it and its copies, as that one's metadata has it.
        last_seen: The latest.
    """

    document: Document
    score: float
    dense: float | None = None
    sparse: float | None = None
    relevance: float | None = None
    explanation: Explanation | None = None
    copies: tuple[Copy, ...] = ()
    first_seen: str | None = None
    last_seen: str | None = None

    @property
    def id(self) -> str:
        """The document's id."""
        if self.document.id is None:
            raise ValueError("this Hit was built by hand around a Document without an id")
        return self.document.id

    @property
    def text(self) -> str:
        """The document's text."""
        return self.document.text

    @property
    def metadata(self) -> Metadata:
        """The document's metadata."""
        return self.document.metadata

    @property
    def label(self) -> str:
        """What to cite it by: of a passage its note's id, of any other document its own."""
        is_passage = "source_hash" in self.metadata and "source_id" in self.metadata
        return str(self.metadata["source_id"]) if is_passage else self.id


@runtime_checkable
class Encoder(Protocol):
    """What a collection asks of a text encoder.

    ``fingerprint`` names everything that changes a vector (weights, pooling, length, prompts); ``None`` says that it
    cannot be known, and then only the dimension guards against mixed vectors. ``dimension`` may be ``None`` until
    the first text was encoded.
    """

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def dimension(self) -> int | None:
        """Length of its vectors."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """Changes whenever a vector would."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages: float32 ``[n, d]`` in the order given."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions: float32 ``[n, d]`` in the order given."""
        ...
