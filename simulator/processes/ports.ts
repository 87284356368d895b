/**
 * Ports for the processes of a stack on this machine.
 *
 * @module
 */

/** Ports lie below those that outgoing connections get: a device that knocks at a dead gateway must not become it. */
const FIRST_PORT = 18_000;
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

/** Ports that nobody listens on now. Somebody may before they are used; then the process that wanted one says so. */
export function freePorts(n: number, hostname = "127.0.0.1"): number[] {
  const ports = new Set<number>();
  while (ports.size < n) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    const held = holdPort(port, hostname);
    held?.release();
    if (held !== undefined) ports.add(port);
  }
  return [...ports];
}
