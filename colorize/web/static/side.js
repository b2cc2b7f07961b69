// Beside the picture: references, colors, variations, history, and what can be taken away.

import * as api from "./api.js";
import { display } from "./coloring.js";
import { $, attempt, chooseFiles, dialog, el, fill, pause, say } from "./dom.js";
import { change, result, setValue, state } from "./state.js";
import { colorAt } from "./stage.js";
import { tool, useColor } from "./tools.js";

const MOST = 24; // colors of a picture that are listed
const CALM = 150; // milliseconds without another change after which the picture's colors are listed
const KEPT = 40; // pictures in the history
const past = [];

const small = (one) => `${api.path("pictures", one.id)}?small=1`;

export async function addReferences(files) {
  const added = [];
  for (const file of files) added.push(...(await api.upload(file)).pictures);
  change({ references: [...state.now.references, ...added] });
}

function swatch(color, label) {
  const made = el("button", { type: "button", className: "chip", title: `${label} ${color}`, "aria-label": `${label} ${color}` });
  made.style.background = color;
  made.addEventListener("click", () => { useColor(color); say(`The color is ${color}.`); });
  return made;
}

/** A large reference to take colors from. */
async function look(one) {
  const image = el("img", { src: api.path("pictures", one.id), alt: one.name, className: "large" });
  image.addEventListener("click", (event) => {
    const scale = image.naturalWidth / image.clientWidth;
    useColor(colorAt(image, event.offsetX * scale, event.offsetY * scale));
    $("dialog").close();
  });
  const colors = await api.json(api.path("pictures", one.id, "colors"));
  const chips = el("p", { className: "chips" }, ...colors.map((color) => swatch(color, "Paint with")));
  dialog(`Colors of ${one.name}`, el("p", {}, "Click a color to paint with it."), chips, image);
}

function referenceRow(one) {
  const image = el("img", { src: small(one), alt: "" });
  const shown = el("button", { type: "button", title: "Take a color from it", "aria-label": `Colors of ${one.name}` }, image);
  shown.addEventListener("click", (event) => {
    if (tool() !== "picker" || !event.detail) return attempt(() => look(one));
    const scale = image.naturalWidth / image.clientWidth, box = image.getBoundingClientRect();
    return useColor(colorAt(image, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale));
  });
  const gone = el("button", { type: "button", className: "remove", "aria-label": `Remove ${one.name}` }, "×");
  gone.addEventListener("click", () => change({ references: state.now.references.filter((other) => other !== one) }));
  return el("li", { title: one.name }, shown, gone);
}

/** A color that can be changed, with a call for the new one. */
function colorField(color, label, done) {
  const field = el("input", { type: "color", value: color, className: "chip", "aria-label": label, title: label });
  field.addEventListener("change", () => done(field.value));
  return field;
}

function showPalette() {
  const colors = state.now.values.palette ? state.now.values.palette.split(",") : [];
  const put = (changed) => setValue("palette", changed.join(","), "");
  const chips = colors.map((color, at) => {
    const field = colorField(color, `Color ${at + 1} to use, ${color}`, (fresh) => put(colors.with(at, fresh)));
    const gone = el("button", { type: "button", className: "remove", "aria-label": `Leave out ${color}` }, "×");
    gone.addEventListener("click", () => put(colors.toSpliced(at, 1)));
    return el("span", { className: "held" }, field, gone);
  });
  const more = el("button", { type: "button", className: "chip add", "aria-label": "Add the brush's color to those to use", title: "Add the brush's color" }, "+");
  more.addEventListener("click", () => put([...colors, $("color").value]));
  $("palette").replaceChildren(...chips, more);
}

let listed = "";

/** The colors of the picture's regions, each of which can be changed for all of its regions. */
async function showPresent() {
  const made = result();
  if (!made || made.kind !== "line") return $("present").replaceChildren();
  if (made.id === listed) return undefined;
  listed = made.id;
  await pause(CALM);
  if (result()?.id !== made.id) return undefined;
  const regions = await api.json(api.path("results", made.id, "colors")).catch(() => []);
  if (result()?.id !== made.id) return undefined;
  const groups = Map.groupBy(regions, (one) => one.color);
  const chips = [...groups].slice(0, MOST).map(([color, several]) => {
    const count = several.length === 1 ? "1 region" : `${several.length} regions`;
    return colorField(color, `${color}, ${count}`, (fresh) => {
      change({ edits: [...state.now.edits, ...several.map((one) => [...one.at, fresh])] });
    });
  });
  return $("present").replaceChildren(...chips);
}

function choose(at) {
  state.chosen = at;
  attempt(display).then(refresh);
}

function showVariations() {
  const several = state.results.length > 1;
  $("variations").hidden = !several;
  const shown = several ? state.results : [];
  fill($("variations"), [shown.map((one) => one.id), state.chosen], () => shown.map((one, at) => {
    const image = el("img", { src: api.path("results", one.id, "small"), alt: "" });
    const made = el("button", { type: "button", "aria-label": `Variation ${at + 1}`, "aria-pressed": String(at === state.chosen) }, image, el("span", {}, String(at + 1)));
    made.addEventListener("click", () => choose(at));
    return made;
  }));
}

/** Remember a picture, to go back to it. */
export function remember(wanted, results) {
  if (past[0]?.results[0].id === results[0].id) return;
  past.unshift({ wanted, results });
  past.length = Math.min(past.length, KEPT);
  $("history").replaceChildren(...past.map((one, at) => {
    const image = el("img", { src: api.path("results", one.results[0].id, "small"), alt: "", loading: "lazy" });
    const label = `Go back to picture ${past.length - at}, ${one.wanted.drawing.name}`;
    const made = el("button", { type: "button", title: label, "aria-label": label }, image);
    made.addEventListener("click", () => change({ ...one.wanted }));
    return el("li", {}, made);
  }));
}

/** Show the state beside the picture. */
export function refresh() {
  fill($("references"), state.now.references, () => state.now.references.map(referenceRow));
  showPalette();
  attempt(showPresent);
  showVariations();
  $("undo").disabled = !state.past.length;
  $("redo").disabled = !state.future.length;
  $("count").value = state.now.values.variations || 1;
  const made = result();
  $("command").textContent = made ? made.command : "";
  for (const button of $("take").querySelectorAll("button")) {
    button.disabled = !made || (button.dataset.kind === "regions" && made.kind !== "line");
  }
}

export function setUp() {
  $("add-reference").addEventListener("click", () => attempt(async () => addReferences(await chooseFiles(true, "image/*,.ora,.kra,.psd"))));
  $("count").addEventListener("change", () => setValue("variations", Math.min(16, Math.max(1, Number($("count").value) || 1)), 1));
  $("reseed").addEventListener("click", () => setValue("seed", (state.now.values.seed || 0) + 1, 0));
  $("take").addEventListener("click", (event) => {
    const { kind } = event.target.dataset, made = result();
    if (!kind || !made) return;
    attempt(async () => {
      const { now } = state;
      say("Writing…");
      await api.save(api.path("results", made.id, kind));
      state.saved = now;
      say("Saved.");
    });
  });
  $("copy").addEventListener("click", () => attempt(async () => {
    if (!navigator.clipboard) return getSelection().selectAllChildren($("command")); // other hosts may not copy
    await navigator.clipboard.writeText($("command").textContent);
    return say("Copied.");
  }));
}
