"""Measure how notes are found: whole, by their passages, and as :meth:`bedside.Collection.search_notes` ranks them.

::

    python benchmarks/notes.py                          # prints; the notes under BEDSIDE_DATA, with MiniLM
    python benchmarks/notes.py --output docs/benchmarks.md   # writes its sections there

Needs the extras ``transformers`` and ``eval``; encoding takes some minutes once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bedside import Collection, Document, Encoder
from bedside.evaluation import METRICS, Report, RetrievalSet, evaluate, load_retrieval_set, search_run
from bedside.text.sections import find_headings
from bedside.text.split import NoteSplitter
from bedside.types import Matrix
from report import DATA, machine, table, today, versions, write_section
from retrieval import MINILM, cached, named_encoder

DEPTH = 100
SPLITTERS: Mapping[str, Mapping[str, Any]] = {
    "256 tokens (default)": {"max_tokens": 256},
    "128 tokens": {"max_tokens": 128},
}
ALPHAS = (0.4, 0.5, 0.7)
LINE_ENDS = {"as they are": "\n", "replaced by a comma": ",", "replaced by a space": " "}


class Known:
    """An encoder that gives out vectors made before."""

    def __init__(self, encoder: Encoder, texts: list[str], vectors: Any) -> None:
        self.name, self.dimension, self.fingerprint = encoder.name, encoder.dimension, encoder.fingerprint
        self.alpha, self.title_share = getattr(encoder, "alpha", None), getattr(encoder, "title_share", None)
        self._vectors = dict(zip(texts, vectors, strict=True))

    def encode_documents(self, texts: Any) -> Matrix:
        """Look up passages: float32 ``[n, d]``."""
        return np.stack([self._vectors[text] for text in texts])

    encode_queries = encode_documents


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default=MINILM, help="model folder or hub id; MiniLM is a small one from pip")
    parser.add_argument("--output", type=Path, help="Markdown file whose sections are replaced")
    options = parser.parse_args()
    judged = load_retrieval_set(DATA / "notes")
    found, headings = _found(judged, named_encoder(options.encoder, "window")), _headings_found(judged)
    for name, text in {"notes": found, "headings": headings}.items():
        if options.output:
            write_section(name, text, options.output)
        else:
            print(text, "\n")


def _found(judged: RetrievalSet, encoder: Any) -> str:
    queries = cached(encoder, "queries", encoder.encode_queries, list(judged.queries.values()))
    reports = {("whole notes", name): report for name, report in _whole(judged, encoder, queries).items()}
    for name, settings in SPLITTERS.items():
        splitter = NoteSplitter(**settings, count_tokens=encoder.count_tokens)
        for ranking, report in _passages(judged, encoder, splitter, queries, full=name.endswith("(default)")).items():
            reports[name, ranking] = report
    rows = [
        [*names, *(f"{report[m]:.3f}" if m in report.means else "" for m in METRICS)]
        for names, report in reports.items()
    ]
    return (
        f"Measured {today()} on {len(judged.documents):,} notes and {len(judged.queries)} queries with\n"
        f"{_name(encoder)} ({encoder.dimension} dimensions), on {machine()};\n"
        f"{versions(['bedside', 'ir-measures'])}.\n\n" + table(["cut into", "ranking", *METRICS], rows)
    )


def _name(encoder: Encoder) -> str:
    """Return the model's name; the package that ships MiniLM calls its folder only "model"."""
    name = Path(encoder.name).name
    return "all-MiniLM-L6-v2" if name == "model" else name


def _whole(judged: RetrievalSet, encoder: Any, queries: Matrix) -> dict[str, Report]:
    """Rank whole notes, texts of over one window by the mean of their windows."""
    vectors = cached(encoder, "documents", encoder.encode_documents, [d.text for d in judged.documents])
    with Collection.open() as collection:
        collection.add(replace(d, vector=v) for d, v in zip(judged.documents, vectors, strict=True))
        modes: Mapping[str, Mapping[str, Any]] = {"dense": {"mode": "dense"}, "BM25": {"mode": "sparse"}, "hybrid": {}}
        return {
            name: evaluate(
                search_run(collection, judged.queries, vectors=queries, top_k=DEPTH, **how), judged.judgments
            )
            for name, how in modes.items()
        }


