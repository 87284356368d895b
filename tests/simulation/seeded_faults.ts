/**
 * Faults in the code that the simulation must find, each by a seed: what a programmer could get wrong about order, durability
 * and time. `deno task simulation --fault NAME` looks for a seed.
 *
 * @module
 */
import type { Patch } from "./start.ts";

/** A fault, and a seed that finds it with what is found. */
export type SeededFault = Readonly<{ name: string; patches: readonly Patch[]; seed: number; found: RegExp }>;

/** See the module. */
export const SEEDED_FAULTS: readonly SeededFault[] = [
  {
    name: "a gateway answers before the vote is on its disk",
    patches: [[
      "gateway/take.ts",
      "const failure = taken.length > 0 ? await notDurable(taker, durable.promise, waitedMs) : undefined;",
      "const failure = undefined as Problem | undefined;",
    ]],
    seed: 1,
    found: /acknowledged 1 votes, and has made 0 durable/,
  },
  {
    name: "a gateway takes a failed commit for a good one",
    patches: [["gateway/spool_client.ts", "if (reply.failed === undefined) {", "if (reply.id > 0) {"]],
    seed: 1,
    found: /acknowledged \d+ votes, and has made \d+ durable/,
  },
  {
    name: "the forwarder frees chunks before the log has them",
    patches: [[
      "gateway/forward.ts",
      `      const appendMs = await this.#append(route, route.log, part);
      if (part.finished.length > 0) spool.free(part.finished);`,
      `      if (part.finished.length > 0) spool.free(part.finished);
      const appendMs = await this.#append(route, route.log, part);`,
    ]],
    seed: 1,
    found: /not settled .* stated numbers were not read/,
  },
  {
    name: "sender keys go on after a commit whose result is unknown",
    patches: [["gateway/spool.ts", "        this.senderKeys.retireAll();\n", ""]],
    seed: 1,
    found: /stands on the log for two records/,
  },
  {
    name: "numbers are used up by a commit that fails",
    patches: [[
      "gateway/spool.ts",
      "      allocation.write();\n",
      "      allocation.write();\n      allocation.commit();\n",
    ]],
    seed: 1,
    found: /stated numbers were not read/,
  },
  {
    name: "the ready statement is not written with the records",
    patches: [[
      "gateway/spool.ts",
      "      allocation.write();\n",
      "      if (allocation === undefined) allocation.write();\n",
    ]],
    seed: 1,
    found: /acknowledged 1 votes, and has made 0 durable/,
  },
  {
    name: "a device forgets a vote that is pending",
    patches: [[
      "device/settle.ts",
      `    case "pending":
    case "problem":
      return false;`,
      `    case "problem":
      return false;
    case "pending":
      return true;`,
    ]],
    seed: 1,
    found: /a device forgot the acknowledged vote/,
  },
  {
    name: "records that are delivered again are counted again",
    patches: [[
      "aggregator/counting/count.ts",
      "const news = delivered.filter(({ offset }) => offset >= nextOffset);",
      "const news = delivered.filter(({ offset }) => offset >= own.nextOffset);",
    ]],
    seed: 5,
    found: /the recount differs/,
  },
  {
    name: "a release adds fewer voters than k",
    patches: [
      [
        "aggregator/results/publish.ts",
        "coalesce(c.snapshot, 0)) >= $3::bigint",
        "coalesce(c.snapshot, 0)) >= least($3::bigint, 1)",
      ],
      [
        "aggregator/results/units.ts",
        "cell.counted - Math.max(cell.snapshot, cell.known) >= k);",
        "cell.counted - Math.max(cell.snapshot, cell.known) >= Math.min(k, 1));",
      ],
      [
        "aggregator/results/units.ts",
        "snapshot.filter((cell) => cell.snapshot - cell.known >= k)",
        "snapshot.filter((cell) => cell.snapshot - cell.known >= Math.min(k, 1))",
      ],
    ],
    seed: 160,
    found: /fewer voters than k = 3/,
  },
  {
    name: "a tally is replaced instead of added to",
    patches: [[
      "aggregator/counting/count_records.ts",
      `ON CONFLICT (election, station, mode, layout, lane) DO UPDATE SET voters = total.voters + excluded.voters,`,
      `ON CONFLICT (election, station, mode, layout, lane) DO UPDATE SET voters = excluded.voters,`,
    ]],
    seed: 80,
    found: /records are counted, and the tallies have/,
  },
  {
    name: "the final release does not wait for the numbers that gateways state",
    patches: [[
      "aggregator/results/final_gate.ts",
      "missingNumbers > 0 && `",
      "missingNumbers < 0 && `",
    ]],
    seed: 200,
    found: /counted voters are shown after the final release/,
  },
];
