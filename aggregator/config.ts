/**
 * The aggregator's settings, read once from its environment.
 *
 * @module
 */
import { z } from "zod";
import { LOG_LEVELS, type LogLevel } from "../cli/log.ts";
import { utf8 } from "../shared/bytes.ts";
import { ConfigError, integer, readConfig } from "../shared/config.ts";
import type { AlertmanagerAccess } from "./alerts/alertmanager.ts";
import { type TlsFiles, tlsFiles } from "../web/tls.ts";
import { type DatabaseChoice, databaseChoice } from "./database/database_url.ts";
import { type LogAddress, logAddressSetting, withPassword } from "../shared/log/address.ts";
import { hasOfficeKey } from "./office/office_key.ts";
import type { IndexSettings } from "./results/index/tally_index.ts";
import { ALL_ROLES, isWhole, parseRoles, type ProcessRole } from "./roles/roles.ts";

/** Every setting, with its default and its meaning. */
export const SETTINGS = {
  /** Where everything is kept that has no place of its own. */
  POLLWIRE_DATA: z.string().default("data"),
  /** `pglite:<directory>` or `postgres://<user>@<host>:<port>/<database>`; `pglite:<POLLWIRE_DATA>/db` when not set. */
  DATABASE_URL: z.string().optional(),
  /** The password of the user in DATABASE_URL. */
  DATABASE_PASSWORD: z.string().optional(),
  /** The authorities that may have signed the server's certificate, PEM; the system's when not set. */
  DATABASE_CA: z.string().regex(/^-----BEGIN CERTIFICATE-----/, "must be certificates in PEM").optional(),
  /** How long the server may take over a statement. */
  DATABASE_STATEMENT_TIMEOUT_MS: integer(1_000, 3_600_000).default(30_000),
  /** How long a statement may wait for a lock. */
  DATABASE_LOCK_TIMEOUT_MS: integer(100, 600_000).default(10_000),
  /** How long a transaction may wait for its next statement. */
  DATABASE_IDLE_TRANSACTION_MS: integer(1_000, 3_600_000).default(30_000),
  /** Connections of a process that count or take gateways' statements, and that read. One more publishes or indexes. */
  DATABASE_COUNTING_CONNECTIONS: integer(1, 64).default(2),
  DATABASE_READING_CONNECTIONS: integer(1, 64).default(4),
  /** The logs: `sqlite:<directory>` or `kafka://…`; `sqlite:<POLLWIRE_DATA>/log` when not set. */
  VOTE_LOG: logAddressSetting.optional(),
  /** The password of the user that VOTE_LOG names. */
  KAFKA_PASSWORD: z.string().optional(),
  /** The directory of the elections' master keys; `<POLLWIRE_DATA>/keys` when not set. Only count and office read it. */
  KEYS_DIRECTORY: z.string().optional(),
  /** The directories of the keys of processes that do not count; below KEYS_DIRECTORY `receipts` and `sync` when not set. */
  RECEIPT_KEYS_DIRECTORY: z.string().optional(),
  SYNC_KEYS_DIRECTORY: z.string().optional(),
  /** What a process does, of count, index, serve, receipts, sync, office; all of it when not set (office where it is set up). */
  AGGREGATOR_ROLES: z.string().optional(),
  /** What the log says: at `debug` every request, with its ids. */
  LOG_LEVEL: z.enum(LOG_LEVELS).default("info"),
  /** Where Elasticsearch is, `http://` or `https://`, its nodes with commas between them; without it there is no index. */
  ELASTICSEARCH_URL: z.string().regex(
    /^https?:\/\/[^@\s,]+(,https?:\/\/[^@\s,]+)*$/,
    "must be http://<host>:<port> or https://<host>:<port>, without a user, with commas between several nodes",
  ).optional(),
  ELASTICSEARCH_API_KEY: z.string().optional(),
  /** Certificates, PEM, of which one must have signed Elasticsearch's; the system's when not set. */
  ELASTICSEARCH_CA: z.string().regex(/^-----BEGIN CERTIFICATE-----/, "must be certificates in PEM")
    .optional(),
  /** Of each index. A change is for indices that are made after it: `deno task reindex`. */
  ELASTICSEARCH_SHARDS: integer(1, 1_024).default(1),
  ELASTICSEARCH_REPLICAS: integer(0, 100).default(1),
  /** The rules of the alerts, a file (docs/alerts.md); those of aggregator/alerts/rules.yml when not set. */
  POLLWIRE_ALERT_RULES: z.string().min(1).optional(),
  /** OpenID providers whose tokens the office takes, a file (docs/office.md); none when not set. */
  POLLWIRE_OFFICE_ISSUERS: z.string().min(1).optional(),
  /** Alertmanagers that are told of alerts, with spaces between them; each is told of all. None when not set. */
  POLLWIRE_ALERTMANAGER_URL: z.string().refine(
    (text) => text.split(/\s+/).every((url) => /^https?:\/\/[^@,]+$/.test(url) && URL.canParse(url)),
    "must be http://<host>:<port> or https://<host>:<port>, without a user; several with spaces between them",
  ).optional(),
  /** How all of them know this aggregator: a user and a password, or a token (OAuth 2, RFC 6750). Not at all when not set. */
  POLLWIRE_ALERTMANAGER_USER: z.string().regex(/^[^:\p{Cc}]+$/u, "must be a name without a colon").optional(),
  POLLWIRE_ALERTMANAGER_PASSWORD: z.string().min(1).optional(),
  POLLWIRE_ALERTMANAGER_TOKEN: z.string().regex(
    /^[\w.~+/-]+=*$/,
    "must be a token: letters, digits and -._~+/",
  ).optional(),
  /** Certificates, PEM, of which one must have signed theirs; the system's when not set. */
  POLLWIRE_ALERTMANAGER_CA: z.string().regex(/^-----BEGIN CERTIFICATE-----/, "must be certificates in PEM")
    .optional(),
  HOST: z.string().default("127.0.0.1"),
  PORT: integer(0, 65_535).default(8000),
  /** The certificate that it shows, with those between it and its authority, PEM; HTTP without TLS when not set. */
  TLS_CERT_FILE: z.string().optional(),
  TLS_KEY_FILE: z.string().optional(),
  /** Connections at once, and of one address. Never more than the process may have file descriptors, less 128. */
  MAX_CONNECTIONS: integer(1, 1_000_000).default(10_000),
  ADDRESS_MAX_CONNECTIONS: integer(1, 1_000_000).default(1_000),
  /** Requests a second for elections and figures, and event streams at once, of one address. */
  ADDRESS_REQUESTS_PER_SECOND: integer(1, 1_000_000).default(100),
  ADDRESS_MAX_STREAMS: integer(1, 1_000_000).default(100),
};

