/**
 * A PostgreSQL server's database: a small, bounded pool of connections, of which each does one thing at a time.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Database, DatabaseUnavailable, type Isolation, isPassing, type Query } from "./database.ts";
import type { PostgresTarget } from "./database_url.ts";
import { Primary } from "./postgres_primary.ts";
import type { Session, SessionSettings } from "./postgres_session.ts";
import { ConnectFault } from "./postgres_socket.ts";

/** Queries and transactions that may wait for a connection. */
const MAX_WAITING = 1_000;
/** How long each may wait, in milliseconds. */
const MAX_WAIT_MS = 30_000;
/** How long a server that is away is waited for at the start, and how often it is tried, in milliseconds. */
const START_WITHIN_MS = 30_000;
const START_EVERY_MS = 500;

/** How a pool connects. */
export type PostgresOptions =
  & SessionSettings
  & Readonly<{
    /** Maximum connections. */
    connections: number;
  }>;

/** Whether an error is the one of porsager/postgres#1154, which postgres.js 3.4.9 throws where nobody can catch it. */
export function isIssue1154(error: unknown): boolean {
  return error instanceof TypeError && /\bnextWrite\b[^\n]*\bpostgres\b/.test(error.stack ?? "");
}

/** No connection was free for too long, or too many wait for one. */
export class PoolExhausted extends DatabaseUnavailable {
  override name = "PoolExhausted";
}

/**
 * Opens a database. A server that is about to start is waited for.
 *
 * @throws {ConnectFault} saying what is wrong and what would be right.
 */
export async function openPostgres(target: PostgresTarget, options: PostgresOptions): Promise<Database> {
  const pool = new Pool(new Primary(target, options), options.connections);
  const db: Database = {
    query: (sql, params) => pool.use(({ query }) => query(sql, params)),
    transaction: <T>(work: (query: Query) => Promise<T>, isolation?: Isolation) =>
      pool.use((session) => session.transaction(work, isolation)),
    cut: (options) => pool.cut(options?.forGood ?? false),
    close: () => pool.close(),
  };
  for (const untilMs = Date.now() + START_WITHIN_MS;;) {
    try {
      await db.query("SELECT 1");
      return db;
    } catch (error) {
      const lasting = error instanceof ConnectFault ? error.isLasting : !isPassing(error);
      if (lasting || Date.now() >= untilMs) {
        await db.close();
        throw error;
      }
      await delay(START_EVERY_MS);
    }
  }
}

type Waiting = { give(session: Session): void; fail(error: Error): void };

/** Sessions, handed out one at a time each; one that broke is not used again, and makes room for a new one. */
class Pool {
  readonly #primary: Primary;
  readonly #idle: Session[] = [];
  /** Sessions that are handed out. */
  readonly #busy = new Set<Session>();
  readonly #waiting: Waiting[] = [];
  /** Sessions that may still be made. */
  #room: number;
  readonly #size: number;
  #isClosed = false;
  #isCut = false;
  readonly #drained = Promise.withResolvers<void>();

  constructor(primary: Primary, size: number) {
    this.#primary = primary;
    this.#room = this.#size = size;
  }

  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.#take();
    this.#busy.add(session);
    try {
      return await work(session);
    } finally {
      this.#busy.delete(session);
      this.#giveBack(session);
    }
  }

  cut(forGood: boolean): void {
    for (const session of [...this.#busy, ...this.#idle]) session.destroy();
    this.#primary.cut();
    if (!forGood) return;
    this.#isCut = true;
    for (const { fail } of this.#waiting.splice(0)) fail(closed());
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      for (const { fail } of this.#waiting.splice(0)) fail(closed());
      await Promise.all(this.#idle.splice(0).map((session) => this.#retire(session)));
      if (this.#room === this.#size) this.#drained.resolve();
    }
    await this.#drained.promise;
  }

  async #take(): Promise<Session> {
    if (this.#isClosed || this.#isCut) throw closed();
    // The one that was used last knows the most statements.
    for (let session; (session = this.#idle.pop()) !== undefined;) {
      if (!session.isBroken) return session;
      this.#primary.forget();
      this.#room++;
    }
    if (this.#room > 0) {
      this.#room--;
      return await this.#make();
    }
    return await this.#wait();
  }

  /** Makes a session in room that was taken for it. */
  async #make(): Promise<Session> {
    try {
      const session = await this.#primary.connect();
      if (!this.#isCut) return session;
      session.destroy();
      throw closed();
    } catch (error) {
      this.#free();
      throw error;
    }
  }

  /** Gives back the room of a session that is gone: to who has waited longest for one. */
  #free(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) return void this.#make().then(next.give, next.fail);
    this.#room++;
    if (this.#isClosed && this.#room === this.#size) this.#drained.resolve();
  }

  async #wait(): Promise<Session> {
    if (this.#waiting.length >= MAX_WAITING) {
      throw new PoolExhausted(
        `Cannot query: ${MAX_WAITING} wait for a connection, and no more may; try again later`,
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<Session>();
    const waiting: Waiting = { give: resolve, fail: reject };
    this.#waiting.push(waiting);
    const timer = setTimeout(() => {
      const at = this.#waiting.indexOf(waiting);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      reject(
        new PoolExhausted(`Cannot query: no connection was free within ${MAX_WAIT_MS} ms; try again later`),
      );
    }, MAX_WAIT_MS);
    return await promise.finally(() => clearTimeout(timer));
  }

  #giveBack(session: Session): void {
    if (this.#isClosed) {
      this.#retire(session).then(() => {
        if (this.#room === this.#size) this.#drained.resolve();
      });
      return;
    }
    if (session.isBroken) {
      this.#primary.forget();
      return this.#free();
    }
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(session);
    else next.give(session);
  }

  async #retire(session: Session): Promise<void> {
    if (!session.isBroken) await session.close();
    this.#room++;
  }
}

function closed(): Error {
  return new Error("Cannot query: the database is closed");
}
