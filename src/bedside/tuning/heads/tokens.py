"""Texts to tokens with character offsets, and tokens to the rows that a network reads.

The tokenizer is the encoder's own (:func:`bedside.encoders.tokenizer.load_tokenizer`), so a cased model reads cased
text; offsets count characters of the text as it was given, whatever the tokenizer folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bedside.encoders.tokenizer import TextTokenizer, load_tokenizer
from bedside.encoders.windows import split
from bedside.errors import InvalidInputError


@dataclass(frozen=True)
class Tokens:
    """One text without special tokens.

    Attributes:
        ids: Vocabulary entries.
        starts: First character of each token.
        ends: One after its last character.
        words: The word that each token is part of, as the tokenizer cuts words.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]
    words: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    def within(self, start: int, end: int) -> tuple[int, int]:
        """The tokens that share a character with ``text[start:end]``, as a half-open range."""
        first = next((i for i, stop in enumerate(self.ends) if stop > start), len(self))
        last = next((i for i in range(first, len(self)) if self.starts[i] >= end), len(self))
        return first, last


@dataclass(frozen=True)
class Row:
    """One window as the network reads it.

    Attributes:
        ids: Vocabulary entries, special ones included.
        types: Segment of each: 1 in the second text of a pair where the model tells them apart.
        offset: Where the tokens of the text (of a pair: the second) begin.
        labels: What the network is to say: a class number, a 0/1 list, a number for each token, or start and end.
    """

    ids: list[int]
    types: list[int]
    offset: int
    labels: Any = None

    def labelled(self, labels: Any) -> Row:
        """The same row with labels."""
        return replace(self, labels=labels)


class TaskTokenizer:
    """The tokenizer of a model folder, with offsets and pairs.

    Args:
        folder: A model folder.
        max_length: Tokens in one window, special ones included.
        overlap: Tokens that neighbouring windows share.
    """

    def __init__(self, folder: Path, max_length: int, overlap: int) -> None:
        self._tokenizer = load_tokenizer(folder)
        self._text = TextTokenizer(self._tokenizer)
        self.max_length, self.overlap = max_length, overlap
        self.pad_id = self._text.pad_id
        self._between, self._pair_types = self._pair()
        if self.room <= overlap:
            raise InvalidInputError(f"overlap={overlap}: expected less than the {self.room} tokens of a window")

    @property
    def room(self) -> int:
        """Tokens of text in one window."""
        return self.max_length - self._text.special_count

    def read(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of each text, of any length.

        Raises:
            InvalidInputError: a text is not valid Unicode (a lone surrogate).
        """
        self._text.tokens(texts)  # names the text with a lone surrogate
        return [
            _tokens(encoding, text)
            for encoding, text in zip(
                self._tokenizer.encode_batch(list(texts), add_special_tokens=False), texts, strict=True
            )
        ]

    def windows(self, count: int, room: int | None = None) -> list[tuple[int, int]]:
        """Half-open ranges of tokens that cover a text of ``count`` tokens, each within one window."""
        room = self.room if room is None else room
        return split(count, room, min(self.overlap, room // 2))

    def single(self, ids: Sequence[int]) -> Row:
        """A window of one text."""
        row = [*self._text.prefix, *ids, *self._text.suffix]
        return Row(row, [0] * len(row), len(self._text.prefix))

    def pair(self, first: Sequence[int], second: Sequence[int]) -> Row:
        """A window of two texts, such as question and context."""
        head = [*self._text.prefix, *first, *self._between]
        tail = [*second, *self._text.suffix]
        types = [self._pair_types[0]] * len(head) + [self._pair_types[1]] * len(tail)
        return Row([*head, *tail], types, len(head))

    def pair_room(self, first: int) -> int:
        """Tokens left for the second text of a pair."""
        return self.max_length - first - len(self._text.prefix) - len(self._between) - len(self._text.suffix)

    def _pair(self) -> tuple[list[int], tuple[int, int]]:
        """What stands between the texts of a pair, and their segments: found by encoding one letter twice."""
        one = self._tokenizer.encode("a", add_special_tokens=False).ids
        both = self._tokenizer.encode("a", "a")
        begin = len(self._text.prefix) + len(one)
        end = len(both.ids) - len(self._text.suffix) - len(one)
        return both.ids[begin:end], (both.type_ids[0], both.type_ids[-1])


def _tokens(encoding: Any, text: str) -> Tokens:
    """Offsets without the blanks that some tokenizers count as part of a token."""
    starts, ends = [], []
    for start, end in encoding.offsets:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        starts.append(start)
        ends.append(end)
    words = [-1 - i if word is None else word for i, word in enumerate(encoding.word_ids)]
    return Tokens(list(encoding.ids), starts, ends, words)
