/**
 * Runs schemathesis against a gateway and an aggregator that run, with requests that are signed: no answer may be an
 * error of the server's own, nor one that the OpenAPI document does not know. Exit code 0 when there was none.
 *
 * Needs python3 with venv; installs the pinned version into a directory that is removed again.
 *
 * @module
 */
import { Failure, program, runProgram } from "../../cli/command.ts";
import { systemClock } from "../../device/clock.ts";
import { simulateCountry } from "../../simulator/country/country.ts";
import { writeRoll } from "../../simulator/voting/roll.ts";
import { onStack } from "../../simulator/run/run.ts";
import { PollwireProcesses } from "../../simulator/processes/pollwire.ts";
import { withDirectory } from "../directory.ts";

const SCHEMATHESIS = "schemathesis==4.32.5";
/** Requests of each operation that are made up in each phase,. */
const MAX_EXAMPLES = 60;
const SEED = 20_201_103;
const HOUR_MS = 3_600_000;

/**
 * What is asked of every answer. Left out is what holds a request's fate to how it was made up: signing mends the
 * headers that were made wrong, and an election refuses votes that have the right form. tests/bad_day_test.ts tests both.
 */
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "unsupported_method",
  "allow_header_conformance",
];
/** A stream never ends: aggregator/public/stream_test.ts tests it. */
const NEVER_ENDS = "/v1/elections/{election}/stream";

const HOOKS = new URL("./hooks.py", import.meta.url).pathname;

async function run(
  command: string,
  args: string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env"> = {},
): Promise<void> {
  const { code } = await new Deno.Command(command, { args, stdin: "null", ...options }).spawn().status;
  if (code !== 0) throw new Failure(`${command} ${args.slice(0, 3).join(" ")} … ended with code ${code}`);
}

/** Installs schemathesis. Returns the directory of its commands. */
async function install(directory: string): Promise<string> {
  try {
    await run("python3", ["-m", "venv", `${directory}/venv`]);
  } catch (error) {
    throw new Failure(
      `Cannot install schemathesis: python3 -m venv does not work here (${
        (error as Error).message
      }); it needs python3 and python3-venv`,
    );
  }
  const bin = `${directory}/venv/bin`;
  await run(`${bin}/pip`, ["install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS]);
  return bin;
}

/** Makes an election with one gateway, and the file that tells the hooks what there is. */
async function provision(stack: PollwireProcesses, dataDir: string): Promise<string> {
  const at = (hours: number) => new Date(Date.now() + hours * HOUR_MS).toISOString();
  const size = { voters: 1_000, contests: 2, candidates: 3, parties: 2, regions: 2, stations: 4 };
  const simulated = simulateCountry(SEED, { ...size, devicesPerStation: 1, gateways: 1 }, {
    election: "schemathesis",
    opensAt: at(-1),
    closesAt: at(4),
    acceptsUntil: at(5),
  });
  const { definition } = simulated;
  await Deno.writeTextFile(`${dataDir}/definition.json`, JSON.stringify(definition));
  await writeRoll(`${dataDir}/roll.csv`, simulated.voters());
  await stack.provision(`${dataDir}/definition.json`, `${dataDir}/roll.csv`);
  const { devices: [device] } = JSON.parse(
    await Deno.readTextFile(`${dataDir}/devices/${definition.election}.json`),
  );
  const { gateway, elections: [own] } = JSON.parse(
    await Deno.readTextFile(`${dataDir}/gateways/gateway-1.json`),
  );
  const keys = `${dataDir}/keys.json`;
  await Deno.writeTextFile(
    keys,
    JSON.stringify({
      election: definition.election,
      station: device.station,
      contest: definition.contests[0].id,
      candidate: definition.contests[0].candidates[0].id,
      device: {
        keyid: `${definition.election}/${device.device}.${device.version}`,
        key: device.key,
        proofKey: device.proofKey,
      },
      gateway: { keyid: `${own.election}/${gateway}.${own.keyVersion}`, key: own.key },
    }),
  );
  return keys;
}

/** How many votes a gateway has taken, single and in batches. */
async function acceptedVotes(origin: string): Promise<number> {
  const text = await (await fetch(`${origin}/metrics`)).text();
  const counts = text.matchAll(/^pollwire_gateway_votes_total\{.*answer="accepted"\} (\d+)$/gm);
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

async function test(): Promise<void> {
  await withDirectory(async (directory) => {
    const bin = await install(directory);
    const dataDir = `${directory}/data`;
    const stack = new PollwireProcesses({ dataDir, gateways: ["gateway-1"], clock: systemClock });
    const keys = await provision(stack, dataDir);
    await onStack(stack, async () => {
      const faults: string[] = [];
      const targets: [name: string, origin: string, more: string[]][] = [
        ["aggregator", stack.aggregator, ["--exclude-path", NEVER_ENDS]],
        ["gateway", stack.gateways[0], []],
      ];
      for (const [name, origin, more] of targets) {
        console.log(`schemathesis against the ${name}`);
        await run(`${bin}/schemathesis`, [
          "run",
          `${origin}/openapi.json`,
          ...["--checks", CHECKS.join(",")],
          ...["--max-examples", String(MAX_EXAMPLES), "--seed", String(SEED)],
          ...["--phases", "examples,coverage,fuzzing"],
          ...more,
          ...["--generation-database", "none", "--no-color"],
        ], {
          // It leaves a cache where it runs.
          cwd: directory,
          env: { SCHEMATHESIS_HOOKS: HOOKS, POLLWIRE_KEYS: keys },
        }).catch((error) => faults.push(error.message));
      }
      const votes = await acceptedVotes(stack.gateways[0]);
      console.log(`${votes} votes were signed so that the gateway took them`);
      if (votes === 0) faults.push("no request got past authentication: look at hooks.py");
      if (faults.length > 0) throw new Failure(faults.join("; "));
    });
    if (stack.unexpected.length > 0) throw new Failure(stack.unexpected.join("; "));
  });
}

if (import.meta.main) {
  const command = program(
    "schemathesis",
    "Tests gateway and aggregator against their OpenAPI documents.",
    [],
  );
  Deno.exit(await runProgram(command.action(test)));
}
