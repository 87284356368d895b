import assert from "assert";
import { comparisonKeeper, comparisonShown } from "./comparison.js";

Deno.test.sanitizer({ ops: true, resources: true });

const shownAt = (revision: number, final: boolean, place?: string) => ({
  details: { id: "e" },
  contest: "mayor",
  board: { revision, final },
  place,
  view: "results",
  compact: false,
});

Deno.test("comparisonKeeper() asks once for what is shown, for the board's own revision, and again after a failure", async () => {
  const asked: string[] = [];
  const answers: any[] = [];
  let nowMs = 1_000_000;
  let fails = false;
  const keep = comparisonKeeper(
    (path: string) => {
      asked.push(path);
      return fails ? Promise.reject(new Error("away")) : Promise.resolve(path);
    },
    (answer: any) => answers.push(answer),
    () => nowMs,
  );
  await keep(shownAt(1, false));
  await keep(shownAt(2, false));
  assert.deepEqual(
    asked.splice(0),
    ["/v1/elections/e/comparison?contest=mayor"],
    "once before the final release",
  );
  await keep(shownAt(2, true));
  await keep(shownAt(2, true));
  assert.deepEqual(asked.splice(0), ["/v1/elections/e/comparison?contest=mayor&upTo=2"]);
  await keep(shownAt(2, true, "north"));
  assert.deepEqual(asked.splice(0), [
    "/v1/elections/e/comparison?contest=mayor&upTo=2",
    "/v1/elections/e/comparison?contest=mayor&upTo=2&by=station&region=north",
  ]);
  fails = true;
  await keep(shownAt(3, true));
  await keep(shownAt(3, true));
  assert.equal(asked.splice(0).length, 1, "it waits after a failure");
  [fails, nowMs] = [false, nowMs + 5_000];
  await keep(shownAt(3, true));
  assert.equal(asked.splice(0).length, 1);
  nowMs += 60_000;
  await keep(shownAt(3, true));
  assert.equal(asked.splice(0).length, 1, "officials may have linked places anew");
  await keep({ ...shownAt(9, true), view: "officials" });
  await keep({ ...shownAt(9, true), compact: true });
  assert.deepEqual(asked, []);
  assert.equal(answers.length, 5);
});

Deno.test("comparisonShown() shows an answer beside the board of its revision only", () => {
  const regions = { election: "e", contest: "mayor", revision: 2, final: true, past: { id: "p" } };
  const stations = { ...regions, places: [{ region: "north" }] };
  const at = (revision: number, final: boolean, answers: any = { regions, stations }) =>
    comparisonShown(shownAt(revision, final, "north"), answers);
  assert.equal(at(2, true)?.isCompared, true);
  assert.equal(at(2, true)?.stations, stations);
  assert.equal(at(3, true)?.isCompared, false);
  assert.equal(at(2, false)?.isCompared, false, "a past moment before the final release");
  assert.equal(at(2, true, null), undefined);
  assert.equal(at(2, true, { regions: { ...regions, past: null } }), undefined);
  assert.equal(at(2, true, { regions: { ...regions, contest: "council" } }), undefined);
  assert.equal(
    at(2, true, { regions, stations: { ...stations, places: [{ region: "south" }] } })?.stations,
    undefined,
  );
});
