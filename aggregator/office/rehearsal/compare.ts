/**
 * Compares what was counted and published in a rehearsal with what the deck says, cell by cell, and the rehearsal's definition with
 * the real one.
 *
 * @module
 */
import type { Manifest } from "../../../shared/election.ts";
import { logEnds } from "../../../shared/log/vote_log.ts";
import { MARK } from "../../../shared/marks.ts";
import { CELL_VOTES } from "../../counting/layouts.ts";
import { readLag } from "../../counting/reconciliation.ts";
import type { Query } from "../../database/database.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { readDeviceStations } from "../../registry/stored_definition.ts";
import type { OfficeSources } from "../sources.ts";
import { cellName, type Deck, type DeckTotal, parseDeck } from "./deck.ts";
import {
  type Difference,
  readDeck,
  readReports,
  type Rehearsal,
  type RehearsalReport,
  writeReport,
} from "./store.ts";

/** Numbers by what they are of. */
type Numbers = ReadonlyMap<string, number>;

/** Makes and signs a comparison. */
export async function compareRehearsal(
  { db, keys, openLog }: OfficeSources,
  election: string,
  { rehearsal, deckSha256, isPublished }: Rehearsal,
  account: string,
  now: Date,
): Promise<RehearsalReport & { isPublished: boolean }> {
  const manifest = (await newestManifest(db.query, rehearsal))!;
  const deck = parseDeck(await readDeck(db.query, rehearsal));
  const ends = await logEnds(await openLog(rehearsal, manifest.partitions));
  return await db.transaction(async (query) => {
    const real = (await newestManifest(query, election))!;
    const reports = await readReports(query, rehearsal);
    const isProved = reports.some(({ kind, differences }) => kind === "zero" && differences === 0);
    const unread = await readLag(query, rehearsal, ends);
    const lines = [
      ...isProved ? [] : [{ what: "proof of zero", expected: "made before the first vote", found: "none" }],
      ...unread === 0 ? [] : [{ what: "entries on the log that were not read", expected: 0, found: unread }],
      ...compareNumbers("outcome", outcomesOf(deck), await readOutcomes(query, rehearsal)),
      ...compareNumbers("counted", cellsOf(deck), await readCells(query, rehearsal)),
      ...isPublished
        ? compareNumbers("published", contestsOf(deck), await readPublished(query, rehearsal))
        : [],
      ...compareNames(deck, manifest),
      ...compareDefinitions(real, manifest),
      ...await compareDevices(query, election, rehearsal),
    ];
    const report = await writeReport(query, {
      rehearsal,
      kind: "comparison",
      differences: lines,
      facts: { of: election, deckSha256, isPublished, cells: deck.totals.length, outcomes: deck.outcomes },
      account,
      now,
      notes: keys.notes,
    });
    return { ...report, isPublished };
  });
}

/** The lines in which two lists of numbers differ. What is in one only is 0 in the other. */
export function compareNumbers(kind: string, expected: Numbers, found: Numbers): Difference[] {
  const all = [...new Set([...expected.keys(), ...found.keys()])].sort();
  return all.flatMap((key) => {
    const [is, must] = [found.get(key) ?? 0, expected.get(key) ?? 0];
    return is === must ? [] : [{ what: `${kind} ${key}`, expected: must, found: is }];
  });
}

function sum<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  numberOf: (row: Row) => number,
): Numbers {
  const sums = new Map<string, number>();
  for (const row of rows) sums.set(keyOf(row), (sums.get(keyOf(row)) ?? 0) + numberOf(row));
  return sums;
}

function cellsOf({ totals }: Deck): Numbers {
  return sum(totals, cellName, ({ votes }) => votes);
}

const contestName = ({ contest, candidate }: Pick<DeckTotal, "contest" | "candidate">) =>
  `${contest}/${candidate}`;

function contestsOf({ totals }: Deck): Numbers {
  return sum(totals, contestName, ({ votes }) => votes);
}

function outcomesOf({ outcomes }: Deck): Numbers {
  return new Map(Object.entries(outcomes));
}

