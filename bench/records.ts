/**
 * Records as a gateway makes them, for what comes after the gateway.
 *
 * @module
 */
import { fromHex } from "../shared/bytes.ts";
import type { Manifest } from "../shared/election.ts";
import { pseudonymKey, voterKeyOf } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import type { VoteRecord } from "../shared/record.ts";
import type { Vote } from "../shared/vote.ts";
import { MASTER, testSealer } from "../tests/fixture.ts";

/** Makes the record of a vote that was taken in just now. */
export function recordMaker({ election }: Pick<Manifest, "election">): (vote: Vote) => VoteRecord {
  const pseudonym = pseudonymKey(MASTER, election);
  return ({ voterId, ...ballot }) => ({
    ...ballot,
    voterKey: voterKeyOf(pseudonym, voterId).toHex(),
    manifestVersion: 1,
    acceptedAt: ballot.castAt,
  });
}

/** Seals and places a vote's record as the election's one gateway does. */
export function placer(manifest: Manifest): (vote: Vote) => PlacedRecord {
  const sealer = testSealer(manifest, "gateway-1");
  const recordOf = recordMaker(manifest);
  return (vote) => {
    const record = recordOf(vote);
    return { ...sealer.seal(record), partition: partitionOf(fromHex(record.voterKey), manifest.partitions) };
  };
}
