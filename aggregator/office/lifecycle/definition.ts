/**
 * Replaces a draft's definition by a file, and names what stands against it: what keys, rolls and the office's decisions rely on.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import type { ElectionDefinition } from "../../../shared/election.ts";
import { actAs, currentActor } from "../../audit/actor.ts";
import type { Query } from "../../database/database.ts";
import { readAccreditationRules } from "../../registry/definition.ts";
import { deviceKeys } from "../../registry/elections.ts";
import { type LeftOut, replaceDefinition } from "../../registry/replace_definition.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import { readCandidacies } from "../accreditation/candidacies.ts";
import {
  type DefinitionFault,
  type DefinitionText,
  faultLine,
  type FieldPath,
  parseDefinitionText,
} from "../definition_text.ts";
import type { OfficeSources } from "../sources.ts";
import { checkTag } from "./proposals.ts";
import { type ElectionState, readState, writeState } from "./state.ts";

/** Conflicts that a message lists at the most. */
const MAX_LISTED = 10;

/** Faults of the text: the answer lists each with its place. */
export type FaultyText = Readonly<{ faults: readonly DefinitionFault[] }>;

/** Replaces it. `text` is the file. */
export async function changeDefinition(
  { db, keyring }: OfficeSources,
  election: string,
  text: string,
  reason: string,
  ifMatch: string | null,
  now: Date,
): Promise<ElectionState | Refusal | FaultyText> {
  const read = parseDefinitionText(text);
  if ("unreadable" in read) return { faults: [read.unreadable] };
  if ("faults" in read) return read;
  return await db.transaction(async (query) => {
    const state = await readState(query, election, now, true);
    const refused = checkTag(state, ifMatch);
    if (refused !== undefined) return refused;
    if (state.phase !== "draft") {
      return conflict(
        `the election is ${state.phase}: its definition is frozen; unschedule it first, while no record was read`,
      );
    }
    const compared = await compare(query, state, read, now);
    if ("conflicts" in compared) {
      const more = compared.conflicts.length - MAX_LISTED;
      const listed = compared.conflicts.slice(0, MAX_LISTED).map(faultLine).join("; ");
      return conflict(more > 0 ? `${listed}; and ${more} more` : listed);
    }
    return await actAs({ ...currentActor(), reason }, async () => {
      await replaceDefinition(
        query,
        state.manifest,
        read.definition,
        compared.left,
        keyring.master(election),
        now,
      );
      return await writeState(query, state, state.status, "change", now);
    });
  });
}

async function compare(
  query: Query,
  state: ElectionState,
  { definition, faultAt }: DefinitionText,
  now: Date,
): Promise<Readonly<{ left: LeftOut }> | Readonly<{ conflicts: DefinitionFault[] }>> {
  const found: [path: FieldPath, message: string][] = [
    ...frozenConflicts(state, definition),
    ...await deviceConflicts(query, state.election, definition, now),
  ];
  const rules = await readAccreditationRules(query, state.election);
  if (!isDeepStrictEqual({ ...definition.accreditation }, { ...rules })) {
    found.push([["accreditation"], `must stay ${JSON.stringify(rules)}: the roll was checked by it`]);
  }
  const { conflicts, left } = await candidacyConflicts(query, state.election, definition);
  found.push(...conflicts);
  if (found.length === 0) return { left };
  return { conflicts: found.map(([path, message]) => faultAt(path, message)) };
}

