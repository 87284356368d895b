/**
 * Decides what may be published when k > 1: which cells are shown together, and when. Pure: {@link publish} reads the
 * numbers and applies what this decides.
 *
 * All of it keeps one property, for each contest. Everything that is ever published is a sum of batches. A batch holds
 * at least k voters whom no batch before it held, and no voter is in two batches that stand. So whatever is added,
 * subtracted or compared, no set of 1 to k − 1 voters comes out. docs/adr/0018-release-units.md has the argument.
 *
 * @module
 */
import { sha256 } from "../../shared/keys.ts";
import { utf8 } from "../../shared/bytes.ts";
import { VOTING_MODES, type VotingMode } from "../../shared/mode.ts";

/** The voters of one station and mode who had one contest on their ballots. Numbers are of those voters. */
export type Cell = Readonly<{
  station: string;
  mode: VotingMode;
  /** `null` for a station that the newest manifest does not have. */
  region: string | null;
  counted: number;
  /** Voters in what is published now, in any unit. */
  shown: number;
  /** Upper bound of the different voters in everything that was ever published of the cell, withdrawn or not; at least `shown`. */
  known: number;
  /** Voters counted at the last snapshot; 0 when there is none. */
  snapshot: number;
}>;

/** Cells that are shown together, as one row. A unit with several stations has no `station`, and so on. */
export type Unit = Readonly<{
  /** The same for the same cells, whatever the contest. */
  id: string;
  region: string | null;
  station: string | null;
  mode: VotingMode | null;
  /** What the unit is made of, when it is more than one cell. */
  members: UnitMembers | null;
}>;

/** Modes of one station, all of several stations, all of several regions, or votes that came after the final release. */
export type UnitMembers =
  | Readonly<{ modes: readonly VotingMode[] }>
  | Readonly<{ stations: readonly string[] }>
  | Readonly<{ regions: readonly string[] }>
  | Readonly<{ late: true }>;

/** A unit as the database has it: `members` is JSON. */
export type UnitRow = Omit<Unit, "members"> & Readonly<{ members: string | null }>;

/** Reads a unit of the database. */
export function readUnit({ id, region, station, mode, members }: UnitRow): Unit {
  return { id, region, station, mode, members: members === null ? null : JSON.parse(members) };
}

/** What is to be published: of these cells, all that is counted and not shown, as part of the unit. */
export type Batch = Readonly<{ unit: Unit; cells: readonly Cell[] }>;

/**
 * Minimum number of a cell's voters of whom nothing was ever published. Below 0 when a rebuild found fewer voters:
 * then the other cells of its group must make up for it.
 */
function fresh({ counted, known }: Cell): number {
  return counted - known;
}

/** The unit of one cell. */
export function cellUnit({ station, mode, region }: Pick<Cell, "station" | "mode" | "region">): Unit {
  return { id: `${station}/${mode}`, region, station, mode, members: null };
}

/** The unit of cells, by what they have in common. */
export function unitOf(cells: readonly Cell[]): Unit {
  const [first] = cells;
  if (cells.length === 1) return cellUnit(first!);
  const stations = [...new Set(cells.map(({ station }) => station))].sort();
  if (stations.length === 1) {
    const found = new Set(cells.map(({ mode }) => mode));
    const modes = VOTING_MODES.filter((mode) => found.has(mode));
    const { station, region } = first!;
    return { id: `${station}/${modes.join("+")}`, region, station, mode: null, members: { modes } };
  }
  const regions = [...new Set(cells.map(({ region }) => region ?? ""))].sort();
  if (regions.length === 1) {
    const { region } = first!;
    const id = `${region ?? ""}:${digest(stations)}`;
    return { id, region, station: null, mode: null, members: { stations } };
  }
  return { id: `:${digest(regions)}`, region: null, station: null, mode: null, members: { regions } };
}

function digest(ids: readonly string[]): string {
  return sha256(utf8(ids.join("/"))).subarray(0, 8).toHex();
}

/** The unit of what came after the final release and is too little for units of its own; `null`: of all regions. */
export function lateUnit(region: string | null): Unit {
  return { id: `${region ?? ""}:late`, region, station: null, mode: null, members: { late: true } };
}

/**
 * What is due before the final release. A snapshot is taken of a cell with at least k new voters, and the snapshot
 * before it is published. So a published state is always one snapshot behind: whatever comes later, at least k voters
 * are between it and the final state.
 *
 * @returns the cells whose snapshot is to be published, and the cells of which a snapshot is to be taken then.
 */
export function dueBeforeFinal(cells: readonly Cell[], k: number): { publish: Cell[]; snapshot: Cell[] } {
  const snapshot = cells.filter((cell) => cell.counted - Math.max(cell.snapshot, cell.known) >= k);
  return { publish: snapshot.filter((cell) => cell.snapshot - cell.known >= k), snapshot };
}

/** Cells, or groups of them, on their way to become units. Neither is ever empty. */
type Block = Readonly<{ key: string; size: number; isEnough: boolean; groups: readonly Group[] }>;
type Group = readonly Cell[];

const sum = (cells: Group, of: (cell: Cell) => number) => cells.reduce((total, cell) => total + of(cell), 0);

