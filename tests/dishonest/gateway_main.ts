/**
 * A gateway that lies. It has a real gateway's file, so it signs as that gateway; it answers every vote with a genuine
 * receipt, and puts on the log what its environment says. No code of the honest gateway runs here.
 *
 * @module
 */
import { fromHex, utf8 } from "../../shared/bytes.ts";
import { ephemeralKeyPair, pseudonymKey, recordKey, voterKeyOf } from "../../shared/keys.ts";
import { openSqliteLog } from "../../shared/log/sqlite.ts";
import { partitionOf } from "../../shared/partition.ts";
import { proofLeaf, type SignedVote } from "../../shared/proof.ts";
import { minuteOf, receiptKey, writeReceipt } from "../../shared/receipt.ts";
import { encodeRecord, entrySealer, type RecordContent } from "../../shared/record.ts";
import type { Vote } from "../../shared/vote.ts";

/** How it lies. `drop` puts nothing on the log; `refuse` refuses every vote. */
export const LIES = [
  "selection",
  "station",
  "voter",
  "invent",
  "1970",
  "no-manifest",
  "partition",
  "drop",
  "refuse",
] as const;
export type Lie = (typeof LIES)[number];

/** What it needs besides the gateway's file. `pseudonymKey` is what gateways get from the aggregator. */
export type DishonestSetup = Readonly<{
  lie: Lie;
  port: number;
  file: string;
  log: string;
  partitions: number;
  voteBytes: number;
  sealingKey: string;
  pseudonymKey: string;
  manifestVersion: number;
}>;

/** Votes that nobody cast, made for the voters named here. */
const INVENTED_VOTER = "voter-invented";

if (import.meta.main) {
  const setup: DishonestSetup = JSON.parse(Deno.args[0]!);
  const { gateway, elections: [own] } = JSON.parse(Deno.readTextFileSync(setup.file));
  const { election, key, keyVersion } = own;
  const signingKey = fromHex(key);
  const name = { election, id: gateway, version: keyVersion };
  const { privateKey, publicKey } = ephemeralKeyPair();
  const aggregatorKey = fromHex(setup.sealingKey);
  const sealer = entrySealer({
    name,
    signingKey,
    sealingKey: recordKey(privateKey, aggregatorKey, election, publicKey, aggregatorKey),
    senderKey: publicKey,
  });
  const log = openSqliteLog(setup.log, election, setup.partitions);
  const pseudonym = fromHex(setup.pseudonymKey);
  let sequence = 0;

  const append = async (vote: Vote, content: RecordContent) => {
    const voterKey = voterKeyOf(pseudonym, vote.voterId);
    const right = partitionOf(voterKey, setup.partitions);
    const partition = setup.lie === "partition" ? (right + 1) % setup.partitions : right;
    const entry = sealer.seal("vote", ++sequence, encodeRecord(content, setup.voteBytes));
    await log.append([{ ...entry, partition }]);
  };

  const lieAbout = async (signed: SignedVote, vote: Vote, acceptedAtMs: number) => {
    const altered: Record<string, Partial<Vote>> = {
      selection: { selections: [{ contest: "mayor", candidate: "bob" }] },
      station: { station: vote.station === "n-1" ? "n-2" : "n-1" },
      voter: { voterId: INVENTED_VOTER },
      invent: { voterId: INVENTED_VOTER, voteId: crypto.randomUUID() },
    };
    const told = { ...vote, ...altered[setup.lie] };
    const text = setup.lie in altered ? JSON.stringify(told) : signed.vote;
    await append(told, {
      acceptedAtMs: setup.lie === "1970" ? 0 : acceptedAtMs,
      manifestVersion: setup.lie === "no-manifest" ? 999 : setup.manifestVersion,
      proofKey: signed.proofKey,
      proof: fromHex(signed.proof),
      vote: utf8(text),
    });
  };

  Deno.serve({
    hostname: "127.0.0.1",
    port: setup.port,
    onListen: () => console.log("listens"),
  }, async (request) => {
    const body = await request.text();
    if (!new URL(request.url).pathname.startsWith("/v1/votes")) return Response.json({ ready: true });
    if (setup.lie === "refuse") {
      const problem = { type: "urn:pollwire:problem:overvote", title: "More than allowed", status: 422 };
      return Response.json(problem, { status: 422 });
    }
    const answers = [];
    for (const [index, line] of body.trim().split("\n").entries()) {
      const signed: SignedVote = JSON.parse(line);
      const vote: Vote = JSON.parse(signed.vote);
      const nowMs = Date.now();
      if (setup.lie !== "drop") await lieAbout(signed, vote, nowMs);
      const receipt = writeReceipt(receiptKey(signingKey), {
        election,
        voteId: vote.voteId,
        voterKey: voterKeyOf(pseudonym, vote.voterId).toHex(),
        proof: proofLeaf(fromHex(signed.proof)),
        gateway: `${gateway}.${keyVersion}`,
        minute: minuteOf(new Date(nowMs).toISOString()),
      });
      answers.push({ line: index + 1, voteId: vote.voteId, status: 202, receipt });
    }
    return new URL(request.url).pathname === "/v1/votes"
      ? Response.json({ receipt: answers[0]!.receipt }, { status: 202 })
      : Response.json({ results: answers }, { status: 207 });
  });
}

/** The key of voter keys, as gateways get it. */
export function pseudonymKeyOf(master: string, election: string): string {
  return pseudonymKey(fromHex(master), election).toHex();
}
