// The clinical tokenizer, term for term as bedside/text/tokenizer.py, where each rule is explained.
import lexicon from "../text/data/lexicon.json" with { type: "json" };
import { fold } from "./fold.js";
import { stem } from "./stemmer.js";
import { DIGITS, splitAtSpace } from "./unicode.js";

const MEMO_SIZE = 1 << 17;
const MEMO_LENGTH = 48;
const STEM_LENGTH = 48;
// Python's [^\W_], \d, [^\W\d_] and \w.
const W = "[\\p{L}\\p{N}]";
const D = "\\p{Nd}";
const NO_DIGIT = "[\\p{L}\\p{Nl}\\p{No}]";
const WORD = "[\\p{L}\\p{N}_]";
const NUM = `${D}+(?:\\.${D}+)*`;
const NO_WORD_AFTER = `(?!${W})`;
const EDGE = `(?:(?<=${WORD})(?!${WORD})|(?<!${WORD})(?=${WORD}))`;
const DIGIT = new RegExp(`^[${DIGITS}]`, "u");

const CHUNK = new RegExp(
  `(?:${W}|[<>])(?:(?<=[<>])=?${D})?${W}*` +
    `(?:[-./':]${W}+|(?<=${D}),${D}${D}${D}(?!${D})){0,16}(?:\\+{1,3}${NO_WORD_AFTER})?`,
  "gu",
);
const SPACED_SIGN = new RegExp(`(?<=[<>]) (?=${D})|(?<=[<>]=) (?=${D})`, "gu");
const BARE_DECIMAL = new RegExp(`\\.(?=${D})(?<!${W}\\.)(?<!\\.\\.)`, "gu");
const THOUSANDS = new RegExp(`(?<![${D}.])[1-9]${D}{0,2}(?:,${D}{3})+(?!${D})`, "gu");
/** @type {[RegExp, string][]} */
const CONTRACTIONS = [
  [new RegExp(`${EDGE}can't${EDGE}`, "gu"), "cannot"],
  [new RegExp(`${EDGE}(?:wo|sha)n't${EDGE}`, "gu"), "not"],
  [new RegExp(`n't${EDGE}`, "gu"), " not"],
  [new RegExp(`'(?:s|m|d|re|ve|ll)${EDGE}`, "gu"), ""],
  [new RegExp(`(?<=${NO_DIGIT})'(?=${NO_DIGIT})`, "gu"), ""],
];
const PIECE = new RegExp(
  `(?<!${W})(?:` +
    `(?<dotted>[a-z](?:\\.[a-z])+${NO_WORD_AFTER})` +
    `|(?<whole>[a-z](?:/[a-z])+${NO_WORD_AFTER}|(?:${D}${D}?|[xy])[pq]${D}+\\.${D}+${NO_WORD_AFTER})` +
    `|(?<label>[a-z]{2,}(?=${D}+[./]${D})|[a-z](?=${D}\\.${D})|t(?=${D}${D}${D}?\\.${D}[cf]${NO_WORD_AFTER}))?` +
    `(?!${D}+-[a-z])(?<number>${NUM}(?:[-/:x]${NUM})*)(?<unit>[a-z]+)?${NO_WORD_AFTER}` +
    `|(?<code>[a-z]${D}[0-9a-z]*\\.${D}[0-9a-z]*${NO_WORD_AFTER}|[a-z]${D}[0-9a-z]\\.[a-z]${D}{0,2}${NO_WORD_AFTER})` +
    `|(?<compound>${W}+(?:-${W}+(?!${W}|\\.${D}))+)` +
    `|(?<word>${W}+))`,
  "gu",
);
const SHORT_CODE = new RegExp(`^([a-z]{1,3})-${D}{1,3}[a-z]?$`, "u");
const LOINC = new RegExp(`^${D}{3,}-${D}$`, "u");
const DROPPED_HYPHEN = new RegExp(`(?<!${D})-|-(?!${D})`, "gu");
const AMOUNT = new RegExp(`^(${D}+)([a-z]+)$`, "u");
const ALL_DIGITS = new RegExp(`^${D}+$`, "u");
const ALL_LETTERS = new RegExp("^\\p{L}+$", "u");
const ASCII_LETTERS = /^[a-zA-Z]+$/;

const STOP_WORDS = new Set(lexicon.stop_words);
const UNITS = new Set(lexicon.units);
/** @type {Map<string, string[]>} */
const ALIASES = new Map(Object.entries(lexicon.aliases));

/** Cuts clinical text into search terms. */
export class ClinicalTokenizer {
  /**
   * @param {object} [settings]
   * @param {boolean} [settings.stem] Stem words; without it only exact word forms match.
   * @param {boolean} [settings.stopWords] Drop function words.
   */
  constructor({ stem: stemming = true, stopWords = true } = {}) {
    this.stemming = stemming;
    /** @type {Set<string>} */
    this.stop = stopWords ? STOP_WORDS : new Set();
    /** @type {Map<string, string[]>} */
    this.memo = new Map();
  }

