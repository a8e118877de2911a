"""Configuration files of the commands that tune: YAML or JSON, with files named from where the configuration stands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedside.errors import InvalidInputError
from bedside.support.extras import needs


def read_config(file: Path, files: Sequence[str]) -> dict[str, Any]:
    """Read the mapping in a configuration file.

    Args:
        file: JSON if its name ends so, else YAML.
        files: The names whose values are paths: relative ones are looked for beside the file. So is ``base``, which is
            a hub id where no such folder is.

    Raises:
        InvalidInputError: it cannot be read as YAML or JSON, or is not a mapping.
        MissingExtraError: it is YAML, and ``bedside[tuning]`` is not installed.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{file}: it cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
        ) from error
    values = _json(file, text) if file.suffix.lower() == ".json" else _yaml(file, text)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InvalidInputError(f"{file}: expected names and values")
    values |= {name: file.parent / values[name] for name in files if isinstance(values.get(name), str)}
    base = values.get("base")
    if isinstance(base, str) and (file.parent / base).is_dir():
        values["base"] = str(file.parent / base)
    return values


def _json(file: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"{file}: not JSON ({error})") from error


def _yaml(file: Path, text: str) -> Any:
    with needs("tuning"):
        import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2's numbers: PyYAML reads ``2e-5``, which has no point, as a text."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
    )
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{file}: not YAML ({type(error).__name__})") from error
