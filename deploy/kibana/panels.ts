/**
 * The panels of the dashboards, in few words: what each adds up, by what, and how it is drawn. `saved_objects.ts`
 * spells them as Kibana stores them, and `queries.ts` as the queries of Elasticsearch that they amount to.
 *
 * @module
 */

import { VOTING_MODES } from "../../shared/mode.ts";

/** Names of the indices, without what stands before them. */
export type PanelIndex =
  | "tallies"
  | "ballots"
  | "releases"
  | "released-votes"
  | "turnout-per-minute"
  | "rejected-votes"
  | "audit-events";

/**
 * The time field of each data view, by which a dashboard's time range chooses. Tallies and ballots have none: they are what
 * stands now, and one that has not changed for a day is a result all the same.
 */
export const TIME_FIELDS: Readonly<Record<PanelIndex, string | undefined>> = {
  "tallies": undefined,
  "ballots": undefined,
  "releases": "released_at",
  "released-votes": "released_at",
  "turnout-per-minute": "minute",
  "rejected-votes": "minute",
  "audit-events": "at",
};

/** Fields that hold times. */
export const DATE_FIELDS: readonly string[] = ["released_at", "minute", "at"];

/** A data view's id, which is the alias that it reads. */
export function viewId(index: PanelIndex): string {
  return `pollwire-${index}`;
}

/** A reference from one saved object to another. */
export type Reference = Readonly<{ type: string; id: string; name: string }>;

/** What is added up: a field's sum or maximum, the number of documents, or of a field's values. */
export type Metric = Readonly<
  | { operation: "count"; label: string }
  | { operation: "sum" | "max" | "unique_count"; field: string; label: string }
>;

/**
 * By what: a field's values, those with most of the first metric first; or time. `ids` are further fields that tell
 * apart what has one name: two candidates of one name stay two.
 */
export type Bucket = Readonly<
  | { by: "terms"; field: string; ids: readonly string[]; size: number; label: string }
  | { by: "time"; field: string; label: string; minutes: number }
>;

/** How it is drawn. `cumulative` adds up what came before, which only time can. */
export type Drawing = "metric" | "bars" | "lines" | "cumulative" | "table" | "pie";

/** A panel of Lens, on a grid of 48 columns. */
export type LensPanel = Readonly<{
  kind: "lens";
  id: string;
  title: string;
  index: PanelIndex;
  drawing: Drawing;
  /** The first is the axis, or the first column; a second one splits. */
  buckets: readonly Bucket[];
  metrics: readonly [Metric, ...Metric[]];
  width: number;
  height: number;
}>;

/** A map: where stations lie, and how large something is there. */
export type MapPanel = Readonly<{
  kind: "map";
  id: string;
  title: string;
  index: PanelIndex;
  location: string;
  sum: string;
  width: number;
  height: number;
}>;

/** A panel. */
export type Panel = LensPanel | MapPanel;

/** A dashboard: its panels are laid out in rows, from left to right. */
export type Dashboard = Readonly<
  { id: string; title: string; description: string; panels: readonly Panel[] }
>;

const VOTES = { operation: "sum", field: "votes", label: "Votes" } as const;
const ADDED_VOTES = { operation: "sum", field: "added_votes", label: "Votes" } as const;
const VOTERS = { operation: "sum", field: "voters", label: "Voters" } as const;
const RECORDS = { operation: "count", label: "Records" } as const;

function terms(field: string, label: string, size: number, ids: readonly string[] = []): Bucket {
  return { by: "terms", field, ids, label, size };
}

function time(field: string, minutes: number): Bucket {
  return { by: "time", field, label: "Time", minutes };
}

function metric(id: string, title: string, index: PanelIndex, of: Metric): LensPanel {
  return {
    kind: "lens",
    id,
    title,
    index,
    drawing: "metric",
    buckets: [],
    metrics: [of],
    width: 12,
    height: 6,
  };
}

function chart(
  id: string,
  title: string,
  index: PanelIndex,
  drawing: Drawing,
  buckets: readonly Bucket[],
  metrics: readonly [Metric, ...Metric[]],
  [width, height]: readonly [number, number] = [24, 14],
): LensPanel {
  return { kind: "lens", id, title, index, drawing, buckets, metrics, width, height };
}

const CONTEST = terms("contest_name", "Contest", 100, ["contest"]);
/** A candidate's id is unique in its contest only. */
const CANDIDATE = terms("candidate_name", "Candidate", 50, ["contest", "candidate"]);

