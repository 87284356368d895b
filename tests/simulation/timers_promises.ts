/**
 * What `node:timers/promises` is in a simulation: start.ts puts this module in its place, by an import map.
 *
 * @module
 */
import { delay } from "./virtual_time.ts";

export { delay as setTimeout };

export function setImmediate<T>(value?: T): Promise<T> {
  return delay(0, value);
}
