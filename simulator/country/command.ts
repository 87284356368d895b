/**
 * `country`: writes a made-up country as the files that `provision` takes.
 *
 * @module
 */
import type { Command } from "commander";
import { command, integerOption, UsageError } from "../../cli/command.ts";
import { duration, progress } from "../../cli/progress.ts";
import { idSchema, instantSchema } from "../../shared/election.ts";
import { number } from "../run/report.ts";
import { writeFullRoll } from "../voting/roll.ts";
import { type CountrySize, DEFAULT_SIZE, type ElectionFrame, simulateCountry } from "./country.ts";
import { loadLocale, LOCALE_NAMES } from "./locales.ts";

type CountryOptions =
  & CountrySize
  & Readonly<{ seed: number; locale: string; election: string; day?: string; out: string }>;

const DAY_MS = 86_400_000;
/** Without a day, an election is open from this day's first moment, for so many days. */
const OPEN_DAYS = 7;
/** Voters after which progress is reported. */
const REPORT_EVERY = 1_000;

/** The command `country`. */
export function countryCommand(): Command {
  const count = (flags: string, description: string, max: number, value: number, min = 1) =>
    integerOption(flags, description, { min, max }).default(value);
  return command("country", "Makes up a country: writes an election's definition and its roll.")
    .requiredOption("--out <dir>", "where definition.json and roll.csv go; made if it is not there")
    .addOption(count("--voters <number>", "how many there are", 20_000_000, DEFAULT_SIZE.voters))
    .addOption(count("--seed <number>", "the same seed, the same country, byte for byte", 2 ** 31, 1, 0))
    .option("--locale <name>", "whose names and places, such as de or fr_CA", "en_GB")
    .addOption(count("--contests <number>", "on the ballot", 20, DEFAULT_SIZE.contests))
    .addOption(count("--candidates <number>", "in each contest", 100, DEFAULT_SIZE.candidates))
    .addOption(count("--parties <number>", "that candidates stand for", 100, DEFAULT_SIZE.parties, 0))
    .addOption(count("--regions <number>", "in which the stations lie", 1_000, DEFAULT_SIZE.regions))
    .addOption(count("--stations <number>", "where votes are cast", 20_000, DEFAULT_SIZE.stations))
    .addOption(
      count("--devices-per-station <number>", "that cast them", 26, DEFAULT_SIZE.devicesPerStation),
    )
    .addOption(count("--gateways <number>", "that take them in", 2_000, DEFAULT_SIZE.gateways))
    .option("--election <id>", "the election's id", "country")
    .option(
      "--day <day>",
      "election day, YYYY-MM-DD: open from 07:00 to 20:00 UTC (default: open from today on, for a week)",
    )
    .addHelpText(
      "after",
      `
Voters have profiles: names, addresses, telephone numbers and e-mail addresses that belong to nobody, and a drawn
picture. Without --day the hours of the election follow the clock, and the country does not.

Locales: ${LOCALE_NAMES.join(", ")}.

  deno task country --out data/country
  deno task provision --definition data/country/definition.json --roll data/country/roll.csv`,
    )
    .action(async (options: CountryOptions) => await writeCountry(options));
}

async function writeCountry(options: CountryOptions): Promise<void> {
  const { seed, out, voters } = options;
  const startedMs = performance.now();
  const frame = frameOf(options, Date.now());
  const country = simulateCountry(seed, options, frame, await loadLocale(options.locale));
  try {
    await Deno.mkdir(out, { recursive: true });
  } catch (error) {
    throw new UsageError(`Cannot write to ${out}: ${(error as Error).message}`);
  }
  await Deno.writeTextFile(`${out}/definition.json`, `${JSON.stringify(country.definition, undefined, 1)}\n`);
  const bar = progress({ label: "roll", total: voters, unit: "voters" });
  await writeFullRoll(`${out}/roll.csv`, withProgress(country.fullVoters(), (more) => bar.advance(more)));
  const seconds = duration((performance.now() - startedMs) / 1_000);
  bar.done(
    `${number(voters)} voters, ${options.stations} stations in ${options.regions} regions, seed ${seed}, ` +
      `${options.locale}: ${out}/definition.json and ${out}/roll.csv in ${seconds}`,
  );
}

/** @throws {UsageError} when the id or the day is none. */
function frameOf({ election, day }: CountryOptions, nowMs: number): ElectionFrame {
  const id = idSchema.safeParse(election);
  if (!id.success) {
    throw new UsageError(`Cannot use --election ${election}: it ${id.error.issues[0]!.message}`);
  }
  const at = (ms: number) => new Date(ms).toISOString();
  if (day === undefined) {
    const opensMs = nowMs - nowMs % DAY_MS;
    const closesAt = at(opensMs + OPEN_DAYS * DAY_MS);
    return { election, opensAt: at(opensMs), closesAt, acceptsUntil: closesAt };
  }
  const opensAt = `${day}T07:00:00.000Z`;
  if (!instantSchema.safeParse(opensAt).success) {
    throw new UsageError(`Cannot use --day ${day}: it must be a day that exists, like 2026-11-03`);
  }
  const closesAt = `${day}T20:00:00.000Z`;
  return { election, opensAt, closesAt, acceptsUntil: at(Date.parse(closesAt) + DAY_MS) };
}

/** Yields the same, and reports progress. */
function* withProgress<T>(all: Iterable<T>, report: (more: number) => void): Generator<T> {
  let unreported = 0;
  for (const each of all) {
    yield each;
    if (++unreported < REPORT_EVERY) continue;
    report(unreported);
    unreported = 0;
  }
  if (unreported > 0) report(unreported);
}
