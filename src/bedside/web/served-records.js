// The records of a collection that a server holds, asked over HTTP: as much of the verbs as a search page needs.
import { BedsideError } from "./errors.js";
import { parseJson, writeJson } from "./json.js";

/** @typedef {import("./verbs.js").Hit} Hit */
/** @typedef {{name: string, documents: number | null, scope_keys: string[], encoder: string | null}} Stats */
/** @typedef {Record<string, string | number>} Scope */

/** The server refused. */
export class ServerError extends BedsideError {
  /**
   * @param {number} status Of the answer.
   * @param {string} title The error's class in `bedside.errors`.
   * @param {string} detail
   */
  constructor(status, title, detail) {
    super(`${title}: ${detail}`);
    this.status = status;
    this.title = title;
  }
}

/** The server that this page came from. Token and purpose go into headers, never into an address, and are kept nowhere. */
export class Server {
  token = "";
  purpose = "";

  /**
   * Ask, and return the answer.
   * @param {string} path Below `v1/`.
   * @param {any} [body] Is posted, where there is one.
   * @returns {Promise<any>}
   * @throws {ServerError} It was refused.
   */
  async ask(path, body) {
    /** @type {Record<string, string>} */
    const headers = body === undefined ? {} : { "Content-Type": "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (this.purpose) headers["Bedside-Purpose"] = this.purpose;
    const asked = body === undefined ? {} : { method: "POST", body: writeJson(body) };
    const answer = await fetch(`v1/${path}`, { ...asked, headers, cache: "no-store", credentials: "omit" });
    const found = parseJson(await answer.text(), "the server's answer");
    if (!answer.ok) throw new ServerError(answer.status, found.title, found.detail);
    return found;
  }

  /** @returns {Promise<string[]>} */
  async collections() {
    return (await this.ask("collections")).collections;
  }

  /**
   * @param {string} name
   * @returns {Promise<Stats>}
   */
  stats(name) {
    return this.ask(`collections/${encodeURIComponent(name)}`);
  }
}

/** The records of one scope of a collection, or of all of it where it has no scopes. */
export class ServedRecords {
  /**
   * @param {Server} server
   * @param {string} name Of the collection.
   * @param {Scope} scope
   */
  constructor(server, name, scope) {
    this.server = server;
    this.name = name;
    this.scope = scope;
  }

  /**
   * @param {string} query
   * @param {{mode: string, filter: any, topK: number, groupBy: string | null, asOf: string | null,
   *   newestFirst: boolean, collapse: "copies" | null}} options
   * @returns {Promise<Hit[]>}
   */
  async search(query, { mode, filter, topK, groupBy, asOf, newestFirst, collapse }) {
    const order = { group_by: groupBy, as_of: asOf, newest_first: newestFirst, collapse };
    const { hits } = await this.#ask("search", { query, mode, filter, top_k: topK, ...order, explain: true });
    return hits.map((/** @type {any} */ { first_seen: firstSeen, last_seen: lastSeen, ...hit }) => ({
      ...hit,
      firstSeen,
      lastSeen,
    }));
  }

  /**
   * @param {{filter?: any, limit?: number}} selection
   * @returns {Promise<{id: string, text: string, metadata: any}[]>}
   */
  async get({ filter = {}, limit } = {}) {
    return (await this.#ask("get", { filter, limit: limit ?? null })).documents;
  }

  /**
   * @param {any} filter
   * @returns {Promise<number>}
   */
  async count(filter) {
    return (await this.#ask("count", { filter })).count;
  }

  /**
   * @param {string} key
   * @param {{filter?: any}} [selection]
   * @returns {Promise<[any, number][]>}
   */
  async facets(key, { filter = null } = {}) {
    const { facets } = await this.#ask("facets", { key, filter });
    return facets.map((/** @type {{value: any, count: number}} */ { value, count }) => [value, count]);
  }

  /** @type {(verb: string, asked: any) => Promise<any>} */
  #ask(verb, asked) {
    // A mistyped patient's number must not look like an empty record.
    const body = { ...asked, scope: this.scope, must_exist: true };
    return this.server.ask(`collections/${encodeURIComponent(this.name)}/${verb}`, body);
  }
}
