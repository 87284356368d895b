/**
 * Settings in the manifests, held to what the apps know and each role needs, and secrets, held to the table of roles and keys.
 *
 * @module
 */
import { aggregatorConfig, SETTINGS as AGGREGATOR_SETTINGS } from "../../aggregator/config.ts";
import type { ProcessRole } from "../../aggregator/roles/roles.ts";
import { SETTINGS as GATEWAY_SETTINGS } from "../../gateway/config.ts";
import { readConfig } from "../../shared/config.ts";
import {
  type Container,
  environmentOf,
  type Manifest,
  ofKind,
  type Pod,
  podsOf,
  wordsOf,
} from "./manifests.ts";

const DATABASE = ["DATABASE_URL", "DATABASE_PASSWORD", "DATABASE_CA"];
const KAFKA = ["VOTE_LOG", "KAFKA_PASSWORD"];
const INDEX = ["ELASTICSEARCH_URL", "ELASTICSEARCH_API_KEY", "ELASTICSEARCH_CA"];
const ALERTMANAGER = [
  "POLLWIRE_ALERTMANAGER_URL",
  "POLLWIRE_ALERTMANAGER_USER",
  "POLLWIRE_ALERTMANAGER_PASSWORD",
  "POLLWIRE_ALERTMANAGER_TOKEN",
  "POLLWIRE_ALERTMANAGER_CA",
];
const SERVER = ["HOST", "PORT"];
const TLS = ["TLS_CERT_FILE", "TLS_KEY_FILE"];
const SERVES = [...SERVER, "AGGREGATOR_ROLES", ...DATABASE];

/**
 * Settings that a component must have, and those that it may have besides; secrets whose files it sees, and those that it may
 * see besides. docs/operations.md.
 */
type Needs = Readonly<
  {
    settings: readonly string[];
    may?: readonly string[];
    secrets: readonly string[];
    maySee?: readonly string[];
  }
>;

/** The table of roles and keys of docs/operations.md: `postgresql-ca` and the like are certificates of authorities. */
export const COMPONENTS: Readonly<Record<string, Needs>> = {
  count: {
    settings: [...SERVES, ...KAFKA, "KEYS_DIRECTORY"],
    may: ALERTMANAGER,
    secrets: ["count", "database-count", "election-keys", "pollwire-cluster-ca-cert", "postgresql-ca"],
    maySee: ["alertmanager"],
  },
  index: {
    settings: [...SERVES, ...KAFKA, ...INDEX],
    may: ["ELASTICSEARCH_REPLICAS", "ELASTICSEARCH_SHARDS"],
    secrets: [
      "database-index",
      "elasticsearch-key",
      "index",
      "pollwire-cluster-ca-cert",
      "pollwire-es-http-certs-public",
      "postgresql-ca",
    ],
  },
  serve: { settings: [...SERVES, ...TLS], secrets: ["database-serve", "postgresql-ca", "tls-serve"] },
  receipts: {
    settings: [...SERVES, ...TLS, "RECEIPT_KEYS_DIRECTORY"],
    secrets: ["database-receipts", "postgresql-ca", "receipts-keys", "tls-receipts"],
  },
  sync: {
    settings: [...SERVES, ...TLS, "SYNC_KEYS_DIRECTORY"],
    secrets: ["database-sync", "postgresql-ca", "sync-keys", "tls-sync"],
  },
  office: {
    settings: [...SERVES, ...TLS, ...KAFKA, "KEYS_DIRECTORY"],
    may: ["POLLWIRE_OFFICE_ISSUERS"],
    secrets: [
      "database-office",
      "election-keys",
      "office",
      "office-key",
      "pollwire-cluster-ca-cert",
      "postgresql-ca",
      "tls-office",
    ],
    maySee: ["office-issuers"],
  },
  gateway: {
    settings: ["GATEWAY_FILE", "GATEWAY_DATA", ...KAFKA, ...SERVER, ...TLS, "AGGREGATOR_CA_FILE"],
    secrets: ["<gateway>", "<gateway>-file", "pollwire-cluster-ca-cert", "tls-<gateway>"],
  },
  migrate: { settings: DATABASE, secrets: ["database-owner", "postgresql-ca"] },
  provision: {
    settings: [...DATABASE, "POLLWIRE_DATA"],
    secrets: ["database-registrar", "postgresql-ca"],
  },
  topics: {
    settings: [...DATABASE, ...KAFKA, "KEYS_DIRECTORY"],
    secrets: ["database-registrar", "election-keys", "pollwire-cluster-ca-cert", "postgresql-ca", "topics"],
  },
};

