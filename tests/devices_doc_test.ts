/**
 * Runs the examples of docs/devices.md, and of the README, as they stand there, against an aggregator and two gateways
 * that really run: what they cast must be acknowledged and counted.
 */
import assert from "assert";
import { systemClock } from "../device/clock.ts";
import { definitionSchema, type ElectionDefinition } from "../shared/election.ts";
import { PROBLEMS } from "../shared/problem.ts";
import { Centre } from "../simulator/centre.ts";
import { readDevicesFile } from "../simulator/polls.ts";
import { writeRoll } from "../simulator/roll.ts";
import { Stack } from "../simulator/stack.ts";
import { eventually } from "./eventually.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ROOT = new URL("..", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));
const DAY_MS = 86_400_000;
/** How long an example may take, in milliseconds. */
const EXAMPLE_MS = 60_000;

/** The election of the examples: that of 2020, open still, so that votes cast then and now are in order. */
function definition(): ElectionDefinition {
  const instant = (ms: number) => new Date(ms).toISOString();
  return definitionSchema.parse({
    election: "ri-2020",
    name: "Rhode Island 2020",
    opensAt: "2020-11-03T11:00:00.000Z",
    closesAt: instant(Date.now() + DAY_MS),
    acceptsUntil: instant(Date.now() + DAY_MS),
    partitions: 3,
    releaseThreshold: 1,
    resultsBeforeClosing: true,
    contests: [{
      id: "president",
      name: "President",
      votesAllowed: 1,
      candidates: [{ id: "joseph-r-biden", name: "Joseph R. Biden" }, {
        id: "donald-j-trump",
        name: "Donald J. Trump",
      }],
    }],
    regions: [{ id: "bristol", name: "Bristol" }],
    stations: [{ id: "barrington-0101", name: "Barrington 0101", region: "bristol" }],
    gateways: [
      { id: "gateway-1", stations: ["barrington-0101"], fallbackFor: [] },
      { id: "gateway-2", stations: [], fallbackFor: ["barrington-0101"] },
    ],
  });
}

function* voters() {
  for (let n = 1; n <= 99; n++) {
    const id = `RI-${String(n).padStart(4, "0")}`;
    yield { id, region: "bristol", station: "", birthDate: "", gender: "unknown" } as const;
  }
}

/** The fenced blocks of a language, in order. */
function blocks(markdown: string, language: string): string[] {
  return [...markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , code]) => code);
}

/** Runs an example, which must end well in time. Returns what it printed. */
async function run(
  [command, ...args]: string[],
  { code, ...options }: { code: string; cwd: string | URL; env: Record<string, string> },
): Promise<string> {
  const child = new Deno.Command(command, {
    args,
    ...options,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), EXAMPLE_MS);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(code));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const printed = new TextDecoder().decode(stdout);
  assert.ok(success, `${code}\n${printed}\n${new TextDecoder().decode(stderr)}`);
  return printed;
}

const SHELL = ["bash", "-euo", "pipefail"];
const PYTHON = ["python3", "-"];
const TYPESCRIPT = [Deno.execPath(), "run", "-A", "--quiet", "--check", "--ext=ts", "-"];

/** A provisioned election, running; what examples find in their environment; and a directory for them to work in. */
async function withStack(work: (centre: Centre, env: Record<string, string>, cwd: string) => Promise<void>) {
  const dataDir = await Deno.makeTempDir({ prefix: "pollwire-examples-" });
  const election = definition();
  const stack = new Stack({ dataDir, gateways: election.gateways.map(({ id }) => id), clock: systemClock });
  const client = Deno.createHttpClient({});
  try {
    const files = [`${dataDir}/definition.json`, `${dataDir}/roll.csv`] as const;
    await Deno.writeTextFile(files[0], JSON.stringify(election));
    await writeRoll(files[1], voters());
    await stack.provision(...files);
    await stack.start();
    const { devices: [{ device, version, key }] } = await readDevicesFile(`${dataDir}/devices/ri-2020.json`);
    const [GATEWAY, FALLBACK] = stack.gateways;
    const cwd = `${dataDir}/work`;
    await Deno.mkdir(cwd);
    const centre = new Centre(stack.centre, (url, init) => fetch(url, { ...init, client }));
    await work(
      centre,
      {
        GATEWAY,
        FALLBACK,
        CENTRE: stack.centre,
        KEY: key,
        KEYID: `ri-2020/${device}.${version}`,
        VOTES: `${cwd}/kept`,
      },
      cwd,
    );
    assert.deepEqual(stack.unexpected, []);
  } finally {
    client.close();
    await stack.stop();
    await Deno.remove(dataDir, { recursive: true });
  }
}

