/**
 * Has a replayed election compared with two earlier ones, by the commands that an office runs: with the file that was replayed, where
 * nothing has changed, and with a changed copy of it. Then two officials end it, and what API and page say must be what a hand
 * calculation from the file's lines says. CI runs it after a replay:
 * `deno run -A tests/history/compare.ts FILE.csv DATA_DIRECTORY ELECTION`.
 *
 * @module
 */
import assert from "assert";
import type { Page } from "playwright-core";
import { openPglite } from "../../aggregator/database/pglite.ts";
import { createAccount, requestRole } from "../../aggregator/office/access/accounts.ts";
import { type KeyFile, newKeyFile, publicKeyOf } from "../../aggregator/office/access/keys.ts";
import { OfficeClient } from "../../aggregator/office/client.ts";
import type { ComparisonAnswer } from "../../aggregator/results/history/comparison.ts";
import { systemClock } from "../../device/clock.ts";
import type { ElectionDefinition } from "../../shared/election.ts";
import { PollwireProcesses } from "../../simulator/processes/pollwire.ts";
import { launchChromium } from "../browser/chromium.ts";
import { cellsOf, keepScreenshot, openPage, textOf } from "../browser/watched.ts";
import { eventually } from "../eventually.ts";
import {
  changed,
  changeOf,
  fileOf,
  type Line,
  type Places,
  placesOf,
  readLines,
  sumOf,
  swingOf,
} from "./earlier.ts";

/** How long the final release of half a million votes may take on a machine that does much else, in milliseconds. */
const FINAL_MS = 300_000;
/** What two calculations of a share may differ by: both divide, in different orders. */
const EPSILON = 1e-9;
/** The party whose votes the changed file has fewer of, and the other one of the swing, as the file names them. */
const [FIRST, SECOND] = ["R", "D"] as const;
/** The earlier elections, and their days: the latest is the one that is compared when none is named. */
const SAME = { past: "same", name: "The same file", held: "2016-11-08" };
const CHANGED = { past: "changed", name: "A changed file", held: "2018-11-06" };

/** What is compared: the replayed election, and its only contest. */
type Replayed = Readonly<{ data: string; election: string; contest: string; definition: ElectionDefinition }>;

/** `deno task office history …` on the data of the replay. Returns what it printed. */
async function office(data: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "office", "history", ...args],
    env: { POLLWIRE_DATA: data, NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.equal(code, 0, `office history ${args.join(" ")}: ${text(stdout)}${text(stderr)}`);
  return text(stdout);
}

/** Imports an earlier election and has the contest compared with it. Returns how the units are linked. */
async function importPast(
  { data, election, contest }: Replayed,
  file: string,
  { past, name, held }: typeof SAME,
): Promise<string> {
  const printed = await office(data, "import", file, "--past", past, "--name", name, "--held", held);
  console.log(printed.trimEnd());
  const [, pastContest] = /^contest (\S+):/m.exec(printed)!;
  const of = ["--election", election, "--contest", contest, "--past", past, "--past-contest", pastContest!];
  const linked = await office(data, "compare", ...of);
  console.log(linked.trimEnd());
  return linked;
}

/** Two officials of the election, as they would be after administrators had granted their roles. */
async function appoint({ data, election }: Replayed): Promise<Map<string, KeyFile>> {
  const files = new Map<string, KeyFile>();
  const db = await openPglite(`${data}/db`);
  try {
    for (const account of ["history-ann", "history-ben"]) {
      const file = await newKeyFile(account);
      await createAccount(db, account, account, await publicKeyOf(file.key), new Date());
      await requestRole(db, account, "official", election, undefined, new Date());
      files.set(account, file);
    }
  } finally {
    await db.close();
  }
  return files;
}

