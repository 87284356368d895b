/**
 * A rehearsal as an office holds it (docs/office.md, "Rehearsal"): by the commands, with an aggregator and two gateways as processes,
 * and the devices of the election.
 */
import assert from "assert";
import { openPglite } from "../aggregator/database/pglite.ts";
import { officeCommand } from "../aggregator/commands/office.ts";
import { createAccount, requestRole } from "../aggregator/office/access/accounts.ts";
import { type KeyFile, newKeyFile, publicKeyOf } from "../aggregator/office/access/keys.ts";
import { OfficeClient } from "../aggregator/office/client.ts";
import { createOfficeKey } from "../aggregator/office/office_key.ts";
import { runProgram } from "../cli/command.ts";
import { eventually } from "./eventually.ts";
import { testDefinition } from "./fixture.ts";
import { longTest } from "./runs.ts";
import { votersOf, withRunningStack } from "./running_stack.ts";

const DEADLINE_MS = 120_000;
const iso = (ms: number) => new Date(ms).toISOString();

/** Runs a command of the office in this process. Returns its exit code and what it printed. */
async function run(...args: string[]): Promise<{ code: number; out: string }> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...said: unknown[]) => lines.push(said.join(" "));
  try {
    const code = await runProgram(officeCommand(), args, (line) => lines.push(line));
    return { code, out: lines.join("\n") };
  } finally {
    console.log = log;
  }
}

/** Files below a directory that are the real election's, by path, with their bytes. */
async function filesOf(dataDir: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (
    const path of [
      "devices/town.json",
      "gateways/g-1.json",
      "gateways/g-2.json",
      "keys/town.key",
      "keys/receipts/town.json",
      "keys/sync/town.json",
    ]
  ) files[path] = (await Deno.readFile(`${dataDir}/${path}`)).toHex();
  return files;
}

