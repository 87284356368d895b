import assert from "assert";
import { parse } from "yaml";
import { findCompose } from "../../deploy/standins/engine.ts";
import { BASE, buildImages } from "../../deploy/standins/images.ts";
import { eventually } from "../eventually.ts";
import { FULL_RUN } from "../runs.ts";
import { ACCESS, accessOf } from "./access.ts";
import { ComposeProject } from "./compose.ts";
import { openEngine } from "./engine.ts";
import { FAULT_SETS, type FaultSet } from "./fault_sets.ts";
import {
  megabytesRefused,
  megabytesUsed,
  restartsOf,
  smallVolume,
  type Stack,
  untilHealthy,
} from "./faults.ts";

// Every fault in turn on docker-compose.yml, while votes are cast; in the end every vote is accounted for. An hour and a quarter, as root, or one set by
// itself (the task test:compose would start compose_test.ts's engine, which ends after 25 minutes, and show no figures):
//   POLLWIRE_RUNS=full deno test -A --no-check tests/compose/fault_rounds_test.ts --filter "full disks"
// docs/reliability.md has the figures.

Deno.test.sanitizer({ ops: false, resources: false });

const ROOT = new URL("../../", import.meta.url);
const LIBRARIES = new URL("data/libraries", ROOT).pathname;
const PROJECT = "pollwire-faults";
/** How long it may take until all is up, and until every vote is accounted for, in milliseconds. */
const UP_MS = 300_000;
const ACCOUNTED_MS = 600_000;
/** How long one set may take, in seconds, before its engine ends. */
const SET_S = 3_000;

for (const set of FAULT_SETS) {
  Deno.test({
    name: `docker compose, every vote is accounted for: ${set.name}`,
    ignore: !FULL_RUN,
    async fn(t) {
      const engine = await openEngine(SET_S);
      if (engine.kind === "none") throw new Error(`no engine: ${engine.why}`);
      try {
        await buildImages({ libraries: LIBRARIES, log: console.log });
        await onStack(t, set);
      } finally {
        await engine.stop();
      }
    },
  });
}

async function onStack(t: Deno.TestContext, set: FaultSet): Promise<void> {
  const { words } = await findCompose(BASE);
  const { over, voters, votesPerSecond } = set;
  const compose = await ComposeProject.open({ words, project: PROJECT, over, voters, votesPerSecond });
  const undo: (() => Promise<void>)[] = [];
  try {
    for (const [volume, size] of Object.entries(set.small)) {
      undo.push(await smallVolume(PROJECT, volume, size));
    }
    const from = performance.now();
    await compose.compose(["up", "--detach", "--no-build"], UP_MS);
    console.log(`up after ${seconds(performance.now() - from)} s`);
    await untilCast(compose);
    for (const { what, service, run } of set.faults) {
      await t.step(`${service}: ${what}`, async () => {
        const stack: Stack = { compose, project: PROJECT };
        const [before, restarts] = [await lastLine(compose), await restartsOf(stack, service)];
        const ms = await run(stack);
        const now = await restartsOf(stack, service);
        // A container that was started by hand counts anew.
        const again = now < restarts ? now : now - restarts;
        console.log(`| ${service} | ${what} | ${seconds(ms)} | ${again} | ${before} |`);
      });
    }
    for (const [service, like] of Object.entries(set.alike ?? {})) {
      await t.step(`${service} reaches and reads what ${like} does, and nothing else`, async () => {
        assert.deepEqual(await accessOf(compose, PROJECT, service), ACCESS[like]);
      });
    }
    await t.step("the simulator accounts for every vote, and a recount finds no difference", async () => {
      await account(compose);
    });
  } finally {
    // Containers keep what is mounted; the engine cannot remove a volume that is.
    for (const each of undo) await each().catch((error) => console.error(String(error)));
    await compose.down().catch((error) => console.error(String(error)));
    await compose.close();
  }
}

