"""How well notes are found: measured on the development notes, with the encoders at hand."""

from __future__ import annotations

import pytest

from bedside import Collection, Document, load_encoder
from bedside.evaluation import evaluate, load_retrieval_set
from checkpoints import DATA, minilm_folder


@pytest.fixture(scope="module")
def judged():
    if not (DATA / "notes" / "qrels.tsv").is_file():
        pytest.skip(f"the development notes are not in {DATA}; set BEDSIDE_DATA to the data's dev folder")
    return load_retrieval_set(DATA / "notes")


def found(judged, encoder, alpha=None) -> float:
    """nDCG@10 of searching notes, with the queries encoded at once."""
    vectors = encoder.encode_queries(list(judged.queries.values()))
    with Collection.open(encoder=encoder) as notes:
        notes.add_notes(Document(document.text, id=document.id) for document in judged.documents)
        asked = zip(judged.queries.items(), vectors, strict=True)
        run = {
            id: [hit.id for hit in notes.search_notes(text, vector=vector, alpha=alpha)] for (id, text), vector in asked
        }
    return evaluate(run, judged.judgments, ["nDCG@10"])["nDCG@10"]


@pytest.mark.slow
def test_notes_are_found_with_the_static_encoder_as_well_as_was_measured(judged):
    """It brings its own weight along: vectors of more than half would lose 0.02."""
    encoder = load_encoder("bedside/static")
    assert found(judged, encoder) >= 0.83
    assert found(judged, encoder, alpha=0.6) >= 0.805


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_notes_are_found_with_minilm_better_than_chunks_alone(judged):
    """Chunks with dense and sparse scores reached 0.838 before passages and whole notes were combined."""
    assert found(judged, load_encoder(minilm_folder())) >= 0.85
