"""Measure what reading denials, the encoder's own weight, titles and nearness of words are worth, one after the other.

::

    python benchmarks/ranking.py                              # prints; every set under BEDSIDE_DATA
    python benchmarks/ranking.py --output docs/benchmarks.md  # writes its section there

Each step is compared with the one before it on the same queries: differences with 95 % intervals, and p by
randomisation. Steps that change nothing on a set (titles where there are none) are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bedside import Collection, Encoder, SparseSettings
from bedside.engines.facts import own_alpha
from bedside.evaluation import Report, RetrievalSet, compare, evaluate, load_retrieval_set, search_run
from bedside.evaluation.significance import confidence_interval
from bedside.search.options import DEFAULT_ALPHA
from bedside.text.analyzer import title_of
from notes import Known
from report import machine, table, test_sets, today, write_section
from retrieval import MINILM, STATIC, cached, named_encoder

METRIC = "nDCG@10"


class Step(NamedTuple):
    """One more thing that a ranking does."""

    name: str
    title: str | None
    own_weight: bool
    search: Mapping[str, Any]


STEPS = (
    Step('text alone, alpha 0.6, assertion="any"', None, own_weight=False, search={"assertion": "any"}),
    Step('text alone, alpha 0.6, assertion="prefer"', None, own_weight=False, search={}),
    Step("+ the encoder's own weight", None, own_weight=True, search={}),
    Step("+ titles (the default)", "title", own_weight=True, search={}),
    Step('+ rerank="proximity"', "title", own_weight=True, search={"rerank": "proximity"}),
)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="a set (default: all in BEDSIDE_DATA)")
    parser.add_argument("--encoder", nargs="+", default=[STATIC, MINILM])
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    options = parser.parse_args()
    rows = []
    for folder in options.folders or test_sets():
        judged = load_retrieval_set(folder)
        for name in options.encoder:
            rows += [[judged.name, name, *row] for row in _rows(judged, named_encoder(name, "window"))]
            print(f"{judged.name} is done with {name}")
    header = ["set", "encoder", "ranking", METRIC, "95 %", "difference", "95 %", "p"]
    text = f"Measured {today()} on {machine()}.\n\n{table(header, rows)}"
    if options.output:
        write_section("ranking", text, options.output)
    else:
        print(text)


def _rows(judged: RetrievalSet, encoder: Encoder) -> Iterator[list[str]]:
    texts = [document.text for document in judged.documents]
    titles = list(dict.fromkeys(filter(None, (title_of(d.metadata, "title") for d in judged.documents))))
    made = [cached(encoder, "documents", encoder.encode_documents, some) for some in (texts, titles) if some]
    queries = cached(encoder, "queries", encoder.encode_queries, list(judged.queries.values()))
    known = Known(encoder, [*texts, *titles], [vector for vectors in made for vector in vectors])
    before: Report | None = None
    for step in STEPS:
        if not _changes(step, encoder, titles):
            continue
        report = _report(step, judged, known, queries)
        yield [step.name, *_figures(report), *_against(before, report)]
        before = report


def _changes(step: Step, encoder: Encoder, titles: list[str]) -> bool:
    """Whether a step is another ranking than the one before it."""
    if step.search:
        return True
    if step.title is not None:
        return bool(titles)
    return not step.own_weight or own_alpha(encoder) is not None


def _report(step: Step, judged: RetrievalSet, encoder: Encoder, queries: Any) -> Report:
    alpha = None if step.own_weight else DEFAULT_ALPHA
    with Collection.open(encoder=encoder, sparse=SparseSettings(title=step.title), alpha=alpha) as collection:
        collection.add(judged.documents)
        run = search_run(collection, judged.queries, vectors=queries, top_k=10, **step.search)
    return evaluate(run, judged.judgments, [METRIC])


def _figures(report: Report) -> list[str]:
    interval = confidence_interval(list(report.per_query[METRIC].values()))
    return [f"{interval.mean:.3f}", f"{interval.low:.3f} to {interval.high:.3f}"]


def _against(before: Report | None, report: Report) -> list[str]:
    if before is None:
        return ["", "", ""]
    found = compare(before, report, METRIC)
    difference = found.difference
    return [f"{difference.mean:+.4f}", f"{difference.low:+.4f} to {difference.high:+.4f}", f"{found.p_value:.3f}"]


if __name__ == "__main__":
    main()
