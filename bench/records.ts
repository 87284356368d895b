/**
 * Records as a gateway makes them, for what comes after the gateway.
 *
 * @module
 */
import { fromHex, utf8 } from "../shared/bytes.ts";
import type { Manifest } from "../shared/election.ts";
import { pseudonymKey, voterKeyOf } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { encodeRecord } from "../shared/record.ts";
import type { Vote } from "../shared/vote.ts";
import { MASTER, testDevice, type TestRecord, testSealer, testSignedVote } from "../tests/fixture.ts";

/** Makes the record of a vote that was taken in just now. */
export function recordMaker({ election }: Pick<Manifest, "election">): (vote: Vote) => TestRecord {
  const pseudonym = pseudonymKey(MASTER, election);
  return (vote) => ({
    ...vote,
    election,
    voterKey: voterKeyOf(pseudonym, vote.voterId).toHex(),
    manifestVersion: 1,
    acceptedAt: vote.castAt,
    device: testDevice(vote.station),
  });
}

/** Makes the plaintext of a vote that was taken in just now, as a gateway hands it to its spool's thread. */
export function plaintextMaker({ election, voteBytes }: Manifest): (vote: Vote) => Uint8Array<ArrayBuffer> {
  return (cast) => {
    const { vote, proof, proofKey } = testSignedVote(cast, undefined, election);
    const content = { acceptedAtMs: Date.parse(cast.castAt), manifestVersion: 1, proofKey };
    return encodeRecord({ ...content, proof: fromHex(proof), vote: utf8(vote) }, voteBytes);
  };
}

/** Seals votes of one partition as the election's one gateway does, as one entry, and places it. */
export function placer(manifest: Manifest): (...votes: Vote[]) => PlacedRecord {
  const sealer = testSealer(manifest, "gateway-1");
  const recordOf = recordMaker(manifest);
  return (...votes) => {
    const records = votes.map(recordOf);
    const voterKey = fromHex(records[0]!.voterKey);
    return { ...sealer.seal(...records), partition: partitionOf(voterKey, manifest.partitions) };
  };
}
