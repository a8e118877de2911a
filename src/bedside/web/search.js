// One search, from its checked options to ranked rows: bedside/search.py has the scales and the reasons.
import { ALONE, collapsed } from "./copies.js";
import { InvalidInputError } from "./errors.js";
import { gainOf, newestFirst, partLatest } from "./newest.js";
import { RRF_K, best, mmr } from "./rank.js";

/** @typedef {import("./index-rows.js").Rows} Rows */
/** @typedef {import("./index-rows.js").Candidates} Candidates */
/** @typedef {import("./bm25.js").SparseResult} SparseResult */
/** @typedef {import("./options.js").Plan} Plan */
/**
 * @typedef {object} Parts They and the signals sum to the score.
 * @property {number} dense
 * @property {number} sparse
 * @property {Record<string, number>} signals
 * @property {Record<string, number>} terms
 * @property {Record<string, string>} negated
 * @property {string} formula
 */
/**
 * @typedef {{row: number, score: number, dense: number | null, sparse: number | null, relevance: number,
 *   parts: Parts | null} & import("./copies.js").Seen} Ranked
 */
/**
 * @typedef {object} Question
 * @property {string | null} text
 * @property {Float64Array | null} cosines
 * @property {SparseResult | null} sparse BM25; null in a dense search.
 * @property {SparseResult | null} asserted The same where the question has a preference.
 */
/**
 * The rows that answer a question, best first; with `groupBy` the best of each group.
 * @param {Plan} plan
 * @param {Rows} rows
 * @param {Candidates} candidates
 * @param {Question} question
 * @returns {Ranked[]}
 */
export function rank(plan, rows, candidates, question) {
  const { minScore, diversity, offset, depth, dateKey } = plan;
  const { cosines, sparse, asserted } = question;
  const { dense } = rows;
  const { ranked, partsOf } = pooled(plan, rows, candidates, question);
  let pool = ranked;
  if (plan.assertion === "only" && asserted) pool = pool.filter(({ row }) => !asserted.contradicted[row]);
  if (minScore !== null) pool = pool.filter(({ score }) => score >= minScore);
  const { hits, seen } =
    plan.collapse === null ? { hits: pool, seen: new Map() } : collapsed(rows, pool, question.text, dateKey);
  pool = hits;
  if (diversity !== null && pool.length) {
    if (!dense) {
      throw new InvalidInputError("diversity: this collection holds texts without vectors, so nothing can be compared");
    }
    pool = mmr(pool, (row) => dense.vector(row), depth, diversity);
  }
  pool = pool.slice(offset, depth);
  if (plan.newestFirst) {
    const scores = new Map(pool.map(({ row, score }) => [row, score]));
    pool = newestFirst(rows, [...scores.keys()], dateKey).map((row) => ({ row, score: scores.get(row) ?? 0 }));
  }
  return pool.map(({ row, score }) => ({
    row,
    score,
    dense: cosines ? cosines[row] : null,
    sparse: sparse ? sparse.scores[row] : null,
    relevance: relevance(plan, question, score),
    parts: plan.explain ? explained(question, row, partsOf(row)) : null,
    ...(seen.get(row) ?? ALONE),
  }));
}

/** @typedef {{dense?: number, sparse?: number, signals?: Record<string, number>, formula: string}} Named */
/** @typedef {import("./rank.js").Scored[]} Ranking Best first. */
/** @typedef {{row: number, score: number, group: unknown}} Member */
/** @typedef {{ranked: Ranking, partsOf: (row: number) => Named}} Pool The best rows, and what their scores are sums of. */
/** @typedef {{assertion: (row: number) => number, recency: (row: number) => number}} Signals Parts known before the cut. */

/** @type {(plan: Plan, rows: Rows, candidates: Candidates, question: Question) => Pool} */
function pooled(plan, rows, candidates, question) {
  return plan.latestBy === null
    ? scored(plan, rows, candidates, question)
    : latestFirst(plan, plan.latestBy, rows, candidates, question);
}

/**
 * Rank the newest record of each value of a key, then all others.
 * @type {(plan: Plan, key: string, rows: Rows, candidates: Candidates, question: Question) => Pool}
 */
function latestFirst(plan, key, rows, { visible, allowed }, question) {
  const { groupBy } = plan;
  const [latest, others] = partLatest(rows, allowed, key, plan.dateKey);
  const first = scored(plan, rows, { visible, allowed: latest }, question);
  const early = new Set(first.ranked.map(({ row }) => row));
  const taken = new Set(groupBy === null ? [] : [...early].map((row) => rows.groupOf(row, groupBy)));
  const left =
    groupBy === null ? others : others.map((seen, row) => (seen && !taken.has(rows.groupOf(row, groupBy)) ? 1 : 0));
  const rest = scored(plan, rows, { visible, allowed: left }, question);
  return {
    ranked: [...first.ranked, ...rest.ranked].slice(0, plan.pool),
    partsOf: (row) => (early.has(row) ? first : rest).partsOf(row),
  };
}