/** Ends voting, and waits for the final release: without it nothing is compared. */
async function endElection(
  origin: string,
  { election, contest }: Replayed,
  files: ReadonlyMap<string, KeyFile>,
): Promise<void> {
  const [ann, ben] = [...files.values()].map((file) =>
    new OfficeClient((path, init) => fetch(new URL(path, origin), init), file)
  );
  const path = `/v1/elections/${election}`;
  const { etag } = await ann!.ask("GET", `${path}/lifecycle`);
  const body = { action: "close_early", parameters: {}, reason: "All votes of the file are cast" };
  const { body: { proposal } } = await ann!.ask("POST", `${path}/proposals`, body, etag!);
  await ben!.ask("POST", `${path}/proposals/${proposal}/approve`, undefined, etag!);
  await eventually("the final release is made", async () => {
    return (await comparison(origin, { election, contest }, "region")).final;
  }, FINAL_MS);
}

async function comparison(
  origin: string,
  { election, contest }: Pick<Replayed, "election" | "contest">,
  by: "region" | "station",
  past?: string,
): Promise<ComparisonAnswer> {
  const question = new URLSearchParams({ contest, by, ...past !== undefined && { past } });
  const response = await fetch(`${origin}/v1/elections/${election}/comparison?${question}`);
  assert.equal(response.status, 200, await response.clone().text());
  return await response.json();
}

function near(found: number | null, wanted: number, what: string): void {
  assert.ok(found !== null && Math.abs(found - wanted) < EPSILON, `${what}: ${found} must be ${wanted}`);
}

/** Checks each figure of an answer. Returns how many places are compared. */
function checkAnswer(
  { places, rows, pair, total }: ComparisonAnswer,
  byHand: Places,
  { definition: { parties } }: Replayed,
): number {
  const idOf = (name: string) => parties.find((party) => party.name === name)!.id;
  assert.deepEqual(new Set([pair!.first, pair!.second]), new Set([idOf(FIRST), idOf(SECOND)]));
  const [first, second] = pair!.first === idOf(FIRST) ? [FIRST, SECOND] : [SECOND, FIRST];
  const all = { region: null, station: null, why: null, ...total };
  let compared = 0;
  for (const place of [all, ...places]) {
    if (place.why !== null) continue;
    const id = place.station ?? place.region ?? "";
    const hand = byHand.get(id);
    assert.ok(hand !== undefined, `the file has no place ${id}`);
    assert.deepEqual([place.votesThen, place.votesNow], [sumOf(hand.before), sumOf(hand.now)], id);
    near(place.swing, swingOf(hand, first, second), `swing of ${id}`);
    for (const party of [FIRST, SECOND]) {
      const row = rows.find((row) =>
        row.region === place.region && row.station === place.station && row.party === idOf(party)
      );
      const votes = [hand.before.get(party), hand.now.get(party)];
      // A party without a vote, then and now, has no row.
      assert.deepEqual([row?.votesThen ?? 0, row?.votesNow ?? 0], votes, `${id} ${party}`);
      near(row?.change ?? 0, changeOf(hand, party), `change of ${party} in ${id}`);
    }
    compared++;
  }
  return compared - 1;
}

/**
 * Checks an earlier election by region and by station. Says how much is compared, and why the rest is not.
 *
 * @param renamed The region whose stations are known by their region only; none when left out.
 */
async function checkPast(
  origin: string,
  replayed: Replayed,
  lines: Readonly<{ before: readonly Line[]; now: readonly Line[] }>,
  { past }: typeof SAME,
  renamed?: string,
): Promise<void> {
  const { definition } = replayed;
  const why = new Map<string, number>();
  for (const by of ["region", "station"] as const) {
    const answer = await comparison(origin, replayed, by, past);
    const byHand = placesOf(definition, lines.before, lines.now, by);
    const compared = checkAnswer(answer, byHand, replayed);
    const all = by === "region" ? definition.regions.length : definition.stations.length;
    if (by === "region") assert.equal(compared, all, "every region is compared");
    for (const place of answer.places) {
      if (place.why === null) continue;
      why.set(place.why, (why.get(place.why) ?? 0) + 1);
      const { before, now } = byHand.get(place.station!)!;
      if (place.why === "no_votes") assert.ok(sumOf(before) === 0 || sumOf(now) === 0, place.station!);
      if (place.why === "not_linked") assert.equal(place.region, renamed);
    }
    console.log(`${past}: ${compared} of ${all} places compared by ${by}, swing ${answer.total.swing}`);
  }
  console.log(`${past}: not compared: ${[...why].map(([reason, n]) => `${n} ${reason}`).join(", ")}`);
}

