/**
 * What the live page says in states that a running election reaches late or hardly ever: certified, corrected, complete, a
 * projection and why there is none, several modes, seats.
 */
import assert from "assert";
import type { Page } from "playwright-core";
import { publishManifest } from "../../aggregator/registry/elections.ts";
import { definitionSchema } from "../../shared/election.ts";
import { eventually } from "../eventually.ts";
import { MASTER, NOON_MS } from "../fixture.ts";
import { countVoters, enrol, writeRelease } from "../seeded_database.ts";
import { browserTest } from "./chromium.ts";
import { type SeededPage, withSeededPage } from "./seeded_page.ts";
import { axeFindings, cellsOf, DESKTOP, keepScreenshot, openPage, PHONE, plain, textOf } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const REGIONS = Array.from({ length: 10 }, (_, i) => ({
  id: `r-${i}`,
  name: ["Aldmoor", "Brack", "Cove", "Dunley", "Elm", "Farrow", "Gault", "Hythe", "Inch", "Jarrow"][i],
  latitude: 50 + (i * 37 % 10) / 5,
  longitude: -2 + (i * 71 % 10) / 4,
}));
const STATIONS = REGIONS.flatMap(({ id, name }) =>
  Array.from({ length: 6 }, (_, i) => ({
    id: `${id}-s-${i}`,
    name: `${name} ${i + 1}`,
    region: id,
    registered: 100,
  }))
);
const CLOSED_MS = Date.parse("2026-11-03T21:30:00.000Z");

function definition(projection = true) {
  return definitionSchema.parse({
    election: "test-2026",
    name: "County of Aldmoor",
    opensAt: "2026-11-03T07:00:00.000Z",
    closesAt: "2026-11-03T21:00:00.000Z",
    acceptsUntil: "2026-11-03T23:00:00.000Z",
    partitions: 1,
    releaseThreshold: 1,
    resultsBeforeClosing: true,
    projection,
    parties: [
      { id: "green", name: "Green Alliance", colour: "#2e7d32" },
      { id: "union", name: "Union", colour: "#6a1b9a" },
    ],
    contests: [
      {
        id: "mayor",
        name: "Mayor",
        votesAllowed: 1,
        candidates: [
          { id: "ann", name: "Ann Gottlieb", party: "green" },
          { id: "bob", name: "Bob Boyer", party: "union" },
          { id: "cyd", name: "Cyd Cook" },
        ],
      },
      {
        id: "council",
        name: "Council",
        votesAllowed: 5,
        candidates: Array.from({ length: 8 }, (_, i) => ({
          id: `c-${i}`,
          name: `Councillor ${"ABCDEFGH"[i]}`,
          ...i < 6 && { party: i % 2 === 0 ? "green" : "union" },
        })),
      },
    ],
    regions: REGIONS,
    stations: STATIONS,
    gateways: [{ id: "g-1", stations: STATIONS.map(({ id }) => id), fallbackFor: [] }],
  });
}

/** A station reports 50 voters, of whom so many voted early. */
async function release({ db }: SeededPage, at: number, early = 0): Promise<void> {
  const { id } = STATIONS[at];
  for (const [mode, voters] of [["in_person", 50 - early], ["early", early]] as const) {
    if (voters === 0) continue;
    const ann = Math.round(voters * (mode === "early" ? 0.7 : 0.5 + at % 5 / 50));
    const bob = Math.round((voters - ann) * 0.8);
    const council = Array.from(
      { length: 8 },
      (_, i) => [`council/c-${i}`, Math.max(0, voters - 3 * i)] as const,
    );
    await writeRelease(db, {
      station: id,
      mode,
      at: new Date(NOON_MS + at * 60_000).toISOString(),
      voters,
      votes: Object.fromEntries(
        [["mayor/ann", ann], ["mayor/bob", bob], ["mayor/cyd", voters - ann - bob], ...council]
          .map(([key, votes]) => [key, [votes as number, votes as number]]),
      ),
    });
  }
}

/** The same, counted as well. */
async function report(seeded: SeededPage, at: number, early = 0): Promise<void> {
  const { id, region } = STATIONS[at];
  await release(seeded, at, early);
  await countVoters(seeded.db.query, 50, {
    station: id,
    minute: new Date(NOON_MS + at * 60_000).toISOString(),
    region,
  });
}

async function enrolAll({ db }: SeededPage): Promise<void> {
  for (const [at, { id }] of REGIONS.entries()) await enrol(db.query, 1 + 1_000 * at, 600, { region: id });
}

