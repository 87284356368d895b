/**
 * The rows that the count answers with, as schemas: types for the compiler, and parts of the HTTP interface's answers
 * (public/schemas.ts).
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { FATES } from "../../shared/outcome.ts";
import { count, id, instant, minute } from "../registry/schemas.ts";

const balance = {
  read: count.describe("Records read from the log"),
  counted: count,
  duplicate: count,
  rejected: count,
  held: count.describe("Records that wait for the office's decision"),
  statements: count.describe("Gateways' statements of how many records they took"),
  balanced: z.boolean().describe("read = counted + duplicate + rejected + held + statements"),
};
export const lag = count.nullable().describe(
  "Entries of the log that are still to be read, each of one or more records; null when the log cannot be asked",
);
const balanceSchema = z.strictObject(balance);
/** How many records, and what became of them. */
export type Balance = z.infer<typeof balanceSchema>;
const fate = z.enum(FATES);

const outcomes = z.array(
  z.strictObject({ fate, reason: z.string().describe("Empty for counted"), records: count }),
);

/** The reconciliation; what is shown of the count is no part of them. */
export const countReconciliationSchema = z.strictObject({
  election: id,
  total: z.strictObject({ ...balance, lag }),
  partitions: z.array(
    z.strictObject({ partition: count, ...balance, nextOffset: count, logEnd: count.nullable(), lag }),
  ),
  outcomes,
  gaps: z.array(z.strictObject({ partition: count, from: count, until: count }))
    .describe("Offsets that the log never delivered: from the first, up to and not with the second"),
});
/** The reconciliation of an election's count. */
export type CountReconciliation = z.infer<typeof countReconciliationSchema>;

export const rejectionsSchema = z.strictObject({
  election: id,
  doubleVotes: count.describe("Records of voters who had voted, under another vote id"),
  rejected: count,
  rows: z.array(z.strictObject({
    partition: count,
    offset: count,
    index: count.describe("Of the record in its entry"),
    fate: z.enum(["duplicate", "rejected"]),
    reason: z.string(),
    minute: minute.describe("When it came onto the log"),
    gateway: id.nullable(),
    station: id.nullable(),
  })).describe("The newest first; without retransmissions"),
}).openapi("Rejections");
/** Records that were not counted. No vote id, no voter key, no time finer than a minute: this is for everyone. */
export type Rejections = z.infer<typeof rejectionsSchema>;

const range = z.strictObject({ from: count, to: count });

export const gatewaysSchema = z.strictObject({
  election: id,
  rows: z.array(z.strictObject({
    gateway: id,
    isClosed: z.boolean().describe("The gateway has named all its sender keys after the acceptance window"),
    senderKeys: z.array(z.strictObject({
      senderKey: z.string().describe("In hex"),
      registeredAt: instant,
      registeredBy: z.enum(["sync", "log"]),
      stated: count.nullable().describe("Records that the gateway says it took; null while the key is open"),
      read: count.describe("Different numbers that were read"),
      missing: z.array(range).describe(
        "Numbers that were not read, up to the number stated, or else to the highest read",
      ),
      missingNumbers: count.describe("How many numbers that is"),
      aboveStated: count.describe("Numbers above the one stated that were read all the same"),
      isOpen: z.boolean().describe("Neither stated nor waived"),
      isListed: z.boolean().describe("The gateway named it in its closing list"),
      isWaived: z.boolean().describe("Officials accept that no statement comes"),
    })),
  })),
}).openapi("Gateways");
/** What gateways state, compared with what was read. */
export type Gateways = z.infer<typeof gatewaysSchema>;

/** `event: turnout` of the stream. */
export const progressSchema = z.strictObject({
  ...balance,
  voters: count.describe("How many have voted"),
  outcomes,
})
  .openapi("Progress");
export type Progress = z.infer<typeof progressSchema>;
