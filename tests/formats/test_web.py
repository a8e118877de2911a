"""A page as a file: what it says of itself, what it leaves out, and that its records come back."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode
from itertools import compress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document, load_encoder
from bedside.errors import InvalidInputError, ScopeRequired, UnreadableFileError
from bedside.evaluation import load_retrieval_set
from bedside.formats.exchange import estimate_characters
from bedside.formats.web import read
from bedside.formats.web.packing import base64, compressed
from bedside.formats.web.postings import varints
from bedside.formats.web.write import estimate_size
from bedside.text.analyzer import Analyzer
from bedside.text.tokenizer import ClinicalTokenizer
from command_line import bedside

HOSTILE = "</script><script>alert(1)</script> <!-- &"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("bedside/static")


def about(page):
    packed = re.search(rb'id="documents">(.*?)</script>', page.read_bytes())[1]
    return json.loads(zlib.decompress(b64decode(packed), 31).split(b"\n")[0])


def test_records_come_back_exactly_and_vectors_given_by_hand_bit_for_bit(tmp_path, encoder):
    by_hand = np.random.default_rng(1).normal(size=256).astype(np.float32)
    with Collection.open(encoder=encoder) as notes, Collection.open(encoder=encoder) as copy:
        notes.add([
            Document(f"Fever {HOSTILE}", {"n": 2**60 + 1, "f": 1.0, "é": [None, {}]}, HOSTILE),
            Document("", {}, "empty", by_hand),
            Document("Chest pain.", {}, "hand", by_hand),
        ])  # fmt: skip
        assert notes.export(tmp_path / "notes.html", title=HOSTILE) == 3
        assert copy.import_from(tmp_path / "notes.html") == 3
        assert copy.get(filter={}) == notes.get(filter={})
        vectors = [[d.vector.tobytes() for d in c.get(filter={}, include_vectors=True)] for c in (notes, copy)]
        assert vectors[0] == vectors[1]
    assert (tmp_path / "notes.html").stat().st_mode & 0o077 == 0
    page = (tmp_path / "notes.html").read_text("utf-8")
    assert page.count("alert(1)") == page.count("&lt;script&gt;alert(1)") == 2  # the title, twice
    assert about(tmp_path / "notes.html")["encoder"]["fingerprint"] == encoder.fingerprint


def test_a_page_whose_vectors_are_not_the_static_encoders_ranks_by_words(tmp_path, encoder):
    with Collection.open() as notes:
        notes.add([Document("Fever.", vector=[1, 0])])
        notes.export(tmp_path / "hand.html")
    assert (about(tmp_path / "hand.html")["dimension"], about(tmp_path / "hand.html")["encoder"]) == (0, None)
    with Collection.open(encoder=encoder) as notes:
        notes.add(["Fever."])
        notes.export(tmp_path / "without.html", encoder=False)
    assert about(tmp_path / "without.html")["dimension"] == 0
    assert (tmp_path / "without.html").stat().st_size < 300_000


def test_any_title_and_filter_can_stand_in_a_page(tmp_path):
    title = "/*BLOCKS*/ /*SCRIPT*/ /*TITLE*/ \ud800 <b>"
    with Collection.open() as notes:
        notes.add([Document("Fever.", {"n": 1}, "n1")])
        notes.export(tmp_path / "notes.html", title=title, filter={"n": {"$lt": 2**70}})
        assert list(read(tmp_path / "notes.html")) == notes.get(["n1"])
    assert about(tmp_path / "notes.html")["title"] == title
    assert about(tmp_path / "notes.html")["filter"] == {"n": {"$lt": 2**70}}
    page = (tmp_path / "notes.html").read_text("utf-8")
    assert page.count("<title>/*BLOCKS*/ /*SCRIPT*/ /*TITLE*/ ? &lt;b&gt;</title>") == 1


def test_patients_are_never_taken_silently(tmp_path):
    with Collection.open(scope_keys=["patient"]) as notes:
        notes.add([Document("Cough.", {"patient": patient}, "1") for patient in "AB"])
        with pytest.raises(ScopeRequired):
            notes.export(tmp_path / "all.html")
        assert notes.scoped(patient="A").export(tmp_path / "one.html") == 1
        assert notes.export(tmp_path / "all.html", all_scopes=True) == 2
        assert notes.export(tmp_path / "all.jsonl", all_scopes=True) == 2
    assert about(tmp_path / "one.html")["scopes"] == [{"patient": "A"}]
    assert about(tmp_path / "all.html")["scopes"] == [{"patient": "A"}, {"patient": "B"}]


def test_a_sealed_page_shows_nothing_and_is_not_read(tmp_path):
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    with Collection.open() as notes:
        notes.add([Document("Fever.", {"ward": "icu"}, "n1")])
        with pytest.raises(InvalidInputError, match="passphrase"):
            notes.export(tmp_path / "sealed.html", passphrase=" ")  # noqa: S106
        notes.export(tmp_path / "sealed.html", filter={"ward": "icu"}, passphrase="correct horse")  # noqa: S106
        with pytest.raises(UnreadableFileError, match="sealed with a passphrase"):
            notes.import_from(tmp_path / "sealed.html")
    blocks = (tmp_path / "sealed.html").read_bytes().split(b'id="bedside">')[1].split(b'<script type="module">')[0]
    assert not re.search(rb"icu|ward|n1\b|correct", blocks)


@pytest.mark.parametrize("damage", [b"documents", b"bedside"])
def test_a_damaged_page_is_named(tmp_path, damage):
    with Collection.open() as notes:
        notes.add(["Fever."])
        notes.export(tmp_path / "notes.html")
        page = (tmp_path / "notes.html").read_bytes()
        (tmp_path / "notes.html").write_bytes(page.replace(b'id="%s">' % damage, b'id="%s">!' % damage, 1))
        with pytest.raises(UnreadableFileError, match=r"^notes\.html: "):
            notes.import_from(tmp_path / "notes.html")


def test_other_formats_refuse_a_pages_options(tmp_path):
    with (
        Collection.open() as notes,
        pytest.raises(InvalidInputError, match="title: not an option of csv; its options: "),
    ):
        notes.export(tmp_path / "notes.csv", title="Notes")


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_packing_is_what_gzip_and_base64_undo(chunks):
    packed = b"".join(base64(compressed(chunks)))
    assert zlib.decompress(b64decode(packed, validate=True), 31) == b"".join(chunks)


def test_the_command_writes_a_page_and_asks_for_one_scope_or_all(tmp_path):
    with Collection.open(tmp_path / "ward", scope_keys=["patient"]) as notes:
        notes.add([Document("Cough.", {"patient": "A"}, "1")])
    page = tmp_path / "page.html"
    assert "or --all-scopes" in bedside("export", tmp_path / "ward", page, code=1)
    assert bedside("export", tmp_path / "ward", page, "--all-scopes", "--title", "Ward 5", "--no-encoder").startswith(
        "1 "
    )
    assert "<title>Ward 5</title>" in page.read_text("utf-8")


@pytest.mark.parametrize("encoder_too", [True, False])
def test_the_size_that_is_told_beforehand_is_about_the_pages(tmp_path, encoder, data, encoder_too):
    judged = load_retrieval_set(data / "mtsdialog")
    with Collection.open(encoder=encoder) as notes:
        notes.add(judged.documents[:300])
        count, characters = estimate_characters(notes, None, all_scopes=False)
        notes.export(tmp_path / "page.html", encoder=encoder_too)
    told = estimate_size(characters, encoder=encoder_too)
    assert count == 300
    assert told == pytest.approx((tmp_path / "page.html").stat().st_size, rel=0.25)


def test_a_page_brings_the_postings_of_its_texts_and_titles_along(tmp_path, data):
    documents = [
        Document(each.text, {"title": "Denies fever"} if n % 3 == 0 else {}, f"d{n}")
        for n, each in enumerate(
            [*load_retrieval_set(data / "mtsdialog").documents[:200], Document("?!"), Document("µg")]
        )
    ]
    with Collection.open() as notes:
        notes.add(documents)
        notes.export(tmp_path / "page.html")
    analyzer = Analyzer(ClinicalTokenizer(), "title")
    expected = [analyzer.terms(document.text, document.metadata) for document in documents]
    lengths, postings = read_postings(tmp_path / "page.html", len(documents))
    assert lengths == [terms.length for terms in expected]
    assert postings == {
        (term, row): (terms.terms.count(term), sum(compress(terms.negated, map(term.__eq__, terms.terms))))
        for row, terms in enumerate(expected)
        for term in set(terms.terms)
    }


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_whole_numbers_come_out_of_their_bytes_again(numbers):
    packed = iter(varints(numbers))
    assert [unpacked(packed) for _ in numbers] == numbers
    assert next(packed, None) is None


def read_postings(page, count):
    """Read what postings.py packs: lengths, and by term and row how often it stands there and how often negated."""
    block = re.search(rb'id="documents">(.*?)</script>', page.read_bytes())[1]
    line, _, numbers = zlib.decompress(b64decode(block), 31).partition(b"\n\n")[2].partition(b"\n")
    terms, rest = json.loads(line), iter(numbers)
    lengths, sizes = ([unpacked(rest) for _ in range(n)] for n in (count, len(terms)))
    gaps, counts, negated = ([unpacked(rest) for _ in range(sum(sizes))] for _ in range(3))
    assert next(rest, None) is None
    places = [(term, i == 0) for term, size in zip(terms, sizes, strict=True) for i in range(size)]
    found, row = {}, 0
    for (term, is_first), gap, *times in zip(places, gaps, counts, negated, strict=True):
        row = gap if is_first else row + gap
        found[term, row] = tuple(times)
    return lengths, found


def unpacked(numbers):
    value = shift = 0
    while (byte := next(numbers)) > 127:
        value, shift = value | (byte & 127) << shift, shift + 7
    return value | byte << shift


@pytest.mark.parametrize("alpha", [None, 0.7])
def test_a_page_ranks_by_the_collections_own_weight(tmp_path, encoder, alpha):
    with Collection.open(encoder=encoder, alpha=alpha) as notes:
        notes.add(["Fever."])
        notes.export(tmp_path / "notes.html")
    assert about(tmp_path / "notes.html")["settings"]["alpha"] == (alpha or 0.3)
