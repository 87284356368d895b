/**
 * `replay FILE.csv`: casts every vote of a file of precinct results through a whole stack, and compares
 * what comes out with the file, number by number.
 *
 * @module
 */
import { type Command, InvalidArgumentError } from "commander";
import { command, Failure, integerOption, numberOption, UsageError } from "../../cli/command.ts";
import { duration, progress } from "../../cli/progress.ts";
import { Aggregator, type StationRow } from "../run/aggregator.ts";
import { systemClock } from "../../device/clock.ts";
import { type Device, DEVICE_LIMITS, type VoteText } from "../../device/device.ts";
import type { Delivery } from "../../device/delivery.ts";
import { freeElectionId } from "../run/directory.ts";
import { addHttpsOptions, clientTls, type HttpsOptions, stackTls } from "../processes/https.ts";
import { addServersOptions, serversOf, type ServersOptions } from "../processes/servers.ts";
import { openPolls, readDevicesFile } from "../voting/polls.ts";
import {
  chooseContests,
  electionIdOf,
  type PrecinctElection,
  precinctElection,
  type PrecinctStation,
  stationBatches,
} from "../precincts/election.ts";
import { readPrecincts } from "../precincts/precincts.ts";
import type { PrecinctOptions } from "../precincts/reading.ts";
import { summarise, summaryLines } from "../precincts/summary.ts";
import type { PrecinctTable } from "../precincts/table.ts";
import { seededRandom } from "../random.ts";
import { writeRoll } from "../voting/roll.ts";
import { differenceLines, number, spellMemory, spellReconciliation } from "../run/report.ts";
import { indexedResults } from "./indexed.ts";
import { amidChaos, chaosOf, hoursAround, interruptible, onStack } from "../run/run.ts";
import { slug } from "../slug.ts";
import { peakMemoryOf, PollwireProcesses } from "../processes/pollwire.ts";
import { compareResults } from "../ledger/verdict.ts";
import { Differences } from "../run/differences.ts";
import { isReadThrough, settleDifferences, waitForReconciliation } from "../run/wait.ts";
import type { Fetch } from "../../device/post.ts";
import { eachOf } from "../workers.ts";

/** The options of `replay`, as they are typed. */
type ReplayOptions =
  & HttpsOptions
  & ServersOptions
  & Readonly<{
    contest?: string;
    allContests?: boolean;
    batch: number;
    inFlight: number;
    killEvery?: number;
    seed: number;
    data: string;
    election?: string;
    check?: boolean;
    json?: boolean;
  }>
  & PrecinctOptions;

/** Maximum votes that `--seats` gives a contest. */
const MAX_SEATS = 100;
/** How long results may differ without a change before that is the result, in milliseconds. */
const RELEASED_WITHIN_MS = 20_000;
const ELECTION_ID_CHARS = 56;

