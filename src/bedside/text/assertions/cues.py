"""The cues of the assertion rules: what the data file holds, ready to be looked up word by word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

__all__ = ["RULES_VERSION", "STATUSES", "Cue", "Role", "Status", "Word", "cues_at", "hints", "read_word", "rule_words"]

Status: TypeAlias = Literal["negated", "hypothetical", "historical", "family"]
Role: TypeAlias = Literal[
    "denial", "forward", "backward", "colon", "pseudo", "terminators", "hypothetical", "historical", "family"
]

STATUSES: Mapping[Role, Status] = {
    "denial": "negated",
    "forward": "negated",
    "backward": "negated",
    "colon": "negated",
    "hypothetical": "hypothetical",
    "historical": "historical",
    "family": "family",
}
"""What a cue of each role says about the words in its scope; the others say nothing."""

_RULES = 1  # raise it when the code gives other marks for the same cues
_FILE = resources.files("bedside.text").joinpath("data/assertions.json").read_bytes()
_DATA: Mapping[str, Any] = orjson.loads(_FILE)

RULES_VERSION = f"{_RULES}-{hashlib.sha256(_FILE).hexdigest()[:12]}"
"""Changes with the cues and with the rules: marks kept under another version are stale."""

_QUOTES = "\"'()[]{}<>*“”«»"
_AROUND = _QUOTES + ".,;:!?…-"


class Word(NamedTuple):
    """A word as the rules see it: without what stands around it, and the mark that it ends with.

    ``mark`` is one of ``, ; : .`` or empty; ``-`` for a dash that stands alone.
    """

    bare: str
    mark: str


class Cue(NamedTuple):
    """Words that say something about those around them."""

    words: tuple[str, ...]
    roles: frozenset[Role]


@lru_cache(maxsize=1 << 16)
def read_word(word: str) -> Word:
    """Read one folded word.

    Example:
        >>> read_word("(denies:"), read_word("didn't"), read_word("b.i.d.")
        (Word(bare='denies', mark=':'), Word(bare='not', mark=''), Word(bare='b.i.d', mark=''))
    """
    bare = word.strip(_AROUND)
    if not bare:
        return Word("", "-" if "-" in word else "")
    last = word.rstrip(_QUOTES)[-1]
    mark = last if last in ",;:" or (last == "." and bare.isalpha() and len(bare) > 2) else "." if last in "!?" else ""
    return Word("not" if bare.endswith("n't") else bare, mark)


def rule_words(name: str) -> frozenset[str]:
    """One of the file's lists of single words."""
    return frozenset(_DATA[name])


def cues_at(word: str) -> tuple[Cue, ...]:
    """The cues that begin with a bare word: those that shield first, then the longest."""
    return _CUES.get(word, ())


def hints(statuses: Iterable[Status]) -> frozenset[str]:
    """Bare words of which every sentence with a cue of these statuses has one: the longest word of each cue."""
    wanted = {role for role, status in STATUSES.items() if status in set(statuses)}
    return frozenset(max(cue.words, key=len) for found in _CUES.values() for cue in found if cue.roles & wanted)


def _compiled() -> dict[str, tuple[Cue, ...]]:
    roles: dict[tuple[str, ...], set[Role]] = {}
    kinds: tuple[Role, ...] = (*STATUSES, "pseudo", "terminators")
    for role in kinds:
        for phrase in _DATA[role]:
            roles.setdefault(tuple(read_word(word).bare for word in phrase.split()), set()).add(role)
    found: dict[str, list[Cue]] = {}
    for words, held in roles.items():
        found.setdefault(words[0], []).append(Cue(words, frozenset(held)))
    return {first: tuple(sorted(cues, key=_precedence)) for first, cues in found.items()}


def _precedence(cue: Cue) -> tuple[bool, int]:
    return "pseudo" not in cue.roles, -len(cue.words)


_CUES = _compiled()
