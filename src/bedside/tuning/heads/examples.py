"""Labelled examples that go in, and typed predictions that come out; offsets count characters of the text as given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["classification", "ner", "qa", "relations"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Span:
    """A labelled stretch of a text.

    Attributes:
        label: The entity's type.
        start: Its first character.
        end: One after its last character.
        text: What stands there, to be compared with the text; ``None`` compares nothing.
    """

    label: str
    start: int
    end: int
    text: str | None = None


@dataclass(frozen=True)
class Link:
    """A relation between two entities of one text, named by their positions in ``RelationExample.entities``."""

    head: int
    tail: int
    label: str


@dataclass(frozen=True)
class AnswerSpan:
    """An answer and where it starts in the context."""

    text: str
    start: int


@dataclass(frozen=True)
class TextExample:
    """A text and its label; several labels (also none, or one) as a tuple make the task a multi-label one."""

    text: str
    label: str | tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The label or labels as a tuple."""
        return (self.label,) if isinstance(self.label, str) else self.label


@dataclass(frozen=True)
class NerExample:
    """A text and its entities, which may not overlap."""

    text: str
    entities: tuple[Span, ...] = ()


@dataclass(frozen=True)
class QaExample:
    """A question on a context; no answers means that the context does not hold one."""

    question: str
    context: str
    answers: tuple[AnswerSpan, ...] = ()

    @property
    def text(self) -> str:
        """Question and context: what two examples must not share across a split."""
        return f"{self.question}\n{self.context}"


@dataclass(frozen=True)
class RelationExample:
    """A text, its entities, and the relations between them; a pair that is not listed has none."""

    text: str
    entities: tuple[Span, ...]
    relations: tuple[Link, ...] = ()


Example: TypeAlias = "TextExample | NerExample | QaExample | RelationExample"


@dataclass(frozen=True)
class Label:
    """A predicted class and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Entity:
    """A predicted entity: ``text == source[start:end]``; the score is the mean probability of its words' tags."""

    label: str
    start: int
    end: int
    text: str
    score: float = 1.0


@dataclass(frozen=True)
class Answer:
    """A predicted answer: ``text == context[start:end]``.

    No answer is the empty text from 0 to 0; a model that saw no unanswerable question never says so. The score is the
    probability among the best candidates, no answer included.
    """

    text: str
    start: int
    end: int
    score: float

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.end > self.start


@dataclass(frozen=True)
class Relation:
    """A predicted relation between two entities of a text, and its probability."""

    label: str
    score: float
    head: Entity
    tail: Entity
