/**
 * `simulate`: a made-up election over a whole embedded stack of its own, or over one that runs already; with votes
 * that must not count, and with processes killed on the way. In the end every vote is accounted for.
 *
 * @module
 */
import type { Command } from "commander";
import {
  command,
  Failure,
  integerOption,
  numberOption,
  originOption,
  originsOption,
  UsageError,
} from "../cli/command.ts";
import { duration, progress } from "../cli/progress.ts";
import { type ElectionDefinition } from "../shared/election.ts";
import { Centre, type Reconciliation } from "./centre.ts";
import { systemClock } from "../device/clock.ts";
import { voterChoices } from "./country/choices.ts";
import { simulateCountry } from "./country/country.ts";
import { DEVICE_LIMITS } from "../device/device.ts";
import { freeElectionId, freshDirectory } from "./directory.ts";
import { LedgerProcess, readLedger } from "./ledger.ts";
import { planBatches } from "./plan.ts";
import { openPolls, readDevicesFile } from "./polls.ts";
import { seededRandom } from "./random.ts";
import { readRoll, type Voter, writeRoll } from "./roll.ts";
import { differenceLines, number, spellBooks, spellMemory } from "./report.ts";
import { amidChaos, chaosOf, hoursAround, interruptible, onStack } from "./run.ts";
import { castPlanned } from "./simulate_cast.ts";
import { peakMemoryOf, Stack } from "./stack.ts";
import { compareBooks, compareResults, Differences, judgeLedger, type LedgerSummary } from "./verdict.ts";
import { isReadThrough, settleDifferences, waitForBooks } from "./wait.ts";
import { Pacer } from "./workers.ts";

/** The options of `simulate`, as they are typed. */
type SimulateOptions = Readonly<{
  voters: number;
  seed: number;
  contests: number;
  candidates: number;
  parties: number;
  regions: number;
  stations: number;
  devicesPerStation: number;
  rate?: number;
  batch: number;
  inFlight: number;
  duplicates: number;
  killEvery?: number;
  data?: string;
  centre?: string;
  gateways?: string[];
  devices?: string;
  votersFile?: string;
}>;

/** An election to vote in, and where. */
type Ground = Readonly<{
  definition: ElectionDefinition;
  voters: () => Iterable<Voter> | AsyncIterable<Voter>;
  total: number;
  centre: string;
  gateways: readonly string[];
  devicesFile: string;
  ledgerFile: string;
  stack?: Stack;
}>;

const GATEWAYS = 2;
/** How long results may differ without a change before that is the result, in milliseconds. */
const RELEASED_WITHIN_MS = 20_000;

/** The command `simulate`. */
export function simulateCommand(): Command {
  const count = (flags: string, description: string, max: number, value: number, min = 1) =>
    integerOption(flags, description, { min, max }).default(value);
  return command("simulate", "Votes in a made-up election, and accounts for every vote.")
    .addOption(count("--voters <number>", "how many there are", 2_000_000, 10_000))
    .addOption(count("--seed <number>", "the same seed, the same election", 2 ** 31, 1, 0))
    .addOption(count("--contests <number>", "on the ballot", 20, 2))
    .addOption(count("--candidates <number>", "in each contest", 100, 5))
    .addOption(count("--parties <number>", "that candidates stand for", 100, 3, 0))
    .addOption(count("--regions <number>", "in which the stations lie", 1_000, 4))
    .addOption(count("--stations <number>", "where votes are cast", 20_000, 20))
    .addOption(count("--devices-per-station <number>", "that cast them", 26, 2))
    .addOption(
      numberOption("--rate <votes>", "votes a second (default: as fast as it goes)", { min: 0.1, max: 1e6 }),
    )
    .addOption(
      count("--batch <votes>", "votes a request; 1 sends each by itself", DEVICE_LIMITS.batchVotes, 100),
    )
    .addOption(count("--in-flight <requests>", "requests under way at once", 256, 8))
    .addOption(
      numberOption("--duplicates <share>", "voters of whom something comes that must not count", {
        min: 0,
        max: 1,
      }).default(0.03),
    )
    .addOption(
      numberOption("--kill-every <seconds>", "kill -9 one of the processes so often", { min: 1, max: 3_600 }),
    )
    .option(
      "--data <dir>",
      "where everything is kept (default: a new directory simulate-<seed> in POLLWIRE_DATA or ./data)",
    )
    .addOption(originOption("--centre <url>", "vote over a stack that runs already: its centre"))
    .addOption(originsOption("--gateways <urls>", "its gateways, in the order of the election's definition"))
    .option("--devices <file>", "its devices, as provision wrote them")
    .option("--voters-file <file>", "its roll, as provision read it")
    .addHelpText(
      "after",
      "\nNothing that is there already is removed. The exit code is 1 when a vote is not accounted for.",
    )
    .action(async (options: SimulateOptions) => await interruptible((signal) => simulate(options, signal)));
}

