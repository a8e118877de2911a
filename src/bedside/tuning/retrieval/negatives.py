"""Hard negatives: passages that a search finds for a query and that nobody said answer it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bedside.collection import Collection
from bedside.support.progress import progress
from bedside.tuning.reading import folded
from bedside.tuning.retrieval.pairs import Pair
from bedside.types import Document, Encoder, Mode

_BATCH = 64
_MODES: tuple[Mode, ...] = ("sparse", "dense")


def mine_negatives(
    pairs: Iterable[Pair], encoder: Encoder, *, corpus: Sequence[str] = (), count: int = 1, skip: int = 10
) -> list[Pair]:
    """Give each pair hard negatives, found by a collection's own BM25 and dense search, in turn.

    What is a positive of the query in any pair is never its negative. Copies of positives under other white space or
    case are left out as well.

    Args:
        pairs: Those that bring a negative keep it.
        encoder: Makes the vectors.
        corpus: Passages to search besides the positives.
        count: Negatives for each pair; one row each.
        skip: How many of the best hits of either search are passed over, since unjudged answers stand there.

    Returns:
        ``count`` rows for each pair, fewer where the search found fewer, one without a negative where it found none.

    Example:
        >>> from bedside import load_encoder
        >>> known = [Pair("heart attack", "Myocardial infarction."), Pair("low sugar", "Hypoglycaemia.")]
        >>> mine_negatives(known, load_encoder("bedside/static"), skip=0)[0].negative
        'Hypoglycaemia.'
    """
    pairs = list(pairs)
    texts = list(dict.fromkeys([pair.positive for pair in pairs] + list(corpus)))
    answers: dict[str, set[str]] = {}
    for pair in pairs:
        answers.setdefault(pair.query, set()).add(folded(pair.positive))
    queries = list(dict.fromkeys(pair.query for pair in pairs if pair.negative is None))
    found = _search(queries, texts, encoder, depth=skip + count + max(map(len, answers.values()), default=0))
    mined: list[Pair] = []
    for pair in pairs:
        wrong = [] if pair.negative else _pick(found[pair.query], answers[pair.query], count, skip)
        mined += [Pair(pair.query, pair.positive, text) for text in wrong] or [pair]
    return mined


def _search(queries: Sequence[str], texts: Sequence[str], encoder: Encoder, depth: int) -> dict[str, list[list[str]]]:
    """For each query the hits of BM25 and of the dense search, best first."""
    found: dict[str, list[list[str]]] = {query: [] for query in queries}
    with Collection.open(encoder=encoder) as collection, progress(2 * len(queries), "mining", "query") as advance:
        collection.add(Document(text) for text in texts)
        for start in range(0, len(queries), _BATCH):
            batch = list(queries[start : start + _BATCH])
            for mode in _MODES:
                answers = collection.search(batch, mode=mode, top_k=depth)
                for query, hits in zip(batch, answers, strict=True):
                    found[query].append([hit.text for hit in hits])
                advance(len(batch))
    return found


def _pick(rankings: Sequence[Sequence[str]], answers: set[str], count: int, skip: int) -> list[str]:
    """Texts in turn from each ranking, the best of each passed over."""
    wrong = [[text for text in ranking if folded(text) not in answers][skip:] for ranking in rankings]
    turns = [text for i in range(max(map(len, wrong), default=0)) for ranking in wrong for text in ranking[i : i + 1]]
    return list(dict.fromkeys(turns))[:count]
