/**
 * Elections as lists and pages show them.
 *
 * @module
 */
import type { ElectionIndex, Manifest } from "../../shared/election.ts";
import { isRehearsal } from "../../shared/rehearsal.ts";
import type { ElectionNames } from "./election_names.ts";
import type { ElectionFacts } from "./election_facts.ts";
import type { ElectionDetails, ElectionSummary } from "./schemas.ts";

/** Where an election stands at a time, in milliseconds since 1970. The last moment is still open. */
export function phaseOf({ opensAtMs, closesAtMs }: ElectionIndex, nowMs: number): ElectionSummary["phase"] {
  return nowMs < opensAtMs ? "scheduled" : nowMs <= closesAtMs ? "open" : "closed";
}

/** An election as a list shows it. */
export function summarise({ index }: ElectionNames, nowMs: number): ElectionSummary {
  const { manifest } = index;
  return {
    id: manifest.election,
    name: manifest.name,
    phase: phaseOf(index, nowMs),
    opensAt: manifest.opensAt,
    closesAt: manifest.closesAt,
    acceptsUntil: manifest.acceptsUntil,
    resultsBeforeClosing: manifest.resultsBeforeClosing,
    ...manifest.withheld && { withheld: true },
    releaseThreshold: manifest.releaseThreshold,
    stations: manifest.stations.length,
    contests: manifest.contests.length,
    manifestVersion: manifest.version,
    certified: manifest.certified === true,
    ...noticeOf(manifest),
    heldModes: manifest.heldModes ?? [],
    projection: manifest.projection === true,
    ...isRehearsal(manifest.election) && { rehearsal: true },
  };
}

function noticeOf({ inactive, reopened }: Manifest): Pick<ElectionSummary, "notice"> {
  const notice = inactive ?? (reopened ? "reopened" : undefined);
  return notice === undefined ? {} : { notice };
}

/** An election with everything that its results name, and what the registry adds to it. */
export function detail(names: ElectionNames, facts: ElectionFacts, nowMs: number): ElectionDetails {
  const { election, contests, uncontested, parties, regions } = names.index.manifest;
  return {
    ...summarise(names, nowMs),
    ballot: contests.map((contest) => ({
      ...contest,
      candidates: contest.candidates.map((candidate) => {
        const { hasPhoto = false, ...texts } = facts.candidates.get(`${contest.id}/${candidate.id}`) ?? {};
        const photo = `/v1/elections/${election}/candidates/${contest.id}/${candidate.id}/photo`;
        return { ...candidate, ...texts, ...(hasPhoto && { photo }) };
      }),
    })),
    ...uncontested !== undefined && {
      uncontested: uncontested.map((contest) => ({ ...contest, uncontested: true as const })),
    },
    parties,
    regions: regions.map(({ id, name }) => ({
      id,
      name,
      stations: names.stationsOf.get(id)!.length,
      ...facts.regions.get(id),
    })),
  };
}
