// Ranking as pure functions: best rows, reciprocal rank fusion, maximal marginal relevance. As bedside/rank.py.
import { dot } from "./dense.js";

/** @typedef {{row: number, score: number}} Scored */

/** The constant of Cormack, Clarke and Büttcher (SIGIR 2009), where ranks count from 1. */
export const RRF_K = 60;
/** Weight of the dense half where neither encoder nor collection has its own. */
export const DEFAULT_ALPHA = 0.6;

/**
 * The `k` best of some rows, best first, the lower row first among equals.
 * @param {Iterable<number>} rows Ascending.
 * @param {(row: number) => number} scoreOf
 * @param {number} k
 * @returns {Scored[]}
 */
export function best(rows, scoreOf, k) {
  /** @type {Scored[]} */
  let kept = [];
  let least = -Infinity;
  for (const row of rows) {
    const score = scoreOf(row);
    if (kept.length >= k && score <= least) continue; // an equal score loses to the lower row
    kept.push({ row, score });
    if (kept.length >= 4 * k + 64) {
      kept = kept.sort(betterFirst).slice(0, k);
      least = kept[k - 1].score;
    }
  }
  return kept.sort(betterFirst).slice(0, k);
}

/** @type {(a: Scored, b: Scored) => number} */
const betterFirst = (a, b) => b.score - a.score || a.row - b.row;

/**
 * Choose by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): each step takes the highest
 * `(1 - diversity) * relevance - diversity * (highest cosine to one already taken)`.
 * @param {Scored[]} pool Best first.
 * @param {(row: number) => Float32Array} vectorOf
 * @param {number} k
 * @param {number} diversity
 */
export function mmr(pool, vectorOf, k, diversity) {
  const open = pool.map(({ row, score }) => ({ row, score, vector: vectorOf(row), closest: -Infinity }));
  /** @type {Scored[]} */
  const chosen = [];
  while (open.length && chosen.length < k) {
    const gains = open.map(({ score, closest }) => (1 - diversity) * score - diversity * (chosen.length ? closest : 0));
    const [pick] = open.splice(gains.indexOf(gains.reduce((a, b) => Math.max(a, b))), 1);
    chosen.push({ row: pick.row, score: pick.score });
    for (const other of open) other.closest = Math.max(other.closest, dot(other.vector, pick.vector));
  }
  return chosen;
}
