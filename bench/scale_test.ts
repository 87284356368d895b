import assert from "assert";
import { tables, withTables } from "./scale.ts";
import { ASSUMPTIONS, COUNTRIES, FIGURES } from "./scale_figures.ts";
import { appendS, cellsFor, planFor, turnoutRows, votersInMemory } from "./scale_plan.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(`../${path}`, import.meta.url));

Deno.test("each measured figure stands in the document or the code that it names", () => {
  for (const { meaning, value, file, text } of Object.values(FIGURES)) {
    assert.ok(read(file).includes(text), `${file} does not say ${text}`);
    const digits = value.toLocaleString("en");
    // Given there in other words: megabytes of 6,000 votes, a power of two.
    const derived: Record<number, string> = {
      680: "4.07 MB",
      590: "3.54 MB",
      [2 ** 31]: "2 * 1024 ** 3",
      2890: "3 min 7 s",
    };
    const spelled = [digits, digits.replaceAll(",", "_"), derived[value] ?? digits];
    assert.ok(spelled.some((each) => text.includes(each)), `${meaning}: ${digits} is not in ${text}`);
  }
  assert.equal(Math.round(4.07e6 / 6_000 / 10) * 10, FIGURES.linkBytes.value);
  assert.equal(Math.round(540_246 / 187 / 10) * 10, FIGURES.rebuildPerS.value);
  assert.equal(Math.round(3.54e6 / 6_000 / 10) * 10, FIGURES.spoolBytes.value);
});

Deno.test("docs/scale.md has the tables that its figures come to", () => {
  const text = read("docs/scale.md");
  assert.equal(text, withTables(text), "run: deno run -A bench/scale.ts");
});

Deno.test("a table that drifted is written anew, and one without a place is named", () => {
  const text = read("docs/scale.md");
  assert.equal(withTables(text.replace("642 million", "643 million")), text);
  assert.throws(() => withTables(text.replace("<!-- table: money -->", "")), /no place for the table money/);
});

Deno.test("docs/scale.md says in words what its tables say", () => {
  const text = read("docs/scale.md").replaceAll(/\s+/g, " ");
  const [india, usa] = [planFor(COUNTRIES.india), planFor(COUNTRIES.usa)];
  const votesPerS = Number((india.country.peakPerS / india.cells).toPrecision(3));
  const vcpu = india.machines.cellVcpu * india.cells;
  const said = [
    `India is ${COUNTRIES.india.elections} elections in ${india.cells} **cells**`,
    `the USA ${COUNTRIES.usa.elections} elections in ${usa.cells}`,
    `about ${Number(vcpu.toPrecision(2)).toLocaleString("en")} vCPU`,
    `an append costs ${(appendS() * 1_000).toFixed(2)} ms`,
    `A cell of India has ${
      Math.round(COUNTRIES.india.voters / india.cells / FIGURES.rollVoters.value)
    } times as many`,
    `${Math.round(india.gateways / india.cells)} in India`,
    `more stations than one election may have (${FIGURES.stationsLimit.value.toLocaleString("en")})`,
    `at most ${FIGURES.contestsLimit.value} in all`,
    `spools hold two days`,
    `${Math.round(india.byOneRebuild)} cells, and not ${india.cells}`,
    `${Math.round(india.country.elections / india.cells)} elections of 1.8 million each`,
    `by memory, and at ${Math.round(votersInMemory(india.country) / 1e6)} million voters`,
    `by the hour, at ${
      Math.round(ASSUMPTIONS.rebuildsAtOnce * FIGURES.rebuildPerS.value * 3_600 / 1e6)
    } million votes`,
    `${votesPerS.toLocaleString("en")} votes/s from ${Math.round(india.gateways / india.cells)} gateways`,
    `${Math.round(india.country.elections / 5).toLocaleString("en")} requests/s`,
    `one row for ${(1 / turnoutRows(india.country)).toFixed(1)} votes`,
  ];
  assert.deepEqual(said.filter((each) => !text.includes(each)), []);
  assert.equal(Math.round(india.spoolHours / 24), 2);
});

Deno.test("cellsFor() is as large as the tightest of its limits, and planFor() grows with the peak", () => {
  const { india } = COUNTRIES;
  const plain = cellsFor(india);
  assert.equal(plain.cells, Math.ceil(plain.byRebuild));
  assert.equal(cellsFor({ ...india, peakPerS: 200_000 }).cells, Math.ceil(200_000 / 2 / 2_470));
  assert.ok(cellsFor({ ...india, votes: 1e6, voters: 5e9 }).byMemory > 1);
  assert.equal(cellsFor({ ...india, rebuildsAtOnce: 1 }).cells, Math.ceil(642e6 / (2_890 * 3_600)));
  // At most a row a vote, and at most a row for each minute of each station.
  assert.ok(turnoutRows({ ...india, votes: 1_000 }) > 0.999);
  assert.ok(Math.abs(turnoutRows({ ...india, stations: 1, hours: 1, votes: 6_000 }) - 0.01) < 1e-9);
  // Five round trips of 10 ms, and the work: 275 transactions a second, by hand.
  const far = planFor({ ...india, roundTripS: 0.01 });
  assert.ok(Math.abs(far.counting.busy - 275 * (0.05 + 0.0011 + 0.00055)) < 1e-9);
  assert.ok(far.machines.cellVcpu > planFor(india).machines.cellVcpu);
  // Twice the votes in a second take twice the processor of those who count them, by hand: 44,000 × 123 µs.
  const twice = planFor({ ...india, peakPerS: 44_000 });
  assert.ok(Math.abs(twice.cores.counting - 5.412) < 1e-9);
  assert.equal(twice.cores.fetching, planFor(india).cores.fetching);
  assert.ok(Object.keys(tables()).length >= 9);
});
