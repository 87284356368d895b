/**
 * The environment that a run stands on: an election to vote in, its stack, and its polling stations made ready.
 *
 * @module
 */
import type { ElectionDefinition } from "../../shared/election.ts";
import { type BadKind } from "../bad/kinds.ts";
import { type BadOption, mixOf } from "../bad/mix.ts";
import type { Aggregator } from "../run/aggregator.ts";
import type { AnswerSource } from "../../device/receipts.ts";
import { systemClock } from "../../device/clock.ts";
import { voterChoices } from "../country/choices.ts";
import { type CountrySize, simulateCountry } from "../country/country.ts";
import { loadLocale } from "../country/locales.ts";
import { comersOf } from "../country/turnout.ts";
import { freeElectionId } from "../run/directory.ts";
import type { StackTls } from "../processes/https.ts";
import type { Servers } from "../processes/servers.ts";
import type { PlanOptions } from "../voting/plan.ts";
import {
  answerSourceOf,
  openPolls,
  originsByStation,
  readDevicesFile,
  splitRevoked,
} from "../voting/polls.ts";
import { seededRandom } from "../random.ts";
import { type Voter, writeFullRoll, writeRoll } from "../voting/roll.ts";
import { hoursAround } from "../run/run.ts";
import type { BadWorld } from "../voting/casting.ts";
import { PollwireProcesses } from "../processes/pollwire.ts";

/** An election to vote in, and where. */
export type Environment = Readonly<{
  definition: ElectionDefinition;
  /** Those who come, in their order, and how many they are. */
  voters: () => Iterable<Voter> | AsyncIterable<Voter>;
  coming: number;
  /** How many are on the roll. */
  onRoll: number;
  /** The addresses of the aggregator's aggregators. */
  aggregators: readonly string[];
  /** A process that counts, where that is another one. */
  counter?: string;
  gateways: readonly string[];
  devicesFile: string;
  ledgerFile: string;
}>;

/** What to make a environment of. */
export type EnvironmentOptions = Readonly<{
  dataDir: string;
  seed: number;
  size: CountrySize;
  /** The share of voters who come. */
  turnout: number;
  /** Whose names and places, such as `en_GB`. */
  locale: string;
  /** Whether voters have whole profiles. */
  profiles: boolean;
  /** What the election's id begins with. */
  name: string;
  /** The port of the aggregator's page; any free one when left out. */
  aggregatorPort?: number;
  /** HTTPS with it, HTTP without. */
  tls?: StackTls;
  /** How many aggregators share the count; 1 when left out. */
  aggregators?: number;
  /** The servers that it stands on; embedded stores when left out. */
  servers?: Servers;
}>;

/** Makes an election up, and a stack for it, provisioned and not started. */
export async function makeEnvironment(
  options: EnvironmentOptions,
): Promise<Environment & { stack: PollwireProcesses }> {
  const { dataDir, seed, size, aggregatorPort, tls, aggregators, servers } = options;
  const frame = {
    election: await freeElectionId(
      dataDir,
      `${options.name}-${seed}`,
      options.servers?.aggregators.KEYS_DIRECTORY,
    ),
    ...hoursAround(Date.now()),
  };
  const country = simulateCountry(seed, size, frame, await loadLocale(options.locale));
  const { definition, lost } = withLostDevice(country.definition);
  const { election } = definition;
  const directory = `${dataDir}/simulations/${election}`;
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/definition.json`, JSON.stringify(definition, undefined, 1));
  if (options.profiles) await writeFullRoll(`${directory}/roll.csv`, country.fullVoters());
  else await writeRoll(`${directory}/roll.csv`, country.voters());
  const gateways = definition.gateways.map(({ id }) => id);
  const stack = new PollwireProcesses({
    dataDir,
    gateways,
    clock: systemClock,
    aggregatorPort,
    tls,
    aggregators,
    servers,
  });
  try {
    await stack.provision(`${directory}/definition.json`, `${directory}/roll.csv`, `${lost}.1`);
  } catch (error) {
    await stack.stop();
    throw error;
  }
  const { voters, total } = comersOf(country, seed, options.turnout);
  return {
    definition,
    voters,
    coming: total,
    onRoll: size.voters,
    aggregators: stack.aggregators,
    counter: stack.counter,
    gateways: stack.gateways,
    devicesFile: `${dataDir}/devices/${election}.json`,
    ledgerFile: `${directory}/ledger.ndjson`,
    stack,
  };
}

/** One device more than the stations need, to be lost, and its key revoked before anybody votes. */
function withLostDevice(definition: ElectionDefinition): { definition: ElectionDefinition; lost: string } {
  // An election has at least one station.
  const { id: station } = definition.stations[0]!;
  const lost = `lost-device`;
  const devices = [...definition.devices ?? [], { id: lost, station }];
  return { definition: { ...definition, devices }, lost };
}

/** What polling needs. */
export type PollingOptions = Readonly<{
  seed: number;
  bad: BadOption;
  /** The share of one kind; see {@link mixOf}. */
  perKind?: (share: number, kinds: number) => number;
  batchVotes: number;
  kills: boolean;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  signal: AbortSignal;
}>;

/** Polling stations that can be voted at, and what bad votes can come there. */
export type Polling = Readonly<{
  plan: Omit<PlanOptions, "voters">;
  bad: BadWorld;
  /** Whose answers to receipts are believed. */
  answerSource: AnswerSource;
  /** Kinds of bad votes that were asked for and cannot be shown here, and why. */
  leftOut: ReadonlyMap<BadKind, string>;
}>;

/** Makes the polling stations of a environment ready, whose aggregator must answer. */
export async function openPolling(
  { definition, devicesFile, gateways }: Pick<Environment, "definition" | "devicesFile" | "gateways">,
  aggregator: Aggregator,
  options: PollingOptions,
): Promise<Polling> {
  const { seed, batchVotes, kills, fetch, signal } = options;
  const uuid = () => crypto.randomUUID();
  const { denied } = await aggregator.manifest(definition.election);
  const file = await readDevicesFile(devicesFile);
  const { good, revoked } = splitRevoked(file, denied);
  const world = { fetch, clock: systemClock, random: seededRandom(seed, "devices"), uuid, signal };
  const stationsOf = new Map<string, string[]>(definition.regions.map(({ id }) => [id, []]));
  for (const { id, region } of definition.stations) stationsOf.get(region)!.push(id);
  const { mix, leftOut } = mixOf(
    options.bad,
    { definition, revoked: revoked !== undefined, kills },
    options.perKind,
  );
  const plan = {
    definition,
    polls: openPolls(good, definition, gateways, world),
    stationsOf,
    choices: voterChoices(seed, definition),
    batchVotes,
    bad: mix,
    revokedStation: revoked?.station,
    random: seededRandom(seed, "plan"),
    uuid,
    now: Date.now,
  };
  const gatewaysOf = originsByStation(definition, gateways);
  return { plan, bad: { fetch, gatewaysOf, revoked, uuid }, answerSource: answerSourceOf(file), leftOut };
}
