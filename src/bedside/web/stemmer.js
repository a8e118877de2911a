// Snowball's English stemmer ("Porter 2"), from its description at
// https://snowballstem.org/algorithms/english/stemmer.html as of Snowball 3, which bedside/text/tokenizer.py uses.
// Every rule asks for the longest ending that fits.

const VOWEL = /[aeiouy]/;
const SHORT_END = /(?:[^aeiouy][aeiouy][^aeiouywxY]|^[aeiouy][^aeiouy]|^past)$/;
const REGION_PREFIX = /^(?:arsen|commun|emerg|gener|inter|later|organ|past|univers)/;
const AFTER_VOWEL_RUN = /[aeiouy][^aeiouy]/;
const DOUBLED = /(?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$/;
const KEEPS_DOUBLED = /^[aeo][bdfgmnprt]{2}$/;
const KEEPS_ING = /^(?:even|cann|inn|earr|herr|out)$/;
const KEEPS_EED = /^(?:succ|proc|exc)$/;

/** @type {Map<string, string>} */
const EXCEPTIONS = new Map(
  Object.entries({
    skis: "ski",
    skies: "sky",
    idly: "idl",
    gently: "gentl",
    ugly: "ugli",
    early: "earli",
    only: "onli",
    singly: "singl",
    sky: "sky",
    news: "news",
    howe: "howe",
    atlas: "atlas",
    cosmos: "cosmos",
    bias: "bias",
    andes: "andes",
  }),
);
/** @type {Record<string, string>} */
const STEP_2 = {
  tional: "tion",
  enci: "ence",
  anci: "ance",
  abli: "able",
  entli: "ent",
  izer: "ize",
  ization: "ize",
  ational: "ate",
  ation: "ate",
  ator: "ate",
  alism: "al",
  aliti: "al",
  alli: "al",
  fulness: "ful",
  ousli: "ous",
  ousness: "ous",
  iveness: "ive",
  iviti: "ive",
  biliti: "ble",
  bli: "ble",
  ogist: "og",
  ogi: "og",
  fulli: "ful",
  lessli: "less",
  li: "",
};
/** @type {Record<string, string>} */
const STEP_3 = {
  tional: "tion",
  ational: "ate",
  alize: "al",
  icate: "ic",
  iciti: "ic",
  ical: "ic",
  ful: "",
  ness: "",
  ative: "",
};
const IN_STEP_2 = endings(Object.keys(STEP_2));
const IN_STEP_3 = endings(Object.keys(STEP_3));
const IN_STEP_4 = endings("al ance ence er ic able ible ant ement ment ent ism ate iti ous ive ize ion".split(" "));

/**
 * Reduce an English word to its stem.
 * @param {string} word Lower case.
 * @returns {string}
 * @example stem("infections") // "infect"
 */
export function stem(word) {
  const exception = EXCEPTIONS.get(word);
  if (exception !== undefined || word.length < 3) return exception ?? word;
  const marked = word
    .replace(/^'/, "")
    .replace(/^y/, "Y")
    .replace(/([aeiouy])y/g, "$1Y");
  const r1 = regionAfter(marked, 0, marked.match(REGION_PREFIX)?.[0].length);
  const r2 = regionAfter(marked, r1);
  let stemmed = withoutInflection(withoutPlural(marked.replace(/'(?:s'?)?$/, "")), r1);
  stemmed = stemmed.replace(/(?<=.[^aeiouy])[yY]$/, "i");
  stemmed = step3(step2(stemmed, r1), r1, r2);
  return step5(step4(stemmed, r2), r1, r2).replaceAll("Y", "y");
}

/**
 * Where the region begins that follows the first vowel and then a consonant; `known` says so for a few prefixes.
 * @param {string} word
 * @param {number} start
 * @param {number} [known]
 */
function regionAfter(word, start, known) {
  const found = word.slice(start).search(AFTER_VOWEL_RUN);
  return known ?? (found < 0 ? word.length : start + found + 2);
}

/** @param {string} word */
function withoutPlural(word) {
  if (word.endsWith("sses")) return word.slice(0, -2);
  if (/ie[ds]$/.test(word)) return word.slice(0, word.length > 4 ? -2 : -1);
  if (/[us]s$/.test(word) || !word.endsWith("s")) return word;
  return VOWEL.test(word.slice(0, -2)) ? word.slice(0, -1) : word;
}

/**
 * Take off -ed, -ing and their adverbs.
 * @param {string} word
 * @param {number} r1
 */
function withoutInflection(word, r1) {
  const [ending] = word.match(/(?:eedly|ingly|edly|eed|ing|ed)$/) ?? [""];
  const root = word.slice(0, word.length - ending.length);
  if (ending.startsWith("eed")) return root.length >= r1 && !KEEPS_EED.test(root) ? `${root}ee` : word;
  if (ending === "ing" && KEEPS_ING.test(root)) return word;
  if (ending === "ing" && /^[^aeiouy]y$/.test(root)) return `${root.slice(0, -1)}ie`;
  if (!ending || !VOWEL.test(root)) return word;
  if (/(?:at|bl|iz)$/.test(root)) return `${root}e`;
  if (DOUBLED.test(root)) return KEEPS_DOUBLED.test(root) ? root : root.slice(0, -1);
  return root.length === r1 && SHORT_END.test(root) ? `${root}e` : root;
}

/**
 * @param {string} word
 * @param {number} r1
 */
function step2(word, r1) {
  const [ending] = word.match(IN_STEP_2) ?? [""];
  const root = word.slice(0, word.length - ending.length);
  if (!ending || root.length < r1) return word;
  if ((ending === "ogi" && !root.endsWith("l")) || (ending === "li" && !/[cdeghkmnrt]$/.test(root))) return word;
  return root + STEP_2[ending];
}

/**
 * @param {string} word
 * @param {number} r1
 * @param {number} r2
 */
function step3(word, r1, r2) {
  const [ending] = word.match(IN_STEP_3) ?? [""];
  const root = word.slice(0, word.length - ending.length);
  return !ending || root.length < (ending === "ative" ? Math.max(r1, r2) : r1) ? word : root + STEP_3[ending];
}

/**
 * @param {string} word
 * @param {number} r2
 */
function step4(word, r2) {
  const [ending] = word.match(IN_STEP_4) ?? [""];
  const root = word.slice(0, word.length - ending.length);
  return !ending || root.length < r2 || (ending === "ion" && !/[st]$/.test(root)) ? word : root;
}

/**
 * @param {string} word
 * @param {number} r1
 * @param {number} r2
 */
function step5(word, r1, r2) {
  const root = word.slice(0, -1);
  if (word.endsWith("e")) return root.length >= r2 || (root.length >= r1 && !SHORT_END.test(root)) ? root : word;
  return word.endsWith("ll") && root.length >= r2 ? root : word;
}

/**
 * A pattern for the longest of some endings.
 * @param {string[]} list
 */
function endings(list) {
  return new RegExp(`(?:${[...list].sort((a, b) => b.length - a.length).join("|")})$`);
}
