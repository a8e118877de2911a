"""Commands that measure and explain a search: eval, calibrate, explain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.table import Table

from bedside.cli.lines import one_line
from bedside.cli.options import (
    AllScopes,
    CollectionPath,
    Filter,
    Json,
    Model,
    Scope,
    asking,
    load,
    one_of,
    parse_filter,
    part,
    print_json,
    print_rows,
    reading,
    terminal,
)
from bedside.cli.search_options import Query, question, with_search_options
from bedside.engines import shown
from bedside.types import Hit, Mode

if TYPE_CHECKING:
    from bedside.evaluation import Summary, Threshold, ThresholdPoint


def _metrics() -> list[str]:
    """Complete the metrics that are computed unless others are named; any cut-off is taken."""
    from bedside.evaluation.metrics import METRICS

    return list(METRICS)


def evaluate(
    path: CollectionPath,
    queries: Annotated[Path | None, typer.Option(metavar="FILE", help="JSON Lines with _id and text.")] = None,
    qrels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tab-separated with a header line: query, document, grade.")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="MODEL MODEL", help="Two encoders: each encodes the notes again, in memory."),
    ] = None,
    encoder: Model = None,
    mode: Annotated[
        list[str] | None, typer.Option(help="hybrid, dense or sparse; may be repeated.", **one_of(get_args(Mode)))
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="nDCG@10, recall@100, MAP@100, …; may be repeated; the first is tested.", autocompletion=_metrics
        ),
    ] = None,
    probes: Annotated[bool, typer.Option("--probes", help="Also test without judgments, on the notes alone.")] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Also choose alpha, k1, b and stemming on half of the queries.")
    ] = False,
    questions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also measure what is no answer; as for calibrate.")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Notes or sentences in each test without judgments.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of samples and divisions.")] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page (.html) or everything (.json).")
    ] = None,
    query_texts: Annotated[
        bool, typer.Option("--query-texts", help="Put the texts of the queries into the report, not their ids alone.")
    ] = False,
    filter: Filter = None,
    scope: Scope = None,
    all_scopes: AllScopes = False,
    json: Json = False,
) -> None:
    """Measure a search on judged queries, compare two encoders, or test it on the notes alone."""
    from bedside.evaluation import METRICS, evaluate_collection, load_queries, load_questions
    from bedside.evaluation.collection import MODES
    from bedside.evaluation.summary import report_file

    if (queries is None) != (qrels is None) or (queries is None and questions is None and not probes):
        raise typer.BadParameter("give --queries with --qrels, --questions, or --probes")
    if questions is not None and (compare or scope):
        raise typer.BadParameter("--questions: are asked in every scope of the collection, with its own encoder")
    if compare and compare[0] == compare[1]:
        raise typer.BadParameter("--compare: give two different encoders")
    if report is not None:
        report_file(report)
    asked, judged = load_queries(queries, qrels) if queries and qrels else (None, None)
    modes: Any = mode or MODES
    encoders: Any = {name: load(name) for name in compare or ()}
    with reading(path) if compare else asking(path, encoder) as collection:
        summary = evaluate_collection(
            part(collection, scope, all_scopes=all_scopes),
            asked,
            judged,
            encoders=encoders,
            modes=modes,
            metrics=metric or METRICS,
            filter=parse_filter(filter),
            all_scopes=all_scopes,
            probes=probes,
            tune=tune,
            questions=load_questions(questions, collection.scope_keys) if questions else (),
            sample=sample,
            seed=seed,
            query_texts=query_texts,
            title=f"Search of {Path(shown(path)).name}",
        )
    _tell(summary, report, json=json)


def calibrate(
    path: CollectionPath,
    questions: Annotated[
        Path, typer.Argument(metavar="QUESTIONS", help="JSON Lines with text and a value for each scope key.")
    ],
    false_answers: Annotated[
        float, typer.Option(help="Share of the questions that may get a hit where they cannot be answered.")
    ] = 0.05,
    mode: Annotated[
        list[str] | None, typer.Option(help="hybrid, dense or sparse; may be repeated; by default what searches have.")
    ] = None,
    notes: Annotated[bool, typer.Option("--notes", help="For search-notes, not for search.")] = False,
    encoder: Model = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page (.html) or everything (.json).")
    ] = None,
    json: Json = False,
) -> None:
    """Choose the score below which a hit is no answer, and keep it for searches with --min-score calibrated."""
    from bedside.evaluation import Summary, choose_threshold, load_questions
    from bedside.evaluation.summary import report_file

    if report is not None:
        report_file(report)
    modes: Any = mode or [None]  # the collection says which modes there are
    with asking(path, encoder, read_only=False) as collection:
        asked = load_questions(questions, collection.scope_keys)
        found = [
            choose_threshold(collection, asked, false_answers=false_answers, mode=each, notes=notes) for each in modes
        ]
    summary = Summary(f"No answer in {Path(shown(path)).name}", {}, thresholds=found)
    _tell(summary, report, json=json)


@with_search_options("explain", top_k=5)
def explain(
    path: CollectionPath,
    query: Query = None,
    encoder: Model = None,
    scope: Scope = None,
    json: Json = False,
    **options: Any,
) -> None:
    """Show the arithmetic of each hit: cosine, every term's part of BM25, fusion, filter and scope; never its text."""
    with question(path, encoder, scope, options) as (view, asked):
        hits = view.search(query, explain=True, **asked)
    for rank, hit in enumerate(hits, 1):
        if json:
            print_json({"rank": rank, **_explained(hit)})
        else:
            _print_arithmetic(rank, _explained(hit))


