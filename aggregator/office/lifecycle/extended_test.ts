import assert from "assert";
import { openHistory } from "../../counting/history.ts";
import { recount } from "../../counting/recount.ts";
import { Elections } from "../../registry/election_names.ts";
import { isFault, readResults } from "../../results/results.ts";
import { readEvents } from "../../audit/verify.ts";
import { MASTER } from "../../../tests/fixture.ts";
import { ok, openBoard } from "../../../tests/office_board.ts";
import { testDatabase } from "../../../tests/test_database.ts";

const db = await testDatabase();

Deno.test("ballots that are cast after the old closing time are counted as extended, in results, versions and audit", async () => {
  const board = await openBoard(db, "longer");
  const { box } = board;
  const at = (time: string) => {
    const castAt = `2026-11-03T${time}.000Z`;
    board.at(castAt);
    return { castAt, acceptedAt: castAt };
  };
  await box.cast("voter-0", at("20:30:00"));
  await box.count();
  ok(await board.both("extend", { closesAt: "2026-11-03T22:00:00.000Z" }, "Snow"));
  await box.cast("voter-1", at("21:00:00"));
  await box.cast("voter-3", at("21:00:01"));
  await box.cast("voter-4", { ...at("21:59:59"), selections: [] });
  await box.log.append([{ ...box.state(), partition: 0 }]);
  await box.count();
  board.at("2026-11-04T00:00:01.000Z");
  ok(await board.act("begin_canvass"));
  await board.publishFinal();
  const results = await readResults(db, new Elections(), box.election, "candidate");
  assert.ok(!isFault(results) && results.by === "candidate");
  assert.deepEqual(
    results.contests.map(({ contest, ballots, extended }) => [contest, ballots, extended]),
    [["mayor", 4, 2], ["council", 4, 2]],
  );
  const check = ok(await board.ann("POST", `${board.path}/quality`));
  assert.deepEqual(check.body.failing.filter((code: string) => code !== "blank_share"), []);
  ok(await board.both("certify"));
  const { versions: [{ results: text }] } =
    (await board.office.ask(undefined, "GET", `${board.path}/certified`)).body;
  assert.deepEqual(
    JSON.parse(text).totals.marks.filter(({ candidate }: { candidate: string }) => candidate === "#extended"),
    [{ contest: "council", candidate: "#extended", votes: 2 }, {
      contest: "mayor",
      candidate: "#extended",
      votes: 2,
    }],
  );
  const [event] = (await readEvents(db.query, box.election)).filter(({ event }) =>
    event === "results_certified"
  );
  assert.equal((event.details as { extended: number }).extended, 2);
  const history = (await openHistory(db.query, box.election, MASTER))!;
  assert.equal((await recount(db, box.log, history)).differences, 0);
});
