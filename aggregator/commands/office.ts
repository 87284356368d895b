/**
 * `deno task office`: what officials do. Every command but `init`, `key` and `audit verify` asks the office's API: that of a running
 * process (`--url`), or in this process, on the database that the settings name.
 *
 * @module
 */
import type { Command } from "commander";
import { command, Failure, UsageError } from "../../cli/command.ts";
import { readText } from "../../cli/csv.ts";
import { utf8 } from "../../shared/bytes.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import { actAs } from "../audit/actor.ts";
import { readHeads } from "../audit/heads.ts";
import { formatVerifier, parseVerifier } from "../audit/note.ts";
import { chainName, verifyTrail } from "../audit/verify.ts";
import { type AggregatorConfig, aggregatorConfig } from "../config.ts";
import { createAccount, isRefusal, requestRole } from "../office/access/accounts.ts";
import { newKeyFile, publicKeyOf } from "../office/access/keys.ts";
import { createOfficeApp } from "../office/api/app.ts";
import { OfficeClient, readKeyFile, type SendToOffice } from "../office/client.ts";
import { eraseDestroyed } from "../office/lifecycle/destroy.ts";
import { writeElectionFiles } from "../office/provision.ts";
import { qualityLines } from "../office/quality/report.ts";
import { ACTIONS } from "../office/lifecycle/transition.ts";
import { createOfficeKey, hasOfficeKey, readOfficeKeys } from "../office/office_key.ts";
import { Keyring } from "../registry/keyring.ts";
import { OfficeError } from "../registry/office_error.ts";
import { writeRoleKeyFiles } from "../registry/role_key_files.ts";
import { writeSecret } from "../registry/secret_file.ts";
import { requiredRoles } from "../roles/roles.ts";
import { alertsCommand } from "./office_alerts.ts";
import { addAccreditationCommands } from "./office_accreditation.ts";
import { addCandidacyCommands } from "./office_candidacies.ts";
import { addStationCommands } from "./office_stations.ts";
import { type Common, pathOf } from "./office_common.ts";
import { exportCommands } from "./office_exports.ts";
import { rehearseCommand } from "./office_rehearse.ts";
import { historyCommand } from "./office_history.ts";
import { eraseElection, openLog, openOne, withDatabases } from "./open.ts";

