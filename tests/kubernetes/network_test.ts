import assert from "assert";
import { type Manifest, ofKind, podsOf } from "./manifests.ts";
import { type Peer, reaches } from "./network.ts";
import { ignore, overlay } from "./overlays.ts";

const OURS = [
  "count",
  "index",
  "serve",
  "receipts",
  "sync",
  "office",
  "gateway",
  "migrate",
  "provision",
  "topics",
];
const SERVERS: Record<string, [labels: Record<string, string>, port: number]> = {
  postgresql: [{ "cnpg.io/cluster": "postgresql" }, 5_432],
  kafka: [{ "strimzi.io/cluster": "pollwire", "strimzi.io/kind": "Kafka" }, 9_093],
  elasticsearch: [{ "elasticsearch.k8s.elastic.co/cluster-name": "pollwire" }, 9_200],
};
const namespace = (labels: Record<string, string>): Peer => ({ labels: { app: "proxy" }, namespace: labels });
/** Who is outside: namespaces by the label that lets them in, any other one, and the world. */
const OUTSIDE: Record<string, Peer> = {
  public: namespace({ "pollwire/lets-in": "public" }),
  officials: namespace({ "pollwire/lets-in": "officials" }),
  edge: namespace({ "pollwire/lets-in": "gateways" }),
  prometheus: namespace({ "pollwire/watches": "true" }),
  stranger: namespace({ "kubernetes.io/metadata.name": "default" }),
  world: "outside",
};
/** Whom each asks. Nothing else passes. */
const ASKS: Record<string, string[]> = {
  count: ["postgresql", "kafka"],
  index: ["postgresql", "kafka", "elasticsearch"],
  serve: ["postgresql"],
  receipts: ["postgresql"],
  sync: ["postgresql"],
  office: ["postgresql", "kafka"],
  gateway: ["kafka", "sync"],
  migrate: ["postgresql"],
  provision: ["postgresql"],
  topics: ["postgresql", "kafka"],
  public: ["serve", "receipts"],
  officials: ["office"],
  edge: ["sync"],
  prometheus: ["count", "index", "serve", "receipts", "sync", "office", "gateway"],
  stranger: [],
  world: ["gateway"],
  postgresql: [],
  kafka: [],
  elasticsearch: [],
};

/** Whom each reaches, of everybody. */
function reached(manifests: readonly Manifest[], provision: readonly Manifest[]): Record<string, string[]> {
  const pods = [...podsOf(manifests), ...podsOf(provision)];
  const peers: Record<string, Peer> = { ...OUTSIDE };
  const ports: Record<string, number> = {};
  for (const component of OURS) {
    peers[component] = { labels: pods.find((pod) => pod.component === component)!.labels };
    ports[component] = component === "gateway" ? 8_001 : 8_000;
  }
  for (const [name, [labels, port]] of Object.entries(SERVERS)) {
    peers[name] = { labels };
    ports[name] = port;
  }
  return Object.fromEntries(
    Object.entries(peers).map(([from, peer]) => [
      from,
      Object.keys(ports).filter((to) => to !== from && reaches(manifests, peer, peers[to]!, ports[to]!))
        .toSorted(),
    ]),
  );
}

const sorted = (table: Record<string, string[]>) =>
  Object.fromEntries(
    Object.entries(table).toSorted(([a], [b]) => a.localeCompare(b)).map((
      [from, to],
    ) => [from, to.toSorted()]),
  );

for (const name of ["small", "national"] as const) {
  Deno.test({
    name: `overlay ${name}: only those who must talk to each other can`,
    ignore,
    async fn() {
      const [manifests, provision] = [await overlay(name), await overlay(`${name}/provision`)];
      assert.deepEqual(sorted(reached(manifests, provision)), sorted(ASKS));
      const kafka = { labels: SERVERS.kafka![0] };
      const gateway = { labels: podsOf(manifests).find(({ component }) => component === "gateway")!.labels };
      assert.ok(reaches(manifests, kafka, kafka, 9_091), "brokers copy from each other");
      assert.ok(!reaches(manifests, gateway, kafka, 9_091), "gateways speak to Kafka by its own port only");
      const postgresql = { labels: SERVERS.postgresql![0] };
      assert.ok(reaches(manifests, postgresql, postgresql, 5_432), "a replica follows the primary");
      assert.ok(reaches(manifests, postgresql, "outside", 6_443), "an instance asks Kubernetes");
      assert.ok(!reaches(manifests, gateway, "outside", 443), "a gateway goes nowhere else");
      const asksAlertmanager = podsOf(manifests).filter(({ labels }) =>
        reaches(manifests, { labels }, OUTSIDE.prometheus!, 9_093)
      ).map(({ component }) => component);
      assert.deepEqual(asksAlertmanager, name === "national" ? ["count"] : [], "who may ask Alertmanager");
      const asksOutside = [...podsOf(manifests), ...podsOf(provision)].filter(({ labels }) =>
        reaches(manifests, { labels }, "outside", 443)
      ).map(({ component }) => component);
      assert.deepEqual(asksOutside, name === "national" ? ["office"] : [], "who may ask an OpenID provider");
      for (const { metadata, spec } of ofKind(manifests, "NetworkPolicy")) {
        if (metadata.name !== "office-asks-openid") continue;
        const { except } = spec.egress[0].to[0].ipBlock;
        assert.ok(except.includes("169.254.0.0/16"), "nor the machine's own metadata");
        assert.deepEqual(spec.egress[0].ports, [{ port: 443, protocol: "TCP" }]);
      }
    },
  });
}

Deno.test({
  name: "reaches() sees a missing default, and an opening too many",
  ignore,
  async fn() {
    const provision = await overlay("small/provision");
    const without = async (name: string) =>
      (await overlay("small")).filter(({ kind, metadata }) =>
        kind !== "NetworkPolicy" || metadata.name !== name
      );
    const open = reached(await without("deny-all"), provision);
    assert.ok(open.stranger!.includes("migrate"), "who has no policy of its own is open to all");
    assert.deepEqual(reached(await without("ask-kafka"), provision).count, ["postgresql"]);
    const leaky = await overlay("small");
    ofKind(leaky, "StatefulSet")[0]!.spec.template.metadata.labels["pollwire/asks-database"] = "true";
    assert.ok(reached(leaky, provision).gateway!.includes("postgresql"));
  },
});
