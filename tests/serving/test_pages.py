"""The server's pages in a real browser: they search, take a token, and ask nobody else for anything."""

from __future__ import annotations

import json

import pytest

from bedside import Collection, Document
from serving_server import bearer, serving
from web.chromium import chromium, find

needs_browser = pytest.mark.skipif(
    find() is None, reason="chromium is not installed, or BEDSIDE_BROWSER does not name it"
)
HEALTH = "#operations-server-health"
ELSEWHERE = "http://127.0.0.1:9/"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & <!--"


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_was_sent_before(request):
    if "browser" in request.fixturenames:
        request.getfixturevalue("browser").events.clear()


def sent(browser):
    events = [event["params"] for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
    return [event["request"]["url"] for event in events if not event["request"]["url"].startswith(("about:", "data:"))]


def complaints(browser, *, but=()):
    """Return what the browser reports, such as what the policy refused, but for answers that were asked for."""
    kinds = ("Log.entryAdded", "Runtime.exceptionThrown")
    found = [json.dumps(event["params"]) for event in browser.events if event.get("method") in kinds]
    return [line for line in found if not any(each in line for each in but)]


def hits(tab):
    return tab.run("[...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)")


def ask(tab, query):
    tab.run("document.getElementById('query').select()")
    tab.type(query)
    tab.press("Enter")
    tab.until("/ms/.test(document.getElementById('status').textContent)")


def choose(tab, collection):
    tab.run(f"document.getElementById('collection').value = {collection!r}")
    tab.run("document.getElementById('collection').onchange()")


def fill(tab, key, value):
    tab.run(f"document.querySelector('#scope-fields [name={key}]').select()")
    tab.type(value)
    tab.press("Enter")


@needs_browser
def test_the_search_page_finds_filters_and_explains_and_asks_its_own_server_alone(browser, root):
    with Collection.open(root / "guidelines") as guidelines:
        guidelines.add([Document(f"Aspirin {HOSTILE} again.", {"section": "ACS"}, id="hostile", vector=[1.0] * 256)])
    with serving(root, "--encoder", "bedside/static") as client:
        origin = str(client.base_url)
        tab = browser.open(f"{origin}/")
        assert hits(tab) == ["acs", "dka", "hostile"]
        ask(tab, "acute coronary syndrome")
        assert hits(tab)[0] == "acs"
        assert tab.run("[...document.querySelectorAll('.hit mark')].map((x) => x.textContent).join(' ')") == (
            "acute coronary syndrome."
        )
        assert "bm25" in tab.run("document.querySelector('.hit .formula').textContent")
        ask(tab, "aspirin")
        assert HOSTILE in tab.run("document.querySelector('[data-id=hostile] .text').textContent")
        tab.run("[...document.querySelectorAll('#facet-list label')].find((x) => /DKA/.test(x.textContent)).click()")
        tab.until("document.querySelector('.hit')?.dataset.id === 'dka'")
        assert hits(tab) == ["dka"]
        with pytest.raises(RuntimeError, match="Failed to fetch"):
            tab.run(f"fetch('{ELSEWHERE}')")
        tab.close()
    assert all(address.startswith((f"{origin}/", ELSEWHERE)) for address in sent(browser))
    assert complaints(browser, but=[ELSEWHERE]) == []


@needs_browser
def test_the_search_page_takes_a_token_and_says_when_it_is_unknown(browser, root, tokens):
    with serving(root, "--tokens", tokens) as client:
        tab = browser.open(f"{client.base_url}/")
        assert tab.run("document.getElementById('access-dialog').open")
        for letter, opened in (("x", False), ("a", True)):
            tab.run("document.getElementById('token').select()")
            tab.type(letter * 32)
            tab.press("Enter")
            if not opened:
                tab.until("/not know/.test(document.getElementById('access-error').textContent)")
        tab.until("document.getElementById('collection').options.length === 2")
        choose(tab, "ward")
        tab.until("document.querySelector('.hit')")
        assert hits(tab) == ["A1"]
        assert tab.run("document.getElementById('scope-form').hidden")  # the token is bound to the scope
        kept = "JSON.stringify([location.href, document.cookie, {...localStorage}, {...sessionStorage}])"
        assert "aaaa" not in tab.run(kept)
        tab.close()
    assert not [address for address in sent(browser) if "aaaa" in address]


@needs_browser
def test_the_search_page_asks_whose_and_tells_a_mistyped_patient_from_an_empty_record(browser, root):
    with Collection.open(root / "ward", scope_keys=["patient_id"]) as ward:
        ward.scoped(patient_id=7).add([Document("Fever.", id="seven")])
    with serving(root) as client:
        tab = browser.open(f"{client.base_url}/")
        choose(tab, "ward")
        tab.until("/Give patient_id/.test(document.getElementById('status').textContent)")
        fill(tab, "patient_id", "B")
        tab.until("document.querySelector('.hit')")
        assert hits(tab) == ["B1"]
        fill(tab, "patient_id", "nobody")
        tab.until("/UnknownScope/.test(document.getElementById('message').textContent)")
        assert hits(tab) == []
        fill(tab, "patient_id", "7")
        tab.until("document.querySelector('.hit')")
        assert hits(tab) == ["seven"]
        tab.close()


@needs_browser
def test_the_search_page_puts_the_newest_first_copies_as_one_and_leaves_what_was_valid_on_a_day(browser, root):
    day = "Wound on the left shin three centimetres, clean, no discharge, and no swelling of the legs."
    versions = [{"valid_from": "2016", "valid_to": "2021-10-04"}, {"valid_from": "2021-10-04"}]
    with Collection.open(root / "wounds") as notes:
        notes.add([Document(day, {"date": f"2025-03-0{n}"}, f"day-{n}") for n in range(1, 4)])
        notes.add([Document(f"Wound care, edition {n}.", given, f"v{n}") for n, given in enumerate(versions)])
        wanted = {
            "newest": [hit.id for hit in notes.search("wound", newest_first=True)],
            "copies": [hit.id for hit in notes.search("wound", collapse="copies")],
            "valid": [hit.id for hit in notes.search("wound", as_of="2021-10-03")],
        }
    with serving(root) as client:
        tab = browser.open(f"{client.base_url}/")
        assert [tab.run(f"document.getElementById('{each}-label').hidden") for each in ("newest", "valid")] == [
            True
        ] * 2
        choose(tab, "wounds")
        tab.until("!document.getElementById('valid-label').hidden && document.querySelectorAll('.hit').length === 5")
        ask(tab, "wound")
        values = {"newest": "checked = true", "copies": "checked = true", "valid": "value = '2021-10-03'"}
        for control, value in values.items():
            tab.run(f"document.getElementById('{control}').{value}")
            tab.run(f"document.getElementById('{control}').onchange()")
            shown = "[...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id).join()"
            tab.until(f"{shown} === {','.join(wanted[control])!r}")
            if control == "copies":
                seen = tab.run("document.querySelector('.copies').textContent")
                assert seen == "and 2 copies, 2025-03-01 to 2025-03-03"
            if control == "valid":
                assert "valid on 2021-10-03" in tab.run("document.getElementById('status').textContent")
            tab.run(f"Object.assign(document.getElementById('{control}'), {{ checked: false, value: '' }})")
        tab.run("document.getElementById('query').value = ''; document.getElementById('newest').click()")
        tab.until("/ask something/.test(document.getElementById('status').textContent)")
        choose(tab, "guidelines")
        tab.until("document.querySelector('[data-id=acs]')")
        assert tab.run("document.getElementById('newest-label').hidden && !document.getElementById('newest').checked")
        tab.close()
    assert complaints(browser) == []


@needs_browser
def test_the_page_of_the_interface_shows_every_operation_and_tries_one_without_another_server(browser, root, tokens):
    with serving(root, "--tokens", tokens) as client:
        origin = str(client.base_url)
        tab = browser.open(f"{origin}/docs", wait=False)
        tab.until("document.querySelectorAll('.opblock').length > 20")
        for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
            tab.until(f"document.querySelector('{HEALTH} {button}')")
            tab.run(f"document.querySelector('{HEALTH} {button}').click()")
        tab.until(f"/ok/.test(document.querySelector('{HEALTH} .live-responses-table')?.textContent)")
        tab.close()
    assert all(address.startswith(f"{origin}/") for address in sent(browser))
    assert complaints(browser) == []


def test_pages_need_no_token_hold_no_data_and_what_they_ask_for_needs_one(root, tokens):
    with serving(root, "--tokens", tokens) as client:
        for path in ("/", "/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"):
            page = client.get(path)
            assert page.status_code == 200, path
            assert page.headers["X-Content-Type-Options"] == "nosniff"
        policy = client.get("/").headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy + client.get("/docs").headers["Content-Security-Policy"]
        assert client.get("/docs/../tokens.json", headers=bearer("e")).status_code == 404
        assert client.get("/docs/favicon-32x32.png", headers=bearer("e")).status_code == 404
        assert client.get("/v1/collections").status_code == 401
        schema = client.get("/openapi.json").json()
    assert not [path for path in schema["paths"] if path == "/" or path.startswith("/docs")]
