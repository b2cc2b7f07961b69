// What is to be colored and how, with undo and redo. Strokes and edits belong to a drawing; the rest is for all.

/**
 * drawing: an upload {id, name}. references: uploads. pictures: uploads by option. values: options that are not their
 * default. strokes: {points, color, radius}. edits: [x, y, color] of regions. None of these is changed in place.
 */
const EMPTY = { drawing: null, references: [], pictures: {}, values: {}, strokes: [], edits: [] };

export const state = { now: EMPTY, past: [], future: [], results: [], chosen: 0, painted: new Map(), saved: null };
const listeners = [];

/** Call something after each change; `coloring` says whether the picture depends on it. */
export const onChange = (listener) => listeners.push(listener);

const told = (coloring) => listeners.forEach((listener) => listener(coloring));

/** Change some of it, as one step to undo. */
export function change(changes) {
  state.past.push(state.now);
  state.future = [];
  go({ ...state.now, ...changes });
}

function go(next) {
  state.now = next;
  if (next.drawing) state.painted.set(next.drawing.id, { strokes: next.strokes, edits: next.edits });
  told(true);
}

export function undo() {
  if (!state.past.length) return;
  state.future.push(state.now);
  go(state.past.pop());
}

export function redo() {
  if (!state.future.length) return;
  state.past.push(state.now);
  go(state.future.pop());
}

/** Take up another drawing, with what was painted on it before. */
export function open(drawing, references = state.now.references) {
  const painted = state.painted.get(drawing.id) || { strokes: [], edits: [] };
  change({ drawing, references, ...painted });
}

/** Set an option; its default, or null, leaves it out. */
export function setValue(name, value, unset) {
  const values = { ...state.now.values };
  if (value === null || value === "" || JSON.stringify(value) === JSON.stringify(unset)) delete values[name];
  else values[name] = value;
  change({ values });
}

/** Show results. */
export function show(results, chosen = 0) {
  state.results = results;
  state.chosen = Math.min(chosen, results.length - 1);
  told(false);
}

export const result = () => state.results[state.chosen];

/** Whether what was painted by hand would be lost with the page: it changed since it was last saved. */
export function unsaved() {
  const painted = [...state.painted.values()].some((one) => one.strokes.length || one.edits.length);
  return painted && state.now !== state.saved;
}

/** The request that a state is. */
export function request(given = state.now) {
  const ids = Object.entries(given.pictures).map(([name, one]) => [name, one.id]);
  return {
    drawing: given.drawing.id,
    references: given.references.map((one) => one.id),
    pictures: Object.fromEntries(ids),
    options: given.values,
    strokes: given.strokes,
    edits: given.edits,
  };
}
