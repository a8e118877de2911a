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
    this.table = tensors.embeddings;
    this.factors = tensors.weights?.values;
    this.mapping = tensors.mapping?.values;
    /** @type {Float32Array[]} */
    this.rows = [];
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
    const sums = this.sums(ids);
    const means = sums.map((sum) => sum / ids.length);
    const length = Math.fround(Math.sqrt(means.reduce((sum, value) => sum + value * value, 0)));
    return this.normalize && length > 0 ? means.map((value) => value / length) : means;
  }

  /**
   * Add up the vectors of tokens in their order, each sum rounded to float32 as in Python. Four at a time takes half as
   * long as one by one.
   * @param {number[]} ids
   */
  sums(ids) {
    const sums = new Float32Array(this.dimension);
    const rows = ids.map((id) => this.row(id));
    while (rows.length % 4) rows.push(new Float32Array(this.dimension));
    for (let k = 0; k < rows.length; k += 4) {
      const a = rows[k];
      const b = rows[k + 1];
      const c = rows[k + 2];
      const d = rows[k + 3];
      for (let i = 0; i < sums.length; i++) {
        sums[i] = fround(fround(fround(fround(sums[i] + a[i]) + b[i]) + c[i]) + d[i]);
      }
    }
    return sums;
  }

  /**
   * The weighted vector of a token, kept for the next text.
   * @param {number} id
   */
  row(id) {
    return (this.rows[id] ??= this.weighted(id));
  }

  /** @param {number} id */
  weighted(id) {
    const { values } = this.table;
    const start = (this.mapping ? this.mapping[id] : id) * this.dimension;
    const factor = this.factors ? this.factors[id] : 1;
    const row = new Float32Array(this.dimension);
    for (let i = 0; i < row.length; i++) row[i] = values[start + i] * factor;
    return row;
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
