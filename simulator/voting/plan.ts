/**
 * Plans who votes where, and what bad votes come beside: as they are asked for.
 *
 * @module
 */
import type { ElectionDefinition } from "../../shared/election.ts";
import type { Selection, Vote } from "../../shared/vote.ts";
import { BadBallots } from "../bad/ballots.ts";
import { type BadKind, type BallotKind, describeKind, type RequestKind } from "../bad/kinds.ts";
import type { BadMix } from "../bad/mix.ts";
import { castVote, selectionsText } from "./cast.ts";
import type { Choices } from "../country/choices.ts";
import type { Device, VoteText } from "../../device/device.ts";
import type { CastVote } from "../../device/delivery.ts";
import { toHex } from "../../shared/bytes.ts";
import { proofOf } from "../../shared/proof.ts";
import type { SentEntry } from "../ledger/ledger.ts";
import type { Random } from "../random.ts";
import type { Voter } from "./roll.ts";

/** A vote to cast. */
export type PlannedVote = Readonly<{
  vote: CastVote;
  entry: SentEntry;
  /** Once a gateway has taken it, the same is handed to another as well. */
  again: boolean;
  /** Once a gateway has taken it, this one, under the same id, is handed to the same gateway. */
  reused?: Readonly<{ vote: CastVote; entry: SentEntry }>;
}>;

/** Votes that one device sends together. */
export type PlannedBatch = Readonly<{ device: Device; votes: readonly PlannedVote[] }>;

/** A request that is wrong around its vote. */
export type PlannedRequest = Readonly<{
  device: Device;
  kind: RequestKind;
  vote: CastVote;
  entry: SentEntry;
  /** Whether it goes as a batch, where the kind leaves a choice. */
  batch: boolean;
}>;

/** What to do next. */
export type Planned = PlannedBatch | PlannedRequest;

/** How many voters cast their own vote in it. */
export function votersOf(planned: Planned): number {
  return "votes" in planned ? planned.votes.filter(({ entry }) => entry.kind === "first").length : 0;
}

/** What to plan. */
export type PlanOptions = Readonly<{
  voters: Iterable<Voter> | AsyncIterable<Voter>;
  definition: Pick<ElectionDefinition, "contests" | "stations" | "opensAt">;
  /** Station → its devices, at least one. */
  polls: ReadonlyMap<string, readonly Device[]>;
  /** Region → its stations, for voters who may vote at any. */
  stationsOf: ReadonlyMap<string, readonly string[]>;
  choices: Choices;
  batchVotes: number;
  bad: BadMix;
  /** Where the device stood whose key was revoked, if there is one. */
  revokedStation?: string;
  random: Random;
  uuid: () => string;
  now: () => number;
}>;

/**
 * Plans every voter's vote and, beside a share of them, bad votes of each kind. A second vote of a voter comes from
 * another device of the station, if it has one, and so may well overtake the first. At most one batch a device is held.
 */
export async function* plan(options: PlanOptions): AsyncGenerator<Planned> {
  const planner = new Planner(options);
  for await (const voter of options.voters) {
    planner.add(voter);
    yield* planner.ready.splice(0);
  }
  yield* planner.rest();
}

/** Plans bad votes alone, for as long as voters come: of each, one of the kinds of the mix. */
export async function* planBad(options: PlanOptions): AsyncGenerator<Planned> {
  const kinds = [...options.bad.keys()].filter((kind) => describeKind(kind).way !== "again");
  if (kinds.length === 0) return;
  const planner = new Planner(options);
  for await (const voter of options.voters) {
    planner.addBad(voter, options.random.pick(kinds));
    yield* planner.ready.splice(0);
  }
  yield* planner.rest();
}

/** One voter at the polls. */
type Visit = Readonly<
  { voter: Voter; index: number; station: string; devices: readonly [Device, ...Device[]]; castAt: string }
>;

class Planner {
  readonly ready: Planned[] = [];
  readonly #options: PlanOptions;
  readonly #open = new Map<Device, PlannedVote[]>();
  readonly #ballots: BadBallots;
  #voters = 0;

  constructor(options: PlanOptions) {
    this.#options = options;
    this.#ballots = new BadBallots(options.definition, options.random);
  }

