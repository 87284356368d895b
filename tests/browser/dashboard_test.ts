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
import { MACHINE_NOISE } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const DESKTOP = { width: 1_280, height: 900 };
const PHONE = { width: 390, height: 844 };
const ROLL = Array.from({ length: 40 }, (_, i) => `voter-${i}`);
const OPENED = new Date(Date.now() - 3_600_000).toISOString();

/** One in each region; votes are cast at the first. */
const STATIONS = [
  { id: "hall", name: "Town hall", region: "r-3" },
  ...Array.from({ length: 14 }, (_, i) => ({ id: `s-${i}`, name: `School ${i}`, region: `r-${i}` }))
    .filter(({ region }) => region !== "r-3"),
];

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
    stations: STATIONS,
    gateways: [{ id: "gateway-1", stations: STATIONS.map(({ id }) => id), fallbackFor: [] }],
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
    gateways: [{ id: "gateway-9", stations: STATIONS.map(({ id }) => id), fallbackFor: [] }],
  });
}

/** A page, with what it said to the console and whom it asked. */
class Watched {
  readonly said: string[] = [];
  readonly hosts = new Set<string>();

  constructor(readonly page: Page) {
    page.on(
      "console",
      (message) =>
        ["error", "warning"].includes(message.type()) && !MACHINE_NOISE.test(message.text()) &&
        this.said.push(message.text()),
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
    // Not by waitForFunction(): it looks again by eval, which the page's policy refuses.
    await eventually(
      "bars stand still",
      async () => await this.page.evaluate("document.getAnimations().length") === 0,
    );
    return await lines.evaluateAll((elements: any[]) =>
      elements.map((element) => {
        const filled = parseFloat((globalThis as any).getComputedStyle(element, "::before").width);
        return `${(100 * filled / element.getBoundingClientRect().width).toFixed(1)}%`;
      })
    );
  }

  /** The rows of the table of places: region, turnout, who leads, margin, still out. */
  async places(): Promise<string[][]> {
    return await this.page.locator("#places > tbody > tr[data-place]").evaluateAll((rows: any[]) =>
      rows.map((row) =>
        [...row.children].map((cell: any) => cell.textContent.replace(/[▸▾]/, "").replace(/\s+/g, " ").trim())
      )
    );
  }

  /** A text of the page, without the marks that isolate names. */
  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).innerText()).replace(/[\u2068\u2069]/g, "").replace(
      /\s+/g,
      " ",
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

/** Keeps a picture of the page in the folder that `POLLWIRE_SCREENSHOTS` names, where it does. */
async function keepScreenshot(page: Page, name: string): Promise<void> {
  const folder = Deno.env.get("POLLWIRE_SCREENSHOTS");
  if (folder !== undefined) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
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

    await t.step("shows what the API says, all of one revision", async () => {
      await eventually("their votes are released", async () => (await api(stack, "results")).voters === 12);
      await eventually(
        "twelve voters are shown",
        async () => await watched.figure("Voters counted") === "12",
      );
      assert.equal(await watched.text("#sentence"), "Ann Archer leads Bob Baker by 4 votes (33.3 points).");
      assert.equal(await watched.text("#because"), "More votes than that can still come: 28.");
      const { rows, contests, voters, revision } = await api(stack, "results?by=candidate&contest=mayor");
      const votesOf = (id: string) =>
        rows.find((row: { candidate: string }) => row.candidate === id)?.votes ?? 0;
      assert.deepEqual([votesOf("ann"), votesOf("bob")], [8, 4]);
      assert.deepEqual(await watched.bars("#candidates"), [
        ["Ann ArcherRed Party", "8 votes", "66.7%"],
        ["Bob BakerBlue Party", "4 votes", "33.3%"],
        ["Cyd <b>Cook</b>", "0 votes", "0.0%"],
      ]);
      assert.equal(await page.locator("body").getAttribute("data-revision"), String(revision));
      assert.deepEqual(await watched.lengths("#candidates"), ["66.7%", "33.3%", "0.0%"]);
      assert.deepEqual((await watched.bars("#parties")).slice(0, 2), [
        ["Red Party", "8 votes", "66.7%"],
        ["Blue Party", "4 votes", "33.3%"],
      ]);
      assert.match(
        await watched.text("#base"),
        new RegExp(`^${contests[0].ballots} ballots, ${contests[0].blanks} blank`),
      );
      const { registered } = await api(stack, "turnout");
      assert.deepEqual([voters, registered], [12, 40]);
      assert.equal(await watched.figure("Turnout"), "30.0%");
      assert.equal(await watched.figure("Still out"), "28");
      assert.equal(await watched.figure("Stations in the results"), "1 of 14");
      const places = await watched.places();
      assert.deepEqual([places.length, places[3], places[4]], [
        14,
        ["Region 3", "30.0% 12 of 40", "Ann Archer", "33.3 pt", "28"],
        ["Region 4", "–", "No votes yet", "–", "–"],
      ]);
      const { total } = await api(stack, "reconciliation");
      await page.locator("#accounted summary").click();
      assert.equal(await watched.text("#accounted .verdict"), "Every record accounted for ✓");
      assert.equal(
        await page.locator("#equation").textContent(),
        `${total.read} read = ${total.counted} counted + ${total.duplicate} repeated + ${total.rejected} rejected`,
      );
    });

    await t.step("orders and searches places, and opens their stations", async () => {
      await page.locator("#places thead button", { hasText: "Turnout" }).click();
      await eventually("the greatest is first", async () => (await watched.places())[0][0] === "Region 3");
      assert.equal(await page.locator("#places th[aria-sort=descending]").count(), 1);
      await page.locator("#find").fill("gion 13");
      await eventually(
        "the others are gone",
        async () => (await watched.places()).map(([name]) => name).join() === "Region 13",
      );
      await page.locator("#find").fill("");
      await page.locator("tr[data-place=r-3] button").click();
      const stations = page.locator("#places .inner tbody tr");
      await stations.first().waitFor();
      assert.deepEqual(
        await stations.evaluateAll((rows: any[]) => rows.map((row) => row.innerText.split(/\s*\t\s*/))),
        [
          ["Town hall", "12", "Ann Archer", "33.3 pt"],
        ],
      );
      assert.match(page.url(), /place=r-3/);
      await page.goBack();
      await eventually("they are closed again", async () => await stations.count() === 0);
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

    const momentOfTwelve = new Date().toISOString();

    await t.step("moves when votes come, without being loaded again", async () => {
      await page.evaluate("globalThis.sameDocument = true");
      await vote(6);
      await eventually("18 voters are shown", async () => await watched.figure("Voters counted") === "18");
      assert.equal(
        (await watched.bars("#candidates"))[0]?.[1],
        "12 votes",
        "with their votes, in the same moment",
      );
      assert.equal((await watched.places()).find(([name]) => name === "Region 3")?.[1], "45.0% 18 of 40");
      assert.equal(await page.evaluate("globalThis.sameDocument"), true);
    });

    await t.step("shows a past moment on all of the page, and goes back to now", async () => {
      const past = await Watched.open(
        browser,
        `${stack.aggregator}/?election=town-2026&at=${momentOfTwelve}`,
      );
      await eventually("twelve voters are shown", async () => await past.figure("Voters counted") === "12");
      assert.equal((await past.bars("#candidates"))[0]?.[1], "8 votes");
      assert.equal((await past.places())[3][1], "30.0% 12 of 40");
      assert.equal(await past.text("#sentence"), "Ann Archer leads Bob Baker by 4 votes (33.3 points).");
      await past.page.locator("#to-now").click();
      await eventually("it is now", async () => await past.figure("Voters counted") === "18");
      await past.page.close();
    });

    await t.step("waits while it is paused", async () => {
      const paused = await Watched.open(browser, `${stack.aggregator}/?election=town-2026`);
      await eventually("it is there", async () => await paused.figure("Voters counted") === "18");
      await paused.page.locator("#pause").click();
      await vote(1);
      await eventually("others see it", async () => await watched.figure("Voters counted") === "19");
      const show = paused.page.locator("#show-waiting");
      await show.waitFor();
      assert.equal(await paused.figure("Voters counted"), "18");
      await show.click();
      await eventually("it is shown", async () => await paused.figure("Voters counted") === "19");
      await paused.page.close();
    });

    await t.step("reads one stream for all tabs of a browser, and goes on when a tab closes", async () => {
      const context = await browser.newContext();
      let streams = 0;
      context.on("request", (request) => {
        if (request.url().includes("/stream")) streams++;
      });
      const tabs = [];
      for (let i = 0; i < 3; i++) {
        const tab = await context.newPage();
        await tab.goto(stack.aggregator);
        await tab.locator("#pulse[data-status=live]").waitFor();
        tabs.push(tab);
      }
      assert.equal(streams, 1);
      await tabs[0].close();
      await vote(1);
      const counted = tabs[2].locator(".figure", { hasText: "Voters counted" }).locator(".value");
      await eventually("the others follow", async () => await counted.textContent() === "20");
      assert.equal(streams, 2);
      await context.close();
    });

    await t.step("shows officials how the count goes", async () => {
      await page.locator("#view").click();
      await page.locator("#partitions tbody td").first().waitFor();
      assert.equal(await page.locator("#partitions tbody tr").count(), 3);
      assert.equal(await watched.figure("Not counted"), "0");
      assert.match(await watched.text("#unreleased"), /Everything that was counted is in the results\./);
      await page.goto(stack.aggregator);
      await page.evaluate("globalThis.sameDocument = true");
      await eventually("it is back", async () => await watched.figure("Voters counted") === "20");
    });

    await t.step("asks nobody but its server, and has nothing to complain of", () => {
      assert.deepEqual([...watched.hosts], [new URL(stack.aggregator).host]);
      assert.deepEqual(watched.said, []);
    });

    await t.step(
      "says that it is not connected, and goes on by itself, when the aggregator is killed",
      async () => {
        await eventually("it is live", async () => await watched.status() === "live");
        await stack.kill("aggregator");
        await eventually("it says so", async () => await watched.status() === "away");
        assert.match(
          (await page.locator("#pulse").innerText()).replace(/\s+/g, " "),
          /^Not connected \d+\.\d s old$/,
        );
        assert.equal(await watched.figure("Voters counted"), "20", "what is known stays");
        await vote(3);
        await stack.restart("aggregator");
        await eventually("it is live again", async () => await watched.status() === "live");
        await eventually(
          "what was cast meanwhile is in",
          async () => await watched.figure("Voters counted") === "23",
        );
        await eventually(
          "and in the bars",
          async () => (await watched.bars("#candidates"))[0]?.[1] === "14 votes",
        );
        assert.equal(await page.evaluate("globalThis.sameDocument"), true);
      },
    );

    await t.step("is the same when it is loaded again", async () => {
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
      assert.match(page.url(), /contest=council/);
      const base = (await watched.text("#base")).match(
        /^(\d+) ballots, \1 blank in this contest\. (\d+) choices not made\./,
      );
      assert.equal(Number(base?.[2]), 2 * Number(base?.[1]));
      await page.locator("#elections").focus();
      await page.keyboard.press("ArrowUp");
      const name = page.locator("#name");
      await eventually("the other one is shown", async () => await name.textContent() === "A later election");
      assert.equal(await page.locator("#phase").textContent(), "Not open yet");
      assert.deepEqual((await watched.names("#parties")).toSorted(), [
        "Azure Party",
        "Scarlet Party",
        "Without a party",
      ]);
      assert.equal(await watched.text("#sentence"), "The polls are not open yet.");
      assert.match(page.url(), /election=later-2027/);
      await page.goBack();
      await eventually("the way back leads back", async () => await name.textContent() === "Town council");
    });

    await t.step("speaks German, on a wall and in another page too", async () => {
      const german = await Watched.open(browser, `${stack.aggregator}/?election=town-2026&lang=de`);
      await eventually(
        "it is there",
        async () => /Ann Archer führt vor Bob Baker mit/.test(await german.text("#sentence")),
      );
      assert.equal(await german.page.locator("html").getAttribute("lang"), "de");
      await keepScreenshot(german.page, "german");
      await german.page.close();
      const embedded = await Watched.open(browser, `${stack.aggregator}/embed/town-2026?contest=mayor`);
      assert.match(await embedded.text("#sentence"), /^Ann Archer leads Bob Baker/);
      assert.equal(await embedded.page.locator("#places").count(), 0);
      assert.deepEqual(embedded.said, []);
      await embedded.page.close();
      for (const [width, height] of [[1_920, 1_080], [3_840, 2_160], [1_280, 720]]) {
        const viewport = { width, height };
        const wall = await Watched.open(
          browser,
          `${stack.aggregator}/?wall=1&election=town-2026&contest=mayor`,
          { viewport },
        );
        assert.match(await wall.text("#sentence"), /^Ann Archer leads Bob Baker/);
        const [across, down] = await wall.page.evaluate(
          "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]",
        ) as number[];
        assert.deepEqual([across, down], [0, 0], "nothing to scroll");
        const hidden = await wall.page.locator("#candidates").evaluate((list: any) =>
          list.scrollHeight - list.clientHeight
        );
        assert.ok(hidden <= 1, `${hidden} px of the candidates are cut off`);
        assert.deepEqual(await axeFindings(wall.page), []);
        await keepScreenshot(wall.page, `wall-${width}`);
        await wall.page.close();
      }
    });

    const looks = [
      ["light", "desktop", DESKTOP],
      ["dark", "desktop", DESKTOP],
      ["light", "phone", PHONE],
      // 1,280 pixels at 400 %.
      ["light", "zoomed", { width: 320, height: 225 }],
    ] as const;
    for (const [colorScheme, name, viewport] of looks) {
      for (const view of name === "desktop" ? ["results", "officials"] : ["results"]) {
        await t.step(`shuts nobody out, ${colorScheme}, ${name}, ${view}`, async () => {
          const address = `${stack.aggregator}/?election=town-2026&view=${view}${
            view === "results" ? "&place=r-3" : ""
          }`;
          const { page: other } = await Watched.open(browser, address, { colorScheme, viewport });
          await other.locator(view === "results" ? ".inner td" : "#partitions td").first().waitFor();
          assert.deepEqual(await axeFindings(other), []);
          const tooWide = await other.evaluate("document.documentElement.scrollWidth - innerWidth");
          assert.equal(tooWide, 0, "the page is no wider than the screen");
          await keepScreenshot(other, `${view}-${colorScheme}-${name}`);
          await other.close();
        });
      }
    }

    assert.equal(await poll.settle(), 0, "every vote that the page showed is accounted for");
  });
});
