// Hits that say the same again, shown as one: bedside/text/copies.py, where the rules are explained.
import { beginsOf } from "./dates.js";
import { fold } from "./fold.js";
import { sentences } from "./sentences.js";
import { compareStrings } from "./unicode.js";

/** @typedef {import("./index-rows.js").Rows} Rows */
/** @typedef {{id: string, source: string | null, date: string | null}} Copy */
/** @typedef {{copies: Copy[], firstSeen: string | null, lastSeen: string | null}} Seen What a hit stands for beside itself. */

const SAME = 0.8;
const SIZE = 5;
const WORD = /[\p{L}\p{N}]+/gu;
const SAID = /[\p{L}\p{N}]+|[<>=+~±]|-(?=\p{Nd})|(?<=\p{Nd})[.,:/](?=\p{Nd})/gu;
const PIECE = /[\n;]|\.[\n ]/; // lines and clauses, roughly: nothing but counts is made of them

/** What a hit without copies, whose date was not read, stands for. */
export const ALONE = Object.freeze({ copies: [], firstSeen: null, lastSeen: null });

/**
 * Leave out copies of better hits, and say which these stand for.
 * @template {{row: number}} T
 * @param {Rows} rows
 * @param {T[]} hits Best first.
 * @param {string | null} query
 * @param {string} dateKey
 * @returns {{hits: T[], seen: Map<number, Seen>}} `seen` by row.
 */
export function collapsed(rows, hits, query, dateKey) {
  const better = copied(
    hits.map(({ row }) => rows.record(row).text),
    query,
  );
  /** @type {Map<number, number[]>} */
  const groups = new Map();
  better.forEach((j, i) => groups.set(j, [...(groups.get(j) ?? []), i]));
  const seen = [...groups].map(([i, group]) => {
    const members = group.map((j) => hits[j].row);
    return /** @type {[number, Seen]} */ ([hits[i].row, seenOf(rows, members, dateKey)]);
  });
  return { hits: [...groups.keys()].map((i) => hits[i]), seen: new Map(seen) };
}

/** @type {(rows: Rows, members: number[], dateKey: string) => Seen} */
function seenOf(rows, members, dateKey) {
  const dated = members.map((row) => {
    const { id, metadata } = rows.record(row);
    const begins = beginsOf(metadata[dateKey]);
    const note = typeof metadata.source_id === "string" && Object.hasOwn(metadata, "source_hash") && metadata.source_id;
    const source = note || (typeof metadata.source === "string" ? metadata.source : null);
    return { id, source, date: begins === null ? null : metadata[dateKey], begins: begins ?? 0n };
  });
  const dates = dated
    .filter(({ date }) => date !== null)
    .sort((a, b) => (a.begins < b.begins ? -1 : a.begins > b.begins ? 1 : 0));
  return {
    copies: dated.slice(1).map(({ id, source, date }) => ({ id, source, date })),
    firstSeen: dates[0]?.date ?? null,
    lastSeen: dates.at(-1)?.date ?? null,
  };
}

/**
 * Of which earlier text each is a copy: its place, or the text's own where it is none.
 * @param {string[]} texts The best first.
 * @param {string | null} query A copy with a sentence of its own that may answer it is none.
 * @returns {number[]}
 */
export function copied(texts, query) {
  const judged = new Judged(texts, query);
  /** @type {Map<string, number[]>} */
  const holders = new Map();
  /** @type {Map<string, number>} */
  const known = new Map();
  /** @type {number[]} */
  const sizes = [];
  return texts.map((text, i) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const mine = shingles(text);
    /** @type {Map<number, number>} */
    const shared = new Map();
    for (const shingle of mine) for (const j of holders.get(shingle) ?? []) shared.set(j, (shared.get(j) ?? 0) + 1);
    const near = [...shared].filter(([j, both]) => both >= SAME * (mine.size + sizes[j] - both)).map(([j]) => j);
    const better = near.sort((a, b) => a - b).find((j) => !judged.standsApart(i, j)) ?? i;
    known.set(text, better);
    if (better === i) {
      sizes[i] = mine.size;
      for (const shingle of mine) holders.set(shingle, [...(holders.get(shingle) ?? []), i]);
    }
    return better;
  });
}

