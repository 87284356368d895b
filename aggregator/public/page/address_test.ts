import assert from "assert";
import { readAddress, writeAddress } from "./address.js";

Deno.test.sanitizer({ ops: true, resources: true });

const read = (text: string) => readAddress(new URL(text, "https://page.test"));

Deno.test("an address says election, contest, place, moment and view, and is written the same", () => {
  for (
    const text of [
      "/",
      "/?election=town-2026&contest=mayor&place=r-3&at=2026-11-03T12%3A00%3A59.999Z",
      "/?election=town-2026&view=officials&pace=15&lang=de",
      "/?election=town-2026&wall=1",
      "/embed/town-2026?contest=mayor",
    ]
  ) assert.equal(writeAddress(read(text)), text);
  assert.equal(read("/embed/town-2026").election, "town-2026");
  assert.equal(read("/#town-2026").election, "town-2026", "as version 0.1 wrote it");
});

Deno.test("what an address cannot mean is left out", () => {
  const { at, view, pace, election } = read("/?at=yesterday&view=all&pace=1#%ff");
  assert.deepEqual([at, view, pace, election], [undefined, "results", 0, undefined]);
});
