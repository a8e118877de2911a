"""The README's code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from langchain_bedside import BedsideEmbeddings

README = Path(__file__).parents[1] / "README.md"


def test_the_readmes_code_runs(minilm: BedsideEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All Python blocks run in order, with a small encoder that needs no network in place of the one they name."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 10
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        code = block.replace('"emilyalsentzer/Bio_ClinicalBERT"', repr(str(minilm.model)))
        exec(compile(code, str(README), "exec"), names)  # noqa: S102 - our own text
