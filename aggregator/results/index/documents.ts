/**
 * Documents of rows: with names spelled out, without anything about a single voter.
 *
 * @module
 */
import type { ElectionNames } from "../../registry/election_names.ts";
import { totalsOf } from "../contest_totals.ts";
import type { ReleaseRow } from "../releases.ts";
import type { AuditRow, RejectionRow, TurnoutRow } from "./sources.ts";
import type { IndexDocument } from "./tally_index.ts";

/** Degrees of WGS 84. */
export type Location = Readonly<{ lat: number; lon: number }>;

/** An election's names, and the known coordinates of its stations: by station, else by region. */
export type Labels = Readonly<{
  names: ElectionNames;
  locations: Readonly<{ stations: ReadonlyMap<string, Location>; regions: ReadonlyMap<string, Location> }>;
}>;

/** What a candidate without a party has in place of a party's name. */
export const NO_PARTY = "No party";

/** The document of a release. */
export function releaseDocument(row: ReleaseRow, labels: Labels): IndexDocument<"releases"> {
  const { revision, releasedAt, voters, addedVoters, kind } = row;
  return {
    id: String(revision),
    version: revision,
    fields: {
      ...electionFields(labels),
      ...unitFields(row, labels),
      revision,
      released_at: releasedAt,
      voters,
      added_voters: addedVoters,
      closing: kind === "final",
    },
  };
}

/** A release with those candidates only whose votes it changed: of the others an earlier one has said the same. */
export function changesOf(row: ReleaseRow): ReleaseRow {
  return { ...row, votes: row.votes.filter(({ added }) => added !== 0) };
}

/**
 * What the releases of a unit in a minute say of each candidate whose votes they changed.
 *
 * @param row Of {@link ReleasedMinutes.sum}.
 */
export function releasedVotesDocuments(
  row: ReleaseRow,
  labels: Labels,
): IndexDocument<"released-votes">[] {
  return row.votes.map(({ contest, candidate, votes, added }) => ({
    id: `${row.election}/${row.unit}/${row.releasedAt}/${contest}/${candidate}`,
    version: row.revision,
    fields: { ...lineFields(row, labels, contest, candidate), votes, added_votes: added },
  }));
}

/** What stands now of each candidate in a release, once it is the newest of its unit. */
export function tallyDocuments(row: ReleaseRow, labels: Labels): IndexDocument<"tallies">[] {
  return row.votes.map(({ contest, candidate, votes }) => ({
    id: `${row.election}/${row.unit}/${contest}/${candidate}`,
    version: row.revision,
    fields: { ...lineFields(row, labels, contest, candidate), votes },
  }));
}

/** What stands now of each contest in a release beside its candidates, once it is the newest of its unit. */
export function ballotsDocuments(row: ReleaseRow, labels: Labels): IndexDocument<"ballots">[] {
  return totalsOf(row.marks).map(({ contest, ballots, undervotes, blanks }) => ({
    id: `${row.election}/${row.unit}/${contest}`,
    version: row.revision,
    fields: {
      ...electionFields(labels),
      ...unitFields(row, labels),
      contest,
      contest_name: labels.names.contests.get(contest)?.name ?? contest,
      revision: row.revision,
      released_at: row.releasedAt,
      ballots,
      undervotes,
      blanks,
    },
  }));
}

/** The document of a minute's turnout in a unit. `version` is when it was read, in milliseconds since 1970. */
export function turnoutDocument(
  row: TurnoutRow,
  version: number,
  labels: Labels,
): IndexDocument<"turnout-per-minute"> {
  const { election } = labels.names.index.manifest;
  const { unit, minute, voters } = row;
  return {
    id: `${election}/${unit}/${minute}`,
    version,
    fields: { ...electionFields(labels), ...unitFields(row, labels), minute, voters },
  };
}

/** The document of a record that was not counted. */
export function rejectionDocument(row: RejectionRow, labels: Labels): IndexDocument<"rejected-votes"> {
  const { partition, offset, index, arrival, fate, reason, minute, gateway, station } = row;
  const { election } = labels.names.index.manifest;
  return {
    id: `${election}/${partition}/${offset}/${index}`,
    version: arrival,
    fields: {
      ...electionFields(labels),
      ...station === null ? {} : placeFields(labels, station),
      partition,
      offset,
      index,
      arrival,
      fate,
      reason,
      minute,
      ...gateway === null ? {} : { gateway },
    },
  };
}

/** The document of an event of the audit trail. */
export function auditDocument(row: AuditRow): IndexDocument<"audit-events"> {
  const { number, at, election, event, details, hash } = row;
  return {
    id: String(number),
    version: number,
    fields: { number, at, ...election === null ? {} : { election }, event, details, hash },
  };
}

function electionFields({ names }: Labels) {
  const { election, name } = names.index.manifest;
  return { election, election_name: name };
}

/** Where a unit lies, as far as it lies in one place, and its mode, if it has but one. */
function unitFields(
  { station, region, mode }: Pick<ReleaseRow, "station" | "region" | "mode">,
  labels: Labels,
) {
  const place = station !== null
    ? placeFields(labels, station)
    : region !== null
    ? regionFields(labels, region)
    : {};
  return { ...place, ...mode === null ? {} : { mode } };
}

/** A region that the newest manifest no longer has is named by its id. */
function regionFields({ names, locations }: Labels, region: string) {
  const location = locations.regions.get(region);
  return {
    region,
    region_name: names.regions.get(region) ?? region,
    ...location === undefined ? {} : { location },
  };
}

/** A station that the newest manifest no longer has is named by its id. */
function placeFields({ names, locations }: Labels, station: string) {
  const region = names.index.stations.get(station)?.region;
  const location = locations.stations.get(station) ??
    (region === undefined ? undefined : locations.regions.get(region));
  return {
    station,
    station_name: names.stations.get(station) ?? station,
    ...region === undefined ? {} : { region, region_name: names.regions.get(region)! },
    ...location === undefined ? {} : { location },
  };
}

function lineFields(row: ReleaseRow, labels: Labels, contestId: string, candidateId: string) {
  const { names } = labels;
  const contest = names.contests.get(contestId);
  const candidate = contest?.candidates.find(({ id }) => id === candidateId);
  const party = candidate?.party;
  return {
    ...electionFields(labels),
    ...unitFields(row, labels),
    contest: contestId,
    contest_name: contest?.name ?? contestId,
    candidate: candidateId,
    candidate_name: candidate?.name ?? candidateId,
    ...candidate?.withdrawn && { withdrawn: true },
    ...party === undefined ? {} : { party },
    party_name: party === undefined ? NO_PARTY : names.parties.get(party)!.name,
    revision: row.revision,
    released_at: row.releasedAt,
  };
}
