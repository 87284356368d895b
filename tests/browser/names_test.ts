/**
 * The live page in Chromium with the names and contests that pages get wrong: names written from right to left beside
 * numbers, a tie, and contests and elections in which nobody has voted.
 */
import assert from "assert";
import type { Page } from "playwright-core";
import { createDeviceClient } from "../../device/client.ts";
import { memoryStore } from "../../device/store.ts";
import { definitionSchema, type ElectionDefinition } from "../../shared/election.ts";
import { eventually } from "../eventually.ts";
import { heldNow, votersOf, withRunningStack } from "../running_stack.ts";
import { browserTest } from "./chromium.ts";
import { keepScreenshot } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const OPENED = new Date(Date.now() - 3_600_000).toISOString();
const ROLL = ["v-1", "v-2", "v-3", "v-4", "v-5"];
/** Texts of one line differ in height by less than this. */
const MAX_SHIFT_PX = 15;
/** Right-to-left names; a number at the edge of one joins the numbers beside it, unless the name is isolated. */
const MIRIAM = "מרים 7";
const KHALID = "خالد 12";
const PARTY = "מפלגה 5";

function definition(): ElectionDefinition {
  return heldNow({
    election: "names-2026",
    name: "Names",
    partitions: 3,
    releaseThreshold: 1,
    resultsBeforeClosing: true,
    parties: [{ id: "party", name: PARTY }],
    contests: [
      {
        id: "mayor",
        name: "Mayor",
        votesAllowed: 1,
        candidates: [
          { id: "miriam", name: MIRIAM, party: "party" },
          { id: "khalid", name: KHALID },
          { id: "ann", name: "Ann Archer" },
        ],
      },
      {
        id: "council",
        name: "Council",
        votesAllowed: 2,
        candidates: [{ id: "dan", name: "Dan Dyer" }, { id: "eve", name: "Eve Eames" }],
      },
    ],
    regions: [{ id: "r", name: "Region" }],
    stations: [{ id: "hall", name: "Town hall", region: "r" }],
    gateways: [{ id: "gateway-1", stations: ["hall"], fallbackFor: [] }],
  }, OPENED);
}

/** Nobody votes in it. */
function silent(): ElectionDefinition {
  return definitionSchema.parse({
    ...definition(),
    election: "silent-2026",
    gateways: [{ id: "gateway-9", stations: ["hall"], fallbackFor: [] }],
  });
}

/** The candidates' rows as they stand: name, votes, share. */
async function rowsOf(page: Page): Promise<string[][]> {
  return await page.locator("#candidates .row").evaluateAll((rows: any[]) =>
    rows.map((
      row,
    ) => [
      row.querySelector(".who bdi")?.textContent,
      ...[...row.children].slice(1).map((c: any) => c.textContent),
    ])
  );
}

type Place = { top: number; left: number; right: number };

/** Where each of these texts stands inside an element, in pixels. */
async function placesOf(
  page: Page,
  selector: string,
  texts: string[],
): Promise<Place[]> {
  return await page.locator(selector).first().evaluate((element: any, texts: string[]) => {
    const { document, NodeFilter } = globalThis as any;
    return texts.map((text) => {
      const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      for (let node; (node = nodes.nextNode());) {
        const at = node.data.indexOf(text);
        if (at < 0) continue;
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + text.length);
        const { top, left, right } = range.getBoundingClientRect();
        return { top, left, right };
      }
      throw new Error(`there is no ${text} in ${element.textContent}`);
    });
  }, texts);
}

/** Each text ends before the next one begins, or stands on an earlier line, as a reader of English expects. */
function assertInOrder(places: readonly Place[], texts: readonly string[]) {
  for (let i = 1; i < places.length; i++) {
    const [before, after] = [places[i - 1], places[i]];
    const isBelow = after.top > before.top + MAX_SHIFT_PX;
    assert.ok(isBelow || before.right <= after.left + 1, `${texts[i]} follows ${texts[i - 1]}`);
  }
}

async function assertNumbersAreNumbers(page: Page): Promise<void> {
  const shown = await page.locator("body").innerText();
  assert.doesNotMatch(shown, /NaN|Infinity|undefined|null/);
  const lengths = await page.locator("[style*='--length']").evaluateAll((elements: any[]) =>
    elements.map((element) => Number(element.style.getPropertyValue("--length")))
  );
  for (const length of lengths) assert.ok(length >= 0 && length <= 1, `a bar of length ${length}`);
}

