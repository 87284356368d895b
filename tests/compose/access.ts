/**
 * What each container reaches over its networks, and which secrets it reads: the table of docs/stack.md.
 *
 * @module
 */
import { docker } from "../../deploy/standins/engine.ts";
import type { ComposeProject } from "./compose.ts";

/** How long a connection may take, in seconds: one that a network drops never answers. */
const CONNECT_S = 3;
/** Where secrets, keys and files of gateways are mounted. */
const MOUNTS =
  "/setup /usr/share/elasticsearch/config/certs /office /receipt-keys /sync-keys /devices /election /data /count-1 /count-2 /gateway-1 /gateway-2 /reports /checkpoints";

/** The servers that may be reached, with their ports. */
export const TARGETS: Readonly<Record<string, number>> = {
  "kafka-1": 9092,
  postgresql: 5432,
  elasticsearch: 9200,
  prometheus: 9090,
  "gateway-1": 8001,
  "serve-1": 8000,
  "sync-1": 8000,
  "count-1": 8000,
  "office-1": 8000,
};

/** What a container may reach and read besides its own certificate. */
export type Access = Readonly<{ reaches: readonly string[]; reads: readonly string[] }>;

const COUNT = ["count-1", "gateway-1", "kafka-1", "office-1", "prometheus", "sync-1"];
const DATA = ["count-1", "office-1", "postgresql", "prometheus", "serve-1", "sync-1"];
const EDGE = ["gateway-1", "serve-1"];
const MASTER_KEY = "/office/keys/country-1.key";
const KEYS = [
  MASTER_KEY,
  "/office/keys/office/office.key",
  "/office/keys/receipts/country-1.json",
  "/office/keys/sync/country-1.json",
];

const SERVE: Access = {
  reaches: union(EDGE, DATA),
  reads: ["/receipt-keys/country-1.json", "/setup/database-serve-password"],
};
const SYNC: Access = {
  reaches: union(COUNT, DATA),
  reads: ["/setup/database-sync-password", "/sync-keys/country-1.json"],
};
const COUNTING: Access = {
  reaches: union(COUNT, DATA, ["elasticsearch"]),
  reads: [...KEYS, "/setup/database-aggregator-password", "/setup/kafka-aggregator-password"],
};
const INDEX = ["count-1", "elasticsearch"];
const gateway = (name: string): Access => ({
  reaches: union(EDGE, COUNT),
  reads: ["/data/gateway.json", `/setup/kafka-${name}-password`],
});

