/**
 * One connection to a PostgreSQL server: one client of postgres.js that connects once, and is discarded after any
 * fault of the connection. It must not reconnect by itself: a statement of a transaction must never run on
 * another connection than the ones before it, and after porsager/postgres#1154 its pool no longer works.
 *
 * @module
 */
import type { Socket } from "node:net";
import postgres from "postgres";
import type { Isolation, Parameter, Query } from "./database.ts";
import type { PostgresTarget } from "./database_url.ts";
import { ConnectFault, connectSocket } from "./postgres_socket.ts";

/** How long logging in may take, in seconds. */
const LOGIN_S = 10;
/** How long a connection may take to close, in seconds. */
const GOODBYE_S = 1;
/** How much longer than the server's own limit a statement may take before the connection is considered dead, in milliseconds. */
const DEAD_AFTER_MS = 5_000;

/** Limits that the server enforces for a connection, in milliseconds, and its name there. */
export type SessionSettings = Readonly<{
  /** The name that `pg_stat_activity` shows. */
  applicationName: string;
  /** How long one statement may take. */
  statementTimeoutMs: number;
  /** How long a statement may wait for a lock. */
  lockTimeoutMs: number;
  /** How long a transaction may wait for its next statement. */
  idleInTransactionTimeoutMs: number;
  /** Whether transactions may only read. */
  readOnly?: boolean;
}>;

/**
 * Values come as from the embedded database, and text parameters are sent unchanged. The driver alone would serialize
 * JSON text a second time, and parse every time as a Date.
 */
const TYPES = {
  json: { to: 114, from: [114, 3802], serialize: String, parse: (text: string) => JSON.parse(text) },
  date: { to: 1184, from: [1082, 1114, 1184], serialize: String, parse: (text: string) => new Date(text) },
  boolean: { to: 16, from: [16], serialize: String, parse: (text: string) => text === "t" },
  bytes: {
    to: 17,
    from: [17],
    serialize: String,
    parse: (text: string) => Uint8Array.fromHex(text.slice(2)),
  },
  bigint: { to: 20, from: [20], serialize: String, parse: wholeNumber },
};

