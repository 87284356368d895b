/**
 * Alerts and the pipeline for officials: the only things on the page that take a sign-in. The key file is read in the browser and never sent; key and
 * token are kept in the memory of this tab alone.
 */

// @ts-ignore: a file that the server has there (aggregator/public/pages.ts).
import { openKey, tokenRequest } from "/lib/official.js";

/** How often alerts are read again while they are shown, in milliseconds. */
const READ_EVERY_MS = 5_000;
/** How long an answer may take, in milliseconds. */
const TIMEOUT_MS = 10_000;

/** What is known, for the view: `fault` is a text's name, or what the server said. */
export const alertState = {
  account: undefined,
  fault: undefined,
  election: undefined,
  active: undefined,
  resolved: [],
  /** What gateways said of themselves last, and records that wait for a decision. */
  pipeline: undefined,
};

/** The signed-in official's key, and the token that it got. */
let signer;
let token;
let readAtMs = -Infinity;
let isReading = false;

/** Opens a key file of `deno task office key`, and signs in with it. */
export async function signIn(text) {
  signOut();
  try {
    signer = await openKey(text);
  } catch {
    alertState.fault = globalThis.isSecureContext ? "alertsNoKey" : "alertsNotSecure";
    return;
  }
  await guarded(async () => {
    token = await newToken();
    alertState.account = signer.account;
    readAtMs = -Infinity;
  });
}

/** Forgets key, token and alerts. */
export function signOut() {
  [signer, token, readAtMs] = [undefined, undefined, -Infinity];
  Object.assign(alertState, {
    account: undefined,
    fault: undefined,
    active: undefined,
    resolved: [],
    pipeline: undefined,
  });
}

/** Reads an election's alerts, unless they were read just now. Called whenever they are shown. */
export async function keepAlerts(election) {
  if (alertState.election !== election) {
    Object.assign(alertState, { election, active: undefined, resolved: [], pipeline: undefined });
    readAtMs = -Infinity;
  }
  if (token === undefined || isReading || Date.now() - readAtMs < READ_EVERY_MS) return;
  isReading = true;
  readAtMs = Date.now();
  await guarded(async () => {
    const answer = await ask("GET", pathOf(election));
    const pipeline = await ask("GET", pathOf(election, "pipeline"));
    if (alertState.election === election && token !== undefined) {
      Object.assign(alertState, { ...answer, pipeline });
    }
  });
  isReading = false;
}

/** Notes that the official has seen an alert. Returns whether that was taken. */
export async function acknowledge(election, alert, reason) {
  return await guarded(async () => {
    await ask("POST", `${pathOf(election)}/${alert}/acknowledge`, { reason });
    readAtMs = -Infinity;
  });
}

function pathOf(election, resource = "alerts") {
  return `/v1/elections/${encodeURIComponent(election)}/${resource}`;
}

/** Works, and keeps what went wrong for the view. */
async function guarded(work) {
  try {
    await work();
    alertState.fault = undefined;
    return true;
  } catch (error) {
    alertState.fault = error instanceof Refused ? error.message : "alertsAway";
    return false;
  }
}

/** The server has answered, and refuses. */
class Refused extends Error {}

/** Asks the office; once more with a new token when the one it has is not good any more. */
async function ask(method, path, body) {
  let answer = await send(method, path, body);
  if (answer.status === 401) {
    token = await newToken();
    answer = await send(method, path, body);
  }
  return await read(answer);
}

async function send(method, path, body) {
  return await fetch(path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...body === undefined ? {} : { "content-type": "application/json" },
    },
    ...body === undefined ? {} : { body: JSON.stringify(body) },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

async function read(answer) {
  if (answer.ok) return await answer.json();
  const { detail, title, type } = await answer.json().catch(() => ({}));
  if (type === "urn:pollwire:problem:unknown-election") throw new Refused("alertsNotYours");
  throw new Refused(detail ?? title ?? String(answer.status));
}

async function newToken() {
  // The server's clock: a computer's own may be wrong.
  const { headers } = await fetch("/health/live", {
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const answer = await fetch("/v1/office/token", {
    method: "POST",
    body: await tokenRequest(signer, Date.parse(headers.get("date") ?? "") || Date.now()),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  // A server without the role office has no such address.
  if (answer.status === 404) throw new Refused("alertsNoOffice");
  return (await read(answer)).access_token;
}
