// The living records by row, what is searched in them, and who may be seen: bedside/index/state.py.
import { fieldTerms } from "./analyzer.js";
import { SparseIndex } from "./bm25.js";
import { beginsOf } from "./dates.js";
import { DenseIndex } from "./dense.js";
import { fields, keyOf } from "./filter-rules.js";
import { matcher } from "./filters.js";
import { writeJson } from "./json.js";
import { keyOfRecord } from "./records.js";
import { ClinicalTokenizer } from "./tokenizer.js";
import { compareStrings } from "./unicode.js";
import { isValid, superseded } from "./validity.js";

/** @typedef {import("./records.js").Entry} Entry */
/** @typedef {import("./records.js").Stored} Stored */
/** @typedef {import("./filter-rules.js").Node} Node */
/** @typedef {{visible: Uint8Array, allowed: Uint8Array}} Candidates The corpus, and what of it may be found. */
/** @typedef {{k1?: number, b?: number, stem?: boolean, stopWords?: boolean, alpha?: number,
 *   title?: string | null}} Settings `title`: the metadata key of titles; null reads none. */

/** Rows are numbered in the order of insertion and never leave; a record that is replaced gets a new one. */
export class Rows {
  /** @param {Settings} [settings] */
  constructor({ k1, b, stem, stopWords, title = "title" } = {}) {
    this.title = title;
    this.tokenizer = new ClinicalTokenizer({ stem, stopWords });
    this.sparse = new SparseIndex(k1, b);
    /** @type {DenseIndex | null} */
    this.dense = null;
    /** @type {(Stored | null)[]} */
    this.documents = [];
    /** @type {string[]} */
    this.scopes = [];
    /** @type {Map<string, number>} */
    this.rows = new Map();
    /** @type {(Map<string, any> | undefined)[]} */
    this.fields = [];
    /** @type {Map<string, (bigint | null | undefined)[]>} */
    this.dates = new Map();
  }

  /**
   * Take over one change; the vector of a new row is asked for later, see `addVectors`.
   * @param {Entry} entry
   */
  apply(entry) {
    this.place(entry);
    if (!entry.document) return;
    const { terms, negated, length } = fieldTerms(entry.document, this.title, this.tokenizer);
    this.sparse.add(terms, negated, length);
  }

  /**
   * Give a record its row, and end that of the one it replaces.
   * @param {Entry} entry
   */
  place({ key, scope, document }) {
    const old = this.rows.get(key);
    if (old !== undefined) {
      this.documents[old] = null;
      this.fields[old] = undefined;
      this.rows.delete(key);
    }
    if (!document) return;
    this.rows.set(key, this.documents.push(document) - 1);
    this.scopes.push(scope);
  }

  /**
   * Give the rows that have none yet their vectors, until the time is up.
   * @param {number} dimension
   * @param {(document: Stored) => ArrayLike<number>} vectorOf
   * @param {number} until As `performance.now()` counts.
   * @returns {number} How many rows are still without.
   */
  addVectors(dimension, vectorOf, until) {
    const { documents } = this;
    const dense = (this.dense ??= new DenseIndex(dimension));
    while (dense.rows < documents.length && performance.now() < until) {
      const document = documents[dense.rows];
      dense.add(document ? vectorOf(document) : new Float32Array(dimension)); // what is gone is never asked for
    }
    return documents.length - dense.rows;
  }

  /**
   * The row of a record.
   * @param {string} scope
   * @param {string} id
   */
  row(scope, id) {
    return this.rows.get(keyOfRecord(scope, id));
  }

  /**
   * Which rows a search may see, and which of them it may return.
   * @param {string} scope
   * @param {Node | null} node
   * @param {string[] | null} [ids]
   * @param {bigint | null} [until] Only what was valid just before.
   * @returns {Candidates}
   */
  candidates(scope, node, ids = null, until = null) {
    const visible = this.visible(scope, until);
    let allowed = visible;
    if (node) {
      const matches = matcher(node);
      allowed = visible.map((seen, row) => (seen && matches(this.fieldsOf(row)) ? 1 : 0));
    }
    if (ids) {
      const named = new Set(ids.map((id) => this.row(scope, id)));
      allowed = allowed.map((seen, row) => (seen && named.has(row) ? 1 : 0));
    }
    return { visible, allowed };
  }

  /** @type {(scope: string, until: bigint | null) => Uint8Array} */
  visible(scope, until) {
    const { documents } = this;
    const seen = new Uint8Array(documents.length);
    documents.forEach((document, row) => {
      seen[row] = document && this.scopes[row] === scope ? 1 : 0;
    });
    if (until === null) return seen;
    const valid = seen.map((visible, row) => (visible && isValid(this, row, until) ? 1 : 0));
    for (const row of superseded(this, seen, valid)) valid[row] = 0;
    return valid;
  }

  /**
   * The record of a row that is visible.
   * @param {number} row
   */
  record(row) {
    return /** @type {Stored} */ (this.documents[row]);
  }

  /**
   * When the date at a path of a row's metadata begins, worked out once; null where there is none.
   * @param {number} row
   * @param {string} path
   * @returns {bigint | null}
   */
  dateOf(row, path) {
    const known = this.dates.get(path) ?? [];
    this.dates.set(path, known);
    const found = known[row];
    return found === undefined ? (known[row] = beginsOf(this.fieldsOf(row).get(path))) : found;
  }

  /**
   * What is equal for rows whose values at a path are; one without it is a group of its own.
   * @param {number} row
   * @param {string} path
   * @returns {unknown}
   */
  groupOf(row, path) {
    const found = this.fieldsOf(row);
    if (!found.has(path)) return `row ${row}`;
    const value = found.get(path);
    if (typeof value === "string") return `text ${value}`;
    return value !== null && typeof value === "object" ? `json ${writeJson(sorted(value))}` : keyOf(value);
  }

  /**
   * Every path of a row's metadata with its value, worked out once.
   * @param {number} row
   */
  fieldsOf(row) {
    return (this.fields[row] ??= fields(this.record(row).metadata));
  }

  /**
   * How many of some rows hold each scalar at a path, as itself or in a list; the most frequent first, ties by value.
   * @param {string} path
   * @param {Uint8Array} allowed
   * @returns {[any, number][]}
   */
  facets(path, allowed) {
    /** @type {Map<any, number>} */
    const counts = new Map();
    allowed.forEach((seen, row) => {
      const value = seen ? this.fieldsOf(row).get(path) : undefined;
      if (value === undefined) return;
      const held = Array.isArray(value) ? new Set(value.map(keyOf)) : [keyOf(value)];
      for (const key of held) if (typeof key !== "symbol") counts.set(key, (counts.get(key) ?? 0) + 1);
    });
    return [...counts].sort(([a, m], [b, n]) => n - m || compareKeys(a, b));
  }
}

/**
 * null, booleans, numbers, strings, each in order.
 * @param {any} a
 * @param {any} b
 */
function compareKeys(a, b) {
  const byKind = kindOf(a) - kindOf(b);
  if (byKind || a === b) return byKind;
  return typeof a === "string" ? compareStrings(a, b) : a < b ? -1 : 1;
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

/** @param {any} key */
const kindOf = (key) => (key === null ? 0 : typeof key === "boolean" ? 1 : typeof key === "string" ? 3 : 2);
