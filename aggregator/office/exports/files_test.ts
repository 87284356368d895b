import assert from "assert";
import { parse } from "csv-parse/sync";
import type { Manifest } from "../../../shared/election.ts";
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { CHECKED_AT, openCheckedElection } from "../../../tests/checked_election.ts";
import { MASTER, testDefinition, testManifest, uncontestedDefinition } from "../../../tests/fixture.ts";
import { checkEventLog, checkResults } from "../../../tests/nist/schemas.ts";
import { reportFaults } from "../../../tests/nist/report.ts";
import { tamper, testDatabase } from "../../../tests/test_database.ts";
import { importPast } from "../../../tests/past_election.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { openNote } from "../../audit/note.ts";
import { Elections } from "../../registry/election_names.ts";
import { createElection } from "../../registry/elections.ts";
import { isComparisonFault, readComparison } from "../../results/history/comparison.ts";
import { isFault, readResults } from "../../results/results.ts";
import { openElectionsCsv, turnoutCsv } from "./csv.ts";
import { electionReport } from "./err.ts";
import { CURRENT_MS } from "./files.ts";
import type { ExportedUnit, Published } from "./published.ts";

const db = await testDatabase();
const box = await openCheckedElection(db, "sound");
const office = openTestOffice(db, () => Promise.resolve(box.log));
office.nowMs = CHECKED_AT.getTime();
const get = async (election: string, file: string, query = "") =>
  await office.ask(undefined, "GET", `/v1/elections/${election}/exports/${file}${query}`);

/** Votes of the whole election by the API, by `contest/candidate`. */
async function publishedVotes(election: string): Promise<Map<string, number>> {
  const results = await readResults(db, new Elections(), election, "candidate");
  assert.ok(!isFault(results) && results.by === "candidate");
  return new Map(results.rows.map(({ contest, candidate, votes }) => [`${contest}/${candidate}`, votes]));
}

function totalsOf(report: any): Map<string, number> {
  return new Map(
    report.Election[0].Contest.flatMap((contest: any) =>
      contest.ContestSelection.map(({ "@id": id, VoteCounts }: any) => [
        id.replace("selection.", "").replace(".", "/"),
        VoteCounts.find(({ GpUnitId, Type }: any) => GpUnitId === "gp.election" && Type === "total")?.Count ??
          0,
      ])
    ),
  );
}

for (const [election, threshold] of [["sound", 1], ["merged", 12]] as const) {
  Deno.test(`err-v2.json is valid by NIST's schema and beyond it, and sums to what is published, where k is ${threshold}`, async () => {
    const seats = threshold > 1 ? 3 : undefined;
    const contests = testDefinition().contests.map((contest) =>
      contest.id === "council" && seats !== undefined ? { ...contest, seats } : contest
    );
    if (threshold > 1) await openCheckedElection(db, election, { releaseThreshold: threshold, contests });
    const { status, body, headers } = await get(election, "err-v2.json");
    assert.equal(status, 200);
    assert.match(headers.get("content-disposition")!, /filename="err-v2.json"/);
    assert.deepEqual(checkResults(body), []);
    assert.deepEqual(reportFaults(body), []);
    assert.deepEqual(totalsOf(body), await publishedVotes(election));
    assert.equal(body.Status, "unofficial-complete");
    const [{ BallotCounts, Contest }] = body.Election;
    for (const { BallotsCast } of BallotCounts) {
      assert.ok(BallotsCast >= threshold, JSON.stringify(BallotCounts));
    }
    assert.deepEqual(
      Contest.map(({ NumberElected, VotesAllowed }: any) => [NumberElected, VotesAllowed]),
      contests.map(({ votesAllowed }, i) => [i === 1 ? seats ?? votesAllowed : votesAllowed, votesAllowed]),
    );
    const undervotes = Contest.find(({ Name }: any) => Name === "Council").OtherCounts;
    assert.equal(undervotes.find(({ GpUnitId }: any) => GpUnitId === "gp.election").Undervotes > 0, true);
    const types = new Set(BallotCounts.map(({ Type }: any) => Type));
    assert.ok(types.has("total") && types.has("election-day"));
    const together = body.GpUnit.filter(({ Name }: any) => Name.Text[0].Content.startsWith("Together: "));
    assert.equal(together.length > 0, threshold > 1, "cells below k are shown together");
    // n-2 does not vote on the council: it has no count of it, and not 0.
    assert.ok(
      !Contest.find(({ Name }: any) => Name === "Council").ContestSelection.some(({ VoteCounts }: any) =>
        VoteCounts.some(({ GpUnitId }: any) => GpUnitId === "gp.station.n-2")
      ),
    );
  });
}

