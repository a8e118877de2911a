"""The clinical tokenizer: the lexical half's idea of a word."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any
from unicodedata import unidata_version

from snowballstemmer.english_stemmer import EnglishStemmer  # type: ignore[import-untyped]

from bedside.errors import FormatVersionError, InvalidInputError
from bedside.support.fork import in_each_process
from bedside.text.fold import fold
from bedside.text.lexicon import ALIASES, STOP_WORDS, UNITS
from bedside.text.memo import Memo

__all__ = ["ClinicalTokenizer", "count_words", "split_words"]

_VERSION = 1
_STEM_LENGTH = 48  # characters; no English word is longer

_W = r"[^\W_]"
_NUM = r"\d+(?:\.\d+)*"
# A chunk is a run of word characters and the signs that may join two of them; how it is cut up depends on
# nothing outside it, so it is looked up whole, and so is all between two spaces. At most 16 joints: a longer run
# would only cost the regex engine's stack.
_CHUNK = re.compile(
    rf"(?:{_W}|[<>])(?:(?<=[<>])=?\d)?{_W}*"
    rf"(?:[-./':]{_W}+|(?<=\d),\d\d\d(?!\d)){{0,16}}"
    rf"(?:\+{{1,3}}(?!{_W}))?"
)
_SPACED_SIGN = re.compile(r"(?<=[<>]) (?=\d)|(?<=[<>]=) (?=\d)")
_BARE_DECIMAL = re.compile(r"\.(?=\d)(?<![^\W_]\.)(?<!\.\.)")
_THOUSANDS = re.compile(r"(?<![\d.])[1-9]\d{0,2}(?:,\d{3})+(?!\d)")
_CONTRACTIONS = (
    (re.compile(r"\bcan't\b"), "cannot"),
    (re.compile(r"\b(?:wo|sha)n't\b"), "not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'(?:s|m|d|re|ve|ll)\b"), ""),
    (re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])"), ""),
)
_PIECE = re.compile(
    rf"(?<!{_W})(?:"
    rf"(?P<dotted>[a-z](?:\.[a-z])+(?!{_W}))"
    rf"|(?P<whole>[a-z](?:/[a-z])+(?!{_W})|(?:\d\d?|[xy])[pq]\d+\.\d+(?!{_W}))"
    rf"|(?P<label>[a-z]{{2,}}(?=\d+[./]\d)|[a-z](?=\d\.\d)|t(?=\d\d\d?\.\d[cf](?!{_W})))?"
    rf"(?!\d+-[a-z])(?P<number>{_NUM}(?:[-/:x]{_NUM})*)(?P<unit>[a-z]+)?(?!{_W})"
    rf"|(?P<code>[a-z]\d[0-9a-z]*\.\d[0-9a-z]*(?!{_W})|[a-z]\d[0-9a-z]\.[a-z]\d{{0,2}}(?!{_W}))"
    rf"|(?P<compound>{_W}+(?:-{_W}+(?!{_W}|\.\d))+)"
    rf"|(?P<word>{_W}+)"
    r")"
)
_SHORT_CODE = re.compile(r"([a-z]{1,3})-\d{1,3}[a-z]?")
_LOINC = re.compile(r"\d{3,}-\d")
_DROPPED_HYPHEN = re.compile(r"(?<!\d)-|-(?!\d)")
_AMOUNT = re.compile(r"(\d+)([a-z]+)")


class ClinicalTokenizer:
    """Cut clinical text into search terms.

    Text is folded first (see :func:`bedside.text.fold.fold`). Then:

    * Decimals (``7.2``, ``.5`` as ``0.5``), ratios (``120/80``), dates, times, LOINC codes (``4548-4``) and
      ICD codes (``e11.9``) are single terms and nothing else, so that a search for one finds exactly it.
      ``1,200`` is ``1200``.
    * A unit is split from its number (``5mg`` is ``5 mg``), the sides of a size from each other (``2x3cm``).
      A range gives itself and its ends.
    * A hyphen compound gives itself without the hyphen (so ``IL-6`` is ``IL6``, ``follow-up`` is
      ``followup``) and its parts; the number of a short code such as ``IL-6`` or ``CA-125`` is not a part of
      its own.
    * Dotted abbreviations lose their dots (``b.i.d.`` is ``bid``), slashed ones stay whole (``s/p``); ``w/o``
      is ``without``. ``CD4+`` gives ``cd4`` and ``cd4+``, ``≥ 7`` gives ``7`` and ``>=7``.
    * English function words are dropped, negations never (``n't`` is ``not``); what is left and purely
      alphabetic is stemmed with Snowball's English stemmer.

    One object may be shared by threads. It keeps what it has worked out about words it has seen.

    Args:
        stem: Stem words. The default; without it only exact word forms match.
        stop_words: Drop function words. The default; they cost index space and hardly move a ranking.

    Example:
        >>> ClinicalTokenizer().tokenize("HbA1c 7.2%, denies chest pain; metformin 500mg b.i.d.")
        ['hba1c', 'a1c', '7.2', 'deni', 'chest', 'pain', 'metformin', '500', 'mg', 'bid']
    """

    def __init__(self, stem: bool = True, stop_words: bool = True) -> None:
        self._stem = stem
        self._stop = STOP_WORDS if stop_words else frozenset[str]()
        # The pure Python stemmer, never the compiled one: its results do not depend on what else is
        # installed, and the memo calls it once per word form (18 µs each, 29,000 forms in 11 MB of text).
        self._stemmer = EnglishStemmer() if stem else None
        in_each_process(self._make_lock)
        self._chunks = Memo(self._expand)
        self._words = Memo(self._cut)

    def _make_lock(self) -> None:
        self._lock = threading.Lock()

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the terms, as JSON values; :meth:`from_settings` takes it back."""
        return {"name": "clinical", "version": _VERSION, "stem": self._stem, "stop_words": bool(self._stop)}

    @property
    def fingerprint(self) -> str:
        """The settings and the releases of what the terms depend on: terms kept under another are stale."""
        from importlib.metadata import version  # 10 ms that only opening a collection needs

        stemmer = version("snowballstemmer") if self._stem else "none"
        return f"{json.dumps(self.settings)} stemmer {stemmer} unicode {unidata_version}"

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ClinicalTokenizer:
        """Build the tokenizer that has these settings.

        Args:
            settings: What :attr:`settings` returned.

        Returns:
            An equal tokenizer.

        Raises:
            FormatVersionError: The settings are another tokenizer's or another version's.
            InvalidInputError: A setting is missing, unknown or not a bool.
        """
        if (settings.get("name"), settings.get("version")) != ("clinical", _VERSION):
            raise FormatVersionError(
                f"tokenizer {settings.get('name')!r} version {settings.get('version')!r}: "
                f"this release has 'clinical' version {_VERSION}"
            )
        options = {key: value for key, value in settings.items() if key not in ("name", "version")}
        if options.keys() != {"stem", "stop_words"} or not all(isinstance(v, bool) for v in options.values()):
            raise InvalidInputError(f"tokenizer settings: expected bools stem and stop_words, got {sorted(options)}")
        return cls(**options)

    def tokenize(self, text: str) -> list[str]:
        """Cut one text into terms.

        Args:
            text: A note, a passage or a query. Takes time linear in its length.

        Returns:
            The terms in the order of the text, repeated as often as they occur.
        """
        return list(chain.from_iterable(self.terms_of(split_words(text))))

    def terms_of(self, words: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """Give the terms of each of some words that :func:`split_words` returned.

        Example:
            >>> list(ClinicalTokenizer().terms_of(["no", "follow-up", "of", "the", "fever."]))
            [('no',), ('followup', 'follow', 'up'), (), (), ('fever',)]
        """
        return map(self._words.__getitem__, words)

    def _cut(self, word: str) -> tuple[str, ...]:
        """Give the terms of folded text without spaces."""
        return tuple(chain.from_iterable(map(self._chunks.__getitem__, _CHUNK.findall(word))))

    def _expand(self, chunk: str) -> tuple[str, ...]:
        """Give the terms of one chunk of folded text."""
        if chunk.isalpha():
            return self._word(chunk)
        if chunk in ALIASES:
            return ALIASES[chunk]
        core = chunk.lstrip("<>=").rstrip("+")
        terms = tuple(chain.from_iterable(map(self._piece, _PIECE.finditer(_simplify(core)))))
        if chunk[0] in "<>" and terms and terms[0][0].isdigit():
            terms += (chunk[: len(chunk) - len(chunk.lstrip("<>="))] + terms[0],)
        if chunk[-1] == "+":
            terms += (core + chunk[len(chunk.rstrip("+")) :],)
        return terms

    def _piece(self, match: re.Match[str]) -> Iterator[str] | tuple[str, ...]:
        found = match.group()
        kind = match.lastgroup
        if kind == "dotted":
            return (found.replace(".", ""),)
        if kind in ("number", "unit"):
            label = match["label"]
            return (*(self._word(label) if label else ()), *self._amount(match["number"], match["unit"]))
        if kind == "compound":
            return self._compound(found)
        return self._word(found)

    def _amount(self, number: str, unit: str | None) -> tuple[str, ...]:
        values = tuple(chain.from_iterable(map(_numbers, number.split("x"))))
        if unit is None:
            return values
        if number.isdigit() and not _is_unit(number, unit):
            return (number + unit,)
        return values + self._word(unit)

    def _compound(self, compound: str) -> tuple[str, ...]:
        whole = _DROPPED_HYPHEN.sub("", compound)
        if code := _SHORT_CODE.fullmatch(compound):
            return (whole, *(self._word(code[1]) if len(code[1]) > 1 else ()))
        parts = tuple(chain.from_iterable(map(self._part, compound.split("-"))))
        amount = _AMOUNT.fullmatch(whole)
        return parts if amount and _is_unit(*amount.groups()) else (*self._word(whole), *parts)

    def _part(self, part: str) -> tuple[str, ...]:
        amount = _AMOUNT.fullmatch(part)
        return self._amount(*amount.groups()) if amount else self._word(part)

    def _word(self, word: str) -> tuple[str, ...]:
        if word in self._stop:
            return ()
        if word in ALIASES:
            return ALIASES[word]
        if self._stemmer is None or not 2 < len(word) <= _STEM_LENGTH or not (word.isalpha() and word.isascii()):
            return (word,)
        with self._lock:  # the stemmer keeps its word in itself
            return (self._stemmer.stemWord(word),)


def split_words(text: str) -> list[str]:
    """Fold text and cut it at its spaces into words, whose terms depend on nothing outside of them.

    Example:
        >>> split_words("Ca > 2.6, K .5")
        ['ca', '>2.6,', 'k', '0.5']
    """
    folded = fold(text)
    if "." in folded:
        folded = _BARE_DECIMAL.sub("0.", folded)
    if "<" in folded or ">" in folded:
        folded = _SPACED_SIGN.sub("", folded)
    return folded.split()


def count_words(text: str) -> int:
    """How many words :func:`split_words` cuts a text into; most texts need not be folded for that."""
    plain = text.isascii() and "<" not in text and ">" not in text
    return len(text.split() if plain else split_words(text))


def _simplify(chunk: str) -> str:
    """Take out what only decorates: thousands separators, contractions, possessives, apostrophes in names."""
    if "," in chunk:
        chunk = _THOUSANDS.sub(lambda number: number.group().replace(",", ""), chunk)
    if "'" in chunk:
        for pattern, replacement in _CONTRACTIONS:
            chunk = pattern.sub(replacement, chunk)
    return chunk


def _numbers(number: str) -> tuple[str, ...]:
    """A number with its joints: itself, a range's two ends, and every decimal in it."""
    parts = re.split("[-/:]", number)
    if len(parts) == 1:
        return (number,)
    is_range = len(parts) == 2 and "-" in number and not _LOINC.fullmatch(number)
    return (number, *(part for part in parts if is_range or part.count(".") == 1))


def _is_unit(number: str, letters: str) -> bool:
    """Tell ``5mg`` and ``37c`` from ``3rd`` and ``2c``."""
    return letters in UNITS or (letters in ("c", "f") and len(number) > 1)
