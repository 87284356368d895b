import assert from "assert";
import { leadChanges } from "./changes.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const row = (minute: string, candidate: string, total: number, contest = "mayor") => ({
  minute: `2026-11-03T${minute}Z`,
  contest,
  candidate,
  votes: 0,
  total,
});

Deno.test("leadChanges() tells each change of who leads, and ties, and nothing else", () => {
  const changes = leadChanges([
    row("12:00", "ann", 2),
    row("12:00", "bob", 1),
    row("12:01", "ann", 3),
    row("12:02", "bob", 3),
    row("12:02", "dan", 0, "council"),
    row("12:03", "bob", 5),
    row("12:04", "dan", 4, "council"),
  ]);
  assert.deepEqual(
    changes.map((
      { contest, minute, leaders, ahead },
    ) => [contest, minute.slice(11, 16), leaders.join(), ahead]),
    [
      ["mayor", "12:00", "ann", 1],
      ["mayor", "12:02", "ann,bob", 0],
      ["mayor", "12:03", "bob", 2],
      ["council", "12:04", "dan", 4],
    ],
  );
  assert.deepEqual(leadChanges([]), []);
});
