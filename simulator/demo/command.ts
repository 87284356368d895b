/**
 * `demo`: an election to look at. Starts a whole stack, opens its page, has a made-up country vote with a
 * day's rhythm and some bad votes among the good, and accounts for every vote when it is stopped.
 *
 * @module
 */
import type { Command } from "commander";
import {
  command,
  durationOption,
  EXIT,
  Failure,
  integerOption,
  numberOption,
  UsageError,
} from "../../cli/command.ts";
import { duration } from "../../cli/progress.ts";
import type { ElectionDefinition } from "../../shared/election.ts";
import { CHANGES_FILE, SqliteChanges } from "../../shared/log/sqlite_changes.ts";
import type { Voter } from "../voting/roll.ts";
import { type BadOption, badOption } from "../bad/mix.ts";
import { DEFAULT_SIZE } from "../country/country.ts";
import { makeDisplay } from "./display.ts";
import { type Pace, PACE_LIMITS, paceOf, type PaceOptions, spellPace } from "./pace.ts";
import { Registrar } from "./registrar.ts";
import { type Ending, Show } from "./show.ts";
import { stoppable } from "./stop.ts";
import { freshDirectory } from "../run/directory.ts";
import { type Environment, makeEnvironment } from "../simulate/environment.ts";
import { type HeldPort, holdPort, holdPortFrom } from "../processes/ports.ts";
import { onStack } from "../run/run.ts";
import { number } from "../run/report.ts";
import { addServersOptions, type Servers, serversOf, type ServersOptions } from "../processes/servers.ts";
import type { PollwireProcesses } from "../processes/pollwire.ts";
import { turnoutOption } from "../simulate/turnout_option.ts";

/** The options of `demo`, as they are typed. */
type DemoOptions =
  & PaceOptions
  & ServersOptions
  & Readonly<{
    turnout: number;
    seed: number;
    candidates: number;
    parties: number;
    regions: number;
    stations: number;
    locale: string;
    bad: BadOption;
    accredit?: number | true;
    port?: number;
    data?: string;
  }>;

const PAGE_PORT = 8_000;
/** Voters whom `--accredit` alone has accredited. */
const LATE_VOTERS = 10;
/** With more voters than these, only what is counted by is made up: profiles take longer to put on the roll. */
const MOST_PROFILES = 20_000;

/** The command `demo`. */
export function demoCommand(): Command {
  const { candidates, parties, regions, stations } = DEFAULT_SIZE;
  const count = (flags: string, description: string, max: number, value: number, min = 1) =>
    integerOption(flags, description, { min, max }).default(value);
  const showing = command(
    "demo",
    "Starts everything, holds an election to look at, and accounts for every vote.",
  );
  return addServersOptions(showing)
    .addOption(
      integerOption("--voters <number>", "how many are on the roll; 1,000 when nothing else is said", {
        min: 1,
        max: PACE_LIMITS.voters,
      }),
    )
    .addOption(turnoutOption())
    .addOption(
      numberOption("--rate <voters>", "voters a second, on average (default: 5, more when there are many)", {
        min: 0.1,
        max: PACE_LIMITS.rate,
      }),
    )
    .addOption(
      durationOption("--duration <time>", "when to stop (default: when told to)", PACE_LIMITS.durationS),
    )
    .option("--flat", "voters come evenly, in place of a day's rhythm with its peaks")
    .addOption(
      badOption("the share of voters beside whom a bad vote comes, of every kind in turn")
        .default({ every: 0.05 }, "0.05"),
    )
    .addOption(
      integerOption(
        "--accredit [number]",
        `voters who are accredited through the office's API while others vote (${LATE_VOTERS} when no number is said)`,
        { min: 1, max: 10_000 },
      ),
    )
    .addOption(count("--seed <number>", "the same seed, the same country", 2 ** 31, 1, 0))
    .addOption(count("--candidates <number>", "who stand for president", 100, candidates))
    .addOption(count("--parties <number>", "that they stand for", 100, parties, 0))
    .addOption(count("--regions <number>", "in which the stations lie", 1_000, regions))
    .addOption(count("--stations <number>", "where votes are cast", 20_000, stations))
    .option("--locale <name>", "whose names and places, such as de or fr_CA", "en_GB")
    .addOption(
      integerOption("--port <number>", `of the page (default: ${PAGE_PORT}, or the next that is free)`, {
        min: 1,
        max: 65_535,
      }),
    )
    .option(
      "--data <dir>",
      "where to keep everything (default: a new directory, removed again at a clean end)",
    )
    .addHelpText(
      "after",
      "\nCtrl-C stops it: it waits until the aggregator has answered for every vote, and compares. Twice, and it ends at once." +
        "\nThe exit code is 1 when a vote is not accounted for.",
    )
    .action(async (options: DemoOptions) => await demo(options));
}

