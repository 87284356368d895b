/**
 * How long it takes from a vote at a device to the figures on the page, against an aggregator and a gateway that really run. The
 * times are printed and not asserted: docs/page.md quotes them. What is asserted is what appears with which vote.
 */
import assert from "assert";
import type { Browser, Page } from "playwright-core";
import { createDeviceClient, type DeviceClient } from "../../device/client.ts";
import { memoryStore } from "../../device/store.ts";
import { eventually } from "../eventually.ts";
import { heldNow, type RunningStack, votersOf, withRunningStack } from "../running_stack.ts";
import { browserTest } from "./chromium.ts";
import { cellsOf, openPage } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "town-2026";
const VOTES = 20;
const THRESHOLD = 5;
const ROLL = Array.from({ length: 60 }, (_, i) => `voter-${i}`);

function definition(releaseThreshold: number) {
  return heldNow({
    election: ELECTION,
    name: "Town council",
    partitions: 3,
    releaseThreshold,
    resultsBeforeClosing: true,
    parties: [],
    contests: [{
      id: "mayor",
      name: "Mayor",
      votesAllowed: 1,
      candidates: [{ id: "ann", name: "Ann Archer" }, { id: "bob", name: "Bob Baker" }],
    }],
    regions: [{ id: "north", name: "North" }],
    stations: [{ id: "hall", name: "Town hall", region: "north" }],
    gateways: [{ id: "gateway-1", stations: ["hall"], fallbackFor: [] }],
  }, new Date(Date.now() - 3_600_000).toISOString());
}

/** What stands on the page: voters in the results, what is said of those who are not, the first candidate's votes, and turnout. */
type Figures = { counted: string; hint: string; votes: string; turnout: string };

/** Notes on the page, with each frame that shows other figures, the figures and the time. */
const NOTE_FIGURES = `globalThis.noted = [];
(() => {
  const text = (selector) => document.querySelector(selector)?.textContent ?? "";
  const note = () => {
    const figures = {
      counted: text("[data-figure=counted] .value"),
      hint: text("[data-figure=counted] .hint"),
      votes: text("#candidates .votes"),
      turnout: text("[data-figure=turnout] .value"),
    };
    const before = globalThis.noted.at(-1);
    if (before === undefined || JSON.stringify(before[0]) !== JSON.stringify(figures)) {
      globalThis.noted.push([figures, Date.now()]);
    }
    requestAnimationFrame(note);
  };
  requestAnimationFrame(note);
})();`;

/** When the page first showed figures like these, in milliseconds since 1970. */
async function shownAt(page: Page, what: string, isIt: (figures: Figures) => boolean): Promise<number> {
  let atMs: number | undefined;
  await eventually(what, async () => {
    const noted = await page.evaluate("globalThis.noted") as [Figures, number][];
    atMs = noted.find(([figures]) => isIt(figures))?.[1];
    return atMs !== undefined;
  });
  return atMs!;
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

/** Casts one vote. Returns when that began, in milliseconds since 1970. */
async function castOne(poll: DeviceClient, voterId: string): Promise<number> {
  const atMs = Date.now();
  const [{ fate }] = await poll.castAll([{
    voterId,
    mode: "in_person",
    selections: [{ contest: "mayor", candidate: "ann" }],
  }]);
  assert.equal(fate, "acknowledged");
  return atMs;
}

async function withPage(
  browser: Browser,
  threshold: number,
  work: (poll: DeviceClient, page: Page) => Promise<void>,
): Promise<void> {
  const election = { definition: definition(threshold), voters: votersOf("north", ROLL) };
  await withRunningStack([election], async (running) => {
    const { page, said } = await openPage(browser, running.stack.aggregator);
    await page.locator("#pulse[data-status=live]").waitFor();
    await page.evaluate(NOTE_FIGURES);
    await work(await openPoll(running), page);
    assert.deepEqual(said, []);
    await page.close();
  });
}

function report(what: string, delaysMs: readonly number[]): void {
  const sorted = delaysMs.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  console.log(`${what}: median ${median} ms, at most ${sorted.at(-1)} ms, of ${sorted.length}`);
}

browserTest("with k = 1 each vote is in turnout and tallies on the page, one by one", async (browser) => {
  await withPage(browser, 1, async (poll, page) => {
    const delays: number[] = [];
    for (let vote = 1; vote <= VOTES; vote++) {
      const castAtMs = await castOne(poll, ROLL[vote - 1]);
      const isIt = ({ counted, votes, turnout }: Figures) =>
        counted === String(vote) && votes === `${vote} vote${vote === 1 ? "" : "s"}` &&
        turnout === `${(100 * vote / ROLL.length).toFixed(1)}%`;
      delays.push(await shownAt(page, `vote ${vote} is on the page`, isIt) - castAtMs);
    }
    report("k = 1: from a vote to turnout and tallies on the page", delays);
  });
});

browserTest(
  "with k > 1 the first k votes are on the page with the 2k-th, and not before",
  async (browser) => {
    await withPage(browser, THRESHOLD, async (poll, page) => {
      const counting: number[] = [];
      const releasing: number[] = [];
      for (let vote = 1; vote <= 4 * THRESHOLD; vote++) {
        const castAtMs = await castOne(poll, ROLL[vote - 1]);
        // k voters wait until k others have come, so that nobody can subtract one release from the next.
        const released = THRESHOLD * Math.max(0, Math.floor(vote / THRESHOLD) - 1);
        const waiting = vote - released;
        const isIt = ({ counted, hint }: Figures) =>
          counted === String(released) && hint.startsWith(`${waiting} `);
        const delay = await shownAt(page, `${released} are shown and ${waiting} counted`, isIt) - castAtMs;
        counting.push(delay);
        if (vote % THRESHOLD !== 0 || released === 0) continue;
        const tally = ({ votes }: Figures) => votes === `${released} votes`;
        releasing.push(await shownAt(page, `${released} votes are in the tally`, tally) - castAtMs);
      }
      report(`k = ${THRESHOLD}: from a vote to its place among those counted`, counting);
      report(`k = ${THRESHOLD}: from the 2k-th vote, and each k-th after it, to the tally`, releasing);
      const noted = await page.evaluate("globalThis.noted") as [Figures, number][];
      const shown = new Set(noted.map(([{ counted }]) => Number(counted)));
      assert.deepEqual([...shown], [0, 5, 10, 15], "no other number of voters was ever shown");
      await page.locator("#view").click();
      const waiting = page.locator("#unreleased tbody tr");
      await waiting.waitFor();
      // Counted, shown and waiting, of no candidate. The view asks for it now and then.
      const wanted = "Town council 20 15 5";
      await eventually(wanted, async () => {
        const [cells] = await cellsOf(page, "#unreleased tbody tr");
        return cells?.join(" ") === wanted;
      });
    });
  },
);
