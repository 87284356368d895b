/**
 * `deno task kibana`: writes pollwire.ndjson beside this file.
 *
 * @module
 */
import { exportFile } from "./saved_objects.ts";

if (import.meta.main) await Deno.writeTextFile(new URL("pollwire.ndjson", import.meta.url), exportFile());
