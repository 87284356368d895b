/**
 * The live page in Chromium, against an aggregator and a gateway that really run: what it shows is what the API says,
 * it moves by itself, and it survives what the server does not.
 */
import assert from "assert";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { createDeviceClient, type DeviceClient } from "../../device/client.ts";
import { memoryStore } from "../../device/store.ts";
import { definitionSchema, type ElectionDefinition } from "../../shared/election.ts";
import { eventually } from "../eventually.ts";
import { heldNow, type RunningStack, votersOf, withRunningStack } from "../running_stack.ts";
import { browserTest } from "./chromium.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const DESKTOP = { width: 1_280, height: 900 };
const PHONE = { width: 390, height: 844 };
const ROLL = Array.from({ length: 40 }, (_, i) => `voter-${i}`);
const OPENED = new Date(Date.now() - 3_600_000).toISOString();

const PHOTO =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="3" fill="#c01818"/></svg>`;
const BIOGRAPHY = "Born <i>here</i>, and never left.";

/** Two contests, three parties' candidates, fourteen regions, of which one votes. */
function definition(): ElectionDefinition {
  return heldNow({
    election: "town-2026",
    name: "Town council",
    partitions: 3,
    releaseThreshold: 1,
    resultsBeforeClosing: true,
    parties: [{ id: "red", name: "Red Party", colour: "#c01818" }, { id: "blue", name: "Blue Party" }],
    contests: [
      {
        id: "mayor",
        name: "Mayor",
        votesAllowed: 1,
        candidates: [
          { id: "ann", name: "Ann Archer", party: "red", photo: PHOTO, biography: BIOGRAPHY },
          { id: "bob", name: "Bob Baker", party: "blue" },
          { id: "cyd", name: "Cyd <b>Cook</b>" },
        ],
      },
      {
        id: "council",
        name: "Council",
        votesAllowed: 2,
        candidates: [{ id: "dan", name: "Dan Dyer", party: "red" }, { id: "eve", name: "Eve Eames" }],
      },
    ],
    regions: Array.from({ length: 14 }, (_, i) => ({ id: `r-${i}`, name: `Region ${i}` })),
    stations: [{ id: "hall", name: "Town hall", region: "r-3" }],
    gateways: [{ id: "gateway-1", stations: ["hall"], fallbackFor: [] }],
  }, OPENED);
}

/** Another, in which nobody votes: it has not opened yet. */
function later(): ElectionDefinition {
  const at = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
  return definitionSchema.parse({
    ...definition(),
    election: "later-2027",
    name: "A later election",
    parties: [{ id: "red", name: "Scarlet Party" }, { id: "blue", name: "Azure Party" }],
    opensAt: at(2),
    closesAt: at(3),
    acceptsUntil: at(3),
    gateways: [{ id: "gateway-9", stations: ["hall"], fallbackFor: [] }],
  });
}

/** A page, with what it said to the console and whom it asked. */
class Watched {
  readonly said: string[] = [];
  readonly hosts = new Set<string>();

  constructor(readonly page: Page) {
    page.on(
      "console",
      (message) => ["error", "warning"].includes(message.type()) && this.said.push(message.text()),
    );
    page.on("pageerror", (error) => this.said.push(String(error)));
    page.on("request", (request) => this.hosts.add(new URL(request.url()).host));
  }

  static async open(browser: Browser, address: string, options: Parameters<Browser["newPage"]>[0] = {}) {
    const watched = new Watched(await browser.newPage({ viewport: DESKTOP, ...options }));
    await watched.page.goto(address);
    await watched.page.locator("#election").waitFor();
    return watched;
  }

  /** The big number under a label, as it stands there. */
  async figure(label: string): Promise<string | null> {
    return await this.page.locator(".figure", { hasText: label }).locator(".value").textContent();
  }

  /** Rows of a list of bars as they stand at one moment: name and party, votes, share. */
  async bars(list: string): Promise<string[][]> {
    return await this.page.locator(`${list} .row`).evaluateAll((rows: any[]) =>
      rows.map((row) => [...row.children].map((cell: any) => cell.textContent))
    );
  }

  /** The names in a list of bars, in their order. */
  async names(list: string): Promise<string[]> {
    return (await this.bars(list)).map(([name]) => name);
  }

  /** How much of its line each bar of a list fills, once it stands still. */
  async lengths(list: string): Promise<string[]> {
    const lines = this.page.locator(`${list} .bar-line`);
    await this.page.waitForFunction("document.getAnimations().length === 0");
    return await lines.evaluateAll((elements: any[]) =>
      elements.map((element) => {
        const filled = parseFloat((globalThis as any).getComputedStyle(element, "::before").width);
        return `${(100 * filled / element.getBoundingClientRect().width).toFixed(1)}%`;
      })
    );
  }

  async status(): Promise<string | null> {
    return await this.page.locator("#pulse").getAttribute("data-status");
  }
}

async function openPoll({ stack, devices }: RunningStack): Promise<DeviceClient> {
  const { election, devices: [device] } = devices;
  return await createDeviceClient({
    identity: { election, ...device },
    gateways: stack.gateways,
    aggregators: [stack.aggregator],
    store: memoryStore(),
  });
}

/** Casts the next voters' votes, of whom the first third and the rest vote otherwise. */
function voting(poll: DeviceClient) {
  const waiting = ROLL.values();
  return async (count: number) => {
    const ballots = Array.from({ length: count }, (_, i) => ({
      voterId: waiting.next().value!,
      mode: "in_person" as const,
      selections: [{ contest: "mayor", candidate: i < count / 3 ? "bob" : "ann" }],
    }));
    const fates = (await poll.castAll(ballots)).map(({ fate }) => fate);
    assert.deepEqual(new Set(fates), new Set(["acknowledged"]));
  };
}

async function api(stack: RunningStack["stack"], path: string): Promise<any> {
  return await (await fetch(`${stack.aggregator}/v1/elections/town-2026/${path}`)).json();
}

/** What axe-core finds wrong, a line each. Its source is evaluated by the debugger: the page's policy lets no script in. */
async function axeFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })") as axe.AxeResults;
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`)
  );
}

