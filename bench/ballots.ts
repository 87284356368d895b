/**
 * The election that benchmarks vote in, and its votes, signed and written as requests before any clock starts.
 *
 * @module
 */
import { utf8 } from "../shared/bytes.ts";
import { hmac } from "../shared/keys.ts";
import { PROOF_SCHEME, proofOf, type SignedVote } from "../shared/proof.ts";
import { signRequest } from "../shared/signature.ts";
import type { Vote } from "../shared/vote.ts";
import { voterChoices } from "../simulator/country/choices.ts";
import { type Country, simulateCountry } from "../simulator/country/country.ts";
import { postRequest } from "./http_load.ts";

/** The key under which the floor's server checks its one HMAC. It guards nothing. */
export const FLOOR_KEY: Uint8Array = new Uint8Array(32);
/** The header that carries it. */
export const FLOOR_HEADER = "x-floor-mac";

const SEED = 7;
/** Contests that every station votes on, unless there are to be more. */
const ALL_CONTESTS = 2;
const HOUR_MS = 3_600_000;

/** A device: who it is by the signature's `keyid`, and its keys for requests and for votes, 32 bytes each. */
export type Signer = Readonly<{ keyId: string; key: Uint8Array; proofKey: Uint8Array }>;

/** How large an election is, and its k. */
export type ElectionSize = Readonly<
  { voters: number; stations: number; gateways?: number; contests?: number; releaseThreshold?: number }
>;

/** An election that is open now: two contests of six candidates, five parties, ten regions; k = 1 unless it says otherwise. */
export function benchElection(
  { releaseThreshold = 1, ...size }: ElectionSize,
  election = "bench",
): Country {
  const { contests = ALL_CONTESTS } = size;
  const nowMs = Date.now();
  const instant = (ms: number) => new Date(ms).toISOString();
  const simulated = simulateCountry(SEED, {
    gateways: 1,
    ...size,
    contests,
    candidates: 6,
    parties: 5,
    regions: 10,
    devicesPerStation: 1,
  }, {
    election,
    opensAt: instant(nowMs - HOUR_MS),
    closesAt: instant(nowMs + 4 * HOUR_MS),
    acceptsUntil: instant(nowMs + 5 * HOUR_MS),
  });
  const country = { ...simulated, definition: { ...simulated.definition, releaseThreshold } };
  return contests === ALL_CONTESTS ? country : withLocalContests(country);
}

/** The same country, where each station votes on the first contest and on one of the others. */
function withLocalContests(country: Country): Country {
  const [first, ...others] = country.definition.contests.map(({ id }) => id);
  const stations = country.definition.stations.map((station, i) => ({
    ...station,
    contests: [first!, others[i % others.length]!],
  }));
  return { ...country, definition: { ...country.definition, stations } };
}

/** The vote of one voter, under a vote id of its own each time it is asked for. */
export function voteMaker(country: Country): (voter: number) => Vote {
  const choose = voterChoices(SEED, country.definition);
  return (index) => {
    const voter = country.voter(index);
    const { mode, selections } = choose(voter, voter.station, 0);
    const castAt = new Date().toISOString();
    return {
      voteId: crypto.randomUUID(),
      voterId: voter.id,
      station: voter.station,
      mode,
      selections: [...selections],
      castAt,
    };
  };
}

/** What a device posts for a vote: the text and its proof, as JSON. */
export function signedText(vote: Vote, { keyId, proofKey }: Signer): string {
  const text = JSON.stringify(vote);
  const [election = "", name = ""] = keyId.split("/");
  const proof = proofOf(proofKey, election, name, text).toHex();
  return JSON.stringify({ vote: text, proof, proofKey: name, scheme: PROOF_SCHEME } satisfies SignedVote);
}

/** One vote as a request; the floor's server takes the same one, byte for byte. */
export function voteRequest(vote: Vote, signer: Signer): Uint8Array {
  return signed("/v1/votes", "application/json", utf8(signedText(vote, signer)), vote.voteId, signer);
}

/** Votes of one device's station as a batch. */
export function batchRequest(votes: readonly Vote[], signer: Signer): Uint8Array {
  const body = utf8(votes.map((vote) => signedText(vote, signer)).join("\n"));
  return signed("/v1/votes/batch", "application/x-ndjson", body, crypto.randomUUID(), signer);
}

function signed(
  path: string,
  contentType: string,
  body: Uint8Array,
  idempotencyKey: string,
  { keyId, key }: Signer,
): Uint8Array {
  const createdS = Math.floor(Date.now() / 1_000);
  const headers = signRequest({ path, contentType, body, idempotencyKey, createdS, keyId, key });
  return postRequest(path, { ...headers, [FLOOR_HEADER]: hmac(FLOOR_KEY, body).toHex() }, body);
}

/** Votes gathered by station, so many to a batch; of each station the rest in the end. */
export function* stationBatches(
  vote: (voter: number) => Vote,
  { from, count }: Readonly<{ from: number; count: number }>,
  batchVotes: number,
): Generator<Vote[]> {
  const waiting = new Map<string, Vote[]>();
  for (let i = from; i < from + count; i++) {
    const next = vote(i);
    const votes = waiting.get(next.station) ?? [];
    waiting.set(next.station, votes);
    votes.push(next);
    if (votes.length < batchVotes) continue;
    yield votes;
    waiting.delete(next.station);
  }
  yield* waiting.values();
}
