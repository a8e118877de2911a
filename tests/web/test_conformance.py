"""The browser's modules answer as the library does: the same terms, ids, order and scores."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from web.conformance import write_task

import bedside
from bedside.evaluation import load_retrieval_set

SETS = ("medquad", "mtsdialog", "notes", "pubmedqa")
HERE = Path(__file__).parent
STATIC = Path(bedside.__file__).parent / "encoders" / "data" / "static"


@pytest.mark.node
@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
@pytest.mark.parametrize("share", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_node_gives_equal_tokens_stems_filters_ids_order_and_scores(data, tmp_path, share):
    write_task(tmp_path / "task.json", [load_retrieval_set(data / name) for name in SETS], share=share)
    command = ["node", "--no-warnings", HERE / "conformance_node.mjs", tmp_path / "task.json", STATIC]
    done = subprocess.run(command, capture_output=True, timeout=280, check=True)
    answer = orjson.loads(done.stdout)
    assert answer["wrong"] == []
    assert answer["counts"]["filters"] == 2_000 // share
    assert answer["counts"]["questions"] >= 460 // share - 5
