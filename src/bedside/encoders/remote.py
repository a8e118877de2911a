"""Embeddings from a server that speaks OpenAI's protocol: OpenAI, Azure OpenAI, vLLM, Ollama and others.

The official client makes the requests: its retries honour ``Retry-After`` and back off exponentially. What is ours is
what a request holds, how many run at once, and the check of every answer.

**Texts leave this machine** for the server that is named. Nothing else in Bedside sends a text anywhere.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bedside.encoders.awaitable import AsyncMethods
from bedside.encoders.texts import checked_texts, has_surrogate, warn_of_unreadable
from bedside.errors import EncoderMismatch, InvalidInputError, ProviderError
from bedside.support.extras import needs
from bedside.support.fork import in_each_process
from bedside.support.progress import progress
from bedside.types import Matrix

_REQUEST_TOKENS = 100_000
"""A third of what OpenAI takes in one request (300,000), and several requests share the wait."""
_IN_PLACE_OF_NOTHING = "."
_REQUEST_TEXTS = 2_048
"""What OpenAI and Azure take in one request."""


@dataclass(frozen=True)
class Azure:
    """Where an Azure OpenAI deployment is.

    Attributes:
        endpoint: ``https://<resource>.openai.azure.com``.
        deployment: The deployment's name; Azure asks for it instead of the model's.
        api_version: Of Azure's interface, such as ``"2024-10-21"``.
    """

    endpoint: str
    deployment: str
    api_version: str


class _Piece(NamedTuple):
    """A part of a text that fits the model: a whole text nearly always."""

    text: int
    content: str
    tokens: int


class RemoteEncoder(AsyncMethods):
    """An encoder whose vectors a server makes. Safe to use from several threads.

    Args:
        model: The model's name at the provider. It stands in the fingerprint, so with Azure name the model that the
            deployment runs.
        base_url: Of an OpenAI-compatible server; ``None``: ``OPENAI_BASE_URL``, else OpenAI.
        azure: A deployment of Azure OpenAI instead.
        api_key: ``None``: ``OPENAI_API_KEY`` or ``AZURE_OPENAI_API_KEY``. Never shown or pickled: where this is
            unpickled, the environment must have it.
        dimensions: Shorter vectors, of models that can make them; ``None``: the model's own.
        query_prompt: Put before each text of ``encode_queries``.
        document_prompt: Put before each text of ``encode_documents``.
        max_tokens: Most tokens of one text. A longer one is cut into pieces at spaces, whose vectors are averaged by
            their tokens; nothing is left out. 8,191 is OpenAI's limit.
        batch_tokens: Most tokens of one request.
        count_tokens: Counts the tokens of a text. ``None`` takes half of the bytes in UTF-8, more than any text has in
            practice (English has a quarter): the exact vocabularies would have to be downloaded.
        concurrency: Most requests at once.
        max_retries: Of a request that met 408, 409, 429, 5xx or a broken connection.
        timeout: Seconds for one request.

    Raises:
        MissingExtraError: ``bedside[remote]`` is not installed.
        InvalidInputError: An argument is out of its range, or there is no key.

    Example:
        >>> encoder = RemoteEncoder("bge-m3", base_url="http://127.0.0.1:8000/v1", api_key="none")  # doctest: +SKIP
        >>> encoder.encode_documents(["No chest pain."]).shape  # doctest: +SKIP
        (1, 1024)
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        azure: Azure | None = None,
        api_key: str | None = None,
        dimensions: int | None = None,
        query_prompt: str = "",
        document_prompt: str = "",
        max_tokens: int = 8_191,
        batch_tokens: int = _REQUEST_TOKENS,
        count_tokens: Callable[[str], int] | None = None,
        concurrency: int = 4,
        max_retries: int = 5,
        timeout: float = 60.0,
    ) -> None:
        positive = {
            "dimensions": 1 if dimensions is None else dimensions,
            "max_tokens": max_tokens,
            "batch_tokens": batch_tokens,
            "concurrency": concurrency,
            "timeout": timeout,
        }
        for name, value in positive.items():
            if not value > 0:
                raise InvalidInputError(f"{name}={value}: expected more than 0")
        if not model or (base_url is not None and azure is not None):
            raise InvalidInputError("model must have a name, and only one of base_url and azure can be given")
        self.model = model
        self.base_url = base_url
        self.azure = azure
        self.dimensions = dimensions
        self.query_prompt = query_prompt
        self.document_prompt = document_prompt
        self.max_tokens = max_tokens
        self.batch_tokens = batch_tokens
        self.concurrency = concurrency
        self.max_retries = max_retries
        self.timeout = timeout
        self._count_tokens = count_tokens or half_of_the_bytes
        self._dimension = dimensions
        self._api_key = api_key
        self._set_up()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    @property
    def dimension(self) -> int | None:
        """Length of a vector; ``None`` before the first answer unless ``dimensions`` was given."""
        return self._dimension

    @property
    def fingerprint(self) -> str | None:
        """Of model, dimensions and prompts, not of the address: a server that moves keeps its vectors.

        A provider may change a model behind its name; nobody can see that from here.
        """
        parts = ("remote", self.model, self.dimensions, self.query_prompt, self.document_prompt)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Encode passages.

        Args:
            texts: Control characters, emoji and every script go to the server as they are; what is longer than
                ``max_tokens`` is cut into pieces. In place of a blank text, which servers refuse, a full stop is sent.

        Returns:
            float32 ``[n, d]``, each of length 1, in the order given; ``[0, d]`` for no texts.

        Raises:
            InvalidInputError: Not a list of strings, or a lone surrogate. The message says where, and nothing was sent.
            ProviderError: The server refused, could not be reached, or answered what cannot be used.
            EncoderMismatch: Its vectors have another length than before.

        Warns:
            BedsideWarning: How many texts are blank.
        """
        return self._encode(texts, self.document_prompt)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Encode questions; as :meth:`encode_documents`."""
        return self._encode(texts, self.query_prompt)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as ``count_tokens`` says, or the estimate in its place."""
        return [self._count_tokens(text) for text in checked_texts(texts)]

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _encode(self, texts: Sequence[str], prompt: str) -> Matrix:
        wanted = checked_texts(texts)
        for i, text in enumerate(wanted):
            if has_surrogate(text):
                raise InvalidInputError(f"texts[{i}]: a lone surrogate, not valid Unicode text")
        blank = sum(not text.strip() for text in wanted)
        warn_of_unreadable(blank, len(wanted), f"the vector of {_IN_PLACE_OF_NOTHING!r}")
        wanted = [text if text.strip() else _IN_PLACE_OF_NOTHING for text in wanted]
        pieces = [_Piece(i, *part) for i, text in enumerate(wanted) for part in self._parts(prompt + text)]
        batches = list(self._batches(pieces))
        if not batches:
            return np.empty((0, self._dimension or 0), np.float32)
        with progress(len(pieces), f"encoding with {self.model}", "text") as advance:
            vectors = np.concatenate(self._requested(batches, advance))
        return _pooled(vectors, pieces, len(wanted))

    def _parts(self, text: str) -> Iterable[tuple[str, int]]:
        """Cut a text that is too long into halves, at a space near the middle, until they fit."""
        tokens = self._count_tokens(text)
        if tokens <= self.max_tokens or len(text) < 2:
            yield text, tokens
            return
        middle = text.rfind(" ", 1, len(text) // 2 + 1)
        middle = middle if middle > len(text) // 4 else len(text) // 2
        for part in (text[:middle], text[middle:]):
            if part.strip():
                yield from self._parts(part)

    def _batches(self, pieces: Sequence[_Piece]) -> Iterable[list[_Piece]]:
        batch: list[_Piece] = []
        total = 0
        for piece in pieces:
            if batch and (total + piece.tokens > self.batch_tokens or len(batch) == _REQUEST_TEXTS):
                yield batch
                batch, total = [], 0
            batch.append(piece)
            total += piece.tokens
        if batch:
            yield batch

    def _requested(self, batches: Sequence[list[_Piece]], advance: Callable[[int], object]) -> list[Matrix]:
        """Return the vectors of each batch; the first failure stops those that have not begun."""
        with ThreadPoolExecutor(min(self.concurrency, len(batches))) as pool:
            running = [pool.submit(self._request, batch, advance) for batch in batches]
            failed = any(done.exception() for done in wait(running, return_when=FIRST_EXCEPTION).done)
            if failed:
                pool.shutdown(cancel_futures=True)
        raised = next((done.exception() for done in running if not done.cancelled() and done.exception()), None)
        if raised is not None:
            raise raised
        return [done.result() for done in running]

    def _request(self, batch: Sequence[_Piece], advance: Callable[[int], object]) -> Matrix:
        with needs("remote"):
            import openai
        extra = {} if self.dimensions is None else {"dimensions": self.dimensions}
        try:
            answer = self._connection().embeddings.create(
                model=self.model if self.azure is None else self.azure.deployment,
                input=[piece.content for piece in batch],
                encoding_format="float",
                **extra,
            )
        except openai.APIStatusError as error:  # the body may repeat the texts
            raise ProviderError(_refusal(error.status_code, self._where())) from None
        except openai.APITimeoutError:
            raise ProviderError(f"{self._where()} did not answer within {self.timeout:g} s") from None
        except openai.APIConnectionError:
            raise ProviderError(f"{self._where()} could not be reached") from None
        except (openai.OpenAIError, ValueError, TypeError):  # what is not JSON fails in the client in several ways
            raise ProviderError(f"{self._where()} answered what is not a list of embeddings") from None
        vectors = self._checked(answer, len(batch))
        advance(len(batch))
        return vectors

    def _checked(self, answer: Any, count: int) -> Matrix:
        """Return the vectors in the order asked, each of length 1."""
        unusable = ProviderError(f"{self._where()} answered what is not a list of {count} embeddings of numbers")
        try:
            found = {int(item.index): item.embedding for item in answer.data}
            vectors = np.array([found[i] for i in range(count)], dtype=np.float64)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise unusable from None
        if vectors.ndim != 2 or len(answer.data) != count or not np.isfinite(vectors).all():
            raise unusable
        lengths = np.linalg.norm(vectors, axis=1)
        if not lengths.all():
            raise ProviderError(f"{self._where()} answered a vector of zeros")
        with self._lock:
            if self._dimension not in (None, vectors.shape[1]):
                raise EncoderMismatch(
                    f"{self._where()}: expected vectors of {self._dimension} dimensions, got {vectors.shape[1]}"
                )
            self._dimension = vectors.shape[1]
        return np.asarray(vectors / lengths[:, None], dtype=np.float32)

    def _where(self) -> str:
        return f"{self.model} at {self._connection().base_url.host}"

    def _set_up(self) -> None:
        self._client: Any = None
        self._inherited: list[Any] = []
        in_each_process(self._part_from_parent)
        self._connection()  # a key that is missing is said at once

    def _part_from_parent(self) -> None:
        """Share no connection: each process would read the other's answers."""
        self._lock = threading.RLock()
        self._inherited.append(self._client)  # kept: closing it might wait for a thread that is not here
        self._client = None

    def _connection(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connected()
            return self._client

    def _connected(self) -> Any:
        with needs("remote"):
            import openai
        shared: dict[str, Any] = {"api_key": self._api_key, "max_retries": self.max_retries, "timeout": self.timeout}
        try:
            if self.azure is None:
                return openai.OpenAI(base_url=self.base_url, **shared)
            return openai.AzureOpenAI(
                azure_endpoint=self.azure.endpoint,
                azure_deployment=self.azure.deployment,
                api_version=self.azure.api_version,
                **shared,
            )
        except openai.OpenAIError:
            variable = "OPENAI_API_KEY" if self.azure is None else "AZURE_OPENAI_API_KEY"
            raise InvalidInputError(f"{self.model}: no api_key= was given and {variable} is not set") from None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None, "_inherited": [], "_lock": None, "_api_key": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_up()


def half_of_the_bytes(text: str) -> int:
    """Estimate the tokens of a text from above, without a vocabulary: half of its bytes in UTF-8."""
    return math.ceil(len(text.encode()) / 2)


def _refusal(status: int, where: str) -> str:
    hints = {
        400: "; a text may be longer than the model takes: give max_tokens= or count_tokens=",
        401: "; check the api_key",
        403: "; check the api_key and its rights",
        404: "; check the model's name and the address",
        413: "; the request was too large: give a smaller batch_tokens=",
        429: " after all retries; give a smaller concurrency=, or try later",
    }
    return f"{where} refused with status {status}{hints.get(status, '')}"


def _pooled(vectors: Matrix, pieces: Sequence[_Piece], count: int) -> Matrix:
    """Average the pieces of each text by their tokens, and scale to length 1."""
    if len(pieces) == count:
        return vectors
    summed = np.zeros((count, vectors.shape[1]))
    np.add.at(summed, [piece.text for piece in pieces], vectors * np.array([[piece.tokens] for piece in pieces]))
    return np.asarray(summed / np.linalg.norm(summed, axis=1, keepdims=True), dtype=np.float32)
