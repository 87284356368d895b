/**
 * Makes docs/vectors.json, the same each time: `deno run -A tests/vectors/make.ts`. vectors_test.ts holds the file to
 * what this makes, and to other implementations of everything in it.
 *
 * @module
 */
import { signAnswers } from "../../shared/answers.ts";
import { lengthPrefixed, utf8 } from "../../shared/bytes.ts";
import {
  answerKeyPair,
  deviceKey,
  gatewayKey,
  manifestKeyPair,
  proofKey,
  pseudonymKey,
  recordKey,
  sealingKeyPair,
  voterKeyOf,
} from "../../shared/keys.ts";
import { problem } from "../../shared/problem.ts";
import { receiptKey } from "../../shared/receipt.ts";
import { openEntry } from "../../shared/record.ts";
import { syncKey } from "../../shared/sync.ts";
import { MASTER, testManifest } from "../fixture.ts";
import { countLog, keptHistory } from "../kept_history.ts";
import { accepted, refused, signedVotes } from "./requests.ts";
import { contextOf, vectorLog } from "./log.ts";

const ELECTION = "test-2026";
const MANIFEST = testManifest();
const DEVICE = { election: ELECTION, id: "n-1-a", version: 1 };
const GATEWAY = { election: ELECTION, id: "g-1", version: 1 };

function keys() {
  const gateway = gatewayKey(MASTER, GATEWAY);
  const sealing = sealingKeyPair(MASTER, ELECTION);
  const derived = (
    name: string,
    secret: Uint8Array,
    key: Uint8Array,
    purpose: string,
    ...context: string[]
  ) => ({
    name,
    secret: secret.toHex(),
    info: lengthPrefixed("pollwire/2", purpose, ...context).toHex(),
    key: key.toHex(),
  });
  return {
    about:
      "HKDF-SHA256 (RFC 5869) with an empty salt, 32 bytes; info is length-prefixed. For X25519 the key is the private key, for Ed25519 the seed; publicKey is the public half.",
    master: MASTER.toHex(),
    derived: [
      derived(
        "a device's key for requests",
        MASTER,
        deviceKey(MASTER, DEVICE),
        "device",
        ELECTION,
        "n-1-a",
        "1",
      ),
      derived(
        "a device's key for proofs",
        MASTER,
        proofKey(MASTER, DEVICE),
        "device-proof",
        ELECTION,
        "n-1-a",
        "1",
      ),
      derived("a gateway's key", MASTER, gateway, "gateway", ELECTION, "g-1", "1"),
      derived("the key of a gateway's receipts", gateway, receiptKey(gateway), "receipt"),
      derived("the key of answers to a gateway's sync", gateway, syncKey(gateway), "gateway-sync"),
      derived("the key of voter keys", MASTER, pseudonymKey(MASTER, ELECTION), "pseudonym", ELECTION),
      {
        ...derived("the aggregator's X25519 key", MASTER, sealing.privateKey, "sealing", ELECTION),
        publicKey: sealing.publicKey.toHex(),
      },
      {
        ...derived(
          "the seed of the Ed25519 key for manifests",
          MASTER,
          manifestKeyPair(MASTER, ELECTION).privateKey.subarray(0, 32),
          "manifest",
          ELECTION,
        ),
        publicKey: manifestKeyPair(MASTER, ELECTION).publicKey.toHex(),
      },
      {
        ...derived(
          "the seed of the Ed25519 key for answers",
          MASTER,
          answerKeyPair(MASTER, ELECTION).privateKey.subarray(0, 32),
          "answers",
          ELECTION,
        ),
        publicKey: answerKeyPair(MASTER, ELECTION).publicKey.toHex(),
      },
    ],
    voter: {
      voterId: "voter-1",
      voterKey: voterKeyOf(pseudonymKey(MASTER, ELECTION), "voter-1").toHex(),
    },
  };
}

