"""The cues of the assertion rules: what the data file holds, ready to be looked up word by word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

from bedside.text.lexicon import STOP_WORDS
from bedside.text.memo import Memo

__all__ = [
    "RULES_VERSION",
    "SIGNS",
    "STATUSES",
    "Cue",
    "Role",
    "Status",
    "Word",
    "cues_at",
    "hints",
    "read_word",
    "read_words",
    "rule_words",
]

Status: TypeAlias = Literal["negated", "hypothetical", "historical", "family"]
"""What a sentence says of a word, other than that it is so."""
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
SIGNS = _QUOTES + ".,;:!?…-"
"""What may stand around a word and is not part of it."""


class Word(NamedTuple):
    """A word as the rules see it: without what stands around it, and what that says.

    ``mark`` is the one it ends with of ``, ; : .`` or empty; ``-`` for a dash that stands alone. ``depth`` counts the
    parentheses that it opens less those that it closes. ``plain`` says that none of this, and no list of words that
    may end a scope, needs to be looked at: most words are. ``begins`` says that a cue may begin with it.
    """

    bare: str
    mark: str
    depth: int
    plain: bool
    begins: bool


class Cue(NamedTuple):
    """Words that say something about those around them, and what each of their roles says."""

    words: tuple[str, ...]
    roles: frozenset[Role]
    says: tuple[tuple[Role, Status], ...]


def read_words(words: Iterable[str]) -> Iterator[Word]:
    """Read folded words; one that was seen before costs a look-up."""
    return map(_READ.__getitem__, words)


def read_word(word: str) -> Word:
    """Read one folded word.

    Example:
        >>> read_word("(denies:")
        Word(bare='denies', mark=':', depth=1, plain=False, begins=True)
        >>> read_word("didn't").bare
        'not'
    """
    bare, mark, depth = _bare(word), _mark(word), word.count("(") - word.count(")")
    return Word(bare, mark, depth, mark in {"", ","} and not depth and bare not in _ENDING, bare in _CUES)


def _bare(word: str) -> str:
    bare = word.strip(SIGNS)
    return "not" if bare.endswith("n't") else bare


def _mark(word: str) -> str:
    bare = word.strip(SIGNS)
    if not bare:
        return "-" if "-" in word else ""
    last = word.rstrip(_QUOTES)[-1]
    if last in ",;:":
        return last
    ends = last in "!?" or (last == "." and bare.isalpha() and (len(bare) > 2 or bare == "no"))
    return "." if ends else ""


def rule_words(name: str) -> frozenset[str]:
    """One of the file's lists of single words."""
    return frozenset(_DATA[name])


def cues_at(word: str, following: str) -> Sequence[Cue]:
    """The cues that may begin with a bare word, one that does, and the one after it: first what shields, then long."""
    found = _CUES[word]
    return found.get(following, found[""])


def hints(statuses: frozenset[Status]) -> Memo[bool]:
    """Whether a folded word is one of those of which every cue of these statuses has one: few and rare ones."""
    wanted = {role for role, status in STATUSES.items() if status in statuses}
    phrases = [cue.words for found in _CUES.values() for cues in found.values() for cue in cues if cue.roles & wanted]
    alone = {phrase[0] for phrase in phrases if len(phrase) == 1}

    def rarity(word: str) -> tuple[bool, bool, int]:
        return word in alone, word not in STOP_WORDS, len(word)

    chosen = {max(phrase, key=rarity) for phrase in phrases}
    return Memo(lambda word: _bare(word) in chosen)


def _compiled() -> dict[str, dict[str, list[Cue]]]:
    """First word -> second word -> cues; the empty word: those of one word."""
    roles: dict[tuple[str, ...], set[Role]] = {}
    kinds: tuple[Role, ...] = (*STATUSES, "pseudo", "terminators")
    for role in kinds:
        for phrase in _DATA[role]:
            roles.setdefault(tuple(map(_bare, phrase.split())), set()).add(role)
    found: dict[str, dict[str, list[Cue]]] = {}
    for words, held in roles.items():
        second = words[1] if len(words) > 1 else ""
        says = tuple((role, STATUSES[role]) for role in sorted(held & STATUSES.keys()))
        found.setdefault(words[0], {"": []}).setdefault(second, []).append(Cue(words, frozenset(held), says))
    for cues in found.values():
        for second in cues.keys() - {""}:
            cues[second] = sorted([*cues[second], *cues[""]], key=_precedence)
    return found


def _precedence(cue: Cue) -> tuple[bool, int]:
    return "pseudo" not in cue.roles, -len(cue.words)


_ENDING = rule_words("resume") | rule_words("closed")
_CUES = _compiled()
_READ = Memo(read_word)
