/**
 * Signing in, and asking the office's API. The key file is read in the browser and never sent. The key signs one assertion and is
 * forgotten; the token is kept in the memory of this tab alone. When it ends, or an approval takes a newer sign-in, the official
 * chooses the file again.
 */
// @ts-ignore: a file that the server has there (aggregator/office/page_files.ts).
import { openKey, tokenRequest } from "/office/lib/official.js";
import { changed, forget, state } from "./state.js";

/** How long an answer may take, in milliseconds: a check counts the log again. */
const TIMEOUT_MS = 600_000;
/** How old a sign-in may be for an approval, in milliseconds; the server says 300 s. */
const RECENT_MS = 290_000;

let token;
/** The server's clock less this computer's, which may be wrong, in milliseconds. */
let clockOffsetMs = 0;
/** Resolves when the official has signed in again. */
let again;

/** The server has answered, and refuses. `type` is the problem's last word. */
export class Refused extends Error {
  constructor({ detail, title, type = "", status }) {
    super(detail ?? title ?? String(status));
    this.type = type.split(":").at(-1);
    this.status = status;
  }
}

/** The official closed the dialog that asks for the key. */
export class Cancelled extends Error {}

/** A failure that the page has a text for. */
export class Known extends Error {}

/** The server's time, milliseconds since 1970. */
export const serverNow = () => Date.now() + clockOffsetMs;

async function signerOf(text) {
  try {
    return await openKey(text);
  } catch {
    throw new Known(globalThis.isSecureContext ? "noKey" : "notSecure");
  }
}

/** Signs in with the text of a key file. Says whether that was taken; if not, `state.signInFault` says why. */
export async function signIn(text) {
  try {
    const signer = await signerOf(text);
    if (state.session !== undefined && state.session.account !== signer.account) {
      throw new Known("otherPerson");
    }
    const live = await send("GET", "/health/live");
    const server = Date.parse(live.headers.get("date") ?? "");
    clockOffsetMs = Number.isNaN(server) ? 0 : server - Date.now();
    const atMs = serverNow();
    const { access_token } = await read(
      await send("POST", "/v1/office/token", { body: await tokenRequest(signer, atMs) }),
    );
    token = access_token;
    const { account, isAdmin } = await ask("GET", "/v1/office/me");
    Object.assign(state, { session: { account, isAdmin, signedInAtMs: atMs }, signInFault: undefined });
  } catch (error) {
    state.signInFault = faultOf(error);
    changed();
    return false;
  }
  again?.resolve();
  changed();
  return true;
}

/** Forgets the token and everything that was read with it. */
export function signOut() {
  token = undefined;
  Object.assign(state, { session: undefined, elections: undefined, accounts: undefined, message: undefined });
  forget();
  changed();
}

/** What an error is, for people: a text's name, or what the server said. */
export function faultOf(error) {
  if (error instanceof Refused || error instanceof Known) return error.message;
  return error instanceof TypeError || error?.name === "TimeoutError" ? "away" : String(error);
}

/** Opens the dialog that asks for the key again. Whoever asks meanwhile waits for the same. */
async function signInAgain(reason) {
  if (again === undefined) {
    again = Promise.withResolvers();
    Object.assign(state, { askingFor: reason, signInFault: undefined });
    changed();
    document.querySelector("#again").showModal();
  }
  try {
    await again.promise;
  } finally {
    again = undefined;
    document.querySelector("#again")?.close();
    state.askingFor = undefined;
    changed();
  }
}

/** The official closed the dialog. */
export function cancelSignIn() {
  again?.reject(new Cancelled());
}

/**
 * Asks the API. `recent`: takes a sign-in of the last minutes. `quiet`: nobody waits for it, so nobody is asked for a key.
 * Returns what it answers: JSON with the `etag` beside it, or a text.
 */
export async function ask(method, path, { body, bytes, ifMatch, recent = false, quiet = false } = {}) {
  if (recent && serverNow() - state.session.signedInAtMs > RECENT_MS) await signInAgain("recent");
  const options = {
    headers: {
      ...body === undefined ? {} : { "content-type": "application/json" },
      ...bytes === undefined ? {} : { "content-type": "application/octet-stream" },
      ...ifMatch === undefined ? {} : { "if-match": ifMatch },
    },
    body: bytes ?? (body === undefined ? undefined : JSON.stringify(body)),
  };
  try {
    return await read(await send(method, path, options));
  } catch (error) {
    if (quiet || !(error instanceof Refused) || error.status !== 401 || state.session === undefined) {
      throw error;
    }
    await signInAgain(error.type === "login-too-old" ? "recent" : "ended");
    return await read(await send(method, path, options));
  }
}

async function send(method, path, { headers = {}, body } = {}) {
  return await fetch(path, {
    method,
    body,
    headers: { ...headers, ...token === undefined ? {} : { authorization: `Bearer ${token}` } },
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

async function read(answer) {
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Refused({ ...problem, status: answer.status });
  }
  if (!/json/.test(answer.headers.get("content-type") ?? "")) return await answer.text();
  const etag = answer.headers.get("etag");
  const json = await answer.json();
  return etag === null ? json : { ...json, etag };
}
