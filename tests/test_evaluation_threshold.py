"""A minimal score chosen from questions asked where they cannot be answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_bedside import BedsideVectorStore as LangChainStore
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaStore
from typer.testing import CliRunner

from bedside import Collection, Document, load_encoder
from bedside.cli.app import app
from bedside.errors import BedsideWarning, InvalidInputError, ReadOnlyError, ScopeMismatch
from bedside.evaluation import choose_threshold, evaluate_collection
from bedside.evaluation.curves import steps
from bedside.serving.access import Access
from bedside.serving.http import create_app
from bedside.serving.mcp import Tools
from bedside.serving.models import SearchRequest
from bedside.serving.service import Service
from checkpoints import DATA

TOPICS = ["gout", "asthma", "fracture", "migraine", "psoriasis", "anemia", "glaucoma", "scabies", "sepsis", "stroke"]


def divided(topics: list[str] = TOPICS) -> Collection:
    notes = Collection.open(encoder=load_encoder("bedside/static"), scope_keys=["patient"])
    notes.add(Document(f"Seen for {topic}.", {"patient": topic}) for topic in topics)
    return notes


def asked(topics: list[str] = TOPICS) -> list[tuple[dict[str, str | int], str]]:
    return [({"patient": topic}, f"Was there {topic}?") for topic in topics]


@pytest.mark.parametrize("mode", ["dense", "hybrid", "sparse", None])
@pytest.mark.parametrize("allowed", [0.0, 0.05, 0.3])
def test_no_more_than_the_wanted_share_of_wrong_scopes_answers(mode: Any, allowed: float) -> None:
    """Counted anew with the searches that a user would make."""
    notes = divided()
    chosen = choose_threshold(notes, asked(), false_answers=allowed, mode=mode)
    wrong = [
        bool(notes.scoped(**other).search(text, mode=mode, min_score=chosen.min_score))
        for scope, text in asked()
        for other, _ in asked()
        if other != scope
    ]
    kept = [bool(notes.scoped(**scope).search(text, mode=mode, min_score=chosen.min_score)) for scope, text in asked()]
    assert sum(wrong) / len(wrong) == chosen.false_answers <= allowed
    assert sum(kept) / len(kept) == chosen.kept
    assert (chosen.questions, chosen.pairs) == (10, 90)
    assert chosen.auroc > 0.9


def test_the_curve_falls_with_the_threshold() -> None:
    curve = choose_threshold(divided(), asked()).curve
    assert [point.min_score for point in curve] == sorted(point.min_score for point in curve)
    for share in ([point.false_answers for point in curve], [point.kept for point in curve]):
        assert share == sorted(share, reverse=True)
    assert (curve[0].false_answers, curve[0].kept) == (1.0, 1.0)


def test_the_same_seed_draws_the_same_scopes() -> None:
    notes = divided()
    one, other = (choose_threshold(notes, asked(), others=3, seed=5) for _ in range(2))
    assert one == other
    assert one.pairs == 30


def test_what_cannot_give_a_threshold_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="collection: expected one with scope_keys"):
        choose_threshold(Collection.open(), asked())
    with pytest.raises(InvalidInputError, match="questions: expected questions about two scopes"):
        choose_threshold(divided(), asked()[:1] * 3)
    with pytest.raises(InvalidInputError, match=r"questions\[0\]: expected a tuple"):
        choose_threshold(divided(), ["gout?"])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="false_answers: expected a share"):
        choose_threshold(divided(), asked(), false_answers=1.5)
    with pytest.raises(ScopeMismatch):
        choose_threshold(divided(), [({"ward": "A"}, "x"), ({"ward": "B"}, "y")])


@pytest.mark.slow
def test_right_notes_are_told_from_wrong_ones_as_well_as_was_measured() -> None:
    """400 development notes as 400 patients, the static encoder: measured .98, and .95 kept at .05 false answers."""
    if not (DATA / "notes" / "corpus.jsonl").is_file():
        pytest.skip(f"the development notes are not in {DATA}; set BEDSIDE_DATA to the data's dev folder")
    rows = {
        name: map(json.loads, (DATA / "notes" / f"{name}.jsonl").read_text().splitlines())
        for name in ("corpus", "queries")
    }
    texts = {row["_id"]: row["text"] for row in rows["corpus"]}
    judged = [line.split("\t") for line in (DATA / "notes" / "qrels.tsv").read_text().splitlines()[1:]]
    questions = {row["_id"]: row["text"] for row in rows["queries"]}
    pairs = [({"patient": note}, questions[query]) for query, note, _ in judged][:400]
    notes = Collection.open(encoder=load_encoder("bedside/static"), scope_keys=["patient"])
    notes.add(Document(texts[note], {"patient": note}) for note in {scope["patient"] for scope, _ in pairs})
    chosen = choose_threshold(notes, pairs, mode="dense")
    assert chosen.auroc >= 0.95
    assert chosen.kept >= 0.8


def test_what_is_chosen_is_kept_unless_only_measured(tmp_path: Path) -> None:
    notes = divided()
    measured = choose_threshold(notes, asked(), store=False)
    assert not notes.facts.min_scores
    assert choose_threshold(notes, asked()) == measured
    assert notes.facts.min_scores == {"search": {"hybrid": measured.min_score}}
    notes.copy_to(tmp_path / "ward")
    with Collection.open(tmp_path / "ward", encoder=notes.encoder, read_only=True) as copy:
        with pytest.raises(ReadOnlyError):
            choose_threshold(copy, asked())
        assert choose_threshold(copy, asked(), store=False) == measured


def test_the_report_shows_the_curve_of_each_verb_and_mode_without_texts_or_scopes() -> None:
    notes = divided()
    notes.scoped(patient="gout").add_note("Seen for hay fever.", id="visit-1")
    with pytest.warns(BedsideWarning, match="nothing here was added as a note"):  # of the other patients
        summary = evaluate_collection(notes, questions=asked(), all_scopes=True)
    names = [f"{verb}, {mode}" for verb in ("search", "search_notes") for mode in ("hybrid", "dense", "sparse")]
    assert [each.name for each in summary.thresholds] == names
    assert not notes.facts.min_scores
    page, kept = summary.to_html(), summary.to_json()["thresholds"]
    assert page.count("<polyline") == page.count("No answer: ") == len(kept) == 6
    assert kept[0]["curve"][0].keys() == {"min_score", "false_answers", "kept"}
    assert not any(text in page or topic in json.dumps(kept) for topic, (_, text) in zip(TOPICS, asked(), strict=True))


def test_the_table_of_a_curve_has_the_best_point_of_each_share() -> None:
    found = choose_threshold(divided(), asked())
    shown = steps(found)
    assert [point.false_answers for point in shown] == sorted({point.false_answers for point in shown})
    for point in shown:
        within = [other.kept for other in found.curve if other.false_answers <= point.false_answers]
        assert point.kept == max(within)


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A collection on disk, and beside it a file of questions."""
    divided().copy_to(tmp_path / "ward")
    lines = [json.dumps({"text": text, **scope}) for scope, text in asked()]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines))
    return tmp_path / "ward"