/** Those that stay up, and those that end, but `setup`. */
const OTHERS: Readonly<Record<string, Access>> = {
  simulator: {
    reaches: EDGE,
    reads: ["/devices/country-1.json", "/election/definition.json", "/election/roll.csv"],
  },
  "gateway-1": gateway("gateway-1"),
  "gateway-2": gateway("gateway-2"),
  "serve-1": SERVE,
  "serve-2": SERVE,
  "sync-1": SYNC,
  "sync-2": SYNC,
  "count-1": COUNTING,
  "count-2": COUNTING,
  "office-1": {
    reaches: union(COUNT, DATA),
    reads: [...KEYS, "/setup/database-board-password", "/setup/kafka-aggregator-password"],
  },
  "kafka-1": {
    reaches: COUNT,
    reads: [
      "/setup/cluster-id",
      "/setup/kafka-admin-password",
      "/setup/kafka-aggregator-password",
      "/setup/kafka-broker-password",
      "/setup/kafka-gateway-1-password",
      "/setup/kafka-gateway-2-password",
      "/setup/kafka-official-password",
      "/setup/kafka-recount-password",
      "/setup/keystore.pem",
      "/setup/server.properties",
    ],
  },
  postgresql: { reaches: DATA, reads: ["/setup/database-owner-password"] },
  elasticsearch: {
    reaches: INDEX,
    reads: ["/usr/share/elasticsearch/config/certs/elastic-password"],
  },
  "postgres-exporter": { reaches: DATA, reads: ["/setup/database-monitor-password"] },
  "elasticsearch-exporter": {
    reaches: union(INDEX, ["prometheus"]),
    reads: ["/setup/index-monitor-password"],
  },
  prometheus: { reaches: union(COUNT, DATA), reads: [] },
  migrate: { reaches: DATA, reads: ["/setup/database-owner-password"] },
  "database-users": {
    reaches: DATA,
    reads: [
      "aggregator",
      "analyst",
      "audit",
      "board",
      "monitor",
      "office",
      "owner",
      "recount",
      "serve",
      "sync",
    ]
      .map((user) => `/setup/database-${user}-password`),
  },
  "index-users": {
    reaches: INDEX,
    // It gives each process that indexes its key.
    reads: [
      ...["count-1", "count-2"].flatMap((name) =>
        ["ca.crt", "database-aggregator-password", "kafka-aggregator-password", "server.crt", "server.key"]
          .map(
            (file) => `/${name}/${file}`,
          )
      ),
      "/setup/elastic-password",
      "/setup/index-monitor-password",
      "/setup/kibana-password",
      "/setup/logs-password",
    ],
  },
  provision: {
    reaches: DATA,
    reads: [
      "/devices/country-1.json",
      "/election/definition.json",
      "/election/roll.csv",
      "/gateway-1/gateway.json",
      "/gateway-2/gateway.json",
      "/office/devices/country-1.json",
      "/office/gateways/gateway-1.json",
      "/office/gateways/gateway-2.json",
      ...KEYS,
      "/office/office/first.json",
      "/office/office/second.json",
      "/receipt-keys/country-1.json",
      "/setup/database-board-password",
      "/setup/database-office-password",
      "/sync-keys/country-1.json",
    ],
  },
  topics: {
    reaches: union(COUNT, DATA),
    reads: [...KEYS, "/setup/database-office-password", "/setup/kafka-admin-password"],
  },
  recount: {
    reaches: union(COUNT, DATA),
    reads: [...KEYS, "/setup/database-audit-password", "/setup/kafka-aggregator-password"],
  },
};

/** The server of the profile `superset`: it is there only when the profile is. */
export const SUPERSET: Readonly<Record<string, number>> = { superset: 8088 };

const ON_DATA = union(DATA, ["superset"]);

/** The table of the services of profiles, once they have worked. */
export const PROFILE_ACCESS: Readonly<Record<string, Access>> = {
  "spark-recount": {
    reaches: union(COUNT, ON_DATA),
    reads: [
      MASTER_KEY,
      "/reports/country-1.recount.json",
      "/reports/spark-report.key",
      "/setup/database-audit-password",
      "/setup/kafka-recount-password",
    ],
  },
  "spark-stream": {
    reaches: union(COUNT, ON_DATA),
    reads: [MASTER_KEY, "/setup/database-recount-password", "/setup/kafka-recount-password"],
  },
  "superset-setup": {
    reaches: ON_DATA,
    reads: [
      "/setup/database-analyst-password",
      "/setup/superset-password",
      "/setup/superset-secret-password",
    ],
  },
  superset: {
    reaches: ON_DATA,
    reads: ["/setup/database-analyst-password", "/setup/superset-secret-password"],
  },
  "superset-assets": { reaches: ["superset"], reads: ["/setup/superset-password"] },
};

/** Every password, below /setup/passwords. */
const PASSWORDS = [
  "cluster-id",
  ...["aggregator", "analyst", "audit", "board", "monitor", "office", "owner", "recount", "serve", "sync"]
    .map((user) => `database-${user}`),
  "elastic",
  "grafana",
  "index-monitor",
  ...["admin", "aggregator", "broker", "gateway-1", "gateway-2", "official", "recount"].map((user) =>
    `kafka-${user}`
  ),
  "kibana",
  "kibana-encryption",
  "logs",
  "superset",
  "superset-secret",
];
/** Passwords of services that do not run here. */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = {
  "fluent-bit": ["logs"],
  grafana: ["grafana"],
  kibana: ["kibana", "kibana-encryption"],
  "kibana-objects": ["elastic"],
  "spark-recount": ["database-audit", "kafka-recount"],
  "spark-stream": ["database-recount", "kafka-recount"],
  superset: ["database-analyst", "superset-secret"],
  "superset-assets": ["superset"],
  "superset-setup": ["database-analyst", "superset", "superset-secret"],
};

