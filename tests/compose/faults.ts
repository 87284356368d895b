/**
 * Faults on a stack that runs, each with how long it took until all was well again. Run by hand, a quarter of an hour:
 * `deno run -A tests/compose/faults.ts`. docs/reliability.md has the figures.
 *
 * @module
 */
import { docker } from "../../deploy/standins/engine.ts";
import { eventually } from "../eventually.ts";
import type { ComposeProject } from "./compose.ts";

/** How long a service may take to be well again, in milliseconds. */
const BACK_MS = 180_000;
const SETTLE_MS = 60_000;

/** Waits until every one of them is healthy. */
export async function untilHealthy(compose: ComposeProject, services: readonly string[]): Promise<void> {
  await eventually(`healthy: ${services.join(", ")}`, async () => {
    const states = await compose.states();
    return services.every((name) =>
      states.some(({ service, health }) => service === name && health === "healthy")
    );
  }, BACK_MS);
}

async function inspect(project: string, service: string, format: string): Promise<string> {
  return (await docker(["inspect", "--format", format, `${project}-${service}-1`])).trim();
}

/** Kills its first process, as a crash does: the engine starts it again. Returns how long until it was healthy, in milliseconds. */
export async function kill(compose: ComposeProject, project: string, service: string): Promise<number> {
  const started = await inspect(project, service, "{{.State.StartedAt}}");
  const pid = Number(await inspect(project, service, "{{.State.Pid}}"));
  if (pid <= 1) throw new Error(`${service} does not run: its pid is ${pid}`);
  const from = performance.now();
  Deno.kill(pid, "SIGKILL");
  await eventually(`${service} is started again`, async () => {
    const again = await inspect(project, service, "{{.State.StartedAt}} {{.State.Running}}");
    return again !== `${started} true` && again.endsWith(" true");
  }, SETTLE_MS);
  await untilHealthy(compose, [service]);
  return performance.now() - from;
}
