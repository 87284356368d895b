/** The comparison with an earlier election on the live page: its figures are the API's, SQL's and a hand calculation's. */
import assert from "assert";
import { eventually } from "../eventually.ts";
import { testDefinition } from "../fixture.ts";
import { importPast } from "../past_election.ts";
import { enrol, writeRelease } from "../seeded_database.ts";
import { browserTest } from "./chromium.ts";
import { withSeededPage } from "./seeded_page.ts";
import { axeFindings, cellsOf, keepScreenshot, openPage, PHONE, textOf } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const FILE = `county,precinct,office,party,candidate,votes
North,North 1,Mayor,Red,Old Ann,60
North,North 1,Mayor,Blue,Old Bob,40
North,North 1,Mayor,,Old Gus,10
North,North 2,Mayor,Red,Old Ann,30
North,North 2,Mayor,Blue,Old Bob,70
South,South 1,Mayor,Red,Old Ann,80
South,South 1,Mayor,Blue,Old Bob,20
South,Old mill,Mayor,Red,Old Ann,10
South,Old mill,Mayor,Blue,Old Bob,10
South,South 2,Mayor,Red,Old Ann,100
South,South 2,Mayor,Blue,Old Bob,100
`;

const AFTER = Date.parse("2026-11-03T23:30:00.000Z");

