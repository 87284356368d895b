/**
 * A program of a device's maker, as one file of JavaScript for any runtime.
 *
 * @module
 */
import assert from "assert";
import { withDirectory } from "./directory.ts";

const ROOT = new URL("..", import.meta.url);

/** What {@link deviceProgram} finds when all goes well. */
export const FOUND = ["acknowledged", 0, ["counted"]];

/** Casts a vote through a `fetch` that takes it, and hands what came of it to `found`. */
const PROGRAM = `
import { createDeviceClient } from ${JSON.stringify(new URL("device/client.ts", ROOT))};
import { memoryStore } from ${JSON.stringify(new URL("device/store.ts", ROOT))};

const outcomes = [];
const device = await createDeviceClient({
  identity: { election: "e", device: "n-1-a", version: 1, station: "n-1", key: "07".repeat(32) },
  gateways: ["http://gateway"],
  aggregators: ["http://aggregator"],
  store: memoryStore(),
  limits: { askEveryMs: 1 },
  onOutcome: ({ outcome }) => outcomes.push(outcome),
  fetch: async (url, { headers, body }) => {
    if (url.startsWith("http://aggregator")) {
      const { receipts } = JSON.parse(body);
      return Response.json({ answers: receipts.map(({ voteId }) => ({ voteId, outcome: "counted" })) });
    }
    const { voteId } = JSON.parse(new TextDecoder().decode(body));
    if (!/^vote=:[A-Za-z0-9+/]{43}=:$/.test(headers.signature)) throw new Error(headers.signature);
    return Response.json({ receipt: { election: "e", voteId } }, { status: 202 });
  },
});
const { fate } = await device.cast({ voterId: "v-1", mode: "in_person", selections: [] });
console.log(JSON.stringify([fate, await device.settle(), outcomes]));
`;

/** Bundles the program for browsers. It prints {@link FOUND} as JSON. */
export async function deviceProgram(): Promise<string> {
  return await withDirectory(async (directory) => {
    const [source, bundle] = [`${directory}/program.ts`, `${directory}/program.mjs`];
    await Deno.writeTextFile(source, PROGRAM);
    const config = new URL("deno.json", ROOT).pathname;
    const options = ["--quiet", "--config", config, "--platform", "browser", "--output", bundle];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", ...options, source],
    })
      .output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return await Deno.readTextFile(bundle);
  });
}
