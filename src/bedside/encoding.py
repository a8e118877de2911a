"""Texts as vectors, as far as a collection is concerned: which encoder, for what, and whether its vectors belong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bedside.engines.facts import Batch, Facts
from bedside.errors import (
    BedsideWarning,
    EncoderMismatch,
    EncoderRequired,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
)
from bedside.records import Record, check_one_by_one, check_vectors
from bedside.remedies import Call, Give
from bedside.search.pool import Question
from bedside.text.analyzer import title_of
from bedside.types import Encoder, Matrix

CROWDED = 0.6
"""Mean cosine of unrelated texts above which the weight of a hybrid search is worth choosing: a cosine of 0.9 then says
little, and weighs as if it said much. MiniLM has 0.1 on medical pages, e5 about 0.7, a raw Bio_ClinicalBERT 0.86."""
TITLE_SHARE = 0.3
"""Part of a title in the vector of its document, for an encoder that does not say otherwise."""
_ENOUGH, _SAMPLE = 100, 256  # different texts that a mean is said of, and at most looked at
_said: set[str] = set()
_T = TypeVar("_T")


class Encoding:
    """The encoder that a collection was opened with, shared by all of its views.

    Args:
        encoder: ``None`` where vectors are given by hand.
        facts: Returns what the collection holds now.

    Raises:
        EncoderMismatch: The collection was written with another encoder.
    """

    def __init__(self, encoder: Encoder | None, facts: Callable[[], Facts]) -> None:
        self.encoder = encoder
        self._facts = facts
        facts().check_encoder(encoder)

    def batch(self, records: list[Record]) -> Batch:
        """Return records, those that came without a vector encoded.

        Raises:
            EncoderMismatch: The collection holds texts without vectors, so that the encoder would not be used.
        """
        encoder = self.encoder
        missing = [i for i, record in enumerate(records) if record.vector is None]
        if encoder is None or not missing:
            return Batch(records, encoder)
        self.check_used()
        facts = self._facts()  # another process may have re-embedded the collection
        facts.check_encoder(encoder)
        lacking = [records[i] for i in missing]
        places = [f"documents[{i}]" for i in missing]
        try:
            vectors = encode_records(encoder, lacking, places, facts.title, facts.dimension or None)
        except InvalidVectorError:
            facts.check_encoder(encoder)  # some know their dimension only now: then it is another encoder's
            raise
        if facts.alpha is None:
            warn_if_crowded(encoder.name, [record.text for record in lacking], vectors)
        encoded = dict(zip(missing, vectors, strict=True))
        whole = [record._replace(vector=encoded[i]) if i in encoded else record for i, record in enumerate(records)]
        return Batch(whole, encoder)

    def queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions.

        Raises:
            EncoderRequired: There is no encoder.
        """
        encoder = self.encoder
        if encoder is None:
            written = self._facts().encoder
            by = "" if written is None else f", and was written with {written.name}"
            raise EncoderRequired(
                f"query: the collection was opened without an encoder{by}",
                remedies=[Give("encoder"), Give("vector"), Give("mode", "sparse", "for BM25 alone")],
            )
        places = [(f"queries[{i}]: the encoder's vector", "") for i in range(len(texts))]
        vectors = encoder.encode_queries(list(texts))
        facts = self._facts()  # another process may have re-embedded the collection
        facts.check_encoder(encoder)
        return check_encoded(vectors, places, facts.dimension or None)

    def questions(self, texts: Sequence[str], vectors: Matrix | None) -> list[Question]:
        """Return questions of texts, of vectors, or of both."""
        encoder = self.encoder
        count = len(texts) if vectors is None else len(vectors)
        return [
            Question(texts[i] if texts else None, None if vectors is None else vectors[i], encoder=encoder)
            for i in range(count)
        ]

    def use(self, encoder: Encoder) -> None:
        """Go on with another encoder."""
        self.encoder = encoder

    def forget(self, texts: list[str]) -> None:
        """Have an encoder that keeps vectors of texts forget them."""
        forget = getattr(self.encoder, "forget", None)
        if forget is not None and texts:
            forget(texts)

    def check_used(self) -> None:
        """Refuse an encoder that a collection of texts without vectors would leave unused.

        Raises:
            EncoderMismatch: There is one.
        """
        if self.encoder is not None and self._facts().dimension == 0:
            raise EncoderMismatch(
                f"the collection holds texts without vectors, so {self.encoder.name} is not used",
                remedies=[Give("mode", "sparse", "to search without them"), Call("reembed", "to make them")],
            )

    def with_current(self, work: Callable[[], _T]) -> _T:
        """Do work that encodes; once more where another thread re-embedded the collection meanwhile."""
        while True:
            encoder = self.encoder
            try:
                done = work()
            except (EncoderMismatch, InvalidVectorError):
                if encoder is self.encoder:
                    raise
            else:
                if encoder is self.encoder:
                    return done


