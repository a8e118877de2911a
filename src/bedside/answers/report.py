"""What a check of an answer returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bedside.answers.citations import Citation

__all__ = ["AnswerCheck", "SentenceCheck", "Statement", "StatementKind"]

StatementKind: TypeAlias = Literal["citation", "number", "dose", "date", "quotation", "finding"]


@dataclass(frozen=True)
class Statement:
    """One thing that an answer says and that can be looked up.

    Attributes:
        kind: ``citation``, ``number``, ``dose``, ``date``, ``quotation`` or ``finding``.
        text: As the answer writes it.
        start: Where it begins in the answer.
        end: Where it has ended.
        supported: Whether the sources say so.
        why: For the reader, in words; of what is not supported also what the sources say instead, where that is known.
        citation: The sentence of the source that decides; ``None`` if there is none.
    """

    kind: StatementKind
    text: str
    start: int
    end: int
    supported: bool
    why: str
    citation: Citation | None = None


@dataclass(frozen=True)
class SentenceCheck:
    """One sentence of an answer.

    Attributes:
        text: The sentence, its citations included.
        start: Where it begins in the answer.
        end: Where it has ended.
        cites: The labels in it, as written.
        statements: What was looked up in it, in its order; empty where it says nothing that can be.
    """

    text: str
    start: int
    end: int
    cites: tuple[str, ...]
    statements: tuple[Statement, ...]

    @property
    def supported(self) -> bool:
        """Whether nothing in it lacks support."""
        return all(statement.supported for statement in self.statements)


@dataclass(frozen=True)
class AnswerCheck:
    """What of an answer is supported, what is not, and why; as ``str`` one line for each problem.

    Attributes:
        sentences: Every sentence of the answer, in its order.
    """

    sentences: tuple[SentenceCheck, ...]

    @property
    def supported(self) -> bool:
        """Whether nothing in the answer lacks support; that does not make it true, or an answer to the question."""
        return all(sentence.supported for sentence in self.sentences)

    @property
    def problems(self) -> tuple[Statement, ...]:
        """What is not supported, in the order of the answer."""
        return tuple(s for sentence in self.sentences for s in sentence.statements if not s.supported)

    def __str__(self) -> str:
        return "\n".join(f"{problem.kind} {problem.text!r}: {problem.why}" for problem in self.problems) or "supported"
