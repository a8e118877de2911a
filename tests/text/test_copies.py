"""When texts are copies: the fast way over a pool agrees with the definition, text by text and pair by pair."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.text import copies
from bedside.text.copies import SAME, copied, jaccard, numbered_shingles, shingles
from bedside.text.fold import fold
from bedside.text.sentences import sentences

WORDS = ["wound", "Wound", "clean", "HbA1c", "7.4", "é", "No", "fever.", "fever", "Eats", "-", "5_mg", "µg"]


@st.composite
def pools(draw: st.DrawFn) -> list[str]:
    """Some texts, and others that were copied from these with a few words changed, added or left out."""
    word = st.sampled_from(WORDS)
    bases = draw(st.lists(st.lists(word, max_size=40), min_size=1, max_size=3))
    texts = []
    for _ in range(draw(st.integers(1, 8))):
        text = list(draw(st.sampled_from(bases)))
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(text)))
            text[at : at + draw(st.integers(0, 2))] = draw(st.lists(word, max_size=2))
        texts.append(draw(st.sampled_from([" ", "  ", ". ", "\n"])).join(text))
    return texts


def runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[^\W_]+", fold(text))
    return {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))} if words else set()


def said(text: str) -> set[str]:
    spoken = re.compile(r"[^\W_]+|[<>=+~±]|-(?=\d)|(?<=\d)[.,:/](?=\d)")
    return {" ".join(spoken.findall(fold(text[a:b]))) for a, b in sentences(text)} - {""}


def held(texts: list[str], question: str) -> Callable[[str], float]:
    """How much of a question what a sentence says holds: rarer words weigh more."""
    pieces = {piece for text in texts for piece in re.split(r"\.\n|\. |;|\n", text)}
    in_pieces = [set(re.findall(r"[^\W_]+", fold(piece))) for piece in pieces]
    weights = {}
    for word in re.findall(r"[^\W_]+", fold(question)):
        n = sum(word in words for words in in_pieces)
        weights[word] = math.log1p((len(pieces) - n + 0.5) / (n + 0.5))
    return lambda says: math.fsum(weights[word] for word in set(says.split()) & weights.keys())


def naively_copied(texts: list[str], *, sentences_count: bool, question: str | None = None) -> list[int]:
    found: list[int] = []
    much = held(texts, question or "")

    def may_answer(text: str, other: str) -> bool:
        own = said(text) - said(other)
        if question is None:
            return sentences_count and bool(own)
        best = max(map(much, own), default=0)
        return 0 < best >= max(map(much, said(other)), default=0)

    for i, text in enumerate(texts):
        for j in range(i):
            a, b = runs(text), runs(texts[j])
            near = found[j] == j and len(a & b) >= SAME * len(a | b) > 0
            if near and not may_answer(text, texts[j]):
                found.append(j)
                break
        else:
            known = [j for j in range(i) if texts[j] == text]
            found.append(found[known[0]] if known else i)
    return found


@given(pools())
def test_shingles_as_numbers_are_shared_just_where_shingles_are(texts: list[str]) -> None:
    numbers = [frozenset(found) for found in numbered_shingles(texts)]
    assert [len(found) for found in numbers] == [len(shingles(text)) for text in texts]
    for i, j in combinations(range(len(texts)), 2):
        if numbers[i] or numbers[j]:
            assert jaccard(numbers[i], numbers[j]) == jaccard(shingles(texts[i]), shingles(texts[j]))


@given(pools())
def test_shingles_are_the_runs_of_five_folded_words(texts: list[str]) -> None:
    for text in texts:
        assert shingles(text) == {" ".join(run) for run in runs(text)}


@pytest.mark.parametrize("most", [2**63 - 1, 1])
def test_runs_of_more_words_than_fit_one_number_are_told_apart_all_the_same(monkeypatch, most: int) -> None:
    texts = ["a b c d e f", "b c d e f a", "a b c d e", "f e d c b a", "a b"]
    monkeypatch.setattr(copies, "_INT64", most)
    numbers = [frozenset(found) for found in numbered_shingles(texts)]
    assert [[len(a & b) for b in numbers] for a in numbers] == [
        [len(shingles(a) & shingles(b)) for b in texts] for a in texts
    ]


@given(pools())
def test_a_text_is_a_copy_of_the_first_kept_one_that_is_nearly_the_same(texts: list[str]) -> None:
    assert copied(texts, "") == naively_copied(texts, sentences_count=False)


@given(pools())
def test_without_a_question_a_sentence_of_its_own_keeps_a_text_apart(texts: list[str]) -> None:
    assert copied(texts, None) == naively_copied(texts, sentences_count=True)


@given(pools(), st.lists(st.sampled_from([*WORDS, "nowhere"]), max_size=4).map(" ".join))
def test_with_a_question_a_sentence_that_holds_as_much_of_it_as_the_best_keeps_a_text_apart(texts, question) -> None:
    assert copied(texts, question) == naively_copied(texts, sentences_count=True, question=question)
