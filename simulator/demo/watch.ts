/**
 * How a demo stands, by what its processes say themselves: the metrics of the gateways, and the aggregator's metrics and
 * reconciliation.
 *
 * @module
 */
import { type Aggregator, AggregatorAway } from "../run/aggregator.ts";
import type { Clock } from "../../device/clock.ts";
import { parseMetrics, type Sample, sumOf } from "./metrics.ts";

/** Bounds of watching, in milliseconds: how long a process may take to answer; over what time a rate is taken. */
export const WATCH_LIMITS = { answerMs: 2_000, rateOverMs: 5_000 } as const;

/** A gateway: votes taken and refused, records in its spool, votes taken a second. */
export type GatewayStatus = Readonly<{
  name: string;
  taken: number;
  refused: number;
  spool: number;
  perSecond: number;
}>;

/** The aggregator: its reconciliation in records, and how many on the log it has not read. */
export type AggregatorStatus = Readonly<{
  counted: number;
  duplicate: number;
  rejected: number;
  held: number;
  balanced: boolean;
  lag: number;
  /** Records counted a second. */
  perSecond: number;
  /** Records that were not counted, by fate and reason. */
  notCounted: readonly Readonly<{ outcome: string; records: number }>[];
}>;

/** Everything. A process that does not answer is named and has no numbers. */
export type Status = Readonly<{
  gateways: readonly (GatewayStatus | Readonly<{ name: string; taken?: undefined }>)[];
  aggregator?: AggregatorStatus;
  /** Requests and votes that gateways refused, by the problem's reason, the most first. */
  refusals: readonly Readonly<{ reason: string; votes: number }>[];
  /** Resident memory by process, in bytes; 0 where the system does not tell. */
  memory: readonly Readonly<{ name: string; bytes: number }>[];
}>;

/** What to watch. */
export type Watched = Readonly<{
  election: string;
  gateways: readonly Readonly<{ name: string; origin: string }>[];
  aggregator: Pick<Aggregator, "reconciliation">;
  aggregatorOrigin: string;
  memory: () => Status["memory"];
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  clock: Pick<Clock, "now">;
}>;

/** Fates of records that are not among those that were not counted: a statement is no vote. */
const NOT_SHOWN: ReadonlySet<string> = new Set(["counted", "statement"]);
const TAKEN = new Set(["accepted", "repeated"]);
const VOTES = "pollwire_gateway_votes_total";

/** Watches a demo. */
export class Watcher {
  readonly #watched: Watched;
  readonly #rates = new Map<string, RateOver>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** How it stands now. */
  async read(): Promise<Status> {
    const { gateways, aggregatorOrigin, memory } = this.#watched;
    const [ofAggregator, ...ofGateways] = await Promise.all(
      [aggregatorOrigin, ...gateways.map(({ origin }) => origin)].map((origin) => this.#metrics(origin)),
    );
    const refusals = new Map<string, number>();
    const rows = gateways.map(({ name }, i) => {
      const samples = ofGateways[i];
      return samples === undefined ? { name } : this.#gateway(name, samples, refusals);
    });
    return {
      gateways: rows,
      aggregator: ofAggregator && await this.#aggregator(ofAggregator),
      refusals: [...refusals].map(([reason, votes]) => ({ reason, votes })).sort((a, b) => b.votes - a.votes),
      memory: memory(),
    };
  }

  #gateway(name: string, samples: readonly Sample[], refusals: Map<string, number>): GatewayStatus {
    let taken = 0;
    let refused = 0;
    for (const { name, labels: { answer = "unknown" }, value } of samples) {
      if (name !== VOTES) continue;
      if (TAKEN.has(answer)) taken += value;
      else {
        refused += value;
        refusals.set(answer, (refusals.get(answer) ?? 0) + value);
      }
    }
    const spool = sumOf(samples, "pollwire_gateway_spool_records");
    return { name, taken, refused, spool, perSecond: this.#rate(name, taken) };
  }

  async #aggregator(samples: readonly Sample[]): Promise<AggregatorStatus | undefined> {
    const { aggregator, election } = this.#watched;
    try {
      const { total, outcomes } = await aggregator.reconciliation(election);
      const notCounted = outcomes.filter(({ fate, records }) => !NOT_SHOWN.has(fate) && records > 0)
        .map(({ fate, reason, records }) => ({ outcome: `${fate}/${reason}`, records }));
      const lag = sumOf(samples, "pollwire_aggregator_lag_entries", { election });
      return { ...total, lag, notCounted, perSecond: this.#rate("aggregator", total.counted) };
    } catch (error) {
      if (error instanceof AggregatorAway) return undefined;
      throw error;
    }
  }

  #rate(name: string, count: number): number {
    let rate = this.#rates.get(name);
    if (rate === undefined) this.#rates.set(name, rate = new RateOver(WATCH_LIMITS.rateOverMs));
    return rate.add(this.#watched.clock.now(), count);
  }

  async #metrics(origin: string): Promise<Sample[] | undefined> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), WATCH_LIMITS.answerMs);
    try {
      const response = await this.#watched.fetch(`${origin}/metrics`, { signal: abort.signal });
      const text = await response.text();
      return response.ok ? parseMetrics(text) : undefined;
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** How fast a count that only rises has risen of late. */
class RateOver {
  readonly #overMs: number;
  readonly #marks: { atMs: number; count: number }[] = [];

  constructor(overMs: number) {
    this.#overMs = overMs;
  }

  /** Takes the current count, and returns its rise per second. A count that fell has started over. */
  add(atMs: number, count: number): number {
    const marks = this.#marks;
    if (marks.length > 0 && count < marks.at(-1)!.count) marks.length = 0;
    marks.push({ atMs, count });
    while (marks.length > 2 && marks[1]!.atMs <= atMs - this.#overMs) marks.shift();
    const oldest = marks[0]!;
    const spanMs = atMs - oldest.atMs;
    return spanMs > 0 ? (1_000 * (count - oldest.count)) / spanMs : 0;
  }
}
