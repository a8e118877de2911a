// The verbs on records: add, get, delete, count, facets, search, export, import. As bedside.Collection, with promises.
import { askedPolarity } from "./assertions.js";
import { InvalidInputError, ScopeRequired } from "./errors.js";
import { readLines, toLine } from "./exchange.js";
import { parseFilter } from "./filters.js";
import { newestFirst } from "./newest.js";
import { DEFAULTS, makePlan } from "./options.js";
import { checkCount, checkDocuments, checkIds, checkVector, keyOfRecord, scopeOf } from "./records.js";
import { rank } from "./search.js";
import { isBlank } from "./unicode.js";
import { moment } from "./validity.js";

/** @typedef {import("./core.js").Core} Core */
/** @typedef {import("./records.js").Input} Input */
/** @typedef {import("./records.js").Stored} Stored */
/** @typedef {import("./records.js").Metadata} Metadata */
/** @typedef {import("./search.js").Parts & {filter: any, scope: Metadata}} Explanation */
/**
 * @typedef {{id: string, text: string, metadata: Metadata, score: number, dense: number | null, sparse: number | null,
 *   relevance: number, explanation: Explanation | null} & import("./copies.js").Seen} Hit `relevance`: from 0 to 1.
 */

/** The verbs on records, the same on a whole collection and on one scope of it. */
export class Records {
  /** @type {Core} */
  #core;

  /**
   * @param {Core} core
   * @param {Metadata | null} scope
   */
  constructor(core, scope) {
    this.#core = core;
    /** The scope keys and values that every verb is bound to; null where there are none. */
    this.scope = scope;
  }

  /**
   * Add documents, replacing those whose id is already there, as one transaction.
   * @param {Iterable<Input | string>} documents
   * @param {{replacing?: any}} [options] A filter: what it leaves of the records is removed in the same transaction.
   * @returns {Promise<string[]>} The ids, once the browser has the records on its disk.
   * @throws {InvalidInputError} A document cannot be stored; nothing was changed.
   */
  async add(documents, { replacing = null } = {}) {
    const core = this.#core;
    const put = checkDocuments(documents, core.about.scopeKeys, this.scope);
    const chosen = replacing === null ? () => [] : this.#select("add", undefined, replacing);
    await core.refresh();
    core.checkTexts(put);
    const added = new Set(put.map(({ key }) => key));
    return core.write(() => {
      const removed = this.#removals(chosen()).filter(({ key }) => !added.has(key));
      return { put: [...removed, ...put], result: put.map(({ id }) => id) };
    });
  }

  /**
   * Return documents: by id in the order asked, else in insertion order, or the newest first.
   * @param {{ids?: string[], filter?: any, asOf?: Date | string | null, newestFirst?: boolean, limit?: number,
   *   offset?: number, includeVectors?: boolean}} [selection] `asOf`: only what was valid then.
   * @returns {Promise<(Omit<Stored, "vector"> & {vector?: ArrayLike<number> | null})[]>}
   */
  async get({ ids, filter, asOf = null, newestFirst: byDate = false, limit, offset = 0, includeVectors = false } = {}) {
    const core = this.#core;
    const chosen = this.#select("get", ids, filter, asOf);
    checkCount("offset", offset);
    if (limit !== undefined) checkCount("limit", limit);
    await core.refresh();
    const rows = byDate ? newestFirst(core.rows, chosen(), DEFAULTS.dateKey) : chosen();
    return rows.slice(offset, limit === undefined ? undefined : offset + limit).map((row) => {
      const document = /** @type {Stored} */ (core.rows.documents[row]);
      const { id, text, metadata } = document;
      const copy = { id, text, metadata: structuredClone(metadata) };
      return includeVectors && core.about.dimension ? { ...copy, vector: core.vectorOf(document) } : copy;
    });
  }