/** Waits until votes are cast: a fault before would hit no vote. */
async function untilCast(compose: ComposeProject): Promise<void> {
  await eventually("votes are cast", async () => {
    const log = await compose.logs("simulator", "5");
    if ((await compose.stateOf("simulator"))?.status === "exited") throw new Error(`it has ended: ${log}`);
    return /^casting: [1-9]/m.test(log);
  }, UP_MS);
}

async function account(compose: ComposeProject): Promise<void> {
  let exitCode = -1;
  await eventually("the simulator ends", async () => {
    const state = await compose.stateOf("simulator");
    exitCode = state?.exitCode ?? -1;
    return state?.status === "exited";
  }, ACCOUNTED_MS);
  const log = await compose.logs("simulator", "60");
  const last = log.split("\n").find((line) => line.endsWith("differences"))?.trim() ?? "";
  console.log(last);
  assert.equal(exitCode, 0, log);
  assert.match(last, /^\d{4,} voters counted, \d{4,} votes acknowledged, 0 differences$/);
  await untilHealthy(compose, ["kafka-1", "postgresql"]);
  const said = await compose.compose(["run", "--rm", "--no-TTY", "recount"], UP_MS);
  const recount = said.trim().split("\n").at(-1)!;
  console.log(recount);
  assert.match(recount, /^country-1: \d{4,} records, \d{4,} counted, \d{3,} lines compared, 0 differences$/);
}

/** The last line that the simulator wrote. */
async function lastLine(compose: ComposeProject): Promise<string> {
  return (await compose.logs("simulator", "3")).trim().split("\n").at(-1)!.trim();
}

const seconds = (ms: number) => (ms / 1_000).toFixed(1);

Deno.test("megabytesUsed() reads what `docker stats` says", () => {
  assert.equal(megabytesUsed("118.5MiB / 23.4GiB\n"), 118.5);
  assert.equal(megabytesUsed("1.5GiB / 23.4GiB"), 1_536);
});

Deno.test("megabytesRefused() reads what a container has whose limit the kernel refuses", () => {
  const said =
    "Cannot update container e52a: runc did not terminate successfully: exit status 1: unable to set memory limit to 98566144 (current usage: 112017408, peak usage: 122896384)";
  assert.equal(megabytesRefused(said), 106.828125);
  assert.equal(megabytesRefused("Cannot update container e52a: no such container"), undefined);
});

Deno.test("every container that stays up goes through every fault, and every disk of one is filled", () => {
  const read = (file: string) => parse(Deno.readTextFileSync(new URL(file, ROOT)), { merge: true }).services;
  const standins = read("deploy/standins/compose.yml");
  type Service = { restart?: string; profiles?: string[]; volumes?: string[] };
  const lasting = Object.entries<Service>(read("docker-compose.yml")).filter((
    [name, { restart, profiles }],
  ) => restart === "unless-stopped" && (profiles ?? standins[name]?.profiles) === undefined);
  const names = lasting.map(([name]) => name).toSorted();
  const withDisk = lasting.filter(([name, { volumes = [] }]) =>
    volumes.some((each) => each.startsWith(`${name}:`))
  )
    .map(([name]) => name).toSorted();
  assert.ok(names.length > 10 && withDisk.length > 4, names.join(", "));
  const faults = FAULT_SETS.filter(({ over }) => over.length === 0).flatMap(({ faults }) => faults);
  const of = (what: RegExp) =>
    [
      ...new Set(faults.filter((each) => what.test(each.what)).map(({ service }) => service)),
    ].toSorted();
  for (const what of [/^SIGKILL$/, /^paused$/, /^cut off from /, /^memory limited$/]) {
    assert.deepEqual(of(what), names, String(what));
  }
  assert.deepEqual(of(/^disk full$/), withDisk);
});

Deno.test("every container that runs here is looked into", () => {
  const read = (file: string) => parse(Deno.readTextFileSync(new URL(file, ROOT)), { merge: true }).services;
  const [base, standins] = [read("docker-compose.yml"), read("deploy/standins/compose.yml")];
  const here = Object.keys(base).filter((name) =>
    name === "recount" || (base[name].profiles ?? standins[name]?.profiles) === undefined
  );
  assert.deepEqual(Object.keys(ACCESS).toSorted(), here.toSorted());
});
