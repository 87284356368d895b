/**
 * The election office's command: creates elections, puts voters on their rolls, closes them, and sees to the keys
 * of devices and gateways.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { progress } from "../../cli/progress.ts";
import type { ElectionDefinition, Manifest } from "../../shared/election.ts";
import type { Database } from "../database/database.ts";
import {
  createElection,
  nameIsTaken,
  publishManifest,
  revokeDeviceKey,
  rotateDeviceKey,
} from "../registry/elections.ts";
import { readAccreditationRules } from "../registry/definition.ts";
import { newestManifest } from "../registry/manifests.ts";
import type { Keyring } from "../registry/keyring.ts";
import { OfficeError } from "../registry/office_error.ts";
import { revokeGatewayKey, rotateGatewayKey } from "../registry/gateway_keys.ts";
import { writeRoleKeyFiles } from "../registry/role_key_files.ts";
import { readDefinition, writeDeviceFile, writeGatewayFile, writeGatewayFiles } from "./provision.ts";
import {
  type Finding,
  inspectRoll,
  readRoll,
  ROLL_LIMITS,
  spellFinding,
  writeFindings,
} from "./roll_file.ts";
import { importRoll } from "../registry/roll.ts";

/** What the command was asked for. */
export type ProvisionOptions = Readonly<{
  definition?: string;
  /** The new election is a draft: officials schedule it. */
  draft?: boolean;
  roll?: string;
  /** Where gateways find the aggregator, in the order to try them. */
  aggregator: readonly string[];
  election?: string;
  close?: boolean;
  rotate?: string;
  /** Seconds. */
  overlap: number;
  revoke?: string;
  /** A gateway's id. */
  rotateGateway?: string;
  /** A gateway and a key version. */
  revokeGateway?: string;
  /** Writes the key files of the roles `receipts` and `sync` again. */
  writeKeys?: boolean;
}>;

const KEY_NAME = /^(.+)\.([1-9]\d{0,5})$/;

/** @throws {UsageError} when the options do not say one thing. */
export function checkProvisionOptions(
  { definition, draft, roll, election, close, rotate, revoke, rotateGateway, revokeGateway, writeKeys }:
    ProvisionOptions,
): void {
  // A key may be revoked together with what creates it: of a device that was lost while an election was prepared.
  const alone = definition === undefined ? revoke : undefined;
  const asked = [definition, close, rotate, alone, rotateGateway, revokeGateway, writeKeys]
    .filter((value) => value !== undefined).length;
  const onlyRoll = asked === 0 && roll !== undefined;
  if (asked !== 1 && !onlyRoll) {
    throw new UsageError(
      "give one of --definition (a new election, to which --revoke may be added), or with --election one of --close, " +
        "--rotate, --revoke, --rotate-gateway, --revoke-gateway, --write-keys or --roll",
    );
  }
  if (draft && definition === undefined) {
    throw new UsageError("--draft goes with --definition: it is about a new election");
  }
  if (definition === undefined && election === undefined) {
    throw new UsageError("--election is missing: which election is meant");
  }
  if (revoke !== undefined && !KEY_NAME.test(revoke)) {
    throw new UsageError("--revoke takes a device and a key version, like station-12-a.1");
  }
  if (revokeGateway !== undefined && !KEY_NAME.test(revokeGateway)) {
    throw new UsageError("--revoke-gateway takes a gateway and a key version, like gateway-1.1");
  }
}

/**
 * Does what the options ask.
 *
 * @param directory Where the files of gateways and devices go.
 * @param clock Milliseconds since 1970.
 */
export async function runOffice(
  db: Database,
  keyring: Keyring,
  directory: string,
  options: ProvisionOptions,
  clock: () => number,
): Promise<void> {
  const now = new Date(clock());
  const definition = options.definition === undefined
    ? undefined
    : await readDefinition(options.definition, (text) => console.log(text));
  // Before anything is created: a roll that is refused leaves no election behind.
  const voters = options.roll === undefined
    ? 0
    : await checkRoll(db, options.roll, definition ?? options.election!);
  const election = definition === undefined
    ? options.election!
    : await create(db, keyring, directory, definition, options, now);
  const master = keyring.master(election);
  if (options.roll !== undefined) await putOnRoll(db, election, master, options.roll, voters, clock);
  if (options.close) {
    const { version, closesAt, acceptsUntil } = await close(db, election, master, now);
    console.log(
      `election ${election} closed at ${closesAt}, takes votes in until ${acceptsUntil}, manifest version ${version}`,
    );
  }
  if (options.rotate !== undefined) {
    const version = await rotateDeviceKey(db, election, options.rotate, options.overlap, now);
    console.log(
      `device ${options.rotate} has key version ${version}; the one before is good for ${options.overlap} s`,
    );
    await writeKeys(db, keyring, election);
    console.log(`wrote ${await writeDeviceFile(db.query, election, master, directory, now)}`);
  }
  if (options.revoke !== undefined) {
    const { id, version } = keyNamed(options.revoke);
    // Now, and not when the roll's import began, which may have taken minutes.
    await revokeDeviceKey(db, election, master, id, version, new Date(clock()));
    console.log(`device key ${options.revoke} has been revoked`);
  }
  if (options.rotateGateway !== undefined) {
    const gateway = options.rotateGateway;
    const version = await rotateGatewayKey(db, election, gateway, now);
    console.log(
      `gateway ${gateway} has key version ${version}; the ones before are good until they are revoked`,
    );
    // First: a receipt that the gateway writes with its next key must not come before them.
    await writeKeys(db, keyring, election);
    const name = { election, id: gateway, version };
    console.log(`wrote ${writeGatewayFile(name, master, directory, options.aggregator)}`);
  }
  if (options.revokeGateway !== undefined) {
    const { id, version } = keyNamed(options.revokeGateway);
    await revokeGatewayKey(db, election, id, version, now);
    console.log(
      `gateway key ${options.revokeGateway} has been revoked: records that it signed are held from now on`,
    );
  }
  if (options.writeKeys) await writeKeys(db, keyring, election);
}

