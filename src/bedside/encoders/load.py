"""``load_encoder``: one call for every kind of encoder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bedside.encoders.backends import check_backend
from bedside.encoders.cache import CachedEncoder, VectorCache
from bedside.encoders.calibration import load_calibration
from bedside.encoders.checkpoint import Checkpoint, resolve
from bedside.encoders.pair import PairedEncoder
from bedside.encoders.pooling import Pooling
from bedside.encoders.prepare import cache_folder, prepared
from bedside.encoders.presets import STATIC, preset_of
from bedside.encoders.remote import RemoteEncoder
from bedside.encoders.settings import Overflow, folder_settings, whole_number
from bedside.encoders.static import is_static, load_static
from bedside.encoders.transformer import TransformerEncoder
from bedside.errors import InvalidInputError
from bedside.remedies import Give
from bedside.types import Encoder

_REMOTE = "openai:"


def load_encoder(
    model: str | os.PathLike[str],
    *,
    backend: str = "torch",
    pooling: Pooling | None = None,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    overflow: Overflow | None = None,
    overlap: int | None = None,
    batch_tokens: int | None = None,
    query_model: str | os.PathLike[str] | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    normalize: bool | None = None,
    lowercase: bool | None = None,
    cache: bool | str | os.PathLike[str] | VectorCache | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Encoder:
    """Load a text encoder. Code that comes with a model is never run: there is no ``trust_remote_code``.

    ``None`` means: what the model's own folder says (sentence-transformers and Bedside folders do), else the default
    named below.

    Args:
        model: A hub id (``"emilyalsentzer/Bio_ClinicalBERT"``); a folder in Hugging Face, sentence-transformers,
            model2vec or Bedside layout; ``"preset:medembed"`` and others of
            :data:`bedside.encoders.presets.PRESETS`; ``"bedside/static"``, which comes with Bedside and needs numpy
            alone; or ``"openai:text-embedding-3-small"``, a model of the server that ``OPENAI_BASE_URL`` and
            ``OPENAI_API_KEY`` name, to which **the texts are sent**
            (:class:`~bedside.encoders.remote.RemoteEncoder` has more settings). A cached copy of a hub id is used
            without asking the network.
        backend: What runs the network: ``"torch"``, ``"onnx"``, ``"openvino"``, ``"jax"`` or ``"tensorflow"``, each
            with an extra of its own. All start from the same folder and agree in float32 to 1e-5.
        pooling: ``"mean"`` (attention-masked; the default), ``"cls"``, ``"max"`` or ``"first-last-mean"``.
        revision: Commit, tag or branch; the default model is pinned to a commit.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        dtype: ``"auto"`` picks bfloat16 where the processor has matrix units for it, else float32, and logs which.
            ``"int8"`` is for ``"onnx"`` and ``"openvino"``, from a folder that
            :func:`bedside.encoders.export.export_model` made; it is never picked.
        max_length: Tokens per window, special ones included; default: what the model was made for, at most its
            positions (512 for BERT).
        overflow: What happens to a text of more tokens: ``"window"`` (default) encodes overlapping windows and
            averages them by token count; ``"error"`` raises; ``"truncate"`` cuts and logs how many texts were cut.
        overlap: Tokens shared by neighbouring windows; default: an eighth of ``max_length``.
        batch_tokens: Most tokens, padding included, in one batch: the bound of working memory; default: what
            the backend is fastest with (1,024 on a CPU).
        query_model: Another model for queries, of the same vector space (MedCPT is such a pair).
        query_prompt: Put before each text of ``encode_queries``.
        document_prompt: Put before each text of ``encode_documents``.
        normalize: Whether vectors get length 1 (default).
        lowercase: Overrides the casing found in the folder; a vocabulary with capitals is otherwise kept cased.
        cache: Keeps vectors on disk by fingerprint and text, so that unchanged text is encoded once: ``True`` (in
            ``BEDSIDE_CACHE`` or the user's cache folder), a folder, or a
            :class:`~bedside.encoders.cache.VectorCache`. Off by default.
        local_files_only: Never use the network. ``HF_HUB_OFFLINE=1`` does the same for the whole process.
        cache_dir: Another Hugging Face cache folder.

    Returns:
        An encoder: :class:`~bedside.encoders.TransformerEncoder`; with ``query_model``
        :class:`~bedside.encoders.PairedEncoder`; for static models :class:`~bedside.encoders.static.StaticEncoder`.

    Raises:
        ModelNotFoundError: no such folder, not in the cache, and the hub was not reached or does not have it.
        InvalidModelError: the folder is not a usable checkpoint; the message names the file.
        InvalidInputError: an argument is out of its range.
        EncoderMismatch: the vectors of ``query_model`` have another length.
        MissingExtraError: a library is not installed.

    Example:
        >>> encoder = load_encoder("emilyalsentzer/Bio_ClinicalBERT")  # doctest: +SKIP
        >>> encoder.encode_documents(["No chest pain.", "Chest pain on exertion."]).shape  # doctest: +SKIP
        (2, 768)
    """
    check_backend(backend)
    for name, given in (("model", model), ("query_model", model if query_model is None else query_model)):
        if not isinstance(given, (str, os.PathLike)):
            raise InvalidInputError(f"{name}: expected a name or a folder, got {type(given).__name__}")
    if batch_tokens is not None and whole_number("batch_tokens", batch_tokens) < 1:
        raise InvalidInputError("expected at least 1", about=Give("batch_tokens", batch_tokens))
    how: dict[str, Any] = {"backend": backend, "device": device, "dtype": dtype, "batch_tokens": batch_tokens}
    asked: dict[str, Any] = {
        "pooling": pooling,
        "max_length": max_length,
        "overflow": overflow,
        "overlap": overlap,
        "query_prompt": query_prompt,
        "document_prompt": document_prompt,
        "normalize": normalize,
        "lowercase": lowercase,
    }
    if (known := preset_of(model)) is not None:
        model, query_model = known.model, query_model or known.query_model
        asked |= {name: value for name, value in known.settings().items() if asked[name] is None}
    where: dict[str, Any] = {"local_files_only": local_files_only, "cache_dir": cache_dir}
    vectors = _vector_cache(cache)
    documents = _one(model, revision, asked, how, where, vectors)
    if query_model is None:
        return documents
    return PairedEncoder(_one(query_model, None, asked, how, where, vectors), documents)


def _one(
    model: str | os.PathLike[str],
    revision: str | None,
    asked: dict[str, Any],
    how: dict[str, Any],
    where: dict[str, Any],
    cache: VectorCache | None,
) -> Encoder:
    if isinstance(model, str) and model.startswith(_REMOTE):
        return _remote(model.removeprefix(_REMOTE), asked, cache)
    if model == STATIC:
        return _static(None, asked, cache)
    checkpoint = resolve(model, revision=revision, **where)
    if is_static(checkpoint.folder):
        return _static(checkpoint.folder, asked, cache)
    return _transformer(checkpoint, asked, how, cache)


def _transformer(
    checkpoint: Checkpoint, asked: dict[str, Any], how: dict[str, Any], cache: VectorCache | None
) -> TransformerEncoder:
    folder = prepared(checkpoint, lowercase=asked["lowercase"])
    settings = folder_settings(folder, **asked)
    encoder = TransformerEncoder(folder, name=checkpoint.name, settings=settings, cache=cache, **how)
    encoder.calibration = load_calibration(folder, encoder.dimension)
    return encoder


def _static(folder: Path | None, asked: dict[str, Any], cache: VectorCache | None) -> Encoder:
    """A static encoder, which has no network: what only a network could heed is refused, not ignored."""
    _refuse_unheeded("a static encoder", asked, {"normalize"})
    encoder = load_static(folder, normalize=asked["normalize"])
    return encoder if cache is None else CachedEncoder(encoder, cache)


def _remote(model: str, asked: dict[str, Any], cache: VectorCache | None) -> Encoder:
    prompts = {"query_prompt", "document_prompt"}
    _refuse_unheeded("a remote encoder", asked, prompts)
    encoder = RemoteEncoder(model, **{name: asked[name] for name in prompts if asked[name] is not None})
    return encoder if cache is None else CachedEncoder(encoder, cache)


def _refuse_unheeded(kind: str, asked: dict[str, Any], heeded: set[str]) -> None:
    unheeded = sorted(name for name, value in asked.items() if value is not None and name not in heeded)
    if unheeded:
        allowed = ", ".join(sorted(heeded))
        raise InvalidInputError(f"{kind} has no {', '.join(unheeded)}; only {allowed} can be chosen")


def _vector_cache(cache: bool | str | os.PathLike[str] | VectorCache | None) -> VectorCache | None:
    if cache is None or cache is False:
        return None
    if isinstance(cache, VectorCache):
        return cache
    folder: object = cache_folder() / "vectors" if cache is True else cache
    if not isinstance(folder, (str, os.PathLike)):
        raise InvalidInputError(f"cache: expected True, a folder or a VectorCache, got {type(cache).__name__}")
    return VectorCache(folder)
