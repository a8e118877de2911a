// BM25 in Lucene's variant over postings, with statistics of whatever rows are visible: bedside/index/sparse.py.

/**
 * @typedef {object} SparseResult
 * @property {number[]} rows Ascending; each is visible and scores above zero.
 * @property {Float64Array} scores Of every row, 0 for one that holds no query term.
 * @property {number} bound The most that any document could score for this query.
 * @property {(row: number) => Record<string, number>} explain Each query term's part of a row's score.
 */

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
    /** @type {Map<string, {rows: number[], counts: number[]}>} */
    this.postings = new Map();
  }

  /**
   * Append one row.
   * @param {string[]} terms
   */
  add(terms) {
    const row = this.lengths.push(terms.length) - 1;
    for (const term of terms) {
      const list = this.postings.get(term);
      if (!list) this.postings.set(term, { rows: [row], counts: [1] });
      else if (list.rows[list.rows.length - 1] === row) list.counts[list.counts.length - 1]++;
      else {
        list.rows.push(row);
        list.counts.push(1);
      }
    }
  }

  /**
   * Score the visible rows for a query: the sum over its terms of idf * tf / (tf + k1 * (1 - b + b * dl / avgdl)).
   * @param {string[]} terms Made by the tokenizer that made the rows'.
   * @param {Uint8Array} visible One entry for each row: the corpus of this search.
   * @returns {SparseResult}
   */
  score(terms, visible) {
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
    let bound = 0;
    for (const [term, times] of tally(terms)) {
      const list = this.postings.get(term);
      const df = list ? list.rows.reduce((sum, row) => sum + visible[row], 0) : 0;
      if (!list || !df) continue;
      const idf = times * Math.log1p((n - df + 0.5) / (df + 0.5));
      idfs.set(term, idf);
      bound += idf;
      list.rows.forEach((row, i) => {
        if (visible[row]) scores[row] += part(idf, this.lengths[row], list.counts[i]);
      });
    }
    /** @type {number[]} */
    const rows = [];
    scores.forEach((score, row) => score > 0 && rows.push(row));
    const explain = (/** @type {number} */ row) => {
      /** @type {Record<string, number>} */
      const parts = {};
      for (const [term, idf] of idfs) {
        const list = /** @type {{rows: number[], counts: number[]}} */ (this.postings.get(term));
        const i = list.rows.indexOf(row);
        if (i >= 0) parts[term] = part(idf, this.lengths[row], list.counts[i]);
      }
      return parts;
    };
    return { rows, scores, bound, explain };
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
