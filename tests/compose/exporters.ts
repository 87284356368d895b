/**
 * The figures that alerts and panels ask of the exporters of Kafka, PostgreSQL and Elasticsearch.
 *
 * @module
 */
const read = (path: string) => Deno.readTextFileSync(new URL(`../../deploy/${path}`, import.meta.url));

/** Their names, as alerts.yml and Grafana's dashboard have them. */
export function askedOfExporters(): string[] {
  const { panels } = JSON.parse(read("grafana/dashboards/pollwire.json"));
  const ofPanels = panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
    targets.map(({ expr }) => expr)
  );
  const ofAlerts = [...read("prometheus/alerts.yml").matchAll(/^ +expr: (.*)$/gm)].map(([, expr]) => expr);
  const found = [...ofPanels, ...ofAlerts].join("\n").match(/\b(kafka|pg|elasticsearch)_[a-z_]+/g) ?? [];
  return [...new Set(found)].toSorted();
}

/** Asks a Prometheus, by its port on this machine. */
export async function query(port: number, expr: string): Promise<{ value: [number, string] }[]> {
  const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expr)}`;
  return (await (await fetch(url)).json()).data.result;
}