/** The command `replay`. */
export function replayCommand(): Command {
  const replaying = command(
    "replay",
    "Casts every vote of a file of precinct results, and compares what comes out with the file.",
  );
  return addServersOptions(addHttpsOptions(replaying))
    .argument("<file>", "precinct results as OpenElections publishes them (CSV)")
    .option("--contest <name>", "the contest to replay, by name or id (default: the one with most votes)")
    .option("--all-contests", "all contests of the file, on one ballot a voter")
    .addOption(
      integerOption("--batch <votes>", "votes a request", { min: 1, max: DEVICE_LIMITS.batchVotes }).default(
        500,
      ),
    )
    .addOption(
      integerOption("--in-flight <batches>", "batches under way at once", { min: 1, max: 64 }).default(4),
    )
    .addOption(
      numberOption("--kill-every <seconds>", "kill -9 one of the processes so often", { min: 1, max: 3_600 }),
    )
    .addOption(integerOption("--seed <number>", "of the kills", { min: 0, max: 2 ** 31 }).default(1))
    .option(
      "--data <dir>",
      "where the stack keeps its data; what is there already stays",
      Deno.env.get("POLLWIRE_DATA") || "./data",
    )
    .option("--election <id>", "the election's id (default: from the file's name; -2, -3 … when it is taken)")
    .option("--check", "cast nothing: say what would be cast, and end with 1 if the file would be refused")
    .option("--json", "with --check: print it as JSON")
    .addOption(
      choiceOption("--votes <what>", "what votes is beside columns of modes", ["auto", "total", "rest"]),
    )
    .addOption(
      choiceOption("--repeated <what>", "lines for the same precinct, contest and candidate", [
        "refuse",
        "add",
        "once",
      ]),
    )
    .addOption(
      choiceOption("--suppressed <what>", "precincts with suppressed counts", ["refuse", "leave-out"]),
    )
    .addOption(
      choiceOption("--primary <what>", "whether each party has its own contest for an office", [
        "auto",
        "yes",
        "no",
      ]),
    )
    .addOption(
      choiceOption("--totals <what>", "candidates whose votes are the sum of all others", [
        "refuse",
        "leave-out",
        "keep",
      ]),
    )
    .addOption(
      command("", "").createOption(
        "--seats <contest=number>",
        "how many votes a contest allows; may be given again",
      )
        .argParser(parseSeats),
    )
    .addHelpText(
      "after",
      "\nThe last line says votes, stations and differences; the exit code is 1 when there are any.",
    )
    .action(async (file: string, options: ReplayOptions) =>
      await interruptible((signal) => replay(file, options, signal))
    );
}

function choiceOption(flags: string, description: string, choices: string[]) {
  return command("", "").createOption(flags, description).choices(choices).default(choices[0]);
}

function parseSeats(text: string, before: ReadonlyMap<string, number> = new Map()): Map<string, number> {
  const [, contest, number] = /^(.+)=(\d{1,3})$/.exec(text) ?? [];
  const seats = Number(number);
  if (contest === undefined || !(seats >= 1 && seats <= MAX_SEATS)) {
    throw new InvalidArgumentError(`It must be a contest and a number from 1 to ${MAX_SEATS}, like mayor=1.`);
  }
  return new Map([...before, [contest.trim(), seats]]);
}

/** `replay --check`: reads the file as a replay would, and says what it would cast. */
async function check(file: string, options: ReplayOptions): Promise<void> {
  try {
    const table = await readPrecincts(file, options);
    const chosen = chooseContests(table, { contest: options.contest, all: options.allContests });
    const frame = { election: "check", name: "Check", ...hoursAround(Date.now()) };
    precinctElection(table, chosen, frame);
    const summary = summarise(table);
    console.log(options.json ? JSON.stringify(summary) : summaryLines(summary).join("\n"));
  } catch (error) {
    if (error instanceof UsageError) throw new Failure(error.message);
    throw error;
  }
}

async function replay(file: string, options: ReplayOptions, signal: AbortSignal): Promise<void> {
  if (options.json && !options.check) {
    throw new UsageError("--json says what --check finds: give --check too");
  }
  if (options.allContests && options.contest !== undefined) {
    throw new UsageError("give --contest or --all-contests, not both");
  }
  if (options.check) return await check(file, options);
  const servers = serversOf(options);
  const table = await readPrecincts(file, options);
  const chosen = chooseContests(table, { contest: options.contest, all: options.allContests });
  const dataDir = await absolute(options.data);
  const wanted = slug(options.election ?? electionIdOf(file), ELECTION_ID_CHARS);
  const id = await freeElectionId(dataDir, wanted, servers?.aggregators.KEYS_DIRECTORY);
  const election = precinctElection(table, chosen, {
    election: id,
    name: `Replay of ${file.split("/").at(-1)}`,
    ...hoursAround(Date.now()),
  });
  describe(table, chosen, election, options);
  const stack = new PollwireProcesses({
    dataDir,
    gateways: election.definition.gateways.map(({ id }) => id),
    clock: systemClock,
    aggregators: options.aggregators,
    servers,
    tls: stackTls(options),
  });
  let verdict: Verdict;
  try {
    await provision(stack, dataDir, election);
    verdict = await onStack(stack, () => castAndCompare(stack, dataDir, election, options, signal));
  } finally {
    await stack.stop();
  }
  for (const text of stack.unexpected) verdict.differences.add(text);
  if (signal.aborted) return;
  report(verdict, election, stack);
}

