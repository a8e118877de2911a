// What was valid when, by the metadata keys valid_from, valid_to and supersedes: as bedside/filters/validity.py.
import { LAST_MOMENT, momentOf, readDate } from "./dates.js";
import { InvalidInputError, shown } from "./errors.js";

/** @typedef {import("./index-rows.js").Rows} Rows */

const FORMS = "expected a date, a time, or a text such as 2024-05-31, 2024-05-31T14:30:00+02:00 or now";

/**
 * The first moment after the one that is asked about: a day is asked about at its end.
 * @param {Date | string} asOf A Date; a day or a time as a text in ISO 8601, in UTC where it has no zone; or "now".
 * @param {string} name The option's name, for errors.
 * @returns {bigint} As dates.js counts.
 * @throws {InvalidInputError} It is none of these.
 * @example moment("2024-05-06", "asOf") === readDate("2024-05-07")[0] // true
 */
export function moment(asOf, name) {
  const end = endOf(asOf === "now" ? new Date() : asOf);
  if (end === null) throw new InvalidInputError(`${name}: ${FORMS}, got ${shown(asOf)}`);
  return end < 0n ? 0n : end > LAST_MOMENT ? LAST_MOMENT : end;
}

/**
 * @param {unknown} when
 * @returns {bigint | null}
 */
function endOf(when) {
  if (typeof when === "string") return readDate(when)?.[1] ?? null;
  return when instanceof Date && !Number.isNaN(when.getTime()) ? momentOf(when) + 1n : null;
}

/**
 * Whether a row was valid just before a moment; a bound that is missing, null or no date is open.
 * @param {Rows} rows
 * @param {number} row
 * @param {bigint} until
 */
export function isValid(rows, row, until) {
  const [from, to] = [rows.dateOf(row, "valid_from"), rows.dateOf(row, "valid_to")];
  return !(from !== null && from >= until) && !(to !== null && to < until);
}

/**
 * The rows that a valid one names in `supersedes`: a record's id, or that of the note whose passage a row is.
 * @param {Rows} rows
 * @param {Uint8Array} seen The rows of the scope.
 * @param {Uint8Array} valid Those of them that are valid.
 * @returns {Set<number>}
 */
export function superseded(rows, seen, valid) {
  /** @type {{row: number, owner: string, name: string}[]} */
  const naming = [];
  seen.forEach((visible, row) => {
    if (!visible) return;
    for (const name of strings(rows.fieldsOf(row).get("supersedes"))) {
      naming.push({ row, owner: noteOf(rows, row) ?? rows.record(row).id, name });
    }
  });
  const loops = circular(naming.map(({ owner, name }) => [owner, name]));
  const said = new Set(naming.filter(({ row }, i) => valid[row] && !loops[i]).map(({ name }) => name));
  /** @type {Set<number>} */
  const found = new Set();
  if (!said.size) return found;
  seen.forEach((visible, row) => {
    const names = visible ? [rows.record(row).id, noteOf(rows, row)] : [];
    if (names.some((name) => name !== null && said.has(name))) found.add(row);
  });
  return found;
}

/**
 * The id of the note whose passage a row is; null where it is none.
 * @type {(rows: Rows, row: number) => string | null}
 */
function noteOf(rows, row) {
  const found = rows.fieldsOf(row);
  const note = found.has("source_hash") ? found.get("source_id") : null;
  return typeof note === "string" ? note : null;
}

/** @type {(value: unknown) => string[]} */
const strings = (value) => [value].flat().filter((each) => typeof each === "string");

/**
 * Which links lie on a circle: those whose end leads back to where they begin. They say nothing about what is newer.
 * @param {[string, string][]} links From a version to one that it supersedes.
 * @returns {boolean[]}
 */
export function circular(links) {
  /** @type {Map<string, string[]>} */
  const follows = new Map();
  for (const [newer, older] of links) follows.set(newer, [...(follows.get(newer) ?? []), older]);
  return links.map(([newer, older]) => leadsTo(follows, older, newer));
}

/** @type {(follows: Map<string, string[]>, from: string, to: string) => boolean} */
function leadsTo(follows, from, to) {
  const seen = new Set([from]);
  for (const each of seen) {
    if (each === to) return true;
    for (const next of follows.get(each) ?? []) seen.add(next); // a set is walked on while it grows
  }
  return false;
}
