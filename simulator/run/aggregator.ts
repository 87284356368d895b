/**
 * What the simulator asks of the aggregator, over HTTP.
 *
 * @module
 */
import { z } from "zod";
import { Failure } from "../../cli/command.ts";
import { type AnswerSource, checkReceipts, type ReceiptAnswer } from "../../device/receipts.ts";
import type { Fetch } from "../../device/post.ts";
import {
  type ElectionDefinition,
  type Manifest,
  manifestSchema,
  signedManifestSchema,
} from "../../shared/election.ts";
import type { Receipt } from "../../shared/receipt.ts";
import { VOTING_MODES } from "../../shared/mode.ts";

/** How long the aggregator may take to answer one question, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The aggregator did not answer, or not now. Asking again later may help. */
export class AggregatorAway extends Failure {
  override name = "AggregatorAway";
}

/** The aggregator answered that the question was wrong. Asking again will not help. */
export class AggregatorRefused extends Failure {
  override name = "AggregatorRefused";
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

const count = z.int().min(0);
const balance = {
  read: count,
  counted: count,
  duplicate: count,
  rejected: count,
  held: count,
  statements: count,
  balanced: z.boolean(),
};

const reconciliationSchema = z.object({
  total: z.object(balance),
  partitions: z.array(
    z.object({ partition: count, ...balance, nextOffset: count, logEnd: count.nullable() }),
  ),
  outcomes: z.array(z.object({ fate: z.string(), reason: z.string(), records: count })),
});
/** The reconciliation of an election. */
export type Reconciliation = z.infer<typeof reconciliationSchema>;

const stationRowsSchema = z.object({
  revision: count,
  rows: z.array(z.object({
    station: z.string(),
    contest: z.string(),
    candidate: z.string(),
    mode: z.enum(VOTING_MODES),
    votes: count,
  })),
});
/** Released votes of a candidate at a station in one mode. */
export type StationRow = z.infer<typeof stationRowsSchema>["rows"][number];

const totalSchema = z.object({ voters: count });
const turnoutSchema = z.object({ rows: z.array(z.object({ station: z.string(), voters: count })) });

/** Asks the aggregator. Every question throws {@link AggregatorAway} or {@link AggregatorRefused} when it comes to nothing. */
export class Aggregator {
  readonly #origins: readonly string[];
  readonly #fetch: Fetch;
  #asked = 0;

  /**
   * @param origins Like `http://127.0.0.1:8080`; of several aggregators of one aggregator, which are asked in
   * turn, and each for another that does not answer.
   */
  constructor(origins: string | readonly string[], fetch: Fetch) {
    this.#origins = [origins].flat();
    this.#fetch = fetch;
  }

  /** The reconciliation of an election. */
  async reconciliation(election: string): Promise<Reconciliation> {
    return await this.#get(`/v1/elections/${election}/reconciliation`, reconciliationSchema);
  }

  /** An election's newest manifest, as it says itself; its signature is not checked here. */
  async manifest(election: string): Promise<Manifest> {
    const signed = await this.#get(`/v1/elections/${election}/manifest`, signedManifestSchema);
    return manifestSchema.parse(JSON.parse(signed.manifest));
  }

  /** Released votes by station and mode: region by region, and a large region station by station. */
  async stationResults(
    definition: Pick<ElectionDefinition, "election" | "regions" | "stations">,
  ): Promise<StationRow[]> {
    const rows: StationRow[] = [];
    const ask = async (part: string) => {
      const path = `/v1/elections/${definition.election}/results?by=station&${part}`;
      for (const row of (await this.#get(path, stationRowsSchema)).rows) rows.push(row);
    };
    for (const { id } of definition.regions) {
      try {
        await ask(`region=${id}`);
      } catch (error) {
        if (!(error instanceof AggregatorRefused) || error.status !== 422) throw error;
        for (const station of definition.stations) {
          if (station.region === id) await ask(`station=${station.id}`);
        }
      }
    }
    return rows;
  }

  /** How many voters have voted; exact, whatever k is. */
  async turnout(election: string): Promise<number> {
    return (await this.#get(`/v1/elections/${election}/turnout?by=total`, totalSchema)).voters;
  }

  /** How many voters have voted, by station; exact for k = 1 only. */
  async turnoutByStation(election: string): Promise<Map<string, number>> {
    const { rows } = await this.#get(`/v1/elections/${election}/turnout?by=station`, turnoutSchema);
    return new Map(rows.map(({ station, voters }) => [station, voters]));
  }

  /**
   * What became of votes, by their receipts, in the same order; `undefined` while the aggregator is away.
   *
   * @param source Whose signature the answer must have.
   * @throws {AggregatorRefused} when the question, or the answer, is wrong.
   */
  async checkReceipts(
    receipts: readonly Receipt[],
    source: AnswerSource,
  ): Promise<readonly ReceiptAnswer[] | undefined> {
    const checked = await checkReceipts(this.#next(), receipts, source, this.#fetch);
    if (!("fault" in checked)) return checked.answers;
    const { fault, status } = checked;
    if (status === undefined || isAway(status)) return undefined;
    throw new AggregatorRefused(fault, status);
  }

  /** The aggregator whose turn it is. */
  #next(): string {
    return this.#origins[this.#asked++ % this.#origins.length]!;
  }

  async #get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return await this.#ask(path, schema, {});
  }

  async #ask<T>(path: string, schema: z.ZodType<T>, init: RequestInit): Promise<T> {
    const answer = await this.#exchange(path, init);
    if (answer.status === 200) return schema.parse(JSON.parse(answer.text));
    const message = `The aggregator answered ${answer.status} to ${path}: ${answer.text.slice(0, 500)}`;
    if (isAway(answer.status)) throw new AggregatorAway(message);
    throw new AggregatorRefused(message, answer.status);
  }

  async #exchange(path: string, init: RequestInit): Promise<{ status: number; text: string }> {
    for (let others = this.#origins.length - 1;; others--) {
      try {
        return await this.#exchangeWith(this.#next() + path, init);
      } catch (error) {
        if (others === 0) {
          throw new AggregatorAway(`The aggregator does not answer ${path}: ${(error as Error).message}`);
        }
      }
    }
  }

  /** @throws {Error} when there is no answer in time. */
  async #exchangeWith(url: string, init: RequestInit): Promise<{ status: number; text: string }> {
    const abort = new AbortController();
    const timer = setTimeout(
      () => abort.abort(new Error("no answer in time")),
      REQUEST_TIMEOUT_MS,
    );
    try {
      const response = await this.#fetch(url, { ...init, signal: abort.signal });
      return { status: response.status, text: await response.text() };
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Whether asking again later may help: the aggregator is in trouble, has too much to do, or the question came too slowly. */
function isAway(status: number): boolean {
  return status >= 500 || status === 429 || status === 408;
}
