// Which words of a text are negated, and what a question wants: the negation rules of bedside/text/assertions.
import cueLists from "../text/data/assertions.json" with { type: "json" };
import lexicon from "../text/data/lexicon.json" with { type: "json" };
import { sentences } from "./sentences.js";
import { splitWords } from "./tokenizer.js";

/** @typedef {import("./tokenizer.js").ClinicalTokenizer} ClinicalTokenizer */
/** @typedef {"present" | "absent"} Polarity */
/** @typedef {{bare: string, mark: string, depth: number}} Word */
/** @typedef {{words: string[], roles: Set<string>}} Cue */
/** @typedef {{cue: Cue, start: number, stop: number}} Found */

const STOP_WORDS = new Set(lexicon.stop_words);
const QUOTES = "\"'(){}<>*“”«»\\[\\]";
const SIGNS = `${QUOTES}.,;:!?…\\-`;
const AROUND = new RegExp(`^[${SIGNS}]+|[${SIGNS}]+$`, "gu");
const CLOSING_QUOTES = new RegExp(`[${QUOTES}]+$`, "u");
const LETTERS = /^\p{L}+$/u;
/** @type {Record<string, number>} */
const LIMITS = { denial: 40, forward: 15 };
const BACKWARD_LIMIT = 6;
const CLOSED_WITHIN = 4;
const NEGATING = ["denial", "forward", "backward", "colon"];
const ROLES = [...NEGATING, "hypothetical", "historical", "family", "pseudo", "terminators"];
const RESUME = new Set(cueLists.resume);
const CLOSED = new Set(cueLists.closed);
const TESTS = new Set(cueLists.tests);
const PREPOSITIONS = new Set(cueLists.prepositions);
const QUESTIONS = new Set(cueLists.questions);
const GENERIC = [...cueLists.generic, ...lexicon.negations].join(" ");

const MEMO_SIZE = 1 << 17;
/** @type {Map<string, Word>} */
const memo = new Map();

const CUES = compiled();
const HINTS = hintWords();

/**
 * The terms of a text, and for each whether the text negates it.
 * @param {string} text
 * @param {ClinicalTokenizer} tokenizer
 * @returns {{terms: string[], negated: Uint8Array}} Exactly the terms of `tokenizer.tokenize(text)`.
 * @example markedTerms("Denies pain, but coughs.", new ClinicalTokenizer()).negated // Uint8Array [0, 1, 0]
 */
export function markedTerms(text, tokenizer) {
  const words = splitWords(text);
  /** @type {string[]} */
  const terms = [];
  const ends = words.map((word) => {
    for (const term of tokenizer.termsOf(word)) terms.push(term);
    return terms.length;
  });
  const negated = new Uint8Array(terms.length);
  if (!words.some(isHint)) return { terms, negated };
  const bits = negatedWords(text, words.length);
  ends.forEach((end, word) => negated.fill(bits[word], ends[word - 1] ?? 0, end));
  return { terms, negated };
}

/**
 * Which terms of a question should be present or absent; empty for one that asks for both, such as "Any fever?".
 * @param {string} query
 * @param {ClinicalTokenizer} tokenizer
 * @returns {Map<string, Polarity>}
 */
export function askedPolarity(query, tokenizer) {
  /** @type {Map<string, Polarity>} */
  const asked = new Map();
  const [first] = splitWords(query);
  if (first !== undefined && QUESTIONS.has(readWord(first).bare)) return asked;
  const leftOut = new Set(tokenizer.tokenize(GENERIC));
  for (const sentence of sentences(query)) {
    const words = splitWords(sentence);
    const found = findCues(words.map(readWord)).filter(({ cue }) => !cue.roles.has("pseudo"));
    const bits = new Uint8Array(words.length);
    for (const { start, stop } of negatedScopes(words)) bits.fill(1, start, stop);
    words.forEach((word, at) => {
      const wanted = bits[at] ? "absent" : "present";
      const inCue = found.some(({ start, stop }) => start <= at && at < stop);
      for (const term of tokenizer.termsOf(word)) {
        if (!asked.has(term)) asked.set(term, wanted);
        if (inCue || asked.get(term) !== wanted) leftOut.add(term);
      }
    });
  }
  for (const term of leftOut) asked.delete(term);
  return asked;
}

