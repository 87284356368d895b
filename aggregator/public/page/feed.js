/**
 * The page's only way to the server: the documented API, and its event stream. The tabs of a browser share one stream: the
 * one that holds the lock reads it and tells the others. When that tab goes, another takes over.
 */

/** Wait before the stream is opened again after the server has refused it, in milliseconds: doubled each time. */
const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 15_000;
/** Silence after which the stream is given up and opened again, in milliseconds; a tick comes every three seconds. */
const SILENCE_MS = 12_000;

const EVENTS = ["release", "turnout", "tick", "reset"];

/**
 * Asks the API; rejects when it answers with a problem, or not at all.
 *
 * @param {string} path
 * @param {RequestCache} [cache] `no-cache`: the server is asked whether the browser's answer is still right.
 */
export async function get(path, cache = "default") {
  const answer = await fetch(path, {
    cache,
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(10_000),
  });
  if (!answer.ok) throw new Error(`GET ${path} answered ${answer.status}`);
  return await answer.json();
}

/** The path of an election's resource, with its question. */
export function pathOf(election, resource = "", question = {}) {
  const query = new URLSearchParams(Object.entries(question).filter(([, value]) => value !== undefined));
  return `/v1/elections/${encodeURIComponent(election)}${resource}${query.size === 0 ? "" : `?${query}`}`;
}

/** How often results by region and by mode are asked for, until both are of one revision. */
const BOARD_READINGS = 3;

/** Reads results by region and by mode. Should they not come to be of one revision, there are none by mode. */
export async function readBoard(election, part) {
  let { revision } = part;
  for (let reading = 1;; reading++) {
    const ask = (by) => get(pathOf(election, "/results", { ...part, by, revision }));
    const both = await Promise.all([ask("region"), ask("mode")]);
    const [results, byMode] = both;
    if (results.revision === byMode.revision || reading === BOARD_READINGS) return both;
    if (revision !== undefined) revision = Math.max(results.revision, byMode.revision);
  }
}

/** The names of a region's stations, by id. */
export async function stationNames(election, region) {
  const names = new Map();
  let after;
  do {
    const { rows, next } = await get(pathOf(election, "/stations", { region, after }));
    for (const { id, name } of rows) names.set(id, name);
    after = next ?? undefined;
  } while (after !== undefined);
  return names;
}

/**
 * Follows an election's stream for good, across restarts of the server, from the revision that `revision()` says.
 *
 * @param handlers `release`, `turnout`, `tick`, `reset` take the event's data, `lost` nothing.
 * @returns a function that ends it.
 */
export function follow(election, revision, handlers) {
  // Locks are for pages that came over HTTPS or from this machine.
  if (!("locks" in navigator) || !("BroadcastChannel" in globalThis)) {
    return readStream(election, revision, handlers);
  }
  const name = `pollwire/stream/${election}`;
  const channel = new BroadcastChannel(name);
  const stop = new AbortController();
  let heardAtMs = Date.now();
  channel.addEventListener("message", ({ data: { event, data } }) => {
    heardAtMs = Date.now();
    handlers[event](data);
  });
  const tellAll = Object.fromEntries([...EVENTS, "lost"].map((event) => [event, (data) => {
    heardAtMs = Date.now();
    channel.postMessage({ event, data });
    handlers[event](data);
  }]));
  navigator.locks.request(name, { signal: stop.signal }, () =>
    new Promise((release) => {
      const end = readStream(election, revision, tellAll);
      stop.signal.addEventListener("abort", () => {
        end();
        release();
      });
    })).catch(() => {}); // Ended while it waited for the lock.
  const watch = setInterval(() => {
    if (Date.now() - heardAtMs >= 2 * SILENCE_MS) handlers.lost();
  }, 1_000);
  return () => {
    stop.abort();
    clearInterval(watch);
    channel.close();
  };
}

/** Reads the stream itself. */
function readStream(election, revision, handlers) {
  let source;
  let timer;
  let retryMs = RETRY_FIRST_MS;
  let heardAtMs = Date.now();

  const open = () => {
    heardAtMs = Date.now();
    source = new EventSource(pathOf(election, "/stream", { after: revision() }));
    for (const name of EVENTS) {
      source.addEventListener(name, ({ data }) => {
        heardAtMs = Date.now();
        retryMs = RETRY_FIRST_MS;
        handlers[name](JSON.parse(data));
      });
    }
    source.addEventListener("error", () => {
      handlers.lost();
      // The browser comes back by itself when the connection broke; not when the server refused it.
      if (source.readyState === EventSource.CLOSED) again();
    });
  };

  const again = () => {
    source.close();
    clearTimeout(timer);
    timer = setTimeout(open, retryMs * (0.5 + Math.random()));
    retryMs = Math.min(retryMs * 2, RETRY_LAST_MS);
  };

  const watch = setInterval(() => {
    if (Date.now() - heardAtMs < SILENCE_MS) return;
    heardAtMs = Date.now();
    handlers.lost();
    again();
  }, 1_000);

  open();
  return () => {
    source.close();
    clearTimeout(timer);
    clearInterval(watch);
  };
}
