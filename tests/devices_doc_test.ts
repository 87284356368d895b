/**
 * Runs the examples of docs/devices.md and the README, unchanged, against an aggregator and two gateways
 * that really run: what they cast must be acknowledged and counted.
 */
import assert from "assert";
import type { ElectionDefinition } from "../shared/election.ts";
import { packPython } from "../deploy/device/pack.ts";
import { PROBLEMS } from "../shared/problem.ts";
import { eventually } from "./eventually.ts";
import { heldNow, votersOf, withRunningStack } from "./running_stack.ts";
import { longTest } from "./runs.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ROOT = new URL("..", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));
/** How long an example, or the installation of what it needs, may take, in milliseconds. */
const EXAMPLE_MS = 180_000;

/** The election of the examples: that of 2020, open still, so that votes cast then and now are in order. */
function definition(): ElectionDefinition {
  return heldNow({
    election: "ri-2020",
    name: "Rhode Island 2020",
    partitions: 3,
    releaseThreshold: 1,
    resultsBeforeClosing: true,
    parties: [],
    contests: [{
      id: "president",
      name: "President",
      votesAllowed: 1,
      candidates: [
        { id: "joseph-r-biden", name: "Joseph R. Biden" },
        { id: "donald-j-trump", name: "Donald J. Trump" },
      ],
    }],
    regions: [{ id: "bristol", name: "Bristol" }],
    stations: [{ id: "barrington-0101", name: "Barrington 0101", region: "bristol" }],
    gateways: [
      { id: "gateway-1", stations: ["barrington-0101"], fallbackFor: [] },
      { id: "gateway-2", stations: [], fallbackFor: ["barrington-0101"] },
    ],
  }, "2020-11-03T11:00:00.000Z");
}

const VOTERS = Array.from({ length: 10 }, (_, i) => `RI-${String(i + 1).padStart(4, "0")}`);

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

/** Makes a Python of its own, with one package. Returns its path. */
async function pythonWith(requirement: string, directory: string): Promise<string> {
  const bin = `${directory}/venv/bin`;
  const made = { code: "", cwd: directory, env: {} };
  await run(["python3", "-m", "venv", `${directory}/venv`], made);
  await run([`${bin}/pip`, "install", "--quiet", "--disable-pip-version-check", requirement], made);
  return `${bin}/python`;
}

const RECEIPT = /"proof":"[0-9a-f]{32}".*"mac":"[0-9a-f]{32}"/;
const SHELL = ["bash", "-euo", "pipefail"];
/** For Ed25519, which Python's standard library lacks. */
const CRYPTOGRAPHY = "cryptography==50.0.2";
const TYPESCRIPT = [Deno.execPath(), "run", "-A", "--quiet", "--check", "--ext=ts", "-"];

