import assert from "assert";
import { PROCESS_ROLES } from "../../aggregator/roles/roles.ts";
import { type Manifest, ofKind, podsOf } from "./manifests.ts";
import { allFaults, ignore, overlay } from "./overlays.ts";
import { OVERLAYS } from "./render.ts";
import { plannedPermissions } from "./servers.ts";
import { COMPONENTS } from "./settings.ts";

for (const name of ["small", "national"] as const) {
  Deno.test({
    name: `overlay ${name} keeps to every policy, and its settings, secrets and users are those of its roles`,
    ignore,
    async fn() {
      const [manifests, provision] = [await overlay(name), await overlay(`${name}/provision`)];
      assert.deepEqual(allFaults(manifests, provision), []);
      const components = new Set([...podsOf(manifests), ...podsOf(provision)].map((pod) => pod.component));
      assert.deepEqual(
        [...components].toSorted(),
        Object.keys(COMPONENTS).toSorted(),
        "every component is there",
      );
      for (const role of Object.keys(PROCESS_ROLES)) assert.ok(components.has(role), role);
    },
  });

  Deno.test({
    name: `overlay ${name}: everything is in one namespace, which admits no pod that may do more than ours`,
    ignore,
    async fn() {
      const manifests = await overlay(name);
      const [{ metadata }] = ofKind(manifests, "Namespace") as [Manifest];
      assert.equal(metadata.labels!["pod-security.kubernetes.io/enforce"], "restricted");
      for (const each of [...manifests, ...await overlay(`${name}/provision`)]) {
        if (each.kind !== "Namespace") {
          assert.equal(each.metadata.namespace, metadata.name, each.metadata.name);
        }
      }
    },
  });
}

Deno.test({
  name: "overlay national has a copy of every role, broker and database in each of three zones",
  ignore,
  async fn() {
    const manifests = await overlay("national");
    for (const { component, replicas, spec } of podsOf(manifests)) {
      if (component === "migrate") continue;
      const zones = spec.topologySpreadConstraints[0];
      assert.deepEqual([zones.topologyKey, zones.whenUnsatisfiable], [
        "topology.kubernetes.io/zone",
        "DoNotSchedule",
      ]);
      if (!["gateway", "index", "office"].includes(component)) assert.ok(replicas >= 3, component);
    }
    const [{ spec: database }] = ofKind(manifests, "Cluster") as [Manifest];
    assert.deepEqual(
      [database.instances, database.affinity.topologyKey, database.postgresql.synchronous.dataDurability],
      [3, "topology.kubernetes.io/zone", "required"],
    );
    assert.equal(podsOf(manifests).filter(({ component }) => component === "gateway").length, 3);
  },
});

Deno.test("plannedPermissions() are those that deno task topics gives", () => {
  assert.deepEqual(plannedPermissions(["town"], "gateways"), [
    "topic/votes.town/Write",
    "topic/votes.town/Describe",
  ]);
  assert.ok(plannedPermissions(["town"], "aggregators").includes("topic/votes.town/DescribeConfigs"));
});

Deno.test({
  name: "every overlay that is applied is rendered",
  ignore,
  async fn() {
    for (const name of OVERLAYS) assert.ok((await overlay(name)).length >= 2, name);
  },
});
