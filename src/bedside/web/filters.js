// The filter language: parsed as bedside/filters/parse.py does, with its messages, and answered row by row.
import { likeADate, readDate } from "./dates.js";
import { FilterError } from "./errors.js";
import { valueTest, words } from "./filter-rules.js";

/** @typedef {import("./filter-rules.js").Node} Node */
/** @typedef {(path: string, value: any, where: string) => Node} Build */

const MAX_DEPTH = 64;

/**
 * Parse a filter once.
 * @param {any} filter A plain object; null and {} are no filter.
 * @returns {Node | null}
 * @throws {FilterError} The message begins with the path to the wrong place.
 * @example parseFilter({ age: { $gte: 65 } }) // { op: "$gte", path: "age", operand: 65 }
 */
export function parseFilter(filter) {
  if (filter === null || filter === undefined || (isMapping(filter) && !Object.keys(filter).length)) return null;
  return parseNode(filter, "filter", 0);
}

/**
 * Whether a record's fields match.
 * @param {Node} node
 * @returns {(fields: Map<string, any>) => boolean}
 */
export function matcher(node) {
  if ("children" in node) {
    const children = node.children.map(matcher);
    return node.op === "$and"
      ? (fields) => children.every((child) => child(fields))
      : (fields) => children.some((child) => child(fields));
  }
  if ("child" in node) {
    const child = matcher(node.child);
    return (fields) => !child(fields);
  }
  if (node.op === "$exists") return (fields) => fields.has(node.path);
  const test = valueTest(node);
  return (fields) => (fields.has(node.path) ? test(fields.get(node.path)) : node.op === "$empty");
}

/** @type {(value: any, where: string, depth: number) => Node} */
function parseNode(value, where, depth) {
  const entries = mapping(value, where, "a filter", depth);
  return all(entries.map(([key, operand]) => entry(key, operand, where, depth)));
}

/** @type {(key: string, operand: any, outer: string, depth: number) => Node} */
function entry(key, operand, outer, depth) {
  const where = `${outer}.${key}`;
  if (key === "$and" || key === "$or") return { op: key, children: nodes(operand, where, depth) };
  if (key === "$not") return { op: "$not", child: parseNode(operand, where, depth + 1) };
  if (OPERATORS.has(key)) throw new FilterError(`${where}: an operator on a field, write it under the field's name`);
  if (key.startsWith("$"))
    throw new FilterError(`${where}: unknown operator, expected a field or one of $and $or $not`);
  if (isMapping(operand)) return operators(key, operand, where, depth);
  if (Array.isArray(operand)) {
    throw new FilterError(`${where}: expected a scalar or operators, got list; use $in for any of several`);
  }
  return anyOf(key, [scalar(operand, where)]);
}

/** @type {(path: string, operand: any, where: string, depth: number) => Node} */
function operators(path, operand, where, depth) {
  const entries = mapping(operand, where, "operators", depth);
  return all(entries.map(([op, value]) => operator(path, op, value, where, depth)));
}

/** @type {(path: string, op: string, operand: any, where: string, depth: number) => Node} */
function operator(path, op, operand, where, depth) {
  const build = OPERATORS.get(op);
  const there = `${where}.${op}`;
  if (op === "$not") return { op: "$not", child: operators(path, operand, there, depth + 1) };
  if (build) return build(path, operand, there);
  if (op.startsWith("$")) {
    throw new FilterError(`${there}: unknown operator, expected one of ${[...OPERATORS.keys(), "$not"].join(" ")}`);
  }
  throw new FilterError(
    `${there}: expected an operator, got a plain key; ${quoted(`${path}.${op}`)} reaches into an object`,
  );
}

/** @type {(value: any, where: string, depth: number) => Node[]} */
function nodes(value, where, depth) {
  if (!list(value, where).length) throw new FilterError(`${where}: expected at least one filter, got an empty list`);
  return value.map((/** @type {any} */ child, /** @type {number} */ i) =>
    parseNode(child, `${where}[${i}]`, depth + 1),
  );
}

/** @type {(children: Node[]) => Node} */
const all = (children) => (children.length === 1 ? children[0] : { op: "$and", children });

/** @type {(path: string, operand: any[]) => Node} */
const anyOf = (path, operand) => ({ op: "$in", path, operand });

/** @type {(child: Node) => Node} */
const not = (child) => ({ op: "$not", child });

/** @type {(value: any, where: string, what: string, depth: number) => [string, any][]} */
function mapping(value, where, what, depth) {
  if (depth > MAX_DEPTH) throw new FilterError(`${where}: nested deeper than ${MAX_DEPTH}`);
  if (!isMapping(value)) refuse(where, `a mapping of ${what}`, value);
  const entries = Object.entries(value);
  if (!entries.length) throw new FilterError(`${where}: expected ${what}, got an empty mapping`);
  return entries;
}

/** @type {(value: any) => boolean} */
const isMapping = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** @type {(value: any, where: string) => any[]} */
const list = (value, where) => (Array.isArray(value) ? value : refuse(where, "a list", value));