/**
 * A bit for each word of the text; its sentences cut it into the same words as the whole.
 * @type {(text: string, count: number) => Uint8Array}
 */
function negatedWords(text, count) {
  const bits = new Uint8Array(count);
  let first = 0;
  for (const sentence of sentences(text)) {
    const words = splitWords(sentence);
    for (const { start, stop } of negatedScopes(words)) bits.fill(1, first + start, first + stop);
    first += words.length;
  }
  return bits;
}

/**
 * The stretches of a sentence's words that its cues negate.
 * @param {string[]} words
 * @returns {{start: number, stop: number}[]}
 */
function negatedScopes(words) {
  if (!words.some(isHint)) return [];
  const read = words.map(readWord);
  const found = findCues(read);
  const terminators = found.filter(({ cue }) => cue.roles.has("terminators"));
  const stops = new Set(terminators.map(({ start }) => start));
  const ends = new Set(terminators.map(({ stop }) => stop));
  return found.flatMap((cue) =>
    NEGATING.filter((role) => cue.cue.roles.has(role))
      .map((role) => reach(read, cue, role, stops, ends))
      .filter(({ start, stop }) => start < stop),
  );
}

/** @param {string} word */
const isHint = (word) => HINTS.has(readWord(word).bare);

/**
 * A folded word as it was read before; the memo is emptied when full, as the tokenizer's is.
 * @param {string} word
 */
function readWord(word) {
  let found = memo.get(word);
  if (!found) {
    found = readAnew(word);
    if (memo.size >= MEMO_SIZE) memo.clear();
    memo.set(word, found);
  }
  return found;
}

/**
 * A folded word without what stands around it, and what that says: the mark it ends with, and parentheses.
 * @param {string} word
 * @returns {Word}
 */
function readAnew(word) {
  const bare = word.replace(AROUND, "");
  const depth = (word.match(/\(/g) ?? []).length - (word.match(/\)/g) ?? []).length;
  if (!bare) return { bare, mark: word.includes("-") ? "-" : "", depth };
  const last = word.replace(CLOSING_QUOTES, "").slice(-1);
  return { bare: bare.endsWith("n't") ? "not" : bare, mark: markOf(last, bare), depth };
}

/** @type {(last: string, bare: string) => string} */
function markOf(last, bare) {
  if (",;:".includes(last)) return last;
  const isWord = LETTERS.test(bare) && ([...bare].length > 2 || bare === "no");
  return last === "!" || last === "?" || (last === "." && isWord) ? "." : "";
}

/**
 * The cues of a sentence; a word belongs to one at most.
 * @param {Word[]} read
 * @returns {Found[]}
 */
function findCues(read) {
  /** @type {Found[]} */
  const found = [];
  let free = 0;
  for (let at = 0; at < read.length; at++) {
    if (at < free) continue;
    const cue = CUES.get(read[at].bare)?.find((cue) => stands(cue, read, at));
    if (!cue) continue;
    free = at + cue.words.length;
    found.push({ cue, start: at, stop: free });
  }
  return found;
}

/** @type {(cue: Cue, read: Word[], at: number) => boolean} */
const stands = (cue, read, at) =>
  cue.words.every((word, i) => read[at + i]?.bare === word && (i === 0 || !read[at + i - 1].mark));

/** @type {(read: Word[], cue: Found, role: string, stops: Set<number>, ends: Set<number>) => {start: number, stop: number}} */
function reach(read, cue, role, stops, ends) {
  if (role !== "colon" && role !== "backward") return { start: cue.stop, stop: after(read, cue.stop, role, stops) };
  const start = role === "colon" ? overColon(read, cue) : before(read, cue.start, ends);
  const isTest = cue.start > start && cue.cue.words.at(-1) === "negative" && TESTS.has(read[cue.start - 1].bare);
  return { start: isTest ? cue.start : start, stop: cue.start };
}

