/**
 * The live page in Chromium: how long until it paints, and until it shows results, in elections of two sizes; and frames that
 * it drops while a release comes every second.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Browser } from "playwright-core";
import { launchChromium } from "../tests/browser/chromium.ts";
import { type SeededPage, withSeededPage } from "../tests/browser/seeded_page.ts";
import { definitionOf, enrolAll, releaseOnce } from "./page_election.ts";
import { type Benchmark, median, type Row } from "./measure.ts";

const ROUNDS = 5;
const UPDATES = 20;
/** A frame of 60 a second takes 16.7 ms; one that takes so long has dropped the next, in milliseconds. */
const DROPPED_MS = 34;
/** Elections: how many stations and regions, and when the first paint should be, in milliseconds. */
const SIZES = [{ stations: 504, regions: 40, goalMs: 1_000 }, {
  stations: 4_000,
  regions: 100,
  goalMs: 2_000,
}];

/** See the module. */
export const page: Benchmark = {
  name: "page",
  work:
    `the live page in Chromium, new each time: first paint and first results, median of ${ROUNDS}; ${UPDATES} releases, one a second`,
  on: "embedded",
  async run(bench) {
    const browser = await launchChromium();
    bench.atEnd(() => browser.close());
    const rows: Row[] = [];
    for (const size of SIZES) {
      await withSeededPage(
        definitionOf(size),
        async (seeded) => {
          rows.push(await measure(browser, seeded, size));
        },
      );
    }
    return rows;
  },
};

type Size = (typeof SIZES)[number];

async function measure(browser: Browser, { db, origin }: SeededPage, size: Size): Promise<Row> {
  await enrolAll(db, size.regions);
  await releaseOnce(db, size.stations);
  const paints: number[] = [];
  const results: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const opened = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
    await opened.goto(origin, { waitUntil: "commit" });
    await opened.locator("#places tr[data-place]").first().waitFor();
    results.push(await opened.evaluate("performance.now()") as number);
    paints.push(await opened.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"));
    await opened.close();
  }
  const frames = await framesWhile(browser, origin, async () => {
    for (let update = 0; update < UPDATES; update++) {
      await releaseOnce(db, 20);
      await delay(1_000);
    }
  });
  const paintMs = median(paints);
  return {
    benchmark: "page",
    of: `${size.stations.toLocaleString("en")} stations`,
    value: paintMs,
    unit: `ms to the first paint (goal: under ${size.goalMs})`,
    notes: `results after ${Math.round(median(results))} ms; of ${frames.length} frames ${
      frames.filter((ms) => ms > DROPPED_MS).length
    } longer than ${DROPPED_MS} ms, the longest ${Math.round(Math.max(...frames))} ms`,
  };
}

/** How long each frame of a page takes while something happens, in milliseconds. */
async function framesWhile(browser: Browser, origin: string, work: () => Promise<void>): Promise<number[]> {
  const opened = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
  await opened.goto(origin);
  await opened.locator("#places tr[data-place]").first().waitFor();
  await delay(2_000);
  await opened.evaluate(
    `globalThis.frameTimes = []; (function next(before) {
      requestAnimationFrame((now) => { if (before) globalThis.frameTimes.push(now - before); next(now); });
    })()`,
  );
  await work();
  const frames = await opened.evaluate("globalThis.frameTimes") as number[];
  await opened.close();
  return frames;
}
