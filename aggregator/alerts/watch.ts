/**
 * Evaluates the rules for the elections that this process counts, every few seconds, and raises and resolves their alerts. Of several processes one
 * watches an election, by a lease.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ElectionIndex } from "../../shared/election.ts";
import { actAs } from "../audit/actor.ts";
import { arrayLiteral, type Database } from "../database/database.ts";
import { LeaseSet } from "../database/lease.ts";
import { type AlertSender, outgoing } from "./alertmanager.ts";
import { DeviceCounts } from "./device_counts.ts";
import { evaluate } from "./evaluate.ts";
import type { ReadChecks } from "./facts.ts";
import type { AlertMetrics } from "./metrics.ts";
import { NumberCounts, readFacts, RollCounts } from "./read_facts.ts";
import type { Rules } from "./rules.ts";
import { type AlertState, newState } from "./state.ts";
import { readActive, readResolved, readState, storeChanges, type StoredAlert } from "./store.ts";

/** How often an election is evaluated, in milliseconds; and one that is idle. */
const EVALUATE_EVERY_MS = 5_000;
const EVALUATE_IDLE_EVERY_MS = 60_000;
/** How long before opening and after the acceptance window an election is not idle, in milliseconds. */
const BUSY_AROUND_MS = 3_600_000;
/** How long nobody watches when the process that did has died, in milliseconds. */
const LEASE_MS = 15_000;
/** How often the state is saved when nothing was raised or resolved, in milliseconds. */
const SAVE_EVERY_MS = 60_000;
/** How often an unchanged alert is sent to Alertmanager again, in milliseconds. It forgets one after five minutes. */
const REPEAT_EVERY_MS = 60_000;
/** For how long a resolved alert is sent, in milliseconds. */
const REPEAT_RESOLVED_MS = 900_000;

/** An election that can be watched. */
export type WatchedElection = Readonly<{
  election: string;
  /** The newest manifest. */
  index(): ElectionIndex;
  /** Where each partition of the log ends; `undefined` while it cannot be asked. */
  logEnds(): Promise<number[] | undefined>;
  onFault(what: string, error: unknown): void;
}>;

/** What a watch needs. */
export type WatchOptions = Readonly<{
  /** Reads facts, and writes alerts. */
  reading: Database;
  writing: Database;
  rules: Rules;
  readChecks: ReadChecks;
  /** One for each Alertmanager. */
  senders: readonly AlertSender[];
  metrics: AlertMetrics;
  signal: AbortSignal;
  /** Milliseconds since 1970. */
  now(): number;
  /** Whether the database is away: nothing is tried then. */
  isAway?(): boolean;
  evaluateEveryMs?: number;
}>;

/** What this process knows of an election that it watches. */
type Watched = {
  state: AlertState;
  roll: RollCounts;
  numbers: NumberCounts;
  deviceCounts: DeviceCounts;
  savedAtMs: number;
  nextMs: number;
  sent: Map<number, Sent>;
};
/** What was sent to Alertmanager last of an alert, and when. */
type Sent = { text: string; atMs: number };

