"""What changes a vector, in one frozen record; and what a folder says about it."""

from __future__ import annotations

import hashlib
import json
import operator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np

from bedside.encoders.checkpoint import read_json
from bedside.encoders.pooling import POOLINGS, Pooling
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.remedies import Give

Overflow: TypeAlias = Literal["window", "error", "truncate"]
_OVERFLOWS = ("window", "error", "truncate")
SETTINGS_FILE = "bedside_encoder.json"
_ST_POOLING = {
    "cls": "cls",
    "mean_tokens": "mean",
    "max_tokens": "max",
    "cls_token": "cls",
    "mean": "mean",
    "max": "max",
}
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"}  # positions start after padding's


@dataclass(frozen=True)
class Settings:
    """Everything besides the weights and the vocabulary that decides a vector.

    Attributes:
        pooling: See :func:`bedside.encoders.pooling.pool`.
        max_length: Tokens per window, special ones included.
        overflow: What happens to a longer text: ``"window"``, ``"error"`` or ``"truncate"``.
        overlap: Tokens that neighbouring windows share.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        normalize: Whether vectors have length 1.
        lowercase: The caller's word on casing; ``None`` leaves it to the folder.
    """

    pooling: Pooling = "mean"
    max_length: int = 512
    overflow: Overflow = "window"
    overlap: int = 64
    query_prompt: str = ""
    document_prompt: str = ""
    normalize: bool = True
    lowercase: bool | None = None

    def __post_init__(self) -> None:
        """Take numpy's numbers for Python's, and refuse other types.

        Raises:
            InvalidInputError: the message names the argument.
        """
        for name in ("max_length", "overlap"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        for name in ("query_prompt", "document_prompt"):
            if not isinstance(getattr(self, name), str):
                raise InvalidInputError(f"{name}: expected str, got {type(getattr(self, name)).__name__}")
        for name in ("normalize", "lowercase"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)) and not (value is None and name == "lowercase"):
                raise InvalidInputError(f"{name}={value!r}: expected True or False")
            object.__setattr__(self, name, value if value is None else bool(value))

    def check(self, positions: int, special: int) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidInputError: the message names the argument and what is allowed.
        """
        if self.pooling not in POOLINGS:
            raise InvalidInputError(
                f"expected one of {', '.join(map(repr, POOLINGS))}", about=Give("pooling", self.pooling)
            )
        if self.overflow not in _OVERFLOWS:
            raise InvalidInputError(
                f"expected one of {', '.join(map(repr, _OVERFLOWS))}", about=Give("overflow", self.overflow)
            )
        if not special < self.max_length <= positions:
            raise InvalidInputError(
                f"this model takes {special + 1} to {positions} tokens", about=Give("max_length", self.max_length)
            )
        if not 0 <= self.overlap < self.max_length - special:
            raise InvalidInputError(
                f"expected 0 to {self.max_length - special - 1} tokens", about=Give("overlap", self.overlap)
            )

    def digest(self) -> str:
        """A hash of all fields but the caller's word on casing: what the tokenizer does counts, not who said so."""
        said = {name: value for name, value in asdict(self).items() if name != "lowercase"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def whole_number(name: str, value: object) -> int:
    """An argument that counts something, of Python's or of numpy's type.

    Raises:
        InvalidInputError: it is not a whole number.
    """
    if not isinstance(value, bool) and isinstance(value, SupportsIndex):
        return operator.index(value)
    raise InvalidInputError(f"{name}={value!r}: expected a whole number")


def folder_settings(folder: Path, **given: Any) -> Settings:
    """The settings of a model folder, with what the caller gave (not ``None``) on top.

    A folder that Bedside saved says everything; a sentence-transformers folder says pooling, length and prompts;
    for a plain one: masked mean and as many tokens as the network has positions.

    Raises:
        InvalidModelError: the folder asks for a pooling or a module that Bedside does not have.
    """
    saved = read_json(folder / SETTINGS_FILE).get("settings")
    base = Settings(**_known(saved)) if saved else _published(folder)
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = replace(base, **chosen)
    if "overlap" not in chosen and ("max_length" in chosen or not saved):
        settings = replace(settings, overlap=max(0, settings.max_length // 8))
    return settings


def positions(folder: Path) -> int:
    """How many tokens the network can take; a million where it has no learned positions.

    Raises:
        InvalidModelError: ``config.json`` says what is not a number.
    """
    config = read_json(folder / "config.json")
    count = config.get("max_position_embeddings", 1_000_000)
    if not isinstance(count, int):
        raise InvalidModelError(f"{folder / 'config.json'}: max_position_embeddings={count!r} is not a whole number")
    if config.get("model_type") in _OFFSET_POSITIONS:
        count -= int(config.get("pad_token_id", 1)) + 1
    return count


def _published(folder: Path) -> Settings:
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    lengths = [
        read_json(folder / "sentence_bert_config.json").get("max_seq_length"),
        read_json(folder / "tokenizer_config.json").get("model_max_length"),
    ]
    asked = next((int(n) for n in lengths if n and n < 1_000_000), positions(folder))
    return Settings(
        pooling=_published_pooling(folder),
        max_length=min(asked, positions(folder)),
        query_prompt=prompts.get("query", ""),
        document_prompt=next((prompts[k] for k in ("document", "passage", "corpus") if prompts.get(k)), ""),
    )


def _published_pooling(folder: Path) -> Pooling:
    """The pooling that a sentence-transformers folder describes, ``"mean"`` for any other folder."""
    file = folder / "modules.json"
    if not file.is_file():
        return "mean"
    modules = json.loads(file.read_text("utf-8"))
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    unknown = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
    if unknown or "Pooling" not in kinds:
        raise InvalidModelError(
            f"{file}: modules {unknown or kinds} are not supported: Transformer, Pooling, Normalize are"
        )
    config = read_json(folder / modules[kinds.index("Pooling")]["path"] / "config.json")
    modes = [name.removeprefix("pooling_mode_") for name, on in config.items() if on is True and "pooling_mode" in name]
    modes = modes or [str(config.get("pooling_mode", "mean"))]
    if len(modes) != 1 or modes[0] not in _ST_POOLING:
        raise InvalidModelError(f"{file}: pooling {modes} is not supported: cls, mean and max are")
    return _ST_POOLING[modes[0]]  # type: ignore[return-value]


def _known(saved: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(Settings)}
    unknown = sorted(set(saved) - names)
    if unknown:
        raise InvalidModelError(f"{SETTINGS_FILE}: unknown settings {unknown}; written by a newer Bedside?")
    return saved
