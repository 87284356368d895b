/**
 * The npm package for makers of devices, as one of them would use it: unpacked, in a program that knows it by its name, against a
 * server that checks everything.
 *
 * @module
 */
import { PACKAGE_NAME, packDevice } from "../deploy/device/pack.ts";
import { run } from "../deploy/local/run.ts";
import { signAnswers } from "../shared/answers.ts";
import { fromHex, toHex } from "../shared/bytes.ts";
import { answerKeyPair } from "../shared/keys.ts";
import { isProofOf, proofLeaf } from "../shared/proof.ts";
import { isFault, readClaim, verifyClaim } from "../shared/signature.ts";

const VECTORS = new URL("../docs/vectors.json", import.meta.url);

/** What {@link PROGRAM} finds when all goes well. */
export const FOUND = {
  wireFormat: 2,
  differences: [],
  fates: ["acknowledged", "acknowledged"],
  kept: 0,
  outcomes: 2,
};

/**
 * For any runtime: compares proofs and headers with the vectors, then casts a vote and a batch, and asks what became of them.
 * It has nothing of this repository but the package.
 */
export const PROGRAM = `
import { createDeviceClient, memoryStore, proofOf, signRequest, WIRE_FORMAT } from "${PACKAGE_NAME}";

const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");

function differencesFrom(vectors) {
  const { keyid, key, proofKey } = vectors.device;
  const [election, name] = keyid.split("/");
  const differences = [];
  let compared = 0;
  const same = (what, is, wanted) => {
    compared++;
    if (is !== wanted) differences.push(what + ": " + is + ", not " + wanted);
  };
  for (const { name: what, body } of vectors.signedVotes) {
    if (body.proofKey === name) same(what, hex(proofOf(bytes(proofKey), election, name, body.vote)), body.proof);
  }
  for (const { name: what, request } of vectors.accepted) {
    const headers = Object.fromEntries(Object.entries(request.headers).map(([k, v]) => [k.toLowerCase(), v]));
    const signed = signRequest({
      path: request.path,
      contentType: headers["content-type"],
      body: new TextEncoder().encode(request.body),
      idempotencyKey: headers["idempotency-key"].slice(1, -1),
      keyId: keyid,
      key: bytes(key),
      createdS: Number(/created=(\\d+)/.exec(headers["signature-input"])[1]),
    });
    for (const [k, v] of Object.entries(signed)) same(what + ", " + k, v, headers[k]);
  }
  return compared < 10 ? ["only " + compared + " compared"] : differences;
}

export async function tryOut(origin, identity, vectors) {
  let outcomes = 0;
  const device = await createDeviceClient({
    identity,
    gateways: [origin],
    aggregators: [origin],
    store: memoryStore(),
    limits: { askEveryMs: 1 },
    signal: AbortSignal.timeout(120_000),
    onOutcome: ({ outcome }) => { if (outcome === "counted") outcomes++; },
    onTrouble: (trouble) => { throw new Error(JSON.stringify(trouble)); },
  });
  const ballot = (voterId) => ({ voterId, mode: "in_person", selections: [{ contest: "mayor", candidate: "ann" }] });
  const one = await device.cast(ballot("v-1"));
  const two = await device.cast(ballot("v-2"));
  const kept = await device.settle();
  return { wireFormat: WIRE_FORMAT, differences: differencesFrom(vectors), fates: [one.fate, two.fate], kept, outcomes };
}
`;

const { publicKey, privateKey } = answerKeyPair(new Uint8Array(32).fill(7), "e");
/** The device that the server knows. */
export const IDENTITY = {
  election: "e",
  device: "n-1-a",
  version: 1,
  station: "n-1",
  key: "07".repeat(32),
  proofKey: "08".repeat(32),
  answerKey: toHex(publicKey),
};

/** Answers as a gateway that takes every vote that is signed right, and as an aggregator that has counted it. */
async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const body = new Uint8Array(await request.arrayBuffer());
  const text = new TextDecoder().decode(body);
  if (pathname === "/v1/receipts/check") {
    const { election, nonce, receipts } = JSON.parse(text);
    const answers = receipts.map(({ voteId }: { voteId: string }) => ({
      voteId,
      outcome: "counted" as const,
    }));
    return Response.json(
      signAnswers({ election, nonce, answeredAt: new Date().toISOString(), answers }, privateKey),
    );
  }
  const header = (name: string) => request.headers.get(name);
  const claim = readClaim(pathname, {
    contentType: header("content-type"),
    contentDigest: header("content-digest"),
    idempotencyKey: header("idempotency-key"),
    signatureInput: header("signature-input"),
    signature: header("signature"),
  });
  const fault = isFault(claim) ? claim : verifyClaim(claim, fromHex(IDENTITY.key), body, Date.now());
  if (fault !== undefined) return new Response(fault.detail, { status: 401 });
  const { vote, proof, proofKey } = JSON.parse(text);
  if (!isProofOf(fromHex(proof), fromHex(IDENTITY.proofKey), "e", proofKey, vote)) {
    return new Response("proof", { status: 400 });
  }
  const { voteId } = JSON.parse(vote);
  return Response.json({ receipt: { election: "e", voteId, proof: proofLeaf(fromHex(proof)) } }, {
    status: 202,
  });
}

/** A directory of a device's maker: the package where npm would put it, and the program. */
export async function installPackage(directory: string): Promise<void> {
  const { file, bytes } = await packDevice();
  await Deno.writeFile(`${directory}/${file}`, bytes);
  const home = `${directory}/node_modules/${PACKAGE_NAME}`;
  await Deno.mkdir(home, { recursive: true });
  await run("tar", ["-xzf", `${directory}/${file}`, "-C", home, "--strip-components=1"], {
    limitMs: 60_000,
    missing: "apt-get install tar",
  });
  await Deno.writeTextFile(`${directory}/try.mjs`, PROGRAM);
  await Deno.copyFile(VECTORS, `${directory}/vectors.json`);
}

/** Serves gateway and aggregator, and files besides, while `work` runs. */
export async function withServer(
  work: (origin: string) => Promise<void>,
  files: (path: string) => Promise<Response | undefined> = () => Promise.resolve(undefined),
): Promise<void> {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const file = request.method === "GET" ? await files(new URL(request.url).pathname) : undefined;
      return file ?? await answer(request);
    },
  );
  try {
    await work(`http://127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
}
