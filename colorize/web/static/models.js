// The models that there are: choose one, or fetch one after its license has been shown.

import * as api from "./api.js";
import { $, attempt, dialog, el } from "./dom.js";
import { setTakes } from "./options.js";
import { setValue, state } from "./state.js";

const PLACES = {
  embedded: "embedded", cached: "fetched", trained: "trained here", published: "published", recipe: "to be trained", file: "a file",
};
const AGAIN = 1000; // milliseconds between looks at a download
let models = [], standard = "mini";

const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round((bytes || 0) / 1e6)} MB`);
const chosen = () => state.now.values.model ?? standard;

function license(one) {
  return one.license || (one.where === "recipe" ? "" : "no license named");
}

/** Ask before a download: how large it is, and under which license. */
function ask(one) {
  const go = el("button", { type: "button", className: "primary" }, `Fetch ${size(one.bytes)}`);
  go.addEventListener("click", () => {
    $("dialog").close();
    attempt(async () => {
      await api.post("/api/models", { name: one.name });
      await load();
    });
  });
  const terms = `Its license is ${license(one)}.`;
  const care = /nc/i.test(one.license) ? " It forbids commercial use of the weights." : "";
  dialog(`Fetch ${one.name}`, el("p", {}, `${terms}${care} It needs ${size(one.bytes)} in the cache of the Hub.`), go);
}

function row(one) {
  const id = `model-${one.name}`;
  const radio = el("input", { type: "radio", name: "model", id, checked: one.name === chosen(), disabled: !one.usable || one.kind !== "model" });
  radio.addEventListener("change", () => setValue("model", one.name, standard));
  const facts = [PLACES[one.where], license(one), one.bytes ? size(one.bytes) : "", one.takes.join(", ")].filter(Boolean);
  const made = el("div", { className: "model" }, radio, el("label", { htmlFor: id }, one.name.replace("/", "/\u200b")), el("small", {}, facts.join(" · ")));
  if (one.progress !== undefined) {
    made.append(el("progress", { max: 1, value: one.progress, "aria-label": `Download of ${one.name}` }));
  } else if (one.where === "published") {
    const fetching = el("button", { type: "button" }, "Fetch…");
    fetching.addEventListener("click", () => ask(one));
    made.append(fetching);
  }
  if (one.error) made.append(el("small", { role: "alert" }, one.error));
  return made;
}

/** Show the models as they are known. */
export function refresh() {
  if (!models.length) return;
  const focused = document.activeElement?.id;
  $("models").replaceChildren(...models.map(row));
  if (focused?.startsWith("model-")) $(focused)?.focus();
  const now = models.find((one) => one.name === chosen());
  if (now && now.name !== refresh.shown) {
    refresh.shown = now.name;
    setTakes(now.takes);
  }
}

/** Ask which models there are, again and again while one is being fetched. */
export async function load() {
  models = await api.json("/api/models");
  refresh();
  if (models.some((one) => one.progress !== undefined)) setTimeout(() => attempt(load), AGAIN);
}

export function setUp(model) {
  standard = model;
  $("advanced").addEventListener("toggle", () => { if ($("advanced").open) attempt(load); });
}
