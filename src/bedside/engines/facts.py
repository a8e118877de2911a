"""What holds of a collection as a whole, and what records are held against before they are written."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from bedside.errors import EncoderMismatch, EncoderRequired, InvalidInputError, InvalidVectorError
from bedside.records import Record, with_id
from bedside.remedies import Call, Give, GiveEach
from bedside.search.options import DEFAULT_ALPHA
from bedside.support.checks import check_number
from bedside.types import Encoder, Vector

F = TypeVar("F", bound="Facts")


@dataclass(frozen=True)
class EncoderRecord:
    """The encoder whose vectors a collection holds."""

    name: str
    fingerprint: str

    @classmethod
    def of(cls, encoder: Encoder | None) -> EncoderRecord | None:
        """Return the record of an encoder, or None for one that cannot name itself."""
        if encoder is None or encoder.fingerprint is None:
            return None
        return cls(encoder.name, encoder.fingerprint)


@dataclass(frozen=True)
class Batch:
    """Records that were encoded together.

    Attributes:
        records: Checked; each has a vector, or none has.
        encoder: What encoded them; ``None`` where their vectors were given by hand.
    """

    records: Sequence[Record]
    encoder: Encoder | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What decides how a collection is read.

    Attributes:
        sparse: Tokenizer and BM25 settings.
        scope_keys: Metadata keys that divide the collection, in order.
        dimension: Of its vectors; ``None`` before the first record, 0 for a collection of texts without vectors.
        encoder: ``None`` where vectors were given by hand or by an encoder that cannot name itself.
        alpha: Weight of the dense half of a hybrid search that names none; ``None`` is 0.6.
        id: Of this collection, for caches and receipts; it says nothing about its content.
        sealed: Whether everything that is written is encrypted.
        min_scores: Below which score a hit is no answer, by verb and mode, where that was measured; see
            :func:`bedside.evaluation.choose_threshold`. Each goes when the scores that it was measured by change.
    """

    sparse: Mapping[str, Any]
    scope_keys: tuple[str, ...] = ()
    dimension: int | None = None
    encoder: EncoderRecord | None = None
    alpha: float | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    sealed: bool = False
    min_scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def for_new(
        cls, encoder: Encoder | None, *, sparse: Mapping[str, Any], scope_keys: tuple[str, ...], alpha: float | None
    ) -> Facts:
        """Return the facts of a new collection; an encoder that knows its dimension and can name itself is noted."""
        named = EncoderRecord.of(encoder)
        known = encoder.dimension if encoder is not None else None
        dimension, written = (known, named) if known and named else (None, None)
        weight = own_alpha(encoder) if alpha is None else float(alpha)
        return cls(sparse=sparse, scope_keys=scope_keys, dimension=dimension, encoder=written, alpha=weight)

    @property
    def title(self) -> str | None:
        """The metadata key that holds titles; ``None`` where titles are not read."""
        title: str | None = self.sparse.get("title")
        return title

    @property
    def weight(self) -> float:
        """The weight of the dense half where a search names none."""
        return DEFAULT_ALPHA if self.alpha is None else self.alpha

    def with_alpha(self: F, alpha: float | None) -> F:
        """Return the facts with another weight of the dense half."""
        return replace(self, alpha=alpha, min_scores=self._min_scores_but("hybrid"))

    def with_encoder(self: F, encoder: EncoderRecord | None, dimension: int | None, alpha: float | None) -> F:
        """Return the facts with other vectors."""
        kept = self._min_scores_but("dense", "hybrid")
        return replace(self, encoder=encoder, dimension=dimension, alpha=alpha, min_scores=kept)

    def with_min_score(self: F, verb: str, mode: str, min_score: float | None) -> F:
        """Return the facts with the least score of an answer of this verb in this mode, or without one."""
        own = {**self.min_scores.get(verb, {}), mode: min_score}
        known = {**self.min_scores, verb: {name: score for name, score in own.items() if score is not None}}
        return replace(self, min_scores=known)

    def _min_scores_but(self, *modes: str) -> dict[str, dict[str, float]]:
        return {
            verb: {mode: score for mode, score in known.items() if mode not in modes}
            for verb, known in self.min_scores.items()
        }

    def of_a_copy(self) -> Facts:
        """Return the facts of another collection with the same records."""
        return Facts(**{each.name: getattr(self, each.name) for each in fields(Facts) if each.name != "id"})

    def check_encoder(self, encoder: Encoder | None) -> None:
        """Refuse an encoder whose vectors would not belong with those that are there.

        Raises:
            EncoderMismatch: It is another encoder, or makes vectors of another dimension.
        """
        if encoder is None:
            return
        if self.encoder and encoder.fingerprint not in (None, self.encoder.fingerprint):
            raise EncoderMismatch(
                f"the collection holds vectors of {self.encoder.name} ({self.encoder.fingerprint}); it was opened "
                f"with {encoder.name} ({encoder.fingerprint}). Open it with the same encoder and settings"
            )
        if self.dimension and encoder.dimension not in (None, self.dimension):
            raise EncoderMismatch(
                f"the collection holds vectors of dimension {self.dimension}; {encoder.name} makes dimension "
                f"{encoder.dimension}"
            )

    def check_question(self, vector: Vector | None) -> None:
        """Refuse a question's vector that those that are there cannot be compared with.

        It fitted when it was given; another process may have re-embedded the collection since.

        Raises:
            InvalidVectorError: It has another dimension.
            InvalidInputError: The collection holds texts without vectors.
        """
        if vector is None:
            return
        if self.dimension == 0:
            raise InvalidInputError(
                "search: the collection holds texts without vectors, which only BM25 finds",
                remedies=[Give("mode", "sparse"), Call("reembed", "to make the vectors")],
            )
        if self.dimension is not None and len(vector) != self.dimension:
            raise InvalidVectorError(f"vector: expected dimension {self.dimension}, got {len(vector)}")

    def with_vectors(self, batch: Batch, *, decided: bool) -> Facts:
        """Hold records against the facts, or let the first ones decide them; return the facts that hold then.

        Args:
            batch: What is to be written.
            decided: Whether the dimension that the facts say binds these records: something was stored with it.

        Raises:
            EncoderMismatch: Another encoder made the vectors.
            EncoderRequired: Some lack a vector where the others, or the collection, have one.
            InvalidVectorError: They have another dimension.
        """
        encoder = EncoderRecord.of(batch.encoder)
        if decided:
            self.check_encoder(batch.encoder)
        found = [0 if record.vector is None else len(record.vector) for record in batch.records]
        dimension = self.dimension if decided or self.encoder is not None else None
        expected = max(found[:1] if all(found) else found, default=0) if dimension is None else dimension
        for i, (record, given) in enumerate(zip(batch.records, found, strict=True)):
            if given != expected:
                raise with_id(
                    _misfit(f"documents[{i}].vector", expected, given, stored=dimension is not None), record.id
                )
        if dimension is not None and (encoder is None or self.encoder is not None):
            return self
        if self.encoder is not None or not expected:
            return replace(self, dimension=expected)
        alpha = own_alpha(batch.encoder) if self.alpha is None else self.alpha
        return self.with_encoder(encoder, expected, alpha)


