/**
 * Ports for the processes of a stack on this machine.
 *
 * @module
 */

import { lockFileSync } from "../../shared/file_lock.ts";

/**
 * Ports lie below those that outgoing connections get: a device that knocks at a dead gateway must not become it. They lie above
 * those of `deno task stack`.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 30_000;

/** How many ports are tried one after the other before any other is taken. */
const NEXT_PORTS = 20;

/** A port that is reserved until its process listens there. */
export type HeldPort = Readonly<{ port: number; release(): void }>;

/** Holds a port; `undefined` when somebody listens there. */
export function holdPort(port: number, hostname = "127.0.0.1"): HeldPort | undefined {
  try {
    const listener = Deno.listen({ hostname, port });
    return { port, release: () => listener.close() };
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return undefined;
    throw error;
  }
}

/** Holds the first free port from one on; any free port when the next ones are all taken. */
export function holdPortFrom(first: number, hostname = "127.0.0.1"): HeldPort {
  for (let port = first; port < first + NEXT_PORTS; port++) {
    const held = holdPort(port, hostname);
    if (held !== undefined) return held;
  }
  return holdPort(freePorts(1, hostname)[0]!, hostname) ?? holdPortFrom(first, hostname);
}

/**
 * Ports that nobody listens on now. No other process of this user gets the same ones before all others were given out, so that
 * they are still free when they are used, or used again after a restart.
 */
export function freePorts(n: number, hostname = "127.0.0.1"): number[] {
  return Array.from({ length: n }, () => freeRange(1, hostname));
}

/** The first of so many free ports in a row, given out as {@link freePorts} are. */
export function freeRange(n: number, hostname = "127.0.0.1"): number {
  for (;;) {
    const first = nextPorts(n);
    const held = Array.from({ length: n }, (_, i) => holdPort(first + i, hostname));
    for (const each of held) each?.release();
    if (held.every((each) => each !== undefined)) return first;
  }
}

/** The ports that come after those that were given out last: processes and threads take them in turn. */
function nextPorts(n: number): number {
  const note = `${Deno.env.get("TMPDIR") ?? "/tmp"}/pollwire-ports-${Deno.uid()}`;
  using _lock = lockFileSync(`${note}.lock`);
  const noted = readNote(note);
  const first = noted >= FIRST_PORT && noted + n <= LAST_PORT ? noted : FIRST_PORT;
  Deno.writeTextFileSync(note, String(first + n), { mode: 0o600 });
  return first;
}

function readNote(path: string): number {
  try {
    return Number(Deno.readTextFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return FIRST_PORT;
    throw error;
  }
}