/** @type {(value: any, where: string) => any} */
function scalar(value, where) {
  if (value === null || typeof value === "boolean") return value;
  if (!["string", "number", "bigint"].includes(typeof value)) {
    refuse(where, "a string, a number, a boolean, null or a date", value);
  }
  return finite(value, where);
}

/** @type {(value: any, where: string) => any[]} */
const scalars = (value, where) => list(value, where).map((item, i) => scalar(item, `${where}[${i}]`));

/** @type {(value: any, where: string) => any} */
function ordered(value, where) {
  if (!["string", "number", "bigint"].includes(typeof value)) refuse(where, "a number, a string or a date", value);
  // A date that does not exist is refused: as text it would compare with dates, and wrongly.
  if (typeof value === "string" && likeADate(value) && !readDate(value)) {
    throw new FilterError(
      `${where}: expected an ISO 8601 date or time such as 2024-05-31 or 2024-05-31T14:30:00+02:00, ` +
        "got a text in such a form that is no day of the calendar or no time of the day",
    );
  }
  return finite(value, where);
}

/** @type {(value: any, where: string) => any} */
function finite(value, where) {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new FilterError(`${where}: expected a finite number, got ${value}`);
  }
  return value;
}

/** @param {any} value */
const kindOfEnd = (value) =>
  typeof value !== "string" ? "a number" : readDate(value) === null ? "a string" : "a date";

/** @type {(value: any, where: string) => any[]} */
function range(value, where) {
  if (list(value, where).length !== 2) {
    throw new FilterError(`${where}: expected a list of two values, [low, high], got ${value.length}`);
  }
  const ends = value.map((/** @type {any} */ item, /** @type {number} */ i) => ordered(item, `${where}[${i}]`));
  const [low, high] = ends.map(kindOfEnd);
  if (low !== high) {
    throw new FilterError(`${where}: expected two numbers, two strings or two dates, got ${low} and ${high}`);
  }
  return ends;
}

/** @type {(value: any, where: string) => string} */
const string = (value, where) => (typeof value === "string" ? value : refuse(where, "a string", value));

/** @type {(value: any, where: string) => string} */
function pattern(value, where) {
  const backslashes = /** @type {[string]} */ (string(value, where).match(/\\*$/))[0].length;
  if (backslashes % 2) {
    throw new FilterError(`${where}: expected a character after the last backslash; write two for a literal one`);
  }
  return value;
}

/** @type {(value: any, where: string) => string} */
function phraseOf(value, where) {
  if (!words(string(value, where)).length) {
    throw new FilterError(`${where}: expected at least one word, got a string without letters or digits`);
  }
  return value;
}

/** @type {(where: string, expected: string, value: any) => never} */
function refuse(where, expected, value) {
  throw new FilterError(`${where}: expected ${expected}, got ${kind(value)}`);
}

/**
 * The name that Python gives to the type of a JSON value: the language's own messages have it.
 * @param {any} value
 */
function kind(value) {
  if (value === null || value === undefined) return "NoneType";
  if (Array.isArray(value)) return "list";
  if (typeof value === "number") return Number.isSafeInteger(value) ? "int" : "float";
  return (
    { string: "str", boolean: "bool", bigint: "int", object: "dict" }[/** @type {string} */ (typeof value)] ??
    typeof value
  );
}

/** @type {(text: string) => string} */
const quoted = (text) => {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  return mark + text.replaceAll("\\", "\\\\").replaceAll(mark, `\\${mark}`) + mark;
};

/** @type {(op: string, check: (value: any, where: string) => any) => [string, Build]} */
const plain = (op, check) => [op, (path, value, where) => ({ op, path, operand: check(value, where) })];

/** @type {(op: string) => [string, Build]} */
const flag = (op) => [
  op,
  (path, value, where) => {
    if (typeof value !== "boolean") refuse(where, "true or false", value);
    const there = { op, path, operand: true };
    return value ? there : not(there);
  },
];

/** @type {Build} */
function between(path, value, where) {
  const [low, high] = range(value, where);
  return {
    op: "$and",
    children: [
      { op: "$gte", path, operand: low },
      { op: "$lte", path, operand: high },
    ],
  };
}

/** @type {Build} */
function every(path, value, where) {
  const values = scalars(value, where);
  if (!values.length) throw new FilterError(`${where}: expected at least one value, got an empty list`);
  return all(values.map((item) => anyOf(path, [item])));
}

/** @type {Map<string, Build>} */
const OPERATORS = new Map([
  ["$eq", (path, value, where) => anyOf(path, [scalar(value, where)])],
  ["$ne", (path, value, where) => not(anyOf(path, [scalar(value, where)]))],
  plain("$gt", ordered),
  plain("$gte", ordered),
  plain("$lt", ordered),
  plain("$lte", ordered),
  plain("$in", scalars),
  ["$nin", (path, value, where) => not(anyOf(path, scalars(value, where)))],
  flag("$exists"),
  ["$between", between],
  plain("$contains", scalar),
  ["$all", every],
  ["$any", (path, value, where) => anyOf(path, scalars(value, where))],
  plain("$like", pattern),
  plain("$ilike", pattern),
  plain("$text", phraseOf),
  flag("$empty"),
  plain("$prefix", string),
]);
