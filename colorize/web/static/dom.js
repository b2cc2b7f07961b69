// Small helpers for the page's elements.

export const $ = (id) => document.getElementById(id);

/** Make an element: properties, then children. Names with a dash become attributes. */
export function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "data") Object.assign(made.dataset, value);
    else if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Fill an element again only if what it shows has changed, so that pictures are not loaded anew. */
export function fill(target, shown, make) {
  const told = JSON.stringify(shown);
  if (target.dataset.shows === told) return;
  target.dataset.shows = told;
  target.replaceChildren(...make());
}

export const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** Say what happens, for eyes and for screen readers. */
export function say(text) {
  $("status").textContent = text;
}

/** Show an error until the next thing succeeds; nothing hides it. */
export function complain(error) {
  if (error?.name === "AbortError") return;
  const text = error ? error.message || String(error) : "";
  $("error").textContent = text;
  $("error").hidden = !text;
}

/** Show how much is done, 0 to 1; null hides the bar, -1 means unknown. */
export function progress(share) {
  const bar = $("progress");
  bar.hidden = share === null;
  if (share !== null && share >= 0) bar.value = share;
  else bar.removeAttribute("value");
}

/** Run something that may fail, and show why if it does. */
export async function attempt(what) {
  try {
    complain(null);
    return await what();
  } catch (error) {
    say("");
    complain(error);
    return undefined;
  }
}

/** Let the user choose files. */
export function chooseFiles(several, accept = "") {
  const input = $("files");
  input.multiple = several;
  input.accept = accept;
  input.value = "";
  return new Promise((resolve) => {
    input.onchange = () => resolve([...input.files]);
    input.oncancel = () => resolve([]);
    input.click();
  });
}

/** Make an element a place where files can be dropped. */
export function dropzone(target, take) {
  target.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    target.classList.add("over");
  });
  target.addEventListener("dragleave", () => target.classList.remove("over"));
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    target.classList.remove("over");
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
}

/** Open the dialog with a title and content. */
export function dialog(title, ...content) {
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...content);
  $("dialog").showModal();
}
