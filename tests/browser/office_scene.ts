/**
 * The office page in Chromium, against the office's API on a database: people sign in with their key files. The office's clock is the
 * test's.
 *
 * @module
 */
import assert from "assert";
import { Buffer } from "node:buffer";
import { Registry } from "prom-client";
import type { Browser, Page } from "playwright-core";
import type { Database } from "../../aggregator/database/database.ts";
import { createOfficePage } from "../../aggregator/office/page_files.ts";
import { createProcessApp } from "../../aggregator/roles/process_app.ts";
import { serve } from "../../web/serve.ts";
import { type BallotBox, openBallotBox, testVoters } from "../ballot_box.ts";
import { openCheckedElection } from "../checked_election.ts";
import { withDatabase } from "../test_database.ts";
import { openTestOffice, type TestOffice } from "../test_office.ts";
import { axeFindings, DESKTOP, keepScreenshot, PHONE, plain } from "./watched.ts";

/** A window of 1,280 pixels at 400 % zoom (WCAG 2.2, 1.4.10). */
const ZOOMED = { width: 320, height: 256 };
/** An election that nobody has voted in, and one that is over and was counted. */
export const VOTING = "voting-2026";
export const CHECKED = "checked-2026";

/** The office, its database and its logs, and where the page is served. */
export type Scene = Readonly<
  { db: Database; office: TestOffice; origin: string; boxes: Record<string, BallotBox> }
>;

/** Serves an office with two elections as its process does. */
export async function withOffice(work: (scene: Scene) => Promise<void>): Promise<void> {
  await withDatabase(async (db) => {
    const boxes: Record<string, BallotBox> = {
      [VOTING]: await openBallotBox(db, VOTING, { name: "City council 2026" }),
      [CHECKED]: await openCheckedElection(db, CHECKED),
    };
    await boxes[VOTING].enrol(testVoters(6));
    const office = openTestOffice(db, (election) => Promise.resolve(boxes[election].log));
    const errors: unknown[] = [];
    const app = createProcessApp({
      metrics: new Registry(),
      ready: () => ({ ready: true, elections: [] }),
      onError: (error) => errors.push(error),
    }, [office.app, createOfficePage()]);
    const server = await serve({
      hostname: "127.0.0.1",
      port: 0,
      maxConnections: 1_000,
      maxAddressConnections: 1_000,
      async fetch(request, connection) {
        const answer = await app.fetch(request, connection);
        answer.headers.set("date", new Date(office.nowMs).toUTCString());
        return answer;
      },
      onError: (error) => errors.push(error),
    });
    try {
      await work({ db, office, origin: server.origin, boxes });
      assert.deepEqual(errors, []);
    } finally {
      await server.shutdown();
    }
  });
}

/** A person at the page; `said` is what the console said. */
export type Desk = Readonly<
  { page: Page; said: string[]; keyFile: { name: string; mimeType: string; buffer: Buffer } }
>;

/** Opens the page for a person, who is not signed in yet. */
export async function openDesk(
  browser: Browser,
  { origin, office }: Scene,
  account: string,
  options: Parameters<Browser["newPage"]>[0] & { lang?: string } = {},
): Promise<Desk> {
  const { lang, ...rest } = options;
  const page = await browser.newPage({ viewport: DESKTOP, locale: "en-GB", timezoneId: "UTC", ...rest });
  const said: string[] = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  await page.goto(`${origin}/office${lang === undefined ? "" : `?lang=${lang}`}`);
  const buffer = Buffer.from(JSON.stringify(office.fileOf(account)));
  return { page, said, keyFile: { name: `${account}.json`, mimeType: "application/json", buffer } };
}

/** Opens the page for a person, signs in, and goes to a part of an election, or waits until the elections were read. */
export async function signIn(
  browser: Browser,
  scene: Scene,
  account: string,
  at = "",
  options: Parameters<typeof openDesk>[3] = {},
): Promise<Desk> {
  const desk = await openDesk(browser, scene, account, options);
  await desk.page.locator("#key").setInputFiles(desk.keyFile);
  await desk.page.locator("#sign-out").waitFor();
  await desk.page.locator("#elections, #no-elections").first().waitFor();
  if (at !== "") await go(desk.page, at);
  return desk;
}

/** Goes to a part of an election, and waits until it was read. */
export async function go(page: Page, at: string): Promise<void> {
  await page.evaluate(async (hash) => {
    if (location.hash === hash) return;
    const gone = new Promise((resolve) => addEventListener("hashchange", resolve, { once: true }));
    location.hash = hash;
    await gone;
  }, `#/${at}`);
  await page.locator("main[aria-busy=false]").waitFor();
}

/** A text of the page, without the marks that isolate names. */
export const textOf = async (page: Page, selector: string) => plain(await page.locator(selector).innerText());

/** Waits until the page says something that fits. */
export async function hears(page: Page, kind: "good" | "bad", what: RegExp): Promise<void> {
  const message = page.locator(`#message[data-kind=${kind}]`).filter({ hasText: what });
  await message.waitFor().catch(async () => {
    assert.fail(`not said: ${what}; the page says: ${plain(await page.locator("main").innerText())}`);
  });
}

/** Fills in an action's form and sends it. */
export async function ask(page: Page, action: string, fields: Record<string, string>): Promise<void> {
  const entry = page.locator(`li[data-action=${action}]`).filter({ has: page.locator("form") });
  if (await entry.locator("details").getAttribute("open") === null) await entry.locator("summary").click();
  for (const [name, value] of Object.entries(fields)) {
    const field = entry.locator(`[name="${name}"]`);
    if (await field.evaluate((element: any) => element.tagName) === "SELECT") await field.selectOption(value);
    else await field.fill(value);
  }
  await entry.locator("button[type=submit]").click();
}

/** Nothing that axe-core finds, and nothing that only scrolling sideways shows. */
export async function assertUsable(page: Page, where: string): Promise<void> {
  assert.deepEqual(await axeFindings(page), [], where);
  const [wide, window] = await page.evaluate(
    "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
  ) as number[];
  assert.ok(wide <= window, `${where}: ${wide} pixels are wider than ${window}`);
}

/** Takes pictures, light and dark, and checks each. */
export async function look({ page }: Desk, name: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await assertUsable(page, `${name}, ${colorScheme}`);
    await keepScreenshot(page, `office-${name}-${colorScheme}`);
  }
  for (const [size, viewport] of [["390", PHONE], ["400-percent", ZOOMED]] as const) {
    await page.setViewportSize(viewport);
    await assertUsable(page, `${name}, ${size}`);
    await keepScreenshot(page, `office-${name}-${size}`);
  }
  await page.setViewportSize(DESKTOP);
  await page.emulateMedia({ colorScheme: "light" });
}
