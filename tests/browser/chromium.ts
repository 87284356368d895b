/**
 * Chromium, for tests of what people see. Debian's own; without one the tests are passed over, but not in CI.
 *
 * @module
 */
import type { Browser } from "playwright-core";
import { chromium } from "playwright-core";
import { FULL_RUN } from "../runs.ts";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/** How long a page may take on a machine that does much else, in milliseconds. */
const PATIENCE_MS = 120_000;
/** It reaches nothing but the page: no updates, no sync, no sandbox that a container has not. */
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

const executablePath = PLACES.find(exists);

const MISSING = `no Chromium at ${PLACES.join(", ")}: apt-get install chromium`;

/** Starts a browser; whoever does closes it. */
export async function launchChromium(): Promise<Browser> {
  if (executablePath === undefined) throw new Error(`Cannot start a browser: ${MISSING}`);
  const browser = await chromium.launch({ executablePath, args: ARGS, timeout: PATIENCE_MS });
  browser.on("context", (context) => context.setDefaultTimeout(PATIENCE_MS));
  return browser;
}

/**
 * Registers a test that gets a browser, and closes it. It runs at full length only: see runs.ts. Where there is no browser it
 * is ignored, with a line that says so; in CI it fails.
 */
export function browserTest(
  name: string,
  work: (browser: Browser, t: Deno.TestContext) => Promise<void>,
): void {
  const ignore = executablePath === undefined && Deno.env.get("CI") !== "true";
  if (FULL_RUN && ignore) console.warn(`Passed over: ${name}: ${MISSING}`);
  Deno.test({
    name,
    ignore: ignore || !FULL_RUN,
    async fn(t) {
      const browser = await launchChromium();
      try {
        await work(browser, t);
      } finally {
        await browser.close();
      }
    },
  });
}
