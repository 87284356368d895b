/**
 * A simulated aggregator: the real counting, publishing, sync and receipts of one election, composed as the roles do it.
 *
 * @module
 */
import { Registry } from "prom-client";
import type { OutcomeDelta } from "../../aggregator/counting/count_records.ts";
import { ElectionCount } from "../../aggregator/counting/election_count.ts";
import { openHistory } from "../../aggregator/counting/history.ts";
import { type Databases, oneForAll } from "../../aggregator/database/database.ts";
import { DatabaseWatch } from "../../aggregator/database/watch.ts";
import { ElectionRunner } from "../../aggregator/election_runner.ts";
import { Publisher } from "../../aggregator/publisher.ts";
import { Elections } from "../../aggregator/registry/election_names.ts";
import { gatewaySync } from "../../aggregator/registry/gateway_sync.ts";
import { receiptKeysFromMaster, syncKeysFromMaster } from "../../aggregator/registry/role_keys.ts";
import { BALLOT_BOX_GATE } from "../../aggregator/results/final_gate.ts";
import { createReceiptsApp } from "../../aggregator/roles/receipts.ts";
import { problem, problemResponse } from "../../shared/problem.ts";
import { SYNC_PATH } from "../../shared/sync.ts";
import { MASTER } from "../fixture.ts";
import type { Network } from "./network.ts";
import { SimDatabase, type SimServer } from "./sim_database.ts";
import type { SimLog } from "./sim_log.ts";
import { delay, type Owner, type Scheduler } from "./virtual_time.ts";

export type AggregatorOptions = Readonly<{
  name: string;
  election: string;
  scheduler: Scheduler;
  network: Network;
  server: SimServer;
  log: SimLog;
  /** Whether it publishes: the model of the database cannot. */
  publishes: boolean;
  trace(line: string): void;
}>;

/** How long a process may take to stop before it is killed, in milliseconds. */
const KILL_AFTER_MS = 5_000;
/** How long until an aggregator that could not start tries again, in milliseconds. */
const OPEN_AGAIN_MS = 1_000;

/** One aggregator, through its restarts. */
export class SimAggregator {
  clockAheadMs = 0;
  owner: Owner | undefined;
  readonly #options: AggregatorOptions;
  #stop = new AbortController();
  #runner: ElectionRunner | ElectionCount | undefined;
  #runs = 0;

  constructor(options: AggregatorOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get isUp(): boolean {
    return this.owner?.alive === true;
  }

  /** Why counting has stopped for good, if it has. */
  get stopped(): string | undefined {
    return this.#runner?.stopped;
  }

  start(): void {
    if (this.isUp) return;
    const { name, scheduler, trace } = this.#options;
    const owner = this.owner = scheduler.owner(name, ++this.#runs, this.clockAheadMs);
    this.#stop = new AbortController();
    this.#runner = undefined;
    trace(`${name} starts`);
    scheduler.as(owner, () => void this.#run(owner));
  }

  crash(): void {
    if (this.owner?.alive !== true) return;
    this.owner.alive = false;
    this.#options.trace(`${this.name} crashes`);
  }

  /** Stops as at SIGTERM: what is under way may end. */
  stop(): void {
    if (this.owner?.alive !== true) return;
    this.#options.trace(`${this.name} stops`);
    this.#stop.abort();
    // As an administrator does with a process that does not end.
    const owner = this.owner;
    this.#options.scheduler.after(KILL_AFTER_MS, () => {
      if (owner === this.owner) this.crash();
    }, null);
  }

  async #run(owner: Owner): Promise<void> {
    const { election, server, log, network, publishes, trace } = this.#options;
    const { signal } = this.#stop;
    const databases: Databases = {
      ...oneForAll(new SimDatabase(server, owner)),
      counting: new SimDatabase(server, owner),
      publishing: new SimDatabase(server, owner),
      watching: new SimDatabase(server, owner),
    };
    const watch = new DatabaseWatch({ databases, signal });
    this.#serve(owner, databases);
    const publisher = new Publisher({ db: databases.publishing, signal });
    const running = [watch.run(), ...publishes ? [publisher.run()] : []];
    while (!signal.aborted && this.#runner === undefined) {
      try {
        const history = (await openHistory(databases.reading.query, election, MASTER))!;
        const options = {
          databases,
          databaseState: watch,
          log: log.open(),
          history,
          gate: BALLOT_BOX_GATE,
          now: Date.now,
          signal,
          onCounted: (outcomes: readonly OutcomeDelta[]) =>
            trace(
              `${owner.name} counted ${
                outcomes.map(({ fate, reason, records }) => `${fate}/${reason}×${records}`)
              }`,
            ),
          onReleased: (releases: number) => trace(`${owner.name} released ${releases}`),
          onFault: (what: string, error: unknown) =>
            trace(`${owner.name}: ${what}: ${(error as Error).message}`),
        };
        this.#runner = publishes ? new ElectionRunner(options) : new ElectionCount(options);
      } catch {
        await delay(OPEN_AGAIN_MS, undefined, { signal }).catch(() => {});
      }
    }
    if (this.#runner !== undefined) {
      if (this.#runner instanceof ElectionRunner) publisher.add(this.#runner);
      running.push(this.#runner.run());
    }
    await Promise.all(running);
    owner.alive = false;
    network.hosts.delete(owner.name);
    trace(`${owner.name} has stopped`);
  }

  #serve(owner: Owner, databases: Databases): void {
    const { election, network } = this.#options;
    const syncKeys = syncKeysFromMaster(MASTER, election);
    const receiptKeys = receiptKeysFromMaster(MASTER, election);
    const sync = gatewaySync({
      reading: databases.reading,
      writing: databases.publishing,
      elections: new Elections(),
      keysOf: () => syncKeys,
      now: Date.now,
    });
    const receipts = createReceiptsApp({
      db: databases.reading,
      now: Date.now,
      keysOf: () => receiptKeys,
      metrics: new Registry(),
    });
    receipts.onError(() => problemResponse(problem("not-ready", "the database is away; ask again")));
    network.hosts.set(owner.name, {
      owner,
      handle: async (request) =>
        new URL(request.url).pathname === SYNC_PATH ? await sync(request) : await receipts.fetch(request),
    });
  }
}
