// What stands around the hits: what the page says of itself, keys, dropped files, messages.
import { writeJson } from "./json.js";
import { h } from "./page-hits.js";

/** @typedef {import("./page-data.js").About} About */

/** @type {(id: string) => any} */
export const $ = (id) => document.getElementById(id);

/** @param {number} count */
export const passages = (count) => `${count.toLocaleString("en")} ${count === 1 ? "passage" : "passages"}`;

/** The controls that change what is found, beside the question and the filters. */
export const CONTROLS = ["mode", "each", "newest", "valid", "copies"];

/**
 * Offer what the passages have something for; what is not offered is not chosen either.
 * @param {import("./page-facets.js").PageFacets["holds"]} holds
 */
export function offer({ sources, dates, versions }) {
  const offered = { each: sources, newest: dates, valid: versions };
  for (const [id, has] of Object.entries(offered)) {
    $(`${id}-label`).hidden = !has;
    if (!has) Object.assign($(id), { checked: false, value: "" });
  }
}

/**
 * What the controls say, as options of a search.
 * @returns {{mode: import("./options.js").Mode, groupBy: string | null, asOf: string | null, newestFirst: boolean,
 *   collapse: "copies" | null}}
 */
export const chosen = () => ({
  mode: /** @type {any} */ (document.querySelector("#mode input:checked")).value,
  groupBy: $("each").checked ? "source_id" : null,
  asOf: $("valid").value || null,
  newestFirst: $("newest").checked,
  collapse: $("copies").checked ? "copies" : null,
});

/**
 * Say what the page holds, and that it is a copy.
 * @param {About} about
 * @param {boolean} sealed
 */
export function describe(about, sealed) {
  const { created, count, scopes, scopeKeys, filter, encoder, otherEncoder } = about;
  const day = created.slice(0, 10);
  const whose = scopes.length === 1 ? `, ${scopeName(scopes[0])}` : scopes.length ? `, ${scopes.length} scopes` : "";
  $("copy").textContent =
    `A copy of ${passages(count)}${whose}, made on ${day}. ` +
    "What you add or remove here does not change the collection that it comes from.";
  allowMeaning(encoder !== null);
  $("scope").append(...scopes.map((scope) => h("option", { dir: "auto" }, scopeName(scope))));
  $("scope-label").hidden = scopes.length < 2;
  const reason = otherEncoder ? `: the collection's encoder, ${otherEncoder}, does not run in a page` : "";
  const facts = [
    `It holds ${passages(count)} as they were on ${created.slice(0, 16).replace("T", " at ")} UTC.`,
    scopeKeys.length ? `They are divided by ${scopeKeys.join(", ")}; each search sees one of ${scopes.length}.` : "",
    filter ? `They were chosen by the filter ${writeJson(filter)}.` : "",
    encoder ? `Meaning is compared by ${encoder.name}, which is in the page.` : `It ranks by words alone${reason}.`,
    "The page works without a network and sends nothing.",
    sealed
      ? "Whoever has the file and its passphrase can read everything in it."
      : "Whoever has the file can read everything in it.",
    sealed
      ? "What you add is not kept."
      : "What you add is kept by this browser, for this page, until you remove it or clear the browser's data.",
  ];
  $("about-text").append(...facts.filter(Boolean).map((fact) => h("p", {}, fact)));
}

/**
 * Offer to rank by meaning, or by words alone where no encoder compares meaning.
 * @param {boolean} allowed
 */
export function allowMeaning(allowed) {
  const inputs = /** @type {NodeListOf<HTMLInputElement>} */ ($("mode").querySelectorAll("input"));
  for (const input of inputs) input.disabled = !allowed && input.value !== "sparse";
  if (!allowed) for (const input of inputs) input.checked = input.value === "sparse";
}

/** @param {Record<string, string | number>} scope */
const scopeName = (scope) =>
  Object.entries(scope)
    .map(([key, value]) => `${key} ${value}`)
    .join(", ");

/** Keep the filters folded while the window is narrow, and open while it is wide. */
export function foldFilters() {
  const narrow = matchMedia("(max-width: 46rem)");
  const fold = () => document.querySelector("#facets > details")?.toggleAttribute("open", !narrow.matches);
  narrow.onchange = fold;
  fold();
}

/** Move by keys: `/` to the question, arrows from hit to hit, Enter for why, Escape back. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    const hits = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".hit"))];
    const target = /** @type {HTMLElement} */ (event.target);
    const at = hits.findIndex((hit) => hit.contains(target));
    const typing = target.matches("input:not([type=radio], [type=checkbox]), select");
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "/" && !typing) $("query").select();
    else if (event.key === "Escape" && at >= 0) $("query").select();
    else if (event.key === "ArrowDown" && (at >= 0 || target === $("query"))) hits[at + 1]?.focus();
    else if (event.key === "ArrowUp" && at >= 0) (hits[at - 1] ?? $("query")).focus();
    else if (event.key === "Enter" && hits[at] === target) hits[at].querySelector("summary")?.click();
    else return;
    event.preventDefault();
  });
}

/** @param {(files: File[]) => void} add */
export function listenToDrops(add) {
  const { classList } = document.body;
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    classList.remove("dropping");
    add([...(event.dataTransfer?.files ?? [])]);
  });
}

/** @type {(text: string, bad?: boolean) => void} */
export function say(text, bad = false) {
  $("message").textContent = text;
  $("message").classList.toggle("bad", bad);
}
