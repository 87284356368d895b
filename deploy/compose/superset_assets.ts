/**
 * What Superset shows at its first start: the database, datasets, charts and dashboard of deploy/superset.
 *
 * Superset's API, 6.1: `POST /api/v1/security/login`, `GET /api/v1/security/csrf_token/`, `POST /api/v1/assets/import/`. An import
 * takes the place of what is there under the same UUIDs.
 *
 * @module
 */
import { Failure } from "../../cli/command.ts";
import { zip } from "../superset/zip.ts";

/** Where Superset may be asked as its administrator. */
export type SupersetAdministrator = Readonly<{
  /** Like `https://superset:8088`. */
  url: string;
  password: string;
  fetch: typeof fetch;
}>;

/** How long an answer may take, in milliseconds: Superset writes every chart. */
const ASK_MS = 120_000;

/** Asks Superset's API as one who has signed in. */
export type SupersetSession = Readonly<{
  /** Answers with the body's text. @throws {Failure} for any other status than 200. */
  ask: (method: string, path: string, body?: FormData) => Promise<string>;
}>;

/** Signs in. @throws {Failure} when Superset refuses. */
export async function openSuperset(as: SupersetAdministrator): Promise<SupersetSession> {
  const headers = new Headers({ "content-type": "application/json" });
  const body = JSON.stringify({ username: "admin", password: as.password, provider: "db", refresh: false });
  const login = await answered(as, "POST", "/api/v1/security/login", { headers, body });
  const { access_token } = JSON.parse(login.text) as { access_token: string };
  headers.delete("content-type");
  headers.set("authorization", `Bearer ${access_token}`);
  const token = await answered(as, "GET", "/api/v1/security/csrf_token/", { headers });
  // The token holds for the session of its cookie. Superset wants to hear from which page a request comes, too.
  headers.set("x-csrftoken", (JSON.parse(token.text) as { result: string }).result);
  headers.set("cookie", token.cookies.map((each) => each.split(";")[0]).join("; "));
  headers.set("referer", as.url);
  return { ask: async (method, path, body) => (await answered(as, method, path, { headers, body })).text };
}

/**
 * Imports the bundle.
 *
 * @param files Contents by path, of {@link assetFiles}.
 * @throws {Failure} when Superset refuses.
 */
export async function setSupersetAssets(
  { ask }: SupersetSession,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const rooted = Object.fromEntries(Object.entries(files).map(([path, text]) => [`pollwire/${path}`, text]));
  const form = new FormData();
  form.set("bundle", new File([zip(rooted)], "pollwire.zip", { type: "application/zip" }));
  await ask("POST", "/api/v1/assets/import/", form);
}

async function answered(
  { url, fetch }: SupersetAdministrator,
  method: string,
  path: string,
  request: { headers: Headers; body?: string | FormData },
): Promise<{ text: string; cookies: string[] }> {
  const answer = await fetch(url + path, { ...request, method, signal: AbortSignal.timeout(ASK_MS) });
  const text = await answer.text();
  if (answer.status !== 200) {
    throw new Failure(`Cannot ${method} ${path}: Superset answers ${answer.status}: ${text}`);
  }
  return { text, cookies: answer.headers.getSetCookie() };
}
