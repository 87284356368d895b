/**
 * Compares the publisher's SQL with the publisher in memory that release_attack_test.ts attacks, and every answer with what the
 * releases say: whatever is read of an election can be worked out from its releases, so it tells nothing more.
 */
import assert from "assert";
import fc from "fast-check";
import type { Release } from "../aggregator/results/schemas.ts";
import { oneForAll } from "../aggregator/database/database.ts";
import { Elections } from "../aggregator/registry/election_names.ts";
import { rebuildIndices } from "../aggregator/results/index/rebuild_index.ts";
import { LabelResolver } from "../aggregator/results/index/label_resolver.ts";
import { INDEX_NAMES } from "../aggregator/results/index/templates.ts";
import { releasesSince } from "../aggregator/results/releases.ts";
import { isFault, readResults } from "../aggregator/results/results.ts";
import { ViewWriter } from "../aggregator/results/topics.ts";
import { readTurnout, RollCounts } from "../aggregator/results/turnout.ts";
import * as rules from "../aggregator/results/units.ts";
import { ALL_VOTERS, MARK } from "../shared/marks.ts";
import { MemoryIndex } from "./memory_index.ts";
import { MemoryViews } from "./memory_views.ts";
import { ModelPublisher } from "./release_attack/model.ts";
import { calmScripts, rebuiltScripts, run, type Script, stationOf } from "./release_attack/scripts.ts";
import { SqlStage } from "./release_attack/sql_stage.ts";
import { testDatabase } from "./test_database.ts";

const db = await testDatabase();
/** Elections of each kind; the whole of `ATTACK_ELECTIONS` would take an hour. */
const ELECTIONS = 12;
let elections = 0;

type Numbers = Record<string, number>;

/** What the model shows: by unit, contest and choice. */
function shownByModel(model: ModelPublisher, script: Script): Numbers {
  const numbers: Numbers = {};
  for (const contest of model.contests) {
    for (const [unit, voters] of model.shown(contest)) {
      for (const [voter, n] of voters) {
        const choices = contest === ALL_VOTERS
          ? [MARK.ballots]
          : [MARK.ballots, script.choiceOf(voter, contest)];
        for (const choice of choices) {
          const key = `${unit} ${contest} ${choice}`;
          numbers[key] = (numbers[key] ?? 0) + n;
        }
      }
    }
  }
  return sorted(numbers);
}

/** What stands by the releases, read from the first on as a listener of the stream does: sums of what each added. */
function sumOf(releases: readonly Release[]): Numbers {
  const numbers: Numbers = {};
  const add = (key: string, n: number) => numbers[key] = (numbers[key] ?? 0) + n;
  for (const { unit, addedVoters, votes, contests } of releases) {
    add(`${unit} ${ALL_VOTERS} ${MARK.ballots}`, addedVoters);
    for (const { contest, candidate, added } of votes) add(`${unit} ${contest} ${candidate}`, added);
    for (const { contest, addedBallots, addedBlanks, addedUndervotes } of contests) {
      add(`${unit} ${contest} ${MARK.ballots}`, addedBallots);
      add(`${unit} ${contest} ${MARK.blank}`, addedBlanks);
      assert.equal(addedUndervotes, addedBlanks, "one choice is allowed");
    }
  }
  return sorted(numbers);
}

/** In order, and without zeros. */
function sorted(numbers: Numbers): Numbers {
  return Object.fromEntries(
    Object.entries(numbers).filter(([, n]) => n !== 0).sort(([a], [b]) => a < b ? -1 : 1),
  );
}

/** Adds numbers up under other keys. */
function group(
  numbers: Numbers,
  keyOf: (unit: string, contest: string, choice: string) => string | undefined,
): Numbers {
  const sums: Numbers = {};
  for (const [key, n] of Object.entries(numbers)) {
    const [unit, contest, choice] = key.split(" ");
    const to = keyOf(unit, contest, choice);
    if (to !== undefined) sums[to] = (sums[to] ?? 0) + n;
  }
  return sorted(sums);
}

