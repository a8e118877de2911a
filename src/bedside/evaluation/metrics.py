"""Ranking metrics on judged queries: a test set in BEIR layout, a run of it, its report."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias

from bedside.collection import Collection
from bedside.errors import InvalidInputError, MissingExtraError
from bedside.formats.json_lines import lines, objects
from bedside.types import Document, Matrix

METRICS = ("nDCG@10", "recall@10", "recall@100", "MRR@10")
"""What is reported unless said otherwise."""

Judgments: TypeAlias = Mapping[str, Mapping[str, int]]
"""Query id -> document id -> grade; a document that is not named has grade 0."""
Run: TypeAlias = Mapping[str, Sequence[str]]
"""Query id -> document ids, best first."""

# The names of the field on the left, those of ir-measures on the right.
_ALIASES = {"recall": "R", "precision": "P", "MRR": "RR", "MAP": "AP"}
# Queries searched in one call: enough for a matrix product, few enough that their scores stay small.
_BATCH = 64


@dataclass(frozen=True)
class RetrievalSet:
    """Documents, queries, and which answer which.

    Attributes:
        name: The folder's name.
        documents: In the order of the file.
        queries: Query id -> text, in the order of the file; those without a judgment are left out.
        judgments: Query id -> document id -> grade above 0.
        query_metadata: Query id -> the query's ``metadata``.
    """

    name: str
    documents: tuple[Document, ...]
    queries: Mapping[str, str]
    judgments: Judgments
    query_metadata: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Report:
    """The values of some metrics for one run.

    Attributes:
        means: Metric -> mean over the judged queries.
        per_query: Metric -> query id -> value.
    """

    means: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]

    def __getitem__(self, metric: str) -> float:
        """The mean of one metric."""
        return self.means[metric]

    def mean(self, metric: str, query_ids: Sequence[str]) -> float:
        """The mean of one metric over some of the queries; NaN for none."""
        values = [self.per_query[metric][id] for id in query_ids]
        return sum(values) / len(values) if values else float("nan")


def load_retrieval_set(
    folder: str | os.PathLike[str], *, judgments: str = "qrels.tsv", with_titles: bool = False
) -> RetrievalSet:
    """Load a folder in BEIR layout (Thakur et al., NeurIPS 2021).

    Args:
        folder: Holds ``corpus.jsonl`` (``_id``, ``text``, optional ``title`` and ``metadata``), ``queries.jsonl``
            (``_id``, ``text``) and the judgments.
        judgments: File in ``folder``, tab-separated with a header line: query id, document id, grade. BEIR's own
            downloads have ``qrels/test.tsv``.
        with_titles: Put a document's title before its text, instead of under ``title`` in its metadata, where a
            collection reads it as a field.

    Raises:
        InvalidInputError: A file is missing, a line does not parse, an id comes twice, or a judged query has no text;
            the message names file and line.
    """
    folder = Path(folder)
    judged = _read_judgments(folder / judgments)
    queries = _read_records(folder / "queries.jsonl")
    if missing := judged.keys() - queries.keys():
        raise InvalidInputError(f"{folder / judgments}: query {min(missing)!r} is not in queries.jsonl")
    asked = {id: record for id, record in queries.items() if id in judged}
    corpus = _read_records(folder / "corpus.jsonl")
    return RetrievalSet(
        name=folder.resolve().name,
        documents=tuple(_document(record, with_title=with_titles) for record in corpus.values()),
        queries={id: record["text"] for id, record in asked.items()},
        judgments=judged,
        query_metadata={id: record.get("metadata", {}) for id, record in asked.items()},
    )


def load_queries(
    queries: str | os.PathLike[str], judgments: str | os.PathLike[str]
) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """Read judged queries from two files.

    Args:
        queries: JSON Lines with ``_id`` and ``text``.
        judgments: Tab-separated with a header line: query id, document id, grade.

    Returns:
        Query id -> text of the judged ones, and query id -> document id -> grade above 0.

    Raises:
        InvalidInputError: As :func:`load_retrieval_set`.
    """
    judged, asked = _read_judgments(Path(judgments)), _read_records(Path(queries))
    if missing := judged.keys() - asked.keys():
        raise InvalidInputError(f"{judgments}: query {min(missing)!r} is not in {queries}")
    return {id: record["text"] for id, record in asked.items() if id in judged}, judged


def search_run(
    collection: Collection,
    queries: Mapping[str, str],
    *,
    top_k: int = 100,
    vectors: Matrix | None = None,
    **options: Any,
) -> dict[str, list[str]]:
    """Ask a collection every query.

    Args:
        collection: Its search is measured.
        queries: Query id -> text.
        top_k: Depth of the rankings; at least that of the deepest metric.
        vectors: ``[n, d]`` float32, one for each query in their order, instead of encoding the texts.
        **options: Those of :meth:`bedside.Collection.search`: ``mode``, ``alpha``, ``fusion``, …

    Returns:
        Query id -> document ids, best first.

    Raises:
        InvalidInputError: ``queries`` is not a mapping, or ``vectors`` has another length.
    """
    _check_mapping("queries: expected query id -> text", queries)
    if vectors is not None and len(vectors) != len(queries):
        raise InvalidInputError(f"vectors: expected {len(queries)}, one for each query, got {len(vectors)}")
    ids, texts = list(queries), list(queries.values())
    run: dict[str, list[str]] = {}
    for start in range(0, len(ids), _BATCH):
        part = slice(start, start + _BATCH)
        chosen = None if vectors is None else vectors[part]
        answers = collection.search(texts[part], vectors=chosen, top_k=top_k, **options)
        run.update((id, [hit.id for hit in hits]) for id, hits in zip(ids[part], answers, strict=True))
    return run


def evaluate(run: Run, judgments: Judgments, metrics: Sequence[str] = METRICS) -> Report:
    """Score a run with ir-measures (MacAvaney, Macdonald and Ounis, ECIR 2022).

    The order of a ranking is taken as it is; equal scores are never sorted again.

    Args:
        run: Query id -> document ids, best first. Queries without judgments are ignored, judged ones that are missing
            count as 0.
        judgments: Query id -> document id -> grade; at least one query.
        metrics: ``nDCG@10``, ``recall@100``, ``precision@5``, ``MRR@10``, ``MAP@100``, or any name of ir-measures.
            nDCG's gain is the grade itself, its discount log2(rank + 1).

    Raises:
        InvalidInputError: An unknown metric, no judgments, a ranking that names a document twice, or anything of
            another form.
        MissingExtraError: ir-measures is not installed (extra ``eval``).
    """
    try:
        import ir_measures
    except ModuleNotFoundError as error:
        raise MissingExtraError("ir-measures", "eval") from error
    graded = _graded(judgments)
    _check_mapping("run: expected query id -> document ids", run)
    if isinstance(metrics, str) or not metrics:
        raise InvalidInputError(f"metrics: expected a list of names such as {METRICS}, got {metrics!r}")
    measures = {name: _measure(ir_measures.parse_measure, name) for name in metrics}
    scored = {id: _scores(id, ranking) for id, ranking in run.items() if id in graded}
    found: dict[Any, dict[str, float]] = {measure: dict.fromkeys(graded, 0.0) for measure in measures.values()}
    try:
        for value in ir_measures.iter_calc(list(found), graded, scored):
            found[value.measure][value.query_id] = value.value
    except (ValueError, AssertionError, subprocess.SubprocessError) as error:
        raise InvalidInputError(f"metrics: ir-measures cannot compute one of {', '.join(measures)} here") from error
    per_query = {name: dict(found[measure]) for name, measure in measures.items()}
    return Report({name: sum(values.values()) / len(values) for name, values in per_query.items()}, per_query)


def _check_mapping(expected: str, given: object) -> None:
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"{expected}, got {type(given).__name__}")


def _graded(judgments: Any) -> dict[str, dict[str, int]]:
    """Judgments as ir-measures takes them: plain dicts with plain int, numpy's made so."""
    if not isinstance(judgments, Mapping) or not judgments:
        raise InvalidInputError("judgments: expected query id -> document id -> grade, for at least one query")
    graded: dict[str, dict[str, int]] = {}
    for query, grades in judgments.items():
        if not isinstance(query, str) or not isinstance(grades, Mapping):
            raise InvalidInputError(f"judgments[{query!r}]: expected a str with document id -> grade")
        for document, grade in grades.items():
            if not isinstance(document, str) or not isinstance(grade, Integral):
                raise InvalidInputError(f"judgments[{query!r}][{document!r}]: expected a str with a whole number")
        graded[query] = {document: int(grade) for document, grade in grades.items()}
    return graded


