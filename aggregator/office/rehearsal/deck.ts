/**
 * A test deck: ballots to be voted in a rehearsal, and the totals that must come of them. People write the totals down before
 * anything is counted: nothing here adds the ballots up.
 *
 * @module
 */
import { isAlias, parseDocument, visit } from "yaml";
import { z } from "zod";
import { idSchema } from "../../../shared/election.ts";
import { MARK } from "../../../shared/marks.ts";
import { VOTING_MODES } from "../../../shared/mode.ts";
import { OfficeError } from "../../registry/office_error.ts";

/** Bounds of a deck. */
export const DECK_LIMITS = {
  bytes: 16 << 20,
  lines: 200_000,
  /** Voters of all lines together. */
  voters: 500_000,
  totals: 500_000,
  /** Faults that a message lists. */
  faults: 10,
} as const;

/** What must become of the ballots of a line. `refused`: no gateway takes them. */
export const EXPECTATIONS = ["counted", "double_vote", "refused"] as const;

const lineSchema = z.strictObject({
  device: idSchema,
  station: idSchema,
  mode: z.enum(VOTING_MODES),
  /** How many voters cast this ballot. */
  count: z.int().min(1).max(100_000),
  /** Contest → candidates. A contest that is left out is blank. */
  choices: z.record(idSchema, z.array(idSchema).max(1_000)),
  expect: z.enum(EXPECTATIONS).default("counted"),
  /** The number of an earlier line, from 1: its first voters vote again. Others are voters of their own. */
  again: z.int().min(1).optional(),
});

const MARKS = [MARK.blank, MARK.undervotes] as const;

const totalSchema = z.strictObject({
  station: idSchema,
  mode: z.enum(VOTING_MODES),
  contest: idSchema,
  candidate: z.union([idSchema, z.enum(MARKS)]).describe("Or #blank (ballots), #undervotes (choices)"),
  votes: z.int().min(0),
});

const deckSchema = z.strictObject({
  deck: z.literal("pollwire-deck-1", { error: "must be pollwire-deck-1" }),
  /** The election that is rehearsed. */
  election: idSchema,
  /** As they stand on ballots, in their order. */
  candidates: z.array(z.strictObject({ contest: idSchema, candidate: idSchema, name: z.string() })).min(1),
  ballots: z.array(lineSchema).min(1).max(DECK_LIMITS.lines),
  /** What is not listed must be 0. */
  totals: z.array(totalSchema).max(DECK_LIMITS.totals),
  /** Records by what became of them. */
  outcomes: z.strictObject({ counted: z.int().min(0), double_vote: z.int().min(0) }),
}).superRefine(({ ballots, totals }, ctx) => {
  const complain = (path: (string | number)[], message: string) =>
    ctx.addIssue({ code: "custom", path, message });
  let voters = 0;
  ballots.forEach(({ again, count, expect }, i) => {
    if (again === undefined) voters += count;
    else if (again > i) {
      complain(["ballots", i, "again"], `must be the number of a line before it, 1 to ${i}`);
    } else if (ballots[again - 1]!.count < count) {
      complain(["ballots", i, "count"], `line ${again} has ${ballots[again - 1]!.count} voters`);
    }
    if (expect === "double_vote" && again === undefined) {
      complain(["ballots", i, "again"], "is missing: whose second vote is it?");
    }
  });
  if (voters > DECK_LIMITS.voters) complain(["ballots"], `has more than ${DECK_LIMITS.voters} voters`);
  const seen = new Set<string>();
  totals.forEach((total, i) => {
    const key = cellName(total);
    if (seen.has(key)) complain(["totals", i], `${key} is given twice`);
    seen.add(key);
  });
});

export type Deck = z.infer<typeof deckSchema>;
export type DeckLine = Deck["ballots"][number];
export type DeckTotal = Deck["totals"][number];

/** How a cell is named to people. */
export function cellName(
  { station, mode, contest, candidate }: Pick<DeckTotal, "station" | "mode" | "contest" | "candidate">,
): string {
  return `${station}/${mode} ${contest}/${candidate}`;
}

/** Reads a deck, YAML or JSON. @throws {OfficeError} that names line or field, and what would be right. */
export function parseDeck(text: string): Deck {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) throw new OfficeError(`Cannot read the deck: ${error.message.split("\n")[0]}`);
  visit(document, (_, node) => {
    if (isAlias(node)) throw new OfficeError("Cannot read the deck: it must not use aliases (*name)");
  });
  const read = deckSchema.safeParse(document.toJS());
  if (read.success) return read.data;
  const { issues } = read.error;
  const faults = issues.slice(0, DECK_LIMITS.faults).map(({ path, message }) =>
    `${path.join(".")}: ${message}`
  );
  const more = issues.length > faults.length ? `; and ${issues.length - faults.length} more` : "";
  throw new OfficeError(`Cannot use the deck: ${faults.join("; ")}${more}`);
}

/** Writes a deck: a line of YAML for each ballot and total. */
export function formatDeck({ deck, election, candidates, ballots, totals, outcomes }: Deck): string {
  const list = (rows: readonly unknown[]) => rows.map((row) => `  - ${JSON.stringify(row)}\n`).join("");
  return `# A test deck: docs/office.md, "Rehearsal". It is YAML; each line of a list is JSON.
deck: ${deck}
election: ${election}
# As they stand on ballots.
candidates:
${list(candidates)}# Who casts what: count voters each. again: voters of that line (from 1) vote once more.
ballots:
${list(ballots)}# What must come of them. What is not listed must be 0.
totals:
${list(totals)}outcomes: ${JSON.stringify(outcomes)}
`;
}

/** The ids of a line's voters. They begin with `test-`, and say nothing of anybody. */
export function votersOfLine({ count, again }: DeckLine, number: number): string[] {
  return Array.from({ length: count }, (_, n) => `test-${again ?? number}-${n + 1}`);
}