browserTest("the live page, with names from right to left, a tie, and no votes", async (browser, t) => {
  const elections = [
    { definition: definition(), voters: votersOf("r", ROLL) },
    { definition: silent(), voters: votersOf("r", []) },
  ];
  await withRunningStack(elections, async ({ stack, devices }) => {
    const page = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));

    await t.step("shows no NaN before anybody has voted, on the roll or off it", async () => {
      for (const { definition: { election } } of elections) {
        await page.goto(`${stack.aggregator}/#${election}`);
        await page.reload();
        await page.locator("#candidates .row").first().waitFor();
        await assertNumbersAreNumbers(page);
        assert.equal(await page.locator("#sentence").innerText(), "No results yet.");
        for (const [, votes, share] of await rowsOf(page)) assert.deepEqual([votes, share], ["", "–"]);
      }
      await keepScreenshot(page, "no-votes");
    });

    const [device] = devices.devices;
    const poll = await createDeviceClient({
      identity: { election: devices.election, ...device },
      gateways: stack.gateways,
      aggregators: [stack.aggregator],
      store: memoryStore(),
    });
    const fates = await poll.castAll(ROLL.map((voterId, i) => ({
      voterId,
      mode: "in_person" as const,
      selections: [{ contest: "mayor", candidate: ["miriam", "khalid", "miriam", "khalid", "ann"][i] }],
    })));
    assert.ok(fates.every(({ fate }) => fate === "acknowledged"));
    await page.goto(`${stack.aggregator}/#names-2026`);
    await page.reload();
    await eventually("the votes are shown", async () => (await rowsOf(page))[0]?.[1] === "2 votes");
    await eventually("all of them", async () => (await rowsOf(page))[2]?.[1] === "1 vote");

    await t.step("isolates every name of a candidate and a party", async () => {
      assert.deepEqual(await rowsOf(page), [
        [MIRIAM, "2 votes", "40.0%"],
        [KHALID, "2 votes", "40.0%"],
        ["Ann Archer", "1 vote", "20.0%"],
      ]);
      const isolated = await page.locator("#candidates bdi").evaluateAll((elements: any[]) =>
        elements.map((element) => {
          const { direction, unicodeBidi } = (globalThis as any).getComputedStyle(element);
          return [element.textContent, direction, unicodeBidi];
        })
      );
      assert.deepEqual(isolated, [
        [MIRIAM, "rtl", "isolate"],
        [PARTY, "rtl", "isolate"],
        [KHALID, "rtl", "isolate"],
        ["Ann Archer", "ltr", "isolate"],
      ]);
      for (const [name, votes, share] of await rowsOf(page)) {
        const row = `#candidates .row:has-text("${name}")`;
        const parts = [votes.split(" ")[0], votes.split(" ")[1], share];
        assertInOrder(await placesOf(page, `${row} .votes`, parts.slice(0, 2)), parts);
        const cells = [
          ...await placesOf(page, `${row} .who bdi`, [name]),
          ...await placesOf(page, `${row} .votes`, [votes]),
          ...await placesOf(page, `${row} .percent`, [share]),
        ];
        assertInOrder(cells, [name, votes, share]);
      }
    });

    await t.step("says that there is a tie, names in their order", async () => {
      const sentence = await page.locator("#sentence").innerText();
      assert.equal(sentence, `\u2068${MIRIAM}\u2069 and \u2068${KHALID}\u2069 are tied with 2 votes each.`);
      const texts = [MIRIAM, " and ", KHALID, " are tied ", "votes each."];
      assertInOrder(await placesOf(page, "#sentence", texts), texts);
      await assertNumbersAreNumbers(page);
      await keepScreenshot(page, "tie-right-to-left");
    });

    await t.step("shows a contest without votes as zeros, without shares, and no tie", async () => {
      await page.locator("#contests").selectOption("council");
      await eventually("it is shown", async () => (await rowsOf(page))[0]?.[0] === "Dan Dyer");
      assert.deepEqual(await rowsOf(page), [["Dan Dyer", "0 votes", "–"], ["Eve Eames", "0 votes", "–"]]);
      assert.equal(await page.locator("#sentence").innerText(), "No results yet.");
      await assertNumbersAreNumbers(page);
    });

    assert.deepEqual(errors, []);
    await page.close();
    assert.equal(await poll.settle(), 0);
  });
});