Deno.test("an uncontested contest is in err-v2.json with its candidates and no counts, and in no table", async () => {
  const { contests } = uncontestedDefinition();
  await openCheckedElection(db, "unopposed", { contests });
  const { body } = await get("unopposed", "err-v2.json");
  assert.deepEqual([checkResults(body), reportFaults(body)], [[], []]);
  const [{ Contest, Candidate }] = body.Election;
  const clerk = Contest.find(({ Name }: any) => Name === "Clerks");
  assert.deepEqual(
    [clerk.NumberElected, clerk.OtherCounts, clerk.ContestSelection.map(({ VoteCounts }: any) => VoteCounts)],
    [2, [], [[], []]],
  );
  const winners = Candidate.filter(({ PostElectionStatus }: any) => PostElectionStatus === "winner");
  assert.deepEqual(winners.map((each: any) => each["@id"]), ["candidate.clerk.gus", "candidate.clerk.hal"]);
  const totals = totalsOf(body);
  totals.delete("clerk/gus");
  totals.delete("clerk/hal");
  assert.deepEqual(totals, await publishedVotes("sound"), "the votes are those of the election without it");
  for (const file of ["openelections.csv", "turnout.csv"]) {
    const [with_, without] = [await get("unopposed", file), await get("sound", file)];
    assert.equal(with_.text, without.text.replaceAll("sound", "unopposed"), file);
  }
});

const PAST = `county,precinct,office,party,candidate,votes
North,North 1,Registered Voters,,,200
North,North 1,Ballots Cast,,,100
North,North 1,Mayor,Red,Old Ann,60
North,North 1,Mayor,Blue,Old Bob,40
North,North 2,Mayor,Red,Old Ann,30
North,North 2,Mayor,Blue,Old Bob,70
South,South 1,Mayor,Red,Old Ann,80
South,South 1,Mayor,Blue,Old Bob,20
South,Old mill,Mayor,Red,Old Ann,5
`;

Deno.test("comparison.csv has each place beside an earlier election, in the list of sums, once results are final", async () => {
  await openCheckedElection(db, "compared");
  assert.equal((await get("compared", "comparison.csv")).status, 404, "nothing is compared");
  await importPast(db, PAST, { election: "compared", contest: "mayor" });
  office.nowMs += CURRENT_MS;
  const { status, text, headers } = await get("compared", "comparison.csv");
  assert.equal(status, 200, text);
  assert.match(headers.get("content-disposition")!, /filename="comparison.csv"/);
  const rows = parse(text, { columns: true }) as Record<string, string>[];
  const head = {
    past: "town-2016",
    past_name: "Town 2016",
    past_held_on: "2016-11-08",
    past_kind: "imported",
  };
  for (const row of rows) assert.deepEqual({ ...row, ...head, office: "Mayor" }, row);
  const of = (county: string, precinct: string) =>
    rows.filter((row) => row.county === county && row.precinct === precinct);
  // By hand: Red had 175 of 305 votes and Blue 130; now they have 32 and 16 of 64.
  const near = (found: string | undefined, wanted: number) =>
    assert.ok(Math.abs(Number(found) - wanted) < 1e-9, found);
  const whole = new Map(of("", "").map((row) => [row.party, row]));
  assert.deepEqual([...whole.keys()].sort(), ["", "Blue", "Red"]);
  assert.deepEqual([whole.get("Red")!.votes_then, whole.get("Red")!.votes_now], ["175", "32"]);
  near(whole.get("Red")!.change, 32 / 64 - 175 / 305);
  near(whole.get("Blue")!.share_then, 130 / 305);
  for (const { swing, swing_to } of whole.values()) {
    near(swing, ((16 / 64 - 130 / 305) - (32 / 64 - 175 / 305)) / 2);
    assert.equal(swing_to, "Blue");
  }
  assert.deepEqual(of("North", "North 1").map((row) => Number(row.turnout_then)), [0.5, 0.5, 0.5]);
  // The old mill's votes may have been South 2's.
  assert.deepEqual(
    of("South", "South 2").map(({ party, change, not_compared }) => ({ party, change, not_compared })),
    [
      { party: "", change: "", not_compared: "not_linked" },
    ],
  );
  for (const by of ["region", "station"] as const) {
    const answer = await readComparison(db, new Elections(), "compared", { contest: "mayor", by });
    assert.ok(!isComparisonFault(answer));
    for (const row of answer.rows) {
      const county = row.region === null ? "" : { north: "North", south: "South" }[row.region]!;
      const found = of(county, row.station === null ? "" : row.name!).find(({ party }) =>
        party === (row.partyName ?? "")
      );
      assert.equal(Number(found!.change), row.change);
      assert.equal(Number(found!.votes_now), row.votesNow);
    }
  }
  const sums = await get("compared", "SHA256SUMS");
  assert.ok(sums.text.includes(`${sha256(utf8(text)).toHex()}  comparison.csv\n`), sums.text);
  assert.ok(!(await get("sound", "SHA256SUMS")).text.includes("comparison.csv"));
  await db.query("DELETE FROM history.comparisons WHERE election = 'compared'");
  office.nowMs += CURRENT_MS;
  assert.equal((await get("compared", "comparison.csv")).status, 404, "officials compare it no longer");
});

