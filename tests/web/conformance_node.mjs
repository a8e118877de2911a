// node conformance_node.mjs TASK ENCODER_FOLDER: prints what disagrees, as JSON.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { check } from "./conformance.mjs";

const [task, folder] = process.argv.slice(2);
const weights = await readFile(join(folder, "model.safetensors"));
const buffer = weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength);
const tokenizer = JSON.parse(await readFile(join(folder, "tokenizer.json"), "utf-8"));
console.log(JSON.stringify(await check(await readFile(task, "utf-8"), buffer, tokenizer)));
