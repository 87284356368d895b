/**
 * Gives parts of a benchmark a processor of their own, so that what is left to see is how they slow each other by what they
 * ask of a server, not by sharing a processor.
 *
 * @module
 */

/** Whether this machine can: Linux with `taskset` and two processors. */
export async function canPin(): Promise<boolean> {
  return Deno.build.os === "linux" && navigator.hardwareConcurrency >= 2 &&
    await pin(allProcessors()).then(() => true, () => false);
}

/** Processors of this machine, as `taskset` writes a list of them. */
export const allProcessors = () => `0-${navigator.hardwareConcurrency - 1}`;

/** From here on this process, and whatever it starts, runs on these processors only. @throws {Error} when it may not */
export async function pin(processors: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("taskset", {
    args: ["--all-tasks", "--cpu-list", "--pid", processors, String(Deno.pid)],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`taskset: ${new TextDecoder().decode(stderr).trim()}`);
}
