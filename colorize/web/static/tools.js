// Tools on the picture: regions, brush, eraser, picker and hand; by pointer, touch and keys.

import { $, el, say } from "./dom.js";
import { change, redo, result, state, undo } from "./state.js";
import {
  colorAt, cross, draw, fit, hover, pan, pending, place, regionAt, shownImage, under, zoom,
} from "./stage.js";

const TOOLS = {
  region: ["Region", "r", "Give a region the color"],
  brush: ["Brush", "b", "Paint strokes and dots: hints of which color goes where"],
  eraser: ["Eraser", "e", "Take away strokes, and colors of regions"],
  picker: ["Picker", "p", "Take a color from the picture or a reference"],
  hand: ["Hand", "h", "Move the picture"],
};
const STEP = 10; // pixels of the screen that an arrow key moves the cross
const stage = $("stage");
const pointers = new Map();
let moved = false;
let last = null; // where the last dot was

export const tool = () => stage.dataset.tool;

export function useTool(name) {
  stage.dataset.tool = name;
  $(`tool-${name}`).checked = true;
  hover(0);
  draw();
}

/** Take a color to paint with. */
export function useColor(color) {
  if (color) $("color").value = color;
}

/** The radius of the brush in pixels of the drawing; the slider means thousandths of its shorter side. */
const radius = () => Math.max(1, Math.round(($("brush").value / 1000) * Math.min(place.width, place.height)));

const inside = ([x, y]) => x >= 0 && y >= 0 && x < place.width && y < place.height;
const held = ([x, y]) => [
  Math.min(place.width - 1, Math.max(0, Math.round(x * 10) / 10)),
  Math.min(place.height - 1, Math.max(0, Math.round(y * 10) / 10)),
];

/** Use the tool at a place, as a click does. */
export function apply(point) {
  if (!state.now.drawing || !inside(point)) return;
  const [x, y] = held(point), color = $("color").value;
  if (tool() === "region" && result()?.kind === "gray") say("Regions are for line art; paint on gray pictures with the brush.");
  else if (tool() === "region") change({ edits: [...state.now.edits, [x, y, color]] });
  else if (tool() === "brush") addStroke({ points: [[x, y]], color, radius: radius() });
  else if (tool() === "eraser") erase([[x, y]]);
  else if (tool() === "picker") useColor(colorAt(shownImage(), x, y));
}

function addStroke(stroke) {
  last = stroke.points.at(-1);
  change({ strokes: [...state.now.strokes, stroke] });
}

/** Take away the strokes that places touch, or else the colors of the regions there. */
function erase(points) {
  const reach = radius();
  const touched = (one) => one.points.some((from, at) => {
    const to = one.points[at + 1] || from;
    return points.some((point) => apart(point, from, to) <= reach + one.radius);
  });
  const strokes = state.now.strokes.filter((one) => !touched(one));
  if (strokes.length < state.now.strokes.length) {
    change({ strokes });
    return;
  }
  const regions = points.map(([x, y]) => regionAt(x, y));
  const edits = state.now.edits.filter(([x, y]) => {
    const own = regionAt(x, y);
    return own ? !regions.includes(own) : points.every((one) => Math.hypot(one[0] - x, one[1] - y) > 4 * reach);
  });
  if (edits.length < state.now.edits.length) change({ edits });
}

/** The distance of a point from a line. */
function apart([x, y], [fromX, fromY], [toX, toY]) {
  const dx = toX - fromX, dy = toY - fromY, long = dx * dx + dy * dy;
  const share = long ? Math.min(1, Math.max(0, ((x - fromX) * dx + (y - fromY) * dy) / long)) : 0;
  return Math.hypot(x - fromX - share * dx, y - fromY - share * dy);
}

function down(event) {
  if (!state.now.drawing || event.target.closest("button")) return;
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  cross.shown = moved = false;
  if (pointers.size > 1) pending.stroke = null;
  else if (event.button === 0 && ["brush", "eraser"].includes(tool())) {
    const color = tool() === "brush" ? $("color").value : "#8888";
    pending.stroke = { points: [held(under(event))], color, radius: radius() };
    draw();
  }
}

