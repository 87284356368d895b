/**
 * Alerts in the officials' view, in Chromium, against an aggregator that really runs: an office that is set up by its commands, an
 * official who signs in with a key file, sees an alert and acknowledges it. Nobody else sees any of it.
 */
import assert from "assert";
import { Buffer } from "node:buffer";
import axe from "axe-core";
import { createDeviceClient } from "../../device/client.ts";
import { memoryStore } from "../../device/store.ts";
import { eventually } from "../eventually.ts";
import { testDefinition } from "../fixture.ts";
import { heldNow, type RunningStack, votersOf, withRunningStack } from "../running_stack.ts";
import { browserTest } from "./chromium.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "test-2026";
const MAIN = new URL("../../aggregator/main.ts", import.meta.url).pathname;

/** Runs one of the aggregator's commands, and returns what it printed. */
async function run(dataDir: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--no-prompt", MAIN, ...args],
    env: { POLLWIRE_DATA: dataDir },
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(stdout);
  assert.ok(success, `${args.join(" ")}: ${said}${new TextDecoder().decode(stderr)}`);
  return said;
}

/** Sets an office up with an official, ann, on a database that no process has open. Returns the path of her key file. */
async function setUpOffice(dataDir: string): Promise<string> {
  const office = (...args: string[]) => run(dataDir, "office", ...args);
  const file = `${dataDir}/ann.json`;
  const [root, second] = ["root", "second"].map((name) => ["--as", `${dataDir}/office/${name}.json`]);
  await office("init", "--admin", "root", "second");
  const [, key] = /public key: (\S+)/.exec(await office("key", "--account", "ann", "--out", file))!;
  await office("add", ...root!, "--account", "ann", "--name", "Ann", "--key", key!);
  const asked = await office(
    "grant",
    ...root!,
    "--account",
    "ann",
    "--role",
    "official",
    "--election",
    ELECTION,
  );
  await office("approve-grant", ...second!, "--grant", String(JSON.parse(asked).grant));
  return file;
}

/** A voter votes twice, on two devices that know nothing of one another. */
async function voteTwice({ stack, devices }: RunningStack): Promise<void> {
  const { election, devices: [device] } = devices;
  for (let i = 0; i < 2; i++) {
    const poll = await createDeviceClient({
      identity: { election, ...device },
      gateways: stack.gateways,
      aggregators: [stack.aggregator],
      store: memoryStore(),
    });
    const vote = { voterId: "voter-1", mode: "in_person" as const, selections: [] };
    assert.deepEqual((await poll.castAll([vote])).map(({ fate }) => fate), ["acknowledged"]);
  }
}

browserTest(
  "an official sees alerts on the page after a sign-in, and acknowledges one",
  async (browser, t) => {
    const { opensAt: _, closesAt: __, acceptsUntil: ___, ...rest } = testDefinition();
    const definition = heldNow(rest, new Date(Date.now() - 3_600_000).toISOString());
    await withRunningStack([{ definition, voters: votersOf("north", ["voter-1"]) }], async (running) => {
      const { stack, dataDir } = running;
      await stack.kill("aggregator");
      const file = await setUpOffice(dataDir);
      await stack.restart("aggregator");
      await voteTwice(running);
      const page = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
      const said: string[] = [];
      page.on("console", (message) => message.type() === "error" && said.push(message.text()));
      page.on("pageerror", (error) => said.push(String(error)));
      const alerts = page.locator("#alerts");
      const row = page.locator("#active-alerts tbody tr");

      await t.step("nobody sees an alert without a sign-in, and the page asks for none", async () => {
        const asked: string[] = [];
        page.on("request", (request) => asked.push(new URL(request.url()).pathname));
        await page.goto(stack.aggregator);
        await page.locator("#election").waitFor();
        assert.equal(await alerts.count(), 0, "the public's view has no alerts");
        await page.goto(`${stack.aggregator}/?view=officials`);
        await alerts.waitFor();
        assert.match(await alerts.innerText(), /Alerts are for officials\. Choose your key file/);
        assert.ok(!asked.some((path) => /alerts$|office/.test(path)), asked.join());
        const answer = await fetch(`${stack.aggregator}/v1/elections/${ELECTION}/alerts`);
        assert.equal(answer.status, 401);
        await answer.body?.cancel();
      });

      await t.step("a file that is no key file is refused", async () => {
        await page.locator("#alerts-key").setInputFiles({
          name: "other.json",
          mimeType: "application/json",
          buffer: Buffer.from("{}"),
        });
        await page.getByText("This file is no key file").waitFor();
      });

      await t.step("an official signs in with a key file, and sees the alert", async () => {
        await page.locator("#alerts-key").setInputFiles(file);
        await page.locator("#alerts-sign-out").waitFor();
        await row.waitFor();
        const text = (await row.innerText()).replace(/\s+/g, " ");
        assert.match(text, /Warning In 60 min: 1 second vote of voters at station n-1 /);
        const gateways = page.locator("#gateways-now tbody tr");
        await gateways.first().waitFor();
        const rows = (await gateways.allInnerTexts()).map((row) => row.replace(/\s+/g, " "));
        assert.equal(rows.length, definition.gateways.length);
        assert.match(rows[0]!, /^g-1 \d+ \S+ 2\d{3}, \d\d:\d\d UTC \d+ (right|[\d.]+ s (ahead|behind))$/);
        await page.evaluate(axe.source);
        const found = await page.evaluate(
          "axe.run('#alerts', { resultTypes: ['violations'] })",
        ) as axe.AxeResults;
        assert.deepEqual(found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]!.html}`), []);
        const folder = Deno.env.get("POLLWIRE_SCREENSHOTS");
        if (folder !== undefined) await page.screenshot({ path: `${folder}/alerts.png`, fullPage: true });
      });

      await t.step("the official acknowledges it, and the command lists who did", async () => {
        await row.locator("input").fill("The poll book says who");
        await row.locator("button").click();
        await page.getByText("The poll book says who").waitFor();
        const asked = [
          "office",
          "alerts",
          "list",
          "--as",
          file,
          "--url",
          stack.aggregator,
          "--election",
          ELECTION,
        ];
        const { active: [alert] } = JSON.parse(await run(dataDir, ...asked));
        assert.deepEqual([alert.rule, alert.subject, alert.acknowledgedBy, alert.acknowledgement], [
          "second_votes",
          "n-1",
          "ann",
          "The poll book says who",
        ]);
      });

      await t.step("signing out, or another view, leaves nothing behind", async () => {
        await page.locator("#alerts-sign-out").click();
        await page.locator("#alerts-key").waitFor();
        assert.equal(await page.locator("#active-alerts").count(), 0);
        await page.reload();
        await page.locator("#alerts-key").waitFor();
        const kept = await page.evaluate(
          "localStorage.length + sessionStorage.length + document.cookie.length",
        );
        assert.equal(kept, 0, "nothing is kept in the browser");
      });
      assert.deepEqual(said, []);
      await page.close();
      await eventually("the stack is well", () => stack.unexpected.length === 0);
    });
  },
);
