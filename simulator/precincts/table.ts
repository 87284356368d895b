/**
 * Puts the lines of a precinct file together into contests, candidates, stations and regions, each with an
 * identifier of its own.
 *
 * @module
 */
import { isWriteIn, townOf, votesAllowedIn } from "./spelling.ts";
import { slug, Slugs } from "../slug.ts";

/** What a precinct file says. Rows name contests, candidates and stations by their place in the lists. */
export type PrecinctTable = Readonly<{
  contests: readonly TableContest[];
  parties: readonly Readonly<{ id: string; name: string }>[];
  regions: readonly Readonly<{ id: string; name: string }>[];
  stations: readonly Readonly<{ id: string; name: string; region: string }>[];
  rows: readonly TableRow[];
  /** What a reader should know of how the file was read. */
  notes: readonly string[];
}>;

/** A contest of a file. `votes` is the sum of its rows. */
export type TableContest = Readonly<{
  id: string;
  name: string;
  votesAllowed: number;
  votes: number;
  candidates: readonly Readonly<{ id: string; name: string; party?: string }>[];
}>;

/** A candidate's votes in a precinct, by mode in the order of VOTING_MODES. */
export type TableRow = Readonly<
  { contest: number; candidate: number; station: number; votes: readonly number[] }
>;

/** The words of a line. */
export type LineWords = Readonly<
  Record<"office" | "district" | "candidate" | "party" | "county" | "precinct", string>
>;

/** Longest identifiers: a device's name stands behind a station's, and every record has room for the longest. */
const STATION_ID_CHARS = 56;
const CANDIDATE_ID_CHARS = 40;
const NAME_CHARS = 200;
/** The region of precincts whose names hold no town, in a file without counties. */
const EVERYWHERE = "Everywhere";
const WRITE_IN = "Write-in";

type Cell = { line: number; votes: number[]; spelling: string };
type Candidate = { name: string; party: string; cells: Map<number, Cell> };
type Contest = { name: string; votesAllowed: number; candidates: Map<string, Candidate> };

/** Builds a table line by line. */
export class TableBuilder {
  readonly #addRepeated: boolean;
  readonly #byCounty: boolean;
  readonly #contests = new Map<string, Contest>();
  readonly #parties = new Map<string, string>();
  readonly #regions = new Map<string, string>();
  readonly #stations = new Map<string, { index: number; id: string; name: string; region: string }>();
  readonly #stationIds = new Slugs(STATION_ID_CHARS);

  /**
   * @param options `addRepeated`: lines for the same precinct, contest and candidate are summed, not refused.
   * `byCounty`: regions are the counties; otherwise the towns in the precincts' names.
   */
  constructor(options: Readonly<{ addRepeated: boolean; byCounty: boolean }>) {
    this.#addRepeated = options.addRepeated;
    this.#byCounty = options.byCounty;
  }

  /** Takes a line. Returns what is wrong with it, in words, if anything is. */
  add(line: number, words: LineWords, votes: number[]): string | undefined {
    const station = this.#station(words.county, words.precinct);
    const candidate = this.#candidate(words);
    const spelling = words.candidate;
    const cell = candidate.cells.get(station);
    if (cell === undefined) {
      candidate.cells.set(station, { line, votes, spelling });
      return undefined;
    }
    // Write-ins are one candidate here, whatever each line calls them; anybody else has one line a precinct.
    const repeated = cell.spelling === spelling || !isWriteIn(spelling);
    if (repeated && !this.#addRepeated) {
      return `it repeats line ${cell.line} (${words.precinct}, ${words.office}, ${words.candidate}); ` +
        `one of the two must go, or --repeated add sums them`;
    }
    cell.votes = cell.votes.map((count, mode) => count + votes[mode]);
    return undefined;
  }