def bedside(*arguments: Any, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done.output


def test_the_command_chooses_keeps_and_shows_it_and_a_search_goes_by_it(ward: Path, tmp_path: Path) -> None:
    questions, encoder = tmp_path / "questions.jsonl", ("--encoder", "bedside/static")
    search = ["search", ward, "gout", *encoder, "--scope", "patient=asthma", "--min-score", "calibrated"]
    assert "no threshold was calibrated for search in mode 'hybrid'; run bedside calibrate" in bedside(*search, code=1)
    shown = bedside("calibrate", ward, questions, *encoder, "--report", tmp_path / "r.html")
    assert "no answer, search, hybrid: chosen\tmin_score\t" in shown
    assert (tmp_path / "r.html").read_text().count("<polyline") == 1
    assert bedside(*search, "--json") == ""
    assert "Seen for gout." in bedside(*search[:5], "--scope", "patient=gout", *search[7:])
    assert "search hybrid 0." in bedside("stats", ward)
    assert "no answer, search, sparse\tAUROC" in bedside("eval", ward, "--questions", questions, "--mode", "sparse")


def test_a_file_of_questions_that_is_none_is_refused_by_line(ward: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "Gout?", "patient": "gout"}\n{"text": "Asthma?"}\n')
    assert "line 2: expected an object with text and patient" in bedside(
        "calibrate", ward, tmp_path / "bad.jsonl", code=1
    )
    assert "--questions" in bedside("eval", ward, "--questions", tmp_path / "bad.jsonl", "--scope", "patient=x", code=2)


def test_every_surface_goes_by_it(ward: Path) -> None:
    """HTTP, a chatbot's tool, LangChain and LlamaIndex, each where there is an answer and where there is none."""
    sparse: dict[str, Any] = {"mode": "sparse", "min_score": "calibrated"}
    with Collection.open(ward) as notes:
        choose_threshold(notes, asked(), mode="sparse")
        for topic, count in (("gout", 1), ("asthma", 0)):
            part = notes.scoped(patient=topic)
            chain = LangChainStore(collection=part, retrieval_mode="sparse")
            assert len(chain.similarity_search("gout", min_score="calibrated")) == count
            assert len(chain.as_retriever(search_kwargs={"min_score": "calibrated"}).invoke("gout")) == count
            query = VectorStoreQuery(query_str="gout", mode=VectorStoreQueryMode.SPARSE, similarity_top_k=3)
            assert len(LlamaStore(collection=part).query(query, min_score="calibrated").ids or ()) == count
    service = Service(ward.parent)
    for topic, count in (("gout", 1), ("asthma", 0)):
        request = SearchRequest(query="gout", **sparse)
        assert len(service.search(Access(), "ward", {"patient": topic}, "gout", None, **request.options())) == count
        assert len(Tools(service, Access()).search("ward", "gout", scope={"patient": topic}, **sparse).hits) == count


async def test_a_server_says_what_to_give_where_none_is_kept(ward: Path) -> None:
    served = create_app(Service(ward.parent))
    body = {"query": "gout", "scope": {"patient": "gout"}, "mode": "sparse", "min_score": "calibrated"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost/v1") as http:
        answer = await http.post("/collections/ward/search_notes", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].endswith("search_notes in mode 'sparse'; give \"min_score\" as a number")
