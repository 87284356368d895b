/**
 * Voters singly: accredited, changed, struck, found. Each is one change of history, which applies to the votes that come after it.
 *
 * @module
 */
import { type AccreditationRules, ruleFaults } from "../../../shared/accreditation.ts";
import type { Manifest } from "../../../shared/election.ts";
import { appendAudit } from "../../audit/events.ts";
import type { Query } from "../../database/database.ts";
import { changeHistory, holdCounting } from "../../registry/changes.ts";
import { readAccreditationRules } from "../../registry/definition.ts";
import { newestManifest } from "../../registry/manifests.ts";
import {
  dayOfAges,
  insertVoters,
  lockRoll,
  type RollKeys,
  rollKeys,
  type Voter,
} from "../../registry/roll.ts";
import {
  changeVoter as change,
  findByNumbers,
  findVoters as find,
  readVoter as read,
  type RegisteredVoter,
  type StrikeReason,
  strikeVoters,
} from "../../registry/roll_changes.ts";
import { type LookupField, normalised } from "../../registry/sealed_profile.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import type { OfficeSources } from "../sources.ts";
import { rollFault } from "./roll_imports.ts";

function missing(voterId: string): Refusal {
  return { refused: "not-found", detail: `nobody with the voter id ${voterId} is on the roll` };
}

/** Changes the roll in one transaction, if the election's state allows it. */
async function changeRoll<T>(
  { db, keyring }: OfficeSources,
  election: string,
  now: Date,
  work: (query: Query, keys: RollKeys) => Promise<T | Refusal>,
): Promise<T | Refusal> {
  const keys = rollKeys(election, keyring.master(election));
  return await db.transaction(async (query) =>
    await rollFault(query, election, now) ?? await work(query, keys)
  );
}

/** Writes one voter, in a transaction of {@link changeRoll}: locks the roll, and checks the voter against the election's rules. */
async function writeVoter(
  sources: OfficeSources,
  election: string,
  voter: Voter,
  now: Date,
  write: (query: Query, keys: RollKeys) => Promise<RegisteredVoter | Refusal>,
): Promise<RegisteredVoter | Refusal> {
  return await changeRoll(sources, election, now, async (query, keys) => {
    await lockRoll(query, election);
    return await voterFault(query, election, voter, keys) ?? await write(query, keys);
  });
}

/** Voters on the roll with this id, or with this value in their profile. */
export async function findVoters(
  { db, keyring }: OfficeSources,
  election: string,
  by: LookupField | "voter_id",
  value: string,
): Promise<RegisteredVoter[]> {
  const keys = rollKeys(election, keyring.master(election));
  if (by !== "voter_id") return await find(db.query, election, keys, by, value);
  const voter = await read(db.query, election, keys, value);
  return voter === undefined ? [] : [voter];
}

/** Puts a voter on the roll. Their votes count from now on. */
export async function accredit(
  sources: OfficeSources,
  election: string,
  voter: Voter,
  now: Date,
): Promise<RegisteredVoter | Refusal> {
  return await writeVoter(sources, election, voter, now, async (query, keys) => {
    const known = await read(query, election, keys, voter.voter_id);
    if (known !== undefined) {
      return conflict(
        `voter ${voter.voter_id} has been on the roll since ${known.accredited_at}: change that voter instead`,
      );
    }
    const { newest } = await holdCounting(query, election);
    await insertVoters(query, election, keys, [voter], newest + 1, now);
    const { revision } = await changeHistory(query, election, "roll", now);
    await appendAudit(query, now, "voter_accredited", election, { revision });
    return (await read(query, election, keys, voter.voter_id))!;
  });
}

/** Changes what is known of a voter. */
export async function changeVoter(
  sources: OfficeSources,
  election: string,
  voter: Voter,
  now: Date,
): Promise<RegisteredVoter | Refusal> {
  return await writeVoter(sources, election, voter, now, async (query, keys) => {
    const changed = await change(query, election, keys, voter, now);
    if (changed === "missing") return missing(voter.voter_id);
    if (changed === "voted") {
      return conflict(
        `voter ${voter.voter_id} has voted: region, station, birth date and gender stay, and the profile may be changed`,
      );
    }
    const after = (await read(query, election, keys, voter.voter_id))!;
    if (changed === "changed") {
      await appendAudit(query, now, "voter_changed", election, { revision: after.revision });
    }
    return after;
  });
}

/** Strikes a voter who has not voted. */
export async function strikeVoter(
  sources: OfficeSources,
  election: string,
  voterId: string,
  reason: StrikeReason,
  now: Date,
): Promise<{ voter_id: string } | Refusal> {
  return await changeRoll(sources, election, now, async (query, keys) => {
    const { struck, voted } = await strikeVoters(query, election, keys, [voterId], reason, now);
    if (voted.length > 0) {
      return conflict(`voter ${voterId} has voted: a vote that was counted stays, and so does the voter`);
    }
    if (struck.length === 0) return missing(voterId);
    await appendAudit(query, now, "voter_struck", election, { reason });
    return { voter_id: voterId };
  });
}

async function voterFault(
  query: Query,
  election: string,
  voter: Voter,
  keys: RollKeys,
): Promise<Refusal | undefined> {
  const manifest = (await newestManifest(query, election))!;
  const rules = await readAccreditationRules(query, election);
  const number = voter.profile?.registration_number ?? "";
  const detail = placeFault(voter, manifest) ??
    await ruleFault(rules, voter, number, await dayOfAges(query, election)) ??
    await numberFault(query, election, keys, rules, voter, number);
  return detail === undefined ? undefined : { refused: "invalid", detail };
}

function placeFault({ region, station }: Voter, { regions, stations }: Manifest): string | undefined {
  if (!regions.some(({ id }) => id === region)) {
    return `region: ${region} must be a region of the election`;
  }
  if (station === "") return undefined;
  const place = stations.find(({ id }) => id === station);
  if (place === undefined) return `station: ${station} must be a station of the election, or empty`;
  return place.region === region
    ? undefined
    : `station: ${station} lies in ${place.region}, not in ${region}`;
}

function ruleFault(
  rules: AccreditationRules,
  voter: Voter,
  registrationNumber: string,
  day: string,
): string | undefined {
  const [fault] = ruleFaults(rules, { ...voter, registrationNumber }, day);
  if (fault === undefined) return undefined;
  const column = fault.column === "registration_number" ? "profile.registration_number" : fault.column;
  return `${column}: ${fault.value} ${fault.problem}`.replace(":  ", ": ");
}

async function numberFault(
  query: Query,
  election: string,
  keys: RollKeys,
  { registrationNumber }: AccreditationRules,
  { voter_id }: Voter,
  number: string,
): Promise<string | undefined> {
  if (number === "" || !registrationNumber?.unique) return undefined;
  const other = (await findByNumbers(query, election, keys, [number])).get(normalised(number));
  if (other === undefined || other === voter_id) return undefined;
  return `profile.registration_number: ${number} is that of voter ${other}, who is on the roll; no two voters may have one`;
}
