// The verbs without a browser: what they refuse, with which words, and that a refused call changes nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Collection } from "../../src/bedside/web/index.js";
import { passages } from "../../src/bedside/web/notes.js";

const wards = async () => {
  const notes = await Collection.open(null, { scopeKeys: ["patient"] });
  await notes.add([
    { id: "1", text: "Cough since Monday.", metadata: { patient: "A", n: 1 } },
    { id: "2", text: "Cough and fever.", metadata: { patient: "A", n: 2n ** 60n + 1n } },
    { id: "1", text: "Cough, cough, cough.", metadata: { patient: "B", tags: ["x", "y"] } },
  ]);
  return notes;
};
const refuses = async (call, name, message) =>
  assert.rejects(call, (error) => error.name === name && message.test(error.message));

test("a scope sees, counts, ranks, replaces and deletes its own records only", async () => {
  const notes = await wards();
  const [a, b] = [notes.scoped({ patient: "A" }), notes.scoped({ patient: "B" })];
  const alone = await Collection.open();
  await alone.add(["Cough since Monday.", "Cough and fever."]);
  const expected = (await alone.search("cough fever")).map(({ score }) => score);
  assert.deepEqual(
    (await a.search("cough fever")).map(({ score }) => score),
    expected,
  );
  assert.deepEqual([await a.count(), await b.count()], [2, 1]);
  await a.add([{ id: "1", text: "Better." }]);
  assert.equal((await b.get({ ids: ["1"] }))[0].text, "Cough, cough, cough.");
  assert.equal(await a.delete({ filter: {} }), 2);
  assert.deepEqual([await a.count(), await b.count()], [0, 1]);
});

test("without a scope, or with another, every verb refuses", async () => {
  const notes = await wards();
  for (const call of [
    () => notes.search("cough"),
    () => notes.count(),
    () => notes.get({ ids: ["1"] }),
    () => notes.export(),
  ]) {
    await refuses(call, "ScopeRequired", /divided by patient/);
  }
  await refuses(
    () => notes.add(["No patient."]),
    "ScopeRequired",
    /documents\[0\]\.metadata: lacks the scope key 'patient'/,
  );
  const a = notes.scoped({ patient: "A" });
  await refuses(() => a.add([{ text: "x", metadata: { patient: "B" } }]), "ScopeMismatch", /names another patient/);
  assert.throws(() => notes.scoped({ ward: 1 }), /'ward' is not a scope key/);
  assert.throws(() => notes.scoped({}), /lacks the scope key/);
});

test("a call with one wrong document adds none of them", async () => {
  const notes = await Collection.open();
  const wrong = [
    [{ text: 7 }, "InvalidDocumentError", /documents\[1\]: expected a string/],
    [{ text: " \u001c" }, "InvalidDocumentError", /documents\[1\]\.text: empty/],
    [{ text: "\ud800" }, "InvalidDocumentError", /lone surrogate/],
    [
      { text: "x", metadata: { a: [undefined] } },
      "InvalidDocumentError",
      /documents\[1\]\.metadata\.a\[0\]: expected a JSON value/,
    ],
    [{ text: "x", metadata: { n: 2n ** 63n } }, "InvalidDocumentError", /whole number of 64 bits/],
    [{ text: "x", vector: [0, 0] }, "InvalidVectorError", /zero vector/],
    [{ text: "x", vector: [1e39] }, "InvalidVectorError", /finite in float32/],
    [{ id: "first", text: "x" }, "DuplicateIdError", /given twice/],
    [{ text: "x", vector: [1, 0] }, "EncoderRequired", /others of them have vectors/],
  ];
  for (const [document, name, message] of wrong) {
    await refuses(() => notes.add([{ id: "first", text: "right" }, document]), name, message);
  }
  assert.equal(await notes.count(), 0);
});

