/**
 * Who acts: the official, the command or the process whose work an audit event reports. It belongs to a piece of work and not to one
 * function, so it is carried beside the calls (AsyncLocalStorage).
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** Who acts, from where, and why. */
export type Actor = Readonly<{
  /** `official:<account>`, `command:<name>` or `process:<name>`. */
  actor: string;
  /** The network address of a request; missing for what runs on the machine itself. */
  address?: string;
  /** Why, in the official's words. */
  reason?: string;
}>;

const working = new AsyncLocalStorage<Actor>();

/** What has no actor of its own: the aggregator's own work, such as counting. */
const PROCESS: Actor = { actor: "process:aggregator" };

/** Does a piece of work as an actor: every audit event that it appends names that actor. */
export function actAs<T>(actor: Actor, work: () => T): T {
  return working.run(actor, work);
}

/** Who acts now. */
export function currentActor(): Actor {
  return working.getStore() ?? PROCESS;
}