/** Writes the key files of processes that have no master key. */
async function writeKeys(db: Database, keyring: Keyring, election: string): Promise<void> {
  const paths = await writeRoleKeyFiles(db.query, election, keyring.master(election), keyring.directory);
  for (const path of paths) console.log(`wrote ${path}`);
}

function keyNamed(name: string): { id: string; version: number } {
  const [, id, version] = KEY_NAME.exec(name)!;
  return { id: id!, version: Number(version) };
}

/**
 * Closes an election now. Votes that were cast in time may be delivered for as long after it as they might have been: the
 * acceptance window keeps its length.
 */
async function close(db: Database, election: string, master: Uint8Array, now: Date): Promise<Manifest> {
  const at = now.toISOString();
  return await publishManifest(db, election, master, now, (newest) => {
    const { closesAt, acceptsUntil } = newest;
    if (closesAt <= at) {
      throw new OfficeError(
        `Cannot close election ${election}: it has been closed since ${closesAt}; ` +
          `votes that were cast in time are taken until ${acceptsUntil}`,
      );
    }
    const windowMs = Date.parse(acceptsUntil) - Date.parse(closesAt);
    return { ...newest, closesAt: at, acceptsUntil: new Date(now.getTime() + windowMs).toISOString() };
  });
}

async function create(
  db: Database,
  keyring: Keyring,
  directory: string,
  definition: ElectionDefinition,
  { aggregator: aggregators, draft: isDraft }: ProvisionOptions,
  now: Date,
): Promise<string> {
  const { election } = definition;
  // Before a key is made: in another directory, an election that there is would get a second one.
  if (await newestManifest(db.query, election) !== undefined) throw nameIsTaken(election);
  const master = keyring.create(election);
  const manifest = await createElection(db, definition, master, now, { isDraft });
  const { stations, contests, uncontested } = manifest;
  console.log(
    `election ${election}: ${stations.length} stations, ${contests.length} contests` +
      (uncontested === undefined ? "" : ` on ballots, ${uncontested.length} uncontested`),
  );
  await writeKeys(db, keyring, election);
  for (const path of writeGatewayFiles(manifest, master, directory, aggregators)) {
    console.log(`wrote ${path}`);
  }
  console.log(`wrote ${await writeDeviceFile(db.query, election, master, directory, now)}`);
  return election;
}

/**
 * Reads a whole roll before any of it is written, and says what was found; all of it goes into a file beside the roll.
 *
 * @param of An election that is yet to be created, or the id of one that there is.
 * @returns how many voters the roll has.
 * @throws {OfficeError} when a row is bad.
 */
async function checkRoll(db: Database, path: string, of: ElectionDefinition | string): Promise<number> {
  const places = typeof of === "string" ? await newestManifest(db.query, of) : of;
  if (places === undefined) throw new OfficeError(`Cannot import a roll: there is no election ${of}`);
  const rules = typeof of === "string" ? await readAccreditationRules(db.query, of) : of.accreditation;
  const asked = rules === undefined || Object.keys(rules).length === 0
    ? {}
    : { rules, day: places.opensAt.slice(0, 10) };
  const { voters, findings, total, notes } = await inspectRoll(path, places, asked);
  for (const note of notes) console.log(`roll ${path}: ${note}`);
  if (findings.length === 0) return voters;
  const beside = writeFindings(path, findings);
  const all = beside === undefined ? `they could not be written beside ${path}` : `all are in ${beside}`;
  const list = (kind: Finding["kind"]) => {
    const some = findings.filter((each) => each.kind === kind).slice(0, ROLL_LIMITS.listed);
    const more = total[kind] - some.length;
    return `${some.map((each) => `\n  ${spellFinding(each)}`).join("")}${
      more > 0 ? `\n  and ${more} more` : ""
    }`;
  };
  if (total["given twice"] > 0) {
    console.log(
      `${total["given twice"]} lines give a voter again; the first counts (${all}):${list("given twice")}`,
    );
  }
  if (total.alike > 0) console.log(`${total.alike} voter ids are easily confused (${all}):${list("alike")}`);
  if (total["bad row"] > 0) {
    throw new OfficeError(
      `Cannot read the roll ${path}: ${total["bad row"]} values are wrong, and nothing was written; ${all}:${
        list("bad row")
      }`,
    );
  }
  return voters;
}

async function putOnRoll(
  db: Database,
  election: string,
  master: Uint8Array,
  path: string,
  voters: number,
  clock: () => number,
): Promise<void> {
  const bar = progress({ label: "roll", total: voters, unit: "voters" });
  const different: string[] = [];
  const { added, known } = await importRoll(
    db,
    election,
    master,
    readRoll(path),
    clock,
    {
      onProgress: (voters) => bar.advance(voters),
      onDifferent(voter, text) {
        if (different.length < ROLL_LIMITS.listed) different.push(`\n  voter ${voter}: ${text}`);
      },
    },
  );
  bar.done(
    `${added} voters put on the roll of ${election}${known > 0 ? `, ${known} were on it already` : ""}`,
  );
  if (different.length > 0) {
    console.log(`voters who are on the roll with other data, which stays as it is:${different.join("")}`);
  }
}
