"""What a section is, whatever its heading is called: "HPI" and "History of Present Illness" are of the kind ``hpi``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import NamedTuple

from bedside.errors import InvalidInputError
from bedside.text.fold import fold
from bedside.text.lexicon import words

__all__ = ["KINDS", "LOINC", "SectionKinds"]

_WORD = re.compile(r"[^\W_]+")
_SMALL = words(
    """
    an and as at by for from in of on or the to with und der die das des dem den bei im zur zum von vom mit
    et de du la le les l d au aux en sur y del el los las al con por para
    """
)
_SPELLINGS = {
    "hx": "history", "dx": "diagnosis", "diagnoses": "diagnosis", "exam": "examination", "labs": "laboratory",
    "lab": "laboratory", "pmhx": "pmh", "pshx": "psh", "tx": "treatment", "rx": "prescription",
    "diagnostics": "diagnostics",
}  # fmt: skip


class _Row(NamedTuple):
    """One heading of the table: its words and their kind."""

    words: tuple[str, ...]
    kind: str | None


class SectionKinds:
    """The table of section kinds: which kind a heading is of, and which titles of another language are headings.

    The table ships with Bedside and names English, German, French and Spanish headings.

    Args:
        more: Titles and what kind they are of, beside the table's and before them; a title that equals one of these
            but for case, accents, small words and marks is a heading. A kind may be a name of your own.

    Raises:
        InvalidInputError: ``more`` does not map titles to names of kinds.

    Example:
        >>> kinds = SectionKinds({"Ward round": "plan"})
        >>> [kinds.of(title) for title in ("Past medical hx", "A/P", "Vorerkrankungen", "WARD ROUND", "Left knee")]
        ['past_medical_history', 'assessment_and_plan', 'past_medical_history', 'plan', None]
    """

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        self.more = dict(sorted(_checked(more).items()))
        self._own = {_words(title): kind for title, kind in self.more.items()}

    def of(self, title: str, *, english: bool = False) -> str | None:
        """Return the kind of the section with this title, or None.

        Args:
            title: A heading as written.
            english: Whether the note is known to be English; "Status" is a heading of other languages alone.
        """
        return self._own.get(_words(title)) if self.is_own(title) else _kind(title, english)

    def is_own(self, title: str) -> bool:
        """Whether a title is one of ``more``."""
        return bool(self._own) and _words(title) in self._own

    @staticmethod
    def is_foreign_title(title: str) -> bool:
        """Whether a title is made of the words of German, French or Spanish section titles."""
        named = _words(title)
        return bool(named) and all(map(_is_foreign_word, named)) and _kind(title, False) is not None


def _checked(more: object) -> dict[str, str]:
    if more is None:
        return {}
    if not isinstance(more, Mapping) or not all(isinstance(part, str) for pair in more.items() for part in pair):
        raise InvalidInputError("section_kinds: expected a mapping of titles to the names of their kinds, both str")
    if wrong := [title for title, kind in more.items() if not _words(title) or not kind.strip()]:
        raise InvalidInputError(f"section_kinds: expected a title of words and a kind with a name, got {wrong[0]!r}")
    return dict(more)


def _words(title: str) -> tuple[str, ...]:
    """Return what counts of a title; "A/P" keeps its two letters."""
    found = (_SPELLINGS.get(word) or _singular(word) for word in _WORD.findall(fold(title)))
    return tuple(word for word in found if word not in _SMALL)


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    return word[:-3] + "y" if word.endswith("ies") else word[:-1]


def _kind(title: str, english: bool) -> str | None:
    named = _words(title)
    if len(named) > _LONGEST or not _NONE.isdisjoint(named):
        return None
    row = (_ENGLISH if english else _EVERY).best(named)
    return row.kind if row else None


class _Index:
    """Rows by their first word."""

    def __init__(self, rows: Iterable[_Row]) -> None:
        self._ends: list[tuple[int, _Row]] = []
        self._rows: dict[str, list[tuple[int, _Row]]] = {}
        for number, row in enumerate(rows):
            group = self._ends if row.words[0].startswith("-") else self._rows.setdefault(row.words[0], [])
            group.append((number, row))

    def best(self, named: tuple[str, ...]) -> _Row | None:
        """Return the row with the most words, all of which are among these, of several the first in the table."""
        among = set(named)
        found = [(n, row) for word in among for n, row in self._rows.get(word, ()) if among.issuperset(row.words)]
        found = found or [(n, row) for n, row in self._ends if any(_ends(word, row.words[0]) for word in named)]
        return min(found, key=lambda entry: (-len(entry[1].words), entry[0]))[1] if found else None


def _ends(word: str, end: str) -> bool:
    return len(word) > len(end) and word.endswith(end[1:])


def _is_foreign_word(word: str) -> bool:
    return word in _FOREIGN_WORDS or any(_ends(word, end) for end in _FOREIGN_ENDS)


def _table() -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Yield kind, LOINC code, language and words of each heading of the table."""
    text = resources.files("bedside.text").joinpath("data/section_kinds.tsv").read_text("utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            kind, code, language, titles = line.split("\t")
            for title in titles.split("|"):
                yield kind, code, language, (f"-{fold(title[1:])}",) if title.startswith("-") else _words(title)


_TABLE = tuple(_table())
_LONGEST = 10  # words of a title that may have a kind
_NONE = frozenset(word for kind, _, language, words in _TABLE if (kind, language) == ("-", "en") for word in words)
_FOREIGN = [_Row(words, None if kind == "-" else kind) for kind, _, language, words in _TABLE if language != "en"]
_KNOWN = [_Row(words, kind) for kind, _, language, words in _TABLE if language == "en" and kind != "-"]
_ENGLISH, _EVERY = _Index(_KNOWN), _Index([*(row for row in _FOREIGN if row.kind), *_KNOWN])
_FOREIGN_WORDS = frozenset(word for row in _FOREIGN for word in row.words if not word.startswith("-"))
_FOREIGN_ENDS = tuple(word for row in _FOREIGN for word in row.words if word.startswith("-"))

KINDS: tuple[str, ...] = tuple(dict.fromkeys(kind for kind, *_ in _TABLE if kind != "-"))
"""The kinds of section that the table knows."""
LOINC: Mapping[str, str] = {kind: code for kind, code, _, _ in _TABLE if code != "-"}
"""The LOINC code of each kind that has one, such as ``10164-2`` for ``hpi``; loinc.org."""
