// What a page that `bedside export --format web` wrote brings along: taken out of it, opened and unpacked.
import { BedsideError, FormatVersionError } from "./errors.js";
import { parseJson } from "./json.js";
import { StaticEncoder } from "./static-encoder.js";

/** @typedef {import("./records.js").Stored} Stored */
/** @typedef {import("./bm25.js").Prebuilt} Prebuilt */
/**
 * @typedef {object} About
 * @property {string} title
 * @property {string} created When it was written, ISO 8601.
 * @property {number} count
 * @property {string[]} scopeKeys
 * @property {Record<string, string | number>[]} scopes Those that are in it.
 * @property {any} filter What was chosen by; null for everything.
 * @property {number} dimension Of the vectors; 0 where the page ranks by words alone.
 * @property {{name: string, fingerprint: string, normalize: boolean} | null} encoder
 * @property {string | null} otherEncoder The collection's, where a page cannot run it.
 * @property {import("./index-rows.js").Settings} settings
 * @property {string} page A random name, for what the browser keeps.
 */
/** @typedef {{salt: string, nonce: string, iterations: number}} Seal */

const FORMAT = 1;
const LINE_END = 10;

/** The passphrase does not open the page. */
export class WrongPassphrase extends BedsideError {}

/**
 * How the page is sealed; null where it is open.
 * @returns {Seal | null}
 */
export function sealOf() {
  const { format, seal } = JSON.parse(block("bedside"));
  if (format !== FORMAT) throw new FormatVersionError(`this page has format ${format}; its script reads ${FORMAT}`);
  return seal;
}

/**
 * Unpack the page.
 * @param {Seal | null} seal
 * @param {string} passphrase
 * @returns {Promise<{about: About, documents: Stored[], postings: Prebuilt, encoder: StaticEncoder | null}>}
 * @throws {WrongPassphrase} It is not the one that the page was sealed with, or the page is damaged.
 */
export async function readPage(seal, passphrase) {
  const packed = fromBase64(block("documents"));
  const bytes = new Uint8Array(await gunzip(seal ? await unseal(packed, seal, passphrase) : packed));
  const end = endOfLines(bytes);
  const lines = new TextDecoder().decode(bytes.subarray(0, end)).split("\n");
  /** @type {About} */
  const about = parseJson(lines[0], "about");
  const documents = lines.slice(1).map((line, i) => {
    const { id, text, metadata, vector } = parseJson(line, `document ${i}`);
    return { id, text, metadata, vector: vector ? new Float32Array(fromBase64(vector).buffer) : null };
  });
  const postings = readPostings(bytes.subarray(end + 2), documents.length);
  return { about, documents, postings, encoder: about.encoder && (await readEncoder(about.encoder)) };
}

/**
 * Where the lines end: before an empty one.
 * @param {Uint8Array} bytes
 */
function endOfLines(bytes) {
  let at = bytes.indexOf(LINE_END);
  while (bytes[at + 1] !== LINE_END) at = bytes.indexOf(LINE_END, at + 1);
  return at;
}

/**
 * Postings as bedside/formats/web/postings.py packs them.
 * @param {Uint8Array} bytes
 * @param {number} count Of the documents.
 * @returns {Prebuilt}
 */
function readPostings(bytes, count) {
  let at = bytes.indexOf(LINE_END) + 1;
  /** @type {string[]} */
  const terms = JSON.parse(new TextDecoder().decode(bytes.subarray(0, at)));
  const numbers = (/** @type {number} */ length) => {
    const found = new Uint32Array(length);
    for (let i = 0; i < length; i++) {
      for (let shift = 0, goesOn = true; goesOn; shift += 7) {
        const byte = bytes[at++];
        found[i] += (byte & 127) << shift;
        goesOn = byte > 127;
      }
    }
    return found;
  };
  const lengths = numbers(count);
  const sizes = numbers(terms.length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const rows = numbers(total);
  let start = 0;
  for (const size of sizes) {
    for (let i = start + 1; i < start + size; i++) rows[i] += rows[i - 1];
    start += size;
  }
  return { terms, lengths, sizes, postings: { rows, counts: numbers(total), negated: numbers(total) } };
}

/** @param {{name: string, fingerprint: string, normalize: boolean}} known */
async function readEncoder(known) {
  const [weights, tokenizer] = await Promise.all(["weights", "tokenizer"].map((id) => gunzip(fromBase64(block(id)))));
  return new StaticEncoder(weights, JSON.parse(new TextDecoder().decode(tokenizer)), known);
}

/**
 * Derive the key by PBKDF2 with SHA-256 and open AES-GCM.
 * @param {Uint8Array<ArrayBuffer>} sealed
 * @param {Seal} seal
 * @param {string} passphrase
 */
async function unseal(sealed, { salt, nonce, iterations }, passphrase) {
  const phrase = new TextEncoder().encode(passphrase.normalize("NFC"));
  const material = await crypto.subtle.importKey("raw", phrase, "PBKDF2", false, ["deriveKey"]);
  const derivation = { name: "PBKDF2", hash: "SHA-256", salt: fromBase64(salt), iterations };
  const key = await crypto.subtle.deriveKey(derivation, material, { name: "AES-GCM", length: 256 }, false, ["decrypt"]);
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: fromBase64(nonce) }, key, sealed));
  } catch {
    throw new WrongPassphrase("The passphrase does not open this page.");
  }
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function gunzip(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/**
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
function fromBase64(text) {
  if ("fromBase64" in Uint8Array) return /** @type {any} */ (Uint8Array).fromBase64(text); // browsers of 2025 on
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** @param {string} id */
function block(id) {
  const element = document.getElementById(id);
  const text = element?.textContent ?? "";
  element?.remove(); // the text of 10 MB is not needed twice
  return text;
}
