/**
 * `deno task recount --spark`: starts the recount on Spark. It is a Python program of its own (deploy/spark), so that no code
 * is shared with what it checks.
 *
 * @module
 */
import { Failure, UsageError } from "../../cli/command.ts";

/** Makes Python's environment where it is missing, and starts the program. The only program that the command may start. */
const SCRIPT = new URL("../../deploy/spark/recount.sh", import.meta.url).pathname;

/** The exit code of wrong usage, of the script and of Python's own parser of options. */
const USAGE = 2;

/** What the command takes beside `--spark`; each is passed on. */
export type SparkOptions = Readonly<{
  election?: string;
  /** Every election. */
  all?: boolean;
  /** Spark's master, like `spark://host:7077`. */
  master?: string;
  /** Memory of the driver, like `2g`. */
  memory?: string;
  /** Where to stop: `log`, `tables`, or an offset for each partition. */
  ends?: string;
  /** The file for the signed report. */
  report?: string;
  /** Whether to follow the log instead, until it is ended. */
  stream?: boolean;
  /** Where a stream notes how far it is: a directory, or a URL that Spark's cluster can reach. */
  checkpoints?: string;
  /** Seconds between a stream's batches. */
  interval?: string;
  /** Entries of one of its batches at most. */
  batch?: string;
}>;

/**
 * Runs the recount to its end; a stream ends at SIGTERM or SIGINT. It reads the same settings from the environment, and prints for itself.
 *
 * @throws {Failure} when it finds a difference or cannot recount.
 */
export async function recountOnSpark(
  { election, all, master, memory, ends, report, stream, checkpoints, interval, batch }: SparkOptions,
): Promise<void> {
  const named = { election, master, memory, ends, report, checkpoints, interval, batch };
  const args = Object.entries(named).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value]
  );
  if (all) args.push("--all");
  const child = new Deno.Command(SCRIPT, { args: stream ? ["--stream", ...args] : args, stdin: "null" })
    .spawn();
  // Who ends this process ends the program. Ctrl-C in a terminal reaches both by itself.
  const end = () => child.kill("SIGTERM");
  Deno.addSignalListener("SIGTERM", end);
  const { code } = await child.status;
  Deno.removeSignalListener("SIGTERM", end);
  if (code === USAGE) throw new UsageError("Cannot recount on Spark: see above");
  if (code !== 0) throw new Failure("");
}
