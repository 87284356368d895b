/**
 * A simulated gateway: the real app, spool, forwarder and follower of the aggregator, composed as gateway/main.ts does it, but
 * with the spool's thread in the same one: its messages take a moment, or longer while the disk is slow.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { createGateway } from "../../gateway/app.ts";
import { MAX_CLOCK_DIFFERENCE_MS } from "../../gateway/clock.ts";
import { jittered } from "../../gateway/jitter.ts";
import { ElectionStore } from "../../gateway/manifest.ts";
import { gatewayMetrics } from "../../gateway/metrics.ts";
import { Spool } from "../../gateway/spool.ts";
import { SpoolClient, type SpoolRecord } from "../../gateway/spool_client.ts";
import { SpoolHost } from "../../gateway/spool_host.ts";
import type { Receipt } from "../../shared/receipt.ts";
import { decodeRecord, encodeRecord, RECORD_OVERHEAD_BYTES } from "../../shared/record.ts";
import type { GatewayFile } from "../../shared/sync.ts";
import type { Random } from "../../simulator/random.ts";
import { RateLimiter } from "../../web/rate.ts";
import type { Network } from "./network.ts";
import type { SimLog } from "./sim_log.ts";
import { delay, type Owner, type Scheduler } from "./virtual_time.ts";

/** What can be wrong with a gateway's disk. */
export type DiskFaults = {
  /** Probability that a commit fails with nothing written, and that it is written and fails nevertheless. */
  fails: number;
  ambiguous: number;
  /** Probability that the process dies at a commit, before or after it is on the disk. */
  crashes: number;
  /** How long a commit takes. */
  slowMs: number;
  freeBytes: number;
};

const SPOOL_MAX_BYTES = 400_000;
const DEVICE_MAX_BYTES = 300_000;
const SYNC_EVERY_MS = 4_000;
const DRAIN_MS = 3_000;
/** How long a message between the gateway's threads takes, in milliseconds. */
const MESSAGE_MS = 0.05;

export type GatewayOptions = Readonly<{
  file: GatewayFile;
  directory: string;
  scheduler: Scheduler;
  network: Network;
  log: SimLog;
  chance: Random;
  trace(line: string): void;
}>;

