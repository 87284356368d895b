/**
 * The thread that owns the spool: makes chunks durable as they come and forwards them in between. It speaks in
 * messages, so that it can stand in a worker (as it does: an fsync must not hold the requests up) or beside its
 * client, where tests and the benchmark want it.
 *
 * @module
 */
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import type { LogLevel } from "../cli/log.ts";
import type { LogAddress } from "../shared/log/address.ts";
import type { VoteLog } from "../shared/log/vote_log.ts";
import { Forwarder, MAX_APPEND_RECORDS } from "./forward.ts";
import type { ElectionKeys, SenderElection } from "./sender_keys.ts";
import { Spool, SpoolFull, type SpoolOptions, type SpoolRun, type SpoolState } from "./spool.ts";

/** Longest that the forwarder sleeps without looking again, in milliseconds. */
const MAX_SLEEP_MS = 1_000;

/**
 * How long one append to the log begins after another at the least, unless there are enough records for a full one, in
 * milliseconds: each costs the broker as much as some hundred votes. What comes after a rest goes at once.
 */
const LINGER_MS = 25;

/** What the spool's thread is told. */
export type SpoolRequest =
  /** An election whose records may come, or what is new of one. */
  | Readonly<{ kind: "election"; election: SenderElection }>
  | Readonly<{ kind: "append"; id: number; runs: readonly SpoolRun[] }>
  /** The aggregator has the statements of these sender keys, in hex. */
  | Readonly<{ kind: "told"; election: string; senderKeys: readonly string[] }>
  /** Forward what there is for so long at the most, in milliseconds, and close. */
  | Readonly<{ kind: "drain"; forMs: number }>;

/** What it answers, and tells of itself. */
export type SpoolReply =
  | Readonly<{ kind: "opened"; state: SpoolState }>
  | Readonly<
    {
      kind: "appended";
      id: number;
      state: SpoolState;
      /** Parts that were refused: they would be more than their device's share. */
      refused?: readonly number[];
      failed?: "full" | "disk";
      why?: string;
    }
  >
  | Readonly<{ kind: "forwarded"; election: string; records: number; state: SpoolState }>
  | Readonly<{ kind: "senderKeys"; keys: readonly ElectionKeys[]; state: SpoolState }>
  | Readonly<{ kind: "fault"; election: string; why: string; state: SpoolState }>
  | Readonly<{ kind: "drained"; state: SpoolState }>;

/** What the host is made of. */
export type SpoolHostOptions = Readonly<{
  spool: Spool;
  openLog(election: string, partitions: number): Promise<VoteLog>;
  send(reply: SpoolReply): void;
  /** Milliseconds that never go back, whatever happens to the clock on the wall. */
  now?(): number;
  random?(): number;
}>;

/** See the module. */
export class SpoolHost {
  readonly #spool: Spool;
  readonly #send: (reply: SpoolReply) => void;
  readonly #now: () => number;
  readonly #forwarder: Forwarder;
  #wake: () => void = () => {};
  #drainUntilMs = Infinity;
  #toldKeys = -1;

