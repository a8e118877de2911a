// JSON whose whole numbers stay exact: beyond 2**53 they become BigInt, where JSON.parse would round them.
import { UnreadableFileError } from "./errors.js";

const MAY_BE_LARGE = /\d{16}/;
const TOKEN = /[\t\n\r ]*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

/**
 * Parse one JSON value.
 * @param {string} text
 * @param {string} where Begins the message of an error.
 * @returns {any}
 * @throws {UnreadableFileError} It is not JSON.
 * @example parseJson('{"n": 9007199254740993}', "line 1").n // 9007199254740993n
 */
export function parseJson(text, where) {
  try {
    const value = JSON.parse(text);
    return MAY_BE_LARGE.test(text) ? parseExactly(text) : value;
  } catch {
    throw new UnreadableFileError(`${where}: not JSON`);
  }
}

/**
 * Take apart what JSON.parse has already found to be right.
 * @param {string} text
 */
function parseExactly(text) {
  let at = 0;
  const next = () => {
    TOKEN.lastIndex = at;
    const token = /** @type {RegExpExecArray} */ (TOKEN.exec(text));
    at = TOKEN.lastIndex;
    return token;
  };
  /** @param {RegExpExecArray} token @returns {any} */
  const value = ([, sign, string, literal]) => {
    if (literal !== undefined)
      return /^-?\d+$/.test(literal) ? exactNumber(BigInt(literal), literal) : JSON.parse(literal);
    if (string !== undefined) return JSON.parse(string);
    return sign === "[" ? list() : object();
  };
  const list = () => {
    const items = [];
    for (let token = next(); token[1] !== "]"; token = next()) if (token[1] !== ",") items.push(value(token));
    return items;
  };
  const object = () => {
    /** @type {[string, any][]} */
    const entries = [];
    for (let token = next(); token[1] !== "}"; token = next()) {
      if (token[1] === ",") continue;
      next(); // the colon
      entries.push([JSON.parse(token[2]), value(next())]);
    }
    return Object.fromEntries(entries);
  };
  return value(next());
}

/**
 * A number below 2**53, where whole numbers are exact, then a BigInt; beyond 64 bits a float, as in Python's records.
 * @param {bigint} whole
 * @param {string} literal
 */
function exactNumber(whole, literal) {
  const number = Number(literal);
  return BigInt.asIntN(64, whole) !== whole || Number.isSafeInteger(number) ? number : whole;
}

/**
 * Write a JSON value on one line, BigInt as a whole number.
 * @param {any} value
 * @returns {string}
 */
export function writeJson(value) {
  if (typeof value === "bigint") return value.toString();
  // The shortest digits of a large number, such as 1152921504606847000 for 2**60, are those of another whole number.
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 63) return BigInt(value).toString();
  if (Array.isArray(value)) return `[${value.map(writeJson).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${writeJson(item)}`)
    .join(",")}}`;
}