longTest("the examples for devices run as they stand, and what they cast is counted", async (t) => {
  const devices = await read("docs/devices.md");
  const readme = await read("README.md");
  const elections = [{ definition: definition(), voters: votersOf("bristol", VOTERS) }];
  await withRunningStack(elections, async ({ stack, aggregator, devices: file, dataDir }) => {
    const [{ device, version, key, proofKey, answerKey }] = file.devices;
    const [GATEWAY, FALLBACK] = stack.gateways;
    const cwd = `${dataDir}/work`;
    await Deno.mkdir(cwd);
    const KEYID = `ri-2020/${device}.${version}`;
    const env = {
      ...{ GATEWAY, FALLBACK, AGGREGATOR: stack.aggregator, VOTES: `${cwd}/kept` },
      ...{ KEYID, KEY: key, PROOF_KEY: proofKey, ANSWER_KEY: answerKey },
    };
    const counted = async (votes: number) => {
      const { total } = await aggregator.reconciliation("ri-2020");
      assert.deepEqual([total.counted, total.duplicate, total.rejected, total.held], [votes, 0, 0, 0]);
    };

    await t.step("docs/devices.md, curl and openssl", async () => {
      const printed = await run(SHELL, { code: blocks(devices, "sh").join("\n"), cwd, env });
      assert.match(printed, RECEIPT);
      assert.match(printed, /Signature Verified Successfully/);
      assert.match(
        printed,
        /^\{"election":"ri-2020",.*,"answers":\[\{"voteId":"[0-9a-f-]{36}","outcome":"counted".*\}\]\}$/m,
      );
      await counted(1);
    });

    await t.step("docs/devices.md, Python", async () => {
      const [code] = blocks(devices, "python");
      const python = await pythonWith(CRYPTOGRAPHY, dataDir);
      const wheel = `${dataDir}/${await packPython(dataDir)}`;
      const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", wheel];
      await run([python, ...install], { code: "", cwd, env: {} });
      const vectors = new URL("docs/vectors.json", ROOT).pathname;
      assert.equal(await run([python, "-", vectors], { code: PYTHON_VECTORS, cwd, env: {} }), "[]\n");
      assert.equal(
        await run([python, "-"], { code, cwd, env }),
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
      assert.match(printed, RECEIPT);
    });

    await t.step("docs/devices.md, TypeScript without the client", async () => {
      const [, code] = blocks(devices, "ts");
      const printed = await run(TYPESCRIPT, { code: `${PRELUDE}\n${code}\n`, cwd: ROOT, env });
      assert.match(printed, /^$/);
    });

    await t.step("all of it is in the results", async () => {
      await eventually("nine votes for one candidate, and one for the other", async () => {
        const rows = await aggregator.stationResults(definition());
        const votesFor = (id: string) =>
          rows.reduce((sum, { candidate, votes }) => candidate === id ? sum + votes : sum, 0);
        return votesFor("joseph-r-biden") === 9 && votesFor("donald-j-trump") === 1;
      });
    });
  });
});

/** Compares the Python package with docs/vectors.json, as device_package.ts does with that for npm; prints what differs. */
const PYTHON_VECTORS = `
import json, re, sys
from pollwire_device import proof_leaf, proof_of, sign_request

vectors = json.load(open(sys.argv[1]))
keyid, key, proof_key = (vectors["device"][name] for name in ("keyid", "key", "proofKey"))
election, name = keyid.split("/")
differences, compared = [], 0


def same(what, found, wanted):
    global compared
    compared += 1
    if found != wanted:
        differences.append(f"{what}: {found}, not {wanted}")


for vote in vectors["signedVotes"]:
    body = vote["body"]
    if body["proofKey"] == name:
        proof = proof_of(bytes.fromhex(proof_key), election, name, body["vote"])
        same(vote["name"], proof.hex(), body["proof"])
        same(vote["name"] + ", leaf", proof_leaf(proof), vote["leaf"])
for accepted in vectors["accepted"]:
    request = accepted["request"]
    headers = {name.lower(): value for name, value in request["headers"].items()}
    signed = sign_request(
        path=request["path"],
        content_type=headers["content-type"],
        body=request["body"].encode(),
        request_id=headers["idempotency-key"][1:-1],
        keyid=keyid,
        key=bytes.fromhex(key),
        created=re.search(r"created=(\\d+)", headers["signature-input"])[1],
    )
    for header, value in signed.items():
        same(f"{accepted['name']}, {header}", value, headers[header.lower()])
print(differences if compared >= 10 else f"only {compared} compared")
`;

/** The imports and values that the example without the client does not define. */
const PRELUDE = `
import process from "node:process";
import { fromHex, toHex, utf8 } from "./shared/bytes.ts";
import { proofOf } from "./shared/proof.ts";
import { signRequest } from "./shared/signature.ts";
const gateway = process.env.GATEWAY!;
const keyId = process.env.KEYID!;
const key = fromHex(process.env.KEY!);
const proofKey = fromHex(process.env.PROOF_KEY!);
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
  assert.deepEqual(Object.keys(PROBLEMS).filter((reason) => !text.includes(`\`${reason}\``)), []);
});
