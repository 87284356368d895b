/**
 * The owner of the spool: makes chunks durable as they arrive, and forwards them in between. It communicates by messages
 * only, so it runs in a worker (an fsync must not block requests), or beside its client in tests and benchmarks.
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

/** Maximum time between two checks for chunks to forward, in milliseconds. */
const MAX_SLEEP_MS = 1_000;

/**
 * Minimum time between the starts of two appends to the log, in milliseconds, unless there are enough records for a full
 * one: an append costs the broker as much as about a hundred votes. After a pause records are appended at once.
 */
const LINGER_MS = 25;

/** Messages to the spool's thread. */
export type SpoolRequest =
  /** Adds or updates an election. */
  | Readonly<{ kind: "election"; election: SenderElection }>
  | Readonly<{ kind: "append"; id: number; runs: readonly SpoolRun[] }>
  /** The aggregator has the statements of these sender keys, in hex. */
  | Readonly<{ kind: "told"; election: string; senderKeys: readonly string[] }>
  /** Forward records for at most this many milliseconds, and close. */
  | Readonly<{ kind: "drain"; forMs: number }>;

/** Messages from the spool's thread. */
export type SpoolReply =
  /** Votes that the spool held when it was opened, oldest first: before `opened`. */
  | Readonly<{ kind: "held"; election: string; fingerprints: Uint8Array; state: SpoolState }>
  | Readonly<{ kind: "opened"; state: SpoolState }>
  | Readonly<
    {
      kind: "appended";
      id: number;
      state: SpoolState;
      /** How long the transaction and its fsync took, in milliseconds. */
      tookMs: number;
      /** Parts that were refused because they exceed their device's share. */
      refused?: readonly number[];
      failed?: "full" | "disk";
      why?: string;
    }
  >
  /**
   * The log has so many more of an election's records, after `appendMs` milliseconds, and the spool still holds `held` of them.
   */
  | Readonly<
    {
      kind: "forwarded";
      election: string;
      records: number;
      appendMs: number;
      held: number;
      state: SpoolState;
    }
  >
  /** Votes whose records are damaged, and are not forwarded. */
  | Readonly<{ kind: "setAside"; election: string; fingerprints: Uint8Array; state: SpoolState }>
  | Readonly<{ kind: "senderKeys"; keys: readonly ElectionKeys[]; state: SpoolState }>
  | Readonly<{ kind: "fault"; election: string; why: string; state: SpoolState }>
  | Readonly<{ kind: "drained"; state: SpoolState }>;

/** What the host is made of. */
export type SpoolHostOptions = Readonly<{
  spool: Spool;
  openLog(election: string, partitions: number): Promise<VoteLog>;
  send(reply: SpoolReply): void;
  /** A monotonic clock, in milliseconds. */
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
      onForwarded(election, records, appendMs) {
        const held = spool.recordsOf(election);
        send({ kind: "forwarded", election, records, appendMs, held, state: spool.state });
      },
      onSetAside: (election, fingerprints) =>
        send({ kind: "setAside", election, fingerprints, state: spool.state }),
      onFault: (election, error) => this.#reportFault(election, error),
    });
    for (const held of spool.heldVotes()) send({ kind: "held", ...held, state: spool.state });
    send({ kind: "opened", state: spool.state });
    this.#reportKeys();
  }

  /** Handles a message from the client. */
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
    this.#reportKeys();
    this.#wake();
  }

  /** Forwards records until the spool has been drained. */
  async run(): Promise<void> {
    while (this.#now() < this.#drainUntilMs) {
      const beganMs = this.#now();
      // Votes that arrived while it drained may have made a new key.
      if (this.#drainUntilMs < Infinity) this.#spool.senderKeys.retireAll();
      else this.#spool.senderKeys.retireOld();
      const waitMs = await this.#step();
      this.#reportKeys();
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

  /** Handles the messages that arrived during an append, and waits until the next append may begin. */
  async #gather(beganMs: number): Promise<void> {
    const restMs = beganMs + LINGER_MS - this.#now();
    const isFull = this.#spool.state.records >= MAX_APPEND_RECORDS;
    if (restMs <= 0 || isFull || this.#drainUntilMs < Infinity) await turn();
    else await delay(restMs);
  }

  /** A disk that cannot be read now may still accept votes, and may be readable later. */
  async #step(): Promise<number | undefined> {
    try {
      return await this.#forwarder.step();
    } catch (error) {
      this.#reportFault("every election", error);
      return MAX_SLEEP_MS;
    }
  }

  #reportFault(election: string, error: unknown): void {
    this.#send({ kind: "fault", election, why: (error as Error).message, state: this.#spool.state });
  }

  #append(id: number, runs: readonly SpoolRun[]): void {
    const fromMs = this.#now();
    const reply = (
      result: Readonly<{ refused?: readonly number[]; failed?: "full" | "disk"; why?: string }>,
    ) =>
      this.#send({ kind: "appended", id, state: this.#spool.state, tookMs: this.#now() - fromMs, ...result });
    try {
      const refused = this.#spool.append(runs);
      reply(refused.length > 0 ? { refused } : {});
    } catch (error) {
      reply({ failed: error instanceof SpoolFull ? "full" : "disk", why: (error as Error).message });
    }
  }

  /** Reports the sender keys when they have changed. */
  #reportKeys(): void {
    const { senderKeys, state } = this.#spool;
    if (senderKeys.revision === this.#toldKeys) return;
    this.#try(() => {
      const { revision } = senderKeys;
      this.#send({ kind: "senderKeys", keys: senderKeys.list(), state });
      this.#toldKeys = revision;
    });
  }

  /** For work that is retried later, or is harmless when it fails. */
  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#reportFault("every election", error);
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

/** The first message from the spool's worker: it is ready. Messages posted earlier may be lost. */
export type SpoolListening = Readonly<{ kind: "listening" }>;

/** The first message to the spool's thread: the paths of spool and log, and the log level. */
export type SpoolSetup = Readonly<
  { path: string; maxBytes: number; deviceMaxBytes: number; voteLog: LogAddress; logLevel: LogLevel }
>;

/** The worker's own scope. The project is type-checked with a window's scope, so this type is declared here. */
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
 * @param options Options of the spool that are not in the setup message, and a hook that runs before the spool is opened.
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
