"""The page in a real browser: what it shows, what it keeps, and that nothing leaves it."""

from __future__ import annotations

import json

import pytest

from bedside import Collection, Document
from web.chromium import chromium, find
from web.conftest import HOSTILE, NOTES

pytestmark = pytest.mark.skipif(find() is None, reason="chromium is not installed, or BEDSIDE_BROWSER does not name it")
ADD = "bedside.page.records.add([{ id: 'mine', text: 'Penicillin allergy.' }])"
COUNT = "bedside.page.records.count()"


def url(page):
    return page.as_uri()


def requests(browser):
    sent = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    return [address for address in sent if not address.startswith(("about:", "data:"))]


def complaints(browser):
    kinds = ("Log.entryAdded", "Runtime.exceptionThrown")
    return [event["params"] for event in browser.events if event.get("method") in kinds]


def hits(tab, query):
    """Type a question and return the ids of the hits that the page shows."""
    tab.run("document.getElementById('query').select()")
    tab.type(query)
    tab.until("/hit|best/.test(document.getElementById('status').textContent)")
    return tab.run("[...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)")


def test_typed_words_find_what_python_finds_and_mark_it(browser, page, notes):
    tab = browser.open(url(page))
    expected = [hit.id for hit in notes.search("shortness of breath, diabetes", mode="sparse")]
    assert hits(tab, "shortness of breath, diabetes") == expected
    assert tab.run("[...document.querySelectorAll('mark')].map((x) => x.textContent)")[:2] == ["shortness", "breath"]
    assert "Reports shortness" in tab.run("document.querySelector('.best').textContent")
    tab.press("ArrowDown")
    tab.press("Enter")
    assert tab.run("document.activeElement.querySelector('details').open")
    assert "bm25" in tab.run("document.querySelector('.formula').textContent")
    tab.press("Escape")
    assert tab.run("document.activeElement.id") == "query"
    tab.close()


def test_no_request_leaves_the_page_and_no_text_becomes_markup(browser, page):
    browser.events.clear()
    tab = browser.open(url(page))
    tab.until("document.querySelectorAll('.hit').length === 4")
    hits(tab, "fever")
    assert HOSTILE in tab.run("document.querySelector('.text').textContent")
    assert tab.run("document.title") == f"Ward 5 {HOSTILE}"
    assert tab.run("document.querySelectorAll('img, iframe, object, body script:not([type])').length") == 0
    assert requests(browser) == [url(page)]
    assert complaints(browser) == []
    for code in ("eval('1')", "new Function('1')", "document.body.innerHTML = '<b>x</b>'"):
        with pytest.raises(RuntimeError, match=r"EvalError|TypeError"):
            tab.run(f"(() => {{ const run = () => {{ {code} }}; return run(); }})()")
    with pytest.raises(RuntimeError, match="Failed to fetch"):
        tab.run("fetch('http://127.0.0.1:9/')")
    tab.close()


def test_facets_filter_and_count(browser, page):
    tab = browser.open(url(page))
    tab.until("document.querySelector('#facet-list input')")
    tab.run("[...document.querySelectorAll('#facet-list label')].find((x) => x.textContent.startsWith('PLAN')).click()")
    tab.until("document.querySelectorAll('.hit').length === 2")
    assert "2 passages" in tab.run("document.getElementById('status').textContent")
    tab.close()


def test_what_is_added_stays_over_reload_and_comes_out_in_a_file_that_import_reads(
    browser, page, notes, encoder, tmp_path
):
    tab = browser.open(url(page))
    tab.run(ADD)
    tab.reload()
    assert tab.run(COUNT) == 5
    assert hits(tab, "penicillin") == ["mine"]
    tab.run("bedside.page.records.delete({ ids: ['n1'] })")
    tab.reload()
    assert tab.run(COUNT) == 4
    (tmp_path / "out.jsonl").write_text(tab.run("bedside.page.records.export()"), "utf-8")
    tab.close()
    with Collection.open(encoder=encoder) as copy:
        assert copy.import_from(tmp_path / "out.jsonl") == 4
        assert copy.get(["n3"]) == notes.get(["n3"])
        assert copy.get(["mine"]) == [Document("Penicillin allergy.", {}, "mine")]


def test_a_second_tab_sees_what_the_first_added_and_neither_overwrites_the_other(browser, page):
    one, two = browser.open(url(page)), browser.open(url(page))
    one.run(ADD)
    assert two.run(COUNT) == 5
    two.until("document.querySelectorAll('.hit').length === 5")
    two.run("bedside.page.records.add([{ id: 'mine', text: 'Allergic to penicillin.' }, { text: 'Other.' }])")
    assert one.run(COUNT) == 6
    assert (
        one.run("bedside.page.records.get({ ids: ['mine'] }).then(([found]) => found.text)")
        == "Allergic to penicillin."
    )
    both = (
        "Promise.all(Array.from({ length: 20 }, (_, i) => bedside.page.records.add([{ id: `NAME-${i}`, text: 'x' }])))"
    )
    one.run(f"globalThis.done = {both.replace('NAME', 'a')}; 0")
    two.run(both.replace("NAME", "b"))
    one.run("done")
    assert one.run(COUNT) == two.run(COUNT) == 46
    one.close()
    two.close()


