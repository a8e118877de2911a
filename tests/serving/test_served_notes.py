"""Whole notes over HTTP and to a chatbot: the same notes, scores and contexts as in Python."""

from __future__ import annotations

import pytest

from bedside import Collection, Document, load_encoder
from bedside.notes import context
from serving.test_mcp import chatbot, refused, told
from serving_server import bearer, problem, serving

SICK = ["stroke", "gout", "asthma", "anemia", "migraine", "sepsis", "angina", "eczema"]
QUESTIONS = [f"{word} treated at home" for word in SICK]
ABOUT = {"kind": "Progress note", "author": "A. Roe"}


@pytest.fixture
def ward(root):
    """Notes of two patients, each about something of its own."""
    with Collection.open(root / "notes", encoder=load_encoder("bedside/static"), scope_keys=["patient_id"]) as notes:
        for patient in "AB":
            notes.scoped(patient_id=patient).add_notes(
                Document(
                    f"HPI: Has {word}, since day {n}.\n\nFAMILY HISTORY: {SICK[n - 1]}.\n\nPLAN: Home, {patient}.",
                    {"date": f"2024-05-{n + 1:02}", **ABOUT},
                    f"visit-{n}",
                )
                for n, word in enumerate(SICK)
            )
        notes.scoped(patient_id="C").add(["No gout."])
    return root


@pytest.fixture
def patient(ward):
    with Collection.open(ward / "notes", encoder=load_encoder("bedside/static"), read_only=True) as collection:
        yield collection.scoped(patient_id="A")


def test_a_known_note_is_found_over_http_with_the_scores_passages_and_contexts_of_the_core(ward, patient):
    with serving(ward, "--encoder", "bedside/static") as client:
        for question in QUESTIONS:
            for options in ({}, {"mode": "sparse", "offset": 1}, {"alpha": 0.3, "filter": {"section": "HPI"}}):
                asked = {"scope": {"patient_id": "A"}, "query": question, "top_k": 3, **options}
                hits = patient.search_notes(question, top_k=3, **options)
                body = client.post("/v1/collections/notes/search_notes", json={**asked, "explain": True}).json()
                assert [(note["id"], note["score"]) for note in body["notes"]] == [(hit.id, hit.score) for hit in hits]
                for note, hit in zip(body["notes"], hits, strict=True):
                    assert [p["text"] for p in note["passages"]] == [p.text for p in hit.passages]
                    assert (note["date"], note["kind"], note["author"]) == (hit.date, hit.kind, hit.author)
                    why = note["explanation"]
                    assert why["dense"] + why["sparse"] + sum(why["signals"].values()) == pytest.approx(note["score"])
                said = client.post("/v1/collections/notes/context", json={**asked, "max_tokens": 80}).json()
                assert said == {"context": context(hits, max_tokens=80)}
        bare = client.post("/v1/collections/notes/context", json={**asked, "header": False}).json()
        assert bare == {"context": context(hits, max_tokens=2_000, header=None)}
        assert "group_by" in problem(
            client.post("/v1/collections/notes/search_notes", json={**asked, "group_by": "x"}), 422, "ValidationError"
        )


@pytest.fixture
def calibrated(ward):
    """The same with a measured threshold that leaves two of patient A's notes about gout."""
    with Collection.open(ward / "notes", encoder=load_encoder("bedside/static")) as notes:
        scores = [hit.score for hit in notes.scoped(patient_id="A").search_notes("gout")]
        assert len(set(scores)) > 2
        notes.set_min_score((scores[1] + scores[2]) / 2, mode="hybrid", notes=True)
    return ward


def test_a_measured_threshold_leaves_over_http_what_it_leaves_in_the_core(calibrated, patient):
    kept = patient.search_notes("gout", min_score="calibrated")
    with serving(calibrated, "--encoder", "bedside/static") as client:
        asked = {"scope": {"patient_id": "A"}, "query": "gout", "min_score": "calibrated"}
        body = client.post("/v1/collections/notes/search_notes", json=asked).json()
        assert [(note["id"], note["score"]) for note in body["notes"]] == [(hit.id, hit.score) for hit in kept]
        assert len(kept) == 2
        said = client.post("/v1/collections/notes/context", json={**asked, "max_tokens": 80}).json()
        assert said == {"context": context(kept, max_tokens=80)}


async def test_a_measured_threshold_leaves_a_chatbot_what_it_leaves_in_the_core(calibrated, patient):
    kept = patient.search_notes("gout", min_score="calibrated")
    async with chatbot(calibrated, "--encoder", "bedside/static") as client:
        asked = {"collection": "notes", "scope": {"patient_id": "A"}, "query": "gout", "min_score": "calibrated"}
        found = (await told(client, "search_notes", **asked))["notes"]
    assert [(note["label"], note["score"]) for note in found] == [(hit.id, hit.score) for hit in kept]
    assert len(kept) == 2


