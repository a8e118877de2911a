"""Collections and tokens that the servers of these tests are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedside import Collection, Document, load_encoder
from serving_server import TOKENS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two collections: guidelines for everybody, and a ward divided by patient."""
    folder = tmp_path / "collections"
    folder.mkdir()
    with Collection.open(folder / "guidelines", encoder=load_encoder("bedside/static")) as guidelines:
        guidelines.add(
            [
                Document("Aspirin for acute coronary syndrome.", {"section": "ACS"}, id="acs"),
                Document("Insulin for diabetic ketoacidosis.", {"section": "DKA"}, id="dka"),
            ]
        )
    with Collection.open(folder / "ward", scope_keys=["patient_id"]) as ward:
        for patient in "AB":
            notes = ward.scoped(patient_id=patient)
            notes.add([Document(f"Secret of {patient}: chest pain.", {"section": "HPI"}, id=f"{patient}1")])
    return folder


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(TOKENS))
    file.chmod(0o600)
    return file
