// What each comparison of the filter language accepts, as bedside/filters/rules.py.
import { readDate, storedSpan } from "./dates.js";
import { casefold, compareStrings } from "./unicode.js";

/** @typedef {string | number | bigint | boolean | null} Scalar */
/** @typedef {{op: "$and" | "$or", children: Node[]} | {op: "$not", child: Node} | Comparison} Node */
/** @typedef {{op: string, path: string, operand: any}} Comparison */
/** @typedef {(key: unknown) => boolean} Test Judges a key, see `keyOf`. */

/** Stand for the values that are neither strings, numbers, booleans nor null. */
const EMPTY_LIST = Symbol("[]");
const LIST = Symbol("[...]");
const EMPTY_OBJECT = Symbol("{}");
const OBJECT = Symbol("{...}");
const EMPTY = new Set(["", null, EMPTY_LIST, EMPTY_OBJECT]);
const WORDS = /[\p{L}\p{N}_]+/gu;

/**
 * The key of a JSON value: what the language's equality compares. A whole number has one key, however it is held.
 * @param {any} value
 */
export function keyOf(value) {
  if (typeof value === "bigint") return BigInt(Number(value)) === value ? Number(value) : value;
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.length ? LIST : EMPTY_LIST;
  return Object.keys(value).length ? OBJECT : EMPTY_OBJECT;
}

/**
 * Every path into a record's metadata with the value it leads to. A path is keys joined by dots and reaches into
 * objects, never into lists; a literal key with a dot beats the path through objects.
 * @param {Record<string, any>} metadata
 * @returns {Map<string, any>}
 */
export function fields(metadata) {
  const found = new Map();
  collect(metadata, "", found);
  return found;
}

/**
 * @param {Record<string, any>} node
 * @param {string} prefix
 * @param {Map<string, any>} found
 */
function collect(node, prefix, found) {
  for (const key of Object.keys(node).sort((a, b) => b.length - a.length)) {
    const value = node[key];
    const path = prefix + key;
    if (!found.has(path)) found.set(path, value);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) collect(value, `${path}.`, found);
  }
}

/**
 * Whether a value at a path matches a comparison other than `$exists`: by itself, or by an element of its list.
 * @param {Comparison} node
 * @returns {(value: any) => boolean}
 */
export function valueTest({ op, operand }) {
  if (op === "$contains") {
    const wanted = keyOf(operand);
    const within = typeof operand === "string" ? strings((text) => text.includes(operand)) : () => false;
    return (value) => within(keyOf(value)) || (Array.isArray(value) && value.some((item) => keyOf(item) === wanted));
  }
  const test = keyTest(op, operand);
  if (op === "$empty" || BOUNDS[op]) return (value) => test(keyOf(value));
  return (value) => test(keyOf(value)) || (Array.isArray(value) && value.some((item) => test(keyOf(item))));
}

/** @type {Record<string, (order: number) => boolean>} */
const BOUNDS = { $gt: (o) => o > 0, $gte: (o) => o >= 0, $lt: (o) => o < 0, $lte: (o) => o <= 0 };

/**
 * @param {string} op
 * @param {any} operand
 * @returns {Test}
 */
function keyTest(op, operand) {
  if (BOUNDS[op]) {
    const span = typeof operand === "string" ? readDate(operand) : null;
    return span ? beside(span, op) : bound(operand, BOUNDS[op]);
  }
  switch (op) {
    case "$in": {
      const keys = new Set(operand.map(keyOf));
      return (key) => keys.has(key);
    }
    case "$empty":
      return (key) => EMPTY.has(/** @type {any} */ (key));
    case "$prefix":
      return strings((text) => text.startsWith(operand));
    case "$text":
      return strings(phrase(operand));
    case "$like":
      return strings(like(operand));
    case "$ilike": {
      const folded = like(casefold(operand));
      return strings((text) => folded(casefold(text)));
    }
    default:
      throw new TypeError(`${op} has no rule over values`);
  }
}

/**
 * @param {string | number | bigint} limit
 * @param {(order: number) => boolean} accepts
 * @returns {Test}
 */
function bound(limit, accepts) {
  if (typeof limit === "string") return strings((text) => accepts(compareStrings(text, limit)));
  return (key) =>
    (typeof key === "number" || typeof key === "bigint") && accepts(key < limit ? -1 : key > limit ? 1 : 0);
}

/**
 * Accepts the dates on one side of a span: of `$lt`, "lies within it" and `$gt` exactly one holds for any two dates.
 * @type {(span: import("./dates.js").Span, op: string) => Test}
 */
function beside([first, last], op) {
  return strings((text) => {
    const stored = storedSpan(text);
    if (!stored) return false;
    const [start, end] = stored;
    if (op === "$lt") return start < first;
    if (op === "$lte") return start < first || end <= last;
    return op === "$gte" ? start >= first : start >= first && end > last;
  });
}

/**
 * @param {(text: string) => boolean} accepts
 * @returns {Test}
 */
const strings = (accepts) => (key) => typeof key === "string" && accepts(key);

/**
 * The case-folded runs of letters, digits and underscores that `$text` compares.
 * @param {string} text
 * @returns {string[]}
 */
export const words = (text) => casefold(text).match(WORDS) ?? [];

/**
 * A test for strings that hold the operand's words next to each other, in order.
 * @param {string} operand
 */
export function phrase(operand) {
  const wanted = ` ${words(operand).join(" ")} `;
  return (/** @type {string} */ text) => ` ${words(text).join(" ")} `.includes(wanted);
}

/**
 * A test for whole strings by an SQL LIKE pattern. Between the `%` every piece has a fixed length, so taking each at
 * its leftmost place decides the match.
 * @param {string} pattern
 * @returns {(text: string) => boolean}
 */
export function like(pattern) {
  const [first, ...rest] = pieces(pattern);
  const last = rest.pop();
  return (text) => {
    const characters = [...text];
    if (!fits(first, characters, 0)) return false;
    if (!last) return characters.length === first.length;
    let at = first.length;
    for (const piece of rest) {
      while (at + piece.length <= characters.length && !fits(piece, characters, at)) at++;
      at += piece.length;
    }
    const end = characters.length - last.length;
    return at <= end && fits(last, characters, end);
  };
}

/**
 * @param {(string | null)[]} piece null is any character.
 * @param {string[]} characters
 * @param {number} at
 */
const fits = (piece, characters, at) =>
  at + piece.length <= characters.length && piece.every((atom, i) => atom === null || atom === characters[at + i]);

/**
 * The pattern split at `%`.
 * @param {string} pattern
 */
function pieces(pattern) {
  /** @type {(string | null)[][]} */
  const found = [[]];
  for (const atom of pattern.match(/\\?./gsu) ?? []) {
    if (atom === "%") found.push([]);
    else
      /** @type {(string | null)[]} */ (found.at(-1)).push(
        atom === "_" ? null : /** @type {string} */ ([...atom].at(-1)),
      );
  }
  return found;
}
