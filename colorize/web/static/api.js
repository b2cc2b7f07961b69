// Requests to the server: one session, whose uploads and results it names by id.

/** What went wrong, in a sentence for the reader. */
export class Problem extends Error {}

let session = "";

/** Begin a session, and keep it alive as long as the page is open. */
export async function begin() {
  session = (await json("/api/sessions", { method: "POST" })).id;
  setInterval(() => fetch(path(), { method: "POST" }).catch(() => {}), 60_000);
  addEventListener("pagehide", (event) => {
    if (!event.persisted) fetch(path(), { method: "DELETE", keepalive: true });
  });
}

/** The address of something in the session. */
export const path = (...parts) => ["/api/sessions", session, ...parts].join("/");

/** Ask, and raise what the server says is wrong. */
export async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer; was colorize web ended?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Problem(sentence(said.error || `the server answered ${answer.status}`, said.hint));
}

export const titles = new Map(); // of fields, by the flag that their option has on the command line

/** A message and its hint as one sentence, which names fields of the page where they name flags. */
export function sentence(message, hint) {
  const text = hint ? `${message}; ${hint}` : message;
  const named = text.replace(/--[a-z]+(-[a-z]+)*/g, (flag) => (titles.has(flag) ? `“${titles.get(flag)}”` : flag));
  return named[0].toUpperCase() + named.slice(1) + ".";
}

export const json = async (address, options) => (await ask(address, options)).json();

const body = (value) => ({
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value),
});

export const post = (address, value, more = {}) => ask(address, { ...body(value), ...more });

/** Upload a file; returns the pictures in it, several for a comic. */
export async function upload(file) {
  const address = `${path("pictures")}?name=${encodeURIComponent(file.name)}`;
  return json(address, { method: "POST", body: file });
}

/**
 * Color a drawing; returns the results.
 * @param {(place: number, share: number) => void} progress how many are before it, and how much is done, 0 to 1
 */
export async function color(request, progress, signal) {
  const answer = await post(path("color"), request, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Problem("The connection broke off. Color it again.");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const told = JSON.parse(line);
      if (told.error) throw new Problem(sentence(told.error, told.hint));
      if (told.results) return told.results;
      progress(told.place ?? 0, told.share ?? 0);
    }
  }
}

/** Save what an address gives as a file of the name that the server says. */
export async function save(address, options) {
  const answer = await ask(address, options);
  const named = answer.headers.get("content-disposition")?.match(/filename\*=UTF-8''([^;]+)/);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = named ? decodeURIComponent(named[1]) : "colored";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