def test_what_was_acknowledged_survives_a_killed_browser(page, tmp_path):
    from web.chromium import Browser

    first = Browser(str(tmp_path / "profile"))
    tab = first.open(url(page))
    acknowledged = tab.run(ADD)
    tab.run("globalThis.later = bedside.page.records.add(Array.from({ length: 3000 }, () => 'Half written?')); 0")
    first.kill()
    second = Browser(str(tmp_path / "profile"))
    try:
        tab = second.open(url(page))
        assert (
            tab.run(f"bedside.page.records.get({{ ids: {json.dumps(acknowledged)} }}).then((found) => found.length)")
            == 1
        )
        assert tab.run(COUNT) in (5, 3005)
    finally:
        second.close()


def test_a_full_browser_says_so_and_keeps_nothing_of_the_call(page, tmp_path, browser):
    tab = browser.open(url(page), private=True)
    tab.call("Storage.overrideQuotaForOrigin", origin="file://", quotaSize=200_000)
    many = "Array.from({ length: 400 }, (_, i) => ({ id: `m${i}`, text: `Passage ${i}. `.repeat(400) }))"
    with pytest.raises(RuntimeError, match=r"WriteFailedError: the browser's room for this page is full; nothing"):
        tab.run(f"bedside.page.records.add({many})")
    assert tab.run(COUNT) == 4
    tab.call("Storage.overrideQuotaForOrigin", origin="file://")
    tab.run(ADD)
    tab.reload()
    assert tab.run(COUNT) == 5
    tab.close()


def test_a_window_that_keeps_nothing_says_so_and_still_searches(browser, page):
    tab = browser.open("about:blank", wait=False, private=True)
    tab.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(globalThis, 'indexedDB', { value: undefined })",
    )
    tab.go(url(page))
    assert "nothing can be kept" in tab.run("document.getElementById('message').textContent")
    tab.run(ADD)
    assert hits(tab, "penicillin") == ["mine"]
    tab.close()


def test_a_private_window_forgets(browser, page):
    tab = browser.open(url(page), private=True)
    tab.run(ADD)
    tab.reload()
    assert tab.run(COUNT) == 5
    tab.close()
    again = browser.open(url(page), private=True)
    assert again.run(COUNT) == 4
    again.close()


def test_files_are_cut_into_passages_and_a_second_reading_replaces_them(browser, page):
    tab = browser.open(url(page))
    text = "HPI: Cough for 3 days.\n\nPLAN:\nRest and fluids.\n\nReturn if worse."
    file = f"new File([{json.dumps(text)}], 'visit.txt')"
    tab.run(f"bedside.page.addFiles([{file}])")
    found = tab.run("bedside.page.records.get({ filter: { source_id: 'visit.txt' } })")
    assert [(d["text"], d["metadata"]["section"]) for d in found] == [
        ("Cough for 3 days.", "HPI"), ("Rest and fluids.", "PLAN"), ("Return if worse.", "PLAN"),
    ]  # fmt: skip
    tab.run("bedside.page.addFiles([new File(['PLAN: Rest.'], 'visit.txt')])")
    assert tab.run(COUNT) == 5
    tab.run("bedside.page.addFiles([new File([new Uint8Array([255, 254, 0])], 'scan.pdf')])")
    assert "Not added: scan.pdf: not UTF-8 text" in tab.run("document.getElementById('message').textContent")
    lines = '{"id": "a", "text": "One."}\n{"id": "b", "text": 7}\n'
    tab.run(f"bedside.page.addFiles([new File([{json.dumps(lines)}], 'two.jsonl')])")
    assert tab.run(COUNT) == 5
    tab.close()


def test_a_sealed_page_opens_with_its_passphrase_only(browser, notes, tmp_path):
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    notes.export(tmp_path / "sealed.html", passphrase="correct horse", encoder=False)  # noqa: S106
    content = (tmp_path / "sealed.html").read_bytes()
    assert b"n1" not in content.split(b'id="documents">')[0].split(b'id="bedside">')[1]
    tab = browser.open((tmp_path / "sealed.html").as_uri(), wait=False)
    tab.until("document.getElementById('unlock')?.open")
    submit = (
        "document.getElementById('passphrase').value = 'WORD'; document.querySelector('#unlock-form button').click()"
    )
    tab.run(submit.replace("WORD", "battery staple"))
    tab.until("document.getElementById('unlock-error').textContent")
    tab.run(submit.replace("WORD", "correct horse"))
    tab.ready()
    assert tab.run(COUNT) == len(NOTES)
    assert "gone when the tab closes" in tab.run("document.getElementById('message').textContent")
    kept = "indexedDB.databases().then((kept) => kept.map(({ name }) => name))"
    assert f"bedside:page:{tab.run('bedside.page.about.page')}" not in tab.run(kept)
    tab.close()


