/** What page and office say of an election whose results wait for officials to release them. */
import assert from "assert";
import { openHistory } from "../../aggregator/counting/history.ts";
import { publishManifest } from "../../aggregator/registry/elections.ts";
import { eventually } from "../eventually.ts";
import { MASTER, NOON_MS, testDefinition } from "../fixture.ts";
import { writeRelease } from "../seeded_database.ts";
import { browserTest } from "./chromium.ts";
import { ask, hears, look, signIn, textOf as officeTextOf, VOTING, withOffice } from "./office_scene.ts";
import { withSeededPage } from "./seeded_page.ts";
import { axeFindings, keepScreenshot, openPage, textOf } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const NIGHT_MS = NOON_MS + 11 * 3_600_000;
const WITHHELD = { publish: "manual", resultsBeforeClosing: false, releaseThreshold: 1 } as const;

browserTest(
  "the live page says in words that results are not released, and shows them after that",
  async (browser) => {
    await withSeededPage(testDefinition(WITHHELD), async ({ db, origin, setNow }) => {
      const open = await openPage(browser, origin);
      await open.page.locator("#sentence", { hasText: "No results until officials release them." }).waitFor();
      await open.page.close();
      setNow(NIGHT_MS);
      const { page, said } = await openPage(browser, origin);
      await page.locator("#sentence", { hasText: "Officials have not released the results yet." }).waitFor();
      await page.locator("[data-place]").first().waitFor();
      assert.doesNotMatch(await textOf(page, "body"), /No votes yet/, "nobody knows");
      assert.deepEqual(await axeFindings(page), []);
      await keepScreenshot(page, "withheld");
      await page.locator("#language").selectOption("de");
      await page.locator("#sentence", {
        hasText: "Die Wahlleitung hat die Ergebnisse noch nicht freigegeben.",
      }).waitFor();
      await page.locator("#language").selectOption("en");
      await publishManifest(
        db,
        "test-2026",
        MASTER,
        new Date(NIGHT_MS),
        ({ withheld: _, ...newest }) => newest,
      );
      await writeRelease(db, {
        station: "n-1",
        voters: 4,
        votes: { "mayor/ann": [3, 3], "mayor/bob": [1, 1] },
      });
      await eventually("the page shows who leads", async () => /Ann/.test(await textOf(page, "#sentence")));
      assert.deepEqual(open.said.concat(said), []);
      await page.close();
    });
  },
);

browserTest(
  "two officials release results at the office page, and local times that are skipped are refused",
  async (browser) => {
    await withOffice(async (scene) => {
      const { office, db } = scene;
      for (const account of ["ann", "ben"]) await office.enrol(account, ["official", VOTING]);
      const ann = await signIn(browser, scene, "ann", `${VOTING}/state`, { timezoneId: "America/New_York" });
      await ask(ann.page, "extend", { closesAt: "2027-03-14T02:30:00", reason: "Snow" });
      await hears(ann.page, "bad", /does not exist in America\/New_York: clocks skip/);
      await ask(ann.page, "extend", { closesAt: "2026-11-03T17:00:00", reason: "Snow" });
      await hears(ann.page, "good", /Another official must approve it/);
      const [proposed] = await db.query<{ parameters: string }>(
        "SELECT parameters FROM office.proposals WHERE election = $1",
        [VOTING],
      );
      assert.deepEqual(JSON.parse(proposed!.parameters), { closesAt: "2026-11-03T22:00:00.000Z" });
      await ann.page.close();

      const change = (newest: any) => ({ ...newest, resultsBeforeClosing: false, withheld: true as const });
      await publishManifest(db, VOTING, MASTER, new Date(office.nowMs), change);
      office.nowMs = NIGHT_MS;
      const desk = await signIn(browser, scene, "ann", `${VOTING}/state`);
      assert.match(
        await officeTextOf(desk.page, "#now + p + dl"),
        /Results not released: two officials must/,
      );
      await ask(desk.page, "publish", { reason: "All is counted" });
      await hears(desk.page, "good", /Proposed: Release the results/);
      const ben = await signIn(browser, scene, "ben", `${VOTING}/state`);
      await look(ben, "release");
      await ben.page.getByRole("button", { name: "Approve: Release the results" }).click();
      await hears(ben.page, "good", /Approved and done: Release the results/);
      assert.match(await officeTextOf(ben.page, "#now + p + dl"), /Results published once voting is over/);
      const { manifest } = (await openHistory(db.query, VOTING, MASTER))!.newest;
      assert.equal(manifest.withheld, undefined);
      for (const { page, said } of [ann, desk, ben]) {
        assert.deepEqual(said.filter((text) => !/Failed to load resource.*422/.test(text)), []);
        await page.close();
      }
    });
  },
);
