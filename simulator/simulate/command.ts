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
  originEachOption,
  originsOption,
  UsageError,
} from "../../cli/command.ts";
import { duration, progress } from "../../cli/progress.ts";
import { BAD_KINDS } from "../bad/kinds.ts";
import { type BadOption, badOption } from "../bad/mix.ts";
import { Aggregator } from "../run/aggregator.ts";
import { voterTurnout } from "../country/turnout.ts";
import { turnoutOption } from "./turnout_option.ts";
import { systemClock } from "../../device/clock.ts";
import { DEVICE_LIMITS } from "../../device/device.ts";
import { freshDirectory } from "../run/directory.ts";
import { type Environment, makeEnvironment, openPolling, type Polling } from "./environment.ts";
import { addHttpsOptions, clientTls, type HttpsOptions, stackTls } from "../processes/https.ts";
import { LedgerProcess } from "../ledger/ledger.ts";
import { plan, votersOf } from "../voting/plan.ts";
import { readDevicesFile } from "../voting/polls.ts";
import { reconcile, type Reconciled } from "../ledger/reconcile.ts";
import { readRoll } from "../voting/roll.ts";
import { differenceLines, number, spellMemory } from "../run/report.ts";
import { amidChaos, chaosOf, interruptible, onStack } from "../run/run.ts";
import { castPlanned } from "../voting/casting.ts";
import { Sending } from "../voting/sending.ts";
import { peakMemoryOf, PollwireProcesses } from "../processes/pollwire.ts";
import { addServersOptions, serversOf, type ServersOptions } from "../processes/servers.ts";
import { untilAnswered } from "../run/wait.ts";
import { paced, Pacer } from "../workers.ts";

/** The options of `simulate`, as they are typed. */
type SimulateOptions =
  & HttpsOptions
  & ServersOptions
  & Readonly<{
    voters: number;
    turnout: number;
    seed: number;
    contests: number;
    candidates: number;
    parties: number;
    regions: number;
    stations: number;
    devicesPerStation: number;
    locale: string;
    rate?: number;
    batch: number;
    inFlight: number;
    bad: BadOption;
    killEvery?: number;
    data?: string;
    aggregator?: readonly string[];
    gateways?: string[];
    devices?: string;
    votersFile?: string;
    outsideFaults: boolean;
  }>;

/** Where votes are cast: on a stack that runs already, or on a {@link PollwireProcesses} that `simulate` starts. */
type SimulateEnvironment = Environment & Readonly<{ stack?: PollwireProcesses }>;

const GATEWAYS = 2;

/** The command `simulate`. */
export function simulateCommand(): Command {
  const count = (flags: string, description: string, max: number, value: number, min = 1) =>
    integerOption(flags, description, { min, max }).default(value);
  const simulating = command("simulate", "Votes in a made-up election, and accounts for every vote.");
  return addServersOptions(addHttpsOptions(simulating))
    .addOption(count("--voters <number>", "how many are on the roll", 2_000_000, 10_000))
    .addOption(turnoutOption())
    .addOption(count("--seed <number>", "the same seed, the same election", 2 ** 31, 1, 0))
    .addOption(count("--contests <number>", "on the ballot", 20, 2))
    .addOption(count("--candidates <number>", "in each contest", 100, 5))
    .addOption(count("--parties <number>", "that candidates stand for", 100, 3, 0))
    .addOption(count("--regions <number>", "in which the stations lie", 1_000, 4))
    .addOption(count("--stations <number>", "where votes are cast", 20_000, 20))
    .option("--locale <name>", "whose names and places, such as de or fr_CA", "en_GB")
    .addOption(count("--devices-per-station <number>", "that cast them", 26, 2))
    .addOption(
      numberOption("--rate <voters>", "voters a second (default: as fast as it goes)", {
        min: 0.1,
        max: 1e6,
      }),
    )
    .addOption(
      count("--batch <votes>", "votes a request; 1 sends each by itself", DEVICE_LIMITS.batchVotes, 100),
    )
    .addOption(count("--in-flight <requests>", "requests under way at once", 256, 8))
    .addOption(
      badOption("for each kind of bad vote, the share of voters beside whom one comes").default({
        every: 0.01,
      }, "0.01"),
    )
    .addOption(
      numberOption("--kill-every <seconds>", "kill -9 one of the processes so often", { min: 1, max: 3_600 }),
    )
    .option(
      "--data <dir>",
      "where everything is kept (default: a new directory simulate-<seed> in POLLWIRE_DATA or ./data)",
    )
    .addOption(
      originEachOption(
        "--aggregator <url>",
        "vote over a stack that runs already: its aggregator, once for each of its addresses",
      ),
    )
    .addOption(originsOption("--gateways <urls>", "its gateways, in the order of the election's definition"))
    .option("--devices <file>", "its devices, as provision wrote them")
    .option("--voters-file <file>", "its roll, as provision read it")
    .option(
      "--outside-faults",
      "others kill, stop or cut off processes meanwhile, so a record may be on the log more than once",
      false,
    )
    .addHelpText(
      "after",
      `\nKinds of bad votes: ${BAD_KINDS.join(", ")}.` +
        "\nNothing that is there already is removed. The exit code is 1 when a vote is not accounted for.",
    )
    .action(async (options: SimulateOptions) => await interruptible((signal) => simulate(options, signal)));
}

