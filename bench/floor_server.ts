/**
 * The floor of taking votes in: bare hono on Deno.serve that reads the body, checks one HMAC over it, parses it with
 * the schemas of what is posted and of the vote in it, and answers. No signature profile, no manifest, no sealing, no disk.
 *
 * @module
 */
import { Hono } from "hono";
import { equalBytes, fromHex, fromUtf8 } from "../shared/bytes.ts";
import { hmac } from "../shared/keys.ts";
import { signedVoteSchema } from "../shared/proof.ts";
import { voteSchema } from "../shared/vote.ts";
import { FLOOR_HEADER, FLOOR_KEY } from "./ballots.ts";

const app = new Hono();

async function checkedBody(request: Request): Promise<string | undefined> {
  const body = new Uint8Array(await request.arrayBuffer());
  const mac = fromHex(request.headers.get(FLOOR_HEADER) ?? "");
  return equalBytes(hmac(FLOOR_KEY, body), mac) ? fromUtf8(body) : undefined;
}

function isVote(text: string): boolean {
  const posted = signedVoteSchema.safeParse(JSON.parse(text));
  return posted.success && voteSchema.safeParse(JSON.parse(posted.data.vote)).success;
}

app.post("/v1/votes", async (c) => {
  const text = await checkedBody(c.req.raw);
  if (text === undefined) return c.body(null, 401);
  return isVote(text) ? c.text("", 202) : c.body(null, 422);
});

app.post("/v1/votes/batch", async (c) => {
  const text = await checkedBody(c.req.raw);
  if (text === undefined) return c.body(null, 401);
  const good = text.split("\n").every(isVote);
  return good ? c.text("", 207) : c.body(null, 422);
});

app.get("/health/ready", (c) => c.json({ ready: true, spool: { records: 0 } }));

Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]), onListen: () => {} }, app.fetch);
