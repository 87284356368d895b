/**
 * Commands of the aggregator on the embedded stores of a test.
 *
 * @module
 */

/** Runs a command of the aggregator on a data directory. */
export async function runCommand(
  data: string,
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("../aggregator/main.ts", import.meta.url).pathname, ...args],
    env: { POLLWIRE_DATA: data, NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}