def _passages(
    judged: RetrievalSet, encoder: Any, splitter: NoteSplitter, queries: Matrix, *, full: bool
) -> dict[str, Report]:
    """Rank notes by their passages: by the best one, and as ``search_notes`` does."""
    texts = list(dict.fromkeys(p.text for d in judged.documents for p in splitter.split(d.text)))
    known = Known(encoder, texts, cached(encoder, "documents", encoder.encode_documents, texts))
    with Collection.open(encoder=known) as collection:
        collection.add_notes([Document(d.text, id=d.id) for d in judged.documents], splitter=splitter)
        reports = {"search_notes": _ranked(collection, judged, queries)}
        if full:
            reports["search_notes, dense"] = _ranked(collection, judged, queries, mode="dense")
            reports["search_notes, BM25"] = _ranked(collection, judged, queries, mode="sparse")
            reports["best passage, hybrid"] = evaluate(_best_passage(collection, judged, queries), judged.judgments)
            for alpha in ALPHAS:
                reports[f"search_notes, alpha {alpha}"] = _ranked(collection, judged, queries, depth=10, alpha=alpha)
    return reports


def _ranked(
    collection: Collection, judged: RetrievalSet, queries: Matrix, depth: int = DEPTH, **options: Any
) -> Report:
    asked = zip(judged.queries.items(), queries, strict=True)
    run = {
        id: [hit.id for hit in collection.search_notes(text, vector=vector, top_k=depth, **options)]
        for (id, text), vector in asked
    }
    return evaluate(run, judged.judgments, [metric for metric in METRICS if int(metric.partition("@")[2]) <= depth])


def _best_passage(collection: Collection, judged: RetrievalSet, queries: Matrix) -> dict[str, list[str]]:
    asked = zip(judged.queries.items(), queries, strict=True)
    return {
        id: [
            hit.metadata["source_id"]
            for hit in collection.search(text, vector=vector, top_k=DEPTH, group_by="source_id")
        ]
        for (id, text), vector in asked
    }


def _headings_found(judged: RetrievalSet) -> str:
    """Hold the headings that are found against those that are marked; offset and title must both agree."""
    lines = (DATA / "notes" / "sections.jsonl").read_bytes().splitlines()
    marked = {note["_id"]: [(s["start"], s["header"]) for s in note["sections"]] for note in map(orjson.loads, lines)}
    notes = [(note.text, marked[str(note.id)]) for note in judged.documents]
    rows = []
    for name, instead in LINE_ENDS.items():
        right = found = expected = 0
        for text, headings in notes:
            written, theirs = _rewritten(text, headings, instead)
            ours = {(heading.start, heading.title) for heading in find_headings(written)}
            right, found, expected = right + len(ours & theirs), found + len(ours), expected + len(theirs)
        rows.append([name, f"{right / found:.3f}", f"{right / expected:.3f}"])
    return f"Measured {today()} on {len(judged.documents):,} notes with {expected:,} marked headings.\n\n" + table(
        ["line ends", "precision", "recall"], rows
    )


def _rewritten(text: str, headings: list[tuple[int, str]], instead: str) -> tuple[str, set[tuple[int, str]]]:
    """Return a note with other line ends, one for several that follow each other, and its headings' new places."""
    if instead == "\n":
        return text, set(headings)
    edges = [0, *(start for start, _ in headings), len(text)]
    pieces = [re.sub("\n+", instead, text[start:end]) for start, end in pairwise(edges)]
    places = accumulate(map(len, pieces))
    return "".join(pieces), {(place, title) for place, (_, title) in zip(places, headings, strict=False)}


if __name__ == "__main__":
    main()
