/**
 * Votes whose text is wrong, each in one way. Everything else about them is right, down to a voter on the roll, so
 * that nothing but the fault in question can have them refused.
 *
 * @module
 */
import { ELECTION_LIMITS, type ElectionDefinition } from "../../shared/election.ts";
import type { Vote } from "../../shared/vote.ts";
import type { Random } from "../random.ts";
import type { BallotKind } from "./kinds.ts";

/** More than any election takes of a vote's text, and more than a gateway takes of a body or of a line. */
const TOO_LONG_BYTES = ELECTION_LIMITS.voteBytes + 1;
const TOO_LARGE_BYTES = 64 * 1024 + 1;
/** How deep a field is nested; its vote is within the length that the election takes. */
const DEEP = 80;

type Definition = Pick<ElectionDefinition, "contests" | "stations" | "opensAt">;

/** Makes wrong votes for one election. */
export class BadBallots {
  readonly #definition: Definition;
  readonly #random: Random;
  readonly #contestsOf: ReadonlyMap<string, Definition["contests"]>;

  constructor(definition: Definition, random: Random) {
    this.#definition = definition;
    this.#random = random;
    const { contests, stations } = definition;
    this.#contestsOf = new Map(stations.map(({ id, contests: here }) => [
      id,
      here === undefined ? contests : contests.filter((contest) => here.includes(contest.id)),
    ]));
  }

  /** A station that is not this one; `undefined` when there is none. */
  otherStation(station: string): string | undefined {
    const { stations } = this.#definition;
    if (stations.length < 2) return undefined;
    for (;;) {
      const { id } = this.#random.pick(stations);
      if (id !== station) return id;
    }
  }

  /** Writes the text of a wrong vote, in one line; `undefined` when the election allows no such fault there. */
  text(kind: BallotKind, vote: Vote): string | undefined {
    const contests = this.#contestsOf.get(vote.station)!;
    switch (kind) {
      case "not-json":
        return this.#random.pick(NOT_JSON)(JSON.stringify(vote));
      case "wrong-field":
        return this.#random.pick(WRONG_FIELDS)(vote);
      case "too-long":
        return JSON.stringify(vote).padEnd(TOO_LONG_BYTES);
      case "too-large":
        return JSON.stringify(vote).padEnd(TOO_LARGE_BYTES);
      case "out-of-hours": {
        const castAt = new Date(Date.parse(this.#definition.opensAt) - 1).toISOString();
        return JSON.stringify({ ...vote, castAt });
      }
      case "other-device": {
        const station = this.otherStation(vote.station);
        return station === undefined ? undefined : JSON.stringify({ ...vote, station });
      }
      case "unknown-contest": {
        const candidate = contests[0]?.candidates[0];
        return candidate && selecting(vote, "no-such-contest", candidate.id);
      }
      case "unknown-candidate": {
        const [contest] = contests;
        return contest && selecting(vote, contest.id, "no-such-candidate");
      }
      case "repeated-candidate": {
        const { id, candidates } = this.#random.pick(contests);
        const candidate = this.#random.pick(candidates).id;
        return selecting(vote, id, candidate, candidate);
      }
      case "overvote": {
        const open = contests.filter(({ candidates, votesAllowed }) => votesAllowed < candidates.length);
        if (open.length === 0) return undefined;
        const { id, candidates, votesAllowed } = this.#random.pick(open);
        return selecting(vote, id, ...candidates.slice(0, votesAllowed + 1).map((candidate) => candidate.id));
      }
    }
  }
}

function selecting(vote: Vote, contest: string, ...candidates: string[]): string {
  return JSON.stringify({ ...vote, selections: candidates.map((candidate) => ({ contest, candidate })) });
}

/** Ways in which a text is not JSON. None is empty, for an empty line of a batch is none, nor holds a line's end. */
const NOT_JSON: readonly ((text: string) => string)[] = [
  () => "vote",
  () => "{",
  (text) => text.slice(0, -1),
  (text) => `${text}}`,
  (text) => text.replaceAll('"', "'"),
  (text) => `${text.slice(0, -1)},}`,
  (text) => `<vote>${text}</vote>`,
  () => "voteId=1&voterId=2",
  (text) => `{"votes":NaN,${text.slice(1)}`,
];

type Json = string | number | boolean | null | readonly Json[] | { [field: string]: Json };

/** Ways in which a field, or the whole, is not in the form of a vote. */
const WRONG_FIELDS: readonly ((vote: Vote) => string)[] = [
  ...(["voteId", "voterId", "station", "mode", "selections", "castAt"] as const).flatMap((field) => [
    (vote: Vote) => JSON.stringify({ ...vote, [field]: undefined }),
    (vote: Vote) => JSON.stringify({ ...vote, [field]: null }),
    (vote: Vote) => JSON.stringify({ ...vote, [field]: 1_000 }),
  ]),
  ...([
    { voteId: "00000000-0000-1000-8000-000000000000" },
    { voterId: "" },
    { voterId: "Ann Smith" },
    { voterId: "v".repeat(65) },
    { station: "Town Hall" },
    { station: "-" },
    { mode: "postal" },
    { selections: {} },
    { selections: [{}] },
    { selections: [{ contest: "president", candidate: "a", votes: 1_000 }] },
    { castAt: "2026-11-03" },
    { castAt: "2026-02-30T12:00:00.000Z" },
    { castAt: "2026-11-03T12:00:00+01:00" },
    { votes: 1_000 },
  ] satisfies Record<string, Json>[]).map((change) => (vote: Vote) => JSON.stringify({ ...vote, ...change })),
  // As text, because an object literal would set the prototype in place of a field.
  (vote) => `{"__proto__":{"admin":true},${JSON.stringify(vote).slice(1)}`,
  (vote) =>
    JSON.stringify({ ...vote, selections: "deep" }).replace('"deep"', "[".repeat(DEEP) + "]".repeat(DEEP)),
  (vote) => `[${JSON.stringify(vote)}]`,
  (vote) => JSON.stringify(JSON.stringify(vote)),
  () => "null",
  () => "0",
];
