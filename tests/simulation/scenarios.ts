/**
 * Faults that chance alone hardly ever brings about together, at moments where they matter. One seed in ten or so has one, and what
 * it must come to.
 *
 * @module
 */
import type { Random } from "../../simulator/random.ts";
import { ACCEPTS_UNTIL_MS, CLOSES_MS, START_MS } from "./base.ts";
import type { Cast } from "./cast.ts";
import type { Plan } from "./faults.ts";
import { Violation } from "./invariants.ts";
import type { Scenario } from "./seeds.ts";
import type { Tables } from "./tables.ts";

/** When a gateway is cut off from the log, and when it is back: it has votes, and the acceptance window is over. */
const LATE_FROM_MS = CLOSES_MS - 6_000;
const LATE_UNTIL_MS = ACCEPTS_UNTIL_MS + 8_000;
/** When an aggregator is cut off from the database, and for how long, in milliseconds. */
const LONELY_AT_MS = 7_000;
const LONELY_FOR_MS = 16_000;
/** How long a record may wait while one of two aggregators reaches log and database: the other one must let go first. */
const LET_GO_WITHIN_MS = 10_000;
/** When no aggregator runs, for how long, and how soon after that counting must have stopped, in milliseconds. */
const NOBODY_COUNTS_AT_MS = 6_000;
const NOBODY_COUNTS_FOR_MS = 5_000;
const STOPS_WITHIN_MS = 10_000;
const LIES_AT_MS = 3_000;
const LIES_FOR_MS = 9_000;
const WRONG_CLOCK_AT_MS = 4_000;
const WRONG_CLOCK_FOR_MS = 9_000;
/** How far a gateway's clock is wrong: beyond the minute that it may differ by. */
const LEAST_WRONG_MS = 120_000;
const MORE_WRONG_MS = 480_000;
/** How far a device's clock is behind: requests are refused, and its votes are of the hours of voting. */
const DEVICE_BEHIND_MS = 1_000_000;

/** What a scenario works on. */
export type Stage = Readonly<{
  cast: Cast;
  chance: Random;
  tables: Tables;
  /** Does work so many milliseconds after the run began. */
  at(ms: number, work: () => void): void;
  /** Reads the tables directly. What it throws ends the run. */
  check(work: () => Promise<void>): void;
}>;

/** The plan of a run with a scenario: alone where other faults would do the same, and mended after it. */
export function planScenario(scenario: Scenario | undefined, plan: Plan): Plan {
  switch (scenario) {
    case "lonelyAggregator":
    case "unreadFront":
      return { faults: [], healMs: START_MS + 26_000 };
    case "lateGateway":
      return { faults: plan.faults.slice(0, 2), healMs: LATE_UNTIL_MS };
    default:
      return plan;
  }
}

/** Puts what a scenario does on the schedule. */
export function beginScenario(scenario: Scenario | undefined, stage: Stage): void {
  switch (scenario) {
    case "lateGateway":
      return lateGateway(stage);
    case "lonelyAggregator":
      return lonelyAggregator(stage);
    case "unreadFront":
      return unreadFront(stage);
    case "lyingGateway":
      return lyingGateway(stage);
    case "wrongGatewayClock":
      return wrongGatewayClock(stage);
    case "deviceWithoutAggregator":
      return deviceWithoutAggregator(stage);
  }
}

/** A gateway with votes is away from the log until after the acceptance window. */
function lateGateway({ cast: { gateways, network }, at, chance }: Stage): void {
  const { name } = chance.pick(gateways);
  at(LATE_FROM_MS - START_MS, () => network.cut(name, "log"));
  at(LATE_UNTIL_MS - START_MS - 1, () => network.cut(name, "log", false));
}

/** One of two aggregators does not reach the database: the other one must count what is on its partitions. */
function lonelyAggregator({ cast: { network, log }, tables, at, check }: Stage): void {
  at(LONELY_AT_MS, () => network.cut("a-1", "database"));
  at(LONELY_AT_MS + LONELY_FOR_MS, () => {
    const untilMs = START_MS + LONELY_AT_MS + LONELY_FOR_MS - LET_GO_WITHIN_MS;
    check(async () => {
      const positions = await tables.positions();
      const waiting = log.stored.flatMap((records, partition) =>
        records.filter(({ offset, appendedAtMs }) =>
          offset >= positions[partition]! && appendedAtMs < untilMs
        )
      );
      if (waiting.length > 0) {
        throw new Violation(
          `${waiting.length} records have waited for ${
            LET_GO_WITHIN_MS / 1_000
          } s, and an aggregator reaches log and database`,
        );
      }
    });
    network.cut("a-1", "database", false);
  });
}

/** While nobody counts, the log's front is deleted up to its end: records that nobody has read. */
function unreadFront({ cast: { aggregators, log }, tables, at, check }: Stage): void {
  let unread = 0;
  at(NOBODY_COUNTS_AT_MS, () => {
    for (const aggregator of aggregators) aggregator.crash();
  });
  at(NOBODY_COUNTS_AT_MS + NOBODY_COUNTS_FOR_MS, () =>
    check(async () => {
      for (const [partition, next] of (await tables.positions()).entries()) {
        const lost = log.stored[partition]!.filter(({ offset }) => offset >= next).length;
        if (lost === 0) continue;
        unread += lost;
        log.deleteBefore(partition, log.ends[partition]!);
      }
      for (const aggregator of aggregators) aggregator.start();
    }));
  at(NOBODY_COUNTS_AT_MS + NOBODY_COUNTS_FOR_MS + STOPS_WITHIN_MS, () =>
    check(() => {
      if (unread > 0 && aggregators.every(({ stopped }) => stopped === undefined)) {
        throw new Violation(`counting goes on, and ${unread} records were deleted that nobody had read`);
      }
      return Promise.resolve();
    }));
}

/** A gateway gives genuine receipts, and says on the log that it took each vote long before the election. */
function lyingGateway({ cast: { gateways }, at }: Stage): void {
  at(LIES_AT_MS, () => void (gateways[0]!.lies = true));
  at(LIES_AT_MS + LIES_FOR_MS, () => void (gateways[0]!.lies = false));
}

/** A gateway's clock is minutes off. */
function wrongGatewayClock({ cast: { gateways }, at, chance }: Stage): void {
  const gateway = chance.pick(gateways);
  const aheadMs = (LEAST_WRONG_MS + MORE_WRONG_MS * chance.next()) * (chance.next() < 0.5 ? 1 : -1);
  at(WRONG_CLOCK_AT_MS, () => gateway.setClock(aheadMs));
  at(WRONG_CLOCK_AT_MS + WRONG_CLOCK_FOR_MS, () => gateway.setClock(0));
}

/** A device with a wrong clock reaches gateways only. They must take its votes. */
function deviceWithoutAggregator({ cast: { aggregators, devices, network }, chance }: Stage): void {
  const device = chance.pick(devices);
  device.clockAheadMs = -DEVICE_BEHIND_MS;
  device.settles = false;
  for (const { name } of aggregators) network.separate(device.name, name);
}