/** The aggregator's settings, complete. */
export type AggregatorConfig = Readonly<{
  data: string;
  database: DatabaseChoice;
  databaseLimits: Readonly<{
    statementTimeoutMs: number;
    lockTimeoutMs: number;
    idleInTransactionTimeoutMs: number;
    countingConnections: number;
    readingConnections: number;
  }>;
  log: LogAddress;
  /** What this process does. */
  roles: readonly ProcessRole[];
  /** The master keys. */
  keysDirectory: string;
  receiptKeysDirectory: string;
  syncKeysDirectory: string;
  logLevel: LogLevel;
  /** `undefined` for none. */
  elasticsearch: IndexSettings | undefined;
  /** The office's file of alert rules; `undefined` for the built-in ones. */
  alertRules: string | undefined;
  /** The office's file of OpenID providers; `undefined` for none. */
  officeIssuers: string | undefined;
  /** Addresses of Alertmanagers. */
  alertmanagers: readonly string[];
  /** How they are asked. */
  alertmanagerAccess: AlertmanagerAccess;
  host: string;
  port: number;
  /** What it shows to those who ask it; plain HTTP when not set. */
  tls?: TlsFiles;
  maxConnections: number;
  maxAddressConnections: number;
  addressRequestsPerSecond: number;
  maxAddressStreams: number;
}>;

/**
 * Reads the settings.
 *
 * @param chosen Roles, in place of AGGREGATOR_ROLES.
 * @throws {ConfigError} naming what is wrong.
 */