/** Settings that are secret: as files only, so that neither a manifest nor `kubectl describe` shows them. */
const SECRET = [
  "KAFKA_PASSWORD",
  "DATABASE_PASSWORD",
  "ELASTICSEARCH_API_KEY",
  "POLLWIRE_ALERTMANAGER_PASSWORD",
  "POLLWIRE_ALERTMANAGER_TOKEN",
];
/** Read by the C library. */
const isForeign = (name: string) => name.startsWith("MALLOC_");
const PEM = "-----BEGIN CERTIFICATE-----";

/** Every fault of settings, named by where it is. */
export function settingFaults(manifests: readonly Manifest[]): string[] {
  return podsOf(manifests).flatMap((pod) => {
    const needs = COMPONENTS[pod.component];
    if (needs === undefined) return [`${pod.workload}: nobody knows the component ${pod.component}`];
    const apps = pod.containers.filter((container) => appOf(container) !== undefined);
    if (apps.length !== 1) return [`${pod.workload}: one container must run an app, and ${apps.length} do`];
    const faults = [...containerFaults(pod, apps[0]!, needs), ...grantFaults(pod, apps[0]!)];
    return faults.map((fault) => `${pod.workload}: ${fault}`);
  });
}

/** The app that a container runs, by its file. */
function appOf(container: Container): string | undefined {
  return wordsOf(container).find((word) => word.endsWith("/main.ts"));
}

const { tasks }: { tasks: Record<string, string> } = JSON.parse(
  Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)),
);
/** Directories that may be written, besides what is in memory. */
const WRITES: Readonly<Record<string, string>> = {
  gateway: "--allow-write=/data",
  provision: "--allow-write=/office",
};

/** An app may do what its task grants, and write no directory but its own. */
function grantFaults({ component }: Pod, container: Container): string[] {
  const granted = (words: readonly string[]) =>
    words.slice(0, words.findIndex((word) => word.endsWith("main.ts")))
      .filter((word) =>
        /^(-A|--(allow-|ignore-env|no-prompt))/.test(word) && !word.startsWith("--allow-write")
      );
  const words = wordsOf(container);
  const task = appOf(container) === "gateway/main.ts"
    ? "gateway"
    : words[words.indexOf(appOf(container)!) + 1]!;
  const wanted = granted((tasks[task] ?? "").replaceAll("'", "").split(/\s+/));
  const own = granted(words);
  const written = words.filter((word) => word.startsWith("--allow-write"));
  const allowed = WRITES[component] === undefined ? [] : [WRITES[component]];
  return [
    ...own.filter((each) => !wanted.includes(each)).map((each) =>
      `${each} is not granted by the task ${task}`
    ),
    ...wanted.filter((each) => !own.includes(each)).map((each) =>
      `it must have ${each}, as the task ${task}`
    ),
    ...written.join() === allowed.join()
      ? []
      : [`it has ${written.join() || "no --allow-write"}, and must have ${allowed}`],
  ];
}

