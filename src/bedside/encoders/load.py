"""``load_encoder``: one call for every kind of encoder."""

from __future__ import annotations

import os

from bedside.encoders.backends import check_backend
from bedside.encoders.checkpoint import resolve
from bedside.encoders.pooling import Pooling
from bedside.encoders.prepare import prepared
from bedside.encoders.settings import Overflow, folder_settings
from bedside.encoders.transformer import TransformerEncoder
from bedside.errors import InvalidInputError


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
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    normalize: bool | None = None,
    lowercase: bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> TransformerEncoder:
    """Load a text encoder. Code that comes with a model is never run: there is no ``trust_remote_code``.

    ``None`` means: what the model's own folder says (sentence-transformers and Bedside folders do), else the default
    named below.

    Args:
        model: A hub id (``"emilyalsentzer/Bio_ClinicalBERT"``), or a folder in Hugging Face, sentence-transformers or
            Bedside layout. A cached copy of a hub id is used without asking the network.
        backend: What runs the network: ``"torch"``.
        pooling: ``"mean"`` (attention-masked; the default), ``"cls"``, ``"max"`` or ``"first-last-mean"``.
        revision: Commit, tag or branch; the default model is pinned to a commit.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        dtype: ``"auto"`` picks bfloat16 where the processor has matrix units for it, else float32, and logs which.
        max_length: Tokens per window, special ones included; default: what the model was made for, at most its
            positions (512 for BERT).
        overflow: What happens to a text of more tokens: ``"window"`` (default) encodes overlapping windows and
            averages them by token count; ``"error"`` raises; ``"truncate"`` cuts and logs how many texts were cut.
        overlap: Tokens shared by neighbouring windows; default: an eighth of ``max_length``.
        batch_tokens: Most tokens, padding included, in one batch: the bound of working memory; default: what
            the backend is fastest with (1,024 on a CPU).
        query_prompt: Put before each text of ``encode_queries``.
        document_prompt: Put before each text of ``encode_documents``.
        normalize: Whether vectors get length 1 (default).
        lowercase: Overrides the casing found in the folder; a vocabulary with capitals is otherwise kept cased.
        local_files_only: Never use the network. ``HF_HUB_OFFLINE=1`` does the same for the whole process.
        cache_dir: Another Hugging Face cache folder.

    Returns:
        An encoder with ``encode_documents``, ``encode_queries``, ``count_tokens``, ``dimension``, ``fingerprint``.

    Raises:
        ModelNotFoundError: no such folder, not in the cache, and the hub was not reached or does not have it.
        InvalidModelError: the folder is no usable checkpoint; the message names the file.
        InvalidInputError: an argument is out of its range.
        MissingExtraError: a library is not installed.

    Example:
        >>> encoder = load_encoder("emilyalsentzer/Bio_ClinicalBERT")  # doctest: +SKIP
        >>> encoder.encode_documents(["No chest pain.", "Chest pain on exertion."]).shape  # doctest: +SKIP
        (2, 768)
    """
    check_backend(backend)
    if batch_tokens is not None and batch_tokens < 1:
        raise InvalidInputError(f"batch_tokens={batch_tokens}: expected at least 1")
    checkpoint = resolve(model, revision=revision, local_files_only=local_files_only, cache_dir=cache_dir)
    folder = prepared(checkpoint, lowercase=lowercase)
    settings = folder_settings(
        folder,
        pooling=pooling,
        max_length=max_length,
        overflow=overflow,
        overlap=overlap,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
        normalize=normalize,
        lowercase=lowercase,
    )
    return TransformerEncoder(
        folder,
        name=checkpoint.name,
        settings=settings,
        backend=backend,
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
    )