function receipts(first: ReturnType<typeof accepted>[0]) {
  const { receipt } = (first.answer as { body: { receipt: Record<string, string> } }).body;
  const { mac: _, ...fields } = receipt;
  const forged = { ...receipt, minute: "2026-11-03T12:01Z" };
  const nonce = "0123456789abcdef0123456789abcdef";
  const { voteId } = receipt;
  const { privateKey, publicKey } = answerKeyPair(MASTER, ELECTION);
  const answers = {
    election: ELECTION,
    nonce,
    answeredAt: "2026-11-03T12:00:05.000Z",
    answers: [{ voteId, outcome: "counted" as const }, { voteId, problem: problem("bad-receipt") }],
  };
  const { signed, signature } = signAnswers(answers, privateKey);
  return {
    about:
      "mac is the first 16 bytes of HMAC-SHA256(the key of the gateway's receipts, macInput). The aggregator's Ed25519 signature is over signedMessage: the domain, a line feed, and the text of signed.",
    receipt,
    macInput: lengthPrefixed("pollwire/2 receipt", ...Object.values(fields)).toHex(),
    check: {
      request: {
        method: "POST",
        path: "/v1/receipts/check",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ election: ELECTION, nonce, receipts: [receipt, forged] }),
      },
      answer: { signed, signature },
      signedMessage: utf8(`pollwire/2 answers\n${signed}`).toHex(),
      publicKey: publicKey.toHex(),
    },
  };
}

function logVectors() {
  const { changes, entries } = vectorLog();
  const aggregator = sealingKeyPair(MASTER, ELECTION);
  const basis = {
    election: ELECTION,
    partitions: MANIFEST.partitions,
    voteBytes: MANIFEST.voteBytes,
    pseudonymKey: pseudonymKey(MASTER, ELECTION),
    aggregator,
  };
  const { count } = countLog(keptHistory(basis, changes), changes, entries.map(({ entry }) => entry));
  const sorted = (map: Map<string, number>) =>
    Object.fromEntries([...map].toSorted(([a], [b]) => a < b ? -1 : 1));
  return {
    about:
      "One log with its history. A change is one revision, the first is revision 1, and applies in partition p from offset from[p] on. Entries of a partition are in order. expected has what becomes of each record of an entry, by index; decided is what a decision makes of a held one. count is what the whole log comes to in the end.",
    election: ELECTION,
    partitions: basis.partitions,
    voteBytes: basis.voteBytes,
    pseudonymKey: basis.pseudonymKey.toHex(),
    aggregatorPrivateKey: aggregator.privateKey.toHex(),
    changes,
    entries: entries.map(({ name, entry, expected }) => ({
      name,
      partition: entry.partition,
      offset: entry.offset,
      appendedAt: new Date(entry.appendedAtMs).toISOString(),
      headers: {
        "v": entry.version,
        "kind": entry.kind,
        "key-id": entry.keyId,
        "sender-key": entry.senderKey.toHex(),
        "sequence": Number.isNaN(entry.sequence) ? "" : String(entry.sequence),
        "signature": entry.signature.toHex(),
      },
      value: entry.value.toHex(),
      expected,
    })),
    count: {
      outcomes: sorted(count.outcomes),
      votes: sorted(count.votes),
      turnout: sorted(count.turnout),
      groups: sorted(count.groups),
    },
  };
}

/** Some entries of the log with all that stands between their records and their bytes. */
function openedEntries() {
  const aggregator = sealingKeyPair(MASTER, ELECTION);
  const names = ["a vote", "an entry of five records", "a statement"];
  return names.map((name) => {
    const { entry } = vectorLog().entries.find((each) => each.name === name)!;
    const { senderKey, value } = entry;
    const sealingKey = recordKey(aggregator.privateKey, senderKey, ELECTION, senderKey, aggregator.publicKey);
    const context = contextOf(entry);
    return {
      name,
      partition: entry.partition,
      offset: entry.offset,
      sealingKey: sealingKey.toHex(),
      context: context.toHex(),
      nonce: value.subarray(0, 24).toHex(),
      plaintext: openEntry(sealingKey, context, value)!.toHex(),
    };
  });
}

/** Everything. */
export function makeVectors() {
  const requests = accepted();
  return {
    about:
      "Test vectors of Pollwire's wire format 2: see wire-format.md and devices.md. Bytes are in hex; texts are exact, UTF-8. A gateway g-1 of the election in log.changes[0], whose clock says gatewayTime, answers each request as it stands.",
    keys: keys(),
    signedVotes: signedVotes(),
    gatewayTime: "2026-11-03T12:00:00.000Z",
    device: {
      keyid: "test-2026/n-1-a.1",
      key: deviceKey(MASTER, DEVICE).toHex(),
      proofKey: proofKey(MASTER, DEVICE).toHex(),
      station: "n-1",
    },
    accepted: requests,
    receipt: receipts(requests[0]),
    refused: refused(),
    openedEntries: openedEntries(),
    log: logVectors(),
  };
}

/** The file's text. */
export function vectorsText(): string {
  return `${JSON.stringify(makeVectors(), null, 2)}\n`;
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("../../docs/vectors.json", import.meta.url), vectorsText());
}
