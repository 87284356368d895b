import assert from "assert";
import { OfficeRefusal } from "../aggregator/office/client.ts";
import { WalkthroughFigures } from "./walkthrough_figures.ts";

Deno.test("table() leaves out a file that is gone before its size is read, and refuses a folder that is not there", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/db/base`, { recursive: true });
    await Deno.writeFile(`${folder}/db/base/1`, new Uint8Array(3 * 2 ** 20));
    // A link to nothing is listed and cannot be looked at, as a file that was removed meanwhile.
    await Deno.symlink(`${folder}/gone`, `${folder}/db/gone`);
    const figures = new WalkthroughFigures(() => undefined, false);
    assert.match(await figures.table(folder, ["db"]), /On disk: db 3 MiB\.$/);
    await assert.rejects(figures.table(folder, ["log"]), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("refused() keeps the whole body of each refusal, and says the same once", () => {
  const figures = new WalkthroughFigures(() => undefined, false);
  const problem = { type: "urn:pollwire:problem:state-conflict", detail: "checks fail", allowed: ["cancel"] };
  const refusal = new OfficeRefusal("Cannot do this: checks fail", 409, problem);
  figures.refused("To certify town", refusal);
  figures.refused("To certify town", refusal);
  figures.refused("To certify county", new Error("the office is away"));
  const lines = figures.refusals.split("\n");
  assert.equal(lines[0], `To certify town was refused: 409 ${JSON.stringify(problem)}`);
  assert.match(lines[1]!, /^To certify county was refused: Error: the office is away/);
});
