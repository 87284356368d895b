/**
 * Dashboards as Kibana 8.19 stores them: data views, maps and dashboards, with Lens panels inside. The shape is that
 * of Kibana's own exports (8.7 and later); ids are names, so that an import takes the place of an older one.
 *
 * @module
 */
import { layerReference, lens } from "./lens.ts";
import {
  type Dashboard,
  DASHBOARDS,
  type MapPanel,
  type Panel,
  type PanelIndex,
  type Reference,
  TIME_FIELDS,
  viewId,
} from "./panels.ts";

/** What Kibana reads: it migrates objects from these versions to its own. */
const CORE_VERSION = "8.8.0";
const TYPE_VERSIONS = { "index-pattern": "8.0.0", dashboard: "8.7.0", map: "8.4.0" } as const;
const PANEL_VERSION = "8.19.0";
/** How often an open dashboard asks again, in milliseconds: new figures are to be seen within 10 s (docs/elasticsearch.md has the sum). */
const REFRESH_MS = 2_000;
/** Columns of a dashboard. */
const GRID_COLUMNS = 48;

/** A saved object: one line of the file. */
export type SavedObject = Readonly<{
  type: keyof typeof TYPE_VERSIONS;
  id: string;
  attributes: Record<string, unknown>;
  references: readonly Reference[];
  coreMigrationVersion: string;
  typeMigrationVersion: string;
}>;

/** All saved objects. What is referred to comes first. */
export function savedObjects(): SavedObject[] {
  const panels = DASHBOARDS.flatMap(({ panels }) => panels);
  return [
    ...(Object.keys(TIME_FIELDS) as PanelIndex[]).map(dataView),
    ...panels.filter((panel) => panel.kind === "map").map(map),
    ...DASHBOARDS.map(dashboard),
  ];
}

/** The file as it is imported: one object a line. */
export function exportFile(): string {
  return savedObjects().map((object) => `${JSON.stringify(object)}\n`).join("");
}

function savedObject(
  type: SavedObject["type"],
  id: string,
  attributes: Record<string, unknown>,
  references: readonly Reference[] = [],
): SavedObject {
  return {
    type,
    id,
    attributes,
    references,
    coreMigrationVersion: CORE_VERSION,
    typeMigrationVersion: TYPE_VERSIONS[type],
  };
}

function dataView(index: PanelIndex): SavedObject {
  return savedObject("index-pattern", viewId(index), {
    title: viewId(index),
    name: `Pollwire ${index}`,
    ...TIME_FIELDS[index] === undefined ? {} : { timeFieldName: TIME_FIELDS[index] },
    fields: "[]",
    fieldAttrs: "{}",
    fieldFormatMap: "{}",
    runtimeFieldMap: "{}",
    sourceFilters: "[]",
    typeMeta: "{}",
  });
}

function dashboard({ id, title, description, panels }: Dashboard): SavedObject {
  const placed = place(panels);
  const views = [...new Set(panels.map(({ index }) => index))];
  const controls = controlsOf(views);
  return savedObject("dashboard", id, {
    title,
    description,
    version: 1,
    timeRestore: true,
    timeFrom: "now-24h",
    timeTo: "now",
    refreshInterval: { pause: false, value: REFRESH_MS },
    optionsJSON: JSON.stringify({
      useMargins: true,
      syncColors: true,
      syncCursor: true,
      syncTooltips: false,
      hidePanelTitles: false,
    }),
    kibanaSavedObjectMeta: {
      searchSourceJSON: JSON.stringify({ query: { query: "", language: "kuery" }, filter: [] }),
    },
    controlGroupInput: controlGroup(id, controls),
    panelsJSON: JSON.stringify(placed.map(({ panel, x, y }) => ({
      version: PANEL_VERSION,
      type: panel.kind,
      panelIndex: panel.id,
      gridData: { x, y, w: panel.width, h: panel.height, i: panel.id },
      ...panel.kind === "lens"
        ? { title: panel.title, embeddableConfig: { attributes: lens(panel), enhancements: {} } }
        : { title: panel.title, panelRefName: `panel_${panel.id}`, embeddableConfig: { enhancements: {} } },
    }))),
  }, [
    ...panels.map((panel): Reference =>
      panel.kind === "lens"
        ? { ...layerReference(panel), name: `${panel.id}:${layerReference(panel).name}` }
        : { type: "map", id: panel.id, name: `${panel.id}:panel_${panel.id}` }
    ),
    ...controls.map(({ field }): Reference => ({
      type: "index-pattern",
      id: viewId(views[0]!), // A dashboard has panels.
      name: `controlGroup_${id}-${field}:optionsListDataView`,
    })),
  ]);
}