/** Whether a group may be a unit: it has k voters of whom nothing was published, or all of it is shown already. */
function isEnough(group: Group, k: number): boolean {
  const allShown = group.every(({ counted, shown }) => counted === shown);
  return sum(group, fresh) >= k || (allShown && group.length === 1);
}

function blockOf(key: string, groups: readonly Group[], k: number): Block {
  return {
    key,
    groups,
    size: groups.reduce((total, group) => total + sum(group, (cell) => cell.counted), 0),
    isEnough: groups.every((group) => isEnough(group, k)),
  };
}

const smallestFirst = (a: Block, b: Block) => a.size - b.size || (a.key < b.key ? -1 : 1);

/** Merges blocks that are too small, the smallest first, each with the smallest other one, until none is too small. */
function merge(blocks: readonly Block[], k: number): Block[] {
  const sorted = blocks.toSorted(smallestFirst);
  while (sorted.length > 1) {
    const at = sorted.findIndex((block) => !block.isEnough);
    if (at < 0) break;
    const small = sorted.splice(at, 1)[0]!;
    const other = sorted.splice(0, 1)[0]!;
    const merged = blockOf(other.key, [[...other.groups, ...small.groups].flat()], k);
    const place = sorted.findIndex((block) => smallestFirst(merged, block) < 0);
    sorted.splice(place < 0 ? sorted.length : place, 0, merged);
  }
  return sorted;
}

/** Merges what is inside each block, level by level: `keyOf` names the block of the next level. */
function raise(blocks: readonly Block[], k: number, keyOf: (cell: Cell) => string): Block[] {
  return [...Map.groupBy(blocks, ({ groups }) => keyOf(groups[0]![0]!))].map(([key, inside]) =>
    blockOf(key, merge(inside, k).flatMap(({ groups }) => groups), k)
  );
}

/**
 * Divides the cells of one contest into units. Cells with fewer than k voters are merged: modes within the station,
 * then stations within the region, then regions, the smallest first.
 *
 * @param cells Those in which anybody has voted, and those of which anything was ever published.
 * @returns disjoint units with all cells, each with at least k new voters; none when all cells together have fewer.
 */
export function divide(cells: readonly Cell[], k: number): Batch[] {
  let blocks = cells.map((cell) => blockOf(`${cell.station}/${cell.mode}`, [[cell]], k));
  blocks = raise(blocks, k, ({ station }) => station);
  blocks = raise(blocks, k, ({ region }) => region ?? "");
  blocks = merge(blocks, k);
  const groups = blocks.flatMap(({ groups }) => groups);
  if (groups.length === 1 && !isEnough(groups[0]!, k)) return [];
  return groups.map((group) => ({ unit: unitOf(group), cells: group }));
}

/** A unit of one contest, as {@link homeOf} compares them. */
export type Home = Readonly<{ unit: Unit; voters: number }>;

/**
 * The unit to which a cell belongs that was empty when the cells were divided: the smallest of its station, else of
 * its region, else of all; `undefined` when there is none.
 */
export function homeOf(
  { station, region }: Pick<Cell, "station" | "region">,
  homes: readonly Home[],
): Unit | undefined {
  const regular = homes.filter(({ unit }) => unit.members === null || !("late" in unit.members))
    .toSorted((a, b) => a.voters - b.voters || (a.unit.id < b.unit.id ? -1 : 1));
  const holds = ({ unit: { members, ...unit } }: Home) =>
    unit.station === station ||
    (members !== null && "stations" in members && members.stations.includes(station));
  const found = regular.find(holds) ??
    regular.find(({ unit }) => region !== null && unit.region === region) ??
    regular[0];
  return found?.unit;
}

/**
 * What is due after the final release: late votes, admitted votes, corrections. A unit that has at least k new voters is
 * published. What is left is pooled upward, by region and then for the whole election, until it is at least k.
 *
 * @param cells Those that have more than is shown of them, or fewer than was ever known.
 * @param home The unit to which a cell belongs.
 * @param mayPool Whether no more votes are on their way: pooled too early, they would not be shown at their units.
 */
export function dueAfterFinal(
  cells: readonly Cell[],
  home: (cell: Cell) => Unit | undefined,
  k: number,
  mayPool: boolean,
): Batch[] {
  const batches: Batch[] = [];
  const take = (unit: Unit | undefined, group: readonly Cell[]): readonly Cell[] => {
    if (unit === undefined || sum(group, fresh) < k) return group;
    batches.push({ unit, cells: group });
    return [];
  };
  const homes = new Map<string, Unit>();
  const byHome = Map.groupBy(cells, (cell) => {
    const unit = home(cell);
    if (unit !== undefined) homes.set(unit.id, unit);
    return unit?.id;
  });
  const small = [...byHome].flatMap(([id, group]) =>
    take(id === undefined ? undefined : homes.get(id), group)
  );
  if (!mayPool) return batches;
  const left = [...Map.groupBy(small, ({ region }) => region)].flatMap(([region, group]) =>
    take(region === null ? undefined : lateUnit(region), group)
  );
  take(lateUnit(null), left);
  return batches;
}
