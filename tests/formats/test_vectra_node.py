"""vectra itself, run by Node.js, opens what we wrote and answers as we do."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bedside import Collection, Document
from bedside.errors import FilterError
from bedside.formats.vectra import Source, VectraIndex, matches, read_documents, write_documents

VERSION = "0.15.0"
CACHE = Path(__file__).resolve().parents[2] / "bench-results" / f"vectra-{VERSION}"
SCRIPT = """
const vectra = require("vectra");
const task = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const codec = task.codec === "protobuf" ? new vectra.ProtobufCodec() : new vectra.JsonCodec();
async function items() {
  const index = new vectra.LocalIndex(task.folder, undefined, undefined, codec);
  const listed = await index.listItems();
  const answers = [];
  for (const { vector, top, filter, text } of task.queries) {
    const found = await index.queryItems(vector, text ?? "", top, filter, text !== undefined);
    answers.push(found.map((hit) => ({ id: hit.item.id, score: hit.score, metadata: hit.item.metadata })));
  }
  return { listed, answers };
}
async function documents() {
  const index = new vectra.LocalDocumentIndex({ folderPath: task.folder, codec });
  const out = {};
  for (const found of await index.listDocuments()) {
    const text = await found.loadText();
    out[found.uri] = found.chunks.map(({ item }) => ({
      id: item.id, text: text.substring(item.metadata.startPos, item.metadata.endPos + 1),
    }));
  }
  return { stats: await index.getCatalogStats(), out };
}
const codeUnits = {
  encode: (text) => Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)),
  decode: (tokens) => tokens.map((unit) => String.fromCharCode(unit)).join(""),
};
async function sections() {
  let vector;
  const embeddings = { maxTokens: 9e9, createEmbeddings: async () => ({ status: "success", output: [vector] }) };
  const index = new vectra.LocalDocumentIndex({ folderPath: task.folder, codec, embeddings, tokenizer: codeUnits });
  const answers = [];
  for (const query of task.queries) {
    vector = query.vector;
    const options = { maxChunks: query.chunks, maxDocuments: query.documents, isBm25: query.text !== undefined };
    const found = await index.queryDocuments(query.text ?? "", options);
    answers.push(await Promise.all(found.map(async (document) => ({
      uri: document.uri, score: document.score, length: await document.getLength(),
      best: await document.renderSections(query.tokens, query.sections, query.overlapping),
      all: await document.renderAllSections(query.tokens),
    }))));
  }
  return answers;
}
function filters() {
  return task.cases.map(([metadata, filter]) => {
    try { return vectra.ItemSelector.select(metadata, filter); } catch (error) { return "error"; }
  });
}
const runs = { items, documents, sections, filters };
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


