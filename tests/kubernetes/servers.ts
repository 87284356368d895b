/**
 * The resources of Strimzi, CloudNativePG, ECK and External Secrets. Their own schemas are not here: these are the fields that we
 * use, each as those schemas have it (Strimzi 1.2, CloudNativePG 1.30, ECK 3.6, External Secrets 2.9), and whether they agree with the
 * rest of Pollwire.
 *
 * @module
 */
import { AclOperationTypes, AclResourceTypes, ResourcePatternTypes } from "kafkajs";
import { z } from "zod";
import { SETTINGS } from "../../aggregator/config.ts";
import { CHANGE_TOPICS } from "../../shared/changes.ts";
import { aclPlans, type Users } from "../../aggregator/kafka_topics.ts";
import { RECOUNT_TOPICS, VIEW_TOPICS } from "../../aggregator/view_topics.ts";
import { PROCESS_ROLES, type ProcessRole, requiredRoles } from "../../aggregator/roles/roles.ts";
import { environmentOf, type Manifest, ofKind, podsOf } from "./manifests.ts";

const quantity = z.string().regex(/^\d+(m|[KMGT]i)?$/);
const resources = z.strictObject({
  requests: z.strictObject({ cpu: quantity, memory: quantity }),
  limits: z.strictObject({ cpu: quantity, memory: quantity }),
});
const metadata = z.object({ name: z.string() });
const secretName = z.strictObject({ name: z.string() });
const strimzi = z.object({
  name: z.string(),
  labels: z.object({ "strimzi.io/cluster": z.literal("pollwire") }),
});
const scram = z.strictObject({ type: z.literal("scram-sha-512") });
const parameter = z.string({ error: "must be text: a number or a bare on and off are refused" });