def own_alpha(encoder: Encoder | None) -> float | None:
    """Return the weight that an encoder was measured to need (its ``alpha``), or None where it does not say."""
    alpha = getattr(encoder, "alpha", None)
    check_number("encoder.alpha", alpha, 0, 1, optional=True)
    return None if alpha is None else float(alpha)


def known_facts(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of :class:`Facts` from the JSON of an engine; 0.1 wrote no ``alpha`` and ``min_scores``."""
    encoder = data["encoder"]
    return {
        "sparse": data["sparse"],
        "scope_keys": tuple(data["scope_keys"]),
        "dimension": data["dimension"],
        "encoder": None if encoder is None else EncoderRecord(**encoder),
        "alpha": data.get("alpha"),
        "id": data["id"],
        "min_scores": data.get("min_scores", {}),
    }


def _misfit(where: str, expected: int, given: int, *, stored: bool) -> InvalidVectorError | EncoderRequired:
    """Return what is said of a vector that does not belong with those that are there, or with the others given."""
    if not given:
        others = "the collection holds" if stored else "other documents of this call have"
        return EncoderRequired(
            f"{where}: missing: {others} vectors, and no encoder was given",
            remedies=[Give("encoder"), GiveEach("vector")],
        )
    if not expected:
        return InvalidVectorError(f"{where}: the collection takes texts without vectors, got dimension {given}")
    others = "the collection takes vectors of" if stored else "all documents of this call need one dimension, expected"
    return InvalidVectorError(f"{where}: {others} dimension {expected}, got dimension {given}")
