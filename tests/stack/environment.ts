/**
 * The stack that runs: `POLLWIRE_STACK` names the file that `deno task stack up` wrote.
 *
 * @module
 */
import { dirname } from "node:path";

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

/** Reads lines as `stack up` writes them: `NAME=value`, quoted as a shell wants it. */
export function parseEnvironment(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => line !== "");
  return Object.fromEntries(lines.map((line) => {
    const at = line.indexOf("=");
    const value = line.slice(at + 1);
    const plain = value.startsWith("'") ? value.slice(1, -1).replaceAll(`'\\''`, "'") : value;
    return [line.slice(0, at), plain];
  }));
}
