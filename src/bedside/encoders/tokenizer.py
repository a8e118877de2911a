"""Token ids exactly as the model was trained on them, by the ``tokenizers`` library alone.

transformers' ``AutoTokenizer`` lower-cases Bio_ClinicalBERT (its folder has a cased ``vocab.txt`` and no
``tokenizer_config.json``), and takes any length. Here the casing is decided once, in :func:`lowercases`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bedside.encoders.checkpoint import read_json
from bedside.encoders.texts import has_surrogate
from bedside.errors import BedsideWarning, InvalidInputError, InvalidModelError
from bedside.support.extras import needs

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CASED_SHARE = 0.05  # share of entries with a capital: 0.40 in bert-base-cased, 0.00 in bert-base-uncased
_WHOLE_SHARE = 0.9  # of the network's tokens: a network may be padded to a round number of them


class TextTokenizer:
    """Texts to token ids without special tokens, and what stands around them.

    Args:
        tokenizer: A loaded fast tokenizer; its truncation and padding are switched off.

    Attributes:
        prefix: Ids before every window (``[CLS]``).
        suffix: Ids after every window (``[SEP]``).
        pad_id: The id that fills a batch.
        unknown_id: The id of what the vocabulary lacks; ``None`` where it lacks nothing.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.prefix, self.suffix = _special_ids(tokenizer)
        self.pad_id = next(_ids(tokenizer, "[PAD]", "<pad>"), 0)
        self.unknown_id = next(_ids(tokenizer, "[UNK]", "<unk>"), None)

    @property
    def special_count(self) -> int:
        """How many special tokens every window carries."""
        return len(self.prefix) + len(self.suffix)

    @property
    def lowercases(self) -> bool | None:
        """Whether a BERT tokenizer lower-cases; ``None`` for other kinds."""
        return getattr(self.tokenizer.normalizer, "lowercase", None)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens and of any length.

        Raises:
            InvalidInputError: a text holds a lone surrogate, which no UTF-8 tokenizer can read.
        """
        try:
            encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except (TypeError, UnicodeEncodeError) as error:  # which one depends on the tokenizers release
            raise InvalidInputError(f"texts[{_surrogate(texts)}]: a lone surrogate, not valid Unicode text") from error
        return [encoding.ids for encoding in encodings]


def load_tokenizer(folder: Path, *, lowercase: bool | None = None) -> Tokenizer:
    """Open the tokenizer of a model folder with the casing that the model was trained with.

    ``tokenizer.json`` serves where there is one, else ``vocab.txt`` (BERT's WordPiece), else whatever transformers
    can convert.

    Args:
        folder: A model folder.
        lowercase: Overrides the decision of :func:`lowercases`.

    Raises:
        InvalidModelError: a vocabulary file is damaged, or nothing in the folder can be read as a tokenizer.

    Warns:
        BedsideWarning: the folder says that a cased vocabulary is to be lower-cased, or the network has many more
            tokens than the vocabulary.
    """
    tokenizer = _opened(folder, lowercase)
    known, wanted = tokenizer.get_vocab_size(), read_json(folder / "config.json").get("vocab_size")
    if isinstance(wanted, int) and known < _WHOLE_SHARE * wanted:
        warnings.warn(
            f"{folder}: its vocabulary has {known} tokens, its network {wanted}. If its file was cut short, words that "
            "the model learned are unknown or cut apart: compare it with the published one",
            BedsideWarning,
            stacklevel=2,
        )
    return tokenizer


def _opened(folder: Path, lowercase: bool | None) -> Tokenizer:
    with needs("transformers"):
        from tokenizers import Tokenizer

    if (folder / "tokenizer.json").is_file():
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare Exception
            raise InvalidModelError(f"{folder / 'tokenizer.json'}: {error}") from error
        return _with_casing(tokenizer, folder, lowercase)
    if (folder / "vocab.txt").is_file():
        return _wordpiece(folder, lowercase)
    return _converted(folder)


def lowercases(folder: Path, vocabulary: Iterable[str], lowercase: bool | None = None) -> bool:
    """Decide whether text is lower-cased: the caller, then ``tokenizer_config.json``, then the vocabulary itself.

    Args:
        folder: A model folder.
        vocabulary: The tokens of its vocabulary.
        lowercase: The caller's word, or ``None``.

    Returns:
        ``False`` for a vocabulary with capital letters unless somebody says otherwise.
    """
    cased = is_cased(vocabulary)
    said = lowercase if lowercase is not None else read_json(folder / "tokenizer_config.json").get("do_lower_case")
    if said and lowercase is None and cased:
        warnings.warn(
            f"{folder}: tokenizer_config.json lower-cases a cased vocabulary. If the model was not trained that way "
            "(transformers writes this for Bio_ClinicalBERT), pass lowercase=False",
            BedsideWarning,
            stacklevel=2,
        )
    return not cased if said is None else bool(said)


def is_cased(vocabulary: Iterable[str]) -> bool:
    """Whether a vocabulary was made from cased text (special tokens in brackets aside)."""
    words = [token for token in vocabulary if not token.startswith(("[", "<"))]
    return sum(token != token.lower() for token in words) > _CASED_SHARE * len(words)


def _wordpiece(folder: Path, lowercase: bool | None) -> Tokenizer:
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

    # Not splitlines(): some vocabularies hold U+2028 and U+0085 as tokens.
    try:
        lines = (folder / "vocab.txt").read_text("utf-8").rstrip("\n").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{folder / 'vocab.txt'}: not UTF-8 ({error.reason} at byte {error.start})") from error
    vocabulary = {token.rstrip("\r"): i for i, token in enumerate(lines)}
    missing = [t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if t not in vocabulary]
    if missing:
        raise InvalidModelError(f"{folder / 'vocab.txt'}: not a BERT vocabulary, it lacks {', '.join(missing)}")
    config = read_json(folder / "tokenizer_config.json")
    built = BertWordPieceTokenizer(
        vocabulary,
        lowercase=lowercases(folder, vocabulary, lowercase),
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
    )
    tokenizer: Tokenizer = built._tokenizer  # the wrapper hides encode_batch_fast
    return tokenizer


def _with_casing(tokenizer: Tokenizer, folder: Path, lowercase: bool | None) -> Tokenizer:
    """Correct a BERT normaliser whose casing contradicts the folder's word; leave every other tokenizer alone."""
    from tokenizers.normalizers import BertNormalizer

    old = tokenizer.normalizer
    said = lowercase if lowercase is not None else read_json(folder / "tokenizer_config.json").get("do_lower_case")
    if isinstance(old, BertNormalizer):
        wanted = lowercases(folder, tokenizer.get_vocab(), old.lowercase if said is None else lowercase)
        if wanted != old.lowercase:
            tokenizer.normalizer = BertNormalizer(
                clean_text=old.clean_text,
                handle_chinese_chars=old.handle_chinese_chars,
                strip_accents=old.strip_accents,
                lowercase=wanted,
            )
    return tokenizer


def _converted(folder: Path) -> Tokenizer:
    """A vocabulary in another format (BPE files, SentencePiece), converted by transformers from local files."""
    with needs("transformers"):
        from transformers import AutoTokenizer

    try:
        slow = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        tokenizer: Tokenizer = slow.backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidModelError(f"{folder}: no tokenizer that can be read ({type(error).__name__})") from error
    return tokenizer


def _ids(tokenizer: Tokenizer, *names: str) -> Iterator[int]:
    return (found for name in names if (found := tokenizer.token_to_id(name)) is not None)


def _special_ids(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after a text, found by encoding one letter."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a").ids
    start = next(i for i in range(len(full)) if full[i : i + len(plain)] == plain)
    return full[:start], full[start + len(plain) :]


def _surrogate(texts: Sequence[str]) -> int:
    return next(i for i, text in enumerate(texts) if has_surrogate(text))
