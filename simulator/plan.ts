/**
 * Plans who votes where, and who tries what must not count: in batches, as they are asked for.
 *
 * @module
 */
import { castVote, selectionsText } from "./cast.ts";
import type { Choices } from "./country/choices.ts";
import type { CastVote, Device } from "../device/device.ts";
import type { SentEntry, VoteKind } from "./ledger.ts";
import type { Random } from "./random.ts";
import type { Voter } from "./roll.ts";

/** A vote to cast. `again`: once a gateway has taken it, the same is handed to another as well. */
export type PlannedVote = Readonly<{ vote: CastVote; entry: SentEntry; again: boolean }>;

/** Votes that one device sends together. */
export type PlannedBatch = Readonly<{ device: Device; votes: readonly PlannedVote[] }>;

/** What to plan. */
export type PlanOptions = Readonly<{
  voters: Iterable<Voter> | AsyncIterable<Voter>;
  /** Station → its devices, at least one. */
  polls: ReadonlyMap<string, readonly Device[]>;
  /** Region → its stations, for voters who may vote at any. */
  stationsOf: ReadonlyMap<string, readonly string[]>;
  choices: Choices;
  batchVotes: number;
  /** Share of voters of whom there is something that must not count, 0 to 1. */
  duplicates: number;
  random: Random;
  uuid: () => string;
  now: () => number;
}>;

/** What must not count: the same vote handed in twice; a second vote; a vote of nobody on the roll. */
const EXTRAS = ["again", "double", "unknown"] as const;

/**
 * Plans every voter's vote and, for a share of them, one extra. A second vote of a voter comes from another device
 * of the station, if it has one, and so may well overtake the first. At most one batch a device is held.
 */
export async function* planBatches(options: PlanOptions): AsyncGenerator<PlannedBatch> {
  const { polls, batchVotes, duplicates, random, now } = options;
  const open = new Map<Device, PlannedVote[]>();
  const full: PlannedBatch[] = [];
  let castAt = "";
  const put = (device: Device, voter: Voter, voterId: string, kind: VoteKind, again: boolean) => {
    const planned = plan(options, device.identity.station, voter, voterId, kind, again, castAt);
    const votes = open.get(device) ?? [];
    votes.push(planned);
    open.set(device, votes);
    if (votes.length < batchVotes) return;
    full.push({ device, votes });
    open.delete(device);
  };
  let index = 0;
  for await (const voter of options.voters) {
    castAt = new Date(now()).toISOString();
    const devices = polls.get(voter.station || random.pick(options.stationsOf.get(voter.region) ?? []))!;
    const first = random.below(devices.length);
    const extra = random.next() < duplicates ? random.pick(EXTRAS) : undefined;
    put(devices[first], voter, voter.id, "first", extra === "again");
    const other = devices[(first + 1) % devices.length];
    if (extra === "double") put(other, voter, voter.id, "double", false);
    if (extra === "unknown") put(other, voter, `nobody-${index + 1}`, "unknown", false);
    index++;
    yield* full.splice(0);
  }
  for (const [device, votes] of open) yield { device, votes };
}

function plan(
  { choices, uuid }: PlanOptions,
  station: string,
  voter: Voter,
  voterId: string,
  kind: VoteKind,
  again: boolean,
  castAt: string,
): PlannedVote {
  const { mode, selections } = choices(voter, station, kind === "first" ? 0 : 1);
  const vote = castVote(uuid(), voterId, station, mode, selectionsText(selections), castAt);
  return {
    vote,
    entry: {
      entry: "sent",
      voteId: vote.voteId,
      voterId,
      kind,
      station,
      mode,
      selections: selections.map(({ contest, candidate }) => `${contest}/${candidate}`),
    },
    again,
  };
}
