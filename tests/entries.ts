/**
 * Entries put together as docs/wire-format.md says and in no words of record.ts, so that a test can also make wrong ones.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";
import { fromHex, lengthPrefixed, utf8 } from "../shared/bytes.ts";
import {
  formatKeyName,
  gatewayKey,
  hmac,
  type KeyPair,
  proofKey,
  recordKey,
  sealingKeyPair,
} from "../shared/keys.ts";
import type { StoredRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { MASTER, NOON_MS, testManifest, type TestRecord, testRecord } from "./fixture.ts";

const MANIFEST = testManifest();
const ELECTION = MANIFEST.election;
const AGGREGATOR_KEY = fromHex(MANIFEST.sealingKey);

/** How one record came about. Every field is a place where it can go wrong. */
export type RecordMaking = {
  vote: TestRecord;
  /** The vote's exact text, when it is not that of `vote`. */
  text: Uint8Array;
  /** The text that the proof is made of, when it is another. */
  provenText: Uint8Array;
  /** The election that the proof is made for. */
  provenFor: string;
  device: string;
  deviceVersion: number;
  proofKey: Uint8Array;
  proof: Uint8Array;
  credential: number;
  scheme: number;
  acceptedAtMs: bigint;
  manifestVersion: number;
};

/** Length of every record's plaintext in these tests, in bytes. */
export const PLAIN_BYTES = 122 + MANIFEST.voteBytes;

/** The text of a record's vote, as its device writes it. */
export function voteText({ voteId, voterId, station, mode, selections, castAt }: TestRecord): Uint8Array {
  return utf8(JSON.stringify({ voteId, voterId, station, mode, selections, castAt }));
}

/** One record's plaintext. */
export function plainRecord(making: Partial<RecordMaking> = {}): Uint8Array<ArrayBuffer> {
  const vote = making.vote ?? testRecord("1");
  const text = making.text ?? voteText(vote);
  const device = making.device ?? vote.device;
  const version = making.deviceVersion ?? 1;
  const name = utf8(`${device}.${version}`);
  const key = making.proofKey ?? proofKey(MASTER, { election: ELECTION, id: device, version });
  const proof = making.proof ??
    hmac(
      key,
      lengthPrefixed("pollwire/2 vote", making.provenFor ?? ELECTION, name, making.provenText ?? text),
    );
  const bytes = new Uint8Array(PLAIN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, making.credential ?? 1);
  view.setUint8(1, making.scheme ?? 1);
  view.setBigUint64(2, making.acceptedAtMs ?? BigInt(Date.parse(vote.acceptedAt)));
  view.setUint32(10, making.manifestVersion ?? vote.manifestVersion);
  view.setUint8(14, name.length);
  bytes.set(name, 15);
  bytes.set(proof, 15 + name.length);
  view.setUint32(47 + name.length, text.length);
  bytes.set(text.subarray(0, PLAIN_BYTES - 51 - name.length), 51 + name.length);
  return bytes;
}

/** A statement's plaintext. */
export function plainStatement(
  records: number | bigint,
  statedAtMs: number | bigint = NOON_MS,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(records));
  new DataView(bytes.buffer).setBigUint64(8, BigInt(statedAtMs));
  return bytes;
}

/** How an entry came about. */
export type EntryMaking = {
  version: string;
  kind: string;
  domain: string;
  election: string;
  gateway: string;
  keyVersion: number;
  signingKey: Uint8Array;
  sender: KeyPair;
  sealingKey: Uint8Array;
  sequence: number;
  nonce: Uint8Array;
  plaintext: Uint8Array;
  partition: number;
  offset: number;
  appendedAtMs: number;
};

/** The gateway process that seals entries when a test names no other. */
export const SENDER: KeyPair = sealingKeyPair(MASTER, "a gateway process");

/** The key that seals what a sender sends to the aggregator. */
export function sealingKeyOf(sender: KeyPair): Uint8Array {
  return recordKey(sender.privateKey, AGGREGATOR_KEY, ELECTION, sender.publicKey, AGGREGATOR_KEY);
}

/** Seals and signs an entry, and puts it on the log. */
export function madeEntry(making: Partial<EntryMaking> = {}): StoredRecord {
  const { version = "2", kind = "vote", gateway = "g-1", keyVersion = 1, sender = SENDER } = making;
  const { election = ELECTION, sequence = 1, plaintext = plainRecord() } = making;
  const name = { election, id: gateway, version: keyVersion };
  const keyId = formatKeyName(name);
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(sequence));
  const domain = making.domain ?? (kind === "statement" ? "pollwire/2 statement" : "pollwire/2 record");
  const context = [domain, election, "2", keyId, sender.publicKey, number] as const;
  const nonce = making.nonce ?? crypto.getRandomValues(new Uint8Array(24));
  const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    plaintext,
    lengthPrefixed(...context),
    null,
    nonce,
    making.sealingKey ?? sealingKeyOf(sender),
  );
  const value = new Uint8Array([...nonce, ...sealed]);
  return {
    version,
    kind,
    keyId,
    senderKey: sender.publicKey,
    sequence,
    signature: hmac(making.signingKey ?? gatewayKey(MASTER, name), lengthPrefixed(...context, value)),
    value,
    partition: making.partition ?? 0,
    offset: making.offset ?? 20,
    appendedAtMs: making.appendedAtMs ?? NOON_MS,
  };
}

/** An entry of one record, on the partition of its voter. It is appended when it was accepted, where a test says nothing else. */
export function recordEntry(
  making: Partial<RecordMaking> = {},
  entry: Partial<EntryMaking> = {},
): StoredRecord {
  const vote = making.vote ?? testRecord("1");
  return madeEntry({
    plaintext: plainRecord({ ...making, vote }),
    partition: partitionOf(fromHex(vote.voterKey), MANIFEST.partitions),
    appendedAtMs: Date.parse(vote.acceptedAt),
    ...entry,
  });
}
