/**
 * An election in which everything is as it should be: 64 voters at four stations, counted, stated and published to the end. For tests
 * that break it.
 *
 * @module
 */
import { publish } from "../aggregator/results/publish.ts";
import type { Database } from "../aggregator/database/database.ts";
import type { ElectionDefinition } from "../shared/election.ts";
import type { VotingMode } from "../shared/mode.ts";
import { type BallotBox, openBallotBox, testVoters } from "./ballot_box.ts";
import { testDevice } from "./fixture.ts";

/** When it is checked: the acceptance window is over. */
export const CHECKED_AT = new Date("2026-11-03T23:30:00.000Z");

/** A voter's ballot. */
type TestBallot = Readonly<
  { station: string; gateway: string; mode: VotingMode; selections: { contest: string; candidate: string }[] }
>;

/** What the voter `voter-${i}` casts: 30 at n-1, 13 at n-2, 11 at s-1, 10 at s-2. */
function ballotOf(i: number): TestBallot {
  const at = Math.floor(i / 3);
  const isSouth = i % 3 === 2;
  const station = isSouth ? at < 11 ? "s-1" : "s-2" : at < 15 ? "n-1" : "n-2";
  const mayor = { contest: "mayor", candidate: ["ann", "bob", "cyd"][i % 4 % 3]! };
  const council = [["dan", "eve"], ["eve", "fay"], ["dan"]][i % 3]!.map((candidate) => ({
    contest: "council",
    candidate,
  }));
  return {
    station,
    gateway: isSouth ? "g-2" : "g-1",
    mode: i % 5 === 0 && station !== "n-1" ? "absentee" : "in_person",
    selections: station === "n-2" ? [mayor] : [mayor, ...council],
  };
}

/** Opens it. With k = 1 unless the change says otherwise. */
export async function openCheckedElection(
  db: Database,
  election: string,
  change: Partial<ElectionDefinition> = {},
): Promise<BallotBox> {
  const box = await openBallotBox(db, election, { releaseThreshold: 1, ...change });
  await box.enrol(testVoters(64));
  for (let i = 0; i < 64; i++) {
    const { gateway, station, mode, selections } = ballotOf(i);
    await box.cast(`voter-${i}`, { station, mode, selections, device: testDevice(station) }, gateway);
  }
  await box.log.append(["g-1", "g-2"].map((gateway) => ({ ...box.state(gateway), partition: 0 })));
  await box.count(64);
  const { stations, releaseThreshold } = box.history.newest.manifest;
  const regions = new Map(stations.map(({ id, region }) => [id, region]));
  const policy = {
    election,
    threshold: releaseThreshold,
    beforeFinal: true,
    final: true,
    caughtUp: true,
    regionOf: (station: string) => regions.get(station),
    all: true,
  };
  await publish(db, policy, CHECKED_AT);
  return box;
}
