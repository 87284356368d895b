/**
 * Runs another program to its end, with a limit, and says what it said when it fails.
 *
 * @module
 */
import { Failure } from "../../cli/command.ts";

/** How much of what a program wrote is shown when it failed, in characters. */
const SHOWN_CHARS = 2_000;

/** How a program is run. */
export type RunOptions = Readonly<{
  /** It is killed after so long, in milliseconds. */
  limitMs: number;
  /** What to do when the program is not there. */
  missing: string;
  environment?: Readonly<Record<string, string>>;
  /** Run it as this user and group. */
  as?: Readonly<{ uid: number; gid: number }>;
  /** Written to its standard input. */
  input?: string;
}>;

/**
 * Runs a program and returns what it wrote to standard output.
 *
 * @throws {Failure} when it is missing, fails, or takes too long.
 */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<string> {
  const { limitMs, missing, environment, as, input } = options;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...args],
      env: environment,
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      ...as,
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Failure(`there is no ${program} here: ${missing}`);
    throw error;
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, limitMs);
  try {
    if (input !== undefined) await write(child.stdin, input);
    const { success, code, stdout, stderr } = await child.output();
    const said = new TextDecoder().decode(stdout);
    if (success) return said;
    const shown = `${said}\n${new TextDecoder().decode(stderr)}`.trim().slice(-SHOWN_CHARS);
    const how = late ? `took more than ${limitMs / 1_000} s` : `ended with code ${code}`;
    throw new Failure(`${program} ${how}:\n${shown || "(it said nothing)"}`);
  } finally {
    clearTimeout(timer);
  }
}

async function write(stdin: WritableStream<Uint8Array<ArrayBuffer>>, input: string): Promise<void> {
  const writer = stdin.getWriter();
  // A program that ends without reading says more by its exit code than by the broken pipe.
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
}
