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
import type { Chunk } from "./chunk.ts";
import { Forwarder, MAX_APPEND_RECORDS } from "./forward.ts";
import { Spool, SpoolFull, type SpoolOptions, type SpoolState } from "./spool.ts";

/** Longest that the forwarder sleeps without looking again, in milliseconds. */
const MAX_SLEEP_MS = 1_000;

/**
 * How long one append to the log begins after another at the least, unless there are enough records for a full one, in
 * milliseconds: each costs the broker as much as some hundred votes. What comes after a rest goes at once.
 */
const LINGER_MS = 25;

/** What the spool's thread is told. */
export type SpoolRequest =
  | Readonly<{ kind: "append"; id: number; chunks: readonly Chunk[] }>
  /** Forward what there is for so long at the most, in milliseconds, and close. */
  | Readonly<{ kind: "drain"; forMs: number }>;

/** What it answers, and tells of itself. */
export type SpoolReply =
  | Readonly<{ kind: "opened"; state: SpoolState }>
  | Readonly<{ kind: "appended"; id: number; state: SpoolState; failed?: "full" | "disk"; why?: string }>
  | Readonly<{ kind: "forwarded"; records: number; state: SpoolState }>
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
      onForwarded: (records) => send({ kind: "forwarded", records, state: spool.state }),
      onFault: (election, error) => this.#tellFault(election, error),
    });
    send({ kind: "opened", state: spool.state });
  }

  /** Takes a message from the client. */
  handle(request: SpoolRequest): void {
    if (request.kind === "append") this.#append(request.id, request.chunks);
    else this.#drainUntilMs = this.#now() + request.forMs;
    this.#wake();
  }

  /** Forwards until it has been drained. */
  async run(): Promise<void> {
    while (this.#now() < this.#drainUntilMs) {
      const beganMs = this.#now();
      const waitMs = await this.#step();
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

  #append(id: number, chunks: readonly Chunk[]): void {
    try {
      this.#spool.append(chunks);
      this.#send({ kind: "appended", id, state: this.#spool.state });
    } catch (error) {
      const failed = error instanceof SpoolFull ? "full" : "disk";
      this.#send({ kind: "appended", id, state: this.#spool.state, failed, why: (error as Error).message });
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
  { path: string; maxBytes: number; voteLog: LogAddress; logLevel: LogLevel }
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
    const { path, maxBytes, voteLog } = data;
    begin?.(data);
    const host = new SpoolHost({
      spool: new Spool({ path, maxBytes, now: Date.now, ...spoolOptions }),
      openLog: (election, partitions) => openLog(voteLog, election, partitions),
      send: (reply) => scope.postMessage(reply),
    });
    scope.addEventListener("message", (event: MessageEvent<SpoolRequest>) => host.handle(event.data));
    void host.run().then(() => scope.close());
  }, { once: true });
  scope.postMessage({ kind: "listening" });
}
