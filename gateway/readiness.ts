/**
 * Whether a gateway should receive votes, and the state of each of its elections: `/health/ready`.
 *
 * @module
 */
import type { ElectionLookup } from "./authenticate.ts";
import type { SpoolClient } from "./spool_client.ts";

/** What a gateway's readiness depends on. */
export type ReadinessSources = Readonly<{
  elections: ElectionLookup;
  electionIds(): string[];
  /** Elections in the gateway's file whose manifest it has not received yet. */
  awaitedIds(): string[];
  spool: Pick<SpoolClient, "state" | "keysOf" | "numberedOf">;
  /** Maximum bytes of records in the spool. */
  spoolMaxBytes: number;
  /** Why an election's log accepts no records at the moment; `undefined` while it does. */
  logFault(election: string): string | undefined;
  /** The problem, when this gateway's clock and the aggregator's differ by too much. */
  clockFault(): string | undefined;
  now(): number;
  /** Whether the process is about to stop. */
  draining(): boolean;
}>;

/** Why the gateway should receive no votes now; `undefined` when it may. */
export function notReady(
  { spool, spoolMaxBytes, electionIds, draining, clockFault }: ReadinessSources,
): string | undefined {
  if (draining()) return "the gateway is about to stop";
  const clock = clockFault();
  if (clock !== undefined) return clock;
  if (electionIds().length === 0) return "no manifest yet: the aggregator has not been reached";
  if (spool.state.bytes > 0.95 * spoolMaxBytes) {
    return "the spool is almost full: the log accepts no records";
  }
  return undefined;
}

/** The state of each election. A log that is away is no reason to refuse votes: records wait in the spool. */
export function describeElections(
  { electionIds, awaitedIds, elections, spool, now, logFault }: ReadinessSources,
) {
  const told = electionIds().map((election) => {
    const known = elections(election);
    const isOver = typeof known === "object" && now() > known.index.acceptsUntilMs;
    return {
      election,
      ready: !isOver,
      why: isOver ? "its acceptance window is over" : undefined,
      numberedRecords: spool.numberedOf(election),
      statementsDue: spool.keysOf(election)?.statementsDue ?? 0,
      logFault: logFault(election),
    };
  });
  const awaited = awaitedIds().map((election) => ({
    election,
    ready: false,
    why: "its manifest has not been received from the aggregator yet",
  }));
  return [...told, ...awaited];
}
