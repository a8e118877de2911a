// BERT's WordPiece tokenizer, as bedside/encoders/wordpiece.py: text to token ids by greedy longest match.
import { SPACE, isAscii, splitAtSpace } from "./unicode.js";

// prettier-ignore
const CJK =
  /[㐀-䶿一-鿿\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/gu;
const CONTROL = new RegExp(`(?![${SPACE}])[\\p{C}\\ufffd]`, "gu");
const ACCENTS = /\p{Mn}/gu;
const MEMO_SIZE = 200_000;

/** Text to token ids. */
export class WordPiece {
  /** @param {any} description The content of a `tokenizer.json` of BERT's kind. */
  constructor({ model, normalizer }) {
    /** @type {Map<string, number>} */
    this.vocabulary = new Map(Object.entries(model.vocab));
    /** @type {string | null} */
    this.unknown = model.unk_token;
    /** @type {string} */
    this.prefix = model.continuing_subword_prefix;
    /** @type {number} */
    this.longest = model.max_input_chars_per_word;
    /** @type {boolean} */
    this.lowercase = normalizer.lowercase;
    /** @type {boolean} */
    this.stripAccents = normalizer.strip_accents ?? normalizer.lowercase;
    /** @type {boolean} */
    this.cjk = normalizer.handle_chinese_chars;
    /** @type {Map<string, number[]>} */
    this.memo = new Map();
  }

  /**
   * The ids of a text's known pieces, in order; words without a piece are left out.
   * @param {string} text
   */
  ids(text) {
    /** @type {number[]} */
    const found = [];
    for (const chunk of splitAtSpace(text)) for (const id of this.pieces(chunk)) found.push(id);
    return found;
  }

  /**
   * Whether anything is left of a text once spaces and control characters are gone.
   * @param {string} text
   */
  hasWords(text) {
    return splitAtSpace(text).some((chunk) => this.words(chunk).length);
  }

  /**
   * The ids of a run of characters without white space.
   * @param {string} chunk
   */
  pieces(chunk) {
    let ids = this.memo.get(chunk);
    if (!ids) {
      if (this.memo.size >= MEMO_SIZE) this.memo.clear();
      ids = this.words(chunk).flatMap((word) => this.match(word));
      this.memo.set(chunk, ids);
    }
    return ids;
  }

  /**
   * The normalised words and punctuation marks of a text, before they are cut into pieces.
   * @param {string} chunk
   */
  words(chunk) {
    let text = chunk.replace(CONTROL, "");
    if (this.stripAccents && !isAscii(text)) text = text.normalize("NFD").replace(ACCENTS, "");
    if (this.lowercase) text = isAscii(text) ? text.toLowerCase() : lowered(text);
    text = text.replace(PUNCTUATION, " $& ");
    return splitAtSpace(this.cjk ? text.replace(CJK, " $& ") : text);
  }

  /**
   * The ids of one normalised word, longest piece first; none where some part of it is unknown.
   * @param {string} word
   */
  match(word) {
    if ([...word].length > this.longest) return [];
    /** @type {number[]} */
    const found = [];
    for (let start = 0; start < word.length;) {
      let end = word.length;
      let id;
      while (end > start && id === undefined) {
        id = this.vocabulary.get((start ? this.prefix : "") + word.slice(start, end--));
      }
      if (id === undefined) return [];
      found.push(id);
      start = end + 1;
    }
    return found;
  }
}

/**
 * Lower the case of each character by itself: toLowerCase has a rule for a final sigma, BERT has not.
 * @param {string} text
 */
const lowered = (text) => [...text].map((character) => character.toLowerCase()).join("");
