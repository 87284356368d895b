/**
 * The points at which the processes of the crash test kill themselves. Only their own mains, beside this file, pass
 * through them: production code knows nothing of it.
 *
 * @module
 */

/** The points: which process passes through them, and what has happened when it gets there. */
export const CRASH_POINTS = {
  "before-fsync": { of: "gateway", when: "the spool's transaction is not committed, no receipt is out" },
  "after-fsync": { of: "gateway", when: "the spool's transaction is committed, no receipt is out" },
  "before-append": { of: "gateway", when: "the spool has the records, the log does not" },
  "after-append": { of: "gateway", when: "the log has acknowledged the records, the spool still has them" },
  "after-read": { of: "aggregator", when: "a batch was read from the log, nothing of it is counted" },
  "before-commit": { of: "aggregator", when: "a batch is counted and the position moved, not committed" },
  "after-commit": {
    of: "aggregator",
    when: "a batch is committed, the log not told how far counting has come",
  },
} as const;
export type CrashPoint = keyof typeof CRASH_POINTS;

/**
 * A process's death foretold: at which point, and on which passage through it, from 1. With SIGSTOP it only seems
 * dead, until it is told to go on.
 */
export type Crash = Readonly<{ point: CrashPoint; passage: number; signal?: "SIGKILL" | "SIGSTOP" }>;

/** The environment variable with a process's {@link Crash}. `marker` is a file with a line for each death. */
export function crashEnvironment(
  { point, passage, signal = "SIGKILL" }: Crash,
  marker: string,
): Record<string, string> {
  return { CRASH_POINT: point, CRASH_PASSAGE: String(passage), CRASH_SIGNAL: signal, CRASH_MARKER: marker };
}

/**
 * Reads this process's crash. Call the returned function at each passage through a point: at the chosen passage it writes a line
 * to the marker file, and does not return before the process is continued.
 */
export function crashPoints(
  environment: Readonly<Record<string, string>> = Deno.env.toObject(),
): (point: CrashPoint) => void {
  const { CRASH_POINT, CRASH_PASSAGE, CRASH_SIGNAL, CRASH_MARKER } = environment;
  let left = Number(CRASH_PASSAGE);
  return (point) => {
    if (point !== CRASH_POINT || --left !== 0) return;
    Deno.writeTextFileSync(CRASH_MARKER, `${point}\n`, { append: true });
    Deno.kill(Deno.pid, CRASH_SIGNAL as Deno.Signal);
    while (CRASH_SIGNAL === "SIGKILL"); // Should another thread be the one to get the signal: not one step further.
  };
}

/** Ends this process when the one that started it is gone: standard input, on which nothing comes, ends then. */
export async function endWithStarter(): Promise<void> {
  while (await Deno.stdin.read(new Uint8Array(1)) !== null);
  Deno.exit(1);
}