/** Chooses a contest, and waits until the page shows it. */
async function showContest(page: Page, id: string, name: string): Promise<void> {
  await page.locator("#contests").selectOption(id);
  await page.locator("#results-title", { hasText: name }).waitFor();
}

const shown = (share: number) => `${(100 * share).toFixed(1)}%`;

/** The panel's ranges are those of the API. */
async function assertProjection(page: Page, { api }: SeededPage): Promise<void> {
  const { rows } = await api("/projection?contest=mayor");
  const wanted = rows.toSorted((a: any, b: any) => b.share - a.share).map((row: any) => [
    row.name,
    shown(row.share),
    `${shown(row.low)} to ${shown(row.high)}`,
  ]);
  await eventually("the ranges are the API's", async () => {
    const found = await cellsOf(page, "#projection .row");
    return JSON.stringify(found) === JSON.stringify(wanted);
  });
}

browserTest("the live page projects where it may, and says why where it does not", async (browser, t) => {
  await withSeededPage(definition(), async (seeded) => {
    await enrolAll(seeded);
    for (let at = 0; at < STATIONS.length; at += 4) await report(seeded, at);
    const { page, said } = await openPage(browser, seeded.origin);

    await t.step("not before closing, and not from too little", async () => {
      const hidden = page.locator("#projection-hidden");
      await hidden.waitFor();
      assert.equal(await hidden.innerText(), "No projection before the polls close.");
      seeded.setNow(CLOSED_MS);
      await eventually(
        "too little",
        async () =>
          (await hidden.innerText()).startsWith(
            "No projection yet: 15 stations in 10 regions have reported, with 25.0%",
          ),
      );
    });

    await t.step("with ranges, which move when stations report", async () => {
      for (let at = 2; at < STATIONS.length; at += 4) await report(seeded, at);
      await page.locator("#projection .ranges").waitFor();
      await assertProjection(page, seeded);
      const text = await textOf(page, "#projection");
      assert.match(text, /Projection, not a result/);
      assert.match(text, /Estimated from 30 of 60 stations with 50\.0% of the roll/);
      assert.match(text, /The final share should lie in the range 9 times in 10/);
      assert.match(text, /Safe if the order is random: \d/);
      await report(seeded, 1);
      await eventually(
        "the next station is in it",
        async () => /from 31 of 60 stations/.test(await textOf(page, "#projection")),
      );
      await assertProjection(page, seeded);
      assert.deepEqual(await axeFindings(page), []);
      await keepScreenshot(page, "projection");
    });

    await t.step("not of a past moment, and not once the final release is made", async () => {
      await page.goto(`${seeded.origin}/?at=2026-11-03T12:20:00.000Z`);
      await page.locator("#to-now").waitFor();
      assert.equal(await page.locator("#projection").count(), 0);
      await page.locator("#to-now").click();
      await page.locator("#projection .ranges").waitFor();
      await seeded.db.query("UPDATE results.elections SET final_at = '2026-11-03T23:30:00Z'", []);
      seeded.setNow(Date.parse("2026-11-03T23:40:00.000Z"));
      await eventually("the page learns of it", async () => await page.locator("#projection").count() === 0);
      assert.equal(await page.locator("#phase").getAttribute("data-phase"), "final");
    });
    assert.deepEqual(said, []);
    await page.close();
  });
});

browserTest("the live page shows no projection where the election does not allow one", async (browser) => {
  await withSeededPage(definition(false), async (seeded) => {
    await enrolAll(seeded);
    seeded.setNow(CLOSED_MS);
    for (let at = 0; at < STATIONS.length; at += 2) await report(seeded, at);
    const { page, said } = await openPage(browser, seeded.origin);
    await page.locator("#analytics").waitFor();
    assert.equal(await page.locator("#projection").count(), 0);
    assert.deepEqual(said, []);
    await page.close();
  });
});