def test_notes_are_added_read_and_deleted_over_http(ward):
    scope, text = {"scope": {"patient_id": "D"}}, "HPI: Gout.\r\n\tPLAN: Rest. \n"
    with serving(ward, "--encoder", "bedside/static") as client:

        def post(verb, status=200, **body):
            answer = client.post(f"/v1/collections/notes/{verb}", json={**scope, **body})
            assert answer.status_code == status, answer.text
            return answer.json()

        note = {"id": "v1", "text": text, "metadata": {"year": 2024}}
        assert post("add_notes", notes=[note]) == {"notes": {"v1": "added"}, "skipped": []}
        assert post("add_notes", notes=[note]) == {"notes": {"v1": "unchanged"}, "skipped": []}
        found = {**note, "metadata": {"year": 2024, "patient_id": "D"}}
        assert post("get_note", id="v1") == {"note": found}
        assert post("get_note", id="v2") == {"note": None}
        post("add_notes", notes=[{"id": "v1b", "text": "HPI: No gout.", "metadata": {"supersedes": "v1"}}])
        versions = post("history", id="v1")["versions"]
        assert [(version["id"], version["superseded_by"]) for version in versions] == [("v1b", []), ("v1", ["v1b"])]
        assert post("history", id="v9") == {"versions": []}
        assert post("delete_note", id="v1") == {"deleted": True}
        assert post("delete_note", id="v1") == {"deleted": False}
        assert "documents[0]" in post("add_notes", 400, notes=[{"id": "v1", "text": " "}])["detail"]


def test_an_unknown_scope_is_told_over_http_from_one_that_has_no_answer(ward):
    with serving(ward, "--encoder", "bedside/static") as client:
        verbs = {
            "search": {"query": "gout"}, "search_notes": {"query": "gout"}, "context": {"query": "gout"},
            "get": {"filter": {}}, "get_note": {"id": "v1"}, "count": {}, "facets": {"key": "section"},
        }  # fmt: skip
        for verb, asked in verbs.items():
            body = {"scope": {"patient_id": "P99"}, **asked}
            assert client.post(f"/v1/collections/notes/{verb}", json=body).is_success
            answer = client.post(f"/v1/collections/notes/{verb}", json={**body, "must_exist": True})
            assert problem(answer, 404, "UnknownScope") == "scope: no document has this patient_id"
            body["scope"] = {"patient_id": "C"}
            assert client.post(f"/v1/collections/notes/{verb}", json={**body, "must_exist": True}).is_success


def test_scopes_cohorts_and_sums_are_for_who_is_bound_to_no_scope(ward, patient, tokens):
    place = "/v1/collections/notes"
    with serving(ward, "--encoder", "bedside/static", "--tokens", tokens) as client:

        def post(verb, letter="e", **body):
            return client.post(f"{place}/{verb}", json=body, headers=bearer(letter))

        counts = post("scopes").json()["scopes"]
        assert [each["scope"] for each in counts] == [{"patient_id": p} for p in "ABC"]
        assert post("scopes", limit=1, offset=1).json()["scopes"] == counts[1:2]
        assert post("cohort", query="gout").json()["scopes"] == [{"scope": {"patient_id": p}, "count": 2} for p in "AB"]
        assert post("count", all_scopes=True).json() == {"count": sum(each["count"] for each in counts)}
        assert post("facets", all_scopes=True, key="section").json()["facets"][0]["count"] == 16
        problem(post("count"), 400, "ScopeRequired")
        problem(post("count", all_scopes=True, scope={"patient_id": "A"}), 400, "InvalidInputError")
        for verb, body in {
            "scopes": {}, "cohort": {"query": "gout"}, "count": {"all_scopes": True},
            "facets": {"all_scopes": True, "key": "section"},
        }.items():  # fmt: skip
            problem(post(verb, "a", **body), 403, "ScopeMismatch")
        assert post("search_notes", "a", query="gout").json()["notes"][0]["id"] == patient.search_notes("gout")[0].id


async def test_a_chatbot_finds_a_known_note_with_the_score_of_the_core_and_text_once(ward, patient):
    async with chatbot(ward, "--encoder", "bedside/static") as client:
        for question in QUESTIONS:
            asked = {"collection": "notes", "scope": {"patient_id": "A"}, "query": question, "top_k": 2}
            found = (await told(client, "search_notes", max_tokens=100, **asked))["notes"]
            hits = patient.search_notes(question, top_k=2)
            assert found == [
                {
                    "label": hit.id, "date": hit.date, "kind": hit.kind, "author": hit.author, "score": hit.score,
                    "section": hit.passages[0].metadata["section"], "text": hit.context(max_tokens=50),
                    "copies": [], "first_seen": None, "last_seen": None,
                }
                for hit in hits
            ]  # fmt: skip
        whole = await told(client, "read_note", collection="notes", scope={"patient_id": "A"}, id=found[0]["label"])
        assert whole["note"]["text"] == patient.get_note(hits[0].id).text
        said = await refused(client, "search_notes", collection="notes", scope={"patient_id": "P99"}, query="gout")
        assert "UnknownScope: scope: no document has this patient_id" in said
        assert (await told(client, "cohort", collection="notes", query="gout", limit=1))["scopes"] == [
            {"scope": {"patient_id": "A"}, "count": 2}
        ]
        assert len((await told(client, "scopes", collection="notes"))["scopes"]) == 3


async def test_a_chatbot_that_is_bound_to_a_patient_names_no_scope_and_finds_that_patients_notes(ward, patient):
    options = ("--encoder", "bedside/static", "--scope", "patient_id=A", "--allow-writes")
    async with chatbot(ward, *options) as client:
        (found, *_) = (await told(client, "search_notes", collection="notes", query="gout"))["notes"]
        assert found["label"] == patient.search_notes("gout")[0].id
        added = await told(client, "add_notes", collection="notes", notes=[{"id": "new", "text": "PLAN: Rest."}])
        assert added == {"notes": {"new": "added"}, "skipped": []}
        assert (await told(client, "read_note", collection="notes", id="new"))["note"]["metadata"] == {
            "patient_id": "A"
        }
        assert await told(client, "delete_note", collection="notes", id="new") == {"deleted": True}
        assert "scope" in await refused(client, "read_note", collection="notes", id="new", scope={"patient_id": "B"})
