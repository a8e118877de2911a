// The search page: what is typed and ticked becomes a search, its hits are shown, and files can be added and exported.
import { Collection } from "./collection.js";
import { StorageUnavailableError } from "./errors.js";
import { $, CONTROLS, chosen, describe, foldFilters, listenToDrops, listenToKeys } from "./page-frame.js";
import { offer, passages, say } from "./page-frame.js";
import { UNRANKED, h, renderHit } from "./page-hits.js";
import { WrongPassphrase, readPage, sealOf } from "./page-data.js";
import { PageFacets } from "./page-facets.js";
import { readFile } from "./notes.js";

/** @typedef {import("./page-data.js").About} About */
/** @typedef {import("./verbs.js").Records} Records */

const PAGE_SIZE = 20;
const WAIT = 60; // milliseconds after a key
const NOT_ADDED = "Not added:";
const BY_WORDS = ", by words so far: the comparison of meaning is being prepared";

/** One page over one collection. */
class Page {
  /**
   * @param {Collection} collection
   * @param {About} about
   * @param {import("./static-encoder.js").StaticEncoder | null} encoder
   * @param {boolean} sealed
   */
  constructor(collection, about, encoder, sealed) {
    this.sealed = sealed;
    this.prepared = false;
    this.early = false;
    this.collection = collection;
    this.about = about;
    this.encoder = encoder;
    /** @type {Records} */
    this.records = about.scopeKeys.length ? collection.scoped(about.scopes[0]) : collection;
    this.facets = new PageFacets($("facet-list"), () => this.search());
    this.shown = PAGE_SIZE;
    this.asked = 0;
    this.timer = 0;
  }

  async start() {
    $("progress").hidden = true;
    $("query").disabled = false;
    describe(this.about, this.sealed);
    this.listen();
    await this.open();
    $("query").focus();
    this.prepare().catch(fail);
  }

  /** Encode the passages while people read or type; a search by words need not wait for it. */
  async prepare() {
    const { count } = this.about;
    const bar = $("progress");
    await this.collection.prepare((missing) => {
      bar.hidden = false;
      bar.ariaLabel = "Preparing the comparison of meaning";
      bar.value = 1 - missing / Math.max(1, count);
    });
    bar.hidden = true;
    this.prepared = true;
    document.body.dataset.vectors = "ready";
    if (this.early) await this.search(this.shown);
  }

  /** Look at one scope anew: what can be filtered by, and what is there. */
  async open() {
    await this.facets.choose(this.records);
    offer(this.facets.holds);
    await this.search();
  }

