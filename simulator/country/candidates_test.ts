import assert from "assert";
import { drawCandidates, drawParties } from "./candidates.ts";
import { BRITISH, loadLocale } from "./locales.ts";
import { drawNames } from "./words.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const people = drawNames(BRITISH, 1);
const drawn = { parties: drawParties(3), locale: BRITISH, people, year: 2026 };

Deno.test("drawParties() gives each a name and a colour of its own", () => {
  for (const count of [1, 12, 13, 100]) {
    const parties = drawParties(count);
    assert.equal(new Set(parties.map(({ name }) => name)).size, count);
    assert.equal(new Set(parties.map(({ colour }) => colour)).size, count);
  }
});

Deno.test("drawCandidates() gives each a name, a party while there are any, texts and a photo", () => {
  const candidates = drawCandidates(1, "president", 60, drawn);
  assert.equal(new Set(candidates.map(({ name }) => name)).size, 60);
  assert.equal(new Set(candidates.map(({ id }) => id)).size, 60);
  assert.deepEqual(candidates.slice(0, 4).map(({ party }) => party), [
    "party-1",
    "party-2",
    "party-3",
    undefined,
  ]);
  for (const { name, biography, platform, photo } of candidates) {
    assert.match(biography!, new RegExp(`^${name} was born in .+ in 19[5-9]\\d .*\\.$`));
    assert.match(platform!, /first\. The pledges: to .+\.$/);
    assert.match(photo!, /^<svg /);
  }
  assert.match(candidates[3]!.platform!, /who stands for no party/);
  assert.ok(candidates[1]!.photo!.includes(drawn.parties[1]!.colour!));
});

Deno.test("drawCandidates() has a party stand for the same in every contest, and its neighbour for something else", () => {
  const platforms = (contest: string) => drawCandidates(1, contest, 3, drawn).map(({ platform }) => platform);
  assert.deepEqual(platforms("president"), platforms("council-1"));
  assert.equal(new Set(platforms("president").map((text) => text!.replace(/^The \w+ Party /, ""))).size, 3);
});

Deno.test("drawCandidates() makes ids of names that have no Latin letters", async () => {
  const locale = await loadLocale("th");
  const candidates = drawCandidates(1, "president", 3, { ...drawn, locale, people: drawNames(locale, 1) });
  assert.deepEqual(candidates.map(({ id }) => id), ["candidate-1", "candidate-2", "candidate-3"]);
});