async function demo(options: DemoOptions): Promise<void> {
  const pace = paceOf(options);
  const servers = serversOf(options);
  if (options.accredit !== undefined && servers !== undefined) {
    throw new UsageError(
      "--accredit stands on embedded stores: leave --stack out (docs/operations.md has the topic `voters` on Kafka)",
    );
  }
  const held = pagePort(options.port);
  const dataDir = options.data ?? await freshDirectory(`${Deno.env.get("POLLWIRE_DATA") || "./data"}/demo`);
  await Deno.mkdir(dataDir, { recursive: true });
  const directory = await Deno.realPath(dataDir);
  console.log(`Pollwire demo: the page will be at http://127.0.0.1:${held.port}`);
  console.log(`${spellPace(pace)}. Everything is kept in ${directory}`);
  const ending = await stoppable(
    (stop) => hold({ ...options, servers }, pace, held, directory, stop),
    () => Deno.exit(EXIT.interrupted),
  );
  if (ending.clean && options.data === undefined) await Deno.remove(directory, { recursive: true });
  else console.log(`what happened is kept in ${directory}`);
  console.log(ending.line);
  if (!ending.clean) throw new Failure();
}

/** What is said of a demo that was stopped before the polls were open. */
const NOTHING_YET: Ending = { clean: true, line: "stopped before the polls were open" };

/**
 * The page's port, kept until the aggregator takes it: until then another demo might.
 *
 * @throws {UsageError} when the port asked for is another's.
 */
function pagePort(wanted: number | undefined): HeldPort {
  if (wanted === undefined) {
    const held = holdPortFrom(PAGE_PORT);
    if (held.port !== PAGE_PORT) console.log(`port ${PAGE_PORT} is taken; the page takes ${held.port}`);
    return held;
  }
  const held = holdPort(wanted);
  if (held !== undefined) return held;
  throw new UsageError(
    `Cannot show the page on port ${wanted}: another process listens there; give another --port, or none`,
  );
}

/** Holds the election. */
async function hold(
  options: DemoOptions & Readonly<{ servers?: Servers }>,
  pace: Pace,
  held: HeldPort,
  dataDir: string,
  stop: AbortController,
): Promise<Ending> {
  const startedMs = performance.now();
  const step = (doing: string) =>
    console.log(`${duration((performance.now() - startedMs) / 1_000).padStart(6)}  ${doing}`);
  step("makes the country up: candidates, stations, devices, and the roll");
  let environment: Environment & { stack: PollwireProcesses };
  try {
    environment = await makeEnvironment({
      dataDir,
      seed: options.seed,
      size: { ...DEFAULT_SIZE, ...options, voters: pace.voters },
      turnout: options.turnout,
      locale: options.locale,
      profiles: pace.voters <= MOST_PROFILES,
      name: "demo",
      aggregatorPort: held.port,
      aggregators: options.aggregators,
      servers: options.servers,
    });
  } catch (error) {
    held.release();
    // Ctrl-C ends the office's process too: that is no fault.
    if (stop.signal.aborted) return NOTHING_YET;
    throw error;
  }
  const { stack } = environment;
  held.release();
  const late = options.accredit === true ? LATE_VOTERS : options.accredit ?? 0;
  let adminFile: string | undefined;
  if (late > 0 && !stop.signal.aborted) {
    step("sets the office up: its key, and two administrators");
    adminFile = await stack.initOffice();
  }
  if (stop.signal.aborted) {
    await stack.stop();
    return NOTHING_YET;
  }
  step(`starts ${options.aggregators === 1 ? "the aggregator" : "the aggregators"}, then two gateways`);
  let ending = NOTHING_YET;
  await onStack(stack, async () => {
    const come = `${number(environment.coming)} of ${number(environment.onRoll)} voters will come`;
    step(`the polls are open, and ${come}; see them at ${stack.aggregator}`);
    const accreditation = adminFile === undefined ? undefined : {
      voters: lateVoters(environment.definition, late),
      registrar: await Registrar.appoint(stack.aggregator, environment.definition.election, adminFile),
      changes: new SqliteChanges(`${dataDir}/log/${CHANGES_FILE}`),
    };
    const show = await Show.open({
      environment,
      accreditation,
      pace,
      seed: options.seed,
      bad: options.bad,
      display: makeDisplay(),
      stop,
    });
    ending = await show.run();
    await accreditation?.changes.close();
  });
  return ending;
}

/** Voters of whom the roll knows nothing, each at a station. */
function lateVoters({ stations }: ElectionDefinition, count: number): Voter[] {
  return Array.from({ length: count }, (_, i) => {
    const { id: station, region } = stations[i % stations.length]!;
    return { id: `late-${i + 1}`, region, station, birthDate: "1990-05-17", gender: "unknown" };
  });
}
