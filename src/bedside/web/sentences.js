// Where sentences end: as bedside/text/sentences.py, whose lists it reads.
import lexicon from "../text/data/lexicon.json" with { type: "json" };
import lists from "../text/data/sentences.json" with { type: "json" };
import { SPACE, isDigits, isLower, isUpper } from "./unicode.js";

const UNITS = new Set(lexicon.units);
const OPEN = new Set(lists.open);
const OPEN_BEFORE_NUMBER = new Set(lists.open_before_number);
const ROUTES = new Set(lists.routes);
const BEFORE_ORDINAL = new Set(lists.before_ordinal);
const MONTHS_AFTER = new Set(lists.months_after);
const GOES_ON = new Set(lists.goes_on);
const CLOSERS = "\"'”’)\\]*»";
const CANDIDATE = new RegExp(`(?<=[.!?…${CLOSERS}])[${SPACE}]+|[\\r\\n][${SPACE}]*`, "gu");
const LEADING_SPACE = new RegExp(`^[${SPACE}]+`, "u");
const TRAILING_SPACE = new RegExp(`[${SPACE}]+$`, "u");
const TRAILING_CLOSERS = new RegExp(`[${CLOSERS}]+$`, "u");
const OPENING_SIGNS = /^[(["'“‘]+/u;
const LETTERS = /^\p{L}+$/u;
const DOTTED = /^(?:[A-Za-z]\.)+[A-Za-z]$/;
const NUMBER = "\\p{Nd}";
const BULLET = new RegExp(
  `[-*+•‣▪◦·–—o][ \\t]|#{1,6}[ \\t]*[^${SPACE}]|\\(?(?:${NUMBER}{1,3}|[A-Za-z])(?:\\.\\)?|\\))[ \\t]|[•‣▪◦]`,
  "uy",
);
const CLOSED_NUMBER = new RegExp(`${NUMBER}{1,3}\\.\\)`, "uy");
const LAST_WORD = new RegExp(`[^${SPACE}]*$`, "u");
const NEXT_WORD = /(?:[\p{L}\p{Nl}\p{No}]|[%.]){1,12}/uy;
const LOOK_BACK = 40; // characters, as Python looks back

/**
 * The sentences of a text, each with the white space that follows it; together they are the whole text.
 * @param {string} text
 * @returns {string[]}
 * @example sentences("Saw Dr. Wu. Feels well.") // ["Saw Dr. Wu. ", "Feels well."]
 */
export function sentences(text) {
  const found = [];
  let at = 0;
  let written = (text.match(LEADING_SPACE)?.[0] ?? "").length;
  for (const gap of text.matchAll(CANDIDATE)) {
    const end = gap.index + gap[0].length;
    if (gap.index < written || end >= text.length || !endsSentence(text, written, gap.index, end)) continue;
    found.push(text.slice(at, end));
    at = written = end;
  }
  if (at < text.length) found.push(text.slice(at));
  return found;
}

/**
 * Whether the white space between `stop` and `next` parts two sentences.
 * @type {(text: string, start: number, stop: number, next: number) => boolean}
 */
function endsSentence(text, start, stop, next) {
  const lines = (
    text
      .slice(stop, next)
      .replaceAll("\r\n", "\n")
      .match(/[\r\n]/g) ?? []
  ).length;
  if (lines > 1 || (lines && matchAt(BULLET, text, next))) return true;
  const before = lastCharacters(text.slice(start, stop)).match(LAST_WORD)?.[0] ?? "";
  const marked = before.replace(TRAILING_CLOSERS, "");
  const follows = (matchAt(NEXT_WORD, text, next) ?? "").replace(/\.+$/, "");
  const first = String.fromCodePoint(/** @type {number} */ (text.codePointAt(next)));
  if (marked.endsWith(".")) {
    const word = marked.slice(0, -1).replace(OPENING_SIGNS, "");
    return dotEnds(text, start, stop - before.length, word, first, follows, lines > 0);
  }
  if (/[!?…]$/u.test(marked)) return !isLower(first);
  return lines > 0 && isNewStatement(before, first, follows.toLowerCase());
}

/**
 * Whether the dot after `word`, which stands at `place`, ends the sentence.
 * @type {(text: string, start: number, place: number, word: string, first: string, follows: string, newLine: boolean)
 *   => boolean}
 */
function dotEnds(text, start, place, word, first, follows, newLine) {
  const bare = word.toLowerCase();
  const letters = LETTERS.test(bare);
  if (OPEN.has(bare) || (letters && [...bare].length === 1) || (OPEN_BEFORE_NUMBER.has(bare) && isDigits(first))) {
    return false;
  }
  if (isLower(first) && !(newLine && letters)) return false;
  if (isDigits(bare)) {
    const goesOn = isDigits(first) || isListNumber(text, start, place) || isOrdinal(text, start, place, follows);
    if (goesOn) return false;
  }
  const isMeasure = UNITS.has(bare) || DOTTED.test(word);
  return !(isMeasure && isUpper(follows) && ROUTES.has(follows.toLowerCase()));
}

/** @type {(text: string, start: number, place: number, follows: string) => boolean} */
function isOrdinal(text, start, place, follows) {
  const before = lastCharacters(text.slice(start, place)).toLowerCase().replace(TRAILING_SPACE, "").match(LAST_WORD);
  return MONTHS_AFTER.has(follows.toLowerCase()) || BEFORE_ORDINAL.has(before?.[0] ?? "");
}

/** @type {(before: string, first: string, follows: string) => boolean} */
function isNewStatement(before, first, follows) {
  if (/[,\-/(&+=<>]$/.test(before) || GOES_ON.has(before.toLowerCase())) return false;
  if (isDigits([...before].at(-1) ?? "") && UNITS.has(follows)) return false;
  return !isLower(first);
}

/** @type {(text: string, start: number, place: number) => boolean} */
function isListNumber(text, start, place) {
  const before = text.slice(Math.max(start, place - 3), place).replace(TRAILING_SPACE, "");
  return place <= start || matchAt(CLOSED_NUMBER, text, place) !== null || /(?:^|[.:;,])$/.test(before);
}

/** @type {(pattern: RegExp, text: string, at: number) => string | null} */
function matchAt(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

/** @param {string} text */
const lastCharacters = (text) => [...text.slice(-2 * LOOK_BACK)].slice(-LOOK_BACK).join("");
