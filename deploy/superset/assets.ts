/**
 * Database, datasets, charts and dashboard as Superset 6.1 imports them: `POST /api/v1/assets/import/`, a bundle of YAML files.
 * UUIDs are made of names, so an import takes the place of an older one.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { stringify } from "yaml";
import { type Chart, CHARTS, type Dataset, type DatasetName, DATASETS, FILTERS, ROWS } from "./charts.ts";

/** Versions of the files' shapes. */
const VERSION = "1.0.0";
/** The database as Compose has it. The password is not here: superset_config.py has it from a file. */
const DATABASE_URI =
  "postgresql://analyst@postgresql:5432/pollwire?sslmode=verify-full&sslrootcert=/setup/ca.crt";
/** How long an answer is kept, in seconds: the roll is counted at each question about turnout. */
const CACHE_S = 15;
/** How often an open dashboard asks again, in seconds. */
const REFRESH_S = 30;
/** Maximum rows that a chart asks for. */
const ROW_LIMIT = 10_000;
/** Of a chart on the dashboard, in units of 8 pixels. */
const HEIGHT = 50;

/** The address part of the dashboard. */
export const DASHBOARD_SLUG = "pollwire";

/** The bundle: contents by path. */
export function assetFiles(): Record<string, string> {
  // Superset reads YAML 1.1, in which more words need quotes.
  const yaml = (value: unknown) => stringify(value, { lineWidth: 0, version: "1.1" });
  const files: Record<string, string> = {
    // A fixed time: the same files whenever they are made.
    "metadata.yaml": yaml({ version: VERSION, type: "assets", timestamp: "2026-01-01T00:00:00+00:00" }),
    "databases/pollwire.yaml": yaml(database()),
  };
  for (const name of Object.keys(DATASETS) as DatasetName[]) {
    files[`datasets/pollwire/${name}.yaml`] = yaml(dataset(name, DATASETS[name]));
  }
  for (const each of CHARTS) files[`charts/${fileName(each)}.yaml`] = yaml(chart(each));
  files["dashboards/pollwire.yaml"] = yaml(dashboard());
  return files;
}

/** The name of a chart's file. */
function fileName({ title }: Chart): string {
  return title.toLowerCase().replaceAll(/[^a-z]+/g, "_");
}

