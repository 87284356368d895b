/**
 * The faults of a run, chosen by its seed: what breaks, when, and for how long. All of it is mended at {@link Plan.healMs}.
 *
 * @module
 */
import type { Random } from "../../simulator/random.ts";
import { ACCEPTS_UNTIL_MS, START_MS } from "./base.ts";
import type { Cast } from "./cast.ts";

/** Kinds of faults, by how often each is chosen. */
const KINDS = {
  gatewayCrash: 4,
  aggregatorCrash: 4,
  deviceCrash: 2,
  gatewayRestart: 1,
  aggregatorRestart: 1,
  oldDisk: 1,
  cutLink: 5,
  badNetwork: 3,
  badLog: 4,
  logDown: 1,
  badDatabase: 4,
  badDisk: 3,
  dyingDisk: 2,
  slowDisk: 1,
  fullDisk: 1,
  gatewayClock: 1,
  rebalance: 1,
  deletedFront: 0.2,
} as const;
type Kind = keyof typeof KINDS;

/** One fault: its name for the trace, when it begins and ends. */
type Fault = Readonly<{ atMs: number; forMs: number; kind: Kind }>;

/** When faults begin, and when all is mended. */
export type Plan = Readonly<{ faults: readonly Fault[]; healMs: number }>;

/** Maximum faults of a run. */
const MAX_FAULTS = 10;
const LONGEST_FAULT_MS = 9_000;

/** Chooses the faults of a run. */
export function planFaults(chance: Random): Plan {
  const weighted = Object.entries(KINDS).flatMap(([kind, weight]) =>
    Array<Kind>(10 * weight).fill(kind as Kind)
  );
  const healMs = START_MS + 10_000 + chance.next() * (ACCEPTS_UNTIL_MS - START_MS - 5_000);
  const faults = Array.from({ length: chance.below(MAX_FAULTS + 1) }, () => ({
    atMs: START_MS + chance.next() * (healMs - START_MS),
    forMs: 100 + LONGEST_FAULT_MS * chance.next() ** 2,
    kind: chance.pick(weighted),
  }));
  return { faults, healMs };
}

/** Begins a fault. Returns what ends it. */
export function beginFault(kind: Kind, cast: Cast, chance: Random): () => void {
  const { gateways, aggregators, devices, network, log, server } = cast;
  switch (kind) {
    case "gatewayCrash":
      return crash(chance.pick(gateways));
    case "aggregatorCrash":
      return crash(chance.pick(aggregators));
    case "deviceCrash":
      return crash(chance.pick(devices));
    case "gatewayRestart":
      chance.pick(gateways).restart();
      return () => {};
    case "aggregatorRestart": {
      const aggregator = chance.pick(aggregators);
      aggregator.stop();
      return () => aggregator.start();
    }
    case "oldDisk": {
      const gateway = chance.pick(gateways);
      gateway.copy();
      return () => {
        gateway.crash();
        gateway.restore();
        gateway.start();
      };
    }
    case "cutLink": {
      const [a, b] = chance.pick(cast.links);
      network.cut(a, b);
      return () => network.cut(a, b, false);
    }
    case "badNetwork":
      Object.assign(network.faults, {
        lost: 0.2 * chance.next(),
        twice: 0.2 * chance.next(),
        slow: 0.2,
        slowMs: 4_000 * chance.next(),
      });
      return () => Object.assign(network.faults, { lost: 0, twice: 0, slow: 0, slowMs: 0 });
    case "badLog": {
      const upTo = () => 0.25 * chance.next();
      Object.assign(log.faults, { before: upTo(), after: upTo(), part: upTo(), twice: upTo() });
      return () => Object.assign(log.faults, { before: 0, after: 0, part: 0, twice: 0 });
    }
    case "logDown":
      log.isUp = false;
      return () => void (log.isUp = true);
    case "badDatabase": {
      const upTo = () => 0.3 * chance.next();
      Object.assign(server.faults, { before: upTo(), inside: upTo(), after: upTo() });
      return () => Object.assign(server.faults, { before: 0, inside: 0, after: 0 });
    }
    case "deletedFront": {
      const partition = chance.below(log.partitions);
      log.deleteBefore(partition, log.ends[partition]!);
      return () => {};
    }
    case "rebalance":
      log.share();
      return () => {};
    default:
      return breakGateway(kind, cast, chance);
  }
}

function breakGateway(
  kind: "badDisk" | "dyingDisk" | "slowDisk" | "fullDisk" | "gatewayClock",
  { gateways }: Cast,
  chance: Random,
): () => void {
  const gateway = chance.pick(gateways);
  const { disk } = gateway;
  switch (kind) {
    case "badDisk":
      disk.fails = 0.5 * chance.next();
      disk.ambiguous = 0.5 * chance.next();
      return () => Object.assign(disk, { fails: 0, ambiguous: 0 });
    case "dyingDisk":
      disk.crashes = 0.5;
      return () => {
        disk.crashes = 0;
        gateway.start();
      };
    case "slowDisk":
      disk.slowMs = 3_000 * chance.next();
      return () => void (disk.slowMs = 0);
    case "fullDisk":
      disk.freeBytes = 0;
      return () => void (disk.freeBytes = 1e12);
    case "gatewayClock": {
      const aheadMs = (chance.next() - 0.5) * 16_000;
      gateway.setClock(aheadMs);
      return () => gateway.setClock(0);
    }
  }
}

function crash(actor: { crash(): void; start(): void }): () => void {
  actor.crash();
  return () => actor.start();
}