Deno.test("places without a release are left out of every file, and are never 0", async () => {
  await createElection(db, testDefinition({ election: "quiet" }), MASTER, CHECKED_AT);
  const { body } = await get("quiet", "err-v2.json");
  assert.deepEqual([checkResults(body), reportFaults(body)], [[], []]);
  assert.deepEqual([body.Status, totalsOf(body).get("mayor/ann")], ["unofficial-partial", 0]);
  assert.equal(JSON.stringify(body).includes('VoteCounts":[{'), false);
  assert.equal((await get("quiet", "openelections.csv")).text.trim().split("\n").length, 1);
  assert.equal((await get("quiet", "turnout.csv")).text.trim().split("\n").length, 1);
});

/** Names that a definition refuses may be in an older manifest. */
const NAMES: Record<string, string> = {
  ann: '+Ann, "A"',
  bob: "-1",
  cyd: "@cyd",
  tab: "\tTab",
  cr: "\rReturn",
  dee: "Dee = -1",
};
const plain = testManifest(testDefinition());
const MANIFEST: Manifest = {
  ...plain,
  contests: [{
    id: "mayor",
    name: "=1+1",
    votesAllowed: 1,
    candidates: Object.entries(NAMES).map(([id, name]) => ({ id, name })),
  }],
  stations: plain.stations.map(({ contests: _, ...station }) => ({ ...station, name: station.id })),
};

function unitOf(change: Partial<ExportedUnit> & { counts: Record<string, number> }): ExportedUnit {
  const { counts, ...rest } = change;
  const of = (isMark: boolean) =>
    new Map([["mayor", new Map(Object.entries(counts).filter(([name]) => name.startsWith("#") === isMark))]]);
  return {
    unit: `${rest.station}/in_person`,
    region: null,
    station: null,
    mode: null,
    members: null,
    voters: counts["#ballots"] ?? 0,
    votes: of(false),
    marks: of(true),
    ...rest,
  };
}

function publishedOf(...units: ExportedUnit[]): Published {
  return { manifest: MANIFEST, status: "complete", asOf: "2026-11-04T00:00:01.234Z", units };
}

Deno.test("beside a station with a release, one without is in no count and in no line, and is never 0", () => {
  const published = publishedOf(
    unitOf({ station: "n-1", mode: "early", counts: { ann: 3, "#ballots": 4, "#undervotes": 1 } }),
  );
  const report = JSON.parse(electionReport(published));
  assert.deepEqual([checkResults(report), reportFaults(report)], [[], []]);
  const places = (lists: { GpUnitId: string }[]) => new Set(lists.map(({ GpUnitId }) => GpUnitId));
  const told = new Set(["gp.election", "gp.station.n-1"]);
  const [{ BallotCounts, Contest: [{ ContestSelection, OtherCounts }] }] = report.Election;
  assert.deepEqual(places(BallotCounts), told);
  assert.deepEqual(places(OtherCounts), told);
  for (const { VoteCounts } of ContestSelection) assert.deepEqual(places(VoteCounts), told);
  assert.doesNotMatch(openElectionsCsv(published, "exact"), /n-2|s-1/);
});

