"""Self-contained model folders: saved, fetched for machines behind a firewall, pushed to the hub."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bedside.encoders.calibration import Calibration
from bedside.encoders.cards import card, table
from bedside.encoders.checkpoint import EXPORTED, SAFE_WEIGHTS, SMALL_FILES, Checkpoint, resolve
from bedside.encoders.prepare import building, prepared, write_manifest, write_tokenizer
from bedside.encoders.presets import preset_of
from bedside.encoders.settings import SETTINGS_FILE, Settings, folder_settings
from bedside.encoders.static import is_static
from bedside.errors import InvalidInputError, InvalidModelError, ModelNotFoundError
from bedside.support.extras import needs

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_LICENSE_LINE = re.compile(r"^license:\s*(\S+)\s*$", re.MULTILINE)


def save_encoder(
    source: Path, folder: str | os.PathLike[str], settings: Settings, calibration: Calibration | None
) -> Path:
    """Write an encoder's model, settings and calibration into a new folder; see ``TransformerEncoder.save``."""
    target = _new_folder(folder)
    with building(target) as new:
        copy_model(source, new)
        (new / "README.md").unlink(missing_ok=True)  # the card of another model, the one that this was made from
        write_settings(new, settings)
        if calibration is not None:
            calibration.save(new)
        write_manifest(new, {})
    return target


def fetch_model(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    revision: str | None = None,
    local_files_only: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Make a folder that holds all of a model: carried to another machine, it loads with the network blocked.

    It has safetensors weights, the tokenizer with its casing, the licence and card where the model has them, and
    ``manifest.json`` with the model's name, its commit, its licence and the SHA-256 of every file, which
    :func:`bedside.encoders.verify` compares.

    Args:
        model: A hub id, a folder, or a preset such as ``"preset:medembed"``, whose prompts and pooling are then kept
            in the folder.
        folder: A new or empty folder.
        revision: Commit, tag or branch; the default model is pinned.
        local_files_only: Never use the network.
        cache_dir: Another Hugging Face cache folder.

    Returns:
        The folder.

    Raises:
        ModelNotFoundError: the model is nowhere to be found.
        InvalidModelError: it is not a usable checkpoint.
        InvalidInputError: the folder exists and is not empty; or the preset is a pair of models, each of which needs a
            folder of its own.
    """
    target = _new_folder(folder)
    known = preset_of(model)
    if known is not None and known.query_model is not None:
        raise InvalidInputError(
            f"{model}: a pair of models; fetch {known.model} and {known.query_model}, and load them with "
            f"load_encoder(FOLDER, query_model=FOLDER, pooling={known.pooling!r})"
        )
    model = model if known is None else known.model
    checkpoint = resolve(model, revision=revision, local_files_only=local_files_only, cache_dir=cache_dir)
    source = prepared(checkpoint)
    with building(target) as new:
        copy_model(source, new)
        copy_files(checkpoint.folder, new, ("LICENSE*", "README.md"))
        if known is not None:
            write_settings(new, folder_settings(source, **known.settings()))
        write_manifest(new, _origin(checkpoint, new))
    return target


def push_to_hub(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool = True,
    base_model: str | None = None,
    license: str | None = None,
    description: str = "",
    commit_message: str = "Upload a Bedside encoder",
) -> str:
    """Upload a saved encoder (tuned, distilled, calibrated) with a model card.

    Endpoint and token are the hub client's own settings (``HF_ENDPOINT``, ``HF_TOKEN``, ``hf auth login``). A card that
    is in the folder already is uploaded as it is. Calibrations and tuned weights are derived from the texts they were
    made from: think before publishing what was made from patients' notes. Hence ``private`` by default.

    Args:
        folder: What ``save`` or :func:`fetch_model` wrote.
        repo_id: ``"organisation/name"``; made where it is missing.
        private: Whether a new repository is private.
        base_model: Hub id of the model it was made from, for the card.
        license: Its licence as the hub spells it (``"mit"``), for the card.
        description: A sentence or more for the card.
        commit_message: Of the upload.

    Returns:
        The address of the commit.

    Raises:
        InvalidModelError: the folder is not a model.
        InvalidInputError: facts for a card are given and the folder has one.
        ModelNotFoundError: the hub was not reached or refused.
    """
    path = resolve(Path(folder).absolute()).folder
    with needs("transformers"):
        from huggingface_hub import HfApi

    card = path / "README.md"
    if card.exists() and (base_model or license or description):
        raise InvalidInputError(
            f"{card}: is uploaded as it is; leave out base_model, license and description, or delete it for a new card"
        )
    made = None if card.exists() else model_card(path, repo_id, base_model, license, description)
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if made is not None:
            api.upload_file(
                path_or_fileobj=made.encode(), path_in_repo="README.md", repo_id=repo_id, commit_message="Add a card"
            )
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=path, commit_message=commit_message, ignore_patterns=["*.lock", ".*"]
        )
    except Exception as error:  # the client's errors change their base class with its HTTP library
        raise ModelNotFoundError(f"the hub did not take {repo_id}: {type(error).__name__}: {error}") from error
    return str(commit.commit_url)


def model_card(folder: Path, repo_id: str, base_model: str | None, license_id: str | None, description: str) -> str:
    """A card in the hub's format: what it is, how to load it, how it makes vectors."""
    file = folder / SETTINGS_FILE
    settings = json.loads(file.read_text("utf-8"))["settings"] if file.is_file() else {}
    static = is_static(folder)
    return card(
        {"license": license_id, "base_model": base_model, "pipeline_tag": "sentence-similarity"},
        ["clinical", "embeddings", *(["model2vec", "static-embeddings"] if static else [])],
        repo_id,
        description,
        "A static encoder: a text's vector is the mean of its tokens' vectors; numpy alone runs it." if static else "",
        f'```python\nfrom bedside import load_encoder\n\nencoder = load_encoder("{repo_id}")\n```',
        table(["setting", "value"], [[key, f"`{value!r}`"] for key, value in settings.items()]),
    )


def copy_model(source: Path, target: Path) -> None:
    """Copy what a model needs, and its exports, but not its manifest; write ``tokenizer.json`` if it has none."""
    copy_files(source, target, (*SMALL_FILES, *SAFE_WEIGHTS))
    for manifest in source.glob(EXPORTED):
        shutil.copytree(manifest.parent, target / manifest.parent.name)
    if not (target / "tokenizer.json").is_file():
        write_tokenizer(source, target)


def copy_files(source: Path, target: Path, patterns: Iterable[str]) -> None:
    """Copy the files of a folder that match, to the same places in another."""
    for file in sorted({file for pattern in patterns for file in source.glob(pattern)}):
        place = target / file.relative_to(source)
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, place)