def _explained(hit: Hit) -> dict[str, Any]:
    found = {} if hit.explanation is None else asdict(hit.explanation)
    terms = dict(sorted(found.pop("terms", {}).items(), key=lambda entry: -entry[1]))
    halves = {"dense": found.pop("dense", None), "sparse": found.pop("sparse", None)}
    parts = {**halves, **found.pop("signals", {})}
    return {"id": hit.id, "score": hit.score, "cosine": hit.dense, "bm25": hit.sparse, "terms": terms, "parts": parts,
            **found}  # fmt: skip


def _print_arithmetic(rank: int, facts: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False, title=f"{rank}. {one_line(facts['id'])}")
    table.title_justify = "left"
    table.add_row("cosine", _number(facts["cosine"]))
    table.add_row("BM25", _number(facts["bm25"]))
    for term, score in facts["terms"].items():
        table.add_row(f"  {one_line(term)}", _number(score))
    table.add_row("formula", facts["formula"])
    for name, score in facts["parts"].items():
        table.add_row(f"{name} part", _number(score))
    table.add_row("score", _number(facts["score"]))
    table.add_row("filter", one_line(str(facts["filter"] or "none")))
    table.add_row("scope", one_line(str(dict(facts["scope"]) or "none")))
    terminal().print(table)


def _tell(summary: Summary, report: Path | None, *, json: bool) -> None:
    """Write the report that was asked for, and print what it says."""
    if report is not None:
        summary.save(report)
    if json:
        print_json(summary.to_json())
    else:
        _print_summary(summary)
        if summary.few:
            typer.echo(summary.few, err=True)


def _print_summary(summary: Summary) -> None:
    found = chain(_rows(summary.to_json()), chain.from_iterable(map(_threshold_rows, summary.thresholds)))
    rows = ([one_line(cell) for cell in row] for row in found)
    print_rows(("what", "metric", "result", "test"), rows)


def _rows(document: dict[str, Any]) -> Iterator[list[str]]:
    for system, metrics in document["reports"].items():
        for metric, interval in metrics.items():
            yield [system, metric, _interval(interval)]
    for result in document["comparisons"]:
        difference, chance = f"{result['difference']['mean']:+.3f}", f"p = {result['p_value']:.4f}"
        yield [" to ".join(result["systems"]), result["metric"], difference, chance]
    for name, results in document["probes"].items():
        for found in results:
            yield [f"{name}, {found['name']}, {found['mode']}", found["metric"], _interval(found["interval"])]
    if choices := document["choices"]:
        settings = ", ".join(f"{name} {value}" for name, value in choices["settings"].items())
        result = choices["comparison"]
        against = f"{result['second']:.3f} against {result['first']:.3f} with the defaults, on the other half"
        yield [f"chosen: {settings}", result["metric"], against, f"p = {result['p_value']:.4f}"]


def _threshold_rows(threshold: Threshold) -> Iterator[list[str]]:
    from bedside.evaluation.curves import steps

    name = f"no answer, {threshold.name}"
    yield [name, "AUROC", f"{threshold.auroc:.3f}", f"{threshold.questions} questions"]
    yield [f"{name}: chosen", *_cost(threshold)]
    for point in steps(threshold):
        yield [name, *_cost(point)]


def _cost(point: Threshold | ThresholdPoint) -> list[str]:
    return ["min_score", f"{point.min_score:.4f}", f"{point.kept:.3f} kept, {point.false_answers:.3f} false answers"]


def _interval(interval: dict[str, float]) -> str:
    return f"{interval['mean']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def _number(value: float | None) -> str:
    return "not computed" if value is None else f"{value:.6f}"


COMMANDS = {"eval": evaluate, "calibrate": calibrate, "explain": explain}
