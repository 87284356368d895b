/**
 * The one-shot services of docker-compose.yml, and the health check of the apps.
 *
 * @module
 */
import { command, EXIT, Failure, program, runProgram, UsageError } from "../../cli/command.ts";
import { composeConfig } from "./config.ts";
import { aggregatorKey, setIndexUsers } from "./index_users.ts";
import { setKibanaObjects } from "./kibana_objects.ts";
import { assetFiles, DASHBOARD_SLUG } from "../superset/assets.ts";
import { openSuperset, setSupersetAssets } from "./superset_assets.ts";
import { parsePasswords, parseServers, setUp } from "./setup.ts";

/** How long an app may take to say how it is, in milliseconds. */
const HEALTH_MS = 5_000;

function required(name: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`Cannot start: ${name} is not set`);
  return value;
}

async function setup(): Promise<void> {
  const config = composeConfig();
  const servers = parseServers(config.SETUP_SERVERS);
  if (servers === undefined) throw new UsageError("Cannot start: SETUP_SERVERS must be name:uid name:uid …");
  const passwords = parsePasswords(config.SETUP_PASSWORDS);
  if (passwords === undefined) {
    throw new UsageError("Cannot start: SETUP_PASSWORDS must be name=server,server name=server …");
  }
  await setUp({
    directory: config.SETUP_DIRECTORY,
    brokers: config.KAFKA_BROKERS,
    databases: config.SETUP_DATABASE_SERVERS,
    servers,
    passwords,
  });
}

async function indexUsers(keyFiles: readonly string[]): Promise<void> {
  const config = composeConfig();
  const ca = await Deno.readTextFile(`${config.SETUP_DIRECTORY}/ca.crt`);
  using client = Deno.createHttpClient({ caCerts: [ca] });
  const as = {
    url: config.ELASTICSEARCH_URL,
    password: required("ELASTIC_PASSWORD", config.ELASTIC_PASSWORD),
    fetch: ((input, init) => fetch(input, { ...init, client })) as typeof fetch,
  };
  await setIndexUsers(as, {
    kibanaPassword: required("KIBANA_PASSWORD", config.KIBANA_PASSWORD),
    logsPassword: required("LOGS_PASSWORD", config.LOGS_PASSWORD),
    monitorPassword: required("MONITOR_PASSWORD", config.MONITOR_PASSWORD),
  });
  for (const file of keyFiles) {
    const kept = await Deno.readTextFile(file).catch(() => undefined);
    await Deno.writeTextFile(file, await aggregatorKey(as, kept), { mode: 0o600 });
  }
}

async function kibanaObjects(): Promise<void> {
  const config = composeConfig();
  const ca = await Deno.readTextFile(`${config.SETUP_DIRECTORY}/ca.crt`);
  using client = Deno.createHttpClient({ caCerts: [ca] });
  const taken = await setKibanaObjects({
    url: config.KIBANA_URL,
    password: required("ELASTIC_PASSWORD", config.ELASTIC_PASSWORD),
    fetch: ((input, init) => fetch(input, { ...init, client })) as typeof fetch,
  }, await Deno.readTextFile(new URL("../kibana/pollwire.ndjson", import.meta.url)));
  console.log(`Kibana has ${taken} data views, maps and dashboards, and the role pollwire_viewer`);
}

async function supersetAssets(): Promise<void> {
  const config = composeConfig();
  const ca = await Deno.readTextFile(`${config.SETUP_DIRECTORY}/ca.crt`);
  using client = Deno.createHttpClient({ caCerts: [ca] });
  const session = await openSuperset({
    url: config.SUPERSET_URL,
    password: required("SUPERSET_PASSWORD", config.SUPERSET_PASSWORD),
    fetch: ((input, init) => fetch(input, { ...init, client })) as typeof fetch,
  });
  await setSupersetAssets(session, assetFiles());
  console.log("Superset has the dashboard /superset/dashboard/" + DASHBOARD_SLUG);
}

async function healthy(url: string, { ca }: { ca: string }): Promise<void> {
  using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(ca)] });
  const answer = await fetch(url, { client, signal: AbortSignal.timeout(HEALTH_MS) });
  const text = await answer.text();
  if (!answer.ok) throw new Failure(`${answer.status}: ${text}`);
}

if (import.meta.main) {
  const commands = [
    command("setup", "Makes certificates, passwords, and the brokers' configuration, into SETUP_DIRECTORY.")
      .action(
        setup,
      ),
    command("index-users", "Sees to Elasticsearch's users, and writes the aggregators' API keys.")
      .argument("<files...>", "where the keys go, one for each aggregator")
      .action(indexUsers),
    command("kibana-objects", "Imports Kibana's dashboards, and makes the role of those who look at them.")
      .action(kibanaObjects),
    command("superset-assets", "Imports Superset's database, datasets, charts and dashboard.")
      .action(supersetAssets),
    command("healthy", "Asks an app how it is; exit code 1 unless it answers with success.")
      .argument("<url>", "like https://localhost:8000/health/ready")
      .requiredOption("--ca <file>", "the authority of its certificate, PEM")
      .action(healthy),
  ];
  const code = await runProgram(program("compose", "One-shot services of docker-compose.yml.", commands));
  Deno.exit(code === EXIT.ok ? 0 : code);
}
