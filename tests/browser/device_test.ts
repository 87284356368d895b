import assert from "assert";
import { deviceProgram, FOUND } from "../device_program.ts";
import { browserTest } from "./chromium.ts";

Deno.test.sanitizer({ ops: true, resources: true });

browserTest("the device client runs in a browser", async (browser) => {
  const page = await browser.newPage();
  await page.route(
    "https://device.test/",
    (route) =>
      route.fulfill({ contentType: "text/html", body: `<script type="module" src="/program.mjs"></script>` }),
  );
  const program = await deviceProgram();
  await page.route(
    "https://device.test/program.mjs",
    (route) => route.fulfill({ contentType: "text/javascript", body: program }),
  );
  const said = page.waitForEvent("console");
  const failed = page.waitForEvent("pageerror").then((error) => {
    throw error;
  });
  failed.catch(() => {});
  await page.goto("https://device.test/");
  assert.deepEqual(JSON.parse((await Promise.race([said, failed])).text()), FOUND);
});
