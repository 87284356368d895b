import assert from "assert";
import type { Manifest } from "./manifests.ts";
import { allFaults, ignore, overlay } from "./overlays.ts";

/** Breaks a rule, and what must be said of it. `path` leads to the workload's container. */
type Break = readonly [what: string, (manifests: Manifest[]) => void, RegExp];
const workload = (manifests: Manifest[], name: string) =>
  manifests.find(({ kind, metadata }) =>
    ["Deployment", "StatefulSet", "Job"].includes(kind) && metadata.name === name
  )!;
const podSpec = (manifests: Manifest[], name: string) => workload(manifests, name).spec.template.spec;
const app = (manifests: Manifest[], name: string) => podSpec(manifests, name).containers[0];
const setting = (manifests: Manifest[], name: string, variable: string) =>
  app(manifests, name).env.find((each: { name: string }) => each.name === variable);
const named = (manifests: Manifest[], kind: string, name: string) =>
  manifests.find((each) => each.kind === kind && each.metadata.name === name)!;
const acls = (manifests: Manifest[], name: string) =>
  named(manifests, "KafkaUser", name).spec.authorization.acls;
const login = (manifests: Manifest[], name: string) =>
  named(manifests, "Cluster", "postgresql").spec.managed.roles.find((role: { name: string }) =>
    role.name === name
  );

