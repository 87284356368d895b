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

/** Casts a vote through a `fetch` that takes it and an aggregator that signs, and hands what came of it to `found`. */
const PROGRAM = `
import { createDeviceClient } from ${JSON.stringify(new URL("device/client.ts", ROOT))};
import { memoryStore } from ${JSON.stringify(new URL("device/store.ts", ROOT))};
import { signAnswers } from ${JSON.stringify(new URL("shared/answers.ts", ROOT))};
import { fromHex, toHex } from ${JSON.stringify(new URL("shared/bytes.ts", ROOT))};
import { answerKeyPair } from ${JSON.stringify(new URL("shared/keys.ts", ROOT))};
import { isProofOf, proofLeaf } from ${JSON.stringify(new URL("shared/proof.ts", ROOT))};

const { publicKey, privateKey } = answerKeyPair(new Uint8Array(32).fill(7), "e");
const identity = {
  election: "e",
  device: "n-1-a",
  version: 1,
  station: "n-1",
  key: "07".repeat(32),
  proofKey: "08".repeat(32),
  answerKey: toHex(publicKey),
};
const outcomes = [];
const device = await createDeviceClient({
  identity,
  gateways: ["http://gateway"],
  aggregators: ["http://aggregator"],
  store: memoryStore(),
  limits: { askEveryMs: 1 },
  onOutcome: ({ outcome }) => outcomes.push(outcome),
  fetch: async (url, { headers, body }) => {
    if (url.startsWith("http://aggregator")) {
      const { election, nonce, receipts } = JSON.parse(body);
      const answers = receipts.map(({ voteId }) => ({ voteId, outcome: "counted" }));
      return Response.json(
        signAnswers({ election, nonce, answeredAt: new Date().toISOString(), answers }, privateKey),
      );
    }
    const { vote, proof, proofKey } = JSON.parse(new TextDecoder().decode(body));
    if (!/^vote=:[A-Za-z0-9+/]{43}=:$/.test(headers.signature)) throw new Error(headers.signature);
    if (!isProofOf(fromHex(proof), fromHex(identity.proofKey), "e", proofKey, vote)) throw new Error(proof);
    const receipt = { election: "e", voteId: JSON.parse(vote).voteId, proof: proofLeaf(fromHex(proof)) };
    return Response.json({ receipt }, { status: 202 });
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
