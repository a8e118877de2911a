// From a record to the terms it is found by: those of its text, and of its title. As bedside/text/analyzer.py.
import { markedTerms } from "./assertions.js";
import { isBlank } from "./unicode.js";

/** @typedef {import("./records.js").Stored} Stored */
/** @typedef {{terms: string[], negated: Uint8Array, length: number}} FieldTerms `length`: how long a record counts as. */

const TIMES = 3;

/**
 * A record's title; empty where titles are not read, or it has none that is a text.
 * @param {Stored["metadata"]} metadata
 * @param {string | null} key The metadata key of titles.
 * @returns {string}
 */
export function titleOf(metadata, key) {
  const title = key === null || !Object.hasOwn(metadata, key) ? null : metadata[key];
  return typeof title === "string" && !isBlank(title) ? title : "";
}

/**
 * The terms of a record: those of its title count three times, their length once.
 * @param {Stored} document
 * @param {string | null} key The metadata key of titles.
 * @param {import("./tokenizer.js").ClinicalTokenizer} tokenizer
 * @returns {FieldTerms}
 */
export function fieldTerms({ text, metadata }, key, tokenizer) {
  const { terms, negated } = markedTerms(text, tokenizer);
  const title = titleOf(metadata, key);
  if (!title) return { terms, negated, length: terms.length };
  const named = markedTerms(title, tokenizer);
  const held = new Set(terms);
  const affirmed = new Set(terms.filter((_, i) => !negated[i]));
  // A title neither hides nor makes a denial: what the text only denies stays denied.
  const marks = named.terms.map((term, i) => (held.has(term) ? Number(!affirmed.has(term)) : named.negated[i]));
  const times = Array.from({ length: TIMES });
  return {
    terms: [...terms, ...times.flatMap(() => named.terms)],
    negated: Uint8Array.from([...negated, ...times.flatMap(() => marks)]),
    length: terms.length + named.terms.length,
  };
}
