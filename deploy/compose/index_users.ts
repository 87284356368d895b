/**
 * Whom Elasticsearch lets in: Kibana's own user, the shipper of logs, the exporter of figures, and the aggregators by an API key.
 *
 * @module
 */
import { Failure } from "../../cli/command.ts";

/** Where Elasticsearch may be asked as its superuser. */
export type Administrator = Readonly<{
  /** Like `https://elasticsearch:9200`. */
  url: string;
  password: string;
  fetch: typeof fetch;
}>;

/** Passwords of the users. */
export type IndexUsers = Readonly<
  { kibanaPassword: string; logsPassword: string; monitorPassword: string }
>;

/** How long an answer may take, in milliseconds. */
const ASK_MS = 30_000;
/** Indices that the shipper of logs writes; and those of the aggregators, as aggregator/index names them. */
const LOG_INDICES = ["logs.pollwire*"];
const TALLY_INDICES = ["pollwire-*"];
/** What an aggregator may do: make its templates, indices and aliases, write and search them, and nothing else. */
const AGGREGATOR_ROLE = {
  aggregator: {
    cluster: ["monitor", "manage_index_templates"],
    indices: [{ names: TALLY_INDICES, privileges: ["all"] }],
  },
};

/** Creates the users and sets their passwords. Idempotent. */
export async function setIndexUsers(
  as: Administrator,
  { kibanaPassword, logsPassword, monitorPassword }: IndexUsers,
): Promise<void> {
  await ask(as, "POST", "/_security/user/kibana_system/_password", { password: kibanaPassword });
  await ask(as, "PUT", "/_security/role/pollwire_logs", {
    cluster: ["monitor"],
    indices: [{ names: LOG_INDICES, privileges: ["auto_configure", "create_index", "create_doc"] }],
  });
  await ask(as, "PUT", "/_security/user/logs", { password: logsPassword, roles: ["pollwire_logs"] });
  // Figures of the cluster and its nodes, and no documents.
  await ask(as, "PUT", "/_security/role/pollwire_monitor", { cluster: ["monitor"], indices: [] });
  await ask(as, "PUT", "/_security/user/monitor", { password: monitorPassword, roles: ["pollwire_monitor"] });
}

/** An API key for the aggregators: the one that is given, as long as it opens, else a new one. Base64, as clients take it. */
export async function aggregatorKey(as: Administrator, kept?: string): Promise<string> {
  if (kept !== undefined && await opens(as, kept)) return kept;
  const { encoded } = await ask(as, "POST", "/_security/api_key", {
    name: "aggregator",
    role_descriptors: AGGREGATOR_ROLE,
  });
  return encoded;
}

async function opens({ url, fetch }: Administrator, key: string): Promise<boolean> {
  const answer = await fetch(`${url}/_security/_authenticate`, {
    headers: { authorization: `ApiKey ${key}` },
    signal: AbortSignal.timeout(ASK_MS),
  });
  await answer.body?.cancel();
  return answer.ok;
}

async function ask({ url, password, fetch }: Administrator, method: string, path: string, body: unknown) {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Basic ${btoa(`elastic:${password}`)}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(ASK_MS),
  });
  const text = await answer.text();
  if (!answer.ok) {
    throw new Failure(`Cannot ${method} ${path}: Elasticsearch answers ${answer.status}: ${text}`);
  }
  return JSON.parse(text);
}