/** All that `setup` makes: the keys, and what it has copied for each service. */
const SETUP: Access = {
  reaches: [],
  reads: [
    ...["ca", ...Object.keys(OTHERS), ...Object.keys(LEFT_OUT)].map((name) => `/setup/authority/${name}.key`),
    ...PASSWORDS.map((name) => `/setup/passwords/${name}`),
    ...Object.entries(OTHERS).flatMap(([service, { reads }]) =>
      reads.flatMap((file) => {
        const name = /^\/(?:setup|usr\/.+\/certs)\/(.+)$/.exec(file)?.[1];
        return name === undefined ? [] : [`/setup/${service}/${name}`];
      })
    ),
    ...Object.entries(LEFT_OUT).flatMap(([service, names]) =>
      names.map((name) => `/setup/${service}/${name}-password`)
    ),
  ].toSorted(),
};

/** The table. */
export const ACCESS: Readonly<Record<string, Access>> = { ...OTHERS, setup: SETUP };

/** Those that have ended: another container of theirs is started. */
const ENDED = [
  "setup",
  "simulator",
  "migrate",
  "database-users",
  "index-users",
  "provision",
  "topics",
  "recount",
  "spark-recount",
  "superset-setup",
  "superset-assets",
];

/** Files that are not in the table: certificates (`setup` has those of all), and what the simulator, the gateways, the stream and Superset write themselves. */
const OWN = [
  /^\/setup\/authority\/.+\.(crt|srl)$/,
  /^\/(setup(\/[a-z0-9-]+)?|usr\/.+\/certs)\/(ca\.crt|server\.(crt|key))$/,
  /^\/(data|gateway-\d)\/(spool|ledger|simulate|devices|superset\.db|home|cache)/,
  /^\/checkpoints\//,
];

function union(...lists: readonly (readonly string[])[]): string[] {
  return [...new Set(lists.flat())].toSorted();
}

/** Every address of every target, by the service: a name resolves only on a common network. */
async function addresses(project: string, targets: readonly string[]): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for (const service of targets) {
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    const said = await docker(["inspect", "--format", format, `${project}-${service}-1`]);
    for (const address of said.trim().split(" ")) found.push([service, address]);
  }
  return found;
}

/** Looks from inside a container. @param targets Ports of the servers that are tried, by service. */
export async function accessOf(
  compose: ComposeProject,
  project: string,
  service: string,
  targets = TARGETS,
): Promise<Access> {
  const tries = (await addresses(project, Object.keys(targets))).map(([name, address]) =>
    `(timeout ${CONNECT_S} bash -c 'exec 3<>/dev/tcp/${address}/${
      targets[name]
    }' 2>/dev/null && echo "reaches ${name}") &`
  );
  const script = `${tries.join("\n")}
wait
find ${MOUNTS} -type f -readable 2>/dev/null | sed 's/^/reads /'`;
  const said = ENDED.includes(service)
    ? await compose.compose([
      "run",
      "--rm",
      "--no-deps",
      "--no-TTY",
      "--entrypoint",
      "bash",
      service,
      "-c",
      script,
    ])
    : await compose.inside(service, script);
  const of = (
    word: string,
  ) => [
    ...new Set(
      said.split("\n").filter((line) => line.startsWith(`${word} `)).map((line) =>
        line.slice(word.length + 1).trim()
      ),
    ),
  ];
  const isOwn = (file: string) => OWN.some((own) => own.test(file));
  return { reaches: of("reaches").toSorted(), reads: of("reads").filter((file) => !isOwn(file)).toSorted() };
}
