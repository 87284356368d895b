/**
 * The wall over a long night: what its page keeps in memory while updates come faster than in an election. Memory is read after
 * Chromium has collected its garbage.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { CDPSession, Page } from "playwright-core";
import { launchChromium } from "../tests/browser/chromium.ts";
import { withSeededPage } from "../tests/browser/seeded_page.ts";
import { definitionOf, enrolAll, releaseOnce } from "./page_election.ts";
import type { Benchmark, Row } from "./measure.ts";

/** At one a second, so many updates come in two hours. */
const UPDATES = Number(Deno.env.get("WALL_UPDATES") ?? 7_200);
/** Between two updates: the server looks for releases as often as this, so each is one of its own. */
const EVERY_MS = 100;
/** Of the updates, the first part warms up: code is compiled, and caches fill. */
const WARM_UP_PART = 0.05;
/** How many times memory is read after that. */
const READINGS = 5;
const STATIONS = 504;
const REGIONS = 40;
/** Stations that one update is of. */
const UPDATE_STATIONS = 20;
/** The page shows the last update when it has had so long, in milliseconds. */
const SHOWN_WITHIN_MS = 60_000;

/** What a page holds. */
type Held = Readonly<{ heapMegabytes: number; nodes: number; listeners: number }>;

/** See the module. */
export const wall: Benchmark = {
  name: "wall",
  work: `the wall in Chromium, ${STATIONS} stations, ${
    UPDATES.toLocaleString("en")
  } updates, ten a second: memory from the start to the end`,
  on: "embedded",
  async run(bench) {
    const browser = await launchChromium();
    bench.atEnd(() => browser.close());
    const rows: Row[] = [];
    await withSeededPage(definitionOf({ stations: STATIONS, regions: REGIONS }), async ({ db, origin }) => {
      await enrolAll(db, REGIONS);
      await releaseOnce(db, STATIONS);
      const page = await browser.newPage({ viewport: { width: 1_920, height: 1_080 } });
      await page.goto(`${origin}/?wall=1`);
      await page.locator("#candidates .row").first().waitFor();
      const session = await page.context().newCDPSession(page);
      const readAt = Array.from(
        { length: READINGS },
        (_, at) => Math.round(UPDATES * (WARM_UP_PART + (1 - WARM_UP_PART) * at / (READINGS - 1))),
      );
      const held: Held[] = [];
      let voters = STATIONS;
      for (let update = 1; update <= UPDATES; update++) {
        const dueMs = performance.now() + EVERY_MS;
        await releaseOnce(db, UPDATE_STATIONS);
        voters += UPDATE_STATIONS;
        if (readAt.includes(update)) held.push(await holds(page, session, voters));
        await delay(Math.max(0, dueMs - performance.now()));
      }
      const [first, last] = [held[0]!, held.at(-1)!];
      rows.push({
        benchmark: "wall",
        of: `${UPDATES.toLocaleString("en")} updates`,
        value: last.heapMegabytes - first.heapMegabytes,
        unit: `MB of heap gained after the first ${readAt[0]!.toLocaleString("en")} updates`,
        notes: held.map(({ heapMegabytes, nodes, listeners }, at) =>
          `after ${readAt[at]!.toLocaleString("en")}: ${
            heapMegabytes.toFixed(2)
          } MB, ${nodes} nodes, ${listeners} listeners`
        ).join("; "),
      });
    });
    return rows;
  },
};

/** Waits until the page shows so many voters, collects garbage, and says what is left. */
async function holds(page: Page, session: CDPSession, voters: number): Promise<Held> {
  await page.waitForFunction(
    `document.querySelector("[data-figure=counted] .value").textContent === "${
      voters.toLocaleString("en-GB")
    }"`,
    undefined,
    { timeout: SHOWN_WITHIN_MS },
  );
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  const { nodes, jsEventListeners } = await session.send("Memory.getDOMCounters");
  return { heapMegabytes: usedSize / 2 ** 20, nodes, listeners: jsEventListeners };
}
