/**
 * Public answers. Each is kept per version, or for `maxAgeMs` where it changes with every counted vote. Requests for the same
 * answer share one reading, and later ones get the same bytes.
 *
 * @module
 */
import type { Context } from "hono";
import { utf8 } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import { type Problem, problem } from "../../shared/problem.ts";
import { SizedLru, type SizedLruLimits } from "../../shared/sized_lru.ts";
import { hasTag } from "../../web/etag.ts";
import { refuseWith } from "./answers.ts";

/** Bounds of the cache of one process. */
export const CACHE_LIMITS = {
  entries: 4_000,
  bytes: 128 << 20,
  /** Readings at once, so that connections are left for the streams; and readings that wait for their turn. */
  reads: 3,
  waitingReads: 256,
  /** How long the newest revision of an election is taken as the newest. */
  revisionMs: 100,
  /** The same for a client that has seen a newer one on the stream. */
  behindMs: 10,
  /** Maximum age of an answer that changes with every counted vote. */
  countMs: 1_000,
  /** How long a projection is good, whatever is released: it takes up to seconds of processor time. */
  projectionMs: 5_000,
};

/** The result of a reading. `version`: what it depends on, when that is not the version that was asked for. */
export type Found = Readonly<{ body: string; version?: string } | { fault: Problem }>;

/** Where an answer came from: it was kept, another request was reading it already, it was read, or too many waited to read. */
export type AnswerSource = "kept" | "shared" | "read" | "refused";

/** What is asked. */
export type Question = Readonly<{
  /** Tells this answer from all others. */
  key: string;
  /** What the answer depends on: a kept answer of another version is read again. */
  version?: string;
  /** How old a kept answer may be, in milliseconds; forever when left out. */
  maxAgeMs?: number;
  /** Headers of the answer, with `cache-control`. */
  headers: Readonly<Record<string, string>>;
  read(): Promise<Found>;
}>;

type Kept = Readonly<
  & { version: string; readAtMs: number }
  & ({ body: Uint8Array<ArrayBuffer>; etag: string } | { fault: Problem })
>;

/** What an entry takes beside its body: strings, and what the map needs. An estimate. */
const ENTRY_BYTES = 500;

const BUSY = problem("busy", "too many different answers are being read; retry later");

/** See the module. */
export class AnswerCache {
  readonly #limits: typeof CACHE_LIMITS;
  /** Milliseconds that never go back. */
  readonly #clock: () => number;
  readonly #onAnswer: (source: AnswerSource) => void;
  readonly #kept: SizedLru<Kept>;
  readonly #reading = new Map<string, Promise<Kept>>();
  #reads = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    limits: typeof CACHE_LIMITS,
    clock: () => number,
    onAnswer: (source: AnswerSource) => void = () => {},
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#onAnswer = onAnswer;
    this.#kept = new SizedLru(limits);
  }

  /** What the cache holds now. */
  get held(): SizedLruLimits {
    return this.#kept.held;
  }

  /** Answers a request: 200, 304 when the asker has the answer already, or the problem that was found. */
  async answer(c: Context, question: Question): Promise<Response> {
    const kept = await this.#find(question);
    if ("fault" in kept) return refuseWith(kept.fault);
    const headers = { ...question.headers, etag: kept.etag };
    return hasTag(c, kept.etag) ? c.body(null, 304, headers) : c.body(kept.body, 200, headers);
  }

  #find(question: Question): Promise<Kept> | Kept {
    const { key, version = "", maxAgeMs = Infinity } = question;
    const kept = this.#kept.get(key);
    const isGood = kept?.version === version && this.#clock() - kept.readAtMs < maxAgeMs;
    if (isGood) {
      this.#onAnswer("kept");
      return kept;
    }
    const flight = `${key}\n${version}`;
    const known = this.#reading.get(flight);
    if (known !== undefined) {
      this.#onAnswer("shared");
      return known;
    }
    const reading = this.#read(question).finally(() => this.#reading.delete(flight));
    this.#reading.set(flight, reading);
    return reading;
  }

  async #read({ key, version = "", read }: Question): Promise<Kept> {
    const readAtMs = this.#clock();
    if (!await this.#enter()) {
      this.#onAnswer("refused");
      return { version, readAtMs, fault: BUSY };
    }
    try {
      this.#onAnswer("read");
      const found = await read();
      const kept = "fault" in found
        ? { version, readAtMs, fault: found.fault }
        : { version: found.version ?? version, readAtMs, ...encode(found.body) };
      this.#kept.set(key, kept, ENTRY_BYTES + ("body" in kept ? kept.body.length : 0));
      return kept;
    } finally {
      this.#leave();
    }
  }

  /** Waits for a turn to read. Returns `false` when too many wait. */
  async #enter(): Promise<boolean> {
    if (this.#reads < this.#limits.reads) {
      this.#reads++;
      return true;
    }
    if (this.#waiting.length >= this.#limits.waitingReads) return false;
    // A request that leaves gives its turn to the next one.
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return true;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#reads--;
    else next();
  }
}

function encode(text: string): { body: Uint8Array<ArrayBuffer>; etag: string } {
  const body = utf8(text);
  return { body, etag: `"${sha256(body).subarray(0, 12).toHex()}"` };
}
