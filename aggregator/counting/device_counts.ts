/**
 * Votes of each device, from the log alone: those that are there, each once, and those of them that were counted. One
 * partition's vote ids at a time are in memory.
 *
 * @module
 */
import type { Judgement } from "../../shared/judge.ts";
import type { Participations } from "../../shared/tally.ts";

/** A device's votes. */
export type DeviceCount = Readonly<{ device: string; station: string; received: number; counted: number }>;

/** See the module. */
export class DeviceFold {
  readonly #counts = new Map<string, { station: string; received: number; counted: number }>();
  /** Vote id → device, of the partition that is read. */
  #votes = new Map<string, string>();

  /** Takes a record in. Records without a device's valid proof have none. */
  add(judgement: Judgement): void {
    if (!("record" in judgement) || judgement.record === undefined) return;
    const { device, station, voteId } = judgement.record;
    if (this.#votes.has(voteId)) return;
    this.#votes.set(voteId, device);
    let count = this.#counts.get(device);
    if (count === undefined) this.#counts.set(device, count = { station, received: 0, counted: 0 });
    count.received++;
  }

  /** Ends a partition: who took part in it, decisions included. */
  endPartition(participations: Participations): void {
    for (const { voteId } of participations.values()) {
      const device = this.#votes.get(voteId);
      if (device !== undefined) this.#counts.get(device)!.counted++;
    }
    this.#votes = new Map();
  }

  counts(): DeviceCount[] {
    return [...this.#counts].map(([device, count]) => ({ device, ...count }))
      .sort((a, b) => a.device < b.device ? -1 : 1);
  }
}