Deno.test("a spreadsheet's file has no formulas; the exact one has texts as they are; numbers are the same in both", () => {
  const published = publishedOf(
    unitOf({ station: "n-1", mode: "in_person", counts: { ann: 3, bob: 2, "#ballots": 5 } }),
  );
  const exact = parse(openElectionsCsv(published, "exact"), { columns: true }) as Record<string, string>[];
  const safe = parse(openElectionsCsv(published, "spreadsheet"), { columns: true }) as Record<
    string,
    string
  >[];
  assert.deepEqual(exact.map(({ office, candidate }) => [office, candidate]), [
    ["=1+1", '+Ann, "A"'],
    ["=1+1", "-1"],
    ["=1+1", "@cyd"],
    ["=1+1", "\tTab"],
    ["=1+1", "\rReturn"],
    ["=1+1", "Dee = -1"],
  ]);
  for (const row of safe) for (const value of Object.values(row)) assert.doesNotMatch(value, /^[=+\-@\t\r]/);
  assert.deepEqual(safe.map(({ candidate }) => candidate), [
    `'+Ann, "A"`,
    "'-1",
    "'@cyd",
    "'\tTab",
    "'\rReturn",
    "Dee = -1",
  ]);
  for (const rows of [exact, safe]) {
    assert.deepEqual(
      rows.slice(0, 3).map(({ votes, election_day, early_voting }) => [votes, election_day, early_voting]),
      [
        ["3", "3", ""],
        ["2", "2", ""],
        ["0", "0", ""],
      ],
    );
  }
});

Deno.test("votes that a late unit takes off are shown with their region, or with the whole election: no count is below 0", () => {
  const north = unitOf({
    station: "n-1",
    mode: "in_person",
    counts: { ann: 30, bob: 20, "#ballots": 50, "#undervotes": 0 },
  });
  const south = unitOf({
    station: "s-1",
    mode: "in_person",
    counts: { ann: 3, bob: 20, "#ballots": 23, "#undervotes": 0 },
  });
  const late = (region: string | null, ann: number) =>
    unitOf({
      unit: `${region ?? ""}:late`,
      region,
      members: { late: true },
      counts: { ann, bob: 12, "#ballots": 12 + ann, "#undervotes": 0 },
    });
  const totals = (units: ExportedUnit[]) => {
    const report = JSON.parse(electionReport(publishedOf(...units)));
    assert.deepEqual([checkResults(report), reportFaults(report)], [[], []]);
    const places = report.Election[0].Contest[0].ContestSelection[0].VoteCounts
      .filter(({ Type }: any) => Type === "total").map(({ GpUnitId, Count }: any) => [GpUnitId, Count]);
    return new Map(places);
  };
  assert.deepEqual(
    totals([north, south, late("north", 4)]),
    new Map([
      ["gp.station.n-1", 30],
      ["gp.station.s-1", 3],
      ["gp.unit.north..late", 4],
      ["gp.election", 37],
    ]),
  );
  assert.deepEqual(
    totals([north, south, late("north", -2)]),
    new Map([["gp.station.s-1", 3], ["gp.region.north", 28], ["gp.election", 31]]),
  );
  assert.deepEqual(totals([north, south, late("south", -4)]), new Map([["gp.election", 29]]));
  assert.deepEqual(totals([north, south, late(null, -1)]), new Map([["gp.election", 32]]));
});

Deno.test("votes that officials added are a kind of their own, in CSV and ERR; where some were taken off, only totals are told", () => {
  const units = [
    unitOf({
      station: "n-1",
      mode: "in_person",
      counts: { ann: 30, bob: 20, "#ballots": 50, "#undervotes": 0 },
    }),
    unitOf({
      station: "s-1",
      mode: "in_person",
      counts: { ann: 3, bob: 20, "#ballots": 23, "#undervotes": 0 },
    }),
  ];
  const line = (station: string, candidate: string, votes: number) => ({
    station,
    contest: "mayor",
    candidate,
    votes,
  });
  const countsOf = (adjustments: Published["adjustments"]) => {
    const report = JSON.parse(electionReport({ ...publishedOf(...units), adjustments }));
    assert.deepEqual([checkResults(report), reportFaults(report)], [[], []]);
    assert.equal(report.Notes.includes("adjustment"), true);
    return report.Election[0].Contest[0].ContestSelection[0].VoteCounts
      .map(({ GpUnitId, Type, OtherType, Count }: any) => [GpUnitId, OtherType ?? Type, Count]);
  };
  const added = [line("n-1", "ann", 2), line("n-1", "ann", 1), line("s-2", "ann", 4)];
  assert.deepEqual(countsOf(added), [
    ["gp.station.n-1", "election-day", 30],
    ["gp.station.n-1", "adjustment", 3],
    ["gp.station.s-1", "election-day", 3],
    ["gp.station.s-2", "adjustment", 4],
    ["gp.station.n-1", "total", 33],
    ["gp.station.s-1", "total", 3],
    ["gp.station.s-2", "total", 4],
    ["gp.election", "total", 40],
  ]);
  assert.deepEqual(countsOf([line("n-1", "ann", -2)]), [
    ["gp.station.s-1", "election-day", 3],
    ["gp.station.n-1", "total", 28],
    ["gp.station.s-1", "total", 3],
    ["gp.election", "total", 31],
  ]);
  assert.deepEqual(
    countsOf([line("s-1", "ann", -5)]).filter(([, type]: string[]) => type === "total"),
    [["gp.election", "total", 28]],
    "more was taken off than the region has",
  );
  const rows = parse(
    openElectionsCsv({ ...publishedOf(...units), adjustments: [...added, line("s-1", "ann", -1)] }, "exact"),
    {
      columns: true,
    },
  ) as Record<string, string>[];
  assert.deepEqual(
    rows.filter(({ candidate }) => candidate.startsWith("+Ann")).map((
      { precinct, votes, election_day, adjustments },
    ) => [precinct, votes, election_day, adjustments]),
    [["n-1", "33", "30", "3"], ["s-1", "2", "3", "-1"], ["s-2", "4", "", "4"]],
  );
  assert.doesNotMatch(
    openElectionsCsv(publishedOf(...units), "exact"),
    /adjustments/,
    "nothing changes without them",
  );
});

