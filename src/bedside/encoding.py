"""Texts as vectors, as far as a collection is concerned: which encoder, for what, and whether its vectors belong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from bedside.engines.protocol import Batch, Facts
from bedside.errors import (
    EncoderMismatch,
    EncoderRequired,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
)
from bedside.records import Record, check_one_by_one, check_vectors
from bedside.remedies import Call, Give
from bedside.search.pool import Question
from bedside.types import Encoder, Matrix

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
        made = encoder.encode_documents([records[i].text for i in missing])
        places = [(f"documents[{i}]: the encoder's vector", records[i].id) for i in missing]
        vectors = self._checked(encoder, made, places)
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
        return self._checked(encoder, encoder.encode_queries(list(texts)), places)

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

    def _checked(self, encoder: Encoder, vectors: Matrix, places: Sequence[tuple[str, str]]) -> Matrix:
        facts = self._facts()  # another process may have re-embedded the collection
        facts.check_encoder(encoder)
        return check_encoded(vectors, places, facts.dimension or None)


def reencoded(records: Iterator[Record], encoder: Encoder, batch_size: int) -> Iterator[Batch]:
    """Yield records with the vectors of another encoder.

    Raises:
        InvalidDocumentError: A record has no text.
    """
    dimension = encoder.dimension
    while batch := list(islice(records, batch_size)):
        if empty := [record.id for record in batch if not record.text.strip()]:
            raise InvalidDocumentError(f"record {empty[0]!r}: has a vector but no text, and cannot be encoded anew")
        places = [("record: the encoder's vector", record.id) for record in batch]
        vectors = check_encoded(encoder.encode_documents([record.text for record in batch]), places, dimension)
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
