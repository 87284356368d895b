import assert from "assert";
import { parse } from "yaml";
import { assetFiles } from "../deploy/superset/assets.ts";
import { CHARTS, type Dataset, type DatasetName, DATASETS, FILTERS } from "../deploy/superset/charts.ts";
import { zip } from "../deploy/superset/zip.ts";
import { command } from "./stack/local_stack.ts";
import { withDirectory } from "./directory.ts";
import { withDatabase } from "./test_database.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ROOT = new URL("../deploy/superset/assets/", import.meta.url);

// deno-lint-ignore no-explicit-any
type Json = any;

function filesBelow(directory: URL, prefix = ""): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(new URL(`${name}/`, directory), `${prefix}${name}/`) : [prefix + name]
  );
}

const parsed: Record<string, Json> = Object.fromEntries(
  Object.entries(assetFiles()).map(([path, text]) => [path, parse(text)]),
);
const of = (folder: string) =>
  Object.entries(parsed).filter(([path]) => path.startsWith(folder)).map(([, each]) => each);

Deno.test("deploy/superset/assets is what its source gives", () => {
  const files = assetFiles();
  assert.deepEqual(filesBelow(ROOT).sort(), Object.keys(files).sort(), "run `deno task superset`");
  for (const [path, text] of Object.entries(files)) {
    assert.equal(Deno.readTextFileSync(new URL(path, ROOT)), text, `${path}: run \`deno task superset\``);
  }
});

Deno.test("every asset has a UUID of its own, and what is referred to is there", () => {
  const uuids = Object.values(parsed).flatMap(({ uuid }) => uuid === undefined ? [] : [uuid]);
  assert.equal(new Set(uuids).size, 2 + Object.keys(DATASETS).length + CHARTS.length);
  for (const uuid of uuids) {
    assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  const [database] = of("databases/");
  assert.ok(
    !database.sqlalchemy_uri.includes("@") || /\/\/analyst@/.test(database.sqlalchemy_uri),
    "no password",
  );
  for (const dataset of of("datasets/")) assert.equal(dataset.database_uuid, database.uuid);
  const datasets = of("datasets/").map(({ uuid }) => uuid);
  for (const chart of of("charts/")) assert.ok(datasets.includes(chart.dataset_uuid), chart.slice_name);
  const [dashboard] = of("dashboards/");
  const placed = Object.values<Json>(dashboard.position).filter(({ type }) => type === "CHART");
  assert.deepEqual(placed.map(({ meta }) => meta.uuid).sort(), of("charts/").map(({ uuid }) => uuid).sort());
  for (const { children = [] } of Object.values<Json>(dashboard.position)) {
    for (const child of children) assert.ok(child in dashboard.position, child);
  }
});

Deno.test("every chart asks its dataset for what it has, by contest or election, and keeps the query of its API", () => {
  for (const chart of CHARTS) {
    const { columns, metrics }: Dataset = DATASETS[chart.dataset];
    for (const column of [...chart.groups, ...chart.axis === undefined ? [] : [chart.axis]]) {
      assert.ok(column in columns, `${chart.title}: ${column}`);
    }
    for (const metric of chart.metrics) assert.ok(metric in metrics, `${chart.title}: ${metric}`);
    assert.ok(chart.groups.includes("contest" in columns ? "contest_label" : "election_label"), chart.title);
    const asset = of("charts/").find(({ slice_name }) => slice_name === chart.title);
    const { queries: [query] } = JSON.parse(asset.query_context);
    const asked = query.columns.map((column: Json) => column.label ?? column);
    assert.deepEqual(asked, [...chart.axis === undefined ? [] : [chart.axis], ...chart.groups]);
    assert.deepEqual(asset.params.groupby, chart.groups);
  }
  for (const { dataset, column } of FILTERS) assert.ok(column in DATASETS[dataset].columns);
});

Deno.test("datasets have the columns of their views, with their types, and analysts may read them", async () => {
  await withDatabase(async (db) => {
    for (const name of Object.keys(DATASETS) as DatasetName[]) {
      const rows = await db.query<{ column: string; type: string; may: boolean }>(
        `SELECT column_name AS column, upper(data_type) AS type,
           has_column_privilege('pollwire_analyst', 'results.' || table_name, column_name, 'SELECT') AS may
         FROM information_schema.columns WHERE table_schema = 'results' AND table_name = $1 ORDER BY ordinal_position`,
        [name],
      );
      assert.ok(rows.every(({ may }) => may), name);
      const types = Object.fromEntries(rows.map(({ column, type }) => [column, type]));
      assert.deepEqual(types, DATASETS[name].columns as Record<string, string>, name);
    }
  });
});

Deno.test("zip() packs what Python's zipfile unpacks", async () => {
  await withDirectory(async (directory) => {
    const files = { "a/metadata.yaml": "type: assets\n", "a/ü.txt": "Größe\n", "a/empty": "" };
    await Deno.writeFile(`${directory}/a.zip`, zip(files));
    const { code, out, error } = await command("python3", [
      "-c",
      "import json, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; " +
      "print(json.dumps({n: z.read(n).decode() for n in z.namelist()}))",
      `${directory}/a.zip`,
    ]);
    assert.equal(code, 0, error);
    assert.deepEqual(JSON.parse(out), files);
  });
});
