"""Networks of transformers, from the local files of a model folder and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedside.errors import InvalidModelError
from bedside.support.extras import needs


def open_library(folder: Path, head: str = "", **options: Any) -> Any:
    """Load a folder's network with transformers; no code of the folder is run.

    Args:
        folder: A model folder with safetensors weights.
        head: Which of its classes: ``""`` is ``AutoModel``, ``"ForMaskedLM"`` is ``AutoModelForMaskedLM``.
        **options: More of ``from_pretrained``.

    Raises:
        InvalidModelError: transformers cannot load the folder.
    """
    with needs("transformers"):
        import transformers
    auto: Any = getattr(transformers, f"AutoModel{head}")
    try:
        return auto.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise InvalidModelError(f"{folder}: transformers cannot load it ({type(error).__name__})") from error
