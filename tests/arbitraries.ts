/**
 * Inventions of fast-check: elections of many shapes, and the votes that they take.
 *
 * @module
 */
import fc from "fast-check";
import type { Manifest } from "../shared/election.ts";
import { VOTING_MODES } from "../shared/mode.ts";
import { MAX_CLOCK_SKEW_MS } from "../shared/vote.ts";
import { testDefinition, testDevice, testManifest, type TestRecord, testVoterKey } from "./fixture.ts";

const LETTERS = fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz0123456789-");

/** Identifiers, most of them short, some of the greatest length. */
export const ids: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: LETTERS, minLength: 1, maxLength: 12 }) },
  { weight: 1, arbitrary: fc.string({ unit: LETTERS, minLength: 62, maxLength: 64 }) },
).map((text) => text.replace(/^-/, "a").replace(/-$/, "z"));

/** Voter ids: 1 to 64 visible ASCII characters, also such as JSON escapes. */
export const voterIds: fc.Arbitrary<string> = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 64,
});

function uniqueIds(minLength: number, maxLength: number): fc.Arbitrary<string[]> {
  return fc.uniqueArray(ids, { minLength, maxLength });
}

const contestLists = uniqueIds(1, 5).chain((contests) =>
  fc.tuple(
    ...contests.map((id) =>
      uniqueIds(1, 7).chain((candidates) =>
        fc.integer({ min: 1, max: candidates.length }).map((votesAllowed) => ({
          id,
          name: id,
          votesAllowed,
          candidates: candidates.map((candidate) => ({ id: candidate, name: candidate })),
        }))
      )
    ),
  )
);

/** Manifests: a contest or several, some with more than one vote, some stations that vote on a part of them. */
export const manifests: fc.Arbitrary<Manifest> = fc.tuple(
  contestLists,
  // A station's device is named after it, with two characters more.
  uniqueIds(1, 4).filter((stations) => stations.every((id) => id.length <= 62)),
  fc.integer({ min: 1, max: 16 }),
).chain(([contests, stations, partitions]) => {
  const parts = fc.option(fc.subarray(contests.map(({ id }) => id)), { nil: undefined });
  return fc.tuple(...stations.map(() => parts)).map((contestsOf) =>
    testManifest(testDefinition({
      partitions,
      contests,
      stations: stations.map((id, i) => ({ id, name: id, region: "north", contests: contestsOf[i] })),
      gateways: [{ id: "g-1", stations, fallbackFor: [] }],
    }))
  );
});

/** Records of votes that the election takes: in every respect legal, and the whole range of what is. */
export function legalRecords(manifest: Manifest): fc.Arbitrary<TestRecord> {
  const opensAtMs = Date.parse(manifest.opensAt);
  const acceptsUntilMs = Date.parse(manifest.acceptsUntil);
  return fc.record({
    station: fc.constantFrom(...manifest.stations),
    voteId: fc.uuid({ version: 4 }),
    mode: fc.constantFrom(...VOTING_MODES),
    castAtMs: fc.integer({ min: opensAtMs, max: Date.parse(manifest.closesAt) }),
    voterId: voterIds,
  }).chain(({ station, castAtMs, ...vote }) => {
    const contests = manifest.contests.filter(({ id }) => station.contests?.includes(id) ?? true);
    return fc.record({
      acceptedAtMs: fc.integer({
        min: Math.max(opensAtMs, castAtMs - MAX_CLOCK_SKEW_MS),
        max: acceptsUntilMs,
      }),
      chosen: fc.tuple(
        ...contests.map(({ id: contest, votesAllowed, candidates }) =>
          fc.shuffledSubarray(candidates.map(({ id: candidate }) => ({ contest, candidate })), {
            maxLength: votesAllowed,
          })
        ),
      ),
    }).map(({ acceptedAtMs, chosen }) => ({
      ...vote,
      election: manifest.election,
      voterKey: testVoterKey(vote.voterId, manifest.election),
      device: testDevice(station.id),
      station: station.id,
      selections: chosen.flat(),
      castAt: new Date(castAtMs).toISOString(),
      manifestVersion: manifest.version,
      acceptedAt: new Date(acceptedAtMs).toISOString(),
    }));
  });
}

/** An election, and some records that it takes. */
export const elections: fc.Arbitrary<{ manifest: Manifest; records: TestRecord[] }> = manifests.chain((
  manifest,
) =>
  fc.array(legalRecords(manifest), { minLength: 2, maxLength: 5 }).map((records) => ({ manifest, records }))
);

/**
 * Values that are JSON and are nearly one of the given: up to two of their parts, at any depth, are left out, doubled under another
 * name, or replaced by another part, by one of `values`, or by anything.
 */
export function nearly(examples: readonly unknown[], values: readonly unknown[]): fc.Arbitrary<unknown> {
  const change = fc.record({
    at: fc.nat(),
    how: fc.constantFrom("leave", "leave", "remove", "rename", "replace"),
    by: fc.oneof(fc.constantFrom(...values), fc.jsonValue({ maxDepth: 1 })),
    name: fc.oneof(fc.constantFrom("extra", "vote", "__proto__"), fc.string()),
  });
  return fc.tuple(fc.constantFrom(...examples), fc.array(change, { maxLength: 2 })).map(
    ([example, changes]) => {
      const whole = JSON.parse(JSON.stringify([example]));
      for (const { at, how, by, name } of changes) {
        const parts = partsOf(whole);
        const [holder, key] = parts[at % parts.length]!;
        if (how === "replace") holder[key] = by;
        else if (holder === whole) continue;
        else if (how === "remove") Array.isArray(holder) ? holder.splice(Number(key), 1) : delete holder[key];
        else if (how === "rename" && Array.isArray(holder)) holder.push(holder[Number(key)]);
        else if (how === "rename") Object.defineProperty(holder, name, { ...OWN, value: holder[key] });
      }
      return JSON.parse(JSON.stringify(whole))[0];
    },
  );
}

const OWN = { enumerable: true, writable: true, configurable: true };

/** Every part of a value: what holds it, and under which key. */
function partsOf(value: any): [any, string][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.keys(value).flatMap((key): [any, string][] => [[value, key], ...partsOf(value[key])]);
}
