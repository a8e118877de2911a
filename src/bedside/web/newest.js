// Newer before older: the part of the score that fades with age, and the orders that go by date. bedside/search/newest.py.
import { momentOf } from "./dates.js";
import { InvalidInputError, shown } from "./errors.js";

/** @typedef {import("./index-rows.js").Rows} Rows */
/** @typedef {{halfLife: string, weight?: number, key?: string | null}} Recency */
/** @typedef {{life: number, weight: number, key: string | null}} Fading `life`: the half-life in microseconds. */

const HOUR = 3_600_000_000;
/** @type {Record<string, number>} */
const UNITS = { h: HOUR, d: 24 * HOUR, w: 7 * 24 * HOUR, y: 365.25 * 24 * HOUR };
const TIME = /^([0-9]+(?:\.[0-9]+)?)([hdwy])$/;
const TEXT = /^(?:(.+):)?([^:]+):([^:]+)$/s;

/**
 * Read what newer documents gain.
 * @param {string | Recency} given Half-life and weight, "30d:0.2"; with a date key of its own, "issued:30d:0.2".
 * @returns {Fading}
 * @throws {InvalidInputError} It cannot be read, or the weight is not from 0 to 1.
 */
export function readRecency(given) {
  const { halfLife, weight = 0.2, key = null } = typeof given === "string" ? fromText(given) : given;
  if (typeof weight !== "number" || !(weight >= 0 && weight <= 1)) {
    throw new InvalidInputError(`recency: weight: expected a number from 0 to 1, got ${shown(weight)}`);
  }
  if (key !== null && (typeof key !== "string" || !key)) {
    throw new InvalidInputError(`recency: key: expected a metadata key or null, got ${shown(key)}`);
  }
  const found = TIME.exec(halfLife);
  if (!found || !Number(found[1])) {
    throw new InvalidInputError(`recency: expected a half-life such as 36h, 30d, 8w or 1.5y, got ${shown(halfLife)}`);
  }
  return { life: Number(found[1]) * UNITS[found[2]], weight, key };
}

/**
 * @param {string} text
 * @returns {Recency}
 */
function fromText(text) {
  const found = TEXT.exec(text);
  if (!found) {
    const forms = "half-life and weight such as 30d:0.2, or with a key date:30d:0.2";
    throw new InvalidInputError(`recency: expected ${forms}, got ${shown(text)}`);
  }
  const weight = found[3].trim() ? Number(found[3]) : NaN;
  if (Number.isNaN(weight)) {
    throw new InvalidInputError(`recency: expected a weight such as 0.2, got ${shown(found[3])}`);
  }
  return { halfLife: found[2], weight, key: found[1] ?? null };
}

/**
 * What a row gains by being new: the weight now, or at the moment that is asked about, and half of it a half-life ago.
 * @param {Rows} rows
 * @param {{fading: Fading | null, dateKey: string, until: bigint | null}} plan
 * @param {number} full The length of the scale.
 * @returns {(row: number) => number}
 */
export function gainOf(rows, { fading, dateKey, until }, full) {
  if (!fading) return () => 0;
  const { key, life, weight } = fading;
  const now = until ?? momentOf(new Date());
  return (row) => {
    const when = rows.dateOf(row, key ?? dateKey);
    return when === null ? 0 : full * weight * 2 ** (-Math.max(Number(now - when), 0) / life);
  };
}

/**
 * Part rows into the newest of each value of a key and all others; of several with one date all are the newest.
 * @param {Rows} rows
 * @param {Uint8Array} allowed
 * @param {string} key
 * @param {string} dateKey
 * @returns {[Uint8Array, Uint8Array]}
 */
export function partLatest(rows, allowed, key, dateKey) {
  /** @type {Map<unknown, bigint>} */
  const newest = new Map();
  /** @type {(row: number) => bigint | null} */
  const dated = (row) => (allowed[row] && rows.fieldsOf(row).has(key) ? rows.dateOf(row, dateKey) : null);
  for (let row = 0; row < allowed.length; row++) {
    const when = dated(row);
    if (when === null) continue;
    const group = rows.groupOf(row, key);
    const known = newest.get(group);
    if (known === undefined || when > known) newest.set(group, when);
  }
  const latest = allowed.map((_, row) => {
    const when = dated(row);
    return when !== null && when === newest.get(rows.groupOf(row, key)) ? 1 : 0;
  });
  return [latest, allowed.map((seen, row) => (seen && !latest[row] ? 1 : 0))];
}

/**
 * Order rows by their dates; those of one date, and those without, stay in their order.
 * @param {Rows} rows
 * @param {number[]} found
 * @param {string} dateKey
 * @returns {number[]}
 */
export function newestFirst(rows, found, dateKey) {
  const dated = found.map((row) => ({ row, when: rows.dateOf(row, dateKey) }));
  return dated.sort((a, b) => compareDates(b.when, a.when)).map(({ row }) => row);
}

/**
 * The earlier first, and what has no date before all others.
 * @type {(a: bigint | null, b: bigint | null) => number}
 */
function compareDates(a, b) {
  if (a === b) return 0;
  return b === null || (a !== null && a > b) ? 1 : -1;
}
