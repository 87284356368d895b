/**
 * Finds the spellings of one party: `GRN`, `G` and `Green` are one where the same candidate stands for them.
 *
 * @module
 */
import type { Line } from "./lines.ts";
import type { Reading } from "./reading.ts";
import { isNoParty, isWriteIn } from "./words.ts";

/** Spellings that mean the same party in all states. */
const KNOWN = [
  "d dem demo democrat democrats democratic",
  "r rep gop republican republicans",
  "lib lbt lbn lp libertarian",
  "grn gre green",
].map((spellings) => spellings.split(" "));

/**
 * Gives every line of a party the same spelling, the longest. Two spellings are one party if they are known to be, or
 * if one abbreviates the other and the same candidate has both in different precincts and never in the same.
 */
export function uniteParties(lines: readonly Line[], reading: Reading): void {
  const spellings = new Map<string, string>();
  for (const line of lines) {
    if (isNoParty(line.party)) line.party = "";
    else if (!spellings.has(partyKey(line.party, reading))) {
      spellings.set(partyKey(line.party, reading), line.party);
    }
  }
  const groups = new Groups([...spellings.keys()]);
  for (const known of KNOWN) {
    const here = known.filter((key) => spellings.has(key));
    for (const key of here) groups.join(here[0]!, key);
  }
  for (const [a, b] of standForBoth(lines, reading)) {
    if (abbreviates(a, b) || abbreviates(b, a)) groups.join(a, b);
  }
  const called = new Map<string, string>();
  for (const keys of groups.all()) {
    const names = keys.map((key) => spellings.get(key)!).sort((a, b) => b.length - a.length);
    for (const key of keys) called.set(key, names[0]!);
    if (names.length > 1) {
      reading.notes.push(`party ${names[0]} is one party, also spelled ${names.slice(1).join(", ")}`);
    }
  }
  for (const line of lines) {
    if (line.party !== "") line.party = called.get(partyKey(line.party, reading))!;
  }
}

function partyKey(party: string, reading: Reading): string {
  return reading.key(party).replace(/ party$/, "");
}

/** Pairs of party names under which one candidate stands, each in other precincts. */
function standForBoth(lines: readonly Line[], reading: Reading): [string, string][] {
  const stations = new Map<string, Map<string, Set<string>>>();
  for (const line of lines) {
    if (line.party === "" || line.other !== undefined || isWriteIn(line.candidate)) continue;
    const candidate = `${reading.contestKey(line)}\n${reading.key(line.candidate)}`;
    const parties = getOr(stations, candidate, () => new Map<string, Set<string>>());
    getOr(parties, partyKey(line.party, reading), () => new Set()).add(reading.stationKey(line));
  }
  const pairs: [string, string][] = [];
  for (const parties of stations.values()) {
    const all = [...parties];
    all.forEach(([a, here], i) => {
      for (const [b, there] of all.slice(i + 1)) if (here.isDisjointFrom(there)) pairs.push([a, b]);
    });
  }
  return pairs;
}

/** Whether `short` has the first letter of `long`, and its other letters in the same order. */
function abbreviates(short: string, long: string): boolean {
  const letters = (text: string) => [...text.replaceAll(" ", "")];
  const [a, b] = [letters(short), letters(long)];
  if (a.length >= b.length || a[0] !== b[0]) return false;
  let at = 0;
  for (const letter of b) if (letter === a[at]) at++;
  return at === a.length;
}

/** Sets that grow together. */
class Groups {
  readonly #groupOf = new Map<string, string[]>();

  constructor(keys: readonly string[]) {
    for (const key of keys) this.#groupOf.set(key, [key]);
  }

  join(a: string, b: string): void {
    const [into, from] = [this.#groupOf.get(a)!, this.#groupOf.get(b)!];
    if (into === from) return;
    into.push(...from);
    for (const key of from) this.#groupOf.set(key, into);
  }

  all(): Set<string[]> {
    return new Set(this.#groupOf.values());
  }
}

/** A map's value, made when it is missing. */
export function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = make());
  return value;
}
