/**
 * The centre's settings, read once from its environment.
 *
 * @module
 */
import { z } from "zod";
import { LOG_LEVELS, type LogLevel } from "../cli/log.ts";
import { integer, readConfig } from "../shared/config.ts";
import { type TlsFiles, tlsFiles } from "../web/tls.ts";

/** Every setting, with its default and its meaning. */
export const SETTINGS = {
  /** Where everything is kept that has no place of its own. */
  POLLWIRE_DATA: z.string().default("data"),
  /** The database: `pglite:<directory>`; `pglite:<POLLWIRE_DATA>/db` when not set. */
  DATABASE_URL: z.string().regex(/^pglite:.+/, "must be pglite:<directory>").optional(),
  /** The logs: `sqlite:<directory>`; `sqlite:<POLLWIRE_DATA>/log` when not set. */
  VOTE_LOG: z.string().regex(/^sqlite:.+/, "must be sqlite:<directory>").optional(),
  /** The directory of the elections' master keys; `<POLLWIRE_DATA>/keys` when not set. */
  KEYS_DIRECTORY: z.string().optional(),
  /** What the log says: at `debug` every request, with its ids. */
  LOG_LEVEL: z.enum(LOG_LEVELS).default("info"),
  HOST: z.string().default("127.0.0.1"),
  PORT: integer(0, 65_535).default(8000),
  /** The certificate that it shows, with those between it and its authority, PEM; HTTP without TLS when not set. */
  TLS_CERT_FILE: z.string().optional(),
  TLS_KEY_FILE: z.string().optional(),
  /** Connections at once, and of one address. Never more than the process may have file descriptors, less 128. */
  MAX_CONNECTIONS: integer(1, 1_000_000).default(10_000),
  ADDRESS_MAX_CONNECTIONS: integer(1, 1_000_000).default(1_000),
};

/** The centre's settings, complete. */
export type CentreConfig = Readonly<{
  data: string;
  databaseDirectory: string;
  logDirectory: string;
  keysDirectory: string;
  logLevel: LogLevel;
  host: string;
  port: number;
  /** What it shows to those who ask it; plain HTTP when not set. */
  tls?: TlsFiles;
  maxConnections: number;
  maxAddressConnections: number;
}>;

/** @throws {ConfigError} naming what is wrong. */
export function centreConfig(environment?: Record<string, string>): CentreConfig {
  const config = readConfig(SETTINGS, environment);
  const data = config.POLLWIRE_DATA;
  const tls = tlsFiles(config);
  return {
    data,
    databaseDirectory: (config.DATABASE_URL ?? `pglite:${data}/db`).slice("pglite:".length),
    logDirectory: (config.VOTE_LOG ?? `sqlite:${data}/log`).slice("sqlite:".length),
    keysDirectory: config.KEYS_DIRECTORY ?? `${data}/keys`,
    logLevel: config.LOG_LEVEL,
    host: config.HOST,
    port: config.PORT,
    ...tls && { tls },
    maxConnections: config.MAX_CONNECTIONS,
    maxAddressConnections: config.ADDRESS_MAX_CONNECTIONS,
  };
}
