"""One evaluation as a self-contained HTML page or as JSON: metrics with intervals, paired tests, probes, choices."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from bedside.errors import InvalidInputError
from bedside.evaluation import curves
from bedside.evaluation.metrics import Report
from bedside.evaluation.probes import Probe
from bedside.evaluation.search_tuning import SearchTuning
from bedside.evaluation.significance import Comparison, Interval, confidence_interval
from bedside.evaluation.threshold import Threshold

_WORST = 10
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2433;--soft:#5a6478;--line:#d9dee8;--bar:#3b6fb6;--paper:#fff;--good:#1a7f4b}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9f0;--soft:#9aa4b8;--line:#333b4d;--bar:#7aa7e8;--paper:#161a22;
--good:#5fca91}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:60rem;
padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);
text-align:right;font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
p,figcaption{color:var(--soft)}td.chart{width:16rem}svg{display:block}.bar{fill:var(--bar)}
.whisker{stroke:var(--ink);stroke-width:1.5}.track{fill:var(--line)}.yes{color:var(--good);font-weight:600}
.curve{fill:none;stroke:var(--bar);stroke-width:2}figure{margin:1rem 0}
"""


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

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON: intervals of every metric, and every query's value; query ids, never texts."""
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
        }

    def to_html(self) -> str:
        """The page: no script, no request; query ids, never texts."""
        parts = [
            _facts(self.facts or {}),
            *(_report(name, report) for name, report in self.reports.items()),
            _comparisons(self.comparisons),
            *(_probes(name, results) for name, results in (self.probes or {}).items()),
            _choices(self.choices),
            *(_threshold(threshold) for threshold in self.thresholds),
            *(_hardest(name, report) for name, report in self.reports.items()),
        ]
        made = datetime.now(timezone.utc).isoformat(timespec="minutes")
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(self.title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
            f"<h1>{_text(self.title)}</h1><p>Made {made} with Bedside {version('bedside')}. "
            f"Whiskers are 95 % bootstrap intervals over queries.</p>{''.join(parts)}</body></html>\n"
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


def _facts(facts: Mapping[str, object]) -> str:
    return _table(["", ""], [[_text(name), _text(value)] for name, value in facts.items()]) if facts else ""


def _report(name: str, report: Report) -> str:
    rows = [[_text(metric), *_measured(interval)] for metric, interval in _intervals(report).items()]
    queries = len(next(iter(report.per_query.values()), {}))
    return f"<h2>{_text(name)}</h2><p>{queries} judged queries</p>" + _table(["metric", "mean", "95 %", ""], rows)


def _comparisons(comparisons: Iterable[tuple[str, str, Comparison]]) -> str:
    rows = [
        [f"{_text(a)} → {_text(b)}", _text(c.metric), f"{c.first:.3f}", f"{c.second:.3f}",
         f"{c.difference.mean:+.3f} ({c.difference.low:+.3f} to {c.difference.high:+.3f})",
         f'<span class="yes">{c.p_value:.4f}</span>' if c.significant() else f"{c.p_value:.4f}",
         f"{c.better} / {c.worse}"]
        for a, b, c in comparisons
    ]  # fmt: skip
    if not rows:
        return ""
    head = ["systems", "metric", "first", "second", "difference (95 %)", "p", "better / worse"]
    return (
        "<h2>Paired tests</h2><p>Two-sided, on the same queries; p below 0.05 is set in green. Many tests at once make "
        "one of them small by chance.</p>" + _table(head, rows)
    )


def _probes(name: str, results: Sequence[Probe]) -> str:
    rows = [
        [_text(p.name), _text(p.mode), _text(p.metric), str(p.queries), f"{p.chance:.1f}", *_measured(p.interval)]
        for p in results
    ]
    head = ["test", "mode", "metric", "queries", "chance", "mean", "95 %", ""]
    return f"<h2>Without judgments: {_text(name)}</h2>" + _table(head, rows) if rows else ""


def _choices(choices: SearchTuning | None) -> str:
    if choices is None:
        return ""
    c = choices.comparison
    rows = [[_text(name), _text(value)] for name, value in asdict(choices.settings).items()]
    return (
        f"<h2>Search settings</h2><p>Chosen on {len(choices.tuned_on)} queries from {len(choices.tried)} trials. On "
        f"the {len(choices.measured_on)} others, {_text(c.metric)} is {c.second:.3f} against {c.first:.3f} with the "
        f"defaults (p = {c.p_value:.4f}).</p>" + _table(["setting", "chosen"], rows)
    )


def _threshold(threshold: Threshold) -> str:
    rows = [[f"{p.min_score:.4f}", f"{p.false_answers:.3f}", f"{p.kept:.3f}"] for p in curves.steps(threshold)]
    return (
        f"<h2>No answer: {_text(threshold.name)}</h2><p>{threshold.questions} questions, asked {threshold.pairs} times "
        f"where they cannot be answered; AUROC {threshold.auroc:.3f}. With min_score {threshold.min_score:.4f}, "
        f"{threshold.false_answers:.3f} of these get a hit, and {threshold.kept:.3f} of the questions keep theirs "
        f"where they belong. To the right: false answers, 0 to 1; upwards: questions that keep their hit.</p>"
        f"<figure>{curves.picture(threshold)}</figure>" + _table(["min_score", "false answers", "kept"], rows)
    )


def _hardest(name: str, report: Report) -> str:
    metric, values = next(iter(report.per_query.items()), ("", {}))
    worst = sorted(values, key=lambda id: values[id])[:_WORST]
    rows = [[_text(id), f"{values[id]:.3f}"] for id in worst]
    return f"<h2>Hardest queries: {_text(name)}</h2>" + _table(["query", _text(metric)], rows) if rows else ""


def _measured(interval: Interval) -> list[str]:
    return [f"{interval.mean:.3f}", f"{interval.low:.3f} to {interval.high:.3f}", _bar(interval)]


def _bar(interval: Interval, width: int = 240) -> str:
    """A bar from 0 to 1 with its interval."""
    mean, low, high = (max(0.0, min(1.0, value)) * width for value in (interval.mean, interval.low, interval.high))
    return (
        f'<svg width="{width}" height="14" role="img" aria-label="{interval.mean:.3f}">'
        f'<rect class="track" width="{width}" height="10" y="2" rx="2"/>'
        f'<rect class="bar" width="{mean:.1f}" height="10" y="2" rx="2"/>'
        f'<path class="whisker" d="M{low:.1f} 7H{high:.1f}M{low:.1f} 3v8M{high:.1f} 3v8"/></svg>'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    return html.escape(str(value))
