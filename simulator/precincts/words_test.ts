import assert from "assert";
import {
  isNamedLike,
  isNoParty,
  isSingleSeat,
  isTotalPrecinct,
  isWriteIn,
  otherLine,
  parseCount,
  townOf,
  votesAllowedIn,
} from "./words.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("otherLine() knows the lines that are no candidates", strict, () => {
  const spellings = [
    ..."Total|TOTALS|Total Votes|Total Votes Cast|County Total|Contest Totals|Grand total|Sub-total".split(
      "|",
    ),
    ..."Registered Voters|Registered Voters - Total|registered voters (DEM)|Voters Registered|REGISTRATION"
      .split("|"),
    ..."Ballots Cast|BALLOTS CAST - TOTAL|Ballots Cast Blank|Total Ballots Cast|Times Counted|Cards Cast"
      .split("|"),
    ..."Over Votes|OverVotes|Overvotes|Over-votes|OVER VOTE|Under Votes|Undervotes|Under-Votes|Times Over Voted"
      .split("|"),
    ..."Over/Under Votes|Over and Under Votes|Times Under Voted|Over|Under|Number of Undervotes|Total Overvotes"
      .split("|"),
    ..."Blank|Blanks|BLANK|Blank Votes|Blank Ballots|Times Blank Voted|Void|Blank/Void|Spoiled Ballots".split(
      "|",
    ),
    ..."Registered|Eligible|Registered - Total|Counters|Not Assigned|Cast Votes|Valid votes|Total Ballots"
      .split("|"),
    ..."Manually Counted Emergency|Absentee / Military|Affidavit|Whole Number|Public Counter|Unrecorded"
      .split("|"),
    ..."Voter Turnout|Turnout - Total|Public Counter|Votes Cast|Number of Voters Cast|Exhausted Ballots"
      .split("|"),
  ];
  for (const spelling of spellings) assert.ok(otherLine(spelling) !== undefined, spelling);
  assert.equal(otherLine("Registrar of Voters"), undefined);
});

Deno.test("otherLine() tells ballots, totals and lost votes apart", strict, () => {
  const kinds = {
    ballots: "Ballots|Ballots Cast|BALLOTS CAST - TOTAL|Total Ballots|Times Cast|Times Counted|Voters Voting",
    total: "Total|Total Votes|Votes Cast|Cast Votes|Valid Votes|Sum|Contest Total",
    lost:
      "Ballots Cast Blank|Over Votes|Undervotes|Blank|Void|Spoiled Ballots|Times Blank Voted|Total Overvotes",
    other: "Registered|Registered Voters|Cards Cast|Turnout|Ballots Cast - Democratic|Counters|Not Assigned",
  };
  for (const [kind, names] of Object.entries(kinds)) {
    for (const name of names.split("|")) {
      if (name !== "Ballots Cast Blank") assert.equal(otherLine(name), kind, name);
    }
  }
});

Deno.test("otherLine() leaves candidates alone", strict, () => {
  const names =
    "Joseph R. Biden|Total Recall Smith|Ann Over|Under Wood|Yes|No|Blank Smith|Void, Peter|None of these candidates|WRITE-IN|Undecided|Overton Votes|For|Against|Vote Yes|Registered Republican Jones|Scattering";
  for (const name of names.split("|")) assert.equal(otherLine(name), undefined, name);
});

Deno.test("isWriteIn() knows write-ins, and not those with a name", strict, () => {
  for (
    const spelling of "WRITE-IN|Write-ins|Write In Votes|Writein|Total Write-Ins|Scattering|Write-in: misc"
      .split("|")
  ) {
    assert.ok(isWriteIn(spelling), spelling);
  }
  for (const name of ["Kanye West (Write-In)", "Wright Inman", "Write-in Smith"]) {
    assert.ok(!isWriteIn(name), name);
  }
});

