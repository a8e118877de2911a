// What the verbs of a collection and of its scopes share: rows in memory, a store behind them, one transaction each.
import { titleOf } from "./analyzer.js";
import {
  EncoderMismatch,
  EncoderRequired,
  FormatVersionError,
  InvalidInputError,
  InvalidVectorError,
} from "./errors.js";
import { Rows } from "./index-rows.js";
import { DEFAULT_ALPHA } from "./rank.js";
import { keyOfRecord, scopeOf } from "./records.js";
import { VERSION } from "./store.js";

/** @typedef {import("./records.js").Entry} Entry */
/** @typedef {import("./records.js").Stored} Stored */
/** @typedef {import("./store.js").About} About */
/** @typedef {import("./store.js").Kept} Kept */
/** @typedef {import("./store.js").BrowserStore | import("./store.js").MemoryStore} Store */
/** @typedef {import("./static-encoder.js").StaticEncoder} Encoder */

const SLICE = 30; // milliseconds of work between two chances for the page to draw and to hear keys

/** Rows of one collection, brought up to date with its store before every verb. */
export class Core {
  /**
   * @param {Store} store
   * @param {About} about Where the store does not say.
   * @param {Encoder | null} encoder
   * @param {import("./index-rows.js").Settings} settings
   */
  constructor(store, about, encoder, settings) {
    this.store = store;
    this.about = about;
    this.encoder = encoder;
    this.rows = new Rows(settings);
    /** The weight of the dense half in a hybrid search that names none. */
    this.alpha = settings.alpha ?? encoder?.alpha ?? DEFAULT_ALPHA;
    this.last = 0;
    /** @type {Map<string, number>} */
    this.places = new Map();
  }

  /**
   * Take the documents that a page brings along; they are not written to the store.
   * @param {Stored[]} documents
   * @param {import("./bm25.js").Prebuilt | null} postings Of the documents; null makes them here.
   * @param {(done: number) => void} progress
   */
  async load(documents, postings, progress) {
    let until = 0;
    for (const [i, document] of documents.entries()) {
      if (performance.now() >= until) {
        progress(i);
        await pause();
        until = performance.now() + SLICE;
      }
      const scope = scopeOf(document.metadata, this.about.scopeKeys, `documents[${i}].metadata`);
      const { id } = document;
      const entry = { key: keyOfRecord(scope, id), scope, id, document };
      if (postings) this.rows.place(entry);
      else this.rows.apply(entry);
    }
    if (postings) this.rows.sparse.load(postings);
    progress(documents.length);
  }

  /** Whether some row still waits for its vector. */
  get lacksVectors() {
    return Boolean(this.about.dimension) && (this.rows.dense?.rows ?? 0) < this.rows.documents.length;
  }

  /**
   * Encode what has no vector yet: most of what opening a large page costs, so it is done when vectors are needed.
   * @param {(missing: number) => void} [progress]
   */
  async completeVectors(progress = () => {}) {
    const { dimension } = this.about;
    if (!dimension) return;
    const next = () =>
      this.rows.addVectors(dimension, (document) => this.vectorOf(document), performance.now() + SLICE);
    for (let missing = next(); missing; missing = next()) {
      progress(missing);
      await pause();
    }
  }

  /** Take over what was written since the last look, here or in another tab. */
  async refresh() {
    const { about, entries } = await this.store.read(this.last);
    this.take(entries, about);
  }

  /**
   * Write what `decide` chooses once everything before it is known, as one transaction.
   * @template T
   * @param {() => {put: Entry[], result: T}} decide
   */
  async write(decide) {
    const result = await this.store.change(this.last, (entries, about) => {
      this.take(entries, about);
      const { put, result } = decide();
      const remove = put.map(({ key }) => this.places.get(key)).filter((place) => place !== undefined);
      return { put, remove, about: this.settled(put), result };
    });
    await this.refresh();
    return result;
  }

  /**
   * Refuse texts that the encoder could not encode, before anything is written.
   * @param {Entry[]} entries
   */
  checkTexts(entries) {
    const { encoder, about } = this;
    if (!encoder || about.dimension === 0) return;
    entries.forEach(({ document }, i) => {
      if (!document || document.vector || encoder.tokenizer.hasWords(document.text)) return;
      throw new InvalidInputError(`documents[${i}].text: nothing to encode, the text has no token`);
    });
  }