async function readCells(query: Query, election: string): Promise<Numbers> {
  const rows = await query<DeckTotal>(
    `SELECT station, mode, contest, candidate, sum(votes)::float8 AS votes FROM ${CELL_VOTES} v
     WHERE election = $1 AND (candidate NOT LIKE '#%' OR candidate IN ($2, $3)) GROUP BY 1, 2, 3, 4`,
    [election, MARK.blank, MARK.undervotes],
  );
  return sum(rows, cellName, ({ votes }) => votes);
}

async function readPublished(query: Query, election: string): Promise<Numbers> {
  const rows = await query<Pick<DeckTotal, "contest" | "candidate" | "votes">>(
    `SELECT contest, candidate, votes::float8 AS votes FROM results.candidate_votes
     WHERE election = $1 AND contest NOT LIKE '#%' AND (candidate NOT LIKE '#%' OR candidate IN ($2, $3))`,
    [election, MARK.blank, MARK.undervotes],
  );
  return sum(rows, contestName, ({ votes }) => votes);
}

/** What became of records. The same vote again is no difference: devices send until they have an answer. */
async function readOutcomes(query: Query, election: string): Promise<Numbers> {
  const rows = await query<{ outcome: string; records: number }>(
    `SELECT CASE WHEN fate = 'counted' THEN fate WHEN reason = 'double_vote' THEN reason ELSE fate || '/' || reason END AS outcome,
       sum(records)::float8 AS records
     FROM counting.outcome_counts WHERE election = $1 AND fate <> 'statement' AND reason <> 'retransmission' GROUP BY 1`,
    [election],
  );
  return sum(rows, ({ outcome }) => outcome, ({ records }) => records);
}

/** Names and order on ballots, as the deck has them. */
export function compareNames(
  { candidates }: Pick<Deck, "candidates">,
  { contests }: Pick<Manifest, "contests">,
): Difference[] {
  const none = "none";
  const known = new Set(contests.map(({ id }) => id));
  const onBallots = [
    ...contests.map(({ id, candidates }) => ({
      id,
      names: candidates.map(({ id, name }) => ({ id, name })),
    })),
    ...[...new Set(candidates.map(({ contest }) => contest))].filter((id) => !known.has(id))
      .map((id) => ({ id, names: [] })),
  ];
  return onBallots.flatMap(({ id: contest, names }) => {
    const written = candidates.filter((each) => each.contest === contest);
    return Array.from({ length: Math.max(names.length, written.length) }, (_, i): Difference[] => {
      const [must, is] = [written[i], names[i]];
      const expected = must === undefined ? none : `${must.candidate} ${must.name}`;
      const found = is === undefined ? none : `${is.id} ${is.name}`;
      return expected === found ? [] : [{ what: `ballot ${contest}, place ${i + 1}`, expected, found }];
    }).flat();
  });
}

/** What a rehearsal has of the real election. Hours, names and keys are its own. */
const SAME = [
  "parties",
  "contests",
  "regions",
  "stations",
  "gateways",
  "partitions",
  "releaseThreshold",
  "resultsBeforeClosing",
  "withheld",
  "projection",
] as const satisfies readonly (keyof Manifest)[];

/** Whether officials have changed the real election since. */
function compareDefinitions(real: Manifest, manifest: Manifest): Difference[] {
  return SAME.filter((field) => JSON.stringify(real[field]) !== JSON.stringify(manifest[field]))
    .map((field) => ({
      what: `definition: ${field}`,
      expected: `as in version ${real.version} of ${real.election}`,
      found: "another",
    }));
}

async function compareDevices(query: Query, election: string, rehearsal: string): Promise<Difference[]> {
  const [real, own] = await Promise.all([
    readDeviceStations(query, election),
    readDeviceStations(query, rehearsal),
  ]);
  const stationOf = new Map(own.map(({ device, station }) => [device, station]));
  return real.flatMap(({ device, station }) => {
    const found = stationOf.get(device) ?? "not there";
    return found === station ? [] : [{ what: `device ${device}`, expected: station, found }];
  });
}