async function simulate(options: SimulateOptions, signal: AbortSignal): Promise<void> {
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: options.inFlight, ...clientTls(options) });
  const http = (url: string, init: RequestInit) => fetch(url, { ...init, client });
  try {
    const environment = options.aggregator === undefined
      ? await ownEnvironment(options)
      : await givenEnvironment(options, http);
    const run = () => vote(environment, options, http, signal);
    if (environment.stack === undefined) return await run();
    await onStack(environment.stack, run);
  } finally {
    client.close();
  }
}

/** Makes an election up, and a stack for it. */
async function ownEnvironment(options: SimulateOptions): Promise<SimulateEnvironment> {
  for (
    const [name, given] of Object.entries({
      gateways: options.gateways,
      devices: options.devices,
      "voters-file": options.votersFile,
    })
  ) {
    if (given !== undefined) throw new UsageError(`--${name} goes with --aggregator, which is missing`);
  }
  return await makeEnvironment({
    dataDir: await dataDirectory(options),
    seed: options.seed,
    size: { ...options, gateways: GATEWAYS },
    turnout: options.turnout,
    locale: options.locale,
    profiles: false,
    name: "simulation",
    tls: stackTls(options),
    aggregators: options.aggregators,
    servers: serversOf(options),
  });
}

/** Takes the election of a stack that runs. */
async function givenEnvironment(
  options: SimulateOptions,
  http: Http,
): Promise<SimulateEnvironment> {
  const { aggregator, gateways, devices, votersFile } = options;
  if (
    aggregator === undefined || gateways === undefined || devices === undefined || votersFile === undefined
  ) {
    throw new UsageError("--aggregator needs --gateways, --devices and --voters-file");
  }
  if (options.stack !== undefined || options.aggregators > 1) {
    throw new UsageError("--stack and --aggregators are for a stack of simulate's own, without --aggregator");
  }
  if (options.killEvery !== undefined) {
    throw new UsageError("--kill-every is for a stack of simulate's own, without --aggregator");
  }
  const { election } = await readDevicesFile(devices);
  const definition = await untilAnswered(
    () => new Aggregator(aggregator, http).manifest(election),
    systemClock,
    ({ message }) => console.error(`${message}\nIt is asked again for a minute.`),
  );
  const comes = voterTurnout(options.seed, options.turnout, definition.regions.map(({ id }) => id));
  const voters = async function* () {
    for await (const voter of readRoll(votersFile)) if (comes(voter)) yield voter;
  };
  let coming = 0;
  let onRoll = 0;
  for await (const voter of readRoll(votersFile, definition.stations)) {
    onRoll++;
    if (comes(voter)) coming++;
  }
  const ledgerFile = `${await dataDirectory(options)}/ledger.ndjson`;
  return {
    definition,
    voters,
    coming,
    onRoll,
    aggregators: aggregator,
    gateways,
    devicesFile: devices,
    ledgerFile,
  };
}