/** Every answer about an election, compared with its releases. */
async function compareAnswers(stage: SqlStage, releases: readonly Release[]): Promise<void> {
  const { election, script } = stage;
  const units = new Map(releases.map((release) => [release.unit, release]));
  const shown = sumOf(releases);
  const isVote = (contest: string, choice: string) => contest !== ALL_VOTERS && !choice.startsWith("#");
  const names = new Elections();
  const results = async (by: "candidate" | "party" | "region" | "station" | "time") => {
    const answer = await readResults(db, names, election, by);
    assert(!isFault(answer));
    return answer;
  };
  const numbers = (rows: readonly unknown[], keyOf: (row: any) => string, of = "votes") => {
    const sums: Numbers = {};
    for (const row of rows as any[]) sums[keyOf(row)] = (sums[keyOf(row)] ?? 0) + row[of];
    return sorted(sums);
  };

  const candidates = await results("candidate");
  assert(candidates.by === "candidate");
  const byCandidate = group(
    shown,
    (_, contest, choice) => isVote(contest, choice) ? `${contest} ${choice}` : undefined,
  );
  assert.deepEqual(numbers(candidates.rows, (row) => `${row.contest} ${row.candidate}`), byCandidate);
  assert.deepEqual(
    numbers(candidates.contests, ({ contest }) => contest, "ballots"),
    group(
      shown,
      (_, contest, choice) => contest !== ALL_VOTERS && choice === MARK.ballots ? contest : undefined,
    ),
  );
  assert.equal(
    candidates.voters,
    group(shown, (_, contest) => contest === ALL_VOTERS ? "all" : undefined).all ?? 0,
  );
  const partyOf: Record<string, string> = { ann: "red", bob: "blue", cyd: "null" };
  assert.deepEqual(
    numbers((await results("party")).rows, ({ party }) => String(party)),
    group(shown, (_, contest, choice) => isVote(contest, choice) ? partyOf[choice] : undefined),
  );
  const regions = await results("region");
  assert(regions.by === "region");
  assert.deepEqual(
    numbers(regions.regions, ({ region }) => String(region), "voters"),
    group(shown, (unit, contest) => contest === ALL_VOTERS ? String(units.get(unit)!.region) : undefined),
  );
  assert.deepEqual(
    numbers(regions.rows, (row) => `${row.region} ${row.contest} ${row.candidate}`),
    group(
      shown,
      (unit, contest, choice) =>
        isVote(contest, choice) ? `${units.get(unit)!.region} ${contest} ${choice}` : undefined,
    ),
  );
  assert.deepEqual(
    numbers((await results("station")).rows, (row) => `${row.unit} ${row.contest} ${row.candidate}`),
    group(
      shown,
      (unit, contest, choice) => isVote(contest, choice) ? `${unit} ${contest} ${choice}` : undefined,
    ),
  );
  // by=time: what was added, minute by minute, comes to what stands.
  assert.deepEqual(
    numbers((await results("time")).rows, (row) => `${row.contest} ${row.candidate}`),
    byCandidate,
  );
  await compareTurnout(stage, shown, units);
  assert(script.k > 1);
}

async function compareTurnout(
  { election, script }: SqlStage,
  shown: Numbers,
  units: ReadonlyMap<string, Release>,
): Promise<void> {
  const names = new Elections();
  const turnout = async (by: "region" | "station" | "minute" | "age" | "gender") =>
    (await readTurnout(db, names, new RollCounts(() => 0), election, by))!;
  const final =
    (await db.query("SELECT FROM results.elections WHERE election = $1 AND final_at IS NOT NULL", [
      election,
    ])).length > 0;
  for (const by of ["region", "station"] as const) {
    const { rows } = await turnout(by);
    const found = sorted(Object.fromEntries((rows as any[]).map((row) => [row[by], row.voters])));
    if (script.beforeFinal || final) {
      const place = (unit: string) => units.get(unit)![by];
      assert.deepEqual(
        found,
        group(shown, (unit, contest) => contest === ALL_VOTERS ? place(unit) ?? undefined : undefined),
        by,
      );
    } else for (const voters of Object.values(found)) assert.equal(voters % script.k, 0, by);
  }
  for (const by of ["minute", "age", "gender"] as const) {
    for (const { voters } of (await turnout(by)).rows as any[]) assert.equal(voters % script.k, 0, by);
  }
}