function containerFaults(pod: Pod, container: Container, { settings, may = [] }: Needs): string[] {
  const faults: string[] = [];
  const environment = environmentOf(container);
  const known: Readonly<Record<string, unknown>> = pod.component === "gateway"
    ? GATEWAY_SETTINGS
    : AGGREGATOR_SETTINGS;
  const told: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (isForeign(name)) continue;
    // `NAME_FILE` is a setting of its own for some, for others a file with the value.
    const setting = name in known ? name : name.replace(/_FILE$/, "");
    if (!(setting in known)) faults.push(`${name} is no setting of the app`);
    else if (SECRET.includes(name)) faults.push(`${name} must be given as ${name}_FILE`);
    else told[setting] = setting === name ? value : setting === "DATABASE_CA" ? PEM : "from a file";
    if (["ELASTICSEARCH_CA", "POLLWIRE_ALERTMANAGER_CA"].includes(setting)) told[setting] = PEM;
    faults.push(...pathsIn(value).flatMap((path) => pathFaults(name, path, pod, container)));
  }
  for (const { name, valueFrom } of container.env ?? []) {
    if (valueFrom !== undefined) {
      faults.push(`${name} must be a value or a file, and is taken from elsewhere`);
    }
  }
  for (const name of settings) if (!(name in told)) faults.push(`${name} must be set`);
  for (const name of Object.keys(told)) {
    if (!settings.includes(name) && !may.includes(name)) faults.push(`${name} is not for ${pod.component}`);
  }
  return faults.length > 0 ? faults : meaningFaults(pod, container, told);
}

/** What the app's own reader of settings says, and whether they mean what the component's name says. */
function meaningFaults(
  { component, workload }: Pod,
  container: Container,
  told: Record<string, string>,
): string[] {
  const faults: string[] = [];
  const must = (what: string, is: unknown, wanted: unknown) => {
    if (is !== wanted) faults.push(`${what} is ${is}, and must be ${wanted}`);
  };
  try {
    if (component === "gateway") {
      const { VOTE_LOG } = readConfig(GATEWAY_SETTINGS, told);
      must("the user of VOTE_LOG", userOfLog(VOTE_LOG), workload);
      must("the app", appOf(container), "gateway/main.ts");
      return faults;
    }
    const config = aggregatorConfig(told);
    const isRole = told.AGGREGATOR_ROLES !== undefined;
    must(
      "AGGREGATOR_ROLES",
      isRole ? config.roles.join() : undefined,
      isRole ? component as ProcessRole : undefined,
    );
    const words = wordsOf(container);
    must("the command", words[words.indexOf("aggregator/main.ts") + 1], isRole ? "aggregate" : component);
    must("the database", config.database.kind, "postgres");
    if (told.VOTE_LOG !== undefined) must("the user of VOTE_LOG", userOfLog(config.log), component);
    if (isRole) must("HOST", config.host, "0.0.0.0");
  } catch (error) {
    faults.push((error as Error).message);
  }
  return faults;
}

function userOfLog(log: ReturnType<typeof aggregatorConfig>["log"]): string | undefined {
  return log.kind === "kafka" ? log.sasl?.user : undefined;
}

/** Files and directories that a value names. */
function pathsIn(value: string): string[] {
  if (value.startsWith("/")) return [value];
  if (!value.startsWith("kafka://")) return [];
  const options = new URL(value).searchParams;
  return ["ca", "cert", "key"].map((name) => options.get(name)).filter((path) => path !== null);
}

/** A path must be in a volume, and a file in a secret must be one that the volume shows. */
function pathFaults(name: string, path: string, { spec }: Pod, { volumeMounts = [] }: Container): string[] {
  type Mount = { name: string; mountPath: string };
  const mount = (volumeMounts as Mount[]).find(({ mountPath }) =>
    path === mountPath || path.startsWith(`${mountPath}/`)
  );
  if (mount === undefined) return [`${name} names ${path}, which no volume holds`];
  const volume = spec.volumes?.find((each: { name: string }) => each.name === mount.name);
  const items = volume?.secret?.items;
  const file = path.slice(mount.mountPath.length + 1);
  if (items === undefined || file === "") return [];
  const isShown = items.some((item: { path: string }) => item.path === file);
  return isShown ? [] : [`${name} names ${path}, which the volume ${mount.name} does not show`];
}

