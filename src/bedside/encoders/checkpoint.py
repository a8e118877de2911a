"""Find a model: a local folder, the Hugging Face cache, then the hub (or the mirror that HF_ENDPOINT names).

Only one thing here touches the network, :func:`resolve`, and only when neither a folder nor a cached snapshot
serves. Everything after it opens local files.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.errors import InvalidModelError, ModelNotFoundError
from bedside.support.extras import needs

log = logging.getLogger(__name__)

BIO_CLINICALBERT = "emilyalsentzer/Bio_ClinicalBERT"
"""The default model: BioBERT v1.0 continued on MIMIC-III notes; 12 layers, 768-d, cased, 512 positions; MIT."""

PINNED_REVISIONS = {BIO_CLINICALBERT: "d5892b39a4adaed74b92212a44081509db72f87b"}
"""The commit that is meant when no ``revision`` is given: a moved branch cannot change vectors."""

SMALL_FILES = (
    "config.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "*.model", "modules.json", "sentence_bert_config.json",
    "config_sentence_transformers.json", "*/config.json", "*_Dense/model.safetensors", "bedside_encoder.json",
    "bedside_encoder.safetensors", "LICENSE*", "README.md",
)  # fmt: skip
"""What is fetched besides weights. No Python file is on the list: remote code is never fetched, let alone run."""
SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
PICKLED_WEIGHTS = "pytorch_model.bin"
EXPORTED = "*-*/manifest.json"
"""Networks exported for another runtime, each in a folder ``BACKEND-DTYPE``; a model folder may hold nothing else."""

_LFS = b"version https://git-lfs"  # how a pointer begins that Git leaves in place of a large file
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PROBE_SECONDS = 10.0  # one request, no retries: a dead network is reported within this time


@dataclass(frozen=True)
class Checkpoint:
    """A model folder on this machine.

    Attributes:
        folder: The folder in Hugging Face layout.
        name: How the user named the model: a hub id, or the folder's own name.
        revision: The commit of a hub snapshot, ``None`` for a plain folder.
    """

    folder: Path
    name: str
    revision: str | None = None


def resolve(
    model: str | os.PathLike[str],
    *,
    revision: str | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Checkpoint:
    """Find ``model`` and return its folder; download it only where that is needed and allowed.

    Order: a local folder; a complete cached snapshot; the hub. The hub client's own settings apply: ``HF_HOME``,
    ``HF_HUB_CACHE``, ``HF_ENDPOINT`` (a mirror), ``HF_TOKEN``, ``HF_HUB_OFFLINE`` and the proxy variables.

    Args:
        model: A folder, or a hub id such as ``"emilyalsentzer/Bio_ClinicalBERT"``.
        revision: Commit, tag or branch of a hub id; default: the pinned commit where there is one, else ``main``.
        local_files_only: Never use the network.
        cache_dir: Another Hugging Face cache folder.

    Raises:
        ModelNotFoundError: nowhere to be found; the message lists the places that were tried.
        InvalidModelError: the folder holds no checkpoint.
    """
    name = os.fspath(model)
    path = Path(name).expanduser()
    if name and path.is_dir():
        return Checkpoint(check_folder(path.resolve()), path.resolve().name)
    if path.is_absolute() or not _HUB_ID.fullmatch(name):
        raise ModelNotFoundError(f"model {name!r}: there is no such folder, and it is not a hub id like 'org/name'")
    with needs("transformers"):
        import huggingface_hub  # noqa: F401
    revision = revision or PINNED_REVISIONS.get(name)
    cached = _cached(name, revision, cache_dir)
    if cached is None and not local_files_only:
        cached = _download(name, revision, cache_dir)
    if cached is None:
        raise ModelNotFoundError(_advice(name, revision, cache_dir, "the network was not asked (local_files_only)"))
    return Checkpoint(check_folder(cached), name, cached.name)


def check_folder(folder: Path) -> Path:
    """Return ``folder`` if it looks like a checkpoint, else say which file is missing.

    Raises:
        InvalidModelError: no ``config.json``, no vocabulary, no weights or not all of them.
    """
    for what, patterns in (
        ("config.json", ["config.json"]),
        ("weights (model.safetensors or pytorch_model.bin)", [*SAFE_WEIGHTS, PICKLED_WEIGHTS, EXPORTED]),
        ("a vocabulary (vocab.txt or tokenizer.json)", ["vocab.txt", "tokenizer.json", "vocab.json", "*.model"]),
    ):
        if not any_file(folder, patterns):
            raise InvalidModelError(f"model folder {folder}: {what} is missing")
    for pattern in (*SAFE_WEIGHTS, PICKLED_WEIGHTS):
        for file in folder.glob(pattern):
            if _is_lfs_pointer(file):
                raise InvalidModelError(
                    f"{file}: stands for the file in a git clone and is not the file; run `git lfs pull` in the clone"
                )
    shards = set(read_json(folder / "model.safetensors.index.json").get("weight_map", {}).values())
    for shard in sorted(shards):
        if not (folder / shard).is_file():
            raise InvalidModelError(f"model folder {folder}: {shard} is missing")
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent file reads as ``{}``.

    Raises:
        InvalidModelError: not valid JSON, or not an object.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text("utf-8-sig"))  # some editors put a mark before the text
    except ValueError as error:
        raise InvalidModelError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise InvalidModelError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def any_file(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether a file of ``folder`` fits one of the glob patterns."""
    return any(next(folder.glob(pattern), None) for pattern in patterns)


