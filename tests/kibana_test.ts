import assert from "assert";
import { INDEX_REFRESH_MS, indexTemplate } from "../aggregator/results/index/elasticsearch.ts";
import { INDEXER_PACE } from "../aggregator/results/index/indexer.ts";
import {
  type FieldType,
  INDEX_FIELDS,
  INDEX_NAMES,
  INDEX_PREFIX,
} from "../aggregator/results/index/templates.ts";
import { DASHBOARDS, TIME_FIELDS } from "../deploy/kibana/panels.ts";
import { exportFile } from "../deploy/kibana/saved_objects.ts";

Deno.test.sanitizer({ ops: true, resources: true });

// deno-lint-ignore no-explicit-any
type Json = any;

const text = await Deno.readTextFile(new URL("../deploy/kibana/pollwire.ndjson", import.meta.url));
const objects: Json[] = text.trimEnd().split("\n").map((line) => JSON.parse(line));
const views = new Map(objects.filter(({ type }) => type === "index-pattern").map((view) => [view.id, view]));

/** The types of an index's fields, by its data view. */
function fieldsOf(view: string): Readonly<Record<string, FieldType>> {
  const name = views.get(view)!.attributes.title.slice(INDEX_PREFIX.length);
  return INDEX_FIELDS[name as keyof typeof INDEX_FIELDS];
}

/** Which types of field an operation of Lens takes, and the data type of the column that comes of it. */
const OPERATIONS: Record<
  string,
  { types: readonly FieldType[]; bucketed: boolean; dataTypes: readonly string[] }
> = {
  terms: {
    types: ["keyword", "long", "integer", "boolean"],
    bucketed: true,
    dataTypes: ["string", "number", "boolean"],
  },
  date_histogram: { types: ["date"], bucketed: true, dataTypes: ["date"] },
  sum: { types: ["long", "integer"], bucketed: false, dataTypes: ["number"] },
  max: { types: ["long", "integer", "date"], bucketed: false, dataTypes: ["number", "date"] },
  unique_count: {
    types: ["keyword", "long", "integer", "date", "boolean"],
    bucketed: false,
    dataTypes: ["number"],
  },
};

/** Every text of JSON in an object, parsed, with what is inside it. */
function nested(value: unknown, path: string, found: [string, unknown][] = []): [string, unknown][] {
  if (value === null || typeof value !== "object") return found;
  for (const [key, inner] of Object.entries(value)) {
    const here = `${path}.${key}`;
    if (key.endsWith("JSON")) {
      assert.equal(typeof inner, "string", here);
      const parsed = JSON.parse(inner as string);
      found.push([here, parsed]);
      nested(parsed, here, found);
    } else nested(inner, here, found);
  }
  return found;
}

function panelsOf(dashboard: Json): Json[] {
  return JSON.parse(dashboard.attributes.panelsJSON);
}

const dashboards = objects.filter(({ type }) => type === "dashboard");
const lensPanels = dashboards.flatMap((dashboard) =>
  panelsOf(dashboard).filter(({ type }) => type === "lens").map((panel) => ({ dashboard, panel }))
);

Deno.test("deploy/kibana/pollwire.ndjson is what its source gives", () => {
  assert.equal(text, exportFile(), "run `deno task kibana`");
});

Deno.test("the file has a data view for every index, under its alias and with its time", () => {
  assert.deepEqual([...views.keys()].sort(), INDEX_NAMES.map((name) => INDEX_PREFIX + name).sort());
  for (const name of INDEX_NAMES) {
    const { title, timeFieldName } = views.get(INDEX_PREFIX + name).attributes;
    assert.equal(title, INDEX_PREFIX + name);
    assert.equal(timeFieldName, TIME_FIELDS[name]);
    if (timeFieldName !== undefined) assert.equal(fieldsOf(title)[timeFieldName], "date");
  }
});

Deno.test("waits on the way to an open dashboard leave 3 s of 10 s for the work", () => {
  const { longestRestMs, passMs } = INDEXER_PACE;
  assert.deepEqual(
    indexTemplate("pollwire-tallies", "tallies", { shards: 1, replicas: 0 }).template.settings
      .refresh_interval,
    `${INDEX_REFRESH_MS}ms`,
  );
  for (const { id, attributes: { refreshInterval: { pause, value } } } of dashboards) {
    assert.equal(pause, false, id);
    // What is written is shown as soon as its pass is done.
    assert.ok(Math.max(longestRestMs, passMs) + value <= 7_000, `${id}: ${value}`);
  }
});