/** How much of a question the sentences of texts hold. */
class Judged {
  /**
   * @param {string[]} texts
   * @param {string | null} query
   */
  constructor(texts, query) {
    this.texts = texts;
    this.asked = query === null ? null : new Set(words(query));
    /** @type {Map<number, string[]>} */
    this.cut = new Map();
    /** @type {Map<number, number>} */
    this.most = new Map();
    /** @type {Map<string, number> | null} */
    this.weights = null;
  }

  /**
   * Whether the i-th text may answer what the j-th does not.
   * @type {(i: number, j: number) => boolean}
   */
  standsApart(i, j) {
    const there = said(this.sentences(j));
    const own = [...said(this.changed(i, j))].filter((sentence) => !there.has(sentence));
    if (!this.asked || !own.length) return own.length > 0;
    if (!this.most.has(j)) this.most.set(j, this.coverage([...there]));
    const best = this.coverage(own);
    return best > 0 && best >= /** @type {number} */ (this.most.get(j));
  }

  /**
   * The sentences of the stretch of the i-th text that the j-th has not, and two around it: where both begin alike and
   * end alike their sentences are alike, and cutting text into sentences is what costs.
   * @type {(i: number, j: number) => string[]}
   */
  changed(i, j) {
    const [mine, other] = [this.texts[i], this.texts[j]];
    let head = 0;
    while (head < Math.min(mine.length, other.length) && mine[head] === other[head]) head++;
    const rest = Math.min(mine.length, other.length) - head;
    let tail = 0;
    while (tail < rest && mine.at(-1 - tail) === other.at(-1 - tail)) tail++;
    let at = 0;
    const spans = this.sentences(j).map((sentence) => [at, (at += sentence.length)]);
    const start = spans.filter(([first]) => first <= head).at(-3)?.[0] ?? 0;
    const end = spans.filter(([, last]) => last >= other.length - tail)[1]?.[1];
    return sentences(
      mine.slice(start, end === undefined ? mine.length : Math.max(0, end + mine.length - other.length)),
    );
  }

  /** @param {string[]} found */
  coverage(found) {
    const weights = (this.weights ??= this.weigh());
    const sums = found.map((sentence) => {
      const held = [...new Set(words(sentence))].sort(compareStrings); // equal words have equal sums
      return held.reduce((sum, word) => sum + (weights.get(word) ?? 0), 0);
    });
    return Math.max(0, ...sums);
  }

  /** What each word of the question weighs: the fewer lines and clauses here hold it, the more (BM25's idf). */
  weigh() {
    const asked = this.asked ?? new Set();
    const pieces = new Set([...new Set(this.texts)].flatMap((text) => text.split(PIECE)));
    const held = new Map([...asked].map((word) => [word, 0]));
    for (const piece of pieces) {
      for (const word of new Set(words(piece))) if (asked.has(word)) held.set(word, (held.get(word) ?? 0) + 1);
    }
    return new Map([...held].map(([word, n]) => [word, Math.log1p((pieces.size - n + 0.5) / (n + 0.5))]));
  }

  /** @param {number} i */
  sentences(i) {
    const known = this.cut.get(i) ?? sentences(this.texts[i]);
    this.cut.set(i, known);
    return known;
  }
}

/**
 * The runs of five words of a text; a shorter text is one run, an empty one has none.
 * @param {string} text
 * @returns {Set<string>}
 */
function shingles(text) {
  const found = words(text);
  if (found.length <= SIZE) return new Set(found.length ? [found.join(" ")] : []);
  return new Set(found.slice(SIZE - 1).map((_, i) => found.slice(i, i + SIZE).join(" ")));
}

/** @type {(text: string) => string[]} */
const words = (text) => fold(text).match(WORD) ?? [];

/**
 * What sentences say: their words, and the signs between them that matter.
 * @param {string[]} found
 * @returns {Set<string>}
 */
function said(found) {
  return new Set(found.map((sentence) => (fold(sentence).match(SAID) ?? []).join(" ")).filter(Boolean));
}
