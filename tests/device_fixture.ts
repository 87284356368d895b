/**
 * What a device talks to, made small: a device's identity, a gateway that checks what devices must get right, and an
 * aggregator that signs what a test wants it to answer.
 *
 * @module
 */
import { Hono } from "hono";
import type { ClientIdentity } from "../device/client.ts";
import type { DeviceIdentity } from "../device/device.ts";
import { type Answer, signAnswers, type SignedAnswers } from "../shared/answers.ts";
import { fromHex, toHex } from "../shared/bytes.ts";
import { answerKeyPair, deviceKey, formatKeyName, proofKey } from "../shared/keys.ts";
import { problem, problemResponse } from "../shared/problem.ts";
import { isProofOf, proofLeaf, signedVoteSchema } from "../shared/proof.ts";
import type { Receipt } from "../shared/receipt.ts";
import { isFault, readClaim, verifyClaim } from "../shared/signature.ts";
import { voteSchema } from "../shared/vote.ts";
import { MASTER, testReceipt } from "./fixture.ts";

/** A device of station `n-1`, with its keys as bytes. */
export function testDeviceIdentity(election = "e", device = "n-1-a", station = "n-1"): DeviceIdentity {
  const name = { election, id: device, version: 1 };
  return {
    election,
    device,
    version: 1,
    station,
    key: deviceKey(MASTER, name),
    proofKey: proofKey(MASTER, name),
  };
}

/** The same device as its maker writes it down. */
export function testIdentity(election = "e", device = "n-1-a", station = "n-1"): ClientIdentity {
  const { key, proofKey, ...identity } = testDeviceIdentity(election, device, station);
  return { ...identity, key: toHex(key), proofKey: toHex(proofKey), answerKey: testAnswerKey(election) };
}

/** The public key of the aggregator's answers, in hex. */
export function testAnswerKey(election = "e"): string {
  return toHex(answerKeyPair(MASTER, election).publicKey);
}

/** What a device asks for at `receipts/check`. */
export type ReceiptsRequest = Readonly<{ election: string; nonce: string; receipts: readonly Receipt[] }>;

/** Signs an answer for each receipt, as the aggregator does. `answer` needs no vote id. */
export function testAnswers(
  { election, nonce, receipts }: ReceiptsRequest,
  answer: (receipt: Receipt) => object,
  answeredAtMs: number,
  master: Uint8Array = MASTER,
): SignedAnswers {
  return signAnswers({
    election,
    nonce,
    answeredAt: new Date(answeredAtMs).toISOString(),
    answers: receipts.map((receipt) => ({ voteId: receipt.voteId, ...answer(receipt) }) as Answer),
  }, answerKeyPair(master, election).privateKey);
}

/** What a gateway does instead of taking votes; `nth` counts its requests from 0. */
export type Misbehaviour = (nth: number, lines: string[]) => Response | undefined;

/**
 * A gateway that checks signatures and proofs, and takes each vote unless `fails` says otherwise.
 *
 * @param gateway Its id.
 */
export function testGateway(
  identity: DeviceIdentity,
  nowMs: () => number,
  fails: Misbehaviour = () => undefined,
  gateway = "gateway-1",
) {
  const taken: string[] = [];
  const created: number[] = [];
  let nth = 0;
  const keyId = formatKeyName({ ...identity, id: identity.device });
  const app = new Hono();
  // What `fails` throws is a connection that fails, and no answer.
  app.onError((error) => {
    throw error;
  });
  app.post("/v1/*", async (c) => {
    const body = new Uint8Array(await c.req.arrayBuffer());
    const header = (name: string) => c.req.header(name) ?? null;
    const claim = readClaim(c.req.path, {
      contentType: header("content-type"),
      contentDigest: header("content-digest"),
      idempotencyKey: header("idempotency-key"),
      signatureInput: header("signature-input"),
      signature: header("signature"),
    });
    if (isFault(claim)) return problemResponse(problem(claim.reason, claim.detail));
    if (claim.keyId !== keyId) return problemResponse(problem("unknown-key"));
    const fault = verifyClaim(claim, identity.key, body, nowMs());
    if (fault !== undefined) {
      const now = new Date(nowMs()).toISOString();
      return problemResponse(problem(fault.reason, fault.detail, { now }));
    }
    created.push(claim.created);
    const lines = new TextDecoder().decode(body).split("\n").filter((line) => line !== "");
    const failure = fails(nth++, lines);
    if (failure !== undefined) return failure;
    const receipts = lines.map((line) => testTaking(identity, line, gateway));
    taken.push(...receipts.map(({ voteId }) => voteId));
    if (c.req.path === "/v1/votes") {
      if (receipts[0].voteId !== claim.idempotencyKey) return problemResponse(problem("vote-id-mismatch"));
      return c.json({ receipt: receipts[0] }, 202);
    }
    return c.json({
      results: receipts.map((receipt, i) => ({
        line: i + 1,
        voteId: receipt.voteId,
        status: 202,
        receipt,
      })),
    }, 207);
  });
  return { app, taken, created };
}

/** The receipt for a posted vote. @throws when the vote is not in order, or its proof is not the device's. */
export function testTaking(
  { device, version, election, proofKey }: DeviceIdentity,
  line: string,
  gateway = "gateway-1",
): Receipt {
  const signed = signedVoteSchema.parse(JSON.parse(line));
  const { voteId } = voteSchema.parse(JSON.parse(signed.vote));
  const proof = fromHex(signed.proof);
  const isOwn = signed.proofKey === `${device}.${version}` &&
    isProofOf(proof, proofKey, election, signed.proofKey, signed.vote);
  if (!isOwn) throw new Error(`the proof of vote ${voteId} is not that of ${device}`);
  return testReceipt(voteId, { election, proof: proofLeaf(proof), gateway: `${gateway}.1` });
}
