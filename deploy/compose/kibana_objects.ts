/**
 * What Kibana shows at its first start: data views and dashboards, and a role that may look at them.
 *
 * Kibana's API, 8.19: "Import saved objects" (`POST /api/saved_objects/_import`) and "Create or update a role"
 * (`PUT /api/security/role/{name}`). Both are idempotent as they are used here.
 *
 * @module
 */
import { Failure } from "../../cli/command.ts";

/** Where Kibana may be asked as Elasticsearch's superuser. */
export type KibanaAdministrator = Readonly<{
  /** Like `https://kibana:5601`. */
  url: string;
  password: string;
  fetch: typeof fetch;
}>;

/** How long an answer may take, in milliseconds: Kibana migrates what it imports. */
const ASK_MS = 60_000;

/** The role of people who look at the dashboards. */
export const VIEWER_ROLE = "pollwire_viewer";

/** It reads Pollwire's indices, and opens dashboards and maps in every space. It changes nothing. */
const VIEWER = {
  elasticsearch: {
    cluster: [],
    indices: [{ names: ["pollwire-*"], privileges: ["read", "view_index_metadata"] }],
    run_as: [],
  },
  kibana: [{
    base: [],
    feature: { dashboard: ["read"], visualize: ["read"], maps: ["read"], discover: ["read"] },
    spaces: ["*"],
  }],
};

/**
 * Imports saved objects in place of those that are there under the same ids, and creates the viewers' role.
 *
 * @param objects The text of pollwire.ndjson.
 * @returns how many objects Kibana has taken.
 * @throws {Failure} when Kibana refuses, or takes only some.
 */
export async function setKibanaObjects(as: KibanaAdministrator, objects: string): Promise<number> {
  const form = new FormData();
  form.set("file", new File([objects], "pollwire.ndjson", { type: "application/ndjson" }));
  const answer = await ask(as, "POST", "/api/saved_objects/_import?overwrite=true", form);
  const { success, successCount, errors = [] } = JSON.parse(answer) as {
    success: boolean;
    successCount: number;
    errors?: { type: string; id: string; error: { type: string } }[];
  };
  const wanted = objects.trimEnd().split("\n").length;
  if (!success || successCount !== wanted) {
    const named = errors.map(({ type, id, error }) => `${type} ${id}: ${error.type}`).join(", ");
    throw new Failure(`Cannot import the dashboards: Kibana took ${successCount} of ${wanted}: ${named}`);
  }
  await ask(as, "PUT", `/api/security/role/${VIEWER_ROLE}`, JSON.stringify(VIEWER));
  return successCount;
}

async function ask(
  { url, password, fetch }: KibanaAdministrator,
  method: string,
  path: string,
  body: string | FormData,
): Promise<string> {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Basic ${btoa(`elastic:${password}`)}`,
      // Kibana refuses requests without it: a web page of another origin cannot set it.
      "kbn-xsrf": "pollwire",
      ...typeof body === "string" && { "content-type": "application/json" },
    },
    body,
    signal: AbortSignal.timeout(ASK_MS),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Failure(`Cannot ${method} ${path}: Kibana answers ${answer.status}: ${text}`);
  return text;
}
