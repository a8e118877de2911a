"""Notes of a few patients for the tests of encryption, and what would give them away in a file."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from pathlib import Path

import numpy as np

from bedside import Document

KEY, OTHER = bytes(range(32)), bytes(32)
WARD = "Cardiology-7-East"
JANE, RICK = "Doe-Jane", "Roe-Richard"
PATIENTS = (JANE, RICK, "Poe-Ann", "Last-One")


def note(patient: str, number: int) -> Document:
    """The one note that a patient and a number stand for."""
    rng = np.random.default_rng([zlib.crc32(patient.encode()), number])
    text = f"Paroxysmal tachyarrhythmia, episode {number}: metoprolol 25 mg."
    metadata = {"patient_id": patient, "ward": WARD, "episode": number}
    return Document(text, metadata, f"encounter-{patient}-{number}", rng.normal(size=5).astype(np.float32))


NOTES = [note(patient, number) for number in range(3) for patient in (JANE, RICK)]


def plain_forms(documents: list[Document]) -> set[bytes]:
    """What would give documents away: words, ids, values, and vectors in every form that Bedside writes anywhere."""
    found: set[bytes] = set()
    for document in documents:
        vector = document.vector
        unit = (vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64))).astype(np.float32)
        for each in (vector, unit):
            found |= {each.tobytes(), each.tobytes()[:8], b64encode(each.tobytes())[:10]}
            found |= {str(float(number))[:9].encode() for number in each}
            found |= {json.dumps(float(np.float64(number)))[:9].encode() for number in each}
        words = document.text.replace(",", " ").replace(":", " ").lower().split()
        found |= {word.encode() for word in words if len(word) > 5} | {b"tachyarrhythmi", b"Paroxysmal", b"paroxysm"}
        found |= {value.encode() for value in (document.id, WARD, WARD.lower(), document.metadata["patient_id"])}
    return {form for form in found if len(form) > 5}


def holding(folder: Path, forms: set[bytes]) -> list[str]:
    """The names of the files below a folder that hold one of these."""
    contents = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return [path.name for path, content in contents.items() if any(form in content for form in forms)]
