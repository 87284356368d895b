/** The watermark of a rehearsal in Chromium: on the page, on a wall and in other pages. */
import assert from "assert";
import { browserTest } from "./chromium.ts";
import { withSeededPage } from "./seeded_page.ts";
import { testDefinition } from "../fixture.ts";
import { writeRelease } from "../seeded_database.ts";
import { axeFindings, keepScreenshot, openPage, PHONE, textOf } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const REHEARSAL = "town-rehearsal-1";

/** What lies over the page: its text, and whether clicks go through it. */
const WATERMARK = `(() => {
  const { content, position, pointerEvents } = getComputedStyle(document.body, "::after");
  return { content, position, pointerEvents };
})()`;

browserTest("a rehearsal's pages have a watermark and a banner, and nothing else has", async (browser, t) => {
  const definition = {
    ...testDefinition({ releaseThreshold: 1 }),
    election: REHEARSAL,
    name: "REHEARSAL: A test",
  };
  await withSeededPage(definition, async ({ db, origin }) => {
    await writeRelease(db, {
      election: REHEARSAL,
      station: "n-1",
      voters: 10,
      votes: { "mayor/ann": [10, 10] },
    });
    for (
      const [name, path] of [
        ["page", `/?election=${REHEARSAL}`],
        ["wall", `/?election=${REHEARSAL}&wall=1`],
        ["embedded", `/embed/${REHEARSAL}`],
      ] as const
    ) {
      await t.step(name, async () => {
        const page = await browser.newPage({ viewport: PHONE, locale: "en-GB", timezoneId: "UTC" });
        await page.goto(`${origin}${path}`);
        await page.locator("body[data-rehearsal]").waitFor();
        assert.equal(await textOf(page, "#rehearsal"), "Rehearsal: test votes, not results");
        assert.ok(await page.locator("#rehearsal").isVisible());
        assert.deepEqual(await page.evaluate(WATERMARK), {
          content: '"Rehearsal"',
          position: "fixed",
          pointerEvents: "none",
        });
        await keepScreenshot(page, `rehearsal-${name}`, false);
        await page.close();
      });
    }
    await t.step("a page that is read by others, in German", async () => {
      const { page, said } = await openPage(browser, `${origin}/?election=${REHEARSAL}&lang=de`);
      assert.equal(await textOf(page, "#rehearsal"), "Probelauf: Teststimmen, keine Ergebnisse");
      assert.deepEqual(await axeFindings(page), []);
      assert.deepEqual(said, []);
      await page.close();
    });
  });
  await withSeededPage(testDefinition({ releaseThreshold: 1 }), async ({ origin }) => {
    await t.step("the page of a real election", async () => {
      const { page } = await openPage(browser, origin);
      assert.equal(await page.locator("#rehearsal").isVisible(), false);
      assert.equal(await page.evaluate("getComputedStyle(document.body, '::after').content"), "none");
      await page.close();
    });
  });
});
