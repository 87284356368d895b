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

/** Whether nobody listens on a port now. */
export function isFree(port: number, hostname = "127.0.0.1"): boolean {
  try {
    Deno.listen({ hostname, port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** The first free port from one on; any free port when the next ones are all taken. */
export function freePortFrom(first: number, hostname = "127.0.0.1"): number {
  for (let port = first; port < first + NEXT_PORTS; port++) if (isFree(port, hostname)) return port;
  return freePorts(1, hostname)[0];
}

/** Ports that nobody listens on now. Somebody may before they are used; then the process that wanted one says so. */
export function freePorts(n: number, hostname = "127.0.0.1"): number[] {
  const ports = new Set<number>();
  while (ports.size < n) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    if (isFree(port, hostname)) ports.add(port);
  }
  return [...ports];
}
