// The options of a search, those of bedside/search/options.py, and what a search becomes by them.
import { InvalidInputError, shown } from "./errors.js";
import { readRecency } from "./newest.js";
import { moment } from "./validity.js";

/** @typedef {"hybrid" | "dense" | "sparse"} Mode */
/**
 * @typedef {object} Options
 * @property {number} [topK] How many hits at most; 10.
 * @property {any} [filter] Only documents whose metadata satisfy it are ranked.
 * @property {Mode | null} [mode] What the question offers, where it is not given.
 * @property {number | null} [alpha] Weight of the dense half in a hybrid search, 0 to 1; the collection's own.
 * @property {"weighted" | "rrf"} [fusion] Adds the halves on a fixed scale, or fuses their ranks.
 * @property {number | null} [fetchK] Pool of RRF, MMR and copies; 100.
 * @property {number | null} [minScore] Leave out hits below it.
 * @property {number | null} [diversity] Re-rank the pool by maximal marginal relevance.
 * @property {number} [offset] Skip so many hits.
 * @property {string[] | null} [ids] Only these documents are ranked.
 * @property {string | null} [groupBy] The best hit of each value of this metadata key only.
 * @property {"prefer" | "only" | "any"} [assertion] What denies the question comes last, is left out, or ranks as all do.
 * @property {Date | string | null} [asOf] Only what was valid then: a date, a time in ISO 8601, or "now".
 * @property {string | import("./newest.js").Recency | null} [recency] What newer documents gain: "30d:0.2".
 * @property {string | null} [latestBy] The newest document of each value of this metadata key comes first.
 * @property {boolean} [newestFirst] Order the hits that were found by date.
 * @property {string} [dateKey] The metadata key of a document's date; "date".
 * @property {"copies" | null} [collapse] A hit whose text is nearly that of a better one becomes one of its copies.
 * @property {boolean} [explain] Say how each score came about.
 */
/** @typedef {{mode: Mode, fetchK: number, depth: number, pool: number, weight: number, until: bigint | null,
 *   fading: import("./newest.js").Fading | null}} Decided */
/** @typedef {Omit<Required<Options>, "recency" | "asOf"> & Decided} Plan */

/** Every option with its default. */
export const DEFAULTS = Object.freeze({
  topK: 10,
  filter: null,
  mode: null,
  alpha: null,
  fusion: "weighted",
  fetchK: null,
  minScore: null,
  diversity: null,
  offset: 0,
  ids: null,
  groupBy: null,
  assertion: "prefer",
  asOf: null,
  recency: null,
  latestBy: null,
  newestFirst: false,
  dateKey: "date",
  collapse: null,
  explain: false,
});
/** Options of Python's that are none here, with the reason. */
export const REFUSED = Object.freeze({
  rerank: "a page does not look at its hits again",
  asOne: "a page reads each document by itself",
});
const FETCH_K = 100;

/**
 * Check the options of a search.
 * @param {Options & {vector?: unknown}} given Beside the options the `vector` of the question.
 * @param {Mode} natural The mode where none is given.
 * @param {number} ownAlpha The weight of the dense half where none is given.
 * @returns {Plan}
 * @throws {InvalidInputError} Names the option that is wrong.
 */
export function makePlan({ vector: _, ...given }, natural, ownAlpha) {
  checkNames(given);
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  /** @type {Required<Options>} */
  const options = /** @type {any} */ ({ ...DEFAULTS, ...Object.fromEntries(set) });
  const { topK, offset, alpha, fusion, diversity, collapse, asOf, recency, latestBy } = options;
  checkChoice("mode", options.mode ?? natural, ["hybrid", "dense", "sparse"]);
  checkChoice("fusion", fusion, ["weighted", "rrf"]);
  checkChoice("assertion", options.assertion, ["prefer", "only", "any"]);
  if (collapse !== null) checkChoice("collapse", collapse, ["copies"]);
  checkInt("topK", topK, 1);
  checkInt("offset", offset, 0);
  if (options.fetchK !== null) checkInt("fetchK", options.fetchK, 1);
  checkNumber("alpha", alpha, 0, 1);
  checkNumber("diversity", diversity, 0, 1);
  checkNumber("minScore", options.minScore, -Infinity, Infinity);
  checkKey("groupBy", options.groupBy, true);
  checkKey("latestBy", latestBy, true);
  checkKey("dateKey", options.dateKey, false);
  checkFlag("newestFirst", options.newestFirst);
  checkFlag("explain", options.explain);
  if (latestBy !== null && diversity !== null) {
    throw new InvalidInputError("latestBy: an order of its own, which diversity would undo; give one");
  }
  const fetchK = options.fetchK ?? FETCH_K;
  const weight = alpha ?? ownAlpha;
  const depth = topK + offset;
  const wide = Math.max(depth, fetchK);
  const decided = {
    mode: halves(options.mode ?? natural, fusion === "rrf" ? alpha : weight), // ranks are fused evenly unless asked
    weight,
    depth,
    fetchK,
    pool: diversity !== null ? (options.fetchK ?? wide) : collapse !== null ? wide : depth,
    until: asOf === null ? null : moment(asOf, "asOf"),
    fading: recency === null ? null : readRecency(recency),
  };
  return { ...options, ...decided };
}

/**
 * A hybrid search with all the weight on one half has no other.
 * @type {(mode: Mode, weight: number | null) => Mode}
 */
function halves(mode, weight) {
  if (mode !== "hybrid") return mode;
  return weight === 1 ? "dense" : weight === 0 ? "sparse" : mode;
}

/** @param {Record<string, unknown>} given */
function checkNames(given) {
  for (const [name, value] of Object.entries(given)) {
    if (Object.hasOwn(DEFAULTS, name)) continue;
    const reason = Object.hasOwn(REFUSED, name) && REFUSED[/** @type {keyof typeof REFUSED} */ (name)];
    if (reason && value != null) throw new InvalidInputError(`${name}: ${reason}`);
    if (!reason) {
      throw new InvalidInputError(
        `search: unknown option '${name}'; allowed: ${Object.keys(DEFAULTS).join(", ")}, vector`,
      );
    }
  }
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

/** @type {(name: string, value: unknown, optional: boolean) => void} */
function checkKey(name, value, optional) {
  if ((optional && value === null) || (typeof value === "string" && value)) return;
  throw new InvalidInputError(`${name}: expected a metadata key${optional ? " or null" : ""}, got ${shown(value)}`);
}

/** @type {(name: string, value: unknown) => void} */
function checkFlag(name, value) {
  if (typeof value !== "boolean") throw new InvalidInputError(`${name}: expected true or false, got ${shown(value)}`);
}
