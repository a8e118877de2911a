"""Texts as vectors, as far as a collection is concerned: which encoder, for what, and whether its vectors belong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

from bedside.engines.protocol import Batch, Facts
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
from bedside.types import Encoder, Matrix

CROWDED = 0.6
"""Mean cosine of unrelated texts above which the weight of a hybrid search is worth choosing: a cosine of 0.9 then says
little, and weighs as if it said much. MiniLM has 0.1 on medical pages, e5 about 0.7, a raw Bio_ClinicalBERT 0.86."""
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
        made = encoder.encode_documents([records[i].text for i in missing])
        places = [(f"documents[{i}]: the encoder's vector", records[i].id) for i in missing]
        vectors = self._checked(encoder, made, places)
        if self._facts().alpha is None:
            warn_if_crowded(encoder.name, [records[i].text for i in missing], vectors)
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
    unit = vectors[rows].astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    mean = (np.square(unit.sum(axis=0)).sum() - len(rows)) / (len(rows) * (len(rows) - 1))
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
