"""A browser for all tests of this folder, and pages to open in it."""

from __future__ import annotations

import pytest

from bedside import Collection, Document, load_encoder
from web.chromium import chromium, find

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> & <!--"
NOTES = [
    Document(
        "Denies chest pain. Reports shortness of breath on exertion.", {"section": "ROS", "date": "2025-03-02"}, "n1"
    ),
    Document("Type 2 diabetes. HbA1c 7.2%, metformin 500mg b.i.d.", {"section": "PLAN", "source": HOSTILE}, "n2"),
    Document(f"Fever since Monday. {HOSTILE}", {"section": HOSTILE, "n": 2**60 + 1}, "n3"),
    Document("המטופל מתלונן על כאבים בחזה. aspirin 100 mg.", {"section": "PLAN"}, "n4"),
]


@pytest.fixture(scope="session")
def browser():
    if find() is None:
        pytest.skip("chromium is not installed, or BEDSIDE_BROWSER does not name it")
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def encoder():
    return load_encoder("bedside/static")


@pytest.fixture
def notes(encoder):
    with Collection.open(encoder=encoder) as collection:
        collection.add(NOTES)
        yield collection


@pytest.fixture
def page(notes, tmp_path):
    """A page of four notes, ranked by words alone so that it opens at once."""
    notes.export(tmp_path / "notes.html", title=f"Ward 5 {HOSTILE}", encoder=False)
    return tmp_path / "notes.html"