/** By kind: fields that are not named here are refused. */
export const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  Kafka: z.strictObject({
    apiVersion: z.literal("kafka.strimzi.io/v1"),
    kind: z.string(),
    metadata,
    spec: z.strictObject({
      kafka: z.strictObject({
        version: z.literal("4.3.1"),
        metadataVersion: z.literal("4.3-IV0"),
        listeners: z.array(z.strictObject({
          name: z.string().regex(/^[a-z0-9]{1,11}$/),
          port: z.int().min(9_092),
          type: z.enum([
            "internal",
            "loadbalancer",
            "nodeport",
            "ingress",
            "cluster-ip",
            "route",
            "tlsroute",
          ]),
          tls: z.literal(true),
          authentication: scram,
          networkPolicyPeers: z.array(z.object({ podSelector: z.object({}) })).min(1),
        })).min(1),
        authorization: z.strictObject({ type: z.literal("simple") }),
        rack: z.strictObject({ type: z.literal("topology-label"), topologyKey: z.string() }),
        config: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
      }),
      entityOperator: z.strictObject({ userOperator: z.strictObject({ resources }) }),
    }),
  }),
  KafkaNodePool: z.strictObject({
    apiVersion: z.literal("kafka.strimzi.io/v1"),
    kind: z.string(),
    metadata: strimzi,
    spec: z.strictObject({
      replicas: z.int().min(3),
      roles: z.array(z.enum(["controller", "broker"])).min(1),
      storage: z.strictObject({
        type: z.literal("jbod"),
        volumes: z.array(z.strictObject({
          id: z.int(),
          type: z.literal("persistent-claim"),
          size: quantity,
          deleteClaim: z.literal(false, { error: "must be false: the log is the ballot box" }),
          kraftMetadata: z.literal("shared"),
        })).length(1),
      }),
      resources,
      jvmOptions: z.strictObject({ "-Xms": z.string(), "-Xmx": z.string() }),
      template: z.strictObject({
        pod: z.strictObject({
          terminationGracePeriodSeconds: z.int().min(60),
          securityContext: z.object({ runAsNonRoot: z.literal(true) }),
          affinity: z.object({}).optional(),
          topologySpreadConstraints: z.array(z.object({})).optional(),
        }),
        kafkaContainer: z.strictObject({
          securityContext: z.object({ allowPrivilegeEscalation: z.literal(false) }),
        }),
      }),
    }),
  }),
  KafkaUser: z.strictObject({
    apiVersion: z.literal("kafka.strimzi.io/v1"),
    kind: z.string(),
    metadata: strimzi,
    spec: z.strictObject({
      authentication: scram,
      authorization: z.strictObject({
        type: z.literal("simple"),
        acls: z.array(z.strictObject({
          resource: z.union([
            z.strictObject({
              type: z.enum(["topic", "group"]),
              name: z.string(),
              patternType: z.enum(["literal", "prefix"]),
            }),
            z.strictObject({ type: z.literal("cluster") }),
          ]),
          operations: z.array(z.enum(["Read", "Write", "Create", "Describe", "DescribeConfigs", "Delete"]))
            .min(1),
          host: z.literal("*"),
        })).min(1),
      }),
    }),
  }),
  Cluster: z.strictObject({
    apiVersion: z.literal("postgresql.cnpg.io/v1"),
    kind: z.string(),
    metadata,
    spec: z.strictObject({
      instances: z.int().min(2),
      imageCatalogRef: z.strictObject({
        apiGroup: z.literal("postgresql.cnpg.io"),
        kind: z.enum(["ImageCatalog", "ClusterImageCatalog"]),
        name: z.string(),
        major: z.int().min(15),
      }),
      enableSuperuserAccess: z.literal(false),
      enablePDB: z.literal(true),
      storage: z.strictObject({ size: quantity }),
      walStorage: z.strictObject({ size: quantity }),
      resources,
      affinity: z.strictObject({
        enablePodAntiAffinity: z.literal(true),
        podAntiAffinityType: z.literal("required"),
        topologyKey: z.string(),
      }),
      certificates: z.strictObject({ serverAltDNSNames: z.array(z.string()) }),
      postgresql: z.strictObject({
        synchronous: z.strictObject({
          method: z.enum(["any", "first"]),
          number: z.int().min(1),
          dataDurability: z.enum(["required", "preferred"]),
        }),
        pg_hba: z.tuple([
          z.literal("hostssl all all all scram-sha-256"),
          z.literal("host all all all reject"),
        ]),
        parameters: z.record(z.string(), parameter),
      }),
      bootstrap: z.strictObject({
        initdb: z.strictObject({
          database: z.literal("pollwire"),
          owner: z.literal("pollwire"),
          secret: secretName,
          encoding: z.literal("UTF8"),
          dataChecksums: z.literal(true),
          postInitApplicationSQL: z.array(z.string()),
        }),
      }),
      managed: z.strictObject({
        roles: z.array(z.strictObject({
          name: z.string(),
          login: z.literal(true),
          inRoles: z.array(z.string()).min(1),
          connectionLimit: z.int().min(1),
          passwordSecret: secretName,
        })),
      }),
    }),
  }),
  Elasticsearch: z.strictObject({
    apiVersion: z.literal("elasticsearch.k8s.elastic.co/v1"),
    kind: z.string(),
    metadata,
    spec: z.strictObject({
      version: z.string().regex(/^8\.\d+\.\d+$/, "must be 8: the client of version 8 is used"),
      nodeSets: z.array(z.strictObject({
        name: z.string(),
        count: z.int().min(1),
        config: z.record(z.string(), z.unknown()),
        podTemplate: z.object({ spec: z.object({ containers: z.tuple([z.object({ resources })]) }) }),
        volumeClaimTemplates: z.array(z.object({
          metadata: z.object({ name: z.literal("elasticsearch-data") }),
        })).length(1),
      })).min(1),
    }),
  }),
  ExternalSecret: z.strictObject({
    apiVersion: z.literal("external-secrets.io/v1"),
    kind: z.string(),
    metadata,
    spec: z.strictObject({
      refreshInterval: z.string().regex(/^\d+[smh]$/),
      secretStoreRef: z.strictObject({
        kind: z.enum(["SecretStore", "ClusterSecretStore"]),
        name: z.string(),
      }),
      target: z.strictObject({
        creationPolicy: z.literal("Owner"),
        deletionPolicy: z.literal("Retain"),
        template: z.strictObject({
          type: z.string(),
          data: z.record(z.string(), z.string()).optional(),
        }).optional(),
      }),
      data: z.array(z.strictObject({
        secretKey: z.string(),
        remoteRef: z.strictObject({ key: z.string(), property: z.string() }),
      })).min(1),
    }),
  }),
};