/** The command with its own. */
export function officeCommand(): Command {
  const office = command(
    "office",
    "The election office: accounts, roles, an election's state, the audit trail.",
  );
  const asking = (name: string, description: string) =>
    command(name, description)
      .requiredOption("--as <file>", "the key file with which you sign in")
      .option(
        "--url <address>",
        "a running aggregator with the role office; without it the database is opened here",
      );
  const ofElection = (name: string, description: string) =>
    asking(name, description).requiredOption("--election <id>", "the election");
  office.addCommand(
    command("init", "Sets the office up: its key, and two or more administrators with a key file each.")
      .requiredOption("--admin <account...>", "an administrator; at least two")
      .action(init),
  );
  office.addCommand(
    command("key", "Makes the key file of a person, and prints the public key that an administrator needs.")
      .requiredOption("--account <id>", "the person's account")
      .requiredOption("--out <file>", "where the key file goes; it stays with the person")
      .action(makeKey),
  );
  office.addCommand(
    asking("add", "Creates an account.")
      .requiredOption("--account <id>", "the account")
      .requiredOption("--name <name>", "the person's name")
      .requiredOption("--key <x>", "the public key that `office key` printed")
      .action((options: Common & { account: string; name: string; key: string }) =>
        print(options, "POST", "/v1/office/accounts", {
          account: options.account,
          name: options.name,
          key: { kty: "OKP", crv: "Ed25519", x: options.key },
        })
      ),
  );
  office.addCommand(
    asking("grant", "Gives an account a role; official and admin wait for a second administrator.")
      .requiredOption("--account <id>", "the account")
      .requiredOption("--role <role>", "admin, registrar, official, auditor or observer")
      .option("--election <id>", "the election; not for admin")
      .action(({ account, role, election, ...options }: Common & { account: string; role: string }) =>
        print(options, "POST", "/v1/office/grants", { account, role, election })
      ),
  );
  office.addCommand(
    asking("approve-grant", "Approves a role that another administrator asked for.")
      .requiredOption("--grant <number>", "its number")
      .action((options: Common & { grant: string }) =>
        print(options, "POST", `/v1/office/grants/${encodeURIComponent(options.grant)}/approve`)
      ),
  );
  office.addCommand(
    asking("revoke-grant", "Takes a role away.")
      .requiredOption("--grant <number>", "its number")
      .action((options: Common & { grant: string }) =>
        print(options, "DELETE", `/v1/office/grants/${encodeURIComponent(options.grant)}`)
      ),
  );
  const ofKey = (name: string, description: string, method: string, end: string) =>
    asking(name, description)
      .requiredOption("--account <id>", "the account")
      .requiredOption("--key-id <id>", "the key's id, as `accounts` lists it")
      .action((options: Common & { account: string; keyId: string }) =>
        print(options, method, `${keysOf(options.account)}/${encodeURIComponent(options.keyId)}${end}`)
      );
  office.addCommand(
    asking(
      "add-key",
      "Gives an account a further key; an official's or administrator's waits for a second one.",
    )
      .requiredOption("--account <id>", "the account")
      .requiredOption("--key <x>", "the public key that `office key` printed")
      .action(({ account, key, ...options }: Common & { account: string; key: string }) =>
        print(options, "POST", keysOf(account), { key: { kty: "OKP", crv: "Ed25519", x: key } })
      ),
  );
  office.addCommand(
    ofKey("approve-key", "Approves a key that another administrator asked for.", "POST", "/approve"),
  );
  office.addCommand(ofKey("revoke-key", "Revokes a key, or takes a request for one back.", "DELETE", ""));
  office.addCommand(
    asking("accounts", "Lists accounts, keys and roles.")
      .action((options: Common) => print(options, "GET", "/v1/office/accounts")),
  );
  office.addCommand(
    ofElection(
      "check",
      "Checks the data and counts the log again; exit code 1 when a check fails that is not waived.",
    )
      .option("--newest", "check nothing: print the newest result")
      .option("--json", "print the answer as it is")
      .action(check),
  );
  const ownVerifier = () => readOfficeKeys(aggregatorConfig().keysDirectory)?.notes;
  for (const exporting of exportCommands({ withOffice, ownVerifier })) office.addCommand(exporting);
  office.addCommand(
    ofElection("status", "Says where an election stands, what may be done, and what is proposed.")
      .action((options: Common) => print(options, "GET", `${pathOf(options)}/lifecycle`)),
  );
  for (
    const [name, description, path] of [
      ["act", `Does at once what takes one official: ${actionsOf(1)}.`, "actions"],
      [
        "propose",
        `Proposes what takes two: ${actionsOf(2)}.`,
        "proposals",
      ],
    ]
  ) {
    office.addCommand(
      ofElection(name!, description!)
        .requiredOption("--action <action>", "which")
        .requiredOption("--reason <text>", "why")
        .option("--parameters <json>", 'what it takes, like {"closesAt":"…"}', "{}")
        .action((options: Common & { action: string; reason: string; parameters: string }) =>
          change(options, path!, {
            action: options.action,
            reason: options.reason,
            parameters: readParameters(options.parameters),
          })
        ),
    );
  }
  office.addCommand(
    ofElection("approve", "Approves what another official proposed: it is done.")
      .requiredOption("--proposal <id>", "the proposal")
      .action((options: Common & { proposal: string }) =>
        change(options, `proposals/${encodeURIComponent(options.proposal)}/approve`, undefined)
      ),
  );
  office.addCommand(
    ofElection(
      "change",
      "Replaces the definition of a draft: contests, candidates, parties, names and hours.",
    )
      .requiredOption("--file <file>", "the definition, JSON or YAML")
      .requiredOption("--reason <text>", "why")
      .action(changeDefinition),
  );
  office.addCommand(
    ofElection("certified", "Prints the certified results, every version, with their signatures.")
      .action((options: Common) => print(options, "GET", `${pathOf(options)}/certified`)),
  );
  office.addCommand(alertsCommand({
    ofElection,
    print: (options, method, path, body) => print(options, method, `${pathOf(options)}${path}`, body),
  }));
  addAccreditationCommands(office, ofElection, withClient);
  addCandidacyCommands(office, ofElection, withClient);
  addStationCommands(office, ofElection, withClient);
  office.addCommand(rehearseCommand(ofElection, withClient));
  office.addCommand(historyCommand());
  return office.addCommand(auditCommand(asking));
}

function actionsOf(officials: 1 | 2): string {
  return Object.entries(ACTIONS).filter(([, rule]) => rule.officials === officials).map(([action]) => action)
    .join(", ");
}