async function absolute(dir: string): Promise<string> {
  await Deno.mkdir(dir, { recursive: true });
  return await Deno.realPath(dir);
}

function describe(
  table: PrecinctTable,
  chosen: readonly number[],
  election: PrecinctElection,
  options: ReplayOptions,
): void {
  for (const line of summaryLines(summarise(table))) console.log(line);
  const { contests, regions, stations, election: id } = election.definition;
  if (table.contests.length > 1 && options.contest === undefined && !options.allContests) {
    const { id, votes } = table.contests[chosen[0]!]!;
    console.log(
      `the file has ${table.contests.length} contests; this is ${id}, with most votes (${number(votes)}). ` +
        `Choose with --contest, or take all with --all-contests`,
    );
  }
  console.log(
    `${id}: ${contests.length === 1 ? contests[0]!.name : `${contests.length} contests`}, ` +
      `${contests.reduce((sum, { candidates }) => sum + candidates.length, 0)} candidates, ` +
      `${regions.length} regions, ${stations.length} stations, ${number(election.voters)} voters`,
  );
}

async function provision(
  stack: PollwireProcesses,
  dataDir: string,
  election: PrecinctElection,
): Promise<void> {
  const startedMs = performance.now();
  const directory = `${dataDir}/replays/${election.definition.election}`;
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/definition.json`, JSON.stringify(election.definition, undefined, 1));
  await writeRoll(`${directory}/roll.csv`, election.roll());
  await stack.provision(`${directory}/definition.json`, `${directory}/roll.csv`);
  console.log(`provisioned in ${duration((performance.now() - startedMs) / 1_000)}`);
}

type Verdict = Readonly<{ counted: number; differences: Differences }>;

async function castAndCompare(
  stack: PollwireProcesses,
  dataDir: string,
  election: PrecinctElection,
  options: ReplayOptions,
  signal: AbortSignal,
): Promise<Verdict> {
  const { definition, voters } = election;
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: options.inFlight, ...clientTls(options) });
  const differences = new Differences();
  try {
    const http = (url: string, init: RequestInit) => fetch(url, { ...init, client });
    const aggregator = new Aggregator(stack.aggregators, http);
    const file = await readDevicesFile(`${dataDir}/devices/${definition.election}.json`);
    const random = seededRandom(options.seed, "devices");
    const world = { fetch: http, clock: systemClock, random, uuid: () => crypto.randomUUID(), signal };
    const polls = openPolls(file, definition, stack.gateways, world);
    const bar = progress({ label: "casting", total: voters, unit: "votes" });
    const chaos = chaosOf(options, bar.note);
    const startedMs = performance.now();
    const { result, kills } = await amidChaos(stack, chaos, async () => {
      await cast(election, polls, options, differences, bar.advance);
      return performance.now();
    });
    const castS = (result - startedMs) / 1_000;
    bar.done(
      `${number(voters)} votes cast in ${duration(castS)} (${number(Math.round(voters / castS))}/s)${
        kills > 0 ? `, amid ${kills} kills` : ""
      }`,
    );
    if (signal.aborted) return { counted: 0, differences };
    const counted = await waitUntilCounted(aggregator, election, differences, result);
    await compareWithFile(stack, http, election, differences);
    console.log(`cast, counted and compared in ${duration((performance.now() - startedMs) / 1_000)}`);
    return { counted, differences };
  } finally {
    client.close();
  }
}

type Batch = Readonly<{ station: PrecinctStation; votes: VoteText[] }>;

/** All votes in batches, station after station; neighbours have different gateways, so both are kept busy. */
function* batchesOf(stations: readonly PrecinctStation[], batchVotes: number): Generator<Batch> {
  const maker = { uuid: () => crypto.randomUUID(), now: Date.now };
  for (const station of stations) {
    for (const votes of stationBatches(station, batchVotes, maker)) yield { station, votes };
  }
}

async function cast(
  election: PrecinctElection,
  polls: ReadonlyMap<string, readonly Device[]>,
  options: ReplayOptions,
  differences: Differences,
  onCast: (votes: number) => void,
): Promise<void> {
  await eachOf(batchesOf(election.stations, options.batch), options.inFlight, async ({ station, votes }) => {
    const device = polls.get(station.id)![0]!;
    const deliveries = await device.send(votes.map((vote) => device.sign(vote)));
    deliveries.forEach((delivery, i) => {
      const fault = faultOf(delivery);
      if (fault !== undefined) differences.add(`station ${station.id}, vote ${votes[i]!.voteId}: ${fault}`);
    });
    onCast(votes.length);
  });
}

function faultOf(delivery: Delivery): string | undefined {
  switch (delivery.fate) {
    case "acknowledged":
      return undefined;
    case "refused":
      return `refused: ${delivery.problem.title}${
        delivery.problem.detail ? `, ${delivery.problem.detail}` : ""
      }`;
    case "undelivered":
      return `undelivered: ${delivery.detail}`;
  }
}

async function waitUntilCounted(
  aggregator: Aggregator,
  { definition, voters }: PrecinctElection,
  differences: Differences,
  castMs: number,
): Promise<number> {
  const bar = progress({ label: "counting", total: voters, unit: "records" });
  const waited = await waitForReconciliation(
    aggregator,
    definition.election,
    (reconciliation) => reconciliation.total.counted >= voters && isReadThrough(reconciliation),
    { clock: systemClock, onRead: bar.advance },
  );
  const { total, partitions } = waited.reconciliation;
  const reconciliation = spellReconciliation(total);
  const late = duration((performance.now() - castMs) / 1_000);
  if (waited.done) bar.done(`counted ${late} after the last receipt: ${reconciliation}`);
  else bar.fail(`not all counted, and nothing has changed for two minutes: ${reconciliation}`);
  if (total.counted !== voters) {
    differences.add(`${number(total.counted)} votes counted, and ${number(voters)} were cast`);
  }
  for (const { partition, balanced } of partitions) {
    if (!balanced) differences.add(`partition ${partition} does not balance`);
  }
  return total.counted;
}

/** Each aggregator shows what all of them have counted, and so does the index. */
async function compareWithFile(
  stack: PollwireProcesses,
  http: Fetch,
  { definition, expected }: PrecinctElection,
  differences: Differences,
): Promise<void> {
  const sources: [name: string, read: () => Promise<StationRow[]>][] = stack.aggregators.map((origin) => [
    origin,
    () => new Aggregator(origin, http).stationResults(definition),
  ]);
  const { index } = stack;
  if (index !== undefined) sources.push([index, () => indexedResults(index, definition.election, http)]);
  for (const [name, read] of sources) {
    const compare = async () => {
      const found = new Differences();
      compareResults(expected, await read(), found);
      return found;
    };
    const found = await settleDifferences(compare, systemClock, RELEASED_WITHIN_MS);
    console.log(`${name} shows ${number(found.count)} differences`);
    differences.addAll(found);
  }
}

function report(
  { counted, differences }: Verdict,
  election: PrecinctElection,
  stack: PollwireProcesses,
): void {
  for (const line of differenceLines(differences)) console.log(line);
  console.log(`peak memory: ${spellMemory(stack.peaks(), peakMemoryOf(Deno.pid))}`);
  console.log(`${counted} votes, ${election.stations.length} stations, ${differences.count} differences`);
  if (differences.count > 0) throw new Failure();
}