/** @type {(plan: Plan, rows: Rows, candidates: Candidates, question: Question) => Pool} */
function scored(plan, rows, candidates, question) {
  const { cosines, sparse } = question;
  const { pool, groupBy } = plan;
  const reach = groupBy === null ? pool : Infinity; // the best rows of a group are not known beforehand
  const firsts = (/** @type {Ranking} */ ranking, k = pool) => firstOfEachGroup(plan, rows, ranking, k);
  if (plan.mode === "sparse" || !cosines) {
    let signals = signalsOf(plan, rows, question, sparse?.bound ?? 0);
    // Where every row denies what is asked, there is nothing to come after, and to find nothing would hide that.
    if (!sparseRanking(candidates, sparse, signals, 1).length) signals = { ...signals, assertion: () => 0 };
    const formula = (/** @type {number} */ row) => `bm25 ${(sparse?.scores[row] ?? 0).toFixed(6)}`;
    return {
      ranked: firsts(sparseRanking(candidates, sparse, signals, reach)),
      partsOf: (row) => ({ sparse: sparse?.scores[row], signals: at(signals, row), formula: formula(row) }),
    };
  }
  if (plan.mode === "hybrid" && plan.fusion === "rrf") return fused(plan, rows, candidates, question, firsts);
  const signals = signalsOf(plan, rows, question, 1);
  const weight = plan.mode === "dense" ? 1 : plan.weight;
  const words = plan.mode === "hybrid" && sparse?.bound ? (1 - weight) / sparse.bound : 0;
  const sparseOf = (/** @type {number} */ row) => (words && sparse ? words * sparse.scores[row] : 0);
  const score = (/** @type {number} */ row) =>
    weight * cosines[row] + sparseOf(row) + signals.assertion(row) + signals.recency(row);
  return {
    ranked: firsts(denseRanking(candidates, score, reach)),
    partsOf: (row) => ({
      dense: weight * cosines[row],
      sparse: sparseOf(row),
      signals: at(signals, row),
      formula: weighed(plan, cosines[row], sparse, row),
    }),
  };
}

/**
 * Ranks of both halves, fused; where there are groups, a half ranks groups, and the better of a group's two best rows
 * stands for it.
 * @type {(plan: Plan, rows: Rows, candidates: Candidates, question: Question,
 *   firsts: (ranking: Ranking, k: number) => Member[]) => Pool}
 */
function fused(plan, rows, candidates, question, firsts) {
  const cosines = /** @type {Float64Array} */ (question.cosines);
  const reach = plan.groupBy === null ? plan.fetchK : Infinity;
  const { sparse } = question;
  const near = signalsOf(plan, rows, question, 1);
  const far = signalsOf(plan, rows, question, sparse?.bound ?? 0);
  const halves = [
    firsts(
      denseRanking(candidates, (row) => cosines[row] + near.assertion(row) + near.recency(row), reach),
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

/** @type {(plan: Plan, rows: Rows, question: Question, full: number) => Signals} */
const signalsOf = (plan, rows, question, full) => ({
  assertion: demotion(plan, question, full),
  recency: gainOf(rows, plan, full),
});

/**
 * What the signals are for a row; those that are nothing are left out.
 * @type {(signals: Signals, row: number) => Record<string, number>}
 */
const at = (signals, row) =>
  Object.fromEntries(
    Object.entries(signals)
      .map(([name, signal]) => /** @type {[string, number]} */ ([name, signal(row)]))
      .filter(([, value]) => value),
  );

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

/**
 * The rows that hold a term and are not demoted to nothing: being new makes no hit of another.
 * @type {(candidates: Candidates, sparse: SparseResult | null, signals: Signals, k: number) => Ranking}
 */
function sparseRanking({ allowed }, sparse, { assertion, recency }, k) {
  if (!sparse) return [];
  const score = (/** @type {number} */ row) => sparse.scores[row] + assertion(row);
  return best(
    sparse.rows.filter((row) => allowed[row] && score(row) > 0),
    (row) => score(row) + recency(row),
    k,
  );
}

/** @type {(plan: Plan, rows: Rows, ranking: Ranking, k: number) => Member[]} */
function firstOfEachGroup({ groupBy }, rows, ranking, k) {
  if (groupBy === null) return ranking.slice(0, k).map((each) => ({ ...each, group: each.row }));
  const firsts = new Map();
  for (const each of ranking) {
    const group = rows.groupOf(each.row, groupBy);
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
function explained({ sparse, asserted }, row, { dense = 0, sparse: words = 0, signals = {}, formula }) {
  const negated = asserted?.negations(row) ?? {};
  for (const [name, value] of Object.entries(signals)) {
    formula += ` ${value < 0 ? "-" : "+"} ${name} ${Math.abs(value).toFixed(6)}`;
  }
  if (asserted?.contradicted[row])
    formula += ` (${Object.entries(negated)
      .map((each) => each.join(" "))
      .join(", ")})`;
  return { dense, sparse: words, signals, terms: sparse ? sparse.explain(row) : {}, negated, formula };
}

/**
 * A score from 0 to 1, by the lowest and the highest that its scale has.
 * @type {(plan: Plan, question: Question, score: number) => number}
 */
function relevance({ mode, fusion, alpha }, { cosines, sparse }, score) {
  const share = () => {
    if (!cosines) return score / (sparse?.bound || 1);
    if (mode !== "hybrid" || fusion !== "rrf") return (score + 1) / 2;
    return (score * (RRF_K + 1)) / (alpha === null ? 2 : 1);
  };
  return Math.min(1, Math.max(0, share()));
}

/** @param {Candidates} candidates */
function* allowedRows({ allowed }) {
  for (let row = 0; row < allowed.length; row++) if (allowed[row]) yield row;
}
