"""A score below which a hit is not an answer, chosen from questions that are asked where they cannot be answered."""

from __future__ import annotations

import math
import os
import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bedside.collection import Collection
from bedside.errors import InvalidInputError
from bedside.formats.json_lines import objects
from bedside.search.options import SearchOptions
from bedside.types import Mode, Vector

__all__ = ["Threshold", "ThresholdPoint", "choose_threshold", "load_questions"]

Scope: TypeAlias = Mapping[str, str | int]
_POINTS = 101


@dataclass(frozen=True)
class ThresholdPoint:
    """One point of the curve.

    Attributes:
        min_score: Passed to ``search``.
        false_answers: Share of the questions that get a hit where they cannot be answered.
        kept: Share of the questions that keep their first hit where they belong.
    """

    min_score: float
    false_answers: float
    kept: float


@dataclass(frozen=True)
class Threshold:
    """A chosen ``min_score`` and what it costs.

    Attributes:
        min_score: The lowest score that lets no more than the wanted share of false answers through.
        false_answers: The share that it lets through.
        kept: Share of the questions that keep their first hit in their own scope.
        auroc: How often a question scores higher in its own scope than in another; .5 is chance, ties count half.
        curve: Points from the lowest threshold to the highest.
        questions: How many were asked.
        pairs: How often one was asked in a scope that cannot answer it.
        verb: ``"search"`` or ``"search_notes"``, whose scores these are.
        mode: Of the searches.
    """

    min_score: float
    false_answers: float
    kept: float
    auroc: float
    curve: tuple[ThresholdPoint, ...]
    questions: int
    pairs: int
    verb: str
    mode: Mode

    @property
    def name(self) -> str:
        """What it is a threshold of, in words."""
        return f"{self.verb}, {self.mode}"


def choose_threshold(
    collection: Collection,
    questions: Iterable[tuple[Scope, str]],
    *,
    false_answers: float = 0.05,
    mode: Mode | None = None,
    notes: bool = False,
    others: int = 20,
    seed: int = 0,
    store: bool = True,
) -> Threshold:
    """Choose a ``min_score`` without any judgments, and keep it for searches with ``min_score="calibrated"``.

    Each question is asked in its own scope and in others, where the best hit cannot be the answer. The threshold leaves
    out all but a small share of those best hits. Scores mean the same whatever else was found, so one threshold serves
    every scope; it belongs to the encoder, the verb, the mode and the kind of questions it was chosen with.

    Args:
        collection: One that is divided by scope keys.
        questions: Each with the scope that it is about, as in ``({"patient_id": "A"}, "What was the HbA1c?")``. Of at
            least two scopes; 100 questions and more, else the share is a guess.
        false_answers: The share of hits in wrong scopes to let through, at most.
        mode: As in ``search``; ``None`` is the mode that the collection's searches have.
        notes: Ask for whole notes, by ``search_notes``, instead of documents, by ``search``.
        others: In how many of the other scopes a question is asked at most, drawn at random.
        seed: Of that draw.
        store: Keep it with the collection, by :meth:`Collection.set_min_score`; else it is measured only.

    Raises:
        ReadOnlyError: It shall be kept, and the collection is open for reading only.
        InvalidInputError: The collection is not divided, the questions are of fewer than two scopes, or a number is out
            of its range.

    Example:
        >>> notes = Collection.open(scope_keys=["patient"])
        >>> texts = {"A": "Gout of the left toe.", "B": "Asthma since childhood.", "C": "Fracture of the wrist."}
        >>> _ = notes.add(Document(text, {"patient": id}) for id, text in texts.items())
        >>> asked = [({"patient": id}, text.split()[0]) for id, text in texts.items()]
        >>> found = choose_threshold(notes, asked, mode="sparse")
        >>> found.kept, found.false_answers, found.auroc
        (1.0, 0.0, 1.0)
        >>> notes.scoped(patient="A").search("asthma", mode="sparse", min_score="calibrated")
        []
    """
    asked = _checked(collection, questions, false_answers, others)
    scopes = list({_key(scope): scope for scope, _ in asked}.values())
    if len(scopes) < 2:
        raise InvalidInputError(
            "questions: expected questions about two scopes at least: each is asked in the others too"
        )
    mode = _halves(collection, asked[0], mode)
    verb = "search_notes" if notes else "search"
    if store:  # what cannot be kept is refused before it is measured
        collection.set_min_score(collection.facts.min_scores.get(verb, {}).get(mode), mode=mode, notes=notes)
    vectors = _encoded(collection, [text for _, text in asked], mode)
    draw = random.Random(seed)  # noqa: S311 - a sample, not a secret
    own: list[float] = []
    wrong: list[float] = []
    for (scope, text), vector in zip(asked, vectors, strict=True):
        own.append(_best(collection.scoped(**scope), verb, text, vector, mode))
        elsewhere = [other for other in scopes if _key(other) != _key(scope)]
        for other in draw.sample(elsewhere, min(others, len(elsewhere))):
            wrong.append(_best(collection.scoped(**other), verb, text, vector, mode))
    chosen = _threshold(sorted(own), sorted(wrong), false_answers, verb, mode)
    if store:
        collection.set_min_score(chosen.min_score, mode=mode, notes=notes)
    return chosen