export function aggregatorConfig(environment?: Record<string, string>, chosen?: string): AggregatorConfig {
  const config = readConfig(SETTINGS, environment);
  const data = config.POLLWIRE_DATA;
  const tls = tlsFiles(config);
  const database = databaseChoice(
    config.DATABASE_URL ?? `pglite:${data}/db`,
    config.DATABASE_PASSWORD,
    config.DATABASE_CA,
  );
  const keysDirectory = config.KEYS_DIRECTORY ?? `${data}/keys`;
  return {
    data,
    database,
    roles: readRoles(database, keysDirectory, chosen, config.AGGREGATOR_ROLES),
    databaseLimits: {
      statementTimeoutMs: config.DATABASE_STATEMENT_TIMEOUT_MS,
      lockTimeoutMs: config.DATABASE_LOCK_TIMEOUT_MS,
      idleInTransactionTimeoutMs: config.DATABASE_IDLE_TRANSACTION_MS,
      countingConnections: config.DATABASE_COUNTING_CONNECTIONS,
      readingConnections: config.DATABASE_READING_CONNECTIONS,
    },
    log: withPassword(config.VOTE_LOG ?? { kind: "sqlite", directory: `${data}/log` }, config.KAFKA_PASSWORD),
    keysDirectory,
    receiptKeysDirectory: config.RECEIPT_KEYS_DIRECTORY ?? `${keysDirectory}/receipts`,
    syncKeysDirectory: config.SYNC_KEYS_DIRECTORY ?? `${keysDirectory}/sync`,
    logLevel: config.LOG_LEVEL,
    elasticsearch: config.ELASTICSEARCH_URL === undefined ? undefined : {
      url: config.ELASTICSEARCH_URL,
      apiKey: config.ELASTICSEARCH_API_KEY,
      ca: config.ELASTICSEARCH_CA,
      shards: config.ELASTICSEARCH_SHARDS,
      replicas: config.ELASTICSEARCH_REPLICAS,
    },
    alertRules: config.POLLWIRE_ALERT_RULES,
    officeIssuers: config.POLLWIRE_OFFICE_ISSUERS,
    ...alertmanagerSettings(config),
    host: config.HOST,
    port: config.PORT,
    ...tls && { tls },
    maxConnections: config.MAX_CONNECTIONS,
    maxAddressConnections: config.ADDRESS_MAX_CONNECTIONS,
    addressRequestsPerSecond: config.ADDRESS_REQUESTS_PER_SECOND,
    maxAddressStreams: config.ADDRESS_MAX_STREAMS,
  };
}

type AlertmanagerSettings = Pick<
  z.infer<z.ZodObject<typeof SETTINGS>>,
  | "POLLWIRE_ALERTMANAGER_URL"
  | "POLLWIRE_ALERTMANAGER_USER"
  | "POLLWIRE_ALERTMANAGER_PASSWORD"
  | "POLLWIRE_ALERTMANAGER_TOKEN"
  | "POLLWIRE_ALERTMANAGER_CA"
>;

/** Credentials go over TLS only, or to this machine. */
function alertmanagerSettings(
  config: AlertmanagerSettings,
): Pick<AggregatorConfig, "alertmanagers" | "alertmanagerAccess"> {
  const refuse = (what: string): never => {
    throw new ConfigError(`Cannot start: ${what}`);
  };
  const urls = config.POLLWIRE_ALERTMANAGER_URL?.split(/\s+/) ?? [];
  const [user, password] = [config.POLLWIRE_ALERTMANAGER_USER, config.POLLWIRE_ALERTMANAGER_PASSWORD];
  const [token, ca] = [config.POLLWIRE_ALERTMANAGER_TOKEN, config.POLLWIRE_ALERTMANAGER_CA];
  if ((user === undefined) !== (password === undefined)) {
    refuse("POLLWIRE_ALERTMANAGER_USER and POLLWIRE_ALERTMANAGER_PASSWORD must be set together");
  }
  if (user !== undefined && token !== undefined) {
    refuse("POLLWIRE_ALERTMANAGER_USER and POLLWIRE_ALERTMANAGER_TOKEN are set: leave one of them out");
  }
  const isKnown = user !== undefined || token !== undefined;
  const open = urls.find((url) => url.startsWith("http:") && !LOOPBACK.test(new URL(url).hostname));
  if (isKnown && open !== undefined) {
    refuse("POLLWIRE_ALERTMANAGER_URL must be https:// where a password or a token is sent");
  }
  if (ca !== undefined && !urls.some((url) => url.startsWith("https:"))) {
    refuse("POLLWIRE_ALERTMANAGER_CA is set, which needs an https:// address in POLLWIRE_ALERTMANAGER_URL");
  }
  const authorization = user !== undefined
    ? `Basic ${utf8(`${user}:${password}`).toBase64()}`
    : token && `Bearer ${token}`;
  return { alertmanagers: urls, alertmanagerAccess: { authorization, ca } };
}

/** A host name that is this machine. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** Reads the roles of a process. The embedded database belongs to one process, which must do everything. */
function readRoles(
  database: DatabaseChoice,
  keysDirectory: string,
  chosen: string | undefined,
  setting: string | undefined,
): readonly ProcessRole[] {
  const name = chosen === undefined ? "AGGREGATOR_ROLES" : "--roles";
  const all = hasOfficeKey(keysDirectory) ? [...ALL_ROLES, "office"] : ALL_ROLES;
  const roles = parseRoles(chosen ?? setting ?? all.join());
  if ("fault" in roles) throw new ConfigError(`${name} ${roles.fault}`);
  if (database.kind === "pglite" && !isWhole(roles)) {
    throw new ConfigError(
      `${name} names ${roles.join(", ")}, and with the embedded database one process must run every role: ` +
        "leave it out, or set DATABASE_URL to a PostgreSQL server",
    );
  }
  return roles;
}