  listen() {
    const later = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.search(), WAIT);
    };
    $("query").oninput = later;
    for (const id of CONTROLS) $(id).onchange = () => this.search();
    $("search").onsubmit = (/** @type {Event} */ event) => event.preventDefault();
    $("more").onclick = () => this.search(this.shown + PAGE_SIZE);
    $("help").onclick = () => $("about").showModal();
    $("add").onclick = () => $("files").click();
    $("files").onchange = () => this.addFiles([...$("files").files]);
    $("export").onclick = () => this.export();
    $("scope").onchange = () => {
      this.records = this.collection.scoped(this.about.scopes[$("scope").selectedIndex]);
      return this.open();
    };
    foldFilters();
    listenToKeys();
    listenToDrops((files) => this.addFiles(files));
    this.collection.onChange(() => this.search());
  }

  /** @param {number} [shown] */
  async search(shown = PAGE_SIZE) {
    const asked = ++this.asked;
    const query = $("query").value.trim();
    const started = performance.now();
    const { filter } = this.facets;
    const wanted = chosen();
    const narrowed = { filter, asOf: wanted.asOf, newestFirst: wanted.newestFirst };
    const early = query !== "" && wanted.mode === "hybrid" && !this.prepared;
    const mode = early ? "sparse" : wanted.mode;
    this.early = early;
    try {
      const options = { ...wanted, filter, mode, topK: shown, explain: true };
      const hits = query ? await this.records.search(query, options) : await this.browse({ ...narrowed, limit: shown });
      const took = performance.now() - started;
      const count = await this.records.count(filter, narrowed);
      if (asked !== this.asked) return;
      this.shown = shown;
      this.show(hits, query);
      const what = hits.length === shown ? "best of" : hits.length === 1 ? "hit among" : "hits among";
      const found = `${hits.length.toLocaleString("en")} ${what}`;
      const all = passages(count);
      $("status").textContent = query ? `${found} ${all}, ${took.toFixed(0)} ms${early ? BY_WORDS : ""}` : all;
      $("more").hidden = hits.length < shown || hits.length >= count;
      await this.facets.count(this.records, narrowed.asOf);
    } catch (error) {
      fail(error);
    }
  }

  /** @param {{filter: any, asOf: string | null, newestFirst: boolean, limit: number}} selection */
  async browse(selection) {
    const documents = await this.records.get(selection);
    return documents.map((document) => ({ ...document, ...UNRANKED }));
  }

  /** @type {(hits: import("./verbs.js").Hit[], query: string) => void} */
  show(hits, query) {
    const items = hits.map((hit, i) => {
      const onRemove = () => this.remove(hit.id);
      return renderHit(hit, i + 1, { encoder: this.encoder, query, onRemove });
    });
    const nothing = query
      ? "Nothing found. Try other words, or take a filter off."
      : "Nothing here yet. Drop text files to add them.";
    $("hits").replaceChildren(...(items.length ? items : [h("li", { className: "empty" }, nothing)]));
  }

  /** @param {File[]} files */
  async addFiles(files) {
    const told = [];
    for (const file of files) {
      try {
        const { documents, replaces } = await readFile(file);
        const { length } = await this.records.add(documents, { replacing: replaces });
        told.push(`${file.name}: ${passages(length)} added.`);
      } catch (error) {
        const { message } = /** @type {Error} */ (error);
        told.push(`${NOT_ADDED} ${message.startsWith(file.name) ? "" : `${file.name}: `}${message}`);
      }
    }
    $("files").value = "";
    say(
      told.join("\n"),
      told.some((line) => line.startsWith(NOT_ADDED)),
    );
    await this.open();
  }

  /** @param {string} id */
  async remove(id) {
    if (!confirm("Remove this passage here? The collection it was copied from stays as it is.")) return;
    try {
      await this.records.delete({ ids: [id] });
    } catch (error) {
      fail(error);
    }
    await this.search(this.shown);
  }

  async export() {
    const blob = new Blob([await this.records.export()], { type: "application/jsonl" });
    const url = URL.createObjectURL(blob);
    h("a", { href: url, download: `${document.title.replace(/[^\p{L}\p{N}]+/gu, "-")}.jsonl` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }
}

/** @param {unknown} error */
function fail(error) {
  say(/** @type {Error} */ (error).message, true);
}

/**
 * Ask for the passphrase until it opens the page.
 * @param {import("./page-data.js").Seal} seal
 * @returns {ReturnType<typeof readPage>}
 */
function unlock(seal) {
  const kept = document.getElementById("documents")?.cloneNode(true);
  $("unlock").showModal();
  return new Promise((resolve, reject) => {
    $("unlock-form").onsubmit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      try {
        const opened = await readPage(seal, $("passphrase").value);
        $("unlock").close();
        resolve(opened);
      } catch (error) {
        if (!(error instanceof WrongPassphrase)) return reject(error);
        $("unlock-error").textContent = error.message;
        document.body.append(/** @type {Node} */ (kept).cloneNode(true));
      }
    };
    $("unlock").oncancel = (/** @type {Event} */ event) => event.preventDefault();
  });
}

/**
 * Open what the browser keeps for the page. Of a sealed page it keeps nothing, since it would not be sealed there.
 * @type {(name: string | null, options: import("./collection.js").OpenOptions) => Promise<Collection>}
 */
async function openCollection(name, options) {
  if (name === null) say("This page is sealed, so what you add is gone when the tab closes: export it before.");
  try {
    return await Collection.open(name, options);
  } catch (error) {
    if (!(error instanceof StorageUnavailableError)) throw error;
    say(`${error.message}. What you add is gone when the tab closes: export it before.`, true);
    return Collection.open(null, options);
  }
}

async function main() {
  const seal = sealOf();
  const { about, documents, postings, encoder } = await (seal ? unlock(seal) : readPage(null, ""));
  const { scopeKeys, settings, dimension } = about;
  const progress = (/** @type {number} */ done) => ($("progress").value = done / Math.max(1, documents.length));
  const collection = await openCollection(seal ? null : `page:${about.page}`, {
    scopeKeys,
    settings,
    dimension,
    encoder,
    documents,
    postings,
    progress,
  });
  const page = new Page(collection, about, encoder, seal !== null);
  Object.assign(globalThis, { bedside: { collection, page } }); // for a console, and for whoever builds on the page
  await page.start();
}

main()
  .catch((error) => {
    $("status").textContent = "The page could not be opened.";
    fail(error);
  })
  .finally(() => (document.body.dataset.state = "ready"));