def _measure(parse: Any, name: object) -> Any:
    family, at, depth = name.partition("@") if isinstance(name, str) else ("", "", "")
    try:
        measure = parse(_ALIASES.get(family, family) + at + depth)
        if at and not float(depth) > 0:  # trec_eval ends the process at a cut-off of 0
            raise ValueError("no depth")
    except (NameError, ValueError, SyntaxError, TypeError, AssertionError) as error:
        raise InvalidInputError(f"metrics: {name!r} is not a metric; expected names such as {METRICS}") from error
    return measure


def _scores(id: str, ranking: Any) -> dict[str, float]:
    """Scores that fall with the rank: trec_eval sorts by score, and equal ones by id."""
    if isinstance(ranking, (str, Mapping)) or not isinstance(ranking, Iterable):
        raise InvalidInputError(f"run[{id!r}]: expected document ids, best first, got {type(ranking).__name__}")
    ranking = list(ranking)
    if wrong := [i for i, document in enumerate(ranking) if not isinstance(document, str)]:
        raise InvalidInputError(
            f"run[{id!r}][{wrong[0]}]: expected a document id, got {type(ranking[wrong[0]]).__name__}"
        )
    scores = {document: -float(rank) for rank, document in enumerate(ranking)}
    if len(scores) < len(ranking):
        raise InvalidInputError(f"run[{id!r}]: a document comes twice in one ranking")
    return scores


def _document(record: Mapping[str, Any], *, with_title: bool) -> Document:
    title, metadata = record.get("title", ""), record.get("metadata", {})
    if title and with_title:
        return Document(f"{title}\n{record['text']}", metadata, record["_id"])
    return Document(record["text"], {"title": title, **metadata} if title else metadata, record["_id"])


def _read_records(file: Path) -> dict[str, dict[str, Any]]:
    records: dict[str, dict[str, Any]] = {}
    for where, record in objects(file):
        if not all(isinstance(record.get(key), str) for key in ("_id", "text")):
            raise InvalidInputError(f"{where}: expected an object with the strings _id and text")
        if record["_id"] in records:
            raise InvalidInputError(f"{where}: the _id {record['_id']!r} was there before")
        records[record["_id"]] = record
    return records


def _read_judgments(file: Path) -> dict[str, dict[str, int]]:
    judgments: dict[str, dict[str, int]] = {}
    if not file.is_file():
        raise InvalidInputError(f"{file} is missing")
    for number, line in lines(file):
        try:
            query, document, grade = line.decode().rstrip("\r\n").split("\t")
            score = int(grade)
        except ValueError as error:
            if number == 1:  # the header; if there is none, the first line is a judgment like the others
                continue
            raise InvalidInputError(
                f"{file}, line {number}: expected query id, document id and a whole number"
            ) from error
        if score > 0:
            judgments.setdefault(query, {})[document] = score
    return judgments