Deno.test("the examples for devices run as they stand, and what they cast is counted", async (t) => {
  const devices = await read("docs/devices.md");
  const readme = await read("README.md");
  await withStack(async (centre, env, cwd) => {
    const counted = async (votes: number) => {
      const { total } = await centre.reconciliation("ri-2020");
      assert.deepEqual([total.counted, total.duplicate, total.rejected], [votes, 0, 0]);
    };

    await t.step("docs/devices.md, curl and openssl", async () => {
      const printed = await run(SHELL, { code: blocks(devices, "sh").join("\n"), cwd, env });
      assert.match(printed, /"mac":"[0-9a-f]{64}"/);
      assert.match(printed, /\{"answers":\[\{"voteId":"[0-9a-f-]{36}","outcome":"counted"\}\]\}/);
      await counted(1);
    });

    await t.step("docs/devices.md, Python", async () => {
      const [code] = blocks(devices, "python");
      assert.equal(
        await run(PYTHON, { code, cwd, env }),
        `${"['counted', 'counted', 'counted', 'counted']"}\n`,
      );
      await counted(5);
    });

    await t.step("docs/devices.md, TypeScript", async () => {
      const [code] = blocks(devices, "ts");
      const printed = await run(TYPESCRIPT, { code, cwd: ROOT, env });
      assert.deepEqual(
        printed.trim().split("\n").map((line) => line.split(" ")[1]),
        new Array(3).fill("counted"),
      );
      assert.deepEqual([...Deno.readDirSync(env.VOTES)], []);
      await counted(8);
    });

    await t.step("README.md, curl and openssl", async () => {
      const code = blocks(readme, "sh").find((each) => each.includes("openssl"))!;
      const printed = await run(SHELL, { code, cwd, env: { ...env, ID: crypto.randomUUID() } });
      assert.match(printed, /"mac":"[0-9a-f]{64}"/);
    });

    await t.step("README.md, TypeScript", async () => {
      const [code] = blocks(readme, "ts");
      const printed = await run(TYPESCRIPT, { code: `${README_PRELUDE}\n${code}\n`, cwd: ROOT, env });
      assert.match(printed, /^$/);
    });

    await t.step("all of it is in the results", async () => {
      await eventually("nine votes for one candidate, and one for the other", async () => {
        const rows = await centre.stationResults(definition());
        const votesFor = (id: string) =>
          rows.reduce((sum, { candidate, votes }) => candidate === id ? sum + votes : sum, 0);
        return votesFor("joseph-r-biden") === 9 && votesFor("donald-j-trump") === 1;
      });
    });
  });
});

/** What the README's example speaks of without saying where it comes from. */
const README_PRELUDE = `
import process from "node:process";
import { fromHex, utf8 } from "./shared/bytes.ts";
import { signRequest } from "./shared/signature.ts";
const gateway = process.env.GATEWAY!;
const keyId = process.env.KEYID!;
const key = fromHex(process.env.KEY!);
const vote = {
  voteId: crypto.randomUUID(),
  voterId: "RI-0010",
  station: "barrington-0101",
  mode: "in_person",
  selections: [{ contest: "president", candidate: "joseph-r-biden" }],
  castAt: new Date().toISOString(),
};
`;

Deno.test("docs/devices.md says what to do with every problem", async () => {
  const text = await read("docs/devices.md");
  assert.deepEqual(Object.keys(PROBLEMS).filter((cause) => !text.includes(`\`${cause}\``)), []);
});
