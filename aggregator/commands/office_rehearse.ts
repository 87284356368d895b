/**
 * `deno task office rehearse`: tests of logic and accuracy. A rehearsal is an election of its own; its deck is voted by devices through
 * gateways. Everything but `vote` asks the office's API.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { command, Failure, integerOption, originEachOption, UsageError } from "../../cli/command.ts";
import { readText } from "../../cli/csv.ts";
import { progress } from "../../cli/progress.ts";
import { utf8 } from "../../shared/bytes.ts";
import type { Manifest } from "../../shared/election.ts";
import { MAX_REHEARSALS, REHEARSAL_MARK, rehearsedBy } from "../../shared/rehearsal.ts";
import type { OfficeClient } from "../office/client.ts";
import { DECK_LIMITS, parseDeck } from "../office/rehearsal/deck.ts";
import { REHEARSAL_MINUTES } from "../office/rehearsal/start.ts";
import type { Difference, Rehearsal, RehearsalReport } from "../office/rehearsal/store.ts";
import { parseManifest } from "../registry/manifests.ts";
import { OfficeError } from "../registry/office_error.ts";
import { aggregatorConfig } from "../config.ts";
import { type Common, type Make, pathOf, type With } from "./office_common.ts";
import { readRehearsalDevices, voteDeck } from "./rehearsal_vote.ts";

/** How often it is asked whether the published results are there, in milliseconds. */
const ASK_EVERY_MS = 2_000;
/** Differences that are printed. The report has more. */
const MAX_PRINTED = 50;

type Numbered = Common & Readonly<{ rehearsal?: number }>;

/** The command with its own. */
export function rehearseCommand(ofElection: Make, withClient: With): Command {
  const rehearse = command(
    "rehearse",
    "Tests logic and accuracy before an election: a test deck is voted through devices and gateways, and compared.",
  );
  addStart(rehearse, ofElection, withClient);
  addSteps(rehearse, ofElection, withClient);
  return rehearse;
}

function addStart(rehearse: Command, ofElection: Make, withClient: With): void {
  rehearse.addCommand(
    ofElection("deck", "Makes a test deck of the election: every candidate gets another total.")
      .requiredOption("--out <file>", "where the deck goes, YAML")
      .action((options: Common & { out: string }) =>
        withClient(options, async (client) => {
          const { text } = await client.ask("GET", `${pathOf(options)}/rehearsal-deck.yaml`);
          await Deno.writeTextFile(options.out, text);
          const { ballots, totals, outcomes } = parseDeck(text);
          console.log(
            `wrote ${options.out}: ${ballots.length} lines, ${outcomes.counted} ballots that count, ${totals.length} cells`,
          );
        })
      ),
  );
  rehearse.addCommand(
    ofElection(
      "start",
      "Starts a rehearsal with a deck: another election, with keys, log and roll of its own.",
    )
      .requiredOption("--deck <file>", "the deck, with the totals that must come of it")
      .addOption(
        integerOption("--minutes <number>", "how long it is open", REHEARSAL_MINUTES)
          .default(REHEARSAL_MINUTES.default),
      )
      .option("--aggregator <url>", "where gateways find the aggregator, if they have no file yet")
      .action((options: StartOptions) => withClient(options, (client) => start(client, options))),
  );
  rehearse.addCommand(
    ofElection("list", "Lists rehearsals, the newest first.").action((options: Common) =>
      withClient(options, async (client) => {
        console.log(JSON.stringify((await client.ask("GET", `${pathOf(options)}/rehearsals`)).body, null, 2));
      })
    ),
  );
}

function addSteps(rehearse: Command, ofElection: Make, withClient: With): void {
  const ofRehearsal = (name: string, description: string) =>
    ofElection(name, description).addOption(
      integerOption("--rehearsal <number>", "which; the newest that was not reset when left out", {
        min: 1,
        max: MAX_REHEARSALS,
      }),
    );
  rehearse.addCommand(
    ofRehearsal("zero", "Proves that nothing is counted yet; exit code 1 when something is.")
      .option("--out <file>", "where the signed report goes; the note goes to the same name with .note")
      .action((options: Numbered & { out?: string }) =>
        withClient(options, async (client) => {
          const { rehearsal, path } = await find(client, options);
          await report((await client.ask("POST", `${path}/zero`)).body, rehearsal, options.out);
        })
      ),
  );
  rehearse.addCommand(voteCommand());
  rehearse.addCommand(
    ofRehearsal("close", "Closes voting in the rehearsal now.").action((options: Numbered) =>
      withClient(options, async (client) => {
        const { rehearsal, path } = await find(client, options);
        const { body } = await client.ask("POST", `${path}/close`);
        console.log(`${rehearsal} closed at ${body.closesAt}, takes votes in until ${body.acceptsUntil}`);
      })
    ),
  );
  rehearse.addCommand(
    ofRehearsal(
      "compare",
      "Compares what was counted and published with the deck; exit code 1 on a difference.",
    )
      .option("--out <file>", "where the signed report goes; the note goes to the same name with .note")
      .addOption(
        integerOption(
          "--wait <seconds>",
          "how long to wait for the final release, so that it is compared, too",
          {
            min: 0,
            max: 86_400,
          },
        ).default(0),
      )
      .action((options: Numbered & { out?: string; wait: number }) =>
        withClient(options, (client) => compare(client, options))
      ),
  );
  rehearse.addCommand(
    ofElection("reports", "Prints the signed reports of a rehearsal, also of one that was reset.")
      .addOption(
        integerOption("--rehearsal <number>", "which; the newest when left out", {
          min: 1,
          max: MAX_REHEARSALS,
        }),
      )
      .option("--out <directory>", "where each report goes, with its note beside it")
      .action((options: Numbered & { out?: string }) =>
        withClient(options, (client) => listReports(client, options))
      ),
  );
  rehearse.addCommand(
    ofRehearsal(
      "reset",
      "Destroys a rehearsal's votes, log, keys and voters. The real election is not touched.",
    )
      .requiredOption("--reason <text>", "why")
      .action((options: Numbered & { reason: string }) =>
        withClient(options, async (client) => {
          const { rehearsal, path } = await find(client, options);
          await client.ask("POST", `${path}/reset`, { reason: options.reason });
          console.log(`${rehearsal} was reset: its votes, log, keys and voters are destroyed within seconds`);
        })
      ),
  );
}

