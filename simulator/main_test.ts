import assert from "assert";
import { withDirectory } from "../tests/directory.ts";
import { longTest } from "../tests/runs.ts";
import { VOTE_KINDS } from "./bad/kinds.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const MAIN = new URL("./main.ts", import.meta.url).pathname;
const COUNTY_MODES = new URL("./precincts/testdata/county_modes.csv", import.meta.url).pathname;

/** Runs the simulator as from a shell. */
async function run(args: string[], environment: Record<string, string> = {}) {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", MAIN, ...args],
    env: environment,
  });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout).trim().split("\n"), err: text(stderr) };
}

Deno.test("each command has help", strict, async () => {
  for (
    const [name, option] of [["simulate", "--kill-every <seconds>"], ["country", "--locale <name>"], [
      "replay",
      "--all-contests",
    ], [
      "ledger",
      "--judge",
    ]] as const
  ) {
    const { code, out } = await run([name, "--help"]);
    assert.equal(code, 0);
    assert.ok(out.join("\n").includes(option), name);
  }
});

Deno.test("wrong usage is named, and begins nothing", strict, async () => {
  await withDirectory(async (dir) => {
    const wrong: [string[], RegExp][] = [
      [["simulate", "--voters", "many"], /--voters <number>.*whole number from 1 to 2,000,000/],
      [["simulate", "--bad", "forged=2"], /--bad <share>.*from 0 to 1/],
      [["simulate", "--gateways", "http://127.0.0.1:1"], /--gateways goes with --aggregator/],
      [
        ["simulate", "--aggregator", "http://127.0.0.1:1"],
        /--aggregator needs --gateways, --devices and --voters-file/,
      ],
      [["country"], /required option '--out <dir>'/],
      [["country", "--out", dir, "--locale", "xx"], /Cannot use the locale xx: it must be one of .*en_GB/],
      [["country", "--out", dir, "--day", "2026-02-30"], /Cannot use --day 2026-02-30: it must be a day/],
      [["country", "--out", dir, "--election", "A"], /Cannot use --election A: it must be 1 to 64 of a-z/],
      [["country", "--out", "/proc/none"], /Cannot write to \/proc\/none: /],
      [["replay"], /missing required argument 'file'/],
      [["replay", `${dir}/none.csv`], /Cannot read .*none.csv: .*no such file/],
      [["replay", COUNTY_MODES, "--contest", "mayor"], /no contest mayor. Its contests are president/],
      [
        ["replay", COUNTY_MODES, "--contest", "president", "--all-contests"],
        /--contest or --all-contests, not both/,
      ],
    ];
    for (const [args, message] of wrong) {
      const { code, err } = await run(args, { POLLWIRE_DATA: `${dir}/data` });
      assert.equal(code, 2, args.join(" "));
      assert.match(err, message);
    }
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  });
});

longTest("replay gets out what the file says", strict, async () => {
  await withDirectory(async (dir) => {
    const { code, out, err } = await run([
      "replay",
      COUNTY_MODES,
      "--data",
      dir,
      "--batch",
      "100",
      "--all-contests",
    ]);
    assert.equal(code, 0, err + out.join("\n"));
    assert.equal(out.at(-1), "1284 votes, 3 stations, 0 differences");
    assert.match(out.at(-2)!, /^peak memory: aggregator .*, gateway-1 .*, gateway-2 .*, this one /);
  });
});

longTest("simulate accounts for every vote, with processes killed on the way", strict, async () => {
  await withDirectory(async (dir) => {
    const options = "--voters 2000 --rate 400 --batch 20 --bad 0.03 --kill-every 1.5 --seed 4".split(
      " ",
    );
    const { code, out, err } = await run(["simulate", ...options], { POLLWIRE_DATA: dir });
    assert.equal(code, 0, err + out.join("\n"));
    assert.match(out.at(-1)!, /^1[34]\d\d voters counted, 1\d\d\d votes acknowledged, 0 differences$/);
    assert.match(out.join("\n"), /answered for every vote after .*, amid [1-9]\d* kills/);
    const ledger = `${dir}/simulate-4/simulations/simulation-4/ledger.ndjson`;
    assert.equal((await run(["ledger", ledger, "--judge"])).out.at(-1), "0 differences");
  });
});

longTest("simulate has every kind of bad vote end as it must", strict, async () => {
  await withDirectory(async (dir) => {
    const { code, out, err } = await run(
      "simulate --voters 100 --turnout 1 --bad 0.5 --batch 10".split(" "),
      {
        POLLWIRE_DATA: dir,
      },
    );
    assert.equal(code, 0, err + out.join("\n"));
    assert.match(out.at(-1)!, /^100 voters counted, \d+ votes acknowledged, 0 differences$/);
    const table = out.join("\n");
    for (const kind of VOTE_KINDS) assert.match(table, new RegExp(`^${kind} .* [1-9]\\d* `, "m"));
    assert.doesNotMatch(table, /no bad votes of kind/);
  });
});

Deno.test("replay --check casts nothing and says what it would, as JSON too", strict, async () => {
  const file = new URL("./precincts/testdata/cases/vote_for_column.csv", import.meta.url).pathname;
  await withDirectory(async (dir) => {
    const asJson = await run(["replay", "--check", file, "--json", "--data", `${dir}/none`]);
    assert.deepEqual([asJson.code, asJson.err], [0, ""]);
    const summary = JSON.parse(asJson.out.join("\n"));
    assert.deepEqual(
      Object.keys(summary),
      ["contests", "stations", "voters", "votes", "modes", "leftOut", "unusedColumns", "notes"],
    );
    assert.deepEqual(summary.contests, [{
      id: "school-board",
      name: "School Board",
      seats: 2,
      candidates: [
        { name: "Ada Quill", party: "", votes: 141 },
        { name: "Ben Rook", party: "", votes: 146 },
        { name: "Write-in", party: "", votes: 4 },
      ],
    }]);
    assert.deepEqual([summary.stations, summary.voters, summary.votes], [1, 150, 291]);
    const asText = await run(["replay", "--check", file]);
    assert.match(
      asText.out[0]!,
      /^the file has 1 contest, 1 station, 150 voters, 291 votes \(in person 265, /,
    );
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  });
});

Deno.test("replay --check ends with 1 where a replay would refuse the file", strict, async () => {
  const cases = new URL("./precincts/testdata/cases/", import.meta.url).pathname;
  const refused = await run(["replay", "--check", `${cases}suppressed.csv`, "--json"]);
  assert.deepEqual([refused.code, refused.out.join("")], [1, ""]);
  assert.match(refused.err, /--suppressed leave-out/);
  const asked = ["replay", "--check", `${cases}suppressed.csv`, "--suppressed", "leave-out"];
  assert.equal((await run(asked)).code, 0);
  const seats = await run(["replay", "--check", `${cases}fusion.csv`, "--seats", "Senate=2", "--json"]);
  assert.equal(JSON.parse(seats.out.join("")).contests[0].seats, 2);
  assert.equal((await run(["replay", "--check", `${cases}fusion.csv`, "--seats", "Senate"])).code, 2);
  assert.equal((await run(["replay", `${cases}fusion.csv`, "--json"])).code, 2);
});
