"""Training data from notes that nobody has labelled: titles, section headings, deletions, generated questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bedside.encoders.texts import has_surrogate
from bedside.errors import InvalidInputError
from bedside.text.sections import split_sections
from bedside.tuning.retrieval.negatives import mine_negatives
from bedside.tuning.retrieval.pairs import Pair
from bedside.types import Document, Encoder

QueryGenerator: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[str]]]
"""Writes questions for each of several passages."""
CrossEncoder: TypeAlias = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""Scores pairs of question and passage; only differences count."""

_WORD = re.compile(r"\S+")
_FEWEST_WORDS = 5  # of a section: "Unremarkable." belongs to no heading in particular


@dataclass(frozen=True)
class Margin:
    """A question, two passages, and how much better the first answers it, by a cross-encoder."""

    query: str
    positive: str
    negative: str
    margin: float


def texts_of(documents: Iterable[Document | str]) -> list[str]:
    """The texts of a corpus, each once.

    Raises:
        InvalidInputError: Something that is neither a document nor a text, an empty text, or nothing at all.
    """
    texts: list[str] = []
    for i, document in enumerate(documents):
        text: object = document.text if isinstance(document, Document) else document
        if not isinstance(text, str) or not text.strip() or has_surrogate(text):
            raise InvalidInputError(f"corpus[{i}]: expected a document or a text, valid Unicode and not empty")
        texts.append(text)
    if not texts:
        raise InvalidInputError("corpus: expected at least one text")
    return list(dict.fromkeys(texts))


def pairs_from_documents(documents: Iterable[Document | str], *, title_key: str = "title") -> list[Pair]:
    """Make pairs of titles and texts, and of section headings and sections.

    A heading alone is the same in every note, so a section is asked for by its title together with the document's, or
    if there is none, with the first sentence of the note.

    Args:
        documents: Documents with ``title_key`` in their metadata, or texts with headings.
        title_key: The metadata key of a document's title.

    Returns:
        Pairs, each once; none from a text with neither title nor headings.

    Example:
        >>> pairs_from_documents([Document("Chest pain on exertion.", {"title": "Angina"})])
        [Pair(query='Angina', positive='Chest pain on exertion.', negative=None)]
    """
    made: dict[Pair, None] = {}
    for document in documents:
        text = document.text if isinstance(document, Document) else document
        title = str(document.metadata.get(title_key) or "") if isinstance(document, Document) else ""
        if title.strip() and text.strip() and title.strip() != text.strip():
            made[Pair(title.strip(), text)] = None
        made.update(dict.fromkeys(_section_pairs(text, title.strip())))
    return list(made)


def damaged(text: str, deletion: float, rng: np.random.Generator) -> str:
    """A text without some of its words, at least one of which stays (TSDAE; Wang, Reimers and Gurevych 2021)."""
    words = _WORD.findall(text)
    kept = [word for word, draw in zip(words, rng.random(len(words)), strict=True) if draw >= deletion]
    return " ".join(kept or [words[int(rng.integers(len(words)))]])


def margins(
    texts: Sequence[str],
    generate: QueryGenerator,
    score: CrossEncoder,
    encoder: Encoder,
    *,
    negatives: int = 1,
    skip: int = 0,
) -> list[Margin]:
    """Make GPL's training data (Wang et al. 2022): generated questions, mined negatives, a cross-encoder's margins.

    Args:
        texts: The passages.
        generate: Writes questions for passages.
        score: Scores question and passage.
        encoder: Finds the negatives, together with BM25.
        negatives: Of each question.
        skip: Of the best hits, for the negatives; the margins make false ones harmless.

    Raises:
        InvalidInputError: A callable returns something else than it was asked for, or no question.
    """
    answers = _answers(generate(list(texts)), len(texts), "query generator: a list of questions for each passage")
    if not all(isinstance(some, Iterable) and not isinstance(some, str) for some in answers):
        raise InvalidInputError("query generator: expected a list of questions for each passage")
    pairs = [Pair(q.strip(), text) for text, some in zip(texts, answers, strict=True) for q in some if q.strip()]
    if not pairs:
        raise InvalidInputError("query generator: it wrote no question")
    triples = mine_negatives(dict.fromkeys(pairs), encoder, corpus=texts, count=max(1, negatives), skip=skip)
    triples = [triple for triple in triples if triple.negative is not None]
    if not triples:
        raise InvalidInputError("query generator: no other passage could be found that does not answer its questions")
    asked = [(t.query, t.positive) for t in triples] + [(t.query, str(t.negative)) for t in triples]
    scores = np.asarray(_answers(score(asked), len(asked), "cross-encoder: a score for each pair"), dtype=np.float64)
    if scores.shape != (len(asked),) or not np.isfinite(scores).all():
        raise InvalidInputError("cross-encoder: expected a finite number for each pair")
    differences = (scores[: len(triples)] - scores[len(triples) :]).tolist()
    return [Margin(t.query, t.positive, str(t.negative), d) for t, d in zip(triples, differences, strict=True)]


def _answers(given: Any, count: int, expected: str) -> Any:
    if not hasattr(given, "__len__") or len(given) != count:
        found = f"{len(given)} answers" if hasattr(given, "__len__") else type(given).__name__
        raise InvalidInputError(f"{expected} was expected, {count} in all; got {found}")
    return given


def _section_pairs(text: str, title: str) -> Iterator[Pair]:
    sections = [section for section in split_sections(text) if section.title]
    if len(sections) < 2:
        return
    about = title or " ".join(text.split())[:100]
    for section in sections:
        body = text[section.body : section.end].strip()
        if len(body.split()) >= _FEWEST_WORDS and body not in about:
            yield Pair(f"{section.title}: {about}", body)
