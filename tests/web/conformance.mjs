// Holds the browser's modules against what Python wrote; the same file runs in Node.js and in a browser's page.
import { Collection, ClinicalTokenizer, StaticEncoder, fold, parseFilter, stem } from "../../src/bedside/web/index.js";
import { askedPolarity, markedTerms } from "../../src/bedside/web/assertions.js";
import { parseJson } from "../../src/bedside/web/json.js";

const UNKNOWN_HERE = /\p{Cn}/u;
const TOLERANCE = 1e-6;

/** The first few disagreements of each part, and how many cases there were. */
export async function check(text, weights, tokenizer) {
  const task = parseJson(text, "task");
  const wrong = [];
  const counts = {};
  const encoder = new StaticEncoder(weights, tokenizer);
  const report = (part, ...what) => wrong.length < 20 && wrong.push([part, ...what]);
  const same = (part, given, expected, found) => {
    if (JSON.stringify(expected) !== JSON.stringify(found)) report(part, given, expected, found);
  };
  const clinical = new ClinicalTokenizer();
  const known = task.tokens.filter(([text]) => !UNKNOWN_HERE.test(text)); // a newer Unicode of Python's
  for (const [text, folded, terms] of known) {
    same("fold", text, folded, fold(text));
    same("tokens", text, terms, clinical.tokenize(text));
  }
  for (const [text, negated, asked] of task.marks.filter(([text]) => !UNKNOWN_HERE.test(text))) {
    same("marks", text, negated, [...markedTerms(text, clinical).negated]);
    same("asked", text, Object.entries(asked).sort(), [...askedPolarity(text, clinical)].sort());
  }
  for (const [word, expected] of task.stems) same("stem", word, expected, stem(word));
  const records = await Collection.open();
  await records.add(task.filters.records);
  for (const [filter, expected] of task.filters.cases) {
    let found;
    try {
      found = (await records.get({ filter })).map(({ id }) => id);
    } catch (error) {
      found = error.message;
    }
    same(
      "filter",
      JSON.stringify(filter, (_, value) => (typeof value === "bigint" ? `${value}` : value)),
      expected,
      found,
    );
  }
  counts.questions = 0;
  for (const { documents, scopeKeys, questions } of task.searches) {
    const collection = await Collection.open(null, { encoder, scopeKeys });
    await collection.add(documents);
    for (const { query, scope, options, hits } of questions) {
      const found = await (scope ? collection.scoped(scope) : collection).search(query, options);
      compare(report, { query, scope, options }, hits, found);
      counts.questions++;
    }
  }
  return {
    wrong,
    counts: { ...counts, tokens: known.length, marks: task.marks.length, stems: task.stems.length, filters: task.filters.cases.length },
  };
}

function compare(report, asked, expected, found) {
  const ids = [expected.map(([id]) => id), found.map(({ id }) => id)];
  if (JSON.stringify(ids[0]) !== JSON.stringify(ids[1])) return report("ids", asked, ...ids);
  expected.forEach(([id, score, dense, sparse, relevance, parts, seen], i) => {
    const hit = found[i];
    const close = (a, b) => (a === null ? b === null : Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(a)));
    const scores = close(score, hit.score) && close(dense, hit.dense) && close(sparse, hit.sparse) && close(relevance, hit.relevance);
    if (!scores) report("score", asked, id, [score, dense, sparse], [hit.score, hit.dense, hit.sparse]);
    if (JSON.stringify(seen) !== JSON.stringify(sightings(hit))) report("copies", asked, id, seen, sightings(hit));
    if (!parts) return;
    const agree = (expected, found) =>
      JSON.stringify(Object.keys(expected)) === JSON.stringify(Object.keys(found)) &&
      Object.entries(expected).every(([name, part]) => (typeof part === "string" ? part === found[name] : close(part, found[name])));
    const all = ["terms", "signals", "negated"].every((name) => agree(parts[name], hit.explanation[name]));
    if (!all || !close(parts.dense, hit.explanation.dense) || !close(parts.sparse, hit.explanation.sparse)) {
      report("explanation", asked, id, parts, hit.explanation);
    }
  });
}

// As Python's Hit.sightings.
const sightings = ({ copies, firstSeen, lastSeen }) => ({
  ...(copies.length ? { copies } : {}),
  ...(lastSeen === null ? {} : { first_seen: firstSeen, last_seen: lastSeen }),
});