def write_settings(folder: Path, settings: Settings) -> None:
    """Say what decides a vector of the folder's model."""
    written = {"format": 1, "settings": asdict(settings)}
    (folder / SETTINGS_FILE).write_text(json.dumps(written, indent=2) + "\n", "utf-8")


def _origin(checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    origin = {"model": checkpoint.name, "revision": checkpoint.revision, "license": _license(folder)}
    return {key: value for key, value in origin.items() if value}


def _license(folder: Path) -> str | None:
    """The licence that the model card's front matter names."""
    card = folder / "README.md"
    front = _FRONT_MATTER.match(card.read_text("utf-8")) if card.is_file() else None
    line = _LICENSE_LINE.search(front[1]) if front else None
    return line[1] if line else None


def _new_folder(folder: str | os.PathLike[str]) -> Path:
    """A place to write to whose parent is there; see :func:`new_folder`."""
    target = new_folder(folder, "folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidModelError(f"{target.parent}: cannot be written ({error.strerror})") from error
    return target


def new_folder(folder: object, name: str) -> Path:
    """An absolute path where nothing is, or an empty folder.

    Args:
        folder: As the user gave it.
        name: Of the argument.

    Raises:
        InvalidInputError: no path, or something is there; nothing is ever overwritten.
    """
    if not isinstance(folder, (str, os.PathLike)) or not str(folder):
        raise InvalidInputError(f"{name}: expected a folder, got {folder!r}")
    target = Path(folder).expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInputError(f"{name}={str(folder)!r}: it exists and is not empty; nothing is overwritten")
    return target
