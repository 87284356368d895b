/**
 * The database as simulated programs reach it: the real SQL in one embedded PostgreSQL, behind connections that break. All
 * statements of a transaction run at one moment of virtual time, because the embedded database has one session.
 *
 * @module
 */
import type { Database, Isolation, Parameter, Query } from "../../aggregator/database/database.ts";
import type { Random } from "../../simulator/random.ts";
import type { Network } from "./network.ts";
import { currentOwner, type Owner, type Scheduler, tracked } from "./virtual_time.ts";

/** Probabilities of one transaction or statement: the connection breaks before it, inside it, or before its answer. */
export type DatabaseFaults = { before: number; inside: number; after: number };

/** A broken connection, as the driver reports it. */
class ConnectionBroken extends Error {
  readonly code = "ECONNRESET";
}

/** Statements that change nothing that others read. */
const IS_READ = /^\s*(?:SELECT|WITH RECURSIVE)\b/;
const IS_OF_TIME = /now\(\)|clock_timestamp|pg_try_advisory|nextval/i;
const IS_OF_LEASES = /counting\.(?:leases|log_ends)\b/;
/** How often a connection tries again to get through, in milliseconds. */
const RETRANSMIT_MS = 200;
/** Answers that are kept until something is written. */
const MAX_KEPT = 500;

/** The server. */
export class SimServer {
  readonly faults: DatabaseFaults = { before: 0, inside: 0, after: 0 };
  readonly #kept = new Map<string, Promise<unknown[]>>();
  /** Called when a transaction has committed. */
  onCommit: () => Promise<void> = () => Promise.resolve();

  constructor(
    readonly db: Database,
    readonly owner: Owner,
    readonly scheduler: Scheduler,
    readonly network: Network,
    readonly chance: Random,
  ) {}

  /** A read that was asked before, and nothing was written since, has the same answer. */
  query(sql: string, params?: readonly Parameter[]): Promise<unknown[]> {
    if (!IS_READ.test(sql) || IS_OF_TIME.test(sql)) {
      if (!IS_OF_LEASES.test(sql)) this.#kept.clear();
      return this.#run(() => this.db.query(sql, params));
    }
    const key = `${sql}\n${JSON.stringify(params ?? [])}`;
    let answer = this.#kept.get(key);
    if (answer === undefined) {
      if (this.#kept.size > MAX_KEPT) this.#kept.clear();
      this.#kept.set(key, answer = this.#run(() => this.db.query(sql, params)));
      answer.catch(() => this.#kept.delete(key));
    }
    return answer;
  }

  async transaction<T>(work: (query: Query) => Promise<T>, isolation?: Isolation): Promise<T> {
    this.#kept.clear();
    const caller = currentOwner();
    try {
      return await this.#run(() =>
        this.db.transaction(
          (query) =>
            this.scheduler.as(caller, () =>
              work((sql, params) => this.scheduler.as(this.owner, () => query(sql, params)))),
          isolation,
        )
      );
    } finally {
      this.#kept.clear();
    }
  }

  /** Reads the tables beside all connections. */
  async audit<T>(work: () => Promise<T>): Promise<T> {
    return await this.#run(work);
  }

  #run<T>(work: () => Promise<T>): Promise<T> {
    return tracked(this.scheduler.as(this.owner, work));
  }
}

/** A program's connections to the server. */
export class SimDatabase implements Database {
  readonly #server: SimServer;
  readonly #owner: Owner;
  #cut = Promise.withResolvers<never>();

  constructor(server: SimServer, owner: Owner) {
    this.#server = server;
    this.#owner = owner;
    this.#cut.promise.catch(() => {});
  }

  query: Query = async (sql, params) => await this.#through(() => this.#server.query(sql, params)) as never[];

  async transaction<T>(work: (query: Query) => Promise<T>, isolation?: Isolation): Promise<T> {
    const { faults, chance } = this.#server;
    // Which statement the connection breaks at, if it does.
    let left = faults.inside > 0 && chance.next() < faults.inside ? 1 + chance.below(4) : Infinity;
    const result = await this.#through(() =>
      this.#server.transaction(async (query) => {
        const checked: Query = async (sql, params) => {
          if (!this.#owner.alive || --left <= 0) throw broken();
          return await query(sql, params);
        };
        return await work(checked);
      }, isolation), () => this.#server.onCommit());
    return result;
  }

  cut(): void {
    this.#cut.reject(broken());
    this.#cut = Promise.withResolvers<never>();
    this.#cut.promise.catch(() => {});
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #through<T>(work: () => Promise<T>, done?: () => Promise<void>): Promise<T> {
    const { promise } = this.#cut;
    return await Promise.race([this.#ask(work, done), promise]);
  }

  async #ask<T>(work: () => Promise<T>, done?: () => Promise<void>): Promise<T> {
    const { faults, chance } = this.#server;
    await this.#reach();
    const fate = chance.next();
    if (fate < faults.before) throw broken();
    const result = await work();
    await done?.();
    if (fate > 1 - faults.after) throw broken();
    await this.#reach();
    return result;
  }

  /** One way. A program that has crashed waits forever; one whose link is cut, until it is mended. */
  async #reach(): Promise<void> {
    const { scheduler, network } = this.#server;
    if (!this.#owner.alive) await new Promise<never>(() => {});
    await scheduler.sleep(network.latencyMs() / 4);
    while (network.isCut(this.#owner.name, "database")) await scheduler.sleep(RETRANSMIT_MS);
  }
}

function broken(): Error {
  return new ConnectionBroken("the connection to the database broke");
}
