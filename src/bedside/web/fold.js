// Folding: the many ways to write one character become one. As bedside/text/fold.py, whose lists it reads.
import lexicon from "../text/data/lexicon.json" with { type: "json" };
import { casefold, isAscii } from "./unicode.js";

const { greek, dashes, apostrophes, signs } = lexicon.folding;
/** @type {Record<string, string>} */
const REPLACEMENTS = {
  ...greek,
  ...Object.fromEntries([...dashes].map((dash) => [dash, "-"])),
  ...Object.fromEntries([...apostrophes].map((apostrophe) => [apostrophe, "'"])),
  ...signs,
};
const SIGNS = Object.keys(signs)
  .filter((sign) => sign !== "·")
  .join("");
// Compatibility folding would glue these to the number before them: 10⁹ -> 109, 5½ -> 51/2.
const GLUED = /(?<=[0-9])(?=[¹²³⁰⁴-⁹⁺⁻¼-¾⅐-⅞])/gu;
const MARKS = /[™©®℠]/gu;
const INVISIBLE = /[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufeff]+/gu;
const REPLACED = new RegExp(
  `(μ)(?=[a-z])|(?<![α-ω])[α-ω](?![α-ω])|(?<=[0-9])·(?=[0-9])|[${dashes}${apostrophes}${SIGNS}]`,
  "gu",
);

/**
 * Fold case, compatibility forms, accents, dashes, quotes, comparison signs and Greek letters.
 * @param {string} text
 * @returns {string} Its length may differ.
 * @example fold("Ménière, 5 µg, IFN‑γ ≥ 7") // "meniere, 5 ug, ifn-gamma >= 7"
 */
export function fold(text) {
  if (isAscii(text)) return text.toLowerCase();
  const apart = text.replace(GLUED, " ").replace(MARKS, " ").replaceAll("´", "'");
  const folded = casefold(apart.normalize("NFKD")).normalize("NFKD").replace(INVISIBLE, "").replaceAll("ı", "i");
  return isAscii(folded) ? folded : folded.replace(REPLACED, (found, micro) => (micro ? "u" : REPLACEMENTS[found]));
}
