"""Retrieval metrics: what they are worth, and what a test set may look like."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import InvalidInputError
from bedside.evaluation import METRICS, evaluate, load_queries, load_retrieval_set, search_run

IDS = [f"d{i}" for i in range(30)]
JUDGED = st.dictionaries(st.sampled_from(IDS), st.integers(1, 3), min_size=1, max_size=12)
RANKING = st.lists(st.sampled_from(IDS), unique=True)


def naive(ranking: list[str], judged: dict[str, int]) -> dict[str, float]:
    """The four metrics from their definitions (Järvelin and Kekäläinen 2002 for nDCG)."""
    gains = [judged.get(id, 0) for id in ranking[:10]]
    ideal = sorted(judged.values(), reverse=True)[:10]
    first = next((rank for rank, gain in enumerate(gains, 1) if gain), math.inf)
    dcg, best = (sum(gain / math.log2(rank + 1) for rank, gain in enumerate(g, 1)) for g in (gains, ideal))
    found = [len(judged.keys() & set(ranking[:depth])) / len(judged) for depth in (10, 100)]
    return {"nDCG@10": dcg / best, "recall@10": found[0], "recall@100": found[1], "MRR@10": 1 / first}


@given(st.lists(st.tuples(RANKING, JUDGED), min_size=1, max_size=6))
def test_every_metric_equals_its_definition_for_each_query_and_on_average(queries):
    run = {str(i): ranking for i, (ranking, _) in enumerate(queries)}
    judgments = {str(i): judged for i, (_, judged) in enumerate(queries)}
    report = evaluate(run, judgments)
    expected = [naive(*query) for query in queries]
    for metric in METRICS:
        assert list(report.per_query[metric].values()) == pytest.approx([value[metric] for value in expected])
        assert report[metric] == pytest.approx(np.mean([value[metric] for value in expected]))


def test_a_query_that_the_run_lacks_counts_as_zero_and_an_unjudged_one_not_at_all():
    report = evaluate({"q1": ["a"], "unjudged": ["b"]}, {"q1": {"a": 1}, "q2": {"b": 1}})
    assert report.means == dict.fromkeys(METRICS, 0.5)
    assert report.per_query["nDCG@10"] == {"q1": 1.0, "q2": 0.0}


def test_an_empty_run_is_worth_nothing():
    assert evaluate({}, {"q": {"a": 1}}).means == dict.fromkeys(METRICS, 0.0)


def test_a_metric_can_be_averaged_over_some_of_the_queries():
    report = evaluate({"q1": ["a"]}, {"q1": {"a": 1}, "q2": {"b": 1}})
    assert report.mean("MRR@10", ["q1"]) == 1.0
    assert math.isnan(report.mean("MRR@10", []))


@pytest.mark.parametrize(
    ("run", "judgments", "metrics", "named"),
    [
        ({}, {}, METRICS, "judgments"),
        ({"q": ["a", "a"]}, {"q": {"a": 1}}, METRICS, r"run\['q'\]"),
        ({}, {"q": {"a": 1}}, ["goodness@10"], "goodness@10"),
        ({}, {"q": {"a": 1}}, ["nDCG@"], "nDCG@"),
        ({}, {"q": {"a": 1}}, ["nDCG@0"], "nDCG@0"),
        ({}, {"q": {"a": 1}}, ["precision@1.5"], "precision@1.5"),
        ({}, {"q": {"a": 1}}, ["RBP"], "cannot compute one of RBP"),
        ({}, {"q": {"a": 1}}, [3], "3 is not a metric"),
        ({}, {"q": {"a": 1}}, [], "metrics: expected a list"),
        ({}, {"q": {"a": 1}}, "nDCG@10", "metrics: expected a list"),
        (None, {"q": {"a": 1}}, METRICS, "run: expected query id"),
        ({"q": {"a": 0.5}}, {"q": {"a": 1}}, METRICS, r"run\['q'\]: expected document ids, best first, got dict"),
        ({"q": "ab"}, {"q": {"a": 1}}, METRICS, r"run\['q'\]: .* got str"),
        ({"q": ["a", None]}, {"q": {"a": 1}}, METRICS, r"run\['q'\]\[1\]: expected a document id"),
        ({}, None, METRICS, "judgments: expected query id"),
        ({}, {"q": ["a"]}, METRICS, r"judgments\['q'\]"),
        ({}, {1: {"a": 1}}, METRICS, r"judgments\[1\]"),
        ({}, {"q": {"a": 0.5}}, METRICS, r"judgments\['q'\]\['a'\]: .* whole number"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(run, judgments, metrics, named):
    with pytest.raises(InvalidInputError, match=named):
        evaluate(run, judgments, metrics)


def test_one_metric_under_two_names_has_one_value_and_grades_may_be_numpy_s():
    report = evaluate({"q": ["x", "a"]}, {"q": {"a": np.int64(2)}}, ["MRR@10", "RR@10", "MAP", "AP"])
    assert report.means == dict.fromkeys(["MRR@10", "RR@10", "MAP", "AP"], 0.5)


@pytest.mark.parametrize("header", ["query-id\tcorpus-id\tscore\r\n", "\ufeffquery-id\tcorpus-id\tscore\n", ""])
def test_judgments_are_read_with_a_header_or_without_and_none_is_lost(tmp_path, header):
    (tmp_path / "queries.jsonl").write_text('\ufeff{"_id": "q", "text": "x"}\r\n', "utf-8")
    (tmp_path / "qrels.tsv").write_text(f"{header}q\ta\t1\nq\tb\t2\n", "utf-8", newline="")
    assert load_queries(tmp_path / "queries.jsonl", tmp_path / "qrels.tsv") == ({"q": "x"}, {"q": {"a": 1, "b": 2}})


def test_without_ir_measures_the_error_names_the_line_that_installs_it():
    code = (
        "import sys; sys.modules['ir_measures'] = None\n"
        "from bedside.evaluation import evaluate\n"
        "evaluate({}, {'q': {'a': 1}})"
    )
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "bedside[eval]"' in failed.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    corpus = [
        {"_id": "d1", "title": "Angina", "text": "Chest pain on exertion.", "metadata": {"source": "A"}},
        {"_id": "d2", "title": "", "text": "No fever."},
    ]
    queries = [{"_id": "q2", "text": "fever", "metadata": {"kind": "k"}}, {"_id": "q1", "text": "pain"}]
    queries.append({"_id": "q3", "text": "without an answer"})
    for name, records in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n\n")
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t1\nq2\td1\t0\nq3\td1\t0\n")
    return tmp_path


def test_a_folder_in_beir_layout_gives_documents_judged_queries_and_grades(folder):
    found = load_retrieval_set(folder)
    assert found.name == folder.name
    assert found.documents == (
        Document("Chest pain on exertion.", {"title": "Angina", "source": "A"}, "d1"),
        Document("No fever.", {}, "d2"),
    )
    assert list(found.queries.items()) == [("q2", "fever"), ("q1", "pain")]
    assert found.judgments == {"q1": {"d1": 2}, "q2": {"d2": 1}}
    assert found.query_metadata == {"q2": {"kind": "k"}, "q1": {}}


def test_titles_stand_before_the_text_only_when_asked_for(folder):
    assert [d.text for d in load_retrieval_set(folder, with_titles=True).documents] == [
        "Angina\nChest pain on exertion.",
        "No fever.",
    ]


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "a"}\n{"_id": "d1", "text": "b"}\n', "line 2.*'d1' was there before"),
        ("corpus.jsonl", '{"_id": "d1"}\n', "line 1: expected an object"),
        ("queries.jsonl", '\n{"_id": "q1", "text":\n', "line 2: not JSON"),
        ("queries.jsonl", '{"_id": "q1", "text": "a"}\n', "query 'q2' is not in queries.jsonl"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\thigh\n", "line 2: expected query id"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1 d1 1\n", "line 2: expected query id"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_line(folder, file, content, named):
    (folder / file).write_text(content)
    with pytest.raises(InvalidInputError, match=f"(?s){file}.*{named}" if file != "queries.jsonl" else named):
        load_retrieval_set(folder)


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(InvalidInputError, match=f"{file} is missing"):
        load_retrieval_set(folder)


def test_a_run_holds_the_ids_that_each_query_found_best_first(folder):
    judged = load_retrieval_set(folder)
    with Collection.open() as collection:
        collection.add([Document("fever again", id="d3"), *judged.documents])
        run = search_run(collection, judged.queries)
        assert run == {id: [hit.id for hit in collection.search(text)] for id, text in judged.queries.items()}
        assert run["q2"] == ["d3"], "d2 denies it"
        alike = search_run(collection, judged.queries, assertion="any")
        assert sorted(alike["q2"]) == ["d2", "d3"]
        assert search_run(collection, judged.queries, top_k=1, ids=["d2"]) == {"q2": ["d2"], "q1": []}


def test_a_run_of_many_queries_gives_each_its_own_vector(rng):
    vectors = rng.normal(size=(150, 8)).astype(np.float32)
    queries = {f"q{i}": "text" for i in range(150)}
    with Collection.open() as collection:
        collection.add(Document("", id=f"d{i}", vector=vector) for i, vector in enumerate(vectors))
        run = search_run(collection, queries, vectors=vectors, mode="dense", top_k=3)
        assert [ids[0] for ids in run.values()] == [f"d{i}" for i in range(150)]
        with pytest.raises(InvalidInputError, match="expected 150"):
            search_run(collection, queries, vectors=vectors[:-1])
