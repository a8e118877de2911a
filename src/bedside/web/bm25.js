// BM25 in Lucene's variant over postings, with statistics of whatever rows are visible: bedside/index/sparse.py.

/**
 * @typedef {object} SparseResult
 * @property {number[]} rows Ascending; each is visible and scores above zero.
 * @property {Float64Array} scores Of every row, 0 for one that holds no query term.
 * @property {number} bound The most that any document could score for this query.
 * @property {Uint8Array} contradicted Of every row, 1 for one that denies what is asked, or asserts what should be absent.
 * @property {(row: number) => Record<string, number>} explain Each query term's part of a row's score.
 * @property {(row: number) => Record<string, string>} negations How often a row negates each term that is asked about.
 */
/**
 * @template {number[] | Uint32Array} [T=number[] | Uint32Array]
 * @typedef {{rows: T, counts: T, negated: T}} Postings
 */
/**
 * @typedef {object} Prebuilt Postings made beforehand, of rows from 0.
 * @property {string[]} terms
 * @property {Uint32Array} lengths How long each row counts as.
 * @property {Uint32Array} sizes How many postings each term has.
 * @property {Postings<Uint32Array>} postings Those of a term together, its rows ascending.
 */

/** Of the weight that must be contradicted: bedside/search/assertion.py. */
const SHARE = 0.9;

/** An inverted index; rows are numbered from 0 in the order added and are never removed. */
export class SparseIndex {
  /**
   * @param {number} [k1] Saturation of the term frequency; 1.2 is Lucene's default.
   * @param {number} [b] Weight of the length normalisation; 0.75 is Lucene's default.
   */
  constructor(k1 = 1.2, b = 0.75) {
    this.k1 = k1;
    this.b = b;
    /** @type {number[]} */
    this.lengths = [];
    /** @type {Map<string, Postings>} */
    this.postings = new Map();
  }

  /**
   * Append one row.
   * @param {string[]} terms
   * @param {Uint8Array} [negated] 1 for each term that the row negates.
   * @param {number} [length] How long the row counts as.
   */
  add(terms, negated = new Uint8Array(terms.length), length = terms.length) {
    const row = this.lengths.push(length) - 1;
    terms.forEach((term, i) => {
      const { rows, counts, negated: times } = this.growing(term);
      if (rows[rows.length - 1] === row) {
        counts[counts.length - 1]++;
        times[times.length - 1] += negated[i];
      } else {
        rows.push(row);
        counts.push(1);
        times.push(negated[i]);
      }
    });
  }

  /**
   * Take up rows whose postings were made beforehand, before any other row.
   * @param {Prebuilt} prebuilt
   */
  load({ terms, lengths, sizes, postings: { rows, counts, negated } }) {
    this.lengths = Array.from(lengths);
    let start = 0;
    terms.forEach((term, i) => {
      const end = start + sizes[i];
      this.postings.set(term, {
        rows: rows.subarray(start, end),
        counts: counts.subarray(start, end),
        negated: negated.subarray(start, end),
      });
      start = end;
    });
  }

  /**
   * The postings of a term as lists that can grow.
   * @param {string} term
   * @returns {Postings<number[]>}
   */
  growing(term) {
    const known = this.postings.get(term);
    if (known && Array.isArray(known.rows)) return /** @type {Postings<number[]>} */ (known);
    const { rows = [], counts = [], negated = [] } = known ?? {};
    const lists = { rows: Array.from(rows), counts: Array.from(counts), negated: Array.from(negated) };
    this.postings.set(term, lists);
    return lists;
  }

  /**
   * Score the visible rows for a query: the sum over its terms of idf * tf / (tf + k1 * (1 - b + b * dl / avgdl)).
   * @param {string[]} terms Made by the tokenizer that made the rows'.
   * @param {Uint8Array} visible One entry for each row: the corpus of this search.
   * @param {Map<string, import("./assertions.js").Polarity>} [asked] What the query wants present or absent.
   * @returns {SparseResult}
   */
  score(terms, visible, asked = new Map()) {
    let n = 0;
    let tokens = 0;
    this.lengths.forEach((length, row) => {
      n += visible[row];
      tokens += visible[row] * length;
    });
    const scale = (this.k1 * this.b) / (tokens / Math.max(n, 1) || 1);
    const offset = this.k1 * (1 - this.b);
    const scores = new Float64Array(this.lengths.length);
    const idfs = new Map();
    /** @type {(idf: number, length: number, count: number) => number} */
    const part = (idf, length, count) => idf * (count / (length * scale + offset + count));
    const against = new Float64Array(this.lengths.length);
    let bound = 0;
    let wanted = 0;
    for (const [term, times] of tally(terms)) {
      const list = this.postings.get(term);
      let df = 0;
      for (const row of list?.rows ?? []) df += visible[row];
      if (!list || !df) continue;
      const idf = times * Math.log1p((n - df + 0.5) / (df + 0.5));
      idfs.set(term, idf);
      bound += idf;
      const polarity = asked.get(term);
      if (polarity) wanted += idf;
      list.rows.forEach((/** @type {number} */ row, /** @type {number} */ i) => {
        if (!visible[row]) return;
        scores[row] += part(idf, this.lengths[row], list.counts[i]);
        if (polarity && list.negated[i] === (polarity === "absent" ? 0 : list.counts[i])) against[row] += idf;
      });
    }
    /** @type {number[]} */
    const rows = [];
    scores.forEach((score, row) => score > 0 && rows.push(row));
    /** @type {<T>(row: number, value: (list: Postings, i: number, idf: number) => T) => [string, T][]} */
    const ofRow = (row, value) =>
      [...idfs].flatMap(([term, idf]) => {
        const list = /** @type {Postings} */ (this.postings.get(term));
        const i = list.rows.indexOf(row);
        return i < 0 ? [] : [[term, value(list, i, idf)]];
      });
    return {
      rows,
      scores,
      bound,
      contradicted: Uint8Array.from(against, (lost) => (lost > 0 && lost >= SHARE * wanted ? 1 : 0)),
      explain: (row) => Object.fromEntries(ofRow(row, (list, i, idf) => part(idf, this.lengths[row], list.counts[i]))),
      negations: (row) =>
        Object.fromEntries(
          ofRow(row, (list, i) => `${list.negated[i]} of ${list.counts[i]} negated`).filter(([term]) =>
            asked.has(term),
          ),
        ),
    };
  }
}

/**
 * How often each term occurs, in order of first appearance.
 * @param {string[]} terms
 */
function tally(terms) {
  /** @type {Map<string, number>} */
  const times = new Map();
  for (const term of terms) times.set(term, (times.get(term) ?? 0) + 1);
  return times;
}
