// One search, from its checked options to ranked rows: bedside/search.py has the scales and the reasons.
import { keyOf } from "./filter-rules.js";
import { InvalidInputError, shown } from "./errors.js";
import { writeJson } from "./json.js";
import { RRF_K, best, mmr } from "./rank.js";

/** @typedef {import("./index-rows.js").Rows} Rows */
/** @typedef {import("./index-rows.js").Candidates} Candidates */
/** @typedef {import("./bm25.js").SparseResult} SparseResult */
/** @typedef {"hybrid" | "dense" | "sparse"} Mode */
/**
 * @typedef {object} Options
 * @property {number} [topK] How many hits at most; 10.
 * @property {Mode | null} [mode] What the question offers, where it is not given.
 * @property {number | null} [alpha] Weight of the dense half in a hybrid search, 0 to 1; the collection's own.
 * @property {"weighted" | "rrf"} [fusion] Adds the halves on a fixed scale, or fuses their ranks.
 * @property {number | null} [fetchK] Pool of RRF and MMR; 100.
 * @property {number | null} [minScore] Leave out hits below it.
 * @property {number | null} [diversity] Re-rank the pool by maximal marginal relevance.
 * @property {number} [offset] Skip so many hits.
 * @property {string | null} [groupBy] The best hit of each value of this metadata key only.
 * @property {"prefer" | "only" | "any"} [assertion] What denies the question comes last, is left out, or ranks as all do.
 * @property {boolean} [explain] Say how each score came about.
 */
/**
 * @typedef {object} Parts They and the signals sum to the score.
 * @property {number} dense
 * @property {number} sparse
 * @property {Record<string, number>} signals
 * @property {Record<string, number>} terms
 * @property {Record<string, string>} negated
 * @property {string} formula
 */
/** @typedef {{row: number, score: number, dense: number | null, sparse: number | null, parts: Parts | null}} Ranked */
/**
 * @typedef {object} Question
 * @property {Float64Array | null} cosines
 * @property {SparseResult | null} sparse BM25; null in a dense search.
 * @property {SparseResult | null} asserted The same where the question has a preference.
 */
/** @typedef {Required<Options> & {mode: Mode, fetchK: number, depth: number, pool: number, weight: number}} Plan */

const MODES = ["hybrid", "dense", "sparse"];
const FUSIONS = ["weighted", "rrf"];
const ASSERTIONS = ["prefer", "only", "any"];

/**
 * Check the options of a search.
 * @param {Options} options
 * @param {Mode} natural The mode where none is given.
 * @param {number} ownAlpha The weight of the dense half where none is given.
 * @returns {Plan}
 * @throws {InvalidInputError} Names the option that is wrong.
 */
export function makePlan(options, natural, ownAlpha) {
  const { topK = 10, offset = 0, alpha = null, fusion = "weighted", minScore = null, diversity = null } = options;
  const { groupBy = null, assertion = "prefer", explain = false } = options;
  if (/** @type {any} */ (options).rerank != null) {
    throw new InvalidInputError("rerank: a page does not look at its hits again");
  }
  const fetchK = options.fetchK ?? 100;
  let mode = options.mode ?? natural;
  checkChoice("mode", mode, MODES);
  checkChoice("fusion", fusion, FUSIONS);
  checkChoice("assertion", assertion, ASSERTIONS);
  checkInt("topK", topK, 1);
  checkInt("offset", offset, 0);
  checkInt("fetchK", fetchK, 1);
  checkNumber("alpha", alpha, 0, 1);
  checkNumber("diversity", diversity, 0, 1);
  checkNumber("minScore", minScore, -Infinity, Infinity);
  if (groupBy !== null && (typeof groupBy !== "string" || !groupBy)) {
    throw new InvalidInputError(`groupBy: expected a metadata key or null, got ${shown(groupBy)}`);
  }
  const weight = alpha ?? ownAlpha;
  const all = fusion === "rrf" ? alpha : weight; // ranks are fused evenly unless asked otherwise
  if (mode === "hybrid" && all === 1) mode = "dense";
  if (mode === "hybrid" && all === 0) mode = "sparse";
  const depth = topK + offset;
  const pool = diversity === null ? depth : options.fetchK ?? Math.max(depth, fetchK);
  const ways = { mode, alpha, weight, fusion, assertion, explain };
  return { ...ways, topK, offset, depth, pool, fetchK, minScore, diversity, groupBy };
}

/**
 * The rows that answer a question, best first; with `groupBy` the best of each group.
 * @param {Plan} plan
 * @param {Rows} rows
 * @param {Candidates} candidates
 * @param {Question} question
 * @returns {Ranked[]}
 */
