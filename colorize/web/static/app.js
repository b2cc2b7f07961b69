// Put the page together.

import * as api from "./api.js";
import * as coloring from "./coloring.js";
import { $, attempt, chooseFiles, complain, dropzone } from "./dom.js";
import * as models from "./models.js";
import * as options from "./options.js";
import * as pages from "./pages.js";
import * as side from "./side.js";
import { showDrawing } from "./stage.js";
import { onChange, open, state, unsaved } from "./state.js";
import * as tools from "./tools.js";

const DRAWINGS = "image/*,.ora,.kra,.psd,.cbz,.zip";
let drawn = "";

/** Take files as drawings: one is opened, several are listed as pages. */
async function take(files) {
  const found = [];
  for (const file of files) found.push(...(await api.upload(file)).pictures);
  if (!found.length) return;
  if (found.length > 1 || pages.count()) pages.list(found);
  if (found.length > 1) showTab("pages");
  else open(found[0]);
}

function showTab(name) {
  for (const one of ["draw", "pages"]) {
    const chosen = one === name;
    $(one).hidden = !chosen;
    $(`tab-${one}`).setAttribute("aria-selected", String(chosen));
    $(`tab-${one}`).tabIndex = chosen ? 0 : -1;
  }
  if (name === "pages") pages.refresh();
}

/** Follow the state: the drawing that is shown, the panels, and the picture. */
async function follow(changed) {
  const { drawing } = state.now;
  if (drawing && drawing.id !== drawn) {
    drawn = drawing.id;
    coloring.reset();
    state.results = [];
    document.title = `${drawing.name} – colorize`;
    await attempt(() => showDrawing(api.path("pictures", drawing.id)));
  }
  side.refresh();
  if (changed) {
    setTimeout(options.refresh); // when the focus has moved on from the field that was changed
    models.refresh();
    coloring.schedule();
  }
}

function setUpTabs() {
  const tabs = [$("tab-draw"), $("tab-pages")];
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => showTab(tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      tabs[1 - at].focus();
      tabs[1 - at].click();
    });
  });
}

async function setUp() {
  tools.setUp();
  side.setUp();
  pages.setUp();
  setUpTabs();
  const choose = () => attempt(async () => take(await chooseFiles(true, DRAWINGS)));
  $("choose").addEventListener("click", choose);
  $("another").addEventListener("click", choose);
  $("add-pages").addEventListener("click", () => attempt(async () => pages.add(await chooseFiles(true, DRAWINGS))));
  $("go").addEventListener("click", () => coloring.schedule(true));
  dropzone(document.body, (files) => attempt(() => take(files)));
  dropzone($("pages"), (files) => attempt(() => pages.add(files)));
  dropzone($("references").closest("section"), (files) => attempt(() => side.addReferences(files)));
  coloring.after.push(side.remember, pages.corrected);
  pages.events.open = (drawing, references) => { showTab("draw"); open(drawing, references); };
  onChange(follow);
  addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });
  await api.begin();
  const known = await options.setUp();
  models.setUp(known.model);
  side.refresh();
  document.body.dataset.ready = "yes";
}

setUp().catch(complain);
