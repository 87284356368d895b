/**
 * What every workload must keep to, whatever it does.
 *
 * @module
 */
import { type Container, fits, type Manifest, ofKind, type Pod, podsOf, wordsOf } from "./manifests.ts";

/** Workloads that end by themselves have nobody who asks whether they are ready. */
const hasProbes = ({ kind }: Pod) => kind !== "Job";

/** Kinds that may be in an overlay: none gives rights in the cluster, and none reaches a node. */
const KINDS = [
  "Namespace",
  "ServiceAccount",
  "Secret",
  "Service",
  "Deployment",
  "StatefulSet",
  "Job",
  "PodDisruptionBudget",
  "HorizontalPodAutoscaler",
  "NetworkPolicy",
  "ExternalSecret",
  "Kafka",
  "KafkaNodePool",
  "KafkaUser",
  "Cluster",
  "Elasticsearch",
];

/** Every fault, named by where it is. Empty when there is none. */
export function policyFaults(manifests: readonly Manifest[]): string[] {
  const faults: string[] = [];
  for (const { kind, metadata: { name } } of manifests) {
    if (!KINDS.includes(kind)) faults.push(`${kind} ${name}: such a resource has no place here`);
  }
  for (const pod of podsOf(manifests)) {
    faults.push(...podFaults(pod).map((fault) => `${pod.workload}: ${fault}`));
    for (const container of pod.containers) {
      const of = `${pod.workload}/${container.name}`;
      faults.push(...containerFaults(container).map((fault) => `${of}: ${fault}`));
      if (hasProbes(pod)) faults.push(...probeFaults(container).map((fault) => `${of}: ${fault}`));
    }
  }
  return [
    ...faults,
    ...disruptionFaults(manifests),
    ...statefulFaults(manifests),
    ...serviceFaults(manifests),
  ];
}

function podFaults({ kind, spec, component, labels, replicas }: Pod): string[] {
  const faults: string[] = [];
  const must = (ok: boolean, fault: string) => {
    if (!ok) faults.push(fault);
  };
  const { securityContext = {}, volumes = [] } = spec;
  must(component !== "", "it must have the label app.kubernetes.io/component");
  must(labels["app.kubernetes.io/part-of"] === "pollwire", "its pods must have the label part-of: pollwire");
  must(securityContext.runAsNonRoot === true, "runAsNonRoot must be true");
  must((securityContext.runAsUser ?? 0) > 0, "runAsUser must be another than 0");
  must(
    securityContext.seccompProfile?.type === "RuntimeDefault",
    "its seccomp profile must be RuntimeDefault",
  );
  must(spec.automountServiceAccountToken === false, "automountServiceAccountToken must be false");
  must(spec.enableServiceLinks === false, "enableServiceLinks must be false");
  for (const field of ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]) {
    must(!spec[field], `${field} must not be set`);
  }
  for (const volume of volumes) {
    const kinds = Object.keys(volume).filter((key) => key !== "name");
    must(
      kinds.every((each) => ["secret", "projected", "emptyDir"].includes(each)),
      `volume ${volume.name} is a ${kinds}, and must be a secret, projected secrets or an emptyDir`,
    );
    must(
      !("emptyDir" in volume) || volume.emptyDir?.sizeLimit,
      `volume ${volume.name} must have a sizeLimit`,
    );
  }
  if (kind === "Job") must(spec.restartPolicy !== "Always", "a Job must end");
  else {
    must((spec.terminationGracePeriodSeconds ?? 30) >= 30, "it must have 30 s to end");
    const spread = spec.topologySpreadConstraints ?? [];
    const zones = spread.filter(({ topologyKey }: { topologyKey: string }) => topologyKey.endsWith("/zone"));
    must(
      zones.length === 1 && fits(zones[0].labelSelector, labels),
      "its own pods must be spread over zones",
    );
    const apart = spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
    const nodes = [...spread, ...apart].filter(({ topologyKey }: { topologyKey: string }) =>
      topologyKey === "kubernetes.io/hostname"
    );
    must(
      nodes.some(({ labelSelector }) => fits(labelSelector, labels)),
      "its own pods must be spread over nodes",
    );
    must(
      kind !== "StatefulSet" || replicas === 1,
      "a gateway's file and spool belong to one pod: replicas must be 1",
    );
  }
  return faults;
}