/** Fields that are not as the operators' schemas have them. */
export function schemaFaults(manifests: readonly Manifest[]): string[] {
  return manifests.flatMap((manifest) => {
    const result = SCHEMAS[manifest.kind]?.safeParse(manifest);
    return result?.success === false
      ? result.error.issues.map(({ path, message }) =>
        `${manifest.kind} ${manifest.metadata.name}: ${path.join(".")} ${message}`
      )
      : [];
  });
}

type Acl = { resource: { type: string; name?: string; patternType?: string }; operations: string[] };

/** Permissions of a user, as `topic/votes.x/Read`. */
function permissionsOf({ spec }: Manifest): string[] {
  return (spec.authorization.acls as Acl[]).flatMap((
    { resource: { type, name = "", patternType }, operations },
  ) =>
    operations.map((operation) => `${patternType === "prefix" ? "prefix " : ""}${type}/${name}/${operation}`)
  );
}

/** Permissions that `deno task topics` would give. */
export function plannedPermissions(elections: readonly string[], kind: keyof Users): string[] {
  const users: Users = { gateways: [], aggregators: [], indexers: [], [kind]: ["user"] };
  return aclPlans(elections.map((election) => ({ election, partitions: 1 })), users).map((entry) => {
    if (entry.resourcePatternType !== ResourcePatternTypes.LITERAL) throw new Error("A plan is not literal");
    const type = entry.resourceType === AclResourceTypes.TOPIC ? "topic" : "group";
    const operation = Object.entries(AclOperationTypes).find(([, value]) => value === entry.operation)![0];
    const words = operation.split("_").map((word) => word[0] + word.slice(1).toLowerCase());
    return `${type}/${entry.resourceName}/${words.join("")}`;
  });
}

