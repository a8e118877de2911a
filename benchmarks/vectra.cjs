// Holds one vectra index and answers queries from standard input, one JSON object a line.
// Arguments: the node_modules folder, a folder with vectors.bin (float32, row by row), the dimension.
const { createRequire } = require("node:module");
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");

const [modules, folder, dimension] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const { LocalIndex } = createRequire(path.join(modules, "x.js"))("vectra");

function rows() {
  const bytes = fs.readFileSync(path.join(folder, "vectors.bin"));
  const flat = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  return Array.from({ length: flat.length / dimension }, (_, i) => ({
    id: `d${i}`,
    vector: Array.from(flat.subarray(i * dimension, (i + 1) * dimension)),
    metadata: { bucket: i % 100 },
  }));
}

async function main() {
  const index = new LocalIndex(path.join(folder, "index"));
  await index.createIndex({ version: 1, metadata_config: { indexed: ["bucket"] } });
  await index.batchInsertItems(rows());
  console.log(JSON.stringify({ ready: true }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { vector, k, filter } = JSON.parse(line);
    const start = process.hrtime.bigint();
    const found = await index.queryItems(vector, "", k, filter);
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    console.log(JSON.stringify({ seconds, ids: found.map((hit) => hit.item.id) }));
  }
}

main();
