// One search, from its checked options to ranked rows: bedside/search.py has the scales and the reasons.
import { keyOf } from "./filter-rules.js";
import { InvalidInputError, shown } from "./errors.js";
import { writeJson } from "./json.js";
import { DEFAULT_ALPHA, RRF_K, best, mmr, rrf } from "./rank.js";

/** @typedef {import("./index-rows.js").Rows} Rows */
/** @typedef {import("./index-rows.js").Candidates} Candidates */
/** @typedef {import("./bm25.js").SparseResult} SparseResult */
/** @typedef {"hybrid" | "dense" | "sparse"} Mode */
/**
 * @typedef {object} Options
 * @property {number} [topK] How many hits at most; 10.
 * @property {Mode | null} [mode] What the question offers, where it is not given.
 * @property {number | null} [alpha] Weight of the dense half in a hybrid search, 0 to 1; 0.6.
 * @property {"weighted" | "rrf"} [fusion] Adds the halves on a fixed scale, or fuses their ranks.
 * @property {number | null} [fetchK] Pool of RRF and MMR; 100.
 * @property {number | null} [minScore] Leave out hits below it.
 * @property {number | null} [diversity] Re-rank the pool by maximal marginal relevance.
 * @property {number} [offset] Skip so many hits.
 * @property {string | null} [groupBy] The best hit of each value of this metadata key only.
 * @property {boolean} [explain] Say how each score came about.
 */
/** @typedef {{dense: number, sparse: number, terms: Record<string, number>, formula: string}} Parts */
/** @typedef {{row: number, score: number, dense: number | null, sparse: number | null, parts: Parts | null}} Ranked */
/** @typedef {{cosines: Float64Array | null, sparse: SparseResult | null}} Question */
/** @typedef {Required<Options> & {mode: Mode, fetchK: number, depth: number, pool: number, weight: number}} Plan */

const MODES = ["hybrid", "dense", "sparse"];
const FUSIONS = ["weighted", "rrf"];

/**
 * Check the options of a search.
 * @param {Options} options
 * @param {Mode} natural The mode where none is given.
 * @returns {Plan}
 * @throws {InvalidInputError} Names the option that is wrong.
 */
export function makePlan(options, natural) {
  const { topK = 10, offset = 0, alpha = null, fusion = "weighted", minScore = null, diversity = null } = options;
  const { groupBy = null, explain = false } = options;
  const fetchK = options.fetchK ?? 100;
  let mode = options.mode ?? natural;
  checkChoice("mode", mode, MODES);
  checkChoice("fusion", fusion, FUSIONS);
  checkInt("topK", topK, 1);
  checkInt("offset", offset, 0);
  checkInt("fetchK", fetchK, 1);
  checkNumber("alpha", alpha, 0, 1);
  checkNumber("diversity", diversity, 0, 1);
  checkNumber("minScore", minScore, -Infinity, Infinity);
  if (groupBy !== null && (typeof groupBy !== "string" || !groupBy)) {
    throw new InvalidInputError(`groupBy: expected a metadata key or null, got ${shown(groupBy)}`);
  }
  if (mode === "hybrid" && alpha === 1) mode = "dense";
  if (mode === "hybrid" && alpha === 0) mode = "sparse";
  const depth = topK + offset;
  const pool = diversity === null ? depth : Math.max(depth, fetchK);
  const weight = alpha ?? DEFAULT_ALPHA;
  return { mode, topK, offset, alpha, fusion, fetchK, minScore, diversity, groupBy, explain, depth, pool, weight };
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
  if (plan.groupBy === null) return answer(plan, rows, candidates, question);
  for (let topK = 4 * plan.depth; ; topK *= 4) {
    const deeper = {
      ...plan,
      topK,
      offset: 0,
      depth: topK,
      pool: plan.diversity === null ? topK : Math.max(topK, plan.fetchK),
    };
    const found = answer(deeper, rows, candidates, question);
    const firsts = new Map();
    for (const hit of found) {
      const group = groupOf(rows, plan.groupBy, hit.row);
      if (!firsts.has(group)) firsts.set(group, hit);
    }
    if (firsts.size >= plan.depth || found.length < topK) return [...firsts.values()].slice(plan.offset, plan.depth);
  }
}

