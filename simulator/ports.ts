/**
 * Ports for the processes of a stack on this machine.
 *
 * @module
 */

/** Ports lie below those that outgoing connections get: a device that knocks at a dead gateway must not become it. */
const FIRST_PORT = 18_000;
const LAST_PORT = 30_000;

/** Ports that nobody listens on now. Somebody may before they are used; then the process that wanted one says so. */
export function freePorts(n: number, hostname = "127.0.0.1"): number[] {
  const ports = new Set<number>();
  while (ports.size < n) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    try {
      Deno.listen({ hostname, port }).close();
      ports.add(port);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  return [...ports];
}
