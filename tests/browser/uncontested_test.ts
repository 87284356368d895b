/** What the live page shows of contests that are on no ballot. */
import assert from "assert";
import { publishManifest } from "../../aggregator/registry/elections.ts";
import { MASTER, NOON_MS, uncontestedDefinition } from "../fixture.ts";
import { writeRelease } from "../seeded_database.ts";
import { browserTest } from "./chromium.ts";
import { withSeededPage } from "./seeded_page.ts";
import { axeFindings, keepScreenshot, openPage, PHONE, plain, textOf } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

browserTest("the live page says who is elected unopposed, without votes or shares", async (browser, t) => {
  await withSeededPage(uncontestedDefinition({ releaseThreshold: 1 }), async ({ db, origin }) => {
    await writeRelease(db, {
      station: "n-1",
      voters: 4,
      votes: { "mayor/ann": [3, 3], "mayor/bob": [1, 1] },
    });
    const { page, said } = await openPage(browser, origin);
    const card = page.locator("#uncontested");
    await card.waitFor();

    await t.step("in a card of its own: nobody can choose the contest", async () => {
      assert.equal(
        plain(await card.innerText()).replaceAll(/\s+/g, " "),
        "Elected unopposed Clerks Gus Red Hal",
      );
      assert.equal(await card.locator(".bar-line, .percent, .votes").count(), 0);
      assert.deepEqual(await page.locator("#contests option").allInnerTexts(), [
        "\u2068Mayor\u2069",
        "\u2068Council\u2069",
      ]);
      assert.match(await textOf(page, "#sentence"), /Ann/);
      assert.deepEqual(await axeFindings(page), []);
      await keepScreenshot(page, "uncontested");
      await page.setViewportSize(PHONE);
      assert.ok(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"));
      await keepScreenshot(page, "uncontested-phone");
    });

    await t.step("in German too", async () => {
      await page.locator("#language").selectOption("de");
      await page.locator("#uncontested-title", { hasText: "Ohne Gegenkandidaten gewählt" }).waitFor();
    });

    assert.deepEqual(said, []);
    await page.close();
  });
});

browserTest(
  "the live page says nobody is elected unopposed in an election that is cancelled",
  async (browser) => {
    await withSeededPage(uncontestedDefinition(), async ({ db, origin }) => {
      await publishManifest(db, "test-2026", MASTER, new Date(NOON_MS), (newest) => ({
        ...newest,
        inactive: "cancelled",
      }));
      const { page, said } = await openPage(browser, origin);
      await page.locator("#official").waitFor();
      assert.equal(await page.locator("#uncontested").count(), 0);
      assert.deepEqual(said, []);
      await page.close();
    });
  },
);