/** A share as the page writes it, in points. */
const points = (share: number) =>
  (100 * Math.abs(share)).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
/** The party to which a swing goes. */
const partyOf = (swing: number) => swing < 0 ? FIRST : SECOND;

/** Checks the swing of each region, page by page of the table. Returns how many there are. */
async function checkRegions(page: Page, { regions }: ElectionDefinition, byHand: Places): Promise<number> {
  const rows = () => cellsOf(page, "#places > tbody > tr[data-place]");
  const next = page.locator(".pager button").last();
  const seen = new Set<string>();
  while (true) {
    const found = await rows();
    for (const cells of found) {
      // Before the name stands a mark.
      const { id } = regions.find(({ name }) => name === cells[0]!.replace(/^. /, ""))!;
      const swing = swingOf(byHand.get(id)!, FIRST, SECOND);
      assert.equal(cells.at(-1), `${partyOf(swing)} ${points(swing)} pt`, cells[0]);
      seen.add(id);
    }
    if (await next.count() === 0 || await next.isDisabled()) return seen.size;
    await next.click();
    await eventually("the next page is there", async () => (await rows())[0]![0] !== found[0]![0]);
  }
}

/** Checks what the page says: the sentence, the parties, the regions. */
async function checkPage(origin: string, { definition }: Replayed, byHand: Places): Promise<void> {
  const all = byHand.get("")!;
  const swing = swingOf(all, FIRST, SECOND);
  const browser = await launchChromium();
  try {
    const { page, said } = await openPage(browser, origin);
    await page.locator("#swing").waitFor();
    const from = partyOf(-swing);
    assert.equal(
      await textOf(page, "#swing"),
      `A swing of ${points(swing)} points from ${from} to ${partyOf(swing)}.`,
    );
    const shown = new Map(
      (await cellsOf(page, "#comparison tbody tr")).map(([name, ...cells]) => [name, cells]),
    );
    for (const name of [FIRST, SECOND]) {
      const change = changeOf(all, name);
      assert.equal(shown.get(name)?.at(-1), `${change < 0 ? "-" : "+"}${points(change)} pt`, name);
    }
    const seen = await checkRegions(page, definition, byHand);
    assert.equal(seen, definition.regions.length);
    await keepScreenshot(page, "comparison-replayed");
    assert.deepEqual(said, []);
    console.log(`the page: a swing of ${points(swing)} points, and that of ${seen} regions`);
  } finally {
    await browser.close();
  }
}

if (import.meta.main) {
  const [file, data, election] = Deno.args as [string, string, string];
  const definition: ElectionDefinition = JSON.parse(
    await Deno.readTextFile(`${data}/replays/${election}/definition.json`),
  );
  const replayed = { data, election, definition, contest: definition.contests[0]!.id };
  const now = readLines(await Deno.readTextFile(file));
  const [renamed] = definition.regions;
  const before = changed(now, SECOND, renamed!.name);
  const changedFile = `${data}/changed.csv`;
  await Deno.writeTextFile(changedFile, fileOf(before));
  const stations = definition.stations.length;
  const ofRenamed = definition.stations.filter(({ region }) => region === renamed!.id).length;
  assert.match(
    await importPast(replayed, file, SAME),
    new RegExp(`^${stations} units linked to stations, 0 to a region`),
  );
  assert.match(
    await importPast(replayed, changedFile, CHANGED),
    new RegExp(
      `^${stations - ofRenamed} units linked to stations, ${ofRenamed} to a region only, 0 to nothing`,
    ),
  );
  const files = await appoint(replayed);
  const stack = new PollwireProcesses({ dataDir: data, gateways: [], aggregators: 1, clock: systemClock });
  try {
    await stack.start();
    await endElection(stack.aggregator, replayed, files);
    await checkPast(stack.aggregator, replayed, { before: now, now }, SAME);
    await checkPast(stack.aggregator, replayed, { before, now }, CHANGED, renamed!.id);
    await checkPage(stack.aggregator, replayed, placesOf(definition, before, now, "region"));
  } finally {
    await stack.stop();
  }
}