  /**
   * Remove documents by id, by filter, or what satisfies both, as one transaction.
   * @param {{ids?: string[], filter?: any}} [selection] `filter: {}` is everything.
   * @returns {Promise<number>} How many there were.
   */
  async delete({ ids, filter } = {}) {
    const chosen = this.#select("delete", ids, filter);
    return this.#core.write(() => {
      const put = this.#removals(chosen());
      return { put, result: put.length };
    });
  }

  /**
   * Count the documents that a filter leaves; all of them without one.
   * @param {any} [filter]
   * @param {{asOf?: Date | string | null}} [options] `asOf`: only what was valid then.
   */
  async count(filter, { asOf = null } = {}) {
    const { allowed } = await this.#candidates(filter, asOf);
    return allowed.reduce((sum, seen) => sum + seen, 0);
  }

  /**
   * Count the documents by the values of a metadata key or dotted path, the most frequent value first.
   * @param {string} key A list counts once for each of its elements.
   * @param {{filter?: any, asOf?: Date | string | null}} [options]
   * @returns {Promise<[any, number][]>}
   */
  async facets(key, { filter, asOf = null } = {}) {
    if (typeof key !== "string") throw new InvalidInputError("key: expected a metadata key");
    const { allowed } = await this.#candidates(filter, asOf);
    return this.#core.rows.facets(key, allowed);
  }

  /**
   * Return the best documents for a query, best first.
   * @param {string | null} query
   * @param {import("./options.js").Options & {vector?: ArrayLike<number>}} [options]
   * @returns {Promise<Hit[]>}
   * @throws {InvalidInputError} An option is out of its range, or the mode needs what was not given or is not stored.
   */
  async search(query, options = {}) {
    const core = this.#core;
    const { filter, ids, vector } = options;
    const scope = this.#name();
    if (query !== null && (typeof query !== "string" || isBlank(query))) {
      throw new InvalidInputError("query: expected a text that is not empty, or null beside vector");
    }
    const node = parseFilter(filter);
    const named = ids === undefined || ids === null ? null : checkIds(ids);
    await core.refresh();
    const { rows, about } = core;
    const plan = makePlan(options, this.#naturalMode(query, vector), core.alpha);
    if (query === null && (!vector || plan.mode !== "dense")) {
      throw new InvalidInputError(`search: mode '${plan.mode}' needs a query, dense alone needs a query or vector`);
    }
    if (plan.mode !== "sparse" && about.dimension === 0) {
      throw new InvalidInputError(
        "search: the collection holds texts without vectors, so that only mode 'sparse' finds anything",
      );
    }
    while ((plan.mode !== "sparse" || plan.diversity !== null) && core.lacksVectors) await core.completeVectors();
    const candidates = rows.candidates(scope, node, named, plan.until);
    const compared = plan.mode === "sparse" ? null : this.#vector(query, vector);
    const asked = query === null || plan.assertion === "any" ? new Map() : askedPolarity(query, rows.tokenizer);
    const hasWords = query !== null && (plan.mode !== "dense" || asked.size > 0);
    const found = hasWords ? rows.sparse.score(rows.tokenizer.tokenize(query), candidates.visible, asked) : null;
    const ranked = rank(plan, rows, candidates, {
      text: query,
      cosines: compared && rows.dense ? rows.dense.cosines(compared) : null,
      sparse: plan.mode === "dense" ? null : found,
      asserted: asked.size ? found : null,
    });
    return ranked.map(({ row, parts, ...scores }) => {
      const { id, text, metadata } = /** @type {Stored} */ (rows.documents[row]);
      const explanation = parts && { ...parts, filter: filter ?? null, scope: this.scope ?? {} };
      return { id, text, metadata: structuredClone(metadata), ...scores, explanation };
    });
  }

  /**
   * Write documents as JSON Lines, which `bedside import` reads.
   * @param {{filter?: any, includeVectors?: boolean}} [options]
   * @returns {Promise<string>}
   */
  async export({ filter = {}, includeVectors = false } = {}) {
    return (await this.get({ filter, includeVectors })).map((document) => `${toLine(document)}\n`).join("");
  }

  /**
   * Add the documents of JSON Lines, as one transaction.
   * @param {string} lines
   * @param {string} [file] Its name, for errors.
   * @returns {Promise<number>} How many there were.
   */
  async import(lines, file = "lines") {
    return (await this.add(readLines(lines, file))).length;
  }

  /**
   * @param {number[]} rows
   * @returns {import("./records.js").Entry[]}
   */
  #removals(rows) {
    const { documents, scopes } = this.#core.rows;
    return [...new Set(rows)].map((row) => {
      const { id } = /** @type {Stored} */ (documents[row]);
      const scope = scopes[row];
      return { key: keyOfRecord(scope, id), scope, id, document: null };
    });
  }

  #name() {
    const { scopeKeys } = this.#core.about;
    if (scopeKeys.length && !this.scope) {
      throw new ScopeRequired(`this collection is divided by ${scopeKeys.join(", ")}: use collection.scoped({...})`);
    }
    return scopeOf(this.scope ?? {}, scopeKeys, "scope");
  }

  /**
   * @param {any} filter
   * @param {Date | string | null} asOf
   */
  async #candidates(filter, asOf) {
    const scope = this.#name();
    const node = parseFilter(filter);
    const until = asOf === null ? null : moment(asOf, "asOf");
    await this.#core.refresh();
    return this.#core.rows.candidates(scope, node, null, until);
  }

  /**
   * Check a selection now; what it returns finds the rows when they are known.
   * @param {string} verb
   * @param {string[] | undefined} ids
   * @param {any} filter
   * @param {Date | string | null} [asOf]
   * @returns {() => number[]}
   */
  #select(verb, ids, filter, asOf = null) {
    if (!ids && (filter === undefined || filter === null)) {
      throw new InvalidInputError(`${verb}: give ids or filter; filter {} means every document`);
    }
    const scope = this.#name();
    const node = parseFilter(filter);
    const until = asOf === null ? null : moment(asOf, "asOf");
    const { rows } = this.#core;
    const named = ids && checkIds(ids);
    return () => {
      const { allowed } = rows.candidates(scope, node, named, until);
      if (!named) return [...allowed.keys()].filter((row) => allowed[row]);
      return named.map((id) => rows.row(scope, id) ?? -1).filter((row) => allowed[row]);
    };
  }

  /** @type {(query: string | null, vector: ArrayLike<number> | undefined) => import("./options.js").Mode} */
  #naturalMode(query, vector) {
    const { about, encoder } = this.#core;
    if (query === null) return "dense";
    return about.dimension === 0 || (about.dimension === null && !vector && !encoder) ? "sparse" : "hybrid";
  }

  /** @type {(query: string | null, vector: ArrayLike<number> | undefined) => ArrayLike<number>} */
  #vector(query, vector) {
    const { dimension } = this.#core.about;
    return vector
      ? checkVector(vector, "vector", dimension || null)
      : this.#core.encodeQuery(/** @type {string} */ (query));
  }
}