browserTest(
  "the live page says complete, corrected and certified, and still says it after a reload",
  async (browser, t) => {
    await withSeededPage(definition(), async (seeded) => {
      const { db, origin, api } = seeded;
      await enrolAll(seeded);
      for (let at = 0; at < STATIONS.length - 1; at++) await report(seeded, at, at % 3 === 0 ? 20 : 0);
      const { page, said } = await openPage(browser, origin);

      await t.step("how votes were cast, as the API has it", async () => {
        const { rows, contests } = await api("/results?by=mode&contest=mayor");
        const votesOf = (mode: string, candidate: string) =>
          rows.find((row: any) => row.mode === mode && row.candidate === candidate).votes;
        const ballotsOf = (mode: string) => contests.find((row: any) => row.mode === mode).ballots;
        const cells = await cellsOf(page, "#modes tbody tr");
        const number = (value: number) => value.toLocaleString("en-GB");
        assert.deepEqual(cells[0], ["Ballots", number(ballotsOf("in_person")), number(ballotsOf("early"))]);
        for (const [id, name] of [["ann", "Ann Gottlieb"], ["bob", "Bob Boyer"], ["cyd", "Cyd Cook"]]) {
          const wanted = ["in_person", "early"].map((mode) => {
            const all = ["ann", "bob", "cyd"].reduce((sum, each) => sum + votesOf(mode, each), 0);
            return `${shown(votesOf(mode, id) / all)}${number(votesOf(mode, id))}`;
          });
          assert.deepEqual(cells.find(([first]) => first === name), [name, ...wanted]);
        }
      });

      await t.step("a ring for who prefers it, and seats where there are some", async () => {
        assert.equal(await page.locator("#seats").count(), 0);
        await page.locator("[data-shape=ring]").click();
        await page.locator("#ring circle").first().waitFor();
        assert.equal(await page.locator("#ring circle").count(), 3);
        assert.equal(await page.locator("#candidates .bar-line").first().isVisible(), false);
        await page.locator("#contests").selectOption("council");
        await page.locator("#seats").waitFor();
        assert.equal(await page.locator("#seats circle.taken").count(), 5);
        assert.equal(
          plain(await page.locator("#seats figcaption").innerText()),
          "5 seats as the votes stand: Green Alliance 3 Union 2",
        );
        assert.deepEqual(await axeFindings(page), []);
        await keepScreenshot(page, "ring-and-seats");
        await page.locator("[data-shape=bars]").click();
        await showContest(page, "mayor", "Mayor");
      });

      await t.step("a change of contest leaves nothing of the last one behind", async () => {
        // A wall changes its contest all night: what stayed would be in memory by the thousand.
        // Those of the card of results alone: other panels come in their own time, and bring their own.
        const comments = () =>
          page.evaluate(
            `document.evaluate("count(//section[@aria-labelledby='results-title']//comment())", document, null, 1).numberValue`,
          ) as Promise<number>;
        const changeThere = async () => {
          await showContest(page, "council", "Council");
          await showContest(page, "mayor", "Mayor");
          await eventually("all of it is there", async () => {
            const rows = await cellsOf(page, "#candidates .row");
            return rows.length === 3 && rows.every((cells) => cells.at(-1)!.endsWith("%"));
          });
        };
        await changeThere();
        const before = await comments();
        assert.ok(before > 0);
        for (let turn = 0; turn < 10; turn++) {
          await changeThere();
          assert.equal(await comments(), before);
        }
      });

      await t.step("a withdrawn release, and that it was one, also after a reload", async () => {
        assert.equal(await page.locator("#corrected").count(), 0);
        await writeRelease(db, {
          station: STATIONS[1].id,
          at: "2026-11-03T14:00:00.000Z",
          kind: "withdrawn",
          voters: 0,
          addedVoters: -50,
          votes: { "mayor/ann": [0, -26], "mayor/bob": [0, -19], "mayor/cyd": [0, -5] },
        });
        await page.locator("#corrected").waitFor();
        const said =
          "Votes of 50 voters that were shown were withdrawn, the last ones at 3 Nov 2026, 14:00 UTC: " +
          "counting again did not confirm them. They are not in these figures.";
        assert.equal(await textOf(page, "#corrected-why"), said);
        await page.reload();
        await page.locator("#corrected").waitFor();
        assert.equal(await textOf(page, "#corrected-why"), said);
        await page.goto(`${origin}/?at=2026-11-03T12:20:00.000Z`);
        await page.locator("#to-now").waitFor();
        assert.equal(await page.locator("#corrected").count(), 0, "nothing was withdrawn by then");
        await page.locator("#to-now").click();
        await page.locator("#corrected").waitFor();
        await keepScreenshot(page, "corrected");
      });

      await t.step(
        "stations are complete when no counted vote is missing from the final release",
        async () => {
          const figure = page.locator("[data-figure=stations]");
          const words = async () => plain(await figure.innerText());
          assert.match(await words(), /^Stations in the results \d+ of 60 \d+ have none yet$/);
          await db.query("UPDATE results.elections SET final_at = '2026-11-03T23:30:00Z'", []);
          await page.reload();
          await page.locator("#strip").waitFor();
          assert.match(
            await words(),
            /^Stations in the results/,
            "the withdrawn ballots were counted and are not shown",
          );
          await release(seeded, 1);
          await page.reload();
          await eventually("all are in", async () => /^Stations complete 60 of 60/.test(await words()));
          assert.equal(await words(), "Stations complete 60 of 60 1 without a vote");
          const out = (await cellsOf(page, "#places > tbody > tr[data-place]")).map((cells) => cells.at(-1));
          assert.deepEqual(new Set(out), new Set(["–"]), "nothing is out in any place");
        },
      );

      await t.step("certified, with the version, and unofficial before", async () => {
        assert.equal(await textOf(page, "#official"), "Unofficial");
        const change = (newest: any) => ({ ...newest, certified: true as const });
        await publishManifest(db, "test-2026", MASTER, new Date(NOON_MS), change);
        for (const version of [1, 2]) {
          await db.query(
            `INSERT INTO office.result_versions VALUES ('test-2026', $1, $2::timestamptz, 'ann, bob', '{1}', '{}', '')`,
            [version, `2026-11-0${4 + version}T10:00:00.000Z`],
          );
        }
        await page.reload();
        // The browser may keep the election's details for some seconds; the page looks for others every 30 s.
        await page.locator("#official.good").waitFor();
        await eventually(
          "with its version",
          async () => await textOf(page, "#official") === "Certified 6 Nov 2026, 10:00 UTC, version 2",
        );
        await keepScreenshot(page, "certified");
        await page.goto(`${origin}/?at=2026-11-03T12:20:00.000Z`);
        await page.locator("#to-now").waitFor();
        await eventually(
          "a past moment was before that",
          async () => await textOf(page, "#official") === "Unofficial",
        );
      });

      await t.step("reopened, and cancelled", async () => {
        for (
          const [change, said] of [
            [{ reopened: true }, "Reopened: certified results are being counted again"],
            [{ inactive: "cancelled" }, "Cancelled: there are no results"],
          ] as const
        ) {
          await publishManifest(
            db,
            "test-2026",
            MASTER,
            new Date(NOON_MS),
            ({ certified: _, ...newest }) => ({ ...newest, ...change }),
          );
          await page.goto(origin);
          await eventually(
            said,
            async () => {
              if (await textOf(page, "#official") === said) return true;
              await page.reload();
              return false;
            },
            60_000,
          );
        }
      });
      assert.deepEqual(said, []);
      await page.close();
    });
  },
);

