"""Networks written for another runtime than torch: where they lie, what they were made from, whether they are whole.

An artefact is a folder ``BACKEND-DTYPE`` (``onnx-float32``, ``openvino-int8``) with a ``manifest.json`` that lists the
SHA-256 of its files and of the weights that it was made from. It stands in the model's own folder, where
:func:`bedside.encoders.export.export_model` puts it, or under :func:`bedside.encoders.prepare.cache_folder`, where
the first use makes it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from bedside.encoders.checkpoint import EXPORTED, SAFE_WEIGHTS, read_json
from bedside.encoders.prepare import MANIFEST, building, cache_folder, file_hashes, sha256, verify, write_manifest
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.remedies import Give
from bedside.support.extras import needs
from bedside.support.progress import waiting

log = logging.getLogger(__name__)

_HEADS = ("cls.predictions.", "lm_head.", "vocab_transform.")  # BERT, RoBERTa, DistilBERT
_FORMAT = "2"  # part of the cache's key: another way of exporting never meets an old artefact


def artefact(folder: Path, backend: str, dtype: str, build: Callable[[Path, Path], None] | None) -> Path:
    """The folder of an exported network, checked against its hashes.

    Args:
        folder: A model folder, with or without weights.
        backend: Of the table of backends.
        dtype: ``"float32"`` or ``"int8"``.
        build: Called with ``folder`` and an empty folder to fill where there is no artefact yet; ``None`` where one is
            made on request only.

    Raises:
        InvalidModelError: it was changed since it was written; it was made from other weights than those beside it; or
            it is to be made and the weights are missing.
        InvalidInputError: it is made on request only.
    """
    shipped = folder / f"{backend}-{dtype}"
    if (shipped / MANIFEST).is_file():
        verify(shipped)
        _check_origin(folder, shipped)
        return shipped
    if build is None:
        raise InvalidInputError(
            f"{folder} holds no {shipped.name}; it is made from texts of your own by "
            f"export_model(model, folder, backend={backend!r}, dtype={dtype!r}, texts=...)",
            about=Give("dtype", dtype),
        )
    if not weight_files(folder):
        held = ", ".join(sorted(path.parent.name for path in folder.glob(EXPORTED)))
        raise InvalidModelError(f"{folder}: {shipped.name} is to be made from weights, and the folder has only {held}")
    return _cached(folder, shipped.name, build)


def write_artefact(source: Path, target: Path, build: Callable[[Path, Path], None]) -> None:
    """Let ``build`` fill the empty folder ``target`` from the model folder ``source``, and list its hashes."""
    build(source, target)
    write_manifest(target, {"weights": weight_hashes(source), "head": has_head(weight_files(source))})


def has_head(files: Iterable[Path]) -> bool:
    """Whether safetensors files hold the head of a masked language model."""
    with needs("transformers"):
        from safetensors import safe_open

    for file in files:
        with safe_open(file, framework="numpy") as tensors:
            if any(name.startswith(_HEADS) for name in tensors.keys()):  # noqa: SIM118 - it is not a mapping
                return True
    return False


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder."""
    return sorted(path for pattern in SAFE_WEIGHTS for path in folder.glob(pattern))


def weight_hashes(folder: Path) -> list[str]:
    """The SHA-256 of each weights file; where the folder has none, of those that its artefacts were made from."""
    files = weight_files(folder)
    if files:
        return file_hashes(folder, files)
    recorded = (read_json(path).get("weights", []) for path in sorted(folder.glob(EXPORTED)))
    return next((list(found) for found in recorded if found), [])


def artefact_hash(folder: Path, backend: str, dtype: str) -> str:
    """What tells a quantised network from every other: one hash over those of its files."""
    files = read_json(artefact(folder, backend, dtype, None) / MANIFEST)["files"]
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _check_origin(folder: Path, shipped: Path) -> None:
    """A folder whose weights were trained further must not answer with the network of the old ones."""
    files = weight_files(folder)
    if files and file_hashes(folder, files) != read_json(shipped / MANIFEST).get("weights"):
        raise InvalidModelError(
            f"{shipped}: made from other weights than those beside it; delete it and export it again"
        )


def _cached(folder: Path, name: str, build: Callable[[Path, Path], None]) -> Path:
    target = cache_folder() / "exports" / _key(folder) / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(f"{target}.lock"):
            if not _whole(target):
                with building(target) as new, waiting(f"exporting {name}"):
                    write_artefact(folder, new, build)
                log.info("exported %s to %s", folder, target)
    except OSError as error:
        raise InvalidModelError(
            f"{name} of {folder.name} cannot be written to {target} ({error.strerror}); "
            "set BEDSIDE_CACHE to a folder that can be written"
        ) from error
    return target


def _whole(target: Path) -> bool:
    """Whether a cached artefact is there and undamaged; a damaged one is made again."""
    if not (target / MANIFEST).is_file():
        return False
    try:
        verify(target)
    except InvalidModelError as error:
        log.warning("%s; it is made again", error)
        return False
    return True


def _key(folder: Path) -> str:
    """The same for every copy of a model, whatever its pooling, prompts or calibration."""
    parts = [_FORMAT, *weight_hashes(folder), sha256(folder / "config.json")]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]