/** Topics and index, compared with the releases. */
async function compareViews({ election }: SqlStage, releases: readonly Release[]): Promise<void> {
  const shown = sumOf(releases);
  const views = new MemoryViews();
  const writer = new ViewWriter(views, oneForAll(db));
  while (await writer.step());
  await writer.release();
  const tallies: Numbers = {};
  for (const [key, row] of Object.entries(views.standing())) {
    if (key.startsWith(`tallies ${election}/`)) {
      const { contest, candidate, votes } = row as any;
      if (candidate !== MARK.undervotes) tallies[`${contest} ${candidate}`] = votes;
    }
    if (key.startsWith(`turnout ${election}/`)) assert.equal((row as any).voters, 0, "nobody is on the roll");
  }
  const byChoice = group(
    shown,
    (_, contest, choice) => contest === ALL_VOTERS ? undefined : `${contest} ${choice}`,
  );
  assert.deepEqual(sorted(tallies), byChoice);

  const index = new MemoryIndex();
  await index.prepare();
  await rebuildIndices({ db, index, resolver: new LabelResolver() }, INDEX_NAMES);
  const own = (name: (typeof INDEX_NAMES)[number]) =>
    [...index.documents(name)].filter(([, fields]) => fields.election === election);
  const sums = (
    name: (typeof INDEX_NAMES)[number],
    field: string,
    keyOf: (id: string, fields: any) => string,
  ) => {
    const found: Numbers = {};
    for (const [id, fields] of own(name)) {
      found[keyOf(id, fields)] = (found[keyOf(id, fields)] ?? 0) + Number(fields[field]);
    }
    return sorted(found);
  };
  const isVote = (contest: string, choice: string) => contest !== ALL_VOTERS && !choice.startsWith("#");
  const unitOf = (id: string, contest: string) =>
    id.slice(election.length + 1, id.lastIndexOf(`/${contest}`));
  assert.deepEqual(
    sums(
      "tallies",
      "votes",
      (id, { contest, candidate }) => `${unitOf(id, `${contest}/${candidate}`)} ${contest} ${candidate}`,
    ),
    group(
      shown,
      (unit, contest, choice) => isVote(contest, choice) ? `${unit} ${contest} ${choice}` : undefined,
    ),
  );
  assert.deepEqual(
    sums("ballots", "ballots", (id, { contest }) => `${unitOf(id, contest)} ${contest}`),
    group(
      shown,
      (unit, contest, choice) =>
        contest !== ALL_VOTERS && choice === MARK.ballots ? `${unit} ${contest}` : undefined,
    ),
  );
  assert.deepEqual(
    sums("released-votes", "added_votes", (_, { contest, candidate }) => `${contest} ${candidate}`),
    group(shown, (_, contest, choice) => isVote(contest, choice) ? `${contest} ${choice}` : undefined),
  );
  const voters = group(shown, (_, contest) => contest === ALL_VOTERS ? "all" : undefined);
  assert.deepEqual(sums("releases", "added_voters", () => "all"), voters);
  assert.deepEqual(sums("turnout-per-minute", "voters", () => "all"), voters);
}

for (const [which, scripts] of [["", calmScripts], [" with rebuilds", rebuiltScripts]] as const) {
  Deno.test(`publish() shows what the publisher in memory shows, of ${ELECTIONS} random elections${which}, and no answer tells more`, async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const stage = await SqlStage.open(db, `attacked-${elections++}`, script);
        const model = new ModelPublisher(script, rules);
        const releases: Release[] = [];
        await run(script, {
          async vote(ballots) {
            model.count(ballots);
            await stage.vote(ballots);
          },
          async publish(how) {
            model.publish(how);
            await stage.publish(how);
          },
          async rebuild(ballots) {
            model.rebuild(ballots);
            await stage.rebuild(ballots);
          },
        }, async () => {
          const after = releases.at(-1)?.revision ?? 0;
          const more = await releasesSince(db.query, stage.election, after, 1_000);
          const regionOf = ({ station, region }: Release) =>
            station === null ? region : stationOf(script, station).region;
          releases.push(...more.map((release) => ({ ...release, region: regionOf(release) })));
          assert.deepEqual(sumOf(releases), shownByModel(model, script));
        });
        await compareAnswers(stage, releases);
        await compareViews(stage, releases);
      }),
      { numRuns: ELECTIONS, endOnFailure: true },
    );
  });
}
