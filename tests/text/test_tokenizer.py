"""The tokenizer: what stays whole, what is the same, what is never lost."""

from __future__ import annotations

import json
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.engines.embedded.index.bm25 import SparseIndex
from bedside.errors import FormatVersionError, InvalidInputError
from bedside.text.assertions import marked_terms
from bedside.text.fold import fold
from bedside.text.lexicon import NEGATIONS, STOP_WORDS
from bedside.text.tokenizer import ClinicalTokenizer

TOKENIZER = ClinicalTokenizer()
PLAIN = ClinicalTokenizer(stem=False)
SIGNS = "aAbBcCtT0123456789.,-/:+'<>=≥≤%()µμαβé×½²⁹ ﬁ\u2019\u2011\n "
CLINICAL = st.text(st.one_of(st.sampled_from(SIGNS), st.characters()), max_size=60)


def tokens(text: str) -> list[str]:
    return PLAIN.tokenize(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HbA1c 7.2%", "hba1c a1c 7.2"),
        ("BP 120/80mmHg", "bp 120/80 mmhg"),
        ("BP110/70, HR72", "bp 110/70 hr72"),
        ("E11.9, not E11.65", "e11.9 not e11.65"),
        ("T36.0X5A S72.001A M1A.0110 F32.A V58.69", "t36.0x5a s72.001a m1a.0110 f32.a v58.69"),
        ("LOINC 4548-4", "loinc 4548-4"),
        ("1q21.1 Xp11.2", "1q21.1 xp11.2"),
        ("COVID-19", "covid19 covid 19"),
        ("IL-6", "il6 il"),
        ("CA-125", "ca125 ca"),
        ("B-12", "b12"),
        ("CD4+ T-cell", "cd4 cd4+ tcell t cell"),
        ("SpO2 98% on SpO₂", "spo2 98 spo2"),
        ("3+ edema, Na+", "3 3+ edema na na+"),
        ("b.i.d. q.d. p.r.n.", "bid qd prn"),
        ("U.S. M.D.", "us md"),
        ("s/p CABG, N/V, w/o fever, w/out rash", "s/p cabg n/v without fever without rash"),
        ("10mg/dL", "10 mg dl"),
        ("5 mcg, 5µg, 5 μg", "5 ug 5 ug 5 ug"),
        ("5-10mg", "5-10 5 10 mg"),
        ("2.5-5 mg", "2.5-5 2.5 5 mg"),
        ("5-mg tablet, 10mg-tablet", "5 mg tablet 10 mg tablet"),
        ("a 2.7-mm lesion", "2.7 mm lesion"),
        ("2.5x3.5 x 4cm, 2×3 cm", "2.5 3.5 x 4 cm 2 3 cm"),
        ("98.6F, 37C, stage 2c, 3rd", "98.6 f 37 c stage 2c 3rd"),
        ("5FU 5-FU", "5fu 5fu 5 fu"),
        ("pH7.2 K4.1 Wt81.6kg T36.8C", "ph 7.2 k 4.1 wt 81.6 kg t 36.8 c"),
        ("ABG 7.41/30/370", "abg 7.41/30/370 7.41"),
        ("INR .9, 0.9", "inr 0.9 0.9"),
        ("1,200 mL, 1200 mL, 1,200,000", "1200 ml 1200 ml 1200000"),
        ("I10,E11.9", "i10 e11.9"),
        ("07/29/2008 10:30 2008-07-29", "07/29/2008 10:30 2008-07-29"),
        ("6-month-old", "6monthold 6 month old"),
        ("L4-5", "l4-5 l4 5"),
        ("follow-up", "followup follow up"),
        ("anti-TNF-α", "antitnfalpha anti tnf alpha"),
        ("platelets ≥ 150, <5 cells", "platelets 150 >=150 5 <5 cells"),
        ("10⁹/L 10^9/L 5½", "10 9 l 10 9 l 5 1/2"),
        ("kg/m² kg/m2", "kg m2 kg m2"),
        ("Crohn's, Crohn’s, O'Brien, 5'10", "crohn crohn obrien 5 10"),
        ("doesn't can't won't cannot don’t", "not cannot not cannot not"),
        ("HIV/AIDS and/or nausea/vomiting", "hiv aids nausea vomiting"),
        ("B12.The end.Next", "b12 end next"),
        ("<br>a<b", "br b"),
        ("Lipitor™ [**2151-7-16**] ___", "lipitor 2151-7-16"),
        ("", ""),
        ("... -- // ++ <> '", ""),
    ],
)
def test_a_clinical_text_gives_these_terms(text, expected):
    assert tokens(text) == expected.split()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5mg", "5 mg"),
        ("IL-6", "IL6"),
        ("COVID-19", "covid\u201119"),
        ("µg/mL", "mcg/ml"),
        ("≥7.5", ">= 7.5"),
        ("b.i.d.", "BID"),
        ("Sjögren’s", "Sjogren's"),
        ("β-blocker", "beta-blocker"),
        ("１２０／８０", "120/80"),
        ("7·2", "7.2"),
        ("w/o", "without"),
        ("Ménière", "Me\u0301nie\u0300re"),
        ("so\u00adft", "soft"),
    ],
)
def test_spellings_of_one_thing_give_the_same_terms(one, other):
    assert set(tokens(other)) <= set(tokens(one))
    assert tokens(one)[0] == tokens(other)[0]