def test_a_page_of_several_patients_shows_one_at_a_time(browser, tmp_path):
    with Collection.open(scope_keys=["patient"]) as notes:
        notes.add([Document(f"Cough of patient {p}.", {"patient": p}, "1") for p in "AB"])
        notes.export(tmp_path / "all.html", all_scopes=True)
    tab = browser.open((tmp_path / "all.html").as_uri())
    assert tab.run("bedside.collection.count().catch((error) => error.name)") == "ScopeRequired"
    assert "patient A" in tab.run("document.querySelector('.text').textContent")
    tab.run("const scope = document.getElementById('scope'); scope.selectedIndex = 1; scope.onchange()")
    tab.until("document.querySelector('.text')?.textContent.includes('patient B')")
    assert tab.run(COUNT) == 1
    tab.close()


def test_the_newest_come_first_copies_are_one_and_a_day_leaves_what_was_valid_then(browser, tmp_path):
    day = "Wound on the left shin three centimetres, clean, no discharge, and no swelling of the legs."
    versions = [{"valid_from": "2016", "valid_to": "2021-10-04"}, {"valid_from": "2021-10-04"}]
    with Collection.open() as notes:
        notes.add([Document(day, {"date": f"2025-03-0{n}"}, f"day-{n}") for n in range(1, 4)])
        notes.add([Document(f"Wound care, edition {n}.", given, f"v{n}") for n, given in enumerate(versions)])
        notes.export(tmp_path / "notes.html")
        wanted = {
            "newest": [hit.id for hit in notes.search("wound", newest_first=True)],
            "copies": [hit.id for hit in notes.search("wound", collapse="copies")],
            "valid": [hit.id for hit in notes.search("wound", as_of="2021-10-03")],
        }
    tab = browser.open((tmp_path / "notes.html").as_uri())
    for control, value in (
        ("newest", "checked = true"),
        ("copies", "checked = true"),
        ("valid", "value = '2021-10-03'"),
    ):
        tab.run(f"document.getElementById('{control}').{value}")
        tab.run("document.getElementById('query').value = 'wound'; bedside.page.search()")
        assert tab.run("[...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)") == wanted[control]
        if control == "copies":
            assert tab.run("document.querySelector('.copies').textContent") == (
                "and 2 copies, 2025-03-01 to 2025-03-03"
            )
        if control == "valid":
            tab.run("document.getElementById('query').value = ''; bedside.page.search()")
            assert tab.run("document.getElementById('status').textContent") == "4 passages"
        tab.run(f"Object.assign(document.getElementById('{control}'), {{ checked: false, value: '' }})")
    tab.close()


def test_right_to_left_text_reads_from_the_right(browser, page):
    tab = browser.open(url(page))
    tab.until("document.querySelectorAll('.hit').length === 4")
    assert tab.run("getComputedStyle(document.querySelectorAll('.text')[3]).direction") == "rtl"
    assert tab.run("getComputedStyle(document.querySelectorAll('.text')[0]).direction") == "ltr"
    tab.close()


def test_a_question_is_answered_by_words_until_meaning_can_be_compared(browser, encoder, tmp_path):
    with Collection.open(encoder=encoder) as many:
        many.add([Document(f"Patient {n} has pneumonia and a cough. " * 40) for n in range(600)] + ["Lung infection."])
        many.export(tmp_path / "many.html")
        expected = [hit.id for hit in many.search("infection of the lungs", top_k=20)]
    tab = browser.open((tmp_path / "many.html").as_uri())
    tab.run("document.getElementById('query').value = 'infection of the lungs'; bedside.page.search()")
    early = tab.run("[bedside.page.prepared, document.getElementById('status').textContent]")
    assert early[0] or early[1].endswith("is being prepared")
    tab.until("document.body.dataset.vectors === 'ready'")
    tab.until("document.getElementById('status').textContent.startsWith('20 best of 601 passages')")
    tab.until("!document.getElementById('status').textContent.endsWith('is being prepared')")
    assert tab.run("[...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)") == expected
    tab.close()


@pytest.mark.slow
def test_ten_thousand_hits_come_twenty_at_a_time(browser, tmp_path):
    with Collection.open() as many:
        many.add([Document(f"Patient {n} has a cough.") for n in range(10_000)])
        many.export(tmp_path / "many.html")
    with chromium() as own:
        tab = own.open((tmp_path / "many.html").as_uri())
        hits(tab, "patient")
        assert tab.run("document.querySelectorAll('.hit').length") == 20
        tab.run("document.getElementById('more').click()")
        tab.until("document.querySelectorAll('.hit').length === 40")
