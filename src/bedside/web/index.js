// What pages and programs import.
export { ClinicalTokenizer } from "./tokenizer.js";
export { Collection } from "./collection.js";
export { StaticEncoder } from "./static-encoder.js";
export * from "./errors.js";
export { fold } from "./fold.js";
export { parseFilter } from "./filters.js";
export { stem } from "./stemmer.js";
export { Records } from "./verbs.js";
