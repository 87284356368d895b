/**
 * Superset from PyPI on a real PostgreSQL with counted votes: every chart says what Pollwire's API says, and the dashboard is drawn.
 *
 * @module
 */
import assert from "assert";
import {
  openSuperset,
  setSupersetAssets,
  type SupersetSession,
} from "../../deploy/compose/superset_assets.ts";
import { assetFiles } from "../../deploy/superset/assets.ts";
import { type Chart, CHARTS } from "../../deploy/superset/charts.ts";
import { apiRows, LINE_COLUMNS, openAnalysedElections, release } from "../analysed_elections.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { PASSWORD, withUsers } from "./database_users.ts";
import { STACK, stackTest } from "./server.ts";
import { OwnSuperset } from "./superset.ts";

Deno.test.sanitizer({ ops: true, resources: true });

let cluster: Cluster;
if (STACK) {
  Deno.test.beforeAll(async () => {
    cluster = await startCluster();
  });
  Deno.test.afterAll(async () => await cluster.remove());
}

type Row = Record<string, unknown>;

/** The rows of a chart, asked for by its API. */
async function dataOf({ ask }: SupersetSession, id: number): Promise<Row[]> {
  const { result: [{ data, error }] } = JSON.parse(await ask("GET", `/api/v1/chart/${id}/data/?force=true`));
  assert.equal(error ?? null, null);
  return data;
}

/** A chart's rows with ids in place of labels, each as one line. */
function linesOf(chart: Chart, rows: readonly Row[], labels: Labels): string[] {
  const columns = [...chart.axis === undefined ? [] : [chart.axis], ...chart.groups, ...chart.metrics];
  return rows.map((row) => {
    const named = labels(chart, row);
    return columns.map((column) => `${column}=${named[column]}`).join(" ");
  }).sort();
}

type Labels = (chart: Chart, row: Row) => Row;

/**
 * What each chart must show, from the API's rows: those of its view, grouped and summed as the chart says. Labels are made of
 * ids by the names of {@link openAnalysedElections}.
 */
function expectedLines(chart: Chart, apiLines: readonly string[], labelOf: (row: Row) => Row): string[] {
  const columns = LINE_COLUMNS[chart.dataset];
  const sums = new Map<string, { row: Row; sums: Row }>();
  for (const line of apiLines) {
    const values = line.split(" ");
    const row: Row = labelOf(Object.fromEntries(columns.map((column, i) => [column, values[i]])));
    if (chart.only !== undefined && !chart.only.values.includes(String(row[chart.only.column]))) continue;
    const groups = [...chart.axis === undefined ? [] : [chart.axis], ...chart.groups];
    const key = groups.map((group) => row[group]).join("\n");
    let group = sums.get(key);
    if (group === undefined) sums.set(key, group = { row, sums: {} });
    for (const column of ["votes", "voters", "registered", "records", "total"]) {
      if (row[column] === undefined) continue;
      const before = Number(group.sums[column] ?? 0);
      group.sums[column] = column === "total"
        ? Math.max(before, Number(row[column]))
        : before + Number(row[column]);
    }
  }
  return linesOf(
    chart,
    [...sums.values()].map(({ row, sums }) => ({
      ...row,
      ...sums,
      turnout: Number(sums.registered) === 0 ? null : Number(sums.voters) / Number(sums.registered),
    })),
    (_, row) => row,
  );
}

/** What the ids of {@link openAnalysedElections} are called. */
function labelled(row: Row): Row {
  const candidates: Row = {
    ann: "Ann (ann)",
    bob: "Ann (bob)",
    cyd: "Ann (ann) (cyd)",
    dan: "Dan",
    eve: "Eve",
    fay: "Fay",
  };
  const parties: Row = { ann: "Red (red)", dan: "Red (red)", bob: "Red (blue)", eve: "Red (blue)" };
  const contests: Row = { mayor: "Mayor", council: "Council" };
  const { election, contest, candidate, region, minute } = row;
  return {
    ...row,
    election_label: `Town (${election})`,
    ...contest !== undefined && { contest_label: `${contests[String(contest)]} (${election}/${contest})` },
    ...candidate !== undefined && {
      candidate_label: candidates[String(candidate)],
      party_label: parties[String(candidate)] ?? "no party",
    },
    ...region !== undefined && { region_label: region === "" ? "several regions" : `Centre (${region})` },
    ...minute !== undefined && { minute: Date.parse(String(minute)) },
  };
}

stackTest("Superset's charts show what the API says, on a database user who reads views alone", async () => {
  await withUsers(cluster, async (as, database) => {
    const owner = await as("owner");
    for (const box of await openAnalysedElections(owner)) {
      await release(box, false);
      await release(box, true);
    }
    const expected = await apiRows(owner);
    const url = cluster.url(database, "analyst").replace("postgres://", "postgresql://").replace(
      `:${PASSWORD}@`,
      "@",
    );
    const superset = await OwnSuperset.start(url, PASSWORD);
    try {
      const session = await openSuperset({
        url: superset.url,
        password: OwnSuperset.password,
        fetch: superset.fetch,
      });
      // Twice: an import takes the place of what is there.
      await setSupersetAssets(session, assetFiles());
      await setSupersetAssets(session, assetFiles());
      const { result } = JSON.parse(await session.ask("GET", "/api/v1/chart/?q=(page_size:100)"));
      const ids = new Map<string, number>(
        result.map(({ slice_name, id }: { slice_name: string; id: number }) => [slice_name, id]),
      );
      assert.equal(result.length, CHARTS.length);
      for (const chart of CHARTS) {
        const rows = await dataOf(session, ids.get(chart.title)!);
        // A candidate without votes in a region is in no row of the API's, and may be in one of the view's.
        const shown = rows.filter((row) => chart.dataset !== "region_results" || row.votes !== 0);
        assert.ok(shown.length > 0, `${chart.title} is empty`);
        assert.deepEqual(
          linesOf(chart, shown, (_, row) => row),
          expectedLines(chart, expected[chart.dataset], labelled),
          chart.title,
        );
      }
      // The lists above choose one election, and the contest with the most votes.
      const isShown = (text: string) => /Mayor \(alpha\/mayor\)/.test(text) && !/council|beta/.test(text);
      await superset.lookAt(CHARTS.length, isShown);
    } finally {
      await superset.remove();
    }
  });
});
