import assert from "assert";
import type { Database } from "../database/database.ts";
import {
  ANALYSED,
  type AnalysedRows,
  apiRows,
  LINE_COLUMNS,
  openAnalysedElections,
  release,
} from "../../tests/analysed_elections.ts";
import { withDatabase } from "../../tests/test_database.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** The rows of the views, as lines like those of the API. */
async function viewRows(db: Database): Promise<AnalysedRows> {
  const rows = {} as AnalysedRows;
  for (const view of Object.keys(LINE_COLUMNS) as (keyof AnalysedRows)[]) {
    const values = LINE_COLUMNS[view].map((column) =>
      column === "minute"
        ? `to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"')`
        : `coalesce(${column}::text, '')`
    );
    const only = view === "region_results" ? "WHERE votes > 0" : "";
    const found = await db.query<{ line: string }>(
      `SELECT concat_ws(' ', ${values.join(", ")}) AS line FROM results.${view} ${only}`,
    );
    rows[view] = found.map(({ line }) => line).sort();
  }
  return rows;
}

Deno.test("analysts' views tell what the API tells, for k = 1 and k = 3", async (t) => {
  await withDatabase(async (db) => {
    const boxes = await openAnalysedElections(db);
    const compare = async () => {
      const rows = await viewRows(db);
      assert.deepEqual(rows, await apiRows(db));
      return rows;
    };

    await t.step("before anything is released: no votes, and turnout in multiples of k", async () => {
      const rows = await compare();
      assert.ok(
        rows.candidate_results.every((line) => line.endsWith(" 0")),
        rows.candidate_results.join("\n"),
      );
      assert.deepEqual(rows.region_results, []);
      const voters = rows.group_turnout.filter((line) => line.startsWith("beta ")).map((line) =>
        Number(line.split(" ").at(-1))
      );
      assert.ok(voters.every((each) => each % ANALYSED.beta === 0), voters.join(" "));
      assert.ok(rows.outcomes.some((line) => line.includes(" rejected ")), rows.outcomes.join("\n"));
    });

    await t.step("while it is under way", async () => {
      for (const box of boxes) await release(box, false);
      const rows = await compare();
      assert.ok(rows.candidate_results.some((line) => /^alpha .* [1-9]\d*$/.test(line)));
    });

    await t.step("after the final release", async () => {
      for (const box of boxes) await release(box, true);
      const rows = await compare();
      assert.ok(rows.candidate_results.some((line) => /^beta .* [1-9]\d*$/.test(line)));
    });

    await t.step("labels are names, and no two things have the same one", async () => {
      const labels = async (view: string, label: string, ...ids: string[]) => {
        const [row] = await db.query<{ labels: number; ids: number }>(
          `SELECT count(DISTINCT (${label}))::int AS labels, count(DISTINCT (${
            ids.join(", ")
          }))::int AS ids FROM results.${view}`,
        );
        assert.equal(row!.labels, row!.ids, `${view}: ${label}`);
        return row!.labels;
      };
      assert.equal(await labels("candidate_results", "election_label", "election"), 2);
      assert.equal(await labels("candidate_results", "contest_label", "election", "contest"), 4);
      assert.equal(
        await labels(
          "candidate_results",
          "contest_label, candidate_label",
          "election",
          "contest",
          "candidate",
        ),
        12,
      );
      assert.equal(
        await labels("candidate_results", "election_label, party_label", "election", "coalesce(party, '')"),
        6,
      );
      assert.equal(await labels("region_turnout", "election_label, region_label", "election", "region"), 4);
      const names = await db.query<{ label: string }>(
        `SELECT candidate_label AS label FROM results.candidate_results
         WHERE election = 'alpha' ORDER BY contest, candidate`,
      );
      assert.deepEqual(names.map(({ label }) => label), [
        "Dan",
        "Eve",
        "Fay",
        "Ann (ann)",
        "Ann (bob)",
        "Ann (ann) (cyd)",
      ]);
    });

    await t.step("who withdraws is marked, and who is not on the ballot is left out", async () => {
      await db.query(
        "UPDATE registry.candidates SET status = 'withdrawn' WHERE election = 'alpha' AND candidate = 'dan'",
      );
      await db.query(
        "UPDATE registry.candidates SET on_ballot = false WHERE election = 'alpha' AND candidate = 'eve'",
      );
      const rows = await db.query<{ label: string; withdrawn: boolean }>(
        `SELECT candidate_label AS label, withdrawn FROM results.candidate_results
         WHERE election = 'alpha' AND contest = 'council' ORDER BY candidate`,
      );
      assert.deepEqual(rows, [{ label: "Dan, withdrawn", withdrawn: true }, {
        label: "Fay",
        withdrawn: false,
      }]);
    });
  });
});