  /**
   * Cut one text into terms.
   * @param {string} text A passage or a query.
   * @returns {string[]} In the order of the text, repeated as often as they occur.
   * @example new ClinicalTokenizer().tokenize("metformin 500mg b.i.d.") // ["metformin", "500", "mg", "bid"]
   */
  tokenize(text) {
    return splitWords(text).flatMap((word) => this.termsOf(word));
  }

  /**
   * The terms of folded text without spaces; emptied when full, as Python's memo is.
   * @param {string} word
   */
  termsOf(word) {
    let terms = this.memo.get(word);
    if (terms === undefined) {
      terms = (word.match(CHUNK) ?? []).flatMap((chunk) => this.expand(chunk));
      if (this.memo.size >= MEMO_SIZE) this.memo.clear();
      if (word.length <= MEMO_LENGTH) this.memo.set(word, terms);
    }
    return terms;
  }

  /**
   * @param {string} chunk
   * @returns {string[]}
   */
  expand(chunk) {
    if (ALL_LETTERS.test(chunk)) return this.word(chunk);
    const alias = ALIASES.get(chunk);
    if (alias) return alias;
    const [sign] = /** @type {[string]} */ (chunk.match(/^[<>=]*/));
    const core = chunk.slice(sign.length).replace(/\++$/, "");
    const terms = [...simplify(core).matchAll(PIECE)].flatMap((match) => this.piece(match));
    if (/^[<>]/.test(chunk) && terms.length && DIGIT.test(terms[0])) terms.push(sign + terms[0]);
    if (chunk.endsWith("+")) terms.push(core + /** @type {[string]} */ (chunk.match(/\++$/))[0]);
    return terms;
  }

  /** @param {RegExpMatchArray} match */
  piece(match) {
    const groups = /** @type {Record<string, string | undefined>} */ (match.groups);
    if (groups.dotted) return [groups.dotted.replaceAll(".", "")];
    if (groups.number)
      return [...(groups.label ? this.word(groups.label) : []), ...this.amount(groups.number, groups.unit)];
    return groups.compound ? this.compound(groups.compound) : this.word(match[0]);
  }

  /**
   * @param {string} number
   * @param {string | undefined} unit
   */
  amount(number, unit) {
    const values = number.split("x").flatMap(numbers);
    if (unit === undefined) return values;
    return ALL_DIGITS.test(number) && !isUnit(number, unit) ? [number + unit] : [...values, ...this.word(unit)];
  }

  /** @param {string} compound */
  compound(compound) {
    const whole = compound.replace(DROPPED_HYPHEN, "");
    const code = compound.match(SHORT_CODE);
    if (code) return [whole, ...(code[1].length > 1 ? this.word(code[1]) : [])];
    const parts = compound.split("-").flatMap((part) => this.part(part));
    const amount = whole.match(AMOUNT);
    return amount && isUnit(amount[1], amount[2]) ? parts : [...this.word(whole), ...parts];
  }

  /** @param {string} part */
  part(part) {
    const amount = part.match(AMOUNT);
    return amount ? this.amount(amount[1], amount[2]) : this.word(part);
  }

  /**
   * @param {string} word
   * @returns {string[]}
   */
  word(word) {
    if (this.stop.has(word)) return [];
    const alias = ALIASES.get(word);
    if (alias) return alias;
    const stems = this.stemming && word.length > 2 && word.length <= STEM_LENGTH && ASCII_LETTERS.test(word);
    return [stems ? stem(word) : word];
  }
}

/**
 * Fold text and cut it at its spaces into words, whose terms depend on nothing outside of them.
 * @param {string} text
 */
export function splitWords(text) {
  let folded = fold(text);
  if (folded.includes(".")) folded = folded.replace(BARE_DECIMAL, "0.");
  if (/[<>]/.test(folded)) folded = folded.replace(SPACED_SIGN, "");
  return splitAtSpace(folded);
}

/**
 * Take out what only decorates: thousands separators, contractions, possessives, apostrophes in names.
 * @param {string} chunk
 */
function simplify(chunk) {
  if (chunk.includes(",")) chunk = chunk.replace(THOUSANDS, (number) => number.replaceAll(",", ""));
  if (!chunk.includes("'")) return chunk;
  return CONTRACTIONS.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), chunk);
}

/**
 * A number with its joints: itself, a range's two ends, and every decimal in it.
 * @param {string} number
 */
function numbers(number) {
  const parts = number.split(/[-/:]/);
  if (parts.length === 1) return [number];
  const isRange = parts.length === 2 && number.includes("-") && !LOINC.test(number);
  return [number, ...parts.filter((part) => isRange || part.split(".").length === 2)];
}

/**
 * Tell `5mg` and `37c` from `3rd` and `2c`.
 * @param {string} number
 * @param {string} letters
 */
const isUnit = (number, letters) =>
  UNITS.has(letters) || ((letters === "c" || letters === "f") && [...number].length > 1);