async function dataDirectory({ data, seed }: SimulateOptions): Promise<string> {
  const wanted = data ??
    await freshDirectory(`${Deno.env.get("POLLWIRE_DATA") || "./data"}/simulate-${seed}`);
  await Deno.mkdir(wanted, { recursive: true });
  return await Deno.realPath(wanted);
}

type Http = (url: string, init: RequestInit) => Promise<Response>;

async function vote(
  environment: SimulateEnvironment,
  options: SimulateOptions,
  http: Http,
  signal: AbortSignal,
): Promise<void> {
  const { definition, stack } = environment;
  const aggregator = new Aggregator(environment.aggregators, http);
  const before = await aggregator.reconciliation(definition.election);
  console.log(
    `${definition.election}: ${number(environment.coming)} of ${number(environment.onRoll)} voters come, ` +
      `${definition.stations.length} stations, seed ${options.seed}`,
  );
  const sending = new Sending(http);
  const polling = await openPolling(environment, aggregator, {
    seed: options.seed,
    bad: options.bad,
    batchVotes: options.batch,
    kills: options.killEvery !== undefined || options.outsideFaults,
    fetch: sending.fetch,
    signal,
  });
  for (const [kind, why] of polling.leftOut) console.log(`no bad votes of kind ${kind}: ${why}`);
  const ledger = LedgerProcess.start(environment.ledgerFile);
  const { kills, left, seconds } = await cast(environment, polling, options, { aggregator, ledger, signal });
  await ledger.close();
  if (signal.aborted) return;
  const settled = left === 0 ? "every vote" : `all but ${number(left)} votes`;
  const amid = kills > 0 ? `, amid ${kills} kills` : "";
  console.log(`the aggregator has answered for ${settled} after ${duration(seconds)}${amid}`);
  const reconciled = await reconcile({
    definition,
    aggregator,
    ledgerFile: environment.ledgerFile,
    recordsBefore: before.total.read - before.total.statements,
    interruptions: { kills, unanswered: sending.unanswered, outsideFaults: options.outsideFaults },
    print: console.log,
  });
  report(environment, reconciled, stack);
}

async function cast(
  environment: SimulateEnvironment,
  { plan: options, bad, answerSource }: Polling,
  { inFlight, rate, ...chaos }: SimulateOptions,
  { aggregator, ledger, signal }: Readonly<
    { aggregator: Aggregator; ledger: LedgerProcess; signal: AbortSignal }
  >,
): Promise<{ kills: number; left: number; seconds: number }> {
  const { stack, coming, voters } = environment;
  const bar = progress({ label: "casting", total: coming, unit: "voters" });
  const startedMs = performance.now();
  const seconds = () => (performance.now() - startedMs) / 1_000;
  const pacer = new Pacer(rate ?? Infinity, systemClock);
  let sent = 0;
  const cast = () =>
    castPlanned({
      planned: paced(plan({ ...options, voters: voters() }), pacer, votersOf),
      bad,
      inFlight,
      ledger,
      aggregator,
      answerSource,
      clock: systemClock,
      signal,
      onCast: (own, others) => {
        sent += own + others;
        bar.advance(own);
      },
      onAllCast: () =>
        bar.done(
          `${number(sent)} votes cast in ${duration(seconds())} (${number(Math.round(sent / seconds()))}/s)`,
        ),
    });
  const { result: left, kills } = stack === undefined
    ? { result: await cast(), kills: 0 }
    : await amidChaos(stack, chaosOf(chaos, bar.note), cast);
  return { kills, left, seconds: seconds() };
}

function report(
  { ledgerFile }: SimulateEnvironment,
  { differences, summary }: Reconciled,
  stack: PollwireProcesses | undefined,
): void {
  for (const text of stack?.unexpected ?? []) differences.add(text);
  for (const line of differenceLines(differences)) console.log(line);
  if (stack !== undefined) console.log(`peak memory: ${spellMemory(stack.peaks(), peakMemoryOf(Deno.pid))}`);
  console.log(`ledger: ${ledgerFile}`);
  console.log(
    `${summary.votersCounted} voters counted, ${summary.acknowledged} votes acknowledged, ${differences.count} differences`,
  );
  if (differences.count > 0) throw new Failure();
}
