/** A rehearsal at the office page in Chromium, from the deck to the reset. */
import assert from "assert";
import { Buffer } from "node:buffer";
import { openHistory } from "../../aggregator/counting/history.ts";
import { parseDeck } from "../../aggregator/office/rehearsal/deck.ts";
import { BallotBox } from "../ballot_box.ts";
import { MASTER, NOON_MS } from "../fixture.ts";
import { voteInBox } from "../voted_deck.ts";
import { browserTest } from "./chromium.ts";
import { CHECKED, go, hears, look, signIn, textOf, VOTING, withOffice } from "./office_scene.ts";
import { plain } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Before the election opens. */
const DAWN_MS = NOON_MS - 6 * 3_600_000;
const REHEARSAL = `${VOTING}-rehearsal-1`;
const PART = `${VOTING}/rehearsal`;

browserTest(
  "an official rehearses an election at the office page, from the deck to the reset",
  async (browser, t) => {
    await withOffice(async (scene) => {
      const { office, db, boxes } = scene;
      office.nowMs = DAWN_MS;
      await office.enrol("ann", ["official", VOTING], ["official", CHECKED]);
      await office.enrol("aud", ["auditor", VOTING]);
      await office.enrol("reg", ["registrar", VOTING]);
      const desk = await signIn(browser, scene, "ann", PART);
      const { page, said } = desk;
      const press = (step: string) => page.locator(`[data-do=${step}]`).click();
      const reports = async () =>
        await page.locator("#reports > li").evaluateAll((found: any[]) =>
          found.map(({ dataset }) => `${dataset.report} ${dataset.differences}`)
        );
      let deck = "";

      await t.step("the part is marked, and the deck is saved", async () => {
        assert.equal(await textOf(page, "#rehearsal"), "Rehearsal: test votes, not results");
        assert.equal(await page.locator("body").getAttribute("data-rehearsal"), "Rehearsal");
        const download = page.waitForEvent("download");
        await press("deck");
        const file = await download;
        assert.equal(file.suggestedFilename(), `${VOTING}-deck.yaml`);
        deck = await Deno.readTextFile(await file.path());
        assert.equal(parseDeck(deck).election, VOTING);
        await look(desk, "rehearsal-begin");
      });

      const start = async (text: string) => {
        await page.locator("#deck-file").setInputFiles({
          name: "deck.yaml",
          mimeType: "application/yaml",
          buffer: Buffer.from(text),
        });
        await page.locator("#minutes").fill("600");
        await page.locator("#start-rehearsal button").click();
      };

      await t.step("a deck of another election is refused, and why is said", async () => {
        await start(deck.replaceAll(VOTING, CHECKED));
        await hears(page, "bad", /the deck is of checked-2026, and not of voting-2026/);
        assert.equal(await page.locator("#running").count(), 0);
      });

      await t.step("it is started, and proved to be zero", async () => {
        await start(deck);
        await hears(page, "good", /The rehearsal is open/);
        assert.equal(await page.locator("#running").getAttribute("data-rehearsal"), REHEARSAL);
        boxes[REHEARSAL] = new BallotBox(db, (await openHistory(db.query, REHEARSAL, MASTER))!);
        await page.locator("#no-reports").waitFor();
        await press("zero");
        await hears(page, "good", /Proof of zero: nothing is counted/);
        assert.deepEqual(await reports(), ["zero 0"]);
        assert.match(
          await textOf(page, "#running"),
          new RegExp(`office rehearse vote .* devices/${REHEARSAL}\\.json`),
        );
      });

      await t.step("before the deck was voted a comparison names what is missing", async () => {
        await press("comparison");
        await hears(page, "good", /[1-9]\d* differences to the deck. Published totals were not compared/);
        const row = plain(await page.locator("#reports table tbody tr").first().innerText());
        assert.match(row, /^outcome counted [1-9]\d* 0$/);
        await look(desk, "rehearsal-differs");
      });

      await t.step(
        "after the deck was voted it equals the deck, and a zero report says that it is none",
        async () => {
          await voteInBox(boxes[REHEARSAL]!, parseDeck(deck));
          await press("comparison");
          await hears(page, "good", /^0 differences to the deck. Published totals were compared/);
          await press("zero");
          await hears(page, "good", /This is no proof of zero: \d+ numbers are not 0/);
          assert.match((await reports()).join(), /^zero [1-9]\d*,comparison 0,comparison [1-9]\d*,zero 0$/);
          const download = page.waitForEvent("download");
          await page.getByRole("button", { name: "Save report 3" }).click();
          const file = await download;
          assert.equal(file.suggestedFilename(), `REHEARSAL-${REHEARSAL}-comparison-3.json`);
          const report = JSON.parse(await Deno.readTextFile(await file.path()));
          assert.deepEqual([report.rehearsal, report.isPublished, report.lines], [true, true, []]);
        },
      );

      await t.step("it is closed once", async () => {
        office.nowMs += 60_000;
        await press("close");
        await hears(page, "good", /The rehearsal closed:/);
        office.nowMs += 60_000;
        await press("close");
        await hears(page, "bad", /the rehearsal is closed, and it takes open or paused/);
        await look(desk, "rehearsal-compared");
      });

      await t.step("an auditor compares and starts nothing, and a registrar does not see it", async () => {
        const { page: auditor } = await signIn(browser, scene, "aud", PART);
        assert.deepEqual(
          await auditor.locator("[data-do], form button").evaluateAll((found: any[]) =>
            found.map(({ dataset }) => dataset.do)
          ),
          ["comparison"],
        );
        await auditor.close();
        const { page: registrar } = await signIn(browser, scene, "reg", `${VOTING}/roll`);
        assert.equal(await registrar.locator(".parts a[href$=rehearsal]").count(), 0);
        assert.equal(await registrar.locator("#rehearsal").isVisible(), false);
        await registrar.close();
      });

      await t.step("it is reset with a reason, and is listed with those before", async () => {
        await page.locator("#reset-rehearsal [name=reason]").fill("It went well");
        await page.locator("#reset-rehearsal button").click();
        await hears(page, "good", /voting-2026-rehearsal-1 was reset/);
        assert.equal(await page.locator("#running").count(), 0);
        assert.match(
          await textOf(page, `#ended [data-rehearsal=${REHEARSAL}]`),
          /Reset ann, .* Reason It went well/,
        );
        await page.locator("#start-rehearsal").waitFor();
      });

      await t.step("its signed reports stay, and are shown and saved", async () => {
        await page.getByRole("button", { name: "Show the signed reports of rehearsal 1" }).click();
        const ended = page.locator(`#ended [data-rehearsal=${REHEARSAL}] [data-reports] > li`);
        await ended.first().waitFor();
        const kinds = await ended.evaluateAll((found: any[]) => found.map(({ dataset }) => dataset.report));
        assert.deepEqual(kinds, ["zero", "comparison", "comparison", "zero"]);
        const download = page.waitForEvent("download");
        await page.getByRole("button", { name: "Save the signature of report 3" }).click();
        const file = await download;
        assert.equal(file.suggestedFilename(), `REHEARSAL-${REHEARSAL}-comparison-3.json.note`);
        assert.match(await Deno.readTextFile(await file.path()), new RegExp(REHEARSAL));
        await look(desk, "rehearsal-ended");
      });

      await t.step(
        "a rehearsal names the election that it is of, whose other parts are not marked",
        async () => {
          await go(page, `${REHEARSAL}/rehearsal`);
          await page.locator(`main a[href="#/${VOTING}/rehearsal"]`).waitFor();
          await go(page, `${VOTING}/state`);
          assert.equal(await page.locator("#rehearsal").isVisible(), false);
        },
      );

      // Before the clock goes on: the sign-in ends then, and the page looks again every few seconds.
      await page.close();
      // The browser itself writes down every answer that is a refusal.
      assert.deepEqual(said.filter((text) => !/Failed to load resource.*409/.test(text)), []);

      await t.step("an election that is open is not rehearsed", async () => {
        office.nowMs = NOON_MS;
        const { page: later } = await signIn(browser, scene, "ann", PART);
        await later.getByText("An election is rehearsed before voting").waitFor();
        assert.equal(await later.locator("#start-rehearsal").count(), 0);
        await later.close();
      });
    });
  },
);
