"""Measure the search of a collection, or of its notes under several encoders."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

from bedside.collection import Collection
from bedside.errors import BedsideWarning, InvalidInputError
from bedside.evaluation.metrics import METRICS, Judgments, Report, evaluate, search_run
from bedside.evaluation.probes import probe
from bedside.evaluation.search_tuning import tune_search
from bedside.evaluation.significance import Comparison, compare
from bedside.evaluation.summary import Summary
from bedside.evaluation.threshold import Scope, choose_threshold
from bedside.remedies import Give
from bedside.types import Document, Encoder, FilterDict, Mode

MODES: tuple[Mode, ...] = ("hybrid", "dense", "sparse")
_DEPTH = 100
_Scope: TypeAlias = "tuple[tuple[str, str | int], ...]"


def evaluate_collection(
    records: Collection,
    queries: Mapping[str, str] | None = None,
    judgments: Judgments | None = None,
    *,
    encoders: Mapping[str, Encoder] | None = None,
    modes: Sequence[Mode] = MODES,
    metrics: Sequence[str] = METRICS,
    filter: FilterDict | None = None,
    all_scopes: bool = False,
    probes: bool = False,
    tune: bool = False,
    questions: Iterable[tuple[Scope, str]] = (),
    false_answers: float = 0.05,
    sample: int = 200,
    seed: int = 0,
    title: str = "Evaluation of a search",
    query_texts: bool = False,
) -> Summary:
    """Measure a search on judged queries, on the notes alone, or both.

    Args:
        records: A collection, or one scope of it.
        queries: Query id -> text; those without a judgment are not asked.
        judgments: Query id -> document id -> grade.
        encoders: Name -> encoder, to be compared: each encodes the notes and queries anew, in memory. Without them the
            collection is asked as it is.
        modes: Which searches; those that need vectors are left out where there are none.
        metrics: See :func:`evaluate`; the first one is tested for significance.
        filter: Only these documents are searched.
        all_scopes: Measure in every scope of a divided collection: each query is asked in the scope that holds the
            documents it is judged by, as its users would ask it.
        probes: Also :func:`probe` the notes.
        tune: Also choose search settings on half of the queries, see :func:`tune_search`.
        questions: Of the whole of a divided collection, each with the scope that it is about: also measure below which
            score a hit is no answer, in each mode, and for notes where there are some. It measures in every scope, and
            keeps nothing; see :func:`choose_threshold`.
        false_answers: The share of hits in wrong scopes that such a score lets through.
        sample: Of each probe.
        seed: Of samples and divisions.
        title: Of the report.
        query_texts: Put the texts of the queries into the report, beside their ids.

    Returns:
        Everything, ready to be saved as a page or as JSON. Systems are compared mode by mode, encoder by encoder.

    Raises:
        InvalidInputError: No document, nothing to measure, queries without judgments, an unknown mode or metric, no
            mode that the collection can search in; or, over all scopes, a query that is judged by documents of
            several of them, or settings to tune.

    Example:
        >>> from bedside import Document
        >>> notes = Collection.open()
        >>> _ = notes.add([Document("Chest pain.", id="a"), Document("Cough.", id="b")])
        >>> evaluate_collection(notes, {"q": "cough"}, {"q": {"b": 1}}).reports["sparse"]["MRR@10"]
        1.0
    """
    unanswerable = list(questions)
    all_scopes = all_scopes or bool(unanswerable)
    parts = records.views() if all_scopes else [records]
    held = {_scope(part): part.get(filter=filter or {}) for part in parts}
    documents = [document for of in held.values() for document in of]
    judged = {id: text for id, text in (queries or {}).items() if id in (judgments or {})}
    if not documents or not (judged or probes or unanswerable):
        raise InvalidInputError(
            "nothing to measure: there must be documents, and judged queries, probes or questions",
            remedies=[Give("queries"), Give("probes", True), Give("questions")],
        )
    if tune and not judged:
        raise InvalidInputError("there must be judged queries to choose settings by", about=Give("tune", tune))
    if tune and all_scopes:
        raise InvalidInputError("settings are chosen in one scope at a time", about=Give("tune", tune))
    if encoders is not None and not isinstance(encoders, Mapping):
        raise InvalidInputError(f"encoders: expected name -> encoder, got {type(encoders).__name__}")
    if judged:
        _check_measures(modes, metrics)
    _warn_of_other_ids(judged, judgments or {}, documents)
    named: dict[str, Encoder | None] = {**encoders} if encoders else {"": records.encoder}
    reports = {}
    asked = _asked(judged, judgments or {}, held) if all_scopes else {}
    if judged and judgments:
        known = {id: judgments[id] for id in judged}
        keys = records.scope_keys if all_scopes else ()
        for name, searched in _searched(records, named, documents, keys, again=bool(encoders)):
            for mode in _possible(searched, modes):
                run: dict[str, list[str]] = {}
                for part in searched.views() if all_scopes else [searched]:
                    own = asked.get(_scope(part), {}) if all_scopes else judged
                    run |= search_run(part, own, top_k=_DEPTH, mode=mode, filter=filter)
                reports[f"{name} {mode}".strip()] = evaluate(run, known, metrics)
    last = list(named.values())[-1]
    return Summary(
        title,
        reports,
        list(_compared(reports, list(named), metrics[0])),
        {name or "the notes": probe(documents, e, sample=sample, seed=seed) for name, e in named.items()}
        if probes
        else None,
        tune_search(documents, judged, judgments or {}, last, metric=metrics[0], seed=seed) if tune else None,
        {"documents": len(documents), "encoders": ", ".join(e.name for e in named.values() if e) or "none"},
        [
            choose_threshold(records, unanswerable, false_answers=false_answers, mode=mode, notes=of_notes, store=False)
            for of_notes in (False, True)
            for mode in (_possible(records, modes) if unanswerable else ())
            if not of_notes or any("source_hash" in document.metadata for document in documents)
        ],
        judged if query_texts else None,
    )


def _scope(part: Collection) -> _Scope:
    return tuple(part.scope.items())


def _asked(
    judged: Mapping[str, str], judgments: Judgments, held: Mapping[_Scope, Sequence[Document]]
) -> dict[_Scope, dict[str, str]]:
    """Return the queries of each scope: those that are judged by its documents."""
    of: dict[str | None, list[_Scope]] = {}
    for scope, documents in held.items():
        for document in documents:
            of.setdefault(document.id, []).append(scope)
    asked: dict[_Scope, dict[str, str]] = {}
    for id, text in judged.items():
        scopes = {scope for document in judgments[id] for scope in of.get(document, [])}
        if len(scopes) > 1:
            raise InvalidInputError(f"judgments: query {id!r} is judged by documents of several scopes")
        asked.setdefault(next(iter(scopes), next(iter(held))), {})[id] = text
    return asked


def _warn_of_other_ids(judged: Mapping[str, str], judgments: Judgments, documents: Sequence[Document]) -> None:
    """Say where nothing can be found because the judgments are of other documents."""
    there = {document.id for document in documents}
    if judged and not any(id in there for query in judged for id in judgments[query]):
        warnings.warn("judgments: none of the judged documents is in the collection", BedsideWarning, stacklevel=3)


def _searched(
    records: Any, named: Mapping[str, Encoder | None], documents: Sequence[Any], keys: Sequence[str], *, again: bool
) -> Iterator[tuple[str, Any]]:
    """Each system: the collection itself, or its documents under another encoder."""
    if not again:
        yield "", records
        return
    for name, encoder in named.items():
        with Collection.open(encoder=encoder, scope_keys=keys) as other:
            other.add(documents)
            yield name, other


def _possible(records: Collection, modes: Sequence[Mode]) -> list[Mode]:
    """BM25 alone where queries cannot be encoded or there are no vectors."""
    possible = [mode for mode in modes if mode == "sparse" or (records.encoder is not None and records.dimension)]
    if not possible:
        raise InvalidInputError(f"modes: {', '.join(modes)} needs an encoder, and documents with vectors")
    return possible


def _check_measures(modes: Sequence[str], metrics: Sequence[str]) -> None:
    """Refuse unknown modes and metrics before anything is encoded."""
    if isinstance(modes, str) or not modes or not set(modes) <= set(MODES):
        raise InvalidInputError(f"modes: expected some of {', '.join(MODES)}, got {modes!r}")
    evaluate({}, {"query": {"document": 1}}, metrics)


def _compared(
    reports: Mapping[str, Report], systems: Sequence[str], metric: str
) -> Iterator[tuple[str, str, Comparison]]:
    """Encoders under the same mode; modes where there is one encoder. The first is the baseline."""
    for a, b in combinations(reports, 2):
        if len(systems) == 1 or a.rpartition(" ")[2] == b.rpartition(" ")[2]:
            yield a, b, compare(reports[a], reports[b], metric)