def load_questions(file: str | os.PathLike[str], scope_keys: Sequence[str]) -> list[tuple[dict[str, str | int], str]]:
    """Read questions for :func:`choose_threshold`.

    Args:
        file: JSON Lines with ``text`` and a value for each scope key.
        scope_keys: Those of the collection.

    Raises:
        InvalidInputError: The file is missing, or a line is none of these.
    """
    questions = []
    for where, record in objects(Path(file)):
        named = all(isinstance(record.get(key), str | int) for key in scope_keys)
        if not isinstance(record.get("text"), str) or not named:
            raise InvalidInputError(f"{where}: expected an object with text and {' and '.join(scope_keys)}")
        questions.append(({key: record[key] for key in scope_keys}, record["text"]))
    return questions


def _checked(
    collection: Collection, questions: Iterable[tuple[Scope, str]], false_answers: float, others: int
) -> list[tuple[Scope, str]]:
    if not collection.scope_keys:
        raise InvalidInputError("collection: expected one with scope_keys; a wrong scope is what cannot answer")
    if not 0 <= false_answers < 1:
        raise InvalidInputError(f"false_answers: expected a share from 0 to below 1, got {false_answers}")
    if others < 1:
        raise InvalidInputError(f"others: expected an int of at least 1, got {others}")
    asked: list[Any] = list(questions)
    for i, pair in enumerate(asked):
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], Mapping):
            raise InvalidInputError(f"questions[{i}]: expected a tuple of a scope and a question")
    return asked


def _key(scope: Scope) -> tuple[tuple[str, str | int], ...]:
    return tuple(sorted(scope.items()))


def _encoded(collection: Collection, texts: Sequence[str], mode: Mode) -> Sequence[Vector | None]:
    if mode == "sparse" or collection.encoder is None:
        return [None] * len(texts)
    return list(collection.encoder.encode_queries(texts))


def _halves(collection: Collection, asked: tuple[Scope, str], mode: Mode | None) -> Mode:
    """Return the mode that searches are made in: a hybrid one with all weight on one half has no other."""
    scope, text = asked
    wanted = mode or collection.scoped(**scope).natural_mode([text])
    return SearchOptions(mode=wanted, default_alpha=collection.facts.weight).halves


def _best(records: Collection, verb: str, text: str, vector: Vector | None, mode: Mode) -> float:
    """The best score in a scope; where nothing is found, one that is below every threshold."""
    hits = getattr(records, verb)(text, vector=vector, mode=mode, top_k=1)
    return float(hits[0].score) if hits else -math.inf


def _threshold(own: list[float], wrong: list[float], allowed: float, verb: str, mode: Mode) -> Threshold:
    first_refused = len(wrong) - 1 - math.floor(allowed * len(wrong))
    chosen = _point(math.nextafter(wrong[first_refused], math.inf), own, wrong)
    if wrong[first_refused] == -math.inf:  # so few scopes find anything that no threshold is needed
        chosen = _point(min((score for score in own if score > -math.inf), default=0.0), own, wrong)
    scores = sorted({score for score in own + wrong if score > -math.inf})
    steps = np.linspace(0, len(scores) - 1, min(_POINTS, len(scores))).astype(int) if scores else ()
    below = np.searchsorted(wrong, own, "left") + np.searchsorted(wrong, own, "right")
    return Threshold(
        chosen.min_score,
        chosen.false_answers,
        chosen.kept,
        float(below.mean() / 2 / len(wrong)),
        tuple(_point(scores[step], own, wrong) for step in steps),
        len(own),
        len(wrong),
        verb,
        mode,
    )


def _point(min_score: float, own: list[float], wrong: list[float]) -> ThresholdPoint:
    return ThresholdPoint(min_score, _share(wrong, min_score), _share(own, min_score))


def _share(scores: list[float], least: float) -> float:
    return (len(scores) - bisect_left(scores, least)) / len(scores)
