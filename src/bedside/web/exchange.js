// A record as one line of JSON, {"id", "text", "metadata", "vector"}, as bedside/formats/fields.py reads and writes it.
import { UnreadableFileError } from "./errors.js";
import { parseJson, writeJson } from "./json.js";

const FIELDS = ["id", "text", "metadata", "vector"];

/**
 * @param {{id: string, text: string, metadata: Record<string, any>, vector?: ArrayLike<number> | null}} document
 * @returns {string}
 */
export function toLine({ id, text, metadata, vector }) {
  return writeJson({ id, text, metadata, ...(vector ? { vector: Array.from(vector) } : {}) });
}

/**
 * The records of JSON Lines; lines of white space are passed over.
 * @param {string} lines
 * @param {string} file Its name, for errors.
 * @returns {import("./records.js").Input[]}
 * @throws {UnreadableFileError} A line is not a record; names it.
 */
export function readLines(lines, file) {
  return lines
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .flatMap((line, i) => (line.trim() ? [fromLine(line, `${file}: line ${i + 1}`)] : []));
}

/** @type {(line: string, where: string) => import("./records.js").Input} */
function fromLine(line, where) {
  const fields = parseJson(line, where);
  if (fields === null || typeof fields !== "object" || Array.isArray(fields)) {
    throw new UnreadableFileError(`${where}: expected a JSON object`);
  }
  const unknown = Object.keys(fields).find((key) => !FIELDS.includes(key));
  if (unknown !== undefined) {
    throw new UnreadableFileError(`${where}: unknown field '${unknown}'; allowed: ${FIELDS.join(", ")}`);
  }
  const { id = null, text, metadata, vector = null } = fields;
  if (vector !== null && !(Array.isArray(vector) && vector.every((value) => typeof value === "number"))) {
    throw new UnreadableFileError(`${where}.vector: expected a list of numbers`);
  }
  return { id, text: text ?? "", metadata: metadata ?? {}, vector };
}
