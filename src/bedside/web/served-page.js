// The search page of a server: collection, scope and question become a search over HTTP, and its hits are shown.
import { $, CONTROLS, allowMeaning, chosen, foldFilters, listenToKeys, offer, passages, say } from "./page-frame.js";
import { UNRANKED, h, renderHit } from "./page-hits.js";
import { PageFacets } from "./page-facets.js";
import { ServedRecords, Server, ServerError } from "./served-records.js";

/** @typedef {import("./served-records.js").Scope} Scope */

const PAGE_SIZE = 20;
const NOTHING = { sources: false, dates: false, versions: false };
const NEEDS_QUESTION = "; ask something to see them by day, newest first or copies as one";

/** One page over the collections of a server. */
class ServedPage {
  constructor() {
    this.server = new Server();
    this.facets = this.newFacets();
    /** @type {ServedRecords | null} */
    this.records = null;
    this.shown = PAGE_SIZE;
    this.asked = 0;
  }

  newFacets() {
    return new PageFacets($("facet-list"), () => this.search());
  }

  listen() {
    $("search").onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      return this.search();
    };
    for (const id of CONTROLS) $(id).onchange = () => this.search();
    $("more").onclick = () => this.search(this.shown + PAGE_SIZE);
    $("collection").onchange = () => this.choose();
    $("scope-form").onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      return this.open();
    };
    $("access").onclick = () => $("access-dialog").showModal();
    $("access-form").onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      $("access-dialog").close();
      this.server.token = $("token").value.trim();
      this.server.purpose = $("purpose").value.trim();
      return this.connect();
    };
    $("forget").onclick = () => location.reload(); // what was shown goes with the token
    foldFilters();
    listenToKeys();
  }

  /** List the collections that the caller may see, and open the first. */
  async connect() {
    this.clear();
    await this.attempt(async () => {
      const names = await this.server.collections();
      $("collection").replaceChildren(...names.map((name) => h("option", {}, name)));
      $("forget").hidden = this.server.token === "";
      if (names.length) await this.choose();
      else $("status").textContent = "No collection is here for you.";
    });
  }

  /** Look at another collection: by what it is divided, and whether it compares meaning. */
  async choose() {
    this.clear();
    await this.attempt(async () => {
      const { scope_keys: keys, encoder } = await this.server.stats($("collection").value);
      allowMeaning(encoder !== null);
      const fields = keys.map((name) =>
        h("label", {}, `${name} `, h("input", { name, dir: "auto", autocomplete: "off" })),
      );
      $("scope-fields").replaceChildren(...fields);
      await this.open();
    });
  }

  /** Look at one scope anew: what can be filtered by, and what is there. */
  async open() {
    this.clear();
    const given = [.../** @type {NodeListOf<HTMLInputElement>} */ ($("scope-fields").querySelectorAll("input"))];
    const values = given.filter(({ value }) => value.trim()).map(({ name, value }) => [name, value.trim()]);
    await this.attempt(async () => {
      try {
        this.records = await this.existing(/** @type {[string, string][]} */ (values));
      } catch (error) {
        if (!(error instanceof ServerError) || error.title !== "ScopeRequired") throw error;
        $("scope-form").hidden = false;
        $("status").textContent = `Whose? Give ${given.map(({ name }) => name).join(", ")}.`;
        given.find(({ value }) => !value.trim())?.focus();
        return;
      }
      $("scope-form").hidden = !given.length || !(values.length || !$("scope-form").hidden);
      await this.facets.choose(this.records);
      offer(this.facets.holds);
      await this.search();
      $("query").focus();
    });
  }

  /**
   * Return the records of the scope that was typed. Digits may be a text or a number: what exists decides.
   * @param {[string, string][]} values
   */
  async existing(values) {
    const scopes = values.reduce(
      (found, [key, text]) => found.flatMap((scope) => readings(text).map((value) => ({ ...scope, [key]: value }))),
      /** @type {Scope[]} */ ([{}]),
    );
    for (const [i, scope] of scopes.entries()) {
      const records = new ServedRecords(this.server, $("collection").value, scope);
      try {
        await records.count(null);
        return records;
      } catch (error) {
        const absent = error instanceof ServerError && error.title === "UnknownScope";
        if (!absent || i === scopes.length - 1) throw error;
      }
    }
    throw new Error("no scope"); // there is always one
  }

  /** @param {number} [shown] */
  async search(shown = PAGE_SIZE) {
    const { records } = this;
    if (!records) return;
    const asked = ++this.asked;
    const query = $("query").value.trim();
    const started = performance.now();
    const { filter } = this.facets;
    const wanted = chosen();
    await this.attempt(async () => {
      const options = { ...wanted, filter, topK: shown };
      const hits = query ? await records.search(query, options) : await browse(records, filter, shown);
      const took = performance.now() - started;
      const count = await records.count(filter);
      if (asked !== this.asked) return;
      this.shown = shown;
      show(hits, query);
      const idle = !query && (wanted.asOf || wanted.newestFirst || wanted.collapse);
      $("status").textContent = query
        ? `${found(hits.length, shown, count, wanted.asOf)}, ${took.toFixed(0)} ms`
        : `${passages(count)}${idle ? NEEDS_QUESTION : ""}`;
      $("more").hidden = hits.length < shown || hits.length >= count;
      await this.facets.count(records);
    });
  }

  /** Show nothing of what was asked before. */
  clear() {
    this.asked++;
    this.records = null;
    this.facets = this.newFacets();
    $("hits").replaceChildren();
    $("facet-list").replaceChildren();
    $("status").textContent = "";
    $("more").hidden = true;
    offer(NOTHING);
    say("");
  }

  /**
   * Do what asks the server, and say what it refused. Who is not known yet is asked for a token.
   * @param {() => Promise<void>} work
   */
  async attempt(work) {
    try {
      say("");
      await work();
    } catch (error) {
      const unknown = error instanceof ServerError && error.status === 401;
      if (unknown) {
        $("access-error").textContent = this.server.token ? "The server does not know this token." : "";
        if (!$("access-dialog").open) $("access-dialog").showModal();
      } else {
        say(/** @type {Error} */ (error).message, true);
      }
    }
  }
}

/** @type {(text: string) => (string | number)[]} */
const readings = (text) => (Number.isSafeInteger(Number(text)) && /^-?\d+$/.test(text) ? [text, Number(text)] : [text]);

/**
 * How much was found among how many; a server counts what the filters leave, whenever it was valid.
 * @type {(hits: number, shown: number, count: number, asOf: string | null) => string}
 */
function found(hits, shown, count, asOf) {
  const all = asOf === null ? passages(count) : `what was valid on ${asOf}`;
  const what = hits === shown ? "best of" : hits === 1 ? "hit among" : "hits among";
  return `${hits.toLocaleString("en")} ${what} ${all}`;
}

/** @type {(records: ServedRecords, filter: any, limit: number) => Promise<import("./verbs.js").Hit[]>} */
async function browse(records, filter, limit) {
  const documents = await records.get({ filter, limit });
  return documents.map((document) => ({ ...document, ...UNRANKED }));
}

/** @type {(hits: import("./verbs.js").Hit[], query: string) => void} */
function show(hits, query) {
  const items = hits.map((hit, i) => renderHit(hit, i + 1, { encoder: null, query, onRemove: null }));
  const nothing = query ? "Nothing found. Try other words, or take a filter off." : "Nothing is here.";
  $("hits").replaceChildren(...(items.length ? items : [h("li", { className: "empty" }, nothing)]));
}

const page = new ServedPage();
page.listen();
page.connect().finally(() => (document.body.dataset.state = "ready"));
