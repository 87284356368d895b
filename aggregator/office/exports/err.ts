/**
 * Published results as NIST SP 1500-100 version 2 (Election Results Common Data Format), in JSON.
 *
 * Beyond what its schema checks: every id that is referred to is there, no count is below 0, colours have no `#`, times no fractions
 * of a second. Beside each mode stands the `total` of its place. A place without a release has no count, nor has an uncontested
 * contest.
 *
 * @module
 */
import type { Contest, Manifest } from "../../../shared/election.ts";
import { isRehearsal, REHEARSAL_MARK } from "../../../shared/rehearsal.ts";
import type { Json } from "../../audit/canonical_json.ts";
import {
  adjustedCounts,
  type ContestCount,
  type Kind,
  membersText,
  type Place,
  placeKey,
  placeOf,
  placesOf,
  together,
} from "./counts.ts";
import type { Published } from "./published.ts";

const ELECTION: Place = { kind: "election" };

/** Kinds of votes by their NIST names; of several modes together, `other`. */
const COUNT_TYPES: Readonly<Record<string, string>> = {
  in_person: "election-day",
  early: "early",
  absentee: "absentee",
  provisional: "provisional",
};

/** An object of the format: its class is in `@type`. */
function typed(name: string, members: Readonly<Record<string, Json | undefined>>): Json {
  return { "@type": `ElectionResults.${name}`, ...members } as Json;
}

/** A text. The manifest does not say in which language its names are. */
function text(content: string): Json {
  return typed("InternationalizedText", {
    Text: [typed("LanguageString", { Content: content, Language: "und" })],
  });
}

function countType(kind: Kind): Record<string, string> {
  if (kind === null) return { Type: "total" };
  const type = COUNT_TYPES[kind];
  return type === undefined ? { Type: "other", OtherType: kind } : { Type: type };
}

/** A time without fractions of a second: the format's pattern has none. */
export function wholeSecond(iso: string): string {
  return `${iso.slice(0, 19)}Z`;
}

/** Writes the report. */
export function electionReport(published: Published): string {
  const { manifest, status, asOf } = published;
  const contests = [
    ...manifest.contests.map((contest) => ({
      contest,
      counts: withTotals(adjustedCounts(published, contest)),
      isUncontested: false,
    })),
    // Nobody votes on them: they have candidates and no counts.
    ...(manifest.uncontested ?? []).map((contest) => ({ contest, counts: [], isUncontested: true })),
  ];
  const voters = withTotals(
    published.units.filter(({ voters }) => voters !== 0).map((unit) => ({
      ...placeOf(unit),
      ballots: unit.voters,
      undervotes: 0,
      votes: new Map(),
    })),
  );
  const used = [...contests.flatMap(({ counts }) => counts), ...voters].map(({ place }) => place);
  return JSON.stringify(typed("ElectionReport", {
    Format: "precinct-level",
    ...isRehearsal(manifest.election) && { IsTest: true, TestType: REHEARSAL_MARK },
    GeneratedDate: wholeSecond(asOf),
    Issuer: "Pollwire election office",
    IssuerAbbreviation: "pollwire",
    VendorApplicationId: "Pollwire",
    SequenceStart: 1,
    SequenceEnd: 1,
    Status: status === "certified" ? "certified" : `unofficial-${status}`,
    Notes:
      "Counts of a unit of several stations or regions are not in those of its stations. A place without a count has none that is published." +
      (published.adjustments?.length
        ? " Counts of the type adjustment are votes that officials added beside the electronic count, such as ballots on paper; totals have them."
        : ""),
    GpUnit: gpUnits(manifest, used),
    Party: manifest.parties.map(({ id, name, colour }) =>
      typed("Party", {
        "@id": `party.${id}`,
        Name: text(name),
        ...colour && { Color: colour.replace("#", "") },
      })
    ),
    Election: [electionOf(published, contests, voters)],
  }));
}

type ContestCounts = Readonly<
  { contest: Contest; counts: readonly ContestCount[]; isUncontested: boolean }
>;

/** Adds the total of each place that has kinds of votes, and of the whole election. */
function withTotals(counts: readonly ContestCount[]): ContestCount[] {
  if (counts.length === 0) return [];
  const byPlace = Map.groupBy(counts, ({ place }) => placeKey(place));
  const totals = [...byPlace.values()].map((of) => together(of[0]!.place, of));
  return [
    ...counts.filter(({ kind }) => kind !== null),
    ...totals,
    ...byPlace.has(placeKey(ELECTION)) ? [] : [together(ELECTION, counts)],
  ];
}

