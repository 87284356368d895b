/**
 * Which database the settings name, and how it is reached.
 *
 * @module
 */
import { ConfigError } from "../../shared/config.ts";

/** Where a server listens. */
export type ServerAddress = Readonly<{ host: string; port: number }>;

/** A PostgreSQL server's database, and who connects to it. */
export type PostgresTarget = Readonly<{
  host: string;
  port: number;
  /** Servers of the same cluster, besides: whichever is the primary is used. */
  others?: readonly ServerAddress[];
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
  const { database } = choice.target;
  return `${database} at ${serversOf(choice.target).map(({ host, port }) => `${host}:${port}`).join(", ")}`;
}

/** All servers of a target, in the order in which they were named. */
export function serversOf({ host, port, others = [] }: PostgresTarget): ServerAddress[] {
  return [{ host, port }, ...others];
}

const WANTED =
  "must be pglite:<directory> or postgres://<user>@<host>:<port>/<database>, with commas between several hosts";
/** Maximum servers of a cluster. */
const MAX_SERVERS = 8;
const DEFAULT_PORT = 5_432;
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Reads `DATABASE_URL`. With a server on another machine the connection is encrypted and the server's certificate is
 * checked (`sslmode=verify-full`), unless the address says `sslmode=disable`; nothing between the two is offered, since
 * it would keep no one out. Several hosts are one cluster, of which the primary is used: `target_session_attrs=read-write`,
 * as libpq calls it, may say so, and is the only choice.
 *
 * @param password `DATABASE_PASSWORD`; goes before one in the address.
 * @param ca `DATABASE_CA`: the authorities, PEM.
 * @throws {ConfigError} that does not repeat what it was given, which may hold a password.
 */
export function databaseChoice(url: string, password?: string, ca?: string): DatabaseChoice {
  if (url.startsWith("pglite:") && url.length > "pglite:".length) {
    return { kind: "pglite", directory: url.slice("pglite:".length) };
  }
  // A URL has one host: the others are read by themselves.
  const [, scheme, who, hosts = "", rest] = /^(postgres(?:ql)?:\/\/)([^/?#]*@)([^/?#@]+)(.*)$/.exec(url) ??
    [];
  const all = hosts.split(",").map((host) => URL.parse(`${scheme}${who}${host}${rest}`));
  const parsed = all[0] ?? null;
  const database = parsed && decodeURIComponent(parsed.pathname.slice(1));
  if (parsed === null || !parsed.username || !database) throw fault(WANTED);
  const first = addressOf(parsed);
  const others = all.slice(1).map(addressOf);
  if (all.length > MAX_SERVERS) throw fault(`must have at most ${MAX_SERVERS} hosts, and has ${all.length}`);
  checkParameters(parsed);
  return {
    kind: "postgres",
    target: {
      ...first,
      ...others.length > 0 && { others },
      database,
      user: decodeURIComponent(parsed.username),
      password: password ?? decodeURIComponent(parsed.password),
      tls: isEncrypted(parsed.searchParams, all.map((each) => each!.hostname), ca) ? { ca } : undefined,
    },
  };
}

function addressOf(parsed: URL | null): ServerAddress {
  if (!parsed?.hostname) throw fault(WANTED);
  return {
    host: parsed.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: parsed.port === "" ? DEFAULT_PORT : Number(parsed.port),
  };
}

function checkParameters({ searchParams }: URL): void {
  for (const [name, value] of searchParams) {
    if (name === "target_session_attrs") {
      if (value !== "read-write") throw fault("must have target_session_attrs=read-write, or leave it out");
    } else if (name !== "sslmode") {
      throw fault(`must have no parameter but sslmode and target_session_attrs, and has ${name}`);
    }
  }
}

function isEncrypted(
  searchParams: URLSearchParams,
  hostnames: readonly string[],
  ca: string | undefined,
): boolean {
  const isLocal = hostnames.every((hostname) => LOOPBACK.includes(hostname));
  const mode = searchParams.get("sslmode") ?? (isLocal && ca === undefined ? "disable" : "verify-full");
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
