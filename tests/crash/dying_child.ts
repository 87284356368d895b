/**
 * A script of this folder that dies in the middle of its work, and what it leaves in an embedded database.
 *
 * @module
 */
import { openPglite } from "../../aggregator/database/pglite.ts";

/** Runs a script of this folder until it ends. */
export async function runChild(script: string, ...args: string[]) {
  const { code, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL(script, import.meta.url).pathname, ...args],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, signal, out: text(stdout), err: text(stderr) };
}

/** As if the time had passed for which a dead process keeps others from its work. */
export async function freeLease(database: string): Promise<void> {
  const db = await openPglite(database);
  await db.query("UPDATE counting.leases SET until = '-infinity'");
  await db.close();
}
