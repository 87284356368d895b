/**
 * The real servers that a stack of the simulator's own may stand on, in place of the embedded stores: where they are,
 * as `deno task stack up` writes it.
 *
 * @module
 */
import type { Command } from "commander";
import { Failure, integerOption, UsageError } from "../../cli/command.ts";

/** Maximum aggregators of one stack. */
const MAX_AGGREGATORS = 8;
/** Settings that gateways get: none of the database and the index. */
const FOR_GATEWAYS = ["VOTE_LOG", "KAFKA_PASSWORD", "KAFKA_PASSWORD_FILE"];

/** Options as they are typed. */
export type ServersOptions = Readonly<{ stack?: string; aggregators: number; byRole?: boolean }>;

/** Settings of the processes that use the servers, by name. */
export type Servers = Readonly<{
  aggregators: Readonly<Record<string, string>>;
  gateways: Readonly<Record<string, string>>;
  /** Whether each aggregator is three processes: count and index, serve and receipts, sync. It is one when left out. */
  byRole?: boolean;
}>;

/** Adds the options to a command. */
export function addServersOptions(command: Command): Command {
  return command
    .option(
      "--stack <file>",
      "stand on real servers: the file `env` that `stack up` wrote (default: on embedded stores)",
    )
    .addOption(
      integerOption("--aggregators <number>", "that share the count; more than one needs --stack", {
        min: 1,
        max: MAX_AGGREGATORS,
      }).default(1),
    )
    .option("--by-role", "run each aggregator as three processes, by its roles; needs --stack");
}

/**
 * The servers that were asked for; `undefined` for embedded stores.
 *
 * @throws {UsageError} when the file cannot be read, or does not name a log and a database that can be shared.
 */
export function serversOf({ stack, aggregators, byRole = false }: ServersOptions): Servers | undefined {
  if (stack !== undefined) return { ...readServers(stack), ...byRole && { byRole } };
  if (byRole) throw new UsageError("--by-role needs --stack: one process does everything on embedded stores");
  if (aggregators === 1) return undefined;
  throw new UsageError(
    `--aggregators ${aggregators} needs --stack: one process counts on embedded stores`,
  );
}

/** Reads the file that names the servers. See {@link serversOf}. */
export function readServers(file: string): Servers {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    throw new UsageError(`--stack names ${file}, which cannot be read (${(error as Error).message})`);
  }
  const environment = parseEnvironment(text);
  for (const [name, form] of [["VOTE_LOG", "kafka://"], ["DATABASE_URL", "postgres://"]] as const) {
    if (environment[name]?.startsWith(form)) continue;
    throw new UsageError(
      `--stack names ${file}, where ${name} is ${
        environment[name] ?? "not set"
      }, and must begin with ${form}`,
    );
  }
  return {
    aggregators: environment,
    gateways: Object.fromEntries(Object.entries(environment).filter(([name]) => FOR_GATEWAYS.includes(name))),
  };
}

/**
 * Reads lines as `stack up` writes them: `NAME=value`, quoted as a shell wants it.
 *
 * @throws {Failure} naming a line that is none.
 */
export function parseEnvironment(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => line !== "");
  return Object.fromEntries(lines.map((line, i) => {
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw new Failure(`Cannot read line ${i + 1}: it must be NAME=value`);
    }
    return [name, value.startsWith("'") ? value.slice(1, -1).replaceAll(`'\\''`, "'") : value];
  }));
}
