// Color the drawing after changes, and show what comes back.

import * as api from "./api.js";
import { $, complain, pause, progress, say } from "./dom.js";
import { readMap, setMap, showResult } from "./stage.js";
import { request, result, show, state } from "./state.js";

const PATIENCE = 8; // seconds; models that take longer wait for the button
const CALM = 150; // milliseconds without another change after which regions are looked for
const SOON = 40; // milliseconds in which several changes are one
let timer = 0, running = null, asked = "";
export const after = []; // called with results and what they answer

/** Color what the state says, soon; at once if it is `now`. */
export function schedule(now = false) {
  clearTimeout(timer);
  $("go").disabled = !state.now.drawing;
  if (!state.now.drawing || (!now && !$("auto").checked)) return;
  timer = setTimeout(run, now ? 0 : SOON);
}

async function run() {
  const wanted = state.now, words = JSON.stringify(request(wanted));
  if (words === asked && state.results.length) {
    if (!running) say("Nothing has changed.");
    return;
  }
  running?.abort();
  const mine = (running = new AbortController());
  asked = words;
  const begin = performance.now();
  document.body.setAttribute("aria-busy", "true");
  say("Coloring…");
  progress(-1);
  try {
    const results = await api.color(request(wanted), (place, share) => {
      say(place ? `Waiting behind ${place}…` : "Coloring…");
      progress(share || -1);
    }, mine.signal);
    if (running !== mine) return;
    const seconds = (performance.now() - begin) / 1000;
    if (seconds > PATIENCE * results.length && results[0].seconds > PATIENCE) $("auto").checked = false;
    complain(null);
    show(results, state.chosen);
    await display();
    say([`Colored in ${seconds.toFixed(1)} s.`, ...(results[0].notes || []).map((note) => api.sentence(note))].join(" "));
    after.forEach((call) => call(wanted, results));
  } catch (error) {
    if (running !== mine || error.name === "AbortError") return;
    asked = "";
    say("");
    complain(error);
  } finally {
    if (running === mine) {
      running = null;
      progress(null);
      document.body.removeAttribute("aria-busy");
    }
  }
}

let mapped = "";

/** Show the chosen result, and soon fetch the map of its regions. */
export async function display() {
  const made = result();
  if (!made) return;
  await showResult(api.path("results", made.id, "png"));
  document.body.dataset.shown = made.id;
  if (made.kind === "line" && made.base !== mapped) fetchMap(made.base);
}

async function fetchMap(base) {
  await pause(CALM);
  if (running || result()?.base !== base || base === mapped) return;
  mapped = base;
  try {
    const map = await readMap(api.path("results", base, "map"));
    if (result()?.base === base) setMap(map);
  } catch {
    mapped = ""; // it is only for showing regions; a click works without it
  }
}

/** Forget the map and the last request, since another drawing is shown. */
export function reset() {
  mapped = asked = "";
  setMap(null);
}
