// Forms for the options that the server describes: one field for each, made from its kind.

import * as api from "./api.js";
import { $, attempt, chooseFiles, el } from "./dom.js";
import { editList } from "./edits.js";
import { change, setValue, state } from "./state.js";

const APART = ["palette", "model", "variations"]; // have a place of their own
const EXAMPLES = { knob: "margin=1.5" };
let known = { options: [], pictures: {} };
let takes = ["reference", "hints"];

const valueOf = (one) => state.now.values[one.name] ?? one.default;
const TITLES = {
  reference: "References", palette: "Colors to use", lora: "LoRA", colors: "Most colors", ref_mask: "Mask of the reference", only: "Only here", hints: "Hints from a file", knob: "Knobs",
};
const titled = (name) => TITLES[name] ?? name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");

const MAKERS = {
  choice(one, id) {
    const words = one.optional ? ["", ...one.choices] : one.choices;
    const field = el("select", { id }, ...words.map((word) => el("option", { value: word }, word || "the model's")));
    field.value = valueOf(one) ?? "";
    field.addEventListener("change", () => setValue(one.name, field.value || null, one.default));
    return field;
  },
  switch(one, id) {
    const field = el("input", { type: "checkbox", id, checked: valueOf(one) });
    field.addEventListener("change", () => setValue(one.name, field.checked, one.default));
    return field;
  },
  number(one, id, step = "any") {
    const field = el("input", { type: "number", id, step, min: one.min ?? "", value: valueOf(one) ?? "" });
    field.placeholder = one.optional ? "the model's" : "";
    field.addEventListener("change", () => setValue(one.name, field.value === "" ? null : Number(field.value), one.default));
    return field;
  },
  whole: (one, id) => MAKERS.number(one, id, 1),
  text(one, id) {
    const field = el("input", { type: "text", id, value: valueOf(one) ?? "" });
    field.addEventListener("change", () => setValue(one.name, field.value, one.default));
    return field;
  },
  list(one, id) {
    const field = el("textarea", { id, rows: 2, value: valueOf(one).join("\n"), placeholder: EXAMPLES[one.name] || "one in a line" });
    field.addEventListener("change", () => setValue(one.name, field.value.split("\n").filter((line) => line.trim()), []));
    return field;
  },
  weights(one, id) {
    const now = valueOf(one), names = takes.filter((name) => name !== "text");
    const rows = names.map((name, at) => {
      const field = el("input", { type: "number", id: at ? `${id}-${name}` : id, min: 0, step: 0.1, value: now[name] ?? "", placeholder: "1", "aria-label": `${titled(one.name)} of ${name}` });
      field.addEventListener("change", () => {
        const changed = { ...valueOf(one) };
        if (field.value === "") delete changed[name];
        else changed[name] = Number(field.value);
        setValue(one.name, changed, {});
      });
      return el("span", { className: "held" }, `${name} `, field);
    });
    return el("span", { className: "several" }, ...rows);
  },
  adapters(one, id) {
    const field = el("textarea", { id, rows: 1, placeholder: "runs/series=1", value: valueOf(one).map((pair) => pair.join("=")).join("\n") });
    field.addEventListener("change", () => {
      const lines = field.value.split("\n").filter((line) => line.trim());
      setValue(one.name, lines.map((line) => [line.split("=")[0].trim(), Number(line.split("=")[1] || 1)]), []);
    });
    return field;
  },
  edits: (one) => editList(one),
};

/** A field with its name and what it is for. */
function row(one) {
  const id = `option-${one.name}`, help = el("small", { id: `${id}-help` }, one.help);
  const field = (MAKERS[one.kind] || MAKERS.text)(one, id);
  const input = field.matches("input, select, textarea") ? field : field.querySelector("input, textarea");
  input?.setAttribute("aria-describedby", help.id);
  const label = one.kind === "edits" ? el("span", { className: "name" }, titled(one.name)) : el("label", { htmlFor: id, className: "name" }, titled(one.name));
  return el("div", { className: `option ${one.kind}` }, label, field, help);
}

/** A picture that can be given besides the drawing: background, masks, hints. */
function pictureRow(name, help) {
  const given = state.now.pictures[name];
  const put = (one) => {
    const pictures = { ...state.now.pictures, [name]: one };
    if (!one) delete pictures[name];
    change({ pictures });
  };
  const button = el("button", { type: "button", "aria-describedby": `picture-${name}-help` }, given ? `Remove ${given.name}` : "Choose…");
  button.addEventListener("click", () => attempt(async () => {
    if (given) return put(null);
    const [file] = await chooseFiles(false, "image/*,.ora,.kra,.psd");
    return file && put((await api.upload(file)).pictures[0]);
  }));
  const several = el("span", { className: "several" }, button);
  if (name === "mask" && !given) {
    const auto = el("button", { type: "button" }, "Find it");
    auto.addEventListener("click", () => put({ id: "auto", name: "auto" }));
    several.append(auto);
  }
  return el("div", { className: "option" }, el("span", { className: "name" }, titled(name)), several, el("small", { id: `picture-${name}-help` }, help));
}

/** Which hints the model takes; fields of weights depend on it. */
export function setTakes(several) {
  takes = several;
  refresh();
}

/** Show all fields with the values that they have now. */
export function refresh() {
  const opened = new Set([...$("options").querySelectorAll("details[open]")].map((one) => one.dataset.panel));
  const focused = document.activeElement?.id;
  const fits = (one) => !APART.includes(one.name);
  const panels = Map.groupBy(known.options.filter(fits), (one) => one.panel);
  const made = [...panels].map(([title, several]) => {
    const fields = several.map(row);
    if (title === "ColorizeDiffusion") fields.push(...["background", "mask", "ref_mask"].map((name) => pictureRow(name, known.pictures[name])));
    if (title === "Drawing and colors") fields.push(...["hints", "only"].map((name) => pictureRow(name, known.pictures[name])));
    const panel = el("details", { open: opened.has(title), data: { panel: title } }, el("summary", {}, title), ...fields);
    if (title === "ColorizeDiffusion" && !takes.includes("text")) panel.append(el("p", { className: "note" }, "These are for models of ColorizeDiffusion; others refuse them."));
    return panel;
  });
  $("options").replaceChildren(...made);
  if (focused) $(focused)?.focus();
}

export async function setUp() {
  known = await api.json("/api/settings");
  for (const { flag, name } of known.options) api.titles.set(flag, titled(name));
  for (const name of Object.keys(known.pictures)) {
    api.titles.set(name === "reference" ? "--ref" : `--${name.replaceAll("_", "-")}`, titled(name));
  }
  refresh();
  return known;
}
