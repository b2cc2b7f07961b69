// Edits of a reference by text, as a list of groups: add, change, remove, and see where they act.

import * as api from "./api.js";
import { attempt, dialog, el, progress, say } from "./dom.js";
import { setValue, state } from "./state.js";

const FIELDS = [
  ["target", "Target", "blonde hair", "what there is to be"],
  ["anchor", "Anchor", "brown hair", "what it is now"],
  ["control", "Control", "hair", "the words that say where; the anchor if empty, or everything"],
  ["scale", "Scale", "8", "how strongly, 0 to 15"],
  ["thresholds", "Thresholds", "0.5,0.55,0.65,0.95", "four rising shares of the likeness"],
];

/** Read the full form `target=blonde hair; control=hair`; anything else is a target. */
function parse(text) {
  if (!/^\s*[a-z]+\s*=/i.test(text)) return { target: text };
  return Object.fromEntries(text.split(";").map((part) => part.split("=").map((one) => one.trim())));
}

function write(group) {
  const given = Object.entries(group).filter(([, value]) => value);
  return given.map(([name, value]) => `${name}=${value}`).join("; ");
}

/** The list as an element, for the option `text`. */
export function editList(option) {
  const groups = (state.now.values[option.name] ?? []).map(parse);
  const put = (changed) => setValue(option.name, changed.map(write).filter(Boolean), []);
  const rows = groups.map((group, at) => {
    const fields = FIELDS.map(([name, title, example, help]) => {
      const field = el("input", { type: "text", id: `edit-${at}-${name}`, value: group[name] ?? "", placeholder: example, title: help });
      field.addEventListener("change", () => put(groups.with(at, { ...group, [name]: field.value.trim() })));
      return el("label", {}, `${title} `, field);
    });
    const more = el("input", { type: "checkbox", id: `edit-${at}-enhance`, checked: group.enhance === "yes" });
    more.addEventListener("change", () => put(groups.with(at, { ...group, enhance: more.checked ? "yes" : "" })));
    const gone = el("button", { type: "button" }, "Remove");
    gone.addEventListener("click", () => put(groups.toSpliced(at, 1)));
    const legend = el("legend", {}, `Edit ${at + 1}`);
    return el("fieldset", { className: "group" }, legend, ...fields, el("label", { className: "check" }, more, " Enhance"), gone);
  });
  const target = el("input", { type: "text", id: "edit-new", placeholder: "hair: blonde", "aria-label": "New edit: its target, or hair: blonde" });
  const add = el("button", { type: "button", id: "edit-add" }, "Add an edit");
  const added = () => {
    if (target.value.trim()) setValue(option.name, [...groups.map(write), target.value.trim()], []);
  };
  add.addEventListener("click", added);
  target.addEventListener("keydown", (event) => { if (event.key === "Enter") added(); });
  const map = el("button", { type: "button", disabled: !groups.length || !state.now.references.length }, "Show where they act");
  map.addEventListener("click", () => attempt(showMap));
  return el("div", { className: "edits" }, ...rows, el("div", { className: "row" }, target, add), map);
}

/** The map of five colors: where on the first reference the edits act, and how strongly. */
async function showMap() {
  say("Looking where the edits act…");
  progress(-1);
  try {
    const reference = state.now.references[0];
    const answer = await api.post(api.path("edits"), { reference: reference.id, options: state.now.values });
    const image = el("img", { src: URL.createObjectURL(await answer.blob()), alt: `Where the edits act on ${reference.name}`, className: "large" });
    dialog("Where the edits act", image);
    say("");
  } finally {
    progress(null);
  }
}
