// A collection: opened, divided by scope, closed. Its verbs are those of verbs.js.
import { Core } from "./core.js";
import { ScopeMismatch } from "./errors.js";
import { scopeOf } from "./records.js";
import { BrowserStore, MemoryStore, VERSION } from "./store.js";
import { Records } from "./verbs.js";

/** @typedef {import("./records.js").Stored} Stored */
/** @typedef {import("./records.js").Metadata} Metadata */
/**
 * @typedef {object} OpenOptions
 * @property {string[]} [scopeKeys] Metadata keys that divide the collection; every record and view must name them.
 * @property {import("./static-encoder.js").StaticEncoder | null} [encoder]
 * @property {import("./index-rows.js").Settings} [settings] Of BM25 and the tokenizer.
 * @property {Stored[]} [documents] What a page brings along: found like the rest, but not written to the store.
 * @property {import("./bm25.js").Prebuilt | null} [postings] Of these documents; they are made of the texts without it.
 * @property {number | null} [dimension] Of their vectors; 0 where they have none.
 * @property {(done: number) => void} [progress] Called while they are taken up.
 */

/** Documents with vectors and words, in memory or kept by the browser. */
export class Collection extends Records {
  /** @type {Core} */
  #core;

  /** @param {Core} core */
  constructor(core) {
    super(core, null);
    this.#core = core;
  }

  /**
   * Open a collection, or make it.
   * @param {string | null} [name] What the browser keeps it under; null keeps it in memory.
   * @param {OpenOptions} [options]
   * @throws {EncoderMismatch} It was written with another encoder, or with one and none was given.
   */
  static async open(name = null, options = {}) {
    const {
      scopeKeys = [],
      encoder = null,
      settings = {},
      documents = [],
      postings = null,
      dimension = documents.length ? (encoder?.dimension ?? 0) : null,
      progress = () => {},
    } = options;
    const store = name === null ? new MemoryStore() : await BrowserStore.open(name);
    const named = encoder && dimension ? { name: encoder.name, fingerprint: encoder.fingerprint } : null;
    const core = new Core(
      store,
      { version: VERSION, scopeKeys: [...scopeKeys], dimension, encoder: named },
      encoder,
      settings,
    );
    try {
      await core.load(documents, postings, progress);
      await core.refresh();
    } catch (error) {
      store.close();
      throw error;
    }
    return new Collection(core);
  }

  /** Dimension of the vectors; null before it is known, 0 where texts are stored without vectors. */
  get dimension() {
    return this.#core.about.dimension ?? this.#core.encoder?.dimension ?? null;
  }

  /** The metadata keys that divide the collection. */
  get scopeKeys() {
    return [...this.#core.about.scopeKeys];
  }

  /**
   * The verbs bound to one scope.
   * @param {Metadata} scope A value for each scope key.
   * @returns {Records}
   */
  scoped(scope) {
    const { scopeKeys } = this.#core.about;
    const unknown = Object.keys(scope).find((key) => !scopeKeys.includes(key));
    if (unknown !== undefined) {
      throw new ScopeMismatch(
        `scope: '${unknown}' is not a scope key of this collection; its scope keys: ${scopeKeys.join(", ") || "none"}`,
      );
    }
    scopeOf(scope, scopeKeys, "scope");
    return new Records(this.#core, { ...scope });
  }

  /**
   * Encode now what has no vector yet; otherwise the first search that needs vectors does.
   * @param {(missing: number) => void} [progress] Called with how many documents are left.
   */
  async prepare(progress) {
    await this.#core.completeVectors(progress);
  }

  /**
   * Call a function whenever another tab has changed the collection, or the browser has closed it.
   * @param {() => void} listener
   */
  onChange(listener) {
    this.#core.store.onchange = listener;
  }

  /** Let go of the store; a second call does nothing. */
  close() {
    this.#core.store.close();
  }
}
