/**
 * Each panel as the query of Elasticsearch that it amounts to: what it shows can be had, and tested, without Kibana.
 *
 * @module
 */
import { type Bucket, type LensPanel, type MapPanel, type Metric, type Panel, viewId } from "./panels.ts";

/** Zoom of the map tiles by which stations are grouped: a tile is about 5 m wide. */
const PLACE_PRECISION = 23;
/** Maximum places in one answer. */
const MAX_PLACES = 10_000;

/** A search: `POST /<index>/_search`. */
export type Search = Readonly<{ index: string; body: Readonly<Record<string, unknown>> }>;

/** What one bucket, or the whole, amounts to. */
type Aggregation = Record<string, unknown>;

/** A panel's query. Buckets are named `by`, one inside the other; metrics `of-0` and up, and `total-0` what accumulates. */
export function queryOf(panel: Panel): Search {
  const aggs = panel.kind === "map" ? places(panel) : grouped(panel.buckets.flatMap(levelsOf), panel);
  return { index: viewId(panel.index), body: { size: 0, track_total_hits: true, aggs } };
}

function places({ location, sum }: MapPanel): Aggregation {
  return {
    by: {
      geotile_grid: { field: location, precision: PLACE_PRECISION, size: MAX_PLACES },
      aggs: { "of-0": { sum: { field: sum } }, "place": { geo_centroid: { field: location } } },
    },
  };
}

/** Buckets from the outside in: what splits stands outside time, as in the panel. */
function grouped(buckets: readonly Bucket[], panel: LensPanel): Aggregation {
  const outermost = buckets.find(({ by }) => by === "terms") ?? buckets[0];
  if (outermost === undefined) return metrics(panel, false);
  const inner = buckets.filter((bucket) => bucket !== outermost);
  const isTime = outermost.by === "time";
  const cumulates = panel.drawing === "cumulative" && isTime;
  // Each level has the metrics too: by the first of them it is ordered.
  const aggs = { ...metrics(panel, cumulates), ...grouped(inner, panel) };
  const by = isTime
    ? {
      date_histogram: { field: outermost.field, fixed_interval: `${outermost.minutes}m` },
    }
    : termsOf(outermost, panel);
  return { by: { ...by, aggs } };
}

/** A bucket of several fields as buckets of one, which give the same groups. Kibana asks for all at once (`multi_terms`, X-Pack). */
function levelsOf(bucket: Bucket): Bucket[] {
  if (bucket.by !== "terms") return [bucket];
  return [bucket.field, ...bucket.ids].map((field) => ({ ...bucket, field, ids: [] }));
}

function termsOf({ field, size }: Extract<Bucket, { by: "terms" }>, panel: LensPanel): Aggregation {
  return { terms: { field, size, order: orderOf(panel) } };
}

function orderOf({ metrics: [first] }: LensPanel): Record<string, string>[] {
  return [{ [first.operation === "count" ? "_count" : "of-0"]: "desc" }, { _key: "asc" }];
}

function metrics(panel: LensPanel, cumulates: boolean): Aggregation {
  const found: Aggregation = {};
  panel.metrics.forEach((metric, i) => {
    if (metric.operation !== "count") {
      found[`of-${i}`] = { [NAMES[metric.operation]]: { field: metric.field } };
    }
    if (cumulates) found[`total-${i}`] = { cumulative_sum: { buckets_path: pathOf(metric, i) } };
  });
  return found;
}

/** Elasticsearch's names of what is added up. */
const NAMES = { sum: "sum", max: "max", unique_count: "cardinality" } as const;

function pathOf({ operation }: Metric, i: number): string {
  return operation === "count" ? "_count" : `of-${i}`;
}
