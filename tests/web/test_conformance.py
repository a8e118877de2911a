"""The browser's modules answer as the library does: the same terms, ids, order and scores."""

from __future__ import annotations

import shutil
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

import bedside
from bedside.evaluation import load_retrieval_set
from bedside.search.options import OPTIONS, SearchOptions
from web.conformance import CAMEL, write_task

SETS = ("medquad", "mtsdialog", "notes", "pubmedqa")
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STATIC = Path(bedside.__file__).parent / "encoders" / "data" / "static"


@pytest.mark.node
@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
def test_every_search_option_is_in_the_module_or_refused_by_name():
    module = (STATIC.parents[2] / "web" / "options.js").as_uri()
    program = f"""
        import {{ DEFAULTS, REFUSED }} from "{module}";
        console.log(JSON.stringify([DEFAULTS, Object.keys(REFUSED)]));
    """
    command = ["node", "--no-warnings", "--input-type=module", "--eval", program]
    defaults, refused = orjson.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    ours = {camel(name): getattr(SearchOptions(), name) for name in OPTIONS}
    assert sorted(defaults) == sorted(set(ours) - set(refused))
    assert {name: ours[name] for name in defaults} == defaults
    assert set(CAMEL.values()) == {*defaults} - {"ids"}


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


@pytest.mark.node
@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
@pytest.mark.parametrize("share", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_node_gives_equal_tokens_stems_filters_ids_order_and_scores(data, tmp_path, share):
    write(data, tmp_path / "task.json", share)
    command = ["node", "--no-warnings", HERE / "conformance_node.mjs", tmp_path / "task.json", STATIC]
    done = subprocess.run(command, capture_output=True, timeout=280, check=True)
    assert_agrees(orjson.loads(done.stdout), share)


@pytest.mark.parametrize("share", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_chromium_gives_equal_tokens_stems_filters_ids_order_and_scores(browser, data, tmp_path, share):
    write(data, tmp_path / "task.json", share)
    with served() as address:
        tab = browser.open("about:blank", wait=False)
        tab.go(f"{address}/tests/web/conformance.html", wait=False)
        tab.until("globalThis.ready")
        # The file is given to the page as a person would: what is sent to it as text would be copied many times.
        document = tab.call("DOM.getDocument")["root"]["nodeId"]
        field = tab.call("DOM.querySelector", nodeId=document, selector="input")["nodeId"]
        tab.call("DOM.setFileInputFiles", nodeId=field, files=[str(tmp_path / "task.json")])
        answer = tab.run("check(document.querySelector('input').files[0])")
        tab.close()
    assert_agrees(answer, share)


def write(data, path, share):
    write_task(path, [load_retrieval_set(data / name) for name in SETS], share=share)


def assert_agrees(answer, share):
    assert answer["wrong"] == []
    assert answer["counts"]["filters"] == 2_000 // share
    assert answer["counts"]["questions"] == 8 * (100 // share) + 60 // share
    assert answer["counts"]["tokens"] >= 20_000 // share


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        """A test prints nothing."""


@contextmanager
def served():
    """Serve the project on the loopback: modules are not imported from files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=ROOT)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
