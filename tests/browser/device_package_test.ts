import assert from "assert";
import { FOUND, IDENTITY, installPackage, withServer } from "../device_package.ts";
import { withDirectory } from "../directory.ts";
import { browserTest } from "./chromium.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const PAGE = `<script type="importmap">{ "imports": { "pollwire-device": "/index.js" } }</script>
<script type="module">
  import { tryOut } from "/try.mjs";
  const vectors = await (await fetch("/vectors.json")).json();
  console.log(JSON.stringify(await tryOut(location.origin, ${JSON.stringify(IDENTITY)}, vectors)));
</script>`;

browserTest(
  "the npm package for devices casts votes and agrees with docs/vectors.json in Chromium",
  async (browser) => {
    await withDirectory(async (directory) => {
      await installPackage(directory);
      const file = async (path: string, type: string) =>
        new Response(await Deno.readTextFile(`${directory}${path}`), { headers: { "content-type": type } });
      const files = (path: string) => {
        switch (path) {
          case "/":
            return Promise.resolve(new Response(PAGE, { headers: { "content-type": "text/html" } }));
          case "/try.mjs":
            return file(path, "text/javascript");
          case "/index.js":
            return file("/node_modules/pollwire-device/index.js", "text/javascript");
          case "/vectors.json":
            return file(path, "application/json");
          default:
            return Promise.resolve(new Response(null, { status: 404 }));
        }
      };
      await withServer(async (origin) => {
        const page = await browser.newPage();
        const found = page.waitForEvent("console", (message) => message.text().startsWith("{"));
        const failed = page.waitForEvent("pageerror").then((error) => {
          throw error;
        });
        failed.catch(() => {});
        await page.goto(origin);
        assert.deepEqual(JSON.parse((await Promise.race([found, failed])).text()), FOUND);
        await page.close();
      }, files);
    });
  },
);