async function simulate(options: SimulateOptions, signal: AbortSignal): Promise<void> {
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: options.inFlight });
  const http = (url: string, init: RequestInit) => fetch(url, { ...init, client });
  try {
    const ground = options.centre === undefined ? await ownGround(options) : await givenGround(options, http);
    const run = () => vote(ground, options, http, signal);
    if (ground.stack === undefined) return await run();
    await onStack(ground.stack, run);
  } finally {
    client.close();
  }
}

/** Makes an election up, and a stack for it. */
async function ownGround(options: SimulateOptions): Promise<Ground> {
  for (
    const [name, given] of Object.entries({
      gateways: options.gateways,
      devices: options.devices,
      "voters-file": options.votersFile,
    })
  ) {
    if (given !== undefined) throw new UsageError(`--${name} goes with --centre, which is missing`);
  }
  const dataDir = await dataDirectory(options);
  const { definition, voters } = simulateCountry(options.seed, { ...options, gateways: GATEWAYS }, {
    election: await freeElectionId(dataDir, `simulation-${options.seed}`),
    ...hoursAround(Date.now()),
  });
  const directory = `${dataDir}/simulations/${definition.election}`;
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/definition.json`, JSON.stringify(definition, undefined, 1));
  await writeRoll(`${directory}/roll.csv`, voters());
  const stack = new Stack({ dataDir, gateways: definition.gateways.map(({ id }) => id), clock: systemClock });
  try {
    await stack.provision(`${directory}/definition.json`, `${directory}/roll.csv`);
  } catch (error) {
    await stack.stop();
    throw error;
  }
  return {
    definition,
    voters,
    total: options.voters,
    centre: stack.centre,
    gateways: stack.gateways,
    devicesFile: `${dataDir}/devices/${definition.election}.json`,
    ledgerFile: `${directory}/ledger.ndjson`,
    stack,
  };
}

/** Takes the election of a stack that runs. */
async function givenGround(
  options: SimulateOptions,
  http: Http,
): Promise<Ground> {
  const { centre, gateways, devices, votersFile } = options;
  if (centre === undefined || gateways === undefined || devices === undefined || votersFile === undefined) {
    throw new UsageError("--centre needs --gateways, --devices and --voters-file");
  }
  if (options.killEvery !== undefined) {
    throw new UsageError("--kill-every is for a stack of simulate's own, without --centre");
  }
  const { election } = await readDevicesFile(devices);
  const definition = await new Centre(centre, http).manifest(election);
  let total = 0;
  for await (const _ of readRoll(votersFile)) total++;
  const voters = () => readRoll(votersFile);
  const ledgerFile = `${await dataDirectory(options)}/ledger.ndjson`;
  return { definition, voters, total, centre, gateways, devicesFile: devices, ledgerFile };
}

async function dataDirectory({ data, seed }: SimulateOptions): Promise<string> {
  const wanted = data ??
    await freshDirectory(`${Deno.env.get("POLLWIRE_DATA") || "./data"}/simulate-${seed}`);
  await Deno.mkdir(wanted, { recursive: true });
  return await Deno.realPath(wanted);
}

type Http = (url: string, init: RequestInit) => Promise<Response>;

async function vote(
  ground: Ground,
  options: SimulateOptions,
  http: Http,
  signal: AbortSignal,
): Promise<void> {
  const { definition, stack } = ground;
  const centre = new Centre(ground.centre, http);
  const before = await centre.reconciliation(definition.election);
  console.log(
    `${definition.election}: ${
      number(ground.total)
    } voters, ${definition.stations.length} stations, seed ${options.seed}`,
  );
  const batches = await planFor(ground, options, http, signal);
  const ledger = LedgerProcess.start(ground.ledgerFile);
  const bar = progress({ label: "casting", total: ground.total, unit: "voters" });
  const startedMs = performance.now();
  const seconds = () => (performance.now() - startedMs) / 1_000;
  let sent = 0;
  const cast = () =>
    castPlanned({
      batches,
      inFlight: options.inFlight,
      pacer: new Pacer(options.rate ?? Infinity, systemClock),
      ledger,
      centre,
      clock: systemClock,
      signal,
      onCast: (votes) => {
        sent += votes.length;
        bar.advance(votes.filter(({ entry }) => entry.kind === "first").length);
      },
      onAllCast: () =>
        bar.done(
          `${number(sent)} votes cast in ${duration(seconds())} (${number(Math.round(sent / seconds()))}/s)`,
        ),
    });
  const { result: left, kills } = stack === undefined
    ? { result: await cast(), kills: 0 }
    : await amidChaos(stack, chaosOf(options, bar.note), cast);
  await ledger.close();
  if (signal.aborted) return;
  const settled = left === 0 ? "every vote" : `all but ${number(left)} votes`;
  const amid = kills > 0 ? `, amid ${kills} kills` : "";
  console.log(`the centre has answered for ${settled} after ${duration(seconds())}${amid}`);
  await judge(ground, centre, before);
}

async function planFor(ground: Ground, options: SimulateOptions, http: Http, signal: AbortSignal) {
  const { definition, devicesFile, gateways, voters } = ground;
  const uuid = () => crypto.randomUUID();
  const random = seededRandom(options.seed, "devices");
  const polls = openPolls(await readDevicesFile(devicesFile), definition, gateways, {
    fetch: http,
    clock: systemClock,
    random,
    uuid,
    signal,
  });
  const stationsOf = new Map<string, string[]>(definition.regions.map(({ id }) => [id, []]));
  for (const { id, region } of definition.stations) stationsOf.get(region)!.push(id);
  return planBatches({
    voters: voters(),
    polls,
    stationsOf,
    choices: voterChoices(options.seed, definition),
    batchVotes: options.batch,
    duplicates: options.duplicates,
    random: seededRandom(options.seed, "plan"),
    uuid,
    now: Date.now,
  });
}

async function judge(ground: Ground, centre: Centre, before: Reconciliation): Promise<void> {
  const { definition, stack, ledgerFile } = ground;
  const differences = new Differences();
  const summary = await judgeLedger(readLedger(ledgerFile), differences);
  describe(summary);
  const waited = await waitForBooks(centre, definition.election, isReadThrough, { clock: systemClock });
  console.log(`the centre's books: ${spellBooks(waited.books.total)}`);
  if (before.total.read > 0) {
    console.log(
      `${
        number(before.total.read)
      } records were there before: books and results are not compared with the ledger`,
    );
  } else {
    compareBooks(waited.books, summary, differences);
    await compareShown(definition, centre, summary, differences);
  }
  for (const text of stack?.unexpected ?? []) differences.add(text);
  for (const line of differenceLines(differences)) console.log(line);
  if (stack !== undefined) console.log(`peak memory: ${spellMemory(stack.peaks(), peakMemoryOf(Deno.pid))}`);
  console.log(`ledger: ${ledgerFile}`);
  console.log(
    `${summary.votersCounted} voters counted, ${summary.acknowledged} votes acknowledged, ${differences.count} differences`,
  );
  if (differences.count > 0) throw new Failure();
}

