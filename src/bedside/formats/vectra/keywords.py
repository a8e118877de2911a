"""The keyword half of vectra's hybrid queries: BM25 as wink-bm25-text-search 3.1 counts it, over wink-nlp's words.

The scores are exact for given words. The words are those of wink-nlp 2.4 for plain English prose; its model also knows
words, such as ``x-ray``, that :func:`prepare` cuts at the hyphen.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

from snowballstemmer.english_stemmer import EnglishStemmer  # type: ignore[import-untyped]

from bedside.errors import InvalidInputError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


K1, B = 1.2, 0.75
"""BM25's parameters as wink sets them."""
_FEWEST = 3
"""Chunks without which wink gives up."""
_MOST = 10
"""Results that wink gives, whatever is asked."""
_PLACES = Decimal("0.0001")
_LETTER = "A-Za-z\u00c0-\u024f"
_TOKEN = re.compile(
    rf"(?P<abbreviation>(?:[{_LETTER}]\.){{2,}})|(?P<number>\d+(?:[.,:/]\d+)*(?:st|nd|rd|th)?)"
    rf"|(?P<word>[{_LETTER}][{_LETTER}\d]*(?:['’][{_LETTER}]+)*)|(?P<stop>[.,;!?)])"
)
_ENDING = re.compile(r"(n['’]t|['’](?:s|d|ll|re|ve|m))$")
_NOT = _words("aint cannot cant couldnt doesnt dont isnt n't not shouldnt wont")
_NEGATIONS = _NOT | _words("eliminate hardly nah neither never no none nope nor prevent rarely scarcely without")
_NO_NEGATION = _words("just only")
"""After a form of *not*, they take it back."""
_POSSESSIVE = "'s"
_BEFORE_IS = _words("he how it let she that there what where who")
"""A word before an ``'s`` that is a verb, and a stop word; after another word wink counts it as one of the text's."""
_CONTRASTS = _words("although as because but except however nevertheless so still though unless until which yet")
"""They end what is negated, as ``. , ; ! ? )`` do."""
_STOP_WORDS = _words(
    """
    a about above abt across after afterwards again against ai all almost alone along already also although always am
    among amongst amount an and another any anyone anything anyway anywhere are around as at back be became because
    become becomes becoming been before beforehand behind being below beside besides between beyond both bottom but by
    ca call can cannot cd could da did dis do does doin doing done down due during each eight either eleven else
    elsewhere empty enough etc even ever every everyone everywhere except few fifteen fifty first five for former
    formerly forty four from front full further get give go had has have he hence her here hereby hers herself him
    himself his how however hundred i i.e. ie if in inc indeed into is it its itself just keep last latter least less
    made make many may me meanwhile might mine more moreover most mostly move much must my myself n't nah name namely
    neither never nevertheless next nine no nobody none nope nor not nothing now nowhere nt of off often on once one
    only onto or other otherwise our ours ourselves out over own part per perhaps please plz put quite rather re really
    regarding same say see seem seemed seeming seems serious seven several she should show side since six sixty so some
    somehow someone something sometime sometimes somewhere still such take ten than that the their them themselves then
    thence there thereafter thereby therefore these they third this those though three through throughout thru thus to
    together too top toward towards twelve twenty two under unless until up upon us used using various ve very via was
    we well were what whatever when whence whenever where whereas whereby wherein wherever whether which while who
    whoever whole whom whose why will with within without wo would yet you your yours yourself yourselves
    'd 'll 're 've aint cant couldnt doesnt dont isnt shouldnt wont
    """
)


def prepare(text: str) -> list[str]:
    """The words that vectra counts: stems without stop words, with ``!`` before what a negation covers.

    Example:
        >>> prepare("The patient must not be bleeding.")
        ['patient', '!bleed']
    """
    stemmer = EnglishStemmer()
    words: list[str] = []
    negated = after_not = False
    for token in _tokens(text):
        negation = token in _NEGATIONS
        ended = token in _CONTRASTS or (len(token) == 1 and not token.isalpha())
        if ended or negation or (after_not and token in _NO_NEGATION):
            negated = False
        if (token[0].isalpha() or token == _POSSESSIVE) and token not in _STOP_WORDS:
            # wink's stemmer has a 3 for the y that stands for a consonant, so it takes every 3 for one.
            stem = stemmer.stemWord(token.replace("3", "Y")).replace("Y", "y")
            words.append(f"!{stem}" if negated else stem)
        negated, after_not = negated or negation, token in _NOT
    return words


def _tokens(text: str) -> list[str]:
    """Words in lower case, contractions cut as ``does`` + ``n't``, and the marks that end a clause."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group().lower()
        if match.lastgroup == "word" and (ending := _ENDING.search(token)):
            word, suffix = token[: ending.start()], ending.group().replace("’", "'")
            is_verb = suffix == _POSSESSIVE and word in _BEFORE_IS
            found += [part for part in (word, "" if is_verb else suffix) if part]
        elif match.lastgroup != "number":
            found.append(token)
    return found


def bm25(
    chunks: Mapping[int, str], query: str, top_k: int, words: Callable[[str], Sequence[str]] = prepare
) -> list[tuple[int, float]]:
    """Rows and scores of the chunks that share a word with the query, best first, ties by row; at most ten.

    Every word's part is rounded to four decimals before the parts are added, as wink does.

    Args:
        chunks: The texts, by row in ascending order.
        query: The question.
        top_k: How many at most.
        words: Cuts a text into what is counted.

    Raises:
        InvalidInputError: There are fewer than three chunks, with which vectra fails too.
    """
    if len(chunks) < _FEWEST:
        raise InvalidInputError(f"{len(chunks)} chunks are left to search by words; vectra fails below {_FEWEST}")
    counts = {row: Counter(words(text)) for row, text in chunks.items()}
    average = sum(count.total() for count in counts.values()) / len(counts)
    scores: dict[int, float] = {}
    for word in words(query):
        holding = [row for row, count in counts.items() if word in count]
        rarity = math.log((len(counts) - len(holding) + 0.5) / (len(holding) + 0.5) + 1)
        for row in holding:
            part = _part(counts[row][word], counts[row].total(), average, rarity)
            scores[row] = part + scores.get(row, 0.0)
    ranked = sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))
    return ranked[: min(_MOST, top_k)]


def _part(frequency: int, length: int, average: float, rarity: float) -> float:
    spread = 1 - B + B * (length / average)
    part = frequency * (K1 + 1) / (K1 * spread + frequency) * rarity
    return float(Decimal(part).quantize(_PLACES, ROUND_HALF_UP))
