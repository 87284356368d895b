/**
 * What a server of the local stack is: something to prepare on disk, one process to run, and a question that tells
 * whether it serves. Everything else (pid files, logs, waiting, ending) is done the same way for all of them.
 *
 * @module
 */

/** Where a service keeps what it needs, and where it listens. */
export type Place = Readonly<{
  /** The service's own directory, absolute; made before `prepare`. Deleted by `wipe`. */
  directory: string;
  /** Where its jars are kept, absolute; survives `wipe`. Another stack may use the same. */
  libraries: string;
  /** The address that it listens on. */
  host: string;
}>;

/** The one process of a service, started in its directory; its output goes to its log. */
export type ProcessSpec = Readonly<{
  /** Absolute, or looked up in PATH. It must stay in the foreground and keep its pid. */
  program: string;
  args: readonly string[];
  environment?: Readonly<Record<string, string>>;
  /** The user to run it as, when the stack is started by root; otherwise as the user who starts the stack. */
  user?: string;
  /** The signal that makes it shut down cleanly; SIGTERM when left out. */
  stopSignal?: Deno.Signal;
}>;

/** A server of the stack. */
export type Service = Readonly<{
  /** Names its directory, its log and its pid file: `kafka-1`. Lower case, digits and dashes. */
  name: string;
  /** What it listens on, by purpose: `{ http: 19201 }`. They are looked at before it is started. */
  ports: Readonly<Record<string, number>>;
  /** How long it may take to serve, in milliseconds. */
  readyMs: number;
  /** How long it may take to end before it is killed, in milliseconds. */
  stopMs: number;
  /**
   * Makes what it needs on disk: jars, configuration, a formatted directory. Idempotent.
   *
   * @throws {Failure} saying what is missing on this machine, and how to get it.
   */
  prepare(): Promise<void>;
  /** What to run; asked for after `prepare`. */
  process(): ProcessSpec;
  /**
   * Returns why the server is not healthy; `undefined` when it is. Must answer within a few seconds, and not throw.
   *
   * @param said The beginning of what it has written to its log since it was started, up to 1 MiB.
   */
  unhealthy(said: () => Promise<string>): Promise<string | undefined>;
  /** Done once it serves, each time it was started: users, roles. Idempotent. */
  settle?(): Promise<void>;
  /** What the apps need to know to use it: `{ ELASTICSEARCH_URL: "http://127.0.0.1:19201" }`. */
  environment: Readonly<Record<string, string>>;
}>;
