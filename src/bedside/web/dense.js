// Exact cosines over float32 rows: bedside/index/dense.py without its shortcuts, which do not change an answer.

/** Unit vectors in row order. */
export class DenseIndex {
  /** @param {number} dimension */
  constructor(dimension) {
    this.dimension = dimension;
    this.rows = 0;
    this.values = new Float32Array(0);
  }

  /**
   * Append a row.
   * @param {ArrayLike<number>} vector Finite; stored divided by its length.
   */
  add(vector) {
    const start = this.rows++ * this.dimension;
    if (start + this.dimension > this.values.length) {
      const larger = new Float32Array(Math.max(1024 * this.dimension, 2 * this.values.length));
      larger.set(this.values);
      this.values = larger;
    }
    const length = lengthOf(vector);
    for (let i = 0; i < this.dimension; i++) this.values[start + i] = vector[i] / length;
  }

  /**
   * One row's unit vector.
   * @param {number} row
   */
  vector(row) {
    return this.values.subarray(row * this.dimension, (row + 1) * this.dimension);
  }

  /**
   * The cosine of every row with a query.
   * @param {ArrayLike<number>} query Of any length but zero.
   * @returns {Float64Array} In [-1, 1].
   */
  cosines(query) {
    const { dimension, values } = this;
    const wanted = unit(query);
    const found = new Float64Array(this.rows);
    for (let row = 0, at = 0; row < this.rows; row++) {
      let sum = 0;
      for (let i = 0; i < dimension; i++, at++) sum += values[at] * wanted[i];
      found[row] = Math.min(1, Math.max(-1, sum));
    }
    return found;
  }
}

/**
 * A vector divided by its length, in float64.
 * @param {ArrayLike<number>} vector
 */
function unit(vector) {
  const length = lengthOf(vector);
  const scaled = new Float64Array(vector.length);
  for (let i = 0; i < scaled.length; i++) scaled[i] = vector[i] / length;
  return scaled;
}

/** @param {ArrayLike<number>} vector */
const lengthOf = (vector) => Math.sqrt(dot(vector, vector)) || 1;

/**
 * @param {ArrayLike<number>} a
 * @param {ArrayLike<number>} b
 */
export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
