/**
 * A directory for one test.
 *
 * @module
 */

/** Does the work in a new directory and deletes it, however the work ends. */
export async function withDirectory<T>(work: (directory: string) => T | Promise<T>): Promise<T> {
  const directory = await Deno.makeTempDir({ prefix: "pollwire-" });
  try {
    return await work(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
