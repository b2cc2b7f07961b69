// Many pictures: a list with progress for each, which can be stopped and continued, or a grid with every reference.

import * as api from "./api.js";
import { $, attempt, el, fill } from "./dom.js";
import { request, state } from "./state.js";

const pages = []; // {drawing, cells: Map of column -> {state, share, result, error}}
let running = null;
let alone = []; // references of the grid
export const events = { open: () => {} };

export const count = () => pages.length;

/** Columns: one with all references, or one for each; these stay when one of them is chosen. */
function columns() {
  const all = state.now.references;
  if (!$("grid").checked) alone = [];
  else alone.push(...all.filter((one) => !alone.some((other) => other.id === one.id)));
  if (!alone.length) return [{ key: "all", references: all, title: "Result" }];
  return alone.map((one) => ({ key: one.id, references: [one], title: one.name }));
}

export async function add(files) {
  for (const file of files) {
    await attempt(async () => {
      const found = await api.upload(file);
      pages.push(...found.pictures.map((drawing) => ({ drawing, cells: new Map() })));
      refresh();
    });
  }
}

/** Take up drawings that are uploaded already. */
export function list(drawings) {
  for (const drawing of drawings) {
    if (!pages.some((page) => page.drawing.id === drawing.id)) pages.push({ drawing, cells: new Map() });
  }
  refresh();
}

/** Show what was made of a page by itself, in the place of what the run made. */
export function corrected(wanted, results) {
  const page = pages.find((one) => one.drawing.id === wanted.drawing.id), [only, ...more] = wanted.references;
  if (!page) return;
  const key = !alone.length ? "all" : only && !more.length ? only.id : "";
  page.cells.set(key, { state: "done", result: results[state.chosen] ?? results[0] });
  refresh();
}

const cell = (page, column) => page.cells.get(column.key) || { state: "waiting" };
const open = (page, column) => !["done", "failed"].includes(cell(page, column).state);

async function run() {
  if (!pages.some((page) => columns().some((column) => open(page, column)))) pages.forEach((page) => page.cells.clear());
  running = new AbortController();
  refresh();
  try {
    for (const page of pages) {
      for (const column of columns()) {
        if (!open(page, column)) continue;
        await one(page, column, running.signal);
        if (running.signal.aborted) return;
      }
    }
  } finally {
    running = null;
    refresh();
  }
}

async function one(page, column, signal) {
  const painted = state.painted.get(page.drawing.id) || { strokes: [], edits: [] };
  const values = { ...state.now.values };
  delete values.variations;
  const wanted = { ...state.now, drawing: page.drawing, references: column.references, values, ...painted };
  const now = { state: "coloring", share: 0 };
  page.cells.set(column.key, now);
  refresh();
  try {
    const [result] = await api.color(request(wanted), (place, share) => {
      now.share = share;
      const bar = document.querySelector(`progress[data-cell="${page.drawing.id} ${column.key}"]`);
      if (bar && share) bar.value = share;
    }, signal);
    page.cells.set(column.key, { state: "done", result });
  } catch (error) {
    if (error.name === "AbortError") page.cells.delete(column.key);
    else page.cells.set(column.key, { state: "failed", error: error.message });
  }
  refresh();
}

function cellOf(page, column) {
  const now = cell(page, column), made = el("td");
  if (now.state === "done") {
    const image = el("img", { src: api.path("results", now.result.id, "small"), alt: "", loading: "lazy" });
    const label = `Correct ${page.drawing.name}`;
    const button = el("button", { type: "button", title: label, "aria-label": label }, image);
    button.addEventListener("click", () => events.open(page.drawing, column.references));
    made.append(button);
  } else if (now.state === "coloring") {
    made.append(el("progress", { max: 1, ...(now.share ? { value: now.share } : {}), data: { cell: `${page.drawing.id} ${column.key}` }, "aria-label": `Coloring ${page.drawing.name}` }));
  } else if (now.state === "failed") {
    const again = el("button", { type: "button" }, "Try again");
    again.addEventListener("click", () => { page.cells.delete(column.key); refresh(); });
    made.append(el("small", { className: "failed" }, now.error), again);
  } else made.append("waiting");
  return made;
}

function cellsOf(page) {
  const image = el("img", { src: `${api.path("pictures", page.drawing.id)}?small=1`, alt: "", loading: "lazy" });
  const shown = el("button", { type: "button", title: "Open it", "aria-label": `Open ${page.drawing.name}` }, image);
  shown.addEventListener("click", () => events.open(page.drawing, state.now.references));
  const head = el("th", { scope: "row" }, shown, el("span", {}, page.drawing.name));
  return [head, ...columns().map((one) => cellOf(page, one))];
}

/** Show all pages and what became of them. */
export function refresh() {
  const shown = columns(), cells = pages.flatMap((page) => shown.map((column) => cell(page, column)));
  const done = cells.filter((one) => one.state === "done").length;
  const failed = cells.filter((one) => one.state === "failed").length;
  const titles = ["Drawing", ...shown.map((one) => one.title)];
  fill($("table"), [titles, pages.length], () => {
    pages.forEach((page) => { page.row = el("tr"); });
    const head = el("tr", {}, ...titles.map((text) => el("th", { scope: "col" }, text)));
    return pages.length ? [el("thead", {}, head), el("tbody", {}, ...pages.map((page) => page.row))] : [];
  });
  for (const page of pages) fill(page.row, shown.map((one) => [one.key, { ...cell(page, one), share: 0 }]), () => cellsOf(page));
  const left = cells.length - done - failed;
  $("run").disabled = Boolean(running) || !cells.length;
  $("run").textContent = !left && cells.length ? "Color all again" : done || failed ? "Continue" : "Color all";
  $("stop").disabled = !running;
  $("cbz").disabled = $("zip").disabled = !done;
  if (pages.length) {
    const told = [`${done} of ${cells.length} colored`, ...(failed ? [`${failed} failed`] : [])];
    $("summary").textContent = `${told.join(", ")}.${running ? " Coloring…" : ""}`;
  }
}

/** Download what is colored: with several references those of the first column that has a result. */
function pack(format) {
  const shown = columns(), pairs = [];
  for (const page of pages) {
    const made = shown.map((column) => cell(page, column).result).find(Boolean);
    if (made) pairs.push([page.drawing.id, made.id]);
  }
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ format, pages: pairs }) };
  return attempt(() => api.save(api.path("archive"), options));
}

export function setUp() {
  $("run").addEventListener("click", () => attempt(run));
  $("stop").addEventListener("click", () => running?.abort());
  $("cbz").addEventListener("click", () => pack("cbz"));
  $("zip").addEventListener("click", () => pack("zip"));
  $("grid").addEventListener("change", refresh);
}