def notes(count=40, nested=True):
    rng = np.random.default_rng(5)
    odd = {"list": [1, "a"], "object": {"a": None}, "none": None} if nested else {}
    return [
        Document(
            f"note {i} 😀", {"ward": f"w{i % 3}", "n": i, "f": i / 7, "yes": i % 2 == 0, **odd}, f"id-{i}",
            (rng.normal(size=12) * 10.0 ** rng.integers(-3, 4)).astype(np.float32),
        )
        for i in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("codec", ["json", "protobuf"])
@pytest.mark.parametrize("indexed", [(), ("ward", "n")])
def test_vectra_opens_what_we_wrote_with_the_same_items_and_scores(run, tmp_path, codec, indexed):
    documents = notes(nested=bool(indexed) or codec == "json")
    write_documents(tmp_path / "v", documents, indexed=indexed, codec=codec)
    rng = np.random.default_rng(6)
    filters = [None, {"ward": "w1"}, {"n": {"$gte": 10}}, {"$or": [{"ward": "w0"}, {"n": {"$lt": 3}}]}]
    queries = [{"vector": rng.normal(size=12).tolist(), "top": 7, "filter": filters[i % 4]} for i in range(8)]
    answer = run(run="items", folder=str(tmp_path / "v"), codec=codec, queries=queries)

    assert [item["id"] for item in answer["listed"]] == [document.id for document in documents]
    for item, document in zip(answer["listed"], documents, strict=True):
        np.testing.assert_array_equal(np.array(item["vector"]), document.vector.astype(np.float64))
    ours = VectraIndex(tmp_path / "v")
    whole = {document.id: {**document.metadata, "text": document.text} for document in documents}
    collection = Collection.open()
    collection.add(documents)
    for query, hits in zip(queries, answer["answers"], strict=True):
        mine = ours.query(query["vector"], query["top"], query["filter"])
        assert [(hit.id, hit.metadata) for hit in mine] == [(hit["id"], hit["metadata"]) for hit in hits]
        assert all(whole[hit["id"]] == hit["metadata"] for hit in hits)
        np.testing.assert_allclose([hit.score for hit in mine], [hit["score"] for hit in hits], rtol=0, atol=1e-12)
        found = collection.search(vector=query["vector"], top_k=query["top"], filter=query["filter"])
        assert [hit.id for hit in found] == [hit["id"] for hit in hits]
        np.testing.assert_allclose([hit.dense for hit in found], [hit["score"] for hit in hits], atol=1e-6)


@pytest.mark.parametrize("codec", ["json", "protobuf"])
def test_vectra_opens_a_document_index_that_we_wrote_and_cuts_the_same_chunks(run, tmp_path, codec):
    texts = {"doc://a.txt": "Fever 😀 since Monday.\r\nNo cough.", "doc://b.txt": "𝒜 plain note; müde."}
    sources = [Source(uri, f"d{i}", text, {"ward": "icu"}) for i, (uri, text) in enumerate(texts.items())]
    documents = []
    for source in sources:
        for start in range(0, len(source.text), 7):
            place = {"source_id": source.uri, "start": start, "end": min(start + 7, len(source.text)), "ward": "icu"}
            text = source.text[start : start + 7]
            documents.append(Document(text, place, f"c{len(documents)}", [1.0, len(documents)]))
    write_documents(tmp_path / "v", documents, sources=sources, codec=codec)
    answer = run(run="documents", folder=str(tmp_path / "v"), codec=codec)
    assert answer["stats"]["documents"] == 2
    assert answer["stats"]["chunks"] == len(documents)
    read = list(read_documents(tmp_path / "v"))
    for uri, chunks in answer["out"].items():
        wanted = [{"id": d.id, "text": d.text} for d in documents if d.metadata["source_id"] == uri]
        assert chunks == wanted == [{"id": d.id, "text": d.text} for d in read if d.metadata["source_id"] == uri]


# vectra's words fail after some hybrid queries of one process: their model grows with each.
@pytest.mark.parametrize(("question", "asked"), [(None, 60), ("chest pain fever stroke swelling", 3)])
def test_vectra_finds_the_same_documents_and_renders_the_same_sections(run, tmp_path, question, asked):
    rng = np.random.default_rng(8)
    parts = SENTENCES if question else [*SENTENCES, "Fieber 😀 seit Montag.", "BP 120/80. ", "𝒜.\r\n"]
    sources, documents = [], []
    for number in range(6):
        text, places = "", []
        for part in rng.permutation(parts)[:7]:
            places.append((len(text), len(text) + len(part)))
            text += part + ("" if rng.random() < 0.5 else "\n\n")
        sources.append(Source(f"doc://{number}", f"id-{number}", text, {}))
        documents += [
            Document(
                text[start:end],
                {"source_id": f"doc://{number}", "start": start, "end": end},
                f"{number}-{start}",
                rng.normal(size=6).astype(np.float32),
            )
            for start, end in places
        ]
    write_documents(tmp_path / "v", documents, sources=sources)
    queries = [
        {
            "vector": rng.normal(size=6).tolist(),
            "chunks": int(rng.integers(3, 14)),
            "documents": int(rng.integers(1, 6)),
            "tokens": int(rng.choice([10, 60, 110, 170, 400, 5000])),
            "sections": int(rng.integers(1, 4)),
            "overlapping": bool(rng.random() < 0.6),
            **({"text": question} if question else {}),
        }
        for _ in range(asked)
    ]
    index = VectraIndex(tmp_path / "v")
    for query, wanted in zip(queries, run(run="sections", folder=str(tmp_path / "v"), queries=queries), strict=True):
        found = index.query_documents(
            query["vector"], max_documents=query["documents"], max_chunks=query["chunks"], text=query.get("text")
        )
        assert [document.uri for document in found] == [document["uri"] for document in wanted]
        for document, theirs in zip(found, wanted, strict=True):
            assert document.score == pytest.approx(theirs["score"], abs=1e-9)
            assert document.length == theirs["length"]
            best = document.render_sections(query["tokens"], query["sections"], overlapping_chunks=query["overlapping"])
            assert [section_facts(s) for s in best] == [their_facts(s) for s in theirs["best"]]
            every = document.render_all_sections(query["tokens"])
            assert [section_facts(s) for s in every] == [their_facts(s) for s in theirs["all"]]


def section_facts(section):
    return section.text, section.token_count, section.is_bm25, pytest.approx(section.score, abs=1e-9)


def their_facts(section):
    # Half a character prints as U+FFFD.
    text = section["text"].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text, section["tokenCount"], section["isBm25"], section["score"]


SENTENCES = """
Admitted with chest pain and shortness of breath. No fever, chills or night sweats. She doesn't smoke.
The patient cannot walk or stand; he is weak on the left. Never had a stroke, but his father did.
CT head shows no evidence of haemorrhage although swelling remains. Not only the knee hurts.
Started on metformin 500 mg twice daily. Without insulin he was hyperglycaemic (glucose 18.4).
Neither cough nor wheeze was heard. Lungs clear. It's the patient's third admission this year.
Warfarin was stopped because of bleeding. INR 2.4 today, target 2.0 to 3.0. Müde seit gestern.
He isn't only the ward's oldest. He denies dizziness. Hardly any oedema.
Follow up in two weeks, e.g. at the heart failure clinic.
""".strip().splitlines()
QUESTIONS = ["chest pain", "no bleeding", "was fever seen?", "stroke not walking", "insulin and glucose", "the of"]


def test_hybrid_answers_on_clinical_english_are_vectras(run, tmp_path):
    text = " ".join(SENTENCES)
    starts = [i for i in range(len(text)) if i == 0 or text[i - 2 : i] in (". ", "? ")]
    documents = [
        Document(text[start:end], {"source_id": "u", "start": start, "end": end}, f"c{i}", [1.0, float(i)])
        for i, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True))
    ]
    write_documents(tmp_path / "v", documents, sources=[Source("u", "d", text)])
    queries = [{"vector": [1.0, i / 2], "top": 2 + i, "text": text} for i, text in enumerate(QUESTIONS)]
    answers = run(run="items", folder=str(tmp_path / "v"), codec="json", queries=queries)["answers"]
    ours = VectraIndex(tmp_path / "v")
    for query, hits in zip(queries, answers, strict=True):
        mine = ours.query(query["vector"], query["top"], text=query["text"])
        assert [hit.id for hit in mine] == [hit["id"] for hit in hits], query["text"]
        np.testing.assert_allclose([hit.score for hit in mine], [hit["score"] for hit in hits], rtol=0, atol=1e-12)
        assert [hit.is_bm25 for hit in mine] == ["isBm25" in hit["metadata"] for hit in hits]


