/**
 * Who votes in a run, where, when, and for whom.
 *
 * @module
 */
import type { Random } from "../../simulator/random.ts";
import { CLOSES_MS, START_MS, VOTERS } from "./base.ts";
import type { SimBallot } from "./sim_device.ts";

/** Who is not on the roll, and votes. */
export const STRANGER = "stranger";
/** When the last voters come: a moment before the stations close. */
export const VOTING_MS: number = CLOSES_MS - START_MS - 2_000;

/** Ballots that a device gets at one moment, so many milliseconds after the run began. */
export type Visit = Readonly<{ device: string; atMs: number; ballots: readonly SimBallot[] }>;

/** Chooses the visits of a run. */
export function planVoters(chance: Random): Visit[] {
  const choose = () => [{ contest: "mayor", candidate: chance.pick(["ann", "bob", "cyd"]) }];
  const north = ["n-1-a", "n-2-a"];
  const south = ["s-1-a", "s-2-a"];
  const visits: { device: string; ballot: SimBallot }[] = [];
  for (let i = 0; i < VOTERS; i++) {
    const device = chance.pick(i % 3 === 2 ? south : north);
    const ballot = { voterId: `voter-${i}`, selections: choose() };
    visits.push({ device, ballot });
    // Some try twice, at the same station or another one.
    if (chance.next() < 0.08) {
      visits.push({
        device: chance.pick(i % 3 === 2 ? south : north),
        ballot: { ...ballot, selections: choose() },
      });
    }
  }
  if (chance.next() < 0.3) {
    visits.push({ device: "n-1-a", ballot: { voterId: STRANGER, selections: choose() } });
  }
  const groups = new Map<string, typeof visits>();
  for (const visit of visits) {
    // A few come together, and their votes are sent as a batch.
    const at = chance.next() < 0.2 ? "batch" : String(visits.indexOf(visit));
    const key = `${visit.device}/${at}`;
    groups.set(key, [...groups.get(key) ?? [], visit]);
  }
  return [...groups.values()].map((group) => ({
    device: group[0]!.device,
    atMs: 500 + VOTING_MS * chance.next(),
    ballots: group.map(({ ballot }) => ballot),
  }));
}