browserTest("the live page", async (browser, t) => {
  const elections = [
    { definition: definition(), voters: votersOf("r-3", ROLL) },
    { definition: later(), voters: votersOf("r-3", ROLL) },
  ];
  await withRunningStack(elections, async (running) => {
    const { stack } = running;
    const poll = await openPoll(running);
    const vote = voting(poll);
    await vote(12);
    const watched = await Watched.open(browser, stack.aggregator);
    const { page } = watched;

    await t.step("shows what the API says", async () => {
      await eventually(
        "twelve voters are counted",
        async () => await watched.figure("Voters counted") === "12",
      );
      await eventually("their votes are released", async () => (await api(stack, "results")).voters === 12);
      const { rows } = await api(stack, "results?by=candidate&contest=mayor");
      const votesOf = (id: string) =>
        rows.find((row: { candidate: string }) => row.candidate === id)?.votes ?? 0;
      assert.deepEqual([votesOf("ann"), votesOf("bob")], [8, 4]);
      await eventually(
        "the bars follow",
        async () => (await watched.bars("#candidates"))[0]?.[1] === "8 votes",
      );
      assert.deepEqual(await watched.bars("#candidates"), [
        ["Ann ArcherRed Party", "8 votes", "66.7%"],
        ["Bob BakerBlue Party", "4 votes", "33.3%"],
        ["Cyd <b>Cook</b>", "0 votes", "0.0%"],
      ]);
      assert.deepEqual(await watched.lengths("#candidates"), ["66.7%", "33.3%", "0.0%"]);
      assert.deepEqual((await watched.bars("#parties")).slice(0, 2), [
        ["Red Party", "8 votes", "66.7%"],
        ["Blue Party", "4 votes", "33.3%"],
      ]);
      const turnout = await api(stack, "turnout");
      assert.deepEqual([turnout.voters, turnout.registered], [12, 40]);
      assert.equal(await watched.figure("Turnout"), "30.0%");
      const regions = await watched.bars("#regions");
      assert.deepEqual([regions.length, regions[3]], [14, ["Region 3", "12 of 40", "30.0%"]]);
      const { total } = await api(stack, "reconciliation");
      assert.equal(
        await page.locator("#equation").textContent(),
        `${total.read} read = ${total.counted} counted + ${total.duplicate} repeated + ${total.rejected} rejected`,
      );
      assert.equal(await page.locator("#verdict").textContent(), "Balanced");
    });

    await t.step("shows who the candidates are", async () => {
      const ann = page.locator("#candidates li").first();
      await eventually(
        "the photo is there",
        async () =>
          await ann.locator("img").evaluate((image: any) => image.complete && image.naturalWidth > 0),
      );
      await ann.locator("summary").click();
      assert.equal(await ann.locator("details p").innerText(), BIOGRAPHY);
      assert.equal(await page.locator("#candidates img").count(), 1);
    });

    await t.step("moves when votes come, without being loaded again", async () => {
      await page.evaluate("globalThis.sameDocument = true");
      await vote(6);
      await eventually("18 voters are counted", async () => await watched.figure("Voters counted") === "18");
      await eventually(
        "the bars move",
        async () => (await watched.bars("#candidates"))[0]?.[1] === "12 votes",
      );
      await eventually("a rate is shown", async () => Number(await watched.figure("Votes per second")) > 0);
      assert.equal(await page.evaluate("globalThis.sameDocument"), true);
    });

    await t.step("asks nobody but its server, and has nothing to complain of", () => {
      assert.deepEqual([...watched.hosts], [new URL(stack.aggregator).host]);
      assert.deepEqual(watched.said, []);
    });

    await t.step(
      "says that it is not connected, and goes on by itself, when the aggregator is killed",
      async () => {
        assert.equal(await watched.status(), "live");
        await stack.kill("aggregator");
        await eventually("it says so", async () => await watched.status() === "away");
        assert.match(
          (await page.locator("#pulse").innerText()).replace(/\s+/g, " "),
          /^Not connected figures of \d\d:\d\d:\d\d$/,
        );
        assert.equal(await watched.figure("Voters counted"), "18", "what is known stays");
        await vote(3);
        await stack.restart("aggregator");
        await eventually("it is live again", async () => await watched.status() === "live");
        await eventually(
          "what was cast meanwhile is in",
          async () => await watched.figure("Voters counted") === "21",
        );
        await eventually(
          "and in the bars",
          async () => (await watched.bars("#candidates"))[0]?.[1] === "14 votes",
        );
        assert.equal(await page.evaluate("globalThis.sameDocument"), true);
      },
    );

    await t.step("is the same when it is loaded anew", async () => {
      const fresh = await Watched.open(browser, stack.aggregator);
      await eventually(
        "the bars are there",
        async () => (await fresh.bars("#candidates"))[0]?.[1] === "14 votes",
      );
      assert.deepEqual(await fresh.bars("#candidates"), await watched.bars("#candidates"));
      assert.deepEqual(fresh.said, []);
      await fresh.page.close();
    });

    await t.step("shows another election and another contest by the keyboard alone", async () => {
      await page.locator("#contests").focus();
      await page.keyboard.press("ArrowDown");
      await eventually(
        "the other contest is shown",
        async () => (await watched.names("#candidates"))[0] === "Dan DyerRed Party",
      );
      assert.deepEqual(await watched.names("#candidates"), ["Dan DyerRed Party", "Eve Eames"]);
      const note = (await page.locator("#contest-note").innerText()).match(
        /^A voter may choose up to 2 of 2\. (\d+) ballots had this contest, \1 of them blank\. Choices not made: (\d+)\.$/,
      );
      assert.equal(Number(note?.[2]), 2 * Number(note?.[1]));
      await page.locator("#elections").focus();
      await page.keyboard.press("ArrowUp");
      const name = page.locator("#name");
      await eventually("the other one is shown", async () => await name.textContent() === "A later election");
      assert.equal(await page.locator("#phase").textContent(), "Not open yet");
      await eventually("its parties are shown", async () => (await watched.names("#parties")).length === 3);
      assert.deepEqual((await watched.names("#parties")).toSorted(), [
        "Azure Party",
        "Scarlet Party",
        "Without a party",
      ]);
      assert.equal(await page.locator("#released").textContent(), "No results yet.");
      assert.match(page.url(), /#later-2027$/);
      await page.goBack();
      await eventually("the way back leads back", async () => await name.textContent() === "Town council");
    });

    for (const colorScheme of ["light", "dark"] as const) {
      for (const [name, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
        await t.step(`shuts nobody out, ${colorScheme}, ${name}`, async () => {
          const { page: other } = await Watched.open(browser, stack.aggregator, { colorScheme, viewport });
          await other.locator("#partitions summary").click();
          await other.locator("#partitions td").first().waitFor();
          assert.deepEqual(await axeFindings(other), []);
          const tooWide = await other.evaluate("document.documentElement.scrollWidth - innerWidth");
          assert.equal(tooWide, 0, "the page is no wider than the screen");
          await other.close();
        });
      }
    }

    assert.equal(await poll.settle(), 0, "every vote that the page showed is accounted for");
  });
});
