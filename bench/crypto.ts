/**
 * What the hot path's cryptography costs beyond the primitives that it stands on, one call after another.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";
import { utf8 } from "../shared/bytes.ts";
import type { ElectionHistory } from "../shared/history.ts";
import { judge } from "../shared/judge.ts";
import { ephemeralKeyPair, gatewayKey, hmac, KEY_BYTES, recordKey } from "../shared/keys.ts";
import type { PlacedRecord, StoredRecord } from "../shared/log/vote_log.ts";
import { entrySealer, recordBytes, sealedBytes } from "../shared/record.ts";
import { isFault, readClaim, signRequest, verifyClaim } from "../shared/signature.ts";
import { MASTER, testHistory, testManifest, testSignedVote } from "../tests/fixture.ts";
import type { Vote } from "../shared/vote.ts";
import { benchElection, voteMaker } from "./ballots.ts";
import { type Benchmark, compare, perSecond, type Row } from "./measure.ts";
import { placer, plaintextMaker } from "./records.ts";

const ROUNDS = 15;
const CALLS = 4_000;
const MESSAGES = 500;
/** Records of an entry, where several share one. The floor is always of one by itself. */
const TOGETHER = 10;

const key = new Uint8Array(KEY_BYTES).fill(1);
const nonce = new Uint8Array(sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
/** About as long as what a record's seal and signature are bound to. */
const context = new Uint8Array(100);

/** See the module. */
export const crypto: Benchmark = {
  name: "crypto",
  work:
    "records sealed, records judged, requests verified; floor: the libsodium calls they need, on as many bytes",
  on: "embedded",
  async run() {
    const simulated = benchElection({ voters: MESSAGES, stations: 200 });
    const manifest = testManifest(simulated.definition);
    const vote = voteMaker(simulated);
    const votes = Array.from({ length: MESSAGES }, (_, i) => vote(i));
    const { voteBytes } = manifest;
    const text = new Uint8Array(recordBytes(voteBytes));
    const signed = new Uint8Array(sealedBytes(voteBytes) + context.length);
    const proven = new Uint8Array(
      votes.reduce((sum, each) => sum + JSON.stringify(each).length, 0) / MESSAGES,
    );
    const sealed = aeadSeal(text);
    return [
      ...await sealing(votes.map(plaintextMaker(manifest)), manifest, () => {
        aeadSeal(text);
        hmac(key, signed);
      }),
      ...await judging(votes, manifest, () => {
        hmac(key, signed);
        sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, context, nonce, key);
        hmac(key, proven);
      }),
      await verifying(votes.map((each) => utf8(JSON.stringify(testSignedVote(each))))),
    ];
  },
};

type Manifest = ReturnType<typeof testManifest>;

function aeadSeal(text: Uint8Array): Uint8Array {
  return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(text, context, null, nonce, key);
}

async function sealing(plaintexts: readonly Uint8Array[], manifest: Manifest, floor: () => void) {
  const name = { election: manifest.election, id: "gateway-1", version: 1 };
  const aggregatorKey = Uint8Array.fromHex(manifest.sealingKey);
  const { privateKey, publicKey } = ephemeralKeyPair();
  const sealer = entrySealer({
    name,
    signingKey: gatewayKey(MASTER, name),
    sealingKey: recordKey(privateKey, aggregatorKey, manifest.election, publicKey, aggregatorKey),
    senderKey: publicKey,
  });
  const joined = Array.from({ length: MESSAGES / TOGETHER }, (_, n) => {
    const own = plaintexts.slice(n * TOGETHER, (n + 1) * TOGETHER);
    return new Uint8Array(own.flatMap((plaintext) => [...plaintext]));
  });
  return [
    await row("seal and countersign", 0.5, floor, (i) => sealer.seal("vote", i + 1, plaintexts[i]!)),
    await row(`seal and countersign, ${TOGETHER} an entry`, 1, floor, (i) => {
      if (i % TOGETHER === 0) sealer.seal("vote", i + 1, joined[i / TOGETHER]!);
    }),
  ];
}