function auditCommand(asking: (name: string, description: string) => Command): Command {
  const audit = command("audit", "The audit trail.");
  audit.addCommand(
    asking("head", "Prints the signed head of a chain: keep it outside of this system.")
      .option("--election <id>", "whose chain; the office's own when left out")
      .action((options: Common) =>
        print(
          options,
          "GET",
          options.election === undefined ? "/v1/office/audit/head" : `${pathOf(options)}/audit/head`,
        )
      ),
  );
  audit.addCommand(
    asking("events", "Prints the events of a chain.")
      .option("--election <id>", "whose chain; the office's own when left out")
      .option("--after <number>", "only events behind this one", "0")
      .action((options: Common & { after: string }) =>
        print(
          options,
          "GET",
          `${options.election === undefined ? "/v1/office" : pathOf(options)}/audit?after=${
            encodeURIComponent(options.after)
          }`,
        )
      ),
  );
  return audit.addCommand(
    command(
      "verify",
      "Checks every chain, and against heads that were signed before: names what was changed or removed.",
    )
      .option("--head <file>", "a file with signed heads, one behind the other")
      .option(
        "--key <key>",
        "the office's verifier key, as `office init` printed it; that of this machine when left out",
      )
      .action(verify),
  );
}

function keysOf(account: string): string {
  return `/v1/office/accounts/${encodeURIComponent(account)}/keys`;
}

function readParameters(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`--parameters must be JSON, like {"closesAt":"2026-11-03T21:00:00.000Z"}`);
  }
}

async function init({ admin }: { admin: string[] }): Promise<void> {
  const admins = [...new Set(admin)];
  if (admins.length < 2) {
    throw new UsageError("--admin must name two or more: one person cannot make officials alone");
  }
  const wrong = admins.find((account) => !/^[a-z0-9-]{1,64}$/.test(account));
  if (wrong !== undefined) throw new UsageError(`--admin ${wrong} must be of a-z, 0-9 and -`);
  const config = aggregatorConfig();
  if (hasOfficeKey(config.keysDirectory)) {
    throw new Failure(`The office is set up already: ${config.keysDirectory} has its key`);
  }
  await withDatabases(
    () => openOne(config, "office"),
    ["pollwire_office"],
    ({ counting: db }) =>
      actAs({ actor: "command:office init" }, async () => {
        const now = new Date();
        for (const account of admins) {
          const file = await newKeyFile(account);
          const created = await createAccount(db, account, account, await publicKeyOf(file.key), now);
          if (isRefusal(created)) throw new OfficeError(`Cannot set up the office: ${created.detail}`);
          const granted = await requestRole(db, account, "admin", null, undefined, now);
          if (isRefusal(granted)) throw new OfficeError(`Cannot set up the office: ${granted.detail}`);
          const path = `${config.data}/office/${account}.json`;
          writeSecret(path, file);
          console.log(`wrote ${path}: give it to ${account}`);
        }
        console.log(`wrote ${createOfficeKey(config.keysDirectory)}`);
        console.log(`verifier key: ${formatVerifier(readOfficeKeys(config.keysDirectory)!.notes)}`);
      }),
  );
}

async function makeKey({ account, out }: { account: string; out: string }): Promise<void> {
  const file = await newKeyFile(account);
  writeSecret(out.includes("/") ? out : `./${out}`, file);
  console.log(`wrote ${out}`);
  console.log(`public key: ${file.key.x}`);
}

/** Asks, and prints what is answered. */
async function print(options: Common, method: string, path: string, body?: unknown): Promise<void> {
  await withClient(options, async (client) => show(await client.ask(method, path, body)));
}

/** Asks for a change of the state that is there now. */
async function change(options: Common, path: string, body: unknown): Promise<void> {
  await withClient(options, async (client) => {
    const { etag } = await client.ask("GET", `${pathOf(options)}/lifecycle`);
    show(await client.ask("POST", `${pathOf(options)}/${path}`, body, etag ?? undefined));
  });
}

/** Replaces a draft's definition. */
async function changeDefinition(
  { file, reason, ...options }: Common & { file: string; reason: string },
): Promise<void> {
  const { text, notes } = await readText(file);
  for (const note of notes) console.log(note);
  await withClient(options, async (client) => {
    const { etag } = await client.ask("GET", `${pathOf(options)}/lifecycle`);
    const path = `${pathOf(options)}/definition?reason=${encodeURIComponent(reason)}`;
    show(await client.sendBytes(path, utf8(text), { method: "PUT", ifMatch: etag ?? undefined }));
  });
}

