"""Tests without judgments, the report, and the commands that measure and explain a search."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bedside import Collection, Document, load_encoder
from bedside.errors import BedsideWarning, InvalidInputError
from bedside.evaluation import METRICS, Summary, compare, evaluate_collection, load_queries, probe
from bedside.evaluation.probes import _findings
from bedside.search import stages

FINDINGS = ["chest pain", "shortness of breath", "abdominal pain", "blurred vision", "leg swelling", "night sweats"]
NAMES = ["Amber", "Birch", "Cedar", "Daisy", "Elder", "Flora"]
NOTES = [
    Document(
        f"Patient {name} came on a rainy day. No {finding} was reported at this visit. The heart rate was "
        f"{60 + 7 * i} per minute at rest. {name} should return in {i + 2} weeks for another check of {finding}.",
        {"ward": "A" if i % 2 else "B"},
        f"n{i}",
    )
    for i, (name, finding) in enumerate(zip(NAMES, FINDINGS, strict=True))
]
QUERIES = {f"q{i}": f"{finding} check" for i, finding in enumerate(FINDINGS)}
JUDGMENTS = {f"q{i}": {f"n{i}": 1} for i in range(len(FINDINGS))}


class Deaf:
    """An encoder that reads neither numbers nor negations: the first five letters of five words, as counts."""

    name, dimension, fingerprint = "deaf", 26, "deaf"

    def encode_documents(self, texts):
        import numpy as np

        rows = np.zeros((len(texts), 26), np.float32)
        for row, text in zip(rows, texts, strict=True):
            words = [w for w in re.findall("[a-z]+", text.lower()) if w not in ("no", "not", "without", "denies")]
            for letter in "".join(words) or "a":
                row[ord(letter) - 97] += 1
        return rows

    encode_queries = encode_documents


def test_an_encoder_that_reads_no_numbers_gets_exactly_half():
    found = {p.mode: p for p in probe(NOTES, Deaf(), probes=["numbers"])}
    assert found["dense"].interval.mean == 0.5 == found["dense"].chance
    assert found["sparse"].interval.mean > 0.9


DENIALS = [
    "Seen today at home. The patient denies chest pain on exertion since last week.",
    "There is no evidence of pulmonary embolism on the scan of today.",
    "Sleeps well without fever, and eats again as before the operation.",
]


def test_findings_are_asked_as_a_clinician_asks_and_the_share_of_opposites_is_told():
    found = {(p.mode, p.metric): p for p in probe(DENIALS, Deaf(), probes=["negation"])}
    metrics = ("wrong share@10, X", "wrong share@10, no X", "both found@10, does the patient have X")
    assert list(found) == [(mode, metric) for mode in ("hybrid", "dense", "sparse") for metric in metrics]
    assert {p.queries for p in found.values()} == {3}
    for mode in ("sparse", "hybrid"):
        assert found[mode, metrics[2]].interval.mean == 1.0, "a question wants both"
    assert found["sparse", metrics[0]].interval.mean == found["sparse", metrics[1]].interval.mean == 0.0


def test_a_finding_is_what_follows_a_negation_up_to_where_the_clause_goes_on():
    assert [finding.name for finding in _findings(DENIALS)] == ["chest pain", "pulmonary embolism", "fever"]
    affirmed = [finding.affirmed for finding in _findings(DENIALS)]
    assert affirmed[0] == "The patient chest pain on exertion since last week."


def test_known_items_and_halves_are_found_by_a_search_that_works():
    found = probe(NOTES, load_encoder("bedside/static"), probes=["known-item", "split-half"])
    assert [(p.name, p.mode) for p in found] == [
        (name, mode) for name in ("known-item", "split-half") for mode in ("hybrid", "dense", "sparse")
    ]
    assert all(0.5 < p.interval.mean <= 1 and p.interval.low <= p.interval.mean <= p.interval.high for p in found)
    assert {p.queries for p in found} == {len(NOTES)}


def test_probes_are_the_same_for_the_same_seed_and_bounded_by_the_sample():
    assert probe(NOTES, seed=3, sample=2) == probe(NOTES, seed=3, sample=2)
    assert {p.queries for p in probe(NOTES, sample=2, probes=["known-item"])} == {2}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"documents": []}, "documents"),
        ({"probes": ["luck"]}, "luck"),
        ({"sample": 0}, "sample"),
        ({"documents": "Fever."}, "got one str"),
        ({"documents": None}, "got one NoneType"),
        ({"documents": [1]}, "texts"),
        ({"sample": None}, "sample=None"),
    ],
)
def test_what_cannot_be_probed_is_refused_by_name(given, named):
    with pytest.raises(InvalidInputError, match=named):
        probe(**{"documents": NOTES, **given})


@pytest.fixture
def ward(tmp_path) -> Path:
    with Collection.open(tmp_path / "ward.bedside", encoder=load_encoder("bedside/static")) as notes:
        notes.add(NOTES)
    lines = [json.dumps({"_id": id, "text": text}) for id, text in {**QUERIES, "unjudged": "x"}.items()]
    (tmp_path / "queries.jsonl").write_text("\n".join(lines))
    rows = [f"{id}\t{next(iter(judged))}\t1" for id, judged in JUDGMENTS.items()]
    (tmp_path / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]))
    return tmp_path / "ward.bedside"


def test_queries_and_judgments_read_from_two_files(ward):
    assert load_queries(ward.parent / "queries.jsonl", ward.parent / "qrels.tsv") == (QUERIES, JUDGMENTS)


def test_modes_are_compared_where_there_is_one_encoder_and_encoders_mode_by_mode(ward):
    with Collection.open(ward, encoder=load_encoder("bedside/static"), read_only=True) as notes:
        alone = evaluate_collection(notes, QUERIES, JUDGMENTS)
        both = evaluate_collection(
            notes, QUERIES, JUDGMENTS, encoders={"s": load_encoder("bedside/static"), "d": Deaf()}
        )
    assert set(alone.reports) == {"hybrid", "dense", "sparse"}
    assert len(alone.comparisons) == 3
    assert [(a, b) for a, b, _ in both.comparisons] == [(f"s {m}", f"d {m}") for m in ("hybrid", "dense", "sparse")]
    assert both.reports["s dense"].per_query == alone.reports["dense"].per_query
    assert both.reports["s sparse"].per_query == both.reports["d sparse"].per_query


def test_over_all_scopes_each_query_is_asked_where_its_judged_documents_are(tmp_path):
    with Collection.open(scope_keys=["ward"]) as divided:
        divided.add(NOTES)
        whole = evaluate_collection(divided, QUERIES, JUDGMENTS, all_scopes=True, probes=True)
        parts = [
            evaluate_collection(divided.scoped(ward=ward), asked, JUDGMENTS)
            for ward, asked in (
                ("A", {id: text for id, text in QUERIES.items() if int(id[1:]) % 2}),
                ("B", {id: text for id, text in QUERIES.items() if not int(id[1:]) % 2}),
            )
        ]
        means = [part.reports["sparse"]["nDCG@10"] for part in parts]
        assert whole.reports["sparse"]["nDCG@10"] == pytest.approx(sum(means) / 2)
        again = evaluate_collection(divided, QUERIES, JUDGMENTS, all_scopes=True, encoders={"deaf": Deaf()})
        assert again.reports["deaf sparse"]["nDCG@10"] == whole.reports["sparse"]["nDCG@10"]
        with pytest.raises(InvalidInputError, match="query 'q0' is judged by documents of several scopes"):
            evaluate_collection(divided, QUERIES, {"q0": {"n0": 1, "n1": 1}}, all_scopes=True)
        with pytest.raises(InvalidInputError, match="one scope at a time"):
            evaluate_collection(divided, QUERIES, JUDGMENTS, all_scopes=True, tune=True)


def test_what_measures_nothing_is_said(ward):
    with Collection.open(ward, read_only=True) as notes:
        with pytest.warns(BedsideWarning, match="none of the judged documents is in the collection"):
            evaluate_collection(notes, {"q": "fever"}, {"q": {"elsewhere": 1}}, modes=["sparse"])
        with pytest.raises(InvalidInputError, match="tune=True: there must be judged queries"):
            evaluate_collection(notes, probes=True, tune=True)
        with pytest.raises(InvalidInputError, match="encoders: expected name"):
            evaluate_collection(notes, QUERIES, JUDGMENTS, encoders=[load_encoder("bedside/static")])


def test_a_collection_without_vectors_is_searched_by_words_alone_and_a_filter_holds(ward):
    with Collection.open() as notes:
        notes.add(NOTES)
        found = evaluate_collection(notes, QUERIES, JUDGMENTS, filter={"ward": "A"})
    assert set(found.reports) == {"sparse"}
    values = found.reports["sparse"].per_query["MRR@10"]
    assert [values[f"q{i}"] for i in range(6)] == [0, 1, 0, 1, 0, 1]
    with pytest.raises(InvalidInputError, match="nothing to measure"):
        evaluate_collection(Collection.open(), QUERIES, JUDGMENTS)


PROBED = 3 * (5 + 3)
"""Three modes of five tests that give one figure each, and of negation, which gives three."""


@pytest.fixture
def summary(ward) -> Summary:
    with Collection.open(ward, encoder=load_encoder("bedside/static"), read_only=True) as notes:
        return evaluate_collection(notes, QUERIES, JUDGMENTS, probes=True, tune=True, title="A <b>ward</b>")


def test_the_json_report_holds_every_number_and_no_text(summary, tmp_path):
    loaded = json.loads(summary.save(tmp_path / "r.json").read_text())
    assert loaded["reports"]["dense"]["nDCG@10"]["mean"] == pytest.approx(summary.reports["dense"]["nDCG@10"])
    assert loaded["per_query"]["dense"]["MRR@10"] == summary.reports["dense"].per_query["MRR@10"]
    assert loaded["comparisons"][0]["p_value"] == summary.comparisons[0][2].p_value
    assert len(loaded["probes"]["the notes"]) == PROBED
    assert loaded["choices"]["settings"]["k1"] > 0
    for file in (tmp_path / "r.json", summary.save(tmp_path / "r.html")):
        assert not any(finding in file.read_text() for finding in FINDINGS)


def test_the_page_is_self_contained_and_escapes_what_it_shows(summary):
    page = summary.to_html()
    assert "A &lt;b&gt;ward&lt;/b&gt;" in page
    assert not re.search(r"<script|https?://|src=|@import|url\(", page)
    assert page.count("<svg") == len(summary.reports) * len(METRICS) + PROBED


def test_the_page_has_systems_side_by_side_with_their_tests_and_says_that_few_queries_were_judged(summary):
    page = summary.to_html()
    row = page.partition("Systems side by side")[2].partition("</table>")[0]
    assert re.findall(r"<th>([^<]+)</th>", row) == ["metric", *summary.reports]
    assert row.count("<small>p ") == len(summary.reports) - 1
    assert "Only 6 judged queries" in page


def test_texts_of_queries_are_in_the_report_where_they_are_asked_for(ward, tmp_path):
    with Collection.open(ward, encoder=load_encoder("bedside/static"), read_only=True) as notes:
        asked = evaluate_collection(notes, QUERIES, JUDGMENTS, modes=["sparse"], query_texts=True)
    assert asked.to_json()["queries"] == QUERIES
    assert all(text in asked.to_html() for text in QUERIES.values())


def test_another_suffix_is_refused(summary, tmp_path):
    with pytest.raises(InvalidInputError, match=r"r\.pdf"):
        summary.save(tmp_path / "r.pdf")


@pytest.mark.slow
def test_a_real_browser_lays_the_page_out(summary, tmp_path):
    browser = os.environ.get("BEDSIDE_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed, or BEDSIDE_BROWSER does not name it")
    page = summary.save(tmp_path / "r.html")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    dom = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120).stdout
    assert dom.count("<tr>") == summary.to_html().count("<tr>")
    assert "Paired tests" in dom


def bedside(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "bedside.cli", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def test_eval_prints_intervals_and_paired_tests_and_writes_a_page(ward, tmp_path):
    files = ["--queries", tmp_path / "queries.jsonl", "--qrels", tmp_path / "qrels.tsv"]
    out = bedside("eval", ward, *files, "--encoder", "bedside/static", "--metric", "MRR@10", "--mode", "dense",
                  "--mode", "sparse", "--report", tmp_path / "r.html")  # fmt: skip
    assert re.search(r"^dense\tMRR@10\t[01]\.\d{3} \(", out, re.M)
    assert re.search(r"^dense to sparse\tMRR@10\t[+-]0\.\d{3}\tp = [01]\.\d{4}$", out, re.M)
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    load_encoder("bedside/static").save(tmp_path / "same")
    pair = ["--compare", "bedside/static", tmp_path / "same"]
    found = json.loads(bedside("eval", ward, *files, *pair, "--mode", "dense", "--json"))
    assert [(c["systems"], c["p_value"]) for c in found["comparisons"]] == [
        (["bedside/static dense", f"{tmp_path / 'same'} dense"], 1.0)
    ]
    assert bedside("eval", ward, *files, "--compare", "m", "m", code=2)
    assert bedside("eval", ward, "--queries", tmp_path / "queries.jsonl", code=2)


def test_eval_tests_the_notes_alone(ward):
    out = bedside("eval", ward, "--probes", "--sample", 3)
    assert re.search(r"^the notes, numbers, sparse\tpairs right\t1\.000", out, re.M)


def test_eval_refuses_before_it_measures_and_never_says_nothing(ward, tmp_path):
    files = ["--queries", tmp_path / "queries.jsonl", "--qrels", tmp_path / "qrels.tsv"]
    bedside("eval", ward, *files, "--mode", "magic", code=2)
    for wrong, named in (
        (["--report", tmp_path / "no" / "r.html"], "there is no folder"),
        (["--report", tmp_path / "r.pdf"], ".html or .json"),
    ):
        error = bedside("eval", ward, *files, *wrong, code=1)
        assert named in error
        assert error.count("\n") == 1
    with Collection.open(tmp_path / "given") as given:
        given.add([Document("Cough.", vector=[1, 0])])
    error = bedside("eval", tmp_path / "given", *files, "--mode", "dense", code=1)
    assert "--mode: dense needs an encoder" in error


def test_explain_shows_numbers_that_add_up_to_the_score(ward):
    asked = ["explain", ward, "no chest pain", "--encoder", "bedside/static", "--top-k", 3]
    lines = [json.loads(line) for line in bedside(*asked, "--json", "--filter", '{"ward": "B"}').splitlines()]
    assert [line["rank"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert line["parts"]["dense"] + line["parts"]["sparse"] == pytest.approx(line["score"])
        assert sum(line["terms"].values()) == pytest.approx(line["bm25"] or 0.0)
        assert line["parts"]["dense"] == pytest.approx(0.3 * line["cosine"])
        assert line["filter"] == {"ward": "B"}
        assert "text" not in line
    table = bedside(*asked)
    assert "1. n0" in table
    assert re.search(r"formula +0\.3 \* cosine", table)
    assert re.search(r"^  chest +\d", table, re.M)
    assert "rainy" not in table


def test_compare_of_reports_of_one_collection_is_symmetric(summary):
    a, b = summary.reports["dense"], summary.reports["sparse"]
    there, back = compare(a, b), compare(b, a)
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert there.p_value == pytest.approx(back.p_value)


def test_the_newest_value_is_the_first_and_what_one_copy_alone_says_is_found():
    found = probe(NOTES, load_encoder("bedside/static"), probes=["latest", "copies"])
    assert [(p.name, p.mode) for p in found] == [
        (name, mode) for name in ("latest", "copies") for mode in ("hybrid", "dense", "sparse")
    ]
    assert all(p.interval.mean >= 0.5 for p in found if p.name == "latest")
    assert all(p.interval.mean > 0.9 for p in found if p.name == "copies" and p.mode == "sparse")


def test_the_probe_of_latest_values_sees_a_search_that_goes_by_relevance_alone(monkeypatch):
    def by_relevance(options, question, candidates, rank):
        return rank(options, question, candidates)

    monkeypatch.setattr(stages, "latest_first", by_relevance)
    (blind,) = probe(NOTES, probes=["latest"])
    monkeypatch.undo()
    (found,) = probe(NOTES, probes=["latest"])
    assert blind.interval.mean < found.interval.mean