/** @type {(plan: Plan, rows: Rows, candidates: Candidates, question: Question) => Ranked[]} */
function answer(plan, rows, candidates, question) {
  let pool = scored(plan, candidates, question);
  const { minScore, diversity, offset, depth } = plan;
  const { cosines, sparse } = question;
  const { dense } = rows;
  if (minScore !== null) pool = pool.filter(({ score }) => score >= minScore);
  if (diversity !== null && pool.length) {
    if (!dense) {
      throw new InvalidInputError("diversity: this collection holds texts without vectors, so nothing can be compared");
    }
    pool = mmr(pool, (row) => dense.vector(row), depth, diversity);
  }
  const halves = plan.explain && plan.fusion === "rrf" && cosines ? halvesOf(plan, candidates, question) : [];
  return pool.slice(offset, depth).map(({ row, score }) => {
    const hit = { row, score, dense: cosines ? cosines[row] : null, sparse: sparse ? sparse.scores[row] : null };
    return { ...hit, parts: plan.explain ? partsOf(plan, hit, sparse, halves) : null };
  });
}

/** @type {(plan: Plan, candidates: Candidates, question: Question) => import("./rank.js").Scored[]} */
function scored(plan, candidates, question) {
  const { cosines, sparse } = question;
  const { weight, pool, mode } = plan;
  if (mode === "sparse" || !cosines) return topSparse(candidates, sparse, pool);
  if (mode === "dense") return best(allowedRows(candidates), (row) => cosines[row], pool);
  if (plan.fusion === "rrf") {
    const scores = rrf(halvesOf(plan, candidates, question), rrfWeights(plan));
    return best(
      [...scores.keys()].sort((a, b) => a - b),
      (row) => /** @type {number} */ (scores.get(row)),
      pool,
    );
  }
  const { scores, bound } = sparse ?? { scores: null, bound: 0 };
  const score = (/** @type {number} */ row) =>
    weight * cosines[row] + (scores && bound ? ((1 - weight) * scores[row]) / bound : 0);
  return best(allowedRows(candidates), score, pool);
}

/** @type {(candidates: Candidates, sparse: SparseResult | null, k: number) => import("./rank.js").Scored[]} */
function topSparse({ allowed }, sparse, k) {
  return sparse
    ? best(
        sparse.rows.filter((row) => allowed[row]),
        (row) => sparse.scores[row],
        k,
      )
    : [];
}

/**
 * The two rankings that RRF fuses.
 * @type {(plan: Plan, candidates: Candidates, question: Question) => number[][]}
 */
function halvesOf({ fetchK }, candidates, { cosines, sparse }) {
  const dense = cosines ? best(allowedRows(candidates), (row) => cosines[row], fetchK) : [];
  return [dense, topSparse(candidates, sparse, fetchK)].map((half) => half.map(({ row }) => row));
}

/** @param {Plan} plan */
const rrfWeights = ({ alpha }) => (alpha === null ? [1, 1] : [alpha, 1 - alpha]);

/** @param {Candidates} candidates */
function* allowedRows({ allowed }) {
  for (let row = 0; row < allowed.length; row++) if (allowed[row]) yield row;
}

/** @type {(plan: Plan, hit: Omit<Ranked, "parts">, sparse: SparseResult | null, halves: number[][]) => Parts} */
function partsOf(plan, hit, sparse, halves) {
  const cosine = hit.dense ?? 0;
  const bm25 = hit.sparse ?? 0;
  const terms = sparse ? sparse.explain(hit.row) : {};
  if (plan.mode === "dense") return { dense: hit.score, sparse: 0, terms: {}, formula: `cosine ${cosine.toFixed(6)}` };
  if (plan.mode === "sparse" || hit.dense === null) {
    return { dense: 0, sparse: hit.score, terms, formula: `bm25 ${bm25.toFixed(6)}` };
  }
  if (plan.fusion === "rrf") {
    const places = halves.map((half) => half.indexOf(hit.row) + 1);
    const weights = rrfWeights(plan);
    const [dense, words] = places.map((place, i) => (place ? weights[i] / (RRF_K + place) : 0));
    const [a, b] = places.map((place) => place || "None");
    return { dense, sparse: words, terms, formula: `rrf of dense rank ${a} and sparse rank ${b}, k ${RRF_K}` };
  }
  const { weight } = plan;
  const bound = sparse?.bound ?? 0;
  const share = bound ? ((1 - weight) * bm25) / bound : 0;
  const [alpha, rest] = [weight, 1 - weight].map((value) => Number(value.toPrecision(6)));
  const words = `${rest} * bm25 ${bm25.toFixed(6)} / bound ${bound.toFixed(6)}`;
  const formula = `${alpha} * cosine ${cosine.toFixed(6)} + ${words}`;
  return { dense: weight * cosine, sparse: share, terms, formula };
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