  /** What is left when no voter comes any more. */
  rest(): Planned[] {
    return [...this.#open].map(([device, votes]) => ({ device, votes }));
  }

  add(voter: Voter): void {
    const { bad, random } = this.#options;
    const visit = this.#visit(voter);
    const kinds = [...bad].filter(([, share]) => random.next() < share).map(([kind]) => kind);
    const own = this.#vote(visit, voter.id, 0);
    const reused = kinds.includes("reused-id") ? this.#reused(own, visit.devices[0]) : undefined;
    const [device] = visit.devices;
    this.#put(device, {
      vote: device.sign(textOf(own)),
      entry: entryOf(own, "first"),
      again: kinds.includes("retransmission"),
      ...(reused && { reused }),
    });
    for (const kind of kinds) this.#beside(visit, kind);
  }

  addBad(voter: Voter, kind: BadKind): void {
    this.#beside(this.#visit(voter), kind);
  }

  #visit(voter: Voter): Visit {
    const { polls, stationsOf, random, now } = this.#options;
    const station = voter.station || random.pick(stationsOf.get(voter.region) ?? []);
    const all = polls.get(station)!;
    const first = random.below(all.length);
    const others = [...all.slice(first + 1), ...all.slice(0, first)];
    const devices = [all[first]!, ...others] as const;
    return { voter, index: this.#voters++, station, devices, castAt: new Date(now()).toISOString() };
  }

  /** A vote in good form: at the first attempt the voter's own decision, at the second another. */
  #vote({ voter, station, castAt }: Visit, voterId: string, attempt: 0 | 1): Vote {
    const { choices, uuid } = this.#options;
    const { mode, selections } = choices(voter, station, attempt);
    return { voteId: uuid(), voterId, station, mode, selections: [...selections], castAt };
  }

  /** The same decision, cast a millisecond earlier: should it be taken, no count would differ, only the refusal. */
  #reused(own: Vote, device: Device): PlannedVote["reused"] {
    const castAt = new Date(Date.parse(own.castAt) - 1).toISOString();
    return {
      vote: device.sign(textOf({ ...own, castAt })),
      entry: { ...entryOf(own, "reused-id"), voteId: this.#options.uuid() },
    };
  }

  #beside(visit: Visit, kind: BadKind): void {
    const [device, other = device] = visit.devices;
    switch (kind) {
      case "retransmission":
      case "reused-id":
        return;
      case "double":
        return this.#putVote(other, this.#vote(visit, visit.voter.id, 1), kind);
      case "unknown-voter":
        return this.#putVote(other, this.#vote(visit, `nobody-${visit.index + 1}`, 1), kind);
      case "other-station":
        return this.#elsewhere(visit);
      case "wrong-proof": {
        const vote = this.#vote(visit, visit.voter.id, 1);
        const planned = {
          vote: signedWrongly(device, textOf(vote)),
          entry: entryOf(vote, kind),
          again: false,
        };
        return this.#put(device, planned);
      }
      default: {
        if (describeKind(kind).way === "request") return this.#request(visit, kind as RequestKind);
        const vote = this.#vote(visit, visit.voter.id, 1);
        const entry = entryOf(vote, kind);
        const text = this.#ballots.text(kind as BallotKind, vote);
        if (text !== undefined) {
          const signed = device.sign({ voteId: vote.voteId, text });
          this.#put(device, { vote: signed, entry, again: false });
        }
      }
    }
  }

  #request(visit: Visit, kind: RequestKind): void {
    const { batchVotes, polls, random, revokedStation } = this.#options;
    // Where the lost device stood, so that the vote is refused for nothing but its key.
    const elsewhere = kind === "revoked-device" ? revokedStation : undefined;
    const station = elsewhere ?? visit.station;
    const device = elsewhere === undefined ? visit.devices[0] : random.pick(polls.get(station)!);
    const vote = this.#vote({ ...visit, station }, visit.voter.id, 1);
    const batch = batchVotes > 1 && random.next() < 0.5;
    this.ready.push({ device, kind, vote: device.sign(textOf(vote)), entry: entryOf(vote, kind), batch });
  }

  /** A voter who may vote at any station is nowhere in the wrong place. */
  #elsewhere(visit: Visit): void {
    const { polls, random } = this.#options;
    const station = this.#ballots.otherStation(visit.station);
    if (visit.voter.station === "" || station === undefined) return;
    const vote = this.#vote({ ...visit, station }, visit.voter.id, 1);
    this.#putVote(random.pick(polls.get(station)!), vote, "other-station");
  }

  #putVote(device: Device, vote: Vote, kind: BadKind): void {
    this.#put(device, { vote: device.sign(textOf(vote)), entry: entryOf(vote, kind), again: false });
  }

  #put(device: Device, planned: PlannedVote): void {
    const votes = this.#open.get(device) ?? [];
    votes.push(planned);
    this.#open.set(device, votes);
    if (votes.length < this.#options.batchVotes) return;
    this.ready.push({ device, votes });
    this.#open.delete(device);
  }
}

/** Makes the proof with the key that signs requests, which gateways know. Gateways cannot detect it; the aggregator must. */
function signedWrongly(device: Device, vote: VoteText): CastVote {
  const { election, key } = device.identity;
  const signed = device.sign(vote);
  return { ...signed, proof: toHex(proofOf(key, election, signed.proofKey, signed.vote)) };
}

function textOf({ voteId, voterId, station, mode, selections, castAt }: Vote): VoteText {
  return castVote(voteId, voterId, station, mode, selectionsText(selections), castAt);
}

function entryOf({ voteId, voterId, station, mode, selections }: Vote, kind: SentEntry["kind"]): SentEntry {
  const spell = ({ contest, candidate }: Selection) => `${contest}/${candidate}`;
  return { entry: "sent", voteId, voterId, kind, station, mode, selections: selections.map(spell) };
}
