// What Python's str methods mean, where JavaScript's mean something else: white space, case, order.

/** Python's `str.isspace`, inside of a character class; JavaScript's `\s` has U+FEFF and lacks U+001C to U+001F. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const RUN_OF_SPACE = new RegExp(`[${SPACE}]+`, "u");
const RUN_OF_ASCII_SPACE = /[\t-\r\x1c-\x20]+/;
const BLANK = new RegExp(`^[${SPACE}]*$`, "u");
const ASCII = /^[\0-\x7f]*$/;
const CHEROKEE = /[\u13a0-\u13fd\uab70-\uabbf]/;

/** Python's `str.isdigit`, inside of a character class: decimal digits, and the digits that stand for themselves. */
export const DIGITS =
  "\\p{Nd}\\u00b2\\u00b3\\u00b9\\u1369-\\u1371\\u19da\\u2070\\u2074-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u2474-\\u247c" +
  "\\u2488-\\u2490\\u24ea\\u24f5-\\u24fd\\u24ff\\u2776-\\u277e\\u2780-\\u2788\\u278a-\\u2792\\u{10a40}-\\u{10a43}" +
  "\\u{10e60}-\\u{10e68}\\u{11052}-\\u{1105a}\\u{1f100}-\\u{1f10a}";
const ALL_DIGITS = new RegExp(`^[${DIGITS}]+$`, "u");

/**
 * Whether a text is digits, and at least one, as `str.isdigit` says.
 * @param {string} text
 */
export const isDigits = (text) => ALL_DIGITS.test(text);

/**
 * Whether a text has letters with case, and all of them are small, as `str.islower` says.
 * @param {string} text
 */
export const isLower = (text) => /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);

/**
 * Whether a text has letters with case, and all of them are capitals, as `str.isupper` says.
 * @param {string} text
 */
export const isUpper = (text) => /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);

/**
 * Whether a text has no character above U+007F.
 * @param {string} text
 */
export const isAscii = (text) => ASCII.test(text);

/**
 * Whether a text is empty or white space only.
 * @param {string} text
 */
export const isBlank = (text) => BLANK.test(text);

/**
 * Cut a text at white space, as `str.split()` does.
 * @param {string} text
 * @returns {string[]}
 */
export function splitAtSpace(text) {
  const parts = text.split(isAscii(text) ? RUN_OF_ASCII_SPACE : RUN_OF_SPACE);
  if (parts[0] === "") parts.shift();
  if (parts.at(-1) === "") parts.pop();
  return parts;
}

/**
 * Fold case fully and without regard to context (Unicode's CaseFolding.txt, statuses C and F), as `str.casefold` does.
 * @param {string} text
 */
export function casefold(text) {
  if (isAscii(text)) return text.toLowerCase();
  let folded = "";
  for (const character of text) folded += foldCharacter(character);
  return folded;
}

/** @param {string} character */
function foldCharacter(character) {
  if (character === "ı") return character;
  if (CHEROKEE.test(character)) return character.toUpperCase(); // its capitals came first, so it folds to them
  let folded = "";
  for (const upper of character.toLowerCase().toUpperCase()) folded += upper.toLowerCase();
  return folded;
}

/**
 * Order two strings by code points, as Python does; JavaScript's `<` orders by UTF-16 units.
 * @param {string} a
 * @param {string} b
 * @returns {number} Below, at or above 0.
 */
export function compareStrings(a, b) {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/**
 * Surrogates, which stand for the code points above U+FFFF, come after all other units.
 * @param {number} unit
 */
const rank = (unit) => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);