  #station(county: string, precinct: string): number {
    const key = `${slug(county)}/${precinct}`;
    const known = this.#stations.get(key);
    if (known !== undefined) return known.index;
    const place = this.#byCounty ? county || EVERYWHERE : townOf(precinct) ?? EVERYWHERE;
    const region = slug(place);
    if (!this.#regions.has(region)) this.#regions.set(region, place.slice(0, NAME_CHARS));
    const name = (county === "" ? precinct : `${county}, ${precinct}`).slice(0, NAME_CHARS);
    const index = this.#stations.size;
    this.#stations.set(key, { index, id: this.#stationIds.take(`${county} ${precinct}`), name, region });
    return index;
  }

  #candidate(words: LineWords): Candidate {
    const name = words.district === "" ? words.office : `${words.office}, ${words.district}`;
    const contestKey = `${slug(words.office)}/${slug(words.district)}`;
    let contest = this.#contests.get(contestKey);
    if (contest === undefined) {
      contest = {
        name: name.slice(0, NAME_CHARS),
        votesAllowed: votesAllowedIn(words.office),
        candidates: new Map(),
      };
      this.#contests.set(contestKey, contest);
    }
    const writeIn = isWriteIn(words.candidate);
    const party = writeIn || words.party === "" ? "" : slug(words.party);
    if (party !== "" && !this.#parties.has(party)) this.#parties.set(party, words.party.slice(0, NAME_CHARS));
    const key = writeIn ? WRITE_IN : `${slug(words.candidate)}/${party}`;
    let candidate = contest.candidates.get(key);
    if (candidate === undefined) {
      const called = writeIn ? WRITE_IN : words.candidate.slice(0, NAME_CHARS);
      contest.candidates.set(key, candidate = { name: called, party, cells: new Map() });
    }
    return candidate;
  }

  /** The table, without notes. */
  finish(): PrecinctTable {
    const contestIds = new Slugs();
    const rows: TableRow[] = [];
    const contests = [...this.#contests.values()].map((contest, index) => {
      const ids = new Slugs(CANDIDATE_ID_CHARS);
      const merged = mergeParties([...contest.candidates.values()]);
      let votes = 0;
      const candidates = merged.map(({ name, party, cells }, at) => {
        const rivals = merged.filter((other) => slug(other.name) === slug(name)).length;
        for (const [station, cell] of cells) {
          rows.push({ contest: index, candidate: at, station, votes: cell.votes });
          votes += cell.votes.reduce((sum, count) => sum + count, 0);
        }
        const id = ids.take(rivals > 1 && party !== "" ? `${name} ${party}` : name);
        return { id, name, ...(party !== "" && { party }) };
      });
      const votesAllowed = Math.min(contest.votesAllowed, candidates.length);
      return { id: contestIds.take(contest.name), name: contest.name, votesAllowed, votes, candidates };
    });
    return {
      contests,
      parties: [...this.#parties].map(([id, name]) => ({ id, name })),
      regions: [...this.#regions].map(([id, name]) => ({ id, name })),
      stations: [...this.#stations.values()].map(({ id, name, region }) => ({ id, name, region })),
      rows,
      notes: [],
    };
  }
}

/**
 * A candidate whose party some lines leave out is one candidate, not two, if no precinct has both; one who stands
 * for two parties (as in New York) is two, since the file tells their votes apart.
 */
function mergeParties(candidates: readonly Candidate[]): Candidate[] {
  const gone = new Set<Candidate>();
  for (const nameless of candidates) {
    if (nameless.party !== "" || nameless.name === WRITE_IN) continue;
    const named = candidates.filter(({ name, party }) => party !== "" && slug(name) === slug(nameless.name));
    if (named.length !== 1) continue;
    const apart = [...nameless.cells.keys()].every((station) => !named[0].cells.has(station));
    if (!apart) continue;
    for (const [station, cell] of nameless.cells) named[0].cells.set(station, cell);
    gone.add(nameless);
  }
  return candidates.filter((candidate) => !gone.has(candidate));
}