Deno.test("isTotalPrecinct() knows the lines that sum others up", strict, () => {
  for (
    const name of [
      "Total",
      "TOTALS",
      "County Total",
      "Grand Totals",
      "All Precinct Totals",
      "Alder Total",
      "Total Alder County",
      "Countywide",
    ]
  ) {
    assert.ok(isTotalPrecinct(name, "Alder"), name);
  }
  for (const name of ["Totalville 1", "Precinct 1", "County 3", "Alder", "Birch Total"]) {
    assert.ok(!isTotalPrecinct(name, "Alder"), name);
  }
});

Deno.test("parseCount() reads counts as files write them", strict, () => {
  assert.deepEqual(["0", " 12 ", "1,234", "1,234,567", "12.0", "12.", "007"].map(parseCount), [
    0,
    12,
    1_234,
    1_234_567,
    12,
    12,
    7,
  ]);
  assert.equal(parseCount("  "), undefined);
});

Deno.test("parseCount() says what is wrong with what is no count", strict, () => {
  const wrong = (text: string, expected: RegExp) => {
    const found = parseCount(text);
    assert.ok(typeof found === "object", text);
    assert.match(found.problem, expected, text);
    assert.equal(found.isUntold, expected.source === "suppressed count", text);
  };
  for (const text of ["-5", "-1,200", "(5)"]) wrong(text, /negative/);
  for (const text of ["1.5", "1,234.25", ".5"]) wrong(text, /fraction/);
  for (const text of ["*", "**", "<10", "≤5", "-", "–", "N/A", "X", "S", "#", "suppressed"]) {
    wrong(text, /suppressed count/);
  }
  for (const text of ["1,23", "12a", "1e3", "0x10", "twelve", "1 234", ",5"]) wrong(text, /not a count/);
  wrong("999999999999", /more than 100,000,000/);
});

Deno.test("isNamedLike() compares a precinct with its county", strict, () => {
  for (const name of ["Marlow", "MARLOW COUNTY", "County of Marlow"]) {
    assert.ok(isNamedLike(name, "Marlow"), name);
  }
  for (const name of ["Marlow 1", "Marlowe", ""]) assert.ok(!isNamedLike(name, "Marlow"), name);
  assert.ok(!isNamedLike("", ""));
});

Deno.test("isSingleSeat() and isNoParty() know the words", strict, () => {
  for (const name of ["President", "U.S. Senate", "Governor", "Mayor", "US House", "Senate"]) {
    assert.ok(isSingleSeat(name), name);
  }
  for (const name of ["City Council", "School Board", "Assembly"]) assert.ok(!isSingleSeat(name), name);
  for (const party of ["", "-", "NP", "Non-Partisan", "N/A"]) assert.ok(isNoParty(party), party);
  for (const party of ["D", "Independent", "Зелені"]) assert.ok(!isNoParty(party), party);
});

Deno.test("townOf() takes a town from its precincts' names", strict, () => {
  const names = [
    "Barrington 0101",
    "Barrington Limited",
    "West Warwick Presidential",
    "Federal Precinct #1S",
    "New Shoreham Ward 2, Precinct 3",
    "Lincoln-12A",
    "St. Paul W-1 P-02",
  ];
  assert.deepEqual(names.map(townOf), [
    "Barrington",
    "Barrington",
    "West Warwick",
    "Federal",
    "New Shoreham",
    "Lincoln",
    "St. Paul",
  ]);
  assert.deepEqual(["0101", "Precinct 7", "#3", ""].map(townOf), [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("votesAllowedIn() reads how many votes an office allows", strict, () => {
  const offices = [
    "President",
    "City Council (Vote for 3)",
    "School Board (Vote For Two)",
    "Council, vote for not more than 5",
    "Elect 2",
    "Votes for 4th ward",
    "Vote for any FOUR",
  ];
  assert.deepEqual(offices.map(votesAllowedIn), [undefined, 3, 2, 5, 2, undefined, 4]);
});