  constructor(
    { spool, openLog, send, now = () => performance.now(), random = Math.random }: SpoolHostOptions,
  ) {
    this.#spool = spool;
    this.#send = send;
    this.#now = now;
    this.#forwarder = new Forwarder({
      spool,
      openLog,
      now,
      random,
      onForwarded: (election, records) => send({ kind: "forwarded", election, records, state: spool.state }),
      onFault: (election, error) => this.#tellFault(election, error),
    });
    send({ kind: "opened", state: spool.state });
    this.#tellKeys();
  }

  /** Takes a message from the client. */
  handle(request: SpoolRequest): void {
    switch (request.kind) {
      case "election":
        this.#spool.senderKeys.use(request.election);
        break;
      case "append":
        this.#append(request.id, request.runs);
        break;
      case "told":
        this.#try(() => this.#spool.senderKeys.markTold(request.election, request.senderKeys));
        break;
      case "drain":
        this.#spool.senderKeys.retireAll();
        this.#drainUntilMs = this.#now() + request.forMs;
    }
    this.#tellKeys();
    this.#wake();
  }

  /** Forwards until it has been drained. */
  async run(): Promise<void> {
    while (this.#now() < this.#drainUntilMs) {
      const beganMs = this.#now();
      // Votes that are still under way while it drains may have made a new key.
      if (this.#drainUntilMs < Infinity) this.#spool.senderKeys.retireAll();
      else this.#spool.senderKeys.retireOld();
      const waitMs = await this.#step();
      this.#tellKeys();
      if (waitMs === 0) {
        await this.#gather(beganMs);
        continue;
      }
      if (waitMs === undefined && this.#drainUntilMs < Infinity) break;
      await this.#sleep(Math.min(waitMs ?? MAX_SLEEP_MS, MAX_SLEEP_MS, this.#drainUntilMs - this.#now()));
    }
    await this.#forwarder.close();
    const { state } = this.#spool;
    this.#spool.close();
    this.#send({ kind: "drained", state });
  }

  /** Lets the chunks in that came during an append, and those that come until the next may begin. */
  async #gather(beganMs: number): Promise<void> {
    const restMs = beganMs + LINGER_MS - this.#now();
    const isFull = this.#spool.state.records >= MAX_APPEND_RECORDS;
    if (restMs <= 0 || isFull || this.#drainUntilMs < Infinity) await turn();
    else await delay(restMs);
  }

  /** A disk that cannot be read now may still take votes, and be read later. */
  async #step(): Promise<number | undefined> {
    try {
      return await this.#forwarder.step();
    } catch (error) {
      this.#tellFault("every election", error);
      return MAX_SLEEP_MS;
    }
  }

  #tellFault(election: string, error: unknown): void {
    this.#send({ kind: "fault", election, why: (error as Error).message, state: this.#spool.state });
  }

  #append(id: number, runs: readonly SpoolRun[]): void {
    try {
      const refused = this.#spool.append(runs);
      this.#send({ kind: "appended", id, state: this.#spool.state, ...refused.length > 0 && { refused } });
    } catch (error) {
      const failed = error instanceof SpoolFull ? "full" : "disk";
      this.#send({ kind: "appended", id, state: this.#spool.state, failed, why: (error as Error).message });
    }
  }

  /** Tells of the sender keys when something about them has changed. */
  #tellKeys(): void {
    const { senderKeys, state } = this.#spool;
    if (senderKeys.revision === this.#toldKeys) return;
    this.#try(() => {
      const { revision } = senderKeys;
      this.#send({ kind: "senderKeys", keys: senderKeys.list(), state });
      this.#toldKeys = revision;
    });
  }

  /** What fails here is tried again later, or does no harm when it stays undone. */
  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#tellFault("every election", error);
    }
  }

  async #sleep(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
    this.#wake = () => {};
  }
}

/** The first message from the spool's worker: it listens. What is posted to it earlier may be lost. */
export type SpoolListening = Readonly<{ kind: "listening" }>;

/** The first message to the spool's thread: where spool and log are, and what the thread is to say. */
export type SpoolSetup = Readonly<
  { path: string; maxBytes: number; deviceMaxBytes: number; voteLog: LogAddress; logLevel: LogLevel }
>;

/** A worker's own side. The types of a page's side are what the rest of the project is checked with. */
type WorkerScope = Readonly<{
  postMessage(message: SpoolReply | SpoolListening): void;
  addEventListener(
    type: "message",
    listener: (event: MessageEvent) => void,
    options?: { once: boolean },
  ): void;
  close(): void;
}>;

/**
 * Hosts the spool in the worker that calls this, from the setup message on.
 *
 * @param openLog Opens an election's log by its address.
 * @param options What a spool has besides the setup, and what is to be done with that before the spool is opened.
 */
export function serveSpool(
  openLog: (address: LogAddress, election: string, partitions: number) => Promise<VoteLog>,
  options: Pick<SpoolOptions, "commit"> & Readonly<{ begin?(setup: SpoolSetup): void }> = {},
): void {
  const { begin, ...spoolOptions } = options;
  const scope = globalThis as unknown as WorkerScope;
  scope.addEventListener("message", ({ data }: MessageEvent<SpoolSetup>) => {
    const { path, maxBytes, deviceMaxBytes, voteLog } = data;
    begin?.(data);
    const host = new SpoolHost({
      spool: new Spool({ path, maxBytes, deviceMaxBytes, now: Date.now, ...spoolOptions }),
      openLog: (election, partitions) => openLog(voteLog, election, partitions),
      send: (reply) => scope.postMessage(reply),
    });
    scope.addEventListener("message", (event: MessageEvent<SpoolRequest>) => host.handle(event.data));
    void host.run().then(() => scope.close());
  }, { once: true });
  scope.postMessage({ kind: "listening" });
}