def reencoded(records: Iterator[Record], encoder: Encoder, batch_size: int, title: str | None) -> Iterator[Batch]:
    """Yield records with the vectors of another encoder; ``title`` is the key of their titles.

    Raises:
        InvalidDocumentError: A record has no text.
    """
    dimension = encoder.dimension
    while batch := list(islice(records, batch_size)):
        if empty := [record.id for record in batch if not record.text.strip()]:
            raise InvalidDocumentError(f"record {empty[0]!r}: has a vector but no text, and cannot be encoded anew")
        vectors = encode_records(encoder, batch, ["record"] * len(batch), title, dimension)
        dimension = vectors.shape[1]
        yield Batch([record._replace(vector=v) for record, v in zip(batch, vectors, strict=True)], encoder)


def check_keeps_nothing(encoder: Encoder | None) -> None:
    """Refuse an encoder that keeps vectors of texts for an encrypted collection: what it keeps is in the clear.

    Raises:
        InvalidInputError: It does.
    """
    if getattr(encoder, "cache", None) is not None:
        raise InvalidInputError(
            "encoder: it keeps vectors of texts in a cache that is not encrypted, and the collection is: load the "
            "encoder without a cache"
        )


def encode_records(
    encoder: Encoder, records: Sequence[Record], places: Sequence[str], title: str | None, dimension: int | None
) -> Matrix:
    """Encode texts, and titles apart from them: a long text would drown a title that stands at its beginning.

    The vector of a record with a title is ``(1 - share) * text + share * title``, all of length 1. The share is the
    encoder's ``title_share``, else :data:`TITLE_SHARE`.

    Args:
        encoder: Each different title is encoded once.
        records: Their texts are not blank.
        places: What errors call them, such as ``"documents[0]"``.
        title: The metadata key that holds titles; ``None``: texts alone.
        dimension: That of the collection, where it is known.

    Returns:
        float32 ``[n, d]``; that of a text without a title is the encoder's own, bit for bit.
    """
    named = [(f"{place}: the encoder's vector", record.id) for place, record in zip(places, records, strict=True)]
    vectors = check_encoded(encoder.encode_documents([record.text for record in records]), named, dimension)
    titles = [title_of(record.metadata, title) for record in records]
    rows = [i for i, text in enumerate(titles) if text]
    if not rows:
        return vectors
    firsts = {titles[i]: i for i in reversed(rows)}
    of_titles = [(f"{places[i]}: the encoder's vector of its title", records[i].id) for i in firsts.values()]
    made = check_encoded(encoder.encode_documents(list(firsts)), of_titles, vectors.shape[1])
    numbers = {text: number for number, text in enumerate(firsts)}
    own = getattr(encoder, "title_share", None)
    share = TITLE_SHARE if own is None else own
    mixed = (1 - share) * _unit(vectors[rows]) + share * _unit(made[[numbers[titles[i]] for i in rows]])
    whole: Matrix = vectors.copy()
    whole[rows] = _unit(mixed)
    return whole


def _unit(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Scale float ``[n, d]`` to length 1."""
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def warn_if_crowded(name: str, texts: Sequence[str], vectors: Matrix) -> None:
    """Say, once per encoder and process, that the default weight of a hybrid search may not suit these vectors.

    Args:
        name: The encoder's.
        texts: What it encoded; few say nothing, and equal ones count once.
        vectors: float32 ``[n, d]``.

    Warns:
        BedsideWarning: On average, two different texts have a cosine above :data:`CROWDED`.
    """
    rows = [i for _, i in zip(range(_SAMPLE), {text: i for i, text in enumerate(texts)}.values(), strict=False)]
    if len(rows) < _ENOUGH or name in _said:
        return
    mean = (np.square(_unit(vectors[rows]).sum(axis=0)).sum() - len(rows)) / (len(rows) * (len(rows) - 1))
    if mean > CROWDED:
        _said.add(name)
        warnings.warn(
            f"{name}: different texts have a cosine of {mean:.2f} on average, so the usual weight of vectors in a "
            "hybrid search may be too high. bedside.evaluation.tune_search (bedside eval --tune) chooses it on judged "
            "questions, and Collection.set_alpha (bedside set-alpha) keeps it",
            BedsideWarning,
            stacklevel=2,
        )


def check_encoded(vectors: Matrix, places: Sequence[tuple[str, str]], dimension: int | None) -> Matrix:
    """Return an encoder's vectors, checked; an error names the place and the id of the first text it is about."""
    try:
        checked = check_vectors(vectors, "the encoder's vectors", dimension)
    except InvalidVectorError:
        if len(vectors) == len(places):
            check_one_by_one(vectors, places, dimension)
        raise
    if len(checked) != len(places):
        raise InvalidVectorError(f"the encoder's vectors: expected {len(places)} for as many texts, got {len(checked)}")
    return checked


def batches_of(documents: Iterable[Sequence[Record]], encoding: Encoding) -> Iterator[Batch]:
    """Yield lists of records encoded, one by one."""
    for records in documents:
        yield encoding.batch(list(records))
