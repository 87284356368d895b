/**
 * What a watcher can work out who keeps everything that was ever published.
 *
 * Everything published of a contest is a number of votes (and of undervotes and blanks) of some set of voters. The
 * watcher knows the sets of voters only in outline, but is given them here: so whatever this attack does not find, nobody
 * finds by adding and subtracting. Published sets are rows of a matrix, and voters its columns. Every linear combination of
 * rows is tried, at once, by linear algebra: a combination that comes down to 1 to k − 1 voters exists if and only if the
 * rank falls when those voters' columns are taken away.
 *
 * @module
 */
import { netOf, plus, type Voters } from "./voters.ts";

/** A published set: whose votes a published number of votes is made of, and of which unit. Voters are numbers. */
export type PublishedSet = Readonly<{
  name: string;
  unit: string;
  /** Votes that came late, from wherever: a pool that was withdrawn may be filled again with other votes. */
  isPool: boolean;
  voters: Voters;
}>;

/** What was found: a combination of published sets that leaves so few voters. */
export type Leak = Readonly<{ what: string; voters: readonly number[] }>;

/** Maximum sets of columns that are tried; what was not tried is reported as a leak, so that nothing passes untested. */
const MAX_TRIES = 20_000;
/** A prime below 2^31, so that products are exact in a double after splitting. Ranks are taken modulo it. */
const PRIME = 2_147_483_629n;

/** Voters who are in the same published sets, as often, and so cannot be told apart; `rows` are these sets. */
type Column = Readonly<
  { voters: readonly number[]; rows: readonly (readonly [row: number, times: number])[] }
>;

/** Tries everything on the published sets of one contest. */
export function attack(published: readonly PublishedSet[], k: number): Leak[] {
  return [...pairs(published, k), ...eliminate(published, k)];
}

/**
 * Compares every two published sets, and each with nothing: they differ by nobody, or by at least k voters; and two
 * states of one unit by at least k net, so that nothing is told by their numbers of voters either.
 */
function pairs(published: readonly PublishedSet[], k: number): Leak[] {
  const leaks: Leak[] = [];
  const distinct = new Map(
    published.map((set) => [`${set.unit} ${JSON.stringify([...set.voters].sort(([a], [b]) => a - b))}`, set]),
  );
  const sets = [...distinct.values()];
  sets.forEach((one, i) => {
    const net = netOf(one.voters);
    if (one.voters.size > 0 && net < k) {
      leaks.push({ what: `${one.name} alone`, voters: [...one.voters.keys()] });
    }
    for (const other of sets.slice(0, i)) {
      const more = Math.abs(net - netOf(other.voters));
      const isSameUnit = one.unit === other.unit && !one.isPool;
      if (more >= k) continue;
      const difference = [...plus(one.voters, other.voters, -1).keys()];
      if (difference.length > 0 && (isSameUnit || difference.length < k)) {
        leaks.push({ what: `${one.name} less ${other.name}`, voters: difference });
      }
    }
  });
  return leaks;
}

/** Tries every linear combination. */
function eliminate(published: readonly PublishedSet[], k: number): Leak[] {
  const columns = columnsOf(published);
  const small = columns.filter(({ voters }) => voters.length < k);
  if (small.length === 0) return []; // Every combination is a union of columns, and each of these is large enough.
  const rank = rankOf(columns);
  const leaks: Leak[] = [];
  let tries = 0;
  // Only the largest sets of columns that are small together: what holds for one holds for its parts.
  const extend = (chosen: Column[], size: number, from: number) => {
    let isLargest = true;
    for (let i = 0; i < small.length; i++) {
      if (chosen.includes(small[i]) || size + small[i].voters.length >= k) continue;
      isLargest = false;
      if (i >= from) extend([...chosen, small[i]], size + small[i].voters.length, i + 1);
    }
    if (!isLargest || ++tries > MAX_TRIES) return;
    const left = new Set(chosen);
    if (rankOf(columns.filter((column) => !left.has(column))) < rank) {
      leaks.push({ what: "a combination", voters: chosen.flatMap(({ voters }) => voters) });
    }
  };
  extend([], 0, 0);
  if (tries > MAX_TRIES) leaks.push({ what: `more than ${MAX_TRIES} sets to try`, voters: [] });
  return leaks;
}

function columnsOf(published: readonly PublishedSet[]): Column[] {
  const rowsOf = new Map<number, [row: number, times: number][]>();
  published.forEach(({ voters }, row) => {
    for (const [voter, times] of voters) {
      const rows = rowsOf.get(voter);
      if (rows === undefined) rowsOf.set(voter, [[row, times]]);
      else rows.push([row, times]);
    }
  });
  const columns = new Map<string, { voters: number[]; rows: [number, number][] }>();
  for (const [voter, rows] of rowsOf) {
    const key = rows.join(";");
    const column = columns.get(key);
    if (column === undefined) columns.set(key, { voters: [voter], rows });
    else column.voters.push(voter);
  }
  return [...columns.values()];
}

/** The rank of the matrix that has these columns, by Gaussian elimination modulo a prime. */
function rankOf(columns: readonly Column[]): number {
  const pivots = new Map<number, Map<number, bigint>>();
  for (const { rows } of columns) {
    let vector = new Map(rows.map(([row, times]) => [row, (BigInt(times) + PRIME) % PRIME]));
    while (vector.size > 0) {
      const lead = Math.min(...vector.keys());
      const pivot = pivots.get(lead);
      if (pivot === undefined) {
        const inverse = power(vector.get(lead)!, PRIME - 2n);
        pivots.set(lead, new Map([...vector].map(([row, x]) => [row, x * inverse % PRIME])));
        break;
      }
      const factor = vector.get(lead)!;
      const next = new Map(vector);
      for (const [row, x] of pivot) {
        const value = ((next.get(row) ?? 0n) + (PRIME - factor) * x) % PRIME;
        if (value === 0n) next.delete(row);
        else next.set(row, value);
      }
      vector = next;
    }
  }
  return pivots.size;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let [b, e] = [base % PRIME, exponent]; e > 0n; e >>= 1n, b = b * b % PRIME) {
    if (e & 1n) result = result * b % PRIME;
  }
  return result;
}
