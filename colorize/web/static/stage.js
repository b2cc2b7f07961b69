// The picture: before and after, zoom and pan, and what lies over it.

import { ask } from "./api.js";
import { $ } from "./dom.js";
import { state } from "./state.js";

const stage = $("stage"), view = $("view"), before = $("before"), after = $("after"), overlay = $("overlay");
export const place = { x: 0, y: 0, scale: 1, width: 0, height: 0 };
export const cross = { x: 0, y: 0, shown: false };
let map = null; // numbers of the regions by pixel
let hovered = 0;
let outline = null;
let fitted = true; // and stays so when the stage changes its size
export const pending = { stroke: null };

/** Show a drawing, and fit it. */
export async function showDrawing(address) {
  before.src = address;
  await before.decode();
  before.hidden = false;
  after.hidden = true;
  Object.assign(place, { width: before.naturalWidth, height: before.naturalHeight });
  Object.assign(cross, { x: place.width / 2, y: place.height / 2 });
  $("empty").hidden = true;
  $("under").hidden = false;
  setMap(null);
  fit();
}

/** Show a result over its drawing, without a moment of nothing between two. */
export async function showResult(address) {
  const url = URL.createObjectURL(await (await ask(address)).blob());
  const fresh = new Image(), old = after.src;
  fresh.src = url;
  await fresh.decode();
  after.src = url;
  await after.decode().catch(() => {});
  after.hidden = false;
  if (old) URL.revokeObjectURL(old);
}

/** Make the map of regions known: {width, numbers}. */
export function setMap(found) {
  map = found;
  hovered = 0;
  outline = null;
  draw();
}

/** The number of the region at a place of the drawing, 0 if that is not known. */
export function regionAt(x, y) {
  if (!map || x < 0 || y < 0 || x >= map.width || y >= map.height) return 0;
  return map.numbers[Math.floor(y) * map.width + Math.floor(x)];
}

/** Mark the region under the pointer. */
export function hover(number) {
  if (number === hovered) return;
  hovered = number;
  outline = number ? traced(number) : null;
  draw();
}

/** The outline of a region as a path in pixels of the drawing. */
function traced(number) {
  const path = new Path2D(), { width, height, numbers } = map;
  for (let y = 0; y < height; y += 1) {
    let start = -1;
    for (let x = 0; x <= width; x += 1) {
      const inside = x < width && numbers[y * width + x] === number;
      if (inside && start < 0) start = x;
      if (!inside && start >= 0) {
        path.rect(start, y, x - start, 1);
        start = -1;
      }
    }
  }
  return path;
}

export function fit() {
  fitted = true;
  const wide = stage.clientWidth - 24, high = stage.clientHeight - 24;
  place.scale = Math.min(wide / place.width, high / place.height, 4) || 1;
  place.x = (stage.clientWidth - place.width * place.scale) / 2;
  place.y = (stage.clientHeight - place.height * place.scale) / 2;
  draw();
}

/** Zoom by a factor around a point of the stage, its middle by default. */
export function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  fitted = false;
  const scale = Math.min(32, Math.max(0.02, place.scale * factor));
  place.x = x - (x - place.x) * (scale / place.scale);
  place.y = y - (y - place.y) * (scale / place.scale);
  place.scale = scale;
  draw();
}

export function pan(x, y) {
  fitted = false;
  place.x += x;
  place.y += y;
  draw();
}

/** The place of the drawing under a point of the window. */
export function under(event) {
  const box = stage.getBoundingClientRect();
  return [(event.clientX - box.left - place.x) / place.scale, (event.clientY - box.top - place.y) / place.scale];
}

/** The color of the picture at a place, "#rrggbb", or "" outside of it. */
export function colorAt(image, x, y) {
  if (!(x >= 0 && y >= 0 && x < image.naturalWidth && y < image.naturalHeight)) return "";
  const canvas = new OffscreenCanvas(1, 1), pen = canvas.getContext("2d");
  pen.drawImage(image, -Math.floor(x), -Math.floor(y));
  const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
  return `#${[r, g, b].map((one) => one.toString(16).padStart(2, "0")).join("")}`;
}

export const shownImage = () => (after.hidden ? before : after);

function drawStroke(pen, stroke, fill) {
  const points = stroke.points.length > 1 ? stroke.points : [stroke.points[0], stroke.points[0]];
  pen.beginPath();
  points.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.lineCap = pen.lineJoin = "round";
  const widths = fill ? [[stroke.color, 2 * stroke.radius]] : [["#fff", 5 / place.scale], [stroke.color, 3 / place.scale]];
  for (const [color, width] of widths) {
    pen.strokeStyle = color;
    pen.lineWidth = width;
    pen.stroke();
  }
}

/** Draw the picture at its place, and strokes, regions and the cross over it. */
export function draw() {
  view.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
  view.classList.toggle("pixels", place.scale >= 3);
  $("zoom").textContent = `${Math.round(place.scale * 100)} %`;
  const ratio = devicePixelRatio || 1;
  overlay.width = stage.clientWidth * ratio;
  overlay.height = stage.clientHeight * ratio;
  if (!place.width) return;
  const pen = overlay.getContext("2d");
  pen.setTransform(ratio * place.scale, 0, 0, ratio * place.scale, ratio * place.x, ratio * place.y);
  if (outline) {
    pen.fillStyle = "rgb(60 130 255 / 35%)";
    pen.fill(outline);
  }
  const painting = ["brush", "eraser"].includes(stage.dataset.tool);
  if (painting) state.now.strokes.forEach((one) => drawStroke(pen, one, false));
  if (pending.stroke) drawStroke(pen, pending.stroke, true);
  if (cross.shown) {
    const arm = 12 / place.scale;
    for (const [color, width] of [["#fff", 4], ["#000", 2]]) {
      pen.beginPath();
      pen.moveTo(cross.x - arm, cross.y);
      pen.lineTo(cross.x + arm, cross.y);
      pen.moveTo(cross.x, cross.y - arm);
      pen.lineTo(cross.x, cross.y + arm);
      pen.strokeStyle = color;
      pen.lineWidth = width / place.scale;
      pen.stroke();
    }
  }
}

/** Read a map of regions from the picture that the server sends: red, green and blue are the bytes of a number. */
export async function readMap(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const pen = new OffscreenCanvas(width, height).getContext("2d");
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, width, height);
  const numbers = new Uint32Array(width * height);
  for (let at = 0; at < numbers.length; at += 1) {
    numbers[at] = (data[4 * at] << 16) | (data[4 * at + 1] << 8) | data[4 * at + 2];
  }
  return { width, height, numbers };
}

$("compare").addEventListener("input", (event) => {
  after.style.clipPath = `inset(0 0 0 ${event.target.value}%)`;
});
new ResizeObserver(() => (fitted && place.width ? fit() : draw())).observe(stage);