/** Users of Kafka may do what the plans of `aggregator/kafka_topics.ts` say, divided among the roles, and nothing else. */
export function permissionFaults(manifests: readonly Manifest[]): string[] {
  const faults: string[] = [];
  const users = new Map(
    ofKind(manifests, "KafkaUser").map((user) => [user.metadata.name, permissionsOf(user)]),
  );
  const elections = [
    ...new Set(
      (users.get("count") ?? []).map((each) => /^topic\/votes\.(.+)\//.exec(each)?.[1]).filter((id) => id),
    ),
  ] as string[];
  if (elections.length === 0) return ["KafkaUser count: it reads no election's votes"];
  const isView = (permission: string) =>
    Object.values(VIEW_TOPICS).some((topic) => permission.includes(`/${topic}/`));
  const aggregators = plannedPermissions(elections, "aggregators");
  const isChange = (permission: string) => CHANGE_TOPICS.some((topic) => permission.includes(`/${topic}/`));
  const withoutViews = aggregators.filter((each) => !isView(each));
  const expected: Record<string, string[]> = {
    count: withoutViews.filter((each) => !isChange(each)),
    office: plannedPermissions(elections, "offices"),
    index: plannedPermissions(elections, "indexers"),
    recount: plannedPermissions(elections, "recounts"),
    official: plannedPermissions(elections, "officials"),
    topics: [
      ...[
        "prefix topic/votes.",
        ...[...Object.values(VIEW_TOPICS), ...CHANGE_TOPICS, ...RECOUNT_TOPICS].map((topic) =>
          `topic/${topic}`
        ),
      ].flatMap((
        topic,
      ) => ["Create", "Describe", "DescribeConfigs"].map((operation) => `${topic}/${operation}`)),
    ],
  };
  for (const [name, permissions] of users) {
    const wanted = expected[name] ?? plannedPermissions(elections, "gateways");
    for (const each of permissions) {
      if (!wanted.includes(each)) faults.push(`KafkaUser ${name}: it must not have ${each}`);
    }
    for (const each of wanted) {
      if (!permissions.includes(each)) faults.push(`KafkaUser ${name}: it must have ${each}`);
    }
  }
  return faults;
}

type Login = { name: string; inRoles: string[]; connectionLimit: number };

/** Users of the database are members of what their processes need, and have connections for all of these. */
export function databaseFaults(manifests: readonly Manifest[]): string[] {
  const faults: string[] = [];
  const [{ spec } = {} as Manifest] = ofKind(manifests, "Cluster");
  const logins: Login[] = spec.managed.roles;
  const limits: Record<string, number> = {};
  for (const login of logins) limits[login.name] = login.connectionLimit;
  const sum = Object.values(limits).reduce((total, limit) => total + limit, 0);
  const max = Number(spec.postgresql.parameters.max_connections);
  if (sum + 40 > max) {
    faults.push(`max_connections is ${max}, and must be ${sum + 40} or more: the users' limits and 40`);
  }
  for (const pod of podsOf(manifests)) {
    if (!Object.hasOwn(PROCESS_ROLES, pod.component)) continue;
    const role = pod.component as ProcessRole;
    const environment = environmentOf(pod.containers[0]!);
    // What is missing is said elsewhere.
    if (!URL.canParse(environment.DATABASE_URL ?? "")) continue;
    const user = new URL(environment.DATABASE_URL!).username;
    const login = logins.find(({ name }) => name === user);
    if (login === undefined) {
      faults.push(`${pod.workload}: the database has no user ${user}`);
      continue;
    }
    const wanted = role === "office" ? requiredRoles(role) : [PROCESS_ROLES[role].database[0]];
    if (login.inRoles.toSorted().join() !== wanted.toSorted().join()) {
      faults.push(`user ${user}: it is in ${login.inRoles}, and must be in ${wanted}`);
    }
    const needed = (mostPods(manifests, pod.workload)) * connectionsOf(role, environment);
    if (login.connectionLimit < needed) {
      faults.push(`user ${user}: connectionLimit is ${login.connectionLimit}, and must be ${needed} or more`);
    }
  }
  return faults;
}

/** As many pods as there may be at once, with those that an update starts beside the others. */
function mostPods(manifests: readonly Manifest[], name: string): number {
  const [{ spec }] = ofKind(manifests, "Deployment").filter(({ metadata }) => metadata.name === name) as [
    Manifest,
  ];
  const scaler = ofKind(manifests, "HorizontalPodAutoscaler").find((each) =>
    each.spec.scaleTargetRef.name === name
  );
  return (scaler?.spec.maxReplicas ?? spec.replicas) + spec.strategy.rollingUpdate.maxSurge;
}

/** Connections of one process: docs/operations.md, "PostgreSQL". */
function connectionsOf(role: ProcessRole, environment: Record<string, string>): number {
  const read = (name: "DATABASE_COUNTING_CONNECTIONS" | "DATABASE_READING_CONNECTIONS") =>
    SETTINGS[name].parse(environment[name]);
  const [counting, reading] = [read("DATABASE_COUNTING_CONNECTIONS"), read("DATABASE_READING_CONNECTIONS")];
  // One watches whether the database answers.
  const writes = ["count", "sync", "office"].includes(role) ? counting : 0;
  const publishes = ["count", "index"].includes(role) ? 1 : 0;
  return reading + 1 + writes + publishes;
}

/** Settings that keep votes out of the server's log, as `deploy/postgresql/secrecy.sql` has them. */
export function secrecyFaults(manifests: readonly Manifest[], secrecy: string): string[] {
  const [{ spec }] = ofKind(manifests, "Cluster") as [Manifest];
  const statements: string[] = spec.bootstrap.initdb.postInitApplicationSQL;
  const wanted = secrecy.matchAll(/^ALTER DATABASE :"DBNAME" SET (.+);$/gm).map(([, setting]) =>
    `ALTER DATABASE pollwire SET ${setting}`
  ).toArray();
  const faults = wanted.filter((each) => !statements.includes(each)).map((each) =>
    `Cluster: it must run ${each}`
  );
  if (wanted.length < 8) faults.push("secrecy.sql has fewer settings than were expected");
  return faults;
}