test("replacing removes what the filter leaves and keeps the rest, in one call", async () => {
  const notes = await Collection.open();
  await notes.add([1, 2, 3].map((n) => ({ id: `${n}`, text: `note ${n}`, metadata: { old: n < 3 } })));
  await notes.add([{ id: "2", text: "new" }], { replacing: { old: true } });
  assert.deepEqual(
    (await notes.get({ filter: {} })).map(({ id, text }) => [id, text]),
    [
      ["3", "note 3"],
      ["2", "new"],
    ],
  );
});

test("whole numbers stay exact from lines to filters and out again", async () => {
  const notes = await Collection.open();
  const line = '{"id":"a","text":"Fever.","metadata":{"n":9007199254740993,"deep":[-9223372036854775808,1.5]}}\n';
  await notes.import(line);
  assert.equal(await notes.count({ n: 9007199254740993n }), 1);
  assert.equal(await notes.count({ n: 9007199254740992 }), 0);
  assert.equal(await notes.count({ n: { $gt: 9007199254740992 } }), 1);
  assert.equal(await notes.export(), line);
  await refuses(
    () => notes.import('{"text": "x", "n": 1}', "a.jsonl"),
    "UnreadableFileError",
    /a\.jsonl: line 1: unknown field 'n'/,
  );
  await refuses(() => notes.import('\n{"text": "x"'), "UnreadableFileError", /line 2: not JSON/);
});

test("options out of their range are named", async () => {
  const notes = await Collection.open();
  await notes.add(["Fever."]);
  const wrong = {
    topK: 0,
    offset: -1,
    alpha: 1.1,
    diversity: NaN,
    fetchK: 0,
    minScore: "1",
    mode: "both",
    fusion: "sum",
    groupBy: "",
  };
  for (const [name, value] of Object.entries(wrong)) {
    await refuses(() => notes.search("fever", { [name]: value }), "InvalidInputError", new RegExp(`^${name}: `));
  }
  await refuses(() => notes.search(" "), "InvalidInputError", /^query: /);
  await refuses(() => notes.search("fever", { ids: "1" }), "InvalidInputError", /^ids: expected a list/);
  await refuses(() => notes.search("fever", { mode: "dense" }), "InvalidInputError", /texts without vectors/);
  await refuses(() => notes.delete(), "InvalidInputError", /filter \{\} means every document/);
  notes.close();
  await refuses(() => notes.count(), "CollectionClosedError", /closed/);
});

test("what a search returns is a copy", async () => {
  const notes = await Collection.open();
  await notes.add([{ id: "a", text: "Fever.", metadata: { tags: ["x"] } }]);
  (await notes.search("fever"))[0].metadata.tags.push("y");
  (await notes.get({ ids: ["a"] }))[0].metadata.tags.push("z");
  assert.deepEqual((await notes.get({ ids: ["a"] }))[0].metadata, { tags: ["x"] });
});

test("calls that run at once lose nothing", async () => {
  const notes = await Collection.open();
  await Promise.all(Array.from({ length: 50 }, (_, i) => notes.add([{ id: `${i % 25}`, text: `note ${i}` }])));
  assert.equal(await notes.count(), 25);
  assert.equal((await notes.search("note", { topK: 100 })).length, 25);
});

test("a note is cut at headings and empty lines, a long paragraph at sentences", () => {
  const long = "A sentence of a note. ".repeat(100);
  const found = passages(`Seen today.\r\n\r\nHPI: Cough.\nMore.\n\n# Plan\nRest.\n\nALLERGIES\n${long}`);
  assert.deepEqual(found.slice(0, 3), [
    { text: "Seen today.", section: null },
    { text: "Cough.\nMore.", section: "HPI" },
    { text: "Rest.", section: "Plan" },
  ]);
  assert.ok(
    found.length > 4 && found.slice(3).every(({ text, section }) => text.length <= 1200 && section === "ALLERGIES"),
  );
  assert.equal(
    found
      .slice(3)
      .map(({ text }) => text)
      .join(" "),
    long.trim(),
  );
});