function wholeNumber(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** One connection. The pool makes sure that it does one thing at a time. */
export class Session {
  readonly #target: PostgresTarget;
  readonly #deadMs: number;
  readonly #connectMs: number | undefined;
  readonly #sql: ReturnType<typeof postgres>;
  readonly #destroyed = new AbortController();
  #socket?: Socket;
  #isBroken = false;

  /**
   * Connects when it is first asked for something.
   *
   * @param connectMs How long the server may take to answer to TCP and to TLS; as long as usual when left out.
   */
  constructor(target: PostgresTarget, settings: SessionSettings, connectMs?: number) {
    this.#target = target;
    this.#connectMs = connectMs;
    this.#deadMs = settings.statementTimeoutMs + DEAD_AFTER_MS;
    const options = {
      // Documented, and not in the driver's types.
      socket: () => this.#connectOnce(),
      host: target.host,
      port: target.port,
      database: target.database,
      username: target.user,
      password: target.password,
      ssl: false, // The socket does TLS itself.
      max: 1,
      max_lifetime: null,
      connect_timeout: LOGIN_S,
      fetch_types: false,
      types: TYPES,
      onnotice: () => {},
      onclose: () => this.#isBroken = true,
      connection: {
        application_name: settings.applicationName,
        statement_timeout: settings.statementTimeoutMs,
        lock_timeout: settings.lockTimeoutMs,
        idle_in_transaction_session_timeout: settings.idleInTransactionTimeoutMs,
        default_transaction_read_only: settings.readOnly ?? false,
        // It takes seconds to compile the counting statement, which then runs for a tenth of one.
        jit: "off", // As text: the driver leaves out what is false.
        TimeZone: "UTC",
        DateStyle: "ISO",
      },
    };
    this.#sql = postgres(options);
  }

  /** Whether its connection is gone, or in a state that nobody knows. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Runs one statement. @throws the server's error, or a {@link ConnectFault}, or what broke the connection. */
  readonly query: Query = async (sql, params) => {
    if (this.#isBroken) throw this.#gone("the connection is closed");
    const texts = params?.map((value: Parameter) => value === null ? null : String(value));
    const running = this.#sql.unsafe(sql, texts ?? [], { prepare: true });
    try {
      return (await this.#untilDead(running)).slice() as never[];
    } catch (error) {
      throw this.#explain(error);
    }
  };

  /** Runs work in a transaction. */
  async transaction<T>(
    work: (query: Query) => Promise<T>,
    isolation: Isolation = "read committed",
  ): Promise<T> {
    await this.query(
      `BEGIN ISOLATION LEVEL ${isolation === "snapshot" ? "REPEATABLE READ" : "READ COMMITTED"}`,
    );
    let failed: { error: unknown } | undefined;
    let over = false;
    const query: Query = async (sql, params) => {
      if (over) throw new Error("Cannot query: the transaction is over; use its query inside it only");
      try {
        return await this.query(sql, params);
      } catch (error) {
        failed ??= { error };
        throw error;
      }
    };
    try {
      const result = await work(query);
      over = true;
      if (failed) throw failed.error; // COMMIT would roll back, and say nothing of it.
      await this.query("COMMIT");
      return result;
    } catch (error) {
      over = true;
      if (!this.#isBroken) await this.query("ROLLBACK").catch(() => this.destroy());
      throw error;
    }
  }

  /** Closes the connection in an orderly way. */
  async close(): Promise<void> {
    await this.#sql.end({ timeout: GOODBYE_S });
    this.destroy();
  }

  /** Closes the connection at once; the server rolls back what was under way, which rejects. */
  destroy(): void {
    this.#isBroken = true;
    this.#socket?.destroy();
    this.#destroyed.abort();
  }

  async #connectOnce(): Promise<Socket> {
    if (this.#socket !== undefined || this.#isBroken) throw this.#gone("the connection broke");
    this.#socket = await connectSocket(this.#target, this.#destroyed.signal, this.#connectMs);
    return this.#socket;
  }

  /** A server that neither answers nor closes the connection would else be waited for as long as TCP likes. */
  async #untilDead<T>(running: Promise<T>): Promise<T> {
    const dead = Promise.withResolvers<never>();
    const reject = (why: string) => dead.reject(this.#gone(why));
    const timer = setTimeout(() => {
      reject(`no answer in ${this.#deadMs} ms`);
      this.destroy();
    }, this.#deadMs);
    const cut = () => reject("the connection was cut");
    this.#destroyed.signal.addEventListener("abort", cut, { once: true });
    try {
      return await Promise.race([running, dead.promise]);
    } finally {
      clearTimeout(timer);
      this.#destroyed.signal.removeEventListener("abort", cut);
    }
  }

  /** What is not an answer of the server's leaves the connection in a state that nobody knows. */
  #explain(error: unknown): unknown {
    if (error instanceof ConnectFault) {
      this.destroy();
      return error;
    }
    const { code = "", message, severity } = error as { code?: string; message: string; severity?: string };
    if (isPooled(code, message)) {
      this.destroy();
      return new ConnectFault(this.#target, SESSION_MODE, true, code, error);
    }
    if (!(error instanceof postgres.PostgresError)) {
      this.destroy();
      return this.#gone(message, error);
    }
    if (severity !== "FATAL") return error;
    this.destroy();
    const why = refusals(this.#target)[code];
    return why === undefined ? error : new ConnectFault(this.#target, why, true, code, error);
  }

  #gone(why: string, reason?: unknown): ConnectFault {
    return new ConnectFault(this.#target, why, false, undefined, reason);
  }
}

/** What to do about a pooler that gives each transaction another connection. */
const SESSION_MODE =
  "this is PgBouncer or another pooler, and not in session mode, which is needed: settings, prepared " +
  "statements and locks belong to one connection. Connect to PostgreSQL itself, or set pool_mode = session, and have " +
  "ignore_startup_parameters name statement_timeout, lock_timeout, idle_in_transaction_session_timeout and " +
  "default_transaction_read_only";

/** PgBouncer refuses our settings at the start, or another connection of the server does not know a statement. */
function isPooled(code: string, message: string): boolean {
  return (code === "08P01" && /unsupported startup parameter/i.test(message)) ||
    (code === "26000" && /prepared statement .* does not exist/i.test(message)) ||
    (code === "42P05" && /prepared statement .* already exists/i.test(message));
}

/** What to do about a server that does not let us in, by SQLSTATE. */
function refusals({ user, database }: PostgresTarget): Record<string, string> {
  return {
    "28P01":
      `the password is wrong, or there is no such user; set DATABASE_PASSWORD or DATABASE_PASSWORD_FILE to ${user}'s`,
    "28000":
      `the server lets ${user} not in from here; make it a user that may log in, and give it a line in pg_hba.conf`,
    "3D000": `there is no database ${database}; create it, or correct DATABASE_URL`,
    "42501": `${user} may not connect to database ${database}; grant CONNECT on it`,
  };
}
