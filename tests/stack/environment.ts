/**
 * The stack that runs: `POLLWIRE_STACK` names the file that `deno task stack up` wrote.
 *
 * @module
 */
import { dirname } from "node:path";
import { parseEnvironment } from "../../simulator/servers.ts";

/** What the apps need to know, and where passwords and certificates are. */
export type RunningStack = Readonly<{
  environment: Readonly<Record<string, string>>;
  /** The stack's data directory: `passwords/kafka-gateway-1`, `certificates/ca.crt`. */
  directory: string;
}>;

/** The running stack; `undefined` when `POLLWIRE_STACK` is not set, with a line that says so. */
export function runningStack(): RunningStack | undefined {
  const file = Deno.env.get("POLLWIRE_STACK");
  if (!file) {
    console.warn(
      "What needs the real stack is not tested: deno task stack up, then POLLWIRE_STACK=data/stack/env",
    );
    return undefined;
  }
  return { environment: parseEnvironment(Deno.readTextFileSync(file)), directory: dirname(file) };
}