/** Every fault of secrets: what a component may see, whether it is there, and what nobody uses. */
export function secretFaults(manifests: readonly Manifest[], provision: readonly Manifest[]): string[] {
  const faults: string[] = [];
  const made = new Set(ofKind(manifests, "Secret", "ExternalSecret").map(({ metadata }) => metadata.name));
  const there = new Set([...made, ...madeByOperators(manifests)]);
  const used = new Set<string>();
  for (const pod of [...podsOf(manifests), ...podsOf(provision)]) {
    const mounted = secretsOf(pod);
    const { secrets = [], maySee = [] } = COMPONENTS[pod.component] ?? {};
    const needed = secrets.map((name) => name.replace("<gateway>", pod.workload));
    const allowed = [...needed, ...maySee];
    for (const { name, keys } of mounted) {
      used.add(name);
      if (!allowed.includes(name)) faults.push(`${pod.workload}: it must not see the secret ${name}`);
      if (!there.has(name)) faults.push(`${pod.workload}: nobody makes the secret ${name}`);
      // Their keys are beside their certificates.
      const isAuthority = madeByOperators(manifests).has(name) && /-(ca|ca-cert|certs-public)$/.test(name);
      if (isAuthority && keys?.join() !== "ca.crt") {
        faults.push(`${pod.workload}: of the secret ${name} it must see ca.crt alone`);
      }
    }
    for (const name of needed) {
      if (!mounted.some((each) => each.name === name)) {
        faults.push(
          `${pod.workload}: it must see the secret ${name}`,
        );
      }
    }
  }
  for (const { spec } of ofKind(manifests, "Cluster")) {
    const named = [
      spec.bootstrap.initdb.secret,
      ...spec.managed.roles.map(
        (role: { passwordSecret: unknown }) => role.passwordSecret,
      ),
    ];
    for (const { name } of named) {
      used.add(name);
      if (!made.has(name)) faults.push(`Cluster: nobody makes the secret ${name}`);
    }
  }
  for (const name of made) if (!used.has(name)) faults.push(`Secret ${name}: nobody uses it`);
  return faults;
}

/** Secrets that a pod mounts, and the keys of them that it sees: all when `undefined`. */
function secretsOf({ spec, containers }: Pod): { name: string; keys?: string[] }[] {
  type Item = { key: string };
  const keys = (items?: Item[]) => items?.map(({ key }) => key);
  const mounted = (spec.volumes ?? []).flatMap(({ secret, projected }: Record<string, any>) => [
    ...secret === undefined ? [] : [{ name: secret.secretName, keys: keys(secret.items) }],
    ...(projected?.sources ?? []).map((source: any) => ({
      name: source.secret.name,
      keys: keys(source.secret.items),
    })),
  ]);
  const inEnvironment = containers.flatMap(({ env = [], envFrom = [] }) => [
    ...env.map(({ valueFrom }: any) => valueFrom?.secretKeyRef?.name),
    ...envFrom.map(({ secretRef }: any) => secretRef?.name),
  ]).filter((name) => name !== undefined);
  return [...mounted, ...inEnvironment.map((name) => ({ name }))];
}

/** Strimzi makes a secret for each user and its authority, CloudNativePG and ECK make one for theirs. */
function madeByOperators(manifests: readonly Manifest[]): Set<string> {
  const names = (kind: string, spell: (name: string) => string) =>
    ofKind(manifests, kind).map(({ metadata }) => spell(metadata.name));
  return new Set([
    ...names("KafkaUser", (name) => name),
    ...names("Kafka", (name) => `${name}-cluster-ca-cert`),
    ...names("Cluster", (name) => `${name}-ca`),
    ...names("Elasticsearch", (name) => `${name}-es-http-certs-public`),
  ]);
}
