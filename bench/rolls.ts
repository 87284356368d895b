/**
 * What a vote costs to count into PostgreSQL with few and with many voters on the roll, against `\\copy` of the
 * participations.
 *
 * @module
 */
import { COUNT_BATCH_RECORDS } from "../aggregator/counting/count.ts";
import { type Backlog, countBacklog, empty, prepareBacklog, RECORDS } from "./backlog.ts";
import { type Bench, type Benchmark, compare, perSecond, type Row } from "./measure.ts";
import { copyLine, copyParticipations } from "./psql.ts";
import { type RealServers, realServers } from "./real_servers.ts";

const ROUNDS = 3;
const ROLLS = [100_000, 5_000_000] as const;
/** What a vote may cost with the largest roll, of what it costs with the smallest: given as the ratio of their rates. */
const GOAL = { ratio: 1 / 1.5 };

/** Voters beside those of the backlog: their keys are as evenly spread as real ones. */
const MORE_VOTERS = `
  INSERT INTO counting.roll (election, voter_key, region, age_group, gender)
  SELECT $1, sha256(convert_to(n::text, 'UTF8')), 'region-1', '25-34', 'female'
  FROM generate_series($2::int, $3::int - 1) AS n`;

/** See the module. */
export const rolls: Benchmark = {
  name: "rolls",
  work: `records counted into PostgreSQL, ${ROLLS[0].toLocaleString("en")} and ${
    ROLLS[1].toLocaleString("en")
  } voters on the roll; floor: \\copy of the participations`,
  on: "servers",
  async run(bench) {
    const real = await realServers(bench, "rolls", { connections: 2, index: false });
    const backlog = await prepareBacklog(real.db);
    const file = await writeParticipations(bench, backlog);
    const rows: Row[] = [];
    let before = RECORDS;
    for (const voters of ROLLS) {
      await growRoll(bench, real, backlog, before, voters);
      rows.push(await row(bench, real, backlog, file, voters));
      before = voters;
    }
    const [small, large] = [rows[0]!, rows[1]!];
    return [...rows, {
      ...large,
      of: `${large.of}, against ${small.of}`,
      floor: small.value,
      // Of ratios, since each was taken against the floor of its own rounds.
      ratio: large.ratio! / small.ratio!,
      goal: GOAL,
    }];
  },
};

/** The participations as COPY reads them. */
async function writeParticipations(bench: Bench, { history, participations }: Backlog): Promise<string> {
  // A voter's later votes are no participations, and COPY would stop at them.
  const first = new Map(participations.flat().toReversed().map((each) => [each.voterKey, each]));
  const path = `${bench.directory}/rolls/participations`;
  await Deno.mkdir(`${bench.directory}/rolls`, { recursive: true });
  await Deno.writeTextFile(
    path,
    first.values().map((each) => copyLine(history.election, each)).toArray().join(""),
  );
  return path;
}

async function growRoll(
  bench: Bench,
  { db }: RealServers,
  { history }: Backlog,
  before: number,
  voters: number,
): Promise<void> {
  bench.log(`rolls: ${voters.toLocaleString("en")} voters on the roll`);
  await db.query(MORE_VOTERS, [history.election, before, voters]);
  await db.query("VACUUM ANALYZE counting.roll");
  await db.query("CHECKPOINT");
}

async function row(
  bench: Bench,
  { db, target }: RealServers,
  backlog: Backlog,
  file: string,
  voters: number,
): Promise<Row> {
  const compared = await compare(ROUNDS, async () => {
    await empty(db);
    return await perSecond(RECORDS, () => copyParticipations(target, file));
  }, async (round) => {
    await empty(db);
    const rate = await perSecond(RECORDS, () => countBacklog(db, backlog, COUNT_BATCH_RECORDS));
    bench.log(`rolls: round ${round} of ${ROUNDS}: ${Math.round(rate)} votes/s`);
    return rate;
  });
  return {
    benchmark: "rolls",
    of: `${voters.toLocaleString("en")} on the roll`,
    ...compared,
    unit: "votes/s",
  };
}
