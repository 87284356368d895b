/**
 * Links the units of an earlier election to today's stations and regions, and its parties to today's. Pure.
 *
 * A link by name is made only where names leave no doubt. A unit of which only the region is known is linked to the region,
 * and one of which nothing is known is linked to nothing: then it is said how much is not linked, and nothing is guessed.
 *
 * @module
 */
import { nameKey } from "../../../shared/names.ts";
import type { PastUnit } from "./openelections.ts";

/** Today's places, by id and name. */
export type Places = Readonly<{
  regions: readonly Readonly<{ id: string; name: string }>[];
  stations: readonly Readonly<{ id: string; name: string; region: string }>[];
}>;

/** Where a part of a unit's votes belongs. `weight` is a decimal number as text; those of a unit sum to 1. */
export type UnitLink = Readonly<{
  unit: string;
  region: string | null;
  station: string | null;
  weight: string;
  method: "name" | "file" | "none";
}>;

export type PartyLink = Readonly<{ pastParty: string; party: string; method: "name" | "file" }>;

/** Links by names. */
export function linkUnits(
  units: readonly Pick<PastUnit, "id" | "name" | "region">[],
  places: Places,
): UnitLink[] {
  const regionOf = uniqueBy(places.regions, ({ name }) => nameKey(name));
  const stationOf = uniqueBy(places.stations, ({ name }) => nameKey(name));
  const stationIn = uniqueBy(places.stations, ({ name, region }) => `${region}\n${nameKey(name)}`);
  return units.map(({ id: unit, name, region: regionName }) => {
    const key = nameKey(name);
    const region = regionName === null ? undefined : regionOf.get(nameKey(regionName));
    const station = region === undefined ? stationOf.get(key) : stationIn.get(`${region.id}\n${key}`);
    const found = station?.region ?? region?.id ?? regionOf.get(key)?.id ?? regionInName(key, regionOf);
    return {
      unit,
      region: found ?? null,
      station: station?.id ?? null,
      weight: "1",
      method: found === undefined ? "none" : "name",
    };
  });
}

/** The region with the longest name with which a unit's name begins: `Barrington 0101` lies in Barrington. */
function regionInName(key: string, regionOf: ReadonlyMap<string, { id: string }>): string | undefined {
  const words = key.split(" ");
  for (let count = words.length - 1; count > 0; count--) {
    const region = regionOf.get(words.slice(0, count).join(" "));
    if (region !== undefined) return region.id;
  }
  return undefined;
}

/** Things by a key; those that share one are in doubt, and are left out. */
function uniqueBy<Thing>(things: readonly Thing[], keyOf: (thing: Thing) => string): Map<string, Thing> {
  return new Map(
    [...Map.groupBy(things, keyOf)].flatMap(([key, found]) => found.length === 1 ? [[key, found[0]!]] : []),
  );
}

/** Links parties whose name or id is the same. */
export function linkParties(
  past: readonly Readonly<{ id: string; name: string }>[],
  parties: readonly Readonly<{ id: string; name: string }>[],
): PartyLink[] {
  const byName = uniqueBy(parties, ({ name }) => nameKey(name));
  const byId = uniqueBy(parties, ({ id }) => nameKey(id));
  return past.flatMap(({ id, name }) => {
    const party = byName.get(nameKey(name)) ?? byId.get(nameKey(name)) ?? byId.get(nameKey(id));
    return party === undefined ? [] : [{ pastParty: id, party: party.id, method: "name" as const }];
  });
}

/** Units of the earliest to the first decimal that a weight may have: weights are exact. */
const WEIGHT_SCALE = 9;
const ONE = 10n ** BigInt(WEIGHT_SCALE);

/** A weight in units of 10^-9; `undefined` when the text is not above 0 and at most 1 with at most nine decimals. */
export function parseWeight(text: string): bigint | undefined {
  const [, whole, decimals = ""] = /^([01])(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const weight = BigInt(whole) * ONE + BigInt(decimals.padEnd(WEIGHT_SCALE, "0"));
  return weight > 0n && weight <= ONE ? weight : undefined;
}

/** What is missing of a sum of 1, or more than it, as a decimal; `undefined` when weights sum to 1. */
export function weightsFault(weights: readonly bigint[]): string | undefined {
  const sum = weights.reduce((total, weight) => total + weight, 0n);
  if (sum === ONE) return undefined;
  const decimals = (sum % ONE).toString().padStart(WEIGHT_SCALE, "0").replace(/0+$/, "");
  return `${sum / ONE}${decimals === "" ? "" : `.${decimals}`}`;
}