/** What a dashboard lets one choose by: fields that all of its indices have, since a choice is for all panels. */
function controlsOf(views: readonly PanelIndex[]): { field: string; title: string }[] {
  const hasNames = !views.includes("audit-events");
  const withContests: readonly PanelIndex[] = ["tallies", "ballots", "released-votes"];
  const hasContests = views.every((view) => withContests.includes(view));
  return [
    { field: hasNames ? "election_name" : "election", title: "Election" },
    ...hasContests ? [{ field: "contest_name", title: "Contest" }] : [],
  ];
}

/** Lists above a dashboard to choose from: the fields' values in the first data view apply to all panels. */
function controlGroup(dashboard: string, controls: readonly { field: string; title: string }[]) {
  const panels = controls.map(({ field, title }, order) => [`${dashboard}-${field}`, {
    order,
    width: "medium",
    grow: true,
    type: "optionsListControl",
    explicitInput: { id: `${dashboard}-${field}`, fieldName: field, title, enhancements: {} },
  }]);
  return {
    controlStyle: "oneLine",
    chainingSystem: "HIERARCHICAL",
    panelsJSON: JSON.stringify(Object.fromEntries(panels)),
    ignoreParentSettingsJSON: JSON.stringify({
      ignoreFilters: false,
      ignoreQuery: false,
      ignoreTimerange: false,
      ignoreValidations: false,
    }),
  };
}

/** Fills rows from left to right; a row is as high as its highest panel. */
function place(panels: readonly Panel[]): { panel: Panel; x: number; y: number }[] {
  let [x, y, rowHeight] = [0, 0, 0];
  return panels.map((panel) => {
    if (x + panel.width > GRID_COLUMNS) [x, y, rowHeight] = [0, y + rowHeight, 0];
    const placed = { panel, x, y };
    x += panel.width;
    rowHeight = Math.max(rowHeight, panel.height);
    return placed;
  });
}

/** A map of its own: a base map, and a circle at each place, as large as what is added up there. */
function map({ id, title, index, location, sum }: MapPanel): SavedObject {
  const view = "layer_1_source_index_pattern";
  const layers = [
    {
      id: `${id}-base`,
      type: "EMS_VECTOR_TILE",
      sourceDescriptor: { type: "EMS_TMS", isAutoSelect: true, lightModeDefault: "road_map_desaturated" },
      style: { type: "EMS_VECTOR_TILE", color: "" },
      ...LAYER,
    },
    {
      id: `${id}-places`,
      label: title,
      type: "GEOJSON_VECTOR",
      sourceDescriptor: {
        id: `${id}-source`,
        type: "ES_GEO_GRID",
        geoField: location,
        requestType: "point",
        resolution: "FINE",
        metrics: [{ type: "sum", field: sum }],
        applyGlobalQuery: true,
        applyGlobalTime: true,
        applyForceRefresh: true,
        indexPatternRefName: view,
      },
      style: { type: "VECTOR", isTimeAware: true, properties: circles(sum) },
      joins: [],
      ...LAYER,
    },
  ];
  return savedObject("map", id, {
    title: `Pollwire: ${title.toLowerCase()}`,
    description: "",
    layerListJSON: JSON.stringify(layers),
    mapStateJSON: JSON.stringify({
      zoom: 2,
      center: { lat: 20, lon: 0 },
      timeFilters: { from: "now-1d", to: "now" },
      refreshConfig: { isPaused: true, interval: REFRESH_MS },
      query: { query: "", language: "kuery" },
      filters: [],
      settings: { initialLocation: "AUTO_FIT_TO_BOUNDS", autoFitToDataBounds: true },
    }),
    uiStateJSON: JSON.stringify({ isLayerTOCOpen: true, openTOCDetails: [] }),
  }, [{ type: "index-pattern", id: viewId(index), name: view }]);
}

const LAYER = { alpha: 0.75, visible: true, minZoom: 0, maxZoom: 24, includeInFitToBounds: true } as const;

function circles(sum: string) {
  const field = { name: `sum_of_${sum}`, origin: "source" };
  const fieldMetaOptions = { isEnabled: true, sigma: 3 };
  return {
    icon: { type: "STATIC", options: { value: "marker" } },
    fillColor: { type: "STATIC", options: { color: "#2f6db5" } },
    lineColor: { type: "STATIC", options: { color: "#ffffff" } },
    lineWidth: { type: "STATIC", options: { size: 1 } },
    iconSize: { type: "DYNAMIC", options: { minSize: 4, maxSize: 32, field, fieldMetaOptions } },
    labelText: { type: "DYNAMIC", options: { field } },
    symbolizeAs: { options: { value: "circle" } },
  };
}
