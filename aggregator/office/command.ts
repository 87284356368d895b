/**
 * The election office's command: creates elections, puts voters on their rolls, closes them, and sees to the keys
 * of devices.
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
  newestManifest,
  OfficeError,
  publishManifest,
  revokeDeviceKey,
  rotateDeviceKey,
} from "../registry/elections.ts";
import type { Keyring } from "../registry/keyring.ts";
import { readDefinition, writeDeviceFile, writeGatewayFiles } from "./provision.ts";
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
  roll?: string;
  /** Where gateways find the aggregator, in the order to try them. */
  aggregator: readonly string[];
  election?: string;
  close?: boolean;
  rotate?: string;
  /** Seconds. */
  overlap: number;
  revoke?: string;
}>;

/** @throws {UsageError} when the options do not say one thing. */
export function checkProvisionOptions(
  { definition, roll, election, close, rotate, revoke }: ProvisionOptions,
): void {
  // A key may be revoked together with what creates it: of a device that was lost while an election was prepared.
  const alone = definition === undefined ? revoke : undefined;
  const asked = [definition, close, rotate, alone].filter((value) => value !== undefined).length;
  const onlyRoll = asked === 0 && roll !== undefined;
  if (asked !== 1 && !onlyRoll) {
    throw new UsageError(
      "give one of --definition (a new election, to which --revoke may be added), or with --election one of --close, " +
        "--rotate, --revoke or --roll",
    );
  }
  if (definition === undefined && election === undefined) {
    throw new UsageError("--election is missing: which election is meant");
  }
  if (revoke !== undefined && !/^.+\.[1-9]\d{0,5}$/.test(revoke)) {
    throw new UsageError("--revoke takes a device and a key version, like station-12-a.1");
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
    : await create(db, keyring, directory, definition, options.aggregator, now);
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
    console.log(`wrote ${await writeDeviceFile(db.query, election, master, directory, now)}`);
  }
  if (options.revoke !== undefined) {
    const at = options.revoke.lastIndexOf(".");
    const version = Number(options.revoke.slice(at + 1));
    // Now, and not when the roll's import began, which may have taken minutes.
    await revokeDeviceKey(db, election, master, options.revoke.slice(0, at), version, new Date(clock()));
    console.log(`device key ${options.revoke} is no longer believed`);
  }
}

/** Closes an election now. What has closed already is not opened again by it. */
async function close(db: Database, election: string, master: Uint8Array, now: Date): Promise<Manifest> {
  const at = now.toISOString();
  return await publishManifest(db, election, master, now, (newest) => {
    if (newest.acceptsUntil <= at) {
      throw new OfficeError(
        `Cannot close election ${election}: it has taken no votes since ${newest.acceptsUntil}`,
      );
    }
    return { ...newest, closesAt: newest.closesAt < at ? newest.closesAt : at, acceptsUntil: at };
  });
}

async function create(
  db: Database,
  keyring: Keyring,
  directory: string,
  definition: ElectionDefinition,
  aggregators: readonly string[],
  now: Date,
): Promise<string> {
  const { election } = definition;
  // Before a key is made: in another directory, an election that there is would get a second one.
  if (await newestManifest(db.query, election) !== undefined) throw nameIsTaken(election);
  const master = keyring.create(election);
  const manifest = await createElection(db, definition, master, now);
  console.log(
    `election ${election}: ${manifest.stations.length} stations, ${manifest.contests.length} contests`,
  );
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
  const { voters, findings, total, notes } = await inspectRoll(path, places);
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
    (voters) => bar.advance(voters),
    (voter, text) => {
      if (different.length < ROLL_LIMITS.listed) different.push(`\n  voter ${voter}: ${text}`);
    },
  );
  bar.done(
    `${added} voters put on the roll of ${election}${known > 0 ? `, ${known} were on it already` : ""}`,
  );
  if (different.length > 0) {
    console.log(`voters who are on the roll with other data, which stays as it is:${different.join("")}`);
  }
}