/** All dashboards. */
export const DASHBOARDS: readonly Dashboard[] = [
  {
    id: "pollwire-results",
    title: "Pollwire: results",
    description: "Sums of releases. Choose an election and a contest above.",
    panels: [
      metric("results-votes", "Votes released", "tallies", VOTES),
      metric("results-stations", "Stations with results", "tallies", {
        operation: "unique_count",
        field: "station",
        label: "Stations",
      }),
      metric("results-revision", "Newest revision", "tallies", {
        operation: "max",
        field: "revision",
        label: "Revision",
      }),
      metric("results-time", "Newest release", "tallies", {
        operation: "max",
        field: "released_at",
        label: "Released at",
      }),
      chart("results-candidates", "Votes by candidate", "tallies", "bars", [CANDIDATE], [VOTES]),
      chart("results-parties", "Votes by party", "tallies", "pie", [terms("party_name", "Party", 20)], [
        VOTES,
      ]),
      chart(
        "results-time-candidates",
        "Votes by candidate, as they were released",
        "released-votes",
        "cumulative",
        [
          time("released_at", 10),
          CANDIDATE,
        ],
        [ADDED_VOTES],
        [48, 14],
      ),
      chart(
        "results-regions",
        "Votes by region and candidate",
        "tallies",
        "table",
        [
          terms("region_name", "Region", 500, ["region"]),
          CANDIDATE,
        ],
        [VOTES],
        [24, 18],
      ),
      chart(
        "results-stations-table",
        "Votes by station and candidate",
        "tallies",
        "table",
        [
          terms("station_name", "Station", 1_000, ["station"]),
          CANDIDATE,
        ],
        [VOTES],
        [24, 18],
      ),
      chart("results-modes", "Votes by mode of voting", "tallies", "bars", [
        terms("mode", "Mode", VOTING_MODES.length),
        CANDIDATE,
      ], [VOTES]),
      chart("results-contests", "Votes by contest", "tallies", "table", [CONTEST], [VOTES, {
        operation: "unique_count",
        field: "candidate",
        label: "Candidates",
      }]),
      chart("results-ballots", "Ballots, choices not made and blanks", "ballots", "table", [CONTEST], [
        { operation: "sum", field: "ballots", label: "Ballots" },
        { operation: "sum", field: "undervotes", label: "Choices not made" },
        { operation: "sum", field: "blanks", label: "Blank" },
      ]),
    ],
  },
  {
    id: "pollwire-turnout",
    title: "Pollwire: turnout",
    description:
      "Voters by the minute in which a gateway accepted their vote, and by the station where they voted.",
    panels: [
      metric("turnout-voters", "Voters so far", "turnout-per-minute", VOTERS),
      metric("turnout-stations", "Stations with voters", "turnout-per-minute", {
        operation: "unique_count",
        field: "station",
        label: "Stations",
      }),
      metric("turnout-last", "Newest minute", "turnout-per-minute", {
        operation: "max",
        field: "minute",
        label: "Minute",
      }),
      chart("turnout-minutes", "Voters by minute", "turnout-per-minute", "bars", [time("minute", 1)], [
        VOTERS,
      ], [
        48,
        12,
      ]),
      chart("turnout-total", "Voters in total", "turnout-per-minute", "cumulative", [time("minute", 10)], [
        VOTERS,
      ]),
      chart("turnout-region-time", "Voters by region and time", "turnout-per-minute", "lines", [
        time("minute", 10),
        terms("region_name", "Region", 10, ["region"]),
      ], [VOTERS]),
      chart("turnout-regions", "Voters by region", "turnout-per-minute", "bars", [
        terms("region_name", "Region", 50, ["region"]),
      ], [VOTERS]),
      chart("turnout-stations-table", "Voters by station", "turnout-per-minute", "table", [
        terms("station_name", "Station", 1_000, ["station"]),
      ], [VOTERS]),
      chart("turnout-modes", "Voters by mode of voting", "turnout-per-minute", "pie", [
        terms("mode", "Mode", VOTING_MODES.length),
      ], [VOTERS]),
    ],
  },
  {
    id: "pollwire-map",
    title: "Pollwire: map",
    description: "Where the registry knows a station's place, or its region's.",
    panels: [
      {
        kind: "map",
        id: "map-turnout",
        title: "Voters by place",
        index: "turnout-per-minute",
        location: "location",
        sum: "voters",
        width: 24,
        height: 24,
      },
      {
        kind: "map",
        id: "map-votes",
        title: "Votes by place",
        index: "tallies",
        location: "location",
        sum: "votes",
        width: 24,
        height: 24,
      },
    ],
  },
  {
    id: "pollwire-rejections",
    title: "Pollwire: rejections",
    description: "Records that were not counted, without retransmissions, which are benign.",
    panels: [
      metric("rejections-records", "Records not counted", "rejected-votes", RECORDS),
      metric("rejections-stations", "Stations concerned", "rejected-votes", {
        operation: "unique_count",
        field: "station",
        label: "Stations",
      }),
      chart("rejections-reasons", "By reason", "rejected-votes", "bars", [terms("reason", "Reason", 30)], [
        RECORDS,
      ]),
      chart("rejections-time", "By time and reason", "rejected-votes", "bars", [
        time("minute", 10),
        terms("reason", "Reason", 30),
      ], [RECORDS]),
      chart("rejections-gateways", "By gateway and reason", "rejected-votes", "table", [
        terms("gateway", "Gateway", 100),
        terms("reason", "Reason", 30),
      ], [RECORDS]),
      chart("rejections-stations-table", "By station and reason", "rejected-votes", "table", [
        terms("station_name", "Station", 200, ["station"]),
        terms("reason", "Reason", 30),
      ], [RECORDS]),
    ],
  },
  {
    id: "pollwire-health",
    title: "Pollwire: pipeline health",
    description:
      "What was released and when, and what the audit trail says. Processes are watched by Prometheus.",
    panels: [
      metric("health-releases", "Releases", "releases", { operation: "count", label: "Releases" }),
      metric("health-events", "Audit events", "audit-events", { operation: "count", label: "Events" }),
      chart("health-releases-time", "Releases by minute", "releases", "bars", [time("released_at", 1)], [{
        operation: "count",
        label: "Releases",
      }]),
      chart("health-released-voters", "Voters released and voters so far", "releases", "cumulative", [
        time("released_at", 1),
      ], [{ operation: "sum", field: "added_voters", label: "Voters released" }]),
      chart("health-partitions", "Records not counted, by partition", "rejected-votes", "bars", [
        terms("partition", "Partition", 100),
      ], [RECORDS]),
      chart("health-events-table", "Audit events by kind", "audit-events", "table", [
        terms("event", "Event", 50),
      ], [{ operation: "count", label: "Events" }, { operation: "max", field: "at", label: "Last" }]),
    ],
  },
];