test("what was valid then is found, counted and returned, and what it names in supersedes is not", async () => {
  const notes = await Collection.open();
  await notes.add([
    { id: "old", text: "Sepsis: within three hours.", metadata: { valid_from: "2016", valid_to: "2021-10-04" } },
    { id: "new", text: "Sepsis: within one hour.", metadata: { valid_from: "2021-10-04", date: "2021-10" } },
    { id: "page", text: "Sepsis leaflet.", metadata: { source_id: "leaflet", source_hash: "0" } },
    { id: "leaflet-2", text: "Sepsis leaflet, second edition.", metadata: { valid_from: "2023", supersedes: ["leaflet"] } },
    { id: "a", text: "Sepsis, a.", metadata: { supersedes: "b", date: "2020-05-06" } },
    { id: "b", text: "Sepsis, b.", metadata: { supersedes: "a" } },
  ]);
  const found = async (asOf) => (await notes.search("sepsis", { asOf, mode: "sparse" })).map(({ id }) => id).sort();
  assert.deepEqual(await found("2021-10-03"), ["a", "b", "old", "page"]);
  assert.deepEqual(await found("2021-10-04"), ["a", "b", "new", "page"]);
  assert.deepEqual(await found(new Date("2023-01-01T00:00:00Z")), ["a", "b", "leaflet-2", "new"]);
  assert.equal(await notes.count({}, { asOf: "now" }), 4);
  const newest = await notes.get({ filter: {}, asOf: "2021-10-04", newestFirst: true });
  assert.deepEqual(newest.map(({ id }) => id), ["new", "a", "page", "b"]);
  await refuses(() => notes.search("sepsis", { asOf: "2021-13-01" }), "InvalidInputError", /^asOf: expected a date/);
});

test("options of time and copies out of their range are named, and so is what is no option", async () => {
  const notes = await Collection.open();
  await notes.add(["Fever."]);
  const wrong = {
    asOf: new Date(NaN),
    recency: "30 days:0.2",
    latestBy: "",
    newestFirst: 1,
    dateKey: null,
    collapse: "all",
    rerank: "proximity",
    asOne: "source_hash",
  };
  for (const [name, value] of Object.entries(wrong)) {
    await refuses(() => notes.search("fever", { [name]: value }), "InvalidInputError", new RegExp(`^${name}: `));
  }
  await refuses(() => notes.search("fever", { recency: "30d:2" }), "InvalidInputError", /^recency: weight: /);
  await refuses(() => notes.search("fever", { topk: 3 }), "InvalidInputError", /unknown option 'topk'; allowed: topK, /);
  await refuses(() => notes.search("fever", { latestBy: "n", diversity: 0.5 }), "InvalidInputError", /^latestBy: /);
  assert.equal((await notes.search("fever", { recency: { halfLife: "30d" }, rerank: null })).length, 1);
});

test("postings that were made beforehand grow like others", async () => {
  const numbers = (...values) => Uint32Array.from(values);
  const documents = ["Fever, fever.", "No cough."].map((text, i) => ({ id: `${i}`, text, metadata: {}, vector: null }));
  const postings = {
    terms: ["fever", "no", "cough"],
    lengths: numbers(2, 2),
    sizes: numbers(1, 1, 1),
    postings: { rows: numbers(0, 1, 1), counts: numbers(2, 1, 1), negated: numbers(0, 0, 1) },
  };
  const [made, loaded] = [await Collection.open(), await Collection.open(null, { documents, postings })];
  await made.add(documents);
  for (const notes of [made, loaded]) await notes.add([{ id: "2", text: "Fever and cough." }, { id: "0", text: "Cough." }]);
  const options = { mode: "sparse", explain: true };
  assert.deepEqual(await loaded.search("fever cough", options), await made.search("fever cough", options));
});
