/**
 * `deno task reindex`: rebuilds every index from the database, shows progress, and compares both at the end.
 *
 * @module
 */
import { progress } from "../../../cli/progress.ts";
import type { Database } from "../../database/database.ts";
import { type Compared, countDocuments, rebuildIndices } from "./rebuild_index.ts";
import { LabelResolver } from "./label_resolver.ts";
import type { TallyIndex } from "./tally_index.ts";
import { INDEX_NAMES } from "./templates.ts";

/**
 * Rebuilds every index, and prints what each holds and what the database has.
 *
 * @returns how many indices differ from the database.
 */
export async function reindex(
  db: Database,
  index: TallyIndex,
  print: (line: string) => void = console.log,
): Promise<number> {
  const bar = progress({ label: "reindex", total: await countDocuments(db), unit: "documents" });
  const onWritten = (_name: string, documents: number) => bar.advance(documents);
  let compared: Compared[];
  try {
    ({ compared } = await rebuildIndices(
      { db, index, resolver: new LabelResolver(), onWritten },
      INDEX_NAMES,
    ));
  } catch (error) {
    bar.fail("reindex: nothing was changed");
    throw error;
  }
  bar.done("reindex: done");
  for (const each of compared) print(describe(each));
  return compared.filter(differs).length;
}

function differs({ index, database }: Compared): boolean {
  return index.documents !== database.documents || index.sum !== database.sum;
}

function describe(compared: Compared): string {
  const { name, index, database } = compared;
  const figures = ({ documents, sum }: Compared["index"]) =>
    `${documents} documents${sum === 0 ? "" : `, sum ${sum}`}`;
  if (!differs(compared)) return `${name}: ${figures(index)}`;
  return `${name}: DIFFERS: ${figures(index)}; the database has ${figures(database)}`;
}