/** A UUID of a name: version 5 (RFC 9562), in a name space of ours. */
export function uuidOf(kind: string, name: string): string {
  const space = Uint8Array.fromHex("706f6c6c776972652d73757065727365");
  const bytes = createHash("sha1").update(space).update(`${kind}/${name}`).digest().subarray(0, 16);
  bytes[6] = bytes[6]! & 0x0f | 0x50;
  bytes[8] = bytes[8]! & 0x3f | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const databaseUuid = () => uuidOf("database", "pollwire");
const datasetUuid = (name: DatasetName) => uuidOf("dataset", name);
const chartUuid = ({ title }: Chart) => uuidOf("chart", title);

function database() {
  return {
    database_name: "Pollwire",
    sqlalchemy_uri: DATABASE_URI,
    cache_timeout: CACHE_S,
    expose_in_sqllab: true,
    allow_run_async: false,
    allow_ctas: false,
    allow_cvas: false,
    allow_dml: false,
    allow_csv_upload: false,
    extra: { allows_virtual_table_explore: true },
    uuid: databaseUuid(),
    version: VERSION,
  };
}

function dataset(name: DatasetName, { columns, metrics, time }: Dataset) {
  return {
    table_name: name,
    main_dttm_col: time ?? null,
    description: null,
    schema: "results",
    sql: null,
    cache_timeout: CACHE_S,
    filter_select_enabled: true,
    uuid: datasetUuid(name),
    database_uuid: databaseUuid(),
    metrics: Object.entries(metrics).map(([metric_name, expression]) => ({
      metric_name,
      verbose_name: capital(metric_name),
      expression,
    })),
    columns: Object.entries(columns).map(([column_name, type]) => ({
      column_name,
      verbose_name: verboseName(column_name, columns),
      type,
      is_dttm: column_name === time,
      is_active: true,
      groupby: true,
      filterable: true,
    })),
    version: VERSION,
  };
}

/** `candidate_label` is shown as "Candidate", and `candidate` as "Candidate (id)". */
function verboseName(column: string, columns: Dataset["columns"]): string {
  const name = capital(column.replace(/_label$/, "").replaceAll("_", " "));
  return `${column}_label` in columns ? `${name} (id)` : name;
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

const VIZ_TYPES = {
  bars: "echarts_timeseries_bar",
  line: "echarts_timeseries_line",
  table: "table",
} as const;

function chart(each: Chart) {
  const viz_type = VIZ_TYPES[each.kind];
  const params = { ...formData(each), viz_type, datasource: "1__table" };
  return {
    slice_name: each.title,
    description: each.description,
    viz_type,
    params,
    // What its API answers by, and reports; the numbers of the datasource are Superset's own, set at the import.
    query_context: JSON.stringify({
      datasource: { id: 1, type: "table" },
      force: false,
      queries: [query(each)],
      form_data: params,
      result_format: "json",
      result_type: "full",
    }),
    cache_timeout: null,
    uuid: chartUuid(each),
    dataset_uuid: datasetUuid(each.dataset),
    version: VERSION,
  };
}

/** What the page asks and draws by. */
function formData(each: Chart) {
  const { axis, groups, metrics, only, format } = each;
  const shared = {
    adhoc_filters: [
      ...only === undefined ? [] : [{
        clause: "WHERE",
        expressionType: "SIMPLE",
        subject: only.column,
        operator: "IN",
        comparator: only.values,
      }],
    ],
    row_limit: ROW_LIMIT,
    color_scheme: "supersetColors",
    extra_form_data: {},
  };
  if (each.kind === "table") {
    return {
      ...shared,
      query_mode: "aggregate",
      groupby: groups,
      metrics,
      timeseries_limit_metric: metrics[0],
      order_desc: true,
      show_cell_bars: true,
      color_pn: false,
      column_config: Object.fromEntries(metrics.map((metric) => [
        metric,
        { d3NumberFormat: metric === "turnout" ? ".1%" : ",d" },
      ])),
    };
  }
  return {
    ...shared,
    x_axis: axis,
    groupby: groups,
    metrics,
    ...each.kind === "line"
      ? { time_grain_sqla: null, x_axis_time_format: "smart_date", seriesType: "line", area: true }
      : {
        orientation: each.lying ? "horizontal" : "vertical",
        // Of bars that lie the first is at the bottom: the largest is on top.
        x_axis_sort: each.lying ? "sum" : "name",
        x_axis_sort_asc: true,
      },
    stack: each.stacked ? "Stack" : null,
    y_axis_format: format ?? ",d",
    // Shares of the roll are from 0 to 1.
    ...metrics.includes("turnout") && { truncateYAxis: true, y_axis_bounds: [0, 1] },
    show_legend: groups.length > 1,
    legendType: "scroll",
    legendOrientation: "top",
    show_value: each.lying === true,
    rich_tooltip: true,
    truncate_metric: true,
    show_empty_columns: true,
    sort_series_type: "sum",
    x_axis_title_margin: 15,
    y_axis_title_margin: 15,
  };
}

/** The query by which a chart's data is asked for. */
function query({ kind, axis, groups, metrics, only }: Chart) {
  const axes = axis === undefined ? [] : [{
    columnType: "BASE_AXIS",
    expressionType: "SQL",
    label: axis,
    sqlExpression: axis,
  }];
  return {
    filters: only === undefined ? [] : [{ col: only.column, op: "IN", val: only.values }],
    extras: { having: "", where: "" },
    applied_time_extras: {},
    columns: [...axes, ...groups],
    metrics,
    orderby: kind === "line" ? [[axis, true]] : [[metrics[0], false]],
    annotation_layers: [],
    row_limit: ROW_LIMIT,
    series_limit: 0,
    order_desc: true,
    url_params: {},
    custom_params: {},
    custom_form_data: {},
  };
}

function dashboard() {
  return {
    dashboard_title: "Pollwire",
    description: "Results that are released, turnout, and what was not counted.",
    css: "",
    slug: DASHBOARD_SLUG,
    published: true,
    uuid: uuidOf("dashboard", "pollwire"),
    position: position(),
    metadata: {
      color_scheme: "supersetColors",
      refresh_frequency: REFRESH_S,
      cross_filters_enabled: false,
      timed_refresh_immune_slices: [],
      expanded_slices: {},
      label_colors: {},
      filter_bar_orientation: "HORIZONTAL",
      native_filter_configuration: FILTERS.map(filterOf),
    },
    version: VERSION,
  };
}

const TEXT =
  "**Results are released votes**: each release adds at least *k* voters, so they may be fewer than were counted. " +
  "Turnout is held to *k* as on the election's page.";

/** The layout: a line of text, and rows of charts. Numbers of charts are their places, until the import sets Superset's own. */
function position() {
  const rows = ROWS.map((charts, row) => ({ id: `ROW-${row + 1}`, charts }));
  const parents = ["ROOT_ID", "GRID_ID"];
  const row = (id: string, children: string[]) => ({
    [id]: { id, type: "ROW", children, parents, meta: { background: "BACKGROUND_TRANSPARENT" } },
  });
  return {
    DASHBOARD_VERSION_KEY: "v2",
    ROOT_ID: { id: "ROOT_ID", type: "ROOT", children: ["GRID_ID"] },
    GRID_ID: {
      id: "GRID_ID",
      type: "GRID",
      children: ["ROW-text", ...rows.map(({ id }) => id)],
      parents: ["ROOT_ID"],
    },
    HEADER_ID: { id: "HEADER_ID", type: "HEADER", meta: { text: "Pollwire" } },
    ...row("ROW-text", ["MARKDOWN-text"]),
    "MARKDOWN-text": {
      id: "MARKDOWN-text",
      type: "MARKDOWN",
      children: [],
      parents: [...parents, "ROW-text"],
      meta: { code: TEXT, width: 12, height: 8 },
    },
    ...Object.assign({}, ...rows.map(({ id, charts }) => row(id, charts.map(placeOf)))),
    ...Object.fromEntries(rows.flatMap(({ id, charts }) =>
      charts.map((each) => [placeOf(each), {
        id: placeOf(each),
        type: "CHART",
        children: [],
        parents: [...parents, id],
        meta: {
          chartId: numberOf(each),
          uuid: chartUuid(each),
          sliceName: each.title,
          width: each.width,
          height: HEIGHT,
        },
      }])
    )),
  };
}

const numberOf = (each: Chart) => CHARTS.indexOf(each) + 1;
const placeOf = (each: Chart) => `CHART-${numberOf(each)}`;

/** A list to choose one value from: the first one, until another is chosen. Charts whose dataset lacks the column are left out. */
function filterOf({ id, title, dataset, column, ...rest }: (typeof FILTERS)[number]) {
  return {
    id: `NATIVE_FILTER-${id}`,
    name: title,
    description: "",
    type: "NATIVE_FILTER",
    filterType: "filter_select",
    targets: [{ datasetUuid: datasetUuid(dataset), column: { name: column } }],
    controlValues: {
      defaultToFirstItem: true,
      enableEmptyFilter: true,
      multiSelect: false,
      searchAllOptions: false,
      inverseSelection: false,
      sortAscending: !("sort" in rest),
      ..."sort" in rest && { sortMetric: rest.sort },
    },
    // Charts wait until a value is chosen.
    requiredFirst: true,
    defaultDataMask: { extraFormData: {}, filterState: {} },
    cascadeParentIds: "within" in rest ? [`NATIVE_FILTER-${rest.within}`] : [],
    scope: {
      rootPath: ["ROOT_ID"],
      excluded: CHARTS.filter((each) => !(column in DATASETS[each.dataset].columns)).map(numberOf),
    },
    tabsInScope: [],
    chartsInScope: [],
  };
}
