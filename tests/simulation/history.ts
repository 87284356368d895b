/**
 * Ten mends of this project's history, undone one at a time in the code as it is now: which the simulation finds, and by which seed.
 * The table in docs/simulation.md says why it cannot find the others. `deno task simulation --fault HASH` looks for a seed.
 *
 * @module
 */
import type { SeededFault } from "./seeded_faults.ts";

/** A commit, what is undone of it, and the seed that finds it, if one does. */
export type UndoneMend =
  & Omit<SeededFault, "seed" | "found">
  & Readonly<{ mend: string; seed?: number; found?: RegExp }>;

/** See the module. `name` is the commit. */
export const UNDONE_MENDS: readonly UndoneMend[] = [
  {
    name: "eb155d1",
    mend: "Let the final release wait for statements, their numbers and decisions",
    patches: [[
      "aggregator/results/final_gate.ts",
      "return reasons.length === 0 ?",
      "return reasons.length >= 0 ?",
    ]],
    seed: 200,
    found: /counted voters are shown after the final release/,
  },
  {
    name: "b427d16",
    mend: "Stop counting when the log's front was deleted",
    patches: [[
      "aggregator/counting/positions.ts",
      "  if (start <= nextOffset) return;\n",
      "  if (start >= 0) return;\n",
    ]],
    seed: 56,
    found: /counting goes on, and .* records were deleted/,
  },
  {
    name: "1f3f156",
    mend:
      "Count the batches of all partitions in one transaction, with what to do when the answer to COMMIT is lost",
    patches: [["aggregator/counting/commit.ts", "    isUnsure = true;\n", ""]],
  },
  {
    name: "340d8bc",
    mend: "Commit a batch under the revision it was judged with",
    patches: [["aggregator/counting/count_batch.ts", "h.is_next AND h.is_current", "h.is_next"]],
  },
  {
    name: "120b75b",
    mend: "Wait for the log instead of stopping",
    patches: [[
      "aggregator/counting/election_count.ts",
      "if (error instanceof LogFault && await this.#stopUnlessRebuilt(error)) return;",
      "if (!isOthers(error) && await this.#stopUnlessRebuilt(error as LogFault)) return;",
    ]],
    seed: 1,
    found: /not settled/,
  },
  {
    name: "72fb3ce",
    mend: "Let go of partitions while the database is away",
    patches: [[
      "aggregator/counting/election_count.ts",
      "AbortSignal.any([signal, outage, this.#halt.signal])",
      "AbortSignal.any([signal, this.#halt.signal])",
    ]],
    seed: 8,
    found: /records have waited for 10 s/,
  },
  {
    name: "3882974",
    mend: "Number records in the spool's transaction, with a ready statement for each sender key",
    patches: [["gateway/spool.ts", "        this.senderKeys.retireAll();\n", ""]],
    seed: 1,
    found: /stands on the log for two records/,
  },
  {
    name: "d7c29a5",
    mend: "Forget no vote on one gateway's word",
    patches: [[
      "device/settle.ts",
      "return decided || copiesOf(answer) > 1;",
      "return decided || copiesOf(answer) > 0;",
    ]],
    seed: 24,
    found: /0 votes of voter-\d+ were counted instead of 1: rejected/,
  },
  {
    name: "b4dec89",
    mend: "Take no votes while the clocks of gateway and aggregator differ",
    patches: [[
      "gateway/app.ts",
      "  const clock = gateway.clockFault();\n",
      "  const clock = undefined as string | undefined;\n",
    ]],
    seed: 32,
    found: /acknowledged votes, and knows that its clock is/,
  },
  {
    name: "e65cabc",
    mend: "Sign by the gateways' clock where the device's own is wrong",
    patches: [[
      "device/device.ts",
      "      if (await this.#adoptTime(link, problem)) return undefined;\n",
      "",
    ]],
    seed: 36,
    found: /not settled .* devices keep/,
  },
];
