import assert from "assert";
import { openBallotBox } from "../../../tests/ballot_box.ts";
import { openCheckedElection } from "../../../tests/checked_election.ts";
import { MASTER, NOON_MS, testDefinition, uncontestedDefinition } from "../../../tests/fixture.ts";
import { MemoryIndex } from "../../../tests/memory_index.ts";
import { MemoryLog } from "../../../tests/memory_log.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { readEvents } from "../../audit/verify.ts";
import { openHistory } from "../../counting/history.ts";
import { recount } from "../../counting/recount.ts";
import { createElection } from "../../registry/elections.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { Elections } from "../../registry/election_names.ts";
import { bringUp } from "../../results/follower.ts";
import { Indexer } from "../../results/index/indexer.ts";
import { readResults } from "../../results/results.ts";
import { writeFeed } from "../../public/changes.ts";
import { openElectionsCsv } from "../exports/csv.ts";
import { electionReport } from "../exports/err.ts";
import { readPublished } from "../exports/published.ts";
import { definitionComplete } from "../quality/references.ts";

const db = await testDatabase();
const office = openTestOffice(db, () => Promise.resolve(new MemoryLog(3)));
let elections = 0;

async function openDraft() {
  const election = `draft-${++elections}`;
  await createElection(db, testDefinition({ election }), MASTER, new Date(NOON_MS - 86_400_000));
  await setStatus(election, "draft");
  const ask = await office.enrol(`registrar-of-${election}`, ["registrar", election]);
  return { election, ...asking(election, ask) };
}

Deno.test("a party stays while somebody in an uncontested contest stands for it", async () => {
  const election = `draft-${++elections}`;
  const { contests: [mayor, clerk, council], parties, ...rest } = uncontestedDefinition({ election });
  const [gus, hal] = clerk!.candidates;
  const definition = {
    ...rest,
    parties: [...parties, { id: "green", name: "Green" }],
    contests: [mayor!, { ...clerk!, candidates: [{ ...gus!, party: "green" }, hal!] }, council!],
  };
  await createElection(db, definition, MASTER, new Date(NOON_MS - 86_400_000));
  await setStatus(election, "draft");
  const ask = await office.enrol(`registrar-of-${election}`, ["registrar", election]);
  const refused = { state: "refused", reason: "Signatures missing" };
  const { status, body } = await ask("POST", `/v1/elections/${election}/parties/green/state`, refused);
  assert.equal(status, 409);
  assert.match(
    body.detail,
    /candidate gus of an uncontested contest stands for it; replace the definition first/,
  );
});

async function setStatus(election: string, status: string): Promise<void> {
  await db.query(
    `INSERT INTO office.lifecycles (election, status, revision, changed_at) VALUES ($1, $2, 1, now())
     ON CONFLICT (election) DO UPDATE SET status = $2`,
    [election, status],
  );
}

function asking(election: string, ask: Awaited<ReturnType<typeof office.enrol>>) {
  const at = `/v1/elections/${election}`;
  return {
    post: (path: string, body: unknown) => ask("POST", `${at}/${path}`, body),
    standing: async () => {
      const { body } = await ask("GET", `${at}/candidacies`);
      return Object.fromEntries(
        [...body.parties, ...body.candidates].map((each: any) => [
          each.contest === undefined ? each.party : `${each.contest}/${each.candidate}`,
          `${each.status}${each.onBallot ? "" : ", not on ballots"}`,
        ]),
      );
    },
    ballot: async (contest: string) =>
      (await newestManifest(db.query, election))!.contests.find(({ id }) => id === contest)!.candidates,
  };
}

/** What the outbox has of candidates and parties since the election was made. */
async function noted(election: string): Promise<string[]> {
  const rows = await db.query<{ key: string; value: string }>(
    "SELECT key, value FROM registry.outbox WHERE election = $1 AND number > 8 ORDER BY number",
    [election],
  );
  return rows.map(({ key, value }) => {
    const { status, onBallot } = JSON.parse(value);
    return `${key} ${status} ${onBallot}`;
  });
}

