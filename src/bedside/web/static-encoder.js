// The static encoder: one vector per token, a text is their mean. bedside/encoders/static.py, from the same files.
import { EncoderMismatch, InvalidInputError } from "./errors.js";
import { WordPiece } from "./wordpiece.js";

const { fround } = Math;

/** @type {Record<string, new (buffer: ArrayBuffer) => ArrayLike<number>>} */
const ARRAYS = { I8: Int8Array, F32: Float32Array, I32: Int32Array };

/** Texts to vectors by averaging token vectors. */
export class StaticEncoder {
  /**
   * @param {ArrayBuffer} weights The content of `model.safetensors`.
   * @param {any} tokenizer The content of `tokenizer.json`, parsed.
   * @param {{name?: string, fingerprint?: string | null, normalize?: boolean, alpha?: number | null,
   *   titleShare?: number}} [about] `alpha`: its own weight in a hybrid search, `titleShare`: the part of a title in the
   *   vector of its document; 0.3 and 0.5 are those of bedside/static.
   * @throws {EncoderMismatch} The table is of numbers that are not read here.
   */
  constructor(weights, tokenizer, about = {}) {
    const { name = "bedside/static", fingerprint = null, normalize = true, alpha = 0.3, titleShare = 0.5 } = about;
    const tensors = readTensors(weights);
    this.name = name;
    this.fingerprint = fingerprint;
    this.normalize = normalize;
    this.alpha = alpha;
    this.titleShare = titleShare;
    this.tokenizer = new WordPiece(tokenizer);
    /** The weighted vector of each token, one after the other. */
    this.table = weighted(tensors);
    /** @type {number} Length of a vector. */
    this.dimension = tensors.embeddings.shape[1];
  }

  /**
   * Encode one text, a passage or a question.
   * @param {string} text
   * @returns {Float32Array}
   * @throws {InvalidInputError} There is no token in it.
   */
  encode(text) {
    let ids = this.tokenizer.ids(text);
    if (!ids.length) ids = [this.unknown(text)];
    const vector = this.sums(ids);
    let squares = 0;
    for (let i = 0; i < vector.length; i++) {
      vector[i] /= ids.length;
      squares += vector[i] * vector[i];
    }
    const length = fround(Math.sqrt(squares));
    if (this.normalize && length > 0) for (let i = 0; i < vector.length; i++) vector[i] /= length;
    return vector;
  }

  /**
   * Add up the vectors of tokens in their order, each sum rounded to float32 as in Python. Four columns at a time, so
   * that their sums stay in registers, takes half as long as row after row.
   * @param {number[]} ids
   */
  sums(ids) {
    const { table, dimension } = this;
    const sums = new Float32Array(dimension);
    const starts = Int32Array.from(ids);
    for (let k = 0; k < starts.length; k++) starts[k] *= dimension;
    let column = 0;
    for (; column + 4 <= dimension; column += 4) {
      let a = fround(0);
      let b = fround(0);
      let c = fround(0);
      let d = fround(0);
      for (let k = 0; k < starts.length; k++) {
        const at = starts[k] + column;
        a = fround(a + table[at]);
        b = fround(b + table[at + 1]);
        c = fround(c + table[at + 2]);
        d = fround(d + table[at + 3]);
      }
      sums[column] = a;
      sums[column + 1] = b;
      sums[column + 2] = c;
      sums[column + 3] = d;
    }
    for (; column < dimension; column++) for (const start of starts) sums[column] += table[start + column];
    return sums;
  }

  /** @param {string} text */
  unknown(text) {
    const { unknown, vocabulary } = this.tokenizer;
    const id = unknown === null ? undefined : vocabulary.get(unknown);
    if (!this.tokenizer.hasWords(text)) throw new InvalidInputError("nothing to encode, the text has no token");
    if (id === undefined) throw new InvalidInputError("no word is known and the vocabulary has no unknown token");
    return id;
  }
}

/**
 * The vector of each token times its weight.
 * @param {Record<string, {shape: number[], values: ArrayLike<number>}>} tensors
 */
function weighted({ embeddings, weights, mapping }) {
  const { values } = embeddings;
  const [rows, dimension] = embeddings.shape;
  const table = new Float32Array((mapping?.values.length ?? rows) * dimension);
  for (let id = 0, at = 0; at < table.length; id++) {
    const factor = weights ? weights.values[id] : 1;
    let from = (mapping ? mapping.values[id] : id) * dimension;
    for (const end = at + dimension; at < end; at++, from++) table[at] = values[from] * factor;
  }
  return table;
}

/**
 * Read a safetensors file: 8 bytes that tell the length of a JSON header, the header, the numbers.
 * @param {ArrayBuffer} buffer
 * @returns {Record<string, {shape: number[], values: ArrayLike<number>}>}
 * @see https://huggingface.co/docs/safetensors
 */
function readTensors(buffer) {
  const size = Number(new DataView(buffer).getBigUint64(0, true));
  const start = 8 + size;
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
  delete header.__metadata__;
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        if (!ARRAYS[dtype]) throw new EncoderMismatch(`tensor ${name}: expected int8, float32 or int32, got ${dtype}`);
        return [name, { shape, values: new ARRAYS[dtype](buffer.slice(start + from, start + to)) }];
      },
    ),
  );
}
