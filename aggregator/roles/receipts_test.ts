import assert from "assert";
import { Registry } from "prom-client";
import { writeReceipt } from "../../shared/receipt.ts";
import type { Database } from "../database/database.ts";
import { RETRY_AFTER_S } from "../public/answers.ts";
import { createReceiptsApp } from "./receipts.ts";

Deno.test("a process that has not read the registry yet says that it is not ready, and not that there is no such election", async () => {
  const receipt = writeReceipt(new Uint8Array(32), {
    election: "town",
    voteId: crypto.randomUUID(),
    voterKey: "00".repeat(32),
    proof: "00".repeat(16),
    gateway: "g-1.1",
    minute: "2026-11-03T12:00Z",
  });
  let isRegistryRead = false;
  const app = createReceiptsApp({
    db: undefined as unknown as Database,
    now: () => 0,
    keysOf: () => undefined,
    isRegistryRead: () => isRegistryRead,
    metrics: new Registry(),
  });
  const ask = async () => {
    const answer = await app.request("/v1/receipts/check", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ election: "town", nonce: "ab".repeat(16), receipts: [receipt] }),
    });
    return {
      status: answer.status,
      retry: answer.headers.get("retry-after"),
      type: (await answer.json()).type,
    };
  };
  assert.deepEqual(await ask(), {
    status: 503,
    retry: RETRY_AFTER_S,
    type: "urn:pollwire:problem:not-ready",
  });
  isRegistryRead = true;
  assert.deepEqual(await ask(), { status: 404, retry: null, type: "urn:pollwire:problem:unknown-election" });
});
