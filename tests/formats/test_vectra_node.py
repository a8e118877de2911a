"""vectra itself, run by Node.js, opens what we wrote and finds by vector what we find."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.formats.vectra import Source, read_documents, write_documents

VERSION = "0.15.0"
CACHE = Path(__file__).resolve().parents[2] / "bench-results" / f"vectra-{VERSION}"
SCRIPT = """
const vectra = require("vectra");
const task = JSON.parse(require("fs").readFileSync(0, "utf-8"));
async function items() {
  const index = new vectra.LocalIndex(task.folder);
  const listed = await index.listItems();
  const answers = [];
  for (const { vector, top, filter } of task.queries) {
    const found = await index.queryItems(vector, "", top, filter, false);
    answers.push(found.map((hit) => ({ id: hit.item.id, score: hit.score, metadata: hit.item.metadata })));
  }
  return { listed, answers };
}
async function documents() {
  const index = new vectra.LocalDocumentIndex({ folderPath: task.folder });
  const out = {};
  for (const found of await index.listDocuments()) {
    const text = await found.loadText();
    out[found.uri] = found.chunks.map(({ item }) => ({
      id: item.id, text: text.substring(item.metadata.startPos, item.metadata.endPos + 1),
    }));
  }
  return { stats: await index.getCatalogStats(), out };
}
const runs = { items, documents };
Promise.resolve(runs[task.run]()).then((answer) => console.log(JSON.stringify(answer)));
"""

# Installing vectra takes over ten seconds the first time.
pytestmark = [
    pytest.mark.node,
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="Node.js and npm are not installed"),
]


@pytest.fixture(scope="module")
def run():
    if not (CACHE / "node_modules" / "vectra" / "package.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"vectra@{VERSION}"]
        done = subprocess.run(install, cwd=CACHE, capture_output=True, text=True, timeout=280)
        if done.returncode:
            pytest.skip(f"npm could not install vectra {VERSION}: {done.stderr.strip().splitlines()[-1]}")

    def call(**task):
        done = subprocess.run(
            ["node", "-e", SCRIPT], cwd=CACHE, input=json.dumps(task), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def notes(count=40):
    rng = np.random.default_rng(5)
    odd = {"list": [1, "a"], "object": {"a": None}, "none": None}
    return [
        Document(
            f"note {i} 😀", {"ward": f"w{i % 3}", "n": i, "f": i / 7, "yes": i % 2 == 0, **odd}, f"id-{i}",
            (rng.normal(size=12) * 10.0 ** rng.integers(-3, 4)).astype(np.float32),
        )
        for i in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("indexed", [(), ("ward", "n")])
def test_vectra_opens_what_we_wrote_with_the_same_items_and_scores(run, tmp_path, indexed):
    documents = notes()
    write_documents(tmp_path / "v", documents, indexed=indexed)
    rng = np.random.default_rng(6)
    filters = [None, {"ward": "w1"}, {"n": {"$gte": 10}}, {"$or": [{"ward": "w0"}, {"n": {"$lt": 3}}]}]
    queries = [{"vector": rng.normal(size=12).tolist(), "top": 7, "filter": filters[i % 4]} for i in range(8)]
    answer = run(run="items", folder=str(tmp_path / "v"), queries=queries)

    assert [item["id"] for item in answer["listed"]] == [document.id for document in documents]
    for item, document in zip(answer["listed"], documents, strict=True):
        np.testing.assert_array_equal(np.array(item["vector"]), document.vector.astype(np.float64))
    whole = {document.id: {**document.metadata, "text": document.text} for document in documents}
    collection = Collection.open()
    collection.add(documents)
    for query, hits in zip(queries, answer["answers"], strict=True):
        assert all(whole[hit["id"]] == hit["metadata"] for hit in hits)
        found = collection.search(vector=query["vector"], top_k=query["top"], filter=query["filter"])
        assert [hit.id for hit in found] == [hit["id"] for hit in hits]
        np.testing.assert_allclose([hit.dense for hit in found], [hit["score"] for hit in hits], atol=1e-6)


def test_vectra_opens_a_document_index_that_we_wrote_and_cuts_the_same_chunks(run, tmp_path):
    texts = {"doc://a.txt": "Fever 😀 since Monday.\r\nNo cough.", "doc://b.txt": "𝒜 plain note; müde."}
    sources = [Source(uri, f"d{i}", text, {"ward": "icu"}) for i, (uri, text) in enumerate(texts.items())]
    documents = []
    for source in sources:
        for start in range(0, len(source.text), 7):
            place = {"source_id": source.uri, "start": start, "end": min(start + 7, len(source.text)), "ward": "icu"}
            text = source.text[start : start + 7]
            documents.append(Document(text, place, f"c{len(documents)}", [1.0, len(documents)]))
    write_documents(tmp_path / "v", documents, sources=sources)
    answer = run(run="documents", folder=str(tmp_path / "v"))
    assert answer["stats"]["documents"] == 2
    assert answer["stats"]["chunks"] == len(documents)
    read = list(read_documents(tmp_path / "v"))
    for uri, chunks in answer["out"].items():
        wanted = [{"id": d.id, "text": d.text} for d in documents if d.metadata["source_id"] == uri]
        assert chunks == wanted == [{"id": d.id, "text": d.text} for d in read if d.metadata["source_id"] == uri]
