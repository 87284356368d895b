import assert from "assert";
import { NOON_MS } from "../../tests/fixture.ts";
import { countVoters, enrol, withElection } from "../../tests/seeded_database.ts";
import { type Turnout, TURNOUT_BY, turnoutSchema } from "./schemas.ts";
import { Elections } from "../registry/election_names.ts";
import { readTurnout, RollCounts } from "./turnout.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("readTurnout() sums lanes and stations, and joins the roll", async (t) => {
  await withElection(async (db) => {
    let nowMs = NOON_MS;
    const elections = new Elections();
    const roll = new RollCounts(() => nowMs);
    const read = async (by: Turnout["by"]) => {
      const turnout = await readTurnout(db, elections, roll, "test-2026", by);
      assert.deepEqual(turnoutSchema.parse(turnout), turnout);
      return turnout!;
    };

    await t.step("before anything", async () => {
      for (const by of TURNOUT_BY) {
        const { voters, registered } = await read(by);
        assert.deepEqual([voters, registered], [0, 0]);
      }
    });

    await enrol(db.query, 1, 10);
    await enrol(db.query, 11, 6, { region: "south", ageGroup: "75+", gender: "male" });
    await db.query(
      "UPDATE counting.roll SET struck_at = '2026-11-03T11:00:00Z' WHERE voter_key = decode(lpad('1', 64, '0'), 'hex')",
    );
    const minute = (text: string) => `2026-11-03T${text}:00.000Z`;
    await countVoters(db.query, 3, { station: "n-1", minute: minute("11:58"), region: "north" });
    await countVoters(db.query, 2, { station: "n-1", minute: minute("11:58"), region: "north", lane: 1 });
    await countVoters(db.query, 1, {
      station: "s-2",
      minute: minute("11:59"),
      region: "south",
      ageGroup: "75+",
      gender: "male",
    });

    await t.step("total: who is on the roll now", async () => {
      assert.deepEqual((await read("total")).rows, [{ voters: 6, registered: 15 }]);
    });

    await t.step("region, age, gender: voters and voters on the roll", async () => {
      assert.deepEqual((await read("region")).rows, [
        { region: "north", name: "North", voters: 5, registered: 9 },
        { region: "south", name: "South", voters: 1, registered: 6 },
      ]);
      assert.deepEqual((await read("age")).rows, [
        { age: "25-34", voters: 5, registered: 9 },
        { age: "75+", voters: 1, registered: 6 },
      ]);
      assert.deepEqual((await read("gender")).rows, [
        { gender: "female", voters: 5, registered: 9 },
        { gender: "male", voters: 1, registered: 6 },
      ]);
    });

    await t.step("station: all of them", async () => {
      assert.deepEqual((await read("station")).rows, [
        { station: "n-1", name: "North 1", region: "north", voters: 5 },
        { station: "n-2", name: "North 2", region: "north", voters: 0 },
        { station: "s-1", name: "South 1", region: "south", voters: 0 },
        { station: "s-2", name: "South 2", region: "south", voters: 1 },
      ]);
    });

    await t.step("minute: with the running total", async () => {
      assert.deepEqual((await read("minute")).rows, [
        { minute: "2026-11-03T11:58Z", voters: 5, total: 5 },
        { minute: "2026-11-03T11:59Z", voters: 1, total: 6 },
      ]);
    });

    await t.step("the roll is counted again after a while, and not before", async () => {
      nowMs = Date.parse("2026-11-03T12:00:29.999Z");
      await enrol(db.query, 17, 5, { region: "south" });
      assert.equal((await read("total")).registered, 15);
      nowMs += 1;
      assert.equal((await read("total")).registered, 20);
    });

    await t.step("no such election", async () => {
      assert.equal(await readTurnout(db, elections, roll, "none", "total"), undefined);
    });
  });
});

Deno.test("RollCounts counts once for all who ask at the same time, and again after a failure", async () => {
  let asked = 0;
  let fails = true;
  const query = async () => {
    asked++;
    if (fails) throw new Error("away");
    return [{ region: "north", age: "75+", gender: "male", voters: 1 }] as never[];
  };
  const roll = new RollCounts(() => NOON_MS);
  await assert.rejects(Promise.all([roll.of(query, "e"), roll.of(query, "e")]), /away/);
  assert.equal(asked, 1);
  fails = false;
  assert.equal((await roll.of(query, "e")).length, 1);
  assert.equal((await roll.of(query, "e")).length, 1);
  assert.equal(asked, 2);
});