longTest("an office rehearses an election with its devices and gateways, and resets it", async () => {
  const file: KeyFile = await newKeyFile("ann");
  const now = Date.now();
  const definition = testDefinition({
    election: "town",
    opensAt: iso(now + 86_400_000),
    closesAt: iso(now + 90_000_000),
    acceptsUntil: iso(now + 90_000_000),
  });
  const voters = votersOf("north", ["north-1", "north-2"]);
  await withRunningStack([{ definition, voters }], async ({ stack, dataDir }) => {
    const as = ["--as", `${dataDir}/ann.json`, "--url", stack.aggregator, "--election", "town"];
    const rehearse = async (name: string, ...args: string[]) => await run("rehearse", name, ...as, ...args);
    const good = async (name: string, ...args: string[]) => {
      const { code, out } = await rehearse(name, ...args);
      assert.equal(code, 0, `rehearse ${name}: ${out}`);
      return out;
    };
    const ann = new OfficeClient((path, init) => fetch(new URL(path, stack.aggregator), init), file);
    const trail = async () => (await ann.ask("GET", "/v1/elections/town/audit")).text;
    const restartGateways = async () => {
      for (const gateway of ["g-1", "g-2"]) {
        await stack.kill(gateway);
        await stack.restart(gateway);
      }
    };
    const [files, events] = [await filesOf(dataDir), await trail()];
    const deck = `${dataDir}/deck.yaml`;

    assert.match(await good("deck", "--out", deck), /ballots that count/);
    assert.match(
      await good("start", "--deck", deck),
      /town-rehearsal-1 is open until .*REHEARSAL - TEST VOTES/,
    );
    // Gateways read their files when they start.
    await restartGateways();
    assert.match(await good("zero", "--out", `${dataDir}/zero.json`), /proof of zero: nothing is counted/);

    const places = ["--aggregator", stack.aggregator];
    stack.gateways.forEach((origin, i) => places.push("--gateway", `g-${i + 1}=${origin}`));
    const real = await run(
      "rehearse",
      "vote",
      "--deck",
      deck,
      "--devices",
      `${dataDir}/devices/town.json`,
      ...places,
    );
    assert.equal(real.code, 2, "a deck is never voted with the keys of the real election");
    assert.match(real.out, /it has keys of town, which is no rehearsal/);
    const devices = `${dataDir}/devices/town-rehearsal-1.json`;
    const marks = new Map<string, Set<string | null>>();
    const { fetch: asked } = globalThis;
    globalThis.fetch = async (...request: Parameters<typeof fetch>) => {
      const answer = await asked(...request);
      const path = new URL(String(request[0])).pathname.replace("/batch", "");
      marks.set(path, (marks.get(path) ?? new Set()).add(answer.headers.get("pollwire-rehearsal")));
      return answer;
    };
    const voted = await run("rehearse", "vote", "--deck", deck, "--devices", devices, ...places)
      .finally(() => globalThis.fetch = asked);
    for (const path of ["/v1/votes", "/v1/receipts/check"]) {
      assert.deepEqual([...marks.get(path)!], ["true"], `every answer of ${path} is marked`);
    }
    assert.equal(voted.code, 0, voted.out);
    assert.match(voted.out, /\d+ acknowledged, 2 refused/);

    const early = await rehearse("compare");
    assert.equal(early.code, 0, early.out);
    assert.match(early.out, /published totals were not compared[^]*0 differences/);
    assert.match(await good("close"), /town-rehearsal-1 closed at/);
    // A gateway that starts again states what it took before: the final release waits for that.
    await restartGateways();
    const compared = await good("compare", "--wait", "120", "--out", `${dataDir}/comparison.json`);
    assert.match(compared, /0 differences/);
    assert.doesNotMatch(compared, /not compared/);
    const report = JSON.parse(await Deno.readTextFile(`${dataDir}/comparison.json`));
    assert.deepEqual([report.rehearsal, report.isPublished, report.lines], [true, true, []]);
    const { body: { reports } } = await ann.ask("GET", "/v1/elections/town/rehearsals/1/reports");
    assert.deepEqual(
      reports.map(({ kind }: { kind: string }) => kind),
      ["zero", "comparison", "comparison"],
      "a report for each time that one was asked for, however long it waited",
    );
    const statements = await ann.ask("GET", "/v1/elections/town-rehearsal-1/device-statements");
    assert.equal(statements.body.devices.length, 4, "every device stated that it opened and closed");
    assert.equal(statements.body.rehearsal, true);
    const csv = await fetch(`${stack.aggregator}/v1/elections/town-rehearsal-1/results?format=csv`);
    assert.equal(csv.headers.get("pollwire-rehearsal"), "true");
    assert.match(await csv.text(), /^rehearsal,/);

    assert.match(await good("reset", "--reason", "Tested"), /town-rehearsal-1 was reset/);
    await eventually(
      "log and keys are gone",
      async () => await Deno.stat(`${dataDir}/keys/town-rehearsal-1.key`).then(() => false, () => true),
      DEADLINE_MS,
    );
    for (const path of ["log/votes.town-rehearsal-1.sqlite", "devices/town-rehearsal-1.json"]) {
      await assert.rejects(Deno.stat(`${dataDir}/${path}`), Deno.errors.NotFound, path);
    }
    assert.deepEqual(await filesOf(dataDir), files, "keys and files of the real election are as they were");
    assert.equal(await trail(), events, "and so is its audit trail");
    const { total } = await (await fetch(`${stack.aggregator}/v1/elections/town/reconciliation`)).json();
    assert.equal(total.read, 0, "nothing is on the real election's log");
    assert.match((await rehearse("compare")).out, /Cannot find a rehearsal of town that was not reset/);

    // Its signed reports stay.
    const listed = await good("reports", "--out", `${dataDir}/reports`);
    assert.match(listed, /^town-rehearsal-1: .*It was reset at/);
    assert.match(listed, /^1\. zero, .*, ann: 0 differences$/m);
    const written = [...listed.matchAll(/^wrote (\S+) and /gm)].map(([, path]) => path!);
    assert.ok(written.length >= 2, listed);
    for (const path of written) {
      assert.equal(JSON.parse(await Deno.readTextFile(path)).election, "town-rehearsal-1");
      assert.match(await Deno.readTextFile(`${path}.note`), /town-rehearsal-1/);
    }
    const again = await good("reports", "--rehearsal", "1");
    assert.equal(again.trimEnd(), listed.replaceAll(/^wrote .*\n?/gm, "").trimEnd());
    assert.match((await rehearse("reports", "--rehearsal", "2")).out, /Cannot find rehearsal 2 of town/);
  }, async (dataDir) => {
    createOfficeKey(`${dataDir}/keys`);
    await Deno.writeTextFile(`${dataDir}/ann.json`, JSON.stringify(file));
    const db = await openPglite(`${dataDir}/db`);
    try {
      await createAccount(db, "ann", "Ann", await publicKeyOf(file.key), new Date());
      await requestRole(db, "ann", "official", "town", undefined, new Date());
    } finally {
      await db.close();
    }
  });
});
