// What the browser keeps: an ordered list of records and removals in IndexedDB, and what the collection is.
//
// Every change is one transaction. It first reads what other tabs have written since, so nobody overwrites what he has
// not seen; it counts as kept when the browser says so (durability "strict"). A record that is replaced or removed
// leaves the list at once; a removal stays as a name without text, for the other tabs.
import { CollectionClosedError, FormatVersionError, StorageUnavailableError, WriteFailedError } from "./errors.js";

/** @typedef {import("./records.js").Entry} Entry */
/** @typedef {Entry & {n: number}} Kept An entry and its place in the order. */
/** @typedef {{name: string, fingerprint: string | null}} EncoderName */
/**
 * @typedef {object} About What a collection is.
 * @property {number} version Of the way it is kept.
 * @property {string[]} scopeKeys
 * @property {number | null} dimension Of its vectors; null before the first record, 0 where it has none.
 * @property {EncoderName | null} encoder
 */
/**
 * @template T
 * @typedef {{put: Entry[], remove: number[], about?: About, result: T}} Change `remove` names places that are to go.
 */

/** Of what is kept; a store of a newer one is refused. */
export const VERSION = 1;
const ENTRIES = "entries";
const ABOUT = "about";
const THE = "collection";

/** One collection in IndexedDB. */
export class BrowserStore {
  /**
   * @param {string} name
   * @param {IDBDatabase} database
   */
  constructor(name, database) {
    this.name = name;
    this.database = database;
    /** @type {CollectionClosedError | null} */
    this.closed = null;
    /** @type {() => void} */
    this.onchange = () => {};
    this.channel = new BroadcastChannel(`bedside:${name}`);
    this.channel.onmessage = () => this.onchange();
    database.onversionchange = () =>
      this.close("another tab deletes the collection or has a newer release; reload this one");
    database.onclose = () =>
      this.close("the browser took the collection away: its data was cleared, or the disk failed");
  }

  /**
   * Open what the browser keeps under a name, or make it.
   * @param {string} name
   * @throws {StorageUnavailableError} This window keeps nothing.
   * @throws {FormatVersionError} A newer release wrote it.
   */
  static async open(name) {
    if (!globalThis.indexedDB) throw new StorageUnavailableError("this browser has no IndexedDB: nothing can be kept");
    try {
      return new BrowserStore(name, await openDatabase(`bedside:${name}`));
    } catch (error) {
      const { name: kind, message } = /** @type {DOMException} */ (error);
      if (kind === "VersionError") throw new FormatVersionError(`${name}: a newer release of Bedside keeps it here`);
      throw new StorageUnavailableError(
        `this window keeps nothing (${kind}: ${message}): a private window, or storage is off`,
      );
    }
  }

  /**
   * What the collection is, and its entries after a place.
   * @param {number} after
   * @returns {Promise<{about: About | undefined, entries: Kept[]}>}
   */
  read(after) {
    return this.run("readonly", (transaction, done) => {
      const about = transaction.objectStore(ABOUT).get(THE);
      const entries = transaction.objectStore(ENTRIES).getAll(IDBKeyRange.lowerBound(after, true));
      entries.onsuccess = () => done({ about: about.result, entries: entries.result });
    });
  }

  /**
   * Change it in one transaction.
   * @template T
   * @param {number} after The last place that the caller has seen.
   * @param {(entries: Kept[], about: About | undefined) => Change<T>} decide Called with what came since; may throw.
   * @returns {Promise<T>} When the browser has it on its disk.
   * @throws {WriteFailedError} The browser refused; nothing was changed.
   */
  async change(after, decide) {
    const result = await this.run("readwrite", (transaction, done, fail) => {
      const about = transaction.objectStore(ABOUT);
      const entries = transaction.objectStore(ENTRIES);
      const known = about.get(THE);
      const since = entries.getAll(IDBKeyRange.lowerBound(after, true));
      since.onsuccess = () => {
        try {
          const change = decide(since.result, known.result);
          if (change.about) about.put(change.about, THE);
          for (const place of change.remove) entries.delete(place);
          for (const entry of change.put) entries.add(entry);
          done(change.result);
        } catch (error) {
          fail(error);
        }
      };
    });
    this.channel.postMessage("changed");
    return result;
  }

  /**
   * Run one transaction.
   * @param {IDBTransactionMode} mode
   * @param {(transaction: IDBTransaction, done: (result: any) => void, fail: (error: unknown) => void) => void} work
   *     `done` says what to return once all is written, `fail` takes everything back.
   * @returns {Promise<any>}
   */
  run(mode, work) {
    return new Promise((resolve, reject) => {
      if (this.closed) throw this.closed;
      /** @type {any} */
      let result;
      /** @type {unknown} */
      let thrown;
      const transaction = this.database.transaction([ENTRIES, ABOUT], mode, { durability: "strict" });
      transaction.oncomplete = () => resolve(result);
      transaction.onabort = () => reject(thrown ?? writeFailed(transaction.error));
      work(
        transaction,
        (value) => (result = value),
        (error) => {
          thrown = error;
          transaction.abort();
        },
      );
    });
  }

  /** @param {string} [reason] */
  close(reason = "the collection was closed") {
    this.closed ??= new CollectionClosedError(reason);
    this.channel.close();
    this.database.close();
    this.onchange();
  }
}

/** One collection in memory, for windows that keep nothing. */
export class MemoryStore {
  constructor() {
    /** @type {Map<number, Kept>} */
    this.entries = new Map();
    /** @type {About | undefined} */
    this.about = undefined;
    /** @type {CollectionClosedError | null} */
    this.closed = null;
    /** @type {() => void} */
    this.onchange = () => {};
    this.last = 0;
  }

  /** @param {number} after */
  async read(after) {
    if (this.closed) throw this.closed;
    const entries = after < this.last ? [...this.entries.values()].filter(({ n }) => n > after) : [];
    return { about: this.about, entries };
  }

  /**
   * @template T
   * @param {number} after
   * @param {(entries: Kept[], about: About | undefined) => Change<T>} decide
   * @returns {Promise<T>}
   */
  async change(after, decide) {
    const { about, entries } = await this.read(after);
    const { put, remove, about: changed, result } = decide(entries, about);
    this.about = changed ?? about;
    for (const place of remove) this.entries.delete(place);
    for (const entry of put) this.entries.set(++this.last, { ...entry, n: this.last });
    return result;
  }

  close() {
    this.closed ??= new CollectionClosedError("the collection was closed");
  }
}

/**
 * @param {string} name
 * @returns {Promise<IDBDatabase>}
 */
function openDatabase(name) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(ENTRIES, { keyPath: "n", autoIncrement: true });
      request.result.createObjectStore(ABOUT);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {DOMException | null} error */
function writeFailed(error) {
  if (error?.name === "QuotaExceededError") {
    return new WriteFailedError("the browser's room for this page is full; nothing of this call was kept");
  }
  return new WriteFailedError(
    `the browser stopped the transaction (${error?.name}: ${error?.message}); nothing was kept`,
  );
}