const BREAKS: readonly Break[] = [
  [
    "latest",
    (m) => app(m, "serve").image = "registry.example/pollwire:latest",
    /serve\/app: image .* and not latest/,
  ],
  [
    "no version",
    (m) => app(m, "serve").image = "registry.example:5000/pollwire",
    /must name a version or a digest/,
  ],
  [
    "no memory limit",
    (m) => delete app(m, "count").resources.limits.memory,
    /count\/app: resources\.limits\.memory/,
  ],
  ["no requests", (m) => delete app(m, "sync").resources.requests, /sync\/app: resources\.requests\.cpu/],
  [
    "root",
    (m) => podSpec(m, "index").securityContext.runAsNonRoot = false,
    /index: runAsNonRoot must be true/,
  ],
  ["user 0", (m) => podSpec(m, "index").securityContext.runAsUser = 0, /index: runAsUser/],
  [
    "no seccomp",
    (m) => delete podSpec(m, "office").securityContext.seccompProfile,
    /office: its seccomp profile/,
  ],
  [
    "a writable root",
    (m) => delete app(m, "gateway-1").securityContext.readOnlyRootFilesystem,
    /readOnlyRootFile/,
  ],
  ["a capability", (m) => app(m, "count").securityContext.capabilities.add = ["NET_ADMIN"], /none added/],
  ["privileged", (m) => app(m, "count").securityContext.privileged = true, /privileged must not be set/],
  [
    "escalation",
    (m) => delete app(m, "count").securityContext.allowPrivilegeEscalation,
    /allowPrivilegeEscalation/,
  ],
  ["the node's network", (m) => podSpec(m, "serve").hostNetwork = true, /serve: hostNetwork must not be set/],
  [
    "the node's disk",
    (m) => podSpec(m, "serve").volumes.push({ name: "node", hostPath: { path: "/" } }),
    /volume node is a hostPath/,
  ],
  ["a token", (m) => delete podSpec(m, "serve").automountServiceAccountToken, /automountServiceAccountToken/],
  ["addresses of services", (m) => delete podSpec(m, "serve").enableServiceLinks, /enableServiceLinks/],
  ["no readiness", (m) => delete app(m, "receipts").readinessProbe, /receipts\/app: readinessProbe must ask/],
  [
    "alive when ready",
    (m) => app(m, "count").livenessProbe.httpGet.path = "/health/ready",
    /count\/app: livenessProbe must ask \/health\/live/,
  ],
  ["a probe without TLS", (m) => app(m, "serve").readinessProbe.httpGet.scheme = "HTTP", /must ask by HTTPS/],
  ["a port that is not there", (m) => setting(m, "serve", "PORT").value = "9000", /PORT is 9000/],
  ["a writable secret", (m) => delete app(m, "serve").volumeMounts[0].readOnly, /must be mounted read-only/],
  [
    "a heap as large as the memory",
    (m) => app(m, "count").resources.limits.memory = "1Gi",
    /V8's heap of 1024 MiB/,
  ],
  [
    "no budget",
    (m) => named(m, "PodDisruptionBudget", "sync").spec.selector.matchLabels = { other: "x" },
    /sync: 2 pods must have one PodDisruptionBudget, and have 0/,
  ],
  ["two pods of a gateway", (m) => workload(m, "gateway-1").spec.replicas = 2, /replicas must be 1/],
  [
    "all gateways at once",
    (m) => delete workload(m, "gateway-1").spec.updateStrategy,
    /gateway-1: updateStrategy/,
  ],
  ["a spool that goes", (m) => {
    workload(m, "gateway-2").spec.persistentVolumeClaimRetentionPolicy.whenDeleted = "Delete";
  }, /gateway-2: its volume must be kept/],
  [
    "not spread",
    (m) => podSpec(m, "count").topologySpreadConstraints[0].labelSelector.matchLabels = { x: "y" },
    /count: its own pods must be spread over zones/,
  ],
  [
    "a port of every node",
    (m) => named(m, "Service", "serve").spec.type = "NodePort",
    /Service serve: it must not open/,
  ],
  [
    "a service of nobody",
    (m) => named(m, "Service", "serve").spec.selector = { x: "y" },
    /Service serve: .* reaches 0/,
  ],
  [
    "rights",
    (m) => m.push({ apiVersion: "v1", kind: "ClusterRole", metadata: { name: "x" } }),
    /ClusterRole x/,
  ],

  [
    "an unknown setting",
    (m) => app(m, "serve").env.push({ name: "SERVE_FAST", value: "1" }),
    /SERVE_FAST is no setting/,
  ],
  ["a password in sight", (m) => {
    setting(m, "count", "KAFKA_PASSWORD_FILE").name = "KAFKA_PASSWORD";
  }, /KAFKA_PASSWORD must be given as KAFKA_PASSWORD_FILE/],
  [
    "a password from the environment",
    (m) =>
      app(m, "serve").env.push({ name: "LOG_LEVEL", valueFrom: { secretKeyRef: { name: "x", key: "y" } } }),
    /LOG_LEVEL must be a value or a file/,
  ],
  ["no database", (m) => {
    const { env } = app(m, "sync");
    env.splice(env.findIndex(({ name }: { name: string }) => name === "DATABASE_URL"), 1);
  }, /sync: DATABASE_URL must be set/],
  ["a setting of another role", (m) => {
    app(m, "serve").env.push({ name: "KEYS_DIRECTORY", value: "/tls" });
  }, /KEYS_DIRECTORY is not for serve/],
  [
    "a permission too many",
    (m) => app(m, "serve").command.splice(4, 0, "--allow-run"),
    /serve: --allow-run is not granted/,
  ],
  ["an open environment", (m) => {
    app(m, "count").command = app(m, "count").command.filter((word: string) => word !== "--ignore-env");
  }, /count: it must have --ignore-env/],
  [
    "a disk to write",
    (m) => app(m, "sync").command.splice(4, 0, "--allow-write"),
    /sync: it has --allow-write/,
  ],
  [
    "another role",
    (m) => setting(m, "serve", "AGGREGATOR_ROLES").value = "serve,count",
    /AGGREGATOR_ROLES is/,
  ],
  ["an unknown role", (m) => setting(m, "serve", "AGGREGATOR_ROLES").value = "page", /has no role page/],
  ["a wrong value", (m) => setting(m, "gateway-1", "PORT").value = "80000", /gateway-1: .*65535/],
  [
    "an embedded database",
    (m) => setting(m, "serve", "DATABASE_URL").value = "pglite:/tmp/db",
    /embedded database/,
  ],
  [
    "another's user",
    (m) => setting(m, "gateway-2", "VOTE_LOG").value = setting(m, "gateway-1", "VOTE_LOG").value,
    /gateway-2: the user of VOTE_LOG is gateway-1/,
  ],
  ["loopback", (m) => setting(m, "serve", "HOST").value = "127.0.0.1", /HOST is 127\.0\.0\.1/],
  [
    "a file nowhere",
    (m) => setting(m, "serve", "TLS_KEY_FILE").value = "/keys/tls.key",
    /which no volume holds/,
  ],
  [
    "a file not shown",
    (m) => setting(m, "serve", "DATABASE_CA_FILE").value = "/database-ca/ca.key",
    /does not show/,
  ],

  ["a master key for the public", (m) => {
    podSpec(m, "serve").volumes.push({ name: "keys", secret: { secretName: "election-keys" } });
  }, /serve: it must not see the secret election-keys/],
  ["the authority's key", (m) => {
    delete podSpec(m, "serve").volumes.find(({ name }: { name: string }) => name === "database-ca").secret
      .items;
  }, /serve: of the secret postgresql-ca it must see ca\.crt alone/],
  ["another gateway's file", (m) => {
    podSpec(m, "gateway-2").volumes.find(({ name }: { name: string }) => name === "gateway").secret
      .secretName = "gateway-1-file";
  }, /gateway-2: it must not see the secret gateway-1-file/],
  [
    "a secret of nobody",
    (m) =>
      m.splice(m.findIndex(({ kind, metadata }) => kind === "Secret" && metadata.name === "office-key"), 1),
    /office: nobody makes the secret office-key/,
  ],
  ["a secret for nobody", (m) => {
    m.push({ apiVersion: "v1", kind: "Secret", metadata: { name: "spare" } });
  }, /Secret spare: nobody uses it/],

  [
    "a field that Strimzi lacks",
    (m) => named(m, "Kafka", "pollwire").spec.kafka.replicas = 3,
    /Kafka pollwire: spec\.kafka/,
  ],
  ["a log that is deleted", (m) => {
    named(m, "KafkaNodePool", "broker").spec.storage.volumes[0].deleteClaim = true;
  }, /deleteClaim must be false: the log is the ballot box/],
  ["a number where text must be", (m) => {
    named(m, "Cluster", "postgresql").spec.postgresql.parameters.max_connections = 240;
  }, /parameters\.max_connections must be text/],
  ["plain connections", (m) => {
    named(m, "Cluster", "postgresql").spec.postgresql.pg_hba = ["host all all all scram-sha-256"];
  }, /Cluster postgresql: spec\.postgresql\.pg_hba/],
  ["Elasticsearch 9", (m) => named(m, "Elasticsearch", "pollwire").spec.version = "9.0.0", /must be 8/],
  [
    "a gateway that reads",
    (m) => acls(m, "gateway-1")[0].operations.push("Read"),
    /KafkaUser gateway-1: it must not have topic\/votes\.town-2026\/Read/,
  ],
  ["a count that cannot check retention", (m) => {
    acls(m, "count")[0].operations = ["Read", "Describe"];
  }, /KafkaUser count: it must have topic\/votes\.town-2026\/DescribeConfigs/],
  ["another election", (m) => {
    acls(m, "gateway-2")[0].resource.name = "votes.village-2026";
  }, /KafkaUser gateway-2: it must have topic\/votes\.town-2026\/Write/],
  ["a prefix", (m) => acls(m, "gateway-1")[0].resource.patternType = "prefix", /must not have prefix topic/],
  [
    "rights in the database",
    (m) => login(m, "serve").inRoles.push("pollwire_counter"),
    /user serve: it is in/,
  ],
  ["too many processes", (m) => {
    named(m, "HorizontalPodAutoscaler", "serve").spec.maxReplicas = 12;
  }, /user serve: connectionLimit is 30, and must be 65 or more/],
  ["too many users", (m) => login(m, "audit").connectionLimit = 500, /max_connections is 240, and must be/],
  ["a log of statements", (m) => {
    named(m, "Cluster", "postgresql").spec.bootstrap.initdb.postInitApplicationSQL.splice(2, 1);
  }, /Cluster: it must run ALTER DATABASE pollwire SET log_statement = 'none'/],
];

Deno.test({
  name: "each rule that a manifest breaks is named",
  ignore,
  async fn(t) {
    const provision = await overlay("small/provision");
    for (const [what, breakIt, said] of BREAKS) {
      await t.step(what, async () => {
        const manifests = await overlay("small");
        breakIt(manifests);
        const faults = allFaults(manifests, provision);
        assert.ok(
          faults.some((fault) => said.test(fault)),
          `nobody says ${said}: ${faults.join("; ") || "nothing"}`,
        );
      });
    }
  },
});