/** One gateway, through its restarts. */
export class SimGateway {
  readonly disk: DiskFaults = { fails: 0, ambiguous: 0, crashes: 0, slowMs: 0, freeBytes: 1e12 };
  clockAheadMs = 0;
  /** Whether its disk was replaced by an older copy. */
  hasLostRecords = false;
  owner: Owner | undefined;
  /** Whether it says that it took each vote long before the election. */
  #lies = false;
  hasLied = false;
  /** Told that it acknowledged votes although it knows that its clock is wrong, and by how much, in milliseconds. */
  onWrongClock: (differenceMs: number) => void = () => {};
  /** Told when more votes were acknowledged than its disk ever had records. */
  onUndurable: (acknowledged: number, durable: number) => void = () => {};
  readonly #options: GatewayOptions;
  readonly #acknowledged = new Set<string>();
  /** Records that were ever committed, by the numbers of its sender keys. */
  #durable = 0;
  #spool: Spool | undefined;
  #client: SpoolClient | undefined;
  #stop = new AbortController();
  #runs = 0;
  #copies = 0;
  #diskFreeAtMs = 0;
  /** The process has ended in the middle of a commit, and its file is still open. */
  #isDying = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    Deno.mkdirSync(options.directory, { recursive: true });
  }

  get name(): string {
    return this.#options.file.gateway;
  }

  set lies(lies: boolean) {
    this.#lies = lies;
    this.hasLied ||= lies;
  }

  /** Sets how far its clock is ahead, from now on. */
  setClock(aheadMs: number): void {
    this.clockAheadMs = aheadMs;
    if (this.owner !== undefined) this.owner.clockAheadMs = aheadMs;
  }

  get isUp(): boolean {
    return this.owner?.alive === true;
  }

  /** Records that are in the spool of a gateway that runs. */
  get spooled(): number {
    return this.isUp ? this.#spool!.state.records : 0;
  }

  get statementsDue(): number {
    return this.isUp ? this.#client!.statementsDue : 0;
  }

  start(): void {
    if (this.isUp || this.#isDying) return;
    const { scheduler, network, trace } = this.#options;
    const owner = this.owner = scheduler.owner(this.name, ++this.#runs, this.clockAheadMs);
    this.#stop = new AbortController();
    this.#diskFreeAtMs = 0;
    trace(`${this.name} starts`);
    scheduler.as(owner, () => this.#compose(owner, network.fetcher()));
  }

  /** Ends the process at once. What the file holds, write-ahead log and all, is what the next start finds. */
  crash(): void {
    const { owner } = this;
    if (owner?.alive !== true) return;
    owner.alive = false;
    this.#options.trace(`${this.name} crashes`);
    const files = readFiles(this.#path);
    this.#spool!.close();
    writeFiles(this.#path, files);
  }

  /** Copies the disk, for {@link restore}. */
  copy(): void {
    writeFiles(`${this.#path}.copy`, readFiles(this.#path));
    this.#copies++;
  }

  /** Replaces the disk by its older copy. Its process must have ended. */
  restore(): void {
    if (this.isUp || this.#copies === 0) return;
    this.#options.trace(`${this.name} has an old copy of its disk`);
    writeFiles(this.#path, readFiles(`${this.#path}.copy`));
    this.hasLostRecords = true;
  }

  /** Stops as at SIGTERM, and starts again. */
  restart(): void {
    const { owner } = this;
    if (owner?.alive !== true) return;
    this.#options.trace(`${this.name} drains`);
    this.#stop.abort();
    this.#options.scheduler.as(owner, () => {
      void this.#client!.drain(DRAIN_MS).then(() => {
        owner.alive = false;
        this.#options.scheduler.after(200, () => this.start(), null);
      });
    });
  }

  #compose(owner: Owner, fetcher: typeof fetch): void {
    const { file, directory, scheduler, network, log, chance } = this.#options;
    const spool = this.#spool = new Spool({
      path: this.#path,
      maxBytes: SPOOL_MAX_BYTES,
      deviceMaxBytes: DEVICE_MAX_BYTES,
      now: Date.now,
      freeBytes: () => this.disk.freeBytes,
      commit: (db) => this.#commit(db),
    });
    const news = { wake: () => {} };
    const client: SpoolClient = this.#client = new SpoolClient(
      (request) =>
        void scheduler.after(this.#messageMs(request.kind === "append"), () => host.handle(request)),
      { onSenderKeys: () => news.wake() },
    );
    const append = client.append.bind(client);
    client.append = (election, device, records) =>
      append(election, device, this.#lies ? records.map(lieAbout) : records);
    const host: SpoolHost = new SpoolHost({
      spool,
      openLog: () => Promise.resolve(log.open()),
      send: (reply) => void scheduler.after(MESSAGE_MS, () => client.handle(reply)),
      random: () => owner.random.next(),
    });
    void host.run();
    const store = new ElectionStore(file, directory, fetcher, client);
    store.loadKept();
    const app = createGateway({
      gateway: this.name,
      elections: (id) => store.get(id) ?? (store.expects(id) ? "awaited" : undefined),
      electionIds: () => store.ids(),
      awaitedIds: () => store.awaitedIds(),
      spool: client,
      spoolMaxBytes: SPOOL_MAX_BYTES,
      metrics: gatewayMetrics({ spool: () => spool.state }),
      deviceRate: new RateLimiter(1_000),
      stationRate: new RateLimiter(1_000),
      addressRate: new RateLimiter(1_000),
      logFault: () => undefined,
      clockFault: () => store.clock.fault,
      now: Date.now,
      draining: () => this.#stop.signal.aborted,
      onError: (error) => {
        throw error;
      },
    });
    network.hosts.set(this.name, {
      owner,
      handle: async (request) => {
        // What it was told of its clock may be old: only a clock that is wrong still is.
        const differenceMs = Math.abs(store.clock.differenceMs ?? 0);
        const knows = Math.min(differenceMs, Math.abs(owner.clockAheadMs)) > MAX_CLOCK_DIFFERENCE_MS;
        const response = await app.fetch(request, { address: "10.0.0.1" });
        if (owner.alive && (response.status === 202 || response.status === 207)) {
          const receipts = await this.#noteReceipts(response.clone());
          if (knows && receipts > 0) this.onWrongClock(differenceMs);
        }
        return response;
      },
    });
    void this.#follow(store, news, chance);
  }

  /** A receipt promises that the vote is on the disk. Returns how many there are. */
  async #noteReceipts(response: Response): Promise<number> {
    const { receipt, results = [] } = await response.json() as {
      receipt?: Receipt;
      results?: readonly { receipt?: Receipt }[];
    };
    const receipts = [receipt, ...results.map((result) => result.receipt)].filter((each) =>
      each !== undefined
    );
    for (const { voteId } of receipts) this.#acknowledged.add(voteId);
    const acknowledged = this.#acknowledged.size;
    // An older copy of the disk knows of fewer.
    if (!this.hasLostRecords && acknowledged > this.#durable) this.onUndurable(acknowledged, this.#durable);
    return receipts.length;
  }

  /** Syncs as gateway/main.ts does. */
  async #follow(store: ElectionStore, news: { wake(): void }, chance: Random): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await store.sync(Date.now(), signal);
      if (signal.aborted) return;
      const woken = new Promise<void>((resolve) => news.wake = resolve);
      await Promise.race([woken, delay(jittered(SYNC_EVERY_MS, () => chance.next()))]);
    }
  }

  /** Messages stay in order: what is behind a slow commit waits for it. */
  #messageMs(isWrite: boolean): number {
    const { nowMs } = this.#options.scheduler;
    const fromMs = Math.max(nowMs, this.#diskFreeAtMs);
    this.#diskFreeAtMs = fromMs + MESSAGE_MS + (isWrite ? this.disk.slowMs : 0);
    return this.#diskFreeAtMs - nowMs;
  }

  #commit(db: DatabaseSync): void {
    const { chance, scheduler } = this.#options;
    const { fails, ambiguous, crashes } = this.disk;
    const fate = chance.next();
    if (fate < fails) throw new Error("disk I/O error");
    const dies = chance.next() < crashes;
    const isWritten = !dies || chance.next() < 0.5;
    if (isWritten) {
      db.exec("COMMIT");
      const { taken } = db.prepare("SELECT coalesce(sum(sequence), 0) AS taken FROM sender_keys").get() as {
        taken: number;
      };
      this.#durable = taken;
    }
    if (dies) {
      this.owner!.alive = false;
      this.#isDying = true;
      scheduler.after(0, () => {
        this.#isDying = false;
        this.owner!.alive = true;
        this.crash();
      }, null);
      throw new Error("the process has ended");
    }
    if (fate > 1 - ambiguous) throw new Error("disk I/O error");
  }

  get #path(): string {
    return `${this.#options.directory}/spool.sqlite`;
  }
}

/** The record with a time at which nobody could vote, so that the genuine vote is rejected. */
function lieAbout({ partition, plaintext }: SpoolRecord): SpoolRecord {
  const content = { ...decodeRecord(plaintext)!, acceptedAtMs: 0 };
  return { partition, plaintext: encodeRecord(content, plaintext.length - RECORD_OVERHEAD_BYTES) };
}

type Files = Readonly<Record<string, Uint8Array | undefined>>;

function readFiles(path: string): Files {
  const read = (name: string) => {
    try {
      return Deno.readFileSync(name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  };
  return { "": read(path), "-wal": read(`${path}-wal`) };
}

function writeFiles(path: string, files: Files): void {
  for (const [ending, bytes] of Object.entries(files)) {
    if (bytes !== undefined) Deno.writeFileSync(path + ending, bytes);
    else {
      try {
        Deno.removeSync(path + ending);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }
}
