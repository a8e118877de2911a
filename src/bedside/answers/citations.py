"""Citations: from a hit to the sentence that answers, and from a label in an answer back to the hits it means."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from bedside.answers.facts import TOKENIZER
from bedside.errors import InvalidInputError
from bedside.notes.render import NoteHit
from bedside.text.sentences import Span, sentences
from bedside.types import Document, Hit

__all__ = ["Citation", "Label", "Labels", "Mention", "Source", "citation", "documents_of", "mentions"]

Source: TypeAlias = "Hit | Document | NoteHit"
"""What a search returned, or the document in it."""
Label: TypeAlias = Callable[[Document], str]
"""How a prompt named a document."""

_BRACKETS = re.compile(r"\[([^\[\]\n]{1,200})\]")


@dataclass(frozen=True)
class Citation:
    """One sentence of a note.

    Attributes:
        source_id: The note's id; of a document that is not a passage of a note, its own.
        start: Where the sentence begins in the note.
        end: Where it has ended, without the white space behind it: ``note.text[start:end] == text``.
        text: The sentence.
        source_hash: The first 32 hexadecimal digits of the SHA-256 of the note's text, to which the offsets belong.
    """

    source_id: str
    start: int
    end: int
    text: str
    source_hash: str


def citation(hit: Source, query: str) -> Citation:
    """Narrow a hit to the sentence that answers a question best.

    The best one has the most of the query's words, rare ones of the passage counting more; of two equal ones the first.
    Where no sentence has any, it is the whole passage.

    Args:
        hit: A hit, its document, or a note that was found, whose best passage it is then.
        query: The question, or an answer to look up.

    Raises:
        InvalidInputError: ``hit`` is something else, or the query is not a text.

    Example:
        >>> passage = Document("No chest pain. HbA1c was 8.2 %.", {}, id="visit-1")
        >>> found = citation(passage, "What was the HbA1c?")
        >>> found.source_id, found.start, found.text
        ('visit-1', 15, 'HbA1c was 8.2 %.')
    """
    if not isinstance(query, str):
        raise InvalidInputError(f"query: expected a str, got {type(query).__name__}")
    document = documents_of([hit], "hit")[0]
    return cite(document, _best_sentence(document.text, query))


def cite(document: Document, span: Span) -> Citation:
    """Cite a stretch of a document's text by its place in the note."""
    about, text = document.metadata, document.text[slice(*span)]
    start = span[0] + len(text) - len(text.lstrip())
    if "source_hash" in about and "start" in about:
        source, first, digest = str(about["source_id"]), about["start"], str(about["source_hash"]).partition(".")[0]
    else:
        source, first = document.id or "", 0
        digest = hashlib.sha256(document.text.encode()).hexdigest()[:32]
    text = text.strip()
    return Citation(source, first + start, first + start + len(text), text, digest)


def documents_of(hits: Iterable[Source], where: str = "hits") -> list[Document]:
    """The documents of hits; a note's are its passages, best first.

    Raises:
        InvalidInputError: One of them is not a hit.
    """
    if isinstance(hits, str | Document | Hit | NoteHit) or not isinstance(hits, Iterable):
        raise InvalidInputError(f"{where}: expected a list of hits or documents, got {type(hits).__name__}")
    return [document for hit in hits for document in _documents(hit, where)]


def _documents(hit: object, where: str) -> list[Document]:
    if isinstance(hit, Document):
        return [hit]
    if isinstance(hit, Hit):
        return [hit.document]
    if isinstance(hit, NoteHit):
        return [passage.document for passage in hit.passages]
    raise InvalidInputError(f"{where}: expected what a search returned, or documents, got {type(hit).__name__}")


def _best_sentence(text: str, query: str) -> Span:
    spans = list(sentences(text))
    terms = [set(TOKENIZER.tokenize(text[slice(*span)])) for span in spans]
    frequency = Counter(term for found in terms for term in found)
    wanted = set(TOKENIZER.tokenize(query))
    scores = [sum(math.log(1 + len(spans) / frequency[term]) for term in sorted(wanted & found)) for found in terms]
    best = max(scores, default=0.0)
    return spans[scores.index(best)] if best else (0, len(text))


class Mention(NamedTuple):
    """A label in an answer: as written, where its brackets stand, and the documents that it means, none if invented."""

    label: str
    start: int
    end: int
    documents: tuple[int, ...]


class Labels:
    """What the documents of an answer may be called in it.

    Args:
        hits: What the answer was written from, in the order of the prompt.
        label: How the prompt named a document; ``None``: by nothing of its own.
    """

    def __init__(self, hits: Iterable[Source], label: Label | None = None) -> None:
        hits = hits if isinstance(hits, str | Document | Hit | NoteHit) else list(hits)
        self.documents = documents_of(hits)
        self.names = [_names(document, label) for document in self.documents]
        self._positions: dict[str, tuple[int, ...]] = {}
        self._notes: dict[int, str] = {}  # of documents that are passages of a note which stood in the prompt as one
        first = 0
        for position, hit in enumerate(hits, start=1):
            count = len(_documents(hit, "hits"))
            self._positions[str(position)] = tuple(range(first, first + count))
            if label is None and isinstance(hit, NoteHit):
                self._notes |= dict.fromkeys(self._positions[str(position)], hit.label)
            first += count
        self._all_have_digits = all(any(map(str.isdigit, name)) for names in self.names for name in names)

    def name(self, number: int) -> str:
        """What to call a document in a report: as the prompt called it."""
        return self._notes.get(number) or next(iter(self.names[number]), str(number + 1))

    def find(self, written: str) -> tuple[int, ...]:
        """The documents that a label means: by name, by name and what is known of it, or by position."""
        wanted = _plain(written)
        named = tuple(n for n, names in enumerate(self.names) if any(map(wanted.__eq__, map(_plain, names))))
        return named or self._qualified(wanted) or self._positions.get(wanted.lstrip("#"), ())

    def _qualified(self, wanted: str) -> tuple[int, ...]:
        return tuple(
            number
            for number, names in enumerate(self.names)
            for name in map(_plain, names)
            if wanted.startswith((f"{name} ", f"{name},")) and _is_about(wanted[len(name) :], self.documents[number])
        )

    def is_citation(self, written: str) -> bool:
        """Whether brackets hold a label, known or invented, rather than an editor's remark such as "[sic]"."""
        return bool(self.find(written)) or not self._all_have_digits or any(map(str.isdigit, written))


def mentions(answer: str, labels: Labels) -> list[Mention]:
    """The labels in square brackets, in the order of the answer."""
    found: list[Mention] = []
    for brackets in _BRACKETS.finditer(answer):
        whole = brackets[1].strip()
        parts = [whole] if labels.find(whole) else [part.strip() for part in re.split(r"[,;]", whole)]
        if all(map(labels.is_citation, parts)):
            found += [Mention(part, *brackets.span(), labels.find(part)) for part in parts]
    return found


def _names(document: Document, label: Label | None) -> tuple[str, ...]:
    given = (label(document) if label else None, document.id, document.metadata.get("source_id"))
    return tuple(dict.fromkeys(str(name) for name in given if name))


def _plain(label: str) -> str:
    return " ".join(label.split()).casefold()


def _is_about(rest: str, document: Document) -> bool:
    """Whether what follows a label says nothing but what the metadata say, such as a date or a section."""
    values = sorted((_plain(value) for value in document.metadata.values() if isinstance(value, str)), key=len)
    for value in reversed(values):
        rest = rest.replace(f" {value}", "", 1) if value else rest
    return not rest.strip(" ,")
