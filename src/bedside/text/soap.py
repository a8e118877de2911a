"""The four letters under which many progress notes are written: subjective, objective, assessment, plan."""

from __future__ import annotations

import re

from bedside.text.titles import Candidate

__all__ = ["soap_letters"]

_KINDS = {"S": "subjective", "O": "objective", "A": "assessment", "P": "plan", "A/P": "assessment_and_plan"}
# A letter that begins a line, or one before a colon inside a line, as where line ends became spaces.
_LETTER = re.compile(
    r"(?m)(?:^[ \t]*(?P<first>A[/&]P|[SOAP])(?:[ \t]*[:).]|[ \t]+[-–—](?=\s)|(?=[ \t\r]*$))"
    r"|(?<=[.;,!?\s]) (?P<inside>A[/&]P|[SOAP]):(?=\s))[ \t]*"
)
_VISIT = ("S", "O", "A", "P")
_ORDERS = (_VISIT, ("S", "O", "A/P"), ("A", "P", "S", "O"), ("A/P", "S", "O"))


def soap_letters(text: str) -> list[Candidate]:
    r"""Return the letters that head the parts of a note; none unless all of them are there and in their order.

    One letter alone says nothing (``P: 80`` is a pulse), so every letter of the note must belong to a whole set. A
    note of several visits has several sets.

    Example:
        >>> [letter.kind for letter in soap_letters("S: cough\nO: T 38.1\nA/P: viral, rest")]
        ['subjective', 'objective', 'assessment_and_plan']
        >>> soap_letters("O: BP 120/80\nP: 80")
        []
    """
    found = [_candidate(match) for match in _LETTER.finditer(text)]
    letters = [_letter(candidate.title) for candidate in found]
    at = 0
    while at < len(letters):
        order = next((order for order in _ORDERS if tuple(letters[at : at + len(order)]) == order), None)
        if order is None:
            return []
        at += len(order)
    return found


def _candidate(match: re.Match[str]) -> Candidate:
    group = "first" if match["first"] else "inside"
    return Candidate(match[group], match.start(group), match.end(), kind=_KINDS[_letter(match[group])])


def _letter(written: str) -> str:
    return written.replace("&", "/")