Deno.test("candidates and parties are filed, qualified and refused while the election is a draft; ballots have the qualified", async () => {
  const { election, post, standing, ballot } = await openDraft();
  const filed = await post("parties", { id: "green", name: "Green", colour: "#00cc00" });
  assert.equal(filed.status, 201, filed.text);
  const gil = { contest: "mayor", id: "gil", name: "Gil", party: "green", platform: "More trees." };
  assert.equal((await post("candidates", gil)).status, 201);
  assert.deepEqual(
    (await ballot("mayor")).map(({ id }) => id),
    ["ann", "bob", "cyd"],
    "filed is not on ballots",
  );

  const early = await post("candidates/mayor/gil/state", {
    state: "qualified",
    reason: "Signatures checked",
  });
  assert.equal(early.status, 409);
  assert.match(early.body.detail, /party green is not on ballots; qualify the party first$/);
  await post("parties/green/state", { state: "qualified", reason: "Statutes checked" });
  const qualified = await post("candidates/mayor/gil/state", {
    state: "qualified",
    reason: "Signatures checked",
  });
  assert.equal(qualified.status, 200, qualified.text);
  assert.deepEqual(
    [qualified.body.status, qualified.body.statusReason, qualified.body.statusAt],
    ["qualified", "Signatures checked", "2026-11-03T12:00:00.000Z"],
  );
  assert.deepEqual((await ballot("mayor")).at(-1), { id: "gil", name: "Gil", party: "green" });

  const refused = await post("candidates/mayor/bob/state", { state: "refused", reason: "Not a resident" });
  assert.deepEqual([refused.body.status, refused.body.onBallot], ["refused", false]);
  assert.deepEqual((await ballot("mayor")).map(({ id }) => id), ["ann", "cyd", "gil"]);
  const stands = await post("parties/green/state", { state: "refused", reason: "Statutes missing" });
  assert.match(
    stands.body.detail,
    /^party green: candidate gil stands for it; refuse or withdraw that candidate/,
  );
  assert.deepEqual(await standing(), {
    "blue": "qualified",
    "green": "qualified",
    "red": "qualified",
    "council/dan": "qualified",
    "council/eve": "qualified",
    "council/fay": "qualified",
    "mayor/ann": "qualified",
    "mayor/bob": "refused, not on ballots",
    "mayor/cyd": "qualified",
    "mayor/gil": "qualified",
  });
  assert.deepEqual(await noted(election), [
    `${election}/green filed false`,
    `${election}/mayor/gil filed false`,
    `${election}/green qualified true`,
    `${election}/mayor/gil qualified true`,
    `${election}/mayor/bob refused false`,
  ]);
  const manifest = (await newestManifest(db.query, election))!;
  const { expected, found } = await definitionComplete(db.query, manifest);
  assert.equal(found, expected, "the registry's ballot is the manifest's");

  const events = (await readEvents(db.query, election)).filter(({ event }) =>
    /^(candidate|party)/.test(event)
  );
  assert.deepEqual(events.map(({ event, actor, reason, after }) => [event, actor, reason, after]).at(-1), [
    "candidate_state_changed",
    `official:registrar-of-${election}`,
    "Not a resident",
    { onBallot: false, status: "refused" },
  ]);
  assert.equal(events.length, 5);
});

Deno.test("what a draft's candidates ask for and cannot have is refused, and says what would be right", async () => {
  const { post } = await openDraft();
  const why = async (path: string, body: unknown) => {
    const { status, body: answer } = await post(path, body);
    return `${status} ${answer.detail}`;
  };
  const reason = "A reason";
  assert.equal(
    await why("candidates", { contest: "senate", id: "gil", name: "Gil" }),
    "422 contest: the election has no contest senate",
  );
  assert.equal(
    await why("candidates", { contest: "mayor", id: "gil", name: "Gil", party: "green" }),
    "422 party: there is no party green; file it first",
  );
  assert.equal(
    await why("candidates", { contest: "mayor", id: "ann", name: "Another Ann" }),
    "409 there is a candidate mayor/ann already, who is qualified",
  );
  assert.equal(
    await why("parties", { id: "red", name: "Red" }),
    "409 there is a party red already: it is qualified",
  );
  assert.match(await why("candidates", { contest: "mayor", id: "gil", name: "Gil\u202e" }), /^422 name: /);
  assert.equal(
    await why("candidates/mayor/zoe/state", { state: "refused", reason }),
    "404 there is no candidate mayor/zoe",
  );
  assert.equal(
    await why("candidates/mayor/ann/state", { state: "qualified", reason }),
    "409 candidate mayor/ann: who is qualified may become refused, withdrawn, and not qualified",
  );
  await post("candidates/mayor/bob/state", { state: "refused", reason });
  await post("candidates/mayor/cyd/state", { state: "withdrawn", reason });
  assert.equal(
    await why("candidates/mayor/ann/state", { state: "refused", reason }),
    "409 candidate mayor/ann: nobody else stands for mayor; qualify another candidate first",
  );
  assert.match(await why("candidates/mayor/bob/state", { state: "qualified" }), /^422 reason: /);
});