def test_words_are_stemmed_and_codes_are_not():
    assert TOKENIZER.tokenize("Wheezing wheezes; E11.9s HER2s") == ["wheez", "wheez", "e11.9s", "her2s"]
    assert PLAIN.tokenize("wheezing") == ["wheezing"]


@pytest.mark.parametrize("word", sorted(NEGATIONS))
def test_a_negation_is_never_dropped(word):
    assert len(TOKENIZER.tokenize(f"{word} {word.upper()}")) == 2
    assert word not in STOP_WORDS


@pytest.mark.parametrize("query", ["7.2", "E11.9", "120/80", "4548-4", "0.5", "07/29/2008"])
def test_a_value_finds_exactly_the_notes_that_hold_it(query):
    notes = [
        "A1c 7.2%, E11.9, BP 120/80, LOINC 4548-4, 0.5 mg on 07/29/2008",
        "A1c 17.2 and 7.25, E11.65, BP 120/85 and 20/80, LOINC 4548-5, 5 mg on 07/28/2008",
        "A1C:7.2. (E11.9) bp=120/80mmHg 4548-4; .5mg; 07/29/2008",
        "7 and 2, E11 then 9, 120 over 80, 4548 or 4, 5, 29 July 2008",
    ]
    index = SparseIndex()
    index.extend(
        (found.terms, found.negated, len(found.terms)) for found in (marked_terms(n, TOKENIZER) for n in notes)
    )
    assert index.score(TOKENIZER.tokenize(query)).rows.tolist() == [0, 2]


def test_every_decimal_of_real_notes_is_found_by_its_value(data):
    """All but a handful in two thousand, which are part of a longer code or look like one."""
    lines = (data / "notes" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    found = total = 0
    for text in (json.loads(line)["text"] for line in lines):
        decimals = set(re.findall(r"(?<![\d.])\d+\.\d+(?!\d|\.\d)", text))
        found += len(decimals & set(tokens(text)))
        total += len(decimals)
    assert total > 1000
    assert found / total > 0.995


@given(CLINICAL)
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@given(CLINICAL)
def test_no_text_raises_and_no_term_is_empty_or_spaced(text):
    for tokenizer in (TOKENIZER, PLAIN):
        assert all(term and term == "".join(term.split()) for term in tokenizer.tokenize(text))


@given(CLINICAL)
def test_canonically_equal_texts_give_the_same_terms(text):
    assert tokens(unicodedata.normalize("NFD", text)) == tokens(unicodedata.normalize("NFC", text))


@given(st.text(st.sampled_from("abcxyzABCXYZ0159.,-/:+'<>= µβéÉß\u2019"), max_size=60))
def test_case_does_not_matter(text):
    assert tokens(text.upper()) == tokens(text) == tokens(text.lower())


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_ascii_text_is_cut_the_same_beside_other_characters(text):
    assert tokens(text + " 中")[:-1] == tokens(text)


@given(CLINICAL)
def test_a_known_chunk_is_cut_as_at_first(text):
    assert TOKENIZER.tokenize(text) == ClinicalTokenizer().tokenize(text)


UNITS = ["a", "1", "a-", "1.", "1/", "a'", "1,234,", "<", ">=1 ", "+", "a.b.", "1x", "1-", "é", "α", "-", "n't "]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", UNITS)
def test_a_huge_monotonous_text_is_cut_in_linear_time(unit):
    """Half a megabyte takes well under a second; in quadratic time it would run into the timeout."""
    text = unit * (500_000 // len(unit))
    assert sum(map(len, ClinicalTokenizer().tokenize(text))) <= 3 * len(text)


def test_settings_give_the_tokenizer_back():
    for tokenizer in (TOKENIZER, PLAIN, ClinicalTokenizer(stop_words=False)):
        settings = json.loads(json.dumps(tokenizer.settings))
        again = ClinicalTokenizer.from_settings(settings)
        assert again.settings == settings
        assert again.tokenize("the lesions of 7.2") == tokenizer.tokenize("the lesions of 7.2")
        assert again.fingerprint == tokenizer.fingerprint
    assert TOKENIZER.fingerprint != PLAIN.fingerprint


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"version": 99}, FormatVersionError),
        ({"name": "other"}, FormatVersionError),
        ({"stem": "yes"}, InvalidInputError),
        ({"shingles": True}, InvalidInputError),
    ],
)
def test_other_settings_are_refused_by_name(change, error):
    with pytest.raises(error, match=r"tokenizer"):
        ClinicalTokenizer.from_settings(TOKENIZER.settings | change)


def test_threads_share_one_tokenizer():
    texts = [f"wheezing{i} running{i % 7} denies coughing {i}.5mg" for i in range(400)]
    shared = ClinicalTokenizer()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(shared.tokenize, texts)) == [TOKENIZER.tokenize(text) for text in texts]


@given(CLINICAL, CLINICAL)
def test_what_stands_on_another_line_changes_no_term(a: str, b: str):
    assert tokens(f"{a}\n{b}") == tokens(a) + tokens(b)