/**
 * Where the scope of "Fever: none." begins; at the cue itself where it is not an answer to what precedes a colon.
 * @type {(read: Word[], cue: Found) => number}
 */
function overColon(read, { start, stop }) {
  const answers = stop === read.length || [",", ";", "."].includes(read[stop - 1].mark);
  const afterColon = start > 0 && read[start - 1].mark === ":";
  return answers && afterColon ? before(read, start - 1, new Set()) : start;
}

/** @type {(read: Word[], stop: number, ends: Set<number>) => number} */
function before(read, stop, ends) {
  let start = stop;
  while (start > Math.max(0, stop - BACKWARD_LIMIT) && !read[start - 1].mark && !ends.has(start)) start--;
  return start;
}

/** @type {(read: Word[], start: number, role: string, stops: Set<number>) => number} */
function after(read, start, role, stops) {
  let depth = Math.min(0, read[start - 1].depth);
  if (depth < 0 || [",", ";", "."].includes(read[start - 1].mark)) return start;
  const end = Math.min(read.length, start + LIMITS[role]);
  for (let at = start; at < end; at++) {
    const { mark } = read[at];
    depth += read[at].depth;
    if (stops.has(at) || mark === "-" || (at > start && resumes(read, at))) return at;
    if (depth < 0 || mark === ";" || mark === "." || closes(read, at, start)) return at + 1;
  }
  return end;
}

/** @type {(read: Word[], at: number) => boolean} */
function resumes(read, at) {
  const previous = read[at - 1];
  return RESUME.has(read[at].bare) && (previous.mark === "," || previous.bare === "and" || previous.bare === "or");
}

/** @type {(read: Word[], at: number, start: number) => boolean} */
function closes(read, at, start) {
  const { mark, bare } = read[at];
  if (mark === ":") return true;
  return at - start < CLOSED_WITHIN && CLOSED.has(bare) && !mark && PREPOSITIONS.has(read[at + 1]?.bare);
}

/**
 * First word -> the cues that may begin with it: those that shield first, then the longest.
 * @returns {Map<string, Cue[]>}
 */
function compiled() {
  /** @type {Map<string, Cue>} */
  const byPhrase = new Map();
  for (const role of ROLES) {
    for (const phrase of /** @type {Record<string, any>} */ (cueLists)[role]) {
      const words = phrase.split(" ").map((/** @type {string} */ word) => readWord(word).bare);
      const cue = byPhrase.get(words.join(" ")) ?? { words, roles: new Set() };
      cue.roles.add(role);
      byPhrase.set(words.join(" "), cue);
    }
  }
  /** @type {Map<string, Cue[]>} */
  const found = new Map();
  for (const cue of byPhrase.values()) found.set(cue.words[0], [...(found.get(cue.words[0]) ?? []), cue]);
  for (const cues of found.values()) cues.sort(shieldsAndLongestFirst);
  return found;
}

/** @type {(a: Cue, b: Cue) => number} */
function shieldsAndLongestFirst(a, b) {
  return Number(b.roles.has("pseudo")) - Number(a.roles.has("pseudo")) || b.words.length - a.words.length;
}

/** Words of which every negating cue has one: few and rare ones, so that most texts are done after a look-up a word. */
function hintWords() {
  const phrases = [...CUES.values()].flat().filter(({ roles }) => NEGATING.some((role) => roles.has(role)));
  const alone = new Set(phrases.filter(({ words }) => words.length === 1).map(({ words }) => words[0]));
  const rarity = (/** @type {string} */ word) =>
    (alone.has(word) ? 1000 : 0) + (STOP_WORDS.has(word) ? 0 : 100) + word.length;
  return new Set(phrases.map(({ words }) => words.reduce((a, b) => (rarity(b) > rarity(a) ? b : a))));
}