Deno.test("when ballots are fixed a candidate may only withdraw; the votes are counted, and marked in results, exports and index", async () => {
  const election = "fixed";
  await openCheckedElection(db, election);
  const { post, standing, ballot } = asking(election, await office.enrol("fixer", ["registrar", election]));
  office.nowMs = NOON_MS;
  const reason = "Family reasons";
  for (const state of ["refused", "qualified"]) {
    const frozen = await post("candidates/mayor/ann/state", { state, reason });
    assert.equal(frozen.status, 409);
    assert.match(
      frozen.body.detail,
      state === "refused" ? /ballots are fixed: who is qualified may only withdraw$/ : /./,
    );
  }
  const late = await post("candidates", { contest: "mayor", id: "gil", name: "Gil" });
  assert.match(
    late.body.detail,
    /^the election is open: candidates and parties are filed while it is a draft/,
  );

  const read = async () => {
    const answer = await readResults(db, new Elections(), election, "candidate") as any;
    const rows = answer.rows.map(({ candidate, votes, withdrawn }: any) => [candidate, [votes, withdrawn]]);
    const published = await readPublished(db.query, election);
    if ("fault" in published) throw new Error(published.fault);
    return {
      results: Object.fromEntries(rows),
      csv: openElectionsCsv(published, "exact").split("\n").filter((line) => /precinct|,Ann,/.test(line)),
      report: JSON.parse(electionReport(published)),
    };
  };
  const before = await read();
  const [votes] = before.results.ann;
  assert.ok(votes > 0);
  const rebuilt: string[] = [];
  const index = new MemoryIndex();
  const indexer = new Indexer({
    db,
    index,
    now: Date.now,
    signal: new AbortController().signal,
    onUpserted() {},
    onRebuilt: (_, why) => rebuilt.push(why),
    onFault(what, error) {
      throw new Error(what, { cause: error });
    },
    pace: { checkMs: 0, passMs: 0 },
  });
  const marked = async () => {
    while (await bringUp(db.query, indexer));
    const lines = [...index.documents("tallies").values(), ...index.documents("released-votes").values()];
    const of = lines.filter((each) => each.candidate === "ann" && each.election === election);
    return [of.length, of.filter(({ withdrawn }) => withdrawn === true).length];
  };
  const [documents, none] = await marked();
  assert.ok(documents! > 0);
  assert.equal(none, 0);

  const withdrawn = await post("candidates/mayor/ann/state", { state: "withdrawn", reason });
  assert.deepEqual([withdrawn.status, withdrawn.body.status, withdrawn.body.onBallot], [
    200,
    "withdrawn",
    true,
  ]);
  assert.equal((await standing())["mayor/ann"], "withdrawn");
  assert.deepEqual((await ballot("mayor"))[0], { id: "ann", name: "Ann", party: "red", withdrawn: true });
  const after = await read();
  assert.deepEqual(after.results, { ...before.results, ann: [votes, true] }, "counted as before, and marked");
  assert.ok(before.csv.length > 1);
  assert.deepEqual(
    after.csv,
    before.csv.map((line) => `${line},withdrawn`),
    "a column of its own, in an election in which somebody withdrew",
  );
  const byTime: any = await readResults(db, new Elections(), election, "time");
  const anns = byTime.rows.filter(({ candidate }: any) => candidate === "ann");
  assert.ok(anns.length > 0 && anns.every((row: any) => row.withdrawn === true), "also minute by minute");
  assert.ok(
    byTime.rows.some(({ candidate, withdrawn }: any) => candidate !== "ann" && withdrawn === undefined),
  );
  const names = (await new Elections().find(db.query, election))!;
  assert.match(writeFeed(names, byTime, "https://results.example"), /Ann \(withdrawn\)/);
  const inReport = ({ report }: typeof before) =>
    report.Election[0].Candidate.map(({ "@id": id, PreElectionStatus }: any) => [id, PreElectionStatus]);
  assert.deepEqual(inReport(after).filter(([, status]: any) => status !== undefined), [[
    "candidate.mayor.ann",
    "withdrawn",
  ]]);
  assert.deepEqual(inReport(before).filter(([, status]: any) => status !== undefined), []);
  // What the index has is found to be unmarked twice, and then made anew.
  await marked();
  assert.deepEqual(await marked(), [documents, documents]);
  assert.deepEqual(rebuilt, ["a candidate has withdrawn, and is not marked so"]);
});

Deno.test("a vote for a candidate who has withdrawn is counted, and a recount agrees", async () => {
  const box = await openBallotBox(db, "voting", {});
  await box.enrol([{ voter_id: "v-1", region: "north", station: "", birth_date: "", gender: "unknown" }]);
  const { post } = asking("voting", await office.enrol("withdrawer", ["registrar", "voting"]));
  const state = await post("candidates/mayor/ann/state", { state: "withdrawn", reason: "Family reasons" });
  assert.equal(state.status, 200, state.text);
  await box.cast("v-1", { selections: [{ contest: "mayor", candidate: "ann" }] });
  await box.count();
  const [row] = await db.query<{ records: number }>(
    "SELECT sum(records)::int AS records FROM counting.outcome_counts WHERE election = 'voting' AND fate = 'counted'",
  );
  assert.equal(row!.records, 1);
  const history = (await openHistory(db.query, "voting", MASTER))!;
  assert.equal((await recount(db, box.log, history)).differences, 0);
});
