"""Sentences end where clinical writers end them, and never inside a number, a dose or an abbreviation."""

from __future__ import annotations

import pytest

from bedside.text.sentences import LEVELS, sentences, split_finer

SEPARATE = [
    ("No fever.", "Eats well."),
    ("No fever!", "Eats well."),
    ("Any pain?", "None."),
    ("BP 120/80.", "HR 72."),
    ("He weighs 80 kg.", "He walks."),
    ("Ate at 5 p.m.", "Then slept."),
    ("Lisinopril 10 mg b.i.d.", "Denies cough."),
    ("Potassium was 5.2.", "Repeat tomorrow."),
    ('He said "no."', "She agreed."),
    ("Pain is severe (8/10).", "Took ibuprofen."),
    ("Seen today.", "3 weeks of cough."),
    ("Smoker? No.", "Drinks socially."),
    ("Fièvre élevée.", "État stable."),
    ("Smoked for 2 years.", "Per his wife he quit."),
    ("Takes 40 mg.", "Daily weights."),
    ("Kontrolle am 3. Mai.", "Danach Reha."),
    ("Z.n. Appendektomie.", "Raucher."),
]
TOGETHER = [
    "Seen by Dr. Smith today.",
    "Seen by Mrs. O'Neill and Prof. Wu.",
    "Takes 5.2 mg of it.",
    "Metoprolol 25 mg p.o. b.i.d. with meals.",
    "Take 40 mg. PO daily.",
    "Use an NSAID, e.g. Ibuprofen, as needed.",
    "Right vs. Left was not stated.",
    "Give 5 ml q. 4 h. for pain.",
    "Room No. 5 was free.",
    "Seen on Jan. 5, 2024 at home.",
    "1. Hypertension, stable.",
    "A. Toxic substances were not found.",
    "Temp. 37.2 today.",
    "Pt. Smith was seen.",
    "J. Smith was seen.",
    "the e.g. i.e. cf. Table",
    "Sodium 1,200.5 units.",
    "1.) Hypertension, stable.",
    "(2.) Gout.",
    "Aufnahme am 3. Mai 2024 zur Abklärung.",
    "Die 2. Operation verlief am 3. Tag gut.",
    "Z.n. Appendektomie, V.a. Pneumonie, z.B. Nr. 5 links.",
    "It was unclear (?) whether.",
]


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(("first", "second"), SEPARATE)
def test_two_sentences_are_told_apart(first, second):
    assert cut(f"{first} {second}")[-1] == second
    assert cut(f"{first}\n{second}")[-1] == second


@pytest.mark.parametrize("text", TOGETHER)
def test_one_sentence_stays_one(text):
    assert cut(text) == [text]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_an_empty_line_and_a_list_item_part_sentences_and_a_wrapped_line_does_not(newline):
    text = newline.join(
        ["no fever", "", "1. Aspirin", "2. Statin", "- rest and", "fluids, seen by", "Dr.", "Wu, took 5", "mg"]
    )
    assert [s.replace(newline, " ").strip() for s in cut(text)] == [
        "no fever",
        "1. Aspirin",
        "2. Statin",
        "- rest and fluids, seen by Dr. Wu, took 5 mg",
    ]


def test_lines_without_marks_are_statements_of_their_own():
    assert cut("Aspirin 81 mg\nMetoprolol 25 mg\nLisinopril") == ["Aspirin 81 mg\n", "Metoprolol 25 mg\n", "Lisinopril"]


def test_a_list_inside_a_line_is_cut_before_its_numbers():
    assert cut("1. Asthma. 2. Gout. 3. Acne.") == ["1. Asthma. ", "2. Gout. ", "3. Acne."]
    assert cut("1.) Asthma. 2.) Gout.\n3.) Acne.") == ["1.) Asthma. ", "2.) Gout.\n", "3.) Acne."]


def test_each_problem_after_a_number_sign_is_a_sentence_of_its_own():
    assert cut("# Sepsis\ncefepime\n# AKI\nhold it\n#CHF") == ["# Sepsis\ncefepime\n", "# AKI\nhold it\n", "#CHF"]


@pytest.mark.parametrize(
    "whole",
    [
        "5.2 mg",
        "5.2 mg / kg",
        "< 5 ml",
        "120 / 80",
        "5 - 10 mg",
        "b. i. d.",
        "Dr. Wu",
        "e.g. ibuprofen",
        "81 mg",
        "98 %",
        "98.6 F",
        "37.5 °C",
        "50 µg",
        "1 1/2 tablets",
        "½ tablet",
        "1 000 mg",
        "5 million units",
        "5 mg to 10 mg",
        "400 mg / 5 mL",
        "250 mg per 5 mL",
        "4.5 x 10^9 /L",
        "5 ft 3 in",
        "10:30 a.m.",
        "q. 6 h",
        "No. 5",
        "J. R. Smith",
        "E. coli",
        "March 5, 2024",
        "5 March 2024",
        "Jan. 5, 2024",
        "3. Mai 2024",
        "Z.n. Infarkt",
        "5\r\nmg",
    ],
)
def test_a_long_sentence_is_not_cut_inside_a_number_a_dose_or_an_abbreviation(whole):
    text = f"given {whole} then {whole}, more {whole}; and {whole} again"
    for level in range(LEVELS):
        pieces = [text[start:end] for start, end in split_finer(text, (0, len(text)), level)]
        assert "".join(pieces) == text
        assert sum(whole in piece for piece in pieces) == 4 or level < 3
        assert sum(piece.count(whole) for piece in pieces) == 4


def test_levels_cut_ever_finer():
    text = "a b, c\nd e; f g"
    cuts = [[text[s:e] for s, e in split_finer(text, (0, len(text)), level)] for level in range(LEVELS)]
    assert cuts == [
        ["a b, c\n", "d e; f g"],
        ["a b, c\nd e; ", "f g"],
        ["a b, ", "c\nd e; f g"],
        ["a ", "b, ", "c\n", "d ", "e; ", "f ", "g"],
    ]
