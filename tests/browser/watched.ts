/**
 * A page in Chromium, with what it said to the console, and what stands on it.
 *
 * @module
 */
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";

/** A laptop's window, and a phone's. */
export const DESKTOP = { width: 1_280, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** What Chromium says when a network of the machine comes or goes, as another program's do. The page asks again by itself. */
export const MACHINE_NOISE = /net::ERR_NETWORK_CHANGED/;

/** Opens a page and waits until it shows an election. */
export async function openPage(
  browser: Browser,
  address: string,
  options: Parameters<Browser["newPage"]>[0] = {},
): Promise<{ page: Page; said: string[] }> {
  const page = await browser.newPage({ viewport: DESKTOP, locale: "en-GB", timezoneId: "UTC", ...options });
  const said: string[] = [];
  page.on("console", (message) => {
    const isBad = ["error", "warning"].includes(message.type()) && !MACHINE_NOISE.test(message.text());
    if (isBad) said.push(message.text());
  });
  page.on("pageerror", (error) => said.push(String(error)));
  await page.goto(address);
  await page.locator("#election").waitFor();
  return { page, said };
}

/** A text of the page, without the marks that isolate names, and with single spaces. */
export async function textOf(page: Page, selector: string): Promise<string> {
  return plain(await page.locator(selector).innerText());
}

/** A text without the marks that isolate names, and with single spaces. */
export function plain(text: string): string {
  return text.replace(/[\u2066-\u2069]/g, "").replace(/\s+/g, " ").trim();
}

/** The cells of a table's rows, or of a list's, as they stand at one moment. */
export async function cellsOf(page: Page, rows: string): Promise<string[][]> {
  const found: string[][] = await page.locator(rows).evaluateAll((elements: any[]) =>
    elements.map((row) => [...row.children].map((cell: any) => cell.textContent))
  );
  return found.map((cells) => cells.map(plain));
}

/** What axe-core finds wrong, a line each. Its source is evaluated by the debugger: the page's policy lets no script in. */
export async function axeFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })") as axe.AxeResults;
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`)
  );
}

/** Keeps a picture of the page in the folder that `POLLWIRE_SCREENSHOTS` names, where it does. */
export async function keepScreenshot(page: Page, name: string, fullPage = true): Promise<void> {
  const folder = Deno.env.get("POLLWIRE_SCREENSHOTS");
  if (folder !== undefined) await page.screenshot({ path: `${folder}/${name}.png`, fullPage });
}
