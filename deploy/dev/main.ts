/**
 * `deno task dev`: an aggregator and a gateway on embedded stores, started again whenever their source changes. A small
 * election is made when the directory has none.
 *
 * @module
 */
import { resolve } from "node:path";
import { command, Failure, integerOption, runProgram } from "../../cli/command.ts";

const HOST = "127.0.0.1";
const ROOT = new URL("../..", import.meta.url).pathname;
/** How long a process may take to answer before its address is printed, and how often it is asked, in milliseconds. */
const READY_MS = 120_000;
const POLL_MS = 200;
/** How long processes may take to end, in milliseconds. */
const STOP_MS = 30_000;
/** How often they are told to, in milliseconds. */
const SIGNAL_EVERY_MS = 500;

type DevOptions = Readonly<{ data: string; port: number }>;

/** The processes that are started, and how: by name. */
export type DevProcess = Readonly<{ args: readonly string[]; env: Readonly<Record<string, string>> }>;

/** What runs on a directory, from a port on. */
export function processesOf({ data, port }: DevOptions): Record<"aggregator" | "gateway", DevProcess> {
  const common = { HOST, LOG_LEVEL: "warning", VOTE_LOG: `sqlite:${data}/log` };
  return {
    aggregator: {
      args: ["aggregator/main.ts", "aggregate"],
      env: { ...common, POLLWIRE_DATA: data, PORT: String(port) },
    },
    gateway: {
      args: ["gateway/main.ts"],
      env: {
        ...common,
        GATEWAY_FILE: `${data}/gateways/gateway-1.json`,
        GATEWAY_DATA: `${data}/gateway-1`,
        PORT: String(port + 1),
      },
    },
  };
}

async function dev(options: DevOptions): Promise<void> {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  const { data, port } = options;
  Deno.mkdirSync(data, { recursive: true });
  if (!exists(`${data}/gateways/gateway-1.json`)) await makeElection(options);
  const { aggregator, gateway } = processesOf(options);
  const children = [start(aggregator)];
  try {
    await ready(port, stop.signal);
    children.push(start(gateway));
    await ready(port + 1, stop.signal);
    if (!stop.signal.aborted) {
      console.log(`
page and API  http://${HOST}:${port}/  (http://${HOST}:${port}/docs)
gateway       http://${HOST}:${port + 1}/  (http://${HOST}:${port + 1}/docs)
devices' keys ${data}/devices/dev.json
Both start again when their source changes. Ctrl-C ends them.
`);
    }
    const ended = Promise.race(children.map(({ status }) => status));
    await Promise.race([new Promise((resolve) => onAbort(stop.signal, resolve)), ended]);
  } finally {
    await Promise.all(children.map(end));
  }
  if (!stop.signal.aborted) throw new Failure("Cannot continue: a process has ended; its message is above");
}

/** Makes an election in that directory: a small country, open for a week from today on. */
async function makeElection(options: DevOptions): Promise<void> {
  const { data, port } = options;
  const country = `${data}/country`;
  await run(["simulator/main.ts", "country", "--election", "dev", "--gateways", "1", "--out", country]);
  const files = ["--definition", `${country}/definition.json`, "--roll", `${country}/roll.csv`];
  const aggregator = `http://${HOST}:${port}`;
  await run(
    ["aggregator/main.ts", "provision", ...files, "--aggregator", aggregator],
    processesOf(options).aggregator.env,
  );
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> {
  const { success } = await spawn(["run", "-A", "--no-prompt", ...args], env).status;
  if (!success) throw new Failure(`Cannot make an election: ${args.slice(0, 2).join(" ")} failed`);
}

function start({ args, env }: DevProcess): Deno.ChildProcess {
  return spawn(["run", "-A", "--no-prompt", "--watch", "--no-clear-screen", ...args], env);
}

function spawn(args: readonly string[], env: Readonly<Record<string, string>>): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, env, stdin: "null" }).spawn();
}

/**
 * Ends a process and its watcher. The first SIGTERM is for the process, which drains; its watcher then waits for a change
 * of the source, and ends with the next one.
 */
async function end(child: Deno.ChildProcess): Promise<void> {
  let hasEnded = false;
  const ended = child.status.then(() => hasEnded = true);
  const kill = (signal: Deno.Signal) => {
    if (!hasEnded) child.kill(signal);
  };
  const again = setInterval(() => kill("SIGTERM"), SIGNAL_EVERY_MS);
  const timer = setTimeout(() => kill("SIGKILL"), STOP_MS);
  kill("SIGTERM");
  await ended;
  clearInterval(again);
  clearTimeout(timer);
}

/** Waits until a process answers, or the signal aborts. */
async function ready(port: number, signal: AbortSignal): Promise<void> {
  for (const endMs = performance.now() + READY_MS; !signal.aborted;) {
    try {
      const response = await fetch(`http://${HOST}:${port}/health/live`, { signal });
      await response.body?.cancel();
      if (response.ok) return;
    } catch {
      // It does not listen yet.
    }
    if (performance.now() > endMs) throw new Failure(`Cannot start: port ${port} does not answer`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function onAbort(signal: AbortSignal, listener: (value?: unknown) => void): void {
  if (signal.aborted) listener();
  else signal.addEventListener("abort", () => listener(), { once: true });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  const root = command(
    "dev",
    "Runs an aggregator and a gateway on embedded stores, again whenever their source changes.",
  )
    .option("--data <directory>", "where everything is kept", "data/dev")
    .addOption(
      integerOption("--port <number>", "the aggregator's; the gateway has the next one", {
        min: 1_024,
        max: 65_534,
      })
        .default(8_000),
    )
    .action((options: DevOptions) => dev({ ...options, data: resolve(options.data) }));
  Deno.exit(await runProgram(root));
}