export function rank(plan, rows, candidates, question) {
  const { minScore, diversity, offset, depth } = plan;
  const { cosines, sparse, asserted } = question;
  const { dense } = rows;
  const { ranked, partsOf } = pooled(plan, rows, candidates, question);
  let pool = ranked;
  if (plan.assertion === "only" && asserted) pool = pool.filter(({ row }) => !asserted.contradicted[row]);
  if (minScore !== null) pool = pool.filter(({ score }) => score >= minScore);
  if (diversity !== null && pool.length) {
    if (!dense) {
      throw new InvalidInputError("diversity: this collection holds texts without vectors, so nothing can be compared");
    }
    pool = mmr(pool, (row) => dense.vector(row), depth, diversity);
  }
  return pool.slice(offset, depth).map(({ row, score }) => ({
    row,
    score,
    dense: cosines ? cosines[row] : null,
    sparse: sparse ? sparse.scores[row] : null,
    parts: plan.explain ? explained(question, row, partsOf(row)) : null,
  }));
}

/** @typedef {{dense?: number, sparse?: number, assertion?: number, formula: string}} Named */
/** @typedef {import("./rank.js").Scored[]} Ranking Best first. */
/** @typedef {{row: number, score: number, group: unknown}} Member */

/**
 * The best rows, and what each one's score is the sum of.
 * @type {(plan: Plan, rows: Rows, candidates: Candidates, question: Question) =>
 *   {ranked: Ranking, partsOf: (row: number) => Named}}
 */
function pooled(plan, rows, candidates, question) {
  const { cosines, sparse } = question;
  const { pool, groupBy } = plan;
  const reach = groupBy === null ? pool : Infinity; // the best rows of a group are not known beforehand
  const firsts = (/** @type {Ranking} */ ranking, k = pool) => firstOfEachGroup(plan, rows, ranking, k);
  if (plan.mode === "sparse" || !cosines) {
    let lost = demotion(plan, question, sparse?.bound ?? 0);
    // Where every row denies what is asked, there is nothing to come after, and to find nothing would hide that.
    if (!sparseRanking(candidates, sparse, lost, 1).length) lost = () => 0;
    const formula = (/** @type {number} */ row) => `bm25 ${(sparse?.scores[row] ?? 0).toFixed(6)}`;
    return {
      ranked: firsts(sparseRanking(candidates, sparse, lost, reach)),
      partsOf: (row) => ({ sparse: sparse?.scores[row], assertion: lost(row), formula: formula(row) }),
    };
  }
  if (plan.mode === "hybrid" && plan.fusion === "rrf") return fused(plan, candidates, question, firsts);
  const lost = demotion(plan, question, 1);
  const weight = plan.mode === "dense" ? 1 : plan.weight;
  const words = plan.mode === "hybrid" && sparse?.bound ? (1 - weight) / sparse.bound : 0;
  const sparseOf = (/** @type {number} */ row) => (words && sparse ? words * sparse.scores[row] : 0);
  return {
    ranked: firsts(denseRanking(candidates, (row) => weight * cosines[row] + sparseOf(row) + lost(row), reach)),
    partsOf: (row) => ({
      dense: weight * cosines[row],
      sparse: sparseOf(row),
      assertion: lost(row),
      formula: weighed(plan, cosines[row], sparse, row),
    }),
  };
}

/**
 * Ranks of both halves, fused; where there are groups, a half ranks groups, and the better of a group's two best rows
 * stands for it.
 * @type {(plan: Plan, candidates: Candidates, question: Question, firsts: (ranking: Ranking, k: number) => Member[]) =>
 *   {ranked: Ranking, partsOf: (row: number) => Named}}
 */
function fused(plan, candidates, question, firsts) {
  const cosines = /** @type {Float64Array} */ (question.cosines);
  const reach = plan.groupBy === null ? plan.fetchK : Infinity;
  const { sparse } = question;
  const [far, near] = [demotion(plan, question, sparse?.bound ?? 0), demotion(plan, question, 1)];
  const halves = [
    firsts(
      denseRanking(candidates, (row) => cosines[row] + near(row), reach),
      plan.fetchK,
    ),
    firsts(sparseRanking(candidates, sparse, far, reach), plan.fetchK),
  ];
  const weights = plan.alpha === null ? [1, 1] : [plan.alpha, 1 - plan.alpha];
  /** @type {Map<unknown, {row: number, places: number[], gives: number[]}>} */
  const fusedOf = new Map();
  halves.forEach((half, which) =>
    half.forEach(({ row, group }, at) => {
      const gain = weights[which] / (RRF_K + 1 + at);
      const known = fusedOf.get(group) ?? { row, places: [0, 0], gives: [0, 0] };
      if (which === 1 && gain > known.gives[0]) known.row = row;
      known.places[which] = at + 1;
      known.gives[which] = gain;
      fusedOf.set(group, known);
    }),
  );
  const found = new Map([...fusedOf.values()].map((each) => [each.row, each]));
  const score = (/** @type {number} */ row) => {
    const [dense, words] = /** @type {{gives: number[]}} */ (found.get(row)).gives;
    return dense + words;
  };
  return {
    ranked: best(
      [...found.keys()].sort((a, b) => a - b),
      score,
      plan.pool,
    ),
    partsOf: (row) => {
      const { places, gives } = /** @type {{places: number[], gives: number[]}} */ (found.get(row));
      const [a, b] = places.map((place) => place || "None");
      return { dense: gives[0], sparse: gives[1], formula: `rrf of dense rank ${a} and sparse rank ${b}, k ${RRF_K}` };
    },
  };
}