NUMBERS = [0, 1, 5, -1, 0.5, 1e21, 1e-7]
STRINGS = ["5", "", "a", "ab", " 5 ", "0x10", "true"]
VALUES = [*NUMBERS, *STRINGS, True, False, None, [], ["a"], ["a", "b"], [5], {}, {"a": 1}]
KEYS = ["a", "b", "0", "toString", "a.b"]
OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$foo", "0"]


def random_filter(rng, depth=0):
    kind = rng.random()
    if kind < 0.15 and depth < 3:
        parts = [random_filter(rng, depth + 1) for _ in range(rng.randrange(3))]
        return {rng.choice(["$and", "$or"]): parts if rng.random() < 0.95 else rng.choice(VALUES)}
    if kind < 0.4:
        return {key: rng.choice(VALUES) for key in rng.sample(KEYS, rng.randrange(3))}
    operators = rng.sample(OPERATORS, rng.randrange(1, 3))
    many = [[rng.choice(VALUES) for _ in range(rng.randrange(3))] for _ in operators]
    operands = [
        some if name in ("$in", "$nin") and rng.random() < 0.9 else rng.choice(VALUES)
        for name, some in zip(operators, many, strict=True)
    ]
    return {rng.choice(KEYS): dict(zip(operators, operands, strict=True))}


def answer(metadata, filter):
    try:
        return matches(metadata, filter)
    except FilterError:
        return "error"


def test_thousands_of_random_filters_get_vectras_answer(run):
    rng = random.Random(20)
    cases = [
        ({key: rng.choice(VALUES) for key in rng.sample(KEYS[:3], rng.randrange(4))}, random_filter(rng))
        for _ in range(8_000)
    ]
    wanted = run(run="filters", cases=cases)
    assert {True, False, "error"} == set(wanted)
    for (metadata, filter), theirs in zip(cases, wanted, strict=True):
        assert answer(metadata, filter) == theirs, (metadata, filter)
