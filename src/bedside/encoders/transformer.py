"""The encoder of Hugging Face checkpoints: tokens, windows, batches, pooling; the network itself is a backend."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.artefacts import artefact_hash, weight_hashes
from bedside.encoders.awaitable import AsyncMethods
from bedside.encoders.backends import Backend, open_backend
from bedside.encoders.cache import VectorCache
from bedside.encoders.calibration import Calibration, Method, fit_calibration
from bedside.encoders.checkpoint import check_tokens, read_json
from bedside.encoders.folders import save_encoder
from bedside.encoders.pooling import unit
from bedside.encoders.prepare import file_hashes
from bedside.encoders.raw import warn_if_raw
from bedside.encoders.settings import Settings, positions
from bedside.encoders.texts import checked_texts, warn_of_unreadable
from bedside.encoders.tokenizer import TextTokenizer, load_tokenizer
from bedside.encoders.windows import batches, merge, padded, split
from bedside.errors import InvalidInputError, InvalidModelError, TextTooLongError
from bedside.remedies import Give
from bedside.support.fork import in_each_process
from bedside.support.progress import progress
from bedside.types import Matrix

log = logging.getLogger(__name__)

Runner: TypeAlias = Callable[[list[list[int]], int], Matrix]


class _Parts:
    """What is loaded at the first use and shared by the encoders that were calibrated from one."""

    def __init__(self) -> None:
        in_each_process(self._make_lock)
        self.backend: Backend | None = None
        self.tokenizer: TextTokenizer | None = None

    def _make_lock(self) -> None:
        self.lock = threading.RLock()


class TransformerEncoder(AsyncMethods):
    """Texts to vectors with one checkpoint; made by :func:`bedside.encoders.load_encoder`.

    Weights and vocabulary are loaded at the first use, once, whatever the number of threads. Pickling takes the
    settings and the folder's path along and leaves the weights behind.

    Args:
        folder: A local folder with safetensors weights and a tokenizer; see :func:`bedside.encoders.prepare.prepare`.
        name: How the user named the model.
        settings: What decides a vector.
        backend: What runs the network.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        dtype: ``"auto"``, ``"float32"``, ``"bfloat16"``, ``"float16"``, ``"int8"``, as far as the backend has it. Only
            ``"int8"`` is part of the fingerprint: vectors of half precision have a cosine of 0.9999 to those of
            single precision and may be mixed with them.
        batch_tokens: Most tokens in one padded batch; default: what the backend is fastest with.
        calibration: Applied to every vector; see :meth:`calibrate`.
        cache: Where vectors are kept; ``None`` keeps none.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        settings: Settings,
        backend: str = "torch",
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        calibration: Calibration | None = None,
        cache: VectorCache | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.settings = settings
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.batch_tokens = batch_tokens
        self.calibration = calibration
        self.cache = cache
        self._reset()

    def _reset(self) -> None:
        self._parts = _Parts()
        self._fingerprint: str | None = None

    def __repr__(self) -> str:
        return f"TransformerEncoder({self.name!r}, backend={self.backend!r}, max_length={self.max_length})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def dimension(self) -> int:
        """Length of a vector; read from ``config.json``, the weights stay unloaded."""
        return self._hidden_size() if self.calibration is None else self.calibration.dimension

    def _hidden_size(self) -> int:
        config = read_json(self.folder / "config.json")
        size = config.get("hidden_size", config.get("dim", config.get("d_model")))
        if not isinstance(size, int):
            raise InvalidModelError(f"{self.folder / 'config.json'}: hidden_size is missing")
        return size

    @property
    def max_length(self) -> int:
        """Tokens per window, special ones included."""
        return self.settings.max_length

    @property
    def fingerprint(self) -> str:
        """Names weights, vocabulary and settings: two encoders with the same one give the same vectors.

        Backend, device, floating point type and batch size are left out, since they change a vector by rounding only; a
        quantised network is another one.
        """
        if self._fingerprint is None:
            parts = [*weight_hashes(self.folder), *file_hashes(self.folder, self._vocabulary())]
            parts += [str(self._tokenizer().lowercases)]
            parts += [self.settings.digest(), *([self.calibration.digest()] if self.calibration else [])]
            parts += [artefact_hash(self.folder, self.backend, self.dtype)] if self.dtype == "int8" else []
            self._fingerprint = hashlib.sha256("".join(parts).encode()).hexdigest()[:32]
        return self._fingerprint

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages.

        Args:
            texts: Any number of strings of any length; see ``overflow`` of :func:`bedside.encoders.load_encoder`.

        Returns:
            float32 ``[n, d]`` in the order given; ``[0, d]`` for no texts.

        Raises:
            InvalidInputError: not a list of strings, or a lone surrogate. The message names the position. Nothing was
                encoded.
            TextTooLongError: with ``overflow="error"``.

        Warns:
            BedsideWarning: how many texts have no known token: blank ones, whose vector is that of the special tokens
                (and the prompt), and those of unknown ones.
        """
        return self._encode(texts, self.settings.document_prompt)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions: as :meth:`encode_documents`, with the query prompt."""
        return self._encode(texts, self.settings.query_prompt)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as the model sees it, special tokens included, prompts not.

        A text whose count is at most :attr:`max_length` fits one window.
        """
        tokenizer = self._tokenizer()
        return [len(ids) + tokenizer.special_count for ids in tokenizer.tokens(checked_texts(texts))]

    def calibrate(
        self,
        texts: Sequence[str],
        method: Method = "whiten",
        *,
        dimension: int | None = None,
        components: int | None = None,
    ) -> TransformerEncoder:
        """Learn from a sample of texts how to spread vectors; see :mod:`bedside.encoders.calibration`.

        Args:
            texts: A thousand or more passages like those to be searched; fewer shrink whitening towards centering.
            method: ``"whiten"``, ``"center"`` or ``"all-but-the-top"``.
            dimension: Keep only that many directions (``"whiten"`` alone).
            components: Directions that all-but-the-top takes out; default: a hundredth of the dimensions.

        Returns:
            An encoder with the calibration folded in: it is part of the fingerprint and is saved along. This one is
            left as it is; both share the loaded weights.

        Raises:
            InvalidInputError: see :func:`bedside.encoders.calibration.fit_calibration`; or this encoder is calibrated.
        """
        if self.calibration is not None:
            raise InvalidInputError("this encoder is calibrated already; calibrate the one it was made from")
        plain = self._compute(checked_texts(texts), self.settings.document_prompt, raw=True)
        calibrated = copy.copy(self)
        calibrated.calibration = fit_calibration(plain, method, dimension=dimension, components=components)
        calibrated._parts = self._parts
        return calibrated

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write model, tokenizer, settings and calibration into a new folder that ``load_encoder`` opens.

        Raises:
            InvalidInputError: the folder exists and is not empty.
        """
        return save_encoder(self.folder, folder, self.settings, self.calibration)

    def forget(self, texts: Sequence[str]) -> int:
        """Delete the vectors of these texts from the cache and say how many there were; 0 without a cache.

        Raises:
            TracesRemainError: see :meth:`bedside.encoders.cache.VectorCache.forget`.
        """
        return 0 if self.cache is None else self.cache.forget(texts)

    def close(self) -> None:
        """Release weights and vocabulary, also those of encoders calibrated from it; the next call loads them again."""
        with self._parts.lock:
            if self._parts.backend is not None:
                self._parts.backend.close()
            self._parts.backend = self._parts.tokenizer = None

    def _encode(self, texts: Sequence[str], prompt: str) -> Matrix:
        texts = checked_texts(texts)
        if self.cache is None or not texts:
            return self._compute(texts, prompt)
        return self.cache.through(f"{self.fingerprint}/{prompt}", texts, lambda some: self._compute(some, prompt))

    def _compute(self, texts: Sequence[str], prompt: str, *, raw: bool = False, run: Runner | None = None) -> Matrix:
        """Vectors of ``texts``, without the cache; ``raw``: as the network gives them, and without a warning.

        ``run`` takes the place of :meth:`run_rows`.
        """
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        tokenizer = self._tokenizer()
        rows, owners = self._windows(tokenizer, texts, prompt)
        vectors = (run or self.run_rows)(rows, tokenizer.pad_id)
        if not raw and self.calibration is None:
            warn_if_raw(self.folder, self.name)
        lengths = np.array([len(row) for row in rows], dtype=np.float32)
        whole = merge(vectors, owners, lengths, len(texts))
        if raw:
            return whole
        if self.calibration is not None:
            whole = self.calibration.apply(whole)
        return unit(whole) if self.settings.normalize else whole

    def _windows(
        self, tokenizer: TextTokenizer, texts: Sequence[str], prompt: str
    ) -> tuple[list[list[int]], NDArray[np.intp]]:
        """Every text as one or more rows of ids, and the text that each row belongs to."""
        tokens = tokenizer.tokens([prompt + text for text in texts] if prompt else texts)
        head = tokenizer.tokens([prompt])[0] if prompt else []
        capacity = self.max_length - tokenizer.special_count
        if len(head) >= capacity:
            raise InvalidInputError(f"the prompt has {len(head)} tokens and leaves no room in {self.max_length}")
        unreadable = sum(all(token == tokenizer.unknown_id for token in ids[len(head) :]) for ids in tokens)
        warn_of_unreadable(unreadable, len(tokens), "the vector of the tokens that stand for nothing")
        self._check_lengths(tokens, capacity)
        rows, owners = [], []
        for i, ids in enumerate(tokens):
            for body in self._bodies(ids, head, capacity):
                rows.append([*tokenizer.prefix, *body, *tokenizer.suffix] or [tokenizer.pad_id])
                owners.append(i)
        return rows, np.array(owners, dtype=np.intp)

    def _bodies(self, ids: list[int], head: list[int], capacity: int) -> list[list[int]]:
        """One text's tokens cut to ``capacity``; every window begins with the prompt."""
        if len(ids) <= capacity:
            return [ids]
        if self.settings.overflow == "truncate":
            return [ids[:capacity]]
        rest, room = ids[len(head) :], capacity - len(head)
        if room <= self.settings.overlap:
            raise InvalidInputError(
                f"overlap={self.settings.overlap}: beside the prompt's {len(head)} tokens at most {room - 1} fit"
            )
        return [[*ids[: len(head)], *rest[a:b]] for a, b in split(len(rest), room, self.settings.overlap)]

    def _check_lengths(self, tokens: list[list[int]], capacity: int) -> None:
        long = [i for i, ids in enumerate(tokens) if len(ids) > capacity]
        if long and self.settings.overflow == "error":
            raise TextTooLongError(
                f"texts[{long[0]}] has {len(tokens[long[0]])} tokens, {capacity} fit ({len(long)} of {len(tokens)} "
                "texts are too long)",
                remedies=[Give("overflow", "window", "to encode them whole")],
            )
        if long and self.settings.overflow == "truncate":
            log.warning("%d of %d texts were cut to %d tokens", len(long), len(tokens), capacity)

    def run_rows(self, rows: list[list[int]], pad_id: int) -> Matrix:
        """Run the network over rows of token ids, special ones included: float32 ``[n, d]``, pooled and no more.

        Raises:
            InvalidModelError: the vocabulary has tokens that the network has no vectors for, or the configuration
                belongs to other weights.
        """
        check_tokens(self.folder, rows)
        backend = self._backend()
        out = np.empty((len(rows), self._hidden_size()), dtype=np.float32)
        lengths = [len(row) for row in rows]
        with progress(sum(lengths), "encoding", "token") as advance:
            for chosen in batches(lengths, self.batch_tokens or backend.batch_tokens):
                ids, mask = padded([rows[i] for i in chosen], pad_id)
                vectors = backend.pooled(ids, mask, self.settings.pooling)
                if vectors.shape[1] != out.shape[1]:
                    told = f"hidden_size={out.shape[1]}, its weights make vectors of {vectors.shape[1]}"
                    raise InvalidModelError(f"{self.folder / 'config.json'}: {told}")
                out[chosen] = vectors
                advance(int(mask.sum()))
        return out

    def _tokenizer(self) -> TextTokenizer:
        with self._parts.lock:
            if self._parts.tokenizer is None:
                found = TextTokenizer(load_tokenizer(self.folder, lowercase=self.settings.lowercase))
                self.settings.check(positions(self.folder), found.special_count)
                self._parts.tokenizer = found
            return self._parts.tokenizer

    def _backend(self) -> Backend:
        with self._parts.lock:
            if self._parts.backend is None:
                self._parts.backend = open_backend(self.backend, self.folder, device=self.device, dtype=self.dtype)
            return self._parts.backend

    def _vocabulary(self) -> list[Path]:
        """The files that decide a text's tokens, by content and not by the tokenizers release that wrote them."""
        names = (
            ("vocab.txt",) if (self.folder / "vocab.txt").is_file() else ("tokenizer.json", "vocab.json", "merges.txt")
        )
        return [self.folder / name for name in names if (self.folder / name).is_file()]
