/**
 * Which database the settings name, and how it is reached.
 *
 * @module
 */
import { ConfigError } from "../../shared/config.ts";

/** A PostgreSQL server's database, and who connects to it. */
export type PostgresTarget = Readonly<{
  host: string;
  port: number;
  database: string;
  user: string;
  /** Empty when the server asks for none. */
  password: string;
  /**
   * How the server must prove who it is: by a certificate for its host's name that one of these authorities signed (PEM),
   * or one of the system's when left out. `undefined` for a connection without TLS.
   */
  tls?: Readonly<{ ca?: string }>;
}>;

/** The embedded database on a directory, or a server's. */
export type DatabaseChoice =
  | Readonly<{ kind: "pglite"; directory: string }>
  | Readonly<{ kind: "postgres"; target: PostgresTarget }>;

/** A database's name for messages; it holds no password. */
export function databaseName(choice: DatabaseChoice): string {
  if (choice.kind === "pglite") return choice.directory;
  const { host, port, database } = choice.target;
  return `${database} at ${host}:${port}`;
}

const WANTED = "must be pglite:<directory> or postgres://<user>@<host>:<port>/<database>";
const DEFAULT_PORT = 5_432;
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Reads `DATABASE_URL`. With a server on another machine the connection is encrypted and the server's certificate is
 * checked (`sslmode=verify-full`), unless the address says `sslmode=disable`; nothing between the two is offered, since
 * it would keep no one out.
 *
 * @param password `DATABASE_PASSWORD`; goes before one in the address.
 * @param ca `DATABASE_CA`: the authorities, PEM.
 * @throws {ConfigError} that does not repeat what it was given, which may hold a password.
 */
export function databaseChoice(url: string, password?: string, ca?: string): DatabaseChoice {
  if (url.startsWith("pglite:") && url.length > "pglite:".length) {
    return { kind: "pglite", directory: url.slice("pglite:".length) };
  }
  const parsed = /^postgres(ql)?:\/\//.test(url) ? URL.parse(url) : null;
  const database = parsed && decodeURIComponent(parsed.pathname.slice(1));
  if (parsed === null || !parsed.hostname || !parsed.username || !database) throw fault(WANTED);
  for (const name of parsed.searchParams.keys()) {
    if (name !== "sslmode") throw fault(`must have no parameter but sslmode, and has ${name}`);
  }
  return {
    kind: "postgres",
    target: {
      host: parsed.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: parsed.port === "" ? DEFAULT_PORT : Number(parsed.port),
      database,
      user: decodeURIComponent(parsed.username),
      password: password ?? decodeURIComponent(parsed.password),
      tls: isEncrypted(parsed, ca) ? { ca } : undefined,
    },
  };
}

function isEncrypted({ hostname, searchParams }: URL, ca: string | undefined): boolean {
  const mode = searchParams.get("sslmode") ??
    (LOOPBACK.includes(hostname) && ca === undefined ? "disable" : "verify-full");
  if (mode !== "verify-full" && mode !== "disable") {
    throw fault(
      "must have sslmode=verify-full or sslmode=disable, since nothing between them keeps anyone out",
    );
  }
  if (mode === "disable" && ca !== undefined) {
    throw fault("must not have sslmode=disable when DATABASE_CA is set");
  }
  return mode === "verify-full";
}

function fault(what: string): ConfigError {
  return new ConfigError(`Cannot start: DATABASE_URL: ${what}`);
}