function describe({ sent, again, acknowledged, outcomes }: LedgerSummary): void {
  console.log(
    `sent: ${number(sent.first)} votes of voters, ${number(sent.double)} second votes, ${
      number(sent.unknown)
    } of nobody ` +
      `on the roll; ${number(again)} handed in again`,
  );
  const list = [...outcomes].sort().map(([outcome, votes]) => `${number(votes)} ${outcome}`).join(", ");
  console.log(`acknowledged: ${number(acknowledged)}, of which ${list || "none"}`);
}

/** What is shown: turnout always, results where the election lets every one be shown at once. */
async function compareShown(
  definition: ElectionDefinition,
  centre: Centre,
  summary: LedgerSummary,
  differences: Differences,
): Promise<void> {
  const compare = async () => {
    const found = new Differences();
    const turnout = [...(await centre.turnoutByStation(definition.election)).values()].reduce(
      (a, b) => a + b,
      0,
    );
    if (turnout !== summary.votersCounted) {
      found.add(`turnout is ${turnout}, and by the ledger ${summary.votersCounted}`);
    }
    if (definition.releaseThreshold === 1 && definition.resultsBeforeClosing) {
      compareResults(summary.tally, await centre.stationResults(definition), found);
    }
    return found;
  };
  differences.addAll(await settleDifferences(compare, systemClock, RELEASED_WITHIN_MS));
}
