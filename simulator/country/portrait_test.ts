import assert from "assert";
import { CANDIDATE_LIMITS } from "../../shared/election.ts";
import { seededRandom } from "../random.ts";
import { drawCandidate, drawVoter } from "./portrait.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const genders = ["female", "male", "other", "unknown"] as const;

Deno.test("drawVoter() draws the same picture of the same numbers, and mostly another of others", () => {
  const drawn = new Set<string>();
  for (let i = 0; i < 400; i++) {
    const sitter = { gender: genders[i % 4]!, age: 18 + i % 70 };
    const picture = drawVoter(seededRandom(1, i), sitter);
    assert.equal(drawVoter(seededRandom(1, i), sitter), picture);
    drawn.add(picture);
  }
  assert.ok(drawn.size > 380, `${drawn.size} pictures`);
});

Deno.test("pictures are small, closed, and need no quotes in CSV", () => {
  for (let i = 0; i < 400; i++) {
    const sitter = { gender: genders[i % 4]!, age: 18 + i % 70 };
    const candidate = drawCandidate(seededRandom(2, i), sitter, "#0072b2");
    for (const picture of [drawVoter(seededRandom(2, i), sitter), candidate]) {
      assert.match(
        picture,
        /^<svg xmlns='http:\/\/www\.w3\.org\/2000\/svg' viewBox='0 0 64 64'>(<[^<>]+\/>)+<\/svg>$/,
      );
      assert.ok(!/[",\r\n]|undefined/.test(picture), picture);
      assert.ok(picture.length < 1_600);
    }
    assert.ok(candidate.length <= CANDIDATE_LIMITS.photoChars && candidate.includes("#0072b2"));
  }
});

Deno.test("drawVoter() gives grey hair to the old, and to nobody under 30", () => {
  const grey = (age: number) =>
    Array.from({ length: 300 }, (_, i) => drawVoter(seededRandom(3, i), { gender: "female", age }))
      .filter((picture) => /#9c9a97|#c9c7c3|#e6e4df/.test(picture)).length;
  assert.equal(grey(29), 0);
  assert.equal(grey(100), 300);
});
