"""Static encoders: one vector per token, a text is their mean. numpy alone, no network, no torch.

The model folder is model2vec's (https://github.com/MinishLab/model2vec): ``model.safetensors`` with ``embeddings``
``[v, d]``, optionally ``weights`` ``[t]`` (a factor per token) and ``mapping`` ``[t]`` (the row of each token);
``tokenizer.json``; ``config.json``. Either library reads what the other wrote.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.awaitable import AsyncMethods
from bedside.encoders.checkpoint import read_json
from bedside.encoders.pooling import unit, with_direction
from bedside.encoders.presets import STATIC
from bedside.encoders.tensors import read_tensors, write_tensors
from bedside.encoders.texts import checked_texts, warn_of_unreadable
from bedside.encoders.wordpiece import Tokens, load_tokens
from bedside.errors import InvalidModelError
from bedside.support.fork import in_each_process
from bedside.support.progress import progress
from bedside.support.turns import taking_turns
from bedside.types import Matrix, Vector

WEIGHTS_FILE = "model.safetensors"
_LONG = 4096  # tokens from which a text is counted first, so that its memory is bounded by the vocabulary


class StaticEncoder(AsyncMethods):
    """Texts to vectors by averaging token vectors.

    Encoding takes any length and cuts nothing. A text's vector does not depend on the texts beside it, bit for bit.
    One encoder may be used by several threads.

    Args:
        embeddings: ``[v, d]``, int8 or floating point.
        tokenizer: Text to token ids.
        weights: ``[t]`` factor of each token; ``None``: 1.
        mapping: ``[t]`` row of each token in ``embeddings``; ``None``: its id.
        normalize: Whether vectors get length 1.
        name: What to call it.
        config: More entries for ``config.json``.

    Raises:
        InvalidModelError: shapes disagree.

    Example:
        >>> encoder = load_static()
        >>> a, b, c = encoder.encode_documents(["myocardial infarction", "heart attack", "ankle sprain"])
        >>> bool(a @ b > a @ c)
        True
    """

    def __init__(
        self,
        embeddings: NDArray[Any],
        tokenizer: Tokens,
        *,
        weights: NDArray[Any] | None = None,
        mapping: NDArray[Any] | None = None,
        normalize: bool = True,
        name: str = "static",
        config: dict[str, Any] | None = None,
    ) -> None:
        _check_shapes(embeddings, weights, mapping, max(tokenizer.vocabulary.values(), default=-1))
        self.name = name
        self.normalize = normalize
        self.config = dict(config or {})
        self.tokenizer = tokenizer
        self.embeddings, self.weights, self.mapping = embeddings, weights, mapping
        self._reset()

    def _reset(self) -> None:
        in_each_process(self._make_lock)
        self._rows: Matrix | None = None
        self._fingerprint: str | None = None

    def _make_lock(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"StaticEncoder({self.name!r}, dimension={self.dimension}, tokens={len(self.tokenizer.vocabulary)})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.embeddings.shape[1])

    @property
    def alpha(self) -> float | None:
        """Its own weight in a hybrid search, from ``config.json``; collections that are made with it go by it.

        0.3 of ``bedside/static``: a mean of token vectors knows less than BM25 of the words that matter.
        """
        alpha: float | None = self.config.get("alpha")
        return alpha

    @property
    def title_share(self) -> float | None:
        """Part of a title in the vector of its document, from ``config.json``; 0.5 of ``bedside/static``."""
        share: float | None = self.config.get("title_share")
        return share

    @property
    def fingerprint(self) -> str:
        """Names vectors, vocabulary and settings: two encoders with the same one give the same vectors."""
        if self._fingerprint is None:
            digest = hashlib.sha256(json.dumps([self.normalize, self.tokenizer.description()]).encode())
            for array in (self.embeddings, self.weights, self.mapping):
                digest.update(b"-" if array is None else f"{array.dtype}{array.shape}".encode())
                digest.update(b"" if array is None else array.tobytes())
            self._fingerprint = digest.hexdigest()[:32]
        return self._fingerprint

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages.

        Args:
            texts: Any number of strings of any length, none of it cut. A text without a known word (blank, emoji,
                another script) gets the vector of the unknown token, or the mean of all vectors where the vocabulary
                has none; control characters and lone surrogates are dropped.

        Returns:
            float32 ``[n, d]`` in the order given; ``[0, d]`` for no texts.

        Raises:
            InvalidInputError: not a list of strings.

        Warns:
            BedsideWarning: how many texts have no known word.
        """
        ids = self._ids(checked_texts(texts))
        out = np.zeros((len(ids), self.dimension), dtype=np.float32)
        for vector, tokens in taking_turns(zip(out, ids, strict=True)):
            if tokens:
                vector[:] = self._mean(tokens)
        warn_of_unreadable(with_direction(out, self._stand_ins()), len(out), "the unknown token's vector or the mean")
        return unit(out) if self.normalize else out

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions: as :meth:`encode_documents`, the method knows no difference."""
        return self.encode_documents(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Known tokens of each text."""
        return [len(self.tokenizer(text)) for text in checked_texts(texts)]

    def close(self) -> None:
        """Release the table of weighted vectors; the next call makes it again."""
        with self._lock:
            self._rows = None

    def save(self, folder: str | Path) -> Path:
        """Write the model folder; it loads with :func:`load_static` and with model2vec.

        Returns:
            The folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"embeddings": self.embeddings, "weights": self.weights, "mapping": self.mapping}
        write_tensors(folder / WEIGHTS_FILE, {name: array for name, array in tensors.items() if array is not None})
        tokenizer = json.dumps(self.tokenizer.description(), ensure_ascii=False, separators=(",", ":"))
        (folder / "tokenizer.json").write_text(tokenizer, "utf-8")
        config = {"model_type": "model2vec", **self.config, "normalize": self.normalize}
        config |= {"hidden_dim": self.dimension, "embedding_dtype": self.embeddings.dtype.name}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        return folder

    def _ids(self, texts: list[str]) -> list[list[int]]:
        ids = []
        with progress(len(texts), "encoding", "text") as advance:  # cutting texts into tokens is nearly all of the work
            for text in taking_turns(texts):
                ids.append(self.tokenizer(text))
                advance(1)
        return ids

    def _stand_ins(self) -> Iterator[Vector]:
        """Vectors for texts without a known word, the best first."""
        rows = self._table()
        unknown = self.tokenizer.unknown
        if unknown is not None and unknown in self.tokenizer.vocabulary:
            yield rows[self.tokenizer.vocabulary[unknown]]
        yield rows.mean(axis=0)

    def _mean(self, ids: list[int]) -> Vector:
        rows = self._table()
        if len(ids) < _LONG:
            # Text by text: one reduceat over many at once reads down the columns, and took 8 times as long.
            total = np.add.reduce(rows.take(ids, axis=0), axis=0)
        else:
            distinct, counts = np.unique(ids, return_counts=True)
            total = counts.astype(np.float32) @ rows[distinct]
        return np.asarray(total / np.float32(len(ids)))

    def _table(self) -> Matrix:
        """float32 ``[t, d]``: the weighted vector of every token, made at the first use."""
        with self._lock:
            if self._rows is None:
                rows = self.embeddings if self.mapping is None else self.embeddings[self.mapping]
                rows = rows.astype(np.float32)
                self._rows = rows if self.weights is None else rows * self.weights.astype(np.float32)[:, None]
            return self._rows


def load_static(folder: str | Path | None = None, *, normalize: bool | None = None) -> StaticEncoder:
    """Load a static encoder.

    Args:
        folder: A folder that :meth:`StaticEncoder.save` or model2vec wrote; ``None``: the encoder that comes with
            Bedside, ``"bedside/static"``.
        normalize: Whether vectors get length 1; ``None``: what the folder says (model2vec's default is not to).

    Raises:
        InvalidModelError: a file is missing or damaged, or shapes disagree; the message names the file.
        MissingExtraError: the tokenizer is not of BERT's kind and the ``tokenizers`` library is not installed.
    """
    path = Path(__file__).parent / "data" / "static" if folder is None else Path(folder)
    for needed in (WEIGHTS_FILE, "tokenizer.json"):
        if not (path / needed).is_file():
            raise InvalidModelError(f"{path / needed}: missing; a static model has {WEIGHTS_FILE} and tokenizer.json")
    tensors = read_tensors(path / WEIGHTS_FILE)
    embeddings = tensors.get("embeddings", tensors.get("embedding.weight"))
    if embeddings is None:
        raise InvalidModelError(f"{path / WEIGHTS_FILE}: no tensor 'embeddings', only {sorted(tensors)}")
    config = read_json(path / "config.json")
    return StaticEncoder(
        embeddings,
        load_tokens(path / "tokenizer.json"),
        weights=tensors.get("weights"),
        mapping=tensors.get("mapping"),
        normalize=bool(config.get("normalize", False)) if normalize is None else normalize,
        name=STATIC if folder is None else path.name,
        config=config,
    )


def is_static(folder: Path) -> bool:
    """Whether a folder holds a static model rather than a transformer."""
    return read_json(folder / "config.json").get("model_type") == "model2vec"


def _check_shapes(
    embeddings: NDArray[Any], weights: NDArray[Any] | None, mapping: NDArray[Any] | None, last: int
) -> None:
    rows = len(embeddings) if mapping is None else len(mapping)
    if embeddings.ndim != 2 or rows <= last or (weights is not None and weights.shape != (rows,)):
        found = [None if a is None else a.shape for a in (embeddings, weights, mapping)]
        raise InvalidModelError(
            f"embeddings, weights and mapping have the shapes {found}; the vocabulary's last id is {last}"
        )
    if mapping is not None and len(mapping) and not 0 <= mapping.min() <= mapping.max() < len(embeddings):
        raise InvalidModelError(f"mapping points outside the {len(embeddings)} rows of embeddings")