browserTest("pictures of the live page: light, dark, greyscale, a phone, walls", async (browser) => {
  await withSeededPage(definition(), async (seeded) => {
    await enrolAll(seeded);
    seeded.setNow(CLOSED_MS);
    for (let at = 0; at < STATIONS.length; at += 2) await report(seeded, at, at % 3 === 0 ? 20 : 0);
    const looks = [
      ["light", DESKTOP, {}],
      ["dark", DESKTOP, { colorScheme: "dark" }],
      ["phone", PHONE, {}],
      ["phone-german", PHONE, { query: "?lang=de" }],
      ["wall-1080p", { width: 1_920, height: 1_080 }, { query: "?wall=1&contest=mayor" }],
      ["wall-4k", { width: 3_840, height: 2_160 }, { query: "?wall=1&contest=mayor" }],
      ["wall-council", { width: 1_920, height: 1_080 }, { query: "?wall=1&contest=council" }],
      ["council", DESKTOP, { query: "?contest=council" }],
    ] as const;
    for (const [name, viewport, { query = "", ...options }] of looks as any) {
      const { page, said } = await openPage(browser, `${seeded.origin}/${query}`, { viewport, ...options });
      await page.locator("#candidates .row").first().waitFor();
      if (!query.includes("wall")) await page.locator("#projection .ranges").waitFor();
      await eventually(
        "nothing moves",
        async () => await page.evaluate("document.getAnimations().length === 0") as boolean,
      );
      const [across] = await page.evaluate("[document.documentElement.scrollWidth - innerWidth]") as number[];
      assert.equal(across, 0, `${name}: the page is no wider than the screen`);
      const cutOff = await page.locator("#candidates").evaluate((list: any) =>
        list.scrollHeight - list.clientHeight
      );
      assert.ok(cutOff <= 1, `${name}: ${cutOff} px of the candidates are cut off`);
      assert.deepEqual(await axeFindings(page), [], name);
      await keepScreenshot(page, `story-${name}`);
      if (name === "light") {
        // What cannot be told apart here is told apart by colour only.
        await page.emulateMedia({ forcedColors: "none" });
        await page.evaluate("document.documentElement.style.setProperty('filter', 'grayscale(1)')");
        await keepScreenshot(page, "story-greyscale");
      }
      assert.deepEqual(said, [], name);
      await page.close();
    }
  });
});