def check_tokens(folder: Path, rows: Sequence[Sequence[int]]) -> None:
    """Refuse rows of token ids that the network has no vectors for: some backends would take another token's.

    Raises:
        InvalidModelError: the vocabulary of the folder has more tokens than its network.
    """
    size, highest = read_json(folder / "config.json").get("vocab_size"), max(map(max, rows))
    if isinstance(size, int) and highest >= size:
        raise InvalidModelError(f"{folder}: the vocabulary has a token {highest}, the network {size} in all")


def _is_lfs_pointer(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_LFS)) == _LFS


def _cached(name: str, revision: str | None, cache_dir: str | os.PathLike[str] | None) -> Path | None:
    """The snapshot in the cache if it is there and complete; no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = str(snapshot_download(name, revision=revision, cache_dir=_path(cache_dir), local_files_only=True))
    except LocalEntryNotFoundError as error:
        # Set where the snapshot lacks files of the repository; they may well be files that nobody here needs.
        found = getattr(error, "snapshot_path", "")
    try:
        return check_folder(Path(found)) if found else None
    except InvalidModelError:
        return None


def _download(name: str, revision: str | None, cache_dir: str | os.PathLike[str] | None) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    # The hub client's errors change their base class with its HTTP library, hence Exception.
    try:
        info = HfApi().model_info(name, revision=revision, timeout=_PROBE_SECONDS)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        weights = SAFE_WEIGHTS if any(f.endswith(".safetensors") and "/" not in f for f in files) else [PICKLED_WEIGHTS]
        log.info("fetching %s at %s", name, info.sha)
        found = snapshot_download(
            name, revision=info.sha, cache_dir=_path(cache_dir), allow_patterns=[*SMALL_FILES, *weights]
        )
    except Exception as error:
        reason = f"the hub: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise ModelNotFoundError(_advice(name, revision, cache_dir, reason)) from error
    return Path(str(found))


def _advice(name: str, revision: str | None, cache_dir: str | os.PathLike[str] | None, reason: str) -> str:
    from huggingface_hub import constants

    where = os.fspath(cache_dir) if cache_dir else constants.HF_HUB_CACHE
    at = f" at revision {revision}" if revision else ""
    short = (
        "" if "/" in name else f"; models of sentence-transformers are called 'sentence-transformers/{name}' in full"
    )
    return (
        f"model {name!r}{at} was not found. Tried: a folder of that name; the cache {where}; {reason}. To get it, run "
        f"`bedside fetch-model {name} FOLDER` where {constants.ENDPOINT} can be reached, copy FOLDER here and pass "
        f"its path as the model; or set HF_ENDPOINT to a mirror, or HF_HOME to a cache that holds it{short}"
    )


def _path(folder: str | os.PathLike[str] | None) -> str | None:
    return None if folder is None else os.fspath(folder)