  /**
   * What the collection becomes by what is added; undefined where it stays what it is.
   * @param {Entry[]} put
   * @returns {About | undefined}
   */
  settled(put) {
    const { about, encoder } = this;
    const known = about.dimension;
    const made = known === 0 ? 0 : (encoder?.dimension ?? 0);
    const found = new Set(put.flatMap(({ document }) => (document ? [document.vector?.length ?? made] : [])));
    if (!found.size) return undefined;
    if (found.has(0) && (known || (known === null && found.size > 1))) {
      const who = known ? "the collection holds" : "others of them have";
      throw new EncoderRequired(
        `documents: ${who} vectors, and no encoder was given; give a vector, or open it with one`,
      );
    }
    const wrong = [...found].find((length) => length !== (known ?? [...found][0]));
    if (wrong !== undefined) {
      const allowed = known === 0 ? "texts without vectors" : `vectors of dimension ${known ?? "one and the same"}`;
      throw new InvalidVectorError(`documents: the collection takes ${allowed}, got dimension ${wrong}`);
    }
    const named = encoder && made ? { name: encoder.name, fingerprint: encoder.fingerprint } : null;
    return { ...about, dimension: [...found][0], encoder: about.encoder ?? named };
  }

  /**
   * @param {Kept[]} entries
   * @param {About | undefined} about
   */
  take(entries, about) {
    if (about) this.about = checkAbout(about, this.about, this.encoder);
    for (const entry of entries) {
      if (entry.n <= this.last) continue;
      this.last = entry.n;
      this.places.set(entry.key, entry.n);
      this.rows.apply(entry);
    }
  }

  /** @param {Stored} document */
  vectorOf(document) {
    if (document.vector) return document.vector;
    const vector = this.encodeQuery(document.text);
    const title = titleOf(document.metadata, this.rows.title);
    if (!title) return vector;
    const share = /** @type {Encoder} */ (this.encoder).titleShare;
    const [text, named] = [unit(vector), unit(this.encodeQuery(title))];
    return Float32Array.from(unit(text.map((value, i) => (1 - share) * value + share * named[i])));
  }

  /** @param {string} text */
  encodeQuery(text) {
    if (!this.encoder)
      throw new EncoderRequired("a text must be encoded, and the collection is open without an encoder");
    return this.encoder.encode(text);
  }
}

/**
 * Scale to length 1.
 * @param {ArrayLike<number>} vector
 */
function unit(vector) {
  const wide = Float64Array.from(vector);
  const length = Math.sqrt(wide.reduce((sum, value) => sum + value * value, 0));
  return wide.map((value) => value / length);
}

/** Let the page draw, hear keys and search; a timer alone would wait for 4 ms each time. */
const pause = () =>
  /** @type {any} */ (globalThis).scheduler?.postTask?.(() => {}, { priority: "background" }) ??
  new Promise((resolve) => setTimeout(resolve));

/**
 * @param {About} about What the store holds.
 * @param {About} asked
 * @param {Encoder | null} encoder
 */
function checkAbout(about, asked, encoder) {
  if (about.version !== VERSION) {
    throw new FormatVersionError(`the collection has format ${about.version}: this release reads ${VERSION}`);
  }
  if (JSON.stringify(about.scopeKeys) !== JSON.stringify(asked.scopeKeys)) {
    throw new InvalidInputError(`scopeKeys: the collection has [${about.scopeKeys}], got [${asked.scopeKeys}]`);
  }
  if (about.encoder && about.encoder.fingerprint !== (encoder?.fingerprint ?? null)) {
    throw new EncoderMismatch(
      `the collection was written with ${about.encoder.name} of another fingerprint; open it with that`,
    );
  }
  if (about.dimension && encoder && encoder.dimension !== about.dimension) {
    throw new EncoderMismatch(
      `the collection holds vectors of dimension ${about.dimension}, ${encoder.name} makes ${encoder.dimension}`,
    );
  }
  return about;
}
