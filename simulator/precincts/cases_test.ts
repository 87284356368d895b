import assert from "assert";
import { UsageError } from "../../cli/command.ts";
import { readPrecincts } from "./precincts.ts";
import type { PrecinctOptions } from "./reading.ts";
import { summarise, type Summary } from "./summary.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const CASES = new URL("./testdata/cases/", import.meta.url).pathname;

async function check(path: string, options?: PrecinctOptions): Promise<Summary> {
  return summarise(await readPrecincts(path, options));
}

async function checkText(
  content: string | Uint8Array,
  options?: PrecinctOptions,
  name = "file.csv",
): Promise<Summary> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeFile(
      `${directory}/${name}`,
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
    return await check(`${directory}/${name}`, options);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function refuses(content: string, message: RegExp, options?: PrecinctOptions): Promise<void> {
  await assert.rejects(checkText(content, options), (error) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

/** `Contest (seats): Candidate/party votes, …`, a line each. */
function spelled({ contests }: Summary): string[] {
  return contests.map(({ name, seats, candidates }) =>
    `${name} (${seats}): ${
      candidates.map(({ name, party, votes }) => `${name}${party && `/${party}`} ${votes}`).join(", ")
    }`
  );
}

/** Stations, voters, votes. */
const sizes = ({ stations, voters, votes }: Summary) => [stations, voters, votes];
const notes = (summary: Summary) => summary.notes.join("\n");
const HEAD = "county,precinct,office,district,party,candidate,votes\n";

Deno.test(
  "registered voters and ballots are no candidates, and the ballots say how many came",
  strict,
  async () => {
    const found = await check(`${CASES}registered_as_candidate.csv`);
    assert.deepEqual(spelled(found), ["Governor (1): Ada Quill/GRN 15, Ben Rook/BLU 15"]);
    assert.deepEqual(sizes(found), [2, 31, 30]);
    assert.deepEqual(found.leftOut, [{ name: "Registered", lines: 2, votes: 53 }, {
      name: "Ballots",
      lines: 2,
      votes: 31,
    }]);
    assert.match(notes(found), /left out.*: Registered \(2 lines, 53\), Ballots \(2 lines, 31\)/);
  },
);

Deno.test("a candidate with as many votes as all others together is asked about", strict, async () => {
  const lines = (word: string) =>
    HEAD +
    [["1", 5, 3, 1], ["2", 10, 12, 0], ["3", 7, 0, 2]].map(([precinct, a, b, c]) =>
      `Marlow,${precinct},Governor,,,${word},${Number(a) + Number(b) + Number(c)}\n` +
      `Marlow,${precinct},Governor,,GRN,Ada Quill,${a}\nMarlow,${precinct},Governor,,BLU,Ben Rook,${b}\n` +
      `Marlow,${precinct},Governor,,,Cy Stone,${c}\n`
    ).join("");
  await refuses(
    lines("Kokku"),
    /“Kokku” \(40 votes\) has as many votes as all others together in 3 of 3 precincts.*--totals/,
  );
  const left = await checkText(lines("Kokku"), { totals: "leave-out" });
  assert.deepEqual(sizes(left), [3, 40, 40]);
  assert.match(notes(left), /left out “Kokku”, as asked: it is the sum of all others in 3 of 3 precincts/);
  assert.deepEqual(sizes(await checkText(lines("Kokku"), { totals: "keep" })), [3, 80, 80]);
  assert.deepEqual(sizes(await checkText(lines("Total Votes"))), [3, 40, 40]);
});

Deno.test("a candidate with more votes than ballots were cast is asked about", strict, async () => {
  const text = HEAD +
    [1, 2].map((p) =>
      `M,${p},Mayor,,,Kirjas,90\nM,${p},Mayor,,,Ada Quill,20\nM,${p},Mayor,,,Ben Rook,15\nM,${p},Ballots Cast,,,,40\n`
    ).join("");
  await refuses(
    text.replaceAll("Ballots Cast,,,", "Mayor,,,Ballots Cast"),
    /“Kirjas” \(180 votes\) has more votes than ballots/,
  );
});

Deno.test("ties and small contests are no totals", strict, async () => {
  const tie = await checkText(
    `${HEAD}M,1,Mayor,,,Ada,10\nM,1,Mayor,,,Ben,10\nM,2,Mayor,,,Ada,4\nM,2,Mayor,,,Ben,4\n`,
  );
  assert.deepEqual(spelled(tie), ["Mayor (1): Ada 14, Ben 14"]);
  const sum = await checkText(
    `${HEAD}M,1,Mayor,,,Ada,9\nM,1,Mayor,,,Ben,6\nM,1,Mayor,,,Cy,3\nM,2,Mayor,,,Ada,1\nM,2,Mayor,,,Ben,7\nM,2,Mayor,,,Cy,7\n`,
  );
  assert.deepEqual(spelled(sum), ["Mayor (1): Ada 10, Ben 13, Cy 10"]);
});

Deno.test(
  "in a primary each party has a contest of its own, and each voter votes in one",
  strict,
  async () => {
    const found = await check(`${CASES}two_primaries.csv`);
    assert.deepEqual(spelled(found), [
      "President (Green) (1): CARL DUNN/Green 40, DORA ELM/Green 4, Write-in 1",
      "President (Blue) (1): EVE FARR/Blue 30, FINN GALE/Blue 20, Write-in 2",
    ]);
    assert.deepEqual(sizes(found), [1, 97, 97]);
    assert.match(notes(found), /a primary: .*--primary no/);
    const joined = await check(`${CASES}two_primaries.csv`, { primary: "no" });
    assert.equal(joined.contests.length, 1);
  },
);

Deno.test("a primary is known by the file's name, an office for one, or by asking", strict, async () => {
  const lines = (office: string) =>
    HEAD + ["DEM,A", "DEM,B", "REP,C", "REP,D"].map((who, i) => `M,1,${office},,${who},${i + 1}\n`).join("");
  const names = ({ contests }: Summary) => contests.map(({ name }) => name);
  assert.deepEqual(names(await checkText(lines("Governor"))), ["Governor (DEM)", "Governor (REP)"]);
  assert.deepEqual(names(await checkText(lines("Council"), {}, "20200609__ga__primary__precinct.csv")), [
    "Council (DEM)",
    "Council (REP)",
  ]);
  assert.deepEqual(names(await checkText(lines("Council"), {}, "20201103__ga__general__precinct.csv")), [
    "Council",
  ]);
  assert.deepEqual(names(await checkText(lines("Council (Vote for 2)"))), ["Council (Vote for 2)"]);
  assert.deepEqual(names(await checkText(lines("Governor"), {}, "20180605__ca__primary__precinct.csv")), [
    "Governor",
  ]);
  await refuses(
    lines("Council"),
    /in Council several parties have several candidates each.*--primary yes.*--primary no/,
  );
  assert.deepEqual(names(await checkText(lines("Council"), { primary: "yes" })), [
    "Council (DEM)",
    "Council (REP)",
  ]);
});

Deno.test("a candidate on two party lines is one candidate", strict, async () => {
  const found = await check(`${CASES}fusion.csv`);
  assert.deepEqual(spelled(found), ["Senate (1): Ada Quill/Green 88, Ben Rook/Blue 77"]);
  assert.match(
    notes(found),
    /Ada Quill in Senate is one candidate on 2 party lines: Green 77, Workers 11, together 88/,
  );
});

Deno.test(
  "a candidate's total over parties is left out, and one that is none is refused",
  strict,
  async () => {
    const file = (sum: number) =>
      `${HEAD}A,1,Senate,,Green,Ada,70\nA,1,Senate,,Workers,Ada,10\nA,1,Senate,,,Ada,${sum}\nA,1,Senate,,Blue,Ben,75\n`;
    assert.deepEqual(spelled(await checkText(file(80))), ["Senate (1): Ada/Green 80, Ben/Blue 75"]);
    await refuses(file(81), /line 4: Ada has 81 votes without a party and 80 with one/);
  },
);

Deno.test("one party is one party, however it is spelled", strict, async () => {
  const found = await check(`${CASES}party_spelled_thrice.csv`);
  assert.deepEqual(spelled(found), ["Senate (1): Ada Quill/Green 85, Ben Rook/BLU 79"]);
  assert.match(notes(found), /party Green is one party, also spelled GRN, G/);
  const words = await checkText(
    `${HEAD}A,1,P,,R,Ann,1\nA,2,P,,Republican,Ann,2\nA,3,P,,GOP,Ann,4\nA,1,P,,Зел,Бук,1\nA,2,P,,Зелені,Бук,1\n`,
  );
  assert.deepEqual(spelled(words), ["P (1): Ann/Republican 7, Бук/Зелені 2"]);
});

Deno.test("a polling place is county, town and precinct", strict, async () => {
  const found = await check(`${CASES}town_and_precinct.csv`);
  assert.deepEqual(spelled(found), [
    "President (1): Ada Quill/G 350",
    "State House, 2nd (1): Ben Rook/G 90",
    "State House, 3rd (1): Cy Stone/G 190",
  ]);
  assert.deepEqual(sizes(found), [3, 350, 630]);
  const wards = await checkText(
    "municipality,ward,precinct,office,candidate,votes\nX,1,1,P,A,1\nX,1,2,P,A,2\nX,2,1,P,A,3\nY,1,1,P,A,4\n",
  );
  assert.deepEqual(sizes(wards), [4, 10, 10]);
});

Deno.test(
  "columns of modes are known by their words, and others are named with their votes",
  strict,
  async () => {
    const found = await check(`${CASES}mode_columns.csv`);
    assert.deepEqual(found.modes, { in_person: 7, early: 14, absentee: 5, provisional: 4 });
    assert.deepEqual(found.unusedColumns, []);
    const other = await checkText(
      "precinct,office,candidate,zap,votes,absentee_uocava,Fail-Safe Provisional,precinct_code\n1,P,A,3,10,2,1,77\n",
    );
    assert.deepEqual(other.modes, { in_person: 7, early: 0, absentee: 2, provisional: 1 });
    assert.deepEqual(other.unusedColumns, [{ name: "zap", votes: 3 }, { name: "precinct_code", votes: 0 }]);
    assert.match(notes(other), /columns not used: zap \(3 votes\), precinct_code/);
    assert.match(notes(other), /7 votes without a mode count as cast in person/);
  },
);

Deno.test("a way of voting may be a column of words, with totals beside", strict, async () => {
  const head = "precinct,office,candidate,mode,votes\n";
  const found = await checkText(
    `${head}1,P,A,Election Day,5\n1,P,A,Absentee by Mail,3\n1,P,A,Early,2\n1,P,A,Total,10\n1,P,B,TOTAL,4\n`,
  );
  assert.deepEqual(found.modes, { in_person: 9, early: 2, absentee: 3, provisional: 0 });
  assert.match(notes(found), /left out 1 lines of all modes together/);
  await refuses(`${head}1,P,A,Early,5\n1,P,A,Total,6\n`, /line 3: its total is 6, and its modes add up to 5/);
});

Deno.test("names of any script stay apart", strict, async () => {
  const found = await check(`${CASES}cyrillic_two_contests.csv`);
  assert.deepEqual(spelled(found), [
    "Мер (1): Оксана Дуб/Зелені 10, Богдан Клен/Сині 7",
    "Рада (1): Тарас Бук/Зелені 5",
  ]);
  assert.deepEqual(found.contests.map(({ id }) => id), ["mer", "rada"]);
  const nfd = await checkText(`${HEAD}A,1,P,,,José,1\nA,2,P,,,Jose\u0301,2\nA,1,P,,,王,3\nA,1,P,,,李,4\n`);
  assert.deepEqual(spelled(nfd), ["P (1): José 3, 王 3, 李 4"]);
});

Deno.test(
  "names without anything to see are refused with line and column, others are cleaned",
  strict,
  async () => {
    await refuses(
      `${HEAD}A,1,P,,,\u200b,1\n`,
      /line 2: column candidate must be a name, and shows nothing: U\+200B/,
    );
    await refuses(
      `${HEAD}A,1,P,,,,5\nA,1,P,,,B,1\n`,
      /line 2: column candidate is empty, with 5 votes; all others have 1/,
    );
    await refuses(`${HEAD}A,1,,,,B,5\n`, /line 2: column office is empty/);
    const found = await checkText(`${HEAD}A,1,P,,,Ann\u202e,1\nA,2,P,,,Ann,2\n`);
    assert.deepEqual(spelled(found), ["P (1): Ann 3"]);
    assert.match(
      notes(found),
      /left out characters that nobody sees from 1 names \(line 2, column candidate: U\+202E/,
    );
  },
);

Deno.test("a dash is 0 where the line adds up without it", strict, async () => {
  const found = await check(`${CASES}dash_is_zero.csv`);
  assert.deepEqual(spelled(found), ["President (1): Ada Quill/GRN 10, Ben Rook/BLU 8"]);
  assert.match(notes(found), /4 cells hold a dash and are read as 0/);
  await refuses(
    `precinct,office,candidate,votes,mail\n1,P,A,10,-\n`,
    /line 2: column mail is "-", which stands for a suppressed count/,
  );
  await refuses(`${HEAD}A,1,P,,,B,-\n`, /suppressed count.*--suppressed leave-out/s);
});

Deno.test("precincts with suppressed counts are left out when asked", strict, async () => {
  const path = `${CASES}suppressed.csv`;
  await assert.rejects(
    check(path),
    /line 4: column votes is "\*".*1 lines of 1 precincts.*Marlow, 2.*--suppressed leave-out/s,
  );
  await assert.rejects(check(path, { suppressed: "refuse" }), UsageError);
  const found = await check(path, { suppressed: "leave-out" });
  assert.deepEqual(spelled(found), ["President (1): Ada Quill/GRN 10, Ben Rook/BLU 8"]);
  assert.deepEqual(sizes(found), [1, 18, 18]);
  assert.match(notes(found), /left out 1 precincts with suppressed counts, as asked: Marlow, 2/);
});

Deno.test("a column says how many may be chosen, and Ballots Cast how many came", strict, async () => {
  const found = await check(`${CASES}vote_for_column.csv`);
  assert.deepEqual(spelled(found), ["School Board (2): Ada Quill 141, Ben Rook 146, Write-in 4"]);
  assert.deepEqual(sizes(found), [1, 150, 291]);
});

Deno.test("seats are asked for, or follow from the ballots", strict, async () => {
  const file = `${HEAD}A,1,Board,,,Ballots Cast,10\nA,1,Board,,,Ann,9\nA,1,Board,,,Bob,8\nA,1,Board,,,Cy,4\n`;
  const found = await checkText(file);
  assert.deepEqual(spelled(found), ["Board (3): Ann 9, Bob 8, Cy 4"]);
  assert.match(
    notes(found),
    /Board has 21 votes on 10 ballots of one precinct, so 3 may be chosen; --seats board=N/,
  );
  assert.equal((await checkText(file, { seats: new Map([["BOARD", 5]]) })).contests[0]!.seats, 5);
  await refuses(file, /--seats names mayor, and the contests are board/, { seats: new Map([["mayor", 2]]) });
});

Deno.test("a contest may have fewer candidates than seats, or no votes", strict, async () => {
  const found = await checkText(
    `${HEAD}A,1,Board (Vote for 3),,,Ann,9\nA,1,Mayor,,,Bob,0\nA,1,Mayor,,,Cy,0\n`,
  );
  assert.deepEqual(spelled(found), ["Board (Vote for 3) (3): Ann 9", "Mayor (1): Bob 0, Cy 0"]);
  assert.deepEqual(sizes(found), [1, 9, 9]);
});

Deno.test("valid UTF-8 is UTF-8, whatever characters it has", strict, async () => {
  const found = await check(`${CASES}replacement_char_in_utf8.csv`);
  assert.deepEqual(spelled(found), ["Mayor (1): QUILL\ufffdADA/Green 370, José Núñez/Blue 351"]);
});

Deno.test("lines given twice are refused, or taken once when asked", strict, async () => {
  const path = `${CASES}same_lines_twice.csv`;
  await assert.rejects(
    check(path),
    /2 lines are exact repeats: lines 4 to 5 of lines 2 to 3. --repeated once/,
  );
  const found = await check(path, { repeated: "once" });
  assert.deepEqual(spelled(found), ["Mayor (1): Ada Quill/Green 5, Ben Rook/Blue 4"]);
  assert.deepEqual(sizes(await check(path, { repeated: "add" })), [1, 18, 18]);
  await refuses(
    `${HEAD}A,1,P,,,Ann,5\nA,1,P,,,Ann,6\nA,2,P,,,Ann,5\nA,2,P,,,Ann,5\n`,
    /line 3: it repeats line 2 .*with other numbers\n.*--repeated add sums them. 1 more lines are exact repeats/,
    { repeated: "once" },
  );
});

Deno.test(
  "county totals without a precinct are left out where they add up, and refused where not",
  strict,
  async () => {
    const file = (total: number) =>
      `${HEAD}A,1,P,,,Ann,5\nA,1,P,,,Bob,4\nA,2,P,,,Ann,3\nA,2,P,,,Bob,1\nA,,P,,,Ann,${total}\nA,,P,,,Bob,5\nB,1,P,,,Ann,7\n`;
    const found = await checkText(file(8));
    assert.deepEqual(sizes(found), [3, 20, 20]);
    assert.match(
      notes(found),
      /left out 2 lines without a precinct as totals of A: 2 of 2 numbers are the sum of its precincts, like Ann 8/,
    );
    await refuses(
      file(9),
      /line 6: column precinct is empty, and must name one; its 9 votes are not a total, the precincts have 8/,
    );
    const state = await checkText(`${file(8)},,P,,,Ann,15\n,,P,,,Bob,5\n`);
    assert.deepEqual(sizes(state), [3, 20, 20]);
  },
);

Deno.test("a precinct named like its county is its total where the numbers say so", strict, async () => {
  const file = (total: number) =>
    `${HEAD}A,1,P,,,Ann,5\nA,1,P,,,Bob,4\nA,2,P,,,Ann,3\nA,A County,P,,,Ann,${total}\nA,A County,P,,,Bob,4\n`;
  assert.deepEqual(sizes(await checkText(file(8))), [2, 12, 12]);
  assert.deepEqual(sizes(await checkText(file(2))), [3, 18, 18]);
});

Deno.test("a precinct with the votes of all others is asked about", strict, async () => {
  const file =
    `${HEAD}A,1,P,,,Ann,57\nA,1,P,,,Bob,42\nA,2,P,,,Ann,30\nA,2,P,,,Bob,11\nA,ZZZ,P,,,Ann,87\nA,ZZZ,P,,,Bob,53\n`;
  await refuses(
    file,
    /line 6: precinct A, ZZZ has as many votes as all other precincts of its county together, in 2 of 2/,
  );
  assert.deepEqual(sizes(await checkText(file, { totals: "leave-out" })), [2, 140, 140]);
  assert.deepEqual(sizes(await checkText(file, { totals: "keep" })), [3, 280, 280]);
});

Deno.test("town totals are left out, and totals that differ are said", strict, async () => {
  const head = "county,town,precinct,office,candidate,votes\n";
  assert.deepEqual(
    sizes(await checkText(`${head}A,X,1,P,Ann,5\nA,X,2,P,Ann,4\nA,X,,P,Ann,9\nA,Y,,P,Ann,2\n`)),
    [3, 11, 11],
  );
  const differs = await checkText(`${HEAD}A,1,P,,,Ann,5\nA,Total,P,,,Ann,7\n`);
  assert.match(
    notes(differs),
    /in A, 1 of 1 totals differ from the sum of the precincts, like line 3: Ann has 7, and the precincts 5/,
  );
});

Deno.test("a file that was cut off is refused where it ends", strict, async () => {
  await refuses(
    `${HEAD}A,1,P,,,Ann,35`,
    /line 2: the file ends here without a line break.*column votes \("35"\)/,
  );
  await refuses(`${HEAD}A,1,P,,,Ann,5\nA,1,P,,`, /line 3: the file ends here/);
  await refuses(`${HEAD}A,1,P,,,"Ann,5\nA,2,P,,,Bob,5\n`, /line 2: it begins a quote/);
  const whole = "precinct,office,candidate,votes,early,election_day\n1,P,A,5,2,3";
  assert.deepEqual(sizes(await checkText(whole)), [1, 5, 5]);
});

Deno.test(
  "a file whose last count is confirmed by arithmetic is whole, whatever it ends with",
  strict,
  async () => {
    const whole = `${HEAD}A,1,P,,,Ann,5\nA,1,P,,,Bob,3\nA,1,P,,,Total,8`;
    assert.deepEqual(sizes(await checkText(whole)), [1, 8, 8]);
    await refuses(whole.replace(/8$/, "6"), /line 4: the file ends here/);
    assert.deepEqual(sizes(await checkText(`${HEAD}A,1,P,,,Ann,5\nA,1,P,,,Bob,0`)), [1, 5, 5]);
  },
);

Deno.test("a total may stand in the party's column, or name nothing", strict, async () => {
  const rows = (total: string) => `${HEAD}A,1,P,,D,Ann,5\nA,1,P,,R,Bob,3\nA,1,P,,${total},8\n`;
  assert.deepEqual(sizes(await checkText(rows("Total,"))), [1, 8, 8]);
  const nameless = await checkText(rows(","));
  assert.deepEqual(sizes(nameless), [1, 8, 8]);
  assert.match(notes(nameless), /left out 1 lines without a candidate: 1 are the sum of their contest/);
});

Deno.test("a town may count one contest by precinct and another as a whole", strict, async () => {
  const head = "county,town,precinct,office,candidate,votes\n";
  const found = await checkText(`${head}A,X,1,P,Ann,5\nA,X,2,P,Ann,4\nA,X,,Q,Bob,8\n`);
  assert.deepEqual(sizes(found), [3, 17, 17]);
});

Deno.test("names that are perhaps spellings of one are said", strict, async () => {
  const found = await checkText(`${HEAD}A,1,P,,R,Ann J. Lee,5\nB,1,P,,R,Ann Lee,4\nA,1,P,,D,Bob,3\n`);
  assert.match(
    notes(found),
    /in P, Ann J. Lee 5, Ann Lee 4 stand for R in different precincts only, and are counted apart/,
  );
});

Deno.test("semicolons, tabs, UTF-16 and headers in other words and orders are read", strict, async () => {
  const found = await checkText(
    "sep=;\nVotes;Candidate Name;Contest;Precinct Name;Party Name\n5;Quill, Ada;P;1;G\n",
  );
  assert.deepEqual(spelled(found), ["P (1): Quill, Ada/G 5"]);
  const text = "\ufeffcounty\tprecinct\toffice\tcandidate\tvotes\nA\t1\tP\tJosé\t5\n";
  const utf16 = Uint8Array.from([...text].flatMap((c) => [c.charCodeAt(0) & 0xff, c.charCodeAt(0) >> 8]));
  const wide = await checkText(utf16);
  assert.deepEqual(spelled(wide), ["P (1): José 5"]);
  assert.match(notes(wide), /UTF-16.*\nthe separator is a tab/);
});
