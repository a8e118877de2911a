"""Turn a checkpoint as published into a folder that every backend opens without torch's pickle or a guess.

Bio_ClinicalBERT's hub folder holds a PyTorch pickle and a ``vocab.txt``. :func:`prepare` converts it once, in the
user's cache, to ``model.safetensors``, ``tokenizer.json`` and ``tokenizer_config.json`` and lists their hashes in
``manifest.json``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from bedside.encoders.bert import modern
from bedside.encoders.checkpoint import PICKLED_WEIGHTS, SAFE_WEIGHTS, Checkpoint, any_file, read_json, resolve
from bedside.encoders.tokenizer import load_tokenizer
from bedside.errors import InvalidModelError
from bedside.support.extras import needs

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_FORMAT = "1"  # part of the folder's name: another conversion never meets an old folder


def cache_folder() -> Path:
    """Where Bedside keeps what it derives: ``BEDSIDE_CACHE``, else ``bedside`` in the user's cache folder."""
    given = os.environ.get("BEDSIDE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given).expanduser() if given else Path(base).expanduser() / "bedside"


def prepare(
    model: str | os.PathLike[str],
    revision: str | None = None,
    *,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    lowercase: bool | None = None,
) -> Path:
    """Return a local folder of ``model`` with safetensors weights and a tokenizer, converting it the first time.

    A folder that already has safetensors is returned as it is. Otherwise the converted copy stands under
    :func:`cache_folder`, once per checkpoint, also when several processes ask at the same time.

    Args:
        model: A folder or a hub id.
        revision: See :func:`bedside.encoders.checkpoint.resolve`.
        local_files_only: Never use the network.
        cache_dir: Another Hugging Face cache folder (of the download, not of the converted copy).
        lowercase: Overrides the casing found in the folder.

    Raises:
        ModelNotFoundError: see :func:`bedside.encoders.checkpoint.resolve`.
        InvalidModelError: the weights are not a plain PyTorch state dict, or the copy cannot be written.
    """
    checkpoint = resolve(model, revision=revision, local_files_only=local_files_only, cache_dir=cache_dir)
    return prepared(checkpoint, lowercase=lowercase)


def prepared(checkpoint: Checkpoint, *, lowercase: bool | None = None) -> Path:
    """The folder of ``checkpoint`` that every backend can open; see :func:`prepare`."""
    source = checkpoint.folder
    if not (source / PICKLED_WEIGHTS).is_file() or any_file(source, SAFE_WEIGHTS):
        return source
    target = cache_folder() / "models" / f"{_slug(checkpoint.name)}-{_key(source, lowercase)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(f"{target}.lock"):
            if not (target / MANIFEST).is_file():
                with building(target) as folder:
                    convert(source, folder, lowercase=lowercase)
    except OSError as error:
        raise InvalidModelError(
            f"the converted copy of {checkpoint.name} cannot be written to {target} ({error.strerror}); "
            "set BEDSIDE_CACHE to a folder that can be written"
        ) from error
    return target


def convert(source: Path, target: Path, *, lowercase: bool | None = None) -> None:
    """Write ``source`` as safetensors, tokenizer files and a manifest of hashes into the empty folder ``target``.

    Raises:
        InvalidModelError: the pickle holds anything but tensors; nothing of it is run (``weights_only``).
    """
    with needs("transformers"):
        from safetensors.torch import save_file

    for file in source.iterdir():
        if (file.is_file() and file.suffix in (".json", ".txt", ".model", ".md")) or file.name.startswith("LICENSE"):
            shutil.copyfile(file, target / file.name)
        elif file.is_dir() and (file / "config.json").is_file():
            shutil.copytree(file, target / file.name)
    tensors = read_pickle(source / PICKLED_WEIGHTS)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(source, target, lowercase=lowercase)
    write_manifest(target, {"source_sha256": sha256(source / PICKLED_WEIGHTS)})
    log.info("converted %s to %s", source, target)


def read_pickle(file: Path) -> dict[str, Tensor]:
    """Read ``pytorch_model.bin`` with ``weights_only``: current names, every tensor once, contiguous.

    Raises:
        InvalidModelError: not a state dict, damaged, or it asks for code to be run.
    """
    with needs("transformers"):
        import torch

    try:
        state: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=_is_zip(file))
    except Exception as error:  # pickle, zip and torch each raise their own
        raise InvalidModelError(
            f"{file}: cannot be read as plain weights ({type(error).__name__}); files that run code are refused"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise InvalidModelError(f"{file}: expected a dictionary of tensors")
    tensors: dict[str, Tensor] = {}
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for name in sorted(state, key=lambda name: ("cls." in name, name)):
        tensor = state[name]
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if key in seen:  # the output matrix tied to the word embeddings: transformers ties it again
            continue
        seen.add(key)
        tensors[modern(name)] = tensor.contiguous().clone()
    return tensors


def write_tokenizer(source: Path, target: Path, *, lowercase: bool | None = None) -> None:
    """Write ``tokenizer.json``, and a ``tokenizer_config.json`` that tells transformers the casing and the length."""
    from tokenizers.normalizers import BertNormalizer

    tokenizer = load_tokenizer(source, lowercase=lowercase)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(target / "tokenizer.json"))
    settings = read_json(source / "tokenizer_config.json")
    if isinstance(tokenizer.normalizer, BertNormalizer):
        positions = read_json(source / "config.json").get("max_position_embeddings", 512)
        settings |= {"do_lower_case": tokenizer.normalizer.lowercase}
        settings |= {"tokenizer_class": "BertTokenizer", "model_max_length": positions}
    (target / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def write_manifest(folder: Path, extra: dict[str, Any]) -> None:
    """List the size and SHA-256 of every file of ``folder`` in its ``manifest.json``."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    listed = {p.relative_to(folder).as_posix(): {"bytes": p.stat().st_size, "sha256": sha256(p)} for p in files}
    text = json.dumps({"format": _FORMAT, **extra, "files": listed}, indent=2)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")


def verify(folder: Path) -> None:
    """Compare a prepared or fetched folder with its manifest, byte for byte.

    Raises:
        InvalidModelError: no manifest, or a file is missing, changed or damaged; the message names it.
    """
    listed = read_json(folder / MANIFEST).get("files")
    if not listed:
        raise InvalidModelError(f"{folder}: no {MANIFEST} to compare with")
    for name, entry in listed.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != entry["bytes"] or sha256(file) != entry["sha256"]:
            raise InvalidModelError(f"{file}: missing or changed since it was written")


def sha256(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def file_hashes(folder: Path, files: Iterable[Path]) -> list[str]:
    """The SHA-256 of each of ``files``; the folder's manifest is believed for a file of its size and no newer than it.

    Weights that were trained further keep their size, hence the time.
    """
    manifest = folder / MANIFEST
    listed = read_json(manifest).get("files", {})
    written = manifest.stat().st_mtime_ns if listed else 0
    hashes = []
    for file in files:
        entry, stat = listed.get(file.relative_to(folder).as_posix(), {}), file.stat()
        known = entry.get("bytes") == stat.st_size and stat.st_mtime_ns <= written
        hashes.append(entry["sha256"] if known else sha256(file))
    return hashes


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target`` that takes its place only when the block succeeds."""
    folder = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        yield folder
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "--", name)


def _key(source: Path, lowercase: bool | None) -> str:
    """What tells two checkpoints of one name apart, without reading 400 MB at every start."""
    stat = (source / PICKLED_WEIGHTS).stat()
    parts = [_FORMAT, lowercase, stat.st_size, stat.st_mtime_ns]
    parts += [sha256(source / name) for name in ("config.json", "vocab.txt") if (source / name).is_file()]
    parts += [read_json(source / "tokenizer_config.json").get("do_lower_case")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _is_zip(file: Path) -> bool:
    """Whether the pickle is in torch's current container, which can be mapped instead of read."""
    with file.open("rb") as stream:
        return stream.read(2) == b"PK"
