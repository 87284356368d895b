/**
 * The aggregator's signed answers for receipts (Ed25519, RFC 8032). A device forgets a vote only when such an answer says
 * so. It has the public key from the office, with its identity.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";
import { z } from "zod";
import { fromHex, toHex, utf8 } from "./bytes.ts";
import { idSchema, instantSchema } from "./election.ts";
import { parseJson } from "./json.ts";
import { problemSchema } from "./problem.ts";

/** Receipts of one request, at most. */
export const MAX_RECEIPTS = 1_000;

/** The signature covers this line, a line feed, and the text. */
const DOMAIN = "pollwire/2 answers";

const nonceSchema = z.string().regex(/^[0-9a-f]{32}$/, "must be 16 random bytes in lower-case hex");

/**
 * The answer for one vote, the best of all its copies: counted, duplicate, held, rejected, pending.
 * `gateways` names the gateways whose copies were held or rejected; `decided`: officials have decided, and nothing more comes.
 */
export const answerSchema = z.union([
  z.object({
    voteId: z.string(),
    outcome: z.enum(["pending", "counted", "duplicate", "held", "rejected"]),
    reason: z.string().optional(),
    gateways: z.array(z.string()).optional(),
    decided: z.boolean().optional(),
  }),
  /** The aggregator does not accept the receipt. */
  z.object({ voteId: z.string(), problem: problemSchema }),
]);
export type Answer = z.infer<typeof answerSchema>;

/** What the aggregator signs. `nonce` repeats the request's, so that an old answer cannot be sent again as a new one. */
export const answersSchema = z.object({
  election: idSchema,
  nonce: nonceSchema,
  /** The aggregator's clock. */
  answeredAt: instantSchema,
  answers: z.array(answerSchema).max(MAX_RECEIPTS),
});
export type Answers = z.infer<typeof answersSchema>;

/** Answers on the wire: the exact signed text, and the signature in hex. */
export const signedAnswersSchema = z.object({
  signed: z.string(),
  signature: z.string().regex(/^[0-9a-f]{128}$/, "must be 64 bytes in lower-case hex"),
});
export type SignedAnswers = z.infer<typeof signedAnswersSchema>;

/** Signs answers. `privateKey` is the 64 bytes of `answerKeyPair()` in keys.ts. */
export function signAnswers(answers: Answers, privateKey: Uint8Array): SignedAnswers {
  const signed = JSON.stringify(answers);
  return { signed, signature: toHex(sodium.crypto_sign_detached(messageOf(signed), privateKey)) };
}

/** An error message about an answer, for the operator. */
export type AnswersFault = Readonly<{ fault: string }>;

/**
 * Checks the signature over the received text, and only then parses it.
 *
 * @param publicKey In hex.
 * @param asked The election and the nonce of the request.
 */
export function openAnswers(
  { signed, signature }: SignedAnswers,
  publicKey: string,
  asked: Readonly<{ election: string; nonce: string }>,
): Answers | AnswersFault {
  if (!sodium.crypto_sign_verify_detached(fromHex(signature), messageOf(signed), fromHex(publicKey))) {
    return { fault: "the answer's signature is not the aggregator's" };
  }
  const read = answersSchema.safeParse(parseJson(signed));
  if (!read.success) return { fault: "the aggregator signed a text that is no answer to receipts" };
  const { election, nonce } = read.data;
  if (election !== asked.election || nonce !== asked.nonce) {
    return { fault: "the aggregator's answer belongs to another request" };
  }
  return read.data;
}

function messageOf(signed: string): Uint8Array {
  return utf8(`${DOMAIN}\n${signed}`);
}
