/**
 * Reads docs/vectors.json.
 *
 * @module
 */
import { z } from "zod";
import { signedAnswersSchema } from "../../shared/answers.ts";
import { fromHex } from "../../shared/bytes.ts";
import { instantSchema } from "../../shared/election.ts";
import { parseSequence } from "../../shared/log/kafka.ts";
import type { StoredRecord } from "../../shared/log/vote_log.ts";
import { signedVoteSchema } from "../../shared/proof.ts";
import { receiptSchema } from "../../shared/receipt.ts";
import { changeSchema } from "../kept_history.ts";

const hexSchema = z.string().regex(/^([0-9a-f]{2})*$/);

const requestSchema = z.strictObject({
  method: z.literal("POST"),
  path: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.string(),
});
export type VectorRequest = z.infer<typeof requestSchema>;

const lineSchema = z.strictObject({
  line: z.int(),
  voteId: z.string().optional(),
  status: z.int(),
  type: z.string().optional(),
  receipt: receiptSchema.optional(),
});

const entrySchema = z.strictObject({
  name: z.string(),
  partition: z.int(),
  offset: z.int(),
  appendedAt: instantSchema,
  headers: z.strictObject({
    "v": z.string(),
    "kind": z.string(),
    "key-id": z.string(),
    "sender-key": hexSchema,
    "sequence": z.string(),
    "signature": hexSchema,
  }),
  value: hexSchema,
  expected: z.array(z.strictObject({
    outcome: z.string(),
    sequence: z.int().optional(),
    clockAheadMs: z.int().optional(),
    altered: z.literal(true).optional(),
    decided: z.string().optional(),
  })),
});
export type VectorEntry = z.infer<typeof entrySchema>;

const totalsSchema = z.record(z.string(), z.int());

export const vectorsSchema = z.strictObject({
  about: z.string(),
  keys: z.strictObject({
    about: z.string(),
    master: hexSchema,
    derived: z.array(z.strictObject({
      name: z.string(),
      secret: hexSchema,
      info: hexSchema,
      key: hexSchema,
      publicKey: hexSchema.optional(),
    })),
    voter: z.strictObject({ voterId: z.string(), voterKey: hexSchema }),
  }),
  signedVotes: z.array(z.strictObject({
    name: z.string(),
    message: hexSchema,
    leaf: hexSchema,
    body: signedVoteSchema,
  })),
  gatewayTime: z.iso.datetime(),
  device: z.strictObject({ keyid: z.string(), key: hexSchema, proofKey: hexSchema, station: z.string() }),
  accepted: z.array(z.strictObject({
    name: z.string(),
    signatureBase: z.string(),
    request: requestSchema,
    answer: z.union([
      z.strictObject({ status: z.literal(202), body: z.strictObject({ receipt: receiptSchema }) }),
      z.strictObject({ status: z.literal(207), lines: z.array(lineSchema) }),
    ]),
  })),
  receipt: z.strictObject({
    about: z.string(),
    receipt: receiptSchema,
    macInput: hexSchema,
    check: z.strictObject({
      request: requestSchema,
      answer: signedAnswersSchema,
      signedMessage: hexSchema,
      publicKey: hexSchema,
    }),
  }),
  refused: z.array(z.strictObject({
    name: z.string(),
    request: requestSchema,
    answer: z.strictObject({ status: z.int(), type: z.string() }),
  })),
  openedEntries: z.array(z.strictObject({
    name: z.string(),
    partition: z.int(),
    offset: z.int(),
    sealingKey: hexSchema,
    context: hexSchema,
    nonce: hexSchema,
    plaintext: hexSchema,
  })),
  log: z.strictObject({
    about: z.string(),
    election: z.string(),
    partitions: z.int(),
    voteBytes: z.int(),
    pseudonymKey: hexSchema,
    aggregatorPrivateKey: hexSchema,
    changes: z.array(changeSchema),
    entries: z.array(entrySchema),
    count: z.strictObject({
      outcomes: totalsSchema,
      votes: totalsSchema,
      turnout: totalsSchema,
      groups: totalsSchema,
    }),
  }),
});

const FILE = new URL("../../docs/vectors.json", import.meta.url);

/** The file's text and what it says. */
export async function readVectors() {
  const text = await Deno.readTextFile(FILE);
  return { text, vectors: vectorsSchema.parse(JSON.parse(text)) };
}

/** An entry as a log would deliver it. */
export function storedEntry({ partition, offset, appendedAt, headers, value }: VectorEntry): StoredRecord {
  return {
    partition,
    offset,
    appendedAtMs: Date.parse(appendedAt),
    version: headers["v"],
    kind: headers["kind"],
    keyId: headers["key-id"],
    senderKey: fromHex(headers["sender-key"]),
    sequence: parseSequence(headers["sequence"]),
    signature: fromHex(headers["signature"]),
    value: fromHex(value),
  };
}