Deno.test("no two objects have one id, and each says from which version Kibana migrates it", () => {
  const ids = objects.map(({ type, id }) => `${type}/${id}`);
  assert.equal(new Set(ids).size, ids.length);
  for (const { id, coreMigrationVersion, typeMigrationVersion } of objects) {
    assert.match(coreMigrationVersion, /^8\.\d+\.\d+$/, id);
    assert.match(typeMigrationVersion, /^8\.\d+\.\d+$/, id);
  }
});

Deno.test("all JSON inside JSON parses", () => {
  const found = objects.flatMap((object) => nested(object.attributes, object.id));
  assert.ok(found.length > dashboards.length * 3);
});

Deno.test("every reference leads to an object that stands before it, and every panel has its own", () => {
  const before = new Set<string>();
  for (const { type, id, references } of objects) {
    const names = references.map(({ name }: Json) => name);
    assert.equal(new Set(names).size, names.length, id);
    for (const reference of references) {
      assert.ok(
        before.has(`${reference.type}/${reference.id}`),
        `${id} refers to ${reference.type} ${reference.id}`,
      );
    }
    before.add(`${type}/${id}`);
  }
  for (const dashboard of dashboards) {
    const wanted = panelsOf(dashboard).flatMap((panel) =>
      panel.type === "lens"
        ? panel.embeddableConfig.attributes.references.map(({ name }: Json) => `${panel.panelIndex}:${name}`)
        : [`${panel.panelIndex}:${panel.panelRefName}`]
    );
    const controls = Object.keys(JSON.parse(dashboard.attributes.controlGroupInput.panelsJSON))
      .map((id) => `controlGroup_${id}:optionsListDataView`);
    assert.deepEqual(
      dashboard.references.map(({ name }: Json) => name).sort(),
      [...wanted, ...controls].sort(),
    );
  }
});

Deno.test("every control chooses by a field that all panels of its dashboard have", () => {
  for (const dashboard of dashboards) {
    const shown = dashboard.references.filter(({ type }: Json) => type === "index-pattern").map((
      { id }: Json,
    ) => id);
    const controls = Object.entries<Json>(JSON.parse(dashboard.attributes.controlGroupInput.panelsJSON));
    for (const [id, { explicitInput: { id: own, fieldName } }] of controls) {
      assert.equal(own, id);
      for (const view of shown) assert.equal(fieldsOf(view)[fieldName], "keyword", `${view} ${fieldName}`);
    }
  }
});

Deno.test("every column of every panel works on a field that the index has, of a type that it takes", () => {
  for (const { panel: { panelIndex, embeddableConfig: { attributes } } } of lensPanels) {
    for (
      const [layer, { columns }] of Object.entries<Json>(attributes.state.datasourceStates.formBased.layers)
    ) {
      const view = attributes.references.find(({ name }: Json) =>
        name === `indexpattern-datasource-layer-${layer}`
      ).id;
      for (const [id, column] of Object.entries<Json>(columns)) {
        const where = `${panelIndex} ${id}`;
        if (column.operationType === "count") assert.equal(column.sourceField, "___records___", where);
        else if (column.operationType === "cumulative_sum") {
          assert.deepEqual(column.references.map((of: string) => columns[of].dataType), ["number"], where);
        } else {
          const { types, bucketed, dataTypes } = OPERATIONS[column.operationType];
          const type = fieldsOf(view)[column.sourceField];
          assert.ok(
            types.includes(type),
            `${where}: ${column.operationType} of ${column.sourceField}, a ${type}`,
          );
          for (const field of column.params.secondaryFields ?? []) {
            assert.equal(fieldsOf(view)[field], "keyword", `${where}: ${field}`);
          }
          assert.equal(column.isBucketed, bucketed, where);
          assert.ok(dataTypes.includes(column.dataType), where);
          assert.equal(
            column.dataType === "date",
            type === "date" && column.operationType !== "unique_count",
            where,
          );
        }
        const { orderBy } = column.params ?? {};
        if (orderBy?.type === "column") assert.equal(columns[orderBy.columnId]?.isBucketed, false, where);
      }
    }
  }
});

