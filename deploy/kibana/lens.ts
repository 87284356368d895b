/**
 * Panels of Lens as Kibana 8.19 stores them.
 *
 * @module
 */
import { type Bucket, DATE_FIELDS, type LensPanel, type Metric, type Reference, viewId } from "./panels.ts";

/** The reference from a panel's layer to its data view. */
export function layerReference({ id, index }: LensPanel): Reference {
  return { type: "index-pattern", id: viewId(index), name: `indexpattern-datasource-layer-${id}` };
}

/** A panel of Lens, as it stands inside a dashboard: one layer, whose id is the panel's. */
export function lens(panel: LensPanel): Record<string, unknown> {
  const { id, buckets, metrics } = panel;
  const bucketIds = buckets.map((_, i) => `${id}-by-${i}`);
  const metricId = (i: number) => `${id}-of-${i}`;
  const columns = new Map<string, unknown>();
  // Time stands below what splits it: so the values that are shown are those with most of all, not of each interval.
  const withIds = buckets.map((bucket, i) => [bucket, bucketIds[i]!] as const);
  const ordered = withIds.toSorted(([a], [b]) => Number(a.by === "time") - Number(b.by === "time"));
  for (const [bucket, columnId] of ordered) columns.set(columnId, bucketColumn(bucket, metricId(0)));
  // What accumulates refers to what it accumulates, a column of its own that is not drawn.
  const drawn = metrics.map((of, i) => {
    columns.set(metricId(i), metricColumn(of));
    if (panel.drawing !== "cumulative") return metricId(i);
    columns.set(`${metricId(i)}-sum`, cumulativeColumn(of, metricId(i)));
    return `${metricId(i)}-sum`;
  });
  return {
    title: panel.title,
    description: "",
    visualizationType: VISUALIZATION_TYPES[panel.drawing],
    type: "lens",
    references: [layerReference(panel)],
    state: {
      visualization: visualization(panel, bucketIds, drawn),
      query: { query: "", language: "kuery" },
      filters: [],
      datasourceStates: {
        formBased: {
          layers: {
            [id]: {
              columns: Object.fromEntries(columns),
              columnOrder: [...columns.keys()],
              incompleteColumns: {},
            },
          },
        },
        textBased: { layers: {} },
      },
      internalReferences: [],
      adHocDataViews: {},
    },
  };
}

const VISUALIZATION_TYPES = {
  metric: "lnsMetric",
  bars: "lnsXY",
  lines: "lnsXY",
  cumulative: "lnsXY",
  table: "lnsDatatable",
  pie: "lnsPie",
} as const;

function bucketColumn(bucket: Bucket, orderedBy: string): Record<string, unknown> {
  const common = { label: bucket.label, customLabel: true, isBucketed: true, sourceField: bucket.field };
  if (bucket.by === "time") {
    const interval = `${bucket.minutes}m`;
    const params = { interval, includeEmptyRows: true, dropPartials: false };
    return { ...common, dataType: "date", operationType: "date_histogram", scale: "interval", params };
  }
  return {
    ...common,
    dataType: bucket.field === "partition" ? "number" : "string",
    operationType: "terms",
    scale: "ordinal",
    params: {
      size: bucket.size,
      orderBy: { type: "column", columnId: orderedBy },
      orderDirection: "desc",
      otherBucket: false,
      missingBucket: false,
      ...bucket.ids.length === 0
        ? { parentFormat: { id: "terms" } }
        : { secondaryFields: [...bucket.ids], parentFormat: { id: "multi_terms" } },
      include: [],
      exclude: [],
      includeIsRegex: false,
      excludeIsRegex: false,
    },
  };
}

function metricColumn(metric: Metric): Record<string, unknown> {
  const common = { label: metric.label, customLabel: true, isBucketed: false, scale: "ratio" };
  if (metric.operation === "count") {
    const params = { emptyAsNull: false };
    return { ...common, dataType: "number", operationType: "count", sourceField: "___records___", params };
  }
  const isTime = DATE_FIELDS.includes(metric.field);
  return {
    ...common,
    dataType: isTime ? "date" : "number",
    operationType: metric.operation,
    sourceField: metric.field,
    params: { emptyAsNull: false },
  };
}

function cumulativeColumn(metric: Metric, of: string): Record<string, unknown> {
  return {
    label: `${metric.label}, in total`,
    customLabel: true,
    dataType: "number",
    operationType: "cumulative_sum",
    isBucketed: false,
    scale: "ratio",
    references: [of],
    params: {},
  };
}

function visualization(
  { id, drawing }: LensPanel,
  [first, second]: readonly string[],
  drawn: readonly string[],
): Record<string, unknown> {
  const layer = { layerId: id, layerType: "data" };
  switch (drawing) {
    case "metric":
      return { ...layer, metricAccessor: drawn[0] };
    case "table":
      return {
        ...layer,
        columns: [first, second, ...drawn].filter((columnId) => columnId !== undefined)
          .map((columnId) => ({ columnId, isTransposed: false, isMetric: drawn.includes(columnId) })),
        paging: { size: 20, enabled: true },
      };
    case "pie":
      return {
        shape: "donut",
        layers: [{
          ...layer,
          primaryGroups: [first],
          metrics: drawn,
          numberDisplay: "percent",
          categoryDisplay: "default",
          legendDisplay: "show",
        }],
      };
    default: {
      const seriesType = drawing === "bars" ? "bar_stacked" : "line";
      return {
        legend: { isVisible: true, position: "right" },
        valueLabels: "hide",
        fittingFunction: "None",
        axisTitlesVisibilitySettings: { x: false, yLeft: true, yRight: true },
        tickLabelsVisibilitySettings: { x: true, yLeft: true, yRight: true },
        labelsOrientation: { x: 0, yLeft: 0, yRight: 0 },
        gridlinesVisibilitySettings: { x: true, yLeft: true, yRight: true },
        preferredSeriesType: seriesType,
        layers: [{
          ...layer,
          seriesType,
          accessors: drawn,
          xAccessor: first,
          ...second === undefined ? {} : { splitAccessor: second },
        }],
      };
    }
  }
}
