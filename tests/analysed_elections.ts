/**
 * Two elections that are easily taken for one another, counted and released, and what Pollwire's API says of them: for tests of what
 * analysts' tools read.
 *
 * @module
 */
import { readReconciliation } from "../aggregator/counting/reconciliation.ts";
import type { Database } from "../aggregator/database/database.ts";
import { Elections } from "../aggregator/registry/election_names.ts";
import { publish } from "../aggregator/results/publish.ts";
import { isFault, readResults } from "../aggregator/results/results.ts";
import { readTurnout, RollCounts } from "../aggregator/results/turnout.ts";
import type { ElectionDefinition } from "../shared/election.ts";
import { type BallotBox, fillBallotBox, openBallotBox } from "./ballot_box.ts";
import { NOON_MS, testDefinition } from "./fixture.ts";

/** Both have these names: of election, contests, regions, parties and candidates some are the same. */
function likeNames(): Partial<ElectionDefinition> {
  const { contests: [mayor, council], stations } = testDefinition();
  const [ann, bob, cyd] = mayor!.candidates;
  return {
    name: "Town",
    parties: [{ id: "red", name: "Red", colour: "#cc0000" }, { id: "blue", name: "Red", colour: "#0000cc" }],
    contests: [
      {
        ...mayor!,
        candidates: [{ ...ann!, name: "Ann" }, { ...bob!, name: "Ann" }, { ...cyd!, name: "Ann (ann)" }],
      },
      council!,
    ],
    regions: [{ id: "north", name: "Centre" }, { id: "south", name: "Centre" }],
    stations,
  };
}

/** k of each election. */
export const ANALYSED = { alpha: 1, beta: 3 } as const;

/** Counts votes in both elections, with everything that is not counted. */
export async function openAnalysedElections(db: Database): Promise<BallotBox[]> {
  const boxes: BallotBox[] = [];
  for (const [election, releaseThreshold] of Object.entries(ANALYSED)) {
    const box = await openBallotBox(db, election, { ...likeNames(), releaseThreshold });
    await fillBallotBox(box);
    await box.count();
    boxes.push(box);
  }
  return boxes;
}

/** Releases what may be released; `final`: everything. Twice, since a snapshot is published one later. */
export async function release(box: BallotBox, final: boolean): Promise<void> {
  const { releaseThreshold: threshold, resultsBeforeClosing } = box.history.newest.manifest;
  for (let round = 0; round < 2; round++) {
    await publish(box.db, {
      election: box.election,
      threshold,
      beforeFinal: resultsBeforeClosing,
      final,
      caughtUp: final,
      regionOf: (station) => box.history.newest.stations.get(station)?.region,
      all: true,
    }, new Date(NOON_MS + round * 60_000));
  }
}

/** Rows of the API, each as one line, by the view of 000077_analysts.sql that has the same. */
export type AnalysedRows = Record<
  "candidate_results" | "region_results" | "region_turnout" | "group_turnout" | "minute_turnout" | "outcomes",
  string[]
>;

/** Columns of each view that make its lines. */
export const LINE_COLUMNS: Record<keyof AnalysedRows, readonly string[]> = {
  candidate_results: ["election", "contest", "candidate", "votes"],
  region_results: ["election", "contest", "candidate", "region", "votes"],
  region_turnout: ["election", "region", "registered", "voters"],
  group_turnout: ["election", "kind", "value", "registered", "voters"],
  minute_turnout: ["election", "minute", "voters", "total"],
  outcomes: ["election", "fate", "reason", "records"],
};

/** What the API says. Candidates without votes in a region are left out. */
export async function apiRows(db: Database): Promise<AnalysedRows> {
  const names = new Elections();
  const roll = new RollCounts(() => NOON_MS);
  const lines: AnalysedRows = {
    candidate_results: [],
    region_results: [],
    region_turnout: [],
    group_turnout: [],
    minute_turnout: [],
    outcomes: [],
  };
  const add = (view: keyof AnalysedRows, ...values: readonly unknown[]) => lines[view].push(values.join(" "));
  for (const election of Object.keys(ANALYSED)) {
    for (const by of ["candidate", "region"] as const) {
      const results = await readResults(db, names, election, by);
      if (isFault(results)) throw new Error(JSON.stringify(results));
      for (const row of results.rows) {
        if (results.by === "candidate" && "candidate" in row) {
          add("candidate_results", election, row.contest, row.candidate, row.votes);
        } else if ("region" in row && "candidate" in row && row.votes > 0) {
          add("region_results", election, row.contest, row.candidate, row.region ?? "", row.votes);
        }
      }
    }
    for (const by of ["region", "age", "gender", "minute"] as const) {
      const turnout = (await readTurnout(db, names, roll, election, by))!;
      for (const row of turnout.rows as Record<string, unknown>[]) {
        if (by === "region") add("region_turnout", election, row.region, row.registered, row.voters);
        else if (by === "minute") add("minute_turnout", election, row.minute, row.voters, row.total);
        else add("group_turnout", election, by, row[by], row.registered, row.voters);
      }
    }
    const { outcomes } = await readReconciliation(db, election, 3, () => Promise.resolve(undefined));
    for (const { fate, reason, records } of outcomes) add("outcomes", election, fate, reason, records);
  }
  for (const each of Object.values(lines)) each.sort();
  return lines;
}
