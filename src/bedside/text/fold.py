"""Folding: the many ways to write one character become one.

The index and the query are folded alike, so only what folding keeps apart can be told apart. Folding is
idempotent: ``fold(fold(text)) == fold(text)``.
"""

from __future__ import annotations

import re
import unicodedata

from bedside.text.lexicon import FOLDING

__all__ = ["fold"]

_GREEK: dict[str, str] = FOLDING["greek"]
_DASHES = dict.fromkeys(FOLDING["dashes"], "-")
_APOSTROPHES = dict.fromkeys(FOLDING["apostrophes"], "'")
_SIGNS: dict[str, str] = FOLDING["signs"]
_REPLACEMENTS = _GREEK | _DASHES | _APOSTROPHES | _SIGNS

# Compatibility folding would glue these to the number before them: 10⁹ -> 109, 5½ -> 51/2.
_GLUED = re.compile("(?<=[0-9])(?=[¹²³⁰⁴-⁹⁺⁻¼-¾⅐-⅞])")
_MARKS = re.compile("[™©®℠]")
_INVISIBLE = re.compile("[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufeff]+")
_REPLACED = re.compile(
    "(μ)(?=[a-z])"
    "|(?<![α-ω])[α-ω](?![α-ω])"
    "|(?<=[0-9])·(?=[0-9])"
    f"|[{''.join(_DASHES)}{''.join(_APOSTROPHES)}{''.join(_SIGNS.keys() - {'·'})}]"
)


def fold(text: str) -> str:
    """Fold case, compatibility forms, accents, dashes, quotes, comparison signs and Greek letters.

    ``µg`` (either micro sign) becomes ``ug``, a Greek letter that stands alone its name (``TNF-α``,
    ``tnf-alpha``), ``≥`` becomes ``>=``, ``Sjögren’s`` becomes ``sjogren's``, full-width letters become
    plain. Case folding and normalisation are Unicode's own (UAX #15, NFKD with full case folding), with the
    combining diacritical marks U+0300 to U+036F taken out.

    Args:
        text: Any text.

    Returns:
        The folded text; its length may differ.

    Example:
        >>> fold("Ménière, 5 µg, IFN‑γ ≥ 7")
        'meniere, 5 ug, ifn-gamma >= 7'
    """
    if text.isascii():
        return text.lower()
    text = _MARKS.sub(" ", _GLUED.sub(" ", text)).replace("´", "'")
    text = unicodedata.normalize("NFKD", text).casefold()
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKD", text)).replace("ı", "i")
    return text if text.isascii() else _REPLACED.sub(_replace, text)


def _replace(match: re.Match[str]) -> str:
    return "u" if match[1] else _REPLACEMENTS[match.group()]
