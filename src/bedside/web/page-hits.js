// A hit as a person reads it: the sentence and the words that matched, where it is from, and why it is there.
import { ALONE } from "./copies.js";
import { dot } from "./dense.js";
import { sentences } from "./sentences.js";
import { ClinicalTokenizer } from "./tokenizer.js";

/** @typedef {import("./verbs.js").Hit} Hit */
/** @typedef {import("./static-encoder.js").StaticEncoder} Encoder */

const LONG = 700; // characters that are shown of a text before somebody asks for all
const SHOWN_FIRST = ["title", "section", "date", "source", "source_id", "author", "type"];
const AGAINST = "says the opposite";
const INTERNAL = new Set(["start", "end", "source_hash"]);
const tokenizer = new ClinicalTokenizer();

/** Makes of a document what is shown of a hit, where no question was asked. */
export const UNRANKED = Object.freeze({
  score: NaN,
  dense: null,
  sparse: null,
  relevance: NaN,
  explanation: null,
  ...ALONE,
});

/**
 * Make an element. Text becomes text, never markup.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | false)} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(.../** @type {(Node | string)[]} */ (children.filter((child) => child !== null && child !== false)));
  return element;
}

/**
 * @param {Hit} hit
 * @param {number} place From 1.
 * @param {{encoder: Encoder | null, query: string, onRemove: (() => void) | null}} context
 */
export function renderHit(hit, place, { encoder, query, onRemove }) {
  const terms = hit.explanation?.terms ?? {};
  const whole = sentences(hit.text.trim());
  const best = query ? bestSentence(whole, terms, encoder, query) : -1;
  const text = h("p", { className: "text", dir: "auto" });
  const isLong = hit.text.length > LONG;
  let open = !isLong;
  const toggle = h("button", { type: "button", className: "quiet", onclick: () => show(!open) });
  show(open);
  return h(
    "li",
    { className: "hit", tabIndex: -1, value: place, "data-id": hit.id },
    h(
      "article",
      { ariaLabel: `Hit ${place}` },
      heading(hit),
      text,
      h("footer", {}, isLong && toggle, why(hit), remove()),
    ),
  );

  /** @param {boolean} all */
  function show(all) {
    open = all;
    text.replaceChildren(...marked(whole, best, terms, all ? Infinity : LONG));
    toggle.textContent = all ? "Show less" : "Show all";
    toggle.ariaExpanded = String(all);
  }

  function remove() {
    return onRemove && h("button", { type: "button", className: "quiet", onclick: onRemove }, "Remove");
  }
}

/** @param {Hit} hit */
function heading({ id, metadata, score, explanation, ...seen }) {
  const known = SHOWN_FIRST.filter((key) => ["string", "number"].includes(typeof metadata[key]));
  const [first, ...rest] = known.map((key) => String(metadata[key]));
  const dated = Object.keys(metadata).find((key) => /date|time/i.test(key) && !known.includes(key));
  if (dated) rest.push(String(metadata[dated]));
  return h(
    "header",
    {},
    h("h2", { dir: "auto" }, first ?? id),
    h(
      "p",
      { className: "from" },
      ...[...new Set([...rest, ...(first === undefined ? [] : [id])])].map((part) => h("span", { dir: "auto" }, part)),
    ),
    copiesOf(seen),
    explanation?.signals.assertion ? h("strong", { className: "against" }, AGAINST) : null,
    Number.isFinite(score) ? h("data", { value: String(score), title: "Score" }, score.toFixed(3)) : null,
  );
}

/**
 * How many copies a hit stands for, and when they were seen.
 * @param {import("./copies.js").Seen} seen
 */
function copiesOf({ copies, firstSeen, lastSeen }) {
  if (!copies.length) return null;
  const times = firstSeen === null ? "" : `, ${firstSeen} to ${lastSeen}`;
  const title = copies.map(({ id, source, date }) => [source ?? id, date].filter(Boolean).join(", ")).join("\n");
  return h(
    "span",
    { className: "copies", title },
    `and ${copies.length === 1 ? "a copy" : `${copies.length} copies`}${times}`,
  );
}