function move(event) {
  const before = pointers.get(event.pointerId);
  if (!before) {
    if (tool() === "region") hover(regionAt(...under(event)));
    return;
  }
  const now = [event.clientX, event.clientY];
  moved ||= Math.hypot(now[0] - before[0], now[1] - before[1]) > 3;
  if (pointers.size === 2) {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const ratio = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.hypot(before[0] - other[0], before[1] - other[1]);
    const box = stage.getBoundingClientRect();
    zoom(ratio || 1, (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
    pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  } else if (pending.stroke) {
    const point = held(under(event)), end = pending.stroke.points.at(-1);
    if (Math.hypot(point[0] - end[0], point[1] - end[1]) * place.scale >= 2) pending.stroke.points.push(point);
    draw();
  } else if (tool() === "hand" || event.buttons === 4 || (moved && tool() !== "picker")) {
    if (moved || tool() === "hand") pan(now[0] - before[0], now[1] - before[1]);
  }
  if (moved || pointers.size === 2 || tool() === "hand") pointers.set(event.pointerId, now);
}

function up(event) {
  const alone = pointers.size === 1 && pointers.has(event.pointerId);
  pointers.delete(event.pointerId);
  const stroke = pending.stroke;
  pending.stroke = null;
  if (!alone || event.type === "pointercancel") {
    draw();
  } else if (stroke && tool() === "brush") {
    if (stroke.points.some(inside)) addStroke(stroke);
  } else if (stroke) {
    erase(stroke.points);
    draw();
  } else if (!moved && event.button === 0) {
    apply(under(event));
  }
}

/** Keys on the picture: the cross, the tool, zoom. */
function stageKey(event) {
  const step = (event.shiftKey ? 1 : STEP) / place.scale;
  const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (event.ctrlKey || event.metaKey || event.altKey || !state.now.drawing) return;
  if (ways[event.key]) {
    [cross.x, cross.y] = held([cross.x + ways[event.key][0], cross.y + ways[event.key][1]]);
    cross.shown = true;
    if (tool() === "region") hover(regionAt(cross.x, cross.y));
    draw();
  } else if (event.key === "Enter" && event.shiftKey && last && tool() === "brush") {
    addStroke({ points: [last, held([cross.x, cross.y])], color: $("color").value, radius: radius() });
  } else if (event.key === "Enter" || event.key === " ") apply([cross.x, cross.y]);
  else if (event.key === "+" || event.key === "=") zoom(1.25);
  else if (event.key === "-") zoom(0.8);
  else if (event.key === "0") fit();
  else if (event.key === "1") zoom(1 / place.scale);
  else return;
  event.preventDefault();
}

/** Keys anywhere but in fields. */
function pageKey(event) {
  const field = event.target.closest?.("input:not([type=range],[type=radio],[type=checkbox],[type=color]), textarea, select");
  if (field || $("dialog").open) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
    (key === "y" || event.shiftKey ? redo : undo)();
    event.preventDefault();
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
    const found = Object.entries(TOOLS).find(([, one]) => one[1] === key);
    if (found) useTool(found[0]);
    else if (key === "c") $("color").focus();
    else if (key === "[" || key === "]") $("brush").value = Number($("brush").value) + (key === "]" ? 2 : -2);
  }
}

export function setUp() {
  for (const [name, [label, key, help]] of Object.entries(TOOLS)) {
    const input = el("input", { type: "radio", name: "tool", id: `tool-${name}`, value: name });
    input.addEventListener("change", () => useTool(name));
    $("tools").append(el("label", { title: `${help} (${key.toUpperCase()})` }, input, el("span", {}, label)));
  }
  useTool("region");
  stage.addEventListener("pointerdown", down);
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", up);
  stage.addEventListener("pointercancel", up);
  stage.addEventListener("pointerleave", () => hover(0));
  stage.addEventListener("keydown", stageKey);
  stage.addEventListener("blur", () => { cross.shown = false; draw(); });
  stage.addEventListener("wheel", (event) => {
    if (!state.now.drawing) return;
    const box = stage.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 500), event.clientX - box.left, event.clientY - box.top);
    event.preventDefault();
  }, { passive: false });
  document.addEventListener("keydown", pageKey);
  $("undo").addEventListener("click", undo);
  $("redo").addEventListener("click", redo);
  $("smaller").addEventListener("click", () => zoom(0.8));
  $("larger").addEventListener("click", () => zoom(1.25));
  $("fit").addEventListener("click", fit);
  $("full").addEventListener("click", () => zoom(1 / place.scale));
}