async function judging(votes: readonly Vote[], manifest: Manifest, floor: () => void) {
  const nowMs = Date.now();
  const place = placer(manifest);
  const store = (entry: PlacedRecord, offset: number): StoredRecord => {
    return { ...entry, offset, appendedAtMs: nowMs };
  };
  const alone = votes.map((vote) => place(vote)).map(store);
  const partitioned = Map.groupBy(votes, (vote) => place(vote).partition);
  // Votes of one partition, over and over: how often one was seen does not matter to judging.
  const [own] = [...partitioned.values()].toSorted((a, b) => b.length - a.length);
  const together = Array.from({ length: MESSAGES / TOGETHER }, (_, n) => {
    return place(...Array.from({ length: TOGETHER }, (_, i) => own![(n * TOGETHER + i) % own!.length]!));
  }).map(store);
  const history = knownHistory(manifest, alone[0]!.senderKey);
  const check = (entry: StoredRecord) => {
    if (judge(entry, history).some(({ fate }) => fate !== "acceptable")) {
      throw new Error("A record was not acceptable");
    }
  };
  return [
    await row("open and judge", 0.4, floor, (i) => check(alone[i]!)),
    await row(`open and judge, ${TOGETHER} an entry`, 0.6, floor, (i) => {
      if (i % TOGETHER === 0) check(together[i / TOGETHER]!);
    }),
  ];
}

/** The history that the aggregator has once it has seen this gateway: its keys are at hand. */
function knownHistory(manifest: Manifest, senderKey: Uint8Array): ElectionHistory {
  const history = testHistory(manifest);
  const sealingKey = history.sealingKey(senderKey);
  const view = history.at(0, 0);
  const gateway = view.gatewayKey({ election: manifest.election, id: "gateway-1", version: 1 });
  const devices = new Map<string, ReturnType<typeof view.deviceKey>>();
  const known: typeof view = {
    ...view,
    gatewayKey: () => gateway,
    deviceKey(device, version) {
      if (!devices.has(device)) devices.set(device, view.deviceKey(device, version));
      return devices.get(device);
    },
  };
  return { ...history, at: () => known, sealingKey: () => sealingKey };
}

function verifying(bodies: readonly Uint8Array[]) {
  const nowMs = Date.now();
  const requests = bodies.map((body) => {
    const headers = signRequest({
      path: "/v1/votes",
      contentType: "application/json",
      body,
      idempotencyKey: globalThis.crypto.randomUUID(),
      keyId: "bench/station-1-a.1",
      key,
      createdS: Math.floor(nowMs / 1_000),
    });
    return {
      contentType: headers["content-type"] ?? null,
      contentDigest: headers["content-digest"] ?? null,
      idempotencyKey: headers["idempotency-key"] ?? null,
      signatureInput: headers["signature-input"] ?? null,
      signature: headers["signature"] ?? null,
    };
  });
  const claim = readClaim("/v1/votes", requests[0]!);
  if (isFault(claim)) throw new Error(claim.detail);
  const base = utf8(claim.base);
  return row("verify a request", 0.5, (i) => {
    hmac(key, base);
    sodium.crypto_hash_sha256(bodies[i]!);
  }, (i) => {
    const claim = readClaim("/v1/votes", requests[i]!);
    if (isFault(claim) || verifyClaim(claim, key, bodies[i]!, nowMs) !== undefined) {
      throw new Error("A request was not believed");
    }
  });
}

async function row(
  of: string,
  goal: number,
  floor: (i: number) => void,
  candidate: (i: number) => void,
): Promise<Row> {
  const times = (work: (i: number) => void) => () =>
    perSecond(CALLS, () => {
      for (let i = 0; i < CALLS; i++) work(i % MESSAGES);
    });
  const compared = await compare(ROUNDS, times(floor), times(candidate));
  const microseconds = (perSecond: number) => (1e6 / perSecond).toFixed(1);
  const notes = `${microseconds(compared.value)} µs, floor ${microseconds(compared.floor)} µs`;
  return { benchmark: "crypto", of, ...compared, unit: "/s", goal: { ratio: goal }, notes };
}
