"""One evaluation as a self-contained HTML page or as JSON: metrics with intervals, paired tests, probes, choices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from bedside.errors import InvalidInputError
from bedside.evaluation import curves
from bedside.evaluation.metrics import Report
from bedside.evaluation.probes import Probe
from bedside.evaluation.search_tuning import SearchTuning
from bedside.evaluation.significance import Comparison, Interval, confidence_interval
from bedside.evaluation.threshold import Threshold
from bedside.pages import render

_WORST = 10
_FEW = 50
"""Queries below which a page says what that means: tracks of TREC judge 50."""


@dataclass(frozen=True)
class Summary:
    """What was measured, for one page.

    Attributes:
        title: Of the page.
        reports: System -> its report.
        comparisons: Names of two systems, and their paired tests.
        probes: Results without judgments, by system.
        choices: Search settings chosen on a half and measured on the other.
        facts: Anything else worth knowing, by name: collection, encoder, number of documents.
        thresholds: Scores below which a hit is no answer, each with its curve.
        texts: Query id -> text, to be shown beside the ids; ``None`` keeps texts out of page and JSON.

    Example:
        >>> print(Summary("Ward", {"BM25": Report({"AP": 0.5}, {"AP": {"q": 0.5}})}).to_json()["reports"]["BM25"]["AP"])
        {'mean': 0.5, 'low': 0.5, 'high': 0.5, 'level': 0.95}
    """

    title: str
    reports: Mapping[str, Report]
    comparisons: Sequence[tuple[str, str, Comparison]] = ()
    probes: Mapping[str, Sequence[Probe]] | None = None
    choices: SearchTuning | None = None
    facts: Mapping[str, object] | None = None
    thresholds: Sequence[Threshold] = ()
    texts: Mapping[str, str] | None = None

    @property
    def few(self) -> str:
        """What is to be known where there are few queries; empty where there are enough, or none."""
        queries = max((len(_queries(report)) for report in self.reports.values()), default=0)
        if not 0 < queries < _FEW:
            return ""
        return (
            f"Only {queries} judged {'query' if queries == 1 else 'queries'}: below {_FEW}, intervals are wide and may "
            "still be too narrow, and a difference that is not significant may be there all the same."
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON: intervals of every metric, and every query's value; texts of queries only if given."""
        return {
            "title": self.title,
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "bedside": version("bedside"),
            "facts": dict(self.facts or {}),
            "reports": {name: {m: asdict(i) for m, i in _intervals(r).items()} for name, r in self.reports.items()},
            "per_query": {name: {m: dict(v) for m, v in r.per_query.items()} for name, r in self.reports.items()},
            "comparisons": [{"systems": [a, b], **asdict(result)} for a, b, result in self.comparisons],
            "probes": {name: [asdict(p) for p in results] for name, results in (self.probes or {}).items()},
            "choices": asdict(self.choices) if self.choices else None,
            "thresholds": [asdict(threshold) for threshold in self.thresholds],
            **({} if self.texts is None else {"queries": dict(self.texts)}),
        }

    def to_html(self) -> str:
        """The page: no script, no request; texts of queries only if given.

        Raises:
            MissingExtraError: Jinja2 is not installed (``bedside[pages]``).
        """
        intervals = {name: _intervals(report) for name, report in self.reports.items()}
        metrics = dict.fromkeys(metric for found in intervals.values() for metric in found)
        measured = {m: {name: found.get(m) for name, found in intervals.items()} for m in metrics}
        first = next(iter(metrics), "")
        return render(
            "report.html",
            title=self.title,
            made=datetime.now(timezone.utc).isoformat(timespec="minutes"),
            version=version("bedside"),
            few=self.few,
            facts=self.facts or {},
            systems=list(self.reports),
            queries=max((len(_queries(report)) for report in self.reports.values()), default=0),
            measured=measured,
            best={m: max(found.mean for found in row.values() if found) for m, row in measured.items()},
            tests=_against_first(self.comparisons, list(self.reports)),
            comparisons=self.comparisons,
            probes=self.probes or {},
            choices=self.choices,
            settings=asdict(self.choices.settings) if self.choices else {},
            thresholds=[(threshold, curves.steps(threshold)) for threshold in self.thresholds],
            hardest=_hardest(self.reports, first),
            first_metric=first,
            texts=self.texts or {},
        )

    def save(self, file: str | os.PathLike[str]) -> Path:
        """Write ``*.html`` or ``*.json``.

        Raises:
            InvalidInputError: Another suffix, or there is no such folder.
        """
        path = report_file(file)
        if path.suffix.lower() == ".html":
            path.write_text(self.to_html(), "utf-8")
        else:
            path.write_bytes(orjson.dumps(self.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        return path


def report_file(file: str | os.PathLike[str]) -> Path:
    """The path of a report that could be written, to be asked before minutes are spent on measuring.

    Raises:
        InvalidInputError: Another suffix, or there is no such folder.
    """
    path = Path(file)
    if path.suffix.lower() not in (".html", ".json"):
        raise InvalidInputError(f"{path.name}: expected a name that ends in .html or .json")
    if not path.parent.is_dir():
        raise InvalidInputError(f"{path}: there is no folder {path.parent}")
    return path


def _intervals(report: Report) -> dict[str, Interval]:
    return {metric: confidence_interval(list(values.values())) for metric, values in report.per_query.items()}


def _queries(report: Report) -> Mapping[str, float]:
    return next(iter(report.per_query.values()), {})


def _against_first(
    comparisons: Sequence[tuple[str, str, Comparison]], systems: Sequence[str]
) -> dict[tuple[str, str], Comparison]:
    """Return the tests of the others against the first system, by metric and other system."""
    found = {}
    for one, other, test in comparisons:
        if systems[:1] in ([one], [other]):
            found[test.metric, other if one == systems[0] else one] = test
    return found


def _hardest(reports: Mapping[str, Report], metric: str) -> list[tuple[str, list[float | None]]]:
    """Return the queries with the lowest mean over the systems, the worst first, and each system's value."""
    values = {name: report.per_query.get(metric, {}) for name, report in reports.items()}
    ids = dict.fromkeys(id for found in values.values() for id in found)
    rows = [(id, [found.get(id) for found in values.values()]) for id in ids]
    return sorted(rows, key=lambda row: fmean(value for value in row[1] if value is not None))[:_WORST]
