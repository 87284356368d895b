/**
 * A Superset of a test's own, of the packages that deploy/superset/requirements.txt names.
 *
 * @module
 */
import assert from "assert";
import { DASHBOARD_SLUG } from "../../deploy/superset/assets.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { launchChromium } from "../browser/chromium.ts";
import { TestAuthority } from "../certificates.ts";
import { eventually } from "../eventually.ts";
import { endFamily } from "./family.ts";
import { command } from "./local_stack.ts";

const SCRIPT = new URL("../../deploy/superset/superset.sh", import.meta.url).pathname;
/** How long Superset may take to serve, and a page to be drawn, in milliseconds. */
const SERVES_MS = 480_000;
const DRAWN_MS = 300_000;
/** Where pictures go; none are kept when not set. */
const SCREENSHOTS = Deno.env.get("POLLWIRE_SCREENSHOTS");

/** A Superset of its own, over TLS. */
export class OwnSuperset {
  static readonly password = "correct-horse";
  readonly #process: Deno.ChildProcess;

  private constructor(
    readonly directory: string,
    readonly url: string,
    readonly client: Deno.HttpClient,
    process: Deno.ChildProcess,
  ) {
    this.#process = process;
  }

  static async start(databaseUrl: string, databasePassword: string): Promise<OwnSuperset> {
    const directory = await Deno.makeTempDir({ prefix: "pollwire-superset-" });
    const secrets = {
      password: OwnSuperset.password,
      secret: crypto.randomUUID(),
      database: databasePassword,
    };
    for (const [name, text] of Object.entries(secrets)) {
      await Deno.writeTextFile(`${directory}/${name}`, text);
    }
    const authority = await TestAuthority.make(directory);
    const { certFile, keyFile } = await authority.sign("superset");
    const [port] = await freePorts(1);
    const env = {
      NO_COLOR: "1",
      SUPERSET_DATA: `${directory}/data`,
      SUPERSET_SECRET_KEY_FILE: `${directory}/secret`,
      SUPERSET_PASSWORD_FILE: `${directory}/password`,
      DATABASE_URL: databaseUrl,
      DATABASE_PASSWORD_FILE: `${directory}/database`,
      HOST: "127.0.0.1",
      PORT: String(port),
      TLS_CERT_FILE: certFile,
      TLS_KEY_FILE: keyFile,
    };
    const { code, error, out } = await command(SCRIPT, ["setup"], env);
    assert.equal(code, 0, out + error);
    const process = new Deno.Command("/bin/sh", {
      args: ["-c", 'exec "$0" serve >"$1" 2>&1', SCRIPT, `${directory}/log`],
      env,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(authority.file)] });
    const superset = new OwnSuperset(directory, `https://127.0.0.1:${port}`, client, process);
    try {
      await eventually("Superset serves", async () => {
        const answer = await superset.fetch(`${superset.url}/health`).catch(() => undefined);
        await answer?.body?.cancel();
        return answer?.status === 200;
      }, SERVES_MS);
    } catch (error) {
      const log = await Deno.readTextFile(`${directory}/log`);
      await superset.remove();
      throw new Error(`${(error as Error).message}:\n${log}`);
    }
    return superset;
  }

  readonly fetch = ((input, init) => fetch(input, { ...init, client: this.client })) as typeof fetch;

  async remove(): Promise<void> {
    await endFamily(this.#process.pid, "SIGKILL");
    await this.#process.status;
    this.client.close();
    await Deno.remove(this.directory, { recursive: true });
  }

  /** Opens the dashboard in a browser: every chart is drawn, and none says that it failed. */
  async lookAt(charts: number, isShown: (text: string) => boolean): Promise<void> {
    const { url } = this;
    const browser = await launchChromium();
    try {
      const context = await browser.newContext({
        ignoreHTTPSErrors: true,
        viewport: { width: 1400, height: 2400 },
      });
      // Each step: opening a page, finding a field. Playwright's own limit is 30 s.
      context.setDefaultTimeout(DRAWN_MS);
      const page = await context.newPage();
      await page.goto(`${url}/login/`);
      await page.fill("[data-test=username-input]", "admin");
      await page.fill("[data-test=password-input]", OwnSuperset.password);
      await page.press("[data-test=password-input]", "Enter");
      await page.waitForURL((address) => !address.pathname.startsWith("/login"));
      await page.goto(`${url}/superset/dashboard/${DASHBOARD_SLUG}/?expand_filters=0`);
      const holders = ".dashboard-component-chart-holder";
      const count = (selector: string) => page.locator(selector).count();
      try {
        await eventually(
          "every chart is drawn, and none waits",
          // Charts that wait for the filters are drawn once more.
          async () =>
            await count(`${holders}:has(canvas, table)`) === charts &&
            await count(`${holders} [data-test=loading-indicator]`) === 0 &&
            isShown((await page.locator(holders).allInnerTexts()).join("\n")),
          DRAWN_MS,
        );
      } catch (error) {
        throw new Error(`${(error as Error).message}:\n${await page.locator("body").innerText()}`);
      }
      if (SCREENSHOTS !== undefined) {
        await page.screenshot({ path: `${SCREENSHOTS}/superset.png` });
      }
      assert.equal(await count(`${holders} [role=alert]`), 0);
    } finally {
      await browser.close();
    }
  }
}