Deno.test("units of several cells are named in CSV, modes that are shown together are empty, and turnout is as fine as results", () => {
  const units = [
    unitOf({ station: "n-1", mode: "in_person", counts: { ann: 30, "#ballots": 30 } }),
    unitOf({
      unit: "n-1/early+absentee",
      station: "n-1",
      members: { modes: ["early", "absentee"] },
      counts: { ann: 11, "#ballots": 12 },
    }),
    unitOf({
      unit: "south:0011",
      region: "south",
      members: { stations: ["s-1", "s-2"] },
      counts: { bob: 12, "#ballots": 12 },
    }),
  ];
  const rows = parse(openElectionsCsv(publishedOf(...units), "exact"), { columns: true }) as Record<
    string,
    string
  >[];
  assert.deepEqual(
    rows.filter(({ candidate }) => candidate.startsWith("+Ann")).map((row) =>
      Object.values(row).slice(0, 2).concat(Object.values(row).slice(6))
    ),
    [["North", "n-1", "41", "30", "", "", "", ""], ["South", "", "0", "", "", "", "", "s-1 s-2"]],
  );
  assert.equal(
    turnoutCsv(publishedOf(...units), "exact"),
    "county,precinct,mode,voters,together\nNorth,n-1,in_person,30,\nNorth,n-1,early+absentee,12,\nSouth,,,12,s-1 s-2\n",
  );
});

