"""Write a model for a runtime other than torch, so that the machine that encodes needs neither torch nor weights.

What is written is a model folder as any other: ``load_encoder(folder, backend="onnx")`` opens it, with the pooling,
lengths, prompts and calibration of the model that it came from, and with the same fingerprint unless it is quantised.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bedside.encoders.artefacts import artefact, weight_files, weight_hashes, write_artefact
from bedside.encoders.backends.common import check_dtype
from bedside.encoders.checkpoint import SMALL_FILES, resolve
from bedside.encoders.folders import copy_files
from bedside.encoders.load import load_encoder
from bedside.encoders.prepare import MANIFEST, prepared, sha256
from bedside.encoders.settings import folder_settings
from bedside.encoders.texts import checked_texts
from bedside.encoders.tokenizer import TextTokenizer, load_tokenizer
from bedside.encoders.windows import padded
from bedside.errors import BedsideWarning, InvalidInputError, InvalidModelError
from bedside.remedies import Give
from bedside.types import Matrix

log = logging.getLogger(__name__)

EXPORTS = {"onnx": ("float32", "int8"), "openvino": ("float32", "int8"), "tensorflow": ("float32",)}
"""What can be written; ``"torch"`` and ``"jax"`` run the model's own weights."""

_NEIGHBOURS = 10
_FEWEST = 2 * (_NEIGHBOURS + 2)  # half of the texts calibrate, and each of the others needs ten neighbours and a rest


@dataclass(frozen=True)
class Fidelity:
    """How close int8 vectors are to those of float32, on texts that took no part in calibrating.

    Attributes:
        texts: How many were compared.
        mean_cosine: Average cosine of a text's two vectors.
        lowest_cosine: That of the worst text.
        neighbours_kept: Of the ten nearest other texts by float32, the share that int8 also finds among its ten.
        ndcg_loss: 1 - nDCG@10 of int8's ranking of the other texts, where the ten nearest by float32 are the right
            answers: what a search loses, where nobody has judged any.
    """

    texts: int
    mean_cosine: float
    lowest_cosine: float
    neighbours_kept: float
    ndcg_loss: float


@dataclass(frozen=True)
class Export:
    """What :func:`export_model` wrote.

    Attributes:
        folder: Opens with ``load_encoder(folder, backend=backend, dtype=dtype)``.
        backend: ``"onnx"``, ``"openvino"`` or ``"tensorflow"``.
        dtype: ``"float32"`` or ``"int8"``.
        size: Bytes of the exported network.
        fidelity: Of an int8 network; ``None`` for float32, which agrees to 1e-5.
    """

    folder: Path
    backend: str
    dtype: str
    size: int
    fidelity: Fidelity | None = None


