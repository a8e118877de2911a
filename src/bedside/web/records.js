// What may be stored: every check of a record, made before anything is encoded or written. As bedside/records.py.
import {
  DuplicateIdError,
  InvalidDocumentError,
  InvalidInputError,
  InvalidVectorError,
  ScopeMismatch,
  ScopeRequired,
} from "./errors.js";
import { writeJson } from "./json.js";
import { isBlank } from "./unicode.js";

/** @typedef {Record<string, any>} Metadata JSON values under string keys. */
/** @typedef {{text: string, metadata?: Metadata, id?: string | null, vector?: ArrayLike<number> | null}} Input */
/** @typedef {{id: string, text: string, metadata: Metadata, vector: Float32Array | null}} Stored What was checked. */
/** @typedef {{key: string, scope: string, id: string, document: Stored | null}} Entry A record; null: its removal. */

const MAX_DEPTH = 64;

/**
 * Return documents as entries.
 * @param {Iterable<Input | string>} documents
 * @param {string[]} scopeKeys Of the collection.
 * @param {Metadata | null} scope Of the view they are added through: filled in, and another one refused.
 * @returns {Entry[]}
 * @throws {InvalidInputError} Names the document and what is wrong with it.
 */
export function checkDocuments(documents, scopeKeys, scope) {
  if (typeof documents === "string" || typeof documents?.[Symbol.iterator] !== "function") {
    throw new InvalidDocumentError("documents: expected a list of documents or strings");
  }
  const seen = new Set();
  return Array.from(documents, (document, i) => {
    const entry = checkDocument(document, `documents[${i}]`, scopeKeys, scope);
    if (seen.has(entry.key)) {
      throw new DuplicateIdError(`documents[${i}].id: given twice in one call; ids must differ within a scope`);
    }
    seen.add(entry.key);
    return entry;
  });
}

/**
 * The name of a scope, equal for equal values: `1` and `"1"` are two.
 * @param {Metadata} values
 * @param {string[]} scopeKeys
 * @param {string} where Begins the message of an error.
 */
export function scopeOf(values, scopeKeys, where) {
  return writeJson(
    scopeKeys.map((key) => {
      if (!Object.hasOwn(values, key)) {
        throw new ScopeRequired(`${where}: lacks the scope key '${key}'; every record and view must name it`);
      }
      const value = values[key];
      if ((typeof value === "string" && value) || Number.isSafeInteger(value) || typeof value === "bigint")
        return value;
      throw new ScopeMismatch(`${where}.${key}: a scope is a string that is not empty, or a whole number`);
    }),
  );
}

/**
 * What identifies a record.
 * @param {string} scope
 * @param {string} id
 */
export const keyOfRecord = (scope, id) => `${scope}${id}`;

/**
 * Return values as a vector of float32.
 * @param {ArrayLike<number>} values
 * @param {string} where
 * @param {number | null} [dimension]
 */
export function checkVector(values, where, dimension = null) {
  const vector = Float32Array.from(values);
  if (!vector.length) throw new InvalidVectorError(`${where}: expected numbers`);
  if (dimension !== null && vector.length !== dimension) {
    throw new InvalidVectorError(`${where}: expected dimension ${dimension}, got ${vector.length}`);
  }
  if (!vector.every(Number.isFinite)) throw new InvalidVectorError(`${where}: every number must be finite in float32`);
  if (vector.every((value) => value === 0)) {
    throw new InvalidVectorError(`${where}: a zero vector has no direction and cannot be searched by cosine`);
  }
  return vector;
}

/** @type {(given: Input | string, where: string, scopeKeys: string[], scope: Metadata | null) => Entry} */
function checkDocument(given, where, scopeKeys, scope) {
  const document = typeof given === "string" ? { text: given } : given;
  if (document === null || typeof document !== "object" || typeof document.text !== "string") {
    throw new InvalidDocumentError(`${where}: expected a string, or an object with a text`);
  }
  checkText(document.text, `${where}.text`);
  const vector = document.vector ? checkVector(document.vector, `${where}.vector`) : null;
  if (!vector && isBlank(document.text)) {
    throw new InvalidDocumentError(`${where}.text: empty; a document without a vector needs text to be found by`);
  }
  const metadata = checkJson(document.metadata ?? {}, `${where}.metadata`, 0);
  if (metadata === null || typeof metadata !== "object" || Array.isArray(metadata)) {
    throw new InvalidDocumentError(`${where}.metadata: expected an object`);
  }
  if (scope) fillIn(metadata, scope, `${where}.metadata`);
  const name = scopeOf(metadata, scopeKeys, `${where}.metadata`);
  const id = document.id === null || document.id === undefined ? randomId() : checkId(document.id, `${where}.id`);
  return { key: keyOfRecord(name, id), scope: name, id, document: { id, text: document.text, metadata, vector } };
}

/** @type {(metadata: Metadata, scope: Metadata, where: string) => void} */
function fillIn(metadata, scope, where) {
  for (const [key, value] of Object.entries(scope)) {
    if (Object.hasOwn(metadata, key) && metadata[key] !== value) {
      throw new ScopeMismatch(`${where}.${key}: the record names another ${key} than the scope it is added through`);
    }
    metadata[key] = value;
  }
}

/** @type {(ids: unknown) => string[]} */
export function checkIds(ids) {
  if (!Array.isArray(ids)) throw new InvalidInputError("ids: expected a list of strings");
  return ids.map((id, i) => checkId(id, `ids[${i}]`));
}

/** @type {(value: unknown, where: string) => string} */
function checkId(value, where) {
  if (typeof value !== "string" || !value)
    throw new InvalidDocumentError(`${where}: expected a string that is not empty`);
  return checkText(value, where);
}

/** @type {(value: string, where: string) => string} */
function checkText(value, where) {
  if (value.isWellFormed()) return value;
  throw new InvalidDocumentError(`${where}: holds a lone surrogate, which UTF-8 cannot carry`);
}

/**
 * Return a copy of a JSON value that shares nothing with it, or throw naming the place that is not JSON.
 * @type {(value: any, where: string, depth: number) => any}
 */
function checkJson(value, where, depth) {
  if (depth > MAX_DEPTH) throw new InvalidDocumentError(`${where}: nested deeper than ${MAX_DEPTH} levels`);
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return checkText(value, where);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "bigint" && BigInt.asIntN(64, value) === value) return value;
  if (Array.isArray(value)) return value.map((item, i) => checkJson(item, `${where}[${i}]`, depth + 1));
  if (typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        checkText(key, `${where} (a key)`),
        checkJson(item, `${where}.${key}`, depth + 1),
      ]),
    );
  }
  throw new InvalidDocumentError(
    `${where}: expected a JSON value (string, finite number, whole number of 64 bits, boolean, null, list, object)`,
  );
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function checkCount(name, value) {
  if (!Number.isInteger(value) || /** @type {number} */ (value) < 0) {
    throw new InvalidInputError(`${name}: expected a whole number of at least 0`);
  }
}