Deno.test("SHA256SUMS lists what the files are, and is signed", async () => {
  const { text } = await get("sound", "SHA256SUMS");
  const said = openNote(text, office.keys.notes)!;
  assert.match(said, /^# pollwire exports sound complete 2026-11-03T23:30:00.000Z\n/);
  for (const file of ["openelections.csv", "err-v2.json", "turnout.csv"]) {
    const { text } = await get("sound", file);
    assert.ok(said.includes(`${sha256(utf8(text)).toHex()}  ${file}\n`), file);
  }
  assert.equal(openNote(text.replace("err-v2", "err-v3"), office.keys.notes), undefined);
  // What is for spreadsheets is another file where a text differs; here none does.
  assert.equal(
    (await get("sound", "turnout.csv", "?format=spreadsheet")).text,
    (await get("sound", "turnout.csv")).text,
  );
});

Deno.test("a certified version keeps its files, byte for byte, whatever is published later", async () => {
  const box = await openCheckedElection(db, "kept");
  const office = openTestOffice(db, () => Promise.resolve(box.log));
  office.nowMs = CHECKED_AT.getTime();
  const path = "/v1/elections/kept";
  const ann = await office.enrol("ann-kept", ["official", "kept"]);
  const ben = await office.enrol("ben-kept", ["official", "kept"]);
  const tag = async () => ({ "if-match": (await ann("GET", `${path}/lifecycle`)).headers.get("etag")! });
  const both = async (action: string) => {
    const { body } = await ann("POST", `${path}/proposals`, { action, reason: "All is well" }, await tag());
    const done = await ben("POST", `${path}/proposals/${body.proposal}/approve`, undefined, await tag());
    assert.equal(done.status, 200, done.text);
  };
  const files = async () => {
    const names = ["openelections.csv", "err-v2.json", "turnout.csv", "event-log.json", "SHA256SUMS"];
    return await Promise.all(
      names.map(async (name) => (await ann("GET", `${path}/exports/${name}?version=1`)).text),
    );
  };
  assert.equal((await ann("GET", `${path}/exports/err-v2.json?version=1`)).status, 404);
  await ann("POST", `${path}/actions`, { action: "begin_canvass", reason: "Closed" }, await tag());
  await both("certify");
  const first = await files();
  const [, report, , log, sums] = first;
  assert.deepEqual([checkResults(JSON.parse(report!)), reportFaults(JSON.parse(report!))], [[], []]);
  assert.deepEqual([JSON.parse(report!).Status, JSON.parse(report!).GeneratedDate], [
    "certified",
    "2026-11-03T23:30:00Z",
  ]);
  assert.deepEqual(checkEventLog(JSON.parse(log!)), []);
  const events = JSON.parse(log!).Device[0].Event;
  assert.deepEqual(events.at(-1).Id, "results_certified");
  assert.equal(events.length, Number(events.at(-1).Sequence));
  const said = openNote(sums!, office.keys.notes)!;
  assert.ok(said.includes(`${sha256(utf8(log!)).toHex()}  event-log.json\n`));
  await both("reopen");
  await tamper(db, "UPDATE results.releases SET votes = '[]' WHERE election = 'kept' AND $1 = 1", [1]);
  assert.deepEqual(await files(), first);
  // Another process, with nothing in memory.
  const other = openTestOffice(db, () => Promise.resolve(box.log));
  assert.equal((await other.ask(undefined, "GET", `${path}/exports/err-v2.json?version=1`)).text, report);
});

Deno.test("files that are not there say why", async () => {
  assert.equal((await get("nowhere", "err-v2.json")).body.type, "urn:pollwire:problem:unknown-election");
  assert.match((await get("sound", "err-v2.json", "?version=7")).body.detail, /no such certified version/);
  assert.equal((await get("sound", "err-v2.json", "?version=x")).status, 422);
  const ann = await office.enrol("ann-cvr", ["official", "sound"]);
  const cvr = await ann("GET", "/v1/elections/sound/exports/cvr-v1.json");
  assert.deepEqual(
    [cvr.status, /cast vote records are not made: no ballot is stored/.test(cvr.body.detail)],
    [404, true],
  );
});

Deno.test("a recount's report is the same, byte for byte, signed, and tells no counts that are not published", async () => {
  const cyd = await office.enrol("cyd", ["auditor", "sound"]);
  const report = async (election = "sound") => (await cyd("POST", `/v1/elections/${election}/recount`)).body;
  const first = await report();
  office.nowMs += 3_600_000;
  assert.deepEqual(await report(), first);
  const said = openNote(first.note, office.keys.notes)!;
  assert.equal(said, `pollwire recount sound\n${sha256(utf8(first.report)).toHex()}\n0 differences\n`);
  const { records, counted, differences, ends } = JSON.parse(first.report);
  assert.deepEqual([records, counted, differences, ends.length], [66, 64, 0, 3]);

  const hidden = await openCheckedElection(db, "hidden", { releaseThreshold: 10 });
  const hiddenOffice = openTestOffice(db, () => Promise.resolve(hidden.log));
  hiddenOffice.nowMs = CHECKED_AT.getTime();
  const dan = await hiddenOffice.enrol("dan", ["official", "hidden"]);
  await tamper(db, "UPDATE counting.tallies SET votes[1] = votes[1] + $1 WHERE election = 'hidden'", [5]);
  const broken = (await dan("POST", "/v1/elections/hidden/recount")).body;
  assert.ok(broken.differences > 0);
  for (const line of JSON.parse(broken.report).shown) assert.deepEqual(Object.keys(line), ["line"]);
});

Deno.test("the OpenAPI document says of which type each file is", () => {
  const { paths } = office.app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "office", version: "1" },
  });
  const typeOf = (name: string) => {
    const { get } = paths![`/v1/elections/{election}/exports/${name}`] as any;
    return Object.keys(get.responses[200].content)[0];
  };
  assert.deepEqual(["openelections.csv", "err-v2.json", "SHA256SUMS"].map(typeOf), [
    "text/csv",
    "application/json",
    "text/plain",
  ]);
});
