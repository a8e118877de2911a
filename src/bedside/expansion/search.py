"""Search for a query and for what else its terms are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bedside.collection import Collection
from bedside.expansion.offers import Expansion, Offer
from bedside.search.options import SearchArguments
from bedside.text.senses import Reading, ShortForm, read_sense, writes_out
from bedside.types import FilterDict, Hit

__all__ = ["search_expanded"]

_DEEPER = 4  # times as many hits are asked for where some of them may mean something else
_LOOKED_AT = 20  # hits for each meaning: the best have all of its words
_SECTION_KEYS = ("section", "section_kind")


def search_expanded(
    records: Collection,
    expansion: Expansion,
    *,
    top_k: int = 10,
    offset: int = 0,
    min_score: float | None = None,
    **options: Any,
) -> list[Hit]:
    """Search for a query and for each of its applied additions; a document keeps its best score.

    An ambiguous short form in the query is applied if the visible documents write out only one of its meanings. A short
    form of a term of the query ("CP" for "chest pain") counts in the documents that mean it so: by the words beside it,
    by the section that they stand in (metadata ``section``), or because only this meaning is written out anywhere.

    A match of an addition counts its weight times its score, so scores stay on the scale of the mode, and the query's
    own words come first where both match alike.

    Args:
        records: A collection or a scoped view.
        expansion: What :func:`expand` returned, with choices made or not.
        top_k: How many hits at most.
        offset: Skip so many hits, for paging.
        min_score: Leave out hits below it, after their weight.
        **options: As for ``search``. With ``explain=True`` each hit's formula names the addition that found it.

    Returns:
        Hits, best first; ties go to the query's own words, then to the better rank.
    """
    decided = _written_out(records, expansion, options.get("filter"))
    for term, texts in expansion.ambiguous.items():
        if reading := decided.get(frozenset(texts)):
            expansion = expansion.settle(term, *reading)
    offers = [None, *(offer for offer in expansion.offers if offer.applied or offer.short)]
    queries = [expansion.query if offer is None else expansion.replaced(offer) for offer in offers]
    deeper = _DEEPER if any(offer and offer.short for offer in offers) else 1
    answers = records.search(queries, top_k=(offset + top_k) * deeper, **options)
    best: dict[str, Hit] = {}
    for hits, offer in zip(answers, offers, strict=True):
        for hit in hits if offer is None else _counted(hits, offer, decided):
            if hit.id not in best or hit.score > best[hit.id].score:
                best[hit.id] = hit
    ranked = sorted(best.values(), key=lambda hit: -hit.score)
    kept = ranked if min_score is None else [hit for hit in ranked if hit.score >= min_score]
    return kept[offset : offset + top_k]


def _counted(hits: Iterable[Hit], offer: Offer, decided: Mapping[frozenset[str], Reading]) -> Iterator[Hit]:
    """The hits that an addition found, with its weight; of a short form, those that mean what was asked for."""
    for hit in hits:
        if offer.short is None:
            yield _weighted(hit, offer)
        elif (reading := _read(hit, offer.short, decided)) and reading.meaning == offer.short.meant:
            yield _weighted(hit, replace(offer, reason=reading.reason))


def _read(hit: Hit, short: ShortForm, decided: Mapping[frozenset[str], Reading]) -> Reading | None:
    if not short.stands_in(hit.text):
        return None
    section = " ".join(str(hit.metadata[key]) for key in _SECTION_KEYS if hit.metadata.get(key))
    return read_sense(short.meanings, hit.text, section) or decided.get(frozenset(short.meanings))


def _written_out(records: Collection, expansion: Expansion, filter: FilterDict | None) -> dict[frozenset[str], Reading]:
    """Of each set of meanings the one that the visible documents write out, if they write out only one."""
    unsure = {frozenset(texts) for texts in expansion.ambiguous.values()}
    unsure |= {frozenset(offer.short.meanings) for offer in expansion.offers if offer.short}
    meanings = sorted(frozenset[str]().union(*unsure))
    if not meanings:
        return {}
    # "denies chest pain" writes the meaning out as well
    options: SearchArguments = {"mode": "sparse", "top_k": _LOOKED_AT, "filter": filter, "assertion": "any"}
    answers = dict(zip(meanings, records.search(meanings, **options), strict=True))
    written = {meaning for meaning, hits in answers.items() if any(writes_out(hit.text, meaning) for hit in hits)}
    return {
        several: Reading(meaning, f'of its meanings only "{meaning}" is written out anywhere')
        for several in unsure
        for meaning in written & several
        if len(written & several) == 1
    }


def _weighted(hit: Hit, offer: Offer) -> Hit:
    """The same hit with its score, and the parts that sum to it, times the weight of what found it."""
    why, weight = hit.explanation, offer.weight
    if why is not None:
        formula = f"{offer}: {weight:g} * ({why.formula})"
        signals = {name: value * weight for name, value in why.signals.items()}
        why = replace(why, dense=why.dense * weight, sparse=why.sparse * weight, formula=formula, signals=signals)
    return replace(hit, score=hit.score * weight, explanation=why)