/** Checks an election's data, and prints what was found. */
async function check({ newest, json, ...options }: Common & { newest?: true; json?: true }): Promise<void> {
  let failing: string[] = [];
  await withClient(options, async (client) => {
    const answer = await client.ask(newest ? "GET" : "POST", `${pathOf(options)}/quality`);
    failing = answer.body.failing;
    if (json) return show(answer);
    if (answer.body.checkedAt === null) {
      throw new OfficeError("Cannot print the checks: nothing was checked yet");
    }
    for (const line of qualityLines(answer.body)) console.log(line);
  });
  if (failing.length > 0) throw new Failure("");
}

function show({ body, text }: Readonly<{ body: unknown; text: string }>): void {
  console.log(body === undefined ? text.trimEnd() : JSON.stringify(body, null, 2));
}

async function withClient(options: Common, work: (client: OfficeClient) => Promise<void>): Promise<void> {
  await withOffice(options, (_, client) => work(client!));
}

/** Asks a running office, or one in this process; signed in where there is a key file. */
async function withOffice(
  { as, url }: Readonly<{ as?: string; url?: string }>,
  work: (send: SendToOffice, client: OfficeClient | undefined) => Promise<void>,
): Promise<void> {
  const file = as === undefined ? undefined : await readKeyFile(as).catch((error) => {
    throw new Failure((error as Error).message);
  });
  const workWith = (send: SendToOffice) => work(send, file && new OfficeClient(send, file));
  if (url !== undefined) {
    await workWith((path, init) => fetch(new URL(path, url), init)).catch((error) => {
      if (error instanceof OfficeError || error instanceof TypeError) throw new Failure(error.message);
      throw error;
    });
    return;
  }
  const config = aggregatorConfig();
  await withDatabases(() => openOne(config, "office"), requiredRoles("office"), async ({ counting: db }) => {
    const keys = readOfficeKeys(config.keysDirectory);
    if (keys === undefined) {
      throw new OfficeError("Cannot ask the office: set it up with `deno task office init`");
    }
    const logs = new Map<string, Promise<VoteLog>>();
    const keyring = new Keyring(config.keysDirectory);
    const app = createOfficeApp({
      db,
      now: Date.now,
      keys,
      keyring,
      onDeviceKeys: async (election) => {
        await writeRoleKeyFiles(db.query, election, keyring.master(election), config.keysDirectory);
      },
      onElection: (manifest, master, aggregators) =>
        writeElectionFiles(db.query, manifest, master, config, aggregators, new Date()),
      openLog: (election, partitions) => {
        const log = logs.get(election) ?? openLog(config, election, partitions);
        logs.set(election, log);
        return log;
      },
    });
    try {
      await workWith((path, init) => app.request(path, init));
      await eraseDestroyed(db, (election) => eraseElection(config, keyring, election), new Date());
    } finally {
      for (const log of logs.values()) await log.then((log) => log.close(), () => {});
    }
  });
}

async function verify({ head, key }: { head?: string; key?: string }): Promise<void> {
  const config = aggregatorConfig();
  const verifier = verifierOf(config, key);
  if (head !== undefined && verifier === undefined) {
    throw new UsageError("--key is missing: with which key were the heads signed? `office init` printed it");
  }
  const text = head === undefined ? undefined : await Deno.readTextFile(head).catch((error) => {
    throw new Failure(`Cannot read ${head}: ${error.message}`);
  });
  const read = text === undefined ? { heads: [] } : readHeads(text, verifier!);
  if ("fault" in read) throw new Failure(`Cannot use ${head}: ${read.fault}`);
  await withDatabases(
    () => openOne(config, "office"),
    [["pollwire_auditor", "pollwire_office"]],
    async ({ counting: db }) => {
      const { chains, faults } = await verifyTrail(db.query, read.heads);
      for (const { election, events } of chains) console.log(`${chainName(election)}: ${events} events`);
      for (const { election, detail } of faults) console.log(`${chainName(election)}: ${detail}`);
      if (faults.length > 0) throw new Failure("");
      console.log(
        `the trail is whole${read.heads.length > 0 ? `, and fits ${read.heads.length} signed heads` : ""}`,
      );
    },
  );
}

function verifierOf({ keysDirectory }: AggregatorConfig, key: string | undefined) {
  if (key === undefined) return readOfficeKeys(keysDirectory)?.notes;
  const verifier = parseVerifier(key);
  if (verifier === undefined) {
    throw new UsageError("--key must be a verifier key, like pollwire-office+1a2b3c4d+…");
  }
  return verifier;
}