function electionOf(
  { manifest, status }: Published,
  contests: readonly ContestCounts[],
  voters: readonly ContestCount[],
) {
  const { name, opensAt, closesAt } = manifest;
  return typed("Election", {
    Name: text(name),
    Type: "other",
    OtherType: "not stated",
    StartDate: opensAt.slice(0, 10),
    EndDate: closesAt.slice(0, 10),
    ElectionScopeId: gpId(ELECTION),
    BallotCounts: voters.map(({ place, kind, ballots }) =>
      typed("BallotCounts", { GpUnitId: gpId(place), ...countType(kind), BallotsCast: ballots })
    ),
    CountStatus: [
      typed("CountStatus", { Type: "total", Status: status === "partial" ? "in-process" : "completed" }),
    ],
    Candidate: contests.flatMap(({ contest: { id: contest, candidates }, isUncontested }) =>
      candidates.map(({ id, name, party, withdrawn }) =>
        typed("Candidate", {
          "@id": `candidate.${contest}.${id}`,
          BallotName: text(name),
          ...party && { PartyId: `party.${party}` },
          ...withdrawn && { PreElectionStatus: "withdrawn" },
          ...isUncontested && { PostElectionStatus: "winner" },
        })
      )
    ),
    Contest: contests.map(contestOf),
  });
}

function contestOf({ contest: { id, name, votesAllowed, seats, candidates }, counts }: ContestCounts): Json {
  return typed("CandidateContest", {
    "@id": `contest.${id}`,
    Name: name,
    ElectionDistrictId: gpId(ELECTION),
    VotesAllowed: votesAllowed,
    NumberElected: seats ?? votesAllowed,
    VoteVariation: votesAllowed === 1 ? "plurality" : "n-of-m",
    ContestSelection: candidates.map((candidate) =>
      typed("CandidateSelection", {
        "@id": `selection.${id}.${candidate.id}`,
        CandidateIds: [`candidate.${id}.${candidate.id}`],
        VoteCounts: counts.map(({ place, kind, votes }) =>
          typed("VoteCounts", { GpUnitId: gpId(place), ...countType(kind), Count: votes.get(candidate.id)! })
        ),
      })
    ),
    // Of all kinds of votes: the class has no kind.
    OtherCounts: counts.filter(({ kind }) => kind === null).map(({ place, undervotes }) =>
      typed("OtherCounts", { GpUnitId: gpId(place), Undervotes: undervotes })
    ),
  });
}

/** Ids of units have `/` and `+`, and those of regions `:`: no id of the manifest has any of `.`, `_` and them. */
function gpId(place: Place): string {
  return `gp.${placeKey(place).replaceAll("/", "_").replaceAll("+", "_").replaceAll(":", "..")}`;
}

/** The election, its regions and stations, and what is published together. */
function gpUnits(manifest: Manifest, used: readonly Place[]): Json[] {
  const { regions, stations } = manifest;
  const { regionOf } = placesOf(manifest);
  const region = (id: string): Place => ({ kind: "region", region: id });
  const station = (id: string): Place => ({ kind: "station", station: id });
  const unit = (place: Place, type: Record<string, string>, name: string, composing: readonly Place[] = []) =>
    typed("ReportingUnit", {
      "@id": gpId(place),
      ...type,
      Name: text(name),
      ...composing.length > 0 && { ComposingGpUnitIds: composing.map(gpId) },
    });
  const known = new Set(stations.map(({ id }) => id));
  const others = new Map<string, Place>();
  for (const place of used) {
    const isKnown = place.kind === "station" ? known.has(place.station) : place.kind !== "unit";
    if (!isKnown) others.set(placeKey(place), place);
  }
  const stationsOf = Map.groupBy(stations, ({ region }) => region);
  return [
    unit(
      ELECTION,
      { Type: "other", OtherType: "election" },
      manifest.name,
      regions.map(({ id }) => region(id)),
    ),
    ...regions.map(({ id, name }) =>
      unit(
        region(id),
        { Type: "other", OtherType: "region" },
        name,
        (stationsOf.get(id) ?? []).map(({ id }) => station(id)),
      )
    ),
    ...stations.map(({ id, name }) => unit(station(id), { Type: "polling-place" }, name)),
    ...[...others.values()].map((place) => {
      if (place.kind !== "unit") return unit(place, { Type: "polling-place" }, placeKey(place));
      const { members } = place;
      const name = `Together: ${membersText(place)}`;
      if (members !== null && "stations" in members) {
        return unit(
          place,
          { Type: "combined-precinct" },
          name,
          members.stations.filter((id) => known.has(id)).map(station),
        );
      }
      const within = regionOf(place);
      const ids = members !== null && "regions" in members
        ? members.regions
        : within === null
        ? []
        : [within];
      const named = regions.filter(({ id }) => ids.includes(id)).map(({ id }) => region(id));
      return unit(place, { Type: "other", OtherType: "published together" }, name, named);
    }),
  ];
}