/** See the module. */
export class AlertWatch {
  readonly #options: WatchOptions;
  readonly #elections = new Map<string, WatchedElection>();
  readonly #watched = new Map<string, Watched>();
  readonly #clocksAhead = new Map<string, Map<string, number>>();
  readonly #leases: LeaseSet;
  /** Election → the labels under which its active alerts are in the metrics. */
  readonly #shown = new Map<string, { labels: { election: string; rule: string; severity: string } }[]>();

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#leases = new LeaseSet(options.writing.query, LEASE_MS);
  }

  /** Watches an election from now on. */
  add(election: WatchedElection): void {
    this.#elections.set(election.election, election);
  }

  /** Watches an election no more. */
  remove(election: string): void {
    this.#elections.delete(election);
    this.#clocksAhead.delete(election);
    this.#forget(election);
  }

  /** Notes a record that its gateway accepted, by its clock, long after the log took it. */
  noteClockAhead(election: string, gateway: string): void {
    const counts = this.#clocksAhead.get(election) ?? new Map<string, number>();
    counts.set(gateway, (counts.get(gateway) ?? 0) + 1);
    this.#clocksAhead.set(election, counts);
  }

  /** Watches until the signal aborts, and then lets others do it. */
  async run(): Promise<void> {
    const { signal, senders, evaluateEveryMs = EVALUATE_EVERY_MS } = this.#options;
    const sending = senders.map((sender) => sender.run(signal));
    while (!signal.aborted) {
      if (this.#elections.size > 0 && this.#options.isAway?.() !== true) await this.#step();
      await delay(evaluateEveryMs, undefined, { signal }).catch(() => {});
    }
    await Promise.all(sending);
    if (this.#watched.size > 0) await this.#leases.release().catch(() => {});
  }

  async #step(): Promise<void> {
    const { signal, metrics, senders } = this.#options;
    let mine: ReadonlySet<string>;
    try {
      mine = await this.#leases.hold([...this.#elections.keys()].map(workOf));
    } catch (error) {
      this.#report([...this.#elections.values()], error);
      return;
    }
    for (const each of this.#elections.values()) {
      if (signal.aborted) return;
      try {
        await this.#storeClocksAhead(each.election);
        if (mine.has(workOf(each.election))) await this.#evaluate(each);
        else this.#forget(each.election);
      } catch (error) {
        // What was remembered may be older or newer than what is stored.
        this.#forget(each.election);
        this.#report([each], error);
      }
    }
    metrics.queued.set(Math.max(0, ...senders.map(({ queued }) => queued)));
  }

  #report(elections: readonly WatchedElection[], error: unknown): void {
    if (this.#options.signal.aborted) return;
    for (const each of elections) each.onFault(`the alerts of ${each.election} were not evaluated`, error);
  }

  /** Another process watches it, or this one starts anew. */
  #forget(election: string): void {
    this.#watched.delete(election);
    this.#showActive(election, []);
  }

  async #evaluate(each: WatchedElection): Promise<void> {
    const { reading, writing, rules, readChecks, metrics, now } = this.#options;
    const { election } = each;
    const nowMs = now();
    const watched = this.#watched.get(election) ?? {
      state: await readState(reading.query, election) ?? newState(nowMs),
      roll: new RollCounts(),
      numbers: new NumberCounts(),
      deviceCounts: new DeviceCounts(),
      savedAtMs: nowMs,
      nextMs: -Infinity,
      sent: new Map(),
    };
    this.#watched.set(election, watched);
    if (nowMs < watched.nextMs && watched.nextMs - nowMs <= EVALUATE_IDLE_EVERY_MS) return;
    const index = each.index();
    const stop = metrics.evaluationSeconds.startTimer({ election });
    const sources = {
      db: reading,
      election,
      index,
      logEnds: each.logEnds,
      readChecks,
      roll: watched.roll,
      numbers: watched.numbers,
      deviceCounts: watched.deviceCounts,
    };
    const { facts, arrivals } = await readFacts(sources, watched.state, nowMs);
    const active = await readActive(reading.query, election);
    const evaluation = evaluate(facts, rules, { state: { ...watched.state, arrivals }, active }, nowMs);
    stop();
    const { state, raised, changed, resolved } = evaluation;
    const hasNews = raised.length + changed.length + resolved.length > 0;
    if (hasNews || Math.abs(nowMs - watched.savedAtMs) >= SAVE_EVERY_MS) {
      const stored = await actAs(
        { actor: "process:alerts" },
        () => storeChanges(writing, election, evaluation, new Date(nowMs)),
      );
      watched.savedAtMs = nowMs;
      for (const { rule } of stored.raised) metrics.raised.inc({ election, rule });
      for (const { rule } of stored.resolved) metrics.resolved.inc({ election, rule });
    }
    watched.state = state;
    watched.nextMs = nowMs + (isBusy(index, nowMs) ? 0 : EVALUATE_IDLE_EVERY_MS);
    // The writer knows what was just written.
    await this.#notify(
      election,
      watched,
      hasNews ? await readActive(writing.query, election) : active,
      nowMs,
    );
  }

  /** Sends active and recently resolved alerts to Alertmanager, and sets the metrics. */
  async #notify(
    election: string,
    watched: Watched,
    active: readonly StoredAlert[],
    nowMs: number,
  ): Promise<void> {
    const { writing: { query }, senders } = this.#options;
    this.#showActive(election, active);
    if (senders.length === 0) return;
    const resolved = await readResolved(query, election, new Date(nowMs - REPEAT_RESOLVED_MS));
    const sent = new Map<number, Sent>();
    const due = [...resolved, ...active].flatMap((alert) => {
      const message = outgoing(election, alert);
      const text = JSON.stringify(message);
      const before = watched.sent.get(alert.alert);
      const isDue = before?.text !== text || Math.abs(nowMs - before.atMs) >= REPEAT_EVERY_MS;
      sent.set(alert.alert, isDue ? { text, atMs: nowMs } : before!);
      return isDue ? [message] : [];
    });
    watched.sent = sent;
    for (const sender of senders) sender.offer(due);
  }

  #showActive(election: string, alerts: readonly StoredAlert[]): void {
    const { active } = this.#options.metrics;
    for (const { labels } of this.#shown.get(election) ?? []) active.remove(labels);
    const groups = Map.groupBy(alerts, ({ rule, severity }) => `${rule} ${severity}`);
    this.#shown.set(
      election,
      [...groups.values()].map((of) => {
        const labels = { election, rule: of[0]!.rule, severity: of[0]!.severity };
        active.set(labels, of.length);
        return { labels };
      }),
    );
  }

  /** Adds this process's records to those of all. What is not stored is added the next time. */
  async #storeClocksAhead(election: string): Promise<void> {
    const counts = this.#clocksAhead.get(election);
    if (counts === undefined) return;
    this.#clocksAhead.delete(election);
    try {
      await this.#options.writing.query(
        `INSERT INTO counting.clocks_ahead AS c (election, gateway, records)
         SELECT $1, gateway, records FROM unnest($2::text::text[], $3::text::bigint[]) AS n (gateway, records)
         ON CONFLICT (election, gateway) DO UPDATE SET records = c.records + excluded.records`,
        [election, arrayLiteral([...counts.keys()]), arrayLiteral([...counts.values()])],
      );
    } catch (error) {
      const since = this.#clocksAhead.get(election) ?? new Map<string, number>();
      for (const [gateway, records] of counts) since.set(gateway, (since.get(gateway) ?? 0) + records);
      this.#clocksAhead.set(election, since);
      throw error;
    }
  }
}

function workOf(election: string): string {
  return `alerts ${election}`;
}

function isBusy({ opensAtMs, acceptsUntilMs }: ElectionIndex, nowMs: number): boolean {
  return nowMs > opensAtMs - BUSY_AROUND_MS && nowMs < acceptsUntilMs + BUSY_AROUND_MS;
}
