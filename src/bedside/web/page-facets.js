// Filters as lists to tick: which metadata keys divide the passages well, and how many passages have each value.
import { fields } from "./filter-rules.js";
import { h } from "./page-hits.js";

/** @typedef {Pick<import("./verbs.js").Records, "scope" | "get" | "facets">} Records */

const KEYS = 6;
const VALUES = 120;
const SHOWN = 8;
const LOOKED_AT = 500;
const USELESS = /(?:^|\.)(?:start|end|source_hash|id|text)$/;
const FIRST = ["section", "type", "source", "date", "source_id", "author"];

const VERSIONS = ["valid_from", "valid_to", "supersedes"];

/** The lists and what is ticked in them. */
export class PageFacets {
  /**
   * @param {HTMLElement} place
   * @param {() => void} onChange
   */
  constructor(place, onChange) {
    this.place = place;
    this.onChange = onChange;
    /** @type {string[]} */
    this.keys = [];
    /** @type {Map<string, Map<string, any>>} */
    this.ticked = new Map();
    /** What the passages have that the page can do something with. */
    this.holds = { sources: false, dates: false, versions: false };
  }

  /** What is ticked, in the filter language: any value of a key, and all keys. */
  get filter() {
    return this.filterWithout(null);
  }

  /** @param {string | null} left */
  filterWithout(left) {
    const chosen = [...this.ticked].filter(([key, values]) => values.size && key !== left);
    return Object.fromEntries(chosen.map(([key, values]) => [key, { $in: [...values.values()] }]));
  }

  /**
   * Choose the keys by a look at the first passages.
   * @param {Records} records
   */
  async choose(records) {
    const times = new Map();
    for (const { metadata } of await records.get({ filter: {}, limit: LOOKED_AT })) {
      for (const [path, value] of fields(metadata)) {
        const isPlain = value === null || typeof value !== "object" || Array.isArray(value);
        if (isPlain && !USELESS.test(path)) times.set(path, (times.get(path) ?? 0) + 1);
      }
    }
    this.holds = {
      sources: times.has("source_id"),
      dates: times.has("date"),
      versions: VERSIONS.some((key) => times.has(key)),
    };
    const passedOver = [...Object.keys(records.scope ?? {}), ...VERSIONS];
    const found = [];
    for (const key of [...times.keys()].filter((key) => !passedOver.includes(key))) {
      const values = await records.facets(key);
      if (values.length > 1 && values.length <= VALUES)
        found.push({ key, place: (FIRST.indexOf(key) + 99) % 99, often: times.get(key) });
    }
    found.sort((a, b) => a.place - b.place || b.often - a.often);
    this.keys = found.slice(0, KEYS).map(({ key }) => key);
    for (const key of this.ticked.keys()) if (!this.keys.includes(key)) this.ticked.delete(key);
  }

  /**
   * Count and show every list; each list counts what the other lists leave.
   * @param {Records} records
   * @param {string | null} [asOf]
   */
  async count(records, asOf = null) {
    const lists = [];
    for (const key of this.keys)
      lists.push(this.list(key, await records.facets(key, { filter: this.filterWithout(key), asOf })));
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.id;
    this.place.replaceChildren(...lists);
    if (focused?.startsWith("facet:")) document.getElementById(focused)?.focus();
  }

  /**
   * @param {string} key
   * @param {[any, number][]} values
   */
  list(key, values) {
    const ticked = this.ticked.get(key) ?? new Map();
    this.ticked.set(key, ticked);
    const counts = new Map(
      values.map(([value, count]) => [JSON.stringify(String(value)) + typeof value, { value, count }]),
    );
    for (const [name, value] of ticked) if (!counts.has(name)) counts.set(name, { value, count: 0 });
    const rows = [...counts].map(([name, { value, count }]) => this.row(key, name, value, count));
    const rest = rows.slice(SHOWN);
    return h(
      "section",
      { ariaLabel: key },
      h("h2", {}, key),
      ...rows.slice(0, SHOWN),
      rest.length > 0 &&
        h(
          "details",
          { open: rest.some((row) => row.querySelector("input:checked")) },
          h("summary", {}, `${rest.length} more`),
          ...rest,
        ),
    );
  }

  /** @type {(key: string, name: string, value: any, count: number) => HTMLElement} */
  row(key, name, value, count) {
    const ticked = /** @type {Map<string, any>} */ (this.ticked.get(key));
    const onchange = (/** @type {Event} */ event) => {
      if (/** @type {HTMLInputElement} */ (event.target).checked) ticked.set(name, value);
      else ticked.delete(name);
      this.onChange();
    };
    const box = h("input", { type: "checkbox", id: `facet:${key}:${name}`, checked: ticked.has(name), onchange });
    return h(
      "label",
      {},
      box,
      h("span", { dir: "auto" }, value === "" ? "(empty)" : String(value)),
      h("small", {}, count.toLocaleString("en")),
    );
  }
}
