/**
 * Layouts of tallies: which option each number of a station's array of votes belongs to. A layout is kept in the database
 * and never changes. A ballot with other contests has another one, and so has a ballot to which a later manifest adds a
 * candidate: numbers that were counted keep their meaning.
 *
 * @module
 */
import { utf8 } from "../../shared/bytes.ts";
import type { ElectionIndex } from "../../shared/election.ts";
import type { EffectiveManifest } from "../../shared/history.ts";
import { sha256 } from "../../shared/keys.ts";
import { hasExtension, MARK } from "../../shared/marks.ts";
import { RecentMap } from "../../shared/recent.ts";
import type { Selection } from "../../shared/vote.ts";
import { arrayLiteral, arraysLiteral, type Query } from "../database/database.ts";

/** Maximum layouts that are kept for a manifest version; one costs a hash and a map of its options to make again. */
const MAX_LAYOUTS = 2_000;

/** Options in the order of the array. */
export type Layout = Readonly<{
  /** A 64-bit number in decimal, made from the options: every process finds the same one. */
  id: string;
  /** Option n is `candidates[n]` of `contests[n]`. */
  contests: readonly string[];
  /** Candidates or marks. */
  candidates: readonly string[];
  /** The first so many options are the ballots of each contest. */
  ballots: number;
  /** `contest/candidate` → n. */
  indexOf: ReadonlyMap<string, number>;
}>;

/** A contest of a layout, with its candidates in their order. */
export type LayoutContest = Readonly<{ id: string; candidates: readonly string[] }>;

/**
 * The layout of a ballot with these contests: first the ballots of each, then its candidates, undervotes and blanks.
 *
 * @param isExtended Whether hours were extended. Then every ballot has the option, also one that was cast before: a row of
 *   extended ballots alone would show what few voters chose.
 */
export function makeLayout(contests: readonly LayoutContest[], isExtended = false): Layout {
  const marks = [MARK.undervotes, MARK.blank, ...isExtended ? [MARK.extended] : []];
  return layoutWith([
    ...contests.map(({ id }) => [id, MARK.ballots] as const),
    ...contests.flatMap(({ id, candidates }) =>
      [...candidates, ...marks].map((candidate) => [id, candidate] as const)
    ),
  ]);
}

/** The layout with exactly these options. Ballots come first. */
export function layoutWith(options: readonly (readonly [contest: string, candidate: string])[]): Layout {
  const names = options.map(([contest, candidate]) => `${contest}/${candidate}`);
  // No id holds a comma or a slash. Migration 47 makes ids in the same way.
  const digest = sha256(utf8(names.join(",")));
  return {
    id: new DataView(digest.buffer, digest.byteOffset).getBigInt64(0).toString(),
    contests: options.map(([contest]) => contest),
    candidates: options.map(([, candidate]) => candidate),
    ballots: options.filter(([, candidate]) => candidate === MARK.ballots).length,
    indexOf: new Map(names.map((name, n) => [name, n])),
  };
}

/** By the newest manifest, and how many there are with it. */
const known = new WeakMap<ElectionIndex, Readonly<{ manifests: number; layouts: RecentMap<Layout> }>>();

/**
 * The layout of a ballot, by its marks. The order of candidates is that of the first manifest with the contest; later ones
 * only add to it.
 *
 * @param manifests Every version that applies at the record's position, oldest first.
 */
export function layoutOf(marks: readonly Selection[], manifests: readonly EffectiveManifest[]): Layout {
  if (!Object.isFrozen(marks)) return findLayout(marks, manifests);
  const last = layoutsOfMarks.get(marks);
  if (last?.manifests === manifests) return last.layout;
  const layout = findLayout(marks, manifests);
  layoutsOfMarks.set(marks, { manifests, layout });
  return layout;
}

/** By marks, which equal ballots may share: the layout that was found last. */
const layoutsOfMarks = new WeakMap<
  readonly Selection[],
  Readonly<{ manifests: readonly EffectiveManifest[]; layout: Layout }>
>();

function findLayout(marks: readonly Selection[], manifests: readonly EffectiveManifest[]): Layout {
  const newest = manifests.at(-1)!.index;
  let kept = known.get(newest);
  if (kept?.manifests !== manifests.length) {
    known.set(newest, kept = { manifests: manifests.length, layouts: new RecentMap(MAX_LAYOUTS) });
  }
  let key = "";
  for (const { contest, candidate } of marks) if (candidate === MARK.ballots) key += `${contest}/`;
  let layout = kept.layouts.get(key);
  if (layout === undefined) {
    const contests = key.split("/").slice(0, -1);
    kept.layouts.set(
      key,
      layout = makeLayout(
        contests.map((id) => ({ id, candidates: candidatesOf(id, manifests) })),
        hasExtension(manifests),
      ),
    );
  }
  return layout;
}

function candidatesOf(contest: string, manifests: readonly EffectiveManifest[]): string[] {
  const candidates = new Set<string>();
  for (const { index } of manifests) {
    for (const id of index.contests.get(contest)?.candidates.keys() ?? []) candidates.add(id);
  }
  return [...candidates];
}

/**
 * SQL, for a FROM clause: tallies by option, as rows of election, station, mode, contest, candidate and votes. There are several
 * rows of one option where a station has several lanes or layouts, and none where nobody chose it.
 */
export const CELL_VOTES = `(
  SELECT t.election, t.station, t.mode, o.contest, o.candidate, o.votes::bigint AS votes
  FROM counting.tallies t JOIN counting.layouts l ON l.election = t.election AND l.layout = t.layout
  CROSS JOIN LATERAL unnest(l.contests, l.candidates, t.votes) AS o (contest, candidate, votes)
  WHERE o.votes > 0
)`;

/** Writes layouts that the database may lack, in the caller's transaction. */
export async function writeLayouts(
  query: Query,
  election: string,
  layouts: Iterable<Layout>,
): Promise<void> {
  // In one order, so that two transactions that write the same ones do not wait for each other.
  const sorted = [...layouts].sort((a, b) => BigInt(a.id) < BigInt(b.id) ? -1 : 1);
  await query(
    `INSERT INTO counting.layouts (election, layout, ballots, contests, candidates)
     SELECT $1::text, layout, ballots, contests::text[], candidates::text[]
     FROM unnest($2::text::bigint[], $3::text::int[], $4::text::text[], $5::text::text[])
       AS l (layout, ballots, contests, candidates)
     ON CONFLICT DO NOTHING`,
    [
      election,
      arrayLiteral(sorted.map(({ id }) => id)),
      arrayLiteral(sorted.map(({ ballots }) => ballots)),
      arraysLiteral(sorted.map(({ contests }) => contests)),
      arraysLiteral(sorted.map(({ candidates }) => candidates)),
    ],
  );
}
