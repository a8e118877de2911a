"""BERT's WordPiece tokenizer without a compiled library: what a static encoder needs, memoised per word.

The result is that of the ``tokenizers`` library's ``BertNormalizer``, ``BertPreTokenizer`` and ``WordPiece`` (their
published rules; Devlin et al. 2019, Wu et al. 2016), with one difference: form feed, vertical tab, the file, group,
record and unit separators and U+0085 separate words here, where the library deletes them and joins their neighbours.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bedside.errors import InvalidModelError
from bedside.support.extras import needs

_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_CACHE_SIZE = 200_000  # words; about 40 MB when full


class Tokens(Protocol):
    """What a static encoder asks of a tokenizer."""

    vocabulary: Mapping[str, int]
    unknown: str | None

    def __call__(self, text: str) -> list[int]:
        """The ids of a text's known tokens, in order."""
        ...

    def has_words(self, text: str) -> bool:
        """Whether a text has any token, known or not."""
        ...

    def description(self) -> dict[str, Any]:
        """The content of ``tokenizer.json``."""
        ...


@dataclass
class WordPiece:
    """Text to token ids by greedy longest match.

    Args:
        vocabulary: Token to id; pieces inside a word carry ``prefix``.
        unknown: The token that stands for a word without pieces.
        prefix: What marks a piece that continues a word.
        lowercase: Whether text is lower-cased.
        strip_accents: Whether accents are dropped; ``None`` follows ``lowercase``, as BERT does.
        cjk: Whether each Chinese character is a word.
        longest: Characters beyond which a word is unknown unseen.

    Example:
        >>> WordPiece({"[UNK]": 0, "chest": 1, "pain": 2, "##s": 3})("Chest pains")
        [1, 2, 3]
    """

    vocabulary: Mapping[str, int]
    unknown: str | None = "[UNK]"
    prefix: str = "##"
    lowercase: bool = True
    strip_accents: bool | None = None
    cjk: bool = True
    longest: int = 100
    _cache: _Pieces = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._cache = _Pieces(self)

    def __call__(self, text: str) -> list[int]:
        """The ids of a text's known pieces, in order; words without a piece are left out."""
        cache = self._cache
        return [i for word in text.split() for i in cache[word]]

    def has_words(self, text: str) -> bool:
        """Whether anything is left of a text once spaces and control characters are gone."""
        return any(self.words(chunk) for chunk in text.split())

    def description(self) -> dict[str, Any]:
        """The content of ``tokenizer.json``: the same tokenizer for the ``tokenizers`` library."""
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": self.cjk,
                "strip_accents": self.strip_accents,
                "lowercase": self.lowercase,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": None,
            "decoder": {"type": "WordPiece", "prefix": self.prefix, "cleanup": True},
            "model": {
                "type": "WordPiece",
                "unk_token": self.unknown,
                "continuing_subword_prefix": self.prefix,
                "max_input_chars_per_word": self.longest,
                "vocab": dict(self.vocabulary),
            },
        }

    def pieces(self, chunk: str) -> tuple[int, ...]:
        """The ids of a run of characters without whitespace; not memoised."""
        return tuple(i for word in self.words(chunk) for i in self.match(word))

    def words(self, chunk: str) -> list[str]:
        """The normalised words and punctuation marks of a text, before they are cut into pieces."""
        text = "".join(c for c in chunk if c.isspace() or (unicodedata.category(c)[0] != "C" and c != "\ufffd"))
        if self.lowercase if self.strip_accents is None else self.strip_accents:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        if self.lowercase:
            text = "".join(map(str.lower, text))  # by character: str.lower has a rule for a final sigma, BERT has not
        return "".join(f" {c} " if self._alone(c) else c for c in text).split()

    def _alone(self, c: str) -> bool:
        if c in _ASCII_PUNCTUATION or unicodedata.category(c)[0] == "P":
            return True
        return self.cjk and any(first <= ord(c) <= last for first, last in _CJK)

    def match(self, word: str) -> list[int]:
        """The ids of one normalised word, longest piece first; none where some part of it is unknown."""
        if len(word) > self.longest:
            return []
        found: list[int] = []
        start = 0
        while start < len(word):
            lead = self.prefix if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if lead + word[start:e] in self.vocabulary), None)
            if end is None:
                return []
            found.append(self.vocabulary[lead + word[start:end]])
            start = end
        return found


class _Pieces(dict[str, tuple[int, ...]]):
    """The pieces of every run of characters seen so far; emptied when it grows beyond its bound."""

    def __init__(self, tokenizer: WordPiece) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        if len(self) >= _CACHE_SIZE:
            self.clear()
        found = self[chunk] = self._tokenizer.pieces(chunk)
        return found


class LibraryTokens:
    """Any other tokenizer, run by the ``tokenizers`` library.

    Args:
        description: The content of ``tokenizer.json``.

    Raises:
        MissingExtraError: the library is not installed.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        with needs("transformers"):
            from tokenizers import Tokenizer

        self._description = description
        self._tokenizer = Tokenizer.from_str(json.dumps(description))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary: Mapping[str, int] = self._tokenizer.get_vocab()
        self.unknown: str | None = _unknown(description)

    def __reduce__(self) -> tuple[type[LibraryTokens], tuple[dict[str, Any]]]:
        return type(self), (self._description,)

    def __call__(self, text: str) -> list[int]:
        """The ids of a text's known tokens, in order."""
        dropped = None if self.unknown is None else self.vocabulary.get(self.unknown)
        return [i for i in self._ids(text) if i != dropped]

    def has_words(self, text: str) -> bool:
        """Whether a text has any token, known or not."""
        return bool(self._ids(text))

    def _ids(self, text: str) -> list[int]:
        valid = text.encode("utf-8", "ignore").decode()  # without lone surrogates, which the library refuses
        ids: list[int] = self._tokenizer.encode(valid, add_special_tokens=False).ids
        return ids

    def description(self) -> dict[str, Any]:
        """The content of ``tokenizer.json``."""
        return self._description


def load_tokens(path: Path) -> Tokens:
    """The tokenizer that a ``tokenizer.json`` describes: :class:`WordPiece` for BERT's kind, else the library's.

    Raises:
        InvalidModelError: the file is not such a description.
        MissingExtraError: another kind, and the library is not installed.
    """
    try:
        description: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return from_description(description) if _is_bert(description) else LibraryTokens(description)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidModelError(f"{path}: not the description of a tokenizer") from error


def from_description(description: dict[str, Any]) -> WordPiece:
    """The tokenizer of a ``tokenizer.json`` of BERT's kind."""
    model, normalizer = description["model"], description["normalizer"]
    return WordPiece(
        model["vocab"],
        unknown=model["unk_token"],
        prefix=model["continuing_subword_prefix"],
        lowercase=normalizer["lowercase"],
        strip_accents=normalizer["strip_accents"],
        cjk=normalizer["handle_chinese_chars"],
        longest=model["max_input_chars_per_word"],
    )


def _is_bert(description: dict[str, Any]) -> bool:
    """Whether :class:`WordPiece` gives the same ids; special tokens inside a text's words are not looked for."""
    kinds = [(description.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    plain = all(token.get("special") for token in description.get("added_tokens") or [])
    return plain and kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]


def _unknown(description: dict[str, Any]) -> str | None:
    model = description["model"]
    if isinstance(model.get("unk_id"), int):
        return str(model["vocab"][model["unk_id"]][0])  # Unigram names its unknown token by position
    found: str | None = model.get("unk_token")
    return found
