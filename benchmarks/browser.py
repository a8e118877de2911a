"""Measure a page in Chromium: how long it opens, and its searches beside vectra's over IndexedDB.

Both hold the same passages with the same vectors, in one browser, and answer in turns. Opening is told as the time that
passed and as the time that the page's thread was computing, which a busy machine changes less.

::

    npm install --prefix bench-results/node vectra@0.15.0 esbuild@0.25.0
    python benchmarks/browser.py --output

Without the packages vectra is left out.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bedside import Collection, Document, load_encoder
from corpora import chunks
from report import DOCS, RESULTS, ROOT, machine, table, test_sets, today, workplace, write_section
from timing import Times, interleaved

sys.path.insert(0, str(ROOT / "tests"))
from web.chromium import Browser, Tab, chromium  # type: ignore[import-not-found]  # the tests' driver

NODE = RESULTS / "node"
STUBS = ("fs", "fs/promises", "path", "node:path", "crypto", "tty")
"""Modules of Node.js that vectra's package names and that its browser parts do not call."""
HYBRID_ROUNDS = 2  # vectra builds its keyword index anew for each
K = 10


def load(rows: int, folder: Path) -> list[str]:
    """Write a page of ``rows`` passages, and what vectra is to hold; return questions."""
    texts = chunks()
    documents = [Document(texts[n % len(texts)], {"section": f"S{n % 8}"}, f"d{n}") for n in range(rows)]
    with Collection.open(encoder=load_encoder("bedside/static")) as notes:
        notes.add(documents)
        notes.export(folder / "page.html")
        notes.export(folder / "words.html", encoder=False)
        vectors = [document.vector for document in notes.get(filter={}, include_vectors=True)]
    np.stack([vector for vector in vectors if vector is not None]).tofile(folder / "vectors.bin")
    (folder / "texts.json").write_bytes(orjson.dumps([document.text for document in documents]))
    lines = (line for set_ in test_sets() for line in list((set_ / "queries.jsonl").open("rb"))[:25])
    return [orjson.loads(line)["text"] for line in lines]


def opening(browser: Browser, page: Path) -> tuple[list[float], list[float]]:
    """Return the seconds until the page answers by words, and by meaning: passed, and computed in its thread."""
    tab = browser.open("about:blank", wait=False)
    tab.call("Performance.enable", timeDomain="threadTicks")
    before = _metrics(tab)
    tab.go(page.as_uri(), wait=False)
    found = []
    for done in ("document.body?.dataset.state === 'ready'", "document.body.dataset.vectors === 'ready'"):
        tab.until(done, timeout=300)
        now = _metrics(tab)
        found.append([now[name] - before[name] for name in ("Timestamp", "TaskDuration")])
    tab.close()
    passed, computed = zip(*found, strict=True)
    return list(passed), list(computed)


def _metrics(tab: Tab) -> dict[str, float]:
    return {each["name"]: each["value"] for each in tab.call("Performance.getMetrics")["metrics"]}


class Bedside:
    """The page."""

    name = "Bedside"

    def __init__(self, browser: Browser, folder: Path, questions: list[str]) -> None:
        self.tab = browser.open((folder / "page.html").as_uri())
        self.tab.until("document.body.dataset.vectors === 'ready'", timeout=300)
        self.questions = questions

    def search(self, mode: str, number: int) -> float:
        """Ask one question; return the seconds, as the page measured them."""
        call = f"bedside.collection.search(question, {{ mode: {mode!r}, topK: {K} }})"
        return _timed(self.tab, self.questions[number % len(self.questions)], call)

    def ids(self, number: int) -> list[str]:
        """Return what a dense search finds."""
        call = f"bedside.collection.search(question, {{ mode: 'dense', topK: {K} }})"
        return _ids(self.tab, self.questions[number], f"{call}.then((hits) => hits.map(({{ id }}) => id))")


class Vectra:
    """vectra's LocalIndex over its IndexedDBStorage; questions were encoded beforehand, outside of its time."""

    name = "vectra"

    def __init__(self, browser: Browser, address: str, questions: list[str], vectors: np.ndarray[Any, Any]) -> None:
        self.tab = browser.open("about:blank", wait=False)
        self.tab.go(f"{address}/vectra.html", wait=False)
        self.tab.until("globalThis.ready", timeout=900)
        self.questions, self.vectors = questions, vectors.round(8).tolist()

    def search(self, mode: str, number: int) -> float:
        """Ask one question; return the seconds, as the page measured them."""
        at = number % len(self.questions)
        by_words = "true" if mode == "hybrid" else "false"
        call = f"index.queryItems({self.vectors[at]}, question, {K}, undefined, {by_words})"
        return _timed(self.tab, self.questions[at], call)

    def ids(self, number: int) -> list[str]:
        """Return what a dense search finds."""
        call = f"index.queryItems({self.vectors[number]}, question, {K})"
        return _ids(self.tab, self.questions[number], f"{call}.then((hits) => hits.map(({{ item }}) => item.id))")


def _timed(tab: Tab, question: str, call: str) -> float:
    timed = "const start = performance.now(); await CALL; return performance.now() - start;".replace("CALL", call)
    return float(tab.run(f"(async (question) => {{ {timed} }})({orjson.dumps(question).decode()})")) / 1e3


