// Server-sent events of one job, over `fetch`: unlike `EventSource` it reports why it fails, and
// continues at the frame that is missing.

import { jobPath, send } from "./api.js";

const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const EVENTS_AT_ONCE = 200;

/**
 * Follows a job until its `end` event.
 *
 * @param {string} id of the job
 * @param {object} handlers nextFrame() number of the first frame wanted, event(name, data), and
 *   lost(error) when the connection breaks (it is tried again), back() when it works again
 * @param {AbortSignal} signal ends it
 */
export async function followJob(id, handlers, signal) {
  let failures = 0;
  let received = 0;
  while (!signal.aborted) {
    try {
      const response = await send(jobPath(id, `/events?from=${handlers.nextFrame()}`), { signal });
      for await (const { name, data } of readEvents(response.body, signal)) {
        if (failures) handlers.back();
        failures = 0;
        handlers.event(name, data);
        if (name === "end") return;
        // A finished job comes all at once: the page stays responsive meanwhile.
        if (++received % EVENTS_AT_ONCE === 0) await pause(0, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      // The server knows the job no longer, or refuses: trying again does not help.
      if (error.status >= 400 && error.status < 500) throw error;
    }
    if (signal.aborted) return;
    handlers.lost();
    await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)], signal);
  }
}

async function* readEvents(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  signal.addEventListener("abort", () => reader.cancel().catch(() => {}));
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) yield event;
    }
  }
}

function parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
