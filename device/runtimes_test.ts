/** A device's maker may have Node or a browser: the client is bundled for one, and run by the other. */
import assert from "assert";

Deno.test.sanitizer({ ops: true, resources: true });

const CLIENT = new URL("./client.ts", import.meta.url);
const STORE = new URL("./store.ts", import.meta.url);

/** Casts a vote with a `fetch` that takes it, and says what the client made of it. */
const PROGRAM = `
import { createDeviceClient } from ${JSON.stringify(CLIENT)};
import { memoryStore } from ${JSON.stringify(STORE)};

const outcomes = [];
const device = await createDeviceClient({
  identity: { election: "e", device: "n-1-a", version: 1, station: "n-1", key: "07".repeat(32) },
  gateways: ["http://gateway"],
  centre: "http://centre",
  store: memoryStore(),
  limits: { askEveryMs: 1 },
  onOutcome: ({ outcome }) => outcomes.push(outcome),
  fetch: async (url, { headers, body }) => {
    if (url.startsWith("http://centre")) {
      const { receipts } = JSON.parse(body);
      return Response.json({ answers: receipts.map(({ voteId }) => ({ voteId, outcome: "counted" })) });
    }
    const { voteId } = JSON.parse(new TextDecoder().decode(body));
    if (!/^vote=:[A-Za-z0-9+/]{43}=:$/.test(headers.signature)) throw new Error(headers.signature);
    return Response.json({ receipt: { election: "e", voteId } }, { status: 202 });
  },
});
const { fate } = await device.cast({ voterId: "v-1", mode: "in_person", selections: [] });
console.log(JSON.stringify([fate, await device.settle(), outcomes, typeof Deno]));
`;

async function run(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env: { NO_COLOR: "1" } })
    .output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("the client, bundled for browsers, asks for nothing that browsers have not, and runs under Node", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const [source, bundle] = [`${directory}/program.ts`, `${directory}/program.mjs`];
    await Deno.writeTextFile(source, PROGRAM);
    const config = new URL("../deno.json", import.meta.url).pathname;
    await run(
      Deno.execPath(),
      "bundle",
      "--quiet",
      "--config",
      config,
      "--platform",
      "browser",
      "-o",
      bundle,
      source,
    );
    const text = await Deno.readTextFile(bundle);
    assert.doesNotMatch(text, /^import .* from ["']node:/m);
    assert.equal(await run("node", bundle), `["acknowledged",0,["counted"],"undefined"]\n`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
