/**
 * Mutants of the publisher's decisions: each has one rule taken out of aggregator/results/units.ts, as text, or out of
 * what stands around it.
 *
 * @module
 */
import type { PublishedSet } from "./attack.ts";
import type { Watch } from "./findings.ts";
import type { Habits, Rules } from "./model.ts";
import type { Script, Step } from "./scripts.ts";
import { votersOf } from "./voters.ts";

/** A rule of DESIGN "Releases", how it is taken out, and how that is seen. */
export type Mutant = Readonly<{
  rule: string;
  /** In units.ts: what stands there, and what stands there instead. */
  edits?: readonly (readonly [from: string, to: string])[];
  habits?: Partial<Habits>;
  watch?: Watch;
  /** Whether it takes a rebuild to see it. */
  rebuilt?: true;
  /** An election that shows it, where random ones seldom do. */
  example?: Script;
  /** How a finding begins that must come. */
  seen: string;
}>;

const ALONE = `if (unit === undefined) {
      for (const cell of group) batches.push({ unit: cellUnit(cell), cells: [cell] });
      return [];
    }
    if (sum(group, fresh) < k) return group;`;

const votes = (...voters: number[]): Step => ({
  what: "vote",
  ballots: voters.map((voter) => ({ voter, station: "s-0", mode: "in_person", contests: ["c-0"] })),
});
const publish: Step = { what: "publish", caughtUp: true };

/**
 * A rebuild loses voters 2 and 3, in whose place as many others stand who chose the same; a later one brings them back. By
 * numbers alone three voters are new then, and in truth one is.
 */
const LOST_AND_BACK: Script = {
  k: 2,
  beforeFinal: false,
  stations: [{ id: "s-0", region: "r-0" }],
  contests: ["c-0"],
  choiceOf: () => "ann",
  steps: [
    votes(0, 1),
    { what: "final" },
    votes(2, 3),
    publish,
    votes(4, 5, 6, 7),
    { what: "rebuild", without: [2, 3], back: false },
    publish,
    votes(8),
    { what: "rebuild", without: [], back: true },
    publish,
  ],
};

export const MUTANTS: readonly Mutant[] = [
  {
    rule: "a snapshot is taken when at least k voters are new since the last one",
    edits: [["Math.max(cell.snapshot, cell.known) >= k", "Math.max(cell.snapshot, cell.known) >= 1"], [
      "cell.snapshot - cell.known >= k",
      "cell.snapshot - cell.known >= 1",
    ]],
    seen: "attack",
  },
  {
    rule:
      "a snapshot is published when at least k more have come, so that the rest can be shown by itself at the end",
    habits: { showsSnapshot: false },
    seen: "merged",
  },
  {
    rule: "each contest is counted by the voters who had it",
    habits: { countsByContest: false },
    seen: "attack",
  },
  {
    rule: "a unit has at least k voters",
    edits: [["return sum(group, fresh) >= k ||", "return true || sum(group, fresh) >= k ||"]],
    seen: "attack",
  },
  {
    rule: "units are disjoint",
    // What is too small is shown as part of the whole, beside the units.
    edits: [["blocks = merge(blocks, k);\n  const groups", "const groups"], [
      "return groups.map((group) => ({ unit: unitOf(group), cells: group }));",
      "return [...groups.filter((group) => isEnough(group, k)), cells].map((group) => ({ unit: unitOf(group), cells: group }));",
    ]],
    habits: { isDisjoint: false },
    seen: "attack",
  },
  {
    rule: "modes are merged within the station first",
    edits: [["blocks = raise(blocks, k, ({ station }) => station);", ""]],
    seen: "merged stations",
  },
  {
    rule: "then stations within the region",
    edits: [['blocks = raise(blocks, k, ({ region }) => region ?? "");', ""]],
    seen: "merged regions",
  },
  {
    rule: "then regions, up to the whole election",
    edits: [["blocks = merge(blocks, k);\n  const groups", "const groups"]],
    seen: "attack",
  },
  {
    rule: "every possible cell belongs to a unit, also an empty one",
    edits: [["return found?.unit;", "return undefined;"], [
      "if (unit === undefined || sum(group, fresh) < k) return group;",
      ALONE,
    ]],
    seen: "attack",
  },
  {
    rule: "a late change has at least k voters",
    edits: [["sum(group, fresh) < k) return group;", "sum(group, fresh) < 1) return group;"]],
    seen: "attack",
  },
  {
    rule: "late votes are pooled upward",
    edits: [["take(lateUnit(null), left);", "void left;"]],
    seen: "kept back",
  },
  {
    rule: "withdrawn states stay known",
    habits: { keepsKnown: false },
    rebuilt: true,
    seen: "attack",
  },
  {
    rule: "voters whom a rebuild lost stay known",
    habits: { countsLost: false },
    rebuilt: true,
    example: LOST_AND_BACK,
    seen: "attack",
  },
  {
    rule: "turnout is no finer than the results",
    watch: (ballots, { stations }) =>
      stations.map(({ id }): PublishedSet => ({
        name: `turnout of ${id}`,
        unit: `turnout ${id}`,
        isPool: false,
        voters: votersOf(ballots.filter(({ station }) => station === id).map(({ voter }) => voter)),
      })),
    seen: "attack",
  },
];

const UNITS = new URL("../../aggregator/results/units.ts", import.meta.url);

/** Loads units.ts with edits. The copy imports what the original imports. */
export async function loadRules(edits: Mutant["edits"] = []): Promise<Rules> {
  let source = await Deno.readTextFile(UNITS);
  for (const [from, to] of edits) {
    if (!source.includes(from)) throw new Error(`Cannot take out a rule: units.ts no longer has "${from}"`);
    source = source.replace(from, to);
  }
  source = source.replaceAll(
    /from "(\.[^"]+)"/g,
    (_, path) => `from ${JSON.stringify(new URL(path, UNITS).href)}`,
  );
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, source);
    return await import(`file://${file}`);
  } finally {
    await Deno.remove(file);
  }
}
