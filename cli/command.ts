/**
 * What all commands of Pollwire have in common: help, errors, exit codes, bounds of numbers.
 *
 * @module
 */
import process from "node:process";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import config from "../deno.json" with { type: "json" };

/** Exit codes: success; differences or a failure; wrong usage. */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/**
 * The command failed or found differences: exit code 1. Without a message nothing is printed: the command has already
 * printed it.
 */
export class Failure extends Error {
  override name = "Failure";
}

/** The command was called wrongly: exit code 2. The message says what would be right. */
export class UsageError extends Error {
  override name = "UsageError";
}

/**
 * A program, or a command to be added to one with `addCommand`.
 *
 * @param name As it is typed.
 * @param description One sentence for the help.
 */
export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .configureHelp({ sortSubcommands: false, showGlobalOptions: true })
    .showHelpAfterError(`(--help shows all options)`)
    .showSuggestionAfterError(true)
    .allowExcessArguments(false)
    .exitOverride();
}

/** A program of several commands. */
export function program(name: string, description: string, commands: readonly Command[]): Command {
  const root = command(name, description).version(config.version, "--version", "show the version");
  for (const each of commands) root.addCommand(each);
  return root;
}

/**
 * Runs a program and returns its exit code. The caller exits.
 *
 * @param args The arguments after the program's name.
 * @param printError Prints an error's line. Default: to standard error.
 */
export async function runProgram(
  root: Command,
  args: readonly string[] = Deno.args,
  printError: (line: string) => void = console.error,
): Promise<ExitCode> {
  let ended = false;
  // A key pressed during the progress bar ends the process at once with code 0, which would look like success.
  const onExit = () => {
    if (!ended) process.exitCode = EXIT.interrupted;
  };
  process.once("exit", onExit);
  try {
    await root.parseAsync(args, { from: "user" });
    return EXIT.ok;
  } catch (error) {
    return exitCodeOf(error, printError);
  } finally {
    ended = true;
    process.off("exit", onExit);
  }
}

function exitCodeOf(error: unknown, printError: (line: string) => void): ExitCode {
  if (error instanceof CommanderError) {
    // Commander has printed it. `commander.help` means that the command is missing; `--help` has another code.
    return error.exitCode === 0 && error.code !== "commander.help" ? EXIT.ok : EXIT.usage;
  }
  if (error instanceof UsageError) {
    printError(`error: ${error.message}`);
    return EXIT.usage;
  }
  if (error instanceof Failure) {
    if (error.message !== "") printError(`error: ${error.message}`);
    return EXIT.failed;
  }
  const known = error instanceof Error && error.name === "ConfigError";
  printError(
    known ? `error: ${error.message}` : `error: ${error instanceof Error ? error.stack : describe(error)}`,
  );
  return known ? EXIT.usage : EXIT.failed;
}

/** Describes a thrown value that is not an Error: some libraries throw plain objects. */
function describe(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null) return String(thrown);
  const { message, name = "object", code, errno } = thrown as Record<string, unknown>;
  return `${name}: ${message ?? code ?? errno ?? JSON.stringify(thrown)}`;
}

/** Bounds of a number, both included. */
export type Bounds = Readonly<{ min: number; max: number }>;

/** An option that takes a whole number within bounds, such as `--batch <votes>`. */
export function integerOption(flags: string, description: string, bounds: Bounds): Option {
  return new Option(flags, `${description} (${range(bounds)})`).argParser((text) => {
    // Digits only: Number() would also read "1e3", "0x10" and "".
    if (!/^-?\d{1,15}$/.test(text)) {
      throw new InvalidArgumentError(`It must be a whole number ${within(bounds)}.`);
    }
    return inBounds(Number(text), bounds, "a whole number");
  });
}

/** An option that takes a number within bounds, such as `--kill-every <seconds>`. */
export function numberOption(flags: string, description: string, bounds: Bounds): Option {
  return new Option(flags, `${description} (${range(bounds)})`).argParser((text) => {
    if (!/^-?\d{1,15}(?:\.\d{1,9})?$/.test(text)) {
      throw new InvalidArgumentError(`It must be a number ${within(bounds)}.`);
    }
    return inBounds(Number(text), bounds, "a number");
  });
}

/** Seconds of each unit of time. */
const SECONDS = { s: 1, m: 60, h: 3_600 } as const;

/** An option that takes a duration, such as `--duration <time>`: `90s`, `15m`, `1h`. Its value is in seconds. */
export function durationOption(flags: string, description: string, maxSeconds: number): Option {
  return new Option(flags, `${description} (like 90s, 15m, 1h)`).argParser((text) => {
    const [, count, unit] = /^(\d{1,9}(?:\.\d{1,3})?)([smh])$/.exec(text) ?? [];
    const seconds = Number(count) * SECONDS[unit as keyof typeof SECONDS];
    if (!(seconds > 0 && seconds <= maxSeconds)) {
      throw new InvalidArgumentError(
        `It must be a time like 90s, 15m or 1h, of at most ${maxSeconds / SECONDS.h} hours.`,
      );
    }
    return seconds;
  });
}

/** An option that takes http(s) URLs without path or query, separated by commas. */
export function originsOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) =>
    text.split(",").map((part) => parseOrigin(part.trim()))
  );
}

/** An option that takes one such URL, like `--aggregator <url>`, and may be repeated. Its value is all of them, in order. */
export function originEachOption(flags: string, description: string): Option {
  const option = new Option(flags, description);
  return option.argParser((text, before?: readonly string[]) => {
    const given = before === undefined || before === option.defaultValue ? [] : before;
    return [...given, parseOrigin(text)];
  });
}

function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "") {
    throw new InvalidArgumentError("It must be an address like http://127.0.0.1:8080, without a path.");
  }
  return url.origin;
}

function inBounds(value: number, bounds: Bounds, what: string): number {
  if (value < bounds.min || value > bounds.max) {
    throw new InvalidArgumentError(`It must be ${what} ${within(bounds)}.`);
  }
  return value;
}

function within({ min, max }: Bounds): string {
  return `from ${min.toLocaleString("en")} to ${max.toLocaleString("en")}`;
}

function range({ min, max }: Bounds): string {
  return `${min.toLocaleString("en")} to ${max.toLocaleString("en")}`;
}