/** What a container must say of itself. */
function containerFaults(container: Container): string[] {
  const { image, resources = {}, securityContext = {}, ...rest } = container;
  const faults: string[] = [];
  const must = (ok: boolean, fault: string) => {
    if (!ok) faults.push(fault);
  };
  const isPinned = /@sha256:[0-9a-f]{64}$/.test(image) ||
    /:[^/:]+$/.test(image) && !image.endsWith(":latest");
  must(isPinned, `image ${image} must name a version or a digest, and not latest`);
  for (const kind of ["requests", "limits"] as const) {
    for (const what of ["cpu", "memory"]) {
      must(resources[kind]?.[what] !== undefined, `resources.${kind}.${what} must be set`);
    }
  }
  must(securityContext.allowPrivilegeEscalation === false, "allowPrivilegeEscalation must be false");
  must(securityContext.readOnlyRootFilesystem === true, "readOnlyRootFilesystem must be true");
  must(securityContext.privileged !== true, "privileged must not be set");
  const { drop = [], add = [] } = securityContext.capabilities ?? {};
  must(drop.includes("ALL") && add.length === 0, "all capabilities must be dropped, and none added");
  for (const { mountPath, readOnly, name } of rest.volumeMounts ?? []) {
    const isWritten = ["/tmp", "/data", "/office"].includes(mountPath);
    must(isWritten || readOnly === true, `volume ${name} must be mounted read-only`);
  }
  const heap = /--max-old-space-size=(\d+)/.exec(wordsOf(container).join(" "));
  if (heap !== null) {
    must(
      Number(heap[1]) * 1.4 <= mebibytes(resources.limits?.memory ?? "0Mi"),
      `V8's heap of ${heap[1]} MiB must leave two fifths of the memory's limit to the rest of the process`,
    );
  }
  return faults;
}

function mebibytes(quantity: string): number {
  const [, number, unit] = /^(\d+)(Mi|Gi)$/.exec(quantity) ?? [];
  if (number === undefined) throw new Error(`memory is ${quantity}, and must be in Mi or Gi`);
  return Number(number) * (unit === "Gi" ? 1_024 : 1);
}

/** Probes that mean something: alive is not ready, and a process that starts is not killed for it. */
function probeFaults({ ports = [], ...container }: Container): string[] {
  const faults: string[] = [];
  const paths = {
    startupProbe: "/health/live",
    livenessProbe: "/health/live",
    readinessProbe: "/health/ready",
  };
  const isTls = (container.env ?? []).some(({ name }) => name === "TLS_CERT_FILE");
  for (const [name, path] of Object.entries(paths)) {
    const get = container[name]?.httpGet;
    if (get?.path !== path) faults.push(`${name} must ask ${path}`);
    else if (get.scheme !== (isTls ? "HTTPS" : "HTTP")) {
      faults.push(`${name} must ask by ${isTls ? "HTTPS" : "HTTP"}, as the process speaks`);
    } else if (!ports.some((port: { name: string }) => port.name === get.port)) {
      faults.push(`${name} asks port ${get.port}, which the container does not name`);
    }
  }
  const port = (container.env ?? []).find(({ name }) => name === "PORT")?.value;
  if (!ports.some(({ containerPort }: { containerPort: number }) => String(containerPort) === port)) {
    faults.push(`PORT is ${port}, and must be a port that the container names`);
  }
  return faults;
}

/** Of several pods one at a time may be taken away; of one alone none is kept from it. */
function disruptionFaults(manifests: readonly Manifest[]): string[] {
  const pods = podsOf(manifests).filter(hasProbes);
  const budgets = ofKind(manifests, "PodDisruptionBudget");
  const faults: string[] = [];
  for (const component of new Set(pods.map((pod) => pod.component))) {
    const own = pods.filter((pod) => pod.component === component);
    const replicas = own.reduce((sum, pod) => sum + pod.replicas, 0);
    const found = budgets.filter(({ spec }) => fits(spec.selector, own[0]!.labels));
    if (replicas > 1 && found.length !== 1) {
      faults.push(
        `${component}: ${replicas} pods must have one PodDisruptionBudget, and have ${found.length}`,
      );
    }
    for (const { spec, metadata } of found) {
      if (spec.maxUnavailable !== 1) {
        faults.push(`PodDisruptionBudget ${metadata.name}: maxUnavailable must be 1`);
      }
    }
  }
  return faults;
}

/** A gateway and its fallback must not be restarted together, and a spool must not go with its workload. */
function statefulFaults(manifests: readonly Manifest[]): string[] {
  return ofKind(manifests, "StatefulSet").flatMap(({ metadata: { name }, spec }) => [
    ...spec.updateStrategy?.type === "OnDelete" ? [] : [`${name}: updateStrategy must be OnDelete`],
    ...spec.persistentVolumeClaimRetentionPolicy?.whenDeleted === "Retain"
      ? []
      : [`${name}: its volume must be kept when it is deleted`],
  ]);
}

/** A service must reach pods, by a port that they name. */
function serviceFaults(manifests: readonly Manifest[]): string[] {
  const pods = podsOf(manifests);
  const faults: string[] = [];
  for (const { metadata: { name }, spec } of ofKind(manifests, "Service")) {
    const reached = pods.filter(({ labels }) => fits({ matchLabels: spec.selector }, labels));
    if (reached.length !== 1) {
      faults.push(`Service ${name}: it must reach one workload, and reaches ${reached.length}`);
    }
    for (const { targetPort } of spec.ports) {
      const named = reached.every(({ containers }) =>
        containers.some(({ ports = [] }) => ports.some((port: { name: string }) => port.name === targetPort))
      );
      if (!named) faults.push(`Service ${name}: no container names the port ${targetPort}`);
    }
    if (spec.type === "NodePort") faults.push(`Service ${name}: it must not open a port on every node`);
  }
  return faults;
}
