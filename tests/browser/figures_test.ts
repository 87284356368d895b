/** Every number on the live page is the API's, over random elections, as releases come. */
import assert from "assert";
import type { Page } from "playwright-core";
import { eventually } from "../eventually.ts";
import { drawFrom, randomDefinition, randomRelease } from "../random_election.ts";
import { enrol } from "../seeded_database.ts";
import { browserTest } from "./chromium.ts";
import { type SeededPage, withSeededPage } from "./seeded_page.ts";
import { cellsOf, openPage, textOf } from "./watched.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTIONS = 4;
const ROUNDS = 3;
const ROLL = 40_000;

const number = (value: number) => value.toLocaleString("en-GB");
const many = (count: number, noun: string) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const share = (part: number, whole: number) => whole === 0 ? "–" : `${(100 * part / whole).toFixed(1)}%`;
const sum = (rows: readonly { votes: number }[]) => rows.reduce((total, { votes }) => total + votes, 0);
const MODES: Record<string, string> = {
  in_person: "In person",
  early: "Early",
  absentee: "Absentee",
  provisional: "Provisional",
};

/** Rows with the most votes first; those with as many in the order of the ballot, as the page has them. */
const ranked = <Row extends { votes: number }>(rows: readonly Row[]) =>
  rows.toSorted((a, b) => b.votes - a.votes);

async function assertFigures(page: Page, { api }: SeededPage, contest: string, seed: string): Promise<void> {
  const { rows, contests: [totals], voters } = await api(`/results?by=candidate&contest=${contest}`);
  const all = sum(rows);
  assert.deepEqual(
    (await cellsOf(page, "#candidates .row")).map((
      [name, ...cells],
    ) => [name.replace(/Party \d$/, ""), ...cells]),
    ranked<any>(rows).slice(0, 12).map(({ name, votes }) => [name, many(votes, "vote"), share(votes, all)]),
    `${seed}: bars`,
  );
  const figures = Object.fromEntries(
    (await page.locator("#strip .figure").evaluateAll((list: any[]) =>
      list.map((each) => [each.dataset.figure, each.querySelector(".value").textContent])
    )) as [string, string][],
  );
  const byRegion = await api(`/results?by=region&contest=${contest}`);
  const turnout = await api("/turnout?by=region");
  const stations = byRegion.regions.reduce((count: number, each: any) => count + each.stations.length, 0);
  assert.equal(figures.counted, number(voters), `${seed}: counted`);
  assert.equal(figures.turnout, share(voters, turnout.registered), `${seed}: turnout`);
  assert.match(figures.stations, new RegExp(`^${stations} of `), `${seed}: stations`);
  const registered = new Map<string, number>(turnout.rows.map((row: any) => [row.region, row.registered]));
  const regions = new Set<string>(byRegion.rows.map(({ region }: any) => region));
  const votersIn = new Map<string, number>(byRegion.regions.map((row: any) => [row.region, row.voters]));
  const out = [...regions].reduce((total, id) => total + registered.get(id)! - votersIn.get(id)!, 0);
  assert.equal(figures.out, number(Math.max(0, out)), `${seed}: still out`);
  if (totals.ballots > 0) {
    assert.ok(
      (await textOf(page, "#base")).startsWith(
        `${many(totals.ballots, "ballot")}, ${number(totals.blanks)} blank in this contest.`,
      ),
      `${seed}: ballots`,
    );
  }
  const places = await page.locator("#places > tbody > tr[data-place]").evaluateAll((list: any[]) =>
    list.map((row) => [row.dataset.place, row.children[1].textContent.replace(/\s+/g, " ").trim()])
  );
  assert.deepEqual(
    places,
    [...regions].map((id) => {
      const [voters, roll] = [votersIn.get(id)!, registered.get(id)!];
      return [id, `${share(voters, roll)} ${number(voters)} of ${number(roll)}`];
    }),
    `${seed}: places`,
  );
  await assertModes(page, await api(`/results?by=mode&contest=${contest}`), seed);
}

async function assertModes(page: Page, { rows, contests }: any, seed: string): Promise<void> {
  const modes = contests.filter(({ ballots }: any) => ballots > 0).sort((a: any, b: any) =>
    b.ballots - a.ballots
  );
  if (modes.length < 2) return assert.equal(await page.locator("#modes").count(), 0, `${seed}: one mode`);
  const heads = (await cellsOf(page, "#modes thead tr"))[0].slice(1);
  const cells = await cellsOf(page, "#modes tbody tr");
  assert.deepEqual(cells[0].slice(1), modes.map(({ ballots }: any) => number(ballots)), `${seed}: by mode`);
  for (const [column, head] of heads.entries()) {
    const own = rows.filter(({ mode }: any) => MODES[mode] === head);
    const shown = cells.slice(1).map((row) => row[column + 1]).sort();
    const wanted = own.map(({ votes }: any) => share(votes, sum(own)) + number(votes)).sort();
    assert.deepEqual(shown, wanted, `${seed}: ${head}`);
  }
}

browserTest(
  "every number on the live page is the API's, over random elections, as releases come",
  async (browser) => {
    for (let seed = 1; seed <= ELECTIONS; seed++) {
      const draw = drawFrom(seed);
      const definition = randomDefinition(draw);
      await withSeededPage(definition, async (seeded) => {
        for (const [at, { id }] of definition.regions.entries()) {
          await enrol(seeded.db.query, 1 + at * ROLL, ROLL, { region: id });
        }
        const { id: contest } = definition.contests[draw(definition.contests.length)];
        const { page, said } = await openPage(browser, `${seeded.origin}/?contest=${contest}`);
        for (let round = 0; round < ROUNDS; round++) {
          let revision = 0;
          for (let release = 0; release < 4; release++) {
            revision = await randomRelease(seeded.db, definition, draw, `2026-11-03T12:1${round}:00.000Z`);
          }
          await eventually(
            "the page is there",
            async () => await page.locator("body").getAttribute("data-revision") === String(revision),
          );
          await assertFigures(page, seeded, contest, `seed ${seed}, round ${round}`);
        }
        assert.deepEqual(said, []);
        await page.close();
      });
    }
  },
);