browserTest(
  "the page compares with an earlier election, like for like and of one revision",
  async (browser, t) => {
    const definition = testDefinition({ releaseThreshold: 1 });
    await withSeededPage(definition, async ({ db, origin, api, setNow }) => {
      await enrol(db.query, 1, 400);
      await enrol(db.query, 401, 400, { region: "south" });
      const release = (
        station: string,
        [ann, bob, cyd]: [number, number, number],
        at: string,
        kind?: "late",
      ) =>
        writeRelease(db, {
          station,
          at,
          kind,
          voters: ann + bob + cyd,
          votes: { "mayor/ann": [ann, ann], "mayor/bob": [bob, bob], "mayor/cyd": [cyd, cyd] },
        });
      await release("n-1", [55, 45, 10], "2026-11-03T12:00:10.000Z");
      await release("n-2", [40, 60, 0], "2026-11-03T13:00:10.000Z");
      await release("s-1", [60, 40, 0], "2026-11-03T14:00:10.000Z");
      await release("s-2", [90, 110, 0], "2026-11-03T15:00:10.000Z");
      setNow(AFTER);
      const comparison = { election: "test-2026", contest: "mayor" };

      await t.step("without an earlier election there is no panel and no column", async () => {
        const { page, said } = await openPage(browser, `${origin}/?contest=council`);
        await page.locator("#pulse[data-status=live]").waitFor();
        assert.equal(await page.locator("#comparison").count(), 0);
        assert.equal(await page.locator("#places thead th").count(), 5);
        assert.deepEqual(said, []);
        await page.close();
      });
      await importPast(db, FILE, comparison);
      const { page, said } = await openPage(browser, origin);

      await t.step("before the final release it says what it waits for", async () => {
        await page.locator("#not-compared").waitFor();
        assert.equal(
          await textOf(page, "#not-compared"),
          "The comparison comes with the final release: it takes places whose votes are complete.",
        );
        assert.equal(await page.locator("#places thead th").count(), 5);
      });

      await t.step("with the final release the swing is that of API, SQL and hand", async () => {
        await db.query("UPDATE results.elections SET final_at = '2026-11-03T23:20:00Z'");
        await page.locator("#swing").waitFor();
        // Red 280 of 530, then 245 of 510; blue 240 of 530, then 255 of 510: (4.717 + 4.791) / 2.
        assert.equal(await textOf(page, "#swing"), "A swing of 4.8 points from Red to Blue.");
        const { total } = await api("/comparison?contest=mayor");
        assert.equal((100 * total.swing).toFixed(1), "4.8");
        const [{ swing }] = await db.query<{ swing: number }>(
          `SELECT ((sum(change) FILTER (WHERE party = 'blue') - sum(change) FILTER (WHERE party = 'red')) / 2)::float8 AS swing
         FROM history.comparison WHERE election = 'test-2026' AND region IS NULL`,
        ) as [{ swing: number }];
        assert.ok(Math.abs(swing - total.swing) < 1e-12);
        assert.deepEqual(await cellsOf(page, "#comparison tbody tr"), [
          ["Blue", "45.3%", "50.0%", "+4.7 pt"],
          ["Red", "52.8%", "48.0%", "-4.8 pt"],
          ["All others", "1.9%", "2.0%", "+0.1 pt"],
        ]);
        assert.match(
          await textOf(page, "#comparison"),
          /2 of 2 regions.*Imported results \(20161108__town__precinct.csv\)/,
        );
        const places = await cellsOf(page, "#places > tbody > tr[data-place]");
        assert.deepEqual(places.map((cells) => [cells[0]!.replace(/^. /, ""), cells.at(-1)]), [
          ["North", "Red 2.4 pt"],
          ["South", "Blue 9.4 pt"],
        ]);
      });

      await t.step("places are in order of their swing, and stations have theirs or none", async () => {
        await page.locator("#places thead button", { hasText: "Swing to" }).click();
        await eventually(
          "the greatest is first",
          async () => /South/.test((await cellsOf(page, "#places > tbody > tr[data-place]"))[0]![0]!),
        );
        await page.locator("tr[data-place=north] button").click();
        await eventually("the stations have their column", async () => {
          const rows = await cellsOf(page, "#places .inner tbody tr");
          // North 1: 60 of 110 and 55 of 110; 40 and 45. North 2: 30 of 100 and 40 of 100.
          return JSON.stringify(rows.map((cells) => [cells[0], cells.at(-1)])) ===
            JSON.stringify([["North 1", "Blue 4.5 pt"], ["North 2", "Red 10.0 pt"]]);
        });
        await page.locator("tr[data-place=south] button").click();
        await eventually("a station that is not linked has none", async () => {
          const rows = await cellsOf(page, "#places .inner tbody tr");
          return rows.length === 2 &&
            rows.every((cells) => cells.length === 5 && cells.at(-1) === "see the region");
        });
      });

      await t.step("it is accessible, and fits a phone", async () => {
        assert.deepEqual(await axeFindings(page), []);
        await keepScreenshot(page, "comparison");
        const phone = await openPage(browser, origin, { viewport: PHONE });
        await phone.page.locator("#swing").waitFor();
        assert.equal(await phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
        await keepScreenshot(phone.page, "comparison-phone");
        await phone.page.close();
      });

      await t.step(
        "votes that officials added are shown beside the count, and in no other figure",
        async () => {
          const before = await textOf(page, ".results");
          for (const account of ["ann", "ben"]) {
            await db.query("INSERT INTO office.accounts (account, name, created_at) VALUES ($1, $1, now())", [
              account,
            ]);
          }
          await db.query(
            `INSERT INTO office.adjustments (election, number, adjusted_at, proposed_by, approved_by, after_version, reason, lines)
           VALUES ('test-2026', 1, now(), 'ann', 'ben', 0, 'Ballots on <b>paper</b>', $1)`,
            [JSON.stringify([
              { station: "n-1", contest: "mayor", candidate: "ann", votes: 12 },
              { station: "s-1", contest: "mayor", candidate: "bob", votes: -3 },
              { station: "s-1", contest: "council", candidate: "dan", votes: 1 },
            ])],
          );
          // The answer of before is good for some seconds.
          await eventually("the API has them", async () => {
            const { totals } = await api("/adjustments");
            return JSON.stringify(totals.map(({ votes }: { votes: number }) => votes)) === "[1,12,-3]";
          });
          const after = await openPage(browser, origin);
          await after.page.locator("#adjustments").waitFor();
          assert.deepEqual(await cellsOf(after.page, "#adjustments tbody tr"), [
            ["Ann", "n-1", "+12", "Ballots on <b>paper</b>"],
            ["Bob", "s-1", "−3", "Ballots on <b>paper</b>"],
          ]);
          assert.equal(await textOf(after.page, "#adjustments-total"), "In all: Ann +12 and Bob −3.");
          assert.equal(await textOf(after.page, ".results"), before);
          assert.deepEqual(await axeFindings(after.page), []);
          await keepScreenshot(after.page, "adjustments");
          assert.deepEqual(after.said, []);
          await after.page.close();
        },
      );

      await t.step("the slider's moment has no comparison while places were not complete", async () => {
        await page.goto(`${origin}/?at=2026-11-03T14:30:00.000Z`);
        await page.locator("#not-compared").waitFor();
        assert.equal(await page.locator("#swing").count(), 0);
        await page.locator("#to-now").click();
        await page.locator("#swing").waitFor();
      });

      await t.step("a later release moves it with everything else", async () => {
        const revision = await writeRelease(db, {
          station: "s-2",
          at: "2026-11-03T23:25:00.000Z",
          kind: "late",
          voters: 220,
          addedVoters: 20,
          votes: { "mayor/ann": [110, 20], "mayor/bob": [110, 0], "mayor/cyd": [0, 0] },
        });
        await eventually(
          "the page is there",
          async () => await page.locator("body").getAttribute("data-revision") === String(revision),
        );
        // Red 265 and blue 255 of 530: changes of −2.83 and +2.83.
        await eventually(
          "so is the comparison",
          async () =>
            (await page.locator("#swing").count()) === 1 &&
            await textOf(page, "#swing") === "A swing of 2.8 points from Red to Blue.",
        );
        assert.equal((await api(`/comparison?contest=mayor&upTo=${revision}`)).revision, revision);
      });

      await t.step("in German too", async () => {
        await page.locator("#language").selectOption("de");
        await eventually(
          "it is in German",
          async () => await textOf(page, "#swing") === "Umschwung (Swing) von Red zu Blue: 2,8 Punkte.",
        );
        assert.match(
          await textOf(page, "#comparison"),
          /^Verglichen mit Town 2016 .*Vom 8\. Nov\. 2016\. Übernommene/,
        );
      });
      assert.deepEqual(said, []);
      await page.close();
    });
  },
);
