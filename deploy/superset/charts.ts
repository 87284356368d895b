/**
 * What Superset shows: datasets on the views of 000077_analysts.sql, charts, and the rows of the dashboard.
 *
 * Every query groups by contest, or by election where there is no contest, so no chart adds up what does not belong together.
 * Labels stand for ids: no two candidates, contests or regions have the same one (see the migration).
 *
 * @module
 */

/** A column, with PostgreSQL's type. Times are `TIMESTAMP WITH TIME ZONE`. */
type Columns = Readonly<Record<string, "TEXT" | "BIGINT" | "BOOLEAN" | "TIMESTAMP WITH TIME ZONE">>;

const ELECTION: Columns = { election: "TEXT", election_name: "TEXT", election_label: "TEXT" };
const CANDIDATE: Columns = {
  ...ELECTION,
  contest: "TEXT",
  contest_name: "TEXT",
  contest_label: "TEXT",
  candidate: "TEXT",
  candidate_name: "TEXT",
  candidate_label: "TEXT",
  withdrawn: "BOOLEAN",
  party: "TEXT",
  party_name: "TEXT",
  party_label: "TEXT",
};
const VOTES = { votes: "sum(votes)" };
const TURNOUT = {
  voters: "sum(voters)",
  registered: "sum(registered)",
  turnout: "sum(voters)::float8 / nullif(sum(registered), 0)",
};

/** A view of the schema `results`: its columns, and what may be asked of it, as SQL by name. */
export type Dataset = Readonly<
  { columns: Columns; metrics: Readonly<Record<string, string>>; time?: string }
>;

/** The datasets, by their view's name. */
export const DATASETS = {
  candidate_results: { columns: { ...CANDIDATE, votes: "BIGINT" }, metrics: VOTES },
  region_results: {
    columns: { ...CANDIDATE, region: "TEXT", region_name: "TEXT", region_label: "TEXT", votes: "BIGINT" },
    metrics: VOTES,
  },
  region_turnout: {
    columns: {
      ...ELECTION,
      region: "TEXT",
      region_name: "TEXT",
      region_label: "TEXT",
      registered: "BIGINT",
      voters: "BIGINT",
    },
    metrics: TURNOUT,
  },
  group_turnout: {
    columns: { ...ELECTION, kind: "TEXT", value: "TEXT", registered: "BIGINT", voters: "BIGINT" },
    metrics: TURNOUT,
  },
  minute_turnout: {
    columns: { ...ELECTION, minute: "TIMESTAMP WITH TIME ZONE", voters: "BIGINT", total: "BIGINT" },
    metrics: { total: "max(total)", voters: "sum(voters)" },
    time: "minute",
  },
  outcomes: {
    columns: { ...ELECTION, fate: "TEXT", reason: "TEXT", records: "BIGINT" },
    metrics: { records: "sum(records)" },
  },
} satisfies Record<string, Dataset>;
export type DatasetName = keyof typeof DATASETS;

/** A chart. */
export type Chart = Readonly<{
  title: string;
  description: string;
  dataset: DatasetName;
  /** `line` has time on its axis. A `table` shows its groups and metrics as columns. */
  kind: "bars" | "line" | "table";
  /** The axis of bars and lines; not of tables. */
  axis?: string;
  /** What rows are grouped by, besides the axis: a series each. */
  groups: readonly string[];
  metrics: readonly string[];
  /** Only rows whose column has one of these values. */
  only?: Readonly<{ column: string; values: readonly string[] }>;
  /** d3's format of numbers. */
  format?: string;
  /** Bars from left to right, the largest on top. */
  lying?: true;
  stacked?: true;
  /** Columns of the dashboard, of 12. */
  width: number;
}>;

/** Rows of the dashboard. */
export const ROWS: readonly (readonly Chart[])[] = [
  [
    {
      title: "Votes by candidate",
      description: "Released votes of each candidate.",
      dataset: "candidate_results",
      kind: "bars",
      axis: "candidate_label",
      groups: ["contest_label"],
      metrics: ["votes"],
      lying: true,
      width: 6,
    },
    {
      title: "Candidates",
      description: "The same as numbers, by the candidate's id.",
      dataset: "candidate_results",
      kind: "table",
      groups: ["contest_label", "candidate", "candidate_label", "party_label"],
      metrics: ["votes"],
      width: 6,
    },
  ],
  [
    {
      title: "Votes by party",
      description: "Released votes of each party's candidates in a contest.",
      dataset: "candidate_results",
      kind: "bars",
      axis: "party_label",
      groups: ["contest_label"],
      metrics: ["votes"],
      lying: true,
      width: 4,
    },
    {
      title: "Votes by region",
      description: "Released votes of each candidate by region.",
      dataset: "region_results",
      kind: "bars",
      axis: "region_label",
      groups: ["contest_label", "candidate_label"],
      metrics: ["votes"],
      stacked: true,
      width: 8,
    },
  ],
  [
    {
      title: "Turnout by region",
      description: "Voters counted, as a share of the roll.",
      dataset: "region_turnout",
      kind: "bars",
      axis: "region_label",
      groups: ["election_label"],
      metrics: ["turnout"],
      format: ".1%",
      width: 6,
    },
    {
      title: "Regions",
      description: "Voters counted and voters on the roll, by region.",
      dataset: "region_turnout",
      kind: "table",
      groups: ["election_label", "region", "region_label"],
      metrics: ["voters", "registered", "turnout"],
      width: 6,
    },
  ],
  [
    {
      title: "Turnout by age group",
      description: "Voters counted, as a share of the roll.",
      dataset: "group_turnout",
      kind: "bars",
      axis: "value",
      groups: ["election_label"],
      metrics: ["turnout"],
      only: { column: "kind", values: ["age"] },
      format: ".1%",
      width: 4,
    },
    {
      title: "Turnout by gender",
      description: "Voters counted, as a share of the roll.",
      dataset: "group_turnout",
      kind: "bars",
      axis: "value",
      groups: ["election_label"],
      metrics: ["turnout"],
      only: { column: "kind", values: ["gender"] },
      format: ".1%",
      width: 4,
    },
    {
      title: "Voters over time",
      description: "How many had voted, by the minute.",
      dataset: "minute_turnout",
      kind: "line",
      axis: "minute",
      groups: ["election_label"],
      metrics: ["total"],
      width: 4,
    },
  ],
  [
    {
      title: "Votes that were not counted",
      description: "Records by the reason why they were not counted.",
      dataset: "outcomes",
      kind: "bars",
      axis: "reason",
      groups: ["election_label", "fate"],
      metrics: ["records"],
      only: { column: "fate", values: ["duplicate", "held", "rejected"] },
      lying: true,
      stacked: true,
      width: 6,
    },
    {
      title: "Outcomes",
      description: "All records of the log by what became of them.",
      dataset: "outcomes",
      kind: "table",
      groups: ["election_label", "fate", "reason"],
      metrics: ["records"],
      width: 6,
    },
  ],
];

/** All charts. */
export const CHARTS: readonly Chart[] = ROWS.flat();

/**
 * What one chooses by, above the dashboard: a column of a dataset, of which one value is always chosen. At first it is the first
 * one, or the one with the most of `sort`, a metric.
 */
export const FILTERS = [
  { id: "election", title: "Election", dataset: "candidate_results", column: "election_label" },
  {
    id: "contest",
    title: "Contest",
    dataset: "candidate_results",
    column: "contest_label",
    within: "election",
    sort: "votes",
  },
] as const;