def _ids(tab: Tab, question: str, call: str) -> list[str]:
    found: list[str] = tab.run(f"((question) => {call})({orjson.dumps(question).decode()})")
    return found


_PAGE = """<!doctype html><meta charset="utf-8"><title>vectra</title><script type="module">
import { IndexedDBStorage, LocalIndex } from "./vectra.js";
const texts = await (await fetch("texts.json")).json();
const flat = new Float32Array(await (await fetch("vectors.bin")).arrayBuffer());
const size = flat.length / texts.length;
const docReader = async (id) => texts[Number(id)];
globalThis.index = new LocalIndex("ward", undefined, new IndexedDBStorage("ward"), undefined, { docReader });
await index.createIndex({ version: 1 });
await index.batchInsertItems(texts.map((text, n) => ({
  id: `d${n}`,
  vector: Array.from(flat.subarray(n * size, (n + 1) * size)),
  metadata: { section: `S${n % 8}`, documentId: String(n), startPos: 0, endPos: text.length - 1 },
})));
globalThis.ready = true;
</script>"""


def bundle_vectra(folder: Path) -> bool:
    """Write vectra's browser parts as one module, and a page that holds them; say whether it is installed."""
    packages = NODE / "node_modules"
    if not ((packages / "vectra").is_dir() and (packages / "esbuild").is_dir()):
        return False
    library = packages / "vectra" / "lib"
    (folder / "entry.js").write_text(
        f'export {{ LocalIndex }} from "{library}/LocalIndex.js";\n'
        'import { Buffer } from "buffer";\nglobalThis.Buffer = Buffer;\n'
        f'export {{ IndexedDBStorage }} from "{library}/storage/IndexedDBStorage.js";\n'
    )
    (folder / "none.js").write_text("module.exports = {};\n")
    aliases = [f"--alias:{name}={folder}/none.js" for name in STUBS]
    command = ["node", f"{packages}/esbuild/bin/esbuild", f"{folder}/entry.js", "--bundle", "--format=esm"]
    more = ["--platform=browser", "--log-level=error", f"--outfile={folder}/vectra.js", *aliases]
    environment = {**os.environ, "NODE_PATH": str(packages)}
    subprocess.run([*command, *more], check=True, env=environment)  # noqa: S603
    (folder / "vectra.html").write_text(_PAGE, "utf-8")
    return True


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on the loopback: a page from a file may not import modules."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def measure(rows: int, openings: int, rounds: int) -> str:
    """Return the section of the docs."""
    with workplace() as folder:
        questions = load(rows, folder)
        size = {name: (folder / f"{name}.html").stat().st_size / 1e6 for name in ("page", "words")}
        with chromium() as browser:
            opened = [opening(browser, folder / "page.html") for _ in range(openings)]
            words, meaning = ([statistics.median(each[i][j] for each in opened) for i in (0, 1)] for j in (0, 1))
            times = _beside(browser, folder, questions, rounds)
    sizes = f"a page of {size['page']:.1f} MB with the encoder and {size['words']:.1f} MB without"
    lines = [f"Measured {today()} on {machine()}: {rows:,} passages of up to 500 characters, {sizes}.", ""]
    opens = [["by words", *map(_seconds, words)], ["by meaning too", *map(_seconds, meaning)]]
    lines += [table(["opens until it answers", "seconds passed", "seconds computed"], opens), ""]
    found = [
        [f"{mode}, {name}", f"{each.p50 * 1e3:.1f}", f"{each.p95 * 1e3:.1f}", str(len(each.seconds))]
        for (mode, name), each in times.items()
    ]
    return "\n".join([*lines, table(["milliseconds a search", "median", "95 %", "searches"], found)])


def _seconds(value: float) -> str:
    return f"{value:.2f}"


def _beside(browser: Browser, folder: Path, questions: list[str], rounds: int) -> dict[tuple[str, str], Times]:
    vectors = load_encoder("bedside/static").encode_queries(questions)
    with served(folder) as address:
        peers: list[Bedside | Vectra] = [Bedside(browser, folder, questions)]
        if bundle_vectra(folder):
            peers.append(Vectra(browser, address, questions, vectors))
            same = sum(len({*peers[0].ids(n)} & {*peers[1].ids(n)}) for n in range(10)) / (10 * K)
            print(f"dense: {same:.0%} of the hits are the same")
        else:
            print("vectra: left out, it is not installed")
        found: dict[tuple[str, str], Times] = {}
        for mode in ("dense", "hybrid"):
            asked = {peer.name: functools.partial(peer.search, mode) for peer in peers}
            slow = {"vectra": asked.pop("vectra")} if mode == "hybrid" and len(peers) > 1 else {}
            found |= {(mode, name): each for name, each in interleaved(asked, rounds).items()}
            if slow:
                found |= {(mode, name): each for name, each in interleaved(slow, HYBRID_ROUNDS, warm_up=0).items()}
        return found


def main() -> None:
    """Run and print, and with ``--output`` write the docs' section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--openings", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument(
        "--output", nargs="?", type=Path, const=DOCS, help="the docs page; docs/benchmarks.md by default"
    )
    given = parser.parse_args()
    text = measure(given.rows, given.openings, given.rounds)
    print(text)
    if given.output:
        write_section("browser", text, given.output)


if __name__ == "__main__":
    main()
