"""What terms are also called: the lexicon of abbreviations and of everyday and professional words."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

from bedside.errors import InvalidInputError
from bedside.text.fold import fold
from bedside.text.senses import ShortForm

__all__ = ["KINDS", "Entry", "Kind", "Lexicon"]

Kind: TypeAlias = Literal["abbreviation", "professional", "lay", "neighbour"]
"""What an offer is: a short form written out or the reverse, another term, everyday words, a near word."""
KINDS: tuple[Kind, ...] = get_args(Kind)

_OWN = "bedside"
_HEADINGS = frozenset({"abbreviation", "abbr", "short", "term", "acronym"})
_Line: TypeAlias = "tuple[str, str, tuple[str, ...]]"
"""Source, place for messages, columns."""


class Entry(NamedTuple):
    """What one term may be replaced with."""

    texts: tuple[str, ...]
    kind: Kind
    source: str
    as_written: str | None = None
    """The spelling it is bound to: "US" is not "us"; ``None``: any case."""
    meanings: bool = False
    """Whether the texts are different things that the term may mean, rather than names of one."""
    short: ShortForm | None = None
    """The one text, where it is a short form that may mean other things than the term."""

    @property
    def ambiguous(self) -> bool:
        """Whether the term may mean several things."""
        return self.meanings and len(self.texts) > 1


@dataclass(frozen=True)
class Lexicon:
    """Terms and what they are also called.

    Args:
        entries: Folded term -> entries.
        longest: Words in the longest term.
    """

    entries: Mapping[str, tuple[Entry, ...]] = field(repr=False)
    longest: int

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Lexicon:
        """The lexicon that ships, and a larger table beside it if one is given.

        The table has tab-separated columns: ``abbr``, short form, long forms; ``lay``, everyday words, professional
        words; several are separated by ``|``. Or plainly: short form, long form, and whatever else; a short form with
        several lines is ambiguous. Lines that begin with ``#`` are comments. Short forms of a table are matched as they
        are written. Long forms have their short forms too, even those that may mean something else.

        Raises:
            InvalidInputError: A line has fewer than two columns; the message names it.
            OSError: The file cannot be read.
        """
        return _own() if path is None else _built([*_own_lines(), *_lines(Path(path))])

    def find(self, words: Sequence[str]) -> tuple[Entry, ...]:
        """The entries of a term, given by its words as they are written."""
        written = " ".join(words)
        folded = fold(written)
        found = self.entries.get(folded, ()) or self.entries.get(folded.replace(".", ""), ())
        if not found and len(folded) > 3:
            found = tuple(e for e in self.entries.get(folded.removesuffix("s"), ()) if e.kind != "abbreviation")
        return tuple(entry for entry in found if entry.as_written in (None, written))


@lru_cache(maxsize=1)
def _own() -> Lexicon:
    return _built(_own_lines())


def _own_lines() -> list[_Line]:
    text = resources.files("bedside.text").joinpath("data/expansion.tsv").read_text("utf-8")
    return [(_OWN, f"line {number}", columns) for number, columns in _columns(text)]


def _lines(path: Path) -> list[_Line]:
    return [(path.name, f"{path.name}, line {n}", columns) for n, columns in _columns(path.read_text("utf-8-sig"))]


def _columns(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, line in enumerate(text.splitlines(), 1):
        columns = tuple(column.strip() for column in line.split("\t"))
        if line.strip() and not line.startswith("#") and not (number == 1 and columns[0].lower() in _HEADINGS):
            yield number, columns


def _built(lines: Iterable[_Line]) -> Lexicon:
    """Put lines together: what several say about one term is one entry for each kind and spelling."""
    found: dict[tuple[str, Kind, bool], list[Entry]] = {}
    spellings: dict[str, str] = {}
    for source, where, columns in lines:
        for term, entry in _entries(source, where, columns):
            spellings.setdefault(fold(term), term)
            found.setdefault((fold(term), entry.kind, entry.meanings), []).append(entry)
    merged: dict[str, tuple[Entry, ...]] = {}
    for (term, *_), entries in found.items():
        merged[term] = (*merged.get(term, ()), *_merged(entries))
    for long, entry in list(_long_to_short(merged, spellings)):
        merged[long] = (*merged.get(long, ()), entry)
    return Lexicon(merged, max((len(term.split()) for term in merged), default=0))


def _long_to_short(entries: Mapping[str, Sequence[Entry]], spellings: Mapping[str, str]) -> Iterator[tuple[str, Entry]]:
    """The other way round: each long form with its short form, and what else that may mean."""
    for term, found in entries.items():
        for entry in found:
            if entry.meanings:
                text = entry.as_written or spellings[term]
                for long in entry.texts:
                    short = ShortForm(text, long, entry.texts, any_case=entry.as_written is None)
                    yield (
                        fold(long),
                        Entry((text,), entry.kind, entry.source, short=short if entry.ambiguous else None),
                    )


def _merged(entries: Sequence[Entry]) -> Iterator[Entry]:
    """One entry for each spelling; where one takes any case, all are one."""
    spellings = {entry.as_written for entry in entries}
    for spelling in [None] if None in spellings else sorted(filter(None, spellings)):
        same = [entry for entry in entries if spelling in (None, entry.as_written)]
        texts = {fold(text): text for entry in reversed(same) for text in reversed(entry.texts)}
        sources = dict.fromkeys(entry.source for entry in same)
        yield Entry(tuple(reversed(texts.values())), same[0].kind, ", ".join(sources), spelling, same[0].meanings)


def _entries(source: str, where: str, columns: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:
    kind = columns[0] if columns[0] in ("abbr", "lay") and len(columns) > 2 else None
    left, right = columns[1:3] if kind else (*columns, "")[:2]
    if not left or not right:
        raise InvalidInputError(f"{where}: expected a term and what it is also called, separated by a tab")
    lefts, rights = _parts(left), _parts(right)
    if kind == "lay":
        yield from ((term, Entry(rights, "professional", source)) for term in lefts)
        yield from ((term, Entry(lefts, "lay", source)) for term in rights)
        return
    bound = kind is None or "upper" in columns[3:]
    yield from ((term, Entry(rights, "abbreviation", source, term if bound else None, meanings=True)) for term in lefts)


def _parts(column: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in column.split("|") if part.strip())
