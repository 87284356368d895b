/**
 * The role `receipts`: answers POST /v1/receipts/check, signed. It has receipt keys and the key that signs answers.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { Counter, type Registry } from "prom-client";
import type { z } from "zod";
import type { Answer } from "../../shared/answers.ts";
import { isRehearsal, REHEARSAL_HEADER } from "../../shared/rehearsal.ts";
import { BodyReader, drain } from "../../web/body.ts";
import { isOfType } from "../../web/content_type.ts";
import type { Database } from "../database/database.ts";
import { refuse, refuseWith, RETRY_AFTER_S } from "../public/answers.ts";
import { answerReceipts, readReceipts } from "../public/receipts.ts";
import { MAX_BODY_BYTES, receiptsRoute } from "../public/routes.ts";
import type { receiptAnswersSchema } from "../public/schemas.ts";
import { OfficeError } from "../registry/office_error.ts";
import { receiptKeyFiles } from "../registry/role_key_files.ts";
import type { ReceiptKeysOf } from "../registry/role_keys.ts";

/** What the route stands on. */
export type ReceiptsAppOptions = Readonly<{
  db: Database;
  /** Milliseconds since 1970. */
  now(): number;
  keysOf: ReceiptKeysOf;
  /** Whether this process has read which elections there are: before, it has keys of none. Left out: from the beginning. */
  isRegistryRead?(): boolean;
  metrics: Registry;
}>;

/** Makes the route. */
export function createReceiptsApp(
  { db, now, keysOf, isRegistryRead = () => true, metrics }: ReceiptsAppOptions,
): OpenAPIHono {
  const app = new OpenAPIHono();
  const checked = new Counter({
    name: "pollwire_receipts_checked_total",
    help: "Receipts that were asked about, by what became of their votes",
    labelNames: ["outcome"],
    registers: [metrics],
  });
  const bodies = new BodyReader();
  const outcomeOf = (answer: Answer) => "problem" in answer ? "bad_receipt" : answer.outcome;
  app.openAPIRegistry.registerPath(receiptsRoute);
  app.post(receiptsRoute.path, async (c) => {
    const request = c.req.raw;
    if (!isOfType(request.headers.get("content-type"), "application/json")) {
      await drain(request);
      return refuse(
        c,
        "unsupported-media-type",
        "the body must be application/json, alone or with charset=utf-8",
      );
    }
    const body = await bodies.read(request, MAX_BODY_BYTES);
    if (!(body instanceof Uint8Array)) return refuseWith(body);
    const asked = readReceipts(body);
    if ("status" in asked) return refuseWith(asked);
    const keys = keysOf(asked.election);
    if (keys === undefined && !isRegistryRead()) {
      return refuse(c, "not-ready", "the registry has not been read yet; ask again", {
        headers: { "retry-after": RETRY_AFTER_S },
      });
    }
    if (keys === undefined) return refuse(c, "unknown-election", `there is no election ${asked.election}`);
    const { answers, signed } = await answerReceipts(db.query, keys, asked, new Date(now()));
    for (const answer of answers) checked.inc({ outcome: outcomeOf(answer) });
    c.header("cache-control", "no-store");
    if (isRehearsal(asked.election)) c.header(REHEARSAL_HEADER, "true");
    return c.json(signed satisfies z.infer<typeof receiptAnswersSchema>, 200);
  });
  return app;
}

/**
 * Receipt keys from the role's own files, of elections that the registry has: their readers may ask for any other.
 *
 * @param isKnown Whether the registry has an election.
 * @param now Milliseconds since 1970.
 */
export function receiptKeysOfFiles(
  directory: string,
  isKnown: (election: string) => boolean,
  now: () => number,
): ReceiptKeysOf {
  const files = receiptKeyFiles(directory, now);
  return (election) => isKnown(election) ? files(election) : undefined;
}

/** What keeps receipts of an election from being answered; `undefined` when nothing does. */
export function receiptsFault(keysOf: ReceiptKeysOf, election: string): string | undefined {
  try {
    return keysOf(election) === undefined ? `there are no receipt keys of election ${election}` : undefined;
  } catch (error) {
    if (error instanceof OfficeError) return error.message;
    throw error;
  }
}
