/**
 * Random elections to publish: who votes where, on what, and what happens meanwhile.
 *
 * @module
 */
import fc from "fast-check";
import { VOTING_MODES, type VotingMode } from "../../shared/mode.ts";

/** A ballot: one voter's, on the contests that the station has at that time. */
export type Ballot = Readonly<
  { voter: number; station: string; mode: VotingMode; contests: readonly string[] }
>;

/** What happens. `rebuild`: the log is counted again, and says something else of a few voters, or the same again. */
export type Step =
  | Readonly<{ what: "vote"; ballots: readonly Ballot[] }>
  | Readonly<{ what: "publish"; caughtUp: boolean }>
  | Readonly<{ what: "final" }>
  | Readonly<{ what: "rebuild"; without: readonly number[]; back: boolean }>;

/** An election's course. */
export type Script = Readonly<{
  k: number;
  beforeFinal: boolean;
  stations: readonly Readonly<{ id: string; region: string }>[];
  contests: readonly string[];
  steps: readonly Step[];
  /** What a voter chose: a candidate, or a blank. */
  choiceOf(voter: number, contest: string): string;
}>;

export function stationOf({ stations }: Script, id: string): { id: string; region: string } {
  return stations.find((station) => station.id === id)!;
}

/** The choices that voters have; the last is a blank ballot. */
const CHOICES = ["ann", "bob", "cyd", "#blank"];

/** Places of a vote, as shares: most vote in person at large stations, so that small cells are common. */
const place = fc.record({ station: fc.nat(1_000), mode: fc.nat(1_000), late: fc.nat(3) });

/** What happens in a while; with rebuilds in half of them, or without any. */
const roundWith = (rebuilds: boolean) =>
  fc.record({
    places: fc.array(place, { minLength: 1, maxLength: 30 }),
    rebuild: rebuilds
      ? fc.option(
        fc.record({ without: fc.array(fc.nat(10_000), { maxLength: 6 }), back: fc.boolean() }),
        { freq: 2 },
      )
      : fc.constant(null),
    caughtUp: fc.boolean(),
  });

/** Elections of up to 6 stations in up to 3 regions, with up to 3 contests, one of which may come amid voting. */
const scriptsOf = (rebuilds: boolean): fc.Arbitrary<Script> =>
  fc.record({
    k: fc.integer({ min: 2, max: 10 }),
    beforeFinal: fc.boolean(),
    regions: fc.integer({ min: 1, max: 3 }),
    stations: fc.integer({ min: 1, max: 6 }),
    /** Of contests after the first: at which stations (bits), and from which round on. */
    contests: fc.array(fc.record({ at: fc.integer({ min: 1, max: 63 }), from: fc.nat(4) }), { maxLength: 2 }),
    rounds: fc.array(roundWith(rebuilds), { minLength: 1, maxLength: 8 }),
    late: fc.array(roundWith(rebuilds), { maxLength: 5 }),
    seed: fc.nat(),
  }).map(({ k, beforeFinal, regions, stations, contests, rounds, late, seed }) => {
    const places = Array.from({ length: stations }, (_, i) => ({ id: `s-${i}`, region: `r-${i % regions}` }));
    const onBallot = (station: number, round: number) => [
      "c-0",
      ...contests.flatMap(({ at, from }, i) => (at >> station) & 1 && round >= from ? [`c-${i + 1}`] : []),
    ];
    let voters = 0;
    const stepsOf = (
      { places: chosen, rebuild, caughtUp }: (typeof rounds)[number],
      round: number,
    ): Step[] => {
      const ballots = chosen.map(({ station: s, mode: m }): Ballot => {
        // Squared: the first of each are chosen most often.
        const station = Math.floor((s / 1_001) ** 2 * stations);
        const mode = VOTING_MODES[Math.floor((m / 1_001) ** 3 * VOTING_MODES.length)];
        return { voter: voters++, station: places[station].id, mode, contests: onBallot(station, round) };
      });
      return [
        { what: "vote", ballots },
        ...rebuild === null ? [] : [{ what: "rebuild", ...rebuild } as const],
        { what: "publish", caughtUp },
      ];
    };
    const steps: Step[] = [
      ...rounds.flatMap(stepsOf),
      { what: "final" },
      // A handful at a time: late votes are few.
      ...late.flatMap((each, i) =>
        stepsOf({ ...each, places: each.places.slice(0, 1 + each.places[0].late * 3) }, rounds.length + i)
      ),
    ];
    return {
      k,
      beforeFinal,
      stations: places,
      contests: ["c-0", ...contests.map((_, i) => `c-${i + 1}`)],
      steps,
      choiceOf: (voter, contest) =>
        CHOICES[hash(seed, voter, contest.length + contest.charCodeAt(2)) % CHOICES.length],
    };
  });

/** Without rebuilds, and with many. */
export const calmScripts: fc.Arbitrary<Script> = scriptsOf(false);
export const rebuiltScripts: fc.Arbitrary<Script> = scriptsOf(true);

function hash(...values: number[]): number {
  let h = 0x811c9dc5;
  for (const value of values) h = Math.imul(h ^ value, 0x01000193) ^ (h >>> 15);
  return h >>> 0;
}

/** Where a script runs: a publisher that is told what happens. */
export interface Stage {
  vote(ballots: readonly Ballot[]): Promise<void> | void;
  publish(how: Readonly<{ final: boolean; caughtUp: boolean }>): Promise<void> | void;
  rebuild(ballots: readonly Ballot[]): Promise<void> | void;
}

/** Runs a script. `after` is called after each step that may have published something. */
export async function run(
  script: Script,
  stage: Stage,
  after: () => Promise<void> | void = () => {},
): Promise<void> {
  const all: Ballot[] = [];
  let gone: Ballot[] = [];
  let isFinal = false;
  for (const step of script.steps) {
    if (step.what === "vote") {
      all.push(...step.ballots);
      await stage.vote(step.ballots);
      continue;
    }
    if (step.what === "rebuild") {
      // A rebuild loses some voters, or brings all back that were lost.
      const back = step.back ? gone : [];
      gone = step.back ? [] : gone;
      all.push(...back);
      const lost = new Set(step.back ? [] : step.without.map((at) => at % all.length));
      gone.push(...all.filter((_, i) => lost.has(i)));
      all.splice(0, all.length, ...all.filter((_, i) => !lost.has(i)));
      await stage.rebuild(all);
    } else {
      isFinal ||= step.what === "final";
      await stage.publish({ final: isFinal, caughtUp: step.what === "publish" && step.caughtUp });
    }
    await after();
  }
}
