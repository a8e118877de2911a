"""What a short form that may mean several things means in one text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from bedside.text.fold import fold

__all__ = ["Reading", "ShortForm", "read_sense", "writes_out"]

_WORD = re.compile(r"[^\s,;:.!?()\[\]{}\"']+(?:[.'][^\s,;:.!?()\[\]{}\"']+)*")


class Reading(NamedTuple):
    """What a short form means in a text, and why."""

    meaning: str
    reason: str


class _Sense(NamedTuple):
    """What stands near a short form that has a certain meaning."""

    words: tuple[str, ...]
    sections: tuple[str, ...]


@dataclass(frozen=True)
class ShortForm:
    """A short form that may mean several things, one of which is asked for.

    Attributes:
        text: As the lexicon writes it.
        meant: The long form that is asked for.
        meanings: All of its long forms.
        any_case: Whether "cp" is "CP" too.
    """

    text: str
    meant: str
    meanings: tuple[str, ...]
    any_case: bool = True

    def stands_in(self, text: str) -> bool:
        """Whether a text has the short form as a word of its own."""
        flags = re.IGNORECASE if self.any_case else 0
        return re.search(rf"(?<!\w){re.escape(self.text)}(?!\w)", text, flags) is not None


def read_sense(meanings: Sequence[str], text: str, section: str = "") -> Reading | None:
    """Say which of its meanings a short form has in a text.

    A meaning that the text writes out decides, if it is the only one. Else the one decides that more of the words
    typical of it stand beside, or whose kind of section it is, than of any other.

    Args:
        meanings: The long forms.
        text: A passage that has the short form, or a query.
        section: The heading it stands under, or what kind of section it is.

    Returns:
        ``None`` where nothing decides.

    Example:
        >>> read_sense(("chest pain", "cerebral palsy"), "Pressure-like CP on exertion.")
        Reading(meaning='chest pain', reason='beside "pressure-like", beside "exertion"')
        >>> read_sense(("chest pain", "cerebral palsy"), "CP since Monday.") is None
        True
    """
    here, heading = _padded(text), _padded(section)
    written = [meaning for meaning in meanings if _padded(meaning) in here]
    if len(written) == 1:
        return Reading(written[0], f'"{written[0]}" is written out')
    evidence = {meaning: list(_evidence(meaning, here, heading)) for meaning in meanings}
    most = max(map(len, evidence.values()))
    leading = [meaning for meaning, found in evidence.items() if len(found) == most]
    return Reading(leading[0], ", ".join(evidence[leading[0]][:3])) if most and len(leading) == 1 else None


def writes_out(text: str, meaning: str) -> bool:
    """Whether a text has a long form, in whole words and any case."""
    return _padded(meaning) in _padded(text)


def _evidence(meaning: str, text: str, heading: str) -> Iterator[str]:
    """What speaks for a meaning, in words."""
    sense = _senses().get(fold(meaning), _Sense((), ()))
    yield from (f'beside "{word}"' for word in sense.words if f" {word} " in text)
    if any(f" {part}" in heading for part in sense.sections):
        yield f'in section "{heading.strip()}"'


def _padded(text: str) -> str:
    """Folded words between spaces, so that a phrase is found as whole words."""
    return f" {' '.join(_WORD.findall(fold(text).replace('_', ' ')))} "


@lru_cache(maxsize=1)
def _senses() -> Mapping[str, _Sense]:
    table = resources.files("bedside.text").joinpath("data/senses.tsv").read_text("utf-8")
    rows = [(*line.split("\t"), "")[:3] for line in table.splitlines() if not line.startswith("#")]
    return {meaning: _Sense(tuple(words.split("|")), tuple(filter(None, s.split("|")))) for meaning, words, s in rows}