type StartOptions = Common & Readonly<{ deck: string; minutes: number; aggregator?: string }>;

async function start(client: OfficeClient, options: StartOptions): Promise<void> {
  const bytes = utf8(await readDeck(options.deck));
  if (bytes.length > DECK_LIMITS.bytes) {
    throw new OfficeError(
      `Cannot use the deck: it has ${bytes.length} bytes, and may have ${DECK_LIMITS.bytes}`,
    );
  }
  const query = new URLSearchParams({
    minutes: String(options.minutes),
    ...options.aggregator !== undefined && { aggregator: options.aggregator },
  });
  const { body } = await client.sendBytes(`${pathOf(options)}/rehearsals?${query}`, bytes);
  for (const file of body.files) console.log(`wrote ${file}`);
  console.log(`${body.rehearsal.rehearsal} is open until ${body.closesAt}: ${REHEARSAL_MARK}`);
  console.log(
    "next: with Kafka `deno task topics`; start the gateways with their files; then `rehearse zero`",
  );
}

async function readDeck(path: string): Promise<string> {
  return (await readText(path)).text;
}

/** The rehearsal that is meant, and where it is. */
async function find(client: OfficeClient, options: Numbered): Promise<Rehearsal & { path: string }> {
  const { body } = await client.ask("GET", `${pathOf(options)}/rehearsals`);
  const all: readonly Rehearsal[] = body.rehearsals;
  const found = options.rehearsal === undefined
    ? all.find(({ resetAt }) => resetAt === null)
    : all.find(({ number }) => number === options.rehearsal);
  if (found !== undefined) {
    return { ...found, path: `${pathOf(options)}/rehearsals/${found.number}` };
  }
  throw new OfficeError(
    options.rehearsal === undefined
      ? `Cannot find a rehearsal of ${options.election} that was not reset: begin with \`office rehearse start\``
      : `Cannot find rehearsal ${options.rehearsal} of ${options.election}; \`office rehearse list\` lists them`,
  );
}

/** Prints a report, and writes it where that is wanted. @throws {Failure} when there are differences. */
async function report(
  { report, note, differences, kind }: RehearsalReport,
  rehearsal: string,
  out: string | undefined,
): Promise<void> {
  const { lines } = JSON.parse(report) as { lines: readonly Difference[] };
  console.log(`${rehearsal}: ${REHEARSAL_MARK}`);
  for (const { what, expected, found } of lines.slice(0, MAX_PRINTED)) {
    console.log(`${what}: expected ${expected}, found ${found}`);
  }
  if (differences > MAX_PRINTED) console.log(`and ${differences - MAX_PRINTED} more`);
  console.log(
    kind === "zero"
      ? differences === 0 ? "proof of zero: nothing is counted" : "this is no proof of zero"
      : `${differences} differences`,
  );
  if (out !== undefined) {
    await Deno.writeTextFile(out, report);
    await Deno.writeTextFile(`${out}.note`, note);
    console.log(`wrote ${out} and ${out}.note`);
  }
  if (differences > 0) throw new Failure("");
}

/** Prints what reports say, the oldest first, and writes them where that is wanted. */
async function listReports(
  client: OfficeClient,
  options: Numbered & Readonly<{ out?: string }>,
): Promise<void> {
  const { body: { rehearsals: [newest] } } = await client.ask("GET", `${pathOf(options)}/rehearsals`);
  const wanted = options.rehearsal ?? (newest as Rehearsal | undefined)?.number;
  if (wanted === undefined) {
    throw new OfficeError(`Cannot list reports: ${options.election} was never rehearsed`);
  }
  const { rehearsal, resetAt, path } = await find(client, { ...options, rehearsal: wanted });
  const { reports } = (await client.ask("GET", `${path}/reports`)).body as {
    reports: readonly RehearsalReport[];
  };
  console.log(`${rehearsal}: ${REHEARSAL_MARK}${resetAt === null ? "" : `. It was reset at ${resetAt}`}`);
  if (options.out !== undefined) await Deno.mkdir(options.out, { recursive: true });
  for (const { number, kind, differences, madeBy, madeAt, report, note } of reports) {
    console.log(`${number}. ${kind}, ${madeAt}, ${madeBy}: ${differences} differences`);
    if (options.out === undefined) continue;
    const file = `${options.out}/REHEARSAL-${rehearsal}-${kind}-${number}.json`;
    await Deno.writeTextFile(file, report);
    await Deno.writeTextFile(`${file}.note`, note);
    console.log(`wrote ${file} and ${file}.note`);
  }
  if (reports.length === 0) console.log("no report was made");
}

