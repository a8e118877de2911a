// Files as documents: cut by section and paragraph. Python's splitter knows more; see docs/browser.md.
import { UnreadableFileError } from "./errors.js";
import { readLines } from "./exchange.js";
import { sentences } from "./sentences.js";

/** @typedef {import("./records.js").Input} Input */
/** @typedef {{text: string, section: string | null}} Passage */

const LARGEST_FILE = 1 << 26; // bytes
const LONGEST = 1200; // characters of a passage
const HEADING =
  /^(?:#{1,6}\s+(?<mark>.{1,80})|(?<line>[A-Z][A-Za-z0-9 /&,()-]{1,60}):|(?<caps>[A-Z][A-Z0-9 /&,()-]{2,60}))$/;
const INLINE_HEADING = /^(?<line>[A-Z][A-Z /&-]{1,40}):\s+(?=\S)/;

/**
 * The documents of a file: the records of JSON Lines, else the passages of a text, which carry its name as `source_id`.
 * @param {File} file
 * @returns {Promise<{documents: Input[], replaces: any}>} `replaces` is a filter for what an earlier reading gave.
 * @throws {UnreadableFileError} It is too large, or no UTF-8 text.
 */
export async function readFile(file) {
  if (file.size > LARGEST_FILE) throw new UnreadableFileError(`${file.name}: larger than 64 MiB`);
  const text = decode(await file.arrayBuffer(), file.name);
  if (text.trimStart().startsWith("{")) return { documents: readLines(text, file.name), replaces: null };
  return { documents: noteToDocuments(text, file.name), replaces: { source_id: file.name } };
}

/**
 * The passages of a note as documents.
 * @param {string} text
 * @param {string} name
 * @returns {Input[]}
 */
export function noteToDocuments(text, name) {
  return passages(text).map(({ text, section }, i) => ({
    id: `${name}#${i}`,
    text,
    metadata: { source_id: name, ...(section === null ? {} : { section }) },
  }));
}

/**
 * Cut a note at its headings and empty lines, and paragraphs that are too long at sentences.
 * @param {string} text
 * @returns {Passage[]}
 */
export function passages(text) {
  /** @type {Passage[]} */
  const found = [];
  /** @type {string | null} */
  let section = null;
  /** @type {string[]} */
  let lines = [];
  const close = () => {
    const paragraph = lines.join("\n").trim();
    for (const piece of pieces(paragraph)) found.push({ text: piece, section });
    lines = [];
  };
  for (const line of text.split(/\r\n?|\n/)) {
    const heading = line.trim().match(HEADING)?.groups;
    const inline = heading ? null : line.trim().match(INLINE_HEADING);
    if (heading || inline || !line.trim()) close();
    if (heading) section = (heading.mark ?? heading.line ?? heading.caps).trim();
    else if (inline) section = /** @type {Record<string, string>} */ (inline.groups).line;
    if (!heading) lines.push(inline ? line.trim().slice(inline[0].length) : line);
  }
  close();
  return found;
}

/** @param {string} paragraph */
function pieces(paragraph) {
  if (paragraph.length <= LONGEST) return paragraph ? [paragraph] : [];
  /** @type {string[]} */
  const found = [];
  let piece = "";
  for (const sentence of sentences(paragraph)) {
    if (piece && piece.length + sentence.length > LONGEST) {
      found.push(piece.trim());
      piece = "";
    }
    piece += sentence;
  }
  return piece.trim() ? [...found, piece.trim()] : found;
}

/** @type {(bytes: ArrayBuffer, name: string) => string} */
function decode(bytes, name) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UnreadableFileError(`${name}: not UTF-8 text; take PDF, Word and other files in with bedside add-notes`);
  }
}
