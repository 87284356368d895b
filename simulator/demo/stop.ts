/**
 * Being asked to stop: once to come to an end in order, twice to end at once.
 *
 * @module
 */

/** Whatever asks to stop; the last comes when the terminal is closed. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** One Ctrl-C may arrive more than once, from the terminal and from those between it and here, in milliseconds. */
const SAME_MS = 1_000;

/** Where signals come from. */
export type Signals = Readonly<{
  now: () => number;
  /** Returns what stops the listening. */
  listen: (signal: Deno.Signal, listener: () => void) => () => void;
}>;

const OWN_SIGNALS: Signals = {
  now: Date.now,
  listen(signal, listener) {
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  },
};

/**
 * Does work that can be asked to stop.
 *
 * @param atOnce Told when it is asked a second time, by which signal.
 */
export async function stoppable<T>(
  work: (stop: AbortController) => Promise<T>,
  atOnce: (signal: Deno.Signal) => void,
  { now, listen }: Signals = OWN_SIGNALS,
): Promise<T> {
  const stop = new AbortController();
  let askedMs: number | undefined;
  const endings = SIGNALS.map((signal) =>
    listen(signal, () => {
      if (askedMs !== undefined && now() - askedMs >= SAME_MS) atOnce(signal);
      askedMs ??= now();
      stop.abort();
    })
  );
  try {
    return await work(stop);
  } finally {
    for (const end of endings) end();
  }
}