/**
 * Which sentence answers best: by the words in it, and without any by its meaning.
 * @param {string[]} whole
 * @param {Record<string, number>} terms
 * @param {Encoder | null} encoder
 * @param {string} query
 */
export function bestSentence(whole, terms, encoder, query) {
  const scores = whole.map((sentence) => {
    const held = new Set(tokenizer.tokenize(sentence));
    return Object.entries(terms).reduce((sum, [term, part]) => sum + (held.has(term) ? part : 0), 0);
  });
  if (scores.some((score) => score > 0)) return scores.indexOf(Math.max(...scores));
  if (!encoder) return -1;
  const wanted = encoder.encode(query);
  const cosines = whole.map((sentence) =>
    encoder.tokenizer.hasWords(sentence) ? dot(encoder.encode(sentence), wanted) : -1,
  );
  return cosines.indexOf(Math.max(...cosines));
}

/**
 * @param {string[]} whole
 * @param {number} best
 * @param {Record<string, number>} terms
 * @param {number} room Characters; the best sentence and what stands around it.
 * @returns {(Node | string)[]}
 */
function marked(whole, best, terms, room) {
  let first = Math.max(0, best);
  let last = first;
  let length = whole[first]?.length ?? 0;
  for (let grown = true; grown;) {
    grown = false;
    for (const next of [last + 1, first - 1]) {
      if (next < 0 || next >= whole.length || length + whole[next].length > room) continue;
      length += whole[next].length;
      [first, last, grown] = [Math.min(first, next), Math.max(last, next), true];
    }
  }
  const shown = whole.slice(first, last + 1).map((sentence, i) => {
    const cut = sentence.length > room ? `${sentence.slice(0, room)}…` : sentence;
    return first + i === best
      ? h("span", { className: "best" }, ...words(cut, terms))
      : h("span", {}, ...words(cut, terms));
  });
  return [first > 0 && "… ", ...shown, last < whole.length - 1 && "…"].filter((part) => part !== false);
}

/** @type {(text: string, terms: Record<string, number>) => (Node | string)[]} */
function words(text, terms) {
  return text
    .split(/(\s+)/)
    .map((word) =>
      word.trim() && tokenizer.tokenize(word).some((term) => Object.hasOwn(terms, term)) ? h("mark", {}, word) : word,
    );
}

/** @param {Hit} hit */
function why({ explanation, metadata, id }) {
  const rows = Object.entries(metadata).filter(([key]) => !INTERNAL.has(key));
  const facts = h(
    "dl",
    {},
    ...[["id", id], ...rows].flatMap(([key, value]) => [
      h("dt", {}, key),
      h("dd", { dir: "auto" }, typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)),
    ]),
  );
  if (!explanation) return h("details", {}, h("summary", {}, "More"), facts);
  const terms = Object.entries(explanation.terms).sort(([, a], [, b]) => b - a);
  return h(
    "details",
    {},
    h("summary", {}, "Why this hit"),
    h("div", { className: "shares" }, share("Meaning", explanation.dense), share("Words", explanation.sparse)),
    terms.length
      ? h(
          "p",
          {},
          "Words found, by weight: ",
          ...terms.flatMap(([term, part]) => [h("b", {}, term), ` ${part.toFixed(2)} `]),
        )
      : h("p", {}, "No word of the question stands in it."),
    explanation.signals.assertion
      ? h(
          "p",
          {},
          "Ranked lower, since it denies what is asked, or states what should be absent: ",
          negations(explanation),
        )
      : null,
    h("p", { className: "formula" }, explanation.formula),
    facts,
  );
}

/** @param {NonNullable<Hit["explanation"]>} explanation */
const negations = ({ negated }) =>
  Object.entries(negated)
    .map(([term, times]) => `${term} ${times}`)
    .join(", ");

/** @type {(name: string, value: number) => HTMLElement} */
function share(name, value) {
  const meter = h("meter", { min: 0, max: 1, value: Math.max(0, Math.min(1, value)), ariaLabel: name });
  return h("label", {}, `${name} ${value.toFixed(3)}`, meter);
}