def export_model(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    backend: str = "onnx",
    dtype: str = "float32",
    texts: Sequence[str] | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Export:
    """Write a model's network for another runtime into ``folder``, with all that encoding needs and no torch weights.

    The float32 network is made under :func:`bedside.encoders.prepare.cache_folder` and copied; the next export of the
    model starts there. int8 is a quarter of the size and changes vectors: it is calibrated on every other of ``texts``
    (ONNX needs no calibration), compared with float32 on the rest, and the outcome is returned, logged and kept in the
    network's ``manifest.json``. Its fingerprint is its own, so a collection never mixes it with float32 vectors.

    Args:
        model: A hub id or a folder.
        folder: A new folder, or one that holds other exports of the same model, or the model's own folder with
            safetensors weights.
        backend: ``"onnx"``, ``"openvino"`` or ``"tensorflow"``.
        dtype: ``"float32"``, or ``"int8"`` with ``"onnx"`` (dynamic, per channel) and ``"openvino"`` (static, by NNCF).
        texts: For int8: real texts of the kind to be encoded, at least 24, some 400 are sensible.
        revision: Commit, tag or branch of a hub id.
        local_files_only: Never use the network.
        cache_dir: Another Hugging Face cache folder.

    Raises:
        InvalidInputError: nothing to export for this backend or dtype, too few texts, or the folder holds that export
            already or another model.
        InvalidModelError: the network cannot be exported, or the model's folder has no weights.
        MissingExtraError: a library is not installed; exporting needs ``bedside[export]`` and the backend's own.

    Example:
        >>> made = export_model("emilyalsentzer/Bio_ClinicalBERT", "clinical-onnx")  # doctest: +SKIP
        >>> encoder = load_encoder(made.folder, backend="onnx")  # doctest: +SKIP
    """
    _check(backend, dtype)
    sample = _sample(texts) if dtype == "int8" else []
    checkpoint = resolve(model, revision=revision, local_files_only=local_files_only, cache_dir=cache_dir)
    source = prepared(checkpoint)
    if not weight_files(source):
        raise InvalidModelError(f"{source}: no weights in it to export; it holds exported networks alone")
    target = Path(folder).expanduser().absolute()
    name = f"{backend}-{dtype}"
    _check_target(source, target, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=target.parent) as stage:
        new = Path(stage) / (target.name or "model")
        new.mkdir()
        copy_files(source, new, SMALL_FILES)
        _write(source, new / name, backend, dtype, sample[::2])
        fidelity = _compare(source, new, backend, sample[1::2]) if dtype == "int8" else None
        if fidelity is not None:
            _record(new / name / MANIFEST, fidelity)
            log.info("%s of %s against float32: %s", name, checkpoint.name, fidelity)
        _place(new, target, name)
    size = sum(path.stat().st_size for path in (target / name).rglob("*") if path.is_file())
    return Export(target, backend, dtype, size, fidelity)


def fidelity_of(quantised: Matrix, exact: Matrix) -> Fidelity:
    """Compare unit vectors ``[n, d]`` of the same texts, n at least 12; see :class:`Fidelity`."""
    cosines = np.sum(quantised * exact, axis=1)
    pairs = zip(_nearest(exact), _nearest(quantised), strict=True)
    hits = np.array([[found in right for found in ranked] for right, ranked in pairs], dtype=np.float64)
    gains = 1 / np.log2(np.arange(2, _NEIGHBOURS + 2))
    ndcg = (hits @ gains).mean() / gains.sum()
    return Fidelity(
        len(exact), float(cosines.mean()), float(cosines.min()), float(hits.mean()), max(0.0, 1 - float(ndcg))
    )


def _check(backend: str, dtype: str) -> None:
    if backend not in EXPORTS:
        raise InvalidInputError(
            f"expected one of {', '.join(map(repr, EXPORTS))}; torch and jax run the weights",
            about=Give("backend", backend),
        )
    check_dtype(backend, dtype, EXPORTS[backend])


def _sample(texts: Sequence[str] | None) -> list[str]:
    found = checked_texts(texts or [])
    if len(found) < _FEWEST:
        raise InvalidInputError(f"texts: dtype='int8' needs at least {_FEWEST} real texts, got {len(found)}")
    return found


def _check_target(source: Path, target: Path, name: str) -> None:
    """Nothing is overwritten, and one folder is one model."""
    if (target / name).exists():
        raise InvalidInputError(f"folder={str(target)!r}: {name} is in it already; nothing is overwritten")
    if target.exists() and any(target.iterdir()) and weight_hashes(target) != weight_hashes(source):
        raise InvalidInputError(f"folder={str(target)!r}: it holds something else than exports of this model")


def _write(source: Path, target: Path, backend: str, dtype: str, texts: list[str]) -> None:
    """Export into the new folder ``target``."""
    from bedside.encoders.backends import backend_module

    module = backend_module(backend)
    if dtype == "float32":
        shutil.copytree(artefact(source, backend, dtype, module.build), target)
    else:
        target.mkdir()
        write_artefact(source, target, lambda a, b: module.quantise(a, b, _batches(source, texts)))


def _batches(source: Path, texts: list[str]) -> list[Any]:
    """Ids and mask of each text as the encoder would send them, one text a batch, cut to one window."""
    settings = folder_settings(source)
    tokenizer = TextTokenizer(load_tokenizer(source, lowercase=settings.lowercase))
    room = settings.max_length - tokenizer.special_count
    tokens = tokenizer.tokens([settings.document_prompt + text for text in texts])
    rows = [[*tokenizer.prefix, *ids[:room], *tokenizer.suffix] for ids in tokens]
    return [padded([row], tokenizer.pad_id) for row in rows]


def _compare(source: Path, new: Path, backend: str, texts: list[str]) -> Fidelity:
    how: dict[str, Any] = {"backend": backend, "device": "cpu", "normalize": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BedsideWarning)  # about raw models: here vectors are compared, not searched
        exact = load_encoder(source, dtype="float32", **how).encode_documents(texts)
        return fidelity_of(load_encoder(new, dtype="int8", **how).encode_documents(texts), exact)


def _record(manifest: Path, fidelity: Fidelity) -> None:
    written = {**json.loads(manifest.read_text("utf-8")), "fidelity": asdict(fidelity)}
    manifest.write_text(json.dumps(written, indent=2) + "\n", "utf-8")


def _place(new: Path, target: Path, name: str) -> None:
    """Move what was made to where it was asked for; settings and vocabulary that are there already stay."""
    if not target.exists():
        new.rename(target)
        return
    for file in sorted(path for path in new.rglob("*") if path.is_file() and name not in path.relative_to(new).parts):
        place = target / file.relative_to(new)
        if place.is_file() and sha256(place) != sha256(file):
            raise InvalidInputError(f"{place}: differs from the model's; export into a new folder")
        place.parent.mkdir(exist_ok=True)
        file.replace(place)
    (new / name).rename(target / name)


def _nearest(vectors: Matrix) -> list[list[int]]:
    """The ten most similar other rows of each row."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    found: list[list[int]] = np.argsort(-scores, axis=1, kind="stable")[:, :_NEIGHBOURS].tolist()
    return found