/** Rolls, keys and files of machines name stations and gateways. */
function frozenConflicts(
  { manifest }: ElectionState,
  definition: ElectionDefinition,
): [FieldPath, string][] {
  const found: [FieldPath, string][] = [];
  for (const field of ["election", "partitions"] as const) {
    if (definition[field] !== manifest[field]) found.push([[field], `must stay ${manifest[field]}`]);
  }
  const idsOf = (list: readonly Readonly<{ id: string }>[]) => list.map(({ id }) => id);
  for (const field of ["regions", "stations", "gateways"] as const) {
    const [before, after] = [new Set(idsOf(manifest[field])), new Set(idsOf(definition[field]))];
    for (const [i, { id }] of definition[field].entries()) {
      if (!before.has(id)) {
        found.push([[field, i], `${id} is new: ${field} stay as they are, or make another election`]);
      }
    }
    for (const id of before) {
      if (!after.has(id)) found.push([[field], `${id} is missing: ${field} stay as they are`]);
    }
  }
  const regions = new Map(manifest.stations.map(({ id, region }) => [id, region]));
  for (const [i, { id, region }] of definition.stations.entries()) {
    const before = regions.get(id) ?? region;
    if (region !== before) {
      found.push([["stations", i, "region"], `must stay ${before}: voters are on its roll`]);
    }
  }
  return found;
}

/** Devices have keys: a file that names devices names those that there are. */
async function deviceConflicts(
  query: Query,
  election: string,
  { devices }: ElectionDefinition,
  now: Date,
): Promise<[FieldPath, string][]> {
  if (devices === undefined) return [];
  const known = new Map(
    (await deviceKeys(query, election, now)).map(({ device, station }) => [device, station]),
  );
  const missing = new Set(known.keys());
  const found: [FieldPath, string][] = [];
  for (const [i, { id, station }] of devices.entries()) {
    missing.delete(id);
    if (known.get(id) === station) continue;
    found.push([["devices", i], `${id} at ${station} has no key: add devices with \`office add-device\``]);
  }
  for (const id of missing) {
    found.push([["devices"], `${id} is missing, and has a key: revoke it, or name it`]);
  }
  return found;
}

/** What the office decided about candidates and parties stays. */
async function candidacyConflicts(
  query: Query,
  election: string,
  { contests: all, parties }: ElectionDefinition,
): Promise<Readonly<{ conflicts: [FieldPath, string][]; left: LeftOut }>> {
  const known = await readCandidacies(query, election);
  // By their places in the file, which has the uncontested ones too.
  const contests = [...all.entries()].filter(([, { uncontested }]) => !uncontested);
  const named = new Map<string, FieldPath>([
    ...parties.map(({ id }, i) => [id, ["parties", i]] as const),
    ...contests.flatMap(([i, contest]) =>
      contest.candidates.map(({ id }, j) =>
        [`${contest.id}/${id}`, ["contests", i, "candidates", j]] as const
      )
    ),
  ]);
  const conflicts: [FieldPath, string][] = [];
  const left = { parties: [] as typeof known.parties, candidates: [] as typeof known.candidates };
  const isLeftOut = (
    what: string,
    name: string,
    { status, statusAt }: Readonly<{ status: string; statusAt: string | null }>,
    inAll: FieldPath,
  ) => {
    const path = named.get(name);
    if (path !== undefined && status !== "qualified") {
      conflicts.push([path, `${what} ${name} is ${status}: leave them out, or change their state first`]);
    }
    if (path === undefined && status === "qualified" && statusAt !== null) {
      conflicts.push([
        inAll,
        `${what} ${name} was qualified by the office: name them, or change their state first`,
      ]);
    }
    return path === undefined && status === "qualified" && statusAt === null;
  };
  for (const party of known.parties) {
    if (isLeftOut("party", party.party, party, ["parties"])) left.parties.push(party);
  }
  for (const each of known.candidates) {
    const [at] = contests.find(([, { id }]) => id === each.contest) ?? [-1];
    const inAll: FieldPath = at < 0 ? ["contests"] : ["contests", at, "candidates"];
    const name = `${each.contest}/${each.candidate}`;
    if (isLeftOut("candidate", name, each, inAll)) left.candidates.push(each);
    else if (at < 0 && each.status !== "qualified") {
      conflicts.push([inAll, `candidate ${name} is ${each.status}: contest ${each.contest} stays with them`]);
    }
    if (each.status !== "qualified" && left.parties.some(({ party }) => party === each.party)) {
      conflicts.push([
        ["parties"],
        `candidate ${name} is ${each.status} for party ${each.party}: name that party`,
      ]);
    }
  }
  return { conflicts, left };
}