async function compare(
  client: OfficeClient,
  options: Numbered & Readonly<{ out?: string; wait: number }>,
): Promise<void> {
  const untilMs = performance.now() + options.wait * 1_000;
  let found = await find(client, options);
  while (!found.isPublished && performance.now() < untilMs) {
    await delay(ASK_EVERY_MS);
    found = await find(client, { ...options, rehearsal: found.number });
  }
  // Each comparison is signed and kept, so it is made once.
  const { body } = await client.ask("POST", `${found.path}/comparison`);
  if (!body.isPublished) console.log("published totals were not compared: the final release is not made yet");
  await report(body, found.rehearsal, options.out);
}

type VoteOptions = Readonly<{
  deck: string;
  devices?: string;
  election?: string;
  gateway: readonly (readonly [id: string, origin: string])[];
  aggregator: readonly string[];
  statements: boolean;
}>;

function voteCommand(): Command {
  return command("vote", "Votes a deck: as the rehearsal's devices, through gateways. Takes no sign-in.")
    .requiredOption("--deck <file>", "the deck with which the rehearsal was started")
    .option("--devices <file>", "the rehearsal's devices with their keys, as `start` wrote them")
    .option(
      "--election <id>",
      "the rehearsal, like ri-2020-rehearsal-1, whose devices are below POLLWIRE_DATA",
    )
    .requiredOption(
      "--gateway <id=url>",
      "a gateway's address, like g-1=http://127.0.0.1:8001; once each",
      gatewayOption,
    )
    .addOption(
      originEachOption(
        "--aggregator <url>",
        "where devices find the aggregator; once for each of its addresses",
      )
        .default(["http://127.0.0.1:8000"]),
    )
    .option("--no-statements", "devices do not state that they open and close: the aggregator has no office")
    .action(vote);
}

function gatewayOption(
  text: string,
  before: VoteOptions["gateway"] = [],
): VoteOptions["gateway"] {
  const [, id, url] = /^([a-z0-9-]+)=(https?:\/\/[^/]+)\/?$/.exec(text) ?? [];
  if (id === undefined || !URL.canParse(url!)) {
    throw new InvalidArgumentError("It must be a gateway and its address, like g-1=http://127.0.0.1:8001.");
  }
  return [...before, [id, new URL(url!).origin]];
}

async function vote(options: VoteOptions): Promise<void> {
  const { deck: path, devices, election, aggregator: aggregators, statements } = options;
  if ((devices === undefined) === (election === undefined)) {
    throw new UsageError("give one of --devices and --election: whose keys are meant");
  }
  try {
    const deck = parseDeck(await readDeck(path));
    const file = await readRehearsalDevices(devices ?? `${aggregatorConfig().data}/devices/${election}.json`);
    if (rehearsedBy(file.election) !== deck.election) {
      throw new OfficeError(
        `Cannot vote the deck: it is of ${deck.election}, and the devices are of ${file.election}`,
      );
    }
    const manifest = await fetchManifest(aggregators, file.election);
    const total = deck.ballots.reduce((sum, { count }) => sum + count, 0);
    const bar = progress({ label: "deck", total, unit: "ballots" });
    const gateways = new Map(options.gateway);
    const { acknowledged, refused, differences } = await voteDeck(deck, file, manifest, {
      gateways,
      aggregators,
      statements,
    }, (ballots) => bar.advance(ballots));
    bar.done(`${acknowledged} ballots were acknowledged by gateways, ${refused} refused`);
    console.log(`${file.election}: ${acknowledged} acknowledged, ${refused} refused. ${REHEARSAL_MARK}`);
    for (const line of differences) console.log(line);
    if (differences.length > 0) throw new Failure("");
  } catch (error) {
    throw error instanceof OfficeError ? new Failure(error.message) : error;
  }
}

/** The rehearsal's manifest, of whichever address answers first. */
async function fetchManifest(aggregators: readonly string[], election: string): Promise<Manifest> {
  let why = "";
  for (const origin of aggregators) {
    try {
      const answer = await fetch(`${origin}/v1/elections/${election}/manifest`);
      const body = await answer.json();
      if (answer.ok) return parseManifest(body);
      why = body.detail ?? body.title;
    } catch (error) {
      why = (error as Error).message;
    }
  }
  throw new OfficeError(`Cannot read the manifest of ${election} at ${aggregators.join(", ")}: ${why}`);
}
