"""Whether an answer stands in what it cites: citations, numbers, doses, dates, quotations and findings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from bedside.answers.citations import Label, Labels, Mention, Source, mentions
from bedside.answers.evidence import content_terms, phrases, pieces
from bedside.answers.facts import facts
from bedside.answers.judge import Judge, Verdict
from bedside.answers.report import AnswerCheck, SentenceCheck, Statement, StatementKind
from bedside.errors import InvalidInputError
from bedside.text.sentences import Span, sentences

__all__ = ["check_answer"]

_QUOTED = re.compile(r"“([^“”\n]{2,400})”|\"([^\"\n]{2,400})\"")


def check_answer(answer: str, hits: Iterable[Source], *, label: Label | None = None) -> AnswerCheck:
    """Check an answer against the hits that it was written from, without a model.

    Of each sentence it is asked: are its citations among the hits, and do the cited ones have its words; does every
    number with its unit, every dose, date, code and quotation stand in what is cited, beside the words that it stands
    beside in the answer; is what it asserts asserted there and what it denies denied (with the rules of
    :mod:`bedside.text.assertions`). Spellings do not matter: ``500mg`` is ``500 mg`` and ``0.5 g``, BID twice daily.

    A citation is a label in square brackets: a document's id, its note's ``source_id``, its position from 1, what
    ``label`` gives, or one of them followed by metadata of the document (``[visit-1 HPI]``). It belongs to the sentence
    that it stands in or directly behind. A sentence without one is checked against all hits.

    Args:
        answer: The text of the answer.
        hits: Hits, documents, or what ``search_notes`` returned, in the order of the prompt.
        label: How the prompt named a document, where that was by something else.

    Returns:
        Every sentence with what was looked up in it. What the rules cannot compare, such as a cause or an opinion, is
        not listed and not judged.

    Raises:
        InvalidInputError: ``answer`` is not a text, or ``hits`` are no hits.

    Example:
        >>> visit = Document("Metformin 500 mg twice daily. No chest pain.", {}, id="visit-1")
        >>> print(check_answer("Takes metformin 850 mg BID [visit-1]. Reports chest pain [visit-2].", [visit]))
        dose '850 mg': not in what is cited; there: 'Metformin 500 mg twice daily'
        finding 'chest pain': the source denies it: 'No chest pain'
        citation 'visit-2': not among the hits
    """
    if not isinstance(answer, str):
        raise InvalidInputError(f"answer: expected a str, got {type(answer).__name__}")
    labels = Labels(hits, label)
    found = mentions(answer, labels)
    text = _without(answer, found)
    judge = Judge(labels)
    return AnswerCheck(tuple(_sentence(answer, text, span, found, judge) for span in sentences(text)))


def _without(answer: str, found: Sequence[Mention]) -> str:
    """The answer with blanks for its citations, at the same length; a mark behind one moves before it."""
    for mention in reversed(found):
        before, brackets, after = answer[: mention.start], answer[mention.start : mention.end], answer[mention.end :]
        kept, mark = before.rstrip(), after[:1] if after[:1] in {".", ";", ":", ",", "!", "?"} else ""
        blank = " " * (len(before) - len(kept) + len(brackets))
        answer = kept + mark + blank + after[len(mark) :]
    return answer


def _sentence(answer: str, text: str, span: Span, found: Sequence[Mention], judge: Judge) -> SentenceCheck:
    """Check one sentence of the answer; ``text`` is the answer with its citations blanked."""
    start, end = span
    mine = [mention for mention in found if start <= mention.start < end]
    statements = sorted(_statements(text, span, mine, judge), key=lambda statement: (statement.start, statement.end))
    return SentenceCheck(answer[start:end].strip(), start, end, tuple(m.label for m in mine), tuple(statements))


def _statements(text: str, span: Span, mine: Sequence[Mention], judge: Judge) -> Iterator[Statement]:
    start, sentence = span[0], text[slice(*span)]
    words = content_terms(sentence)

    def statement(kind: StatementKind, first: int, last: int, verdict: Verdict) -> Statement:
        return Statement(kind, sentence[first:last].strip(" .,;:"), start + first, start + last, *verdict)

    named = sorted({number for mention in mine for number in mention.documents})
    misplaced = judge.misplaced(words, named)
    for mention in mine:
        verdict = misplaced or Verdict(True, "among the hits")
        verdict = verdict if mention.documents else Verdict(False, "not among the hits")
        yield Statement("citation", mention.label, mention.start, mention.end, *verdict)
    numbers = named or range(len(judge.sources))
    verbatim: list[Span] = []
    for quoted in _QUOTED.finditer(sentence):
        verdict = judge.quotation(quoted[1] or quoted[2], numbers)
        verbatim += [quoted.span()] if verdict.supported else []
        yield statement("quotation", *quoted.span(), verdict)
    for piece in pieces(sentence, facts(sentence)):
        for fact in piece.facts:
            if not any(first <= fact.start < last for first, last in verbatim):
                yield statement(fact.kind, fact.start, fact.end, judge.fact(fact, piece, numbers))
    for phrase in phrases(sentence):
        if verdict_on := judge.finding(phrase, words, numbers):
            yield statement("finding", phrase.start, phrase.end, verdict_on)