/** The columns that a panel draws, and which of them as what they are added up by. */
function drawn(
  { visualizationType, state: { visualization } }: Json,
): { layer: string; buckets: string[]; metrics: string[] } {
  const some = (ids: (string | undefined)[]) => ids.filter((id) => id !== undefined) as string[];
  switch (visualizationType) {
    case "lnsMetric":
      return { layer: visualization.layerId, buckets: [], metrics: [visualization.metricAccessor] };
    case "lnsDatatable": {
      const of = (isMetric: boolean) =>
        visualization.columns.filter((column: Json) => column.isMetric === isMetric).map((
          { columnId }: Json,
        ) => columnId);
      return { layer: visualization.layerId, buckets: of(false), metrics: of(true) };
    }
    case "lnsPie": {
      const [{ layerId, primaryGroups, metrics }] = visualization.layers;
      return { layer: layerId, buckets: primaryGroups, metrics };
    }
    case "lnsXY": {
      const [{ layerId, xAccessor, splitAccessor, accessors }] = visualization.layers;
      return { layer: layerId, buckets: some([xAccessor, splitAccessor]), metrics: accessors };
    }
    default:
      assert.fail(`no such visualization: ${visualizationType}`);
  }
}

Deno.test("what a panel draws are the columns of its layer: all of them, but those that only others refer to", () => {
  assert.ok(lensPanels.length >= 30);
  for (const { panel: { panelIndex, embeddableConfig: { attributes } } } of lensPanels) {
    const { layer, buckets, metrics } = drawn(attributes);
    const { layers } = attributes.state.datasourceStates.formBased;
    assert.deepEqual(Object.keys(layers), [layer], panelIndex);
    const { columns, columnOrder } = layers[layer];
    assert.deepEqual([...columnOrder].sort(), Object.keys(columns).sort(), panelIndex);
    for (const id of buckets) assert.equal(columns[id].isBucketed, true, `${panelIndex} ${id}`);
    for (const id of metrics) assert.equal(columns[id].isBucketed, false, `${panelIndex} ${id}`);
    const referred = Object.values<Json>(columns).flatMap(({ references = [] }) => references);
    assert.deepEqual([...buckets, ...metrics, ...referred].sort(), Object.keys(columns).sort(), panelIndex);
    // Buckets stand before what is added up in them.
    const lastBucket = columnOrder.findLastIndex((id: string) => columns[id].isBucketed);
    assert.equal(lastBucket, buckets.length - 1, panelIndex);
  }
});

Deno.test("every map lays circles where an index has places, as large as a field's sum", () => {
  const maps = objects.filter(({ type }) => type === "map");
  assert.ok(maps.length > 0);
  for (const { id, attributes, references } of maps) {
    const [, layer] = JSON.parse(attributes.layerListJSON);
    const { geoField, metrics: [{ type, field }], indexPatternRefName } = layer.sourceDescriptor;
    const view = references.find(({ name }: Json) => name === indexPatternRefName).id;
    assert.equal(fieldsOf(view)[geoField], "geo_point", id);
    assert.equal(fieldsOf(view)[field], "long", id);
    assert.equal(layer.style.properties.iconSize.options.field.name, `${type}_of_${field}`, id);
  }
});

Deno.test("panels lie beside one another, on a grid of 48 columns", () => {
  for (const dashboard of dashboards) {
    const taken = new Set<string>();
    for (const { panelIndex, gridData: { x, y, w, h, i } } of panelsOf(dashboard)) {
      assert.equal(i, panelIndex);
      assert.ok(x >= 0 && x + w <= 48, panelIndex);
      for (let column = x; column < x + w; column++) {
        for (let row = y; row < y + h; row++) {
          assert.ok(!taken.has(`${column}/${row}`), `${panelIndex} lies on another`);
          taken.add(`${column}/${row}`);
        }
      }
    }
  }
  assert.equal(dashboards.length, DASHBOARDS.length);
});

Deno.test("no panel adds up what only has the same name", () => {
  const byName = DASHBOARDS.flatMap(({ panels }) => panels).flatMap((panel) =>
    panel.kind === "lens" ? panel.buckets : []
  ).filter(({ field }) => /^(?:candidate|contest|station|region)_name$/.test(field));
  assert.ok(byName.length > 10);
  for (const bucket of byName) {
    assert.ok(bucket.by === "terms" && bucket.ids.includes(bucket.field.replace("_name", "")), bucket.label);
  }
  const [candidate] = byName.filter(({ field }) => field === "candidate_name");
  assert.deepEqual(candidate.by === "terms" && candidate.ids, ["contest", "candidate"]);
});
