import assert from "assert";
import { freeRange } from "../simulator/processes/ports.ts";
import { withDirectory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { longTest } from "./runs.ts";

const DEADLINE_MS = 120_000;

async function isReady(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/health/ready`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

longTest(
  "deno task dev makes an election, runs an aggregator and a gateway that know it, and ends both at SIGTERM",
  async () => {
    await withDirectory(async (directory) => {
      const port = freeRange(2);
      const dev = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "deploy/dev/main.ts", "--data", directory, "--port", String(port)],
        cwd: new URL("..", import.meta.url),
        stdout: "piped",
        stderr: "null",
      }).spawn();
      let said = "";
      const read = dev.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
        new WritableStream({ write: (text) => void (said += text) }),
      );
      let ended = false;
      const status = dev.status.finally(() => ended = true);
      try {
        await eventually(
          "both are ready",
          async () => ended || await isReady(port) && await isReady(port + 1),
          DEADLINE_MS,
        );
        const address = `page and API  http://127.0.0.1:${port}/`;
        await eventually("it says where the page is", () => ended || said.includes(address), DEADLINE_MS);
        const { elections } = await (await fetch(`http://127.0.0.1:${port}/v1/elections`)).json();
        assert.deepEqual(elections.map(({ id }: { id: string }) => id), ["dev"]);
      } finally {
        if (!ended) dev.kill("SIGTERM");
      }
      assert.equal((await status).code, 0);
      await read;
      assert.match(said, new RegExp(`page and API +http://127.0.0.1:${port}/`));
      assert.ok(!await isReady(port) && !await isReady(port + 1));
    });
  },
);