/**
 * What a row loses that denies what is asked: the length of the scale, so that it comes after the others.
 * @type {(plan: Plan, question: Question, full: number) => (row: number) => number}
 */
function demotion({ assertion }, { asserted }, full) {
  if (!asserted) return () => 0;
  const loss = assertion === "only" ? -3 * full : -full;
  return (row) => (asserted.contradicted[row] ? loss : 0);
}

/** @type {(candidates: Candidates, score: (row: number) => number, k: number) => Ranking} */
const denseRanking = (candidates, score, k) => best(allowedRows(candidates), score, k);

/** @type {(candidates: Candidates, sparse: SparseResult | null, lost: (row: number) => number, k: number) => Ranking} */
function sparseRanking({ allowed }, sparse, lost, k) {
  if (!sparse) return [];
  const score = (/** @type {number} */ row) => sparse.scores[row] + lost(row);
  return best(
    sparse.rows.filter((row) => allowed[row] && score(row) > 0),
    score,
    k,
  );
}

/** @type {(plan: Plan, rows: Rows, ranking: Ranking, k: number) => Member[]} */
function firstOfEachGroup({ groupBy }, rows, ranking, k) {
  if (groupBy === null) return ranking.slice(0, k).map((each) => ({ ...each, group: each.row }));
  const firsts = new Map();
  for (const each of ranking) {
    const group = groupOf(rows, groupBy, each.row);
    if (!firsts.has(group)) firsts.set(group, { ...each, group });
    if (firsts.size === k) break;
  }
  return [...firsts.values()];
}

/** @type {(plan: Plan, cosine: number, sparse: SparseResult | null, row: number) => string} */
function weighed({ mode, weight }, cosine, sparse, row) {
  if (mode === "dense") return `cosine ${cosine.toFixed(6)}`;
  const [alpha, rest] = [weight, 1 - weight].map((value) => Number(value.toPrecision(6)));
  const words = `${rest} * bm25 ${(sparse?.scores[row] ?? 0).toFixed(6)} / bound ${(sparse?.bound ?? 0).toFixed(6)}`;
  return `${alpha} * cosine ${cosine.toFixed(6)} + ${words}`;
}

/** @type {(question: Question, row: number, named: Named) => Parts} */
function explained({ sparse, asserted }, row, { dense = 0, sparse: words = 0, assertion = 0, formula }) {
  const negated = asserted?.negations(row) ?? {};
  if (assertion) formula += ` - assertion ${Math.abs(assertion).toFixed(6)}`;
  if (asserted?.contradicted[row])
    formula += ` (${Object.entries(negated)
      .map((each) => each.join(" "))
      .join(", ")})`;
  return {
    dense,
    sparse: words,
    signals: assertion ? { assertion } : {},
    terms: sparse ? sparse.explain(row) : {},
    negated,
    formula,
  };
}

/** @param {Candidates} candidates */
function* allowedRows({ allowed }) {
  for (let row = 0; row < allowed.length; row++) if (allowed[row]) yield row;
}

/**
 * What is equal for rows whose values at a path are; one without it is a group of its own.
 * @type {(rows: Rows, path: string, row: number) => unknown}
 */
function groupOf(rows, path, row) {
  const found = rows.fieldsOf(row);
  if (!found.has(path)) return `row ${row}`;
  const value = found.get(path);
  if (typeof value === "string") return `text ${value}`;
  return value !== null && typeof value === "object" ? `json ${writeJson(sorted(value))}` : keyOf(value);
}

/** @type {(value: any) => any} */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

/** @type {(name: string, value: unknown, allowed: string[]) => void} */
function checkChoice(name, value, allowed) {
  if (!allowed.includes(/** @type {string} */ (value))) {
    throw new InvalidInputError(`${name}: expected one of ${allowed.join(", ")}; got ${shown(value)}`);
  }
}

/** @type {(name: string, value: unknown, least: number) => void} */
function checkInt(name, value, least) {
  if (!Number.isSafeInteger(value) || /** @type {number} */ (value) < least) {
    throw new InvalidInputError(`${name}: expected a whole number of at least ${least}, got ${shown(value)}`);
  }
}

/** @type {(name: string, value: number | null, low: number, high: number) => void} */
function checkNumber(name, value, low, high) {
  if (value === null || (typeof value === "number" && value >= low && value <= high)) return;
  const range = high === 1 ? "a number from 0 to 1 or null" : "a number or null";
  throw new InvalidInputError(`${name}: expected ${range}, got ${shown(value)}`);
}
