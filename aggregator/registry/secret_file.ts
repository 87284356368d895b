/**
 * Writes files with keys in them: readable by their owner only, complete or not there at all.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { utf8 } from "../../shared/bytes.ts";

/** Writes a value as JSON in place of a file, and makes its directory. */
export function writeSecret(path: string, value: unknown): void {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
  // A file that a crash left over could be readable by others, and would stay so.
  if (existsSync(`${path}.new`)) Deno.removeSync(`${path}.new`);
  {
    using file = Deno.openSync(`${path}.new`, { createNew: true, write: true, mode: 0o600 });
    const bytes = utf8(`${JSON.stringify(value, null, 2)}\n`);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.syncSync();
  }
  Deno.renameSync(`${path}.new`, path);
}
