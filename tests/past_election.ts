/**
 * An earlier election for tests of comparisons: results in a file of OpenElections' form, imported and linked as the office does it.
 *
 * @module
 */
import type { Database } from "../aggregator/database/database.ts";
import { readOpenElections } from "../aggregator/office/history/openelections.ts";
import { compareWith, type Linked, writePast } from "../aggregator/office/history/store.ts";
import { NOON_MS } from "./fixture.ts";

/** Imports a file's text as the election `town-2016`, and has a contest compared with it. */
export async function importPast(
  db: Database,
  text: string,
  { election, contest, pastContest = contest }: { election: string; contest: string; pastContest?: string },
): Promise<Linked> {
  const path = await Deno.makeTempFile({ suffix: ".csv" });
  try {
    await Deno.writeTextFile(path, text);
    const results = await readOpenElections(path);
    const now = new Date(NOON_MS);
    const past = "town-2016";
    await writePast(
      db,
      {
        past,
        name: "Town 2016",
        heldOn: "2016-11-08",
        kind: "imported",
        source: "20161108__town__precinct.csv",
        sha256: "16".repeat(32),
      },
      results,
      now,
    );
    return await compareWith(db, { election, contest, past, pastContest }, {}, now);
  } finally {
    await Deno.remove(path);
  }
}
